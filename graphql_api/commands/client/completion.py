"""What a shell completes: names of styles and of models."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import typer

ASK_SECONDS = 1.0
"""How long a server may take to say what models it has: somebody waits with a finger on the key."""


def complete_style(incomplete: str) -> list[tuple[str, str]]:
    """Styles that begin so, with their keywords."""
    from graphql_api.domain.styles import STYLES

    return [(name, style.keywords) for name, style in STYLES.items() if name.startswith(incomplete)]


def complete_model(context: typer.Context, incomplete: str) -> list[str]:
    """Models that begin so: those of the server that the command names, or else those of the settings here."""
    server = context.params.get("server")
    names = _names_there(server, context.params.get("token") or "") if server else _names_here()
    return [name for name in names if name.startswith(incomplete)]


def _names_here() -> Iterable[str]:
    from graphql_api.model_file import read_model_file, single_model
    from graphql_api.settings import Settings

    # Whatever is wrong with the settings is for the command itself to say.
    try:
        settings = Settings()
        if settings.models:
            return [declared.model.name for declared in read_model_file(Path(settings.models))]
        return [single_model(settings.endpoint, settings.codec, where="").model.name]
    except ValueError:
        return []


def _names_there(server: str, token: str) -> Iterable[str]:
    import asyncio

    from graphql_api.commands.client import operations
    from graphql_api.commands.client.remote import open_remote
    from graphql_api.commands.usage import Stopped

    async def ask() -> Any:
        async with asyncio.timeout(ASK_SECONDS), open_remote(server, token, longest_waits=()) as remote:
            return (await remote.ask(operations.MODELS))["models"]

    try:
        return [str(each["name"]) for each in asyncio.run(ask())]
    except (Stopped, TimeoutError):
        return []
