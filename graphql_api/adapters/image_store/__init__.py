"""Where finished images live, chosen by the scheme of a URL."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from graphql_api.adapters.aws import Aws
from graphql_api.adapters.image_store.cloudfront import UrlSigning
from graphql_api.adapters.image_store.folder import open_folder_image_store
from graphql_api.adapters.image_store.signed_urls import PRESIGNED_SECONDS, FolderSigning
from graphql_api.ports import ImageStore

# Amazon S3 User Guide, "General purpose bucket naming rules".
# Directory buckets (`...--x-s3`) are signed for in another way.
_BUCKET = re.compile(r"(?!.*--x-s3)[a-z0-9](?:[a-z0-9-]|\.(?!\.)){1,61}[a-z0-9]")
_IP_ADDRESS = re.compile(r"[0-9]+(\.[0-9]+){3}")


@asynccontextmanager
async def open_image_store(
    url: str,
    *,
    public_url: str = "",
    aws: Aws | None = None,
    signing: UrlSigning | None = None,
    presigned_seconds: float = PRESIGNED_SECONDS,
    folder_signing: FolderSigning | None = None,
) -> AsyncIterator[ImageStore]:
    """The image store that a URL names: `file:<path>` is a folder, which is made when it is not there; `s3:<bucket>` is
    a bucket, which is not.

    Files are fetched from `public_url`. When it is empty, those in a folder are fetched from the origin of the API, and
    those in a bucket by presigned URLs, valid for at least `presigned_seconds`. With `signing`, the URLs below
    `public_url` are signed for CloudFront; that needs a bucket, and so does `aws`. With `folder_signing`, those of a
    folder are signed for whoever serves it; that needs a folder.

    Raises ValueError when the URL names no store or the URLs of files cannot be made, ServiceUnavailable when the store
    cannot be used.
    """
    scheme, _, rest = url.partition(":")
    match scheme:
        case "file":
            if signing is not None:
                raise ValueError("file: has no signed URLs; they need s3:<bucket> behind CloudFront.")
            async with open_folder_image_store(_folder(rest), public_url=public_url, signing=folder_signing) as store:
                yield store
        case "s3":
            bucket = _bucket(rest)
            if aws is None:
                raise ValueError("s3: needs the clients of AWS.")
            if folder_signing is not None:
                raise ValueError("TEXT2IMAGE_URL_SECRET signs the URLs of a folder; s3: has presigned ones.")
            from graphql_api.adapters.image_store.s3 import open_s3_image_store

            async with open_s3_image_store(
                bucket, aws=aws, public_url=public_url, signing=signing, presigned_seconds=presigned_seconds
            ) as bucket_store:
                yield bucket_store
        case _:
            raise ValueError(f"An image store is file:<path> or s3:<bucket>, not {scheme}:.")


def _folder(rest: str) -> Path:
    """`file:relative`, `file:/absolute` and `file:///absolute` name folders; `file://host/path` does not."""
    path = rest.removeprefix("//") if rest.startswith("///") else rest
    if not path or path.startswith("//") or "\0" in path:
        raise ValueError("file: needs the path of a folder on this machine.")
    return Path(path)


def _bucket(rest: str) -> str:
    """`s3:bucket` and `s3://bucket` name a bucket. Keys begin with `images/` everywhere, so there is no prefix."""
    bucket, separator, _ = rest.removeprefix("//").partition("/")
    if separator:
        raise ValueError(f"s3: takes a whole bucket, without a path behind it: s3:{bucket}.")
    if not _BUCKET.fullmatch(bucket) or _IP_ADDRESS.fullmatch(bucket):
        raise ValueError(
            "s3: needs the name of a bucket, such as s3:my-images: "
            "3 to 63 lower case letters, digits, dots and hyphens, and no directory bucket."
        )
    return bucket
