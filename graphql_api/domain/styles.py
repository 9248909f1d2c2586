"""Named sets of keywords that are added to a prompt. None names an artist."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Style:
    """A named set of keywords."""

    name: str
    keywords: str

    def render(self, prompt: str) -> str:
        """The prompt with the keywords behind it."""
        return f"{prompt}, {self.keywords}"


_KEYWORDS = {
    "3d-render": "3d render, physically based materials, global illumination, soft studio light",
    "anime": "anime key visual, cel shading, clean line art, vivid colors, expressive lighting",
    "architectural": "architectural visualization, wide angle, natural daylight, precise geometry, high detail",
    "art-deco": "art deco poster, bold geometry, gold and black, symmetrical composition, flat shading",
    "art-nouveau": "art nouveau illustration, flowing organic lines, ornamental border, muted palette",
    "charcoal": "charcoal drawing, rough strokes, smudged shadows, high contrast, textured paper",
    "cinematic": "cinematic still, anamorphic lens, dramatic lighting, shallow depth of field, film grain",
    "claymation": "claymation, stop motion, hand-sculpted clay, soft studio light, miniature set",
    "comic-book": "comic book panel, bold ink outlines, halftone dots, dynamic composition, flat colors",
    "concept-art": "concept art, matte painting, atmospheric perspective, sharp focus, highly detailed",
    "fantasy": "epic fantasy illustration, magical light, intricate detail, grand scale, painterly",
    "ink-wash": "ink wash painting, monochrome, flowing brush strokes, generous empty space, rice paper",
    "isometric": "isometric view, clean geometry, soft shadows, miniature diorama, pastel colors",
    "line-art": "line art, single-weight contours, white background, minimal, no shading",
    "low-poly": "low poly, faceted surfaces, flat shading, simple shapes, gentle gradient background",
    "minimalist": "minimalist, simple shapes, limited palette, large negative space, flat design",
    "neon-noir": "neon noir, rain-soaked night, glowing signs, deep shadows, reflections",
    "oil-painting": "oil painting, visible brush strokes, rich impasto, warm varnish, canvas texture",
    "pencil-sketch": "pencil sketch, graphite on paper, cross-hatching, fine lines, monochrome",
    "photographic": "photograph, 50mm lens, natural light, realistic texture, high resolution",
    "pixel-art": "pixel art, 16-bit palette, crisp square pixels, dithering, retro game",
    "pop-art": "pop art, screen print, saturated flat colors, thick outlines, repeated pattern",
    "vintage-film": "vintage film photograph, faded colors, soft grain, light leaks, warm tones",
    "watercolor": "watercolor painting, soft washes, bleeding edges, visible paper grain, light palette",
}

STYLES: Mapping[str, Style] = {name: Style(name=name, keywords=keywords) for name, keywords in _KEYWORDS.items()}
