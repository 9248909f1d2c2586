"""Composition: which elements a description calls for, in which order they are painted, and how the whole is graded.

Guidance (`guidance_scale`, 7.5 by default) says how much the words weigh against the seed's own free abstraction:

| scale | effect |
|---|---|
| 0 | the seed's abstraction alone; the words choose only chance |
| below 7.5 | the scene dissolves into the abstraction, in patches, the more the lower |
| 7.5 | the scene as described |
| above 7.5, to 30 | contrast and saturation rise, as an over-guided diffusion model's do |

At 1 and below guidance counts as off, and the negative prompt is ignored.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from graphql_api.adapters.model_endpoint.sketch import abstraction, built, figures, growth, sky, terrain, water
from graphql_api.adapters.model_endpoint.sketch.colour import Colour, dim, excess, glow, luminance, mixed, oklch, rgb
from graphql_api.adapters.model_endpoint.sketch.frame import Frame, Paint
from graphql_api.adapters.model_endpoint.sketch.light import Light, choose_light
from graphql_api.adapters.model_endpoint.sketch.medium import apply_medium
from graphql_api.adapters.model_endpoint.sketch.noise import bell, blurred, fbm, resized, smoothstep, unit
from graphql_api.adapters.model_endpoint.sketch.prompt_reading import SceneDescription

DEFAULT_GUIDANCE = 7.5
_HIGHEST_GUIDANCE = 30.0


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
        _tint(paint, scene.colours)
        _grade(paint, frame)
        for medium in scene.media:
            paint = apply_medium(paint, frame, medium)
    paint = _guided(paint, frame, guidance_scale)
    _remove_colours(paint, scene)
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
            terrain.paint_land(paint, frame, light, _land(name, scene, light, stage), stage.horizon, stage.sun)
            break
    else:
        if scene.has("lake", "river", "flower", "path", "castle", "house"):
            far = "hill" if scene.has("flower", "path", "castle", "house") else "mountain"
            if far not in scene.unwanted:
                terrain.paint_land(paint, frame, light, _land(far, scene, light, stage), stage.horizon, stage.sun)
    if scene.has("city"):
        line = stage.horizon + 0.09
        built.paint_city(paint, frame, light, line, is_neon=light.name == "neon" or "neon" in scene.media)
        if not scene.has("sea", "lake", "river"):
            water.paint_wet_ground(paint, frame, light, line)


def _land(name: str, scene: SceneDescription, light: Light, stage: _Stage) -> terrain.Land:
    is_snowy = scene.has("snow")
    meadow = (
        mixed(light.leaf, rgb("5c8a38"), 0.3),
        mixed(light.land, rgb("8ca050"), 0.3),
        mixed(light.land, rgb("a09868"), 0.4),
    )
    if scene.has("autumn"):
        meadow = (rgb("7c4a20"), rgb("b87028"), rgb("c89848"))
    snow = (rgb("c8d4e4"), rgb("dce6f0"), rgb("f4f8fc"))
    water_start = 7.0 if scene.has("lake", "river", "sea") else 0.0
    if name == "mountain":
        return terrain.Land(
            height=8.5 if stage.frame.tall < 1.4 else 11.0, start=7.0 + water_start * 0.3, end=25.0, feature=17.0, ridged=0.8, rough=0.42,
            colours=snow if is_snowy else (*meadow[:2], rgb("6c6660"), rgb("8a847c")), steep=rgb("5a6070") if is_snowy else rgb("4a4a52"),
            snow_line=0.1 if is_snowy else 0.5, haze_distance=26.0 if not scene.has("fog") else 11.0, far=50.0, near_texture=0.1 if is_snowy else 0.25,
        )  # fmt: skip
    if name == "desert":
        return terrain.Land(
            height=2.3, start=1.0, end=12.0, feature=9.0, ridged=0.85, rough=0.0, colours=(rgb("b8783c"), rgb("d89a54"), rgb("f0bc74")),
            steep=rgb("c88448"), haze_distance=30.0, far=46.0, near_texture=0.05, octaves=2, crest=0.07,
        )  # fmt: skip
    return terrain.Land(
        height=2.6, start=2.2 + water_start * 0.6, end=20.0, feature=12.0, ridged=0.12, rough=0.14, colours=snow if is_snowy else meadow,
        steep=meadow[0] if not is_snowy else snow[0], snow_line=0.0 if is_snowy else None, haze_distance=20.0, far=42.0,
    )  # fmt: skip


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
        built.paint_house(paint, frame, light, stage.horizon + 0.03, is_snowy=scene.has("snow"))
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
        bank = fbm(frame, "fog bank", cells=1.6, octaves=5, stretch=(0.6, 2.2)) * np.float32(0.3)
        lie = bell((frame.rows - np.float32(stage.horizon + 0.04)) * np.float32(4.5))
        mist = unit(lie * (np.float32(0.8) + bank))
        for plane, value in zip(paint, light.haze, strict=True):
            plane += (np.float32(value) - plane) * mist
    if scene.has("lightning"):
        _paint_lightning(paint, stage)
    if scene.has("rain"):
        _paint_rain(paint, stage)
    if scene.has("snowfall"):
        _paint_snowfall(paint, frame)


def _paint_lightning(paint: Paint, stage: _Stage) -> None:
    from graphql_api.adapters.model_endpoint.sketch.easel import Easel

    frame, rng = stage.frame, stage.frame.random("bolt")
    x, y = frame.wide * float(rng.uniform(0.25, 0.75)), 0.0
    points = [(x, y)]
    while y < stage.horizon:
        x, y = x + float(rng.normal(0, 0.028)), y + float(rng.uniform(0.015, 0.05))
        points.append((x, y))
    easel = Easel(frame)
    easel.line(points, 0.006, (1.0, 1.0, 1.0))
    fork = points[len(points) // 3]
    easel.line(
        [fork, *[(fork[0] + 0.03 * i + float(rng.normal(0, 0.012)), fork[1] + 0.035 * i) for i in range(1, 7)]],
        0.003,
        (1, 1, 1),
    )
    bolt = easel.coverage()
    glow(paint, rgb("b8c4ff"), unit(blurred(bolt, 0.05 * frame.pixels_per_unit) * np.float32(3)) * np.float32(0.7))
    glow(paint, (1.0, 1.0, 1.0), bolt)


def _paint_rain(paint: Paint, stage: _Stage) -> None:
    frame = stage.frame
    streaks = fbm(frame, "rain", cells=420, octaves=1, stretch=(22.0, 1.0))
    slanted = fbm(frame, "gusts", cells=2, octaves=3)
    glow(
        paint,
        mixed(stage.light.haze, (1, 1, 1), 0.5),
        smoothstep(0.5, 1.25, streaks + slanted * 0.25) * np.float32(0.26),
    )


def _paint_snowfall(paint: Paint, frame: Frame) -> None:
    from graphql_api.adapters.model_endpoint.sketch.easel import Easel

    rng = frame.random("snowfall")
    easel = Easel(frame)
    for _ in range(int(260 * min(frame.wide * frame.tall, 3))):
        size = 0.0012 + 0.0042 * float(rng.random()) ** 3
        easel.ellipse((float(rng.uniform(0, frame.wide)), float(rng.uniform(0, frame.tall))), size, size, (1, 1, 1))
    easel.hang(paint, 0.7)


def _tint(paint: Paint, colours: Sequence[str]) -> None:
    """Colour words lean the whole picture toward their hue, keeping light and dark."""
    for name in colours:
        tone = luminance(paint)
        red, green, blue = oklch(0.7, 0.16, abstraction.HUES[name])
        weight = 0.299 * red + 0.587 * green + 0.114 * blue
        for plane, value in zip(paint, (red, green, blue), strict=True):
            plane += (tone * np.float32(value / weight) - plane) * np.float32(0.42)


def _grade(paint: Paint, frame: Frame) -> None:
    """Bloom around lights, a gentle shoulder and toe, and a vignette: what a lens and a lab would add."""
    high, wide = max(frame.height // 12, 1), max(frame.width // 12, 1)
    small = [np.maximum(resized(plane, high, wide) - np.float32(0.62), np.float32(0)) for plane in paint]
    for plane, light in zip(paint, small, strict=True):
        bloom = resized(resized(light, max(high // 3, 1), max(wide // 3, 1)), frame.height, frame.width)
        plane += (1 - np.minimum(plane, np.float32(1))) * np.maximum(bloom, np.float32(0)) * np.float32(0.75)
        np.clip(plane, 0, 1, out=plane)
        curve = plane * plane * (3 - 2 * plane)
        plane += (curve - plane) * np.float32(0.32)
    down = (frame.rows / np.float32(frame.tall) - np.float32(0.5)) * 2
    across = (frame.columns / np.float32(frame.wide) - np.float32(0.5)) * 2
    corner = down * down + across * across
    dim(paint, 1 - np.float32(0.11) * corner)


def _guided(paint: Paint, frame: Frame, guidance_scale: float) -> Paint:
    if guidance_scale < DEFAULT_GUIDANCE:
        free = frame.blank()
        abstraction.paint_wash(free, frame, None)
        share = 1 - guidance_scale / DEFAULT_GUIDANCE
        patches = fbm(frame, "dissolve", cells=2.5, octaves=5)
        mask = (
            smoothstep(1.15 - 1.3 * share, 1.75 - 1.9 * share, patches * 0.5 + 0.5)
            if guidance_scale > 0
            else np.float32(1)
        )
        mask = (
            unit(mask * np.float32(0.7 + 0.3 * share) + np.float32(share * share * 0.5)) if guidance_scale > 0 else mask
        )
        paint += (free - paint) * mask
    elif guidance_scale > DEFAULT_GUIDANCE:
        force = np.float32(
            (min(guidance_scale, _HIGHEST_GUIDANCE) - DEFAULT_GUIDANCE) / (_HIGHEST_GUIDANCE - DEFAULT_GUIDANCE)
        )
        tone = luminance(paint)
        for plane in paint:
            plane += (plane - tone) * force * np.float32(0.7)
            plane += (plane - np.float32(0.47)) * force * np.float32(0.45)
    return paint


def _remove_colours(paint: Paint, scene: SceneDescription) -> None:
    """What still leans to an unwanted colour loses that lean and turns grey."""
    for name in sorted(scene.unwanted_colours):
        channels, amount = excess(paint, name)
        for channel in channels:
            paint[channel] -= amount * np.float32(0.92)
