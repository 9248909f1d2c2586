"""Valkey: who reaches it, and that the program can do its work with what its user may do, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest
import redis
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, NoPermissionError
from redis.retry import Retry

from graphql_api.adapters.event_broker import open_event_broker
from graphql_api.adapters.event_broker.valkey import KEPT_PREVIEWS
from graphql_api.adapters.rate_limiter import open_rate_limiter
from graphql_api.adapters.valkey_url import parse_valkey_url
from graphql_api.domain.ids import JobId
from graphql_api.ports import QUEUE_TOPIC, EventBroker, JobMoved, JobProgressed, Preview, RateLimiter, Window
from infra.events import COMMANDS, PORTS, USER, Events, access_string
from infra.network import Network
from tests.clients.valkey_server import ValkeyCluster, ValkeyServer
from tests.clients.waiting import eventually
from tests.contract.watcher import Watcher
from tests.infra.deployments import Deployment, Resource
from tests.infra.small_stack import STACK, a_config, synthesize
from tests.infra.walking import faults

CONFIG = a_config(VALKEY_MAX_GB="3")
PASSWORD = "a-password-for-this-test"


# --- the template ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Deployment:
    def build(stack: cdk.Stack) -> None:
        events = Events(stack, "Events", config=CONFIG, network=Network(stack, "Network", config=CONFIG))
        cdk.CfnOutput(stack, "url", value=events.url)
        cdk.CfnOutput(stack, "password", value=events.password.secret_arn)

    return synthesize(tmp_path_factory.mktemp("events"), CONFIG, build)


def _only(deployment: Deployment, type: str) -> Resource:
    (resource,) = deployment.resources(type)
    return resource


def _user(deployment: Deployment, name: str) -> Mapping[str, Any]:
    (user,) = (u for u in deployment.resources("AWS::ElastiCache::User") if u.properties["UserName"] == name)
    return user.properties


def test_nothing_is_open_and_no_secret_is_plain(deployment: Deployment) -> None:
    assert faults(deployment) == []


def test_password_is_drawn_by_secrets_manager_and_looked_up_at_deployment(deployment: Deployment) -> None:
    secret = _only(deployment, "AWS::SecretsManager::Secret")
    assert "SecretString" not in secret.properties
    drawn = secret.properties["GenerateSecretString"]
    # ElastiCache takes 16 to 128 characters; without templates and punctuation the string is the password.
    assert drawn == {"ExcludePunctuation": True, "PasswordLength": 64}
    mode = _user(deployment, USER)["AuthenticationMode"]
    reference = ["{{resolve:secretsmanager:", {"Ref": secret.id}, ":SecretString:::}}"]
    assert mode == {"Type": "password", "Passwords": [{"Fn::Join": ["", reference]}]}
    assert deployment.templates[STACK]["Outputs"]["password"]["Value"] == {"Ref": secret.id}


def test_programs_user_has_the_access_that_is_tried_below_and_the_default_user_none(deployment: Deployment) -> None:
    assert _user(deployment, USER)["AccessString"] == access_string()
    assert _user(deployment, "default")["AccessString"].split() == ["off", "resetchannels", "-@all"]
    users = {each.id for each in deployment.resources("AWS::ElastiCache::User")}
    group = _only(deployment, "AWS::ElastiCache::UserGroup")
    assert {each["Ref"] for each in group.properties["UserIds"]} == users
    cache = _only(deployment, "AWS::ElastiCache::ServerlessCache")
    assert cache.properties["UserGroupId"] == {"Ref": group.id}


def test_only_the_tasks_reach_it(deployment: Deployment) -> None:
    (group,) = (
        each
        for each in deployment.resources("AWS::EC2::SecurityGroup")
        if each.properties["GroupDescription"].startswith("Valkey")
    )
    own = {"Fn::GetAtt": [group.id, "GroupId"]}
    rules = [
        r.properties for r in deployment.resources("AWS::EC2::SecurityGroupIngress") if r.properties["GroupId"] == own
    ]
    assert "SecurityGroupIngress" not in group.properties
    assert sorted(rule["FromPort"] for rule in rules) == sorted(rule["ToPort"] for rule in rules) == list(PORTS)
    assert all("Tasks" in rule["SourceSecurityGroupId"]["Fn::GetAtt"][0] for rule in rules)
    assert _only(deployment, "AWS::ElastiCache::ServerlessCache").properties["SecurityGroupIds"] == [own]


def test_it_is_limited_and_in_as_many_zones_as_there_are_subnets(deployment: Deployment) -> None:
    cache = _only(deployment, "AWS::ElastiCache::ServerlessCache").properties
    assert (cache["Engine"], int(cache["MajorEngineVersion"]) >= 8) == ("valkey", True)
    assert cache["CacheUsageLimits"]["DataStorage"] == {"Maximum": 3, "Unit": "GB"}
    assert cache["CacheUsageLimits"]["ECPUPerSecond"]["Maximum"] >= 1000
    assert len(cache["SubnetIds"]) == CONFIG.zones
    assert "SnapshotRetentionLimit" not in cache


def test_url_is_one_of_the_programs_with_tls_and_without_the_password(deployment: Deployment) -> None:
    parts = deployment.templates[STACK]["Outputs"]["url"]["Value"]["Fn::Join"][1]
    url = parse_valkey_url("".join(each if isinstance(each, str) else "cache.example.com" for each in parts))
    assert (url.is_tls, url.is_cluster, url.username, url.password) == (True, True, USER, None)
    assert url.node.port == PORTS[0]


# --- the access string, on a real Valkey -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Servers:
    """One server or a cluster, each node of which has the user of the access string."""

    url: str
    nodes: list[ValkeyServer]

    def refused(self) -> list[str]:
        """What the servers refused since they were asked last, by their logs."""
        found = [_pairs(entry) for node in self.nodes for entry in node.command("ACL", "LOG")]
        for node in self.nodes:
            node.command("ACL", "LOG", "RESET")
        return [f"{entry['username']} {entry['reason']} {entry['object']}" for entry in found]

    def calls(self) -> dict[str, int]:
        """How often each command was called, also by scripts."""
        counts: dict[str, int] = {}
        for node in self.nodes:
            for name, stats in node.command("INFO", "commandstats").items():
                command = name.removeprefix("cmdstat_")
                counts[command] = counts.get(command, 0) + int(stats["calls"])
        return counts


def _pairs(entry: list[bytes]) -> dict[str, str]:
    texts = [str(part, "utf-8", "replace") if isinstance(part, bytes) else str(part) for part in entry]
    return dict(zip(texts[::2], texts[1::2], strict=True))


def _single(folder: Path) -> tuple[str, list[ValkeyServer]]:
    server = ValkeyServer(folder)
    return server.start().url, [server]


def _cluster(folder: Path) -> tuple[str, list[ValkeyServer]]:
    cluster = ValkeyCluster(folder).start()
    return cluster.url, cluster.nodes


KINDS: Mapping[str, Callable[[Path], tuple[str, list[ValkeyServer]]]] = {"server": _single, "cluster": _cluster}


@pytest.fixture(scope="module", params=KINDS)
def servers(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """Valkey with the user that ElastiCache would make: the password, then the access string, word by word."""
    url, nodes = KINDS[request.param](tmp_path_factory.mktemp(request.param))
    try:
        for node in nodes:
            node.command("ACL", "SETUSER", USER, f">{PASSWORD}", *access_string().split())
            node.command("CONFIG", "RESETSTAT")
        yield Servers(url.replace("://", f"://{USER}:{PASSWORD}@"), nodes)
    finally:
        for node in nodes:
            node.stop()


async def _watch_a_job(broker: EventBroker, other: EventBroker) -> None:
    """Everything that a broker does."""
    watcher = Watcher()
    job_id = watcher.job.id
    await broker.check()
    async with (
        broker.subscribe(watcher.topic, watcher.deliver),
        broker.subscribe(QUEUE_TOPIC, lambda notice: None),
    ):
        await watcher.hears(other)
        progress = JobProgressed(
            job_id=job_id, caller_id=watcher.job.caller_id, attempt=1, progress=watcher.job.progress
        )
        await other.publish(progress)
        await eventually(lambda: progress in watcher.notices)
        assert await broker.latest_progress(job_id) == progress
        # One more than is kept: the first is taken away.
        for number in range(KEPT_PREVIEWS + 1):
            await _keep_and_find(broker, other, job_id, Preview(key=f"{job_id}/{number}.webp", body=b"picture"))
        ended = JobMoved(job_id=job_id, caller_id=watcher.job.caller_id, revision=9, job=None, is_deleted=True)
        await other.publish(ended)
        await eventually(lambda: ended in watcher.notices)

        async def is_forgotten() -> bool:
            return await broker.latest_progress(job_id) is None

        await eventually(is_forgotten)


async def _keep_and_find(broker: EventBroker, other: EventBroker, job_id: JobId, preview: Preview) -> None:
    await other.keep_preview(job_id, preview)
    assert await eventually(lambda: broker.preview(preview.key)) == preview.body


async def _count(limiter: RateLimiter, servers: Servers) -> None:
    """Everything that a rate limiter does."""
    window = Window(name="access", limit=3, seconds=3600)
    assert [await limiter.take(window, "alice") is None for _ in range(4)] == [True, True, True, False]
    await limiter.give_back(window, "alice", 1)
    assert (await limiter.use(window, "alice")).used == 2
    short = Window(name="short", limit=100, seconds=1)

    async def is_next_window() -> bool:
        await limiter.take(short, "alice")
        return servers.calls().get("rename", 0) > 0

    await eventually(is_next_window)


async def test_program_works_with_its_access_and_is_refused_nothing(servers: Servers) -> None:
    async with open_event_broker(servers.url) as broker, open_event_broker(servers.url) as other:
        await _watch_a_job(broker, other)
    async with open_rate_limiter(servers.url) as limiter:
        await _count(limiter, servers)

    assert servers.refused() == []
    unused = {command for command in COMMANDS if not servers.calls().get(command)}
    assert unused == (set() if len(servers.nodes) > 1 else {"cluster|slots", "command"}), "more than is needed"


@pytest.mark.parametrize(
    "command",
    [
        ("GET", "other:key"),
        ("SET", "other:key", "1"),
        ("SPUBLISH", "other:channel", "1"),
        ("KEYS", "*"),
        ("FLUSHALL",),
        ("CONFIG", "GET", "*"),
        ("ACL", "LIST"),
        ("EVAL", "return 1", "0"),
        ("PUBLISH", "text2image:all", "1"),
        ("CLUSTER", "RESET"),
    ],
    ids=" ".join,
)
def test_its_user_may_do_nothing_else(servers: Servers, command: tuple[str, ...]) -> None:
    node = servers.nodes[0]
    client = redis.Redis(port=node.port, username=USER, password=PASSWORD, protocol=2)
    try:
        with pytest.raises(NoPermissionError):
            client.execute_command(*command)  # type: ignore[no-untyped-call]
    finally:
        client.close()
        servers.refused()


def test_default_user_as_it_is_made_comes_in_nowhere(tmp_path: Path, deployment: Deployment) -> None:
    server = ValkeyServer(tmp_path / "default").start()
    try:
        with server.client() as admin:
            admin.ping()
            rules = _user(deployment, "default")["AccessString"].split()
            admin.execute_command("ACL", "SETUSER", "default", "resetpass", f">{PASSWORD}", *rules)  # type: ignore[no-untyped-call]
        for password in (None, PASSWORD):
            client = redis.Redis(port=server.port, password=password, protocol=2, retry=Retry(NoBackoff(), 0))
            with pytest.raises((AuthenticationError, NoPermissionError)):
                client.ping()
            client.close()
    finally:
        server.kill()
