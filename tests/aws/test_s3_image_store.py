"""What a bucket does beyond the contract of image stores."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import logging
import re
import secrets
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from botocore.exceptions import BotoCoreError, ClientError
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from types_aiobotocore_s3 import S3Client

from graphql_api.adapters.aws import Aws, AwsOptions, open_aws
from graphql_api.adapters.image_store import open_image_store
from graphql_api.adapters.image_store.cloudfront import UrlSigning
from graphql_api.adapters.image_store.presigned import LONGEST_SECONDS
from graphql_api.adapters.image_store.s3 import PlainUrls, S3ImageStore, open_s3_image_store
from graphql_api.domain.errors import ImageNotStored, ServiceUnavailable
from graphql_api.domain.ids import JobId
from tests.clients.faulty_proxy import Cut, Fault, FaultyProxy, Gate, s3_error
from tests.clients.moto import ACCOUNT, MotoServer

BODY = b"\xff\xd8\xff" + bytes(range(256)) * 40
LARGE_BODY = bytes(range(256)) * 12_000
JOB_ID = JobId("0199c0de-0000-7000-8000-000000000001")
KEY = f"images/{JOB_ID}/0-0123456789abcdef.jpg"
ORIGIN = "https://d111111abcdef8.cloudfront.net"
PUT = re.compile(r"/images/")
NOON = 1_800_014_400.0


@pytest.fixture
async def aws(aws_environment: MotoServer) -> AsyncIterator[Aws]:
    async with open_aws(AwsOptions()) as opened:
        yield opened


@pytest.fixture
async def s3(aws: Aws) -> S3Client:
    return await aws.s3()


@pytest.fixture
async def bucket(s3: S3Client) -> str:
    name = f"images-{secrets.token_hex(8)}"
    await s3.create_bucket(Bucket=name)
    return name


@pytest.fixture
async def store(aws: Aws, bucket: str) -> AsyncIterator[S3ImageStore]:
    async with open_s3_image_store(bucket, aws=aws, public_url=ORIGIN) as opened:
        yield opened


@pytest.fixture
async def proxy(moto: MotoServer) -> AsyncIterator[FaultyProxy]:
    async with FaultyProxy(moto.origin) as opened:
        yield opened


@pytest.fixture
async def far_store(bucket: str, proxy: FaultyProxy, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[S3ImageStore]:
    """The same bucket, seen through the proxy."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.origin)
    async with open_aws(AwsOptions(read_seconds=2)) as aws, open_s3_image_store(bucket, aws=aws) as opened:
        yield opened


@asynccontextmanager
async def open_elsewhere(bucket: str, **options: Any) -> AsyncIterator[S3ImageStore]:
    """A store with a session of its own, which sees the environment as it is now."""
    async with open_aws(AwsOptions()) as aws, open_s3_image_store(bucket, aws=aws, **options) as opened:
        yield opened


def keys_of(count: int) -> list[str]:
    return [f"images/{JOB_ID}/{number}-0123456789abcdef.jpg" for number in range(count)]


def warning_of(caplog: pytest.LogCaptureFixture) -> str:
    """The one line that the store has logged."""
    [record] = [each for each in caplog.records if each.name.startswith("graphql_api")]
    assert record.levelno == logging.WARNING
    return record.getMessage()


# What is stored


@pytest.mark.parametrize("body", [BODY, LARGE_BODY, b""], ids=["small", "large", "empty"])
async def test_a_file_is_stored_with_all_that_a_browser_and_an_auditor_need(
    store: S3ImageStore, s3: S3Client, bucket: str, body: bytes
) -> None:
    await store.put(KEY, body, "image/jpeg")
    stored = await s3.get_object(Bucket=bucket, Key=KEY, ChecksumMode="ENABLED")

    assert await stored["Body"].read() == body
    assert stored["ContentType"] == "image/jpeg"
    assert stored["CacheControl"] == "public, max-age=31536000, immutable"
    assert stored["ContentDisposition"] == "inline"
    assert stored["ChecksumSHA256"] == base64.b64encode(hashlib.sha256(body).digest()).decode()


async def test_a_file_that_is_there_is_left_as_it_is(far_store: S3ImageStore, s3: S3Client, bucket: str) -> None:
    await far_store.put(KEY, BODY, "image/jpeg")
    await far_store.put(KEY, b"other", "image/png")
    stored = await s3.get_object(Bucket=bucket, Key=KEY)

    assert await stored["Body"].read() == BODY
    assert stored["ContentType"] == "image/jpeg"


async def test_over_tls_the_body_is_hashed_once_for_the_checksum(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Seen(Exception):
        """The request is not sent."""

    sent = {}

    def look(request: Any, **_: Any) -> None:
        sent.update({name.lower(): str(value) for name, value in request.headers.items()})
        raise Seen

    monkeypatch.setenv("AWS_ENDPOINT_URL", "https://127.0.0.1:9")
    async with open_aws(AwsOptions()) as aws, open_s3_image_store(bucket, aws=aws) as store:
        (await aws.s3()).meta.events.register("before-send.s3.PutObject", look)
        with pytest.raises(Seen):
            await store.put(KEY, LARGE_BODY, "image/jpeg")

    assert "UNSIGNED-PAYLOAD" in sent["x-amz-content-sha256"]
    assert base64.b64encode(hashlib.sha256(LARGE_BODY).digest()).decode() in sent["x-amz-checksum-sha256"]
    assert "x-amz-checksum-sha256" in sent["authorization"]


async def test_jobs_with_more_files_than_a_request_takes_are_listed_and_deleted(
    s3: S3Client, bucket: str, proxy: FaultyProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.origin)
    async with open_aws(AwsOptions()) as aws:
        store = S3ImageStore(await aws.s3(), bucket, PlainUrls(ORIGIN), keys_a_request=3)
        for key in keys_of(8):
            await s3.put_object(Bucket=bucket, Key=key, Body=BODY)

        assert sorted(await store.keys_of(JOB_ID)) == keys_of(8)
        assert len(proxy.received) == 3
        await store.delete(keys_of(8)[:4])
        assert sorted(await store.keys_of(JOB_ID)) == keys_of(8)[4:]
        await store.delete_job(JOB_ID)
        assert await store.keys_of(JOB_ID) == []


async def test_what_others_put_beside_the_files_goes_with_the_job(
    store: S3ImageStore, s3: S3Client, bucket: str
) -> None:
    await store.put(KEY, BODY, "image/jpeg")
    await s3.put_object(Bucket=bucket, Key=f"images/{JOB_ID}/", Body=b"")
    await s3.put_object(Bucket=bucket, Key=f"images/{JOB_ID}/notes/a b.txt", Body=b"")
    await s3.put_object(Bucket=bucket, Key=f"images/{JOB_ID}0/0.jpg", Body=b"")
    assert await store.keys_of(JOB_ID) == [KEY]
    await store.delete_job(JOB_ID)

    left = await s3.list_objects_v2(Bucket=bucket)
    assert [each["Key"] for each in left["Contents"]] == [f"images/{JOB_ID}0/0.jpg"]


# Faults that pass


async def test_a_put_is_tried_again_when_the_service_is_busy_for_a_moment(
    far_store: S3ImageStore, proxy: FaultyProxy
) -> None:
    proxy.faults.append(Fault(method="PUT", path=PUT, times=1, status=503, body=s3_error("SlowDown")))
    await far_store.put(KEY, BODY, "image/jpeg")

    assert await far_store.keys_of(JOB_ID) == [KEY]


async def test_a_store_that_stays_busy_is_unavailable_and_takes_the_file_later(
    far_store: S3ImageStore, proxy: FaultyProxy, caplog: pytest.LogCaptureFixture
) -> None:
    headers = {"x-amz-request-id": "4442587FB7D0A2F9"}
    proxy.faults.append(Fault(method="PUT", times=3, status=503, headers=headers, body=s3_error("SlowDown")))
    with pytest.raises(ServiceUnavailable) as refusal:
        await far_store.put(KEY, BODY, "image/jpeg")

    assert isinstance(refusal.value.__cause__, ClientError)
    assert "SlowDown (HTTP 503, request 4442587FB7D0A2F9)" in warning_of(caplog)
    await far_store.put(KEY, BODY, "image/jpeg")
    assert await far_store.keys_of(JOB_ID) == [KEY]


async def test_an_answer_that_was_lost_is_no_fault(far_store: S3ImageStore, proxy: FaultyProxy) -> None:
    proxy.faults.append(Fault(method="PUT", path=PUT, times=1, cut=Cut.AFTER))
    await far_store.put(KEY, BODY, "image/jpeg")

    assert len(proxy.passed) == 2
    assert await far_store.keys_of(JOB_ID) == [KEY]


async def test_a_put_that_another_request_was_in_the_way_of_is_tried_again(
    far_store: S3ImageStore, proxy: FaultyProxy
) -> None:
    conflict = s3_error("ConditionalRequestConflict")
    proxy.faults.append(Fault(method="PUT", path=PUT, times=2, status=409, body=conflict))
    await far_store.put(KEY, BODY, "image/jpeg")

    assert len(proxy.received) == 3
    assert await far_store.keys_of(JOB_ID) == [KEY]


async def test_a_file_that_was_damaged_on_its_way_is_sent_again(far_store: S3ImageStore, proxy: FaultyProxy) -> None:
    proxy.faults.append(Fault(method="PUT", path=PUT, times=1, status=400, body=s3_error("BadDigest")))
    await far_store.put(KEY, BODY, "image/jpeg")

    assert await far_store.keys_of(JOB_ID) == [KEY]


OPERATOR_ERRORS = [
    (403, "AccessDenied", "s3:PutObject"),
    (404, "NoSuchBucket", "TEXT2IMAGE_IMAGES"),
    (400, "ExpiredToken", "credentials"),
    (403, "InvalidAccessKeyId", "credentials"),
    (403, "RequestTimeTooSkewed", "clock"),
    (400, "KMS.DisabledException", "KMS"),
    (409, "ConditionalRequestConflict", "code"),
    (405, "MethodNotAllowed", "code"),
]


@pytest.mark.parametrize(("status", "code", "advice"), OPERATOR_ERRORS)
async def test_what_an_operator_can_mend_is_told_without_account_and_waited_for(
    far_store: S3ImageStore,
    proxy: FaultyProxy,
    caplog: pytest.LogCaptureFixture,
    status: int,
    code: str,
    advice: str,
) -> None:
    body = s3_error(code, f"User: arn:aws:iam::{ACCOUNT}:user/me is not authorized")
    proxy.faults.append(Fault(method="PUT", path=PUT, times=None, status=status, body=body))
    with pytest.raises(ServiceUnavailable) as refusal:
        await far_store.put(KEY, BODY, "image/jpeg")

    assert isinstance(refusal.value.__cause__, ClientError)
    assert code in warning_of(caplog) and advice in warning_of(caplog)
    assert ACCOUNT not in warning_of(caplog) + refusal.value.message
    proxy.faults.clear()
    await far_store.put(KEY, BODY, "image/jpeg")


async def test_a_missing_bucket_is_waited_for(aws: Aws, s3: S3Client, caplog: pytest.LogCaptureFixture) -> None:
    bucket = f"images-{secrets.token_hex(8)}"
    async with open_s3_image_store(bucket, aws=aws) as store:
        with pytest.raises(ServiceUnavailable):
            await store.put(KEY, BODY, "image/jpeg")
        assert "Make the bucket" in warning_of(caplog)
        with pytest.raises(ServiceUnavailable):
            await store.keys_of(JOB_ID)
        with pytest.raises(ServiceUnavailable):
            await store.delete_job(JOB_ID)
        with pytest.raises(ServiceUnavailable):
            await store.delete([KEY])
        await s3.create_bucket(Bucket=bucket)
        await store.put(KEY, BODY, "image/jpeg")


async def test_a_service_that_is_not_there_is_unavailable(
    bucket: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{nobody.getsockname()[1]}")
        async with open_elsewhere(bucket) as store:
            with pytest.raises(ServiceUnavailable) as refusal:
                await store.put(KEY, BODY, "image/jpeg")

    assert isinstance(refusal.value.__cause__, BotoCoreError)
    assert "network" in warning_of(caplog)


async def test_a_service_that_hangs_up_is_unavailable(far_store: S3ImageStore, proxy: FaultyProxy) -> None:
    proxy.faults.append(Fault(times=None, cut=Cut.BEFORE))
    results = await asyncio.gather(
        far_store.put(KEY, BODY, "image/jpeg"),
        far_store.keys_of(JOB_ID),
        far_store.delete([KEY]),
        far_store.delete_job(JOB_ID),
        return_exceptions=True,
    )

    assert [type(result) for result in results] == [ServiceUnavailable] * 4
    assert proxy.passed == []


async def test_a_service_that_does_not_answer_is_unavailable(
    bucket: str, proxy: FaultyProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.origin)
    proxy.faults.append(Fault(times=None, gate=Gate()))
    async with open_aws(AwsOptions(read_seconds=0.1)) as aws, open_s3_image_store(bucket, aws=aws) as store:
        with pytest.raises(ServiceUnavailable):
            await store.put(KEY, BODY, "image/jpeg")


async def test_answers_that_nobody_understands_are_unavailability(far_store: S3ImageStore, proxy: FaultyProxy) -> None:
    proxy.faults.append(Fault(path=re.compile("list-type"), times=None, status=200, body=b"<ListBucketResult><Cont"))
    proxy.faults.append(Fault(method="PUT", times=None, status=502, body=b"<html>Bad gateway</html>"))
    results = await asyncio.gather(
        far_store.keys_of(JOB_ID), far_store.put(KEY, BODY, "image/jpeg"), return_exceptions=True
    )

    assert [type(result) for result in results] == [ServiceUnavailable] * 2


async def test_missing_credentials_are_told(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    async with open_elsewhere(bucket) as store:
        with pytest.raises(ServiceUnavailable):
            await store.put(KEY, BODY, "image/jpeg")
        with pytest.raises(ServiceUnavailable):
            await store.url_for(KEY)


async def test_a_profile_that_is_not_there_is_told_at_the_start(
    aws_environment: MotoServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(ValueError, match="AWS_PROFILE"):
        async with open_elsewhere("my-images"):
            pass


async def test_files_that_the_service_did_not_delete_are_not_taken_for_deleted(
    far_store: S3ImageStore, proxy: FaultyProxy, caplog: pytest.LogCaptureFixture
) -> None:
    await far_store.put(KEY, BODY, "image/jpeg")
    refused = f"<Error><Key>{KEY}</Key><Code>AccessDenied</Code><Message>{ACCOUNT}</Message></Error>"
    body = f'<DeleteResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">{refused}</DeleteResult>'.encode()
    proxy.faults.append(Fault(method="POST", path=re.compile("delete"), status=200, body=body))
    with pytest.raises(ServiceUnavailable):
        await far_store.delete_job(JOB_ID)

    assert "AccessDenied for 1" in warning_of(caplog) and "s3:DeleteObject" in warning_of(caplog)
    assert ACCOUNT not in warning_of(caplog)
    await far_store.delete_job(JOB_ID)
    assert await far_store.keys_of(JOB_ID) == []


# Faults that do not pass


@pytest.mark.parametrize(
    ("status", "code", "requests"),
    [(400, "EntityTooLarge", 1), (501, "NotImplemented", 1), (400, "BadDigest", 4), (400, "InvalidDigest", 4)],
)
async def test_a_file_that_will_never_be_taken_is_not_stored(
    far_store: S3ImageStore,
    proxy: FaultyProxy,
    caplog: pytest.LogCaptureFixture,
    status: int,
    code: str,
    requests: int,
) -> None:
    proxy.faults.append(Fault(method="PUT", path=PUT, times=None, status=status, body=s3_error(code)))
    with pytest.raises(ImageNotStored) as refusal:
        await far_store.put(KEY, BODY, "image/jpeg")

    assert isinstance(refusal.value.__cause__, ClientError)
    assert len(proxy.received) == requests
    assert code in warning_of(caplog)


async def test_a_put_that_is_cancelled_is_cancelled(far_store: S3ImageStore, proxy: FaultyProxy) -> None:
    gate = Gate()
    proxy.faults.append(Fault(method="PUT", path=PUT, gate=gate))
    put = asyncio.create_task(far_store.put(KEY, BODY, "image/jpeg"))
    await gate.reached.wait()
    put.cancel()
    with pytest.raises(asyncio.CancelledError):
        await put

    gate.open()
    await far_store.put(KEY, BODY, "image/jpeg")


# URLs


async def test_below_a_public_url_files_are_at_their_keys(aws: Aws, bucket: str) -> None:
    async with open_image_store(f"s3:{bucket}", aws=aws, public_url=f"{ORIGIN}/") as store:
        assert await store.url_for(KEY) == f"{ORIGIN}/{KEY}"


async def test_with_a_key_pair_urls_are_signed_for_cloudfront(aws: Aws, bucket: str) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    signing = UrlSigning(key_id="K2JCJMDEHXQW5F", private_key=pem, valid_seconds=60)
    async with open_image_store(f"s3://{bucket}", aws=aws, public_url=ORIGIN, signing=signing) as store:
        url = await store.url_for(KEY)
        assert url.startswith(f"{ORIGIN}/{KEY}?Expires=")
        assert await store.url_for(KEY) is url


async def test_without_cloudfront_a_presigned_url_fetches_the_file(aws: Aws, bucket: str) -> None:
    async with open_image_store(f"s3:{bucket}", aws=aws) as store, httpx.AsyncClient() as browser:
        await store.put(KEY, BODY, "image/jpeg")
        url = await store.url_for(KEY)
        answer = await browser.get(url)

        assert answer.status_code == 200
        assert answer.content == BODY
        assert answer.headers["Content-Type"] == "image/jpeg"
        assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
        assert await store.url_for(KEY) is url


async def test_presigned_urls_last_to_the_same_end_for_an_hour(aws: Aws, bucket: str) -> None:
    now = NOON + 1000

    def lifetime(url: str) -> int:
        query = parse_qs(urlsplit(url).query)
        assert query["X-Amz-Algorithm"] == ["AWS4-HMAC-SHA256"]
        return int(query["X-Amz-Expires"][0])

    async with open_s3_image_store(bucket, aws=aws, presigned_seconds=600, clock=lambda: now) as store:
        first = await store.url_for(KEY)
        assert lifetime(first) == 2600 + 600
        now = NOON + 3599
        assert await store.url_for(KEY) == first
        assert lifetime(await store.url_for(keys_of(2)[1])) == 1 + 600
        now = NOON + 3600
        assert lifetime(await store.url_for(KEY)) == 3600 + 600


async def test_a_page_of_presigned_urls_lets_others_work_in_between(aws: Aws, bucket: str) -> None:
    turns = 0

    async def work() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async with open_s3_image_store(bucket, aws=aws) as store:
        worker = asyncio.create_task(work())
        urls = await asyncio.gather(*(store.url_for(key) for key in keys_of(200)))
        worker.cancel()

    assert len(set(urls)) == 200
    assert turns >= 200


async def test_urls_signed_by_temporary_credentials_are_not_kept_for_long(
    bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The credentials may end within the hour, and the URL with them."""
    now = NOON
    monkeypatch.setenv("AWS_SESSION_TOKEN", "temporary")
    async with open_elsewhere(bucket, clock=lambda: now) as store:
        first = await store.url_for(KEY)
        now = NOON + 299
        assert await store.url_for(KEY) is first
        now = NOON + 300
        assert await store.url_for(KEY) is not first


@pytest.mark.parametrize("region", ["us-east-1", "eu-central-1"])
async def test_presigned_urls_name_the_region_and_use_the_current_signature(
    region: str, aws_environment: MotoServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    async with (
        open_aws(AwsOptions(region=region)) as aws,
        open_s3_image_store("my-images", aws=aws) as store,
    ):
        url = urlsplit(await store.url_for(KEY))

    query = parse_qs(url.query)
    assert (url.scheme, url.path) == ("https", f"/{KEY}")
    # us-east-1 is where the name without a region leads.
    assert url.hostname in {f"my-images.s3.{region}.amazonaws.com", "my-images.s3.amazonaws.com"}
    assert region == "us-east-1" or region in url.hostname
    assert f"/{region}/s3/aws4_request" in query["X-Amz-Credential"][0]
    assert "X-Amz-Signature" in query


@pytest.mark.parametrize("seconds", [0, -1, LONGEST_SECONDS - 3599])
async def test_presigned_urls_that_s3_would_not_take_are_refused(aws: Aws, seconds: float) -> None:
    with pytest.raises(ValueError, match="Presigned URLs"):
        async with open_image_store("s3:my-images", aws=aws, presigned_seconds=seconds):
            pass


@pytest.mark.parametrize(
    "public_url", ["img.example.org", "/images", "ftp://img.example.org", "https://", "https://a?b"]
)
async def test_a_public_url_that_is_none_is_refused(aws: Aws, public_url: str) -> None:
    with pytest.raises(ValueError, match="absolute"):
        async with open_image_store("s3:my-images", aws=aws, public_url=public_url):
            pass


async def test_signing_without_cloudfront_is_refused(aws: Aws) -> None:
    signing = UrlSigning(key_id="K2JCJMDEHXQW5F", private_key="", valid_seconds=60)
    with pytest.raises(ValueError, match="CloudFront"):
        async with open_image_store("s3:my-images", aws=aws, signing=signing):
            pass
    with pytest.raises(ValueError, match="CloudFront"):
        async with open_image_store("file:images", signing=signing):
            pass


async def test_a_key_that_cannot_sign_is_refused_at_the_start(aws: Aws) -> None:
    signing = UrlSigning(key_id="K2JCJMDEHXQW5F", private_key="no key", valid_seconds=60)
    with pytest.raises(ValueError, match="PEM"):
        async with open_image_store("s3:my-images", aws=aws, public_url=ORIGIN, signing=signing):
            pass


# Names


@pytest.mark.parametrize(
    "name",
    ["", "//", "a", "ab", "My-Images", "my_images", "-images", "images-", "my..images", "127.0.0.1", "a" * 64, "büro",
     "my images", "images?x=1", "arn:aws:s3:::images", "images--use1-az4--x-s3", "images\n"],
)  # fmt: skip
async def test_what_is_no_bucket_is_refused(aws: Aws, name: str) -> None:
    with pytest.raises(ValueError, match="name of a bucket"):
        async with open_image_store(f"s3:{name}", aws=aws):
            pass


@pytest.mark.parametrize("name", ["my-images/", "my-images/shop", "//my-images/shop", "/my-images", "///my-images"])
async def test_a_path_in_a_bucket_is_refused(aws: Aws, name: str) -> None:
    with pytest.raises(ValueError, match="whole bucket"):
        async with open_image_store(f"s3:{name}", aws=aws):
            pass


async def test_a_bucket_without_clients_is_refused() -> None:
    with pytest.raises(ValueError, match="AWS"):
        async with open_image_store("s3:my-images"):
            pass
