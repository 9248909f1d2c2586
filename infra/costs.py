"""What a deployment costs a month: arithmetic over infra/prices.py, and the assumptions that it makes.

Only what runs all the time is certain. What images add depends on the assumptions, which a deployment can measure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from infra.config import Config
from infra.prices import dollars

HOURS = 730
"""Hours in a month, as AWS counts."""

GIGABYTE = 1e9

EndpointKind = Literal["realtime", "async"]


@dataclass(frozen=True, slots=True)
class Workload:
    """What is asked of a deployment in a month. Between `bursts` an asynchronous endpoint goes to zero."""

    images: int
    bursts: int


WORKLOADS = (Workload(images=0, bursts=0), Workload(images=1_000, bursts=40), Workload(images=100_000, bursts=200))
"""Idle; some people on working days, twice a day; a service that is used all day."""


@dataclass(frozen=True, slots=True)
class Assumption:
    """A number that nobody has measured on AWS, and where it comes from."""

    what: str
    value: float
    unit: str
    basis: str


ASSUMPTIONS: Mapping[str, Assumption] = MappingProxyType(
    {
        "gpu_seconds": Assumption(
            "an image on the GPU",
            4,
            "s",
            "Stable Diffusion 2.1 base, 512x512, 50 steps, on an A10G: **to be measured**",
        ),
        "awake_hours": Assumption(
            "an asynchronous endpoint is paid for beyond its work, for each burst",
            0.5,
            "h",
            "start, 15 minutes without backlog before it shrinks, cooldown; the policies of infra/model_endpoint.py",
        ),
        "image_kb": Assumption("an image", 150, "kB", "JPEG, 512x512"),
        "thumbnail_kb": Assumption("its thumbnail", 15, "kB", "WebP"),
        "views": Assumption("an image is looked at", 3, "times", "a guess"),
        "requests": Assumption("requests to the API for an image", 10, "", "submit, follow, lists; a guess"),
        "request_kb": Assumption("an answer of the API", 3, "kB", "a job with its parameters"),
        "answer_kb": Assumption("an answer of the endpoint", 200, "kB", "the image in base64"),
        "ecpus": Assumption("Valkey: commands for an image", 20, "", "docs/scaling.md, with limits of callers"),
        "database_ios": Assumption("Aurora: I/O for an image", 100, "", "a guess"),
        "idle_ios": Assumption("Aurora: I/O of a process that waits", 0.2, "a second", "leases and duties; a guess"),
        "job_kb": Assumption("a job in the database", 2.4, "kB", "measured, docs/scaling.md"),
        "task_log_gb": Assumption("log of a task", 0.1, "GB a month", "two lines a minute, and those of faults"),
        "image_log_kb": Assumption("log of an image", 3, "kB", "its job, requests of access logs"),
        "other_log_gb": Assumption("other logs", 0.3, "GB a month", "PostgreSQL, rejected connections of the VPC"),
        "task_gb": Assumption(
            "what a task sends and fetches when idle", 0.5, "GB a month", "logs, polls; layers of ECR come from S3"
        ),
        "metrics": Assumption(
            "custom metrics", 45, "", "our own, and Container Insights of a cluster with two services"
        ),
        "alarms": Assumption("alarms", 20, "", "infra/monitoring.py, and those of the scaling policies"),
        "secrets": Assumption("secrets", 2, "", "passwords of PostgreSQL and Valkey"),
        "container_gb": Assumption("containers in ECR", 1, "GB", "three versions"),
    }
)


def assumed(name: str) -> float:
    """An assumption's number."""
    return ASSUMPTIONS[name].value


def components(config: Config, workload: Workload) -> dict[str, float]:
    """US dollars a month of each part but the endpoint, with the tasks that run at least."""
    parts = {
        "Fargate": _tasks(config),
        "load balancer": _balancer(workload),
        f"way out: {config.egress}": egress(config, gigabytes=_task_count(config) * assumed("task_gb")),
        f"database: {config.database}": _database(config, workload),
        "Valkey": _valkey(workload),
        "S3": _images(workload),
        "CloudFront": _distribution(workload),
        "CloudWatch": _watching(config, workload),
        "secrets, ECR": assumed("secrets") * dollars("secret") + assumed("container_gb") * dollars("ecr_gb"),
    }
    return parts


def endpoint(config: Config, kind: EndpointKind, workload: Workload) -> float:
    """US dollars a month of an endpoint with one instance, and of what only it makes: traffic, requests to S3 and SQS.
    A real-time one is always on, an asynchronous one begins at zero."""
    traffic = workload.images * assumed("answer_kb") * 1e3 / GIGABYTE
    hours = float(HOURS) if kind == "realtime" else _awake_hours(workload)
    cost = hours * dollars(config.instance_type) + traffic * dollars("endpoint_gb")
    if kind == "async":
        # Answers come from S3, which all three ways out reach without paying for bytes.
        puts, gets = 2 * workload.images, 2 * workload.images
        polls = config.worker_tasks_min * HOURS * 3600 / 20
        messages = 3 * workload.images
        stored = puts * dollars("s3_put") / 1_000 + gets * dollars("s3_get") / 1_000
        return cost + stored + (polls + messages) * dollars("sqs") / 1e6
    return cost + traffic * _egress_by_gigabyte(config)


def egress(config: Config, gigabytes: float) -> float:
    """US dollars a month of the way that tasks have to AWS, by `config.egress`."""
    if config.egress == "public":
        fixed = _task_count(config) * dollars("address") * HOURS
    elif config.egress == "nat":
        gateways = config.zones if config.environment == "standard" else 1
        fixed = gateways * (dollars("nat") + dollars("address")) * HOURS
    else:
        fixed = interface_count(config) * config.zones * dollars("interface") * HOURS
    return fixed + gigabytes * _egress_by_gigabyte(config)


def interface_count(config: Config) -> int:
    """VPC endpoints that are paid for: ECR's two, logs, secrets, SageMaker's two, and SQS if answers come later."""
    return 7 if config.is_async else 6


def break_even_tasks(nat: Config) -> float:
    """Tasks beyond which public addresses cost more than the NAT gateways of a configuration, without their bytes."""
    return egress(nat, gigabytes=0) / (dollars("address") * HOURS)


def break_even_gigabytes(nat: Config, endpoints: Config) -> float:
    """GB a month beyond which interface endpoints cost less than NAT gateways; negative if they always do."""
    fixed = egress(endpoints, gigabytes=0) - egress(nat, gigabytes=0)
    return fixed / (_egress_by_gigabyte(nat) - _egress_by_gigabyte(endpoints))


def most_images() -> float:
    """Images a month that one instance draws if it never rests; up to there scaling to zero saves something."""
    return HOURS * 3600 / assumed("gpu_seconds")


def _awake_hours(workload: Workload) -> float:
    work = workload.images * assumed("gpu_seconds") / 3600
    return min(float(HOURS), work + workload.bursts * assumed("awake_hours"))


def _egress_by_gigabyte(config: Config) -> float:
    """Bytes that go out by a public address to AWS of the same region are free."""
    return {"public": 0.0, "nat": dollars("nat_gb"), "endpoints": dollars("interface_gb")}[config.egress]


def _task_count(config: Config) -> int:
    return config.api_tasks_min + config.worker_tasks_min


def _tasks(config: Config) -> float:
    prefix = "arm_" if config.architecture == "arm64" else ""
    units = config.api_tasks_min * config.api_cpu + config.worker_tasks_min * config.worker_cpu
    mebibytes = config.api_tasks_min * config.api_memory + config.worker_tasks_min * config.worker_memory
    return HOURS * (units / 1024 * dollars(f"{prefix}vcpu") + mebibytes / 1024 * dollars(f"{prefix}memory"))


def _balancer(workload: Workload) -> float:
    """A capacity unit is 25 new connections a second, or 1 GB an hour, whatever is more."""
    requests = workload.images * assumed("requests")
    by_connections = requests / (HOURS * 3600) / 25
    by_bytes = requests * assumed("request_kb") * 1e3 / GIGABYTE / HOURS
    return HOURS * (dollars("balancer") + max(by_connections, by_bytes) * dollars("lcu"))


def _database(config: Config, workload: Workload) -> float:
    if config.database == "instance":
        return HOURS * dollars(f"db.{config.database_instance}") + config.database_gib * dollars("gp3_gb")
    capacity = 2 * config.aurora_capacity_min
    kept = 1 + workload.images * assumed("job_kb") * 1e3 / GIGABYTE
    ios = _task_count(config) * assumed("idle_ios") * HOURS * 3600 + workload.images * assumed("database_ios")
    return HOURS * capacity * dollars("acu") + kept * dollars("aurora_gb") + ios * dollars("aurora_io") / 1e6


def _valkey(workload: Workload) -> float:
    return HOURS * 0.1 * dollars("valkey_gb") + workload.images * assumed("ecpus") * dollars("ecpu") / 1e6


def _images(workload: Workload) -> float:
    """The images of this month; each month that is kept costs its gigabytes again."""
    gigabytes = workload.images * (assumed("image_kb") + assumed("thumbnail_kb")) * 1e3 / GIGABYTE
    requests = 2 * workload.images * (dollars("s3_put") + dollars("s3_get")) / 1_000
    return gigabytes * dollars("s3_gb") + requests


def _distribution(workload: Workload) -> float:
    """Without the free tier."""
    looks = workload.images * assumed("views")
    requests = 2 * looks + workload.images * assumed("requests")
    kilobytes = looks * (assumed("image_kb") + assumed("thumbnail_kb"))
    kilobytes += workload.images * assumed("requests") * assumed("request_kb")
    return kilobytes * 1e3 / GIGABYTE * dollars("cdn_gb") + requests * dollars("cdn_requests") / 10_000


def _watching(config: Config, workload: Workload) -> float:
    gigabytes = _task_count(config) * assumed("task_log_gb") + assumed("other_log_gb")
    gigabytes += workload.images * assumed("image_log_kb") * 1e3 / GIGABYTE
    logs = gigabytes * (dollars("log_gb") + config.log_days / 30 * dollars("log_kept_gb"))
    return logs + assumed("metrics") * dollars("metric") + assumed("alarms") * dollars("alarm") + dollars("dashboard")
