"""What can be told to go wrong.

A fault is a JSON object. Every kind takes these three, and has an end only if one of the last two is given:

    "endpoint": "sd"         which endpoint it concerns; "*", all of them, when left out
    "times": 2               how many invocations it hits
    "for_seconds": 30        for how long it lasts

| kind | takes | what happens |
|---|---|---|
| slow | seconds | the model takes so much longer, and holds its worker meanwhile |
| throttle | status: 400 or 429 | ThrottlingException |
| error | error, message, status, when; for ModelError also original_status, reason | the error |
| hang | when | never an answer, until the client leaves |
| disconnect | when | the connection is cut |
| cut-stream | after_bytes or after_steps; how; error_code | a stream ends early |
| answer | form, or body and content_type | status 200, and a bad answer |
| notify | deliver: twice, never, before-answer, expired | what SNS hears of an asynchronous invocation |
| status | status | what DescribeEndpoint says; invocations are answered accordingly |

`when` is "before" (the model does not run; an asynchronous invocation is not taken) or "after" (it ran; was taken).
Without it, it is "before".

Faults are a script, read from the top. An invocation meets at most one of each of four sorts: status, slow, notify, and
one of all the others, which are ways to end. So `[{"kind": "throttle", "times": 1}, {"kind": "hang", "times": 1}]`
throttles the first, hangs at the second and answers the third, and a slow beside it slows all of them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import msgspec
from msgspec import Meta, inspect

from graphql_api.sagemaker_local.endpoints import DeclaredEndpoint, EndpointKind
from graphql_api.sagemaker_local.errors import (
    ContainerFailed,
    ServiceError,
    answer_too_large,
    container_error,
    container_timed_out,
    service_error,
)

When = Literal["before", "after"]
EndpointStatus = Literal[
    "Creating",
    "Updating",
    "SystemUpdating",
    "RollingBack",
    "InService",
    "OutOfService",
    "Deleting",
    "Failed",
    "UpdateRollbackFailed",
    "ScaledToZero",
    "Missing",
]
"""Those of AWS, and two of ours: in service without an instance, and not there at all."""

SERVING_STATUSES = frozenset({"InService", "Updating", "SystemUpdating", "RollingBack", "UpdateRollbackFailed"})
"""Those in which an endpoint answers. Documented: one that is being changed goes on with what it had."""

_CONTAINER_MESSAGES: Mapping[int, str] = {
    400: "An error occurred in the request's parameters.",
    500: "Prediction error",
    503: "No worker is available to serve the request.",
    507: "Not enough memory to load the model.",
}
_OUT_OF_MEMORY = (
    "CUDA out of memory. Tried to allocate 20.00 MiB (GPU 0; 14.76 GiB total capacity; 13.52 GiB already allocated; "
    "13.75 MiB free; 13.60 GiB reserved in total by PyTorch)"
)


class FaultError(ValueError):
    """What was told makes no sense. The message is for whoever told it."""


class Fault(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind"):
    """What every fault takes."""

    kinds: ClassVar[frozenset[EndpointKind]] = frozenset(EndpointKind)
    """The endpoints that it can hit."""

    endpoint: str = "*"
    times: Annotated[int, Meta(ge=1)] | None = None
    for_seconds: Annotated[float, Meta(gt=0)] | None = None


class Status(Fault, frozen=True, kw_only=True, tag="status"):
    """The endpoint is not as it should be. Each invocation that is refused for it counts as a hit."""

    status: EndpointStatus


class Slow(Fault, frozen=True, kw_only=True, tag="slow"):
    """The model takes its time."""

    seconds: Annotated[float, Meta(gt=0, le=3600)]


class Notify(Fault, frozen=True, kw_only=True, tag="notify"):
    """The notification of an asynchronous invocation comes twice, never, or before the invocation is answered. With
    "expired", the model never runs, and that is what the notification says."""

    kinds = frozenset({EndpointKind.ASYNC})

    deliver: Literal["twice", "never", "before-answer", "expired"]


class Throttle(Fault, frozen=True, kw_only=True, tag="throttle"):
    """More than the endpoint takes."""

    status: Literal[400, 429] = 400


class Fail(Fault, frozen=True, kw_only=True, tag="error"):
    """An error of the service, or, as ModelError, of the container.

    `message` is the container's for ModelError, else the service's. `reason` stands for what containers and the service
    are known to say; with "timed-out" the original status is 0. An asynchronous invocation meets a ModelError as a
    failure in S3, everything else when it is made.
    """

    error: Literal[
        "ModelError",
        "ThrottlingException",
        "ValidationError",
        "ModelNotReadyException",
        "ServiceUnavailable",
        "InternalFailure",
        "InternalDependencyException",
        "ExpiredTokenException",
        "UnrecognizedClientException",
        "AccessDeniedException",
    ]
    message: str | None = None
    status: Annotated[int, Meta(ge=400, le=599)] | None = None
    original_status: Literal[0, 400, 500, 503, 507] | None = None
    reason: Literal["out-of-memory", "too-large", "timed-out"] | None = None
    when: When = "before"

    def __post_init__(self) -> None:
        if self.error == "ModelError":
            if self.status is not None:
                raise ValueError("status of ModelError is 424; original_status is what the container answers")
            if self.reason is not None and (self.message is not None or self.original_status is not None):
                raise ValueError("reason already says original_status and message")
            if self.original_status == 0 and self.message is not None:
                raise ValueError("original_status 0 is a time-out, which has a message of its own")
        elif self.original_status is not None or self.reason is not None:
            raise ValueError("only ModelError has original_status and reason")

    def failure(self) -> ServiceError | ContainerFailed:
        """What to raise."""
        if self.error != "ModelError":
            return service_error(self.error, status=self.status, message=self.message)
        match self.reason:
            case "out-of-memory":
                return container_error(400, _OUT_OF_MEMORY)
            case "too-large":
                return answer_too_large()
            case "timed-out":
                return container_timed_out()
        status = 500 if self.original_status is None else self.original_status
        if status == 0:
            return container_timed_out()
        return container_error(status, self.message or _CONTAINER_MESSAGES[status])


class Hang(Fault, frozen=True, kw_only=True, tag="hang"):
    """The client waits for an answer that never comes."""

    when: When = "before"


class Disconnect(Fault, frozen=True, kw_only=True, tag="disconnect"):
    """The connection is cut before a byte of the answer is sent; of a stream, before its result."""

    when: When = "before"


class CutStream(Fault, frozen=True, kw_only=True, tag="cut-stream"):
    """A stream ends after so many bytes of the container's, or after so many steps.

    `how`: with an exception event, by cutting the connection, or as if it were complete.
    """

    kinds = frozenset({EndpointKind.STREAM})

    after_bytes: Annotated[int, Meta(ge=0)] | None = None
    after_steps: Annotated[int, Meta(ge=0)] | None = None
    how: Literal["ModelStreamError", "InternalStreamFailure", "disconnect", "end"] = "ModelStreamError"
    error_code: Literal["StreamBroken", "ModelInvocationTimeExceeded"] = "StreamBroken"

    def __post_init__(self) -> None:
        if (self.after_bytes is None) == (self.after_steps is None):
            raise ValueError("give either after_bytes or after_steps")


class SpoilAnswer(Fault, frozen=True, kw_only=True, tag="answer"):
    """The model runs, and what is answered with status 200 is of no use.

    `form`: a page of HTML, no pictures, one picture fewer, files that are cut off, pictures of half the size, rows of
    different lengths, or what the safety filter leaves. Or any `body`.
    """

    form: Literal["html", "empty", "fewer", "truncated", "wrong-size", "ragged", "filtered"] | None = None
    body: str | None = None
    content_type: str | None = None

    def __post_init__(self) -> None:
        if (self.form is None) == (self.body is None):
            raise ValueError("give either form or body")
        if self.content_type is not None and self.body is None:
            raise ValueError("content_type goes with body")


Ending = Throttle | Fail | Hang | Disconnect | CutStream | SpoilAnswer

_KINDS: Mapping[str, type[Fault]] = {
    "slow": Slow,
    "throttle": Throttle,
    "error": Fail,
    "hang": Hang,
    "disconnect": Disconnect,
    "cut-stream": CutStream,
    "answer": SpoilAnswer,
    "notify": Notify,
    "status": Status,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is to happen to one invocation. `status` is set when the endpoint does not take it."""

    status: EndpointStatus | None = None
    slow_seconds: float = 0.0
    notify: Notify | None = None
    ending: Ending | None = None

    @property
    def is_expired(self) -> bool:
        """Whether the invocation stays in the queue for too long."""
        return self.notify is not None and self.notify.deliver == "expired"


class ActiveFaults:
    """The faults that were told, and how often each has hit."""

    def __init__(self, endpoint_names: Iterable[str], *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._endpoint_names = list(endpoint_names)
        self._monotonic = monotonic
        self._script: list[_Told] = []

    def replace(self, faults: Sequence[Fault]) -> None:
        """Forget what was told before. Raises FaultError for an endpoint that there is not."""
        for each in faults:
            if each.endpoint != "*" and each.endpoint not in self._endpoint_names:
                raise FaultError(
                    f"There is no endpoint {each.endpoint!r}; there are: {', '.join(self._endpoint_names)}."
                )
        now = self._monotonic()
        self._script = [_Told(each, None if each.for_seconds is None else now + each.for_seconds) for each in faults]

    def listed(self) -> list[dict[str, Any]]:
        """Every fault that was told, with its hits and whether it is over."""
        now = self._monotonic()
        return [
            {**msgspec.to_builtins(each.fault), "hits": each.hits, "is_over": not each.lasts(now)}
            for each in self._script
        ]

    def status_of(self, endpoint: DeclaredEndpoint) -> EndpointStatus:
        """How the endpoint is. Looking is no hit."""
        told = self._find(endpoint, Status)
        return told.fault.status if told is not None and isinstance(told.fault, Status) else "InService"

    def take(self, endpoint: DeclaredEndpoint) -> tuple[Plan, Sequence[str]]:
        """What happens to an invocation of the endpoint, and the kinds of the faults that it meets."""
        status = self.status_of(endpoint)
        # Documented: an asynchronous endpoint queues while it has no instance.
        is_queued = status == "ScaledToZero" and endpoint.kind is EndpointKind.ASYNC
        if status not in SERVING_STATUSES and not is_queued:
            self._hit(endpoint, Status)
            return Plan(status=status), ["status"]
        ending = self._hit(endpoint, Throttle, Fail, Hang, Disconnect, CutStream, SpoilAnswer)
        is_taken = ending is None or not _keeps_out(ending, endpoint)
        slow, notify = (self._hit(endpoint, Slow), self._hit(endpoint, Notify)) if is_taken else (None, None)
        plan = Plan(
            slow_seconds=slow.seconds if isinstance(slow, Slow) else 0.0,
            notify=notify if isinstance(notify, Notify) else None,
            ending=ending if isinstance(ending, Ending) else None,
        )
        return plan, [_kind_of(each) for each in (slow, notify, ending) if each is not None]

    def _hit(self, endpoint: DeclaredEndpoint, *sorts: type[Fault]) -> Fault | None:
        told = self._find(endpoint, *sorts)
        if told is None:
            return None
        told.hits += 1
        return told.fault

    def _find(self, endpoint: DeclaredEndpoint, *sorts: type[Fault]) -> _Told | None:
        now = self._monotonic()
        return next(
            (
                each
                for each in self._script
                if isinstance(each.fault, sorts)
                and each.fault.endpoint in ("*", endpoint.name)
                and endpoint.kind in each.fault.kinds
                and each.lasts(now)
            ),
            None,
        )


@dataclass(slots=True)
class _Told:
    fault: Fault
    until: float | None
    hits: int = 0

    def lasts(self, now: float) -> bool:
        is_used_up = self.fault.times is not None and self.hits >= self.fault.times
        return not is_used_up and (self.until is None or now < self.until)


def _keeps_out(ending: Fault, endpoint: DeclaredEndpoint) -> bool:
    """Whether an invocation that meets this is never taken, so that nothing else can happen to it."""
    match ending:
        case Fail(error="ModelError") if endpoint.kind is EndpointKind.ASYNC:
            return False
        case Throttle() | Fail(when="before") | Hang(when="before") | Disconnect(when="before"):
            return True
    return False


def read_faults(text: bytes | str) -> list[Fault]:
    """One fault as a JSON object, or several in a list. Raises FaultError."""
    try:
        told = msgspec.json.decode(text)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise FaultError(f"Faults are JSON: {error}.") from error
    if not isinstance(told, list):
        return [_read_fault(told, "The fault")]
    return [_read_fault(each, f"Fault {number}") for number, each in enumerate(told, start=1)]


def _read_fault(told: Any, place: str) -> Fault:
    known = f"Kinds are {', '.join(_KINDS)}."
    if not isinstance(told, dict):
        raise FaultError(f"{place} is no object. {known}")
    kind = told.get("kind")
    shape = _KINDS.get(kind) if isinstance(kind, str) else None
    if shape is None:
        raise FaultError(f"{place} has {'no kind' if kind is None else f'the kind {kind!r}'}. {known}")
    try:
        return msgspec.convert(told, shape)
    except msgspec.ValidationError as error:
        problem = str(error).replace(" - at `$.", " - at `").replace(" - at `$`", "")
        raise FaultError(f"{place}, {kind}: {problem}. It takes {_takes(shape)}.") from error


def _takes(shape: type[Fault]) -> str:
    info = inspect.type_info(shape)
    assert isinstance(info, inspect.StructType)
    return ", ".join(f"{each.encode_name}{_choices(each.type)}" for each in info.fields)


def _choices(kind: inspect.Type) -> str:
    """The values of a field that is one of several."""
    kinds = kind.types if isinstance(kind, inspect.UnionType) else (kind,)
    values = [str(value) for each in kinds if isinstance(each, inspect.LiteralType) for value in each.values]
    return f" ({' | '.join(values)})" if values else ""


def _kind_of(fault: Fault) -> str:
    return next(kind for kind, shape in _KINDS.items() if type(fault) is shape)
