"""The two nodes of a drill: real processes, the faults that they suffer, and how they come back."""

import asyncio
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from journal.directory import SEGMENTS
from replicas.lease import LEASE, read
from tools.drills.disks import Disk
from tools.failures import Failure
from tools.unix_http import ask

WAIT_SECONDS: Final = 60.0
"""How long a node may take for what it does in a second; then the drill fails."""
_LOOK_SECONDS: Final = 0.005
_TAIL: Final = 1_500

CONFIG: Final = """\
[limits]
logins_per_minute = 1_000_000
connections_per_address = 1_024

[node]
hang_seconds = {hang}
snapshot_rows = 5_000
low_space_orders = 0
low_space_cancels = 0
"""


NAMES: Final = ("a", "b")


def data_of(name: str, folder: Path, disk: Disk | None) -> Path:
    """The data directory of a node: on its disk if it has one of its own."""
    return (disk.folder if disk else folder) / name


class Node:
    """A data directory, an address, and the process that serves there or follows."""

    def __init__(self, name: str, folder: Path, hang: float, disk: Disk | None = None) -> None:
        """`hang` is the seconds without progress after which this node, as a standby, kills its primary."""
        self.name = name
        self.disk = disk
        self.data = data_of(name, folder, disk)
        self.address = f"127.0.0.1:{_free_port()}"
        self._log = folder / f"{name}.log"
        self._config = folder / "node.toml"
        self._config.write_text(CONFIG.format(hang=hang))
        self._process: subprocess.Popen[bytes] | None = None
        self._since = 0

    def serve(self) -> None:
        """Start as the primary."""
        self._start("serve")

    def follow(self, other: "Node") -> None:
        """Start as the standby of another node."""
        self._start("standby", "--follow", str(other.data))

    def _start(self, *arguments: str) -> None:
        self.end()
        command = (sys.executable, "-m", "tools.main", *arguments, "--data", str(self.data))
        options = ("--listen", self.address, "--config", str(self._config))
        paths = (str(Path(__file__).resolve().parent.parent.parent), os.environ.get("PYTHONPATH"))
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
        with self._log.open("ab") as log:
            self._since = log.tell()
            # A session of its own: an interrupt of the drill is the drill's to handle.
            self._process = subprocess.Popen(
                [*command, *options], stdout=log, stderr=log, start_new_session=True, env=environment
            )

    def keep_from_writing(self) -> None:
        """From now on no file of the process grows beyond the journal's present size: as on a full disk, writes fail."""
        if self._process is None:
            return
        sizes = [file.stat().st_size for file in self.data.glob(f"{SEGMENTS}/*/data.mdb")]
        with suppress(ProcessLookupError):
            resource.prlimit(self._process.pid, resource.RLIMIT_FSIZE, (max(sizes), max(sizes)))

    def running(self) -> bool:
        """Whether its process is there; a stopped one is."""
        return self._process is not None and self._process.poll() is None

    def signal(self, number: int) -> None:
        """Send a signal to the process, if it is there."""
        if self._process is not None and self.running():
            self._process.send_signal(number)

    def end(self) -> None:
        """Kill the process and see it dead."""
        if self._process is not None:
            self.signal(signal.SIGKILL)
            self._process.wait()

    async def until(self, line: str) -> None:
        """Wait until the process has said a line that begins so. Failure with the end of its log otherwise."""
        end = time.monotonic() + WAIT_SECONDS
        while not any(said.startswith(line) for said in self._said()):
            if not self.running():
                raise Failure(f"node {self.name} ended before it said {line!r}: {self._tail()}")
            if time.monotonic() > end:
                raise Failure(f"node {self.name} did not say {line!r} in {WAIT_SECONDS:.0f} s: {self._tail()}")
            await asyncio.sleep(_LOOK_SECONDS)

    async def ended(self) -> None:
        """Wait until the process ends by itself. Failure."""
        end = time.monotonic() + WAIT_SECONDS
        while self.running():
            if time.monotonic() > end:
                raise Failure(f"node {self.name} did not end in {WAIT_SECONDS:.0f} s: {self._tail()}")
            await asyncio.sleep(_LOOK_SECONDS)

    def _said(self) -> list[str]:
        with self._log.open("rb") as log:
            log.seek(self._since)
            return log.read().decode(errors="replace").splitlines()

    def _tail(self) -> str:
        return " | ".join(self._said())[-_TAIL:]

    def status(self) -> dict[str, Any]:
        """What it says of itself. Failure."""
        return ask(str(self.data), "GET", "/status")


class Nodes:
    """A primary and a standby, whichever of the two is which."""

    def __init__(self, folder: Path, hang: float, disks: Mapping[str, Disk]) -> None:
        """Nodes `a` and `b` in a folder or on their disks; `begin` starts them on the venue in the folder of `a`."""
        self.primary, self.standby = (Node(name, folder, hang, disks.get(name)) for name in NAMES)
        self._both = (self.primary, self.standby)

    @property
    def addresses(self) -> list[str]:
        """Of both, in an order that never changes."""
        return [node.address for node in self._both]

    async def begin(self) -> None:
        """Start both."""
        self.primary.serve()
        await self.primary.until("primary at ")
        self.standby.follow(self.primary)
        await self.standby.until("standby of ")

    async def recover(self) -> None:
        """Bring back whoever is dead: a primary where there is none, then its standby. Failure."""
        if self.standby.running() and not self.primary.running():
            await self._taken_over()
        if not self.primary.running():
            if self._led_last(self.standby):
                self.primary, self.standby = self.standby, self.primary
            self.primary.serve()
            await self.primary.until("primary at ")
        if not self.standby.running():
            self.standby.follow(self.primary)
            await self.standby.until("standby of ")

    async def _taken_over(self) -> None:
        """The standby leads."""
        await self.standby.until("primary at ")
        self.primary.end()
        self.primary, self.standby = self.standby, self.primary

    def _led_last(self, node: Node) -> bool:
        """Whether the lease says that the venue went on at this node."""
        lease = read(self.primary.data / LEASE)
        return lease is not None and Path(lease.directory).resolve() == node.data.resolve()

    async def caught_up(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Wait until the standby has the primary's head; what both say of themselves then. Failure."""
        end = time.monotonic() + WAIT_SECONDS
        while time.monotonic() < end:
            first, second = self.primary.status(), self.standby.status()
            if first["head"] == second["head"] and first == self.primary.status():
                return first, second
            await asyncio.sleep(_LOOK_SECONDS)
        raise Failure(f"node {self.standby.name} did not catch up with node {self.primary.name}")

    def close(self) -> None:
        """Kill both."""
        for node in self._both:
            node.end()

    # ---- faults: each leaves at least one node dead, or dying; `recover` sees to the rest

    async def kill_primary(self, _: float) -> None:
        """The primary is killed; the standby takes over."""
        self.primary.end()
        await self._taken_over()

    async def stop_primary(self, _: float) -> None:
        """The primary hangs; the standby kills it and takes over."""
        self.primary.signal(signal.SIGSTOP)
        await self._taken_over()

    async def keep_from_writing(self, _: float) -> None:
        """The primary can write no more: it gives up the lead by itself, and the standby takes over."""
        self.primary.keep_from_writing()
        await self._taken_over()

    async def fill_primary(self, _: float) -> None:
        """The disk of the primary has no block left: it gives up the lead by itself, and the standby takes over."""
        disk = self.primary.disk
        assert disk is not None
        disk.fill()
        await self._taken_over()
        disk.free()

    async def fill_standby(self, _: float) -> None:
        """The disk of the standby has no block left: it stops, and the primary goes on alone."""
        disk = self.standby.disk
        assert disk is not None
        disk.fill()
        await self.standby.ended()
        disk.free()

    async def kill_standby(self, _: float) -> None:
        """The standby is killed; the primary goes on alone."""
        self.standby.end()

    async def kill_standby_in_recovery(self, seconds: float) -> None:
        """The primary is killed, and the standby `seconds` later: before its promotion, in the middle of it, or behind it."""
        self.primary.end()
        await asyncio.sleep(seconds)
        self.standby.end()
        if not self._led_last(self.standby):
            # It was not promoted, and is so when it starts again.
            self.standby.follow(self.primary)
            await self._taken_over()

    async def kill_the_returning(self, seconds: float) -> None:
        """The primary is killed, comes back as the standby of the other, and is killed again `seconds` later."""
        await self.kill_primary(seconds)
        self.standby.follow(self.primary)
        await asyncio.sleep(seconds)
        self.standby.end()

    async def kill_both(self, _: float) -> None:
        """Both are killed at once; whoever led last serves again."""
        for node in self._both:
            node.signal(signal.SIGKILL)
        for node in self._both:
            node.end()


FAULTS: Final = {
    "kill the primary": Nodes.kill_primary,
    "stop the primary": Nodes.stop_primary,
    "keep the primary from writing": Nodes.keep_from_writing,
    "kill the standby": Nodes.kill_standby,
    "kill the standby in recovery": Nodes.kill_standby_in_recovery,
    "kill the returning node": Nodes.kill_the_returning,
    "kill both": Nodes.kill_both,
}
"""What may happen in a round, by the name that the report gives it."""

DISK_FAULTS: Final = {
    "fill the primary's disk": Nodes.fill_primary,
    "fill the standby's disk": Nodes.fill_standby,
}
"""What may happen too where each node has a disk of its own."""

DECK: Final = (
    *("kill the primary", "stop the primary", "keep the primary from writing", "kill the returning node") * 2,
    "kill the standby in recovery",
    "kill the standby",
    "kill both",
)
"""How often each happens among eleven: nine of them end in a takeover, and the other two may."""

DECK_WITH_DISKS: Final = (*DECK, *("fill the primary's disk",) * 2, "fill the standby's disk")


def _free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
