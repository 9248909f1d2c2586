"""The stacks: they connect the constructs, and grant.

What must survive is in the first; the last may be thrown away and made again at any time.
"""

from __future__ import annotations

from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sns as sns
from constructs import Construct

from infra.budget import Budget
from infra.completions import Completions
from infra.config import SKETCH, Config
from infra.database import Database
from infra.entrance import Entrance
from infra.events import Events
from infra.http_api import HttpApi
from infra.images import Images
from infra.jumpstart import MODELS
from infra.key import OUTPUT as KEY_TASK
from infra.model_connection import ModelConnection
from infra.model_endpoint import ASYNC_INPUTS, ModelEndpoint
from infra.monitoring import Monitoring
from infra.network import Network
from infra.service import Service
from infra.watched import Watched


class FoundationStack(cdk.Stack):
    """Network, images, database, events, and the address that clients know."""

    def __init__(self, scope: Construct, id: str, *, config: Config, **options: Any) -> None:
        super().__init__(scope, id, termination_protection=True, **options)
        self.network = Network(self, "Network", config=config)
        self.images = Images(self, "Images", config=config)
        self.database = Database(self, "Database", config=config, network=self.network)
        self.events = Events(self, "Events", config=config, network=self.network)
        self.entrance = Entrance(self, "Entrance", config=config, network=self.network, images=self.images)


class ModelStack(cdk.Stack):
    """A model endpoint. Apart, so that it can fail for want of a quota, and be deleted to save its cost, alone."""

    def __init__(
        self, scope: Construct, id: str, *, config: Config, foundation: FoundationStack, **options: Any
    ) -> None:
        super().__init__(scope, id, **options)
        self.endpoint = ModelEndpoint(self, "Endpoint", config=config, bucket=foundation.images.bucket)


class ServiceStack(cdk.Stack):
    """The processes, what watches over them, and the outputs that one needs to begin."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        config: Config,
        foundation: FoundationStack,
        model: ModelStack | None,
        **options: Any,
    ) -> None:
        super().__init__(scope, id, **options)
        if model is not None:
            # The tasks know the endpoint by its name alone.
            self.add_stack_dependency(model)
        connection = self._connection(config, foundation, model)
        service = Service(
            self,
            "Service",
            config=config,
            network=foundation.network,
            entrance=foundation.entrance,
            database=foundation.database,
            events=foundation.events,
            images=foundation.images,
            model=connection,
        )
        watched = Watched(
            config=config,
            service=service,
            entrance=foundation.entrance,
            database=foundation.database,
            model=connection,
        )
        Monitoring(self, "Monitoring", watched=watched)
        Budget(self, "Budget", config=config)
        self._tell(foundation.entrance.url, service.key_task)
        if config.http_api:
            api = HttpApi(
                self, "HttpApi", config=config, network=foundation.network, listener=foundation.entrance.listener
            )
            url = f"{api.url}/text2image"
            cdk.CfnOutput(self, "FirstVersionUrl", value=url, description="What clients of the first version ask")

    def _connection(self, config: Config, foundation: FoundationStack, model: ModelStack | None) -> ModelConnection:
        if config.model == SKETCH:
            return ModelConnection(setting=f"{SKETCH}:", codec=config.codec)
        bucket: s3.IBucket = foundation.images.bucket
        outputs = bucket
        if model is not None:
            name, codec = model.endpoint.endpoint_name, MODELS[config.model].codec
            arn, completions = model.endpoint.endpoint_arn, model.endpoint.completions
        else:
            name, codec = config.endpoint_name, config.codec
            arn = self.format_arn(service="sagemaker", resource="endpoint", resource_name=name.lower())
            completions = None
            if config.is_async:
                topic = sns.Topic.from_topic_arn(self, "CompletionsTopic", config.completions_topic_arn)
                completions = Completions(self, "Completions", topic=topic)
                if config.endpoint_bucket:
                    outputs = s3.Bucket.from_bucket_name(self, "Outputs", config.endpoint_bucket)
        return ModelConnection(
            setting=_endpoint_setting(config, name, bucket),
            codec=codec,
            endpoint_name=name,
            endpoint_arn=arn,
            completions=completions,
            outputs_bucket_arn=outputs.bucket_arn if config.is_async else None,
        )

    def _tell(self, url: str, key_task: str) -> None:
        """The outputs that the first version had, the address of subscriptions, and what infra/key.py needs."""
        query = '{"query": "mutation { generateImage(input: {prompt: \\"a lighthouse\\"}) { job { id status } } }"}'
        curl = f"curl {url}/graphql -H 'Authorization: Bearer '$KEY -H 'Content-Type: application/json' -d '{query}'"
        for name, value, description in (
            ("StudioUrl", f"{url}/", "The Studio, in a browser; it asks for a key"),
            ("ExplorerUrl", f"{url}/graphiql", "The explorer, in a browser"),
            ("GraphqlUrl", f"{url}/graphql", "GraphQL over HTTP and Server-Sent Events"),
            ("SubscriptionUrl", f"wss{url.removeprefix('https')}/graphql", "GraphQL over WebSocket"),
            ("CurlLine", curl, "An image by curl; make key NAME=me tells a KEY"),
            ("WebUrl", f"{url}/text2image?prompt=a+lighthouse", "An image in a browser, without GraphQL"),
            (KEY_TASK, key_task, "For make key"),
        ):
            cdk.CfnOutput(self, name, value=value, description=description)


def _endpoint_setting(config: Config, name: str, bucket: s3.IBucket) -> str:
    """TEXT2IMAGE_ENDPOINT for an endpoint."""
    match config.endpoint_kind:
        case "async":
            return f"sagemaker-async:{name}?inputs=s3://{bucket.bucket_name}/{ASYNC_INPUTS}"
        case "stream":
            return f"sagemaker-stream:{name}"
        case "realtime":
            return f"sagemaker:{name}"
