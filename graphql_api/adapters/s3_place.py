"""Places in S3, as settings and SageMaker name them."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Place:
    """A bucket, and a key or the beginning of keys in it."""

    bucket: str
    key: str

    @classmethod
    def parse(cls, url: str) -> S3Place:
        """Read `s3://bucket/key`. Raises ValueError."""
        parts = urlsplit(url)
        if parts.scheme != "s3" or not parts.netloc or parts.query or parts.fragment:
            raise ValueError(f"{url!r} is no place in S3, such as s3://bucket/prefix.")
        return cls(bucket=parts.netloc, key=parts.path.strip("/"))

    def below(self, name: str) -> S3Place:
        """The place of this name below the prefix."""
        return S3Place(bucket=self.bucket, key=f"{self.key}/{name}" if self.key else name)

    @property
    def url(self) -> str:
        """As `parse` reads it."""
        return f"s3://{self.bucket}/{self.key}"
