"""An engine and the digest of its events: what every node, replay and test drives."""

from __future__ import annotations

from librt.strings import BytesWriter, read_i64_le, write_i64_le
from mypy_extensions import i64

from core import snapshot
from core.codes import StateKind
from core.digest import EventDigest
from core.engine import Engine
from core.kinds import KIND, ROW_SIZE


class Machine:
    """Applies rows of commands; keeps the running event digest. Unusable after an exception, as the engine is."""

    def __init__(self) -> None:
        self.engine = Engine()
        self.digest = EventDigest()

    def apply(self, batch: bytes, begin: i64, end: i64) -> bytes:
        """Apply command rows between two byte offsets; returns the event rows."""
        events = self.engine.apply(batch, begin, end)
        self.digest.feed(events)
        return events

    def apply_quarantined(self, batch: bytes, at: i64, quarantine: bytes, quarantine_at: i64) -> bytes:
        """Apply the halt that a Quarantine row puts in the place of the row at this offset; returns the event rows."""
        events = self.engine.apply_quarantined(batch, at, quarantine, quarantine_at)
        self.digest.feed(events)
        return events

    def state_digest(self) -> bytes:
        """SHA-256 of the canonical state, 32 bytes."""
        return snapshot.state_digest(snapshot.dump(self.engine))

    def rows(self) -> bytes:
        """The whole state for a snapshot or the start of a segment: state rows, the event digest, an END row."""
        state = snapshot.dump(self.engine)
        digest = self.digest.rows()
        out = BytesWriter()
        out.write(state)
        out.write(digest)
        write_i64_le(out, StateKind.END)
        out.write(snapshot.state_digest(state))
        write_i64_le(out, (len(state) + len(digest)) // ROW_SIZE)
        out.write(bytes(ROW_SIZE - 48))
        return out.getvalue()

    @staticmethod
    def restore(rows: bytes) -> Machine:
        """The machine whose state `rows` wrote. ValueError if they are damaged or not whole."""
        end: i64 = len(rows) - ROW_SIZE
        if end <= 0 or len(rows) % ROW_SIZE or read_i64_le(rows, end + KIND) != StateKind.END:
            raise ValueError("the state does not end with an END row")
        if read_i64_le(rows, end + 40) * ROW_SIZE != end:
            raise ValueError("rows of the state are missing")
        at: i64 = 0
        while at < end and read_i64_le(rows, at + KIND) != StateKind.DIGEST:
            at += ROW_SIZE
        if snapshot.state_digest(rows[:at]) != rows[end + 8 : end + 40]:
            raise ValueError("the state differs from its digest")
        machine = Machine()
        machine.digest = EventDigest.restore(rows, at)
        try:
            machine.engine = snapshot.load(rows, 0, at)
        except (IndexError, KeyError, OverflowError, ZeroDivisionError) as error:
            raise ValueError("the state holds numbers that no state has") from error
        if machine.rows() != rows:
            raise ValueError("the state is not one that a venue can be in")
        return machine
