"""Many callers who submit jobs and watch each of them to its end, whatever happens to the servers."""

from __future__ import annotations

import asyncio
import base64
import itertools
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx
from websockets.exceptions import WebSocketException

from graphql_api.domain.ids import global_id
from tests.clients.graphql_http import FINAL, GENERATE, Api, new_key
from tests.clients.graphql_socket import Refused, open_socket
from tests.clients.waiting import eventually
from tests.cluster.fleet import MAX_ATTEMPTS, MODEL_NAMES, Fleet
from tests.cluster.serve_callers import credential

PATIENCE_SECONDS = 60.0
STEPS = 6

WATCH = """
subscription Watch($id: ID!, $after: String) {
  jobUpdated(id: $id, after: $after) { kind cursor job { id status progress { fraction } images { url } } }
}
"""


@dataclass
class Watched:
    """A job, and what its watcher was told."""

    caller: str
    model: str
    job_id: str
    """Outside."""
    events: list[dict[str, Any]] = field(default_factory=list)
    connections: int = 0
    is_over: bool = False
    """Whether the server has said that nothing will follow."""

    @property
    def key(self) -> str:
        """The ID inside, as endpoints and the database know it."""
        return base64.b64decode(self.job_id).decode().partition(":")[2]

    @property
    def last_status(self) -> str:
        """As the watcher knows it."""
        status: str = self.events[-1]["job"]["status"]
        return status

    @property
    def last_revision(self) -> int:
        """As the watcher knows it."""
        return _revision_of(self.events[-1])


class Campaign:
    """Jobs of some callers, watched."""

    def __init__(self, fleet: Fleet, *, callers: int = 20, seed: int = 0) -> None:
        self.fleet = fleet
        self.watched: list[Watched] = []
        self._callers = [f"caller-{number}" for number in range(callers)]
        self._random = random.Random(seed)
        self._models = itertools.cycle(MODEL_NAMES)
        self._turns = itertools.count()
        self._watchers: list[asyncio.Task[None]] = []

    async def submit(self, jobs: int) -> None:
        """Have jobs acknowledged, by whichever replica answers, and watch them."""
        async with asyncio.TaskGroup() as group:
            for caller in self._callers:
                group.create_task(self._submit_some(caller, jobs // len(self._callers)))

    async def ended(self, *, within: float = PATIENCE_SECONDS) -> None:
        """Wait until every watcher was told the end of its job."""
        async with asyncio.timeout(within):
            await asyncio.gather(*self._watchers)

    def finished(self) -> int:
        """How many watchers were told the end."""
        return sum(each.is_over for each in self.watched)

    async def when_finished(self, share: float) -> None:
        """Wait until so many jobs have ended: 0.2 is a fifth of them."""
        await eventually(lambda: self.finished() >= share * len(self.watched), within=PATIENCE_SECONDS)

    async def check(self, *, most_runs: int = MAX_ATTEMPTS) -> None:
        """What must hold in the end, whatever has happened."""
        rows = {
            job_id: (status, int(revision))
            for job_id, status, revision in self.fleet.rows("SELECT id, status, revision FROM jobs")
        }
        # Those whose workers were lost as often as the policy allows.
        lost = f"SELECT id FROM jobs WHERE (data::jsonb ->> 'losses')::int >= {MAX_ATTEMPTS}"
        given_up = {job_id for (job_id,) in self.fleet.rows(lost)} & {each.key for each in self.watched}
        most_given_up = 0 if most_runs == 1 else len(self.watched) // 100
        assert len(given_up) <= most_given_up, f"{len(given_up)} jobs were given up"
        for each in self.watched:
            told = each.events
            revisions = [_revision_of(event) for event in told]
            assert revisions == sorted(revisions), f"{each.job_id} went back: {revisions}"
            finals = [event["job"]["status"] for event in told if event["job"]["status"] in FINAL]
            assert finals == ["FAILED" if each.key in given_up else "SUCCEEDED"], (each, finals)
            assert rows[each.key] == (each.last_status, each.last_revision), each
            assert each.key in given_up or told[-1]["job"]["images"], each
        runs = self.fleet.runs_by_job()
        too_often = {
            each.job_id: runs.get(each.key, 0) for each in self.watched if not 1 <= runs.get(each.key, 0) <= most_runs
        }
        assert not too_often, too_often
        await eventually(lambda: not self.fleet.stray_files(), within=PATIENCE_SECONDS)
        for process in self.fleet.processes:
            assert process.process.is_running(), "a process has ended by itself"

    async def close(self) -> None:
        """Stop watching."""
        for watcher in self._watchers:
            watcher.cancel()
        await asyncio.gather(*self._watchers, return_exceptions=True)

    async def _submit_some(self, caller: str, jobs: int) -> None:
        for _ in range(jobs):
            model = next(self._models)
            watched = Watched(caller, model, await self._submitted(caller, model))
            self.watched.append(watched)
            self._watchers.append(asyncio.create_task(self._watch(watched)))

    async def _submitted(self, caller: str, model: str) -> str:
        """The ID of a job that was acknowledged. Repeating with the key is safe, so it is repeated until it is."""
        given = {
            "prompt": f"a lighthouse for {caller}",
            "size": {"dimensions": {"width": 64, "height": 64}},
            "steps": STEPS,
            "modelId": global_id("Model", model),
            "idempotencyKey": new_key(),
        }
        while True:
            try:
                async with Api(self._next_replica().origin) as api:
                    api.http.headers.update(credential(caller))
                    answer = await api.graphql(GENERATE, {"input": given})
                assert _is_worth_another_try(answer.get("errors", [])), answer
                # A field that could not be read, such as the place in the queue, takes nothing back.
                if (payload := (answer["data"] or {}).get("generateImage")) is not None:
                    assert payload["errors"] == [], payload
                    job_id: str = payload["job"]["id"]
                    return job_id
            except httpx.HTTPError:
                pass
            await self._pause()

    async def _watch(self, watched: Watched) -> None:
        """Follow a job to its end, coming back with the last cursor whenever the connection is lost."""
        while not watched.is_over:
            try:
                await self._watch_once(watched)
            except Refused as error:
                assert _is_worth_another_try(error.errors), error
            except (OSError, WebSocketException, TimeoutError, EOFError):
                pass
            if not watched.is_over:
                await self._pause()

    async def _watch_once(self, watched: Watched) -> None:
        watched.connections += 1
        after = watched.events[-1]["cursor"] if watched.events else None
        headers = credential(watched.caller)
        async with (
            asyncio.timeout(PATIENCE_SECONDS),
            open_socket(self._next_replica().socket_url, headers=headers) as socket,
        ):
            operation = await socket.subscribe(WATCH, {"id": watched.job_id, "after": after})
            while (payload := await socket.next_of(operation)) is not None:
                if "errors" in payload:
                    raise Refused(payload["errors"])
                watched.events.append(payload["data"]["jobUpdated"])
            assert watched.last_status in FINAL, "the stream was completed before the end"
            watched.is_over = True

    def _next_replica(self) -> Any:
        return self.fleet.replicas[next(self._turns) % len(self.fleet.replicas)]

    async def _pause(self) -> None:
        await asyncio.sleep(self._random.uniform(0.05, 0.5))


def _is_worth_another_try(errors: Sequence[dict[str, Any]]) -> bool:
    codes = {error["extensions"]["code"] for error in errors}
    return codes <= {"SERVICE_UNAVAILABLE"}


def _revision_of(event: dict[str, Any]) -> int:
    cursor: str = event["cursor"]
    return int(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode().partition(":")[2])
