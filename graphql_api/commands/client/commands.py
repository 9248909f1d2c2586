"""The options of `text2image generate`, `watch`, `history` and `cancel`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from graphql_api.commands.client.completion import complete_model, complete_style
from graphql_api.commands.usage import EXIT_CODES, Exit, Stopped, read_settings, stop
from graphql_api.domain.job import JobStatus

_Result = TypeVar("_Result")

HERE = "http://127.0.0.1:8000"

app = typer.Typer()

Server = Annotated[str, typer.Option(envvar="TEXT2IMAGE_SERVER", help="URL of the server.")]
Token = Annotated[str, typer.Option(envvar="TEXT2IMAGE_TOKEN", help="API key or token for that server.")]
NoPreview = Annotated[bool, typer.Option("--no-preview", help="Draw no pictures in the terminal.")]


@app.command(epilog=EXIT_CODES)
def generate(
    prompt: Annotated[str, typer.Argument(help="What to show.")],
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            help="File to write; its ending chooses the format. {n} and {seed} in its name stand for an image's number "
            "and seed. Without them several images are image-1.jpg, image-2.jpg and so on.",
        ),
    ] = Path("image.jpg"),
    server: Annotated[
        str,
        typer.Option(
            envvar="TEXT2IMAGE_SERVER", help="URL of a server. Without one, or with '', the job runs in this process."
        ),
    ] = "",
    token: Token = "",
    count: Annotated[int, typer.Option("--count", "-n", help="How many images.")] = 1,
    model: Annotated[
        str, typer.Option(autocompletion=complete_model, help="Name of a model; the default one when left out.")
    ] = "",
    negative: Annotated[str, typer.Option(help="What to avoid.")] = "",
    style: Annotated[
        str, typer.Option(autocompletion=complete_style, help="Name of a style, such as watercolor.")
    ] = "",
    width: Annotated[int | None, typer.Option(help="Width in pixels; needs --height too.")] = None,
    height: Annotated[int | None, typer.Option(help="Height in pixels; needs --width too.")] = None,
    steps: Annotated[int | None, typer.Option(help="Denoising steps.")] = None,
    guidance: Annotated[float | None, typer.Option(help="How closely to follow the prompt.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the first image; drawn when left out.")] = None,
    no_preview: NoPreview = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the job and its images as one JSON object when it has ended.")
    ] = False,
) -> None:
    """Make images and write them to files."""
    from graphql_api.commands.client import files
    from graphql_api.commands.client.ending import how_to_go_on
    from graphql_api.commands.client.generate import Wishes
    from graphql_api.commands.client.generate import generate as run
    from graphql_api.domain.generation import Dimensions, GenerationRequest

    if (width is None) != (height is None):
        stop("Give both --width and --height, or neither.", code=Exit.WRONG_USAGE)
    try:
        image_format = files.format_of(output)
        files.check_folder(output)
    except Stopped as error:
        stop(str(error), code=error.code)
    request = GenerationRequest(
        prompt=prompt,
        negative_prompt=negative or None,
        model_name=model or None,
        style_name=style or None,
        size=Dimensions(width=width, height=height) if width is not None and height is not None else None,
        steps=steps,
        guidance_scale=guidance,
        seed=seed,
        count=count,
        format=image_format,
    )
    accepted: list[str] = []
    if server:
        from graphql_api.commands.client.generation_there import generate_there

        opened = generate_there(server, token, request, accepted.append)
    else:
        # What runs jobs takes a second to load.
        from graphql_api.commands.client.generation_here import generate_here

        opened = generate_here(read_settings(), request)
    wishes = Wishes(output=output, previews=not no_preview, as_json=as_json)
    _run(
        run(opened, wishes),
        when_stopped=lambda: how_to_go_on(accepted[-1], server) if accepted else "Stopped.",
    )


@app.command(epilog=EXIT_CODES)
def watch(
    job_id: Annotated[
        str, typer.Argument(metavar="[JOB_ID]", help="ID of the job. Without one, all of yours until Ctrl-C.")
    ] = "",
    server: Server = HERE,
    token: Token = "",
    no_preview: NoPreview = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON line for each change.")] = False,
) -> None:
    """Follow a job to its end, or all jobs. Comes back after a lost connection and misses nothing."""
    from graphql_api.commands.client.watch import watch_all, watch_job

    if job_id:
        _run(watch_job(server, token, job_id, as_json=as_json, previews=not no_preview))
    else:
        _run(watch_all(server, token, as_json=as_json))


@app.command(epilog=EXIT_CODES)
def history(
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="How many jobs, at most.")] = 20,
    status: Annotated[
        list[JobStatus] | None,
        typer.Option(help="Only jobs in this state; may be given often.", case_sensitive=False),
    ] = None,
    search: Annotated[str, typer.Option(help="Only jobs with this text in the prompt.")] = "",
    server: Server = HERE,
    token: Token = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON line for each job.")] = False,
) -> None:
    """Show your jobs, newest first."""
    from graphql_api.commands.client.history import show_history

    statuses = [each.value for each in status or ()]
    _run(show_history(server, token, limit=limit, statuses=statuses, search=search, as_json=as_json))


@app.command(epilog=EXIT_CODES)
def cancel(
    job_ids: Annotated[list[str], typer.Argument(metavar="JOB_ID...", help="IDs of jobs, as `history` shows them.")],
    server: Server = HERE,
    token: Token = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON line for each job.")] = False,
) -> None:
    """Cancel jobs. One that has ended already stays as it is, and is no error."""
    from graphql_api.commands.client.cancel import cancel as run

    raise typer.Exit(_run(run(server, token, job_ids, as_json=as_json)))


def _run(command: Coroutine[Any, Any, _Result], *, when_stopped: Callable[[], str] = lambda: "Stopped.") -> _Result:
    """Run a command to its end, or say why it has none."""
    try:
        return asyncio.run(command)
    except Stopped as error:
        stop(str(error), code=error.code)
    except KeyboardInterrupt:
        stop(when_stopped(), code=Exit.STOPPED)
