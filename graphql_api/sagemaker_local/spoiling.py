"""Answers that are of no use, made of those that would have been."""

from __future__ import annotations

import re
from collections.abc import Sequence

from graphql_api.adapters.model_endpoint.sketch.renderer import Pixels
from graphql_api.ports import Answer
from graphql_api.sagemaker_local.containers import Order
from graphql_api.sagemaker_local.faults import SpoilAnswer

_HTML = b"<html><head><title>502 Bad Gateway</title></head><body><h1>Bad Gateway</h1></body></html>"
_RAGGED = b'{"generated_images": [[[[0, 0, 0], [9, 9, 9]], [[0, 0, 0]]]], "prompt": ""}'
_BASE64 = re.compile(rb'"([A-Za-z0-9+/]{64,}={0,2})"')


def spoiled(fault: SpoilAnswer, order: Order, pictures: Sequence[Pixels]) -> Answer:
    """What is answered in place of the pictures. Raises WireError as `order.answer` does."""
    match fault.form:
        case None:
            assert fault.body is not None
            return Answer(body=fault.body.encode(), content_type=fault.content_type or "application/json")
        case "html":
            return Answer(body=_HTML, content_type="text/html")
        case "empty":
            return order.answer([])
        case "fewer":
            return order.answer(pictures[:-1])
        case "wrong-size":
            return order.answer([each[: each.shape[0] // 2, : each.shape[1] // 2].copy() for each in pictures])
        case "truncated":
            return _truncated(order.answer(pictures))
        case "ragged":
            return Answer(body=_RAGGED, content_type="application/json")
        case "filtered":
            return order.filtered(pictures)


def _truncated(answer: Answer) -> Answer:
    """Every file in it, or it itself, ends half way. The Base64 stays sound."""
    if not answer.content_type.startswith("application/json"):
        return Answer(body=answer.body[: len(answer.body) // 2], content_type=answer.content_type)
    body = _BASE64.sub(lambda found: b'"' + found[1][: len(found[1]) // 8 * 4] + b'"', answer.body)
    return Answer(body=body, content_type=answer.content_type)
