"""The image that all tasks run."""

from __future__ import annotations

import re
from pathlib import Path

import aws_cdk as cdk
from aws_cdk import aws_ecr as ecr
from aws_cdk import aws_ecr_assets as ecr_assets
from aws_cdk import aws_ecs as ecs
from constructs import Construct

from infra.config import Config

CHECKOUT = Path(__file__).parents[1]

_ECR = re.compile(
    r"(?P<account>\d{12})\.dkr\.ecr\.(?P<region>[a-z0-9-]+)\.amazonaws\.com/(?P<name>[^:@]+)[:@](?P<tag>.+)"
)


def container_image(scope: Construct, config: Config) -> ecs.ContainerImage:
    """The one that the configuration names, or one that is built from this checkout when it is deployed.

    Of an image in ECR the tasks are allowed to pull that repository; any other registry must ask nobody who they are.
    """
    if not config.image:
        is_arm = config.architecture == "arm64"
        platform = ecr_assets.Platform.LINUX_ARM64 if is_arm else ecr_assets.Platform.LINUX_AMD64
        return ecs.ContainerImage.from_asset(str(CHECKOUT), platform=platform)
    match = _ECR.fullmatch(config.image)
    if match is None:
        return ecs.ContainerImage.from_registry(config.image)
    arn = cdk.Stack.of(scope).format_arn(
        service="ecr",
        region=match["region"],
        account=match["account"],
        resource="repository",
        resource_name=match["name"],
    )
    repository = ecr.Repository.from_repository_attributes(
        scope, "Repository", repository_arn=arn, repository_name=match["name"]
    )
    return ecs.ContainerImage.from_ecr_repository(repository, match["tag"])
