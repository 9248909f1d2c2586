"""The entrance: what CloudFront hands on and how long it waits, who reads images, what the load balancer lets in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from strawberry.http.streaming import SSE_HEARTBEAT_INTERVAL

from graphql_api.commands.serve import PING_SECONDS
from graphql_api.http.images import _HEADERS as IMAGE_HEADERS
from infra.config import Config, ConfigError
from infra.entrance import IDLE_SECONDS, KEEP_ALIVE_SECONDS, ORIGIN_SECONDS, Entrance, read_public_key
from infra.images import Images
from infra.network import CIDR, Network
from tests.infra.deployments import DEPLOYMENTS, KEY_FILE, OLD_KEY_FILE, Deployment, Resource
from tests.infra.small_stack import STACK, a_config, synthesize
from tests.infra.walking import faults

SMALL = a_config(EGRESS="endpoints")
LARGE = a_config(
    ENVIRONMENT="standard",
    REGION="eu-west-1",
    DOMAIN_NAME="images.example.com",
    CERTIFICATE_ARN=DEPLOYMENTS["standard-stream"]["CERTIFICATE_ARN"],
    URL_PUBLIC_KEYS=f"{KEY_FILE},{OLD_KEY_FILE}",
    URL_PRIVATE_KEY_SECRET_ARN=DEPLOYMENTS["standard-stream"]["URL_PRIVATE_KEY_SECRET_ARN"],
    ALLOWED_ORIGINS="https://app.example.com, https://www.example.com",
)

# Managed policies (AWS, "Use managed cache policies", "Use managed origin request policies").
CACHING_DISABLED = "4135ea2d-6df8-44a3-9df3-4b5a84be39ad"
ALL_VIEWER = "216adef6-5c7f-47e4-b989-5492eafa07d3"

WEBSOCKET_IDLE_SECONDS = 600
"""CloudFront's, which cannot be changed (AWS, "Use WebSockets with CloudFront distributions")."""


def _made(config: Config, factory: pytest.TempPathFactory) -> Deployment:
    def build(stack: cdk.Stack) -> None:
        network, images = Network(stack, "Network", config=config), Images(stack, "Images", config=config)
        entrance = Entrance(stack, "Entrance", config=config, network=network, images=images)
        for name in ("url", "domain", "key_pair_id"):
            value = getattr(entrance, name)
            cdk.CfnOutput(stack, name.replace("_", ""), value="none" if value is None else value)

    return synthesize(factory.mktemp("entrance"), config, build)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Deployment:
    return _made(SMALL, tmp_path_factory)


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Deployment:
    return _made(LARGE, tmp_path_factory)


@pytest.fixture(params=["small", "large"])
def either(request: pytest.FixtureRequest) -> Deployment:
    deployment: Deployment = request.getfixturevalue(request.param)
    return deployment


def _only(deployment: Deployment, type: str) -> Resource:
    (resource,) = deployment.resources(type)
    return resource


def _distribution(deployment: Deployment) -> dict[str, Any]:
    config: dict[str, Any] = _only(deployment, "AWS::CloudFront::Distribution").properties["DistributionConfig"]
    return config


def _behaviour(deployment: Deployment, path: str) -> dict[str, Any]:
    """What is done with requests of a path pattern; `*` is everything else."""
    config = _distribution(deployment)
    behaviours: dict[str, Any] = {each["PathPattern"]: each for each in config["CacheBehaviors"]}
    behaviours["*"] = config["DefaultCacheBehavior"]
    found: dict[str, Any] = behaviours[path]
    return found


def _origin(deployment: Deployment, path: str) -> dict[str, Any]:
    wanted = _behaviour(deployment, path)["TargetOriginId"]
    (origin,) = (each for each in _distribution(deployment)["Origins"] if each["Id"] == wanted)
    found: dict[str, Any] = origin
    return found


def _headers(deployment: Deployment, path: str) -> dict[str, Any]:
    """The policy of a behaviour's answers."""
    id = _behaviour(deployment, path)["ResponseHeadersPolicyId"]["Ref"]
    policy: dict[str, Any] = deployment.templates[STACK]["Resources"][id]["Properties"]["ResponseHeadersPolicyConfig"]
    return policy


def _attributes(deployment: Deployment) -> dict[str, Any]:
    attributes = _only(deployment, "AWS::ElasticLoadBalancingV2::LoadBalancer").properties["LoadBalancerAttributes"]
    return {each["Key"]: each["Value"] for each in attributes}


def _output(deployment: Deployment, name: str) -> Any:
    return deployment.templates[STACK]["Outputs"][name]["Value"]


def test_nothing_is_open(either: Deployment) -> None:
    assert faults(either) == []


# --- the load balancer -----------------------------------------------------------------------------------------------


def test_load_balancer_is_internal_and_takes_http_of_the_vpc_alone(either: Deployment) -> None:
    balancer = _only(either, "AWS::ElasticLoadBalancingV2::LoadBalancer").properties
    assert balancer["Scheme"] == "internal"
    inner = [e.id for e in either.resources("AWS::EC2::Subnet") if "inner" in e.id]
    assert balancer["Subnets"] == [{"Ref": id} for id in inner]
    (group,) = (
        each
        for each in either.resources("AWS::EC2::SecurityGroup")
        if each.properties["GroupDescription"].startswith("Load balancer")
    )
    assert balancer["SecurityGroups"] == [{"Fn::GetAtt": [group.id, "GroupId"]}]
    (rule,) = group.properties["SecurityGroupIngress"]
    assert (rule["CidrIp"], rule["IpProtocol"], rule["FromPort"], rule["ToPort"]) == (CIDR, "tcp", 80, 80)
    (out,) = group.properties["SecurityGroupEgress"]
    assert out["CidrIp"] == "255.255.255.255/32", "CDK's way to say: nowhere, until there are tasks"


def test_load_balancer_is_careful_and_cannot_be_deleted_by_accident(either: Deployment) -> None:
    attributes = _attributes(either)
    assert attributes["routing.http.drop_invalid_header_fields.enabled"] == "true"
    assert attributes["deletion_protection.enabled"] == "true"
    assert attributes["access_logs.s3.enabled"] == "true"


def test_quiet_sockets_and_streams_outlive_every_time_out_between(either: Deployment) -> None:
    idle = int(_attributes(either)["idle_timeout.timeout_seconds"])
    assert idle == IDLE_SECONDS
    # Two may be lost.
    assert 3 * PING_SECONDS < min(idle, WEBSOCKET_IDLE_SECONDS)
    waiting = _origin(either, "/graphql")["VpcOriginConfig"]["OriginReadTimeout"]
    assert waiting == ORIGIN_SECONDS
    assert 3 * SSE_HEARTBEAT_INTERVAL < min(waiting, idle)


def test_cloudfront_uses_no_connection_that_the_load_balancer_has_closed(either: Deployment) -> None:
    kept = _origin(either, "*")["VpcOriginConfig"]["OriginKeepaliveTimeout"]
    assert kept == KEEP_ALIVE_SECONDS
    assert kept < IDLE_SECONDS


def test_listener_says_to_come_back_while_there_is_no_service(either: Deployment) -> None:
    listener = _only(either, "AWS::ElasticLoadBalancingV2::Listener").properties
    assert (listener["Port"], listener["Protocol"]) == (80, "HTTP")
    (action,) = listener["DefaultActions"]
    answer = action["FixedResponseConfig"]
    assert (answer["StatusCode"], answer["ContentType"]) == ("503", "application/json")
    (error,) = json.loads(answer["MessageBody"])["errors"]
    assert error["extensions"]["code"] == "SERVICE_UNAVAILABLE"
    assert error["extensions"]["retryAfterSeconds"] > 0


def test_metrics_are_not_for_the_public(either: Deployment) -> None:
    rule = _only(either, "AWS::ElasticLoadBalancingV2::ListenerRule").properties
    assert rule["Priority"] == 1, "before the rule of the service"
    (condition,) = rule["Conditions"]
    assert condition["PathPatternConfig"]["Values"] == ["/metrics"]
    (action,) = rule["Actions"]
    assert action["FixedResponseConfig"]["StatusCode"] == "404"


# --- CloudFront ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/graphql", "*"])
def test_api_gets_every_request_as_it_was_sent_and_nothing_is_kept(either: Deployment, path: str) -> None:
    behaviour = _behaviour(either, path)
    assert behaviour["CachePolicyId"] == CACHING_DISABLED
    # The headers of a handshake are forwarded with all others.
    assert behaviour["OriginRequestPolicyId"] == ALL_VIEWER
    assert {"GET", "HEAD", "OPTIONS", "POST"} <= set(behaviour["AllowedMethods"])
    assert behaviour["Compress"] is False, "it would hold events back"
    assert "TrustedKeyGroups" not in behaviour


def test_api_is_reached_over_https_only(either: Deployment) -> None:
    assert _behaviour(either, "/graphql")["ViewerProtocolPolicy"] == "https-only"
    assert _behaviour(either, "*")["ViewerProtocolPolicy"] == "redirect-to-https"
    assert _behaviour(either, "/images/*")["ViewerProtocolPolicy"] == "https-only"


def test_cloudfront_comes_in_by_the_vpc_once_there_is_a_gateway(either: Deployment) -> None:
    way_in = _only(either, "AWS::CloudFront::VpcOrigin")
    endpoint = way_in.properties["VpcOriginEndpointConfig"]
    assert endpoint["Arn"] == {"Ref": _only(either, "AWS::ElasticLoadBalancingV2::LoadBalancer").id}
    assert (endpoint["HTTPPort"], endpoint["OriginProtocolPolicy"]) == (80, "http-only")
    gateway = _only(either, "AWS::EC2::VPCGatewayAttachment").id
    assert gateway in either.templates[STACK]["Resources"][way_in.id]["DependsOn"]
    for path in ("/graphql", "*"):
        assert _origin(either, path)["VpcOriginConfig"]["VpcOriginId"] == {"Fn::GetAtt": [way_in.id, "Id"]}


def test_images_come_from_the_bucket_and_are_cached(either: Deployment) -> None:
    behaviour, origin = _behaviour(either, "/images/*"), _origin(either, "/images/*")
    copies = _only(either, "AWS::CloudFront::CachePolicy")
    assert behaviour["CachePolicyId"] == {"Ref": copies.id}
    assert copies.properties["CachePolicyConfig"]["MaxTTL"] == 86_400, "a deleted image is gone within a day"
    assert set(behaviour["AllowedMethods"]) == {"GET", "HEAD"}
    assert "OriginPath" not in origin, "keys begin with images/ as paths do"
    access = _only(either, "AWS::CloudFront::OriginAccessControl")
    assert origin["OriginAccessControlId"] == {"Fn::GetAtt": [access.id, "Id"]}
    signing = access.properties["OriginAccessControlConfig"]
    assert (signing["SigningBehavior"], signing["SigningProtocol"]) == ("always", "sigv4")
    assert origin["S3OriginConfig"] == {"OriginAccessIdentity": ""}


def test_this_distribution_may_read_images_and_nothing_else_in_the_bucket(either: Deployment) -> None:
    (bucket,) = (b.id for b in either.resources("AWS::S3::Bucket") if b.id.startswith("ImagesBucket"))
    (policy,) = (p for p in either.resources("AWS::S3::BucketPolicy") if p.properties["Bucket"] == {"Ref": bucket})
    (allowed,) = (each for each in policy.properties["PolicyDocument"]["Statement"] if each["Effect"] == "Allow")
    assert allowed["Principal"] == {"Service": "cloudfront.amazonaws.com"}
    assert allowed["Action"] == "s3:GetObject"
    assert allowed["Resource"] == {"Fn::Join": ["", [{"Fn::GetAtt": [bucket, "Arn"]}, "/images/*"]]}
    (source,) = allowed["Condition"]["StringEquals"].items()
    distribution = {"Ref": _only(either, "AWS::CloudFront::Distribution").id}
    arn = [
        "arn:",
        {"Ref": "AWS::Partition"},
        ":cloudfront::",
        {"Ref": "AWS::AccountId"},
        ":distribution/",
        distribution,
    ]
    assert source == ("AWS:SourceArn", {"Fn::Join": ["", arn]})


def test_urls_are_signed_if_there_is_a_key(small: Deployment, large: Deployment) -> None:
    assert "TrustedKeyGroups" not in _behaviour(small, "/images/*")
    assert _output(small, "keypairid") == "none"
    group = _only(large, "AWS::CloudFront::KeyGroup")
    assert _behaviour(large, "/images/*")["TrustedKeyGroups"] == [{"Ref": group.id}]
    ids = {
        key.properties["PublicKeyConfig"]["EncodedKey"]: key.id for key in large.resources("AWS::CloudFront::PublicKey")
    }
    assert _output(large, "keypairid") == {"Ref": ids[KEY_FILE.read_text()]}


def test_key_of_urls_can_be_replaced_while_both_count(large: Deployment) -> None:
    keys = {key.id for key in large.resources("AWS::CloudFront::PublicKey")}
    items = _only(large, "AWS::CloudFront::KeyGroup").properties["KeyGroupConfig"]["Items"]
    assert len(keys) == 2
    assert {item["Ref"] for item in items} == keys
    exported = {each["Value"].get("Ref") for each in large.templates[STACK]["Outputs"].values() if "Export" in each}
    assert keys <= exported, "a service that still signs with one keeps the other from being taken away"


def test_pages_of_allowed_origins_may_read_images(small: Deployment, large: Deployment) -> None:
    assert "CorsConfig" not in _headers(small, "/images/*")
    cors = _headers(large, "/images/*")["CorsConfig"]
    assert cors["AccessControlAllowOrigins"]["Items"] == ["https://app.example.com", "https://www.example.com"]
    assert cors["AccessControlAllowMethods"]["Items"] == ["GET", "HEAD"]
    assert cors["AccessControlAllowCredentials"] is False
    # The program answers for the API itself.
    assert "CorsConfig" not in _headers(large, "/graphql")


def test_images_say_what_they_say_where_the_program_hands_them_out(either: Deployment) -> None:
    policy = _headers(either, "/images/*")
    security = policy["SecurityHeadersConfig"]
    said = {item["Header"]: item["Value"] for item in policy["CustomHeadersConfig"]["Items"]}
    said["Content-Security-Policy"] = security["ContentSecurityPolicy"]["ContentSecurityPolicy"]
    assert security["ContentTypeOptions"] == {"Override": True}
    said["X-Content-Type-Options"] = "nosniff"
    # `inline` is what browsers do with images anyway.
    assert said == {name: value for name, value in IMAGE_HEADERS.items() if name != "Content-Disposition"}


@pytest.mark.parametrize("path", ["/graphql", "/images/*", "*"])
def test_every_answer_keeps_browsers_on_https(either: Deployment, path: str) -> None:
    security = _headers(either, path)["SecurityHeadersConfig"]
    assert security["StrictTransportSecurity"]["AccessControlMaxAgeSec"] >= 180 * 86_400
    assert security["ContentTypeOptions"]["Override"] is True


def test_domain_of_its_own_has_its_certificate_and_no_old_tls(large: Deployment) -> None:
    assert _distribution(large)["Aliases"] == ["images.example.com"]
    certificate = _distribution(large)["ViewerCertificate"]
    assert certificate["AcmCertificateArn"] == LARGE.certificate_arn
    assert certificate["MinimumProtocolVersion"] == "TLSv1.2_2021"
    assert _output(large, "url") == "https://images.example.com"


def test_url_is_that_of_the_distribution_otherwise(small: Deployment) -> None:
    domain = {"Fn::GetAtt": [_only(small, "AWS::CloudFront::Distribution").id, "DomainName"]}
    assert _output(small, "domain") == domain
    assert _output(small, "url") == {"Fn::Join": ["", ["https://", domain]]}


def test_small_pays_for_fewer_places(small: Deployment, large: Deployment) -> None:
    assert _distribution(small)["PriceClass"] == "PriceClass_100"
    assert _distribution(large)["PriceClass"] == "PriceClass_All"


def test_all_that_is_asked_is_logged(either: Deployment) -> None:
    (logs,) = (b.id for b in either.resources("AWS::S3::Bucket") if b.id.startswith("ImagesLogs"))
    logging = _distribution(either)["Logging"]
    assert logging["Bucket"] == {"Fn::GetAtt": [logs, "RegionalDomainName"]}
    assert _attributes(either)["access_logs.s3.bucket"] == {"Ref": logs}
    assert len({logging["Prefix"], _attributes(either)["access_logs.s3.prefix"], "bucket/"}) == 3
    assert _distribution(either)["HttpVersion"] == "http2and3"


def test_two_regions_of_an_account_do_not_get_into_each_others_way(large: Deployment) -> None:
    names = [
        str(config["Name"])
        for each in large.resources()
        if each.type.startswith("AWS::CloudFront::")
        for config in each.properties.values()
        if isinstance(config, dict) and "Name" in config
    ]
    assert len(names) == 8
    assert [name for name in names if not name.startswith(f"{LARGE.prefix}-eu-west-1")] == []


# --- the public key --------------------------------------------------------------------------------------------------


def _written(path: Path, key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> Path:
    kind = serialization.PublicFormat.SubjectPublicKeyInfo
    path.write_bytes(key.public_key().public_bytes(serialization.Encoding.PEM, kind))
    return path


def test_keys_that_cloudfront_takes_are_read(tmp_path: Path) -> None:
    assert read_public_key(KEY_FILE) == KEY_FILE.read_text()
    path = _written(tmp_path / "key.pub", ec.generate_private_key(ec.SECP256R1()))
    assert read_public_key(path) == path.read_text()


def test_keys_that_cloudfront_does_not_take_are_refused(tmp_path: Path) -> None:
    for key in (rsa.generate_private_key(65537, 1024), ec.generate_private_key(ec.SECP384R1())):
        with pytest.raises(ConfigError, match="must be an RSA key of 2048 bits or an ECDSA key on P-256"):
            read_public_key(_written(tmp_path / "key.pub", key))


def test_private_half_does_not_get_into_a_template(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    key = ec.generate_private_key(ec.SECP256R1())
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    with pytest.raises(ConfigError, match="is no public key in PEM"):
        read_public_key(path)


def test_key_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"DEPLOY_URL_PUBLIC_KEYS: .*url\.pub cannot be read: No such file"):
        read_public_key(tmp_path / "url.pub")
