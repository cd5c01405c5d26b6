"""What a lease says, byte for byte, and how a holder that hangs is ended.

The file has 1,024 bytes: one line of JSON, a line with its CRC-32, and spaces. It is written in place and never cut, so
that a reader never finds it empty, and one that meets a half-written one reads again.
"""

import os
import select
import signal
import time
import zlib
from pathlib import Path
from typing import Final

import msgspec

from replicas.lead import CorruptLease, LeadHeld

SIZE: Final = 1_024
"""Bytes of a lease."""

KILL_SECONDS: Final = 5.0
"""How long a process that was killed may take to die; one that waits for its disk does not die at all."""

_READS: Final = 64
_CHECK: Final = 10
"""Bytes of the check and of the two ends of lines."""


def boot_time() -> int:
    """Nanoseconds since the machine was started, by a clock that nobody sets; it counts while the machine sleeps."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


class LeaseState(msgspec.Struct, frozen=True):
    """Who holds the lease, and how far the venue has come."""

    pid: int
    start_time: int
    """When the process began, in clock ticks since boot (field 22 of its stat): with `pid` it names one process."""
    epoch: int
    """The highest epoch that was ever given."""
    directory: str
    """Data directory of the node where the venue goes on."""
    address: str
    admin: str
    sequence: int
    hash: str
    """Hash of the last batch that was told, as hexadecimal digits; empty before the first."""
    tick: int
    """When progress was told last, by `boot_time`."""

    def alive(self) -> bool:
        """Whether the process that it names runs, or is stopped; not one that is dead and not yet waited for."""
        stat = _stat(self.pid)
        return stat is not None and stat[0] not in {"Z", "X"} and int(stat[19]) == self.start_time


def _stat(pid: int) -> list[str] | None:
    """Fields 3 and following of the process's stat; None for a process that is gone or not ours to see."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    # The name in field 2 may hold blanks and brackets of its own.
    return text.rpartition(")")[2].split()


def start_time(pid: int) -> int | None:
    """When a process began, in clock ticks since boot; None if there is none."""
    stat = _stat(pid)
    return None if stat is None else int(stat[19])


def pack(state: LeaseState) -> bytes:
    """The bytes of the file. ValueError if the names in it are too long."""
    line = msgspec.json.encode(state)
    if len(line) > SIZE - _CHECK:
        raise ValueError(f"lease: {len(line)} bytes of names are too long for {SIZE}")
    return b"%s\n%08x\n" % (line, zlib.crc32(line)) + b" " * (SIZE - len(line) - _CHECK)


def unpack(data: bytes) -> LeaseState | None:
    """The state in the bytes of a file; None for bytes that are not one, or not whole."""
    line, _, rest = data.partition(b"\n")
    if len(data) != SIZE or rest[:8] != b"%08x" % zlib.crc32(line):
        return None
    try:
        return msgspec.json.decode(line, type=LeaseState)
    except msgspec.DecodeError:
        return None


def read_from(descriptor: int, where: str) -> LeaseState | None:
    """What an open lease says; None for one that was made just now. CorruptLease."""
    for _ in range(_READS):
        data = os.pread(descriptor, SIZE, 0)
        if not data.strip(b"\0"):
            return None
        state = unpack(data)
        if state is not None:
            return state
    raise CorruptLease(where, "it is no lease, or damaged")


def read(path: Path) -> LeaseState | None:
    """What the lease says, whoever holds it; None if there is none. CorruptLease, OSError."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        return read_from(descriptor, str(path))
    finally:
        os.close(descriptor)


def hung(state: LeaseState, now: int, hang: float) -> bool:
    """Whether no progress was told for longer than `hang` seconds; `now` is by `boot_time`."""
    return now - state.tick > hang * 10**9


def end_holder(path: Path, hang: float) -> None:
    """Kill the process that holds a lease and hangs, and see it dead. LeadHeld if that may not or cannot be."""
    state = read(path)
    if state is None:
        raise LeadHeld(f"{path}: held by a process that has not told its name yet")
    silent = (boot_time() - state.tick) / 10**9
    holder = f"{path}: process {state.pid} for {state.directory} in epoch {state.epoch}"
    if not hung(state, boot_time(), hang) or state.pid == os.getpid():
        raise LeadHeld(f"{holder} holds it, and told progress {silent:.1f} s ago")
    process = _open_process(state)
    if process is None:
        return
    try:
        _kill(process, holder)
    finally:
        os.close(process)


def _open_process(state: LeaseState) -> int | None:
    """A descriptor of the very process that the lease names; None if it is gone, whoever has its number now."""
    if state.pid < 1:
        return None
    try:
        process = os.pidfd_open(state.pid)
    except ProcessLookupError:
        return None
    # The descriptor keeps to one process, so what is read now is about that one or tells that it is gone.
    if start_time(state.pid) == state.start_time:
        return process
    os.close(process)
    return None


def _kill(process: int, holder: str) -> None:
    try:
        signal.pidfd_send_signal(process, signal.SIGKILL)
    except PermissionError:
        raise LeadHeld(f"{holder} hangs and may not be killed by this user: no promotion; kill it by hand") from None
    except ProcessLookupError:
        return
    waiting = select.poll()
    waiting.register(process, select.POLLIN)
    if not waiting.poll(int(KILL_SECONDS * 1_000)):
        raise LeadHeld(f"{holder} was killed and is not dead after {KILL_SECONDS:.0f} s: no promotion")
