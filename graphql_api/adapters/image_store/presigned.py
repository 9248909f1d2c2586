"""Presigned URLs of Amazon S3 (Signature Version 4), for stores without CloudFront."""

from __future__ import annotations

import asyncio
import math
from collections.abc import MutableMapping, Sequence
from typing import TYPE_CHECKING, Any

from graphql_api.adapters.image_store.s3_faults import unavailable
from graphql_api.adapters.image_store.signed_urls import HOUR_SECONDS, Signed, end_of_hour
from graphql_api.adapters.sdk_errors import SDK_ERRORS

if TYPE_CHECKING:
    from types_aiobotocore_s3 import S3Client

LONGEST_SECONDS = 7 * 24 * 3600
"""The longest life of a presigned URL: Amazon S3 API Reference, "Authenticating Requests: Using Query Parameters"."""

_TEMPORARY_SECONDS = 300


class PresignedUrls:
    """Signs URLs of the objects in a bucket.

    A URL ends with the credentials that signed it, even before its time. The SDK renews those of a role 10 minutes
    before their end at the latest, so that URLs signed by them are handed out for 5 minutes only, and live for at
    least 5 minutes more. Where that is too short, use CloudFront.
    """

    def __init__(self, client: S3Client, bucket: str, *, valid_seconds: float) -> None:
        """Raises ValueError when the URLs would have to be valid for longer than S3 allows."""
        if not 0 < valid_seconds <= LONGEST_SECONDS - HOUR_SECONDS:
            raise ValueError(f"Presigned URLs can be valid for 1 to {LONGEST_SECONDS - HOUR_SECONDS} s.")
        self._client = client
        self._bucket = bucket
        self._valid_seconds = valid_seconds
        client.meta.events.register("before-parameter-build.s3.GetObject", _stay_in_region, _unique_id("region"))
        # The stubs know of no event whose handlers answer; this is one.
        client.meta.events.register("choose-signer.s3.GetObject", _sign_with_version_4, _unique_id("version-4"))  # type: ignore[arg-type]

    async def sign(self, keys: Sequence[str], *, at: float) -> Signed:
        """See UrlSigner. Raises ServiceUnavailable when there are no credentials.

        On the event loop: the SDK signs in Python, where a thread would only compete for the interpreter. A URL takes
        0.2 ms, and others get their turn behind each.
        """
        hour_end = end_of_hour(at)
        seconds = min(math.ceil(hour_end + self._valid_seconds - at), LONGEST_SECONDS)
        urls = []
        for key in keys:
            urls.append(await self._presign(key, seconds))
            await asyncio.sleep(0)
        is_temporary = any("X-Amz-Security-Token=" in url for url in urls)
        return Signed(urls=urls, fresh_until=min(hour_end, at + _TEMPORARY_SECONDS) if is_temporary else hour_end)

    async def _presign(self, key: str, seconds: int) -> str:
        try:
            return await self._client.generate_presigned_url(
                "get_object", Params={"Bucket": self._bucket, "Key": key}, ExpiresIn=seconds
            )
        except SDK_ERRORS as error:
            raise unavailable(error, self._bucket, "signing a URL") from error


def _unique_id(name: str) -> str:
    # The client is shared: what is registered again under its ID is registered once.
    return f"text2image-presigned-{name}"


def _stay_in_region(context: MutableMapping[str, Any], **_: Any) -> None:
    """Presigned URLs of the SDK name s3.amazonaws.com, which redirects to the bucket's region for hours after a bucket
    was made; a signature does not survive that."""
    context["use_global_endpoint"] = False


def _sign_with_version_4(signature_version: str, **_: Any) -> str | None:
    """In old regions the SDK presigns with Signature Version 2, which S3 refuses for objects under a KMS key."""
    return "s3v4-query" if signature_version.endswith("-query") else None
