"""The address that clients know: CloudFront in front, a load balancer inside."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import aws_cdk as cdk
from aws_cdk import aws_certificatemanager as acm
from aws_cdk import aws_cloudfront as cloudfront
from aws_cdk import aws_cloudfront_origins as origins
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_elasticloadbalancingv2 as elbv2
from aws_cdk import aws_iam as iam
from constructs import Construct
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from graphql_api.http.errors import CODES
from graphql_api.http.health import METRICS_PATH
from infra.config import PREFIX, Config, ConfigError
from infra.images import Images
from infra.network import Network

PORT = 80

IDLE_SECONDS = 300
"""How long the load balancer keeps a connection on which nothing is sent. The program sends a ping over each WebSocket
every 20 s, and a comment over each event stream every 15 s."""
ORIGIN_SECONDS = 60
"""How long CloudFront waits for an answer, and for the next part of a stream. A WebSocket it keeps for ten minutes
without a byte from the server."""
KEEP_ALIVE_SECONDS = 60
"""How long CloudFront keeps an idle connection; less than the load balancer, so that it never uses one that is gone."""

RETRY_SECONDS = 30
"""When clients may try again that came while there is no service behind the listener."""
CORS_SECONDS = 600
HSTS = cdk.Duration.days(365)
COPY = cdk.Duration.days(1)
"""How long CloudFront keeps a copy of an image without asking. The program says a year, which is for browsers."""


class Entrance(Construct):
    """A CloudFront distribution that hands images out of the bucket, and everything else on to a load balancer that has
    no public address. The listener answers 503 until a service adds its rule.

    `url` is the origin of the API and of image URLs. `key_pair_id` is the ID of the key that signs image URLs, or None.

    From CloudFront's network interfaces to the load balancer, and from there to the tasks, HTTP is in clear: that is
    within the VPC, and a certificate for an internal name would need a domain.

    An image that was deleted is gone from the bucket at once, and from CloudFront within a day (COPY).

    Raises ConfigError when a public key of the URLs cannot be read.
    """

    def __init__(self, scope: Construct, id: str, *, config: Config, network: Network, images: Images) -> None:
        super().__init__(scope, id)
        self._config = config
        # CloudFront is everywhere: names of its parts are unique in the account, not in a region.
        self._name = f"{config.prefix}-{config.region}"
        self.balancer = self._balancer(network, images)
        self.listener = self._listener()
        keys = self._keys()
        self.key_pair_id = keys[0].public_key_id if keys else None
        self.distribution = self._distribution(network, images, keys)
        self._let_read(images)
        self.domain = config.domain_name or self.distribution.distribution_domain_name
        self.url = f"https://{self.domain}"
        stack = cdk.Stack.of(self)
        # Exported whether they are used now or not, so that a later change of the service finds them, or can let go.
        stack.export_value(self.distribution.distribution_domain_name)
        for subnet in network.vpc.select_subnets(subnet_group_name=network.inner_subnets.subnet_group_name).subnet_ids:
            stack.export_value(subnet)

    # --- the load balancer -------------------------------------------------------------------------------------------

    def _balancer(self, network: Network, images: Images) -> elbv2.ApplicationLoadBalancer:
        group = ec2.SecurityGroup(
            self, "Group", vpc=network.vpc, allow_all_outbound=False, description="Load balancer, for CloudFront"
        )
        # CloudFront's own security group in the VPC has no name that CloudFormation knows before it is there.
        group.add_ingress_rule(ec2.Peer.ipv4(network.cidr), ec2.Port.tcp(PORT), "Within the VPC")
        balancer = elbv2.ApplicationLoadBalancer(
            self,
            "Balancer",
            vpc=network.vpc,
            vpc_subnets=network.inner_subnets,
            internet_facing=False,
            security_group=group,
            idle_timeout=cdk.Duration.seconds(IDLE_SECONDS),
            drop_invalid_header_fields=True,
            deletion_protection=True,
        )
        balancer.log_access_logs(images.logs, "balancer")
        return balancer

    def _listener(self) -> elbv2.ApplicationListener:
        error = {
            "message": "The service is not there at the moment. Try again later.",
            "extensions": {"code": CODES[503], "retryAfterSeconds": RETRY_SECONDS},
        }
        listener = self.balancer.add_listener(
            "Listener",
            port=PORT,
            protocol=elbv2.ApplicationProtocol.HTTP,
            open=False,
            default_action=elbv2.ListenerAction.fixed_response(
                503, content_type="application/json", message_body=json.dumps({"errors": [error]})
            ),
        )
        elbv2.ApplicationListenerRule(
            self,
            "NoMetrics",
            listener=listener,
            priority=1,
            conditions=[elbv2.ListenerCondition.path_patterns([METRICS_PATH])],
            action=elbv2.ListenerAction.fixed_response(404, content_type="text/plain", message_body="Not found."),
        )
        return listener

    # --- CloudFront --------------------------------------------------------------------------------------------------

    def _distribution(
        self, network: Network, images: Images, keys: Sequence[cloudfront.PublicKey]
    ) -> cloudfront.Distribution:
        config = self._config
        certificate = (
            acm.Certificate.from_certificate_arn(self, "Certificate", config.certificate_arn)
            if config.certificate_arn
            else None
        )
        origin, headers = self._api_origin(network), self._api_headers()
        distribution = cloudfront.Distribution(
            self,
            "Distribution",
            comment=config.prefix,
            default_behavior=_api(origin, headers, cloudfront.ViewerProtocolPolicy.REDIRECT_TO_HTTPS),
            additional_behaviors={
                # WebSockets, event streams and plain requests. No redirection: it would come after the key was sent.
                "/graphql": _api(origin, headers, cloudfront.ViewerProtocolPolicy.HTTPS_ONLY),
                "/images/*": self._images(images, keys),
            },
            domain_names=[config.domain_name] if config.domain_name else None,
            certificate=certificate,
            minimum_protocol_version=cloudfront.SecurityPolicyProtocol.TLS_V1_2_2021,
            http_version=cloudfront.HttpVersion.HTTP2_AND_3,
            price_class=(
                cloudfront.PriceClass.PRICE_CLASS_100
                if config.environment == "small"
                else cloudfront.PriceClass.PRICE_CLASS_ALL
            ),
            enable_logging=True,
            log_bucket=images.logs,
            log_file_prefix="cloudfront/",
        )
        _explain(distribution, certificate is not None)
        return distribution

    def _api_origin(self, network: Network) -> cloudfront.IOrigin:
        way_in = cloudfront.VpcOrigin(
            self,
            "WayIn",
            vpc_origin_name=self._name,
            endpoint=cloudfront.VpcOriginEndpoint.application_load_balancer(self.balancer),
            http_port=PORT,
            protocol_policy=cloudfront.OriginProtocolPolicy.HTTP_ONLY,
        )
        # It is refused while the VPC has no internet gateway.
        way_in.node.add_dependency(network.gateway)
        return origins.VpcOrigin.with_vpc_origin(
            way_in,
            domain_name=self.balancer.load_balancer_dns_name,
            read_timeout=cdk.Duration.seconds(ORIGIN_SECONDS),
            keepalive_timeout=cdk.Duration.seconds(KEEP_ALIVE_SECONDS),
        )

    def _api_headers(self) -> cloudfront.ResponseHeadersPolicy:
        """The program says the rest itself, page by page."""
        return cloudfront.ResponseHeadersPolicy(
            self,
            "ApiHeaders",
            response_headers_policy_name=f"{self._name}-api",
            comment="What every answer says",
            security_headers_behavior=_security(),
        )

    def _images(self, images: Images, keys: Sequence[cloudfront.PublicKey]) -> cloudfront.BehaviorOptions:
        access = cloudfront.S3OriginAccessControl(
            self, "Access", origin_access_control_name=self._name, signing=cloudfront.Signing.SIGV4_ALWAYS
        )
        copies = cloudfront.CachePolicy(
            self,
            "Copies",
            cache_policy_name=f"{self._name}-images",
            comment="Images never change, and may be deleted",
            default_ttl=COPY,
            max_ttl=COPY,
            min_ttl=cdk.Duration.seconds(0),
        )
        group = cloudfront.KeyGroup(self, "UrlKeys", key_group_name=self._name, items=[*keys]) if keys else None
        return cloudfront.BehaviorOptions(
            # Not `with_origin_access_control`, which opens the whole bucket: inputs and answers hold prompts.
            origin=origins.S3BucketOrigin.with_bucket_defaults(
                images.bucket, origin_access_control_id=access.origin_access_control_id
            ),
            viewer_protocol_policy=cloudfront.ViewerProtocolPolicy.HTTPS_ONLY,
            allowed_methods=cloudfront.AllowedMethods.ALLOW_GET_HEAD,
            cache_policy=copies,
            response_headers_policy=self._image_headers(),
            trusted_key_groups=[group] if group else None,
            compress=False,
        )

    def _let_read(self, images: Images) -> None:
        """The images, and nothing else in the bucket, to this distribution alone."""
        images.bucket.add_to_resource_policy(
            iam.PolicyStatement(
                principals=[iam.ServicePrincipal("cloudfront.amazonaws.com")],
                actions=["s3:GetObject"],
                resources=[images.bucket.arn_for_objects("images/*")],
                conditions={"StringEquals": {"AWS:SourceArn": self.distribution.distribution_arn}},
            )
        )

    def _image_headers(self) -> cloudfront.ResponseHeadersPolicy:
        """What the program says with images where it hands them out itself (graphql_api/http/images.py)."""
        allowed = list(self._config.origins)
        cors = cloudfront.ResponseHeadersCorsBehavior(
            access_control_allow_origins=allowed,
            access_control_allow_methods=["GET", "HEAD"],
            access_control_allow_headers=["*"],
            access_control_allow_credentials=False,
            access_control_max_age=cdk.Duration.seconds(CORS_SECONDS),
            origin_override=True,
        )
        sandbox = cloudfront.ResponseHeadersContentSecurityPolicy(
            content_security_policy="default-src 'none'; style-src 'unsafe-inline'; sandbox", override=True
        )
        anywhere = cloudfront.ResponseCustomHeader(
            header="Cross-Origin-Resource-Policy", value="cross-origin", override=True
        )
        return cloudfront.ResponseHeadersPolicy(
            self,
            "ImageHeaders",
            response_headers_policy_name=f"{self._name}-images",
            comment="Images, for pages of other origins too",
            cors_behavior=cors if allowed else None,
            security_headers_behavior=_security(sandbox),
            custom_headers_behavior=cloudfront.ResponseCustomHeadersBehavior(custom_headers=[anywhere]),
        )

    def _keys(self) -> Sequence[cloudfront.PublicKey]:
        """The keys that image URLs may be signed with, the one in use first.

        CloudFront does not let a key change: another one is another resource, and so has another name. All are
        exported, used or not, so that the service can go over from one to the next before the old one is taken away.
        """
        pems = [read_public_key(Path(path)) for path in self._config.url_key_paths]
        keys = []
        for pem in pems:
            fingerprint = hashlib.sha256(pem.encode()).hexdigest()[:12]
            name = f"{self._name}-{fingerprint}"
            keys.append(cloudfront.PublicKey(self, f"UrlKey{fingerprint}", public_key_name=name, encoded_key=pem))
            cdk.Stack.of(self).export_value(keys[-1].public_key_id)
        return keys


def read_public_key(path: Path) -> str:
    """The PEM text of a public key that CloudFront takes. Raises ConfigError."""
    name = f"{PREFIX}URL_PUBLIC_KEYS: {path}"
    try:
        pem = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{name} cannot be read: {error.strerror}") from error
    try:
        key = serialization.load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm):
        raise ConfigError(f"{name} is no public key in PEM; see docs/aws.md") from None
    # AWS, "Create key pairs for your signers".
    is_rsa = isinstance(key, rsa.RSAPublicKey) and key.key_size == 2048
    is_ecdsa = isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1)
    if not (is_rsa or is_ecdsa):
        raise ConfigError(f"{name} must be an RSA key of 2048 bits or an ECDSA key on P-256")
    kind = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_bytes(serialization.Encoding.PEM, kind).decode()


def _api(
    origin: cloudfront.IOrigin, headers: cloudfront.ResponseHeadersPolicy, policy: cloudfront.ViewerProtocolPolicy
) -> cloudfront.BehaviorOptions:
    """Everything as the client sent it, nothing kept. Compressing would hold streams back."""
    return cloudfront.BehaviorOptions(
        origin=origin,
        viewer_protocol_policy=policy,
        allowed_methods=cloudfront.AllowedMethods.ALLOW_ALL,
        cache_policy=cloudfront.CachePolicy.CACHING_DISABLED,
        origin_request_policy=cloudfront.OriginRequestPolicy.ALL_VIEWER,
        response_headers_policy=headers,
        compress=False,
    )


def _security(
    content: cloudfront.ResponseHeadersContentSecurityPolicy | None = None,
) -> cloudfront.ResponseSecurityHeadersBehavior:
    return cloudfront.ResponseSecurityHeadersBehavior(
        content_security_policy=content,
        content_type_options=cloudfront.ResponseHeadersContentTypeOptions(override=True),
        strict_transport_security=cloudfront.ResponseHeadersStrictTransportSecurity(
            access_control_max_age=HSTS, include_subdomains=False, override=True
        ),
    )


def _explain(distribution: cloudfront.Distribution, has_certificate: bool) -> None:
    reasons = {
        "AwsSolutions-CFR1": "Who may use the service is decided by keys or tokens, not by country.",
        "AwsSolutions-CFR2": "No firewall by default, since it costs by the month and by the request: the program "
        "bounds bodies, sockets, messages and jobs of each caller itself. One can be attached to the distribution.",
    }
    if not has_certificate:
        reasons["AwsSolutions-CFR4"] = (
            "CloudFront sets the versions of TLS of its own domain. DEPLOY_DOMAIN_NAME brings TLS 1.2 as the least."
        )
    cdk.Validations.of(distribution).acknowledge(
        *(cdk.Acknowledgment(id=id, reason=reason) for id, reason in reasons.items())
    )
