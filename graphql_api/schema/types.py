"""Output types. Each is built from its domain value by `of`; only what needs a look-up is a resolver."""

from __future__ import annotations

from datetime import datetime

import strawberry
from strawberry import ID, Private

from graphql_api.domain import generation, styles, webhook
from graphql_api.domain import job as jobs
from graphql_api.domain.caller import Caller
from graphql_api.domain.events import JobEvent as DomainEvent
from graphql_api.domain.ids import global_id, image_key_of
from graphql_api.ports import JobPage, JobQuery
from graphql_api.schema.context import Info
from graphql_api.schema.cursors import event_cursor, job_cursor
from graphql_api.schema.enums import (
    CallerRole,
    CancelOutcome,
    DeliveryState,
    ImageFormat,
    JobEventKind,
    JobFailureCode,
    JobPhase,
    JobStatus,
    LimitKind,
    ModelAvailability,
    ProgressBasis,
    WebhookEvent,
)
from graphql_api.schema.scalars import URL, UInt32
from graphql_api.service import fair_use
from graphql_api.service import jobs as job_service
from graphql_api.service.costs import dollars


@strawberry.interface(description="An object with a globally unique ID.")
class Node:
    id: ID = strawberry.field(description="Globally unique, opaque ID.")


@strawberry.type(description="Defaults of a model.")
class ModelDefaults:
    width: int = strawberry.field(description="Width in pixels.")
    height: int = strawberry.field(description="Height in pixels.")
    steps: int = strawberry.field(description="Denoising steps.")
    guidance_scale: float = strawberry.field(description="Guidance scale.")


@strawberry.type(description="Bounds of a model.")
class ModelLimits:
    max_count: int = strawberry.field(description="Most images in one job.")
    max_dimension: int = strawberry.field(description="Largest width or height in pixels.")
    max_prompt_length: int = strawberry.field(description="Longest prompt in characters.")
    max_steps: int = strawberry.field(description="Most denoising steps.")
    size_multiple: int = strawberry.field(description="Width and height must be multiples of this.")


@strawberry.type(description="A model the server can run.")
class Model(Node):
    name: str = strawberry.field(description="Stable short name, such as sdxl-turbo.")
    description: str | None = strawberry.field(description="What it is good at.")
    license: str | None = strawberry.field(description="SPDX identifier or name of its licence.")
    is_default: bool = strawberry.field(description="Whether requests without `modelId` use it.")
    defaults: ModelDefaults = strawberry.field(description="Values used where a request leaves them out.")
    limits: ModelLimits = strawberry.field(description="What it accepts.")

    @classmethod
    def of(cls, model: generation.Model) -> Model:
        """The type of a domain value."""
        defaults, limits = model.defaults, model.limits
        return cls(
            id=ID(global_id("Model", model.name)),
            name=model.name,
            description=model.description,
            license=model.license,
            is_default=model.is_default,
            defaults=ModelDefaults(
                width=defaults.width,
                height=defaults.height,
                steps=defaults.steps,
                guidance_scale=defaults.guidance_scale,
            ),
            limits=ModelLimits(
                max_count=limits.max_count,
                max_dimension=limits.max_dimension,
                max_prompt_length=limits.max_prompt_length,
                max_steps=limits.max_steps,
                size_multiple=limits.size_multiple,
            ),
        )

    @strawberry.field(description="Whether a job would start now.")
    async def availability(self, info: Info) -> ModelAvailability:
        return await info.context.models.availability(self.name)


@strawberry.type(description="A named set of keywords that is added to a prompt.")
class Style(Node):
    name: str = strawberry.field(description="Short name, such as concept-art.")
    keywords: str = strawberry.field(description="What is added to the prompt.")

    @classmethod
    def of(cls, style: styles.Style) -> Style:
        """The type of a domain value."""
        return cls(id=ID(global_id("Style", style.name)), name=style.name, keywords=style.keywords)


@strawberry.type(description="Parameters of a generation, defaults filled in.")
class GenerationParameters:
    prompt: str = strawberry.field(description="What to show, as it was given.")
    rendered_prompt: str = strawberry.field(
        description="The prompt that the model got: `prompt` with the keywords of `style`."
    )
    negative_prompt: str | None = strawberry.field(description="What to avoid.")
    style: Style | None = strawberry.field(description="The style whose keywords were added.")
    width: int = strawberry.field(description="Width in pixels.")
    height: int = strawberry.field(description="Height in pixels.")
    steps: int = strawberry.field(description="Denoising steps.")
    guidance_scale: float = strawberry.field(description="How closely to follow the prompt.")
    seed: UInt32 = strawberry.field(description="Seed of the first image; the n-th uses seed + n - 1.")
    count: int = strawberry.field(description="How many images.")
    format: ImageFormat = strawberry.field(description="File format.")

    @classmethod
    def of(cls, parameters: generation.GenerationParameters) -> GenerationParameters:
        """The type of a domain value. A style that was removed since is left out."""
        style = styles.STYLES.get(parameters.style_name) if parameters.style_name else None
        return cls(
            prompt=parameters.prompt,
            rendered_prompt=parameters.rendered_prompt,
            negative_prompt=parameters.negative_prompt,
            style=None if style is None else Style.of(style),
            width=parameters.width,
            height=parameters.height,
            steps=parameters.steps,
            guidance_scale=parameters.guidance_scale,
            seed=UInt32(parameters.seed),
            count=parameters.count,
            format=parameters.format,
        )


@strawberry.type(description="How far a job is.")
class JobProgress:
    job: Private[jobs.Job]
    basis: ProgressBasis = strawberry.field(
        description="Whether the model reported these figures or they come from how long past jobs took."
    )
    fraction: float = strawberry.field(description="Between 0 and 1; never goes back.")
    phase: JobPhase = strawberry.field(description="What is happening now.")
    preview_url: URL | None = strawberry.field(
        description="A small picture of the unfinished image, where the model sends one."
    )
    step: int = strawberry.field(description="Denoising steps done.")
    total_steps: int = strawberry.field(description="Denoising steps in total.")

    @classmethod
    def of(cls, job: jobs.Job) -> JobProgress:
        """The progress of a job."""
        progress = job.progress
        return cls(
            job=job,
            basis=progress.basis,
            fraction=progress.fraction,
            phase=progress.phase,
            preview_url=None if progress.preview_key is None else URL(f"/previews/{progress.preview_key}"),
            step=progress.step,
            total_steps=progress.total_steps,
        )

    @strawberry.field(description="Estimated seconds to the end; null until something is known.")
    async def eta_seconds(self, info: Info) -> float | None:
        return await info.context.jobs.eta_seconds(self.job)


@strawberry.type(description="Where the time of a job went, in seconds; a part is null until it is over.")
class JobTimings:
    queue_seconds: float | None = strawberry.field(description="From acceptance to the invocation.")
    inference_seconds: float | None = strawberry.field(description="From the invocation to the model's answer.")
    store_seconds: float | None = strawberry.field(description="From the model's answer to the stored images.")
    total_seconds: float | None = strawberry.field(description="From acceptance to the end.")

    @classmethod
    def of(cls, job: jobs.Job) -> JobTimings:
        """The timings of a job."""
        return cls(
            queue_seconds=_seconds(job.created_at, job.started_at),
            inference_seconds=_seconds(job.started_at, job.answered_at),
            store_seconds=_seconds(job.answered_at, job.finished_at),
            total_seconds=_seconds(job.created_at, job.finished_at),
        )


def _seconds(begin: datetime | None, end: datetime | None) -> float | None:
    return None if begin is None or end is None else (end - begin).total_seconds()


@strawberry.type(description="Why a job failed.")
class JobFailure:
    code: JobFailureCode = strawberry.field(description="For programs.")
    message: str = strawberry.field(description="For people.")
    retryable: bool = strawberry.field(description="Whether the same request may succeed later.")

    @classmethod
    def of(cls, failure: jobs.JobFailure) -> JobFailure:
        """The type of a domain value."""
        return cls(code=failure.code, message=failure.message, retryable=failure.retryable)


@strawberry.type(description="An image that the model made or refused and that is not handed out.")
class WithheldImage:
    index: int = strawberry.field(description="Position in the batch, from 0.")
    code: JobFailureCode = strawberry.field(description="Why, for programs.")
    message: str = strawberry.field(description="Why, for people.")

    @classmethod
    def of(cls, withheld: jobs.WithheldImage) -> WithheldImage:
        """The type of a domain value."""
        return cls(index=withheld.index, code=withheld.code, message=withheld.message)


@strawberry.type(description="A generated image.")
class Image(Node):
    stored: Private[jobs.StoredImage]
    format: ImageFormat = strawberry.field(description="File format.")
    width: int = strawberry.field(description="Width in pixels.")
    height: int = strawberry.field(description="Height in pixels.")
    size_bytes: int = strawberry.field(description="Size of the file in bytes.")
    sha256: str = strawberry.field(description="SHA-256 of the file, lower case hex.")
    blur_hash: str = strawberry.field(description="A BlurHash to paint while the file loads.")
    seed: UInt32 = strawberry.field(description="Seed that made it.")

    @classmethod
    def of(cls, job: jobs.Job, stored: jobs.StoredImage) -> Image:
        """One image of a job."""
        return cls(
            id=ID(global_id("Image", image_key_of(job.id, stored.index))),
            stored=stored,
            format=stored.format,
            width=stored.width,
            height=stored.height,
            size_bytes=stored.size_bytes,
            sha256=stored.sha256,
            blur_hash=stored.blur_hash,
            seed=UInt32(stored.seed),
        )

    @strawberry.field(description="Where to fetch the file.")
    async def url(self, info: Info) -> URL:
        return URL(await info.context.jobs.images.url_for(self.stored.key))

    @strawberry.field(description="Where to fetch a small WebP of it, at most 256 pixels on its longer side.")
    async def thumbnail_url(self, info: Info) -> URL:
        return URL(await info.context.jobs.images.url_for(self.stored.thumbnail_key))


@strawberry.type(description="One request to a webhook.")
class DeliveryAttempt:
    at: datetime = strawberry.field(description="When it was sent.")
    seconds: float = strawberry.field(description="How long it took.")
    status_code: int | None = strawberry.field(description="What the receiver answered; null when it did not.")
    problem: str | None = strawberry.field(description="What went wrong; null when it was taken.")

    @classmethod
    def of(cls, attempt: webhook.DeliveryAttempt) -> DeliveryAttempt:
        """The type of a domain value."""
        return cls(at=attempt.at, seconds=attempt.seconds, status_code=attempt.status_code, problem=attempt.problem)


@strawberry.type(description="What a webhook was told, or is to be told.")
class WebhookDelivery(Node):
    event: WebhookEvent = strawberry.field(description="What happened.")
    message_id: str = strawberry.field(description="The `webhook-id` that it is sent with, each time.")
    revision: int = strawberry.field(description="Rises with each change of the caller's jobs; receivers order by it.")
    state: DeliveryState = strawberry.field(description="Where it is.")
    next_attempt_at: datetime | None = strawberry.field(description="When it is sent next; null unless it is PENDING.")
    attempts: list[DeliveryAttempt] = strawberry.field(description="The latest requests, oldest first.")

    @classmethod
    def of(cls, delivery: webhook.Delivery) -> WebhookDelivery:
        """The type of a domain value."""
        return cls(
            id=ID(global_id("WebhookDelivery", delivery.id)),
            event=delivery.event,
            message_id=delivery.id,
            revision=delivery.revision,
            state=delivery.state,
            next_attempt_at=delivery.next_attempt_at,
            attempts=[DeliveryAttempt.of(attempt) for attempt in delivery.attempts],
        )


@strawberry.type(description="How much of something a caller may use, and has used.")
class UsageLimit:
    kind: LimitKind = strawberry.field(description="What is counted.")
    limit: float | None = strawberry.field(description="The most that is allowed; null for any number.")
    used: float = strawberry.field(description="How much is used now.")
    resets_at: datetime | None = strawberry.field(description="When it will be free again; null where it depends.")

    @classmethod
    def of(cls, use: fair_use.LimitUse) -> UsageLimit:
        """The type of a value of the service."""
        return cls(kind=use.kind, limit=use.limit, used=use.used, resets_at=use.resets_at)


@strawberry.type(description="Who asks.")
class Viewer(Node):
    caller: Private[Caller]
    name: str = strawberry.field(description="Name of the API key, or the one that the identity provider knows.")
    role: CallerRole = strawberry.field(description="What the caller may do.")
    expires_at: datetime | None = strawberry.field(description="When the credential ends, or null for never.")

    @classmethod
    def of(cls, caller: Caller) -> Viewer:
        """The type of a domain value."""
        return cls(
            id=ID(global_id("Viewer", caller.id)),
            caller=caller,
            name=caller.name,
            role=caller.role,
            expires_at=caller.expires_at,
        )

    @strawberry.field(description="What the caller may use, and has used.")
    async def limits(self, info: Info) -> list[UsageLimit]:
        return [UsageLimit.of(use) for use in await info.context.fair_use.usage(self.caller)]

    @strawberry.field(
        description="The secret that webhooks to this caller are signed with; null when the server sends none,\n"
        "and for readers."
    )
    def webhook_secret(self, info: Info) -> str | None:
        return info.context.webhooks.secret_of(self.caller.id) if self.caller.may_write else None


@strawberry.type(description="What a generation is expected to take. Figures are null until one job has succeeded.")
class GenerationEstimate:
    seconds: float | None = strawberry.field(description="From acceptance to the end, with the time in the queue.")
    cost: float | None = strawberry.field(
        description="What its invocations are expected to cost, in US dollars; null also when the model has no price."
    )
    jobs_ahead: int = strawberry.field(description="Jobs on the same model that wait now.")

    @classmethod
    def of(cls, estimate: job_service.Estimate) -> GenerationEstimate:
        """The type of a value of the service."""
        return cls(seconds=estimate.seconds, cost=estimate.dollars, jobs_ahead=estimate.jobs_ahead)


@strawberry.type(description="One text-to-image generation.")
class GenerationJob(Node):
    job: Private[jobs.Job]
    status: JobStatus = strawberry.field(description="Where it is in its life.")
    created_at: datetime = strawberry.field(description="When it was accepted.")
    started_at: datetime | None = strawberry.field(description="When a worker took it.")
    finished_at: datetime | None = strawberry.field(description="When it ended.")
    expires_at: datetime | None = strawberry.field(description="When the server will delete it, or null for never.")
    reference: str | None = strawberry.field(description="The caller's own reference, as it was given.")
    cancel_outcome: CancelOutcome | None = strawberry.field(
        description="How the cancellation took effect; null unless the status is CANCELED."
    )
    failure: JobFailure | None = strawberry.field(description="Why it failed; null unless the status is FAILED.")
    cost: float | None = strawberry.field(
        description="What its invocations have cost so far, in US dollars, from their measured time and the price of\n"
        "the model; null when none has run or the model has no price."
    )

    @classmethod
    def of(cls, job: jobs.Job) -> GenerationJob:
        """The type of a domain value."""
        return cls(
            id=ID(global_id("GenerationJob", job.id)),
            job=job,
            status=job.status,
            created_at=job.created_at,
            started_at=job.started_at,
            finished_at=job.finished_at,
            expires_at=job.expires_at,
            reference=job.reference,
            cancel_outcome=job.cancel_outcome,
            failure=None if job.failure is None else JobFailure.of(job.failure),
            cost=dollars(job.cost),
        )

    @strawberry.field(description="The model it runs on; null when it was removed since.")
    def model(self, info: Info) -> Model | None:
        runnable = info.context.models.find(self.job.model_name)
        return None if runnable is None else Model.of(runnable.model)

    @strawberry.field(description="What was asked, with every default filled in.")
    def parameters(self) -> GenerationParameters:
        return GenerationParameters.of(self.job.parameters)

    @strawberry.field(description="How far it is.")
    def progress(self) -> JobProgress:
        return JobProgress.of(self.job)

    @strawberry.field(description="Where its time went.")
    def timings(self) -> JobTimings:
        return JobTimings.of(self.job)

    @strawberry.field(description="Jobs ahead of it; null unless the status is QUEUED.")
    async def queue_position(self, info: Info) -> int | None:
        return await info.context.jobs.queue_position(self.job)

    @strawberry.field(description="Finished images; empty until the status is SUCCEEDED.")
    def images(self) -> list[Image]:
        return [Image.of(self.job, stored) for stored in self.job.images]

    @strawberry.field(description="Images of the batch that are not handed out, such as those a safety filter stopped.")
    def withheld(self) -> list[WithheldImage]:
        return [WithheldImage.of(withheld) for withheld in self.job.withheld]

    @strawberry.field(description="What its webhook was told, or is to be told, in order.")
    async def deliveries(self, info: Info) -> list[WebhookDelivery]:
        if self.job.webhook is None:
            return []
        return [WebhookDelivery.of(delivery) for delivery in await info.context.webhooks.deliveries(self.job.id)]


@strawberry.type(description="A change of a job.")
class JobEvent:
    kind: JobEventKind = strawberry.field(description="What happened.")
    cursor: str = strawberry.field(description="Pass it as `after` to resume behind this event.")
    job_id: ID = strawberry.field(description="ID of the job.")
    job: GenerationJob | None = strawberry.field(description="The job behind the change; null when it was deleted.")
    occurred_at: datetime = strawberry.field(description="When it happened.")

    @classmethod
    def of(cls, event: DomainEvent) -> JobEvent:
        """The type of a domain value."""
        return cls(
            kind=event.kind,
            cursor=event_cursor(event.revision),
            job_id=ID(global_id("GenerationJob", event.job_id)),
            job=None if event.job is None else GenerationJob.of(event.job),
            occurred_at=event.occurred_at,
        )


@strawberry.type(description="A job in a page.")
class GenerationJobEdge:
    cursor: str = strawberry.field(description="Position of the job.")
    node: GenerationJob = strawberry.field(description="The job.")

    @classmethod
    def of(cls, job: jobs.Job) -> GenerationJobEdge:
        """The type of a domain value."""
        return cls(cursor=job_cursor(job), node=GenerationJob.of(job))


@strawberry.type(description="Where a page sits in the whole list.")
class PageInfo:
    has_next_page: bool = strawberry.field(description="Whether more follow.")
    has_previous_page: bool = strawberry.field(description="Whether more come before.")
    start_cursor: str | None = strawberry.field(description="Cursor of the first edge.")
    end_cursor: str | None = strawberry.field(description="Cursor of the last edge.")


@strawberry.type(description="A page of jobs.")
class GenerationJobConnection:
    query: Private[JobQuery]
    edges: list[GenerationJobEdge] = strawberry.field(description="The jobs with their cursors.")
    page_info: PageInfo = strawberry.field(description="Where the page sits.")

    @classmethod
    def of(cls, page: JobPage, query: JobQuery) -> GenerationJobConnection:
        """A page of the jobs that match a query."""
        edges = [GenerationJobEdge.of(job) for job in page.jobs]
        return cls(
            query=query,
            edges=edges,
            page_info=PageInfo(
                has_next_page=page.has_next,
                has_previous_page=page.has_previous,
                start_cursor=edges[0].cursor if edges else None,
                end_cursor=edges[-1].cursor if edges else None,
            ),
        )

    @strawberry.field(description="How many jobs match in all.")
    async def total_count(self, info: Info) -> int:
        return await info.context.jobs.count(info.context.caller_id, self.query)
