"""PostgreSQL: the truth about jobs, on one instance or as Aurora in two zones."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_logs as logs
from aws_cdk import aws_rds as rds
from constructs import Construct

from infra.config import Config
from infra.network import Network

NAME = "text2image"
USER = "text2image"
PORT = 5433
"""Not 5432: costs nothing, and what tries every address on the usual port finds nothing."""
BACKUP_DAYS = {"small": 7, "standard": 14}
GROWTH = 5
"""How many times its first size the storage of an instance may become."""

INSTANCE_VERSION = rds.PostgresEngineVersion.VER_18
AURORA_VERSION = rds.AuroraPostgresEngineVersion.of("18", "18")
"""The major version that the tests run on. Minor ones come by themselves, in the maintenance window."""

PARAMETERS = {
    "rds.force_ssl": "1",
    "log_min_duration_statement": "1000",
    # Parameters of slow statements are prompts, which do not belong into a log.
    "log_parameter_max_length": "0",
    "log_lock_waits": "1",
}


class Database(Construct):
    """A database that only the tasks reach, over TLS only, by a password that RDS makes, keeps in Secrets Manager and
    changes every seven days (AWS, "Password management with Amazon RDS and AWS Secrets Manager").

    It is protected from deletion, and leaves a snapshot behind. Its name is fixed, so a change that would need another
    database fails instead of making an empty one. `dimensions` are those of its metrics in AWS/RDS.
    """

    def __init__(self, scope: Construct, id: str, *, config: Config, network: Network) -> None:
        super().__init__(scope, id)
        self.name = NAME
        self.port = PORT
        self.is_cluster = config.database == "aurora"
        kind = "Cluster" if self.is_cluster else "Instance"
        self.dimensions = {f"DB{kind}Identifier": config.prefix}
        self._group = ec2.SecurityGroup(
            self, "Group", vpc=network.vpc, allow_all_outbound=False, description="PostgreSQL, for the tasks"
        )
        # Made before RDS makes it, which would keep its logs for ever.
        log = logs.CfnLogGroup(
            self,
            "Log",
            log_group_name=f"/aws/rds/{kind.lower()}/{config.prefix}/postgresql",
            retention_in_days=config.log_days,
        )
        log.apply_removal_policy(cdk.RemovalPolicy.DESTROY)
        database = self._cluster(config, network) if self.is_cluster else self._instance(config, network)
        database.node.add_dependency(log)
        database.connections.allow_from(network.tasks, ec2.Port.tcp(PORT), "Tasks")
        secret = database.secret
        assert secret is not None, "RDS manages the password"
        self.secret_arn = secret.secret_arn
        self.host = (
            database.cluster_endpoint.hostname
            if isinstance(database, rds.DatabaseCluster)
            else database.db_instance_endpoint_address
        )

    def _instance(self, config: Config, network: Network) -> rds.DatabaseInstance:
        engine = rds.DatabaseInstanceEngine.postgres(version=INSTANCE_VERSION)
        instance = rds.DatabaseInstance(
            self,
            "Instance",
            engine=engine,
            instance_identifier=config.prefix,
            instance_type=ec2.InstanceType(config.database_instance),
            database_name=NAME,
            port=PORT,
            credentials=rds.Credentials.from_username(USER),
            manage_master_user_password=True,
            parameter_group=rds.ParameterGroup(self, "Parameters", engine=engine, parameters=PARAMETERS),
            vpc=network.vpc,
            vpc_subnets=network.data_subnets,
            security_groups=[self._group],
            publicly_accessible=False,
            multi_az=False,
            storage_type=rds.StorageType.GP3,
            allocated_storage=config.database_gib,
            max_allocated_storage=config.database_gib * GROWTH,
            storage_encrypted=True,
            backup_retention=cdk.Duration.days(BACKUP_DAYS[config.environment]),
            delete_automated_backups=False,
            deletion_protection=True,
            removal_policy=cdk.RemovalPolicy.SNAPSHOT,
            auto_minor_version_upgrade=True,
            cloudwatch_logs_exports=["postgresql"],
            # Standard, with seven days, is what costs nothing.
            database_insights_mode=rds.DatabaseInsightsMode.STANDARD,
            enable_performance_insights=True,
            performance_insight_retention=rds.PerformanceInsightRetention.DEFAULT,
        )
        cdk.Validations.of(instance).acknowledge(
            cdk.Acknowledgment(
                id="AwsSolutions-RDS3",
                reason="DEPLOY_DATABASE=instance is the one that does not survive the loss of a zone; aurora does.",
            )
        )
        return instance

    def _cluster(self, config: Config, network: Network) -> rds.DatabaseCluster:
        engine = rds.DatabaseClusterEngine.aurora_postgres(version=AURORA_VERSION)
        # Named, since two instances without a zone may end up in the same one.
        writer, reader = (
            rds.ClusterInstance.serverless_v2(
                name,
                availability_zone=zone,
                auto_minor_version_upgrade=True,
                publicly_accessible=False,
                enable_performance_insights=True,
                performance_insight_retention=rds.PerformanceInsightRetention.DEFAULT,
                # Small while it only waits to take over, it would begin with too little memory.
                scale_with_writer=True if name == "Reader" else None,
            )
            for name, zone in zip(("Writer", "Reader"), network.vpc.availability_zones, strict=False)
        )
        cluster = rds.DatabaseCluster(
            self,
            "Cluster",
            engine=engine,
            cluster_identifier=config.prefix,
            default_database_name=NAME,
            port=PORT,
            credentials=rds.Credentials.from_username(USER),
            manage_master_user_password=True,
            parameter_group=rds.ParameterGroup(self, "Parameters", engine=engine, parameters=PARAMETERS),
            writer=writer,
            readers=[reader],
            serverless_v2_min_capacity=config.aurora_capacity_min,
            serverless_v2_max_capacity=config.aurora_capacity_max,
            vpc=network.vpc,
            vpc_subnets=network.data_subnets,
            security_groups=[self._group],
            storage_encrypted=True,
            backup=rds.BackupProps(retention=cdk.Duration.days(BACKUP_DAYS[config.environment])),
            delete_automated_backups=False,
            copy_tags_to_snapshot=True,
            deletion_protection=True,
            removal_policy=cdk.RemovalPolicy.SNAPSHOT,
            cloudwatch_logs_exports=["postgresql"],
            database_insights_mode=rds.DatabaseInsightsMode.STANDARD,
            enable_performance_insights=True,
            performance_insight_retention=rds.PerformanceInsightRetention.DEFAULT,
        )
        cdk.Validations.of(cluster).acknowledge(
            cdk.Acknowledgment(
                id="AwsSolutions-RDS6",
                reason="Signing in by IAM needs a role that only SQL can make (docs/decisions/0020-on-aws.md); without "
                "it the setting would be a second way in that nobody uses.",
            )
        )
        return cluster
