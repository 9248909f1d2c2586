"""Writes the lists of resources that the tests compare with: `python -m tests.infra.write_resources`."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.infra.deployments import DEPLOYMENTS, read, resource_list, synth

RESOURCES = Path(__file__).with_name("resources")


def main() -> int:
    """Write every list; returns the exit code."""
    RESOURCES.mkdir(exist_ok=True)
    for name, values in DEPLOYMENTS.items():
        with tempfile.TemporaryDirectory() as folder:
            done = synth(values, Path(folder))
            if done.returncode:
                sys.stderr.write(done.stdout + done.stderr)
                return done.returncode
            (RESOURCES / f"{name}.txt").write_text(resource_list(read(name, Path(folder))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
