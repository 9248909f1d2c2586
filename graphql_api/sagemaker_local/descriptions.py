"""DescribeEndpoint and DescribeEndpointConfig, from SageMaker's control plane."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from graphql_api.sagemaker_local.asynchronous import AsyncOutput
from graphql_api.sagemaker_local.endpoints import ACCOUNT, VARIANT, DeclaredEndpoint, EndpointKind
from graphql_api.sagemaker_local.faults import SERVING_STATUSES, EndpointStatus

INSTANCE_TYPE = "ml.g5.2xlarge"


def describe_endpoint(
    endpoint: DeclaredEndpoint, status: EndpointStatus, *, region: str, created_at: datetime
) -> Mapping[str, Any]:
    """What DescribeEndpoint answers. `status` is not Missing, for which there is `not_described`."""
    is_scaled_in = status == "ScaledToZero"
    fields = {
        "EndpointName": endpoint.name,
        "EndpointArn": endpoint.arn(region),
        "EndpointConfigName": endpoint.name,
        "EndpointStatus": "InService" if is_scaled_in else status,
        "ProductionVariants": [
            {
                "VariantName": VARIANT,
                "CurrentWeight": 1.0,
                "DesiredWeight": 1.0,
                "CurrentInstanceCount": 1 if status in SERVING_STATUSES else 0,
                "DesiredInstanceCount": 0 if is_scaled_in else 1,
            }
        ],
        "CreationTime": created_at.timestamp(),
        "LastModifiedTime": created_at.timestamp(),
    }
    if status == "Failed":
        fields["FailureReason"] = (
            f"The primary container for production variant {VARIANT} did not pass the ping health check. Please check "
            "CloudWatch logs for this endpoint."
        )
    return fields


def describe_endpoint_config(
    endpoint: DeclaredEndpoint,
    output: AsyncOutput | None,
    *,
    region: str,
    workers: int,
    created_at: datetime,
) -> Mapping[str, Any]:
    """What DescribeEndpointConfig answers: here, an endpoint's configuration has the endpoint's name."""
    fields: dict[str, Any] = {
        "EndpointConfigName": endpoint.name,
        "EndpointConfigArn": f"arn:aws:sagemaker:{region}:{ACCOUNT}:endpoint-config/{endpoint.name.lower()}",
        "ProductionVariants": [
            {
                "VariantName": VARIANT,
                "ModelName": endpoint.family,
                "InitialInstanceCount": 1,
                "InstanceType": INSTANCE_TYPE,
                "InitialVariantWeight": 1.0,
            }
        ],
        "CreationTime": created_at.timestamp(),
    }
    if endpoint.kind is EndpointKind.ASYNC and output is not None:
        topics = {"SuccessTopic": output.success_topic, "ErrorTopic": output.error_topic}
        fields["AsyncInferenceConfig"] = {
            "ClientConfig": {"MaxConcurrentInvocationsPerInstance": workers},
            "OutputConfig": {
                "S3OutputPath": output.place.url,
                "S3FailurePath": output.place.url,
                "NotificationConfig": {name: topic for name, topic in topics.items() if topic is not None},
            },
        }
    return fields


def not_described(resource: str, name: str, *, region: str) -> str:
    """The message of the ValidationException for a name that is not known. Observed."""
    noun = resource.replace("-config", " configuration")
    return f'Could not find {noun} "arn:aws:sagemaker:{region}:{ACCOUNT}:{resource}/{name.lower()}".'
