"""`text2image history`: the jobs of a caller, newest first."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from graphql_api.commands.client import operations
from graphql_api.commands.client.remote import open_remote
from graphql_api.commands.client.text import printable, short_id
from graphql_api.commands.client.views import JobView, view_of

PAGE = 100


async def show_history(
    server: str, token: str, *, limit: int, statuses: Sequence[str], search: str, as_json: bool
) -> None:
    """Print jobs as a table, or as JSON lines. Raises Stopped."""
    narrowed = {"statuses": list(statuses), **({"search": search} if search else {})}
    jobs = [job async for job in _jobs(server, token, limit, narrowed)]
    if as_json:
        for job in jobs:
            typer.echo(json.dumps(job.as_json()))
    elif jobs:
        Console().print(_table_of(jobs))
    else:
        typer.echo("There are no such jobs." if statuses or search else "There are no jobs.", err=True)


async def _jobs(server: str, token: str, limit: int, narrowed: dict[str, Any]) -> AsyncIterator[JobView]:
    async with open_remote(server, token) as remote:
        after, left = None, limit
        while left > 0:
            variables = {"first": min(left, PAGE), "after": after, "filter": narrowed}
            page = (await remote.ask(operations.HISTORY, variables))["jobs"]
            for edge in page["edges"]:
                yield view_of(edge["node"], remote.absolute)
            left -= len(page["edges"])
            after = page["pageInfo"]["endCursor"]
            if not page["pageInfo"]["hasNextPage"]:
                return


def _table_of(jobs: Sequence[JobView]) -> Table:
    table = Table(box=None, pad_edge=False)
    # What is typed again is shown as a whole, however narrow the terminal.
    table.add_column("id", no_wrap=True, min_width=36)
    table.add_column("status", no_wrap=True, min_width=9)
    table.add_column("accepted (UTC)", no_wrap=True, min_width=16)
    table.add_column("prompt", no_wrap=True, overflow="ellipsis")
    for job in jobs:
        table.add_row(
            short_id(job.id),
            job.status.lower(),
            job.created_at[:16].replace("T", " "),
            Text(printable(job.parameters["prompt"])),
        )
    return table
