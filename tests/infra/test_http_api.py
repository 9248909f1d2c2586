"""The HTTP API of the first version: what it opens, and that it does not wait longer than it can."""

from __future__ import annotations

import json
from typing import Any

import aws_cdk as cdk
import pytest

from graphql_api.http.rest import RestApi
from graphql_api.service.streams import Streams
from infra.entrance import ORIGIN_SECONDS, Entrance
from infra.http_api import LIMIT_SECONDS, WAIT_SECONDS, HttpApi
from infra.images import Images
from infra.network import CIDR, Network
from tests.infra.deployments import Deployment, Resource
from tests.infra.small_stack import STACK, a_config, synthesize
from tests.infra.walking import faults

CONFIG = a_config(HTTP_API="true", LOG_DAYS="7")


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Deployment:
    def build(stack: cdk.Stack) -> None:
        network = Network(stack, "Network", config=CONFIG)
        images = Images(stack, "Images", config=CONFIG)
        entrance = Entrance(stack, "Entrance", config=CONFIG, network=network, images=images)
        api = HttpApi(stack, "HttpApi", config=CONFIG, network=network, listener=entrance.listener)
        cdk.CfnOutput(stack, "url", value=api.url)

    return synthesize(tmp_path_factory.mktemp("http-api"), CONFIG, build)


def _only(deployment: Deployment, type: str) -> Resource:
    (resource,) = deployment.resources(type)
    return resource


def _group(deployment: Deployment) -> Resource:
    (group,) = (
        each
        for each in deployment.resources("AWS::EC2::SecurityGroup")
        if each.properties["GroupDescription"].startswith("API Gateway")
    )
    return group


def test_nothing_is_open(deployment: Deployment) -> None:
    assert faults(deployment) == []


def test_its_routes_are_those_of_the_first_version(deployment: Deployment) -> None:
    def never(*_: Any) -> Any:
        raise AssertionError

    program = RestApi(make_context=never, door=never, streams=Streams(), wait_seconds=0).routes()  # type: ignore[arg-type]
    served = {
        f"{method} {route.path.replace('{job_id}', '{id}')}"
        for route in program
        for method in (route.methods or set()) - {"HEAD"}
    }
    routes = {each.properties["RouteKey"] for each in deployment.resources("AWS::ApiGatewayV2::Route")}
    assert routes == served


def test_it_answers_before_api_gateway_gives_up(deployment: Deployment) -> None:
    milliseconds = _only(deployment, "AWS::ApiGatewayV2::Integration").properties["TimeoutInMillis"]
    assert milliseconds == LIMIT_SECONDS * 1000
    assert WAIT_SECONDS < LIMIT_SECONDS < 30
    assert WAIT_SECONDS < ORIGIN_SECONDS, "whoever asks by CloudFront gets the answer too"


def test_it_goes_to_the_listener_over_a_link_into_the_vpc(deployment: Deployment) -> None:
    integration = _only(deployment, "AWS::ApiGatewayV2::Integration").properties
    assert (integration["ConnectionType"], integration["IntegrationType"]) == ("VPC_LINK", "HTTP_PROXY")
    assert integration["IntegrationUri"] == {"Ref": _only(deployment, "AWS::ElasticLoadBalancingV2::Listener").id}
    assert integration["ConnectionId"] == {"Ref": _only(deployment, "AWS::ApiGatewayV2::VpcLink").id}


def test_link_reaches_the_load_balancer_and_nothing_else(deployment: Deployment) -> None:
    group, link = _group(deployment), _only(deployment, "AWS::ApiGatewayV2::VpcLink").properties
    assert link["SecurityGroupIds"] == [{"Fn::GetAtt": [group.id, "GroupId"]}]
    assert link["SubnetIds"] == _only(deployment, "AWS::ElasticLoadBalancingV2::LoadBalancer").properties["Subnets"]
    assert "SecurityGroupIngress" not in group.properties
    (rule,) = group.properties["SecurityGroupEgress"]
    assert (rule["CidrIp"], rule["FromPort"], rule["ToPort"]) == (CIDR, 80, 80)


def test_stage_has_no_name_in_the_path_and_is_throttled(deployment: Deployment) -> None:
    stage = _only(deployment, "AWS::ApiGatewayV2::Stage").properties
    assert stage["StageName"] == "$default"
    assert stage["AutoDeploy"] is True
    settings = stage["DefaultRouteSettings"]
    assert 0 < settings["ThrottlingRateLimit"] <= settings["ThrottlingBurstLimit"] <= 100


def test_log_holds_no_prompt_and_is_kept_for_a_while(deployment: Deployment) -> None:
    stage = _only(deployment, "AWS::ApiGatewayV2::Stage").properties
    (log,) = (g for g in deployment.resources("AWS::Logs::LogGroup") if g.id.startswith("HttpApi"))
    assert stage["AccessLogSettings"]["DestinationArn"] == {"Fn::GetAtt": [log.id, "Arn"]}
    assert log.properties["RetentionInDays"] == 7
    assert log.properties["LogGroupName"].startswith("/aws/vendedlogs/")
    # Queries and bodies hold prompts, headers hold keys.
    logged = set(json.loads(stage["AccessLogSettings"]["Format"]).values())
    for text in ("query", "path", "body", "authorizer", "header"):
        assert not [variable for variable in logged if text in variable.lower()]


def test_url_has_no_slash_at_its_end(deployment: Deployment) -> None:
    url = deployment.templates[STACK]["Outputs"]["url"]["Value"]
    assert url == {"Fn::GetAtt": [_only(deployment, "AWS::ApiGatewayV2::Api").id, "ApiEndpoint"]}
