"""`text2image generate`: one prompt, one progress bar, and the images in files."""

from __future__ import annotations

import json
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import dataclass
from pathlib import Path

import typer

from graphql_api.commands.client import files
from graphql_api.commands.client.ending import check_end
from graphql_api.commands.client.generation import Generation
from graphql_api.commands.client.screen import Screen
from graphql_api.commands.client.views import JobView
from graphql_api.commands.usage import Stopped


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What is done with the images of a job, besides making them."""

    output: Path
    previews: bool
    as_json: bool


async def generate(opened: AbstractAsyncContextManager[Generation], wishes: Wishes) -> None:
    """Run a job to its end, write its images and say where. Raises Stopped."""
    async with opened as generation:
        with Screen(previews=wishes.previews) as screen:
            generation.on_lost = screen.tell_of_loss
            last = await _follow(generation, screen)
            if last is None:
                raise Stopped("The job ended before it was seen.")
            written = await _write_images(generation, last, wishes.output, screen)
    if wishes.as_json:
        typer.echo(json.dumps(last.as_json({number: str(path) for number, path in written.items()})))
    else:
        for picture in last.pictures:
            typer.echo(f"{written[picture.number]}  seed {picture.seed}")
    check_end(last)


async def _follow(generation: Generation, screen: Screen) -> JobView | None:
    last: JobView | None = None
    shown: str | None = None
    async with aclosing(generation.views()) as views:
        async for last in views:
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
