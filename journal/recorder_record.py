"""One stored event as a value in LMDB: a header, the originator, the topic and the state, under a hash of its own.

LMDB keeps no checksums, so that a flipped bit would reach an aggregate unseen.
"""

import struct
from hashlib import sha256
from typing import Final, NamedTuple
from uuid import UUID

from eventsourcing.persistence import DataError, Notification, StoredEvent

from journal.errors import CorruptRecord

ORIGINATOR_MAX: Final = 500
"""Bytes of an originator id or an application name: with its length and a version it has to fit a key of LMDB."""

TOPIC_MAX: Final = 2**16 - 1
"""Bytes of a topic."""

NUMBER_MAX: Final = 2**63 - 1
"""Largest version, notification id and tracking id."""

RECORD_CODES: Final = ("32s", "Q", "Q", "H", "H", "H", "H")
"""The `struct` codes of `RecordHeader`, in order; little-endian, without padding."""

_HEADER: Final = struct.Struct("<" + "".join(RECORD_CODES))
RECORD_HEADER_SIZE: Final = _HEADER.size
_HASHED: Final = 32


class RecordHeader(NamedTuple):
    """What precedes originator, topic and state; `hash` covers all that follows it."""

    hash: bytes
    id: int
    version: int
    uuid: int
    """1 if the originator id is a UUID, 0 if it is text."""
    originator: int
    topic: int
    spare: int


class Prepared(NamedTuple):
    """An event that may be stored: its key in the index, and its record but for hash and id."""

    key: bytes
    version: int
    sizes: tuple[int, int, int]
    """Whether the originator id is a UUID, bytes of originator, bytes of topic."""
    body: bytes


def number_key(number: int) -> bytes:
    """A key that sorts as its number; DataError below 0 or above `NUMBER_MAX`."""
    if not 0 <= number <= NUMBER_MAX:
        raise DataError(f"{number} is not between 0 and {NUMBER_MAX}")
    return number.to_bytes(8, "big")


def text_key(text: str) -> bytes:
    """A key of which no other is the beginning; DataError if the text is longer than `ORIGINATOR_MAX` bytes."""
    encoded = _encoded(text, ORIGINATOR_MAX)
    return len(encoded).to_bytes(2, "big") + encoded


def _encoded(text: str, longest: int) -> bytes:
    try:
        encoded = text.encode()
    except UnicodeEncodeError as error:
        raise DataError(f"{text!r} is not text: {error.reason}") from None
    if len(encoded) > longest:
        raise DataError(f"{text[:40]!r}... has {len(encoded)} bytes, at most {longest} are taken")
    return encoded


def event_key(event: StoredEvent) -> bytes:
    """The key of an event in the index: originator, then version; DataError for what cannot be stored."""
    return text_key(str(event.originator_id)) + number_key(event.originator_version)


def prepare(event: StoredEvent) -> Prepared:
    """What can be done before the transaction; DataError for what cannot be stored."""
    key = event_key(event)
    originator, topic = key[2:-8], _encoded(event.topic, TOPIC_MAX)
    sizes = (isinstance(event.originator_id, UUID), len(originator), len(topic))
    return Prepared(key, event.originator_version, sizes, b"".join((originator, topic, event.state)))


def seal(number: int, event: Prepared) -> bytes:
    """The stored value of the event with this notification id."""
    hashed = _HEADER.pack(b"", number, event.version, *event.sizes, 0)[_HASHED:] + event.body
    return sha256(hashed).digest() + hashed


def read_record(number: int, value: bytes | None) -> Notification:
    """The event stored under a notification id; CorruptRecord names the first check that fails."""
    where = f"record {number}"
    if value is None:
        raise CorruptRecord(where, "it is missing")
    if len(value) < RECORD_HEADER_SIZE:
        raise CorruptRecord(where, "it is shorter than a header")
    header = RecordHeader._make(_HEADER.unpack_from(value))
    if sha256(memoryview(value)[_HASHED:]).digest() != header.hash:
        raise CorruptRecord(where, "its hash is not that of its bytes")
    if header.id != number:
        raise CorruptRecord(where, f"it is record {header.id}")
    topic = RECORD_HEADER_SIZE + header.originator
    state = topic + header.topic
    originator = value[RECORD_HEADER_SIZE:topic].decode()
    return Notification(
        id=number,
        originator_id=UUID(originator) if header.uuid else originator,
        originator_version=header.version,
        topic=value[topic:state].decode(),
        state=value[state:],
    )


def event_of(record: Notification) -> StoredEvent:
    """A record without its notification id."""
    return StoredEvent(record.originator_id, record.originator_version, record.topic, record.state)
