"""Light: the colours of sky, sun, haze and land at an hour of the day. A table, and how one entry is chosen."""

from __future__ import annotations

from dataclasses import dataclass, replace

from graphql_api.adapters.model_endpoint.sketch.colour import Colour, rgb
from graphql_api.adapters.model_endpoint.sketch.frame import Frame
from graphql_api.adapters.model_endpoint.sketch.prompt_reading import SceneDescription


@dataclass(frozen=True, slots=True, kw_only=True)
class Light:
    """`sky` runs from zenith to horizon, `sun_height` is in scene units above it, `strength` of direct light 0 to 1."""

    name: str
    sky: tuple[Colour, ...]
    sun: Colour
    sun_height: float
    haze: Colour
    shadow: Colour
    land: Colour
    leaf: Colour
    water: Colour
    cloud: Colour
    strength: float
    is_night: bool = False


def _light(name: str, sky: str, *, sun_height: float, strength: float, is_night: bool = False, **colours: str) -> Light:
    named = {key: rgb(code) for key, code in colours.items()}
    return Light(
        name=name,
        sky=tuple(rgb(code) for code in sky.split()),
        sun_height=sun_height,
        strength=strength,
        is_night=is_night,
        **named,
    )


LIGHTS = {
    light.name: light
    for light in (
        _light(
            "sunset", "2b2a5c 5a3a78 a84a78 e8685c fb9a52 ffd07a", sun="ffe2a8", sun_height=0.07, strength=0.9,
            haze="f59a62", shadow="2a1c3c", land="7a4a50", leaf="4a3a3c", water="3a2a5a", cloud="ff8a6a",
        ),
        _light(
            "dawn", "5a78b0 8c9cc8 c4b0cc eec4c0 fcdcc0 fff0d8", sun="fff4dc", sun_height=0.12, strength=0.75,
            haze="f0d8cc", shadow="3c4464", land="7c7a6c", leaf="4c6258", water="6c88a8", cloud="ffd8cc",
        ),
        _light(
            "golden", "4a7ab0 7c9cbc b8b8b0 e8c890 f8d890 ffe8b0", sun="fff0c0", sun_height=0.2, strength=1.0,
            haze="f0cc94", shadow="4a3438", land="b08850", leaf="6c7434", water="4c7888", cloud="fff0d0",
        ),
        _light(
            "day", "1f5fb0 3c82cc 6aa8e0 9cc8ec c8e2f2 e4f0f4", sun="fffbe8", sun_height=0.55, strength=1.0,
            haze="c4dcea", shadow="26405c", land="7c8a58", leaf="3f7a38", water="1f6a94", cloud="ffffff",
        ),
        _light(
            "night", "050a20 0a1434 10204c 1a3060 284470 3c5a82", sun="dce8ff", sun_height=0.5, strength=0.4,
            haze="2c4468", shadow="04081a", land="26344c", leaf="16283a", water="0a1a3c", cloud="3c5480", is_night=True,
        ),
        _light(
            "overcast", "8a9aa8 9cabb6 b0bcc4 c4ccd0 d4dadc e2e4e2", sun="f8f6ec", sun_height=0.3, strength=0.35,
            haze="d4d8d8", shadow="38444c", land="78807a", leaf="44564e", water="6c7e88", cloud="eef0f0",
        ),
        _light(
            "storm", "161c2a 222c3c 364250 4c5a66 68767c 8c9490", sun="c8d4d8", sun_height=0.3, strength=0.3,
            haze="6c7a80", shadow="10161e", land="48524c", leaf="2c3a34", water="2a3c48", cloud="8c989e",
        ),
        _light(
            "neon", "0c0620 1c0a3a 38105c 6c1878 b0288c ff5c9c", sun="ff8ad0", sun_height=0.24, strength=0.6,
            haze="a02c90", shadow="0a0418", land="3a1658", leaf="221044", water="1a0a40", cloud="d0409c", is_night=True,
        ),
    )
}  # fmt: skip

_OPEN_CHOICE = ("day", "golden", "dawn", "sunset")


def choose_light(scene: SceneDescription, frame: Frame) -> Light:
    """What the words name, else what suits the subject, else chance; never what the negative prompt names."""
    name = _named(scene) or _suitable(scene) or str(frame.random("light").choice(_OPEN_CHOICE))
    if name in scene.unwanted:
        name = next(
            other for other in (*_OPEN_CHOICE, "overcast", *LIGHTS) if other not in scene.unwanted or other == "neon"
        )
    light = LIGHTS[name]
    if scene.has("aurora"):
        light = replace(light, sun=rgb("c0ffe4"), haze=rgb("346c84"), strength=0.85)
    jitter = frame.random("sun height").uniform(0.8, 1.2)
    return replace(light, sun_height=light.sun_height * float(jitter))


def _named(scene: SceneDescription) -> str | None:
    if "neon" in scene.media and scene.light in (None, "night"):
        return "neon"
    if scene.has("star", "aurora", "moon") and scene.light in (None, "overcast"):
        return "night"
    return scene.light


def _suitable(scene: SceneDescription) -> str | None:
    if scene.has("space", "astronaut", "planet"):
        return "night"
    if scene.has("fog", "rain"):
        return "overcast"
    if scene.has("desert", "autumn"):
        return "golden"
    if scene.has("flower", "hill"):
        return "day"
    if "ink" in scene.media:
        return "overcast"
    return None
