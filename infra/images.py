"""The bucket of images, and the bucket of access logs."""

from __future__ import annotations

from collections.abc import Sequence

import aws_cdk as cdk
from aws_cdk import aws_s3 as s3
from constructs import Construct

from infra.config import Config

ASYNC_DAYS = 2
"""Inputs and answers of asynchronous invocations hold prompts and images, and nobody else deletes them. They are of use
for hours at most: SageMaker lets an invocation wait for six, and run for one."""
MARGIN_DAYS = 30
"""How much later than the program the bucket deletes: jobs that are kept on, and clocks, never meet it."""
LOG_DAYS = 90


class Images(Construct):
    """Images and what asynchronous endpoints read and write, in one private bucket. It outlives the deployment.

    There are no versions: names hold a part of the hash of their image, so nothing is overwritten, and what a caller
    has deleted must be gone. `logs` has the access logs of the bucket, the load balancer and CloudFront.
    """

    def __init__(self, scope: Construct, id: str, *, config: Config) -> None:
        super().__init__(scope, id)
        # Access logs of S3 by the policy of the bucket that they go to, and not by an ACL.
        self.node.set_context("@aws-cdk/aws-s3:serverAccessLogsUseBucketPolicy", True)
        self.logs = self._logs()
        self.bucket = s3.Bucket(
            self,
            "Bucket",
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            encryption=s3.BucketEncryption.S3_MANAGED,
            enforce_ssl=True,
            minimum_tls_version=1.2,
            versioned=False,
            removal_policy=cdk.RemovalPolicy.RETAIN,
            lifecycle_rules=_lifecycle(config),
            cors=[_cors(config.origins)] if config.origins else None,
            server_access_logs_bucket=self.logs,
            server_access_logs_prefix="bucket/",
        )

    def _logs(self) -> s3.Bucket:
        bucket = s3.Bucket(
            self,
            "Logs",
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            # CloudFront hands its logs over by an ACL, and so needs them. Nothing public comes of it.
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_PREFERRED,
            # The load balancer writes to no bucket that is encrypted with a key of KMS.
            encryption=s3.BucketEncryption.S3_MANAGED,
            enforce_ssl=True,
            removal_policy=cdk.RemovalPolicy.RETAIN,
            lifecycle_rules=[
                s3.LifecycleRule(
                    id="logs",
                    expiration=cdk.Duration.days(LOG_DAYS),
                    abort_incomplete_multipart_upload_after=cdk.Duration.days(1),
                )
            ],
        )
        cdk.Validations.of(bucket).acknowledge(
            cdk.Acknowledgment(
                id="AwsSolutions-S1",
                reason="It is where access logs go. Logs about itself would make more of themselves, for ever.",
            )
        )
        return bucket


def _lifecycle(config: Config) -> list[s3.LifecycleRule]:
    rules = [
        s3.LifecycleRule(id="async", prefix="async-", expiration=cdk.Duration.days(ASYNC_DAYS)),
        s3.LifecycleRule(id="parts", abort_incomplete_multipart_upload_after=cdk.Duration.days(1)),
    ]
    if config.retention_days:
        # The program deletes images with their jobs. This is the net below it.
        kept = cdk.Duration.days(config.retention_days + MARGIN_DAYS)
        rules.append(s3.LifecycleRule(id="images", prefix="images/", expiration=kept))
    return rules


def _cors(origins: Sequence[str]) -> s3.CorsRule:
    return s3.CorsRule(
        allowed_origins=list(origins), allowed_methods=[s3.HttpMethods.GET, s3.HttpMethods.HEAD], max_age=600
    )
