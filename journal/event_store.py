"""The event rows of every batch, kept for what must be told again: outbound replay, gap fill, projections.

Derived from the journal and not synced: after a crash it is cut back to what can be trusted and filled again from
the journal; deleting the directory loses nothing.
"""

import shutil
import struct
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Final, NamedTuple

from core.kinds import COLUMNS, ROW_SIZE
from journal.batch import seek_key
from journal.check import columns, rising
from journal.environment import MAP_SIZE, Environment, Settings, build
from journal.errors import CorruptEvents, NotInOrder, UnknownVersion
from journal.files import make_directory

MAGIC: Final = b"LOCKEVNT"
VERSION: Final = 1
DATABASE: Final = b"events"

EVENTS_CODES: Final = ("8s", "H", "H", "I", "Q", "Q", "32s")
"""The `struct` codes of `EventsHeader`, in order; little-endian, without padding."""

_HEADER: Final = struct.Struct("<" + "".join(EVENTS_CODES))
EVENTS_HEADER_SIZE: Final = _HEADER.size
_HASH: Final = EVENTS_HEADER_SIZE - 32


class EventsHeader(NamedTuple):
    """What precedes the event rows; `hash` covers the header before it and the rows."""

    magic: bytes
    version: int
    spare: int
    rows: int
    first: int
    last: int
    hash: bytes


class Events(NamedTuple):
    """The event rows of the commands from `first` to `last`, both included."""

    first: int
    last: int
    rows: bytes


class EventStore:
    """The store in one LMDB environment; the key is the last command's sequence number, 8 bytes big-endian."""

    def __init__(self, path: Path, *, write: bool = False, map_size: int = MAP_SIZE) -> None:
        """Open; a writer makes what is missing. NotAJournal, Locked, AlreadyOpen, CorruptEvents.

        After CorruptEvents or NotAJournal `EventStore.remove` deletes what is there.
        """
        settings = Settings((DATABASE,), CorruptEvents, sync=False, map_size=map_size)
        if write and not (path / "data.mdb").exists():
            make_directory(path)
            build(path, settings).close()
        self._environment = Environment(path, settings, write=write)
        try:
            self._head = self.head_on_disk()
        except BaseException:
            self._environment.close()
            raise

    @staticmethod
    def remove(path: Path) -> None:
        """Delete a store that cannot be opened. It must not be open anywhere; OSError."""
        if path.is_dir():
            shutil.rmtree(path)

    def head(self) -> int:
        """Last command whose events are stored; 0 for an empty store."""
        if not self._environment.writable:
            return self.head_on_disk()
        self._environment.check()
        return self._head

    def head_on_disk(self) -> int:
        """Last command in the file; CorruptEvents if its batch is damaged."""
        entry = self._environment.last(DATABASE)
        return read_events(*entry).last if entry else 0

    def append(self, first: int, last: int, rows: bytes) -> None:
        """Store the events of the commands `first` to `last`, which follow the head unless the store is empty.

        NotInOrder before anything is written; JournalFull and DiskError are final.
        """
        self._environment.check(write=True)
        if last < first or first < 1 or (self._head and first != self._head + 1):
            raise NotInOrder(f"events {first}-{last}: the store ends at {self._head}")
        if len(rows) % ROW_SIZE:
            raise NotInOrder(f"events {first}-{last}: not whole rows")
        self._environment.append(DATABASE, seek_key(last), seal_events(first, last, rows))
        self._head = last

    def read(self, from_sequence: int = 1) -> Iterator[Events]:
        """Events from the batch that contains the command on, each checked; CorruptEvents, UnknownVersion."""
        return (events for events, _ in self.sealed(from_sequence))

    def sealed(self, from_sequence: int = 1) -> Iterator[tuple[Events, bytes]]:
        """As `read`, each with the value as it is stored."""
        self._environment.check()
        return self._checked(seek_key(from_sequence))

    def _checked(self, key: bytes) -> Iterator[tuple[Events, bytes]]:
        last = 0
        for found, value in self._environment.entries(DATABASE, key):
            events = read_events(found, value)
            if last and events.first != last + 1:
                raise CorruptEvents(f"events {events.first}-{events.last}", f"they follow command {last}")
            last = events.last
            yield events, value

    def cut_back(self, to: int) -> int:
        """Remove the events of commands after `to`, and with them those of the batch it falls into; the new head."""
        self._environment.delete_from(DATABASE, seek_key(to + 1))
        self._head = self.head_on_disk()
        return self._head

    def clear(self) -> None:
        """Remove all events."""
        self._environment.delete_from(DATABASE, b"\0")
        self._head = 0

    def used_bytes(self) -> int:
        """Bytes of the map in use."""
        return self._environment.used_bytes()

    def reader_check(self) -> int:
        """Free the slots of readers that died; call it every few seconds."""
        return self._environment.reader_check()

    def close(self) -> None:
        """Give the environment back; harmless when done twice."""
        self._environment.close()


def seal_events(first: int, last: int, rows: bytes) -> bytes:
    """The stored value: header, then rows."""
    head = _HEADER.pack(MAGIC, VERSION, 0, len(rows) // ROW_SIZE, first, last, bytes(32))[:_HASH]
    hashed = sha256(head)
    hashed.update(rows)
    return b"".join((head, hashed.digest(), rows))


def events_header(value: bytes, where: str = "events") -> EventsHeader:
    """What precedes the event rows of a stored value; CorruptEvents if it is too short for that."""
    if len(value) < EVENTS_HEADER_SIZE:
        raise CorruptEvents(where, "they are shorter than a header")
    return EventsHeader._make(_HEADER.unpack_from(value))


def read_events(key: bytes, value: bytes) -> Events:
    """The events stored under a key. CorruptEvents or UnknownVersion names the key and the first check that fails."""
    where = f"events ending at {int.from_bytes(key[:8], 'big')}"
    header = events_header(value, where)
    if header.magic != MAGIC:
        raise CorruptEvents(where, "they do not begin with LOCKEVNT")
    if header.version != VERSION:
        raise UnknownVersion(where, f"event store version {header.version}, this release reads {VERSION}")
    reason = _refuse(header, key, value)
    if reason:
        raise CorruptEvents(where, reason)
    return Events(header.first, header.last, value[EVENTS_HEADER_SIZE:])


def _refuse(header: EventsHeader, key: bytes, value: bytes) -> str | None:
    if len(value) != EVENTS_HEADER_SIZE + header.rows * ROW_SIZE:
        return "their length is not that of header and rows"
    hashed = sha256(value[:_HASH])
    hashed.update(memoryview(value)[EVENTS_HEADER_SIZE:])
    if hashed.digest() != header.hash:
        return "their hash is not that of their bytes"
    if key != seek_key(header.last) or header.first > header.last:
        return "they stand under another key"
    numbers = columns(value, EVENTS_HEADER_SIZE)[1::COLUMNS]
    if numbers and not (header.first <= numbers[0] and numbers[-1] <= header.last and rising(numbers)):
        return "the sequence numbers of the rows are not in order or belong to other commands"
    return None
