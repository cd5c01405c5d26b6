"""The table of orders: one row for the life of each, from its entry or refusal to its end."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from core.kinds import (
    POST_ONLY,
    ROW_SIZE,
    SIDE_MASK,
    TIME_IN_FORCE_MASK,
    TIME_IN_FORCE_SHIFT,
    TYPE_MASK,
    TYPE_SHIFT,
    CommandKind,
    EventKind,
    OrderType,
    Side,
    StateKind,
    TimeInForce,
)
from core.limits import SUM_MAX
from core.messages import OrderState
from core.reasons import CancelReason, RejectReason
from core.rows import from_row
from journal.batch import HEADER_SIZE
from replicas.replay import Applied
from tools.books import state_rows
from tools.event_rows import CommandRow, EventRow, command_rows, entering, event_rows
from tools.exports.file import Field, Type
from tools.exports.names import NAMING, Names
from tools.exports.range import command_at
from tools.words import instructions

FIELDS: Final = (
    Field("order_number"),
    Field("symbol", Type.TEXT),
    Field("instrument"),
    Field("account"),
    Field("session"),
    Field("client_order_id"),
    Field("side", Type.TEXT),
    Field("order_type", Type.TEXT),
    Field("time_in_force", Type.TEXT),
    Field("post_only", Type.BOOL),
    Field("entered_sequence"),
    Field("entered_time"),
    Field("entered_time_utc", Type.TIME),
    Field("price"),
    Field("quantity"),
    Field("price_display", Type.TEXT),
    Field("quantity_display", Type.TEXT),
    Field("expires"),
    Field("last_price"),
    Field("replaced"),
    Field("reduced"),
    Field("executed"),
    Field("matches"),
    Field("first_match_time"),
    Field("last_match_time"),
    Field("end", Type.TEXT),
    Field("reason", Type.TEXT),
    Field("leaves"),
    Field("canceled"),
    Field("ended_sequence"),
    Field("ended_time"),
    Field("ended_time_utc", Type.TIME),
    Field("display_quantity"),
    Field("minimum_quantity"),
    Field("trigger_price"),
    Field("offset"),
    Field("instructions", Type.TEXT),
    Field("triggered_sequence"),
    Field("triggered_time"),
)
"""The columns, in order."""

_TYPES: Final = {int(kind): kind.name for kind in OrderType}
_IN_FORCE: Final = {int(kind): kind.name for kind in TimeInForce}
_CANCELED: Final = {int(reason): reason.name for reason in CancelReason}
_REJECTED: Final = {int(reason): reason.name for reason in RejectReason}
_GONE: Final = {int(EventKind.CANCELED): "CANCELED", int(EventKind.EXPIRED): "EXPIRED"}


@dataclass(slots=True)
class Life:
    """An order as it was entered, and what has become of it; times in ns since 1970, quantities in lots."""

    order_number: int | None
    instrument: int
    account: int
    session: int
    client_order_id: int
    flags: int
    expires: int
    last_price: int
    leaves: int
    entered_sequence: int | None = None
    entered_time: int | None = None
    price: int | None = None
    quantity: int | None = None
    replaced: int = 0
    reduced: int = 0
    executed: int = 0
    matches: int = 0
    first_match_time: int | None = None
    last_match_time: int | None = None
    end: str = "OPEN"
    reason: str | None = None
    canceled: int = 0
    ended_sequence: int | None = None
    ended_time: int | None = None
    asked: tuple[int | None, ...] = (None,) * 4
    """Display and minimum quantity, trigger price and offset of its command; not known of one that stood before."""
    triggered_sequence: int | None = None
    triggered_time: int | None = None

    def follow(self, event: EventRow) -> bool:
        """Take in an event about this order; whether it is the last."""
        self.leaves = event.leaves
        if event.kind == EventKind.EXECUTED:
            self._match(event)
            return event.leaves == 0 and self._ended(event, "FILLED", 0)
        if event.kind in _GONE:
            self.reason = _CANCELED.get(event.detail) if event.kind == EventKind.CANCELED else None
            return self._ended(event, _GONE[event.kind], event.quantity)
        if event.kind == EventKind.REDUCED:
            self.reduced += 1
            self.canceled += event.quantity
        elif event.kind == EventKind.REPLACED:
            self.replaced += 1
            self.client_order_id, self.last_price = event.client_order_id, event.price
        elif event.kind == EventKind.RESTATED:
            self.last_price = event.price
        elif event.kind == EventKind.TRIGGERED:
            self.triggered_sequence, self.triggered_time = event.sequence, event.time
        return False

    def _match(self, event: EventRow) -> None:
        self.executed += event.quantity
        self.matches += 1
        self.last_match_time = event.time
        if self.first_match_time is None:
            self.first_match_time = event.time

    def _ended(self, event: EventRow, end: str, canceled: int) -> bool:
        self.end = end
        self.canceled += canceled
        self.ended_sequence, self.ended_time = event.sequence, event.time
        return True

    def row(self, names: Names) -> tuple[Any, ...]:
        """The row of the table."""
        terms = names.instruments.get(self.instrument)
        return (
            self.order_number, terms.symbol if terms else None, self.instrument, self.account, self.session,
            self.client_order_id, Side(self.flags & SIDE_MASK).name, _TYPES.get(self.flags >> TYPE_SHIFT & TYPE_MASK),
            _IN_FORCE.get(self.flags >> TIME_IN_FORCE_SHIFT & TIME_IN_FORCE_MASK), bool(self.flags & POST_ONLY),
            self.entered_sequence, self.entered_time, self.entered_time, self.price, self.quantity,
            terms.price(self.price) if terms and self.price is not None else None,
            terms.quantity(self.quantity) if terms and self.quantity is not None else None,
            self.expires, self.last_price, self.replaced, self.reduced, self.executed, self.matches,
            self.first_match_time, self.last_match_time, self.end, self.reason, self.leaves, self.canceled,
            self.ended_sequence, self.ended_time, self.ended_time, *self.asked, ", ".join(instructions(self.flags)),
            self.triggered_sequence, self.triggered_time,
        )  # fmt: skip


class Orders:
    """Follows every order of a range; memory for those that are live."""

    def __init__(self, names: Names, rows: bytes) -> None:
        """Begin with the state rows of the venue."""
        self._names = names
        self._lives: dict[int, Life] = {}
        for row in state_rows(rows, StateKind.ORDER):
            if isinstance(row, OrderState):
                self._lives[row.order_number] = _standing(row)

    def rows(self, batches: Iterator[Applied], symbol: str | None = None) -> Iterator[tuple[Any, ...]]:
        """A row for each order, in the order in which they ended, then those that are open, by order number."""
        for life in self._all(batches):
            terms = self._names.instruments.get(life.instrument)
            if symbol is None or (terms is not None and terms.symbol == symbol):
                yield life.row(self._names)

    def _all(self, batches: Iterator[Applied]) -> Iterator[Life]:
        for batch in batches:
            for at, event in enumerate(event_rows(batch.events)):
                if event.kind in NAMING:
                    self._names.learn(from_row(batch.events, at * ROW_SIZE))
                elif event.kind == EventKind.ACCEPTED:
                    self._lives[event.order_number] = _accepted(event, _entering(batch, event))
                elif event.kind == EventKind.REJECTED:
                    yield from _refused(batch, event)
                elif event.kind in _FOLLOWED and self._follow(batch, event):
                    yield self._lives.pop(event.order_number)
        yield from (self._lives[number] for number in sorted(self._lives))

    def _follow(self, batch: Applied, event: EventRow) -> bool:
        """Take in an event about a live order; whether it is the last."""
        life = self._lives[event.order_number]
        if event.kind == EventKind.REPLACED:
            # The event does not tell a new expiry; in the command, 0 keeps the old one.
            life.expires = _command(batch, event.sequence).expires or life.expires
        return life.follow(event)


_FOLLOWED: Final = frozenset(
    {
        EventKind.EXECUTED,
        EventKind.REPLACED,
        EventKind.REDUCED,
        EventKind.CANCELED,
        EventKind.EXPIRED,
        EventKind.TRIGGERED,
        EventKind.RESTATED,
    }
)


def _standing(row: OrderState) -> Life:
    """An order that stood before the range: how it was entered is not known."""
    terms = (row.flags, row.expires if row.expires <= SUM_MAX else 0, row.price, row.leaves)
    life = Life(row.order_number, row.instrument, row.account, row.session, row.client_order_id, *terms)
    life.executed = row.executed
    return life


def _accepted(event: EventRow, command: CommandRow) -> Life:
    life = Life(
        event.order_number, event.instrument, event.account, event.session, event.client_order_id, event.flags,
        event.detail, event.price, event.leaves,
    )  # fmt: skip
    _entered(life, event, event.price, event.quantity)
    life.asked = _asked(command)
    return life


def _asked(command: CommandRow) -> tuple[int, int, int, int]:
    """Columns 12 to 15 of an EnterOrder, which no event repeats."""
    return command.column_12, command.column_13, command.column_14, command.original_client_order_id


def _refused(batch: Applied, event: EventRow) -> Iterator[Life]:
    """The life of an order that was refused; nothing for the refusal of another command."""
    # Of Rejected, column 9 is the kind of the command.
    if event.price != CommandKind.ENTER_ORDER:
        return
    life = _as_sent(_command(batch, event.sequence))
    life.end, life.reason = "REJECTED", _REJECTED[event.detail]
    life.ended_sequence, life.ended_time = event.sequence, event.time
    yield life


def _entering(batch: Applied, event: EventRow) -> CommandRow:
    return entering(batch.value, HEADER_SIZE, command_at(batch, event.sequence), event.client_order_id)


def _command(batch: Applied, sequence: int) -> CommandRow:
    at = command_at(batch, sequence)
    return next(command_rows(batch.value, at, at + ROW_SIZE))


def _as_sent(row: CommandRow) -> Life:
    names = (row.instrument, row.account, row.session, row.client_order_id)
    life = Life(None, *names, row.flags, row.expires, row.price, 0)
    _entered(life, row, row.price, row.quantity)
    life.asked = _asked(row)
    return life


def _entered(life: Life, row: CommandRow | EventRow, price: int, quantity: int) -> None:
    life.entered_sequence, life.entered_time = row.sequence, row.time
    life.price, life.quantity = price, quantity
