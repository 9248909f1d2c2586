"""What happens to a deployment when a value is changed: CloudFormation refuses to take an export away that is in use,
and to replace what has a name of its own."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from cfnlint.schema.manager import PROVIDER_SCHEMA_MANAGER  # type: ignore[import-untyped]

from tests.infra.deployments import DEPLOYMENTS, Deployment, read, synth

BEFORE = DEPLOYMENTS["standard-created-async"]
CERTIFICATE = "arn:aws:acm:us-east-1:123456789012:certificate/4a7d9d6f-0f6c-4c5e-8a53-5a3f0e6e0a11"
CHANGES: Mapping[str, Mapping[str, str]] = {
    "a domain": {"DOMAIN_NAME": "images.example.com", "CERTIFICATE_ARN": CERTIFICATE},
    "another address": {"ALARM_EMAIL": "others@example.com"},
    "another way out": {"EGRESS": "public"},
    "no HTTP API": {"HTTP_API": "false"},
    "a third zone": {"ZONES": "3"},
    "more of everything": {"API_TASKS_MAX": "20", "AURORA_CAPACITY_MAX": "32", "INSTANCES_MAX": "5", "LOG_DAYS": "90"},
}


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Deployment:
    return _synthesized({}, tmp_path_factory.mktemp("before"))


@pytest.fixture(scope="module", params=CHANGES)
def after(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Deployment:
    return _synthesized(CHANGES[request.param], tmp_path_factory.mktemp("after"))


def test_what_the_old_service_uses_is_still_exported(before: Deployment, after: Deployment) -> None:
    exported = {
        output["Export"]["Name"]
        for stack in ("foundation", "model")
        for output in after.templates[stack].get("Outputs", {}).values()
        if "Export" in output
    }
    assert _imports(before.templates["service"]) <= exported


def test_nothing_that_has_a_name_must_be_replaced(before: Deployment, after: Deployment) -> None:
    assert list(_replaced(before, after)) == []


def test_replacement_is_found(before: Deployment, tmp_path: Path) -> None:
    other = _synthesized({"NAME": "other"}, tmp_path)
    assert any("AWS::ElastiCache::ServerlessCache" in each for each in _replaced(before, other))


def _synthesized(values: Mapping[str, str], folder: Path) -> Deployment:
    done = synth({**BEFORE, **values}, folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return read("changed", folder)


def _imports(value: Any) -> set[str]:
    match value:
        case {"Fn::ImportValue": str(name)}:
            return {name}
        case dict():
            return {name for inner in value.values() for name in _imports(inner)}
        case list():
            return {name for inner in value for name in _imports(inner)}
        case _:
            return set()


def _replaced(before: Deployment, after: Deployment) -> Iterator[str]:
    """Resources with a name of their own of which a property differs that cannot be changed, by AWS' own schemas."""
    old = {(each.stack, each.id): each for each in before.resources()}
    for new in after.resources():
        was = old.get((new.stack, new.id))
        if was is None or was.type.startswith("Custom::"):
            continue
        schema = PROVIDER_SCHEMA_MANAGER.get_resource_schema("us-east-1", new.type).schema
        names = {path.rpartition("/")[2] for path in schema.get("primaryIdentifier", ())} & set(new.properties)
        for path in schema.get("createOnlyProperties", ()):
            name = path.split("/")[2]
            is_same = json.dumps(was.properties.get(name)) == json.dumps(new.properties.get(name))
            if names and not is_same:
                yield f"{new.type} {new.id}: {name}"
