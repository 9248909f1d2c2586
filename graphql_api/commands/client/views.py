"""A job as the command line shows it, wherever it runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

FINAL = frozenset({"SUCCEEDED", "FAILED", "CANCELED"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A finished image. `number` is its place in the batch, from 1; the size is in pixels and bytes. There is no
    `url` where no server has it."""

    number: int
    url: str | None
    format: str
    width: int
    height: int
    size_bytes: int
    seed: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class JobView:
    """A job. `fraction` is between 0 and 1, `cost` in US dollars, instants are in RFC 3339; `preview` names the
    unfinished image for whoever fetches it."""

    id: str
    status: str
    phase: str
    fraction: float
    step: int
    total_steps: int
    eta_seconds: float | None
    queue_position: int | None
    preview: str | None
    model: str | None
    parameters: Mapping[str, Any]
    pictures: Sequence[Picture]
    withheld: Sequence[Mapping[str, Any]]
    failure: Mapping[str, Any] | None
    cancel_outcome: str | None
    cost: float | None
    created_at: str
    finished_at: str | None

    @property
    def is_final(self) -> bool:
        """Whether nothing can follow."""
        return self.status in FINAL

    def as_json(self, files: Mapping[int, str] | None = None) -> dict[str, Any]:
        """What scripts get. `files` are the paths that the images were written to, by their numbers."""
        written = files or {}
        return {
            "job": self.id,
            "status": self.status,
            "model": self.model,
            "seed": self.parameters["seed"],
            "parameters": dict(self.parameters),
            "images": [{"file": written.get(each.number), **asdict(each)} for each in self.pictures],
            "withheld": list(self.withheld),
            "failure": self.failure,
            "cancel_outcome": self.cancel_outcome,
            "cost": self.cost,
            "created_at": self.created_at,
            "finished_at": self.finished_at,
        }

    def progress_as_json(self) -> dict[str, Any]:
        """How far it is, for scripts. Times are in seconds."""
        return {
            "phase": self.phase,
            "fraction": self.fraction,
            "step": self.step,
            "total_steps": self.total_steps,
            "eta_seconds": self.eta_seconds,
            "queue_position": self.queue_position,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """An event of a job. `job` is None when the job was deleted."""

    kind: str
    job_id: str
    cursor: str
    occurred_at: str
    job: JobView | None

    def as_json(self) -> dict[str, Any]:
        """What scripts get, one a line."""
        seen = {} if self.job is None else {"progress": self.job.progress_as_json(), **self.job.as_json()}
        return {
            "kind": self.kind,
            "occurred_at": self.occurred_at,
            "cursor": self.cursor,
            **seen,
            "job": self.job_id,
        }


def pictures_with_numbers(
    images: Sequence[Mapping[str, Any]], withheld: Sequence[Mapping[str, Any]]
) -> Sequence[Picture]:
    """The images of a batch with their places in it: those that are withheld keep theirs."""
    gaps = {each["index"] + 1 for each in withheld}
    numbers = (number for number in range(1, len(images) + len(gaps) + 1) if number not in gaps)
    return tuple(Picture(number=number, **image) for number, image in zip(numbers, images, strict=True))


def change_of(event: Mapping[str, Any], absolute: Callable[[str], str]) -> Change:
    """An event of the API; `absolute` completes its URLs."""
    return Change(
        kind=event["kind"],
        job_id=event["jobId"],
        cursor=event["cursor"],
        occurred_at=event["occurredAt"],
        job=None if event["job"] is None else view_of(event["job"], absolute),
    )


def view_of(job: Mapping[str, Any], absolute: Callable[[str], str]) -> JobView:
    """A job of the API; `absolute` completes its URLs."""
    progress, asked = job["progress"], job["parameters"]
    images = [
        {
            "url": absolute(each["url"]),
            "format": each["format"],
            "width": each["width"],
            "height": each["height"],
            "size_bytes": each["sizeBytes"],
            "seed": each["seed"],
            "sha256": each["sha256"],
        }
        for each in job["images"]
    ]
    return JobView(
        id=job["id"],
        status=job["status"],
        phase=progress["phase"],
        fraction=progress["fraction"],
        step=progress["step"],
        total_steps=progress["totalSteps"],
        eta_seconds=progress["etaSeconds"],
        queue_position=job["queuePosition"],
        preview=progress["previewUrl"] and absolute(progress["previewUrl"]),
        model=job["model"] and job["model"]["name"],
        parameters={
            "prompt": asked["prompt"],
            "rendered_prompt": asked["renderedPrompt"],
            "negative_prompt": asked["negativePrompt"],
            "style": asked["style"] and asked["style"]["name"],
            "width": asked["width"],
            "height": asked["height"],
            "steps": asked["steps"],
            "guidance_scale": asked["guidanceScale"],
            "seed": asked["seed"],
            "count": asked["count"],
            "format": asked["format"],
        },
        pictures=pictures_with_numbers(images, job["withheld"]),
        withheld=job["withheld"],
        failure=job["failure"],
        cancel_outcome=job["cancelOutcome"],
        cost=job["cost"],
        created_at=job["createdAt"],
        finished_at=job["finishedAt"],
    )
