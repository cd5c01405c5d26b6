"""One segment of the journal in one LMDB environment: its state batches, then the batches that followed.

Two databases: `state` holds the state batches under their index, `batches` all others under `journal.batch.key_of`.
"""

import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from journal.batch import GENESIS, HEADER_SIZE, BatchKind, Header, key_of, read_header, seek_key
from journal.check import check
from journal.environment import MAP_SIZE, Environment, Settings, build
from journal.errors import CorruptBatch, Exists, NotAJournal
from journal.files import make_directory, sync_directory
from journal.journal import Head
from journal.order import head_of, header_to_append, refuse_append, unknown_head
from journal.state import check_batches, ends_state, seal_state

STATE: Final = b"state"
BATCHES: Final = b"batches"


def _settings(map_size: int) -> Settings:
    return Settings((STATE, BATCHES), CorruptBatch, map_size=map_size)


def build_segment(path: Path, values: Sequence[bytes], *, map_size: int = MAP_SIZE) -> None:
    """Write a new segment with these state batches, durable on return but for its own name in its parent.

    Exists if the directory holds one; JournalFull, DiskError; OSError from the directory.
    """
    make_directory(path)
    if (path / "data.mdb").exists():
        raise Exists(f"{path}: holds a segment")
    environment = build(path, _settings(map_size))
    environment.close()
    segment = Environment(path, _settings(map_size), write=True)
    try:
        for index, value in enumerate(values):
            segment.append(STATE, struct.pack(">Q", index), value)
    finally:
        segment.close()
    sync_directory(path)


class Segment:
    """A `Journal` of one segment. See `journal.journal.Journal` for what every method promises."""

    def __init__(self, path: Path, *, write: bool = False, map_size: int = MAP_SIZE, check_last: bool = True) -> None:
        """Open what exists, for reading beside a writer of another process, or as the one writer.

        NotAJournal, Locked, AlreadyOpen, or CorruptBatch if the first or last batch fails its own checks. Only a
        verification, which checks every batch in order, leaves the last to be checked in its turn.
        """
        self._path = path
        self._environment = Environment(path, _settings(map_size), write=write)
        try:
            self._origin, self._state_end = self._read_ends()
            self._last = self._read_last() if check_last else self._state_end
        except BaseException:
            self._environment.close()
            raise

    @classmethod
    def create(
        cls,
        path: Path,
        state_rows: bytes,
        *,
        semantics: int,
        epoch: int = 1,
        previous: bytes = GENESIS,
        map_size: int = MAP_SIZE,
    ) -> "Segment":
        """Begin a segment with these state rows, END row included, and open it for writing."""
        values = seal_state(state_rows, semantics=semantics, epoch=epoch, previous=previous)
        build_segment(path, values, map_size=map_size)
        sync_directory(path.parent)
        return cls(path, write=True, map_size=map_size)

    def _read_ends(self) -> tuple[Header, Header]:
        first, last = self._environment.at_or_after(STATE, b""), self._environment.last(STATE)
        if first is None or last is None or not ends_state(last[1]):
            raise NotAJournal(f"{self._path}: a segment without its state")
        return check(first[1]), check(last[1])

    def _read_last(self) -> Header:
        entry = self._environment.last(BATCHES)
        return check(entry[1], key=entry[0]) if entry else self._state_end

    @property
    def path(self) -> Path:
        """The directory of the environment."""
        return self._path

    @property
    def first(self) -> int:
        """First sequence number of the segment."""
        return self._origin.first

    @property
    def semantics(self) -> int:
        """Semantics version of all its batches."""
        return self._origin.semantics

    @property
    def flags(self) -> int:
        """Flags of all its batches."""
        return self._origin.flags

    @property
    def previous(self) -> bytes:
        """The hash that the segment before ended with; 32 zero bytes for a venue's first."""
        return self._origin.previous

    def last_header(self) -> Header:
        """Header of the last batch. The writer knows it; a reader looks."""
        if not self._environment.writable:
            return self._read_last()
        # The writer's head moves only after a commit, so it never names what may be lost.
        self._environment.check()
        return self._last

    def head(self) -> Head:
        """The end of the segment."""
        return head_of(self.last_header())

    def closed(self) -> bool:
        """Whether the last batch is a closing batch."""
        return self.last_header().kind == BatchKind.CLOSING

    def append(self, value: bytes) -> None:
        """Store a batch of commands or a closing batch, durable on return. A state batch is NotInOrder here."""
        self._environment.check(write=True)
        header = header_to_append(value)
        refuse_append(header, self._last)
        self._environment.append(BATCHES, key_of(header), value)
        self._last = header

    def batches(self, from_sequence: int = 1) -> Iterator[bytes]:
        """The batch that contains the number, then all that follow."""
        return (value for _, value in self.entries(self.key_before(from_sequence)))

    def after(self, head: Head) -> Iterator[bytes]:
        """All batches that follow a head."""
        key = self.key_after(head)
        if key is None:
            raise unknown_head(head, self.head())
        return (value for _, value in self.entries(key))

    def key_before(self, sequence: int) -> bytes:
        """The key from which on `batches` reads."""
        return b"" if sequence <= self.first else seek_key(sequence)

    def key_after(self, head: Head) -> bytes | None:
        """The key from which on batches follow a head; None if the segment does not hold it."""
        for key, value in self.entries(seek_key(head.sequence)):
            header = read_header(value)
            if header.last != head.sequence:
                break
            if header.hash == head.hash:
                return key + b"\0"
        return b"" if head_of(self._state_end)[1:] == head[1:] else None

    def entries(self, key: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """Keys and values of all batches but the state's, from a key on."""
        self._environment.check()
        return self._environment.entries(BATCHES, key)

    def header_at(self, sequence: int) -> Header | None:
        """Header of the batch or state that ends at the number, with the batch's own checks done."""
        value = self._environment.get(BATCHES, seek_key(sequence))
        if value is not None:
            return check(value, key=seek_key(sequence))
        return self._state_end if sequence == self._state_end.last else None

    def state_batches(self) -> list[bytes]:
        """The state batches in order, as they stand."""
        return [value for _, value in self._environment.entries(STATE)]

    def state(self) -> bytes:
        """The state rows, checked against their chain and their END row. CorruptBatch."""
        values = self.state_batches()
        check_batches(values, f"state of segment {self.first}")
        return b"".join(value[HEADER_SIZE:] for value in values)

    def used_bytes(self) -> int:
        """Bytes of the map in use; a segment rolls at half its map."""
        return self._environment.used_bytes()

    def reader_check(self) -> int:
        """Free the slots of readers that died; call it every few seconds."""
        return self._environment.reader_check()

    def close(self) -> None:
        """Give the environment back; harmless when done twice."""
        self._environment.close()
