"""What the codecs share in reading answers.

A refusal tells the shape of what was seen: types, counts and lengths. Never content, which may be a prompt or a message
that names an account.
"""

from __future__ import annotations

import binascii
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import simdjson

from graphql_api.domain.errors import AnswerNotUnderstood
from graphql_api.ports import Answer, EncodedPicture

BASE64_SLICE_CHARS = 1 << 20
"""Decoding holds Python's global lock: for about a millisecond at this length, so that no event loop waits longer."""


@dataclass(frozen=True, slots=True)
class AnswerReader:
    """Reads an answer on behalf of a codec. Everything that it does not understand raises AnswerNotUnderstood."""

    codec: str
    answer: Answer

    def document(self, body: bytes | None = None) -> Any:
        """The JSON in the answer's body, or in what is given in its place."""
        # A parser of its own per answer: simdjson's values are views into their parser's buffer.
        try:
            return simdjson.Parser().parse(self.answer.body if body is None else body)
        except (ValueError, RuntimeError) as error:
            # RuntimeError stands for values that are nested too deeply and integers of more than 64 bits.
            self.refuse(f"{len(self.answer.body)} bytes of {self._kind_of_text()} that are not JSON", error)

    def object(self, value: Any, place: str = "answer") -> simdjson.Object:
        """A value that must be an object."""
        if isinstance(value, simdjson.Object):
            return value
        self.refuse(f"{place} is {kind_of(value)} in place of an object")

    def member(self, holder: simdjson.Object, *keys: str) -> Any:
        """The value under the first of some keys that there is."""
        for key in keys:
            if key in holder:
                return holder[key]
        self.refuse(f"object with {len(holder)} keys, but no {keys[0]}")

    def items(self, value: Any, place: str) -> Iterator[Any]:
        """The items of a value that must be an array."""
        if isinstance(value, simdjson.Array):
            return iter(value)
        self.refuse(f"{place} is {kind_of(value)} in place of an array")

    def encoded(self, value: Any) -> EncodedPicture:
        """The file in a value that must be a string of Base64."""
        if not isinstance(value, str):
            self.refuse(f"image is {kind_of(value)} in place of a string")
        try:
            return EncodedPicture(body=_from_base64(value))
        except ValueError as error:
            self.refuse(f"string of {len(value)} characters that is not Base64", error)

    def encoded_list(self, value: Any, place: str) -> Sequence[EncodedPicture]:
        """The files in a value that must be an array of Base64, or one such string without an array around it."""
        if isinstance(value, str):
            return [self.encoded(value)]
        return [self.encoded(item) for item in self.items(value, place)]

    def refuse(self, shape: str, cause: Exception | None = None) -> NoReturn:
        """Give up on the answer."""
        raise AnswerNotUnderstood(codec=self.codec, shape=shape) from cause

    def _kind_of_text(self) -> str:
        # The type comes from outside like the body. Those that mean something here are named, others are not.
        media_type = media_type_of(self.answer)
        return media_type if media_type in ("application/json", "text/html", "text/plain") else "another type"


def media_type_of(answer: Answer) -> str:
    """What the answer says that it is, without parameters, in lower case."""
    return answer.content_type.partition(";")[0].strip().lower()


def kind_of(value: Any) -> str:
    """What a JSON value is, without what it holds."""
    match value:
        case None:
            return "null"
        case simdjson.Array():
            return f"array of {len(value)}"
        case simdjson.Object():
            return f"object with {len(value)} keys"
        case str():
            return f"string of {len(value)} characters"
        case bool():
            return "boolean"
    return "number"


def _from_base64(text: str) -> bytes:
    slices = [text[at : at + BASE64_SLICE_CHARS] for at in range(0, len(text), BASE64_SLICE_CHARS)]
    body = b"".join(binascii.a2b_base64(part, strict_mode=True) for part in slices)
    # Padding at the end of a slice, and too much of it at the end of all, goes unnoticed there.
    if len(body) + text[-2:].count("=") != len(text) // 4 * 3:
        raise binascii.Error("misplaced padding")
    return body
