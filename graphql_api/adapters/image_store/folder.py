"""Images as files in a folder, served by the application itself.

A file is written beside the folders of the jobs and moved to its place when it is whole and on the disk, so that
whoever reads, or starts again after a crash, sees all of it or nothing.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from threading import Lock
from typing import TypeVar

from graphql_api.adapters.image_store.keys import checked_job_id, split_key
from graphql_api.adapters.image_store.signed_urls import FolderSigning
from graphql_api.domain.errors import ImageNotStored, ServiceUnavailable
from graphql_api.domain.ids import JobId

T = TypeVar("T")

_UNFINISHED = ".unfinished"
# Another process may be writing a file right now, but not for an hour.
_LEFTOVER_SECONDS = 3600


class FolderImageStore:
    """Images below `root`, each at its key. Several processes may share a folder. With `signing` URLs expire, which
    whoever serves the files has to see to."""

    def __init__(self, root: Path, *, public_url: str = "", signing: FolderSigning | None = None) -> None:
        self.root = root
        self.signing = signing
        self._public_url = public_url.rstrip("/")
        self._images = root / "images"
        self._unfinished = self._images / _UNFINISHED
        # Held while folders of jobs come and go: none is removed under a file that moves in, and nobody takes one for
        # durable that another thread has made but not synced yet.
        self._folders = Lock()

    async def put(self, key: str, body: bytes, media_type: str) -> None:
        """See ImageStore. The media type is not kept; whoever serves the file reads it from its first bytes."""
        path = self._path(key)
        try:
            await asyncio.to_thread(self._write, path, body)
        except OSError as error:
            raise ImageNotStored from error

    async def delete_job(self, job_id: JobId) -> None:
        """See ImageStore."""
        folder = self._folder(job_id)
        await _unless_unavailable(lambda: self._remove(_files(folder), {folder}))

    async def keys_of(self, job_id: JobId) -> Sequence[str]:
        """See ImageStore."""
        folder = self._folder(job_id)
        return await _unless_unavailable(lambda: [f"images/{job_id}/{path.name}" for path in sorted(_files(folder))])

    async def delete(self, keys: Sequence[str]) -> None:
        """See ImageStore."""
        paths = [self._path(key) for key in keys]
        await _unless_unavailable(lambda: self._remove(paths, {path.parent for path in paths}))

    async def url_for(self, key: str) -> str:
        """See ImageStore. Called for every event that shows an image, so a key is taken at its word here."""
        url = f"{self._public_url}/{key}"
        return url if self.signing is None else f"{url}?{self.signing.query_of(key)}"

    def prepare(self) -> None:
        """Make the folders, and remove what writers that died have left. Raises OSError."""
        _make_folder(self._unfinished)
        oldest = time.time() - _LEFTOVER_SECONDS
        for path in self._unfinished.iterdir():
            with suppress(FileNotFoundError):
                if path.stat().st_mtime < oldest:
                    path.unlink()

    def _write(self, path: Path, body: bytes) -> None:
        unfinished = self._unfinished / secrets.token_hex(16)
        try:
            with unfinished.open("xb") as file:
                file.write(body)
                file.flush()
                os.fsync(file.fileno())
            with self._folders:
                _make_folder(path.parent)
                unfinished.replace(path)
            _sync(path.parent)
        except OSError:
            with suppress(OSError):
                unfinished.unlink()
            raise

    def _remove(self, paths: Sequence[Path], folders: set[Path]) -> None:
        """Delete these files and, of their folders, those that are empty then."""
        for path in paths:
            path.unlink(missing_ok=True)
        for folder in folders:
            with self._folders, suppress(FileNotFoundError):
                _sync(folder)
                if not any(folder.iterdir()):
                    folder.rmdir()
                    _sync(self._images)

    def _folder(self, job_id: JobId) -> Path:
        return self._images / checked_job_id(job_id)

    def _path(self, key: str) -> Path:
        job_id, file_name = split_key(key)
        return self._images / job_id / file_name


@asynccontextmanager
async def open_folder_image_store(
    root: Path, *, public_url: str = "", signing: FolderSigning | None = None
) -> AsyncIterator[FolderImageStore]:
    """A folder, made when it is not there. Raises ServiceUnavailable when it cannot be used."""
    store = FolderImageStore(root, public_url=public_url, signing=signing)
    await _unless_unavailable(store.prepare)
    yield store


async def _unless_unavailable(work: Callable[[], T]) -> T:
    """Do the work in a thread; what the operating system refuses becomes ServiceUnavailable."""
    try:
        return await asyncio.to_thread(work)
    except OSError as error:
        raise ServiceUnavailable("The image store does not answer.") from error


def _make_folder(folder: Path) -> None:
    """Make a folder, and those that it is in, so that a crash does not lose them."""
    if folder.is_dir():
        return
    _make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    _sync(folder.parent)


def _sync(folder: Path) -> None:
    """Write the folder's list of files to the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _files(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except FileNotFoundError:
        return []
