"""compose.yaml: that it is one, that the program takes what it says, and that nothing in it stands open."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import pytest
import yaml
from compose_spec import PyCompose, parse_duration

from graphql_api.bootstrap import check_shared
from graphql_api.commands.process import CLOSING_SECONDS
from graphql_api.commands.serve import GIVING_BACK_SECONDS, check_reach
from tests.image import program
from tests.image.dockerfile import ROOT, image_environment, is_sent, stages

OURS, THEIRS = ("server", "worker"), ("postgres", "valkey")
VARIABLE = re.compile(r"(?<!\$)\$\{(?P<name>\w+)(?P<kind>:[-?])?(?P<text>[^}]*)\}")
SECRETS = {"POSTGRES_PASSWORD": "o" * 48, "VALKEY_PASSWORD": "o" * 48, "TEXT2IMAGE_URL_SECRET": "o" * 64}
"""What somebody writes into .env."""


def written() -> str:
    """The file as it is."""
    return (ROOT / "compose.yaml").read_text()


def filled_in(given: Mapping[str, str]) -> dict[str, Any]:
    """The file with its variables replaced as Compose does
    (https://docs.docker.com/reference/compose-file/interpolation/). Raises KeyError for one that must be given."""

    def value(match: re.Match[str]) -> str:
        name, kind, text = match.groups()
        if given.get(name):
            return given[name]
        if kind == ":?":
            raise KeyError(name, text)
        return text

    lines = [line for line in written().splitlines() if not line.lstrip().startswith("#")]
    read: dict[str, Any] = yaml.safe_load(VARIABLE.sub(value, "\n".join(lines)))
    return read


@pytest.fixture
def services() -> dict[str, Any]:
    """All services, where the secrets are given and nothing else."""
    found: dict[str, Any] = filled_in(SECRETS)["services"]
    return found


def environment_in(service: Mapping[str, Any]) -> dict[str, str]:
    """What a process of ours finds in its environment."""
    return {**image_environment(), **service["environment"]}


def test_the_specification_has_nothing_against_it() -> None:
    project = PyCompose.from_json(json.dumps(filled_in(SECRETS)))
    project.validate()
    assert sorted(project.service_names()) == sorted(OURS + THEIRS)


def test_each_service_waits_until_services_that_exist_are_healthy(services: dict[str, Any]) -> None:
    for name in OURS:
        assert services[name]["depends_on"] == {each: {"condition": "service_healthy"} for each in THEIRS}
    assert all("healthcheck" in services[name] for name in THEIRS)


@pytest.mark.parametrize("name", SECRETS)
def test_there_is_no_password_until_somebody_writes_one_and_the_error_says_where(name: str) -> None:
    others = {each: value for each, value in SECRETS.items() if each != name}
    with pytest.raises(KeyError) as error:
        filled_in(others)
    assert error.value.args[0] == name
    assert re.fullmatch(rf"Write {name}=<.*> into \.env", error.value.args[1])
    assert all(match["kind"] == ":?" for match in VARIABLE.finditer(written()) if match["name"] == name)


def test_file_of_the_passwords_stays_out_of_the_image() -> None:
    assert not is_sent(".env")


@pytest.mark.parametrize("name", OURS)
def test_settings_are_those_of_the_program_and_enough_for_two_processes(services: dict[str, Any], name: str) -> None:
    environment = environment_in(services[name])
    assert program.strangers(environment) == set()
    settings = program.settings_of(environment)
    check_shared(settings)
    assert SECRETS["POSTGRES_PASSWORD"] in settings.database_url
    assert settings.events_password.get_secret_value() == SECRETS["VALKEY_PASSWORD"]
    assert settings.url_secret.get_secret_value() == SECRETS["TEXT2IMAGE_URL_SECRET"]


def test_both_processes_have_the_same_settings(services: dict[str, Any]) -> None:
    server, worker = (program.settings_of(environment_in(services[name])) for name in OURS)
    assert server == worker


@pytest.mark.parametrize("name", OURS)
def test_commands_are_those_of_the_program(services: dict[str, Any], name: str) -> None:
    command = services[name]["command"]
    program.understood(command)
    assert command[0] == {"server": "serve", "worker": "worker"}[name]


def test_server_asks_callers_who_they_are_and_leaves_jobs_to_the_worker(services: dict[str, Any]) -> None:
    arguments = program.understood(services["server"]["command"])
    assert arguments["run_jobs"] is False
    settings = program.settings_of(environment_in(services["server"]))
    assert settings.auth == "keys"
    check_reach(settings, str(arguments["host"]))


def test_server_is_published_to_its_own_host_only_unless_somebody_says_otherwise(services: dict[str, Any]) -> None:
    port = stages()[-1].value("EXPOSE")
    assert services["server"]["ports"] == [f"127.0.0.1:{port}:{port}"]
    assert services["server"]["environment"][program.option("serve", "port").envvar] == port
    assert not any("ports" in services[name] for name in ("worker", *THEIRS))
    given = filled_in({**SECRETS, "LISTEN": "0.0.0.0:80"})["services"]["server"]["ports"]
    assert given == [f"0.0.0.0:80:{port}"]


def test_server_answers_to_its_own_host_and_to_names_that_somebody_gives(services: dict[str, Any]) -> None:
    assert "localhost" in program.settings_of(environment_in(services["server"])).allowed_hosts
    given = filled_in({**SECRETS, "TEXT2IMAGE_ALLOWED_HOSTS": "images.example.com"})["services"]["server"]
    assert program.settings_of(environment_in(given)).allowed_hosts == ("images.example.com",)


def test_health_check_of_the_image_finds_the_worker(services: dict[str, Any]) -> None:
    variable = program.option("worker", "health_port").envvar
    assert services["worker"]["environment"][variable].isdigit()
    assert variable not in services["server"]["environment"]
    assert not any("healthcheck" in services[name] for name in OURS)


def test_images_are_where_both_processes_see_them(services: dict[str, Any]) -> None:
    (volume,) = services["server"]["volumes"]
    assert services["worker"]["volumes"] == [volume]
    name, folder = volume.split(":")
    assert name in filled_in(SECRETS)["volumes"]
    assert f'["{folder}"]' == stages()[-1].value("VOLUME")
    assert program.settings_of(environment_in(services["server"])).images_url.startswith(f"file:{folder}/")


@pytest.mark.parametrize("name", OURS + THEIRS)
def test_each_service_may_write_to_its_volumes_only_and_gains_no_rights(services: dict[str, Any], name: str) -> None:
    service = services[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"] and "cap_add" not in service and "privileged" not in service
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "/tmp" in service["tmpfs"]
    assert service["restart"] == "unless-stopped"
    if name in THEIRS:
        assert service["user"] not in ("root", "0")
        assert service["networks"] == ["inside"]


def test_databases_reach_nothing_outside() -> None:
    networks = filled_in(SECRETS)["networks"]
    assert networks["inside"]["internal"] is True
    assert not (networks["outside"] or {}).get("internal")


@pytest.mark.parametrize("name", OURS)
def test_the_kill_comes_after_the_drain(services: dict[str, Any], name: str) -> None:
    settings = program.settings_of(environment_in(services[name]))
    longest = settings.drain_delay + settings.drain + GIVING_BACK_SECONDS + 2 * CLOSING_SECONDS
    assert parse_duration(services[name]["stop_grace_period"]) > longest


def test_passwords_are_not_among_the_arguments(services: dict[str, Any]) -> None:
    for service in services.values():
        seen = json.dumps([service.get("command"), service.get("healthcheck")])
        assert not any(secret in seen for secret in SECRETS.values())


def test_guide_tells_of_each_variable_of_the_file() -> None:
    guide = (ROOT / "docs" / "container.md").read_text()
    table = guide[guide.index("| in `.env` |") :].partition("\n\n")[0]
    assert {match["name"] for match in VARIABLE.finditer(written())} == set(re.findall(r"`([A-Z][A-Z0-9_]+)`", table))
