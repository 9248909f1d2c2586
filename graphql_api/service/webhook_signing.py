"""Signatures of webhooks, as Standard Webhooks has them: https://www.standardwebhooks.com, version 1.0.0."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from datetime import datetime

from graphql_api.domain.ids import CallerId

MIN_SECRET_CHARS = 32
_PURPOSE = b"text2image webhook\0"


class WebhookSecrets:
    """The secrets of all callers. Each is derived from the master secret, so that none is stored, and nobody who knows
    their own can forge what another caller gets."""

    def __init__(self, master: str) -> None:
        """`master` is one secret, or two separated by a comma while it is replaced: messages are signed with both then,
        and callers are shown the first. Raises ValueError."""
        secrets = [secret.strip() for secret in master.split(",")]
        if len(secrets) > 2 or min(map(len, secrets)) < MIN_SECRET_CHARS:
            raise ValueError(
                f"TEXT2IMAGE_WEBHOOK_SECRET needs at least {MIN_SECRET_CHARS} characters; "
                "or two such secrets, separated by a comma."
            )
        self._masters = tuple(secret.encode() for secret in secrets)

    def secret_of(self, caller_id: CallerId) -> str:
        """The caller's secret as receivers configure it: `whsec_` and Base64."""
        return "whsec_" + base64.b64encode(_derived(self._masters[0], caller_id)).decode()

    def sign(self, caller_id: CallerId, message_id: str, timestamp: datetime, body: bytes) -> Mapping[str, str]:
        """The headers that vouch for a message to a caller: who sent it, when, and every byte of it."""
        seconds = str(int(timestamp.timestamp()))
        signed = f"{message_id}.{seconds}.".encode() + body
        signatures = (_hmac(_derived(master, caller_id), signed) for master in self._masters)
        return {
            "webhook-id": message_id,
            "webhook-timestamp": seconds,
            "webhook-signature": " ".join(f"v1,{base64.b64encode(signature).decode()}" for signature in signatures),
        }


def _derived(master: bytes, caller_id: CallerId) -> bytes:
    return _hmac(master, _PURPOSE + caller_id.encode())


def _hmac(key: bytes, message: bytes) -> bytes:
    return hmac.new(key, message, hashlib.sha256).digest()
