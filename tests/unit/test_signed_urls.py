"""Signed URLs: what CloudFront would check, how long they last, and how seldom they are signed."""

from __future__ import annotations

import asyncio
import base64
import hmac
import json
from collections.abc import Sequence
from urllib.parse import parse_qs, urlsplit

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from graphql_api.adapters.image_store.cloudfront import CloudFrontUrls, UrlSigning
from graphql_api.adapters.image_store.signed_urls import (
    LEAST_SECRET_CHARS,
    MOST_KEYS_AT_ONCE,
    FolderSigning,
    Signed,
    SignedUrls,
    end_of_hour,
)

RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
ECDSA_KEY = ec.generate_private_key(ec.SECP256R1())
PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey

ORIGIN = "https://d111111abcdef8.cloudfront.net"
KEY = "images/0199c0de-0000-7000-8000-000000000001/0-0123456789abcdef.jpg"
NOON = 1_800_014_400.0
VALID_SECONDS = 600


def pem_of(
    key: PrivateKey,
    *,
    form: PrivateFormat = PrivateFormat.PKCS8,
    encryption: KeySerializationEncryption | None = None,
) -> str:
    return key.private_bytes(Encoding.PEM, form, encryption or NoEncryption()).decode()


def a_signing(private_key: str, key_id: str = "K2JCJMDEHXQW5F", valid_seconds: float = VALID_SECONDS) -> UrlSigning:
    return UrlSigning(key_id=key_id, private_key=private_key, valid_seconds=valid_seconds)


def check_as_cloudfront(url: str, public_key: rsa.RSAPublicKey | ec.EllipticCurvePublicKey) -> int:
    """Verify the signature as the Developer Guide describes it; the instant when the URL ends."""
    resource, _, query = url.partition("?")
    given = {name: values[0] for name, values in parse_qs(query, strict_parsing=True).items()}
    assert list(given) == ["Expires", "Signature", "Key-Pair-Id"]
    expires_at = int(given["Expires"])
    condition = {"DateLessThan": {"AWS:EpochTime": expires_at}}
    policy = json.dumps({"Statement": [{"Resource": resource, "Condition": condition}]}, separators=(",", ":"))
    signature = base64.b64decode(given["Signature"].translate(str.maketrans("-_~", "+=/")), validate=True)
    if isinstance(public_key, rsa.RSAPublicKey):
        public_key.verify(signature, policy.encode(), padding.PKCS1v15(), SHA1())
    else:
        public_key.verify(signature, policy.encode(), ec.ECDSA(SHA1()))
    return expires_at


class Clock:
    """Time that moves when it is told to."""

    def __init__(self, now: float = NOON) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class CountingSigner:
    """Signs nothing, but counts, and waits until it may go on."""

    def __init__(self, *, failures: int = 0) -> None:
        self.batches: list[list[str]] = []
        self.has_begun = asyncio.Event()
        self.may_go_on = asyncio.Event()
        self.may_go_on.set()
        self.most_at_a_time = 0
        self._at_a_time = 0
        self._failures = failures

    async def sign(self, keys: Sequence[str], *, at: float) -> Signed:
        self._at_a_time += 1
        self.most_at_a_time = max(self.most_at_a_time, self._at_a_time)
        self.batches.append(list(keys))
        self.has_begun.set()
        await self.may_go_on.wait()
        self._at_a_time -= 1
        if self._failures:
            self._failures -= 1
            raise ConnectionError("no credentials")
        return Signed(urls=[f"{key}?{at:.0f}" for key in keys], fresh_until=end_of_hour(at))

    @property
    def signed(self) -> list[str]:
        return [key for batch in self.batches for key in batch]


# The signature


@pytest.mark.parametrize("key", [RSA_KEY, ECDSA_KEY], ids=["RSA", "ECDSA"])
def test_a_signature_is_what_cloudfront_verifies(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> None:
    url = CloudFrontUrls(ORIGIN, a_signing(pem_of(key))).url(KEY, expires_at=1_800_000_600)

    assert url.startswith(f"{ORIGIN}/{KEY}?")
    assert check_as_cloudfront(url, key.public_key()) == 1_800_000_600
    assert url.endswith("&Key-Pair-Id=K2JCJMDEHXQW5F")


@pytest.mark.parametrize("change", ["key", "expiry"])
def test_a_signature_holds_for_one_key_and_one_expiry(change: str) -> None:
    url = CloudFrontUrls(ORIGIN, a_signing(pem_of(RSA_KEY))).url(KEY, expires_at=1_800_000_600)
    other = url.replace("/0-", "/1-") if change == "key" else url.replace("=1800000600", "=1900000600")

    assert other != url
    with pytest.raises(InvalidSignature):
        check_as_cloudfront(other, RSA_KEY.public_key())


@pytest.mark.parametrize("key", [RSA_KEY, ECDSA_KEY], ids=["RSA", "ECDSA"])
async def test_every_process_hands_out_the_same_url(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> None:
    here, there = (CloudFrontUrls(ORIGIN, a_signing(pem_of(key))) for _ in range(2))

    assert (await here.sign([KEY], at=NOON + 1)).urls == (await there.sign([KEY], at=NOON + 3000)).urls


def test_an_origin_may_end_in_a_slash_and_have_a_path() -> None:
    url = CloudFrontUrls(f"{ORIGIN}/shop/", a_signing(pem_of(RSA_KEY))).url(KEY, expires_at=1_800_000_600)

    assert url.startswith(f"{ORIGIN}/shop/{KEY}?")
    check_as_cloudfront(url, RSA_KEY.public_key())


@pytest.mark.parametrize(
    "pem",
    [
        pem_of(RSA_KEY, form=PrivateFormat.TraditionalOpenSSL),
        pem_of(ECDSA_KEY, form=PrivateFormat.TraditionalOpenSSL),
        pem_of(RSA_KEY).replace("\n", "\\n"),
        f"\n  {pem_of(RSA_KEY)}  \n",
        pem_of(RSA_KEY).replace("\n", "\r\n"),
    ],
    ids=["RSA PRIVATE KEY", "EC PRIVATE KEY", "escaped line breaks", "blanks around", "CRLF"],
)
def test_keys_are_read_in_the_forms_that_they_come_in(pem: str) -> None:
    CloudFrontUrls(ORIGIN, a_signing(pem)).url(KEY, expires_at=1_800_000_600)


@pytest.mark.parametrize(
    ("pem", "advice"),
    [
        ("", "PEM"),
        ("secret-secret", "PEM"),
        ("-----BEGIN PRIVATE KEY-----\nc2VjcmV0LXNlY3JldA==\n-----END PRIVATE KEY-----\n", "PEM"),
        (pem_of(RSA_KEY)[:-200], "PEM"),
        (pem_of(RSA_KEY, encryption=BestAvailableEncryption(b"secret")), "passphrase"),
        (RSA_KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode(), "PEM"),
        (pem_of(rsa.generate_private_key(public_exponent=65537, key_size=1024)), "2048"),
        (pem_of(ec.generate_private_key(ec.SECP384R1())), "P-256"),
        (pem_of(ed25519.Ed25519PrivateKey.generate()), "RSA"),
    ],
    ids=["empty", "no PEM", "no key", "cut off", "encrypted", "public", "RSA 1024", "P-384", "Ed25519"],
)
def test_a_key_that_cloudfront_would_not_take_is_refused_and_not_quoted(pem: str, advice: str) -> None:
    with pytest.raises(ValueError, match=advice) as refusal:
        CloudFrontUrls(ORIGIN, a_signing(pem))

    assert refusal.value.__cause__ is None
    assert "secret" not in str(refusal.value)
    assert not any(line in str(refusal.value) for line in pem.splitlines()[1:-1] if line)


@pytest.mark.parametrize("key_id", ["", "K2&x=", "key id", "K" * 65])
def test_what_is_no_key_id_is_refused(key_id: str) -> None:
    with pytest.raises(ValueError, match="key ID"):
        CloudFrontUrls(ORIGIN, a_signing(pem_of(RSA_KEY), key_id))


@pytest.mark.parametrize("valid_seconds", [0, -1, float("nan")])
def test_urls_that_are_never_valid_are_refused(valid_seconds: float) -> None:
    with pytest.raises(ValueError, match="valid"):
        CloudFrontUrls(ORIGIN, a_signing(pem_of(RSA_KEY), valid_seconds=valid_seconds))


def test_a_key_pair_does_not_show_its_private_half() -> None:
    assert "PRIVATE" not in repr(a_signing(pem_of(RSA_KEY)))


# The hour


@pytest.fixture(scope="module")
def cloudfront() -> CloudFrontUrls:
    return CloudFrontUrls(ORIGIN, a_signing(pem_of(RSA_KEY)))


@pytest.mark.parametrize("second", [0, 1, 1800, 3599.9])
async def test_a_url_is_valid_for_long_enough_whenever_it_is_handed_out(
    cloudfront: CloudFrontUrls, second: float
) -> None:
    urls = SignedUrls(cloudfront, clock=Clock(NOON + second))
    expires_at = check_as_cloudfront(await urls.url_for(KEY), RSA_KEY.public_key())

    assert expires_at == NOON + 3600 + VALID_SECONDS
    assert expires_at - (NOON + second) > VALID_SECONDS


async def test_a_url_is_the_same_for_an_hour_and_another_in_the_next(cloudfront: CloudFrontUrls) -> None:
    clock = Clock()
    urls = SignedUrls(cloudfront, clock=clock)
    first = await urls.url_for(KEY)
    clock.now = NOON + 3599.9
    last = await urls.url_for(KEY)
    clock.now = NOON + 3600
    next_hour = await urls.url_for(KEY)

    assert first == last
    assert next_hour != first
    assert check_as_cloudfront(next_hour, RSA_KEY.public_key()) == NOON + 7200 + VALID_SECONDS


async def test_many_requests_for_a_key_share_one_signature() -> None:
    signer = CountingSigner()
    urls = SignedUrls(signer, clock=Clock())
    first = await asyncio.gather(*(urls.url_for("a") for _ in range(200)))
    second = await asyncio.gather(*(urls.url_for("a") for _ in range(200)))

    assert set(first + second) == {f"a?{NOON:.0f}"}
    assert signer.signed == ["a"]


async def test_requests_that_come_while_a_key_is_signed_share_its_signature() -> None:
    signer = CountingSigner()
    signer.may_go_on.clear()
    urls = SignedUrls(signer, clock=Clock())
    early = asyncio.create_task(urls.url_for("a"))
    await signer.has_begun.wait()
    late = asyncio.create_task(urls.url_for("a"))
    await asyncio.sleep(0)
    signer.may_go_on.set()

    assert await early == await late
    assert signer.signed == ["a"]


async def test_keys_that_are_asked_for_together_are_signed_together() -> None:
    signer = CountingSigner()
    urls = SignedUrls(signer, clock=Clock())
    keys = [f"key-{number}" for number in range(2 * MOST_KEYS_AT_ONCE + 1)]
    found = await asyncio.gather(*(urls.url_for(key) for key in keys))

    assert found == [f"{key}?{NOON:.0f}" for key in keys]
    assert [len(batch) for batch in signer.batches] == [MOST_KEYS_AT_ONCE, MOST_KEYS_AT_ONCE, 1]
    assert signer.most_at_a_time == 1


async def test_a_page_of_jobs_is_signed_for_cloudfront(cloudfront: CloudFrontUrls) -> None:
    urls = SignedUrls(cloudfront, clock=Clock())
    keys = [KEY.replace("/0-", f"/{number}-") for number in range(200)]
    found = await asyncio.gather(*(urls.url_for(key) for key in keys))

    assert [urlsplit(url).path for url in found] == [f"/{key}" for key in keys]
    for url in found:
        check_as_cloudfront(url, RSA_KEY.public_key())


async def test_only_the_keys_that_were_used_last_are_kept() -> None:
    signer = CountingSigner()
    urls = SignedUrls(signer, clock=Clock(), most_kept=2)
    for key in ["a", "b", "a", "c", "a", "b"]:
        await urls.url_for(key)

    assert signer.signed == ["a", "b", "c", "b"]


async def test_a_failure_reaches_all_who_wait_and_is_not_kept() -> None:
    signer = CountingSigner(failures=1)
    urls = SignedUrls(signer, clock=Clock())
    failed = await asyncio.gather(urls.url_for("a"), urls.url_for("b"), urls.url_for("a"), return_exceptions=True)

    assert [type(error) for error in failed] == [ConnectionError] * 3
    assert await urls.url_for("a") == f"a?{NOON:.0f}"


async def test_a_request_that_is_given_up_takes_no_signature_away_from_others() -> None:
    signer = CountingSigner()
    signer.may_go_on.clear()
    urls = SignedUrls(signer, clock=Clock())
    impatient, patient = (asyncio.create_task(urls.url_for("a")) for _ in range(2))
    await signer.has_begun.wait()
    impatient.cancel()
    signer.may_go_on.set()

    assert await patient == f"a?{NOON:.0f}"
    assert impatient.cancelled()
    assert signer.signed == ["a"]


async def test_closing_gives_up_what_is_not_signed_yet() -> None:
    signer = CountingSigner()
    signer.may_go_on.clear()
    urls = SignedUrls(signer, clock=Clock())
    waiting = [asyncio.create_task(urls.url_for(f"{number}")) for number in range(MOST_KEYS_AT_ONCE + 1)]
    await signer.has_begun.wait()
    await urls.close()
    results = await asyncio.gather(*waiting, return_exceptions=True)

    assert all(isinstance(result, asyncio.CancelledError) for result in results)


# What a folder's own URLs promise


SECRET = "s" * LEAST_SECRET_CHARS


def a_folder_signing(clock: Clock, secret: str = SECRET, valid_seconds: float = VALID_SECONDS) -> FolderSigning:
    return FolderSigning(secret, valid_seconds=valid_seconds, clock=clock)


def left_of(signing: FolderSigning, query: str, key: str = KEY) -> int | None:
    given = {name: values[0] for name, values in parse_qs(query, strict_parsing=True).items()}
    assert list(given) == ["expires", "signature"]
    return signing.seconds_left(key, expires=given["expires"], signature=given["signature"])


def test_url_of_a_folder_is_valid_for_at_least_what_was_asked_for() -> None:
    clock = Clock(NOON + 3599)
    signing = a_folder_signing(clock)
    query = signing.query_of(KEY)

    assert left_of(signing, query) == VALID_SECONDS + 1
    clock.now += VALID_SECONDS + 0.5
    assert left_of(signing, query) == 1
    clock.now += 0.5
    assert left_of(signing, query) is None


def test_url_of_a_folder_stays_the_same_for_an_hour_in_every_process() -> None:
    clock = Clock()
    first = a_folder_signing(clock).query_of(KEY)
    clock.now += 3599

    assert a_folder_signing(clock).query_of(KEY) == first
    clock.now += 1
    assert a_folder_signing(clock).query_of(KEY) != first


def test_signature_covers_key_expiry_and_secret() -> None:
    signing = a_folder_signing(Clock())
    query = signing.query_of(KEY)
    expires, _, signature = query.removeprefix("expires=").partition("&signature=")

    assert left_of(signing, query, KEY.replace("0-", "1-")) is None
    assert left_of(a_folder_signing(Clock(), SECRET + "s"), query) is None
    assert signing.seconds_left(KEY, expires=str(int(expires) + 1), signature=signature) is None
    assert signing.seconds_left(KEY[:-1], expires=expires, signature=signature) is None
    assert signing.seconds_left(KEY, expires=expires, signature=signature.swapcase()) is None
    assert len(base64.urlsafe_b64decode(signature + "==")) == 16


@pytest.mark.parametrize("expires", ["", "0", "-1", "1e9", "01800014400", " 1800014400", "١٢", "9" * 400])
def test_expiry_that_is_no_instant_is_refused_though_signed(expires: str) -> None:
    signing = a_folder_signing(Clock(0))
    signed = hmac.digest(SECRET.encode(), f"{KEY}?expires={expires}".encode(), "sha256")
    signature = base64.urlsafe_b64encode(signed[:16]).rstrip(b"=").decode()

    assert signing.seconds_left(KEY, expires=expires, signature=signature) is None


@pytest.mark.parametrize("secret", ["", "s", SECRET[1:]])
def test_secret_that_could_be_guessed_is_refused(secret: str) -> None:
    with pytest.raises(ValueError, match="TEXT2IMAGE_URL_SECRET") as refusal:
        FolderSigning(secret, valid_seconds=VALID_SECONDS)

    assert SECRET[1:] not in str(refusal.value)
