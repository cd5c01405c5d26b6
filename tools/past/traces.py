"""What is noted while rows are applied on the way to a moment: the last match of each instrument, the end of an order."""

from core.kinds import C11, COLUMNS, ENTER_FLAGS, ROW_SIZE, EventKind
from core.reasons import CancelReason
from journal.batch import HEADER_SIZE
from journal.check import columns
from replicas.replay import Applied
from tools.event_rows import ORDER_EVENTS, EventRow, event_rows
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

    def __init__(self, number: int, order: OrderRow | None) -> None:
        self.number = number
        self.order = order
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
        assert self.order is not None
        self.order = self.order._replace(client_order_id=row.client_order_id, leaves=row.leaves)
        if row.kind == EventKind.EXECUTED:
            self.order = self.order._replace(executed=self.order.executed + row.quantity)
        elif row.kind == EventKind.REPLACED:
            expires = _expires_of(batch, row.sequence) or self.order.expires
            self.order = self.order._replace(price=row.price, expires=expires)
        if row.kind in _FATES or (row.kind == EventKind.EXECUTED and row.leaves == 0):
            self._end(row)

    def _end(self, row: EventRow) -> None:
        self.fate = _FATES.get(row.kind, Fate.EXECUTED)
        reason = CancelReason(row.detail) if self.fate == Fate.CANCELED else None
        still_open = 0 if self.fate == Fate.EXECUTED else row.quantity
        self.ended = Ended(row.sequence, row.time, still_open, reason)


def _expires_of(batch: Applied, sequence: int) -> int:
    """The expiry that a ReplaceOrder names, which no event repeats; 0 if it names none."""
    at = HEADER_SIZE + (sequence - batch.header.first) * ROW_SIZE + C11
    return int.from_bytes(batch.value[at : at + 8], "little", signed=True)


def _entered(row: EventRow) -> OrderRow:
    """An order as `Accepted` tells it; the rates it entered with are not told, and not asked for here."""
    return OrderRow(
        0, row.order_number, row.instrument, row.account, row.session, row.client_order_id, row.flags & ENTER_FLAGS,
        row.price, row.leaves, 0, row.detail, 0, 0, 0, 0, 0,
    )  # fmt: skip
