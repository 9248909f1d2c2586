"""From a job's parameters to finished pictures: one or several invocations through the model's codec."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from functools import partial

from graphql_api.domain.errors import ContentBlocked, GenerationFailed, ModelFailed
from graphql_api.domain.job import Job, WithheldImage
from graphql_api.ports import Answer, BlockedPicture, ModelCodec, ModelRequest, Picture
from graphql_api.service.models import RunnableModel
from graphql_api.service.pictures import FinishedPicture, finish

logger = logging.getLogger(__name__)


Outcome = Answer | GenerationFailed
"""What came of one invocation. A job of several goes on with those that went well, since they were paid for."""


@dataclass(slots=True)
class Batch:
    """What came of a job's images: finished pictures and refusals by position."""

    pictures: dict[int, FinishedPicture] = field(default_factory=dict)
    withheld: dict[int, WithheldImage] = field(default_factory=dict)
    first_error: GenerationFailed | None = None

    def withhold(self, index: int, error: GenerationFailed) -> None:
        """Note why there is no picture at a position."""
        self.first_error = self.first_error or error
        self.withheld[index] = WithheldImage(index=index, code=error.code, message=error.message)

    def withhold_missing(self, count: int) -> None:
        """Note every position that the model's answers left out. Raises the first error when no picture is left."""
        for index in range(count):
            if index not in self.pictures and index not in self.withheld:
                self.withhold(index, ModelFailed("The model made fewer images than it was asked for."))
        if not self.pictures and self.first_error is not None:
            raise self.first_error


async def finish_batch(
    job: Job,
    runnable: RunnableModel,
    outcomes: Sequence[tuple[ModelRequest, Outcome]],
    *,
    executor: Executor,
    embed_parameters: bool,
) -> Batch:
    """Decode, check and encode the pictures, off the event loop. Raises GenerationFailed when none is left."""
    loop = asyncio.get_running_loop()
    batch = Batch()
    for request, outcome in outcomes:
        try:
            pictures = await loop.run_in_executor(executor, _decode, runnable.codec, request, outcome)
        except GenerationFailed as error:
            for index in range(request.first_index, request.first_index + request.count):
                _withhold(batch, job, index, error)
            continue
        for index, picture in enumerate(pictures[: request.count], start=request.first_index):
            finish_picture = partial(_finish, picture, job, index, embed_parameters)
            try:
                batch.pictures[index] = await loop.run_in_executor(executor, finish_picture)
            except GenerationFailed as error:
                _withhold(batch, job, index, error)
    batch.withhold_missing(job.parameters.count)
    return batch


def _withhold(batch: Batch, job: Job, index: int, error: GenerationFailed) -> None:
    logger.warning("image %d of job %s is withheld: %r", index, job.id, error, exc_info=error.__cause__)
    batch.withhold(index, error)


def _decode(codec: ModelCodec, request: ModelRequest, outcome: Outcome) -> Sequence[Picture]:
    if isinstance(outcome, GenerationFailed):
        raise outcome
    return codec.decode(request, outcome)


def _finish(picture: Picture, job: Job, index: int, embed_parameters: bool) -> FinishedPicture:
    if isinstance(picture, BlockedPicture):
        raise ContentBlocked(picture.message)
    return finish(
        picture,
        parameters=job.parameters,
        index=index,
        model_name=job.model_name,
        embed_parameters=embed_parameters,
    )
