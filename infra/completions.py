"""The queue that tells the workers of answers of an asynchronous endpoint."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from aws_cdk import aws_sqs as sqs
from constructs import Construct

VISIBILITY = cdk.Duration.seconds(60)
"""Longer than a worker takes to fetch an answer and to store its images; docs/aws.md has the same."""
RECEIVES = 5
"""After so many a message is dead: it belongs to nobody here, or cannot be read."""
DEAD_DAYS = 14


class Completions(Construct):
    """A queue that is subscribed to an endpoint's topic, with a dead-letter queue behind it.

    Messages name jobs and places in the bucket; they hold neither prompts nor images. Losing them all would delay jobs,
    not lose them, since the workers look at the place of an answer too.
    """

    def __init__(self, scope: Construct, id: str, *, topic: sns.ITopic) -> None:
        super().__init__(scope, id)
        self.dead_letters = sqs.Queue(
            self,
            "DeadLetters",
            encryption=sqs.QueueEncryption.SQS_MANAGED,
            enforce_ssl=True,
            retention_period=cdk.Duration.days(DEAD_DAYS),
        )
        self.queue = sqs.Queue(
            self,
            "Queue",
            encryption=sqs.QueueEncryption.SQS_MANAGED,
            enforce_ssl=True,
            visibility_timeout=VISIBILITY,
            dead_letter_queue=sqs.DeadLetterQueue(queue=self.dead_letters, max_receive_count=RECEIVES),
        )
        # What SNS could not deliver goes where it is seen too.
        topic.add_subscription(subscriptions.SqsSubscription(self.queue, dead_letter_queue=self.dead_letters))
