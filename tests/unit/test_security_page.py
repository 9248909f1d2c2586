"""docs/security.md names the tests that show what it promises: they must be there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "security.md").read_text()
TESTS = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGE)))


@pytest.mark.parametrize(("path", "name"), TESTS)
def test_test_that_shows_a_promise_is_there(path: str, name: str) -> None:
    assert re.search(rf"^(async )?def {name}\(", (ROOT / path).read_text(), re.MULTILINE)


def test_every_promise_is_shown_by_something() -> None:
    rows = re.findall(r"^\| ([A-Z][^|]*\.) \| (.*) \|$", PAGE, re.MULTILINE)
    assert len(rows) > 25
    for promise, shown in rows:
        assert "tests/" in shown or "bench." in shown, promise
