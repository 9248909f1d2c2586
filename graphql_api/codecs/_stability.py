"""What the containers of Stability AI have in common with its API, from which it is inferred."""

from __future__ import annotations

from graphql_api.domain.errors import ModelFailed
from graphql_api.domain.generation import MAX_SEED, GenerationParameters
from graphql_api.ports import BlockedPicture

# 0 asks for a random seed, and the API of SD3 ends one before our largest. Any other fixed seeds keep the promise that
# an equal request makes an equal image; these are far from where a batch that counts upward would meet them.
_STAND_INS = {0: 2**31, MAX_SEED: 2**31 - 1}


def seed_of(parameters: GenerationParameters, index: int) -> int:
    """The seed to send for the image at `index`."""
    seed = parameters.seed_of(index)
    return _STAND_INS.get(seed, seed)


def withheld() -> BlockedPicture:
    """An image that the filter kept."""
    return BlockedPicture(message="The model's safety filter withheld the image.")


def failed() -> ModelFailed:
    """The container reports a fault of its own in an answer that says that all is well."""
    return ModelFailed("The model reported an error in place of an image.")
