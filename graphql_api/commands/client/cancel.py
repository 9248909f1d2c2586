"""`text2image cancel`: end jobs before they end by themselves."""

from __future__ import annotations

import json
from collections.abc import Sequence

import typer

from graphql_api.commands.client import operations
from graphql_api.commands.client.remote import open_remote, refusal_in
from graphql_api.commands.client.text import full_id, printable, short_id
from graphql_api.commands.usage import Exit

_OUTCOMES = {
    "NOT_STARTED": "it had not begun",
    "STOPPED": "the model was stopped",
    "DETACHED": "the model cannot be stopped; what it makes is thrown away",
}


async def cancel(server: str, token: str, job_ids: Sequence[str], *, as_json: bool) -> Exit:
    """Cancel every job, also behind one that there is not. Raises Stopped where the server cannot be asked."""
    code = Exit.DONE
    async with open_remote(server, token) as remote:
        for job_id in job_ids:
            payload = (await remote.ask(operations.CANCEL, {"id": full_id(job_id)}))["cancelJob"]
            refusal = refusal_in(payload)
            if refusal is not None:
                code = Exit.REFUSED
                typer.echo(f"{printable(job_id)}  {refusal} `text2image history` shows those that there are.", err=True)
                continue
            job = payload["job"]
            if as_json:
                typer.echo(
                    json.dumps({"job": job["id"], "status": job["status"], "cancel_outcome": job["cancelOutcome"]})
                )
            else:
                outcome = _OUTCOMES.get(job["cancelOutcome"] or "", "it had ended before")
                typer.echo(f"{short_id(job['id'])}  {job['status'].lower()}  {outcome}")
    return code
