"""docs/rehearsal.md works as it is pasted."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from tests.clients.server_process import clean_environment

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "rehearsal.md").read_text()
SECONDS = 120


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def test_the_page_can_be_pasted(tmp_path: Path) -> None:
    blocks = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
    assert len(blocks) == 8
    # What it installs is there already; the ports may be taken.
    script = "\n".join(block for block in blocks if "pip install" not in block)
    for port in ("5000", "8090", "8000"):
        script = re.sub(rf"\b{port}\b", str(free_port()), script)
    environment = clean_environment()
    environment = {name: value for name, value in environment.items() if not name.startswith("AWS_")}
    environment["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), environment["PATH"]])
    (tmp_path / "script").write_text(f"set -e\n{script}")
    shell = subprocess.Popen(
        ["bash", "script"],
        cwd=tmp_path,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        output, _ = shell.communicate(timeout=SECONDS)
    except subprocess.TimeoutExpired as late:
        raise AssertionError(f"it did not come to its end:\n{(late.output or b'').decode()}") from None
    finally:
        with suppress(ProcessLookupError):
            os.killpg(shell.pid, signal.SIGKILL)

    events = re.findall(r'"status":"(\w+)"', output)
    assert events.count("SUCCEEDED") == 6, output
    assert events.count("FAILED") == 1, output
    assert "OUT_OF_MEMORY" in output
    assert '"status":"RUNNING","progress":{"phase":"WAITING"' in output, output
    assert "failed" not in output[: output.index("data:")], "doctor found something"
    assert shell.returncode == 0, output
    assert not (tmp_path / "rehearsal").exists()
