"""Where finished images live, chosen by the scheme of a URL."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from graphql_api.adapters.image_store.folder import open_folder_image_store
from graphql_api.ports import ImageStore


@asynccontextmanager
async def open_image_store(url: str, *, public_url: str = "") -> AsyncIterator[ImageStore]:
    """The image store that a URL names; `file:<path>` is a folder, which is made when it is not there.

    Files are fetched from `public_url`, and from the origin of the API when it is empty. Raises ValueError when the URL
    names no store, ServiceUnavailable when the store cannot be used.
    """
    scheme, _, rest = url.partition(":")
    match scheme:
        case "file":
            async with open_folder_image_store(_folder(rest), public_url=public_url) as store:
                yield store
        case _:
            raise ValueError(f"An image store is file:<path>, not {scheme}:.")


def _folder(rest: str) -> Path:
    """`file:relative`, `file:/absolute` and `file:///absolute` name folders; `file://host/path` does not."""
    path = rest.removeprefix("//") if rest.startswith("///") else rest
    if not path or path.startswith("//") or "\0" in path:
        raise ValueError("file: needs the path of a folder on this machine.")
    return Path(path)
