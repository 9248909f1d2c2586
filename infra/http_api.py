"""An HTTP API of API Gateway in front of /text2image, for clients of the first version."""

from __future__ import annotations

import json
from typing import cast

import aws_cdk as cdk
from aws_cdk import aws_apigatewayv2 as apigatewayv2
from aws_cdk import aws_apigatewayv2_integrations as integrations
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_elasticloadbalancingv2 as elbv2
from aws_cdk import aws_logs as logs
from constructs import Construct

from infra.config import Config
from infra.entrance import PORT
from infra.network import Network

WAIT_SECONDS = 25
"""How long the service may wait for an image where this API is (TEXT2IMAGE_REST_WAIT), before it answers 202."""
LIMIT_SECONDS = 29
"""How long the API waits for the service; API Gateway takes no more than 30."""

REQUESTS_PER_SECOND = 50
REQUESTS_AT_ONCE = 100
"""What all clients together may send. An image takes a second at least, so few deployments come near it."""

ROUTES = (
    (apigatewayv2.HttpMethod.GET, "/text2image"),
    (apigatewayv2.HttpMethod.POST, "/text2image"),
    (apigatewayv2.HttpMethod.GET, "/text2image/jobs/{id}"),
)

_LOGGED = {
    "requestId": "$context.requestId",
    "time": "$context.requestTime",
    "ip": "$context.identity.sourceIp",
    # Not the path with its query: that holds a prompt.
    "route": "$context.routeKey",
    "status": "$context.status",
    "milliseconds": "$context.responseLatency",
    "error": "$context.integrationErrorMessage",
}


class HttpApi(Construct):
    """The routes of the first version and no other, over a link into the VPC. `url` has no slash at its end.

    It takes no credential of its own: the program asks for a key or a token, as it does behind CloudFront.
    """

    def __init__(
        self, scope: Construct, id: str, *, config: Config, network: Network, listener: elbv2.IApplicationListener
    ) -> None:
        super().__init__(scope, id)
        api = apigatewayv2.HttpApi(self, "Api", api_name=config.prefix, create_default_stage=False)
        integration = integrations.HttpAlbIntegration(
            "Balancer", listener, vpc_link=self._link(network), timeout=cdk.Duration.seconds(LIMIT_SECONDS)
        )
        for method, path in ROUTES:
            for route in api.add_routes(path=path, methods=[method], integration=integration):
                _explain(route)
        apigatewayv2.CfnStage(
            self,
            "Stage",
            api_id=api.api_id,
            # Any other stage's name would stand before the path that the program gets.
            stage_name="$default",
            auto_deploy=True,
            default_route_settings=apigatewayv2.CfnStage.RouteSettingsProperty(
                throttling_rate_limit=REQUESTS_PER_SECOND, throttling_burst_limit=REQUESTS_AT_ONCE
            ),
            access_log_settings=apigatewayv2.CfnStage.AccessLogSettingsProperty(
                destination_arn=self._log(config).log_group_arn, format=json.dumps(_LOGGED)
            ),
        )
        self.url = api.api_endpoint

    def _link(self, network: Network) -> apigatewayv2.VpcLink:
        group = ec2.SecurityGroup(
            self, "Group", vpc=network.vpc, allow_all_outbound=False, description="API Gateway, to the load balancer"
        )
        group.add_egress_rule(ec2.Peer.ipv4(network.cidr), ec2.Port.tcp(PORT), "Load balancer")
        return apigatewayv2.VpcLink(
            self, "Link", vpc=network.vpc, subnets=network.inner_subnets, security_groups=[group]
        )

    def _log(self, config: Config) -> logs.LogGroup:
        group = logs.LogGroup(
            self,
            "Log",
            # Under any other name each group takes room in the one resource policy of the account, which has a limit.
            log_group_name=f"/aws/vendedlogs/{config.prefix}/http-api",
            removal_policy=cdk.RemovalPolicy.DESTROY,
        )
        cast(logs.CfnLogGroup, group.node.default_child).retention_in_days = config.log_days
        return group


def _explain(route: apigatewayv2.HttpRoute) -> None:
    cdk.Validations.of(route).acknowledge(
        cdk.Acknowledgment(
            id="AwsSolutions-APIG4",
            reason="The program behind it asks for a key or a token (TEXT2IMAGE_AUTH), and refuses who has none.",
        )
    )
