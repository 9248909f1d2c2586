"""The endpoints that there are."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from graphql_api.sagemaker_local.containers import FAMILIES

ACCOUNT = "123456789012"
VARIANT = "AllTraffic"

_NAME = re.compile(r"[A-Za-z0-9](-*[A-Za-z0-9]){0,62}")


class EndpointKind(StrEnum):
    """How an endpoint is invoked. As on AWS, one of kind ASYNC takes asynchronous invocations only, others none."""

    REAL_TIME = "real-time"
    STREAM = "stream"
    ASYNC = "async"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredEndpoint:
    """An endpoint: what it is called, which model family its container speaks, and how it is invoked."""

    name: str
    family: str
    kind: EndpointKind = EndpointKind.REAL_TIME

    @classmethod
    def parse(cls, text: str) -> DeclaredEndpoint:
        """Read `<name>=<family>` or `<name>=<family>:<kind>`. Raises ValueError."""
        name, equals, rest = text.partition("=")
        family, colon, kind = rest.partition(":")
        if not equals:
            raise ValueError(f"{text!r} is not <name>=<model family>[:<kind>], such as sd=jumpstart-sd:stream.")
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name!r} is no name of an endpoint: up to 63 letters, digits and single hyphens.")
        if family not in FAMILIES:
            raise ValueError(f"{family!r} is no model family; known are {', '.join(FAMILIES)}.")
        if colon and kind not in list(EndpointKind):
            raise ValueError(f"{kind!r} is no kind of endpoint; known are {', '.join(EndpointKind)}.")
        return cls(name=name, family=family, kind=EndpointKind(kind) if colon else EndpointKind.REAL_TIME)

    def arn(self, region: str) -> str:
        """As AWS spells it."""
        return f"arn:aws:sagemaker:{region}:{ACCOUNT}:endpoint/{self.name.lower()}"
