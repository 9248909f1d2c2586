"""Composition: which elements a description calls for, in which order they are painted, and how the whole is graded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from graphql_api.adapters.model_endpoint.sketch import abstraction, built, figures, growth, sky, terrain, water, weather
from graphql_api.adapters.model_endpoint.sketch.colour import Colour
from graphql_api.adapters.model_endpoint.sketch.frame import Frame, Paint
from graphql_api.adapters.model_endpoint.sketch.grade import grade, guided, remove_colours, tint
from graphql_api.adapters.model_endpoint.sketch.landforms import land_of
from graphql_api.adapters.model_endpoint.sketch.light import Light, choose_light
from graphql_api.adapters.model_endpoint.sketch.medium import apply_medium
from graphql_api.adapters.model_endpoint.sketch.prompt_reading import SceneDescription


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stage:
    """What every element needs to know. `horizon` and `line` (where the foreground begins) are rows in scene units."""

    frame: Frame
    scene: SceneDescription
    light: Light
    horizon: float
    sun: tuple[float, float]

    @property
    def leaves(self) -> Sequence[Colour]:
        if self.scene.has("autumn"):
            return growth.AUTUMN
        if self.scene.has("snow"):
            return growth.WINTER
        if self.scene.has("spring"):
            return growth.BLOSSOM
        return growth.SUMMER


def paint_scene(frame: Frame, scene: SceneDescription, guidance_scale: float) -> Paint:
    """The whole picture, 0 to 1, shape (3, height, width)."""
    hue = _named_hue(scene)
    paint = frame.blank()
    if guidance_scale > 0:
        _paint_subject(paint, frame, scene, hue)
        tint(paint, scene.colours)
        grade(paint, frame)
        for medium in scene.media:
            paint = apply_medium(paint, frame, medium)
    paint = guided(paint, frame, guidance_scale)
    remove_colours(paint, scene.unwanted_colours)
    return np.clip(paint, 0, 1, out=paint)


def _named_hue(scene: SceneDescription) -> float | None:
    return next((abstraction.HUES[name] for name in scene.colours), None)


def _paint_subject(paint: Paint, frame: Frame, scene: SceneDescription, hue: float | None) -> None:
    own_hue = hue if hue is not None else float(frame.random("hue").random())
    if scene.has("space", "astronaut", "planet") and not scene.has("mountain", "desert", "sea", "city", "forest"):
        _paint_deep_space(paint, frame, scene, own_hue)
    elif scene.has("portrait", "cat") and not scene.has("city", "castle", "path"):
        _paint_sitter(paint, frame, scene, own_hue)
    elif scene.has("geometric"):
        abstraction.paint_geometric(paint, frame, hue)
    elif scene.has("abstract") or _is_unknown(scene):
        abstraction.paint_abstract(paint, frame, hue)
    else:
        _paint_landscape(paint, _stage(frame, scene))


def _is_unknown(scene: SceneDescription) -> bool:
    return not scene.subjects and not scene.details and scene.light is None and not {"neon", "ink"} & set(scene.media)


def _paint_deep_space(paint: Paint, frame: Frame, scene: SceneDescription, hue: float) -> None:
    sky.paint_space(paint, frame, hue)
    if "star" not in scene.unwanted:
        sky.paint_stars(paint, frame, frame.tall, density=1.5)
    if scene.has("planet"):
        sky.paint_planet(paint, frame, hue)
    if scene.has("astronaut"):
        figures.paint_astronaut(paint, frame, hue)


def _paint_sitter(paint: Paint, frame: Frame, scene: SceneDescription, hue: float) -> None:
    figures.paint_backdrop(paint, frame, hue)
    if scene.has("cat"):
        figures.paint_cat(paint, frame)
    else:
        figures.paint_portrait(paint, frame, is_old=scene.has("old"), is_sailor=scene.has("sailor"))


def _stage(frame: Frame, scene: SceneDescription) -> _Stage:
    light = choose_light(scene, frame)
    place = 0.62 + float(frame.random("horizon").uniform(-0.04, 0.04))
    if scene.has("flower", "path"):
        place -= 0.14
    elif scene.has("sea") and not scene.has("mountain"):
        place -= 0.04
    horizon = frame.tall * place
    return _Stage(frame=frame, scene=scene, light=light, horizon=horizon, sun=sky.sun_place(frame, light, horizon))


def _paint_landscape(paint: Paint, stage: _Stage) -> None:
    scene = _with_ground(stage.scene, stage.frame)
    stage = replace(stage, scene=scene)
    _paint_sky(paint, stage)
    _paint_far(paint, stage)
    if scene.has("sea", "lake", "river"):
        _paint_waters(paint, stage)
    _paint_near(paint, stage)
    _paint_weather(paint, stage)


def _with_ground(scene: SceneDescription, frame: Frame) -> SceneDescription:
    """A scene of sky or weather alone gets some ground to stand on."""
    grounds = {"sea", "lake", "river", "mountain", "hill", "forest", "desert", "city", "flower", "path", "castle"}
    if scene.subjects & grounds:
        return scene
    if scene.has("boat"):
        extra = "sea"
    elif scene.has("bird") and "sea" not in scene.unwanted:
        extra = "sea"
    elif scene.has("tree", "house"):
        extra = "hill"
    else:
        open_choice = [name for name in ("mountain", "lake", "hill", "sea") if name not in scene.unwanted]
        extra = str(frame.random("ground").choice(open_choice or ["desert"]))
    return replace(scene, subjects=scene.subjects | {extra})


def _paint_sky(paint: Paint, stage: _Stage) -> None:
    frame, scene, light = stage.frame, stage.scene, stage.light
    sky.paint_gradient(paint, frame, light, stage.horizon)
    if light.is_night and "star" not in scene.unwanted and not scene.has("rain"):
        sky.paint_stars(paint, frame, stage.horizon, density=2.0 if scene.has("star", "aurora") else 1.0)
    if scene.has("aurora"):
        sky.paint_aurora(paint, frame, stage.horizon)
    elif light.is_night and light.name != "neon":
        if "moon" not in scene.unwanted:
            sky.paint_moon(paint, frame, light, stage.sun)
    elif "sun" not in scene.unwanted and not (light.name == "storm" or scene.has("rain")):
        sky.paint_sun(paint, frame, light, stage.sun)
    amount = _cloudiness(stage)
    if amount > 0:
        sky.paint_clouds(paint, frame, light, stage.horizon, amount)


def _cloudiness(stage: _Stage) -> float:
    scene = stage.scene
    if "cloud" in scene.unwanted or scene.has("aurora", "star"):
        return 0.0
    if stage.light.name == "storm" or scene.has("rain"):
        return 1.0
    if scene.has("cloud"):
        return 0.8
    return {"overcast": 0.5, "night": 0.25, "neon": 0.3, "sunset": 0.68, "dawn": 0.55}.get(stage.light.name, 0.5) * (
        0.3 if scene.has("minimal") else 1.0
    )


def _paint_far(paint: Paint, stage: _Stage) -> None:
    frame, scene, light = stage.frame, stage.scene, stage.light
    for name in ("mountain", "desert", "hill"):
        if scene.has(name):
            terrain.paint_land(paint, frame, light, land_of(name, scene, light, frame), stage.horizon, stage.sun)
            break
    else:
        if scene.has("lake", "river", "flower", "path", "castle", "house"):
            far = "hill" if scene.has("flower", "path", "castle", "house") else "mountain"
            if far not in scene.unwanted:
                terrain.paint_land(paint, frame, light, land_of(far, scene, light, frame), stage.horizon, stage.sun)
    if scene.has("city"):
        line = stage.horizon + 0.09
        built.paint_city(paint, frame, light, line, is_neon=light.name == "neon" or "neon" in scene.media)
        if not scene.has("sea", "lake", "river"):
            water.paint_wet_ground(paint, frame, light, line)


def _paint_waters(paint: Paint, stage: _Stage) -> None:
    scene, frame = stage.scene, stage.frame
    is_sea = scene.has("sea")
    rough = (0.8 if is_sea else 0.14) + (0.2 if stage.light.name == "storm" else 0.0)
    if scene.has("minimal"):
        rough *= 0.5
    has_shore = scene.has("mountain", "hill", "city", "lake", "river", "castle") and not (
        is_sea and not scene.has("mountain", "hill", "city", "castle")
    )
    line = stage.horizon + (0.1 if has_shore else 0.0)
    if scene.has("forest") and not is_sea:
        growth.paint_forest(paint, frame, stage.light, line - 0.13, fog=_fogginess(stage), is_snowy=scene.has("snow"))
    if scene.has("castle"):
        built.paint_castle(paint, frame, stage.light, line)
    has_disc = not (
        stage.light.name in ("overcast", "storm") or scene.has("aurora", "rain") or {"sun", "moon"} & scene.unwanted
    )
    water.paint_water(paint, frame, stage.light, line, rough=rough, sun=stage.sun if has_disc else None)


def _fogginess(stage: _Stage) -> float:
    if "fog" in stage.scene.unwanted:
        return 0.0
    return 1.0 if stage.scene.has("fog") else 0.45


def _paint_near(paint: Paint, stage: _Stage) -> None:
    frame, scene, light = stage.frame, stage.scene, stage.light
    has_water = scene.has("sea", "lake", "river")
    if scene.has("castle") and not has_water:
        built.paint_castle(paint, frame, light, stage.horizon + 0.1)
    is_grove = scene.has("path") and (
        scene.has("autumn", "spring", "tree", "forest") or not scene.has("flower", "mountain", "hill")
    )
    if scene.has("forest") and not has_water and not is_grove:
        growth.paint_forest(paint, frame, light, stage.horizon - 0.1, fog=_fogginess(stage), is_snowy=scene.has("snow"))
    if scene.has("flower"):
        growth.paint_flowers(paint, frame, light, stage.horizon)
    if scene.has("path"):
        growth.paint_path(paint, frame, light, stage.horizon, growth.AUTUMN if scene.has("autumn") else None)
    if is_grove:
        growth.paint_grove(paint, frame, light, stage.horizon, stage.leaves)
    elif scene.has("tree"):
        growth.paint_lone_tree(paint, frame, light, stage.horizon + 0.05, stage.leaves)
    if scene.has("house"):
        built.paint_house(
            paint, frame, light, stage.horizon + (0.2 if scene.has("forest") else 0.03), is_snowy=scene.has("snow")
        )
    if scene.has("boat"):
        built.paint_boat(paint, frame, light, stage.horizon + (0.12 if has_water and not scene.has("sea") else 0.02))
    _paint_life(paint, stage)


def _paint_life(paint: Paint, stage: _Stage) -> None:
    scene = stage.scene
    if "bird" in scene.unwanted:
        return
    by_chance = (
        scene.has("sea", "lake", "hill") and not stage.light.is_night and stage.frame.random("flock").random() < 0.5
    )
    if scene.has("bird") or by_chance:
        figures.paint_birds(paint, stage.frame, stage.light, stage.horizon, 13 if scene.has("bird") else 6)


def _paint_weather(paint: Paint, stage: _Stage) -> None:
    frame, scene, light = stage.frame, stage.scene, stage.light
    if scene.has("fog") and not scene.has("forest"):
        weather.paint_fog(paint, frame, light, stage.horizon + 0.04)
    if scene.has("lightning"):
        weather.paint_lightning(paint, frame, stage.horizon)
    if scene.has("rain"):
        weather.paint_rain(paint, frame, light)
    if scene.has("snowfall"):
        weather.paint_snowfall(paint, frame)
