"""What a command says about a job that it has seen end, or that it leaves."""

from __future__ import annotations

import typer

from graphql_api.commands.client.text import printable, short_id
from graphql_api.commands.client.views import JobView
from graphql_api.commands.usage import Stopped


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
