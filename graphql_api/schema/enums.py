"""The domain's enumerations, described for the schema. Types and inputs take them from here, never undescribed."""

from __future__ import annotations

from enum import Enum
from typing import TypeVar

import strawberry

from graphql_api.domain.caller import CallerRole
from graphql_api.domain.errors import JobFailureCode
from graphql_api.domain.events import JobEventKind
from graphql_api.domain.generation import AspectRatio, ImageFormat, ModelAvailability
from graphql_api.domain.job import CancelOutcome, JobPhase, JobStatus, ProgressBasis
from graphql_api.domain.webhook import DeliveryState, WebhookEvent
from graphql_api.service.fair_use import LimitKind

E = TypeVar("E", bound=type[Enum])


def _describe(enum: E, description: str, **values: str) -> E:
    """Make an enumeration of the domain one of the schema. Every value needs a description."""
    described = strawberry.enum(enum, description=description)
    for value in described.__strawberry_definition__.values:  # type: ignore[attr-defined]
        value.description = values.pop(value.name)
    if values:
        raise ValueError(f"{enum.__name__} has no {', '.join(values)}")
    return described


_describe(
    JobStatus,
    "Lifecycle of a job. SUCCEEDED, FAILED and CANCELED are final.",
    QUEUED="It waits for a worker.",
    RUNNING="A worker is on it.",
    SUCCEEDED="Every image is ready.",
    FAILED="It stopped with an error, see `failure`.",
    CANCELED="The caller canceled it.",
)
_describe(
    JobEventKind,
    "What a job event reports.",
    SNAPSHOT="State when the stream opened, or after events were lost.",
    PROGRESS="Progress moved; intermediate ones may be merged.",
    STATUS="The status changed; never merged away.",
    DELETED="The job was deleted; `job` is null.",
)
_describe(
    JobFailureCode,
    "Why a job failed.",
    CONTENT_BLOCKED="The safety filter withheld the result.",
    INTERNAL="Unexpected fault, see the server's log.",
    MODEL_ERROR="The model answered with an error.",
    MODEL_UNAVAILABLE="The endpoint does not exist, is not in service, or could not be reached.",
    OUT_OF_MEMORY="The model ran out of memory.",
    TIMEOUT="It ran longer than the server allows.",
)
_describe(
    ImageFormat,
    "File format of an image.",
    JPEG="JPEG, quality 90.",
    PNG="PNG, lossless, with the parameters in its metadata.",
    WEBP="WebP, lossy.",
)
_describe(
    ProgressBasis,
    "Where the figures of a progress report come from.",
    ESTIMATED="From the duration of past jobs on the same model.",
    MEASURED="From the model itself.",
)
_describe(
    JobPhase,
    "What is happening to a job.",
    WAITING="It waits for its turn.",
    STARTING="The endpoint is starting an instance.",
    GENERATING="The model is drawing.",
    STORING="The images are being encoded and stored.",
    DONE="It is over.",
)
_describe(
    CancelOutcome,
    "How a cancellation took effect.",
    DETACHED="The endpoint cannot be stopped: it finishes, and its result is thrown away.",
    NOT_STARTED="It had not been sent to the model.",
    STOPPED="The model was stopped.",
)
_describe(
    ModelAvailability,
    "Whether a model can take a job.",
    READY="It takes jobs now.",
    SCALED_TO_ZERO="It has no instance; the first job starts one, which takes minutes.",
    STARTING="It is being created or updated.",
    UNAVAILABLE="It does not exist, failed, or cannot be reached.",
)
_describe(
    AspectRatio,
    "Width to height.",
    SQUARE="1:1",
    LANDSCAPE_4_3="4:3",
    LANDSCAPE_16_9="16:9",
    PORTRAIT_3_4="3:4",
    PORTRAIT_9_16="9:16",
)
_describe(
    CallerRole,
    "What a caller may do with jobs of their own.",
    MEMBER="Everything.",
    READER="Look and watch, but change nothing.",
)
_describe(
    LimitKind,
    "What is counted of a caller.",
    REQUESTS_PER_MINUTE="Requests, over any transport.",
    JOBS_PER_MINUTE="Jobs that are submitted.",
    JOBS_IN_FLIGHT="Jobs that are queued or running.",
    PIXELS_PER_DAY="Pixels of the images that are asked for.",
    SOCKETS="Open WebSockets, in one process.",
    STREAMS="Open subscriptions, in one process.",
    DOLLARS_PER_MONTH="US dollars that the jobs of a calendar month (UTC) cost, or are expected to.",
)
_describe(
    WebhookEvent,
    "What a webhook can be told of.",
    JOB_STARTED="A worker took the job.",
    JOB_SUCCEEDED="Every image is ready.",
    JOB_FAILED="The job stopped with an error.",
    JOB_CANCELED="The job was canceled.",
)
_describe(
    DeliveryState,
    "Where a delivery is.",
    PENDING="It is sent, or will be again.",
    DELIVERED="The receiver took it.",
    GAVE_UP="The receiver did not take it for a day, or wants no more.",
)

__all__ = [
    "AspectRatio",
    "CallerRole",
    "CancelOutcome",
    "DeliveryState",
    "ImageFormat",
    "JobEventKind",
    "JobFailureCode",
    "JobPhase",
    "JobStatus",
    "LimitKind",
    "ModelAvailability",
    "ProgressBasis",
    "WebhookEvent",
]
