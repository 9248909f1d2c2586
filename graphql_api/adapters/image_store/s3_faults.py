"""What Amazon S3 answers when it does not do as it is told, and what an operator should do about it.

The log gets the code, never the service's own words: those name accounts.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping

from botocore.exceptions import (
    CredentialRetrievalError,
    NoCredentialsError,
    PartialCredentialsError,
    ProfileNotFound,
)

from graphql_api.adapters.aws import error_code, http_status
from graphql_api.domain.errors import ImageNotStored, ServiceUnavailable

logger = logging.getLogger(__name__)

DAMAGED = frozenset({"BadDigest", "InvalidDigest", "XAmzContentChecksumMismatch", "XAmzContentSHA256Mismatch"})
"""What arrived is not what was sent; it may arrive whole the next time."""

_HOPELESS: Mapping[str, str] = {
    "EntityTooLarge": "The file is larger than the store takes: ask the model for smaller images, or for JPEG.",
    "EntityTooSmall": "The store does not take so small a file.",
    "KeyTooLongError": "The store does not take keys of this length.",
    "MetadataTooLarge": "The store does not take the headers of this file.",
    "NotImplemented": "The store does not know conditional writes (If-None-Match: *) or SHA-256 checksums: "
    "use one that does.",
}

_QUIET = "Nothing needs to be done unless it stays so; then see the AWS Health Dashboard."
_PERMISSION = (
    "Allow the server's role s3:PutObject, s3:GetObject and s3:DeleteObject on the bucket's objects and s3:ListBucket "
    "on the bucket; where the bucket has a KMS key, kms:GenerateDataKey and kms:Decrypt too."
)
_CREDENTIALS = "Give the server valid AWS credentials, best by a role, which renews them."
_REGION = "Set AWS_REGION to the region of the bucket, and check what AWS_ENDPOINT_URL names."
_KMS = "Check the KMS key of the bucket: it must be enabled, and usable by the server's role."
_NETWORK = (
    "Check the network between the server and S3: DNS, the route or VPC endpoint, TLS, and what AWS_ENDPOINT_URL names."
)

_ADVICE: Mapping[str, str] = {
    "NoSuchBucket": "Make the bucket, or correct the name in TEXT2IMAGE_IMAGES.",
    "InvalidBucketName": "Correct the name of the bucket in TEXT2IMAGE_IMAGES.",
    "AccessDenied": _PERMISSION,
    "AllAccessDisabled": _PERMISSION,
    "ExpiredToken": _CREDENTIALS,
    "TokenRefreshRequired": _CREDENTIALS,
    "InvalidToken": _CREDENTIALS,
    "InvalidAccessKeyId": _CREDENTIALS,
    "SignatureDoesNotMatch": _CREDENTIALS,
    "RequestTimeTooSkewed": "Set the clock of the server; it is off by more than 15 minutes.",
    "PermanentRedirect": _REGION,
    "AuthorizationHeaderMalformed": _REGION,
    "IllegalLocationConstraintException": _REGION,
    "SlowDown": "Nothing needs to be done unless it stays so; then lower the number of workers.",
}


def unavailable(error: BaseException, bucket: str, doing: str) -> ServiceUnavailable:
    """What any fault means outside of a put: the request may be made again. Logged here."""
    _log(error, bucket, doing, _advice(error))
    return _away()


def put_failure(error: BaseException, bucket: str) -> ServiceUnavailable | ImageNotStored:
    """What a fault means for a file that was not stored: it may be put again when what is wrong has passed or was
    mended, or it will never be taken. Logged here."""
    code = error_code(error)
    if code in _HOPELESS:
        _log(error, bucket, "storing a file", _HOPELESS[code])
        return ImageNotStored()
    if code in DAMAGED:
        _log(error, bucket, "storing a file", "The file was damaged on its way time and again: check the network.")
        return ImageNotStored()
    return unavailable(error, bucket, "storing a file")


def undeleted(codes: Mapping[str, int], bucket: str) -> ServiceUnavailable:
    """What it means that some files were not deleted; `codes` says how many for which reason. Logged here."""
    for code, count in codes.items():
        logger.warning("bucket %s, deleting files: %s for %d. %s", bucket, code, count, _ADVICE.get(code, _QUIET))
    return _away()


def _away() -> ServiceUnavailable:
    return ServiceUnavailable("The image store does not answer.")


def _advice(error: BaseException) -> str:
    code, status = error_code(error), http_status(error)
    if code in _ADVICE:
        return _ADVICE[code]
    if code.startswith("KMS."):
        return _KMS
    if isinstance(error, NoCredentialsError | PartialCredentialsError | CredentialRetrievalError | ProfileNotFound):
        return _CREDENTIALS
    if status in (401, 403):
        return _PERMISSION
    if 300 <= status < 400:
        return _REGION
    if status == 0:
        return _NETWORK
    if status == 429 or status >= 500:
        return _QUIET
    return "This code is not known here; look it up under Error Responses in the Amazon S3 API Reference."


def _log(error: BaseException, bucket: str, doing: str, advice: str) -> None:
    logger.warning(
        "bucket %s, %s: %s (HTTP %s, request %s). %s",
        bucket,
        doing,
        error_code(error),
        http_status(error) or "none",
        _request_id(error),
        advice,
    )


def _request_id(error: BaseException) -> str:
    """What AWS Support asks for."""
    response = getattr(error, "response", None)
    metadata = response.get("ResponseMetadata", {}) if isinstance(response, dict) else {}
    return str(metadata.get("RequestId", "none"))
