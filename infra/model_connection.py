"""What the service is told of the model, whoever made its endpoint."""

from __future__ import annotations

from dataclasses import dataclass

from infra.completions import Completions


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelConnection:
    """How the processes reach the model.

    `setting` is TEXT2IMAGE_ENDPOINT, `codec` TEXT2IMAGE_CODEC. The built-in renderer has nothing else. `completions`
    and `outputs_bucket_arn`, the bucket that answers are put into, are of an asynchronous endpoint.
    """

    setting: str
    codec: str
    endpoint_name: str | None = None
    endpoint_arn: str | None = None
    completions: Completions | None = None
    outputs_bucket_arn: str | None = None

    @property
    def is_async(self) -> bool:
        """Whether answers come later, over a bucket and a queue."""
        return self.outputs_bucket_arn is not None
