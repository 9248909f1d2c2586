"""A SageMaker endpoint for a model of JumpStart: real-time or asynchronous, and how many instances it has."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_applicationautoscaling as autoscaling
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sagemaker as sagemaker
from aws_cdk import aws_sns as sns
from constructs import Construct

from infra.completions import Completions
from infra.config import PREFIX, Config, ConfigError
from infra.findings import acknowledge_folders, as_seen_from
from infra.jumpstart import CONTAINER_ACCOUNTS, MODELS, JumpStartModel

VARIANT = "AllTraffic"

ASYNC_INPUTS = "async-inputs"
ASYNC_OUTPUTS = "async-outputs"
ASYNC_FAILURES = "async-failures"
"""Folders of the bucket of images."""

CONCURRENT_REQUESTS = 1.0
"""Requests that an instance should have in hand, on average. A container draws one image at a time, so whatever is
above waits for it. (Invocations a minute, the other metric there is, depend on sizes and steps.)"""
BACKLOG_PER_INSTANCE = 5.0
"""Asynchronous invocations that may wait for each instance, as in AWS' guide ("Autoscale an asynchronous endpoint")."""
OUT_COOLDOWN = cdk.Duration.minutes(5)
"""An instance takes about so long to start, and should be counted before another one is asked for."""
IN_COOLDOWN = cdk.Duration.minutes(10)
WAKE_PERIOD = cdk.Duration.minutes(1)
WAKE_PERIODS = 2


class ModelEndpoint(Construct):
    """Model, configuration and endpoint, and scaling if `instances_max` is more than `instances_min`.

    Name and ARN are known beforehand and no references, so that others need no export of this stack. The type of the
    instances cannot be changed while the endpoint scales (AWS, "Update or delete endpoints that use automatic
    scaling"): set both numbers alike first. `completions` are of an asynchronous one. Raises ConfigError for a
    region or an instance that infra/jumpstart.py does not know.
    """

    def __init__(self, scope: Construct, id: str, *, config: Config, bucket: s3.IBucket) -> None:
        super().__init__(scope, id)
        model = MODELS[config.model]
        _check(config, model)
        # One kind cannot become the other, so they have names of their own.
        self.endpoint_name = f"{config.prefix}-{config.endpoint_kind}"
        self.endpoint_arn = cdk.Stack.of(self).format_arn(
            service="sagemaker", resource="endpoint", resource_name=self.endpoint_name
        )
        self.completions: Completions | None = None
        topic = None
        if config.is_async:
            topic = sns.Topic(self, "Ended", enforce_ssl=True)
            self.completions = Completions(self, "Completions", topic=topic)
        log = logs.CfnLogGroup(
            self,
            "Log",
            log_group_name=f"/aws/sagemaker/Endpoints/{self.endpoint_name}",
            retention_in_days=config.log_days,
        )
        log.apply_removal_policy(cdk.RemovalPolicy.DESTROY)
        role = self._role(config, model, log, bucket, topic)
        endpoint = self._endpoint(config, model, role, _async_inference(bucket, topic) if topic else None)
        endpoint.add_resource_dependency(log)
        if config.instances_max > config.instances_min:
            self._scale(config, endpoint)

    def _role(
        self,
        config: Config,
        model: JumpStartModel,
        log: logs.CfnLogGroup,
        bucket: s3.IBucket,
        topic: sns.ITopic | None,
    ) -> iam.Role:
        """What SageMaker does in our name: fetch container and weights, write the log, and move answers of asynchronous
        invocations.

        The statements are those of AWS, "SageMaker execution roles, CreateModel API", on what is used here.
        """
        weights = f"arn:aws:s3:::{model.bucket(config.region)}"
        images = as_seen_from(self, cdk.Stack.of(bucket), bucket.bucket_arn)
        statements = [
            _allow(["s3:GetObject"], [f"{weights}/{model.data_key}{'' if model.is_archive else '*'}"]),
            _allow(["s3:ListBucket"], [weights]),
            _allow(
                ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"],
                [model.repository_arn(config.region)],
            ),
            _allow(["ecr:GetAuthorizationToken"], ["*"]),
            _allow(["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"], [log.attr_arn]),
            _allow(
                ["cloudwatch:PutMetricData"],
                ["*"],
                {"StringEquals": {"cloudwatch:namespace": ["/aws/sagemaker/Endpoints", "AWS/SageMaker"]}},
            ),
        ]
        if topic is not None:
            outputs = [f"{images}/{folder}/*" for folder in (ASYNC_OUTPUTS, ASYNC_FAILURES)]
            statements += [
                _allow(["s3:GetObject"], [f"{images}/{ASYNC_INPUTS}/*"]),
                _allow(["s3:PutObject", "s3:AbortMultipartUpload"], outputs),
                _allow(["s3:ListBucket"], [images]),
                _allow(["sns:Publish"], [topic.topic_arn]),
            ]
        role = iam.Role(
            self,
            "Role",
            assumed_by=iam.ServicePrincipal("sagemaker.amazonaws.com"),
            description="What SageMaker does for the endpoint",
            # In the role: a policy beside it may come after the model that needs it.
            inline_policies={"Endpoint": iam.PolicyDocument(statements=statements)},
        )
        acknowledge_folders(
            role, statements, "Folders of asynchronous invocations, and of one model in Amazon's public bucket."
        )
        cdk.Validations.of(role).acknowledge(
            cdk.Acknowledgment(
                id="AwsSolutions-IAM5[Resource::*]",
                reason="ecr:GetAuthorizationToken and cloudwatch:PutMetricData take no resource; the latter is limited "
                "to SageMaker's namespaces.",
            )
        )
        return role

    def _endpoint(
        self,
        config: Config,
        model: JumpStartModel,
        role: iam.Role,
        async_inference: sagemaker.CfnEndpointConfig.AsyncInferenceConfigProperty | None,
    ) -> sagemaker.CfnEndpoint:
        made = sagemaker.CfnModel(
            self,
            "Model",
            execution_role_arn=role.role_arn,
            # The container reaches nothing, and gets no credentials: SageMaker itself moves what goes in and out.
            enable_network_isolation=True,
            primary_container=_container(model, config.region),
        )
        # Without a name: configurations cannot be changed, only replaced.
        configuration = sagemaker.CfnEndpointConfig(
            self,
            "Configuration",
            production_variants=[
                sagemaker.CfnEndpointConfig.ProductionVariantProperty(
                    variant_name=VARIANT,
                    model_name=made.attr_model_name,
                    instance_type=config.instance_type,
                    # An endpoint begins with one; scaling takes it to zero.
                    initial_instance_count=max(config.instances_min, 1),
                    initial_variant_weight=1,
                    container_startup_health_check_timeout_in_seconds=model.startup_seconds,
                )
            ],
            async_inference_config=async_inference,
        )
        return sagemaker.CfnEndpoint(
            self,
            "Endpoint",
            endpoint_name=self.endpoint_name,
            endpoint_config_name=configuration.attr_endpoint_config_name,
            # An update leaves as many instances as scaling has made.
            retain_all_variant_properties=config.instances_max > config.instances_min or None,
        )

    def _scale(self, config: Config, endpoint: sagemaker.CfnEndpoint) -> None:
        # The role that Application Auto Scaling makes for itself; one of our own would be needed by nothing.
        role = cdk.Stack.of(self).format_arn(
            service="iam",
            region="",
            resource="role",
            resource_name="aws-service-role/sagemaker.application-autoscaling.amazonaws.com/"
            "AWSServiceRoleForApplicationAutoScaling_SageMakerEndpoint",
        )
        target = autoscaling.ScalableTarget(
            self,
            "Instances",
            service_namespace=autoscaling.ServiceNamespace.SAGEMAKER,
            scalable_dimension="sagemaker:variant:DesiredInstanceCount",
            resource_id=f"endpoint/{self.endpoint_name}/variant/{VARIANT}",
            min_capacity=config.instances_min,
            max_capacity=config.instances_max,
            role=iam.Role.from_role_arn(self, "ScalingRole", role),
        )
        target.node.add_dependency(endpoint)
        if not config.is_async:
            metric = autoscaling.PredefinedMetric.SAGEMAKER_VARIANT_CONCURRENT_REQUESTS_PER_MODEL_HIGH_RESOLUTION
            target.scale_to_track_metric(
                "Requests",
                predefined_metric=metric,
                target_value=CONCURRENT_REQUESTS,
                scale_out_cooldown=OUT_COOLDOWN,
                scale_in_cooldown=IN_COOLDOWN,
            )
            return
        target.scale_to_track_metric(
            "Backlog",
            custom_metric=self._metric("ApproximateBacklogSizePerInstance"),
            target_value=BACKLOG_PER_INSTANCE,
            scale_out_cooldown=OUT_COOLDOWN,
            scale_in_cooldown=IN_COOLDOWN,
        )
        if config.instances_min == 0:
            # A backlog by instance is nothing where there are none: without this the first job waits for five more.
            target.scale_on_metric(
                "Wake",
                metric=self._metric("HasBacklogWithoutCapacity"),
                adjustment_type=autoscaling.AdjustmentType.CHANGE_IN_CAPACITY,
                scaling_steps=[
                    autoscaling.ScalingInterval(lower=1, change=1),
                    autoscaling.ScalingInterval(upper=0, change=0),
                ],
                cooldown=OUT_COOLDOWN,
                evaluation_periods=WAKE_PERIODS,
                datapoints_to_alarm=WAKE_PERIODS,
            )

    def _metric(self, name: str) -> cloudwatch.Metric:
        return cloudwatch.Metric(
            namespace="AWS/SageMaker",
            metric_name=name,
            dimensions_map={"EndpointName": self.endpoint_name},
            statistic=cloudwatch.Stats.AVERAGE,
            period=WAKE_PERIOD,
        )


def _check(config: Config, model: JumpStartModel) -> None:
    if config.region not in CONTAINER_ACCOUNTS:
        raise ConfigError(
            f"JumpStart's containers are not known in {config.region}; create the endpoint yourself, and write "
            f"{PREFIX}ENDPOINT_NAME"
        )
    if config.instance_type not in model.instance_types:
        raise ConfigError(
            f"{PREFIX}INSTANCE_TYPE={config.instance_type} is not one that JumpStart runs {config.model} on; write "
            f"{' or '.join(model.instance_types)}"
        )


def _container(model: JumpStartModel, region: str) -> sagemaker.CfnModel.ContainerDefinitionProperty:
    if model.is_archive:
        return sagemaker.CfnModel.ContainerDefinitionProperty(
            image=model.image(region), environment=dict(model.environment), model_data_url=model.data_url(region)
        )
    folder = sagemaker.CfnModel.S3DataSourceProperty(
        s3_uri=model.data_url(region), s3_data_type="S3Prefix", compression_type="None"
    )
    return sagemaker.CfnModel.ContainerDefinitionProperty(
        image=model.image(region),
        environment=dict(model.environment),
        model_data_source=sagemaker.CfnModel.ModelDataSourceProperty(s3_data_source=folder),
    )


def _async_inference(bucket: s3.IBucket, topic: sns.ITopic) -> sagemaker.CfnEndpointConfig.AsyncInferenceConfigProperty:
    return sagemaker.CfnEndpointConfig.AsyncInferenceConfigProperty(
        client_config=sagemaker.CfnEndpointConfig.AsyncInferenceClientConfigProperty(
            max_concurrent_invocations_per_instance=1
        ),
        output_config=sagemaker.CfnEndpointConfig.AsyncInferenceOutputConfigProperty(
            s3_output_path=f"s3://{bucket.bucket_name}/{ASYNC_OUTPUTS}/",
            s3_failure_path=f"s3://{bucket.bucket_name}/{ASYNC_FAILURES}/",
            notification_config=sagemaker.CfnEndpointConfig.AsyncInferenceNotificationConfigProperty(
                success_topic=topic.topic_arn, error_topic=topic.topic_arn
            ),
        ),
    )


def _allow(
    actions: list[str], resources: list[str], conditions: dict[str, dict[str, list[str]]] | None = None
) -> iam.PolicyStatement:
    return iam.PolicyStatement(actions=actions, resources=resources, conditions=conditions)
