"""The kinds of land: what heights, colours and distances make mountains, dunes and hills."""

from __future__ import annotations

from graphql_api.adapters.model_endpoint.sketch.colour import mixed, rgb
from graphql_api.adapters.model_endpoint.sketch.frame import Frame
from graphql_api.adapters.model_endpoint.sketch.light import Light
from graphql_api.adapters.model_endpoint.sketch.prompt_reading import SceneDescription
from graphql_api.adapters.model_endpoint.sketch.terrain import Land

_SNOW = (rgb("c8d4e4"), rgb("dce6f0"), rgb("f4f8fc"))
_AUTUMN = (rgb("7c4a20"), rgb("b87028"), rgb("c89848"))


def land_of(name: str, scene: SceneDescription, light: Light, frame: Frame) -> Land:
    """`name` is mountain, desert or hill."""
    if name == "desert":
        return _desert()
    return _mountain(scene, light, frame) if name == "mountain" else _hill(scene, light)


def _shore(scene: SceneDescription) -> float:
    """How much further away land rises when there is water before it."""
    return 7.0 if scene.has("lake", "river", "sea") else 0.0


def _meadow(scene: SceneDescription, light: Light) -> tuple[tuple[float, float, float], ...]:
    if scene.has("autumn"):
        return _AUTUMN
    return (
        mixed(light.leaf, rgb("5c8a38"), 0.3),
        mixed(light.land, rgb("8ca050"), 0.3),
        mixed(light.land, rgb("a09868"), 0.4),
    )


def _mountain(scene: SceneDescription, light: Light, frame: Frame) -> Land:
    is_snowy = scene.has("snow")
    return Land(
        height=8.5 if frame.tall < 1.4 else 11.0,
        start=9.0 + _shore(scene) * 0.2,
        end=27.0,
        feature=17.0,
        ridged=0.8,
        rough=0.34,
        colours=_SNOW if is_snowy else (*_meadow(scene, light)[:2], rgb("6c6660"), rgb("8a847c")),
        steep=rgb("5a6070") if is_snowy else rgb("4a4a52"),
        snow_line=0.1 if is_snowy else 0.5,
        haze_distance=11.0 if scene.has("fog") or "ink" in scene.media else 34.0,
        far=50.0,
        near_texture=0.1 if is_snowy else 0.25,
    )


def _desert() -> Land:
    return Land(
        height=3.0,
        start=1.5,
        end=15.0,
        feature=7.5,
        ridged=0.85,
        rough=0.0,
        colours=(rgb("b8783c"), rgb("d89a54"), rgb("f0bc74")),
        steep=rgb("c88448"),
        haze_distance=22.0,
        near_texture=0.05,
        octaves=2,
        crest=0.07,
    )


def _hill(scene: SceneDescription, light: Light) -> Land:
    is_snowy = scene.has("snow")
    colours = _SNOW if is_snowy else _meadow(scene, light)
    return Land(
        height=2.6,
        start=2.2 + _shore(scene) * 0.6,
        end=20.0,
        feature=12.0,
        ridged=0.12,
        rough=0.14,
        colours=colours,
        steep=colours[0],
        snow_line=0.0 if is_snowy else None,
        haze_distance=20.0,
        far=42.0,
    )
