"""Files and directories that survive a crash: synced writes, the lock of the one writer, the guard against forks."""

import errno
import fcntl
import os
import weakref
from contextlib import suppress
from pathlib import Path

from journal.errors import AlreadyOpen, Closed, Forked, Locked

_locks: "weakref.WeakSet[WriterLock]" = weakref.WeakSet()
_opened: set[tuple[int, int]] = set()


def sync_directory(path: Path) -> None:
    """Make the names in a directory durable; OSError if the disk refuses."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_directory(path: Path) -> None:
    """Make a directory and its missing parents, each durable in its own parent."""
    if path.is_dir():
        return
    make_directory(path.parent)
    path.mkdir(exist_ok=True)
    sync_directory(path.parent)


def write_durably(path: Path, parts: tuple[bytes, ...]) -> None:
    """Write a whole file or nothing: under a temporary name, synced, then renamed. OSError leaves the old file."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.writelines(parts)
            file.flush()
            os.fsync(file.fileno())
        move_durably(temporary, path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise


def move_durably(source: Path, target: Path) -> None:
    """Rename within one directory and make the new name durable."""
    source.rename(target)
    sync_directory(target.parent)


class WriterLock:
    """The lock of the one writer: a `flock` on the directory itself, so that no lock file can be lost or left over.

    The kernel releases it when the holder dies. A forked child drops its copy at once, for it would keep the
    lock alive after its parent.
    """

    def __init__(self, path: Path) -> None:
        """Take the lock without waiting; Locked if another writer has it."""
        self._descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self.release()
            if error.errno == errno.EWOULDBLOCK:
                raise Locked(f"{path}: another writer holds this journal") from None
            raise
        _locks.add(self)

    def release(self) -> None:
        """Give the lock back; harmless when done twice."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def _drop_locks() -> None:
    # Closing the child's copy of a descriptor does not unlock: the parent's copy still holds.
    for lock in list(_locks):
        lock.release()


os.register_at_fork(after_in_child=_drop_locks)


class Handle:
    """One LMDB environment of this process: refuses a second opening, use after close and use after a fork."""

    def __init__(self, path: Path) -> None:
        """Claim the directory; AlreadyOpen if this process has it open under any name."""
        status = path.stat()
        self._inode = (status.st_dev, status.st_ino)
        if self._inode in _opened:
            raise AlreadyOpen(f"{path}: already open in this process")
        self._path = path
        self._pid = os.getpid()
        self._open = True
        _opened.add(self._inode)

    def check(self) -> None:
        """Forked or Closed, if the environment must not be touched."""
        if os.getpid() != self._pid:
            raise Forked(f"{self._path}: opened before a fork; open it anew in the child")
        if not self._open:
            raise Closed(f"{self._path}: closed")

    def release(self) -> bool:
        """Give the directory back; False if that has been done, or if this is a forked child."""
        if not self._open or os.getpid() != self._pid:
            return False
        _opened.discard(self._inode)
        self._open = False
        return True
