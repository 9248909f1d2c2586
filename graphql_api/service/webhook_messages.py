"""What webhooks are told of a job, as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import urlsplit

from graphql_api.domain.ids import global_id
from graphql_api.domain.job import Job, StoredImage
from graphql_api.domain.webhook import Delivery
from graphql_api.ports import ImageStore
from graphql_api.service.costs import dollars


class WebhookMessages:
    """Writes messages. Names and values are those of the GraphQL schema; the prompt is left out, since receivers may be
    anybody's, and have the job's `reference`."""

    def __init__(self, images: ImageStore, *, origin: str = "") -> None:
        """`origin` is put before URLs of images that are relative to it; without one they stay so."""
        self._images = images
        self._origin = origin.rstrip("/")

    async def body_of(self, delivery: Delivery, job: Job) -> bytes:
        """The body of a request. URLs in it are as fresh as the call. Raises ServiceUnavailable when they cannot be
        made."""
        message = {
            "type": delivery.event.value.lower().replace("_", ".", 1),
            "timestamp": _instant(job.changed_at),
            "data": await self._data(job),
        }
        return json.dumps(message, separators=(",", ":")).encode()

    async def _data(self, job: Job) -> Mapping[str, object]:
        parameters, failure = job.parameters, job.failure
        return {
            "id": global_id("GenerationJob", job.id),
            "revision": job.revision,
            "status": job.status.value,
            "reference": job.reference,
            "createdAt": _instant(job.created_at),
            "startedAt": _maybe_instant(job.started_at),
            "finishedAt": _maybe_instant(job.finished_at),
            "model": job.model_name,
            "seed": parameters.seed,
            "width": parameters.width,
            "height": parameters.height,
            "steps": parameters.steps,
            "count": parameters.count,
            "images": [await self._image(image) for image in job.images],
            "failure": None
            if failure is None
            else {"code": failure.code.value, "message": failure.message, "retryable": failure.retryable},
            "cost": dollars(job.cost),
        }

    async def _image(self, image: StoredImage) -> Mapping[str, object]:
        return {
            "url": await self._url(image.key),
            "thumbnailUrl": await self._url(image.thumbnail_key),
            "width": image.width,
            "height": image.height,
            "format": image.format.value,
            "sha256": image.sha256,
            "seed": image.seed,
            "blurHash": image.blur_hash,
        }

    async def _url(self, key: str) -> str:
        url = await self._images.url_for(key)
        return url if urlsplit(url).scheme else self._origin + url


def _instant(value: datetime) -> str:
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _maybe_instant(value: datetime | None) -> str | None:
    return None if value is None else _instant(value)
