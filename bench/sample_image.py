"""An image of a job that nobody has drawn."""

from __future__ import annotations

from graphql_api.domain.generation import ImageFormat
from graphql_api.domain.job import Job, StoredImage


def sample_image(job: Job) -> StoredImage:
    """The record of the only image of a job."""
    return StoredImage(
        index=0,
        key=f"images/{job.id}/0-0123456789abcdef.jpg",
        thumbnail_key=f"images/{job.id}/0-0123456789abcdef.thumbnail.webp",
        format=ImageFormat.JPEG,
        width=job.parameters.width,
        height=job.parameters.height,
        size_bytes=100_000,
        sha256="0" * 64,
        blur_hash="LEHV6nWB2yk8pyo0adR*.7kCMdnj",
        seed=job.parameters.seed,
    )
