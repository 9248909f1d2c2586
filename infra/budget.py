"""A budget of the account, whose messages come from AWS Budgets itself."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_budgets as budgets
from constructs import Construct

from infra.config import PREFIX, Config

SPENT_PERCENT = 80
FORECAST_PERCENT = 100


class Budget(Construct):
    """Tells the e-mail address when most of the month's money is spent, and when all of it will be. It covers the whole
    account and stops nothing.

    Without an address there is none, since nobody would hear of it; a note of the synthesis says so.
    """

    def __init__(self, scope: Construct, id: str, *, config: Config) -> None:
        super().__init__(scope, id)
        if not config.alarm_email:
            cdk.Annotations.of(self).add_info_v2(
                "text2image:nobody-hears",
                f"Nobody will hear of alarms, and there is no budget: write {PREFIX}ALARM_EMAIL=<address>.",
            )
            return
        budgets.CfnBudget(
            self,
            "Budget",
            budget=budgets.CfnBudget.BudgetDataProperty(
                # No name: the address cannot be changed, so a budget with another one comes before this one goes.
                budget_type="COST",
                time_unit="MONTHLY",
                budget_limit=budgets.CfnBudget.SpendProperty(amount=round(config.budget_dollars), unit="USD"),
            ),
            notifications_with_subscribers=[
                _notification("ACTUAL", SPENT_PERCENT, config.alarm_email),
                _notification("FORECASTED", FORECAST_PERCENT, config.alarm_email),
            ],
        )


def _notification(kind: str, percent: int, address: str) -> budgets.CfnBudget.NotificationWithSubscribersProperty:
    return budgets.CfnBudget.NotificationWithSubscribersProperty(
        notification=budgets.CfnBudget.NotificationProperty(
            notification_type=kind,
            comparison_operator="GREATER_THAN",
            threshold=percent,
            threshold_type="PERCENTAGE",
        ),
        subscribers=[budgets.CfnBudget.SubscriberProperty(subscription_type="EMAIL", address=address)],
    )
