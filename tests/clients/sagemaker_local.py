"""`text2image sagemaker-local` as a process of its own: SageMaker for tests, which can be told what shall go wrong."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx

START_SECONDS = 30.0
STOP_SECONDS = 10.0
URL = re.compile(r"^SageMaker  (http://127\.0\.0\.1:\d+)$", re.MULTILINE)


class SageMakerLocal:
    """The server, on a port that the system chooses. `options` are those of the command line.

    `aws` says where its own S3 and SNS are: the environment of a MotoServer.
    """

    def __init__(self, log_path: Path, options: Sequence[str], aws: Mapping[str, str]) -> None:
        self.origin = ""
        self._log_path = log_path
        self._options = options
        self._aws = aws
        self._process: subprocess.Popen[bytes] | None = None
        self._http: httpx.Client

    @property
    def environment(self) -> Mapping[str, str]:
        """What makes AWS clients send their invocations here, beside what the MotoServer's environment does."""
        return {"AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME": self.origin, "AWS_ENDPOINT_URL_SAGEMAKER": self.origin}

    @property
    def log(self) -> str:
        """Everything written to standard error."""
        return self._log_path.read_text(errors="replace")

    def start(self) -> SageMakerLocal:
        """Start, and wait until it serves."""
        with self._log_path.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "graphql_api", "sagemaker-local", "--port", "0", *self._options],
                env={**os.environ, **self._aws},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + START_SECONDS
        while (match := URL.search(self.log)) is None:
            assert self._process.poll() is None, f"sagemaker-local did not start:\n{self.log}"
            assert time.monotonic() < deadline, f"sagemaker-local was not ready in {START_SECONDS} s:\n{self.log}"
            time.sleep(0.01)
        self.origin = match[1]
        # One for all requests: making a client takes longer than any of them, most of it for certificates.
        self._http = httpx.Client(verify=False)
        return self

    def set_faults(self, *faults: Mapping[str, Any]) -> None:
        """Replace all faults: `set_faults({"kind": "throttle", "times": 1})`. graphql_api/sagemaker_local/faults.py
        has the kinds."""
        answer = self._http.put(f"{self.origin}/-/faults", json=faults)
        assert answer.status_code == 200, answer.text

    def faults(self) -> list[dict[str, Any]]:
        """What was told, with the number of `hits` of each."""
        faults: list[dict[str, Any]] = self._http.get(f"{self.origin}/-/faults").json()
        return faults

    def invocations(self, inference_id: str | None = None) -> list[dict[str, Any]]:
        """Every invocation since the latest reset, oldest first, or those with this inference ID."""
        records: list[dict[str, Any]] = self._http.get(f"{self.origin}/-/invocations").json()
        return [each for each in records if inference_id is None or each["inference_id"] == inference_id]

    def runs(self, inference_id: str | None = None) -> int:
        """How many invocations have run the model."""
        return sum(each["model_ran"] for each in self.invocations(inference_id))

    def reset(self) -> None:
        """No faults, and nothing in the log of invocations. What hangs goes on hanging."""
        for name in ("faults", "invocations"):
            assert self._http.delete(f"{self.origin}/-/{name}").status_code == 204

    def terminate(self, signal_number: int = signal.SIGTERM) -> int:
        """Send a signal, and wait; the exit code."""
        assert self._process is not None
        process, self._process = self._process, None
        self._http.close()
        process.send_signal(signal_number)
        try:
            return process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise AssertionError(f"sagemaker-local did not stop in {STOP_SECONDS} s:\n{self.log}") from None

    def stop(self) -> None:
        """Kill it, whether it runs or not."""
        if self._process is not None:
            self.terminate(signal.SIGKILL)
