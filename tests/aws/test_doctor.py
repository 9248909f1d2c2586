"""`text2image doctor`, as an operator calls it: what works, what does not, and what to do."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.aws.conftest import BUCKET, Cloud
from tests.clients.jwks_server import JwksServer, SigningKey
from tests.clients.moto import CREDENTIALS
from tests.clients.server_process import StartServer, clean_environment

KEY = "-----BEGIN PRIVATE KEY-----\nnot a key\n-----END PRIVATE KEY-----\n"


def run_doctor(
    folder: Path, environment: Mapping[str, str], *options: str, **settings: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "graphql_api", "doctor", *options],
        env={**clean_environment(data_dir=str(folder / "data"), **settings), **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def findings(
    folder: Path, environment: Mapping[str, str], *options: str, **settings: str
) -> tuple[dict[str, dict[str, Any]], int]:
    """What was found, by check, and the exit code."""
    ended = run_doctor(folder, environment, "--json", *options, **settings)
    rows = [json.loads(line) for line in ended.stdout.splitlines()]
    return {row["check"]: row for row in rows}, ended.returncode


@pytest.fixture(autouse=True)
def without_faults(cloud: Cloud) -> None:
    cloud.sagemaker.reset()


ONE_MODEL = "[[model]]\nname = 'sd'\nendpoint = 'sagemaker:sd'\n"
THREE_MODELS = ONE_MODEL + (
    "[[model]]\nname = 'steps'\nendpoint = 'sagemaker-stream:steps'\n"
    f"[[model]]\nname = 'later'\nendpoint = 'sagemaker-async:later?inputs=s3://{BUCKET}/async-inputs'\n"
)


def test_a_laptop_without_settings_is_well(tmp_path: Path) -> None:
    found, code = findings(tmp_path, {})

    assert code == 0
    assert list(found) == ["job store", "event broker", "model sketch", "image store"]
    assert {row["state"] for row in found.values()} == {"ok"}


def test_what_decides_who_comes_in_is_tried(tmp_path: Path) -> None:
    issuer = JwksServer(SigningKey()).start()
    secret = "x" * 32
    documents = tmp_path / "documents.json"
    documents.write_text('{"one": "{ __typename }"}')
    try:
        given = {"auth": "jwt", "jwt_issuer": issuer.issuer, "jwt_audience": "text2image"}
        more = {"documents": str(documents), "documents_only": "true", "webhook_secret": secret}
        found, code = findings(tmp_path, {}, **given, **more)
        assert code == 0, found
        assert found["identity provider"]["detail"] == f"{issuer.issuer} has 1 keys"
        assert found["trusted documents"]["detail"] == "1 documents, and no others but the Studio's"
        assert found["webhooks"]["state"] == "ok"
    finally:
        issuer.stop()
    found, code = findings(tmp_path, {}, **given, webhook_secret="short")
    assert code == 1
    assert "TEXT2IMAGE_JWT_ISSUER" in found["identity provider"]["remedy"]
    assert "TEXT2IMAGE_WEBHOOK_SECRET" in found["webhooks"]["detail"]


def test_secret_of_the_database_is_tried_before_the_database(tmp_path: Path, cloud: Cloud) -> None:
    database = "postgresql://127.0.0.1:1/jobs?sslmode=disable"
    found, code = findings(tmp_path, cloud.environment, database=database, database_secret="no-such-secret")
    assert code == 1
    assert list(found)[:3] == ["AWS credentials", "secret of the database", "job store"]
    row = found["secret of the database"]
    assert (row["state"], "ResourceNotFoundException" in row["detail"]) == ("failed", True)
    assert "secretsmanager:GetSecretValue" in row["remedy"]

    secret = json.dumps({"username": "shop", "password": "hush-hush"})
    cloud.client("secretsmanager").create_secret(Name="database-of-doctor", SecretString=secret)
    ended = run_doctor(
        tmp_path,
        cloud.environment,
        "--json",
        database=f"sqlite:{tmp_path / 'jobs.sqlite3'}",
        database_secret="database-of-doctor",
    )
    assert "TEXT2IMAGE_DATABASE_SECRET is for PostgreSQL" in ended.stdout
    assert "hush-hush" not in ended.stdout + ended.stderr


def test_keys_that_are_missing_are_a_warning(tmp_path: Path) -> None:
    found, code = findings(tmp_path, {}, auth="keys")
    assert (code, found["API keys"]["state"]) == (0, "warning")
    assert "text2image keys create" in found["API keys"]["remedy"]


def test_everything_in_production_is_tried(cloud: Cloud, tmp_path: Path) -> None:
    found, code = findings(tmp_path, cloud.environment, **cloud.settings(tmp_path, THREE_MODELS))

    assert code == 0, found
    assert {row["state"] for row in found.values()} == {"ok"}, found
    assert list(found) == [
        *("job store", "event broker", "AWS credentials"),
        *("model sd", "model steps", "model later"),
        *("image store", "completion queue"),
    ]
    assert cloud.sagemaker.invocations() == []
    assert "KeyCount" in (listed := cloud.client("s3").list_objects_v2(Bucket=BUCKET, Prefix="images/0"))
    assert not [each for each in listed.get("Contents", ()) if each["Size"] < 100], "the probe is still there"


def test_an_image_is_fetched_the_way_that_clients_do(cloud: Cloud, tmp_path: Path) -> None:
    """Moto hands out the bucket's files, as a distribution in front of it would."""
    anybody_reads = {
        "Effect": "Allow",
        "Principal": "*",
        "Action": "s3:GetObject",
        "Resource": f"arn:aws:s3:::{BUCKET}/*",
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [anybody_reads]})
    cloud.client("s3").put_bucket_policy(Bucket=BUCKET, Policy=policy)
    settings = {**cloud.settings(tmp_path, ONE_MODEL), "public_url": f"{cloud.moto.origin}/{BUCKET}"}
    found, code = findings(tmp_path, cloud.environment, **settings)
    cloud.client("s3").delete_bucket_policy(Bucket=BUCKET)

    assert code == 0, found
    assert found["image store"]["detail"] == f"s3:{BUCKET}; fetched from {cloud.moto.origin}/"


def test_every_model_draws_when_it_is_asked_for(cloud: Cloud, tmp_path: Path) -> None:
    settings = cloud.settings(tmp_path, THREE_MODELS)
    found, code = findings(tmp_path, cloud.environment, "--invoke", **settings)

    assert code == 0, found
    assert [name for name in found if name.startswith("image from")] == [
        "image from sd",
        "image from steps",
        "image from later",
    ]
    assert cloud.sagemaker.runs() == 3


@pytest.mark.parametrize(
    ("status", "state", "code", "told"),
    [
        ("Creating", "warning", 0, "Wait"),
        ("ScaledToZero", "warning", 0, "takes minutes"),
        ("Failed", "failed", 1, "sagemaker:DescribeEndpoint"),
        ("Missing", "failed", 1, "Correct the name"),
    ],
)
def test_an_endpoint_that_is_not_in_service_is_told(
    cloud: Cloud, tmp_path: Path, status: str, state: str, code: int, told: str
) -> None:
    cloud.sagemaker.set_faults({"kind": "status", "status": status})
    found, exit_code = findings(tmp_path, cloud.environment, **cloud.settings(tmp_path, ONE_MODEL))

    assert (found["model sd"]["state"], exit_code) == (state, code)
    assert told in found["model sd"]["remedy"]


BROKEN: list[tuple[dict[str, str], str, str]] = [
    ({"images": "s3:no-such-bucket"}, "image store", ""),
    ({"public_url": "http://127.0.0.1:1"}, "image store", "TEXT2IMAGE_PUBLIC_URL"),
    ({"url_key_id": "K1", "url_private_key": KEY, "public_url": "https://x.example"}, "image store", "setting"),
    ({"completions": "sqs:http://127.0.0.1:1/123456789012/none"}, "completion queue", "sqs:ReceiveMessage"),
    ({"completions": "nothing:x"}, "completion queue", "setting"),
    ({"models": "/dev/null"}, "models", "docs/models.md"),
    ({"database": "sqlite:/dev/null/jobs"}, "job store", "exists"),
    ({"events": "pigeons:"}, "event broker", "setting"),
    ({"events": "valkey://reader:hush-hush@127.0.0.1:1"}, "event broker", "exists"),
]


@pytest.mark.parametrize(("changes", "check", "told"), BROKEN, ids=[str(changes)[:40] for changes, _, _ in BROKEN])
def test_what_is_broken_is_named_with_what_to_do_and_the_rest_is_tried(
    cloud: Cloud, tmp_path: Path, changes: dict[str, str], check: str, told: str
) -> None:
    settings = {**cloud.settings(tmp_path, ONE_MODEL), **changes}
    found, code = findings(tmp_path, cloud.environment, **settings)

    assert code == 1
    assert found[check]["state"] == "failed", found
    assert told in found[check]["remedy"], found
    assert "hush-hush" not in str(found)
    assert len(found) >= 5
    assert "not a key" not in json.dumps(found)


def test_credentials_that_are_missing_are_told(cloud: Cloud, tmp_path: Path) -> None:
    without = {name: value for name, value in CREDENTIALS.items() if "KEY" not in name}
    environment = {**without, "AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}
    found, code = findings(tmp_path, environment, **cloud.settings(tmp_path, ONE_MODEL))

    assert code == 1
    assert found["AWS credentials"]["state"] == "failed"
    assert "AWS_PROFILE" in found["AWS credentials"]["remedy"]


def test_a_running_server_is_no_trouble(start_server: StartServer, tmp_path: Path) -> None:
    start_server(endpoint="sketch:")
    found, code = findings(tmp_path, {})

    assert code == 0
    assert "in use by a server" in found["job store"]["detail"]


def test_the_table_can_be_read(tmp_path: Path) -> None:
    ended = run_doctor(tmp_path, {"COLUMNS": "100"}, endpoint="sagemaker:!")

    assert ended.returncode == 1
    assert "failed" in ended.stdout
    assert "needs the name of an endpoint" in " ".join(ended.stdout.split())
    assert "Traceback" not in ended.stdout + ended.stderr
