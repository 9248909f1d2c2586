"""What the processes may do in AWS: the statements of docs/aws.md, section 4, divided between API and workers."""

from __future__ import annotations

from collections.abc import Iterable

from aws_cdk import aws_iam as iam

from infra.model_connection import ModelConnection
from infra.model_endpoint import ASYNC_FAILURES, ASYNC_INPUTS, ASYNC_OUTPUTS

IMAGES = "images"
"""Folder of the bucket; keys of images begin with it."""


def api_statements(*, model: ModelConnection, bucket_arn: str, database_secret_arn: str) -> list[iam.PolicyStatement]:
    """API tasks log in to the database, delete images with their jobs, and tell whether the model is there. They
    neither draw nor store, and leave the URLs of images to CloudFront."""
    return [
        *_endpoint(model, "sagemaker:DescribeEndpoint"),
        _allow("Images", ["s3:DeleteObject"], [f"{bucket_arn}/{IMAGES}/*"]),
        _allow("SeeWhatIsMissing", ["s3:ListBucket"], [bucket_arn]),
        _log_in(database_secret_arn),
    ]


def worker_statements(
    *, model: ModelConnection, bucket_arn: str, database_secret_arn: str
) -> list[iam.PolicyStatement]:
    """Workers draw and store, and take the answers of an asynchronous endpoint."""
    invoke = "sagemaker:InvokeEndpointAsync" if model.is_async else "sagemaker:InvokeEndpoint"
    outputs_bucket = model.outputs_bucket_arn
    return [
        *_endpoint(model, invoke, "sagemaker:DescribeEndpoint"),
        _allow("Images", ["s3:PutObject", "s3:DeleteObject"], [f"{bucket_arn}/{IMAGES}/*"]),
        *(_asynchronous(bucket_arn, outputs_bucket) if outputs_bucket else ()),
        _allow("SeeWhatIsMissing", ["s3:ListBucket"], sorted({bucket_arn, outputs_bucket or bucket_arn})),
        *_completions(model),
        _log_in(database_secret_arn),
    ]


def _endpoint(model: ModelConnection, *actions: str) -> Iterable[iam.PolicyStatement]:
    if model.endpoint_arn:
        yield _allow("Draw", list(actions), [model.endpoint_arn])


def _asynchronous(bucket_arn: str, outputs_bucket_arn: str) -> Iterable[iam.PolicyStatement]:
    """Of the bucket of images the folders; a bucket of the endpoint's own has them wherever its owner has put them."""
    is_ours = outputs_bucket_arn == bucket_arn
    answers = [f"/{ASYNC_OUTPUTS}/*", f"/{ASYNC_FAILURES}/*"] if is_ours else ["/*"]
    yield _allow("AsynchronousRequests", ["s3:PutObject"], [f"{bucket_arn}/{ASYNC_INPUTS}/*"])
    yield _allow("AsynchronousAnswers", ["s3:GetObject"], [f"{outputs_bucket_arn}{folder}" for folder in answers])


def _completions(model: ModelConnection) -> Iterable[iam.PolicyStatement]:
    if model.completions is not None:
        actions = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"]
        yield _allow("Completions", actions, [model.completions.queue.queue_arn])


def _log_in(database_secret_arn: str) -> iam.PolicyStatement:
    return _allow("DatabaseLogin", ["secretsmanager:GetSecretValue"], [database_secret_arn])


def _allow(sid: str, actions: list[str], resources: list[str]) -> iam.PolicyStatement:
    return iam.PolicyStatement(sid=sid, actions=actions, resources=resources)
