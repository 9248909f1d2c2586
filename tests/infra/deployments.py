"""Deployments as an operator would describe them, and their templates as `make synth` writes them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
KEY_FILE = Path(__file__).with_name("url-key.pub")
OLD_KEY_FILE = Path(__file__).with_name("url-key-old.pub")
"""Public keys; nobody has their private halves."""

DEPLOYMENTS: Mapping[str, Mapping[str, str]] = {
    "small-realtime": {"ENDPOINT_NAME": "sd21"},
    "small-async": {
        "ENDPOINT_NAME": "sd21-async",
        "ENDPOINT_KIND": "async",
        "ENDPOINT_BUCKET": "model-answers",
        "COMPLETIONS_TOPIC_ARN": "arn:aws:sns:us-east-1:123456789012:model-answers",
        "ACCOUNT": "123456789012",
    },
    "small-created-realtime": {"MODEL": "stable-diffusion-2-1-base", "EGRESS": "endpoints", "INSTANCES_MAX": "2"},
    "small-sketch": {"MODEL": "sketch", "EGRESS": "nat", "HTTP_API": "true"},
    "standard-created-async": {
        "ENVIRONMENT": "standard",
        "MODEL": "stable-diffusion-2-1-base",
        "ENDPOINT_KIND": "async",
        "INSTANCES_MIN": "0",
        "INSTANCES_MAX": "3",
        "INSTANCE_DOLLARS_PER_HOUR": "1.515",
        "WEBHOOKS": "true",
        "HTTP_API": "true",
        "ALARM_EMAIL": "team@example.com",
        "ALLOWED_ORIGINS": "https://app.example.com",
        "RETENTION_DAYS": "90",
    },
    "standard-stream": {
        "ENVIRONMENT": "standard",
        "ENDPOINT_NAME": "sd21-stream",
        "ENDPOINT_KIND": "stream",
        "AUTH": "jwt",
        "JWT_ISSUER": "https://id.example.com",
        "JWT_AUDIENCE": "text2image",
        "DOMAIN_NAME": "images.example.com",
        "CERTIFICATE_ARN": "arn:aws:acm:us-east-1:123456789012:certificate/4a7d9d6f-0f6c-4c5e-8a53-5a3f0e6e0a11",
        "URL_PUBLIC_KEYS": str(KEY_FILE),
        "URL_PRIVATE_KEY_SECRET_ARN": "arn:aws:secretsmanager:us-east-1:123456789012:secret:url-key-AbCdEf",
        "ARCHITECTURE": "arm64",
    },
}
"""Both environments, and each kind of endpoint. The values are those of DEPLOY_<NAME>."""


@dataclass(frozen=True, slots=True)
class Resource:
    """A resource of a template."""

    stack: str
    id: str
    type: str
    properties: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Deployment:
    """What was written for a deployment."""

    name: str
    folder: Path
    templates: Mapping[str, Mapping[str, Any]]
    """By the last part of the stack's name: `foundation`, `model`, `service`."""

    def resources(self, *types: str) -> Iterator[Resource]:
        """All resources, or those of some types."""
        for stack, template in self.templates.items():
            for id, resource in template["Resources"].items():
                if not types or resource["Type"] in types:
                    yield Resource(stack, id, resource["Type"], resource.get("Properties", {}))

    @property
    def files(self) -> list[Path]:
        """The templates' files."""
        return sorted(self.folder.glob("*.template.json"))


def synth(values: Mapping[str, str], folder: Path) -> subprocess.CompletedProcess[str]:
    """What `make synth` does with DEPLOY_* variables, in an environment without credentials or a network's proxy."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    variables = {f"DEPLOY_{name}": value for name, value in {"REGION": "us-east-1", **values}.items()}
    quiet = {"JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION": "20", "AWS_EC2_METADATA_DISABLED": "true"}
    return subprocess.run(
        [sys.executable, "-m", "infra.app", str(folder)],
        cwd=ROOT,
        env={**kept, **quiet, **variables},
        capture_output=True,
        text=True,
        timeout=300,
    )


def read(name: str, folder: Path) -> Deployment:
    """The deployment that was written into a folder."""
    templates = {
        path.name.removesuffix(".template.json").rpartition("-")[2]: json.loads(path.read_text())
        for path in sorted(folder.glob("*.template.json"))
    }
    return Deployment(name, folder, templates)


def resource_list(deployment: Deployment) -> str:
    """Every resource of a deployment, one a line: what a review of a change should see."""
    lines = sorted(f"{each.stack:<10} {each.type:<50} {each.id}" for each in deployment.resources())
    return "\n".join(lines) + "\n"
