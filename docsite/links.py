"""Links of pages: what leaves docs/ leads into the repository, or is code where nobody said where that is."""

from __future__ import annotations

import posixpath
import re

_LINK = re.compile(r"(?<!!)\[(?P<text>[^\]]*)\]\((?P<target>[^)\s]+)\)")
_FENCE = re.compile(r"^(?P<mark> *(?:```|~~~)).*?^(?P=mark)", re.MULTILINE | re.DOTALL)


def settle_links(page: str, source: str, place: str, repository: str) -> str:
    """The page with links that hold on the site.

    `source` is the page's path in the repository, from which its links count; `place` is its path on the site. A link
    into docs/ is made relative to `place`. Any other file of the repository becomes `<repository>/<path>`, or code with
    its path where `repository` is empty. Addresses, absolute paths, anchors, images and code are left alone.
    """

    def settle(link: re.Match[str]) -> str:
        text, target = link["text"], link["target"]
        if re.match(r"[a-z]+:|[#/]", target):
            return link[0]
        path, _, anchor = target.partition("#")
        path = posixpath.normpath(posixpath.join(posixpath.dirname(source), path))
        if path.startswith("docs/"):
            path = posixpath.relpath(path.removeprefix("docs/"), posixpath.dirname(place) or ".")
            return f"[{text}]({path}{'#' * bool(anchor)}{anchor})"
        if repository:
            return f"[{text}]({repository.rstrip('/')}/{path})"
        return f"`{path}`" if text.strip("`") in (path, target) else f"{text} (`{path}`)"

    pieces, end = [], 0
    for fence in _FENCE.finditer(page):
        pieces += [_LINK.sub(settle, page[end : fence.start()]), fence[0]]
        end = fence.end()
    return "".join([*pieces, _LINK.sub(settle, page[end:])])
