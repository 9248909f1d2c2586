"""What hatch runs before it makes a wheel or an sdist: the pages for browsers must be there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PAGES = [Path("graphql_api", "pages", name, "index.html") for name in ("studio", "graphiql")]


class PagesHook(BuildHookInterface[Any]):
    """Builds the pages where they are missing. Nobody who installs for development needs to have Node for it."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """See hatch. Raises SystemExit when there are no pages and cannot be."""
        root = Path(self.root)
        if version == "editable" or all((root / page).is_file() for page in PAGES):
            return
        program = root / "ui" / "build.py"
        if not program.is_file():
            sys.exit("There are no pages for browsers in graphql_api/pages, nor sources of them in ui/.")
        done = subprocess.run([sys.executable, program])
        if done.returncode:
            # It has said why.
            sys.exit(done.returncode)
