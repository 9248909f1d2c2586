"""What the signatures of webhooks are made from."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct

LENGTH = 64
"""The program wants 32 characters."""


class WebhookSecret(Construct):
    """A secret that is drawn once, and kept when its stack is deleted: every receiver has one that is made from it."""

    def __init__(self, scope: Construct, id: str) -> None:
        super().__init__(scope, id)
        self.secret = secretsmanager.Secret(
            self,
            "Secret",
            description="Signs webhooks: TEXT2IMAGE_WEBHOOK_SECRET",
            generate_secret_string=secretsmanager.SecretStringGenerator(
                password_length=LENGTH, exclude_punctuation=True
            ),
            removal_policy=cdk.RemovalPolicy.RETAIN,
        )
        cdk.Validations.of(self.secret).acknowledge(
            cdk.Acknowledgment(
                id="AwsSolutions-SMG4",
                reason="Receivers would have to be told of every new one. docs/operations.md says how it is replaced.",
            )
        )
