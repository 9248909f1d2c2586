"""Images in an Amazon S3 bucket, served by CloudFront or by S3 itself.

How long files are kept is a matter of the service and of the bucket's lifecycle rules, not of this module.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

from graphql_api.adapters.aws import Aws, error_code, http_status
from graphql_api.adapters.image_store.cloudfront import CloudFrontUrls, UrlSigning
from graphql_api.adapters.image_store.keys import checked_job_id, split_key
from graphql_api.adapters.image_store.presigned import PresignedUrls
from graphql_api.adapters.image_store.s3_faults import DAMAGED, put_failure, unavailable, undeleted
from graphql_api.adapters.image_store.signed_urls import PRESIGNED_SECONDS, SignedUrls, UrlSigner
from graphql_api.adapters.sdk_errors import SDK_ERRORS
from graphql_api.domain.ids import JobId

if TYPE_CHECKING:
    from botocore.awsrequest import AWSRequest
    from types_aiobotocore_s3 import S3Client

CACHE_CONTROL = "public, max-age=31536000, immutable"
"""A key holds a part of the hash of its file, so that what is behind it never changes."""

MOST_KEYS_A_REQUEST = 1000
"""What ListObjectsV2 answers and DeleteObjects takes at most: Amazon S3 API Reference."""

_MOST_TRIES = 4
_FIRST_PAUSE_SECONDS = 0.05
_LARGE_BYTES = 64 * 1024
_CHECKSUM_HEADER = "x-amz-checksum-sha256"


class Urls(Protocol):
    """Where files are fetched."""

    async def url_for(self, key: str) -> str:
        """The URL of a key."""
        ...


class PlainUrls:
    """URLs below an origin that hands out every file to anybody who knows its key."""

    def __init__(self, public_url: str) -> None:
        self._public_url = public_url.rstrip("/")

    async def url_for(self, key: str) -> str:
        """The URL of a key."""
        return f"{self._public_url}/{key}"


class S3ImageStore:
    """Images in a bucket, each at its key. Any number of processes may share a bucket."""

    def __init__(self, client: S3Client, bucket: str, urls: Urls, *, keys_a_request: int = MOST_KEYS_A_REQUEST) -> None:
        self._client = client
        self._bucket = bucket
        self._urls = urls
        self._keys_a_request = keys_a_request
        client.meta.events.register("before-sign.s3.PutObject", _leave_body_unsigned, "text2image-unsigned-body")

    async def put(self, key: str, body: bytes, media_type: str) -> None:
        """See ImageStore. Raises ServiceUnavailable for whatever may pass or can be mended; ImageNotStored is final."""
        split_key(key)
        checksum = await _checksum(body)
        pause = _FIRST_PAUSE_SECONDS
        for tries_left in reversed(range(_MOST_TRIES)):
            try:
                await self._put(key, body, media_type, checksum)
                return
            except SDK_ERRORS as error:
                if http_status(error) == 412:
                    # It is there already, and its key holds the hash of its content.
                    return
                if not tries_left or not _deserves_another_try(error):
                    raise put_failure(error, self._bucket) from error
            await asyncio.sleep(random.uniform(pause, 2 * pause))
            pause *= 2

    async def delete_job(self, job_id: JobId) -> None:
        """See ImageStore. Deletes whatever is below the prefix of the job."""
        await self._delete(await self._listed(job_id))

    async def keys_of(self, job_id: JobId) -> Sequence[str]:
        """See ImageStore. What others have put there under names that are no keys is left out."""
        return [key for key in await self._listed(job_id) if _is_key(key)]

    async def delete(self, keys: Sequence[str]) -> None:
        """See ImageStore."""
        for key in keys:
            split_key(key)
        await self._delete(keys)

    async def url_for(self, key: str) -> str:
        """See ImageStore. Called for every event that shows an image, so a key is taken at its word here."""
        return await self._urls.url_for(key)

    async def _put(self, key: str, body: bytes, media_type: str, checksum: str) -> None:
        await self._client.put_object(
            Bucket=self._bucket,
            Key=key,
            Body=body,
            ContentType=media_type,
            CacheControl=CACHE_CONTROL,
            ContentDisposition="inline",
            ChecksumAlgorithm="SHA256",
            ChecksumSHA256=checksum,
            IfNoneMatch="*",
        )

    async def _listed(self, job_id: JobId) -> Sequence[str]:
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket,
            Prefix=f"images/{checked_job_id(job_id)}/",
            PaginationConfig={"PageSize": self._keys_a_request},
        )
        try:
            return [listed["Key"] async for page in pages for listed in page.get("Contents", ())]
        except SDK_ERRORS as error:
            raise unavailable(error, self._bucket, "listing files") from error

    async def _delete(self, keys: Sequence[str]) -> None:
        codes: Counter[str] = Counter()
        for batch in _batches(keys, self._keys_a_request):
            try:
                answer = await self._client.delete_objects(
                    Bucket=self._bucket, Delete={"Objects": [{"Key": key} for key in batch], "Quiet": True}
                )
            except SDK_ERRORS as error:
                raise unavailable(error, self._bucket, "deleting files") from error
            # The answer is 200 even when no file was deleted.
            codes.update(refused.get("Code", "unknown") for refused in answer.get("Errors", ()))
        if codes:
            raise undeleted(codes, self._bucket)


@asynccontextmanager
async def open_s3_image_store(
    bucket: str,
    *,
    aws: Aws,
    public_url: str = "",
    signing: UrlSigning | None = None,
    presigned_seconds: float = PRESIGNED_SECONDS,
    clock: Callable[[], float] = time.time,
) -> AsyncIterator[S3ImageStore]:
    """A bucket. It is not looked at here: a server that starts while S3 is away serves as soon as it is back.

    URLs are `public_url/key`, signed when there is `signing`; without `public_url`, they are presigned URLs of S3.
    Raises ValueError for URLs that cannot be made, ServiceUnavailable when the SDK cannot be used.
    """
    try:
        client = await aws.s3()
    except SDK_ERRORS as error:
        raise unavailable(error, bucket, "opening the store") from error
    async with AsyncExitStack() as stack:
        if public_url and signing is None:
            yield S3ImageStore(client, bucket, PlainUrls(_checked_url(public_url)))
            return
        signer = await _signer(client, bucket, public_url, signing, presigned_seconds)
        urls = SignedUrls(signer, clock=clock)
        stack.push_async_callback(urls.close)
        yield S3ImageStore(client, bucket, urls)


async def _signer(
    client: S3Client, bucket: str, public_url: str, signing: UrlSigning | None, presigned_seconds: float
) -> UrlSigner:
    if signing is None:
        return PresignedUrls(client, bucket, valid_seconds=presigned_seconds)
    if not public_url:
        raise ValueError("URLs are signed for CloudFront: set the public URL to https://<its domain>.")
    return await asyncio.to_thread(CloudFrontUrls, _checked_url(public_url), signing)


def _checked_url(public_url: str) -> str:
    parts = urlsplit(public_url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise ValueError("The public URL of images in S3 must be absolute, such as https://img.example.org.")
    return public_url


async def _checksum(body: bytes) -> str:
    """The SHA-256 as S3 spells it. A large body is hashed in a thread, where the interpreter is not held."""
    if len(body) < _LARGE_BYTES:
        digest = hashlib.sha256(body)
    else:
        digest = await asyncio.to_thread(hashlib.sha256, body)
    return base64.b64encode(digest.digest()).decode()


def _deserves_another_try(error: BaseException) -> bool:
    """Whether another put or a delete of the key was in the way (409), or the file was damaged. Faults of the service
    and of the network were met with another try by the client itself."""
    return http_status(error) == 409 or error_code(error) in DAMAGED


def _leave_body_unsigned(request: AWSRequest, **_: Any) -> None:
    """Tell the signer of the checksum that the request has. Over TLS it does not hash the body once more then, which
    would be on the event loop; it finds by itself only the checksums that the SDK has computed."""
    if _CHECKSUM_HEADER in request.headers:
        algorithm = {"algorithm": "sha256", "in": "header", "name": _CHECKSUM_HEADER}
        request.context.setdefault("checksum", {})["request_algorithm"] = algorithm


def _is_key(text: str) -> bool:
    try:
        split_key(text)
    except ValueError:
        return False
    return True


def _batches(keys: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    for start in range(0, len(keys), size):
        yield keys[start : start + size]
