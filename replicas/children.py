"""The processes beside a primary: market data, and the snapshots of one that has no standby."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

_HOME: Final = Path(__file__).resolve().parent.parent
"""Where the packages stand, so that a child finds them wherever the node was started."""

_PAUSE: Final = 0.25
_PAUSE_MAX: Final = 30.0
"""Seconds from one start of a child to the next, at least; doubled while it dies at once."""


class Children:
    """What a primary started. The kernel ends them with it; `close` does so earlier."""

    def __init__(
        self, directory: Path, market_data: str, snapshot_rows: int, tls: tuple[str, str] | None = None
    ) -> None:
        """Serve market data of the directory at `HOST:PORT`, if that is given; a snapshot every so many rows.

        `tls`: certificate and key with which market data is served.
        """
        self._tls = ("--tls", *tls) if tls else ()
        self._directory = directory.resolve()
        self._market_data = market_data
        self._snapshot_rows = snapshot_rows
        self._feed: subprocess.Popen[bytes] | None = None
        self._snapshot: subprocess.Popen[bytes] | None = None
        self._written = 0
        self._pause = _PAUSE
        self._again = 0.0

    @property
    def followers(self) -> int:
        """How many of them listen to the doorbell; whoever else does is a standby."""
        return int(self._feed is not None and self._feed.poll() is None)

    def look(self, sequence: int, now: float, *, alone: bool) -> None:
        """Start what should run and does not: call it every now and then, with the last row and a monotonic time; OSError."""
        if self._market_data and (self._feed is None or self._feed.poll() is not None) and now >= self._again:
            # One that dies at once is started ever more rarely.
            self._pause = _PAUSE if now - self._again > _PAUSE_MAX else min(2 * self._pause, _PAUSE_MAX)
            self._again = now + self._pause
            self._feed = self._start("replicas.market_data", "--listen", self._market_data, *self._tls)
        if self._snapshot is not None and self._snapshot.poll() is not None:
            self._snapshot = None
        if self._written == 0:
            self._written = sequence
        if alone and self._snapshot is None and sequence - self._written >= self._snapshot_rows:
            self._written = sequence
            self._snapshot = self._start("replicas.snapshotting")

    def _start(self, module: str, *arguments: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", module, str(self._directory), *arguments, "--parent", str(os.getpid())]
        return subprocess.Popen(command, cwd=_HOME, close_fds=True, stdin=subprocess.DEVNULL)

    def close(self) -> None:
        """End them; harmless when done twice."""
        for child in (self._feed, self._snapshot):
            if child is not None:
                child.kill()
                child.wait()
        self._feed = self._snapshot = None
