"""MassQuote: a maker's quotes in a set of instruments, replaced part by part."""

from __future__ import annotations

from librt.strings import BytesWriter, read_i64_le, write_i64_le
from mypy_extensions import i64

from core.batches import Batches
from core.book import Order
from core.codes import CancelReason, CommandKind, EventKind, OrderType, RejectReason, Side, TimeInForce
from core.instrument import Instrument
from core.kinds import (
    C6,
    C7,
    C8,
    C9,
    C10,
    C11,
    C12,
    C13,
    C14,
    C15,
    FLAGS,
    POST_ONLY,
    QUOTE,
    QUOTES_SLIDE,
    REPLACE_ALL,
    SIDE_MASK,
    SLIDE,
    TIME_IN_FORCE_SHIFT,
    TYPE_SHIFT,
)
from core.ledger import Account
from core.limits import SUM_MAX


class Tally:
    """What a MassQuote has done, and which of its quotes stayed."""

    __slots__ = ("canceled", "entered", "kept", "named", "refused", "stays")

    def __init__(self, named: dict[int, bool]) -> None:
        self.entered: i64 = 0
        self.kept: i64 = 0
        self.canceled: i64 = 0
        self.refused: i64 = 0
        # The client order ids of all parts.
        self.named = named
        # For bid and ask of each part: whether it stayed, or was left out with its part.
        self.stays: list[bool] = []


class MassQuotes(Batches):
    """MassQuote, when all its rows have come."""

    __slots__ = ()

    def mass_quote(self, rows: list[bytes]) -> None:
        """Put new quotes in the place of those that stand."""
        head = rows[0]
        account = self.account_of(head)
        named = self._names(rows, account) if account is not None else None
        if account is None or named is None:
            return

        # From here on the command stands; a quote may still be refused.
        tally = Tally(named)
        flags = read_i64_le(head, FLAGS)
        self._see_what_goes(rows, account, flags & REPLACE_ALL != 0, tally)
        self._see_what_comes(rows, account, SLIDE if flags & QUOTES_SLIDE else POST_ONLY, tally)
        self.part = 0
        self.timer_time = 0
        self.row(
            EventKind.QUOTED, self.requester, 0, 0, account.number, read_i64_le(head, C8), tally.entered, tally.kept,
            tally.canceled, tally.refused, 0, 0, 0,
        )  # fmt: skip

    def _names(self, rows: list[bytes], account: Account) -> dict[int, bool] | None:
        """The client order ids that the command names; None after refusing it."""
        named: dict[int, bool] = {}
        at: i64 = 1
        while at < len(rows):
            row = rows[at]
            bid = read_i64_le(row, C8)
            ask = read_i64_le(row, C13)
            twice = bid in named or ask in named or (bid == ask and bid != 0)
            if twice or is_malformed_pair(row):
                self.part = at
                self.reject(RejectReason.MALFORMED, read_i64_le(row, C6), account.number, bid)
                self.part = 0
                return None
            for client in (bid, ask):
                if client != 0:
                    named[client] = True
            at += 1
        return named

    # ---- what goes

    def _see_what_goes(self, rows: list[bytes], account: Account, all_others: bool, tally: Tally) -> None:
        at: i64 = 1
        while at < len(rows):
            row = rows[at]
            self.part = at
            number = read_i64_le(row, C6)
            instrument = self.instrument(number)
            self.timer_time = -number if instrument is not None else 0
            reason = self.refuse_names(instrument, account, False)
            if reason != 0 or instrument is None:
                self.reject(reason, number, account.number, read_i64_le(row, C8))
                tally.refused += 1
                tally.stays += [True, True]
            else:
                for column in (C8, C13):
                    tally.stays.append(self._stays(instrument, account, row, column, tally))
                if all_others:
                    self._cancel_others(instrument, account, tally)
            at += 1

    def _stays(self, instrument: Instrument, account: Account, row: bytes, column: i64, tally: Tally) -> bool:
        """Whether the quote that this half of a part names stays, cut if need be; it is canceled otherwise."""
        side: i64 = Side.BUY if column == C8 else Side.SELL
        quote = account.orders.get(read_i64_le(row, column))
        if quote is None or quote.instrument is not instrument or quote.side != side or quote.flags & QUOTE == 0:
            return False
        quantity = quantity_in(row, column)
        if quote.price == price_in(row, column) and 0 < quantity <= quote.leaves and not self.is_over(quote):
            if quote.leaves > quantity:
                self.cut(quote, quote.leaves - quantity)
            tally.kept += 1
            return True
        self._cancel_quote(quote, tally)
        return False

    def _cancel_others(self, instrument: Instrument, account: Account, tally: Tally) -> None:
        live = account.quotes_in(instrument.number).live
        for number in sorted(live.keys()):
            if live[number].client_order_id not in tally.named:
                self._cancel_quote(live[number], tally)

    def _cancel_quote(self, quote: Order, tally: Tally) -> None:
        self.cancel(quote, CancelReason.QUOTED)
        tally.canceled += 1

    # ---- what comes

    def _see_what_comes(self, rows: list[bytes], account: Account, passive: i64, tally: Tally) -> None:
        at: i64 = 1
        while at < len(rows):
            row = rows[at]
            self.part = at
            self.timer_time = -read_i64_le(row, C6)
            for column in (C8, C13):
                stays = tally.stays[at * 2 - 2 if column == C8 else at * 2 - 1]
                if not stays and quantity_in(row, column) != 0:
                    before = self.order_numbers
                    self.enter_order(entry_of(row, column, account.number, passive), 0)
                    entered = self.order_numbers - before
                    tally.entered += entered
                    tally.refused += 1 - entered
            at += 1


def price_in(row: bytes, column: i64) -> i64:
    """The price of the bid (column 8) or the ask (column 13) of a part."""
    return read_i64_le(row, C9 if column == C8 else C11)


def quantity_in(row: bytes, column: i64) -> i64:
    """The quantity of the bid (column 8) or the ask (column 13) of a part."""
    return read_i64_le(row, C10 if column == C8 else C12)


def is_malformed_pair(row: bytes) -> bool:
    """Whether a part is malformed, whatever the other parts are."""
    if read_i64_le(row, FLAGS) | read_i64_le(row, C7) | read_i64_le(row, C14) | read_i64_le(row, C15):
        return True
    return is_malformed_half(row, C8) or is_malformed_half(row, C13)


def is_malformed_half(row: bytes, column: i64) -> bool:
    """Whether the bid or the ask of a part is malformed: a price without a quantity, or a quote without its id."""
    client = read_i64_le(row, column)
    quantity = quantity_in(row, column)
    if not -SUM_MAX <= client <= SUM_MAX:
        return True
    return (quantity == 0 and price_in(row, column) != 0) or (client == 0 and quantity != 0)


def entry_of(row: bytes, column: i64, account: i64, passive: i64) -> bytes:
    """The EnterOrder that the bid or the ask of a part stands for; sequence number, time and sender are left out."""
    side: i64 = Side.BUY if column == C8 else Side.SELL
    flags = side & SIDE_MASK | OrderType.LIMIT << TYPE_SHIFT | TimeInForce.DAY << TIME_IN_FORCE_SHIFT
    out = BytesWriter()
    for value in (CommandKind.ENTER_ORDER, 0, 0, 0, 0, flags | passive | QUOTE, read_i64_le(row, C6), account):
        write_i64_le(out, value)
    for value in (read_i64_le(row, column), price_in(row, column), quantity_in(row, column), 0, 0, 0, 0, 0):
        write_i64_le(out, value)
    return out.getvalue()
