"""The processes: API tasks behind the load balancer, workers behind nothing, both of one image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

import aws_cdk as cdk
from aws_cdk import aws_applicationautoscaling as autoscaling
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_elasticloadbalancingv2 as elbv2
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct

from graphql_api.http.health import READY_PATH
from infra.config import Config
from infra.container_image import container_image
from infra.database import Database
from infra.entrance import Entrance
from infra.events import Events
from infra.findings import as_seen_from
from infra.images import Images
from infra.metrics import JobMetrics
from infra.model_connection import ModelConnection
from infra.network import Network
from infra.permissions import api_statements, worker_statements
from infra.processes import (
    API_COMMAND,
    PORT,
    WORKER_COMMAND,
    api_variables,
    deregistration_seconds,
    worker_variables,
)
from infra.task import Task
from infra.variables import variable
from infra.webhook_secret import WebhookSecret

RULE_PRIORITY = 10
"""After what the entrance keeps for itself."""

GRACE = cdk.Duration.minutes(2)
"""Until the load balancer's view of a new task counts: it may have to change the database first."""
PROBE_SECONDS, PROBE_TIMEOUT_SECONDS = 10, 7
"""A process that waits for the database answers within five seconds."""
HEALTHY_PROBES, UNHEALTHY_PROBES = 2, 5
"""ECS replaces what is unhealthy. A database that fails over is away for less than five probes, and replacing all API
tasks meanwhile would put nothing right."""

API_CPU_PERCENT, API_MEMORY_PERCENT = 60, 70
"""Memory is what watchers take, the core what requests take (docs/scaling.md)."""

QUEUED_SECONDS, LONG_QUEUED_SECONDS = 30, 120
"""Of the job that was queued first: when there is one more worker, and when there are two more at a time."""
OUT_COOLDOWN = cdk.Duration.minutes(2)
IN_COOLDOWN = cdk.Duration.minutes(5)
IDLE_MINUTES = 15
"""How long nobody may have waited before there is one worker less."""


class Service(Construct):
    """An ECS cluster with both services, and the rule that takes the listener's traffic to the API.

    `key_task` is JSON with what RunTask needs for a command of the program in a task of its own.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        config: Config,
        network: Network,
        entrance: Entrance,
        database: Database,
        events: Events,
        images: Images,
        model: ModelConnection,
    ) -> None:
        super().__init__(scope, id)
        self._config = config
        self._network = network
        self.cluster = ecs.Cluster(
            self,
            "Cluster",
            vpc=network.vpc,
            cluster_name=config.prefix,
            container_insights_v2=ecs.ContainerInsights.ENABLED,
        )
        image = container_image(self, config)
        bucket_arn = as_seen_from(self, images.bucket, images.bucket.bucket_arn)
        if model.outputs_bucket_arn == images.bucket.bucket_arn:
            model = replace(model, outputs_bucket_arn=bucket_arn)
        task = partial(Task, self, config=config, image=image, secrets=self._secrets(events, images) | self._url_key())
        self.api_task = task(
            "Api",
            name="api",
            cpu=config.api_cpu,
            memory=config.api_memory,
            command=API_COMMAND,
            environment=api_variables(
                config=config,
                network=network,
                entrance=entrance,
                database=database,
                events=events,
                images=images,
                model=model,
            ),
            statements=api_statements(model=model, bucket_arn=bucket_arn, database_secret_arn=database.secret_arn),
        )
        self.worker_task = task(
            "Worker",
            name="worker",
            cpu=config.worker_cpu,
            memory=config.worker_memory,
            command=WORKER_COMMAND,
            environment=worker_variables(
                config=config, entrance=entrance, database=database, events=events, images=images, model=model
            ),
            statements=worker_statements(model=model, bucket_arn=bucket_arn, database_secret_arn=database.secret_arn),
        )
        self.api_log_group, self.worker_log_group = self.api_task.log, self.worker_task.log
        self.metrics = JobMetrics(
            self, "Metrics", config=config, api_log=self.api_log_group, worker_log=self.worker_log_group
        )
        self.target_group, rule = self._target_group(entrance)
        self.api_service = self._service("ApiService", self.api_task, GRACE)
        self.api_service.attach_to_application_target_group(self.target_group)
        # ECS refuses a target group that no load balancer has.
        self.api_service.node.add_dependency(rule)
        self.worker_service = self._service("WorkerService", self.worker_task)
        self._scale_api()
        self._scale_workers()

    @property
    def services(self) -> Mapping[str, ecs.FargateService]:
        """Both, by the names of their containers."""
        return {"api": self.api_service, "worker": self.worker_service}

    @property
    def key_task(self) -> str:
        """What RunTask needs, as JSON: infra/key.py reads it."""
        selected = self._network.vpc.select_subnets(subnet_group_name=self._network.task_subnets.subnet_group_name)
        return cdk.Stack.of(self).to_json_string(
            {
                "cluster": self.cluster.cluster_name,
                # A worker may do all that the program does, so that `doctor` can try it.
                "task_definition": self.worker_task.definition.task_definition_arn,
                "subnets": selected.subnet_ids,
                "security_groups": [self._network.tasks.security_group_id],
                "assign_public_ip": "ENABLED" if self._network.assign_public_ip else "DISABLED",
            }
        )

    def _secrets(self, events: Events, images: Images) -> dict[str, ecs.Secret]:
        secrets = {variable("events_password"): ecs.Secret.from_secrets_manager(events.password)}
        if self._config.webhooks:
            # Beside what survives: this stack may be thrown away, and receivers keep what they were told.
            webhooks = WebhookSecret(cdk.Stack.of(images), "Webhooks")
            secrets[variable("webhook_secret")] = ecs.Secret.from_secrets_manager(webhooks.secret)
        return secrets

    def _url_key(self) -> dict[str, ecs.Secret]:
        arn = self._config.url_private_key_secret_arn
        if not arn:
            return {}
        secret = secretsmanager.Secret.from_secret_complete_arn(self, "UrlKey", arn)
        return {variable("url_private_key"): ecs.Secret.from_secrets_manager(secret)}

    # --- services ----------------------------------------------------------------------------------------------------

    def _service(self, id: str, task: Task, grace: cdk.Duration | None = None) -> ecs.FargateService:
        """A service that keeps its number of tasks while it is deployed. What that number is, scaling says."""
        service = ecs.FargateService(
            self,
            id,
            cluster=self.cluster,
            task_definition=task.definition,
            vpc_subnets=self._network.task_subnets,
            assign_public_ip=self._network.assign_public_ip,
            security_groups=[self._network.tasks],
            min_healthy_percent=100,
            max_healthy_percent=200,
            circuit_breaker=ecs.DeploymentCircuitBreaker(enable=True, rollback=True),
            health_check_grace_period=grace,
            propagate_tags=ecs.PropagatedTagSource.SERVICE,
            enable_ecs_managed_tags=True,
        )
        # Its policy stands beside the role, and may come after the first task that needs it.
        service.node.add_dependency(task.definition.obtain_execution_role())
        return service

    def _target_group(self, entrance: Entrance) -> tuple[elbv2.ApplicationTargetGroup, elbv2.ApplicationListenerRule]:
        group = elbv2.ApplicationTargetGroup(
            self,
            "Targets",
            vpc=self._network.vpc,
            port=PORT,
            protocol=elbv2.ApplicationProtocol.HTTP,
            target_type=elbv2.TargetType.IP,
            deregistration_delay=cdk.Duration.seconds(deregistration_seconds(self._config)),
            # Streams stay for hours: by turns, a new task would get no more than its share of the new ones.
            load_balancing_algorithm_type=elbv2.TargetGroupLoadBalancingAlgorithmType.LEAST_OUTSTANDING_REQUESTS,
            health_check=elbv2.HealthCheck(
                path=READY_PATH,
                healthy_http_codes="200",
                interval=cdk.Duration.seconds(PROBE_SECONDS),
                timeout=cdk.Duration.seconds(PROBE_TIMEOUT_SECONDS),
                healthy_threshold_count=HEALTHY_PROBES,
                unhealthy_threshold_count=UNHEALTHY_PROBES,
            ),
        )
        rule = elbv2.ApplicationListenerRule(
            self,
            "Rule",
            listener=entrance.listener,
            priority=RULE_PRIORITY,
            conditions=[elbv2.ListenerCondition.path_patterns(["/*"])],
            action=elbv2.ListenerAction.forward([group]),
        )
        return group, rule

    # --- scaling -----------------------------------------------------------------------------------------------------

    def _scale_api(self) -> None:
        tasks = self.api_service.auto_scale_task_count(
            min_capacity=self._config.api_tasks_min, max_capacity=self._config.api_tasks_max
        )
        tasks.scale_on_cpu_utilization(
            "Cpu",
            target_utilization_percent=API_CPU_PERCENT,
            scale_out_cooldown=OUT_COOLDOWN,
            scale_in_cooldown=IN_COOLDOWN,
        )
        tasks.scale_on_memory_utilization(
            "Memory",
            target_utilization_percent=API_MEMORY_PERCENT,
            scale_out_cooldown=OUT_COOLDOWN,
            scale_in_cooldown=IN_COOLDOWN,
        )

    def _scale_workers(self) -> None:
        """By what waits. A worker mostly waits for the model, so that its CPU says nothing."""
        workers = self.worker_service.auto_scale_task_count(
            min_capacity=self._config.worker_tasks_min, max_capacity=self._config.worker_tasks_max
        )
        oldest = self.metrics.oldest_queued()
        workers.scale_on_metric(
            "Out",
            metric=oldest,
            adjustment_type=autoscaling.AdjustmentType.CHANGE_IN_CAPACITY,
            scaling_steps=[
                autoscaling.ScalingInterval(lower=QUEUED_SECONDS, upper=LONG_QUEUED_SECONDS, change=1),
                autoscaling.ScalingInterval(lower=LONG_QUEUED_SECONDS, change=2),
            ],
            cooldown=OUT_COOLDOWN,
            evaluation_periods=1,
        )
        workers.scale_on_metric(
            "In",
            metric=oldest,
            adjustment_type=autoscaling.AdjustmentType.CHANGE_IN_CAPACITY,
            scaling_steps=[
                autoscaling.ScalingInterval(upper=1, change=-1),
                autoscaling.ScalingInterval(lower=1, change=0),
            ],
            cooldown=IN_COOLDOWN,
            evaluation_periods=IDLE_MINUTES,
            datapoints_to_alarm=IDLE_MINUTES,
        )
