"""One job and its images, wherever it runs."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterable
from typing import Protocol

from graphql_api.commands.client.text import nearest
from graphql_api.commands.client.views import JobView, Picture
from graphql_api.commands.usage import Exit, Stopped


class Generation(Protocol):
    """A job from its submission to its images. All raise Stopped."""

    on_lost: Callable[[float], None]
    """Told when a connection is lost, and in how many seconds there will be another."""

    def views(self) -> AsyncGenerator[JobView, None]:
        """The job, each time it has changed, to its end."""
        ...

    async def preview(self, view: JobView) -> bytes | None:
        """Its unfinished image, or None."""
        ...

    async def picture(self, picture: Picture) -> bytes:
        """The file of one of its images."""
        ...


def unknown_name(message: str, asked: str | None, known: Iterable[str]) -> Stopped:
    """A refusal of a name that nobody knows, with those that may have been meant."""
    return Stopped(f"{message} {nearest(asked or '', known)}".rstrip(), Exit.REFUSED)
