"""From words to what is to be drawn.

The prompt is split into words; known words and phrases, in singular or plural, name subjects, light, details, media
and colours. Unknown words are not lost: the whole text is part of the key of chance, so it changes composition,
palette and texture.

The negative prompt removes: a subject, detail, medium or light it names is not drawn (light falls back to another), a
colour it names is taken out of the finished picture. "no fog" and "without people" inside the prompt do the same. It
never reshuffles what remains, and it is ignored when guidance is off (`guidance_scale <= 1`), as in the JumpStart
contract.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

from graphql_api.adapters.model_endpoint.sketch import vocabulary

_SUBJECTS, _LIGHTS, _DETAILS, _MEDIA, _COLOURS = (
    vocabulary.index(listing)
    for listing in (
        vocabulary.SUBJECTS,
        vocabulary.LIGHTS,
        vocabulary.DETAILS,
        vocabulary.MEDIA,
        vocabulary.COLOURS,
    )
)
_TABLES = {"subject": _SUBJECTS, "light": _LIGHTS, "detail": _DETAILS, "medium": _MEDIA, "colour": _COLOURS}
_WORD = re.compile(r"[^\W_]+(?:-[^\W_]+)*")
_NEGATIONS = frozenset({"no", "without", "not"})
_LONGEST_PHRASE = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneDescription:
    """What the words ask for. `light` is None when they leave it open. `text` is the normalized prompt."""

    subjects: frozenset[str]
    light: str | None
    details: frozenset[str]
    media: tuple[str, ...]
    colours: tuple[str, ...]
    unwanted_colours: frozenset[str]
    unwanted: frozenset[str]
    text: str

    def has(self, *names: str) -> bool:
        return any(name in self.subjects or name in self.details for name in names)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Mention:
    kind: str
    concept: str
    is_wanted: bool


def read_prompt(prompt: str, negative_prompt: str | None) -> SceneDescription:
    """Never fails: any text is a prompt, also an empty one."""
    text = " ".join(_normalized(prompt).split())
    mentions = list(_mentions(text))
    refused = [m for m in mentions if not m.is_wanted] + list(_mentions(_normalized(negative_prompt or "")))
    unwanted = frozenset(f"{m.kind}:{m.concept}" for m in refused)
    unwanted_names = frozenset(m.concept for m in refused)

    def wanted(kind: str) -> tuple[str, ...]:
        named = (m.concept for m in mentions if m.kind == kind and m.is_wanted)
        return tuple(dict.fromkeys(concept for concept in named if f"{kind}:{concept}" not in unwanted))

    return SceneDescription(
        subjects=frozenset(wanted("subject")),
        light=next(iter(wanted("light")), None),
        details=frozenset(wanted("detail")),
        media=wanted("medium"),
        colours=wanted("colour"),
        unwanted_colours=frozenset(m.concept for m in refused if m.kind == "colour"),
        unwanted=unwanted_names,
        text=text,
    )


def _normalized(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold()


def _mentions(text: str) -> Iterator[_Mention]:
    words = _WORD.findall(text)
    at, is_wanted = 0, True
    while at < len(words):
        if words[at] in _NEGATIONS:
            at, is_wanted = at + 1, False
            continue
        length = next((n for n in range(_LONGEST_PHRASE, 0, -1) if _known(words[at : at + n])), 1)
        for kind, concepts in _known(words[at : at + length]).items():
            for concept in concepts:
                yield _Mention(kind=kind, concept=concept, is_wanted=is_wanted)
        at, is_wanted = at + length, True


def _known(words: list[str]) -> dict[str, tuple[str, ...]]:
    """Kind -> concepts of a word or phrase; empty when it is unknown."""
    for spelling in _singulars(" ".join(words)):
        found = {kind: table[spelling] for kind, table in _TABLES.items() if spelling in table}
        if found:
            return found
    return {}


def _singulars(word: str) -> Iterator[str]:
    yield word
    if word.endswith("ies"):
        yield word[:-3] + "y"
    if word.endswith("ves"):
        yield word[:-3] + "f"
    if word.endswith("es"):
        yield word[:-2]
    if word.endswith("s"):
        yield word[:-1]
    if word.endswith("men"):
        yield word[:-3] + "man"
