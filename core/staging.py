"""Commands of several parts: rows are staged until the last one has come, whose row does it all.

One command is staged at a time, because gateway and sequencer put no other row between its rows; one that comes all the
same gives the command up.
"""

from __future__ import annotations

from librt.strings import read_i64_le
from mypy_extensions import i64

from core.codes import CommandKind, Link, RejectReason
from core.kinds import (
    C6,
    C7,
    C8,
    C9,
    C10,
    FLAGS,
    INBOUND,
    KIND,
    QUOTES_SLIDE,
    REPLACE_ALL,
    ROW_SIZE,
    SESSION,
)
from core.cancels import unused_from_11
from core.limits import PARTS_MAX, SUM_MAX
from core.mass_quotes import MassQuotes


class Staging(MassQuotes):
    """EnterBatch, LinkOrders, MassQuote, Detail and QuoteDetail as they come."""

    __slots__ = ("staged",)

    def __init__(self) -> None:
        super().__init__()
        # The head and the parts that have come of a command that is not whole yet; empty for none.
        self.staged: list[bytes] = []

    def stage(self, kind: i64, row: bytes, at: i64) -> None:
        """Keep a row of a command of several parts; with the last one, do it."""
        if is_head(kind):
            if not has_parts(kind, row, at):
                self.reject(RejectReason.MALFORMED, 0, read_i64_le(row, at + C7), 0)
            else:
                self.staged.append(row[at : at + ROW_SIZE])
            return
        staged = self.staged
        if not staged:
            self.reject(
                RejectReason.MALFORMED,
                read_i64_le(row, at + C6),
                read_i64_le(row, at + C7),
                read_i64_le(row, at + C8),
            )
            return
        staged.append(row[at : at + ROW_SIZE])
        if len(staged) > read_i64_le(staged[0], C9):
            self.staged = []
            self._run_parts(staged)

    def _run_parts(self, rows: list[bytes]) -> None:
        head = rows[0]
        self.command = read_i64_le(head, KIND)
        if is_malformed_head(self.command, head):
            self.reject(RejectReason.MALFORMED, 0, read_i64_le(head, C7), 0)
        elif self.command == CommandKind.ENTER_BATCH:
            self.enter_batch(rows)
        elif self.command == CommandKind.LINK_ORDERS:
            self.link_orders(rows)
        else:
            self.mass_quote(rows)

    def see_to_staged(self, row: bytes, at: i64) -> None:
        """Give the staged command up, and tell, unless this row is its next part."""
        head = self.staged[0]
        number = read_i64_le(head, SESSION)
        session = self.session(number)
        assert session is not None
        inbound = read_i64_le(row, at + INBOUND)
        follows = inbound == session.inbound + 1
        if number == 0:
            follows = inbound == 0 or self.control_inbound < inbound <= SUM_MAX
        kind_fits = read_i64_le(row, at + KIND) == part_of(read_i64_le(head, KIND))
        if kind_fits and follows and read_i64_le(row, at + SESSION) == number:
            return
        self.staged = []
        self.requester = session
        self.command = read_i64_le(head, KIND)
        self.inbound = read_i64_le(head, INBOUND)
        self.reject(RejectReason.INCOMPLETE, 0, read_i64_le(head, C7), 0)


def is_head(kind: i64) -> bool:
    """Whether a command of this kind is followed by parts."""
    return CommandKind.MASS_QUOTE <= kind <= CommandKind.LINK_ORDERS


def is_part(kind: i64) -> bool:
    """Whether a row of this kind is a part of a command."""
    return kind == CommandKind.DETAIL or kind == CommandKind.QUOTE_DETAIL


def part_of(head: i64) -> i64:
    """The kind of the parts of a command, by the kind of its head."""
    return CommandKind.QUOTE_DETAIL if head == CommandKind.MASS_QUOTE else CommandKind.DETAIL


def parts_of(row: bytes, at: i64) -> i64:
    """How many parts follow a row: 0 unless it is a head whose number of parts is in range."""
    kind = read_i64_le(row, at + KIND)
    return read_i64_le(row, at + C9) if is_head(kind) and has_parts(kind, row, at) else 0


def has_parts(kind: i64, row: bytes, at: i64) -> bool:
    """Whether a head announces as many parts as its kind may have."""
    parts = read_i64_le(row, at + C9)
    if kind == CommandKind.LINK_ORDERS:
        return parts == (3 if read_i64_le(row, at + FLAGS) == Link.BRACKET else 2)
    return 1 <= parts <= PARTS_MAX


def is_malformed_head(kind: i64, head: bytes) -> bool:
    """Whether a head whose parts have come is malformed; their number is in range."""
    flags = read_i64_le(head, FLAGS)
    if read_i64_le(head, C6) | read_i64_le(head, C10) | unused_from_11(head, 0):
        return True
    if not 0 <= read_i64_le(head, C8) <= SUM_MAX:
        return True
    if kind == CommandKind.LINK_ORDERS:
        return not Link.ONE_CANCELS_OTHER <= flags <= Link.BRACKET
    allowed: i64 = REPLACE_ALL | QUOTES_SLIDE if kind == CommandKind.MASS_QUOTE else 0
    return flags & ~allowed != 0
