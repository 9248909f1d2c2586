"""Input types, and what they mean in the domain."""

from __future__ import annotations

from datetime import datetime
from typing import TypeVar

import strawberry
from strawberry import ID, UNSET

from graphql_api.domain.generation import Dimensions, GenerationRequest
from graphql_api.domain.ids import key_of
from graphql_api.domain.webhook import Webhook
from graphql_api.ports import JobQuery
from graphql_api.schema.enums import AspectRatio, ImageFormat, JobStatus, WebhookEvent
from graphql_api.schema.scalars import URL, UInt32

T = TypeVar("T")


@strawberry.input(description="Exact size.")
class DimensionsInput:
    width: int = strawberry.field(description="Width in pixels.")
    height: int = strawberry.field(description="Height in pixels.")


@strawberry.input(one_of=True, description="Size of an image, in one of these ways.")
class ImageSizeInput:
    aspect_ratio: AspectRatio | None = strawberry.field(
        default=UNSET, description="A ratio at about the model's native pixel count."
    )
    dimensions: DimensionsInput | None = strawberry.field(default=UNSET, description="Exact pixels.")

    def to_domain(self) -> AspectRatio | Dimensions | None:
        """The one way that was chosen."""
        if self.dimensions:
            return Dimensions(width=self.dimensions.width, height=self.dimensions.height)
        return self.aspect_ratio or None


FINAL_EVENTS = (WebhookEvent.JOB_SUCCEEDED, WebhookEvent.JOB_FAILED, WebhookEvent.JOB_CANCELED)


@strawberry.input(description="Whom to tell of a job besides its watchers, by signed POST requests.")
class WebhookInput:
    url: URL = strawberry.field(description="Where to send them: https, to a public address.")
    events: list[WebhookEvent] = strawberry.field(
        default_factory=lambda: list(FINAL_EVENTS), description="What to tell of; at least one."
    )

    def to_domain(self) -> Webhook:
        """The webhook."""
        return Webhook(url=self.url, events=frozenset(self.events))


@strawberry.input(description="What to generate.")
class GenerateImageInput:
    prompt: str = strawberry.field(description="What to show.")
    negative_prompt: str | None = strawberry.field(default=UNSET, description="What to avoid.")
    model_id: ID | None = strawberry.field(
        default=UNSET, description="Which model; the server's default when left out."
    )
    style: ID | None = strawberry.field(default=UNSET, description="A style whose keywords are added to the prompt.")
    size: ImageSizeInput | None = strawberry.field(
        default=UNSET, description="Size; the model's default when left out."
    )
    steps: int | None = strawberry.field(
        default=UNSET, description="Denoising steps; the model's default when left out."
    )
    guidance_scale: float | None = strawberry.field(
        default=UNSET, description="How closely to follow the prompt; the model's default when left out."
    )
    seed: UInt32 | None = strawberry.field(
        default=UNSET, description="Seed; drawn by the server when left out, and always reported."
    )
    count: int = strawberry.field(default=1, description="How many images.")
    format: ImageFormat = strawberry.field(default=ImageFormat.JPEG, description="File format.")
    reference: str | None = strawberry.field(
        default=UNSET, description="The caller's own reference, handed back with the job; at most 200 characters."
    )
    idempotency_key: str | None = strawberry.field(
        default=UNSET,
        description="Repeating a request with the same key within 24 hours returns the first job\n"
        "instead of a new one; the same key with other input is refused.",
    )
    webhook: WebhookInput | None = strawberry.field(
        default=UNSET, description="Whom to tell of the job besides its watchers."
    )

    def to_domain(self) -> GenerationRequest:
        """The request. A model or style may be named by its ID or by its name, which cannot be mixed up."""
        return GenerationRequest(
            prompt=self.prompt,
            negative_prompt=given(self.negative_prompt),
            model_name=_name("Model", self.model_id),
            style_name=_name("Style", self.style),
            size=self.size.to_domain() if self.size else None,
            steps=given(self.steps),
            guidance_scale=given(self.guidance_scale),
            seed=given(self.seed),
            count=self.count,
            format=self.format,
            reference=given(self.reference),
            idempotency_key=given(self.idempotency_key),
            webhook=self.webhook.to_domain() if self.webhook else None,
        )


@strawberry.input(description="Which job to cancel.")
class CancelJobInput:
    id: ID = strawberry.field(description="ID of the job.")


@strawberry.input(description="Which job to delete.")
class DeleteJobInput:
    id: ID = strawberry.field(description="ID of the job.")


@strawberry.input(description="Which delivery to send again.")
class ReplayDeliveryInput:
    id: ID = strawberry.field(description="ID of the delivery.")


@strawberry.input(description="Narrows jobs.")
class JobFilter:
    statuses: list[JobStatus] | None = strawberry.field(default=UNSET, description="In one of these states.")
    model_ids: list[ID] | None = strawberry.field(default=UNSET, description="On one of these models.")
    search: str | None = strawberry.field(
        default=UNSET, description="With this text in the prompt; case does not matter."
    )
    created_after: datetime | None = strawberry.field(default=UNSET, description="Accepted at or after this instant.")
    created_before: datetime | None = strawberry.field(default=UNSET, description="Accepted before this instant.")


def job_query(job_filter: JobFilter | None) -> JobQuery:
    """The query that a filter means. An empty list narrows no more than a list that is left out."""
    if not job_filter:
        return JobQuery()
    return JobQuery(
        statuses=frozenset(job_filter.statuses or ()),
        model_names=frozenset(_name("Model", each) or "" for each in job_filter.model_ids or ()),
        search=job_filter.search or None,
        created_after=given(job_filter.created_after),
        created_before=given(job_filter.created_before),
    )


def given(value: T | None) -> T | None:
    """None for what was left out, as for what was given as null."""
    return None if value is UNSET else value


def _name(type_name: str, opaque: ID | None) -> str | None:
    name = given(opaque)
    return None if name is None else key_of(type_name, name) or name
