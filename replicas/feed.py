"""The feed: sealed batches of the journal that a standby follows, and the doorbell that wakes it.

A standby knows nothing else of where batches come from: the primary's journal directory on the same machine, or a journal
in memory for tests and simulation.
"""

import os
import select
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, Protocol

from core.kinds import ROW_SIZE
from journal.batch import GENESIS, BatchKind, read_header
from journal.directory import JournalDirectory, segment_firsts
from journal.errors import DiskError, Gap, NotAJournal
from journal.event_slices import EventSlices
from journal.event_store import EVENTS_HEADER_SIZE, Events, EventStore
from journal.journal import Head, Journal
from journal.state import seal_state

DOORBELL: Final = "doorbell"
"""Name of the doorbell's socket in a data directory."""

_BACKLOG: Final = 16
_RINGS: Final = 4_096
"""Bytes read at once: so many rings are one."""


class Feed(Protocol):
    """Another node's journal, to be followed. Every error is a `journal.errors.JournalError`."""

    def after(self, head: Head) -> Iterator[bytes]:
        """Sealed batches behind a head, state and closing batches included, up to the present end.

        Gap if the followed journal ends before the head, Diverged if another batch stands there.
        """

    def head(self) -> Head:
        """The present end of the followed journal."""

    def state_batches(self) -> list[bytes]:
        """The sealed state batches that its current segment begins with: where a new standby begins."""

    def settle(self) -> None:
        """Show all that the writer ever committed, now that it is known to be dead, and keep others from writing there.

        Locked if somebody writes there still.
        """

    def events_before(self, first: int) -> Iterator[Events]:
        """The events of rows before `first`, as far as the followed node keeps them; they cannot be made again here."""

    def close(self) -> None:
        """Give everything back; harmless when done twice."""


class MemoryFeed:
    """The feed of a journal in memory; closing it leaves the journal open."""

    def __init__(self, journal: Journal) -> None:
        """Follow a journal of this process."""
        self._journal = journal

    def after(self, head: Head) -> Iterator[bytes]:
        """Sealed batches behind a head."""
        return self._journal.after(head)

    def head(self) -> Head:
        """The present end of the journal."""
        return self._journal.head()

    def state_batches(self) -> list[bytes]:
        """The state batches of the current segment; Gap if its first ones cannot be told from what the journal shows."""
        first = self._journal.first
        found = [value for value in self._journal.batches() if _begins(value, first)]
        if found:
            return found
        last = self._journal.header_at(first - 1)
        if last is None:
            raise Gap(f"state at {first - 1}", "the journal does not show it")
        previous = last.previous if last.rows * ROW_SIZE == len(self._journal.state()) else GENESIS
        made = seal_state(self._journal.state(), semantics=last.semantics, epoch=last.epoch, previous=previous)
        if read_header(made[-1]).hash != last.hash:
            raise Gap(f"state at {first - 1}", "the journal does not show what stood before it")
        return made

    def settle(self) -> None:
        """Whatever was committed is shown at once."""

    def events_before(self, first: int) -> Iterator[Events]:
        """None: a journal in memory keeps no events."""
        del first
        return iter(())

    def close(self) -> None:
        """Nothing is held."""


def _begins(value: bytes, first: int) -> bool:
    header = read_header(value)
    return header.kind == BatchKind.STATE and header.first == first


class DirectoryFeed:
    """The feed of a journal directory that another process writes or wrote; it goes on across the roll of segments."""

    def __init__(self, path: Path) -> None:
        """Open the journal for reading. NotAJournal, AlreadyOpen, or the damage at either end of its last segment."""
        self._path = path
        with self._reading():
            self._directory = JournalDirectory(path)

    def _check_present(self) -> None:
        # A node that starts anew moves its journal away, and what is still open here is followed no more.
        if not segment_firsts(self._path):
            raise NotAJournal(f"{self._path}: no journal here")

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise DiskError(f"{self._path}: {error}") from error

    def after(self, head: Head) -> Iterator[bytes]:
        """Sealed batches behind a head; no transaction is held between two of them."""
        with self._reading():
            self._check_present()
            values = self._directory.after(head)
        return self._guarded(values)

    def _guarded(self, values: Iterator[bytes]) -> Iterator[bytes]:
        while True:
            with self._reading():
                value = next(values, None)
            if value is None:
                return
            yield value

    def head(self) -> Head:
        """The present end of the journal, in whichever segment it is."""
        with self._reading():
            self._check_present()
            return self._directory.head()

    def state_batches(self) -> list[bytes]:
        """The state batches of the newest segment, as they stand."""
        with self._reading():
            self._check_present()
            return self._directory.current().state_batches()

    def settle(self) -> None:
        """Take the dead writer's place, so that all it committed is seen, and no other one begins there. Locked.

        A writer that dies in a commit may have made a batch durable without telling the readers that have the
        environment open: LMDB mends that for the next one that opens it for writing. Nobody was answered for that batch,
        so where the disk or the file's owner lets nobody write, reading has to do.
        """
        self._directory.close()
        with self._reading():
            self._check_present()
            try:
                self._directory = JournalDirectory(self._path, write=True)
            except (DiskError, OSError):
                self._directory = JournalDirectory(self._path)

    def events_before(self, first: int) -> Iterator[Events]:
        """The events of rows before `first` in the node's event store. NotAJournal, Damaged."""
        store = EventStore(self._directory.events)
        try:
            # Cut as the journal's batches are, so that they are the same on both nodes.
            for piece in EventSlices(self._directory, store).forward():
                if piece.last >= first:
                    return
                yield Events(piece.first, piece.last, piece.sealed[EVENTS_HEADER_SIZE:])
        finally:
            store.close()

    def close(self) -> None:
        """Give the journal back; harmless when done twice."""
        self._directory.close()


@contextmanager
def _short(path: Path) -> Iterator[str]:
    """A name of the socket that fits into the 108 bytes which a socket's name may have, however deep it stands."""
    descriptor = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{descriptor}/{path.name}"
    finally:
        os.close(descriptor)


class Doorbell:
    """The primary's side: a Unix socket whose followers get one byte for each ring. It never waits for anyone."""

    def __init__(self, path: Path) -> None:
        """Listen at the path, in place of what an earlier writer of the same directory left there; OSError."""
        self._path = path
        self._followers: list[socket.socket] = []
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.settimeout(0)
        path.unlink(missing_ok=True)
        with _short(path) as name:
            self._listener.bind(name)
        path.chmod(0o600)
        self._listener.listen(_BACKLOG)

    @property
    def followers(self) -> int:
        """How many were connected at the last ring."""
        return len(self._followers)

    def ring(self) -> None:
        """Wake every follower; whoever is gone, or does not read what it is sent, is dropped."""
        with suppress(OSError):
            while True:
                follower, _ = self._listener.accept()
                follower.settimeout(0)
                self._followers.append(follower)
        for follower in list(self._followers):
            try:
                follower.send(b"\1", socket.MSG_NOSIGNAL)
            except OSError:
                self._followers.remove(follower)
                follower.close()

    def close(self) -> None:
        """Hang up, and take the socket's name away; harmless when done twice."""
        if self._listener.fileno() < 0:
            return
        for opened in (*self._followers, self._listener):
            opened.close()
        self._followers.clear()
        with suppress(OSError):
            # On a disk that takes nothing any more the name stays; the next one replaces it.
            self._path.unlink()


class DoorbellClient:
    """The standby's side. Where nobody listens it is a timer, so that the primary may come and go."""

    def __init__(self, path: Path) -> None:
        """Nothing is connected before the first `wait`."""
        self._path = path
        self._socket: socket.socket | None = None

    def wait(self, timeout: float) -> bool:
        """Wait for a ring, at most so many seconds; whether there is a reason to look at the feed.

        A new connection and one that ended are reasons too: what was rung before the one or after the other is not told.
        """
        if self._socket is None and self._connect():
            return True
        waiting = [] if self._socket is None else [self._socket]
        ready, _, _ = select.select(waiting, [], [], max(0.0, timeout))
        if ready and self._socket is not None:
            self._read(self._socket)
        return bool(ready)

    def _connect(self) -> bool:
        connecting = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connecting.settimeout(0)
        try:
            with _short(self._path) as name:
                connecting.connect(name)
        except OSError:
            connecting.close()
            return False
        self._socket = connecting
        return True

    def _read(self, connected: socket.socket) -> None:
        try:
            data = connected.recv(_RINGS)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.close()

    def close(self) -> None:
        """Hang up; harmless when done twice."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
