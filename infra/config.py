"""What may be chosen of a deployment: environment variables DEPLOY_<NAME>, over the values of an environment.

`small` is for a team that tries the service or makes a few thousand images a month; `standard` survives the loss of an
availability zone. Prices are in docs/cost.md.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator, model_validator

from graphql_api.codecs import CODECS
from infra.jumpstart import MODELS

PREFIX = "DEPLOY_"

SKETCH = "sketch"
"""The model that is the built-in renderer, and needs no endpoint."""

GPU_FAMILIES = frozenset("g4dn g5 g6 g6e gr6 p3 p3dn p4d p4de p5 p5e p5en inf2 trn1 trn1n trn2".split())
"""Families of SageMaker's instances that have a GPU or an accelerator."""

FARGATE_MEMORY: Mapping[int, Sequence[int]] = MappingProxyType(
    {
        256: (512, 1024, 2048),
        512: range(1024, 4096 + 1, 1024),
        1024: range(2048, 8192 + 1, 1024),
        2048: range(4096, 16_384 + 1, 1024),
        4096: range(8192, 30_720 + 1, 1024),
    }
)
"""MiB of memory that go with CPU units (AWS, "Fargate task CPU and memory")."""

HOURS_A_MONTH = 730

LOG_DAYS = (1, 3, 5, 7, 14, 30, 60, 90, 180, 365)
"""Retentions of CloudWatch, of those that it has."""

_REGION = re.compile(r"[a-z]{2}(-[a-z]+)+-\d")
_OTHER_PARTITIONS = ("cn-", "us-gov-", "us-iso", "eu-isoe-", "eusc-")
_INSTANCE = re.compile(r"ml\.([a-z0-9]+)\.[a-z0-9]+")
_NAME = re.compile(r"[a-z][a-z0-9-]{0,19}")
_FORMS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "endpoint_name": (r"[A-Za-z0-9](-?[A-Za-z0-9]){0,62}", "sd21: up to 63 letters, digits and -, and no ARN"),
        "endpoint_bucket": (r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", "my-bucket"),
        "completions_topic_arn": (
            r"arn:aws:sns:[a-z0-9-]+:\d{12}:[\w-]+",
            "arn:aws:sns:us-east-1:123456789012:answers",
        ),
        "certificate_arn": (
            r"arn:aws:acm:us-east-1:\d{12}:certificate/[\w-]+",
            "arn:aws:acm:us-east-1:123456789012:certificate/4a7d9d6f-..., of us-east-1, where CloudFront looks for it",
        ),
        "url_private_key_secret_arn": (
            r"arn:aws:secretsmanager:[a-z0-9-]+:\d{12}:secret:[\w/+=.@-]+-[A-Za-z0-9]{6}",
            "arn:aws:secretsmanager:us-east-1:123456789012:secret:url-key-AbCdEf, with the six characters at its end",
        ),
        "domain_name": (r"([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+[a-z]{2,}", "images.example.com"),
        "jwt_issuer": (r"https://[^\s/]+\S*", "https://id.example.com"),
        "allowed_origins": (r"https?://[^\s/,]+(\s*,\s*https?://[^\s/,]+)*", "https://app.example.com"),
        "zone_names": (r"[a-z]{2}(-[a-z]+)+-\d[a-z](\s*,\s*[a-z]{2}(-[a-z]+)+-\d[a-z])*", "us-east-1a,us-east-1c"),
        "account": (r"\d{12}", "123456789012"),
        "alarm_email": (r"[^@\s,]+@[^@\s,]+\.[^@\s,]+", "team@example.com"),
    }
)
"""What is checked by its form alone -> the form, and what to write."""

ENVIRONMENTS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "small": {
            "egress": "public",
            "database": "instance",
            "api_tasks_min": 1,
            "api_tasks_max": 2,
            "api_cpu": 512,
            "api_memory": 1024,
            "worker_tasks_min": 1,
            "worker_tasks_max": 2,
            "monthly_budget_dollars": 200,
            "daily_images_dollars": 10,
        },
        "standard": {
            "egress": "nat",
            "database": "aurora",
            "api_tasks_min": 2,
            "api_tasks_max": 10,
            "api_cpu": 1024,
            "api_memory": 2048,
            "worker_tasks_min": 2,
            "worker_tasks_max": 10,
            "monthly_budget_dollars": 600,
            "daily_images_dollars": 100,
        },
    }
)
"""What the environments differ in. Everything else has the defaults of `Config`."""


class ConfigError(ValueError):
    """The configuration makes no sense; the message is one line that says what to write."""


class Config(BaseModel):
    """A deployment. Each field is the environment variable DEPLOY_<NAME>."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    environment: Literal["small", "standard"] = Field(default="small", description="Whose values count first.")
    name: str = Field(
        default="text2image", description="What names of stacks and metrics begin with; several may share an account."
    )
    region: str = Field(default="", description="AWS region. Empty: AWS_REGION, then AWS_DEFAULT_REGION.")
    account: str = Field(default="", description="AWS account, 12 digits. Empty: that of the credentials.")

    endpoint_name: str = Field(default="", description="SageMaker endpoint that exists. Excludes MODEL.")
    model: str = Field(
        default="",
        description="Model to create an endpoint for, a name of infra/jumpstart.py; `sketch` is the built-in renderer, "
        "which needs none. Excludes ENDPOINT_NAME.",
    )
    endpoint_kind: Literal["realtime", "stream", "async"] = Field(
        default="realtime", description="How the endpoint answers. An asynchronous one may scale to zero."
    )
    codec: str = Field(
        default="jumpstart-sd", description="How an endpoint that exists spells requests and answers (docs/models.md)."
    )
    endpoint_bucket: str = Field(
        default="",
        description="Bucket that an asynchronous endpoint that exists writes its answers to; its role must be allowed "
        "to read `async-inputs/` of the bucket of images. Empty: the bucket of images.",
    )
    completions_topic_arn: str = Field(
        default="", description="SNS topic that an asynchronous endpoint that exists tells of its answers."
    )
    instance_type: str = Field(default="ml.g5.2xlarge", description="Instance of a created endpoint; with a GPU.")
    instances_min: int = Field(default=1, ge=0, le=100, description="Instances at least; 0 if asynchronous.")
    instances_max: int = Field(default=1, ge=1, le=100, description="Instances at most.")
    instance_dollars_per_hour: float = Field(
        default=0, ge=0, le=1000, description="Price of an instance, for costs of jobs. 0: they have none."
    )
    jobs_per_worker: int = Field(
        default=0, ge=0, le=1000, description="Jobs that a worker runs at a time. 0: 2, or 32 if asynchronous."
    )

    egress: Literal["public", "nat", "endpoints"] = Field(
        default="public",
        description="How tasks reach AWS: `public` addresses that nothing can connect to, a `nat` gateway, or VPC "
        "`endpoints` and nothing else, so that there are neither webhooks nor tokens of an identity provider.",
    )
    zones: int = Field(default=2, ge=2, le=3, description="Availability zones.")
    zone_names: str = Field(
        default="",
        description="Names of as many zones, separated by commas, where the first ones of the region will not do: not "
        "all have VPC origins and VPC links. Empty: the first ones.",
    )
    database: Literal["instance", "aurora"] = Field(
        default="instance", description="RDS for PostgreSQL on one instance, or Aurora in two zones."
    )
    database_instance: str = Field(default="t4g.micro", description="Class of that instance, without `db.`.")
    database_gib: int = Field(default=20, ge=20, le=16_384, description="Its storage; grows to five times that.")
    aurora_capacity_min: float = Field(
        default=0.5, ge=0.5, le=128, multiple_of=0.5, description="Aurora's capacity units, at least."
    )
    aurora_capacity_max: float = Field(
        default=8, ge=1, le=256, multiple_of=0.5, description="Aurora's capacity units, at most."
    )
    valkey_max_gb: int = Field(default=1, ge=1, le=100, description="Valkey Serverless: memory at most.")

    api_tasks_min: int = Field(default=1, ge=1, le=100, description="API tasks, at least.")
    api_tasks_max: int = Field(default=2, ge=1, le=100, description="API tasks, at most.")
    api_cpu: int = Field(default=512, description="CPU units of an API task, as Fargate has them.")
    api_memory: int = Field(default=1024, description="MiB of memory of an API task.")
    worker_tasks_min: int = Field(default=1, ge=1, le=100, description="Workers, at least.")
    worker_tasks_max: int = Field(default=2, ge=1, le=100, description="Workers, at most.")
    worker_cpu: int = Field(default=512, description="CPU units of a worker.")
    worker_memory: int = Field(default=1024, description="MiB of memory of a worker.")
    architecture: Literal["x86_64", "arm64"] = Field(default="x86_64", description="Processors of the tasks.")
    image: str = Field(default="", description="Container image. Empty: built from this checkout, which needs Docker.")

    auth: Literal["keys", "jwt"] = Field(default="keys", description="Who may ask: TEXT2IMAGE_AUTH.")
    jwt_issuer: str = Field(default="", description="TEXT2IMAGE_JWT_ISSUER.")
    jwt_audience: str = Field(default="", description="TEXT2IMAGE_JWT_AUDIENCE.")
    jwt_audience_claim: str = Field(default="aud", description="TEXT2IMAGE_JWT_AUDIENCE_CLAIM.")
    studio: bool = Field(default=True, description="Serve the Studio.")
    explorer: bool = Field(default=True, description="Serve the explorer and introspection.")
    webhooks: bool = Field(default=False, description="Send webhooks.")
    allowed_origins: str = Field(
        default="", description="Origins, separated by commas, whose pages may use API and images."
    )
    retention_days: int = Field(default=0, ge=0, le=3650, description="Days that jobs are kept. 0: for ever.")
    jobs_per_minute: int = Field(default=60, ge=0, description="Jobs a minute of a caller. 0: any number.")
    dollars_per_month: float = Field(
        default=0, ge=0, description="US dollars that jobs of an account may cost in a month. 0: any number."
    )

    domain_name: str = Field(default="", description="Name of the service, such as images.example.com.")
    certificate_arn: str = Field(default="", description="Certificate of that name, in us-east-1 (CloudFront).")
    url_public_keys: str = Field(
        default="",
        description="Paths of PEM files of the public keys for signed image URLs, separated by commas: the first is in "
        "use, the others count too while it is replaced. Empty: not signed.",
    )
    url_private_key_secret_arn: str = Field(
        default="", description="Secret of Secrets Manager that holds the private half of the first, as PEM."
    )
    http_api: bool = Field(
        default=False, description="An HTTP API in front of /text2image, for clients of the first version."
    )

    alarm_email: str = Field(default="", description="Who hears of alarms and of the budget. Empty: nobody.")
    monthly_budget_dollars: int = Field(
        default=200,
        ge=1,
        description="US dollars a month that the account may cost, besides created instances at their price.",
    )
    daily_images_dollars: float = Field(
        default=10, gt=0, description="US dollars a day of inference that raise an alarm."
    )
    log_days: int = Field(default=30, description="Days that logs are kept.")

    @field_validator("name")
    @classmethod
    def _is_a_name(cls, name: str) -> str:
        if not _NAME.fullmatch(name):
            raise ValueError("write up to 20 lowercase letters, digits and -, a letter first")
        return name

    @field_validator("region")
    @classmethod
    def _is_a_region(cls, region: str) -> str:
        if not region:
            raise ValueError(f"write {PREFIX}REGION=us-east-1, or another region")
        if not _REGION.fullmatch(region):
            raise ValueError(f"{region!r} is no region; write one such as us-east-1")
        if region.startswith(_OTHER_PARTITIONS):
            raise ValueError(f"{region} is of another partition of AWS, which these templates are not for")
        return region

    @field_validator(*_FORMS)
    @classmethod
    def _has_its_form(cls, value: str, info: ValidationInfo) -> str:
        form, example = _FORMS[str(info.field_name)]
        if value and not re.fullmatch(form, value):
            raise ValueError(f"{value!r} will not do; write one such as {example}")
        return value

    @field_validator("codec")
    @classmethod
    def _is_a_codec(cls, codec: str) -> str:
        if codec not in CODECS:
            raise ValueError(f"{codec!r} is no codec; write {' or '.join(CODECS)}")
        return codec

    @field_validator("instance_type")
    @classmethod
    def _has_a_gpu(cls, instance_type: str) -> str:
        match = _INSTANCE.fullmatch(instance_type)
        if match is None:
            raise ValueError(f"{instance_type!r} is no instance of SageMaker; write one such as ml.g5.2xlarge")
        if match[1] not in GPU_FAMILIES:
            raise ValueError(f"{instance_type} has no GPU; write one that has, such as ml.g5.2xlarge")
        return instance_type

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        for check in (self._check_endpoint, self._check_counts, self._check_access, self._check_urls):
            check()
        return self

    def _check_endpoint(self) -> None:
        if self.creates_endpoint and self.model not in MODELS:
            raise ValueError(f"{PREFIX}MODEL={self.model} is not known; write {' or '.join((*MODELS, SKETCH))}")
        if bool(self.endpoint_name) == bool(self.model):
            what = "both were given" if self.model else "neither was given"
            raise ValueError(
                f"write either {PREFIX}ENDPOINT_NAME=<an endpoint that exists> or {PREFIX}MODEL=<a model to create an "
                f"endpoint for, or {SKETCH}>; {what}"
            )
        if self.model == SKETCH:
            # What is said of an endpoint may stay, for when there is one again.
            return
        if self.model and self.endpoint_kind == "stream":
            raise ValueError(
                f"{PREFIX}ENDPOINT_KIND=stream needs a container that streams: create the endpoint yourself, and write "
                f"{PREFIX}ENDPOINT_NAME"
            )
        if self.instances_min == 0 and self.endpoint_kind != "async":
            raise ValueError(f"{PREFIX}INSTANCES_MIN=0 needs {PREFIX}ENDPOINT_KIND=async: no other kind scales to zero")
        if self.endpoint_name and self.endpoint_kind == "async" and not self.completions_topic_arn:
            raise ValueError(
                f"{PREFIX}COMPLETIONS_TOPIC_ARN=<the endpoint's SNS topic> is missing for the asynchronous endpoint"
            )

    def _check_counts(self) -> None:
        pairs = ("instances", "api_tasks", "worker_tasks", "aurora_capacity")
        for pair in pairs:
            if getattr(self, f"{pair}_min") > getattr(self, f"{pair}_max"):
                raise ValueError(f"{PREFIX}{pair.upper()}_MAX must not be less than {PREFIX}{pair.upper()}_MIN")
        for task in ("api", "worker"):
            cpu, memory = getattr(self, f"{task}_cpu"), getattr(self, f"{task}_memory")
            if cpu not in FARGATE_MEMORY:
                known = ", ".join(map(str, FARGATE_MEMORY))
                raise ValueError(f"{PREFIX}{task.upper()}_CPU is one of {known}, not {cpu}")
            if memory not in FARGATE_MEMORY[cpu]:
                least, most = FARGATE_MEMORY[cpu][0], FARGATE_MEMORY[cpu][-1]
                raise ValueError(
                    f"{PREFIX}{task.upper()}_MEMORY={memory} does not go with {cpu} CPU units; "
                    f"write {least} to {most}, in whole GiB"
                )
        if self.zone_names and len(self.zone_list) != self.zones:
            raise ValueError(f"{PREFIX}ZONE_NAMES are {len(self.zone_list)}, and {PREFIX}ZONES is {self.zones}")
        if any(not zone.startswith(self.region) for zone in self.zone_list):
            raise ValueError(f"{PREFIX}ZONE_NAMES are not of {self.region}")
        if self.log_days not in LOG_DAYS:
            raise ValueError(f"{PREFIX}LOG_DAYS is one of {', '.join(map(str, LOG_DAYS))}, not {self.log_days}")

    def _check_access(self) -> None:
        if self.auth == "jwt" and not (self.jwt_issuer and self.jwt_audience):
            raise ValueError(f"{PREFIX}AUTH=jwt needs {PREFIX}JWT_ISSUER and {PREFIX}JWT_AUDIENCE")
        if self.egress == "endpoints" and (self.webhooks or self.auth == "jwt"):
            raise ValueError(
                f"{PREFIX}EGRESS=endpoints has no way to the internet, which webhooks and {PREFIX}AUTH=jwt need; "
                f"write {PREFIX}EGRESS=nat"
            )

        if self.egress == "endpoints" and self.image and ".dkr.ecr." not in self.image:
            raise ValueError(
                f"{PREFIX}EGRESS=endpoints reaches no registry but ECR: push the image there, or say {PREFIX}EGRESS=nat"
            )

    def _check_urls(self) -> None:
        if bool(self.domain_name) != bool(self.certificate_arn):
            raise ValueError(f"{PREFIX}DOMAIN_NAME and {PREFIX}CERTIFICATE_ARN go together; write both or neither")
        if bool(self.url_public_keys) != bool(self.url_private_key_secret_arn):
            raise ValueError(
                f"{PREFIX}URL_PUBLIC_KEYS and {PREFIX}URL_PRIVATE_KEY_SECRET_ARN go together; write both or neither"
            )

    @property
    def creates_endpoint(self) -> bool:
        """Whether an endpoint is part of the deployment."""
        return bool(self.model) and self.model != SKETCH

    @property
    def zone_list(self) -> Sequence[str]:
        """The zones that are named, if any."""
        return _parts(self.zone_names)

    @property
    def origins(self) -> Sequence[str]:
        """The origins whose pages may use API and images."""
        return _parts(self.allowed_origins)

    @property
    def is_async(self) -> bool:
        """Whether answers come later, over a queue."""
        return self.endpoint_kind == "async" and self.model != SKETCH

    @property
    def url_key_paths(self) -> Sequence[str]:
        """Where the public keys of image URLs are, the one in use first."""
        return _parts(self.url_public_keys)

    @property
    def budget_dollars(self) -> float:
        """What the account may cost in a month, in US dollars: what is said, and where their price is known the
        instances of a created endpoint all month long."""
        instances = self.instances_max if self.creates_endpoint else 0
        return self.monthly_budget_dollars + instances * self.instance_dollars_per_hour * HOURS_A_MONTH

    @property
    def concurrency(self) -> int:
        """Jobs that a worker runs at a time. Containers draw one image at a time: a second one waits its turn there;
        an asynchronous endpoint has a queue for as many as there are."""
        return self.jobs_per_worker or (32 if self.is_async else 2)

    @property
    def prefix(self) -> str:
        """What names begin with: `<name>-<environment>`."""
        return f"{self.name}-{self.environment}"


def _parts(value: str) -> Sequence[str]:
    return [part.strip() for part in value.split(",") if part.strip()]


def read_config(environ: Mapping[str, str]) -> Config:
    """The configuration that environment variables name. Raises ConfigError, with one line that says what to write."""
    given = {
        name.removeprefix(PREFIX).lower(): value
        for name, value in environ.items()
        if name.startswith(PREFIX) and value != ""
    }
    unknown = sorted(given.keys() - Config.model_fields.keys())
    if unknown:
        nearest = difflib.get_close_matches(unknown[0], Config.model_fields, n=1)
        hint = f"; did you mean {PREFIX}{nearest[0].upper()}?" if nearest else ""
        raise ConfigError(f"{PREFIX}{unknown[0].upper()} is not known{hint}")
    given.setdefault("region", environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION") or "")
    environment = given.get("environment", "small")
    if environment not in ENVIRONMENTS:
        raise ConfigError(f"{PREFIX}ENVIRONMENT={environment} is not known; write {' or '.join(ENVIRONMENTS)}")
    try:
        return Config.model_validate({**ENVIRONMENTS[environment], **given})
    except ValidationError as error:
        raise ConfigError(_first_line(error)) from None


def _first_line(error: ValidationError) -> str:
    first = error.errors()[0]
    problem = str(first["ctx"]["error"]) if first["type"] == "value_error" else str(first["msg"])
    if not first["loc"]:
        return problem
    name = str(first["loc"][0])
    got = "" if first["type"] == "value_error" else f", not {first['input']!r}"
    return f"{PREFIX}{name.upper()}: {problem[:1].lower()}{problem[1:]}{got}"
