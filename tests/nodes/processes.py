"""Real nodes: `lockstep serve` and `lockstep standby` as processes."""

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

SECONDS = 60
"""How long anything may take on a busy machine before a test gives up on it."""


def free_port():
    """A port of the loopback that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


class Node:
    """A node in a process of its own; its output stands in a file beside its data."""

    def __init__(self, data: Path, *arguments: str, hang: float = 0.5):
        self.data = data
        self.port = free_port()
        self.address = f"127.0.0.1:{self.port}"
        self.output = data.with_name(f"{data.name}-{self.port}.log")
        command = [sys.executable, "-m", "tools.main", *arguments, "--data", str(data)]
        command += ["--listen", self.address, "--hang", str(hang)]
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)

    def said(self) -> str:
        """What it printed so far."""
        return self.output.read_text()

    def until(self, text: str) -> "Node":
        """Wait until it has printed a text."""
        return self.wait(lambda: text in self.said(), f"{text!r} never came")

    def wait(self, what, otherwise: str) -> "Node":
        """Wait until something holds, or fail with what the node said."""
        end = time.monotonic() + SECONDS
        while not what():
            assert time.monotonic() < end, f"{otherwise}: {self.said()}"
            time.sleep(0.01)
        return self

    def signal(self, number: int) -> None:
        """Send it a signal."""
        os.kill(self.process.pid, number)

    def ended(self) -> int:
        """Wait for its end; the exit code."""
        return self.process.wait(SECONDS)

    def stop(self) -> int:
        """End it cleanly; the exit code."""
        self.signal(signal.SIGTERM)
        return self.ended()


@contextmanager
def nodes():
    """Start nodes by calling what this gives; all are killed in the end."""
    started = []

    def start(data, *arguments, **options):
        started.append(Node(data, *arguments, **options))
        return started[-1]

    try:
        yield start
    finally:
        for node in started:
            if node.process.poll() is None:
                node.signal(signal.SIGKILL)
                node.signal(signal.SIGCONT)
                node.ended()
