"""The sealed batch: a fixed header, then rows; docs/journal-format.md gives the offsets.

A batch never changes once it is sealed: standbys store the very bytes that the primary wrote. Its hash covers the
header before it and the body; through `previous` it covers every batch before it as well.
"""

import struct
from enum import Enum, IntEnum
from hashlib import sha256
from typing import Final, NamedTuple

from core.kinds import ROW_SIZE
from core.limits import SUM_MAX
from journal.errors import CorruptBatch, UnknownVersion

MAGIC: Final = b"LOCKSTEP"
VERSION: Final = 1
GENESIS: Final = bytes(32)
"""Previous hash of the first state batch of a venue."""

HEADER_CODES: Final = ("8s", "H", "H", "H", "H", "Q", "Q", "I", "I", "q", "Q", "32s", "32s", "32s")
"""The `struct` codes of the header's fields, in the order of `Header`; little-endian, without padding."""

_HEADER: Final = struct.Struct("<" + "".join(HEADER_CODES))
HEADER_SIZE: Final = _HEADER.size
_HASH: Final = HEADER_SIZE - 32


COUNTERFACTUAL: Final = 1
"""Flag of every batch of a journal that tells what did not happen: it can be asked, and no node serves it."""


class BatchKind(IntEnum):
    """What a batch holds: command rows, state rows, or nothing (a closing batch)."""

    COMMANDS = 1
    STATE = 2
    CLOSING = 3


class Check(Enum):
    """What a reader checks, in this order: of several that fail, the first is named."""

    LENGTH = "its length is not that of header and body"
    MAGIC = "it does not begin with LOCKSTEP"
    VERSION = "its format version is unknown"
    KIND = "its kind is unknown"
    BODY = "its body is not its count of rows"
    HASH = "its hash is not that of its bytes"
    PREVIOUS = "its previous hash is not the hash of the batch before"
    FIRST = "its first sequence number is out of bounds"
    KEY = "it stands under another key"
    SEQUENCE = "the sequence numbers of its rows are not dense from its first"
    TIME = "the times of its rows do not rise"
    BASE_TIME = "its base time is not the time of its first row"
    QUARANTINE = "a quarantine row stands elsewhere than first"
    APPLIED = "it was applied further than it could be when it was sealed"


class Header(NamedTuple):
    """What precedes the rows. Times are in nanoseconds since 1970; hashes are SHA-256, 32 bytes."""

    magic: bytes
    version: int
    kind: int
    semantics: int
    flags: int
    epoch: int
    first: int
    rows: int
    body: int
    base_time: int
    applied: int
    digest: bytes
    previous: bytes
    hash: bytes

    @property
    def last(self) -> int:
        """Sequence number after which the batch leaves the journal; for state and closing batches `first - 1`."""
        return self.first + self.rows - 1 if self.kind == BatchKind.COMMANDS else self.first - 1


def seal(
    rows: bytes,
    *,
    kind: int = BatchKind.COMMANDS,
    semantics: int,
    flags: int = 0,
    epoch: int,
    first: int,
    base_time: int,
    applied: int,
    digest: bytes,
    previous: bytes,
) -> bytes:
    """The batch as it goes to disk. `digest` is the event digest up to `applied`, `previous` the head's hash."""
    count = len(rows) // ROW_SIZE
    fields = (kind, semantics, flags, epoch, first, count, len(rows), base_time, applied, digest, previous)
    head = _HEADER.pack(MAGIC, VERSION, *fields, GENESIS)[:_HASH]
    hashed = sha256(head)
    hashed.update(rows)
    return b"".join((head, hashed.digest(), rows))


def read_header(value: bytes, where: str = "batch") -> Header:
    """The header of a sealed batch, without checking its hash. CorruptBatch or UnknownVersion."""
    if len(value) < HEADER_SIZE:
        raise CorruptBatch(where, Check.LENGTH.value)
    header = Header._make(_HEADER.unpack_from(value))
    if header.magic != MAGIC:
        raise CorruptBatch(where, Check.MAGIC.value)
    if header.version != VERSION:
        raise UnknownVersion(where, f"{Check.VERSION.value}: {header.version}, this release reads {VERSION}")
    if header.flags & ~COUNTERFACTUAL:
        raise UnknownVersion(where, f"{Check.VERSION.value}: flags {header.flags}, which this release does not read")
    if header.kind not in _KINDS:
        raise CorruptBatch(where, Check.KIND.value)
    return header


_KINDS: Final = frozenset(BatchKind)


def key_of(header: Header) -> bytes:
    """The key in LMDB, big-endian, so that keys sort as the chain does.

    Batches of commands: the last sequence number, 8 bytes. Closing batches: the last sequence number and the epoch,
    16 bytes; they sort after the batch they close and before the next, and `set_range(n)` never meets one when
    it looks for a number that follows. State batches stand in a database of their own, under their index.
    """
    if header.kind == BatchKind.CLOSING:
        return struct.pack(">QQ", header.last, header.epoch)
    return struct.pack(">Q", header.last)


def seek_key(sequence: int) -> bytes:
    """Where `set_range` finds the batch that contains the number, or the first one after it."""
    return struct.pack(">Q", min(max(sequence, 0), SUM_MAX))


def name_of(header: Header) -> str:
    """How messages name a batch."""
    if header.kind == BatchKind.COMMANDS:
        return f"batch {header.first}-{header.last}"
    kind = "closing" if header.kind == BatchKind.CLOSING else "state"
    return f"{kind} batch at {header.last}"
