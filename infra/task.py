"""A task of one container: what it runs, what it may do, and where its log goes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

import aws_cdk as cdk
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs
from constructs import Construct

from infra.config import Config
from infra.findings import acknowledge_folders
from infra.processes import HEALTH_COMMAND, PORT, STOP_SECONDS, USER

OPEN_FILES = 65_536
"""A socket is one, and so is a connection to anything else. The program takes all that it may."""

LOG_BUFFER = cdk.Size.mebibytes(10)


class Task(Construct):
    """A Fargate task definition. The container is user 10001, has no capabilities, and can write to nothing.

    `log` gets the lines of the program, as JSON. `name` is the container's and the end of the log group's.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        config: Config,
        name: str,
        image: ecs.ContainerImage,
        cpu: int,
        memory: int,
        command: Sequence[str],
        environment: Mapping[str, str],
        secrets: Mapping[str, ecs.Secret],
        statements: Sequence[iam.PolicyStatement],
    ) -> None:
        super().__init__(scope, id)
        self.container_name = name
        self.log = _log(self, config, name)
        self.definition = ecs.FargateTaskDefinition(
            self,
            "Definition",
            family=f"{config.prefix}-{name}",
            cpu=cpu,
            memory_limit_mib=memory,
            runtime_platform=ecs.RuntimePlatform(
                cpu_architecture=ecs.CpuArchitecture.ARM64
                if config.architecture == "arm64"
                else ecs.CpuArchitecture.X86_64,
                operating_system_family=ecs.OperatingSystemFamily.LINUX,
            ),
            task_role=_role(self, name, statements),
        )
        linux = ecs.LinuxParameters(self, "Linux")
        linux.drop_capabilities(ecs.Capability.ALL)
        container = self.definition.add_container(
            name,
            container_name=name,
            image=image,
            command=list(command),
            environment=dict(environment),
            secrets=dict(secrets),
            port_mappings=[ecs.PortMapping(container_port=PORT)],
            health_check=ecs.HealthCheck(
                command=list(HEALTH_COMMAND),
                interval=cdk.Duration.seconds(15),
                timeout=cdk.Duration.seconds(5),
                start_period=cdk.Duration.seconds(30),
                retries=3,
            ),
            stop_timeout=cdk.Duration.seconds(STOP_SECONDS),
            user=USER,
            readonly_root_filesystem=True,
            linux_parameters=linux,
            # A log that cannot be written must not stop the program. What does not fit into the buffer is lost.
            logging=ecs.LogDriver.aws_logs(
                log_group=self.log,
                stream_prefix=config.prefix,
                mode=ecs.AwsLogDriverMode.NON_BLOCKING,
                max_buffer_size=LOG_BUFFER,
            ),
        )
        container.add_ulimits(
            ecs.Ulimit(name=ecs.UlimitName.NOFILE, soft_limit=OPEN_FILES, hard_limit=OPEN_FILES),
        )
        cdk.Validations.of(self.definition).acknowledge(
            cdk.Acknowledgment(
                id="AwsSolutions-ECS2",
                reason="Names, addresses and numbers: infra/variables.py refuses every setting that is a secret. "
                "Secrets are injected from Secrets Manager.",
            ),
            cdk.Acknowledgment(
                id="AwsSolutions-IAM5[Resource::*]",
                reason="The execution role's ecr:GetAuthorizationToken, which takes no resource.",
            ),
        )


def _log(scope: Construct, config: Config, name: str) -> logs.LogGroup:
    group = logs.LogGroup(
        scope, "Log", log_group_name=f"/{config.prefix}/{name}", removal_policy=cdk.RemovalPolicy.DESTROY
    )
    cast(logs.CfnLogGroup, group.node.default_child).retention_in_days = config.log_days
    return group


def _role(scope: Construct, name: str, statements: Sequence[iam.PolicyStatement]) -> iam.Role:
    role = iam.Role(
        scope,
        "Role",
        assumed_by=iam.PrincipalWithConditions(
            iam.ServicePrincipal("ecs-tasks.amazonaws.com"),
            {"StringEquals": {"aws:SourceAccount": cdk.Stack.of(scope).account}},
        ),
        description=f"What the program does in AWS: {name}",
        # In the role: a policy beside it may come after the tasks that need it.
        inline_policies={"Program": iam.PolicyDocument(statements=list(statements))},
    )
    acknowledge_folders(role, statements, "Objects of folders of the bucket; their names are drawn by the program.")
    return role
