"""Amazon S3, SQS and SNS as moto's server speaks them, in a process of its own that can be stopped and killed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping

PROGRAM = """
import logging, sys, time
logging.getLogger("werkzeug").setLevel(logging.ERROR)
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer(ip_address="127.0.0.1", port=int(sys.argv[1]), verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
sys.stdin.read()
"""
REGION = "us-east-1"
ACCOUNT = "123456789012"
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_DEFAULT_REGION": REGION,
    # Nothing of the developer's own, and no look for a role on a machine that has none.
    "AWS_CONFIG_FILE": "/dev/null",
    "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
    "AWS_EC2_METADATA_DISABLED": "true",
}


class MotoServer:
    """The server. It ends with the process that started it. Started again, it has the same port and is empty."""

    def __init__(self) -> None:
        self.port = 0
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def origin(self) -> str:
        """Such as http://127.0.0.1:40001."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def environment(self) -> Mapping[str, str]:
        """What makes AWS clients talk to it."""
        return {**CREDENTIALS, "AWS_ENDPOINT_URL": self.origin}

    def start(self) -> MotoServer:
        """Start, and wait until it serves."""
        self._process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(self.port)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())
        return self

    def signal(self, number: int) -> None:
        """Send a signal, such as SIGSTOP: the service is there and does not answer."""
        assert self._process is not None
        self._process.send_signal(number)

    def stop(self) -> None:
        """Kill it."""
        if self._process is not None:
            process, self._process = self._process, None
            process.kill()
            process.wait()
            assert process.stdin is not None and process.stdout is not None
            process.stdin.close()
            process.stdout.close()
