"""What can be asked of a model, and how a request becomes complete parameters."""

from __future__ import annotations

import hashlib
import json
import math
import secrets
from dataclasses import asdict, dataclass
from enum import StrEnum

from graphql_api.domain.errors import InvalidInput
from graphql_api.domain.styles import Style
from graphql_api.domain.webhook import Webhook

MAX_SEED = 2**32 - 1
MAX_REFERENCE_CHARS = 200
MAX_IDEMPOTENCY_KEY_CHARS = 255
MAX_GUIDANCE_SCALE = 30.0
MIN_DIMENSION = 64


class ImageFormat(StrEnum):
    """File format of an image."""

    JPEG = "JPEG"
    PNG = "PNG"
    WEBP = "WEBP"

    @property
    def extension(self) -> str:
        """File name extension, without the dot."""
        return "jpg" if self is ImageFormat.JPEG else self.value.lower()

    @property
    def media_type(self) -> str:
        """MIME type."""
        return f"image/{self.value.lower()}"


class AspectRatio(StrEnum):
    """Width to height."""

    SQUARE = "SQUARE"
    LANDSCAPE_4_3 = "LANDSCAPE_4_3"
    LANDSCAPE_16_9 = "LANDSCAPE_16_9"
    PORTRAIT_3_4 = "PORTRAIT_3_4"
    PORTRAIT_9_16 = "PORTRAIT_9_16"

    @property
    def ratio(self) -> float:
        """Width divided by height."""
        if self is AspectRatio.SQUARE:
            return 1.0
        _, width, height = self.value.split("_")
        return int(width) / int(height)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dimensions:
    """Exact size in pixels."""

    width: int
    height: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelDefaults:
    """Values used where a request leaves them out."""

    width: int
    height: int
    steps: int
    guidance_scale: float


class Choice(StrEnum):
    """What a caller may choose besides the prompt, by its path in the input."""

    GUIDANCE_SCALE = "guidanceScale"
    NEGATIVE_PROMPT = "negativePrompt"
    SEED = "seed"
    SIZE = "size"
    STEPS = "steps"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelLimits:
    """What a model accepts. Sizes are in pixels, prompts in characters.

    A model that makes only some sizes lists them in `sizes`. What its requests cannot say is in `without`: a caller who
    asks for it is refused, rather than told of an image that was made in another way.
    """

    max_count: int
    max_dimension: int
    max_prompt_length: int
    max_steps: int
    size_multiple: int
    min_dimension: int = MIN_DIMENSION
    sizes: tuple[Dimensions, ...] = ()
    without: frozenset[Choice] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """What a caller chooses: a named way to make images. `price_per_second` is in US dollars a second of inference."""

    name: str
    description: str | None
    license: str | None
    defaults: ModelDefaults
    limits: ModelLimits
    price_per_second: float | None = None
    is_default: bool = False


class ModelAvailability(StrEnum):
    """Whether a model can take a job."""

    READY = "READY"
    SCALED_TO_ZERO = "SCALED_TO_ZERO"
    STARTING = "STARTING"
    UNAVAILABLE = "UNAVAILABLE"


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationRequest:
    """What a caller asked, before defaults are filled in. None means "the model's default"."""

    prompt: str
    negative_prompt: str | None = None
    model_name: str | None = None
    style_name: str | None = None
    size: Dimensions | AspectRatio | None = None
    steps: int | None = None
    guidance_scale: float | None = None
    seed: int | None = None
    count: int = 1
    format: ImageFormat = ImageFormat.JPEG
    reference: str | None = None
    idempotency_key: str | None = None
    webhook: Webhook | None = None

    def digest(self) -> str:
        """A fingerprint of everything that was asked but the key itself: equal for equal requests only."""
        asked = asdict(self)
        del asked["idempotency_key"]
        if self.webhook is None:
            # As it was before there were webhooks: keys that were used then still stand for the same request.
            del asked["webhook"]
        else:
            asked["webhook"]["events"] = sorted(self.webhook.events)
        return hashlib.sha256(json.dumps(asked, sort_keys=True, ensure_ascii=True).encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationParameters:
    """Parameters of a generation with every default filled in. Sizes are in pixels."""

    prompt: str
    rendered_prompt: str
    negative_prompt: str | None
    style_name: str | None
    width: int
    height: int
    steps: int
    guidance_scale: float
    seed: int
    count: int
    format: ImageFormat

    def seed_of(self, index: int) -> int:
        """Seed of the image at `index` of the batch, counted from 0."""
        return (self.seed + index) % (MAX_SEED + 1)

    @property
    def work(self) -> int:
        """How much there is to draw: pixels times steps times images. Duration is about proportional to it."""
        return self.width * self.height * self.steps * self.count


def complete(request: GenerationRequest, model: Model, style: Style | None) -> GenerationParameters:
    """Check a request against a model's limits and fill in every default.

    The seed is drawn here when none was given. Raises InvalidInput with the path of the first field at fault.
    """
    limits, defaults = model.limits, model.defaults
    _check_choices(request, limits)
    prompt = _checked_prompt(request.prompt, limits)
    if request.negative_prompt is not None:
        _check_text(request.negative_prompt, limits.max_prompt_length, "negativePrompt")
    if request.reference is not None:
        _check_text(request.reference, MAX_REFERENCE_CHARS, "reference")
    if request.idempotency_key is not None:
        _check_key(request.idempotency_key)
    rendered_prompt = prompt if style is None else style.render(prompt)
    if len(rendered_prompt) > limits.max_prompt_length:
        raise InvalidInput("The prompt is too long together with the keywords of the style.", path=("prompt",))
    size = _size(request.size, model)
    guidance_scale = defaults.guidance_scale if request.guidance_scale is None else request.guidance_scale
    if not (math.isfinite(guidance_scale) and 0 <= guidance_scale <= MAX_GUIDANCE_SCALE):
        raise InvalidInput(f"guidanceScale must be between 0 and {MAX_GUIDANCE_SCALE:g}.", path=("guidanceScale",))
    return GenerationParameters(
        prompt=request.prompt,
        rendered_prompt=rendered_prompt,
        negative_prompt=request.negative_prompt or None,
        style_name=None if style is None else style.name,
        width=size.width,
        height=size.height,
        steps=_between(1, defaults.steps if request.steps is None else request.steps, limits.max_steps, "steps"),
        guidance_scale=guidance_scale,
        seed=_between(0, secrets.randbelow(MAX_SEED + 1) if request.seed is None else request.seed, MAX_SEED, "seed"),
        count=_between(1, request.count, limits.max_count, "count"),
        format=request.format,
    )


def _check_choices(request: GenerationRequest, limits: ModelLimits) -> None:
    asked = {
        Choice.GUIDANCE_SCALE: request.guidance_scale,
        Choice.NEGATIVE_PROMPT: request.negative_prompt or None,
        Choice.SEED: request.seed,
        Choice.SIZE: request.size,
        Choice.STEPS: request.steps,
    }
    for choice in sorted(limits.without):
        if asked[choice] is not None:
            raise InvalidInput(f"This model does not let {choice} be chosen; leave it out.", path=(choice.value,))


def _checked_prompt(prompt: str, limits: ModelLimits) -> str:
    stripped = prompt.strip()
    if not stripped:
        raise InvalidInput("The prompt is empty.", path=("prompt",))
    _check_text(prompt, limits.max_prompt_length, "prompt")
    return stripped


def _check_text(text: str, max_chars: int, field: str) -> None:
    if len(text) > max_chars:
        raise InvalidInput(f"{field} has {len(text)} characters; at most {max_chars} are accepted.", path=(field,))
    if "\0" in text:
        raise InvalidInput(f"{field} holds a NUL character.", path=(field,))
    if not text.isascii() and any("\ud800" <= char <= "\udfff" for char in text):
        raise InvalidInput(f"{field} holds half a surrogate pair, which is not text.", path=(field,))


def _check_key(key: str) -> None:
    if not key:
        raise InvalidInput("idempotencyKey is empty; leave it out or choose one.", path=("idempotencyKey",))
    _check_text(key, MAX_IDEMPOTENCY_KEY_CHARS, "idempotencyKey")


def _between(low: int, value: int, high: int, field: str) -> int:
    if not low <= value <= high:
        raise InvalidInput(f"{field} must be between {low} and {high}.", path=(field,))
    return value


def _size(asked: Dimensions | AspectRatio | None, model: Model) -> Dimensions:
    match asked:
        case None:
            return Dimensions(width=model.defaults.width, height=model.defaults.height)
        case AspectRatio():
            return _size_of_ratio(asked.ratio, model)
        case Dimensions():
            _check_side(asked.width, model.limits, "width")
            _check_side(asked.height, model.limits, "height")
            if model.limits.sizes and asked not in model.limits.sizes:
                known = ", ".join(f"{size.width}x{size.height}" for size in model.limits.sizes)
                raise InvalidInput(f"This model makes only these sizes: {known}.", path=("size", "dimensions"))
            return asked


def _check_side(pixels: int, limits: ModelLimits, side: str) -> None:
    path = ("size", "dimensions", side)
    if not limits.min_dimension <= pixels <= limits.max_dimension:
        raise InvalidInput(f"{side} must be between {limits.min_dimension} and {limits.max_dimension}.", path=path)
    if pixels % limits.size_multiple:
        raise InvalidInput(f"{side} must be a multiple of {limits.size_multiple}.", path=path)


def _size_of_ratio(ratio: float, model: Model) -> Dimensions:
    """The size of this ratio with about as many pixels as the model's default size, or the nearest that it makes."""
    if model.limits.sizes:
        return min(model.limits.sizes, key=lambda size: abs(math.log(size.width / size.height / ratio)))
    native_pixels = model.defaults.width * model.defaults.height
    width = math.sqrt(native_pixels * ratio)
    # Keep the ratio when the longer side meets the limit.
    shrink = min(1.0, model.limits.max_dimension / max(width, width / ratio))
    return Dimensions(
        width=_to_multiple(width * shrink, model.limits),
        height=_to_multiple(width * shrink / ratio, model.limits),
    )


def _to_multiple(pixels: float, limits: ModelLimits) -> int:
    multiple = limits.size_multiple
    largest = limits.max_dimension // multiple * multiple
    return max(multiple, min(largest, round(pixels / multiple) * multiple))
