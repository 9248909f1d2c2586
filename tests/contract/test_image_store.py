"""What every image store does. A new adapter is one more name in ADAPTERS and its `case` in `open_store`.

What a bucket does beyond that is in tests/aws/test_s3_image_store.py.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest

from graphql_api.adapters.aws import AwsOptions, open_aws
from graphql_api.adapters.image_store import open_image_store
from graphql_api.adapters.image_store.folder import FolderImageStore, open_folder_image_store
from graphql_api.adapters.image_store.signed_urls import FolderSigning
from graphql_api.domain.errors import ImageNotStored, ServiceUnavailable
from graphql_api.domain.ids import JobId, new_job_id
from graphql_api.ports import ImageStore

ADAPTERS = ("folder", "s3")

BODY = b"\xff\xd8\xff" + bytes(range(256)) * 40
JOB_ID = JobId("0199c0de-0000-7000-8000-000000000001")

NO_KEYS = [
    "",
    "images",
    "images/",
    f"images/{JOB_ID}",
    f"images/{JOB_ID}/",
    f"/images/{JOB_ID}/0.jpg",
    f"images//{JOB_ID}/0.jpg",
    f"images/{JOB_ID}/../0.jpg",
    f"images/{JOB_ID}/..",
    f"images/{JOB_ID}/.",
    f"images/{JOB_ID}/.hidden",
    "images/../0.jpg",
    "images/.unfinished/0.jpg",
    "images/not-a-job/0.jpg",
    f"images/{JOB_ID.upper()}/0.jpg",
    f"images\\{JOB_ID}\\0.jpg",
    f"images/{JOB_ID}/..\\0.jpg",
    f"images/{JOB_ID}/0.jpg\0",
    f"images/{JOB_ID}/0.jpg\n",
    f"images/{JOB_ID}/0%2e.jpg",
    f"images/{JOB_ID}/ö.jpg",
    f"images/{JOB_ID}/" + "x" * 129,
    f"other/{JOB_ID}/0.jpg",
    "/etc/passwd",
]


def open_store(adapter: str, root: Path, request: pytest.FixtureRequest) -> AbstractAsyncContextManager[ImageStore]:
    match adapter:
        case "folder":
            return open_image_store(f"file:{root}")
        case "s3":
            request.getfixturevalue("aws_environment")
            return open_new_bucket()
        case _:
            raise ValueError(adapter)


@asynccontextmanager
async def open_new_bucket() -> AsyncIterator[ImageStore]:
    bucket = f"images-{secrets.token_hex(8)}"
    async with open_aws(AwsOptions()) as aws:
        await (await aws.s3()).create_bucket(Bucket=bucket)
        async with open_image_store(f"s3:{bucket}", aws=aws) as opened:
            yield opened


@pytest.fixture(params=ADAPTERS)
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[ImageStore]:
    async with open_store(request.param, tmp_path / "data", request) as opened:
        yield opened


def a_key(job_id: JobId = JOB_ID, name: str = "0-0123456789abcdef.jpg") -> str:
    return f"images/{job_id}/{name}"


async def test_stored_files_are_listed_by_job(store: ImageStore) -> None:
    other = new_job_id()
    await store.put(a_key(), BODY, "image/jpeg")
    await store.put(a_key(name="0-0123456789abcdef-thumb.webp"), BODY, "image/webp")
    await store.put(a_key(other), BODY, "image/jpeg")

    assert set(await store.keys_of(JOB_ID)) == {a_key(), a_key(name="0-0123456789abcdef-thumb.webp")}
    assert await store.keys_of(other) == [a_key(other)]


async def test_a_job_without_files_has_no_keys(store: ImageStore) -> None:
    assert list(await store.keys_of(JOB_ID)) == []


async def test_the_same_file_may_be_stored_again(store: ImageStore) -> None:
    await store.put(a_key(), BODY, "image/jpeg")
    await store.put(a_key(), BODY, "image/jpeg")

    assert list(await store.keys_of(JOB_ID)) == [a_key()]


async def test_many_files_of_many_jobs_are_stored_at_once(store: ImageStore) -> None:
    jobs = [new_job_id() for _ in range(5)]
    keys = [a_key(job_id, f"{index}.jpg") for job_id in jobs for index in range(8)]
    await asyncio.gather(*(store.put(key, BODY, "image/jpeg") for key in keys * 2))

    listed = [key for job_id in jobs for key in await store.keys_of(job_id)]
    assert sorted(listed) == sorted(keys)


async def test_deleting_a_job_deletes_its_files_only(store: ImageStore) -> None:
    other = new_job_id()
    for index in range(3):
        await store.put(a_key(name=f"{index}.jpg"), BODY, "image/jpeg")
    await store.put(a_key(other), BODY, "image/jpeg")
    await store.delete_job(JOB_ID)

    assert list(await store.keys_of(JOB_ID)) == []
    assert list(await store.keys_of(other)) == [a_key(other)]


async def test_deleting_a_job_twice_or_without_files_does_nothing(store: ImageStore) -> None:
    await store.put(a_key(), BODY, "image/jpeg")
    await asyncio.gather(store.delete_job(JOB_ID), store.delete_job(JOB_ID), store.delete_job(new_job_id()))

    assert list(await store.keys_of(JOB_ID)) == []


async def test_single_files_are_deleted_and_missing_ones_passed_over(store: ImageStore) -> None:
    await store.put(a_key(name="0.jpg"), BODY, "image/jpeg")
    await store.put(a_key(name="1.jpg"), BODY, "image/jpeg")
    await store.delete([a_key(name="0.jpg"), a_key(name="7.jpg"), a_key(new_job_id())])
    await store.delete([])

    assert list(await store.keys_of(JOB_ID)) == [a_key(name="1.jpg")]


async def test_a_job_can_have_files_again_after_its_deletion(store: ImageStore) -> None:
    await store.put(a_key(), BODY, "image/jpeg")
    await store.delete_job(JOB_ID)
    await store.put(a_key(), BODY, "image/jpeg")

    assert list(await store.keys_of(JOB_ID)) == [a_key()]


async def test_storing_and_deleting_at_once_end_in_one_or_the_other(store: ImageStore) -> None:
    for _ in range(20):
        results = await asyncio.gather(
            store.put(a_key(), BODY, "image/jpeg"),
            store.delete([a_key()]),
            store.put(a_key(), BODY, "image/jpeg"),
            return_exceptions=True,
        )

        assert all(result is None or isinstance(result, ImageNotStored) for result in results)
    await store.put(a_key(), BODY, "image/jpeg")
    assert list(await store.keys_of(JOB_ID)) == [a_key()]


@pytest.mark.parametrize("key", NO_KEYS)
async def test_what_is_no_key_is_refused(store: ImageStore, key: str) -> None:
    with pytest.raises(ValueError, match="not the"):
        await store.put(key, BODY, "image/jpeg")
    with pytest.raises(ValueError, match="not the"):
        await store.delete([a_key(), key])


@pytest.mark.parametrize("job_id", ["", "..", ".", "/", ".unfinished", JOB_ID.upper(), f"{JOB_ID}/", "*"])
async def test_what_is_no_job_is_refused(store: ImageStore, job_id: str) -> None:
    with pytest.raises(ValueError, match="not the ID"):
        await store.delete_job(JobId(job_id))
    with pytest.raises(ValueError, match="not the ID"):
        await store.keys_of(JobId(job_id))


async def test_one_wrong_key_among_many_deletes_nothing(store: ImageStore) -> None:
    await store.put(a_key(), BODY, "image/jpeg")
    with pytest.raises(ValueError, match="not the key"):
        await store.delete([a_key(), "../secret"])

    assert list(await store.keys_of(JOB_ID)) == [a_key()]


async def test_urls_end_in_the_key(store: ImageStore) -> None:
    assert urlsplit(await store.url_for(a_key())).path.endswith(f"/{a_key()}")


# What a folder does beyond that


@pytest.fixture
async def folder(tmp_path: Path) -> AsyncIterator[FolderImageStore]:
    async with open_folder_image_store(tmp_path / "some" / "where") as opened:
        yield opened


def unfinished_files(root: Path) -> list[Path]:
    return list((root / "images" / ".unfinished").iterdir())


async def test_a_file_is_where_its_key_says(folder: FolderImageStore, tmp_path: Path) -> None:
    await folder.put(a_key(), BODY, "image/jpeg")

    assert folder.root == tmp_path / "some" / "where"
    assert (folder.root / a_key()).read_bytes() == BODY
    assert unfinished_files(folder.root) == []


async def test_urls_are_relative_to_the_origin_unless_told_otherwise(tmp_path: Path) -> None:
    async with open_image_store(f"file:{tmp_path}") as here:
        assert await here.url_for(a_key()) == f"/{a_key()}"
    async with open_image_store(f"file:{tmp_path}", public_url="https://img.example/shop/") as there:
        assert await there.url_for(a_key()) == f"https://img.example/shop/{a_key()}"


async def test_urls_of_a_folder_are_signed_on_demand(tmp_path: Path) -> None:
    signing = FolderSigning("s" * 32, valid_seconds=60)
    async with open_image_store(f"file:{tmp_path}", public_url="https://img.example/", folder_signing=signing) as store:
        url = urlsplit(await store.url_for(a_key()))
        assert isinstance(store, FolderImageStore)
        assert store.signing is signing
    given = dict(parse_qsl(url.query))

    assert (url.netloc, url.path) == ("img.example", f"/{a_key()}")
    assert signing.seconds_left(a_key(), expires=given["expires"], signature=given["signature"])


async def test_secret_of_a_folder_is_refused_for_a_bucket() -> None:
    signing = FolderSigning("s" * 32, valid_seconds=60)
    async with open_aws(AwsOptions()) as aws:
        with pytest.raises(ValueError, match="TEXT2IMAGE_URL_SECRET"):
            async with open_image_store("s3:some-bucket", aws=aws, folder_signing=signing):
                pass


async def test_files_outlive_the_store(tmp_path: Path) -> None:
    async with open_image_store(f"file:{tmp_path}") as store:
        await store.put(a_key(), BODY, "image/jpeg")
    async with open_image_store(f"file:{tmp_path}") as store:
        assert list(await store.keys_of(JOB_ID)) == [a_key()]


async def test_folders_of_jobs_go_with_their_last_file(folder: FolderImageStore) -> None:
    await folder.put(a_key(name="0.jpg"), BODY, "image/jpeg")
    await folder.put(a_key(name="1.jpg"), BODY, "image/jpeg")
    await folder.delete([a_key(name="0.jpg")])
    assert (folder.root / "images" / JOB_ID).is_dir()
    await folder.delete([a_key(name="1.jpg")])

    assert not (folder.root / "images" / JOB_ID).exists()


async def test_an_empty_folder_of_a_job_is_deleted_with_it(folder: FolderImageStore) -> None:
    (folder.root / "images" / JOB_ID).mkdir()
    await folder.delete_job(JOB_ID)

    assert not (folder.root / "images" / JOB_ID).exists()


async def test_old_leftovers_are_removed_and_files_being_written_are_not(folder: FolderImageStore) -> None:
    old, new = (folder.root / "images" / ".unfinished" / name for name in ("old", "new"))
    for path in (old, new):
        path.write_bytes(b"half")
    two_hours_ago = time.time() - 7200
    os.utime(old, (two_hours_ago, two_hours_ago))
    async with open_folder_image_store(folder.root):
        assert unfinished_files(folder.root) == [new]


async def test_a_folder_that_went_away_refuses_files(folder: FolderImageStore) -> None:
    (folder.root / "images" / ".unfinished").rmdir()
    (folder.root / "images").rmdir()
    (folder.root / "images").write_bytes(b"a file")
    with pytest.raises(ImageNotStored) as refusal:
        await folder.put(a_key(), BODY, "image/jpeg")

    assert isinstance(refusal.value.__cause__, NotADirectoryError)
    assert refusal.value.retryable
    assert str(folder.root) not in refusal.value.message


async def test_a_folder_that_went_away_is_not_taken_for_an_empty_one(folder: FolderImageStore) -> None:
    (folder.root / "images" / ".unfinished").rmdir()
    (folder.root / "images").rmdir()
    (folder.root / "images").write_bytes(b"a file")
    with pytest.raises(ServiceUnavailable):
        await folder.keys_of(JOB_ID)
    with pytest.raises(ServiceUnavailable):
        await folder.delete_job(JOB_ID)
    with pytest.raises(ServiceUnavailable):
        await folder.delete([a_key()])


async def test_a_file_that_cannot_move_to_its_place_leaves_nothing_behind(folder: FolderImageStore) -> None:
    (folder.root / a_key()).mkdir(parents=True)
    with pytest.raises(ImageNotStored) as refusal:
        await folder.put(a_key(), BODY, "image/jpeg")

    assert isinstance(refusal.value.__cause__, IsADirectoryError)
    assert unfinished_files(folder.root) == []


PUT_WITH_LITTLE_ROOM = f"""
import asyncio, resource, sys
from pathlib import Path
from graphql_api.adapters.image_store.folder import open_folder_image_store
from graphql_api.adapters.image_store.signed_urls import FolderSigning
from graphql_api.domain.errors import ImageNotStored

async def main():
    async with open_folder_image_store(Path(sys.argv[1])) as store:
        await store.put({a_key(name="small.jpg")!r}, bytes(1000), "image/jpeg")
        resource.setrlimit(resource.RLIMIT_FSIZE, (5000, resource.RLIM_INFINITY))
        try:
            await store.put({a_key(name="large.jpg")!r}, bytes(9000), "image/jpeg")
        except ImageNotStored as error:
            sys.exit(f"{{type(error).__name__}}: {{error.__cause__.strerror}}")

asyncio.run(main())
"""


def test_a_full_disk_refuses_the_file_and_leaves_nothing_of_it(tmp_path: Path) -> None:
    process = subprocess.run(
        [sys.executable, "-c", PUT_WITH_LITTLE_ROOM, str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
    )

    assert process.stderr.strip() == "ImageNotStored: File too large"
    assert [path.name for path in (tmp_path / "images" / JOB_ID).iterdir()] == ["small.jpg"]
    assert unfinished_files(tmp_path) == []


async def test_a_folder_that_cannot_be_made_is_told_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ServiceUnavailable):
        async with open_image_store(f"file:{tmp_path}/file/images"):
            pass


@pytest.mark.parametrize("url", ["", "folder", "/tmp/x", "file:", "file://host/path", "file:a\0b", "ftp://host/images"])
async def test_a_url_that_names_no_store_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="file:"):
        async with open_image_store(url):
            pass


@pytest.mark.parametrize("prefix", ["file:", "file://"])
async def test_folders_are_named_with_one_slash_or_three(prefix: str, tmp_path: Path) -> None:
    async with open_image_store(f"{prefix}{tmp_path}/with space & ü") as store:
        await store.put(a_key(), BODY, "image/jpeg")

    assert (tmp_path / "with space & ü" / a_key()).is_file()


async def test_a_relative_folder_is_below_the_current_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    async with open_image_store("file:data") as store:
        await store.put(a_key(), BODY, "image/jpeg")

    assert (tmp_path / "data" / a_key()).is_file()
