"""Write the pages of the site into build/docs, from which any builder that reads mkdocs.yml makes the site.

`DOCS_REPOSITORY` is where the repository's files can be read, such as `https://<host>/<team>/<name>/blob/main`; without
it pages name such files instead of leading to them.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from docsite.links import settle_links
from docsite.markdown import widen_lists
from docsite.plots import with_plots
from docsite.schema_page import schema_page
from docsite.settings_page import settings_page

ROOT = Path(__file__).parents[1]
OUTSIDE = {"CHANGELOG.md": "changelog.md", "CONTRIBUTING.md": "contributing.md"}
"""Pages that are not in docs/: path in the repository -> path on the site."""


def pages(root: Path, repository: str) -> Iterator[tuple[str, str]]:
    """Every page of the site: its path there and its Markdown."""
    for path in sorted((root / "docs").rglob("*.md")):
        place = path.relative_to(root / "docs").as_posix()
        page = _page(path, f"docs/{place}", place, repository)
        yield place, with_plots(page) if place == "benchmarks.md" else page
    for source, place in OUTSIDE.items():
        yield place, _page(root / source, source, place, repository)
    yield "reference/schema.md", schema_page((root / "schema.graphql").read_text("utf-8"))
    yield "reference/settings.md", settings_page()


def _page(path: Path, source: str, place: str, repository: str) -> str:
    return widen_lists(settle_links(path.read_text("utf-8"), source, place, repository))


def write(root: Path, target: Path, repository: str) -> None:
    """Write pages, pictures, style sheet and the schema into `target`, which is emptied first."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(root / "docs", target, ignore=shutil.ignore_patterns("*.md"))
    for place, text in pages(root, repository):
        path = target / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    shutil.copy(root / "schema.graphql", target / "reference" / "schema.graphql")


if __name__ == "__main__":
    write(ROOT, ROOT / "build" / "docs", os.environ.get("DOCS_REPOSITORY", ""))
