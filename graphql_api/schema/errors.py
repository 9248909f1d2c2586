"""Errors of the schema: those that are data in a mutation's payload, and the codes of those that are not."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

import strawberry
from graphql import GraphQLError
from strawberry import ID

from graphql_api.domain import errors
from graphql_api.domain.ids import global_id


class ErrorCode(StrEnum):
    """`extensions.code` of top-level errors."""

    GRAPHQL_PARSE_FAILED = "GRAPHQL_PARSE_FAILED"
    GRAPHQL_VALIDATION_FAILED = "GRAPHQL_VALIDATION_FAILED"
    OPERATION_RESOLUTION_FAILURE = "OPERATION_RESOLUTION_FAILURE"
    BAD_USER_INPUT = "BAD_USER_INPUT"
    BAD_REQUEST = "BAD_REQUEST"
    UNAUTHENTICATED = "UNAUTHENTICATED"
    FORBIDDEN = "FORBIDDEN"
    NOT_FOUND = "NOT_FOUND"
    QUERY_TOO_COMPLEX = "QUERY_TOO_COMPLEX"
    TOO_MANY_OPERATIONS = "TOO_MANY_OPERATIONS"
    PERSISTED_QUERY_NOT_FOUND = "PERSISTED_QUERY_NOT_FOUND"
    PERSISTED_QUERY_NOT_SUPPORTED = "PERSISTED_QUERY_NOT_SUPPORTED"
    DOCUMENT_NOT_TRUSTED = "DOCUMENT_NOT_TRUSTED"
    RATE_LIMITED = "RATE_LIMITED"
    BUDGET_EXCEEDED = "BUDGET_EXCEEDED"
    SERVICE_UNAVAILABLE = "SERVICE_UNAVAILABLE"
    INTERNAL_SERVER_ERROR = "INTERNAL_SERVER_ERROR"


@strawberry.interface(description="A problem the caller can act on.")
class UserError:
    message: str = strawberry.field(description="Human readable explanation.")
    path: list[str] | None = strawberry.field(description="Path of the input field at fault, outermost first.")


@strawberry.type(description="A value is outside of what the model accepts.")
class InvalidInputError(UserError):
    pass


@strawberry.type(description="There is no such model.")
class ModelNotFoundError(UserError):
    pass


@strawberry.type(description="There is no such style.")
class StyleNotFoundError(UserError):
    pass


@strawberry.type(description="The caller has no such job.")
class JobNotFoundError(UserError):
    pass


@strawberry.type(description="The key was used before with other input.")
class IdempotencyConflictError(UserError):
    existing_job_id: ID = strawberry.field(description="The job made with the key.")


@strawberry.type(description="The queue is full.")
class QueueFullError(UserError):
    retry_after_seconds: float = strawberry.field(description="When to try again.")


@strawberry.type(description="The caller sends too much.")
class RateLimitedError(UserError):
    retry_after_seconds: float = strawberry.field(description="When to try again.")


@strawberry.type(description="The job would cost more than is left of the caller's budget.")
class BudgetExceededError(UserError):
    retry_after_seconds: float = strawberry.field(description="When the next month begins.")


@strawberry.type(description="The caller has no such delivery.")
class DeliveryNotFoundError(UserError):
    pass


GenerateImageError = Annotated[
    BudgetExceededError
    | IdempotencyConflictError
    | InvalidInputError
    | ModelNotFoundError
    | QueueFullError
    | RateLimitedError
    | StyleNotFoundError,
    strawberry.union(name="GenerateImageError", description="Why generateImage was refused."),
]
CancelJobError = Annotated[
    JobNotFoundError, strawberry.union(name="CancelJobError", description="Why cancelJob was refused.")
]
DeleteJobError = Annotated[
    JobNotFoundError, strawberry.union(name="DeleteJobError", description="Why deleteJob was refused.")
]
EstimateError = Annotated[
    InvalidInputError | ModelNotFoundError | StyleNotFoundError,
    strawberry.union(name="EstimateError", description="Why nothing was estimated."),
]
ReplayDeliveryError = Annotated[
    DeliveryNotFoundError, strawberry.union(name="ReplayDeliveryError", description="Why replayDelivery was refused.")
]


def user_error(error: errors.RequestRefused) -> Any:
    """The type that tells a caller of a refusal: a UserError, and a member of the mutation's union of errors."""
    message, path = error.message, list(error.path) if error.path is not None else None
    match error:
        case errors.IdempotencyConflict():
            existing_job_id = ID(global_id("GenerationJob", error.existing_job_id))
            return IdempotencyConflictError(message=message, path=path, existing_job_id=existing_job_id)
        case errors.QueueFull():
            return QueueFullError(message=message, path=path, retry_after_seconds=error.retry_after_seconds)
        case errors.RateLimited():
            return RateLimitedError(message=message, path=path, retry_after_seconds=error.retry_after_seconds)
        case errors.BudgetExceeded():
            return BudgetExceededError(message=message, path=path, retry_after_seconds=error.retry_after_seconds)
        case errors.DeliveryNotFound():
            return DeliveryNotFoundError(message=message, path=path)
        case errors.ModelNotFound():
            return ModelNotFoundError(message=message, path=path)
        case errors.StyleNotFound():
            return StyleNotFoundError(message=message, path=path)
        case errors.JobNotFound():
            return JobNotFoundError(message=message, path=path)
        case _:
            return InvalidInputError(message=message, path=path)


def top_level_error(error: errors.RequestRefused) -> GraphQLError:
    """The error that ends an operation without a payload, which is what a subscription is."""
    extensions: dict[str, object] = {"code": _code(error)}
    if error.path is not None:
        extensions["inputPath"] = list(error.path)
    match error:
        case errors.IdempotencyConflict():
            extensions["existingJobId"] = global_id("GenerationJob", error.existing_job_id)
        case errors.RefusedForNow():
            extensions["retryAfterSeconds"] = error.retry_after_seconds
    return GraphQLError(error.message, extensions=extensions)


def _code(error: errors.RequestRefused) -> ErrorCode:
    match error:
        case errors.JobNotFound():
            return ErrorCode.NOT_FOUND
        case errors.QueueFull() | errors.RateLimited():
            return ErrorCode.RATE_LIMITED
        case errors.BudgetExceeded():
            return ErrorCode.BUDGET_EXCEEDED
        case _:
            return ErrorCode.BAD_USER_INPUT
