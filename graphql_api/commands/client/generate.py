"""`text2image generate`: one prompt, one progress bar, and the images in files."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import dataclass
from pathlib import Path

import typer

from graphql_api.commands.client import files
from graphql_api.commands.client.generating import Generation
from graphql_api.commands.client.screen import Screen
from graphql_api.commands.client.text import printable, short_id
from graphql_api.commands.client.views import JobView
from graphql_api.commands.usage import Stopped


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What is done with the images of a job, besides making them."""

    output: Path
    previews: bool
    as_json: bool


async def generate(opened: AbstractAsyncContextManager[Generation], wishes: Wishes, on_begin: OnBegin) -> None:
    """Run a job to its end, write its images and say where. `on_begin` learns which job goes on without this program.
    Raises Stopped."""
    async with opened as generation:
        with Screen(previews=wishes.previews) as screen:
            last = await _follow(generation, screen, on_begin)
            if last is None:
                raise Stopped("The job ended before it was seen.")
            written = await _write_images(generation, last, wishes.output, screen)
    if wishes.as_json:
        typer.echo(json.dumps(last.as_json({number: str(path) for number, path in written.items()})))
    else:
        for picture in last.pictures:
            typer.echo(f"{written[picture.number]}  seed {picture.seed}")
    check_end(last)


def check_end(job: JobView) -> None:
    """Raise Stopped unless the job has succeeded."""
    for each in job.withheld:
        typer.echo(f"Image {each['index'] + 1} was withheld: {printable(each['message'])}", err=True)
    if job.failure is not None:
        again = " It may succeed when it is tried again." if job.failure["retryable"] else ""
        raise Stopped(f"The job failed: {printable(job.failure['message'])}{again}")
    if job.status == "CANCELED":
        raise Stopped("The job was canceled.")


def how_to_go_on(job_id: str, server: str) -> str:
    """What to say to somebody who leaves a job that goes on."""
    name, at = short_id(job_id), f" --server {server}" if server else ""
    return f"The job goes on. See it end: text2image watch {name}{at}\nEnd it: text2image cancel {name}{at}"


OnBegin = Callable[[str], None]


async def _follow(generation: Generation, screen: Screen, on_begin: OnBegin) -> JobView | None:
    last: JobView | None = None
    shown: str | None = None
    async with aclosing(generation.views()) as views:  # type: ignore[type-var]
        async for last in views:
            if generation.job_id is not None:
                on_begin(generation.job_id)
            screen.show(last)
            if screen.wants_pictures and last.preview not in (None, shown):
                shown = last.preview
                body = await generation.preview(last)
                if body is not None:
                    screen.paint(body)
    return last


async def _write_images(generation: Generation, job: JobView, output: Path, screen: Screen) -> dict[int, Path]:
    written: dict[int, Path] = {}
    for picture in job.pictures:
        path = files.path_of(output, picture, job.parameters["count"])
        body = await generation.picture(picture)
        files.write(path, body)
        if not written and screen.wants_pictures:
            screen.paint(body)
        written[picture.number] = path
    return written
