"""The WebhookSender, against real receivers. What is not public is reached only where a test names its network."""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
import threading
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from graphql_api.adapters.webhook_sender import open_webhook_sender
from graphql_api.adapters.webhook_sender.addresses import AddressRule
from graphql_api.adapters.webhook_sender.names import AT_A_TIME, PER_LANE, NameLookup
from graphql_api.adapters.webhook_sender.sender import HttpWebhookSender
from graphql_api.domain.errors import NotDelivered, ServiceUnavailable
from tests.clients import webhook_receiver
from tests.clients.ports import free_port
from tests.clients.tls_proxy import Certificate
from tests.clients.waiting import PATIENCE_SECONDS, eventually
from tests.clients.webhook_receiver import WebhookReceiver, status

HEADERS = {"content-type": "application/json", "webhook-id": "x.1"}
LOOPBACK = ["127.0.0.0/8", "::1"]
NOT_PUBLIC = "The URL must lead to a public address."
NOT_HTTPS = "The URL must begin with https://."
PUBLIC_ADDRESS = "1.1.1.1"


@pytest.fixture
def receiver() -> Iterator[WebhookReceiver]:
    with WebhookReceiver() as opened:
        yield opened


@pytest.fixture
def certificate(tmp_path: Path) -> Certificate:
    return Certificate(tmp_path / "tls")


class Resolver:
    """Answers with what it was given, in this order; the last again and again. Keeps what it was asked for."""

    def __init__(self, *answers: Sequence[str] | OSError) -> None:
        self._answers = list(answers)
        self.asked: list[str] = []

    async def __call__(self, host: str, *, lane: str = "") -> Sequence[str]:
        self.asked.append(host)
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, OSError):
            raise answer
        return answer


def a_sender(
    *networks: str,
    resolve: Resolver | None = None,
    trusted: Certificate | None = None,
    total_seconds: float = 15.0,
    connect_seconds: float = 5.0,
) -> HttpWebhookSender:
    return HttpWebhookSender(
        AddressRule(networks),
        resolve=resolve,
        tls=None if trusted is None else ssl.create_default_context(cafile=trusted.file),
        total_seconds=total_seconds,
        connect_seconds=connect_seconds,
    )


# --- what is sent ----------------------------------------------------------------------------------------------------


async def test_a_message_arrives_as_it_was_sent(receiver: WebhookReceiver) -> None:
    async with open_webhook_sender(LOOPBACK) as sender:
        code = await sender.send(f"{receiver.origin}/a%20b/ü?q=1&r=%2F", b'{"a":1}', HEADERS)

    assert code == 200
    (received,) = receiver.received
    assert received.path == "/a%20b/%C3%BC?q=1&r=%2F"
    assert received.body == b'{"a":1}'
    assert received.headers["host"] == f"127.0.0.1:{receiver.port}"
    assert received.headers["webhook-id"] == "x.1"
    assert received.headers["content-type"] == "application/json"
    assert received.headers["user-agent"].startswith("text2image/")


@pytest.mark.parametrize("code", [200, 204, 299, 400, 404, 410, 429, 500, 503])
async def test_the_status_is_what_the_receiver_says(receiver: WebhookReceiver, code: int) -> None:
    receiver.answers = [status(code)]

    assert await a_sender(*LOOPBACK).send(receiver.url, b"{}", HEADERS) == code


async def test_each_message_has_a_connection_of_its_own(receiver: WebhookReceiver) -> None:
    sender = a_sender(*LOOPBACK)
    for _ in range(3):
        await sender.send(receiver.url, b"{}", HEADERS)

    assert receiver.connections == 3


async def test_ipv6_receivers_are_reached() -> None:
    with WebhookReceiver("::1") as receiver:
        url = f"http://[::1]:{receiver.port}/hook"
        assert await a_sender(*LOOPBACK).check(url, lane="alice") is None
        assert await a_sender(*LOOPBACK).send(url, b"{}", HEADERS) == 200
        assert receiver.received[0].headers["host"] == f"[::1]:{receiver.port}"


async def test_the_next_address_is_tried_when_one_does_not_answer(receiver: WebhookReceiver) -> None:
    sender = a_sender(*LOOPBACK, resolve=Resolver(["127.0.0.9", "127.0.0.1"]))

    assert await sender.send(f"http://hooks.example:{receiver.port}/", b"{}", HEADERS) == 200


async def test_proxies_of_the_environment_are_not_used(
    receiver: WebhookReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")

    assert await a_sender(*LOOPBACK).send(receiver.url, b"{}", HEADERS) == 200


# --- TLS -------------------------------------------------------------------------------------------------------------


async def test_a_receiver_with_a_trusted_certificate_is_told(certificate: Certificate) -> None:
    with WebhookReceiver(tls=certificate.server_context()) as receiver:
        sender = a_sender(*LOOPBACK, trusted=certificate)

        assert await sender.check(receiver.url, lane="alice") is None
        assert await sender.send(receiver.url, b"{}", HEADERS) == 200


async def test_a_certificate_that_nobody_vouches_for_is_refused(certificate: Certificate) -> None:
    with WebhookReceiver(tls=certificate.server_context()) as receiver:
        with pytest.raises(NotDelivered, match=r"^TLS failed$"):
            await a_sender(*LOOPBACK).send(receiver.url, b"{}", HEADERS)
        assert receiver.received == []


async def test_the_certificate_must_be_for_the_host_of_the_url(certificate: Certificate) -> None:
    with WebhookReceiver(tls=certificate.server_context()) as receiver:
        sender = a_sender(*LOOPBACK, trusted=certificate, resolve=Resolver(["127.0.0.1"]))
        with pytest.raises(NotDelivered, match=r"^TLS failed$"):
            await sender.send(f"https://hooks.example:{receiver.port}/", b"{}", HEADERS)
        assert receiver.received == []


async def test_a_receiver_without_tls_fails_under_https(receiver: WebhookReceiver) -> None:
    with pytest.raises(NotDelivered, match=r"^TLS failed$"):
        await a_sender(*LOOPBACK).send(receiver.url.replace("http:", "https:"), b"{}", HEADERS)


# --- receivers that do not answer ------------------------------------------------------------------------------------

SILENT = {
    "hangs": webhook_receiver.hang,
    "trickles": webhook_receiver.trickle,
}
BROKEN = {
    "closes": webhook_receiver.close,
    "speaks something else": webhook_receiver.garbage,
    "sends endless headers": webhook_receiver.endless_head,
}
TALKATIVE = {
    "endless body": webhook_receiver.endless_body,
    "announced body that does not come": webhook_receiver.silent_body,
}


@pytest.mark.parametrize("answer", SILENT.values(), ids=SILENT.keys())
async def test_a_receiver_that_does_not_answer_in_time_is_left(
    receiver: WebhookReceiver, answer: webhook_receiver.Answer
) -> None:
    receiver.always = answer

    with pytest.raises(NotDelivered, match=r"^no answer in 0.2 s$"):
        await a_sender(*LOOPBACK, total_seconds=0.2).send(receiver.url, b"{}", HEADERS)
    assert len(receiver.received) == 1


@pytest.mark.parametrize("answer", BROKEN.values(), ids=BROKEN.keys())
async def test_a_receiver_that_breaks_off_is_not_told(
    receiver: WebhookReceiver, answer: webhook_receiver.Answer
) -> None:
    receiver.always = answer

    with pytest.raises(NotDelivered, match=r"^the connection ended without an answer in HTTP$"):
        await a_sender(*LOOPBACK).send(receiver.url, b"{}", HEADERS)


@pytest.mark.parametrize("answer", TALKATIVE.values(), ids=TALKATIVE.keys())
async def test_the_status_counts_whatever_becomes_of_the_body(
    receiver: WebhookReceiver, answer: webhook_receiver.Answer
) -> None:
    receiver.always = answer

    assert await a_sender(*LOOPBACK).send(receiver.url, b"{}", HEADERS) == 200


async def test_an_endless_body_is_not_kept(receiver: WebhookReceiver) -> None:
    receiver.always = webhook_receiver.endless_body
    sender = a_sender(*LOOPBACK)
    await sender.send(receiver.url, b"{}", HEADERS)
    tracemalloc.start()
    try:
        for _ in range(5):
            await sender.send(receiver.url, b"{}", HEADERS)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 4 * 1024 * 1024


async def test_a_port_where_nobody_listens_refuses() -> None:
    with pytest.raises(NotDelivered, match=r"^the connection was refused$"):
        await a_sender(*LOOPBACK).send(f"http://127.0.0.1:{free_port()}/", b"{}", HEADERS)


async def test_a_request_that_is_given_up_leaves_no_connection(receiver: WebhookReceiver) -> None:
    left = threading.Event()

    def until_left(exchange: webhook_receiver.Exchange) -> None:
        if exchange.is_left():
            left.set()

    receiver.always = until_left
    sending = asyncio.create_task(a_sender(*LOOPBACK).send(receiver.url, b"{}", HEADERS))
    await eventually(lambda: receiver.received)
    sending.cancel()

    await asyncio.wait([sending])
    assert sending.cancelled()
    await eventually(left.is_set)


# --- where nothing is sent -------------------------------------------------------------------------------------------


async def test_a_redirect_is_an_answer_and_not_followed(receiver: WebhookReceiver) -> None:
    with WebhookReceiver() as inside:
        for code in (301, 302, 303, 307, 308):
            receiver.answers = [status(code, Location=inside.url)]
            assert await a_sender(*LOOPBACK).send(receiver.url, b"{}", HEADERS) == code

        assert inside.connections == 0


PRIVATE_URLS = [
    "https://127.0.0.1/",
    "https://localhost/",
    "https://localhost./",
    "https://LOCALHOST/",
    "https://2130706433/",
    "https://0x7f.1/",
    "https://0x7f000001/",
    "https://017700000001/",
    "https://127.1/",
    "https://127.0.1/",
    "https://0/",
    "https://0.0.0.0/",
    "https://10.0.0.1/",
    "https://192.168.0.1:8443/",
    "https://169.254.169.254/latest/meta-data/",
    "https://100.64.0.1/",
    "https://255.255.255.255/",
    "https://224.0.0.1/",
    "https://[::1]/",
    "https://[::]/",
    "https://[::ffff:127.0.0.1]/",
    "https://[::ffff:7f00:1]/",
    "https://[::127.0.0.1]/",
    "https://[0:0:0:0:0:ffff:a00:1]/",
    "https://[64:ff9b::7f00:1]/",
    "https://[2002:7f00:1::]/",
    "https://[fd00:ec2::254]/",
    "https://[fe80::1]/",
    "https://no-such-name.invalid/",
]
NO_URLS = {
    "": NOT_HTTPS,
    "example.com": NOT_HTTPS,
    "//example.com/": NOT_HTTPS,
    "ftp://example.com/": NOT_HTTPS,
    "file:///etc/passwd": NOT_HTTPS,
    "gopher://example.com/": NOT_HTTPS,
    "https:example.com": "The URL must name a host.",
    "https://": "The URL must name a host.",
    "https:///path": "The URL must name a host.",
    "https://?q": "The URL must name a host.",
    "https://./": "The URL must name a host.",
    "https://a..b/": "The URL must name a host.",
    "https://.example.com/": "The URL must name a host.",
    "https://%31%32%37.0.0.1/": "The URL must name a host.",
    "https://example.com\\@127.0.0.1/": "The URL must not hold a user or a password.",
    "https://127.0.0.1\\.example.com/": "The URL must name a host.",
    "https://[fe80::1%25eth0]/": "The URL must name a host.",
    "https://[fe80::1%eth0]/": "The URL must name a host.",
    "https://[::1/": "This is not a URL.",
    "https://[v1.x]/": "This is not a URL.",
    "https://999.1.1.1/": "This is not a URL.",
    "https://\uff11\uff12\uff17.\uff10.\uff10.\uff11/": "This is not a URL.",
    "https://127\u30020\u30020\u30021/": NOT_PUBLIC,
    "https://user@example.com/": "The URL must not hold a user or a password.",
    "https://user:secret@example.com/": "The URL must not hold a user or a password.",
    "https://@example.com/": "The URL must not hold a user or a password.",
    "https://example.com/#part": "The URL must not have a fragment.",
    "https://example.com/#": "The URL must not have a fragment.",
    "https://example.com#@127.0.0.1/": "The URL must not hold a user or a password.",
    "https://example.com:0/": "The port must be between 1 and 65535.",
    "https://example.com:65536/": "The port must be between 1 and 65535.",
    "https://example.com:-1/": "The port must be between 1 and 65535.",
    "https://example.com:http/": "This is not a URL.",
    "https://example.com/a b": "The URL must not hold spaces or control characters.",
    " https://example.com/": "The URL must not hold spaces or control characters.",
    "https://example.com/\r\nHost: x": "The URL must not hold spaces or control characters.",
    "https://example.com/\0": "The URL must not hold spaces or control characters.",
    "https://exam\u00adple.com/": "The URL must not hold spaces or control characters.",
    "https://example.com/\u202e": "The URL must not hold spaces or control characters.",
    f"https://{'a' * 64}.com/": "The URL must name a host.",
    f"https://{'a.' * 127}com/": "The URL must name a host.",
    f"https://example.com/{'a' * 1981}": "The URL must have at most 2,000 characters.",
}


@pytest.mark.parametrize("url", PRIVATE_URLS)
async def test_a_url_that_leads_to_no_public_address_is_refused(url: str) -> None:
    sender = a_sender()

    assert await sender.check(url, lane="alice") == NOT_PUBLIC
    with pytest.raises(NotDelivered, match=NOT_PUBLIC):
        await sender.send(url, b"{}", HEADERS)


@pytest.mark.parametrize("url", NO_URLS, ids=range(len(NO_URLS)))
async def test_a_url_that_is_none_gets_a_sentence(url: str) -> None:
    sender = a_sender()

    # What looks like a name may be another spelling of an address.
    assert sender.check_form(url) == (None if NO_URLS[url] == NOT_PUBLIC else NO_URLS[url])
    assert await sender.check(url, lane="alice") == NO_URLS[url]
    with pytest.raises(NotDelivered, match=NO_URLS[url]):
        await sender.send(url, b"{}", HEADERS)


async def test_a_public_url_is_accepted() -> None:
    sender = a_sender(resolve=Resolver([PUBLIC_ADDRESS, "2606:4700:4700::1111"]))

    for url in (
        "https://hooks.example/",
        "https://hooks.example:8443/a?b=c",
        "HTTPS://Hooks.Example",
        "https://ü.example",
    ):
        assert await sender.check(url, lane="alice") is None, url
    assert await sender.check(f"https://hooks.example/{'a' * 1978}", lane="alice") is None


async def test_one_private_address_among_public_ones_is_enough_to_refuse(receiver: WebhookReceiver) -> None:
    sender = a_sender(resolve=Resolver([PUBLIC_ADDRESS, "127.0.0.1"]))

    assert await sender.check(f"https://hooks.example:{receiver.port}/", lane="alice") == NOT_PUBLIC
    with pytest.raises(NotDelivered):
        await sender.send(f"https://hooks.example:{receiver.port}/", b"{}", HEADERS)
    assert receiver.connections == 0


async def test_plain_http_is_only_for_named_networks() -> None:
    for answer in ([PUBLIC_ADDRESS], ["10.1.0.1", PUBLIC_ADDRESS], ["10.2.0.1"], []):
        sender = a_sender("10.1.0.0/16", resolve=Resolver(answer))
        assert await sender.check("http://hooks.example/", lane="alice") == NOT_HTTPS, answer

    assert (
        await a_sender("10.1.0.0/16", resolve=Resolver(["10.1.0.1"])).check("http://hooks.example/", lane="alice")
        is None
    )


async def test_a_name_that_leads_nowhere_looks_like_one_that_leads_inside() -> None:
    for answer in ([], ["10.0.0.1"]):
        assert await a_sender(resolve=Resolver(answer)).check("https://hooks.example/", lane="alice") == NOT_PUBLIC


async def test_the_form_of_a_url_is_checked_without_looking_its_name_up() -> None:
    resolver = Resolver(OSError("nobody must ask"))
    sender = a_sender(resolve=resolver)

    assert sender.check_form("https://hooks.example/") is None
    assert sender.check_form("https://10.0.0.1/") is None
    assert sender.check_form("ftp://hooks.example/") == NOT_HTTPS
    assert resolver.asked == []


async def test_a_name_server_that_does_not_answer_is_not_waited_for_and_is_no_verdict() -> None:
    async def never(host: str, *, lane: str = "") -> Sequence[str]:
        await asyncio.Event().wait()
        return ()

    sender = HttpWebhookSender(AddressRule(), resolve=never, connect_seconds=0.1)

    with pytest.raises(ServiceUnavailable, match="try again"):
        await sender.check("https://hooks.example/", lane="alice")
    with pytest.raises(NotDelivered, match=r"^the host could not be looked up$"):
        await sender.send("https://hooks.example/", b"{}", HEADERS)


@pytest.mark.parametrize("code", [socket.EAI_AGAIN, socket.EAI_FAIL, socket.EAI_MEMORY])
async def test_a_lookup_that_fails_for_the_moment_is_no_verdict(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    with_system_resolver(monkeypatch, lambda host: raised(socket.gaierror(code, "not now")))

    with pytest.raises(ServiceUnavailable):
        await a_sender().check("https://hooks.example/", lane="alice")


@pytest.mark.parametrize("code", [socket.EAI_NONAME, socket.EAI_NODATA])
async def test_a_name_that_does_not_exist_is_refused(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    with_system_resolver(monkeypatch, lambda host: raised(socket.gaierror(code, "no such name")))

    assert await a_sender().check("https://hooks.example/", lane="alice") == NOT_PUBLIC


async def test_a_machine_without_free_files_is_no_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    with_system_resolver(monkeypatch, lambda host: raised(OSError(errno.EMFILE, "too many open files")))

    with pytest.raises(ServiceUnavailable):
        await a_sender().check("https://hooks.example/", lane="alice")


# --- lookups ---------------------------------------------------------------------------------------------------------


def with_system_resolver(monkeypatch: pytest.MonkeyPatch, answer: Callable[[str], str]) -> None:
    """Let the resolver of the system answer so; it is called in threads."""

    def getaddrinfo(host: str, *_: object, **__: object) -> list[tuple[int, int, int, str, tuple[str, int]]]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (answer(host), 0))]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


def raised(error: OSError) -> str:
    raise error


class SlowNames:
    """A resolver that hangs for names of evil.example until it is let go."""

    def __init__(self) -> None:
        self.address = PUBLIC_ADDRESS
        self.let_go = threading.Event()
        self.hanging = 0
        self._lock = threading.Lock()

    def __call__(self, host: str) -> str:
        if host.endswith("evil.example"):
            with self._lock:
                self.hanging += 1
            self.let_go.wait()
            with self._lock:
                self.hanging -= 1
        return self.address


@pytest.fixture
def slow_names(monkeypatch: pytest.MonkeyPatch) -> Iterator[SlowNames]:
    names = SlowNames()
    with_system_resolver(monkeypatch, names)
    yield names
    names.let_go.set()


async def evil_checks(sender: HttpWebhookSender, count: int, *, lane: str) -> Sequence[object]:
    checks = (sender.check(f"https://{lane}-{number}.evil.example/", lane=lane) for number in range(count))
    return await asyncio.gather(*checks, return_exceptions=True)


async def test_who_has_a_slow_name_server_waits_for_themselves(slow_names: SlowNames) -> None:
    sender = a_sender(connect_seconds=0.5)

    refused = await evil_checks(sender, 200, lane="mallory")

    # The threads go on, and nobody waits for them any more: they count all the same.
    assert all(isinstance(each, ServiceUnavailable) for each in refused)
    await eventually(lambda: slow_names.hanging == PER_LANE)
    with pytest.raises(ServiceUnavailable):
        await sender.check("https://hooks.example/", lane="mallory")
    assert await sender.check("https://hooks.example/", lane="alice") is None
    slow_names.let_go.set()
    await eventually(lambda: slow_names.hanging == 0)
    assert await sender.check("https://hooks.example/", lane="mallory") is None


async def test_checks_that_hang_do_not_keep_messages_from_being_sent(
    slow_names: SlowNames, receiver: WebhookReceiver
) -> None:
    slow_names.address = "127.0.0.1"
    sender = a_sender(*LOOPBACK, connect_seconds=0.5)
    url = f"http://hooks.example:{receiver.port}/"
    lanes = [f"mallory-{number}" for number in range(AT_A_TIME // PER_LANE)]
    await asyncio.gather(*(evil_checks(sender, PER_LANE, lane=lane) for lane in lanes))
    await eventually(lambda: slow_names.hanging == AT_A_TIME)

    with pytest.raises(ServiceUnavailable):
        await sender.check(url, lane="alice")
    assert await sender.send(url, b"{}", HEADERS) == 200


async def test_a_thread_that_does_not_start_gives_its_slot_back(monkeypatch: pytest.MonkeyPatch) -> None:
    with_system_resolver(monkeypatch, lambda host: PUBLIC_ADDRESS)
    lookup = NameLookup(at_a_time=1, per_lane=1)

    def full(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", full)
        for _ in range(3):
            with pytest.raises(OSError, match="no thread"):
                await asyncio.wait_for(lookup("hooks.example", lane="alice"), PATIENCE_SECONDS)

    assert await lookup("hooks.example", lane="alice") == [PUBLIC_ADDRESS]


async def test_who_gives_up_waiting_for_a_slot_leaves_none_taken(slow_names: SlowNames) -> None:
    lookup = NameLookup(at_a_time=1, per_lane=2)
    first = asyncio.create_task(lookup("evil.example", lane="mallory"))
    await eventually(lambda: slow_names.hanging == 1)
    for _ in range(5):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(lookup("hooks.example", lane="mallory"), 0.01)
    slow_names.let_go.set()

    assert await first == [PUBLIC_ADDRESS]
    assert await lookup("hooks.example", lane="mallory") == [PUBLIC_ADDRESS]


async def test_a_name_that_is_rebound_to_loopback_after_the_check_is_refused(receiver: WebhookReceiver) -> None:
    resolver = Resolver([PUBLIC_ADDRESS], ["127.0.0.1"])
    sender = a_sender(resolve=resolver)
    url = f"https://hooks.example:{receiver.port}/"

    assert await sender.check(url, lane="alice") is None
    with pytest.raises(NotDelivered, match=NOT_PUBLIC):
        await sender.send(url, b"{}", HEADERS)
    assert receiver.connections == 0


async def test_the_address_that_was_checked_is_the_one_that_is_connected_to(receiver: WebhookReceiver) -> None:
    with WebhookReceiver("127.0.0.2", port=receiver.port) as named:
        resolver = Resolver(["127.0.0.2"], ["127.0.0.1"])
        sender = a_sender("127.0.0.2", resolve=resolver)

        assert await sender.send(f"http://localhost:{receiver.port}/", b"{}", HEADERS) == 200
        assert resolver.asked == ["localhost"]
        assert len(named.received) == 1
    assert receiver.connections == 0
