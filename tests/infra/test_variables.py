"""Settings as environment variables: what the program would refuse is refused while the template is made."""

from __future__ import annotations

import aws_cdk as cdk
import pytest

from graphql_api.settings import Settings
from infra.variables import variable, variables


def test_names_are_those_that_the_program_reads() -> None:
    assert variables(drain=30, explorer=False, codec="hf-dlc") == {
        "TEXT2IMAGE_DRAIN": "30",
        "TEXT2IMAGE_EXPLORER": "false",
        "TEXT2IMAGE_CODEC": "hf-dlc",
    }


def test_the_program_reads_back_what_was_given(monkeypatch: pytest.MonkeyPatch) -> None:
    given = variables(allowed_hosts="*", trusted_proxies="10.0.0.0/16, 10.1.0.0/16", price_per_second=0.0005)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    settings = Settings()
    assert settings.allowed_hosts == ("*",)
    assert settings.trusted_proxies == ("10.0.0.0/16", "10.1.0.0/16")
    assert settings.price_per_second == 0.0005


def test_name_that_is_no_setting_is_refused() -> None:
    with pytest.raises(ValueError, match="drian is no setting"):
        variables(drian=30)


@pytest.mark.parametrize("name", ["events_password", "webhook_secret", "url_private_key", "url_secret"])
def test_secret_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} is a secret"):
        variables(**{name: "hunter2"})


@pytest.mark.parametrize(
    ("name", "value"), [("database_connections", 1), ("log_format", "yaml"), ("keep_alive", "soon"), ("auth", "nobody")]
)
def test_value_that_the_program_would_refuse_is_refused(name: str, value: str | int) -> None:
    with pytest.raises(ValueError, match=name):
        variables(**{name: value})


def test_value_that_only_cloudformation_will_know_is_passed_on() -> None:
    unknown = cdk.Token.as_string({"Ref": "Something"})
    # As a number it would be refused if it were read.
    assert variables(drain=unknown) == {"TEXT2IMAGE_DRAIN": unknown}


def test_shell_that_makes_the_template_has_no_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEXT2IMAGE_DRAIN", "no number")
    assert variables(codec="hf-dlc") == {"TEXT2IMAGE_CODEC": "hf-dlc"}


def test_every_variable_has_the_prefix_of_the_program() -> None:
    assert variable("events_password") == "TEXT2IMAGE_EVENTS_PASSWORD"
