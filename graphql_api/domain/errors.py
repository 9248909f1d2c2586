"""Everything that can go wrong, in one tree.

    Text2ImageError
    |-- RequestRefused            the caller can act on it; data in a mutation's `errors`
    |   |-- InvalidInput
    |   |-- ModelNotFound
    |   |-- StyleNotFound
    |   |-- JobNotFound
    |   |-- IdempotencyConflict   the key was used before with other input
    |   |-- DeliveryNotFound
    |   `-- RefusedForNow         it may be accepted later
    |       |-- QueueFull
    |       |-- RateLimited
    |       `-- BudgetExceeded
    |-- AccessDenied              a top-level error, or the end of a connection
    |   |-- NotAuthenticated      nobody knows who asks, or the credential has ended
    |   `-- NotPermitted          the caller's role does not allow it
    |-- GenerationFailed          why a job ends as FAILED; data in `GenerationJob.failure`
    |   |-- ContentBlocked
    |   |-- ModelFailed
    |   |   `-- AnswerNotUnderstood
    |   |-- AnswerLost            it may have run
    |   |-- ModelUnavailable      it did not run
    |   |   `-- ModelNotReady     it may run later
    |   |-- OutOfMemory
    |   |-- InvocationTimedOut
    |   |-- ImageNotStored
    |   `-- WorkerLost
    |-- IllegalTransition         a fault of ours: a job was moved against the table in `job.py`
    |-- NotDelivered              a webhook did not answer
    `-- ServiceUnavailable        a store or broker does not answer; nothing was promised

The text of an error reaches callers. It never holds a path, an account, a prompt or a foreign message;
those stay in `__cause__`, which only the log sees.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum


class JobFailureCode(StrEnum):
    """Why a job failed."""

    CONTENT_BLOCKED = "CONTENT_BLOCKED"
    INTERNAL = "INTERNAL"
    MODEL_ERROR = "MODEL_ERROR"
    MODEL_UNAVAILABLE = "MODEL_UNAVAILABLE"
    OUT_OF_MEMORY = "OUT_OF_MEMORY"
    TIMEOUT = "TIMEOUT"


class Text2ImageError(Exception):
    """Root of the tree."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class RequestRefused(Text2ImageError):
    """Nothing was done, and the caller can do something about it.

    `path` names the input field at fault, outermost first, in the spelling of the GraphQL schema.
    """

    def __init__(self, message: str, *, path: Sequence[str] | None = None) -> None:
        super().__init__(message)
        self.path = None if path is None else tuple(path)


class InvalidInput(RequestRefused):
    """A value is outside of what the model accepts."""


class ModelNotFound(RequestRefused):
    """There is no such model."""


class StyleNotFound(RequestRefused):
    """There is no such style."""


class JobNotFound(RequestRefused):
    """The caller has no such job. A job of somebody else looks exactly like one that never was."""

    def __init__(self, *, path: Sequence[str] | None = None) -> None:
        super().__init__("There is no job with this ID.", path=path)


class IdempotencyConflict(RequestRefused):
    """The key was used before with other input, or its job was deleted since."""

    def __init__(self, message: str, *, existing_job_id: str) -> None:
        super().__init__(message, path=("idempotencyKey",))
        self.existing_job_id = existing_job_id


class RefusedForNow(RequestRefused):
    """It may be accepted in `retry_after_seconds`."""

    def __init__(self, message: str, *, retry_after_seconds: float) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class QueueFull(RefusedForNow):
    """No more jobs are accepted for now."""

    def __init__(self, *, retry_after_seconds: float) -> None:
        super().__init__("The queue is full; try again later.", retry_after_seconds=retry_after_seconds)


class RateLimited(RefusedForNow):
    """The caller uses too much of something; the message says of what."""

    def __init__(self, *, retry_after_seconds: float, message: str = "Too many requests; try again later.") -> None:
        super().__init__(message, retry_after_seconds=retry_after_seconds)


class BudgetExceeded(RefusedForNow):
    """The job would cost more than is left of the caller's budget for this month."""

    def __init__(self, *, retry_after_seconds: float) -> None:
        message = "The budget for this month does not allow this job."
        super().__init__(message, retry_after_seconds=retry_after_seconds)


class DeliveryNotFound(RequestRefused):
    """The caller has no such delivery of a webhook."""

    def __init__(self, *, path: Sequence[str] | None = None) -> None:
        super().__init__("There is no delivery with this ID.", path=path)


class AccessDenied(Text2ImageError):
    """The caller may not do that."""


class NotAuthenticated(AccessDenied):
    """There is no credential, it is not one of this server's, or it has ended (`is_expired`)."""

    def __init__(self, message: str = "A valid API key or token is needed.", *, is_expired: bool = False) -> None:
        super().__init__(message)
        self.is_expired = is_expired


class NotPermitted(AccessDenied):
    """The caller's role does not allow it."""

    def __init__(self, message: str = "Your role does not allow this.") -> None:
        super().__init__(message)


class GenerationFailed(Text2ImageError):
    """A job cannot succeed. `retryable` tells whether the same request may succeed later."""

    code = JobFailureCode.INTERNAL
    retryable = False

    def __init__(self, message: str, *, retryable: bool | None = None) -> None:
        super().__init__(message)
        if retryable is not None:
            self.retryable = retryable


class ContentBlocked(GenerationFailed):
    """The safety filter withheld the whole result."""

    code = JobFailureCode.CONTENT_BLOCKED


class ModelFailed(GenerationFailed):
    """The model answered with an error."""

    code = JobFailureCode.MODEL_ERROR


class AnswerNotUnderstood(ModelFailed):
    """The codec cannot read the model's answer.

    `shape` says what was seen in terms of structure (types, keys, lengths), never its content. It is for the log.
    """

    def __init__(self, *, codec: str, shape: str) -> None:
        super().__init__("The model's answer could not be read.")
        self.codec = codec
        self.shape = shape


class AnswerLost(GenerationFailed):
    """The connection to the model broke. Nobody knows whether it ran, and its answer will not come."""

    code = JobFailureCode.MODEL_UNAVAILABLE
    retryable = True


class ModelUnavailable(GenerationFailed):
    """The endpoint does not exist, is not in service, or could not be reached: the model certainly did not run."""

    code = JobFailureCode.MODEL_UNAVAILABLE
    retryable = True


class ModelNotReady(ModelUnavailable):
    """The endpoint did not take the invocation, so nothing ran and nothing was paid for; it may take it later.

    `is_starting` tells whether an instance is on its way, rather than all of them being busy.
    """

    def __init__(self, message: str, *, is_starting: bool) -> None:
        super().__init__(message)
        self.is_starting = is_starting


class OutOfMemory(GenerationFailed):
    """The model ran out of memory."""

    code = JobFailureCode.OUT_OF_MEMORY


class InvocationTimedOut(GenerationFailed):
    """It ran longer than the server allows."""

    code = JobFailureCode.TIMEOUT
    retryable = True


class ImageNotStored(GenerationFailed):
    """The image store refused a file: disk full, no permission, not reachable."""

    retryable = True

    def __init__(self) -> None:
        super().__init__("The image could not be stored.")


class WorkerLost(GenerationFailed):
    """Every attempt lost its worker before the end."""

    retryable = True

    def __init__(self) -> None:
        super().__init__("The job was interrupted too often.")


class IllegalTransition(Text2ImageError):
    """A job was asked to move in a way that the transition table does not know."""


class NotDelivered(Text2ImageError):
    """A webhook could not be sent, or gave no answer. The text may be shown to its caller."""


class ServiceUnavailable(Text2ImageError):
    """A store or broker does not answer. The request had no effect that was promised."""

    def __init__(self, message: str = "The service is not available for the moment; try again.") -> None:
        super().__init__(message)
