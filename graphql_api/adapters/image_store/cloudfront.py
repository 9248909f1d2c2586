"""Signed URLs of Amazon CloudFront, with a canned policy.

The form, and the rule that a policy is hashed with SHA-1 and signed with an RSA key of 2048 bits (PKCS #1 v1.5) or an
ECDSA key of 256 bits, are those of the CloudFront Developer Guide, "Create a signed URL using a canned policy" and
"Create key pairs for your signers".
"""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from graphql_api.adapters.image_store.signed_urls import Signed, end_of_hour

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

_KEY_ID = re.compile(r"[A-Za-z0-9]{1,64}")
_NO_PEM = (
    "The private key that signs URLs cannot be read: it must be PEM without a passphrase, from "
    "'-----BEGIN PRIVATE KEY-----' to its END line, such as `openssl genrsa 2048` makes."
)
_NO_KEY_OF_CLOUDFRONT = (
    "The private key that signs URLs is of a kind that CloudFront does not take: "
    "it must be RSA with 2048 bits, or ECDSA on the curve P-256 (prime256v1)."
)
_NO_KEY_ID = "The key ID that signs URLs must be the ID of a public key in CloudFront, such as K2JCJMDEHXQW5F."


@dataclass(frozen=True, slots=True, kw_only=True)
class UrlSigning:
    """A key pair whose public half CloudFront knows as `key_id`. `private_key` is PEM; its line breaks may be spelled
    `\\n`, as environment files have them. URLs are valid for at least `valid_seconds` when they are handed out."""

    key_id: str
    private_key: str = field(repr=False)
    valid_seconds: float


class CloudFrontUrls:
    """Signs the URLs below one origin. Equal keys, hours and key pairs give equal URLs, in every process."""

    def __init__(self, public_url: str, signing: UrlSigning) -> None:
        """Raises ValueError for a key that CloudFront would not take. Loading a key takes a moment of CPU."""
        from botocore.signers import CloudFrontSigner

        if not _KEY_ID.fullmatch(signing.key_id):
            raise ValueError(_NO_KEY_ID)
        if not signing.valid_seconds > 0:
            raise ValueError("Signed URLs must be valid for some seconds.")
        self._public_url = public_url.rstrip("/")
        self._valid_seconds = signing.valid_seconds
        self._signer = CloudFrontSigner(signing.key_id, _signature_with(signing.private_key))

    async def sign(self, keys: Sequence[str], *, at: float) -> Signed:
        """See UrlSigner. In a thread: an RSA signature takes 0.2 ms and more, in which OpenSSL lets others run."""
        hour_end = end_of_hour(at)
        expires_at = hour_end + math.ceil(self._valid_seconds)
        urls = await asyncio.to_thread(lambda: [self.url(key, expires_at=expires_at) for key in keys])
        return Signed(urls=urls, fresh_until=hour_end)

    def url(self, key: str, *, expires_at: int) -> str:
        """The signed URL of a key that ends at an instant of Unix time."""
        until = datetime.fromtimestamp(expires_at, UTC)
        return self._signer.generate_presigned_url(f"{self._public_url}/{key}", date_less_than=until)


def _signature_with(pem: str) -> Callable[[bytes], bytes]:
    """What signs a policy. Errors name no cause, since that could quote the key."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric import ec, rsa
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(pem.replace("\\n", "\n").strip().encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ValueError(_NO_PEM) from None
    match key:
        case rsa.RSAPrivateKey(key_size=2048):
            return _rsa_signature(key)
        case ec.EllipticCurvePrivateKey(curve=ec.SECP256R1()):
            return _ecdsa_signature(key)
        case _:
            raise ValueError(_NO_KEY_OF_CLOUDFRONT)


def _rsa_signature(key: RSAPrivateKey) -> Callable[[bytes], bytes]:
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
    from cryptography.hazmat.primitives.hashes import SHA1

    return lambda policy: key.sign(policy, PKCS1v15(), SHA1())


def _ecdsa_signature(key: EllipticCurvePrivateKey) -> Callable[[bytes], bytes]:
    from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
    from cryptography.hazmat.primitives.hashes import SHA1

    # Deterministic (RFC 6979), so that every process hands out the same URL.
    algorithm = ECDSA(SHA1(), deterministic_signing=True)
    return lambda policy: key.sign(policy, algorithm)
