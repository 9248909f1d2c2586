"""What AWS asks for, in US dollars, in us-east-1. Nobody could look at AWS' own price list when this was written.

`checked` says that a public page was read which names the figure, on the day that READ names; the page may be older,
and may be wrong. The rest is from memory. docs/cost.md shows all of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

REGION = "us-east-1"
READ = "2026-11-24"

MUST_BE_CHECKED = "must be checked"


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars for one `unit`. `source` is the page that says so, `dated` what it says of its own age."""

    what: str
    dollars: float
    unit: str
    source: str
    dated: str
    checked: bool


def _found(what: str, dollars: float, unit: str, source: str, dated: str) -> Price:
    return Price(what, dollars, unit, source, dated, checked=True)


def _remembered(what: str, dollars: float, unit: str, why: str = "from memory") -> Price:
    return Price(what, dollars, unit, why, "", checked=False)


_CDN = "https://aws.amazon.com/cloudfront/pricing"
_AURORA = "https://awsnegotiations.com/blog/aurora-serverless-v2-pricing.html"
_WATCH = "https://www.factualminds.com/blog/amazon-cloudwatch-pricing-metrics-logs-alarms-dashboards/"
_EGRESS = "https://www.zacfukuda.com/blog/aws-nat-gateway-vs-vpc-endpoint"
_FARGATE = "https://www.wring.co/blog/aws-fargate-pricing-guide"
_FARGATE_ARM = "https://www.vantage.sh/blog/fargate-pricing"
_S3 = "https://devnotes.tech/understanding-aws-s3-pricing-a-complete-cost-breakdown-with-examples"
_VALKEY = "from memory; public pages contradict each other, by a factor of 1,000 for requests"

PRICES: Mapping[str, Price] = MappingProxyType(
    {
        "ml.g5.2xlarge": _found(
            "SageMaker instance ml.g5.2xlarge",
            1.515,
            "hour",
            "https://www.wring.co/blog/aws-sagemaker-inference-guide (1.52)",
            "2026-03-15",
        ),
        "endpoint_gb": _remembered("SageMaker, data in and out", 0.016, "GB"),
        "vcpu": _found("Fargate, x86: vCPU", 0.04048, "hour", _FARGATE, "2026-03-10"),
        "memory": _found("Fargate, x86: memory", 0.004445, "GB and hour", _FARGATE, "2026-03-10"),
        "arm_vcpu": _found("Fargate, ARM: vCPU", 0.03238, "hour", _FARGATE_ARM, "no date"),
        "arm_memory": _found("Fargate, ARM: memory", 0.00356, "GB and hour", _FARGATE_ARM, "no date"),
        "balancer": _remembered("Application Load Balancer", 0.0225, "hour"),
        "lcu": _remembered("its capacity units (LCU)", 0.008, "hour"),
        "address": _found(
            "Public IPv4 address",
            0.005,
            "hour",
            "https://www.factualminds.com/blog/amazon-vpc-pricing-endpoints-peering-transit-gateway/ (3.60 a month)",
            "2026-06-13",
        ),
        "nat": _found("NAT gateway", 0.045, "hour", _EGRESS, "2026-06-01"),
        "nat_gb": _found("NAT gateway, data", 0.045, "GB", _EGRESS, "2026-06-01"),
        "interface": _found("Interface endpoint, in a zone", 0.01, "hour", _EGRESS, "2026-06-01"),
        "interface_gb": _found("Interface endpoint, data", 0.01, "GB", _EGRESS, "2026-06-01"),
        "db.t4g.micro": _found(
            "RDS for PostgreSQL, db.t4g.micro in one zone",
            0.016,
            "hour",
            "https://infratally.com/articles/aws-rds-pricing-explained-2026.html",
            "2026",
        ),
        "gp3_gb": _found(
            "its storage, gp3",
            0.115,
            "GB and month",
            "https://www.usage.ai/blogs/aws/reserved-instances/rds/pricing-calculator/",
            "2026-06",
        ),
        "acu": _found("Aurora Serverless v2, capacity unit (ACU)", 0.12, "hour", _AURORA, "2026-05"),
        "aurora_gb": _found("Aurora, storage", 0.10, "GB and month", _AURORA, "2026-05"),
        "aurora_io": _found(
            "Aurora Standard, I/O",
            0.20,
            "million",
            "https://www.jusdb.com/blog/aws-rds-vs-aurora-vs-serverless-cost-comparison",
            "no date",
        ),
        "valkey_gb": _remembered("Valkey Serverless, data, 0.1 GB at least", 0.084, "GB and hour", _VALKEY),
        "ecpu": _remembered("Valkey Serverless, processing units (ECPU)", 0.0023, "million", _VALKEY),
        "s3_gb": _found("S3 Standard", 0.023, "GB and month", _S3, "no date"),
        "s3_put": _found("S3 PUT", 0.005, "1,000", _S3, "no date"),
        "s3_get": _found("S3 GET", 0.0004, "1,000", _S3, "no date"),
        "cdn_gb": _found("CloudFront to North America or Europe", 0.085, "GB", _CDN, "no date"),
        "cdn_requests": _found(
            "CloudFront, HTTPS requests there",
            0.01,
            "10,000",
            "https://wring.co/blog/aws-cloudfront-pricing-guide",
            "2026-03-08",
        ),
        "log_gb": _found("CloudWatch Logs, written", 0.50, "GB", _WATCH, "2026-06-13"),
        "log_kept_gb": _remembered("CloudWatch Logs, kept", 0.03, "GB and month"),
        "metric": _found(
            "CloudWatch, custom metric", 0.30, "month", "https://signoz.io/guides/cloudwatch-pricing", "2026-02-15"
        ),
        "alarm": _remembered("CloudWatch, alarm", 0.10, "month"),
        "dashboard": _found("CloudWatch, dashboard", 3.00, "month", _WATCH, "2026-06-13"),
        "secret": _found(
            "Secrets Manager, secret",
            0.40,
            "month",
            "https://hivebook.wiki/wiki/aws-secrets-manager-rotated-secrets-dynamic-db-credentials-kms",
            "no date",
        ),
        "secret_calls": _found(
            "Secrets Manager, calls",
            0.05,
            "10,000",
            "https://hivebook.wiki/wiki/aws-secrets-manager-rotated-secrets-dynamic-db-credentials-kms",
            "no date",
        ),
        "ecr_gb": _remembered("ECR, images of containers", 0.10, "GB and month"),
        "sqs": _remembered("SQS requests", 0.40, "million"),
        "http_api": _found(
            "API Gateway, HTTP API",
            1.00,
            "million",
            "https://awsforengineers.com/blog/aws-api-gateway-pricing-explained",
            "2025-05-19",
        ),
        "budget": _remembered("Budget that only notifies", 0, "month"),
    }
)


def dollars(name: str) -> float:
    """The price of one unit. Raises KeyError for what has no price here."""
    return PRICES[name].dollars
