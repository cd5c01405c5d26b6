"""What is noted while rows are applied on the way to a moment: the last match of each instrument, the end of an order."""

from msgspec import structs

from core.kinds import COLUMNS, ENTER_FLAGS, KEPT_PLACE, ROW_SIZE, TYPE_MASK, TYPE_SHIFT, EventKind, OrderType
from core.messages import TermsState
from core.reasons import CancelReason
from core.terms import FOR_PRICE, IN_BOOK
from journal.batch import HEADER_SIZE
from journal.check import columns
from replicas.replay import Applied
from tools.event_rows import ORDER_EVENTS, CommandRow, EventRow, command_rows, entering, event_rows
from tools.past.answers import Ended, Fate, Trade
from tools.past.state import OrderRow

_INSTRUMENT = 6
_ORDER_NUMBER = 11
_EXECUTED = int(EventKind.EXECUTED)
_FATES: dict[int, Fate] = {EventKind.CANCELED: Fate.CANCELED, EventKind.EXPIRED: Fate.EXPIRED}


def event_at(events: bytes, at: int) -> EventRow:
    """One event row by its place."""
    return next(event_rows(events[at * ROW_SIZE : (at + 1) * ROW_SIZE]))


class LastTrades:
    """The last match of every instrument that traded after row `since`."""

    def __init__(self, since: int) -> None:
        self.since = since
        self.trades: dict[int, Trade] = {}

    def feed(self, batch: Applied, listed: int) -> None:
        """Take in the events of a batch, after which so many instruments are listed."""
        values = memoryview(batch.events).cast("q")
        kinds, instruments = values[::COLUMNS], values[_INSTRUMENT::COLUMNS]
        seen: set[int] = set()
        # Backwards, and no further than to the last match of every instrument: where all trade, that is a few rows.
        for at in range(len(kinds) - 1, -1, -1):
            if kinds[at] == _EXECUTED and instruments[at] not in seen:
                seen.add(instruments[at])
                row = event_at(batch.events, at)
                self.trades[row.instrument] = Trade(row.price, row.quantity, row.sequence, row.time, row.detail)
                if len(seen) == listed:
                    return

    def copy(self) -> "LastTrades":
        """The same, for a moment to keep."""
        copied = LastTrades(self.since)
        copied.trades = dict(self.trades)
        return copied


class OrderTrace:
    """Follows one order through events, from its row in a state or from its entry, up to its end."""

    def __init__(self, number: int, order: OrderRow | None, terms: TermsState) -> None:
        self.number = number
        self.order = order
        self.terms = terms
        if order is not None and _type_of(order.flags) == OrderType.TRAILING_STOP:
            # No event tells how it trails: what holds is the trigger price of its latest command.
            self.terms = structs.replace(terms, trigger_price=terms.limit)
        self.fate = Fate.LIVE
        self.ended: Ended | None = None
        self.symbol = ""
        self.decimals = (0, 0)
        """Displayed decimals of the price and of the quantity."""

    def feed(self, batch: Applied) -> None:
        """Take in a batch."""
        numbers = columns(batch.events)[_ORDER_NUMBER::COLUMNS]
        at = -1
        for _ in range(numbers.count(self.number)):
            at = numbers.index(self.number, at + 1)
            row = event_at(batch.events, at)
            if row.kind in ORDER_EVENTS:
                self._follow(row, batch)

    def _follow(self, row: EventRow, batch: Applied) -> None:
        if row.kind == EventKind.ACCEPTED:
            self.order = _entered(row)
            self.terms = _terms_of(batch, row)
        assert self.order is not None
        # Of an iceberg, Rested tells what it shows; that is told to no session.
        leaves = self.order.leaves if row.kind == EventKind.RESTED else row.leaves
        self.order = self.order._replace(client_order_id=row.client_order_id, leaves=leaves)
        if row.kind == EventKind.EXECUTED:
            self.order = self.order._replace(executed=self.order.executed + row.quantity)
        elif row.kind == EventKind.REPLACED:
            self._replaced(row, _command(batch, row.sequence))
        elif row.kind == EventKind.RESTATED:
            self.order = self.order._replace(price=row.price)
        if row.kind == EventKind.TRIGGERED:
            self.terms = structs.replace(self.terms, trigger_price=row.detail, waits=IN_BOOK)
        if row.kind in _FATES or (row.kind == EventKind.EXECUTED and row.leaves == 0):
            self._end(row)

    def _replaced(self, row: EventRow, command: CommandRow) -> None:
        assert self.order is not None
        expires = command.expires or self.order.expires
        self.order = self.order._replace(price=row.price, expires=expires)
        is_pegged = _type_of(row.flags) == OrderType.PEGGED
        # Once triggered, an order that a replace takes out of its place has no trigger price any more.
        kept = self.terms.trigger_price if self.terms.waits or row.flags & KEPT_PLACE else 0
        self.terms = structs.replace(
            self.terms,
            display=command.column_12 or self.terms.display,
            trigger_price=command.column_14 or kept,
            limit=command.price if is_pegged else self.terms.limit,
        )

    def _end(self, row: EventRow) -> None:
        self.fate = _FATES.get(row.kind, Fate.EXECUTED)
        reason = CancelReason(row.detail) if self.fate == Fate.CANCELED else None
        still_open = 0 if self.fate == Fate.EXECUTED else row.quantity
        self.ended = Ended(row.sequence, row.time, still_open, reason)


def _command(batch: Applied, sequence: int) -> CommandRow:
    """The command of a row: no event repeats the expiry, the display and the trigger price that it names."""
    at = HEADER_SIZE + (sequence - batch.header.first) * ROW_SIZE
    return next(command_rows(batch.value, at, at + ROW_SIZE))


def _terms_of(batch: Applied, row: EventRow) -> TermsState:
    """What an order came with that its `Accepted` does not tell."""
    at = HEADER_SIZE + (row.sequence - batch.header.first) * ROW_SIZE
    command = entering(batch.value, HEADER_SIZE, at, row.client_order_id)
    is_pegged = _type_of(row.flags) == OrderType.PEGGED
    return TermsState(
        order_number=row.order_number,
        display=command.column_12,
        trigger_price=command.column_14,
        offset=command.original_client_order_id,
        limit=command.price if is_pegged else 0,
        waits=FOR_PRICE if command.column_14 else IN_BOOK,
    )


def _type_of(flags: int) -> int:
    return flags >> TYPE_SHIFT & TYPE_MASK


def _entered(row: EventRow) -> OrderRow:
    """An order as `Accepted` tells it; the rates it entered with are not told, and not asked for here."""
    return OrderRow(
        0, row.order_number, row.instrument, row.account, row.session, row.client_order_id, row.flags & ENTER_FLAGS,
        row.price, row.leaves, 0, row.detail, 0, 0, 0, 0, 0,
    )  # fmt: skip
