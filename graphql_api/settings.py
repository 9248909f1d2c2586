"""Settings, read from the environment once. Defaults run everything on one machine without an account."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AliasChoices, Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from graphql_api.ports import MAX_BUDGET, MAX_LIMIT

DEFAULT_ENDPOINT = "sketch:"


class Settings(BaseSettings):
    """All settings. Each is the environment variable TEXT2IMAGE_<NAME>. Times are in seconds."""

    model_config = SettingsConfigDict(env_prefix="TEXT2IMAGE_", frozen=True, extra="forbid")

    data_dir: Path = Field(default=Path("text2image-data"), description="Folder for the database and the images.")
    database: str = Field(
        default="",
        description="Job store, `sqlite:<path>` or `postgresql://<user>:<password>@<host>/<database>`. Empty: a file "
        "in the data folder.",
    )
    database_secret: str = Field(
        default="",
        description="Name or ARN of a secret of AWS Secrets Manager whose JSON has `username` and `password` for "
        "PostgreSQL, as RDS manages them; `DATABASE` then says neither. Read whenever a connection is opened, so that "
        "it may be rotated.",
    )
    database_connections: int = Field(
        default=10, ge=2, le=1000, description="Connections of a process to PostgreSQL, at most."
    )
    events: str = Field(
        default="memory:",
        description="Event broker: `memory:` within one process, or "
        "`valkey://[<user>:<password>@]<host>[:<port>][/<db>]`; `redis://` works too. `valkeys://` is with TLS "
        "(`?ca=<PEM file>` for a private authority). `?cluster=true` for cluster mode, such as ElastiCache Serverless; "
        "`?prefix=<name>` where several installations share a server.",
    )
    events_password: SecretStr = Field(
        default=SecretStr(""), description="Password of `EVENTS`, where the URL should not hold it."
    )
    images: str = Field(
        default="", description="Image store, `file:<path>` or `s3:<bucket>`. Empty: a folder in the data folder."
    )
    models: str = Field(default="", description="Path of a TOML file that declares several models.")
    endpoint: str = Field(
        default=DEFAULT_ENDPOINT,
        description="Where the one model runs, when there is no model file: `sketch:`, `sagemaker:<endpoint>`, "
        "`sagemaker-stream:<endpoint>` or `sagemaker-async:<endpoint>?inputs=s3://<bucket>/<prefix>`. `sketch:` is the "
        "built-in renderer; `sketch:?step_seconds=0.1` slows it down, `sketch:?progress=off` makes it silent like a "
        "real-time endpoint.",
    )
    codec: str = Field(
        default="jumpstart-sd", description="How that model spells requests and answers: the name of its family."
    )
    price_per_second: float = Field(
        default=0,
        ge=0,
        allow_inf_nan=False,
        description="What a second of that endpoint costs, in US dollars. 0: not known.",
    )
    completions: str = Field(
        default="", description="Where asynchronous endpoints tell of their answers, `sqs:<queue URL>`."
    )
    public_url: str = Field(
        default="",
        description="Origin that image URLs begin with, such as https://<distribution>.cloudfront.net. Empty: relative "
        "URLs for a folder, presigned ones for S3.",
    )
    url_key_id: str = Field(
        default="",
        description="ID of the CloudFront public key whose private half signs image URLs. Empty: not signed.",
    )
    url_private_key: SecretStr = Field(default=SecretStr(""), description="That private key, as PEM, or `file:<path>`.")
    url_seconds: int = Field(
        default=3600, ge=60, le=518_400, description="How long a signed or presigned URL is good for, at least."
    )
    aws_region: str = Field(
        default="",
        validation_alias=AliasChoices("TEXT2IMAGE_AWS_REGION", "AWS_REGION", "AWS_DEFAULT_REGION"),
        description="Region of the AWS services. Empty: AWS_REGION, then AWS_DEFAULT_REGION, then the AWS profile's.",
    )
    url_secret: SecretStr = Field(
        default=SecretStr(""),
        description="Secret that signs the URLs of images in a folder, so that they expire after `URL_SECONDS`. Empty: "
        "they are not signed.",
    )
    auth: Literal["none", "keys", "jwt"] = Field(
        default="none",
        description="Who may ask: `none` is one caller, on this machine only; `keys` those who have an API key "
        "(`text2image keys`); `jwt` those whom an identity provider knows.",
    )
    open_to_all: bool = Field(
        default=False, description="Let anybody in who reaches the server, where `AUTH` is `none`."
    )
    jwt_issuer: str = Field(default="", description="Issuer of tokens, as their `iss` says it.")
    jwt_audience: str = Field(default="", description="Audience that tokens must be meant for.")
    jwt_audience_claim: str = Field(
        default="aud", description="Claim that holds the audience; `client_id` for access tokens of Cognito."
    )
    jwt_jwks_url: str = Field(
        default="", description="Where the issuer's keys are. Empty: where its OpenID configuration says."
    )
    jwt_caller_claim: str = Field(default="sub", description="Claim that says who the caller is.")
    jwt_limits_claim: str = Field(
        default="text2image",
        description="Claim with the caller's role and limits, an object such as "
        '`{"role": "reader", "jobs_per_minute": 10}`.',
    )
    requests_per_minute: int = Field(
        default=0, ge=0, le=MAX_LIMIT, description="Requests a minute of a caller. 0: any number."
    )
    jobs_per_minute: int = Field(default=0, ge=0, le=MAX_LIMIT, description="Jobs a minute of a caller. 0: any number.")
    jobs_in_flight: int = Field(
        default=0, ge=0, le=MAX_LIMIT, description="Jobs of a caller that are queued or running. 0: any number."
    )
    pixels_per_day: int = Field(
        default=0, ge=0, le=MAX_LIMIT, description="Pixels of images a day of a caller. 0: any number."
    )
    sockets_per_caller: int = Field(
        default=0, ge=0, le=MAX_LIMIT, description="Open WebSockets of a caller, in one process. 0: any number."
    )
    streams_per_caller: int = Field(
        default=0, ge=0, le=MAX_LIMIT, description="Open subscriptions of a caller, in one process. 0: any number."
    )
    dollars_per_month: float = Field(
        default=0,
        ge=0,
        le=MAX_BUDGET,
        description="US dollars that the jobs of an account may cost in a calendar month. 0: any number.",
    )
    max_sockets_per_address: int = Field(
        default=1000,
        ge=1,
        description="Open WebSockets of one network address, in one process; of connections in all, twice as many.",
    )
    max_messages_per_second: int = Field(
        default=100, ge=1, description="Messages a second on one WebSocket, over any ten seconds."
    )
    trusted_proxies: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description="Addresses or networks of the proxies in front, separated by commas, whose `X-Forwarded-For` and "
        "`X-Forwarded-Proto` are believed.",
    )
    studio: bool = Field(default=True, description="Serve the Studio, the page at `/`.")
    explorer: bool = Field(default=True, description="Serve GraphiQL at `/graphiql`, and introspection.")
    documents: str = Field(
        default="",
        description="Path of a JSON file of trusted documents, by ID or hash: as Relay, Apollo and GraphQL Code "
        "Generator write them.",
    )
    documents_only: bool = Field(default=False, description="Run no other documents than those, and the Studio's.")
    webhook_secret: SecretStr = Field(
        default=SecretStr(""),
        description="Secret that the signatures of webhooks are made from, at least 32 characters; two, separated by a "
        "comma, while it is replaced. Empty: there are no webhooks.",
    )
    webhook_networks: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description="Networks that webhooks may be sent to although they are not public, also without TLS, separated "
        "by commas.",
    )
    allowed_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        default=("localhost", "127.0.0.1", "[::1]"),
        description="Host names that the server answers to, separated by commas; `*` for any. "
        "Guards a laptop against pages that rebind their name to it.",
    )
    allowed_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description="Origins, separated by commas, whose pages may use the API besides its own.",
    )
    concurrency: int = Field(default=2, ge=1, le=10_000, description="Jobs of a model that run at a time.")
    retention: float = Field(
        default=0,
        ge=0,
        description="How long after its submission a job that has ended is kept, with its images. 0: for ever.",
    )
    max_queued: int = Field(default=10_000, ge=1, description="Queued jobs beyond which new ones are refused.")
    max_attempts: int = Field(
        default=3,
        ge=1,
        description="How often a job is sent to its model where an earlier attempt was lost with its worker, and may "
        "have been paid for.",
    )
    job_timeout: float = Field(default=600, gt=0, description="Longest invocation of a model.")
    patience: float = Field(
        default=1800, ge=0, description="How long a job waits for an endpoint that is starting or busy."
    )
    lease: float = Field(default=30, ge=1, description="How long a worker may be silent before it loses its job.")
    keep_alive: int = Field(
        default=5,
        ge=1,
        le=86_400,
        description="How long an idle HTTP connection is kept; behind a load balancer longer than its idle time-out.",
    )
    drain_delay: float = Field(
        default=0,
        ge=0,
        description="How long the server goes on as before when it is told to stop, except that it says that it is not "
        "ready, so that a load balancer notices. Jobs that run meanwhile go on; no other is begun.",
    )
    drain: float = Field(
        default=5, ge=0, description="How long running jobs, and the streams that tell of them, get to end after that."
    )
    embed_parameters: bool = Field(
        default=True, description="Write prompt and parameters into the metadata of the image files."
    )
    rest_wait: float = Field(
        default=60, ge=0, le=300, description="How long `/text2image` waits for an image before it answers 202."
    )
    max_operations_per_socket: int = Field(default=100, ge=1, description="Operations in flight on one WebSocket.")
    log_level: Literal["debug", "info", "warning", "error"] = Field(default="info", description="Least log level.")
    log_format: Literal["text", "json"] = Field(default="text", description="How log lines look.")
    metrics: bool = Field(default=True, description="Answer `/metrics`, for Prometheus.")
    traces: Literal["off", "otlp"] = Field(
        default="off",
        description="Where traces go: `off`, or `otlp` for an OpenTelemetry collector, which the standard OTEL_* "
        "variables name. Needs the extra `opentelemetry`.",
    )

    @field_validator("allowed_hosts", "allowed_origins", "trusted_proxies", "webhook_networks", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @property
    def database_url(self) -> str:
        """Where the jobs live."""
        return self.database or f"sqlite:{self.data_dir / 'jobs.sqlite3'}"

    @property
    def images_url(self) -> str:
        """Where the images live."""
        return self.images or f"file:{self.data_dir}"

    def private_key(self) -> str:
        """The private key that signs image URLs, as PEM. Raises ValueError when its file cannot be read."""
        key = self.url_private_key.get_secret_value()
        if not key.startswith("file:"):
            return key
        try:
            return Path(key.removeprefix("file:")).read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ValueError("The file that TEXT2IMAGE_URL_PRIVATE_KEY names cannot be read.") from error
