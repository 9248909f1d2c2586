"""Sends what waits for one server, in order, and asks it what somebody wants to know."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable
from dataclasses import dataclass

from redis.asyncio.connection import Connection
from redis.exceptions import AskError, ClusterDownError, MovedError, ReadOnlyError, ResponseError, TryAgainError

from graphql_api.adapters.event_broker.valkey_link import (
    ANSWER_SECONDS,
    PING_SECONDS,
    Command,
    Condition,
    Link,
    WrongMode,
    send,
)
from graphql_api.adapters.event_broker.valkey_outbox import Outbox, Parcel, Rank
from graphql_api.adapters.valkey_url import Node, ValkeyUrl

logger = logging.getLogger(__name__)

MAX_QUESTIONS = 1000
MAX_REFUSALS = 20
RETRY_SECONDS = 0.1
_ELSEWHERE = (AskError, ClusterDownError, TryAgainError)
"""What says: not here, or not now. MOVED is an ASK to redis-py."""


@dataclass(slots=True, eq=False)
class _Question:
    command: Command
    answer: asyncio.Future[object]


class Sender(Link):
    """The connection that commands go through. A batch is what has come together while the one before was on its way;
    what was not acknowledged when the connection broke is sent again."""

    def __init__(
        self,
        url: ValkeyUrl,
        node: Node,
        *,
        condition: Condition,
        on_dropped: Callable[[Parcel], None],
        on_doubt: Callable[[Node | None], None],
    ) -> None:
        super().__init__(url, node, condition=condition, on_doubt=on_doubt)
        self._outbox = Outbox(on_dropped)
        self._on_dropped = on_dropped
        self._questions: list[_Question] = []
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._is_sending = False
        self._refusals: set[str] = set()

    def put(self, parcel: Parcel) -> None:
        """Send a parcel when it is its turn."""
        self._outbox.put(parcel)
        self._idle.clear()
        self._wake.set()

    def take_all(self) -> list[Parcel]:
        """Hand over everything that waits and is not on its way."""
        parcels = self._outbox.take_all()
        if not self._is_sending:
            self._idle.set()
        return parcels

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits."""
        return self._idle.is_set()

    async def ask(self, command: Command, *, within: float) -> object:
        """The answer to a command; None when there is none in time, or when the server is away. It counts as asked
        after everything that was put in before, unless more waits than goes into one batch."""
        if not self.up.is_set() or len(self._questions) >= MAX_QUESTIONS:
            return None
        question = _Question(command, asyncio.get_running_loop().create_future())
        self._questions.append(question)
        self._wake.set()
        try:
            async with asyncio.timeout(within):
                return await question.answer
        except TimeoutError:
            return None

    async def flushed(self) -> None:
        """Return when nothing waits."""
        await self._idle.wait()

    async def serve(self, connection: Connection) -> None:
        """Send batch after batch."""
        while True:
            if await self._exchange(connection):
                await asyncio.sleep(RETRY_SECONDS)
            elif not self._outbox and not self._questions:
                self._idle.set()
                await self._wait_for_work()

    def lost(self) -> None:
        """Questions are not asked again: nobody waits for long."""
        questions, self._questions = self._questions, []
        for question in questions:
            _answer(question, None)

    async def _wait_for_work(self) -> None:
        """Wait for something to do; a PING is, after a while."""
        self._wake.clear()
        try:
            async with asyncio.timeout(PING_SECONDS):
                await self._wake.wait()
        except TimeoutError:
            self._questions.append(_Question(("PING",), asyncio.get_running_loop().create_future()))

    async def _exchange(self, connection: Connection) -> bool:
        """Send a batch and read its answers; whether some of it must be sent again, perhaps to somebody else."""
        parcels = self._outbox.take()
        questions, self._questions = self._questions, []
        commands = [command for parcel in parcels for command in parcel.commands]
        commands += [question.command for question in questions]
        if not commands:
            return False
        self._is_sending = True
        done = 0
        again: list[Parcel] = []
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await send(connection, commands)
                for parcel in parcels:
                    if not await self._acknowledged(connection, parcel):
                        again.append(parcel)
                    done += 1
                for question in questions:
                    answer = await _read(connection)
                    if isinstance(answer, _ELSEWHERE):
                        self._on_doubt(self.node)
                    _answer(question, answer)
        finally:
            self._is_sending = False
            self._outbox.put_back([*again, *parcels[done:]])
            for question in questions:
                _answer(question, None)
        return bool(again)

    async def _acknowledged(self, connection: Connection, parcel: Parcel) -> bool:
        """Whether the server took a parcel, or never will."""
        replies = [await _read(connection) for _ in parcel.commands]
        for reply in replies:
            if isinstance(reply, ReadOnlyError):
                # A primary no more. Its name may lead to another server by now.
                raise reply
            if isinstance(reply, MovedError) and not self.url.is_cluster:
                raise WrongMode("it is a node of a cluster; add ?cluster=true to the URL")
            if isinstance(reply, _ELSEWHERE):
                self._on_doubt(self.node)
                # What is kept while a job runs is worth no second sending.
                return not (parcel.is_notice or parcel.rank is Rank.LOSS)
            if isinstance(reply, ResponseError):
                self._refused(parcel, reply)
        return True

    def _refused(self, parcel: Parcel, error: ResponseError) -> None:
        if parcel.is_notice:
            self._on_dropped(parcel)
        # The code of an error that redis-py has no class for is the first word of its text.
        kind = f"{type(error).__name__} {str(error).partition(' ')[0]}"
        if kind not in self._refusals and len(self._refusals) < MAX_REFUSALS:
            self._refusals.add(kind)
            logger.error("the event broker at %s refuses %s: %s", self.node, parcel.commands[0][0], str(error)[:200])


async def _read(connection: Connection) -> object:
    try:
        return await connection.read_response(disable_decoding=True, timeout=math.inf)
    except ResponseError as error:
        return error


def _answer(question: _Question, answer: object) -> None:
    if not question.answer.done():
        question.answer.set_result(None if isinstance(answer, Exception) else answer)
