"""The lease: the lead of a venue on one machine, as a `flock` on one file that all its nodes know.

The kernel gives the lock back when its holder dies; no child of the holder keeps it. The content tells who holds it and
how far the venue has come, and outlives the holder. Whoever takes the lock keeps what the content says of the journal
that went on until the first `tell` under its own epoch: a node that dies while it is promoted has changed nothing.
"""

import fcntl
import os
import time
import weakref
from pathlib import Path
from typing import Final

import msgspec

from journal.errors import Diverged, Gap
from journal.files import sync_directory
from journal.journal import Head, Journal
from replicas.lead import CorruptLease, Deposed, LeadHeld, Superseded
from replicas.lease_state import LeaseState, boot_time, end_holder, hung, pack, read, read_from, start_time

__all__ = ["LEASE", "LeaseFile", "LeaseState", "boot_time", "hung", "join", "read", "refuse_stale", "released"]

LEASE: Final = "lease"
"""Name of the lease in a data directory: the file itself in one of them, a symbolic link to it in all others."""

HANG: Final = 1.0
"""Seconds without progress after which a holder counts as hung, unless it is told otherwise."""

_RELEASE_SECONDS: Final = 1.0
_RETRY_SECONDS: Final = 0.005
_held: "weakref.WeakSet[LeaseFile]" = weakref.WeakSet()


class LeaseFile:
    """The lead, held. Made by `claim` or `take`; satisfies `replicas.lead.Lead`."""

    def __init__(self, path: Path, descriptor: int, ours: LeaseState, hang: float, *, fresh: bool) -> None:
        """Hold a file that is locked already; `claim` and `take` do that. `fresh` asks for an epoch that nobody had."""
        self._path = str(path)
        self._descriptor = descriptor
        self._hang = int(hang * 10**9)
        self._lost = ""
        self._announced = False
        self.before = read_from(descriptor, self._path)
        """What the lease said when it was taken, for `refuse_stale`; None for a new one."""
        self.epoch = _granted(self.before, ours, fresh=fresh)
        self._state = msgspec.structs.replace(ours, epoch=self.epoch)
        status = os.fstat(descriptor)
        self._inode = (status.st_dev, status.st_ino)
        self._told = 0
        self._write(_with_holder(self.before or self._state, self._state), sync=True)
        _held.add(self)
        self.check()

    @classmethod
    def claim(
        cls, path: Path, *, directory: Path, address: str, admin: str, epoch: int, hang: float = HANG
    ) -> "LeaseFile":
        """Take a lease that nobody holds, making it where there is none; LeadHeld, CorruptLease.

        `epoch` is that of the caller's journal. The lead has the same one if this directory had it last, otherwise a
        higher one than was ever given: then the venue is promoted before it serves.
        """
        descriptor = _open_locked(path, os.O_CREAT)
        if descriptor is None:
            raise LeadHeld(f"{path}: {_describe(read(path))}")
        lease = cls._hold(path, descriptor, _ours(directory, address, admin, epoch), hang, fresh=False)
        if lease.before is None:
            sync_directory(path.resolve().parent)
        return lease

    @classmethod
    def take(cls, path: Path, *, hang: float, directory: Path, address: str, admin: str, epoch: int = 0) -> "LeaseFile":
        """Take the lease of a holder that died, or that has not told progress for `hang` seconds: that one is killed.

        The lead has a higher epoch than the lease and than `epoch`, that of the caller's journal. LeadHeld if the holder
        lives and tells, may not be killed or is not seen dead; CorruptLease. It may take some seconds.
        """
        descriptor = _open_locked(path, 0)
        if descriptor is None:
            end_holder(path, hang)
            descriptor = _open_locked(path, 0, _RELEASE_SECONDS)
        if descriptor is None:
            raise LeadHeld(f"{path}: its holder is dead, but somebody else has the lock")
        return cls._hold(path, descriptor, _ours(directory, address, admin, epoch), hang, fresh=True)

    @classmethod
    def _hold(cls, path: Path, descriptor: int, ours: LeaseState, hang: float, *, fresh: bool) -> "LeaseFile":
        try:
            return cls(path, descriptor, ours, hang, fresh=fresh)
        except BaseException:
            os.close(descriptor)
            raise

    def check(self) -> None:
        """Deposed unless the lock is held, on the file that the path still names; takes a microsecond or two.

        After a silence as long as the hang limit we may have been declared dead, so the file is asked who holds it.
        """
        if self._lost:
            raise Deposed(f"{self._path}: {self._lost}")
        try:
            status = os.stat(self._path)  # noqa: PTH116 - asked for every batch, and a Path takes three times as long
        except OSError as error:
            raise self._depose(f"the lease is gone: {error.strerror}") from None
        if (status.st_dev, status.st_ino) != self._inode:
            raise self._depose("another file stands in its place")
        if boot_time() - self._told > self._hang:
            self._verify()

    def _verify(self) -> None:
        try:
            state = read_from(self._descriptor, self._path)
        except CorruptLease:
            state = None
        ours = self._state
        if state is None or (state.pid, state.start_time, state.epoch) != (ours.pid, ours.start_time, self.epoch):
            raise self._depose(f"after a silence, it is {_describe(state)}")

    def _depose(self, reason: str) -> Deposed:
        self._lost = f"epoch {self.epoch} was lost: {reason}"
        return Deposed(f"{self._path}: {self._lost}")

    def tell(self, head: Head) -> None:
        """Tell the head and that we live. Deposed.

        The first head of our own epoch makes this directory the one where the venue goes on, durably on return: tell it
        before anybody is answered. Until then only the signs of life change.
        """
        self.check()
        if head.epoch < self.epoch and not self._announced:
            self._write(_with_holder(self.before or self._state, self._state), sync=False)
            return
        ours = {"sequence": head.sequence, "hash": head.hash.hex(), "tick": boot_time()}
        self._state = msgspec.structs.replace(self._state, **ours)
        self._write(self._state, sync=not self._announced)
        self._announced = True

    def _write(self, state: LeaseState, *, sync: bool) -> None:
        try:
            os.pwrite(self._descriptor, pack(state), 0)
            if sync:
                os.fsync(self._descriptor)
        except OSError as error:
            raise self._depose(f"it cannot be written: {error.strerror}") from error
        self._told = state.tick

    def release(self) -> None:
        """Give the lock back; what the lease says stays. Harmless when done twice."""
        self._drop("it was released")

    def _drop(self, reason: str) -> None:
        self._lost = self._lost or reason
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def _drop_in_child() -> None:
    # The lock lasts as long as any copy of the descriptor: a child's would keep it after the holder's death.
    for lease in list(_held):
        lease._drop("it belongs to the process that this one was forked from")  # noqa: SLF001 - same module


os.register_at_fork(after_in_child=_drop_in_child)


def released(path: Path) -> bool:
    """Whether nobody holds the lock: its holder gave it back, or is dead. False where that cannot be looked at."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return _lock(descriptor)
    finally:
        os.close(descriptor)


def refuse_stale(state: LeaseState | None, journal: Journal) -> None:
    """Superseded unless the journal contains the head that the lease tells. Ask before the journal is served or written."""
    if state is None or not state.hash:
        return
    try:
        journal.after(Head(state.epoch, state.sequence, bytes.fromhex(state.hash)))
    except (Gap, Diverged) as error:
        raise Superseded(state.directory, f"up to row {state.sequence}, which this journal lacks ({error})") from None


def join(directory: Path, other: Path) -> Path:
    """Make `directory` a node of the venue whose lease another data directory has; the path of the link. FileExistsError.

    Harmless when it was done before.
    """
    link, target = directory / LEASE, (other / LEASE).resolve()
    if not (link.is_symlink() and link.resolve() == target):
        link.symlink_to(target)
    return link


def _ours(directory: Path, address: str, admin: str, epoch: int) -> LeaseState:
    pid = os.getpid()
    begun = start_time(pid)
    return LeaseState(pid, begun or 0, epoch, str(directory.resolve()), address, admin, 0, "", boot_time())


def _granted(before: LeaseState | None, ours: LeaseState, *, fresh: bool) -> int:
    """An epoch that no other directory ever had, and with `fresh` this one neither."""
    highest = before.epoch if before else 0
    same = before is not None and highest == ours.epoch and before.directory == ours.directory
    if not fresh and (same or highest < ours.epoch):
        return ours.epoch
    return max(highest, ours.epoch) + 1


def _with_holder(state: LeaseState, ours: LeaseState) -> LeaseState:
    """The state with us as its holder, as of now."""
    return msgspec.structs.replace(state, pid=ours.pid, start_time=ours.start_time, epoch=ours.epoch, tick=boot_time())


def _describe(state: LeaseState | None) -> str:
    if state is None:
        return "held by a process that has not told its name yet"
    silent = (boot_time() - state.tick) / 10**9
    return f"held by process {state.pid} for {state.directory} in epoch {state.epoch}, silent for {silent:.1f} s"


def _open_locked(path: Path, flags: int, seconds: float = 0.0) -> int | None:
    """A descriptor that has the lock; None if it does not come free in time.

    The kernel gives back the files of a dead process one after the other, so its lock may take a moment longer.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | flags, 0o644)
    except OSError as error:
        raise LeadHeld(f"{path}: no lease to take: {error.strerror}") from None
    end = time.monotonic() + seconds
    while not _lock(descriptor):
        if time.monotonic() >= end:
            os.close(descriptor)
            return None
        time.sleep(_RETRY_SECONDS)
    return descriptor


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
