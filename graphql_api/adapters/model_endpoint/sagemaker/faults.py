"""What the SageMaker Runtime answers when it does not answer, and what that means.

Three questions are asked of every fault: did the model run (only a certain "no" may be met with another invocation,
since each one is paid for), what does the caller learn, and what should an operator do. The last goes to the log
together with the service's own words, which name accounts and log groups and never reach a caller.

Codes, statuses and members are those of the service's model in botocore. "Observed" marks what is known from messages
that users have published, not from AWS.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass

import aiohttp
from botocore.exceptions import (
    ClientError,
    ConnectTimeoutError,
    CredentialRetrievalError,
    EndpointConnectionError,
    EventStreamError,
    MetadataRetrievalError,
    NoCredentialsError,
    PartialCredentialsError,
    ProxyConnectionError,
    ReadTimeoutError,
    SSLError,
    SSOError,
    TokenRetrievalError,
)
from botocore.exceptions import ConnectionError as BotoConnectionError

from graphql_api.adapters.aws import error_code, http_status
from graphql_api.domain.errors import (
    AnswerLost,
    GenerationFailed,
    InvocationTimedOut,
    ModelFailed,
    ModelNotReady,
    ModelUnavailable,
    OutOfMemory,
)

logger = logging.getLogger(__name__)

BUSY = "The model is busy."
STARTING = "The model is starting."
AWAY = "The model is not available."
LOST = "The connection to the model broke before it had answered."
LATE = "The model took too long."
BROKEN = "The model met an error."
REFUSED = "The model refused the request."


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """What a fault means. `asks_endpoint` is set where only a description of the endpoint tells whether to wait."""

    failure: GenerationFailed
    advice: str
    asks_endpoint: bool = False

    def log(self, endpoint: str, invocation_id: str, error: BaseException) -> None:
        """Tell the operator. The service's message is theirs to see."""
        logger.warning(
            "endpoint %s, invocation %s: %s (HTTP %s, original status %s), %s, %s. %s The service said: %s",
            endpoint,
            invocation_id,
            error_code(error),
            http_status(error) or "none",
            _original_status(error),
            self.failure.code,
            "retryable" if self.failure.retryable else "not retryable",
            self.advice,
            str(error)[:2000],
        )


def diagnose(error: BaseException) -> Diagnosis:
    """What an error of the SDK means for the invocation that met it."""
    if isinstance(error, EventStreamError):
        return _broken_stream(error)
    if isinstance(error, ClientError):
        return _answered(error)
    return _transport(error)


def failure_of_report(report: str) -> GenerationFailed:
    """What a container's own report of an error means for the caller."""
    return OutOfMemory("The model ran out of memory.") if _tells_of_memory(report) else ModelFailed(BROKEN)


# --- answers of the service ------------------------------------------------------------------------------------------


def _answered(error: ClientError) -> Diagnosis:
    code, status = error_code(error), http_status(error)
    if code == "ModelError":
        return _model_error(error)
    if code in ("ValidationError", "ValidationException"):
        return _validation_error(error)
    if code in _SIMPLE:
        return _SIMPLE[code]()
    if status == 429:
        return _throttled()
    if status in (401, 403):
        return _forbidden()
    if status >= 500:
        return _internal()
    return Diagnosis(
        failure=ModelFailed(REFUSED),
        advice="This code is not known; look it up in the documentation of InvokeEndpoint.",
    )


def _model_error(error: ClientError) -> Diagnosis:
    """424: the container answered with an error. It ran, or at least began to."""
    original, text = _original_status(error), _texts(error)
    if _tells_of_memory(text):
        return Diagnosis(
            failure=OutOfMemory("The model ran out of memory."),
            advice="Lower max_dimension or max_count of the model, or use an instance with more GPU memory.",
        )
    if original == 0 or "timed out while waiting" in text:
        # Observed: the container goes on computing, so another invocation at once would queue behind this one.
        return Diagnosis(
            failure=InvocationTimedOut(LATE),
            advice="A real-time invocation may take 60 s. Lower max_steps or max_count of the model, use a faster "
            "instance, or an asynchronous endpoint.",
        )
    if "could not load the entire response body" in text:
        return Diagnosis(
            failure=ModelFailed("The model's answer was too large."),
            advice="Ask for JPEG rather than RGB, lower max_count, or raise MMS_MAX_RESPONSE_SIZE of the container.",
        )
    if isinstance(original, int) and 400 <= original < 500:
        return Diagnosis(
            failure=ModelFailed(REFUSED),
            advice="The container refused the request: check that the model's codec and limits are those of the model "
            "that is deployed. Its reason is in the log group of the endpoint.",
        )
    return Diagnosis(
        failure=ModelFailed(BROKEN, retryable=True),
        advice="The container failed; its reason is in the log group of the endpoint.",
    )


def _validation_error(error: ClientError) -> Diagnosis:
    text = _texts(error)
    if "not found" in text or "could not find" in text:
        # Observed: the same answer for a name that is wrong and for an endpoint that is still being created.
        return Diagnosis(
            failure=ModelUnavailable(AWAY),
            advice="Check the endpoint's name, region and account, and that it is in service.",
            asks_endpoint=True,
        )
    if "inference component" in text:
        # Documented: invocations of a component with no copy are refused until one is up.
        return Diagnosis(
            failure=ModelUnavailable(AWAY),
            advice="Name the inference component with ?component= in the endpoint's URL, and check that it has copies.",
            asks_endpoint=True,
        )
    return Diagnosis(
        failure=ModelFailed(REFUSED),
        advice="The service refused the request before the model saw it; a body may have 6 MB, and an endpoint with "
        "AsyncInferenceConfig takes asynchronous invocations only (sagemaker-async:).",
    )


def _throttled() -> Diagnosis:
    return Diagnosis(
        failure=ModelNotReady(BUSY, is_starting=False),
        advice="The endpoint's or the account's rate is exceeded: add instances, or lower the model's concurrency.",
    )


def _not_ready() -> Diagnosis:
    return Diagnosis(
        failure=ModelNotReady(STARTING, is_starting=True),
        advice="The model is being loaded on its instance; nothing needs to be done unless it stays so.",
    )


def _unavailable() -> Diagnosis:
    # Documented: "The service is unavailable. Try your call again."
    return Diagnosis(
        failure=ModelNotReady(BUSY, is_starting=False),
        advice="The service did not take the call; nothing needs to be done unless it stays so.",
    )


def _internal() -> Diagnosis:
    # Nothing says whether the model ran.
    return Diagnosis(
        failure=AnswerLost(AWAY),
        advice="A fault inside of SageMaker; see the AWS Health Dashboard if it stays so.",
    )


def _expired() -> Diagnosis:
    # The request was refused at the door. Credentials of a role are renewed by the SDK, so the next call may pass.
    return Diagnosis(
        failure=ModelNotReady(AWAY, is_starting=False),
        advice="The server's AWS credentials have expired: renew them, or run it under a role, which renews itself.",
    )


def _forbidden() -> Diagnosis:
    return Diagnosis(
        failure=ModelUnavailable(AWAY),
        advice="The server's AWS credentials are wrong, or lack sagemaker:InvokeEndpoint on this endpoint "
        "(sagemaker:InvokeEndpointAsync for an asynchronous one). `text2image doctor` tells which.",
    )


_SIMPLE = {
    "ThrottlingException": _throttled,
    "Throttling": _throttled,
    "TooManyRequestsException": _throttled,
    "RequestLimitExceeded": _throttled,
    "ModelNotReadyException": _not_ready,
    "ServiceUnavailable": _unavailable,
    "ServiceUnavailableException": _unavailable,
    "InternalFailure": _internal,
    "InternalServerException": _internal,
    "InternalDependencyException": _internal,
    "ExpiredToken": _expired,
    "ExpiredTokenException": _expired,
    "RequestExpired": _expired,
    "AccessDenied": _forbidden,
    "AccessDeniedException": _forbidden,
    "UnrecognizedClientException": _forbidden,
    "InvalidClientTokenId": _forbidden,
    "InvalidSignatureException": _forbidden,
    "SignatureDoesNotMatch": _forbidden,
    "IncompleteSignature": _forbidden,
    "MissingAuthenticationToken": _forbidden,
    "MissingAuthenticationTokenException": _forbidden,
}


# --- no answer -------------------------------------------------------------------------------------------------------


def _transport(error: BaseException) -> Diagnosis:
    match error:
        case NoCredentialsError() | PartialCredentialsError():
            return _forbidden()
        case CredentialRetrievalError() | MetadataRetrievalError() | SSOError() | TokenRetrievalError():
            return _expired()
        case ConnectTimeoutError() | ProxyConnectionError():
            return _unreachable()
        case EndpointConnectionError() if _never_connected(error):
            return _unreachable()
        case SSLError():
            return Diagnosis(
                failure=ModelUnavailable(AWAY),
                advice="TLS to the SageMaker Runtime failed: check the clock, the certificates, and what "
                "AWS_ENDPOINT_URL names.",
            )
        case ReadTimeoutError() | asyncio.TimeoutError():
            return Diagnosis(
                failure=InvocationTimedOut(LATE),
                advice="No answer came in time; the model may still be computing. Real-time invocations may take 60 s, "
                "streaming ones 8 minutes: for longer ones use an asynchronous endpoint.",
            )
        case _:
            return Diagnosis(
                failure=AnswerLost(LOST),
                advice="Nobody knows whether the model ran; check the network between the server and SageMaker.",
            )


def _unreachable() -> Diagnosis:
    return Diagnosis(
        failure=ModelNotReady(AWAY, is_starting=False),
        advice="No connection to the SageMaker Runtime: check the region, DNS, the route or VPC endpoint, and what "
        "AWS_ENDPOINT_URL names.",
    )


def _never_connected(error: BotoConnectionError) -> bool:
    """aiobotocore says EndpointConnectionError too when a connection breaks after the request was sent; only aiohttp's
    own error tells the two apart."""
    return isinstance(error.kwargs.get("error"), aiohttp.ClientConnectorError)


def _broken_stream(error: EventStreamError) -> Diagnosis:
    # ModelStreamError or InternalStreamFailure; the member ErrorCode does not survive aiobotocore.
    return Diagnosis(
        failure=ModelFailed("The model's answer broke off.", retryable=True),
        advice="The stream broke, or took more than 8 minutes; its reason is in the log group of the endpoint.",
    )


# --- members ---------------------------------------------------------------------------------------------------------


def _response(error: BaseException) -> Mapping[str, object]:
    response = getattr(error, "response", None)
    return response if isinstance(response, dict) else {}


def _original_status(error: BaseException) -> int | str:
    status = _response(error).get("OriginalStatusCode")
    return status if isinstance(status, int) else "none"


def _texts(error: BaseException) -> str:
    """Everything that the answer says, in lower case: the messages are all that tells some faults apart."""
    return f"{error} {_response(error).get('OriginalMessage', '')}".casefold()


def _tells_of_memory(text: str) -> bool:
    # Observed: "CUDA out of memory. Tried to allocate ...", and the name of PyTorch's exception.
    text = text.casefold()
    return "out of memory" in text or "outofmemory" in text
