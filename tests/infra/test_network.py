"""The network: that nothing comes in, which ways lead out, and what a change of them leaves in place."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest

from infra.config import Config
from infra.network import CIDR, MOST_ZONES, Network, without_lookup
from tests.infra.deployments import Deployment, Resource
from tests.infra.small_stack import STACK, a_config, synthesize
from tests.infra.walking import faults

CONFIGS = {
    "public": a_config(LOG_DAYS="14", ZONES="3"),
    "nat": a_config(EGRESS="nat"),
    "standard": a_config(ENVIRONMENT="standard"),
    "endpoints": a_config(
        EGRESS="endpoints",
        MODEL="",
        ENDPOINT_NAME="sd",
        ENDPOINT_KIND="async",
        COMPLETIONS_TOPIC_ARN="arn:aws:sns:us-east-1:123456789012:answers",
    ),
}
SERVICES = {"ecr.api", "ecr.dkr", "logs", "secretsmanager", "sagemaker.api", "sagemaker.runtime"}


@pytest.fixture(scope="module")
def networks(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Deployment]:
    def made(config: Config) -> Deployment:
        def build(stack: cdk.Stack) -> None:
            network = Network(stack, "Network", config=config)
            cdk.CfnOutput(stack, "publicaddress", value=str(network.assign_public_ip))

        return synthesize(tmp_path_factory.mktemp("network"), config, build)

    return {name: made(config) for name, config in CONFIGS.items()}


@pytest.fixture(params=CONFIGS)
def network(request: pytest.FixtureRequest, networks: dict[str, Deployment]) -> Deployment:
    return networks[request.param]


def _subnets(network: Deployment, name: str) -> list[Resource]:
    wanted = {"Key": "aws-cdk:subnet-name", "Value": name}
    return [each for each in network.resources("AWS::EC2::Subnet") if wanted in each.properties["Tags"]]


def _ways_out(network: Deployment, name: str) -> list[Any]:
    """What the default routes of a group of subnets lead to."""
    ids = {each.id for each in _subnets(network, name)}
    tables = {
        link.properties["RouteTableId"]["Ref"]
        for link in network.resources("AWS::EC2::SubnetRouteTableAssociation")
        if link.properties["SubnetId"]["Ref"] in ids
    }
    return [
        route.properties.get("GatewayId") or route.properties["NatGatewayId"]
        for route in network.resources("AWS::EC2::Route")
        if route.properties["RouteTableId"]["Ref"] in tables
    ]


def _interfaces(network: Deployment) -> list[Resource]:
    return [e for e in network.resources("AWS::EC2::VPCEndpoint") if e.properties["VpcEndpointType"] == "Interface"]


def _group(network: Deployment, description: str) -> Resource:
    (group,) = (
        each
        for each in network.resources("AWS::EC2::SecurityGroup")
        if each.properties["GroupDescription"].startswith(description)
    )
    return group


def test_nothing_is_open(network: Deployment) -> None:
    assert faults(network) == []


def test_nothing_may_connect_to_the_tasks_until_somebody_is_let_in(network: Deployment) -> None:
    tasks = _group(network, "API tasks")
    assert "SecurityGroupIngress" not in tasks.properties
    to_tasks = {"Fn::GetAtt": [tasks.id, "GroupId"]}
    assert [r for r in network.resources("AWS::EC2::SecurityGroupIngress") if r.properties["GroupId"] == to_tasks] == []
    assert tasks.properties["SecurityGroupEgress"][0]["CidrIp"] == "0.0.0.0/0"


def test_data_and_load_balancer_have_no_way_out(network: Deployment) -> None:
    for name in ("data", "inner"):
        assert _subnets(network, name)
        assert _ways_out(network, name) == []


def test_no_subnet_gives_out_public_addresses_by_itself(network: Deployment) -> None:
    subnets = list(network.resources("AWS::EC2::Subnet"))
    assert [each.properties["MapPublicIpOnLaunch"] for each in subnets] == [False] * len(subnets)


def test_tasks_go_out_by_addresses_of_their_own_if_public(networks: dict[str, Deployment]) -> None:
    (gateway,) = networks["public"].resources("AWS::EC2::InternetGateway")
    assert _ways_out(networks["public"], "tasks") == [{"Ref": gateway.id}] * 3
    assert not list(networks["public"].resources("AWS::EC2::NatGateway"))
    assert networks["public"].templates[STACK]["Outputs"]["publicaddress"]["Value"] == "True"


def test_small_has_one_nat_gateway_and_standard_one_for_each_zone(networks: dict[str, Deployment]) -> None:
    for name, count in (("nat", 1), ("standard", 2)):
        gateways = [each.id for each in networks[name].resources("AWS::EC2::NatGateway")]
        assert len(gateways) == count
        assert {out["Ref"] for out in _ways_out(networks[name], "tasks")} == set(gateways)
        assert networks[name].templates[STACK]["Outputs"]["publicaddress"]["Value"] == "False"


def test_endpoints_are_the_only_way_out_if_chosen(networks: dict[str, Deployment]) -> None:
    assert not list(networks["endpoints"].resources("AWS::EC2::Route", "AWS::EC2::NatGateway"))
    services = {each.properties["ServiceName"] for each in _interfaces(networks["endpoints"])}
    assert services == {f"com.amazonaws.us-east-1.{service}" for service in SERVICES | {"sqs"}}
    others = [name for name in CONFIGS if name != "endpoints"]
    assert [_interfaces(networks[name]) for name in others] == [[], [], []]


def test_endpoints_are_in_every_zone_answer_by_the_usual_names_and_let_in_the_tasks_alone(
    networks: dict[str, Deployment],
) -> None:
    network = networks["endpoints"]
    tasks, group = _group(network, "API tasks"), _group(network, "AWS services")
    zones = [{"Ref": each.id} for each in _subnets(network, "tasks")]
    for interface in _interfaces(network):
        assert interface.properties["PrivateDnsEnabled"] is True
        assert interface.properties["SubnetIds"] == zones
        assert interface.properties["SecurityGroupIds"] == [{"Fn::GetAtt": [group.id, "GroupId"]}]
    assert "SecurityGroupIngress" not in group.properties
    (rule,) = network.resources("AWS::EC2::SecurityGroupIngress")
    assert rule.properties["GroupId"] == {"Fn::GetAtt": [group.id, "GroupId"]}
    assert rule.properties["SourceSecurityGroupId"] == {"Fn::GetAtt": [tasks.id, "GroupId"]}
    assert (rule.properties["FromPort"], rule.properties["ToPort"]) == (443, 443)


def test_traffic_with_s3_takes_no_nat_gateway(network: Deployment) -> None:
    (endpoint,) = (
        e for e in network.resources("AWS::EC2::VPCEndpoint") if e.properties["VpcEndpointType"] == "Gateway"
    )
    assert json.dumps(endpoint.properties["ServiceName"]).count(".s3") == 1
    ids = {each.id for each in _subnets(network, "tasks")}
    links = network.resources("AWS::EC2::SubnetRouteTableAssociation")
    tables = [link.properties["RouteTableId"] for link in links if link.properties["SubnetId"]["Ref"] in ids]
    assert endpoint.properties["RouteTableIds"] == tables


def test_every_network_has_the_internet_gateway_that_cloudfront_wants(network: Deployment) -> None:
    (gateway,) = network.resources("AWS::EC2::InternetGateway")
    (attachment,) = network.resources("AWS::EC2::VPCGatewayAttachment")
    assert attachment.properties["InternetGatewayId"] == {"Ref": gateway.id}


def test_what_was_refused_is_logged_for_a_while(network: Deployment) -> None:
    (flow,) = network.resources("AWS::EC2::FlowLog")
    assert flow.properties["TrafficType"] == "REJECT"
    (log,) = network.resources("AWS::Logs::LogGroup")
    is_short = network.templates[STACK]["Outputs"]["publicaddress"]["Value"] == "True"
    assert log.properties["RetentionInDays"] == (14 if is_short else 30)


def test_nothing_wears_the_default_security_group_and_no_function_is_needed(network: Deployment) -> None:
    assert "DefaultSecurityGroup" not in json.dumps(network.templates[STACK])
    assert not list(network.resources("AWS::Lambda::Function"))


def test_another_way_out_or_another_zone_moves_no_address(networks: dict[str, Deployment]) -> None:
    places = {
        name: {each.id: each.properties["CidrBlock"] for each in network.resources("AWS::EC2::Subnet")}
        for name, network in networks.items()
    }
    most = places["public"]
    assert len(most) == 3 * MOST_ZONES
    for name, subnets in places.items():
        moved = {id: cidr for id, cidr in subnets.items() if "gates" not in id and most.get(id) != cidr}
        assert moved == {}, name
    assert len(set(places["standard"].values())) == len(places["standard"])


def test_zones_are_those_that_cloudformation_knows(network: Deployment) -> None:
    zones = [each.properties["AvailabilityZone"] for each in _subnets(network, "data")]
    assert zones == [{"Fn::Select": [index, {"Fn::GetAZs": ""}]} for index in range(len(zones))]
    (vpc,) = network.resources("AWS::EC2::VPC")
    assert vpc.properties["CidrBlock"] == CIDR


def test_zones_may_be_named(tmp_path: Path) -> None:
    config = a_config(REGION="us-east-1", MODEL="sketch", ZONE_NAMES="us-east-1b, us-east-1d")
    named = synthesize(tmp_path, config, lambda stack: Network(stack, "Network", config=config))
    zones = {each.properties["AvailabilityZone"] for each in named.resources("AWS::EC2::Subnet")}
    assert zones == {"us-east-1b", "us-east-1d"}


def test_aws_is_asked_for_nothing_even_if_the_account_is_known(tmp_path_factory: pytest.TempPathFactory) -> None:
    def missing(config: Config, **options: Any) -> object:
        folder = tmp_path_factory.mktemp("lookup")
        app = cdk.App(outdir=str(folder), analytics_reporting=False, **options)
        env = cdk.Environment(account=config.account, region=config.region)
        Network(cdk.Stack(app, STACK, env=env), "Network", config=config)
        app.synth()
        return json.loads((folder / "manifest.json").read_text()).get("missing")

    config = a_config(ACCOUNT="123456789012", ZONES="3")
    assert missing(config) is not None, "CDK asks no longer; without_lookup can go"
    assert missing(config, context=without_lookup(config)) is None
    assert without_lookup(a_config()) == {}
