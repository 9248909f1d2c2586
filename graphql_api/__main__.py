"""The command `text2image`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, Literal, TypeVar

import typer

from graphql_api.commands.client.commands import app as client
from graphql_api.commands.usage import read_settings, stop

if TYPE_CHECKING:
    from graphql_api.commands.doctor import Finding
    from graphql_api.domain.api_key import ApiKey
    from graphql_api.service.api_keys import ApiKeys

_Result = TypeVar("_Result")

app = typer.Typer(
    name="text2image",
    help="A self-hosted text-to-image service: GraphQL in front, streaming notifications.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

keys = typer.Typer(
    help="Make, list, rotate and revoke API keys, also while a server runs. They count where TEXT2IMAGE_AUTH=keys.",
    no_args_is_help=True,
)
app.add_typer(client)
app.add_typer(keys, name="keys")


@app.command()
def serve(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(envvar="PORT", min=0, max=65535, help="Port to listen on; 0 for any.")] = 8000,
    run_jobs: Annotated[
        bool, typer.Option("--worker/--no-worker", help="Run jobs in this process too, or leave them to workers.")
    ] = True,
    reload: Annotated[bool, typer.Option(help="Start again when a source file changes.")] = False,
) -> None:
    """Serve the API, and run jobs."""
    from graphql_api.commands import serve as command
    from graphql_api.commands.process import PortTaken
    from graphql_api.domain.errors import Text2ImageError

    settings = read_settings()
    try:
        if reload:
            command.serve_with_reload(settings, host=host, port=port)
            return
        raise typer.Exit(command.serve(settings, host=host, port=port, with_worker=run_jobs))
    except PortTaken as error:
        stop(f"{error} Choose another with --port or PORT=.")
    except (ValueError, Text2ImageError) as error:
        stop(f"The server cannot start: {error}")


@app.command()
def worker(
    model: Annotated[list[str] | None, typer.Option(help="Run jobs of this model only; may be given often.")] = None,
    health_host: Annotated[str, typer.Option(help="Address that --health-port is on.")] = "127.0.0.1",
    health_port: Annotated[
        int | None,
        typer.Option(envvar="HEALTH_PORT", min=0, max=65535, help="Port for /healthz, /readyz and /metrics."),
    ] = None,
) -> None:
    """Run jobs that servers elsewhere take. Needs PostgreSQL and Valkey."""
    from graphql_api.commands import worker as command
    from graphql_api.commands.process import PortTaken
    from graphql_api.domain.errors import Text2ImageError

    try:
        raise typer.Exit(command.work(read_settings(), only_models=model or (), host=health_host, port=health_port))
    except PortTaken as error:
        stop(f"{error} Choose another with --health-port.")
    except (ValueError, Text2ImageError) as error:
        stop(f"The worker cannot start: {error}")


@app.command()
def doctor(
    invoke: Annotated[bool, typer.Option("--invoke", help="Let each model draw one image, which is paid for.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON line for each check.")] = False,
) -> None:
    """Check everything that the settings name. Exits with 1 when something does not work."""
    from graphql_api.commands import doctor as command
    from graphql_api.telemetry import configure_logging

    settings = read_settings()
    configure_logging("warning", "text")
    findings = command.examine(settings, invokes=invoke)
    show = _print_findings if as_json else _draw_findings
    has_failed = asyncio.run(show(findings))
    raise typer.Exit(1 if has_failed else 0)


@app.command("sagemaker-local")
def sagemaker_local(
    endpoint: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=FAMILY[:KIND]", help="May be repeated. sd=jumpstart-sd when there is none."),
    ] = None,
    output: Annotated[str, typer.Option(help="Where answers of async endpoints go: s3://bucket/prefix.")] = "",
    success_topic: Annotated[str, typer.Option(help="ARN of the SNS topic that hears of them.")] = "",
    error_topic: Annotated[str, typer.Option(help="ARN of the SNS topic that hears of failures.")] = "",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port of 127.0.0.1 to listen on; 0 for any.")] = 8090,
    workers: Annotated[int, typer.Option(min=1, max=1000, help="Requests that an endpoint draws at a time.")] = 1,
    step_seconds: Annotated[float, typer.Option(min=0, max=60, help="Least time that a step takes.")] = 0.02,
    time_limit: Annotated[
        float | None, typer.Option(min=0.01, help="Seconds an invocation may take, in place of AWS' 60 and 480.")
    ] = None,
    part_bytes: Annotated[
        int | None, typer.Option(min=1, help="Cut streams into parts of exactly so many bytes, not line by line.")
    ] = None,
    fault: Annotated[
        list[str] | None, typer.Option(help='What shall go wrong, such as \'{"kind": "throttle", "times": 1}\'.')
    ] = None,
) -> None:
    """Stand in for Amazon SageMaker on this machine, to rehearse a deployment."""
    from graphql_api.commands import sagemaker_local as command
    from graphql_api.commands.process import PortTaken

    try:
        rehearsed = command.check(
            endpoints=endpoint or [],
            output=output,
            success_topic=success_topic,
            error_topic=error_topic,
            faults=fault or [],
            workers=workers,
            step_seconds=step_seconds,
            part_bytes=part_bytes,
            time_limit=time_limit,
        )
        command.serve(rehearsed, port=port)
    except ValueError as error:
        stop(str(error), code=2)
    except PortTaken as error:
        stop(f"{error} Choose another with --port.")


@app.command()
def schema() -> None:
    """Print the GraphQL schema."""
    from graphql_api.schema import print_schema

    typer.echo(print_schema())


@keys.command("draw")
def draw_key(
    as_json: Annotated[bool, typer.Option("--json", help="Print token and fingerprint as a JSON object.")] = False,
) -> None:
    """Print a new token, and on standard error the fingerprint that `keys create --fingerprint` takes. No server knows
    the token before that."""
    import json
    from dataclasses import asdict

    from graphql_api.service.api_keys import draw_key as drawn_key

    drawn = drawn_key()
    if as_json:
        typer.echo(json.dumps(asdict(drawn)))
    else:
        typer.echo(drawn.fingerprint, err=True)
        typer.echo(drawn.token)


@keys.command("create")
def create_key(
    name: Annotated[str, typer.Argument(help="What the key is for, such as 'web shop'.")],
    caller: Annotated[
        str,
        typer.Option(help="ID of the caller whom the key belongs to, and whose jobs it shows. A new caller if none."),
    ] = "",
    role: Annotated[
        Literal["member", "reader"], typer.Option(help="A reader looks and watches, and changes nothing.")
    ] = "member",
    expires: Annotated[
        str, typer.Option(metavar="90d|2027-01-31", help="When it ends: so long from now, or when a day begins (UTC).")
    ] = "",
    requests_per_minute: Annotated[int | None, typer.Option(min=0, help="Requests a minute, at most.")] = None,
    jobs_per_minute: Annotated[int | None, typer.Option(min=0, help="Jobs a minute, at most.")] = None,
    jobs_in_flight: Annotated[int | None, typer.Option(min=0, help="Jobs queued or running, at most.")] = None,
    pixels_per_day: Annotated[int | None, typer.Option(min=0, help="Pixels of images a day, at most.")] = None,
    sockets: Annotated[int | None, typer.Option(min=0, help="Open WebSockets in one process, at most.")] = None,
    streams: Annotated[int | None, typer.Option(min=0, help="Open subscriptions in one process, at most.")] = None,
    dollars_per_month: Annotated[
        float | None, typer.Option(min=0, help="US dollars that its jobs may cost in a calendar month (UTC).")
    ] = None,
    fingerprint: Annotated[
        str, typer.Option(help="Fingerprint of a token that `keys draw` has printed elsewhere; none is printed here.")
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print the key and its token as JSON.")] = False,
) -> None:
    """Make a key, and print its token, which is shown once. A limit that is not given is the server's."""
    from graphql_api.commands import keys as command
    from graphql_api.domain.caller import CallerLimits, CallerRole

    try:
        expires_at = command.instant_of(expires) if expires else None
    except ValueError as error:
        stop(f"--expires: {error}", code=2)
    limits = CallerLimits(
        requests_per_minute=requests_per_minute,
        jobs_per_minute=jobs_per_minute,
        jobs_in_flight=jobs_in_flight,
        pixels_per_day=pixels_per_day,
        sockets=sockets,
        streams=streams,
        dollars_per_month=dollars_per_month,
    )
    chosen_role = CallerRole(role.upper())

    async def make(opened: ApiKeys) -> tuple[ApiKey, str | None]:
        whose = caller or None
        if fingerprint:
            key = await opened.admit(fingerprint, whose, name, role=chosen_role, limits=limits, expires_at=expires_at)
            return key, None
        return await opened.create(whose, name, role=chosen_role, limits=limits, expires_at=expires_at)

    _show_key(*_with_keys(make), as_json=as_json)


@keys.command("list")
def list_keys(
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON line for each key.")] = False,
) -> None:
    """Show all keys, also those that have ended."""
    import json

    from rich.console import Console

    from graphql_api.commands import keys as command

    found = _with_keys(lambda opened: opened.all())
    if as_json:
        for key in found:
            typer.echo(json.dumps(command.as_json(key)))
    elif found:
        Console().print(command.table_of(found))
    else:
        typer.echo("There are no keys.", err=True)


@keys.command("rotate")
def rotate_key(
    key_id: Annotated[str, typer.Argument(metavar="ID", help="ID of the key, as `keys list` shows it.")],
    grace: Annotated[str, typer.Option(metavar="24h", help="How long the old one still counts.")] = "24h",
    as_json: Annotated[bool, typer.Option("--json", help="Print the new key and its token as JSON.")] = False,
) -> None:
    """Make a key in the place of another, for the same caller, and print its token, which is shown once."""
    from graphql_api.commands import keys as command

    try:
        grace_seconds = command.seconds_of(grace)
    except ValueError as error:
        stop(f"--grace: {error}", code=2)
    made = _with_keys(lambda opened: opened.rotate(key_id, grace_seconds))
    _show_key(*made, as_json=as_json)
    typer.echo(f"The old key, {key_id}, ends in {grace} at the latest.", err=True)


@keys.command("revoke")
def revoke_key(
    key_id: Annotated[str, typer.Argument(metavar="ID", help="ID of the key, as `keys list` shows it.")],
) -> None:
    """End a key for good. Servers notice within 10 seconds; what is open then ends soon after."""
    revoked = _with_keys(lambda opened: opened.revoke(key_id))
    typer.echo(f"Revoked {revoked.id}, {revoked.name}.", err=True)


def _with_keys(use: Callable[[ApiKeys], Awaitable[_Result]]) -> _Result:
    """Do something with the keys of the server, or say why not."""
    from graphql_api.commands import keys as command
    from graphql_api.domain.errors import InvalidInput, Text2ImageError
    from graphql_api.service.api_keys import KeyEnded, KeyNotFound

    settings = read_settings()

    async def run() -> _Result:
        async with command.open_keys(settings) as opened:
            return await use(opened)

    try:
        return asyncio.run(run())
    except (KeyNotFound, KeyEnded) as error:
        stop(str(error))
    except InvalidInput as error:
        stop(str(error), code=2)
    except (ValueError, Text2ImageError) as error:
        stop(f"The keys cannot be used: {error}")


def _show_key(key: ApiKey, token: str | None, *, as_json: bool) -> None:
    """The token alone on standard output, so that it can be piped to where it is kept. None is known elsewhere only."""
    import json

    from graphql_api.commands import keys as command

    ends = "" if key.expires_at is None else f", until {command.shown(key.expires_at)}"
    typer.echo(f"Key {key.id}, {key.name}, of the caller {key.caller_id}{ends}.", err=True)
    if token is not None:
        typer.echo("This is its token. It is not shown again:", err=True)
    known = {} if token is None else {"token": token}
    if as_json:
        typer.echo(json.dumps({**known, **command.as_json(key)}))
    elif token is not None:
        typer.echo(token)


async def _print_findings(findings: AsyncIterator[Finding]) -> bool:
    """A JSON object a line, as they come; whether one has failed."""
    import json
    from dataclasses import asdict

    has_failed = False
    async for finding in findings:
        typer.echo(json.dumps(asdict(finding)))
        has_failed = has_failed or finding.state == "failed"
    return has_failed


async def _draw_findings(findings: AsyncIterator[Finding]) -> bool:
    """A table, with what to do below what does not work; whether something has failed."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console()
    table = Table("check", "", "what was found, and what to do", show_lines=True)
    colours = {"ok": "green", "warning": "yellow", "failed": "red"}
    has_failed = False
    with console.status("looking ..."):
        async for finding in findings:
            has_failed = has_failed or finding.state == "failed"
            remedy = f"\n[bold]{escape(finding.remedy)}[/]" if finding.remedy else ""
            colour = colours[finding.state]
            table.add_row(finding.check, f"[{colour}]{finding.state}[/]", f"{escape(finding.detail)}{remedy}")
    console.print(table)
    return has_failed


def main() -> None:
    """Run the command."""
    app()


if __name__ == "__main__":
    main()
