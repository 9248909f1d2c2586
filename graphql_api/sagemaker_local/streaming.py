"""A streamed answer: the container's bytes cut into parts, and how it may end early."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass

from graphql_api.sagemaker_local.errors import ServiceError
from graphql_api.sagemaker_local.event_stream import exception, payload_part
from graphql_api.sagemaker_local.faults import CutStream, Disconnect, Ending, Hang
from graphql_api.sagemaker_local.invocations import Ending as End
from graphql_api.sagemaker_local.invocations import InvocationRecord

PART_BYTES = 8192


async def one_chunk(chunk: bytes) -> AsyncGenerator[bytes, None]:
    """What a container writes that does not stream."""
    yield chunk


async def in_parts(chunks: AsyncGenerator[bytes, None], part_bytes: int | None) -> AsyncGenerator[bytes, None]:
    """The same bytes in other parts.

    With `part_bytes`, all parts but the last have exactly that length, wherever it cuts. Without, each chunk comes at
    once, in parts of up to PART_BYTES.
    """
    waiting = bytearray()
    async with aclosing(chunks):
        async for chunk in chunks:
            waiting += chunk
            while len(waiting) >= (part_bytes or PART_BYTES):
                yield _shift(waiting, part_bytes or PART_BYTES)
            if part_bytes is None and waiting:
                yield _shift(waiting, len(waiting))
    if waiting:
        yield bytes(waiting)


def _shift(waiting: bytearray, length: int) -> bytes:
    part = bytes(waiting[:length])
    del waiting[:length]
    return part


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamedAnswer:
    """Everything behind the status line. `seconds` is how long it may take, `cut` cuts the connection."""

    parts: AsyncGenerator[bytes, None]
    ending: Ending | None
    record: InvocationRecord
    seconds: float
    cut: Callable[[], None]

    async def frames(self) -> AsyncGenerator[bytes, None]:
        """The event stream. Closed early, it stops the model."""
        try:
            async with aclosing(self._payload()) as payload:
                async for part in payload:
                    yield payload_part(part)
                    # What is there already is sent without waiting; whoever else is served, or has left, gets a turn.
                    await asyncio.sleep(0)
            async with aclosing(self._last_frames()) as last:
                async for frame in last:
                    yield frame
        except TimeoutError:
            self.record.end(End.FAILED, "ModelStreamError")
            yield _stream_error("ModelInvocationTimeExceeded")
        except ServiceError as error:
            # The status line is long gone.
            self.record.end(End.FAILED, error.code)
            yield exception("InternalStreamFailure", {"Message": error.message})
        finally:
            self.record.end(End.ABANDONED)

    async def _payload(self) -> AsyncGenerator[bytes, None]:
        """The parts, as far as the fault lets them through. Raises TimeoutError."""
        # Time counts for each part, not around the yields: a slow reader is not a slow model.
        deadline = asyncio.get_running_loop().time() + self.seconds
        left = self.ending.after_bytes if isinstance(self.ending, CutStream) else None
        async with aclosing(self.parts):
            while left is None or left > 0:
                async with asyncio.timeout_at(deadline):
                    part = await anext(self.parts, None)
                if part is None:
                    return
                if left is not None:
                    part = part[:left]
                    left -= len(part)
                yield part

    async def _last_frames(self) -> AsyncGenerator[bytes, None]:
        match self.ending:
            case CutStream(how="ModelStreamError") as fault:
                self.record.end(End.DROPPED, "ModelStreamError")
                yield _stream_error(fault.error_code)
            case CutStream(how="InternalStreamFailure"):
                self.record.end(End.DROPPED, "InternalStreamFailure")
                yield exception("InternalStreamFailure", {"Message": "An internal failure occurred."})
            case CutStream(how="end"):
                self.record.end(End.DROPPED)
            case CutStream(how="disconnect") | Disconnect(when="after"):
                self.record.end(End.DROPPED)
                self.cut()
                await _for_ever()
            case Hang(when="after"):
                await _for_ever()
            case _:
                self.record.end(End.DRAWN)


def _stream_error(code: str) -> bytes:
    message = (
        "Your invocation did not complete sending the inference response in the allotted time."
        if code == "ModelInvocationTimeExceeded"
        else "The stream from the model container was interrupted."
    )
    return exception("ModelStreamError", {"Message": message, "ErrorCode": code})


async def _for_ever() -> None:
    """Until the connection is gone, which cancels whoever waits."""
    await asyncio.Event().wait()
