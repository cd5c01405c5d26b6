"""A journal directory: segments in a row, one chain through all of them, and the caches beside them.

    DIR/segments/<20-digit first sequence number>/data.mdb    the journal; nothing else counts
    DIR/snapshots/                                            a cache, see journal/snapshots.py
    DIR/events/                                               derived, see journal/event_store.py

A segment is built under a name that begins with a dot and renamed when it is complete, so a segment under its own
name is whole. What an interrupted roll left is ignored by readers and removed by the next writer.
"""

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from journal.batch import GENESIS, BatchKind, Header
from journal.environment import MAP_SIZE
from journal.errors import DiskError, Exists, Gap, JournalError, NotAJournal, NotInOrder
from journal.files import WriterLock, make_directory, move_durably
from journal.journal import Head
from journal.order import closing_and_state, header_to_append, stage, unknown_head
from journal.segment import Segment, build_segment
from journal.state import check_batches, ends_state, seal_state

SEGMENTS: Final = "segments"
SNAPSHOTS: Final = "snapshots"
EVENTS: Final = "events"
_BUILDING: Final = ".building-"
_DIGITS: Final = 20


def segment_name(first: int) -> str:
    """The directory name of a segment, which sorts by its first sequence number."""
    return f"{first:0{_DIGITS}}"


def segment_firsts(path: Path) -> list[int]:
    """First sequence numbers of the complete segments, in order; empty if there are none."""
    folder = path / SEGMENTS
    if not folder.is_dir():
        return []
    names = (entry.name for entry in folder.iterdir())
    return sorted(int(name) for name in names if len(name) == _DIGITS and name.isdecimal() and name.isascii())


class JournalDirectory:
    """A `RollingJournal` on disk. See `journal.journal` for what every method promises.

    Segments before the current one are opened for reading when they are first asked for, and stay open.
    """

    def __init__(self, path: Path, *, write: bool = False, map_size: int = MAP_SIZE) -> None:
        """Open what exists. NotAJournal, Locked, AlreadyOpen, or CorruptBatch at either end of the current segment."""
        if not segment_firsts(path):
            raise NotAJournal(f"{path}: no journal here")
        self._path = path
        self._map_size = map_size
        self._segments: dict[int, Segment] = {}
        self._staged: list[bytes] = []
        self._dead: JournalError | None = None
        self._lock = WriterLock(path) if write else None
        try:
            self._remove_unfinished()
            self._current = self._open_newest()
        except BaseException:
            self.close()
            raise

    @classmethod
    def create(
        cls,
        path: Path,
        state_rows: bytes,
        *,
        semantics: int,
        epoch: int = 1,
        flags: int = 0,
        map_size: int = MAP_SIZE,
    ) -> "JournalDirectory":
        """Begin a venue's journal with its state rows, END row included, and open it for writing.

        Exists if there is a journal, NotAJournal if the directory holds anything else; JournalFull, DiskError.
        """
        values = seal_state(state_rows, semantics=semantics, epoch=epoch, previous=GENESIS, flags=flags)
        return cls.adopt(path, values, map_size=map_size)

    @classmethod
    def adopt(cls, path: Path, values: Sequence[bytes], *, map_size: int = MAP_SIZE) -> "JournalDirectory":
        """Begin a copy of another node's journal with the state batches of one of its segments, byte for byte."""
        last, _ = check_batches(values)
        if segment_firsts(path):
            raise Exists(f"{path}: holds a journal")
        if path.is_dir() and {entry.name for entry in path.iterdir()} - {SEGMENTS, SNAPSHOTS, EVENTS}:
            raise NotAJournal(f"{path}: holds other files")
        try:
            for name in (SEGMENTS, SNAPSHOTS, EVENTS):
                make_directory(path / name)
            lock = WriterLock(path)
            try:
                _put_segment(path, last.first, values, map_size)
            finally:
                lock.release()
        except OSError as error:
            raise DiskError(f"{path}: {error}") from error
        return cls(path, write=True, map_size=map_size)

    def _remove_unfinished(self) -> None:
        if self._lock is None:
            return
        for entry in (self._path / SEGMENTS).iterdir():
            if entry.name.startswith(_BUILDING):
                shutil.rmtree(entry)

    def _open_newest(self) -> int:
        first = segment_firsts(self._path)[-1]
        self._segments[first] = self._open_segment(first, write=self._lock is not None)
        return first

    def _open_segment(self, first: int, *, write: bool) -> Segment:
        segment = Segment(self._path / SEGMENTS / segment_name(first), write=write, map_size=self._map_size)
        if segment.first != first:
            segment.close()
            raise Gap(f"segment {segment_name(first)}", f"it begins at {segment.first}")
        return segment

    @property
    def path(self) -> Path:
        """The journal directory."""
        return self._path

    @property
    def snapshots(self) -> Path:
        """Where the snapshots stand."""
        return self._path / SNAPSHOTS

    @property
    def events(self) -> Path:
        """Where the event store stands."""
        return self._path / EVENTS

    def segments(self) -> list[int]:
        """First sequence numbers of all segments, oldest first."""
        return segment_firsts(self._path)

    def segment(self, first: int) -> Segment:
        """The segment that begins at the number, open until the directory is closed."""
        if first not in self._segments:
            self._segments[first] = self._open_segment(first, write=False)
        return self._segments[first]

    def current(self) -> Segment:
        """The newest segment; a reader looks for a newer one when this one was closed."""
        segment = self._segments[self._current]
        if self._lock is None and segment.closed():
            self._current = self.segments()[-1]
            segment = self.segment(self._current)
        return segment

    @property
    def first(self) -> int:
        """First sequence number of the current segment."""
        return self.current().first

    @property
    def semantics(self) -> int:
        """Semantics version of the current segment; `segment(first).semantics` for others."""
        return self.current().semantics

    @property
    def flags(self) -> int:
        """Flags of all batches: 0, or journal.batch.COUNTERFACTUAL."""
        return self.current().flags

    def head(self) -> Head:
        """The end of the journal."""
        self._check_alive()
        return self.current().head()

    def closed(self) -> bool:
        """Whether the last batch is a closing batch."""
        return self.current().closed()

    def append(self, value: bytes) -> None:
        """Store a batch, durable on return.

        State batches are the exception: they are gathered until the last one is there, then begin a segment at
        once. Until then the head does not move, and a process that dies gets them again.
        """
        self._check_alive()
        header = header_to_append(value)
        if header.kind == BatchKind.STATE:
            self._stage(header, value)
            return
        self.current().append(value)
        self._staged = []

    def _stage(self, header: Header, value: bytes) -> None:
        if self._lock is None:
            raise NotInOrder(f"{self._path}: opened for reading")
        self._staged = stage(self._staged, header, value, self.head(), closed=self.closed())
        if ends_state(value):
            staged, self._staged = self._staged, []
            self._begin_segment(header.first, staged)

    def _begin_segment(self, first: int, values: list[bytes]) -> None:
        check_batches(values, f"state of segment {first}")
        try:
            _put_segment(self._path, first, values, self._map_size)
            segment = self._open_segment(first, write=True)
        except (JournalError, OSError) as error:
            self._dead = error if isinstance(error, JournalError) else DiskError(f"{self._path}: {error}")
            raise self._dead from error
        # The old one stays open for whoever is reading it; nothing is appended to it any more.
        self._segments[first] = segment
        self._current = first

    def roll(self, state_rows: bytes, *, semantics: int, epoch: int) -> None:
        """Close the segment and begin one with this state."""
        for value in closing_and_state(self, state_rows, semantics=semantics, epoch=epoch):
            self.append(value)

    def batches(self, from_sequence: int = 1) -> Iterator[bytes]:
        """The batch that contains the number, then all that follow."""
        firsts = self.segments()
        first = max((number for number in firsts if number <= from_sequence), default=firsts[0])
        return self._through(first, self.segment(first).key_before(from_sequence))

    def after(self, head: Head) -> Iterator[bytes]:
        """All batches that follow a head."""
        for first in reversed(self.segments()):
            key = self.segment(first).key_after(head) if first <= head.sequence + 1 else None
            if key is not None:
                return self._through(first, key)
        raise unknown_head(head, self.head())

    def _through(self, first: int, key: bytes) -> Iterator[bytes]:
        while True:
            # Looked up before the end is reached: once a next segment stands, nothing is added to this one.
            following = self._following(first)
            for found, value in self.segment(first).entries(key):
                yield value
                key = found + b"\0"
            if following is not None:
                first, key = following, b""
                yield from self.segment(first).state_batches()
            elif self._following(first) is None:
                return

    def _following(self, first: int) -> int | None:
        return min((number for number in self.segments() if number > first), default=None)

    def header_at(self, sequence: int) -> Header | None:
        """Header of the batch that ends at the number; of the state up to it, if no segment holds the batch."""
        for first in reversed(self.segments()):
            if first <= sequence:
                return self.segment(first).header_at(sequence)
        return self.segment(self.segments()[0]).header_at(sequence)

    def state(self) -> bytes:
        """The state rows that the current segment begins with, checked."""
        return self.current().state()

    def used_bytes(self) -> int:
        """Bytes of the current segment's map in use; roll at half its map."""
        return self.current().used_bytes()

    def reader_check(self) -> int:
        """Free the slots of readers that died; call it every few seconds."""
        return self.current().reader_check()

    def _check_alive(self) -> None:
        if self._dead is not None:
            raise type(self._dead)(*self._dead.args)

    def close(self) -> None:
        """Give everything back; harmless when done twice."""
        for segment in self._segments.values():
            segment.close()
        if self._lock is not None:
            self._lock.release()


def _put_segment(path: Path, first: int, values: Sequence[bytes], map_size: int) -> None:
    building = path / SEGMENTS / f"{_BUILDING}{segment_name(first)}"
    target = path / SEGMENTS / segment_name(first)
    if target.exists():
        raise Exists(f"{target}: holds a segment")
    if building.exists():
        shutil.rmtree(building)
    build_segment(building, values, map_size=map_size)
    move_durably(building, target)
