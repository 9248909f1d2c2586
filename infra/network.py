"""The network: what tasks, database and load balancer stand in, and the ways out of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import aws_cdk as cdk
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_logs as logs
from constructs import Construct, IDependable

from infra.config import Config

CIDR = "10.0.0.0/16"
MOST_ZONES = 3
"""Addresses are set aside for so many zones, so that those of the subnets stay what they are when a zone is added."""

_HTTPS = 443


def without_lookup(config: Config) -> Mapping[str, object]:
    """Context for the App that keeps CDK from asking AWS for the zones of a known account: `Network` takes the zones
    that CloudFormation knows, and templates stay the same whoever makes them."""
    zones = list(config.zone_list) or [f"{config.region}{letter}" for letter in "abc"[: config.zones]]
    return {f"availability-zones:account={config.account}:region={config.region}": zones} if config.account else {}


class Network(Construct):
    """A VPC. Nothing in it can be connected to from outside: the load balancer is internal, and CloudFront comes in by
    network interfaces of its own.

    The subnets of the data come first, then those of the load balancer, then those of the tasks. So another way out
    (`config.egress`) or another zone does not move the addresses of what is there, which would replace the database.

    The VPC's default security group is left as AWS makes it, since CloudFormation cannot empty it without a function:
    nothing wears it.

    `gateway` is there once the VPC has its internet gateway. CloudFront does not come in without one, though nothing of
    its goes through it (AWS, "Restrict access with VPC origins").
    """

    def __init__(self, scope: Construct, id: str, *, config: Config) -> None:
        super().__init__(scope, id)
        self.cidr = CIDR
        self.vpc = ec2.Vpc(
            self,
            "Vpc",
            ip_addresses=ec2.IpAddresses.cidr(CIDR),
            availability_zones=list(config.zone_list)
            or [cdk.Fn.select(index, cdk.Fn.get_azs()) for index in range(config.zones)],
            reserved_azs=MOST_ZONES - config.zones,
            subnet_configuration=_subnets(config),
            nat_gateways=_gateway_count(config),
        )
        self.assign_public_ip = config.egress == "public"
        self.task_subnets = ec2.SubnetSelection(subnet_group_name="tasks")
        self.data_subnets = ec2.SubnetSelection(subnet_group_name="data")
        self.inner_subnets = ec2.SubnetSelection(subnet_group_name="inner")
        self.tasks = ec2.SecurityGroup(self, "Tasks", vpc=self.vpc, description="API tasks and workers")
        self.gateway = self._gateway() if config.egress == "endpoints" else _attachment(self.vpc)
        self.vpc.add_gateway_endpoint("S3", service=ec2.GatewayVpcEndpointAwsService.S3, subnets=[self.task_subnets])
        if config.egress == "endpoints":
            self._add_interfaces(config)
        self._log_refused(config)

    def _gateway(self) -> IDependable:
        gateway = ec2.CfnInternetGateway(self, "Gateway")
        return ec2.CfnVPCGatewayAttachment(
            self, "GatewayAttachment", vpc_id=self.vpc.vpc_id, internet_gateway_id=gateway.ref
        )

    def _add_interfaces(self, config: Config) -> None:
        """What the tasks call, each as a network interface in every zone."""
        group = ec2.SecurityGroup(
            self, "Interfaces", vpc=self.vpc, allow_all_outbound=False, description="AWS services, for the tasks"
        )
        group.connections.allow_from(self.tasks, ec2.Port.tcp(_HTTPS), "Tasks")
        services = {
            "EcrApi": ec2.InterfaceVpcEndpointAwsService.ECR,
            "EcrDocker": ec2.InterfaceVpcEndpointAwsService.ECR_DOCKER,
            "Logs": ec2.InterfaceVpcEndpointAwsService.CLOUDWATCH_LOGS,
            "Secrets": ec2.InterfaceVpcEndpointAwsService.SECRETS_MANAGER,
            "SageMaker": ec2.InterfaceVpcEndpointAwsService.SAGEMAKER_API,
            "SageMakerRuntime": ec2.InterfaceVpcEndpointAwsService.SAGEMAKER_RUNTIME,
        }
        if config.is_async:
            services["Queues"] = ec2.InterfaceVpcEndpointAwsService.SQS
        for name, service in services.items():
            self.vpc.add_interface_endpoint(
                name, service=service, subnets=self.task_subnets, security_groups=[group], open=False
            )

    def _log_refused(self, config: Config) -> None:
        """What security groups turned away: when something does not connect, this says who tried what."""
        group = logs.LogGroup(self, "Refused", removal_policy=cdk.RemovalPolicy.DESTROY)
        cast(logs.CfnLogGroup, group.node.default_child).retention_in_days = config.log_days
        self.vpc.add_flow_log(
            "FlowLog",
            destination=ec2.FlowLogDestination.to_cloud_watch_logs(group),
            traffic_type=ec2.FlowLogTrafficType.REJECT,
        )


def _attachment(vpc: ec2.Vpc) -> IDependable:
    """What makes its internet gateway the VPC's; `internet_connectivity_established` does not wait for that."""
    return cast(IDependable, vpc.node.find_child("VPCGW"))


def _subnets(config: Config) -> list[ec2.SubnetConfiguration]:
    tasks = {
        "public": ec2.SubnetType.PUBLIC,
        "nat": ec2.SubnetType.PRIVATE_WITH_EGRESS,
        "endpoints": ec2.SubnetType.PRIVATE_ISOLATED,
    }
    isolated = ec2.SubnetType.PRIVATE_ISOLATED
    subnets = [
        ec2.SubnetConfiguration(name="data", subnet_type=isolated, cidr_mask=24),
        ec2.SubnetConfiguration(name="inner", subnet_type=isolated, cidr_mask=24),
        _no_addresses("tasks", tasks[config.egress], cidr_mask=20),
    ]
    if config.egress == "nat":
        subnets.append(_no_addresses("gates", ec2.SubnetType.PUBLIC, cidr_mask=24))
    return subnets


def _no_addresses(name: str, kind: ec2.SubnetType, *, cidr_mask: int) -> ec2.SubnetConfiguration:
    """Subnets where nothing gets a public address unless it asks for one, as tasks do (`assign_public_ip`)."""
    is_public = kind == ec2.SubnetType.PUBLIC
    return ec2.SubnetConfiguration(
        name=name, subnet_type=kind, cidr_mask=cidr_mask, map_public_ip_on_launch=False if is_public else None
    )


def _gateway_count(config: Config) -> int:
    """NAT gateways: one for each zone where the loss of a zone must not cut the others off."""
    if config.egress != "nat":
        return 0
    return config.zones if config.environment == "standard" else 1
