"""What the two kinds of processes are told: commands, settings, and the times that must fit into each other."""

from __future__ import annotations

from typing import Any

from graphql_api.http.health import ALIVE_PATH
from infra.config import Config
from infra.database import Database
from infra.entrance import IDLE_SECONDS, ORIGIN_SECONDS, Entrance
from infra.events import Events
from infra.http_api import WAIT_SECONDS
from infra.images import Images
from infra.model_connection import ModelConnection
from infra.network import Network
from infra.variables import variables

PORT = 8000
USER = "10001:10001"
"""Port and user of the Dockerfile."""

API_COMMAND = ("serve", "--host", "0.0.0.0", "--no-worker")
WORKER_COMMAND = ("worker",)

_ASK = (
    "import http.client, os, sys; "
    "server = http.client.HTTPConnection('127.0.0.1', "
    f"int(os.environ.get('HEALTH_PORT') or os.environ.get('PORT') or {PORT}), timeout=4); "
    f"server.request('GET', '{ALIVE_PATH}'); "
    "sys.exit(server.getresponse().status != 200)"
)
HEALTH_COMMAND = ("CMD", "python", "-I", "-S", "-c", _ASK)
"""The Dockerfile's HEALTHCHECK, which ECS does not look at."""

STOP_SECONDS = 120
"""How long Fargate waits between SIGTERM and the kill, at most."""
MARGIN_SECONDS = 15
"""What a process needs after it has drained: closing connections, and an answer of the database that is late."""
WORKER_DRAIN_SECONDS = STOP_SECONDS - MARGIN_SECONDS
API_DRAIN_DELAY_SECONDS = 5
"""ECS has taken the task out of the load balancer by then. This is for what was on its way meanwhile."""
API_DRAIN_SECONDS = 60
KEEP_ALIVE_SECONDS = IDLE_SECONDS + 10
"""The load balancer ends idle connections, never the program: it would send requests into those that are gone."""

DATABASE_CONNECTIONS = 6
"""Of a process; three are for writing (docs/scaling.md, "Connections")."""
AUTHORITIES = "/etc/ssl/rds-global-bundle.pem"
"""Where the image has the certificates of RDS."""


def rest_wait(config: Config) -> int:
    """Seconds that /text2image waits for an image, so that whoever is in front still waits for the program."""
    return WAIT_SECONDS if config.http_api else ORIGIN_SECONDS - 10


def deregistration_seconds(config: Config) -> int:
    """How long a task that is to stop goes on with the requests that it has: the longest one is a wait for an image."""
    return rest_wait(config) + 5


def api_variables(
    *,
    config: Config,
    network: Network,
    entrance: Entrance,
    database: Database,
    events: Events,
    images: Images,
    model: ModelConnection,
) -> dict[str, str]:
    """The environment of an API task, but for its secrets."""
    settings = _shared(config, entrance, database, events, images, model)
    settings |= {
        "auth": config.auth,
        "jobs_per_minute": config.jobs_per_minute,
        "dollars_per_month": config.dollars_per_month,
        "studio": config.studio,
        "explorer": config.explorer,
        # By its own name behind CloudFront, by addresses and other names for load balancer and API Gateway. The check
        # guards a server that asks nobody who they are against pages that rebind a name; this one asks.
        "allowed_hosts": "*",
        "trusted_proxies": network.cidr,
        "drain_delay": API_DRAIN_DELAY_SECONDS,
        "drain": API_DRAIN_SECONDS,
        "keep_alive": KEEP_ALIVE_SECONDS,
        "rest_wait": rest_wait(config),
    }
    if config.auth == "jwt":
        settings |= {name: getattr(config, name) for name in ("jwt_issuer", "jwt_audience", "jwt_audience_claim")}
    if config.allowed_origins:
        settings["allowed_origins"] = config.allowed_origins
    return variables(**settings)


def worker_variables(
    *,
    config: Config,
    entrance: Entrance,
    database: Database,
    events: Events,
    images: Images,
    model: ModelConnection,
) -> dict[str, str]:
    """The environment of a worker, but for its secrets. `HEALTH_PORT` is where its health check asks."""
    settings = _shared(config, entrance, database, events, images, model)
    settings["drain"] = WORKER_DRAIN_SECONDS
    if model.completions is not None:
        settings["completions"] = f"sqs:{model.completions.queue.queue_url}"
    return variables(**settings) | {"HEALTH_PORT": str(PORT)}


def _shared(
    config: Config, entrance: Entrance, database: Database, events: Events, images: Images, model: ModelConnection
) -> dict[str, Any]:
    signing = {"url_key_id": entrance.key_pair_id} if entrance.key_pair_id else {}
    return signing | {
        "database": f"postgresql://{database.host}:{database.port}/{database.name}"
        f"?sslmode=verify-full&sslrootcert={AUTHORITIES}",
        "database_secret": database.secret_arn,
        "database_connections": DATABASE_CONNECTIONS,
        "events": events.url,
        "images": f"s3:{images.bucket.bucket_name}",
        "public_url": entrance.url,
        "endpoint": model.setting,
        "codec": model.codec,
        "price_per_second": f"{config.instance_dollars_per_hour / 3600:.9f}",
        # A worker's slots; the API tells by them when a queued job will be done.
        "concurrency": config.concurrency,
        "retention": config.retention_days * 24 * 3600,
        "log_format": "json",
        # Nobody here asks for them, and a path has more than one spelling: a rule of the load balancer is not enough.
        "metrics": False,
    }
