"""The running event digest: one value over every event row since the venue began, however the rows were batched.

The event rows are cut into blocks of 64. D(0) is 32 zero bytes, D(k) = SHA-256(D(k-1) + block k), and the digest at any
moment is SHA-256(D(full blocks) + rows of the unfinished block). It never comes together again after a difference, and
continues from a snapshot, which keeps D(full blocks) and the unfinished rows.
"""

from hashlib import sha256
from typing import Final

from librt.strings import BytesWriter, read_i64_le, write_i64_le
from mypy_extensions import i64

from core.codes import StateKind
from core.kinds import KIND, ROW_SIZE, SEQUENCE

BLOCK_ROWS: Final = 64
BLOCK_SIZE: Final = 8_192
_EVENTS: Final = 40
_REST: Final = 80


class EventDigest:
    """Feed it event rows; ask for the value at any moment."""

    __slots__ = ("blocks", "events", "hashed", "tail")

    def __init__(self) -> None:
        self.events: i64 = 0
        self.blocks = bytes(32)
        self.tail = b""
        # SHA-256 so far of D(full blocks) + rows of the unfinished block: the digest now, and of the block once full.
        self.hashed = sha256(self.blocks)

    def feed(self, rows: bytes) -> None:
        """Take in event rows, 128 bytes each."""
        self.events += len(rows) // ROW_SIZE
        at: i64 = 0
        size: i64 = len(rows)
        end: i64 = BLOCK_SIZE - len(self.tail)
        view = memoryview(rows)
        while end <= size:
            self.hashed.update(view[at:end])
            self.blocks = self.hashed.digest()
            self.hashed = sha256(self.blocks)
            self.tail = b""
            at = end
            end += BLOCK_SIZE
        if at < size:
            self.hashed.update(view[at:])
            self.tail += rows[at:]

    def value(self) -> bytes:
        """The 32 bytes of the digest over all rows so far."""
        return self.hashed.digest()

    def rows(self) -> bytes:
        """What a snapshot keeps: a DIGEST row, then the event rows of the unfinished block."""
        out = BytesWriter()
        write_i64_le(out, StateKind.DIGEST)
        out.write(self.blocks)
        write_i64_le(out, self.events)
        out.write(bytes(_REST))
        out.write(self.tail)
        return out.getvalue()

    @staticmethod
    def restore(rows: bytes, offset: i64) -> "EventDigest":
        """The digest that `rows` wrote at this offset. ValueError if it is not there, or not whole."""
        digest = EventDigest()
        if len(rows) < offset + ROW_SIZE or read_i64_le(rows, offset + KIND) != StateKind.DIGEST:
            raise ValueError("no DIGEST row")
        digest.blocks = rows[offset + SEQUENCE : offset + _EVENTS]
        digest.events = read_i64_le(rows, offset + _EVENTS)
        tail = digest.events % BLOCK_ROWS * ROW_SIZE
        digest.tail = rows[offset + ROW_SIZE : offset + ROW_SIZE + tail]
        if digest.events < 0 or len(digest.tail) != tail:
            raise ValueError("the unfinished block is not whole")
        digest.hashed = sha256(digest.blocks + digest.tail)
        return digest
