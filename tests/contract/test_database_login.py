"""Logging in to PostgreSQL: who it is, by a secret of AWS Secrets Manager, and over TLS."""

from __future__ import annotations

import json
import logging
import secrets
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path

import boto3  # type: ignore[import-untyped]
import pytest
import pytest_asyncio

from graphql_api.adapters.aws import Aws, AwsOptions, open_aws
from graphql_api.adapters.database_login import ReadLogin
from graphql_api.adapters.database_secret import SecretUnreadable
from graphql_api.adapters.job_store import open_job_store
from graphql_api.adapters.key_store import open_key_store
from graphql_api.bootstrap import database_login, open_services
from graphql_api.commands.keys import open_keys
from graphql_api.domain.errors import ServiceUnavailable
from graphql_api.ports import KeyStore
from graphql_api.settings import Settings
from graphql_api.telemetry import configure_logging
from tests.clients.moto import REGION, MotoServer
from tests.clients.postgres_server import PostgresServer
from tests.clients.postgres_tls import PostgresTlsProxy
from tests.clients.tls_proxy import Certificate
from tests.contract.sample_jobs import added

USER = "shop"


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """A server that asks one user for their password."""
    server = PostgresServer(tmp_path_factory.mktemp("guarded")).start()
    try:
        server.execute(f"CREATE ROLE {USER} LOGIN SUPERUSER")
        rules = server.data / "pg_hba.conf"
        rules.write_text(f"host all {USER} 127.0.0.1/32 scram-sha-256\n{rules.read_text()}")
        server.execute("SELECT pg_reload_conf()")
        yield server
    finally:
        server.stop()


class Secret:
    """The secret and the password that it holds, as RDS manages them."""

    def __init__(self, moto: MotoServer, server: PostgresServer) -> None:
        self.name = f"database-{secrets.token_hex(4)}"
        self.password = ""
        self._server = server
        self._client = boto3.client(
            "secretsmanager",
            endpoint_url=moto.origin,
            region_name=REGION,
            aws_access_key_id="testing",
            aws_secret_access_key="testing",
        )
        self._client.create_secret(Name=self.name)
        self.rotate()

    def put(self, value: str) -> None:
        """Change what the secret says, and only that."""
        self._client.put_secret_value(SecretId=self.name, SecretString=value)

    def rotate(self) -> None:
        """Change the password in both places."""
        self.password = f"hush/{secrets.token_hex(4)}@"
        self._server.execute(f"ALTER ROLE {USER} PASSWORD '{self.password}'")
        self.put(json.dumps({"username": USER, "password": self.password, "engine": "postgres"}))

    def delete(self) -> None:
        """As if somebody had taken it away."""
        self._client.delete_secret(SecretId=self.name, ForceDeleteWithoutRecovery=True)


@pytest.fixture
def secret(aws_environment: MotoServer, guarded: PostgresServer) -> Secret:
    """A secret with a new password."""
    return Secret(aws_environment, guarded)


@pytest_asyncio.fixture
async def aws() -> AsyncIterator[Aws]:
    """Clients as the program opens them."""
    async with open_aws(AwsOptions()) as opened:
        yield opened


@pytest.fixture
def url(guarded: PostgresServer) -> str:
    """An empty database, without a user."""
    name = f"login_{secrets.token_hex(8)}"
    guarded.execute(f"CREATE DATABASE {name}")
    return f"postgresql://127.0.0.1:{guarded.port}/{name}"


@pytest.fixture
def log(capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[[], str]]:
    """What was logged; the logging is as it was afterwards."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield lambda: capsys.readouterr().err
    root.handlers[:] = handlers
    root.setLevel(level)


async def login_of(aws: Aws, url: str, name: str) -> ReadLogin:
    """Who logs in, by settings."""
    login = await database_login(Settings(database=url, database_secret=name), aws)
    assert login is not None
    return login


def end_connections(server: PostgresServer) -> None:
    """As a failover does."""
    server.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{USER}'")


async def key_ids(store: KeyStore) -> list[str]:
    return [key.id for key in await store.all()]


# --- the secret ------------------------------------------------------------------------------------------------------


async def test_user_of_the_secret_logs_in(aws: Aws, url: str, secret: Secret, guarded: PostgresServer) -> None:
    login = await login_of(aws, url, secret.name)
    async with open_job_store(url, login=login) as store, open_key_store(url, login=login) as keys:
        await added(store)
        assert await key_ids(keys) == []
        users = "SELECT DISTINCT usename FROM pg_stat_activity WHERE application_name LIKE 'text2image%'"
        assert guarded.execute(users) == USER


async def test_server_and_command_log_in_with_the_secret(
    url: str, secret: Secret, tmp_path: Path, aws_environment: MotoServer
) -> None:
    settings = Settings(data_dir=tmp_path, database=url, database_secret=secret.name, auth="keys")
    async with open_services(settings, with_worker=False) as services, open_keys(settings) as keys:
        key, token = await keys.create("ada", "phone")
        assert (await services.authenticator.authenticate(token)).id == key.caller_id == "ada"
        await services.store.check()


async def test_password_may_be_rotated_while_connections_are_open(
    aws: Aws, url: str, secret: Secret, guarded: PostgresServer, log: Callable[[], str]
) -> None:
    configure_logging("debug", "text")
    login = await login_of(aws, url, secret.name)
    async with open_job_store(url, login=login) as store, open_key_store(url, login=login) as keys:
        job = await added(store)
        first = secret.password
        secret.rotate()
        assert await store.find(job.id) == job
        end_connections(guarded)
        assert await store.find(job.id) == job
        assert await key_ids(keys) == []
    async with open_job_store(url, login=await login_of(aws, url, secret.name)) as store:
        assert await store.find(job.id) == job
    logged = log()
    assert first not in logged and secret.password not in logged


async def test_user_may_change_too(aws: Aws, url: str, secret: Secret, guarded: PostgresServer) -> None:
    login = await login_of(aws, url, secret.name)
    async with open_job_store(url, login=login) as store:
        job = await added(store)
        secret.put(json.dumps({"username": "postgres", "password": "whatever"}))
        end_connections(guarded)
        assert await store.find(job.id) == job
        assert guarded.execute(f"SELECT count(*) FROM pg_stat_activity WHERE usename = '{USER}'") == "0"


async def test_secret_that_cannot_be_read_any_more_is_still_tried(
    aws: Aws, url: str, secret: Secret, guarded: PostgresServer, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_job_store(url, login=await login_of(aws, url, secret.name)) as store:
        job = await added(store)
        secret.delete()
        end_connections(guarded)
        assert await store.find(job.id) == job
    assert "ResourceNotFoundException" in caplog.text
    assert secret.password not in caplog.text


async def test_password_that_is_wrong_is_told_without_it(aws: Aws, url: str, secret: Secret) -> None:
    secret.put(json.dumps({"username": USER, "password": "hush-hush"}))
    login = await login_of(aws, url, secret.name)
    with pytest.raises(ServiceUnavailable, match=f'authentication failed for user "{USER}"') as refused:
        async with open_job_store(url, login=login):
            pass
    assert "hush-hush" not in str(refused.value)


async def test_secret_that_is_not_there_is_told(aws: Aws, url: str, aws_environment: MotoServer) -> None:
    login = await login_of(aws, url, "no-such-secret")
    with pytest.raises(SecretUnreadable, match=r"TEXT2IMAGE_DATABASE_SECRET .*\(ResourceNotFoundException\)"):
        async with open_job_store(url, login=login):
            pass
    with pytest.raises(SecretUnreadable, match="TEXT2IMAGE_DATABASE_SECRET"):
        async with open_key_store(url, login=login):
            pass


@pytest.mark.parametrize(
    "value", ["hush-hush", '"hush-hush"', "[]", '{"password": "hush-hush"}', '{"username": 1, "password": "hush-hush"}']
)
async def test_secret_of_another_kind_is_told_without_what_it_holds(
    aws: Aws, url: str, secret: Secret, value: str, caplog: pytest.LogCaptureFixture
) -> None:
    secret.put(value)
    login = await login_of(aws, url, secret.name)
    with pytest.raises(SecretUnreadable, match="username and password") as refused:
        await login()
    assert "hush-hush" not in f"{refused.value}{caplog.text}"
    assert refused.value.__cause__ is None


@pytest.mark.parametrize(
    ("database", "says"),
    [
        ("", "is for PostgreSQL"),
        ("sqlite:jobs.db", "is for PostgreSQL"),
        ("postgresql://ada@host/a", "leave both out"),
        ("postgresql://:hush@host/a", "leave both out"),
        ("postgresql://host/a?user=ada", "leave both out"),
        ("postgresql://host/a?password=hush", "leave both out"),
    ],
)
async def test_url_and_secret_do_not_both_say_who_logs_in(aws: Aws, database: str, says: str) -> None:
    settings = Settings(database=database, database_secret="a-secret")
    with pytest.raises(ValueError, match=says) as refused:
        await database_login(settings, aws)
    assert "hush" not in str(refused.value) and "\n" not in str(refused.value)


async def test_nothing_is_asked_without_a_secret(aws: Aws) -> None:
    assert await database_login(Settings(), aws) is None


# --- TLS -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def certificate(tmp_path: Path) -> Certificate:
    """What the server shows; it vouches for itself."""
    return Certificate(tmp_path / "certificate")


@pytest_asyncio.fixture
async def tls(guarded: PostgresServer, certificate: Certificate) -> AsyncIterator[PostgresTlsProxy]:
    """The server, over TLS only."""
    proxy = PostgresTlsProxy(guarded.port, certificate)
    async with proxy:
        yield proxy


@pytest.fixture
def secure_url(url: str, guarded: PostgresServer, tls: PostgresTlsProxy) -> str:
    """The empty database, over TLS; without the certificate of who vouches for it."""
    return f"{url.replace(str(guarded.port), str(tls.port))}?sslmode=verify-full"


def as_anybody(url: str) -> str:
    """The URL of whoever need not show a password."""
    return url.replace("//", "//postgres@")


async def test_connections_are_over_tls_where_the_url_says_so(
    secure_url: str, certificate: Certificate, tls: PostgresTlsProxy
) -> None:
    url = as_anybody(f"{secure_url}&sslrootcert={certificate.file}")
    async with open_job_store(url) as store, open_key_store(url) as keys:
        await added(store)
        assert await key_ids(keys) == []
    assert tls.handshakes >= 2


async def test_secret_and_tls_go_together(
    aws: Aws, secure_url: str, secret: Secret, certificate: Certificate, tls: PostgresTlsProxy
) -> None:
    url = f"{secure_url}&sslrootcert={certificate.file}"
    async with open_job_store(url, login=await login_of(aws, url, secret.name)) as store:
        await added(store)
    assert tls.handshakes >= 1


async def refusals_of(url: str) -> Sequence[str]:
    """Why neither store is opened, as it is told."""
    with pytest.raises(ServiceUnavailable) as no_jobs:
        async with open_job_store(url):
            pass
    with pytest.raises(ServiceUnavailable) as no_keys:
        async with open_key_store(url):
            pass
    return no_jobs.value.message, no_keys.value.message


async def test_certificate_of_another_authority_is_refused(
    secure_url: str, tmp_path: Path, tls: PostgresTlsProxy
) -> None:
    other = Certificate(tmp_path / "other").file
    for told in await refusals_of(as_anybody(f"{secure_url}&sslrootcert={other}")):
        assert "certificate that is not trusted" in told and "sslrootcert=" in told
        assert "\n" not in told
    assert tls.handshakes == 0


async def test_certificate_of_another_host_is_refused(secure_url: str, certificate: Certificate) -> None:
    url = as_anybody(f"{secure_url}&sslrootcert={certificate.file}").replace("127.0.0.1", "localhost")
    for told in await refusals_of(url):
        assert "not valid for 'localhost'" in told


async def test_server_without_tls_is_not_talked_to(guarded: PostgresServer, url: str, certificate: Certificate) -> None:
    plain = as_anybody(f"{url}?sslmode=verify-full&sslrootcert={certificate.file}")
    with pytest.raises(ServiceUnavailable):
        async with open_key_store(plain):
            pass


async def test_authority_that_is_not_there_is_told_at_once(url: str, tmp_path: Path) -> None:
    missing = as_anybody(f"{url}?sslmode=verify-full&sslrootcert={tmp_path / 'no-such.pem'}")
    with pytest.raises(ValueError, match="sslrootcert="):
        async with open_job_store(missing):
            pass
    with pytest.raises(ValueError, match="sslrootcert="):
        async with open_key_store(missing):
            pass
