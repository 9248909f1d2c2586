"""What the SageMaker Runtime answers when it does not answer.

Codes and statuses are those of the service's model in botocore; ThrottlingException and what concerns credentials are
not in it, but answered nevertheless.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from graphql_api.sagemaker_local.endpoints import ACCOUNT


class ServiceError(Exception):
    """An answer of the service that is an error. `members` are those of the error's shape besides its message."""

    def __init__(self, code: str, status: int, message: str, members: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.status = status
        self.message = message
        self.members = members or {}


STATUSES: Mapping[str, int] = {
    "ThrottlingException": 400,
    "ValidationError": 400,
    "ModelNotReadyException": 429,
    "ServiceUnavailable": 503,
    "InternalFailure": 500,
    "InternalDependencyException": 530,
    "ExpiredTokenException": 403,
    "UnrecognizedClientException": 403,
    "AccessDeniedException": 403,
}
"""Every error but ModelError, which is the container's: see ContainerFailed."""

MESSAGES: Mapping[str, str] = {
    "ThrottlingException": "Rate exceeded",
    "ValidationError": "The request is not valid.",
    "ModelNotReadyException": "The model is not ready for inference serving. Please try again later.",
    "ServiceUnavailable": "The service is unavailable. Try your call again.",
    "InternalFailure": "An internal failure occurred.",
    "InternalDependencyException": "Your request caused an exception with an internal dependency. Contact customer "
    "support.",
    "ExpiredTokenException": "The security token included in the request is expired",
    "UnrecognizedClientException": "The security token included in the request is invalid.",
    "AccessDeniedException": f"User: arn:aws:iam::{ACCOUNT}:user/rehearsal is not authorized to perform: "
    "sagemaker:InvokeEndpoint on resource: the endpoint, because no identity-based policy allows the action",
}


def service_error(code: str, *, status: int | None = None, message: str | None = None) -> ServiceError:
    """An error of STATUSES, with its usual status and message where none is given."""
    return ServiceError(code, status or STATUSES[code], message or MESSAGES[code])


def endpoint_not_found(name: str) -> ServiceError:
    """Observed: the same for a name that is wrong and for an endpoint that is still being created."""
    return service_error("ValidationError", message=f"Endpoint {name} of account {ACCOUNT} not found.")


def constraint_violated(member: str, value: str, constraint: str) -> ServiceError:
    """A parameter is out of its range, in the words that AWS' services use for that."""
    where = f"Value '{value}' at '{member}'"
    return service_error(
        "ValidationError", message=f"1 validation error detected: {where} failed to satisfy constraint: {constraint}"
    )


class ContainerFailed(Exception):
    """The container answered with an error, too late, or with too much.

    `status` is what it answered, 0 when it did not, and `report` its body. `summary` is how the service begins its own
    message about that.
    """

    def __init__(self, status: int, report: str, summary: str) -> None:
        super().__init__(summary)
        self.status = status
        self.report = report
        self.summary = summary

    def as_service_error(self, endpoint_name: str, region: str) -> ServiceError:
        """The ModelError that a caller gets. It names the account and the log group, as the real one does."""
        group = f"/aws/sagemaker/Endpoints/{endpoint_name}"
        where = f"https://{region}.console.aws.amazon.com/cloudwatch/home?region={region}#logEventViewer:group={group}"
        ending = "" if self.status == 0 else f" See {where} in account {ACCOUNT} for more information."
        members = {
            "OriginalStatusCode": self.status,
            "OriginalMessage": self.report,
            "LogStreamArn": f"arn:aws:logs:{region}:{ACCOUNT}:log-group:{group}",
        }
        return ServiceError("ModelError", 424, self.summary + ending, members)

    @property
    def reason(self) -> str:
        """`failureReason` in the notification of an asynchronous invocation. Observed."""
        if self.status == 0:
            return f"ClientError: {self.summary}"
        return (
            f"ClientError: Received {_side(self.status)} error ({self.status}) from model. See the SageMaker Endpoint "
            "logs in your account for more information."
        )


def container_error(status: int, message: str) -> ContainerFailed:
    """The container answered with a status other than 200, and the report that Multi Model Server makes of it."""
    report = json.dumps({"code": status, "type": "InternalServerException", "message": message}, indent=2) + "\n"
    return ContainerFailed(
        status, report, f'Received {_side(status)} error ({status}) from primary with message "{report}".'
    )


def container_timed_out() -> ContainerFailed:
    """Observed: status 0 stands for no answer in time. The container goes on computing."""
    return ContainerFailed(
        0,
        "Your invocation timed out while waiting for a response from container primary.",
        'Received server error (0) from primary with message "Your invocation timed out while waiting for a response '
        "from container primary. Review the latency metrics for each container in Amazon CloudWatch, resolve the "
        'issue, and try again."',
    )


def answer_too_large() -> ContainerFailed:
    """Observed."""
    summary = "Received server error (500) from primary and could not load the entire response body."
    return ContainerFailed(500, summary, summary)


def _side(status: int) -> str:
    return "client" if 400 <= status < 500 else "server"
