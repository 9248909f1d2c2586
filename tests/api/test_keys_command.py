"""`text2image keys`, as those who run a server type it."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from graphql_api.__main__ import app
from graphql_api.adapters.job_store import open_job_store
from graphql_api.adapters.key_store import open_key_store
from graphql_api.commands.keys import instant_of, seconds_of
from graphql_api.domain.caller import CallerLimits, CallerRole
from graphql_api.domain.errors import NotAuthenticated
from graphql_api.service.api_keys import KeyAuthenticator
from tests.clients.postgres_server import PostgresServer
from tests.clients.server_process import clean_environment

TOKEN = re.compile(r"t2i_([0-9a-f]{12})_[0-9a-f]{48}")

Keys = Callable[..., Result]


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """The data folder of the server whose keys they are."""
    return tmp_path / "data"


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch, data_dir: Path) -> Keys:
    """Runs `text2image keys` in this process: `keys("revoke", "0123456789ab")`."""
    for name in set(os.environ) - set(clean_environment()):
        monkeypatch.delenv(name)
    monkeypatch.setenv("TEXT2IMAGE_DATA_DIR", str(data_dir))

    def run(*arguments: str) -> Result:
        runner = CliRunner(env={"TERM": "dumb", "COLUMNS": "200"})
        return runner.invoke(app, ["keys", *arguments], catch_exceptions=False)

    return run


def listed(keys: Keys) -> list[dict[str, object]]:
    """The keys that `keys list --json` shows."""
    return [json.loads(line) for line in keys("list", "--json").stdout.splitlines()]


def token_of(result: Result) -> str:
    """The token that was printed, and nothing besides."""
    assert result.exit_code == 0, result.stderr
    token = result.stdout.removesuffix("\n")
    assert TOKEN.fullmatch(token)
    return token


def test_token_goes_alone_to_standard_output_and_is_shown_once(keys: Keys) -> None:
    created = keys("create", "web shop")
    token = token_of(created)
    assert "not shown again" in created.stderr
    assert token not in created.stderr
    for shown in (keys("list"), keys("list", "--json")):
        assert token[4:16] in shown.stdout
        assert token[17:] not in shown.stdout
        assert "secret" not in shown.stdout


def test_key_has_what_it_was_given(keys: Keys) -> None:
    created = keys(
        *("create", "Ada's [bold]phone", "--caller", "auth0|ada", "--role", "reader", "--expires", "2999-01-31"),
        *("--requests-per-minute", "600", "--jobs-per-minute", "60", "--jobs-in-flight", "4", "--sockets", "2"),
        *("--pixels-per-day", "100000000", "--streams", "3", "--dollars-per-month", "9.5", "--json"),
    )
    shown = json.loads(created.stdout)
    assert TOKEN.fullmatch(shown.pop("token"))
    assert listed(keys) == [shown]
    assert shown["name"] == "Ada's [bold]phone"
    assert (shown["caller"], shown["role"], shown["state"]) == ("auth0|ada", "reader", "active")
    assert shown["expires_at"] == "2999-01-31T00:00:00+00:00"
    assert shown["limits"] == {
        "requests_per_minute": 600,
        "jobs_per_minute": 60,
        "jobs_in_flight": 4,
        "pixels_per_day": 100_000_000,
        "sockets": 2,
        "streams": 3,
        "dollars_per_month": 9.5,
    }
    table = keys("list").stdout
    assert "Ada's [bold]phone" in table
    assert "jobs_in_flight 4" in table


def test_key_that_was_drawn_elsewhere_counts_and_its_token_is_never_shown(keys: Keys, data_dir: Path) -> None:
    drawn = keys("draw")
    token, fingerprint = token_of(drawn), drawn.stderr.removesuffix("\n")
    assert token[17:] not in fingerprint
    assert not data_dir.exists()
    created = keys("create", "phone", "--fingerprint", fingerprint, "--caller", "ada", "--json")
    assert (created.exit_code, token[17:] in created.stderr + created.stdout) == (0, False)
    assert listed(keys) == [json.loads(created.stdout)]
    assert json.loads(created.stdout)["id"] == token[4:16]

    async def sign_in() -> None:
        async with open_key_store(f"sqlite:{data_dir / 'keys.sqlite3'}") as store:
            assert (await KeyAuthenticator(store).authenticate(token)).id == "ada"
            with pytest.raises(NotAuthenticated):
                await KeyAuthenticator(store).authenticate(token[:17] + "0" * 48)

    asyncio.run(sign_in())


def test_drawn_key_needs_no_settings(keys: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEXT2IMAGE_DATABASE", "mysql://a/b")
    monkeypatch.setenv("TEXT2IMAGE_LEASE", "no number")
    drawn = keys("draw", "--json")
    assert (drawn.exit_code, drawn.stderr) == (0, "")
    described = json.loads(drawn.stdout)
    match = TOKEN.fullmatch(described["token"])
    assert match is not None
    secret_sha256 = hashlib.sha256(described["token"][17:].encode()).hexdigest()
    assert described["fingerprint"] == f"{match[1]}:{secret_sha256}"


def test_nothing_goes_to_standard_output_for_a_key_that_was_drawn_elsewhere(keys: Keys) -> None:
    fingerprint = keys("draw").stderr.strip()
    created = keys("create", "phone", "--fingerprint", fingerprint)
    assert (created.exit_code, created.stdout) == (0, "")
    assert "token" not in created.stderr
    again = keys("create", "another", "--fingerprint", fingerprint)
    assert (again.exit_code, again.stdout, again.stderr) == (2, "", "This key is there already.\n")
    assert [key["name"] for key in listed(keys)] == ["phone"]


@pytest.mark.parametrize("fingerprint", ["0123456789ab", f"0123456789ab:{'A' * 64}", f"0123456789ab:{'a' * 63}", "x"])
def test_fingerprint_that_is_none_is_told(keys: Keys, fingerprint: str) -> None:
    created = keys("create", "phone", "--fingerprint", fingerprint)
    assert (created.exit_code, created.stdout) == (2, "")
    assert created.stderr.startswith("A fingerprint is <ID of the key") and created.stderr.count("\n") == 1
    assert listed(keys) == []


def test_rotated_key_is_followed_by_another(keys: Keys) -> None:
    first = token_of(keys("create", "phone", "--caller", "ada"))
    rotated = keys("rotate", first[4:16], "--grace", "90m")
    second = token_of(rotated)
    assert second != first
    assert "90m" in rotated.stderr
    old, new = listed(keys)
    assert (old["caller"], old["account"], old["name"]) == (new["caller"], new["account"], new["name"])
    ends_at = datetime.fromisoformat(str(old["expires_at"]))
    assert timedelta(minutes=89) < ends_at - datetime.now(UTC) <= timedelta(minutes=90)
    assert new["expires_at"] is None


def test_revoked_key_says_so(keys: Keys) -> None:
    key_id = token_of(keys("create", "phone"))[4:16]
    revoked = keys("revoke", key_id)
    assert (revoked.exit_code, revoked.stdout) == (0, "")
    assert key_id in revoked.stderr
    assert [key["state"] for key in listed(keys)] == ["revoked"]
    refused = keys("rotate", key_id)
    assert (refused.exit_code, refused.stdout, refused.stderr) == (1, "", "This key has ended; create another.\n")


def test_without_keys_there_is_nothing_to_show(keys: Keys) -> None:
    shown = keys("list")
    assert (shown.exit_code, shown.stdout, shown.stderr) == (0, "", "There are no keys.\n")
    assert keys("list", "--json").stdout == ""


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["create", "a\nb"], "A name is"),
        (["create", ""], "A name is"),
        (["create", "a", "--caller", "a b"], "A caller ID is"),
        (["create", "a", "--expires", "yesterday"], "--expires: 'yesterday' is neither a day"),
        (["create", "a", "--expires", "2020-01-01"], "in the future"),
        (["create", "a", "--expires", "999999999w"], "--expires"),
        (["create", "a", "--expires", "0d"], "in the future"),
        (["create", "a", "--jobs-per-minute", "-1"], "--jobs-per-minute"),
        (["create", "a", "--dollars-per-month", "inf"], "A limit is"),
        (["create", "a", "--role", "admin"], "--role"),
        (["create"], "NAME"),
        (["rotate", "0123456789ab", "--grace", "soon"], "--grace: 'soon' is no length of time"),
        (["rotate", "0123456789ab", "--grace", "99999w"], "The grace time is"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_usage_is_told_and_exits_with_2(keys: Keys, arguments: list[str], complaint: str) -> None:
    result = keys(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert complaint.lower() in result.stderr.lower()
    assert listed(keys) == []


@pytest.mark.parametrize("command", ["rotate", "revoke"])
def test_key_that_is_not_there_exits_with_1(keys: Keys, command: str) -> None:
    result = keys(command, "0123456789ab")
    assert (result.exit_code, result.stdout, result.stderr) == (1, "", "There is no key with this ID.\n")


def test_store_that_cannot_be_used_exits_with_1(keys: Keys, data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data_dir.write_text("not a folder")
    result = keys("list")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "The keys cannot be used: The file of the API keys cannot be opened.\n"
    monkeypatch.setenv("TEXT2IMAGE_DATABASE", "mysql://ada:secret@localhost/a")
    result = keys("list")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "secret" not in result.stderr


async def test_command_works_while_a_server_runs(data_dir: Path) -> None:
    settings = clean_environment(data_dir=str(data_dir))
    async with (
        # What a server has open: the jobs, which nobody else can open meanwhile, and the keys.
        open_job_store(f"sqlite:{data_dir / 'jobs.sqlite3'}"),
        open_key_store(f"sqlite:{data_dir / 'keys.sqlite3'}") as store,
    ):
        now = 0.0
        authenticator = KeyAuthenticator(store, monotonic=lambda: now)
        token = _run("create", "phone", "--role", "reader", "--jobs-in-flight", "2", settings=settings).strip()
        caller = await authenticator.authenticate(token)
        assert (caller.role, caller.limits) == (CallerRole.READER, CallerLimits(jobs_in_flight=2))
        _run("revoke", token[4:16], settings=settings)
        now = 10.0
        with pytest.raises(NotAuthenticated):
            await authenticator.authenticate(token)


@pytest.fixture
def postgres(tmp_path: Path) -> Iterator[PostgresServer]:
    """A server with an empty database."""
    server = PostgresServer(tmp_path).start()
    yield server
    server.stop()


def test_keys_are_in_postgresql_where_the_jobs_are(
    keys: Keys, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch, data_dir: Path
) -> None:
    monkeypatch.setenv("TEXT2IMAGE_DATABASE", postgres.url())
    token = token_of(keys("create", "phone"))
    assert postgres.execute("SELECT id FROM api_keys") == token[4:16]
    assert [key["id"] for key in listed(keys)] == [token[4:16]]
    assert not data_dir.exists()


def test_times_are_read_as_people_write_them() -> None:
    assert [seconds_of(text) for text in ("90s", "30m", "24h", "7d", "2w", " 1h ")] == [
        90,
        1800,
        86_400,
        604_800,
        1_209_600,
        3600,
    ]
    now = datetime(2026, 11, 24, 12, tzinfo=UTC)
    assert instant_of("90d", now=now) == now + timedelta(days=90)
    assert instant_of("2027-01-31") == datetime(2027, 1, 31, tzinfo=UTC)
    assert instant_of("2027-01-31T12:00+02:00") == datetime(2027, 1, 31, 10, tzinfo=UTC)
    for text in ("", "d", "-1d", "1", "1.5h", "1y", "٣d"):
        with pytest.raises(ValueError, match="length of time"):
            seconds_of(text)


def _run(*arguments: str, settings: dict[str, str]) -> str:
    """What another process prints."""
    return subprocess.run(
        [sys.executable, "-m", "graphql_api", "keys", *arguments],
        env=settings,
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    ).stdout
