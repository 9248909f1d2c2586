"""Image files as a browser, a cache and an intruder ask for them: over a socket, from a real server."""

from __future__ import annotations

import http.client
import io
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote
from uuid import RFC_4122, UUID

import pytest
import uvicorn
from PIL import Image
from starlette.applications import Starlette

from graphql_api.adapters.image_store.signed_urls import FolderSigning, end_of_hour
from graphql_api.domain.generation import ImageFormat
from graphql_api.domain.ids import new_job_id
from graphql_api.http.images import UrlSignatures, image_routes

JOB_ID = new_job_id()
STEM = "0-0123456789abcdef"
START_SECONDS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A server on the loopback interface, and the folder that it serves."""

    port: int
    root: Path

    def ask(self, target: str, method: str = "GET", **headers: str) -> Reply:
        """One request with exactly this target: no client tidies the path up. Underscores in names become hyphens."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=START_SECONDS)
        try:
            connection.putrequest(method, target, skip_accept_encoding=True)
            for name, value in headers.items():
                connection.putheader(name.replace("_", "-"), value)
            connection.endheaders()
            response = connection.getresponse()
            lower = {name.lower(): value for name, value in response.getheaders()}
            return Reply(status=response.status, headers=lower, body=response.read())
        finally:
            connection.close()

    def put(self, name: str, body: bytes) -> str:
        """A file of the job; its path."""
        path = self.root / "images" / JOB_ID / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
        return f"/images/{JOB_ID}/{name}"


class AnnouncingServer(uvicorn.Server):
    """Tells when it listens, so that nobody has to ask again and again."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listens = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listens.set()


@contextmanager
def serving(root: Path, signatures: UrlSignatures | None = None) -> Iterator[int]:
    """A server of the images in a folder; its port."""
    app = Starlette(routes=image_routes(root, signatures))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = AnnouncingServer(uvicorn.Config(app, log_level="critical", lifespan="off"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            assert server.listens.wait(START_SECONDS)
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join(START_SECONDS)
            assert not thread.is_alive()


@pytest.fixture(scope="module")
def server_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("served")


@pytest.fixture(scope="module")
def port(server_root: Path) -> Iterator[int]:
    with serving(server_root / "data") as served_port:
        yield served_port


@pytest.fixture
def site(port: int, server_root: Path) -> Site:
    return Site(port=port, root=server_root / "data")


def a_file(image_format: ImageFormat = ImageFormat.JPEG) -> bytes:
    file = io.BytesIO()
    Image.effect_noise((96, 64), 50).convert("RGB").save(file, image_format.value)
    return file.getvalue()


@pytest.mark.parametrize("image_format", list(ImageFormat))
def test_an_image_is_served_with_headers_that_suit_it(site: Site, image_format: ImageFormat) -> None:
    body = a_file(image_format)
    reply = site.ask(site.put(f"{STEM}.{image_format.extension}", body))

    assert (reply.status, reply.body) == (200, body)
    assert reply.headers["content-type"] == image_format.media_type
    assert reply.headers["content-length"] == str(len(body))
    assert reply.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert reply.headers["etag"] == f'"{STEM}"'
    assert reply.headers["accept-ranges"] == "bytes"
    assert reply.headers["content-disposition"] == "inline"
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert reply.headers["cross-origin-resource-policy"] == "cross-origin"
    assert "default-src 'none'" in reply.headers["content-security-policy"]


def test_a_thumbnail_has_a_tag_of_its_own(site: Site) -> None:
    reply = site.ask(site.put(f"{STEM}-thumb.webp", a_file(ImageFormat.WEBP)))

    assert reply.status == 200
    assert reply.headers["etag"] == f'"{STEM}-thumb"'


def test_a_large_image_arrives_whole(site: Site) -> None:
    body = a_file() + os.urandom(3_000_000)

    assert site.ask(site.put(f"{STEM}.jpg", body)).body == body


def test_head_has_the_headers_without_the_body(site: Site) -> None:
    target = site.put(f"{STEM}.jpg", a_file())
    whole, head = site.ask(target), site.ask(target, "HEAD")

    assert (head.status, head.body) == (200, b"")
    assert {**head.headers, "date": ""} == {**whole.headers, "date": ""}


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_images_are_only_read(site: Site, method: str) -> None:
    target = site.put(f"{STEM}.jpg", a_file())

    assert site.ask(target, method).status == 405
    assert site.ask(target).status == 200


def test_the_content_decides_on_the_type_and_not_the_name(site: Site) -> None:
    reply = site.ask(site.put(f"{STEM}.jpg", a_file(ImageFormat.PNG)))

    assert reply.headers["content-type"] == "image/png"


@pytest.mark.parametrize(
    "body",
    [b"<script>alert(1)</script>", b"GIF89a", b"RIFF\0\0\0\0WAVE", b"", b"<svg xmlns='http://www.w3.org/2000/svg'/>"],
)
def test_what_is_no_image_is_not_served(site: Site, body: bytes) -> None:
    assert site.ask(site.put(f"{STEM}.png", body)).status == 404


# Copies that the client has


@pytest.mark.parametrize("tags", ['"{}"', 'W/"{}"', '"other", "{}"', "*", '"other" , W/"{}" '])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_copy_is_not_sent_again(site: Site, tags: str, method: str) -> None:
    target = site.put(f"{STEM}.jpg", a_file())
    reply = site.ask(target, method, If_None_Match=tags.format(STEM))

    assert (reply.status, reply.body) == (304, b"")
    assert reply.headers["etag"] == f'"{STEM}"'
    assert "immutable" in reply.headers["cache-control"]


@pytest.mark.parametrize("tags", ['"other"', "", STEM, '"other", "another"'])
def test_a_copy_of_something_else_does_not_count(site: Site, tags: str) -> None:
    target = site.put(f"{STEM}.jpg", a_file())

    assert site.ask(target, If_None_Match=tags).status == 200


def test_a_copy_of_a_deleted_image_is_not_confirmed(site: Site) -> None:
    target = site.put(f"{STEM}.jpg", a_file())
    (site.root / target[1:]).unlink()

    for headers in ({}, {"If_None_Match": f'"{STEM}"'}, {"Range": "bytes=0-1"}):
        reply = site.ask(target, **headers)
        assert reply.status == 404
        assert reply.headers["cache-control"] == "no-store"


# Ranges


@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [("bytes=0-9", 0, 9), ("bytes=10-19", 10, 19), ("bytes=-7", -7, -1), ("bytes=100-", 100, -1), ("bytes=5-5", 5, 5),
     ("BYTES=0-0", 0, 0), ("bytes=3-99999999", 3, -1), ("bytes=-99999999", 0, -1)],
)  # fmt: skip
def test_one_range_is_answered_with_it(site: Site, asked: str, first: int, last: int) -> None:
    body = a_file()
    reply = site.ask(site.put(f"{STEM}.jpg", body), Range=asked)

    first, last = first % len(body), last % len(body)
    assert (reply.status, reply.body) == (206, body[first : last + 1])
    assert reply.headers["content-range"] == f"bytes {first}-{last}/{len(body)}"
    assert reply.headers["content-length"] == str(last + 1 - first)
    assert reply.headers["content-type"] == "image/jpeg"


@pytest.mark.parametrize("asked", ["bytes=99999999-", "bytes=99999999-999999999", "bytes=-0"])
def test_a_range_behind_the_end_is_refused_with_the_size(site: Site, asked: str) -> None:
    body = a_file()
    reply = site.ask(site.put(f"{STEM}.jpg", body), Range=asked)

    assert reply.status == 416
    assert reply.headers["content-range"] == f"bytes */{len(body)}"


@pytest.mark.parametrize(
    "asked",
    [
        "bytes=0-1,5-6",
        "bytes=9-2",
        "bytes=",
        "bytes=-",
        "bytes",
        "lines=0-1",
        "bytes=a-b",
        "bytes=0-1-2",
        "bytes=" + "9" * 99,
    ],
)
def test_ranges_that_are_several_or_not_well_formed_get_the_whole_file(site: Site, asked: str) -> None:
    body = a_file()
    reply = site.ask(site.put(f"{STEM}.jpg", body), Range=asked)

    assert (reply.status, reply.body) == (200, body)


def test_a_range_of_head_is_ignored(site: Site) -> None:
    body = a_file()
    reply = site.ask(site.put(f"{STEM}.jpg", body), "HEAD", Range="bytes=0-1")

    assert reply.status == 200
    assert reply.headers["content-length"] == str(len(body))


@pytest.mark.parametrize(
    ("condition", "status"),
    [(f'"{STEM}"', 206), ('"other"', 200), (f'W/"{STEM}"', 200), ("Sat, 01 Jan 2000 00:00:00 GMT", 200)],
)
def test_a_range_of_another_version_gets_the_whole_file(site: Site, condition: str, status: int) -> None:
    target = site.put(f"{STEM}.jpg", a_file())

    assert site.ask(target, Range="bytes=0-9", If_Range=condition).status == status


def test_a_copy_goes_before_a_range(site: Site) -> None:
    target = site.put(f"{STEM}.jpg", a_file())

    assert site.ask(target, Range="bytes=0-9", If_None_Match=f'"{STEM}"').status == 304


# Ways out of the folder


@pytest.fixture
def secret(site: Site) -> Path:
    """An image that is not among those served, and one in the folder that is."""
    site.put(f"{STEM}.jpg", a_file())
    path = site.root.parent / f"{STEM}.jpg"
    path.write_bytes(a_file())
    return path


TRAVERSALS = [
    "/images",
    "/images/",
    "/images//",
    "/images/{job}",
    "/images/{job}/",
    "/images/{job}//{stem}.jpg",
    "/images/{job}/./{stem}.jpg",
    "/images/../{stem}.jpg",
    "/images/../../{stem}.jpg",
    "/images/{job}/../../../{stem}.jpg",
    "/images/{job}/../{job}/{stem}.jpg",
    "/images/{job}/%2e%2e/%2e%2e/%2e%2e/{stem}.jpg",
    "/images/{job}/..%2f..%2f..%2f{stem}.jpg",
    "/images/..%2f..%2f{stem}.jpg",
    "/images/%2e%2e/{stem}.jpg",
    "/images/%252e%252e/{stem}.jpg",
    "/images/{job}/..%5c..%5c..%5c{stem}.jpg",
    "/images/{job}/{stem}.jpg%00",
    "/images/{job}/{stem}.jpg%00.png",
    "/images/{job}%00/{stem}.jpg",
    "/images/{job}/{stem}.jpg%0a",
    "/images/{job}/{stem}.jpg%20",
    "/images/{job}/{stem}.jpg/",
    "/images/{job}/{stem}.jpg;x",
    "/images/{job}/{stem}.JPG",
    "/images/{upper}/{stem}.jpg",
    "/images/{{{job}}}/{stem}.jpg",
    "/images/{job}/.unfinished",
    "/images/.unfinished/{stem}.jpg",
    "/images/{job}/%c0%ae%c0%ae/{stem}.jpg",
    "/images/{secret}",
    "/images/{quoted}",
]


@pytest.mark.parametrize("target", TRAVERSALS)
def test_only_the_exact_path_of_an_image_is_found(site: Site, secret: Path, target: str) -> None:
    reply = site.ask(
        target.format(job=JOB_ID, upper=JOB_ID.upper(), stem=STEM, secret=secret, quoted=quote(str(secret), safe=""))
    )

    assert reply.status == 404
    assert not reply.body.startswith(b"\xff\xd8")
    assert site.ask(f"/images/{JOB_ID}/{STEM}.jpg").status == 200


def test_a_query_does_not_matter(site: Site) -> None:
    assert site.ask(site.put(f"{STEM}.jpg", a_file()) + "?v=../../x").status == 200


def test_a_link_is_not_followed(site: Site, secret: Path) -> None:
    name = "1-0123456789abcdef.jpg"
    (site.root / "images" / JOB_ID / name).unlink(missing_ok=True)
    (site.root / "images" / JOB_ID / name).symlink_to(secret)

    assert site.ask(f"/images/{JOB_ID}/{name}").status == 404


def test_a_linked_folder_of_a_job_is_not_followed(site: Site, secret: Path) -> None:
    other = new_job_id()
    (site.root / "images" / other).symlink_to(secret.parent)

    assert site.ask(f"/images/{other}/{STEM}.jpg").status == 404


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo])
def test_what_is_no_file_is_not_found(site: Site, secret: Path, make: object) -> None:
    assert callable(make)
    job_id = new_job_id()
    (site.root / "images" / job_id).mkdir()
    make(site.root / "images" / job_id / f"{STEM}.jpg")

    assert site.ask(f"/images/{job_id}/{STEM}.jpg").status == 404


def test_the_served_folder_itself_may_be_a_link(tmp_path: Path, site: Site) -> None:
    site.put(f"{STEM}.jpg", a_file())
    (tmp_path / "link").symlink_to(site.root)
    with serving(tmp_path / "link") as port:
        reply = Site(port=port, root=site.root).ask(f"/images/{JOB_ID}/{STEM}.jpg")

    assert reply.status == 200


# --- signed URLs ---


SECRET = "a secret that is long enough to be one"
VALID_SECONDS = 600


@pytest.fixture(scope="module")
def signing() -> FolderSigning:
    return FolderSigning(SECRET, valid_seconds=VALID_SECONDS)


@pytest.fixture(scope="module")
def signed_port(server_root: Path, signing: FolderSigning) -> Iterator[int]:
    with serving(server_root / "signed", signing) as served_port:
        yield served_port


@pytest.fixture
def signed_site(signed_port: int, server_root: Path) -> Site:
    return Site(port=signed_port, root=server_root / "signed")


def signed_at(key: str, when: float, secret: str = SECRET) -> str:
    """The URL of a key as it was made at some instant."""
    return f"/{key}?{FolderSigning(secret, valid_seconds=VALID_SECONDS, clock=lambda: when).query_of(key)}"


def test_image_whose_url_is_signed_is_served_and_kept_as_long_as_the_url_lasts(
    signed_site: Site, signing: FolderSigning
) -> None:
    body = a_file()
    path = signed_site.put(f"{STEM}.jpg", body)
    least = end_of_hour(time.time()) + VALID_SECONDS - time.time()
    url = f"{path}?{signing.query_of(path.removeprefix('/'))}"
    reply = signed_site.ask(url)
    most = end_of_hour(time.time()) + VALID_SECONDS - time.time()

    assert (reply.status, reply.body) == (200, body)
    caching, _, seconds = reply.headers["cache-control"].rpartition("=")
    assert caching == "private, max-age"
    assert min(least, most) - 60 < int(seconds) <= max(least, most) + 1
    assert signed_site.ask(url, "HEAD").headers["cache-control"].startswith("private, max-age=")
    assert signed_site.ask(url, Range="bytes=0-9").body == body[:10]
    copy = signed_site.ask(url, If_None_Match=reply.headers["etag"])
    assert (copy.status, copy.headers["cache-control"].startswith("private, max-age=")) == (304, True)


def test_url_may_carry_more_than_its_signature(signed_site: Site, signing: FolderSigning) -> None:
    path = signed_site.put(f"{STEM}.jpg", a_file())
    query = signing.query_of(path.removeprefix("/"))

    assert signed_site.ask(f"{path}?x=y&{'&'.join(reversed(query.split('&')))}").status == 200


KEY = f"images/{JOB_ID}/{STEM}.jpg"
NOW = time.time()
GOOD = signed_at(KEY, NOW)
EXPIRES = GOOD.partition("expires=")[2].partition("&")[0]
LATER = str(int(EXPIRES) + 3600)
UNSIGNED = {
    "nothing": f"/{KEY}",
    "no signature": GOOD.partition("&")[0],
    "no expiry": GOOD.replace(f"expires={EXPIRES}&", ""),
    "an empty signature": GOOD.partition("signature=")[0] + "signature=",
    "half a signature": GOOD[:-8],
    "a longer signature": GOOD + "A",
    "another signature": GOOD[:-1] + ("B" if GOOD.endswith("A") else "A"),
    "a padded signature": GOOD + "==",
    "another expiry": GOOD.replace(EXPIRES, LATER),
    "an expiry that is written otherwise": GOOD.replace(EXPIRES, f"0{EXPIRES}"),
    "a signed expiry that is over": signed_at(KEY, NOW - 2 * 3600 - VALID_SECONDS),
    "the signature of another file": GOOD.replace(f"/{KEY}", f"/images/{JOB_ID}/1-0123456789abcdef.jpg"),
    "the signature of another job": GOOD.replace(JOB_ID, new_job_id()),
    "another secret": signed_at(KEY, NOW, "another secret that is long enough"),
    "letters of another alphabet": f"/{KEY}?expires=%D9%A1%D9%A2&signature=%C3%BC",
    "an endless number": f"/{KEY}?expires={'9' * 5000}&signature=x",
}


@pytest.mark.parametrize("target", UNSIGNED.values(), ids=UNSIGNED)
def test_image_whose_url_is_not_signed_is_like_one_that_is_not_there(signed_site: Site, target: str) -> None:
    signed_site.put(f"{STEM}.jpg", a_file())
    signed_site.put("1-0123456789abcdef.jpg", a_file())
    missing = signed_site.ask(signed_at(f"images/{new_job_id()}/{STEM}.jpg", NOW))
    refused = signed_site.ask(target)
    del missing.headers["date"], refused.headers["date"]

    assert missing.status == 404
    assert refused == missing


# --- who could guess ---


def test_images_are_listed_nowhere(site: Site) -> None:
    path = site.put(f"{STEM}.jpg", a_file())
    folders = ["/images", "/images/", path.rpartition("/")[0], path.rpartition("/")[0] + "/", f"/images/{JOB_ID[:8]}"]

    assert [site.ask(each).status for each in folders] == [404] * len(folders)
    assert all(STEM.encode() not in site.ask(each).body for each in folders)


def test_name_of_a_job_holds_74_bits_that_nobody_knows() -> None:
    made = [UUID(new_job_id()) for _ in range(2000)]
    mask = (1 << 12) - 1 << 64 | (1 << 62) - 1
    ones = [sum(each.int >> bit & 1 for each in made) for bit in range(128) if mask >> bit & 1]

    assert {(each.version, each.variant) for each in made} == {(7, RFC_4122)}
    assert len(ones) == 74
    # Each bit is one in about half of them: six standard deviations.
    assert all(abs(count - 1000) < 135 for count in ones)
