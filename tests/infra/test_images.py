"""The bucket of images: who may read it, and how long things stay in it."""

from __future__ import annotations

from typing import Any

import pytest

from infra.config import Config
from infra.images import Images
from tests.infra.deployments import Deployment, Resource
from tests.infra.small_stack import STACK, a_config, synthesize
from tests.infra.walking import faults


def _made(config: Config, factory: pytest.TempPathFactory) -> Deployment:
    return synthesize(factory.mktemp("images"), config, lambda stack: Images(stack, "Images", config=config))


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Deployment:
    return _made(a_config(), tmp_path_factory)


@pytest.fixture(scope="module")
def kept_short(tmp_path_factory: pytest.TempPathFactory) -> Deployment:
    origins = "https://app.example.com, https://www.example.com"
    return _made(a_config(RETENTION_DAYS="90", ALLOWED_ORIGINS=origins), tmp_path_factory)


def _bucket(deployment: Deployment, name: str = "Bucket") -> Resource:
    (bucket,) = (b for b in deployment.resources("AWS::S3::Bucket") if b.id.startswith(f"Images{name}"))
    return bucket


def _rules(deployment: Deployment) -> dict[str, dict[str, Any]]:
    return {rule["Id"]: rule for rule in _bucket(deployment).properties["LifecycleConfiguration"]["Rules"]}


def _denials(deployment: Deployment, bucket: Resource) -> list[dict[str, Any]]:
    """The conditions under which a bucket's policy denies everything to everybody."""
    (policy,) = (
        each
        for each in deployment.resources("AWS::S3::BucketPolicy")
        if each.properties["Bucket"] == {"Ref": bucket.id}
    )
    return [
        statement["Condition"]
        for statement in policy.properties["PolicyDocument"]["Statement"]
        if (statement["Effect"], statement["Action"], statement["Principal"]) == ("Deny", "s3:*", {"AWS": "*"})
    ]


def test_both_buckets_are_private(plain: Deployment) -> None:
    # `faults` looks at every bucket's block of public access, and at whom policies let in.
    assert len(list(plain.resources("AWS::S3::Bucket"))) == 2
    assert faults(plain) == []


def test_both_buckets_are_encrypted_and_refuse_what_is_not(plain: Deployment) -> None:
    for bucket in plain.resources("AWS::S3::Bucket"):
        (rule,) = bucket.properties["BucketEncryption"]["ServerSideEncryptionConfiguration"]
        assert rule["ServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256"
        assert {"Bool": {"aws:SecureTransport": "false"}} in _denials(plain, bucket)
    assert {"NumericLessThan": {"s3:TlsVersion": 1.2}} in _denials(plain, _bucket(plain))


def test_both_buckets_outlive_the_deployment(plain: Deployment) -> None:
    for bucket in plain.resources("AWS::S3::Bucket"):
        whole = plain.templates[STACK]["Resources"][bucket.id]
        assert (whole["DeletionPolicy"], whole["UpdateReplacePolicy"]) == ("Retain", "Retain")


def test_images_have_neither_versions_nor_acls(plain: Deployment) -> None:
    bucket = _bucket(plain).properties
    assert "VersioningConfiguration" not in bucket
    assert bucket["OwnershipControls"]["Rules"] == [{"ObjectOwnership": "BucketOwnerEnforced"}]


def test_asynchronous_answers_go_after_two_days_and_broken_uploads_after_one(plain: Deployment) -> None:
    rules = _rules(plain)
    assert (rules["async"]["Prefix"], rules["async"]["ExpirationInDays"]) == ("async-", 2)
    assert rules["parts"]["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 1}
    assert "Prefix" not in rules["parts"]


def test_images_are_kept_for_ever_unless_jobs_are_not(plain: Deployment, kept_short: Deployment) -> None:
    expiring = {rule.get("Prefix") for rule in _rules(plain).values() if "ExpirationInDays" in rule}
    assert expiring == {"async-"}
    images = _rules(kept_short)["images"]
    assert images["Prefix"] == "images/"
    assert images["ExpirationInDays"] == 90 + 30, "the program deletes first"


def test_pages_of_allowed_origins_may_read_and_no_others(plain: Deployment, kept_short: Deployment) -> None:
    assert "CorsConfiguration" not in _bucket(plain).properties
    (rule,) = _bucket(kept_short).properties["CorsConfiguration"]["CorsRules"]
    assert rule["AllowedOrigins"] == ["https://app.example.com", "https://www.example.com"]
    assert rule["AllowedMethods"] == ["GET", "HEAD"]


def test_access_to_images_is_logged_for_ninety_days(plain: Deployment) -> None:
    logs = _bucket(plain, "Logs")
    assert _bucket(plain).properties["LoggingConfiguration"] == {
        "DestinationBucketName": {"Ref": logs.id},
        "LogFilePrefix": "bucket/",
    }
    (rule,) = logs.properties["LifecycleConfiguration"]["Rules"]
    assert (rule["ExpirationInDays"], rule["Status"], "Prefix" in rule) == (90, "Enabled", False)


def test_logs_take_the_acl_of_cloudfront_and_have_none_of_their_own(plain: Deployment) -> None:
    logs = _bucket(plain, "Logs").properties
    assert logs["OwnershipControls"]["Rules"] == [{"ObjectOwnership": "BucketOwnerPreferred"}]
    assert "AccessControl" not in logs


def test_s3_may_write_logs_of_this_bucket_alone(plain: Deployment) -> None:
    policies = [each.properties["PolicyDocument"] for each in plain.resources("AWS::S3::BucketPolicy")]
    (writes,) = (each for policy in policies for each in policy["Statement"] if each["Effect"] == "Allow")
    assert (writes["Principal"], writes["Action"]) == ({"Service": "logging.s3.amazonaws.com"}, "s3:PutObject")
    assert writes["Condition"]["ArnLike"] == {"aws:SourceArn": {"Fn::GetAtt": [_bucket(plain).id, "Arn"]}}
