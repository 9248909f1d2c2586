"""Alarms, and the topic that tells of them."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_iam as iam
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from constructs import Construct

from infra.config import Config

PAGE = "docs/operations.md"

Missing = cloudwatch.TreatMissingData
Comparison = cloudwatch.ComparisonOperator


class Alarms(Construct):
    """Alarms that tell one topic, when they begin and when they are over.

    The topic is not encrypted by a key of ours: CloudWatch cannot use the key that AWS manages for SNS, one of our own
    costs by the month, and messages hold names of alarms and numbers.
    """

    def __init__(self, scope: Construct, id: str, *, config: Config) -> None:
        super().__init__(scope, id)
        self._prefix = config.prefix
        self.topic = sns.Topic(self, "Topic", enforce_ssl=True)
        # A policy that asks for TLS takes the place of the one that lets the account's services in.
        self.topic.add_to_resource_policy(
            iam.PolicyStatement(
                sid="Alarms",
                principals=[iam.ServicePrincipal("cloudwatch.amazonaws.com")],
                actions=["sns:Publish"],
                resources=[self.topic.topic_arn],
                conditions={"StringEquals": {"aws:SourceAccount": cdk.Stack.of(self).account}},
            )
        )
        if config.alarm_email:
            self.topic.add_subscription(subscriptions.EmailSubscription(config.alarm_email))

    def add(
        self,
        name: str,
        metric: cloudwatch.IMetric,
        *,
        section: str,
        description: str,
        above: float | None = None,
        below: float | None = None,
        periods: int = 1,
        when_missing: cloudwatch.TreatMissingData = Missing.NOT_BREACHING,
    ) -> None:
        """An alarm when a metric is above or below a number for so many of its periods. `section` is the one of
        docs/operations.md that says what to do. Raises ValueError for both numbers, or neither."""
        if (above is None) == (below is None):
            raise ValueError(f"alarm {name}: either above or below")
        threshold = above if above is not None else below
        assert threshold is not None
        alarm = cloudwatch.Alarm(
            self,
            name,
            alarm_name=f"{self._prefix}-{name}",
            alarm_description=f'{description} What to do: {PAGE}, "{section}".',
            metric=metric,
            threshold=threshold,
            comparison_operator=Comparison.LESS_THAN_THRESHOLD if above is None else Comparison.GREATER_THAN_THRESHOLD,
            evaluation_periods=periods,
            treat_missing_data=when_missing,
        )
        tell = actions.SnsAction(self.topic)
        alarm.add_alarm_action(tell)
        alarm.add_ok_action(tell)
