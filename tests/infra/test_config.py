"""What may be chosen of a deployment, and what is said to who chose wrongly."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from infra.config import ENVIRONMENTS, Config, ConfigError, read_config
from tests.infra.deployments import DEPLOYMENTS, synth

LEAST = {"AWS_REGION": "eu-west-1", "DEPLOY_MODEL": "sketch"}


def refusal(**values: str) -> str:
    with pytest.raises(ConfigError) as caught:
        read_config({"AWS_REGION": "us-east-1"} | {f"DEPLOY_{name}": value for name, value in values.items()})
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_least_that_is_given_is_a_region_and_a_model() -> None:
    config = read_config(LEAST)
    assert (config.environment, config.region, config.prefix) == ("small", "eu-west-1", "text2image-small")
    assert not config.creates_endpoint


def test_region_of_the_deployment_counts_more_than_that_of_the_shell() -> None:
    assert read_config({**LEAST, "DEPLOY_REGION": "us-west-2"}).region == "us-west-2"
    assert read_config({"AWS_DEFAULT_REGION": "eu-north-1", "DEPLOY_MODEL": "sketch"}).region == "eu-north-1"


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_values_of_an_environment_are_the_defaults_of_its_deployments(name: str) -> None:
    config = read_config({**LEAST, "DEPLOY_ENVIRONMENT": name})
    assert {field: getattr(config, field) for field in ENVIRONMENTS[name]} == dict(ENVIRONMENTS[name])
    one_of_them = read_config({**LEAST, "DEPLOY_ENVIRONMENT": name, "DEPLOY_API_TASKS_MAX": "7"})
    assert one_of_them.api_tasks_max == 7


def test_empty_variable_is_one_that_was_not_given() -> None:
    assert read_config({**LEAST, "DEPLOY_ENDPOINT_NAME": "", "DEPLOY_ENVIRONMENT": ""}).environment == "small"


def test_sketch_takes_what_was_said_of_an_endpoint() -> None:
    config = read_config({**LEAST, "DEPLOY_ENDPOINT_KIND": "async", "DEPLOY_INSTANCES_MIN": "0"})
    assert not config.is_async
    assert not config.creates_endpoint


def test_every_value_is_described() -> None:
    assert [name for name, field in Config.model_fields.items() if not field.description] == []


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({}, "DEPLOY_ENDPOINT_NAME=<an endpoint that exists> or DEPLOY_MODEL=.*neither was given"),
        ({"MODEL": "stable-diffusion-2-1-base", "ENDPOINT_NAME": "mine"}, "either .* or .*; both were given"),
        ({"MODEL": "stable-difusion"}, "DEPLOY_MODEL.*stable-diffusion-2-1-base"),
        ({"MODEL": "stable-diffusion-2-1-base", "ENDPOINT_KIND": "stream"}, "write DEPLOY_ENDPOINT_NAME"),
        ({"MODEL": "stable-diffusion-2-1-base", "INSTANCES_MIN": "0"}, "needs DEPLOY_ENDPOINT_KIND=async"),
        ({"ENDPOINT_NAME": "mine", "ENDPOINT_KIND": "async"}, "DEPLOY_COMPLETIONS_TOPIC_ARN=.* is missing"),
        ({"MODEL": "sketch", "REGION": "mars-1"}, "'mars-1' is no region; write one such as us-east-1"),
        ({"MODEL": "sketch", "ENVIRONMENT": "huge"}, "DEPLOY_ENVIRONMENT=huge is not known; write small or standard"),
        ({"ENDPOINT": "mine"}, "DEPLOY_ENDPOINT is not known; did you mean DEPLOY_ENDPOINT_NAME"),
        ({"MODEL": "stable-diffusion-2-1-base", "INSTANCE_TYPE": "ml.m5.xlarge"}, "ml.m5.xlarge has no GPU; write one"),
        ({"MODEL": "stable-diffusion-2-1-base", "INSTANCE_TYPE": "g5.xlarge"}, "no instance of SageMaker"),
        ({"MODEL": "sketch", "INSTANCES_MAX": "many"}, "DEPLOY_INSTANCES_MAX: .*integer.*'many'"),
        ({"MODEL": "sketch", "WORKER_TASKS_MIN": "5"}, "DEPLOY_WORKER_TASKS_MAX must not be less"),
        ({"MODEL": "sketch", "API_CPU": "300"}, "DEPLOY_API_CPU is one of 256, 512"),
        ({"MODEL": "sketch", "API_CPU": "1024"}, "DEPLOY_API_MEMORY=1024 does not go with 1024 CPU units; write 2048"),
        ({"MODEL": "sketch", "LOG_DAYS": "8"}, "DEPLOY_LOG_DAYS is one of"),
        ({"MODEL": "sketch", "AUTH": "none"}, "DEPLOY_AUTH: .*'keys' or 'jwt'"),
        ({"MODEL": "sketch", "AUTH": "jwt"}, "needs DEPLOY_JWT_ISSUER and DEPLOY_JWT_AUDIENCE"),
        ({"MODEL": "sketch", "EGRESS": "endpoints", "WEBHOOKS": "true"}, "write DEPLOY_EGRESS=nat"),
        ({"MODEL": "sketch", "DOMAIN_NAME": "a.example.com"}, "CERTIFICATE_ARN go together"),
        ({"MODEL": "sketch", "URL_PUBLIC_KEYS": "key.pem"}, "URL_PRIVATE_KEY_SECRET_ARN go together"),
        (
            {
                "MODEL": "sketch",
                "DOMAIN_NAME": "a.example.com",
                "CERTIFICATE_ARN": "arn:aws:acm:eu-west-1:1:certificate/a",
            },
            "DEPLOY_CERTIFICATE_ARN: .*of us-east-1",
        ),
        ({"MODEL": "sketch", "ALARM_EMAIL": "me"}, "'me' will not do; write one such as team@example.com"),
        ({"ENDPOINT_NAME": "my_endpoint"}, "DEPLOY_ENDPOINT_NAME: 'my_endpoint' will not do"),
        ({"ENDPOINT_NAME": "mine", "CODEC": "nope"}, "DEPLOY_CODEC: 'nope' is no codec; write .*jumpstart-sd"),
        ({"MODEL": "sketch", "AUTH": "jwt", "JWT_ISSUER": "foo", "JWT_AUDIENCE": "a"}, "DEPLOY_JWT_ISSUER: 'foo' will"),
        (
            {"MODEL": "sketch", "ALLOWED_ORIGINS": "app.example.com"},
            "DEPLOY_ALLOWED_ORIGINS: .*https://app.example.com",
        ),
        ({"MODEL": "sketch", "DOMAIN_NAME": "https://x/", "CERTIFICATE_ARN": ""}, "DEPLOY_DOMAIN_NAME: 'https://x/'"),
        (
            {"MODEL": "sketch", "URL_PUBLIC_KEYS": "a", "URL_PRIVATE_KEY_SECRET_ARN": "url-key"},
            "DEPLOY_URL_PRIVATE_KEY_SECRET_ARN: 'url-key' will not do; .*six characters",
        ),
        ({"ENDPOINT_NAME": "a", "ENDPOINT_KIND": "async", "COMPLETIONS_TOPIC_ARN": "t"}, "TOPIC_ARN: 't' will not do"),
        ({"MODEL": "sketch", "REGION": "cn-north-1"}, "cn-north-1 is of another partition"),
        ({"MODEL": "sketch", "AURORA_CAPACITY_MIN": "0.7"}, "DEPLOY_AURORA_CAPACITY_MIN: .*multiple of 0.5"),
        ({"MODEL": "sketch", "DOLLARS_PER_MONTH": "inf"}, "DEPLOY_DOLLARS_PER_MONTH: .*finite"),
        ({"MODEL": "sketch", "EGRESS": "endpoints", "IMAGE": "docker.io/me/it:1"}, "no registry but ECR"),
        ({"MODEL": "sketch", "ZONE_NAMES": "us-east-1a"}, "DEPLOY_ZONE_NAMES are 1, and DEPLOY_ZONES is 2"),
        ({"MODEL": "sketch", "ZONE_NAMES": "eu-west-1a,eu-west-1b"}, "DEPLOY_ZONE_NAMES are not of us-east-1"),
        ({"MODEL": "sketch", "NAME": "My Service"}, "DEPLOY_NAME: write up to 20 lowercase letters"),
        ({"MODEL": "sketch", "ACCOUNT": "12"}, "DEPLOY_ACCOUNT: '12' will not do"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_wrong_value_is_refused_in_one_line_that_says_what_to_write(values: dict[str, str], said: str) -> None:
    assert re.search(said, refusal(**values)), refusal(**values)


def test_missing_region_is_asked_for() -> None:
    with pytest.raises(ConfigError, match="write DEPLOY_REGION=us-east-1"):
        read_config({"DEPLOY_MODEL": "sketch"})


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_configuration_cannot_be_changed(name: str) -> None:
    given = {f"DEPLOY_{key}": value for key, value in DEPLOYMENTS[name].items()}
    config = read_config({"AWS_REGION": "us-east-1", **given})
    with pytest.raises(ValueError, match="frozen"):
        config.region = "us-east-1"  # type: ignore[misc]


def test_synth_ends_with_the_line_and_writes_nothing(tmp_path: Path) -> None:
    ended = synth({"MODEL": "stable-diffusion-2-1-base", "ENDPOINT_NAME": "mine"}, tmp_path / "out")
    assert ended.returncode == 2
    [line] = [line for line in ended.stderr.splitlines() if line]
    assert line.startswith("Nothing was written: write either DEPLOY_ENDPOINT_NAME=")
    assert not (tmp_path / "out").exists()


def test_key_file_that_cannot_be_read_ends_the_synth(tmp_path: Path) -> None:
    secret = "arn:aws:secretsmanager:us-east-1:123456789012:secret:url-key-AbCdEf"
    key = str(tmp_path / "missing.pem")
    ended = synth({"MODEL": "sketch", "URL_PUBLIC_KEYS": key, "URL_PRIVATE_KEY_SECRET_ARN": secret}, tmp_path / "out")
    assert ended.returncode == 2
    assert "DEPLOY_URL_PUBLIC_KEYS" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_infra_needs_neither_credentials_nor_the_aws_sdk() -> None:
    code = "import sys, infra.app; sys.exit('boto3' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], env={"PATH": os.environ["PATH"]}).returncode == 0
