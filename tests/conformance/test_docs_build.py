"""The site as its builder makes it, where there is one: after `make docs`."""

from __future__ import annotations

import os
import re
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BIN = ROOT / ".venv-docs" / "bin"

LOADED = {"script": "src", "link": "href", "img": "src", "iframe": "src", "source": "src", "object": "data"}
"""Tags whose attribute a browser fetches without being asked."""
FROM_ELSEWHERE = re.compile(r"(?:[a-z]+:)?//")


class Fetched(HTMLParser):
    """What a page fetches from other hosts."""

    def __init__(self) -> None:
        super().__init__()
        self.elsewhere: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        address = given.get(LOADED.get(tag, "")) or ""
        if FROM_ELSEWHERE.match(address) and given.get("rel") not in ("canonical", "next", "prev"):
            self.elsewhere.append(address)


@pytest.mark.skipif(not (BIN / "mkdocs").exists(), reason="needs what `make docs` installs")
def test_site_is_built_without_a_warning_and_asks_no_other_host(tmp_path: Path) -> None:
    site = tmp_path / "site"
    built = subprocess.run(
        [ROOT / "scripts" / "docs", site],
        env={**os.environ, "BIN": str(BIN)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    # A builder that is told to be quiet does not count its warnings either.
    assert "Documentation built" in built.stderr
    assert "WARNING" not in built.stderr

    elsewhere = {}
    for page in site.rglob("*.html"):
        fetched = Fetched()
        fetched.feed(page.read_text("utf-8"))
        elsewhere[page.name] = fetched.elsewhere
    assert len(elsewhere) > 40
    assert [name for name, addresses in elsewhere.items() if addresses] == []
    styles = [path.read_text("utf-8") for path in site.rglob("*.css")]
    assert styles
    assert not any(re.search(r"@import|url\([\"']?(?:[a-z]+:)?//", style) for style in styles)
