"""Commands of several parts: rows are staged until the last one has come, whose row does it all.

One command is staged at a time, because gateway and sequencer put no other row between its rows; one that comes all the
same gives the command up.
"""

from __future__ import annotations

from librt.strings import read_i64_le
from mypy_extensions import i64

from core.codes import CommandKind, RejectReason
from core.kinds import C6, C7, C8, C9, INBOUND, KIND, ROW_SIZE, SESSION
from core.limits import SUM_MAX
from core.mass_quotes import MassQuotes
from core.parts import is_head, is_malformed_head, part_of


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
            if is_malformed_head(kind, row, at):
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
        self.command = read_i64_le(rows[0], KIND)
        if self.command == CommandKind.ENTER_BATCH:
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
