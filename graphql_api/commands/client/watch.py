"""`text2image watch`: one job to its end, or all of a caller's jobs until somebody has seen enough."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncGenerator
from contextlib import aclosing

from graphql_api.commands.client import operations
from graphql_api.commands.client.ending import check_end
from graphql_api.commands.client.remote import Remote, open_remote
from graphql_api.commands.client.screen import Screen, phase_of
from graphql_api.commands.client.text import full_id, printable, short_id
from graphql_api.commands.client.views import Change, JobView
from graphql_api.commands.usage import Stopped


async def watch_job(server: str, token: str, job_id: str, *, as_json: bool, previews: bool) -> None:
    """Show a job until it ends. Raises Stopped, also when it does not end well."""
    last: JobView | None = None
    async with open_remote(server, token) as remote:
        with Screen(previews=previews and not as_json, is_quiet=_is_in_the_way(as_json)) as screen:
            remote.on_lost = screen.tell_of_loss
            changes = remote.follow(operations.FOLLOW_JOB, {"id": full_id(job_id)}, "jobUpdated")
            async with aclosing(_shown(changes, screen, as_json=as_json)) as jobs:
                async for last in jobs:
                    if screen.wants_pictures:
                        await _paint(remote, screen, last)
    if last is not None:
        check_end(last)


async def watch_all(server: str, token: str, *, as_json: bool) -> None:
    """Show every job of the caller, for ever. Raises Stopped."""
    async with open_remote(server, token) as remote:
        with Screen(names_jobs=True, is_quiet=_is_in_the_way(as_json)) as screen:
            remote.on_lost = screen.tell_of_loss
            changes = remote.follow(operations.FOLLOW_ALL, {}, "jobsUpdated")
            async with aclosing(_shown(changes, screen, as_json=as_json, is_for_ever=True)) as jobs:
                async for job in jobs:
                    if job.is_final:
                        screen.drop(job.id)


async def _shown(
    changes: AsyncGenerator[Change, None], screen: Screen, *, as_json: bool, is_for_ever: bool = False
) -> AsyncGenerator[JobView, None]:
    """Say of each change what there is to say, and hand its job on."""
    async with aclosing(changes) as stream:
        async for change in stream:
            if change.job is not None:
                screen.show(change.job)
                # The picture comes before the line: it goes where the last one was.
                yield change.job
            if as_json:
                screen.say(json.dumps(change.as_json()))
            elif change.kind != "PROGRESS":
                screen.say(_line_of(change))
            if change.job is None:
                if not is_for_ever:
                    raise Stopped("The job was deleted.")
                screen.drop(change.job_id)


async def _paint(remote: Remote, screen: Screen, job: JobView) -> None:
    if job.preview is not None:
        body = await remote.fetch_preview(job.preview)
    elif job.pictures:
        body = await remote.fetch_picture(job.pictures[0])
    else:
        return
    if body is not None:
        screen.paint(body)


def _line_of(change: Change) -> str:
    job = change.job
    if job is None:
        return f"{change.occurred_at}  deleted    {short_id(change.job_id)}"
    said = printable(job.parameters["prompt"])
    if job.failure is not None:
        said = printable(job.failure["message"])
    urls = "".join(f"\n    {printable(picture.url or '')}" for picture in job.pictures)
    return f"{change.occurred_at}  {phase_of(job):<9}  {short_id(change.job_id)}  {said}{urls}"


def _is_in_the_way(as_json: bool) -> bool:
    """Whether bars would come between lines that are for machines: where both are on the terminal."""
    return as_json and sys.stdout.isatty()
