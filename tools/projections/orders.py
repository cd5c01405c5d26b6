"""Order lives: every order as it stands or ended, and every event about it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from core.kinds import (
    POST_ONLY,
    SIDE_MASK,
    TIME_IN_FORCE_MASK,
    TIME_IN_FORCE_SHIFT,
    TYPE_MASK,
    TYPE_SHIFT,
    EventKind,
    OrderType,
    TimeInForce,
)
from core.messages import EVENTS
from core.reasons import CancelReason
from journal.errors import CorruptEvents
from tools.event_rows import ORDER_EVENTS, EventRow, event_rows, other_side
from tools.projections.tables import SIDES, Batch, Fold, Select, Table, Type, Values, table

ORDERS = table(
    "orders", 1, indexes=("(order_number) WHERE state = 'live'",),
    order_number=Type.INTEGER, state=Type.TEXT, session=Type.INTEGER, account=Type.INTEGER, instrument=Type.INTEGER,
    client_order_id=Type.INTEGER, side=Type.TEXT, type=Type.TEXT, time_in_force=Type.TEXT, post_only=Type.INTEGER,
    expires=Type.INTEGER, price=Type.INTEGER, quantity=Type.INTEGER, executed=Type.INTEGER, leaves=Type.INTEGER,
    reason=Type.TEXT, events=Type.INTEGER, entered_sequence=Type.INTEGER, entered_time=Type.INTEGER,
    last_sequence=Type.INTEGER, last_time=Type.INTEGER,
)  # fmt: skip
ORDER_EVENTS_TABLE = table(
    "order_events", 2, appended=True,
    order_number=Type.INTEGER, nth=Type.INTEGER, sequence=Type.INTEGER, time=Type.INTEGER, event=Type.TEXT,
    flags=Type.INTEGER, client_order_id=Type.INTEGER, price=Type.INTEGER, quantity=Type.INTEGER, leaves=Type.INTEGER,
    detail=Type.INTEGER, against=Type.INTEGER,
)  # fmt: skip

LIVE: Final = "live"
_EXECUTED: Final = int(EventKind.EXECUTED)
_RESTED: Final = int(EventKind.RESTED)
_NAMES: Final = {kind: EVENTS[kind].__name__ for kind in map(int, ORDER_EVENTS)}
_TYPES: Final = {int(order_type): order_type.name for order_type in OrderType}
_TIMES: Final = {int(time): time.name for time in TimeInForce}
_REASONS: Final = {int(reason): reason.name for reason in CancelReason}


@dataclass(slots=True)
class Order:
    """The columns of `orders`, in order."""

    order_number: int
    state: str
    session: int
    account: int
    instrument: int
    client_order_id: int
    side: str
    type: str
    time_in_force: str
    post_only: int
    expires: int
    price: int
    quantity: int
    executed: int
    leaves: int
    reason: str
    events: int
    entered_sequence: int
    entered_time: int
    last_sequence: int
    last_time: int

    def row(self) -> Values:
        """The row of the table."""
        return (
            self.order_number, self.state, self.session, self.account, self.instrument, self.client_order_id, self.side,
            self.type, self.time_in_force, self.post_only, self.expires, self.price, self.quantity, self.executed,
            self.leaves, self.reason, self.events, self.entered_sequence, self.entered_time, self.last_sequence,
            self.last_time,
        )  # fmt: skip


class Orders(Fold):
    """Holds the live orders in memory."""

    name = "orders"
    tables = (ORDERS, ORDER_EVENTS_TABLE)

    def __init__(self) -> None:
        self._live: dict[int, Order] = {}
        self._changed: dict[int, Order] = {}
        self._events: list[Values] = []

    def load(self, select: Select) -> None:
        """The orders that live."""
        self._live = {row[0]: Order(*row) for row in select(ORDERS, f"state = '{LIVE}'")}

    def take(self, batch: Batch) -> None:
        """Follow every order. CorruptEvents for an order that was never accepted."""
        events = [*event_rows(batch.events)]
        for at, event in enumerate(events):
            if event.kind in _CHANGES:
                self._follow(event, _against(events, at) if event.kind == _EXECUTED else None)

    def _follow(self, event: EventRow, against: int | None) -> None:
        order = self._live.get(event.order_number)
        if order is None:
            order = self._live[event.order_number] = _entered(event)
        _CHANGES[event.kind](order, event)
        if event.kind != _RESTED:
            # Of an iceberg, Rested tells what it shows.
            order.leaves = event.leaves
        order.last_sequence, order.last_time = event.sequence, event.time
        self._events.append(
            (
                event.order_number, order.events, event.sequence, event.time, _NAMES[event.kind], event.flags,
                event.client_order_id, event.price, event.quantity, event.leaves, event.detail, against,
            )
        )  # fmt: skip
        order.events += 1
        self._changed[event.order_number] = order
        if order.state != LIVE:
            del self._live[event.order_number]

    def changes(self) -> Iterator[tuple[Table, list[Values]]]:
        """The orders that something happened to, and what."""
        orders, self._changed = self._changed, {}
        events, self._events = self._events, []
        yield ORDERS, [order.row() for order in orders.values()]
        yield ORDER_EVENTS_TABLE, events


def _against(events: list[EventRow], at: int) -> int:
    """The other order of a match. CorruptEvents."""
    event, other = events[at], other_side(events, at)
    if other is None:
        raise CorruptEvents(f"events of command {event.sequence}", f"match {event.detail} has one side")
    return events[other].order_number


def _entered(event: EventRow) -> Order:
    if event.kind != EventKind.ACCEPTED:
        raise CorruptEvents(f"events of command {event.sequence}", f"order {event.order_number} was never accepted")
    flags = event.flags
    return Order(
        event.order_number,
        LIVE,
        event.session,
        event.account,
        event.instrument,
        event.client_order_id,
        SIDES[flags & SIDE_MASK],
        _TYPES[flags >> TYPE_SHIFT & TYPE_MASK],
        _TIMES[flags >> TIME_IN_FORCE_SHIFT & TIME_IN_FORCE_MASK],
        int(flags & POST_ONLY != 0),
        event.detail,
        event.price,
        event.quantity,
        0,
        event.leaves,
        "",
        0,
        event.sequence,
        event.time,
        event.sequence,
        event.time,
    )


def _nothing(_order: Order, _event: EventRow) -> None:
    """Accepted, Rested, Triggered and Activated say nothing that is not known."""


def _executed(order: Order, event: EventRow) -> None:
    order.executed += event.quantity
    if event.leaves == 0:
        order.state = "filled"


def _reduced(order: Order, event: EventRow) -> None:
    order.quantity -= event.quantity


def _replaced(order: Order, event: EventRow) -> None:
    order.client_order_id, order.price, order.quantity = event.client_order_id, event.price, event.quantity


def _restated(order: Order, event: EventRow) -> None:
    order.price = event.price


def _canceled(order: Order, event: EventRow) -> None:
    order.state, order.reason = "canceled", _REASONS[event.detail]


def _expired(order: Order, _event: EventRow) -> None:
    order.state = "expired"


_CHANGES: Final = {
    int(EventKind.ACCEPTED): _nothing,
    int(EventKind.EXECUTED): _executed,
    int(EventKind.REPLACED): _replaced,
    int(EventKind.REDUCED): _reduced,
    int(EventKind.CANCELED): _canceled,
    int(EventKind.EXPIRED): _expired,
    int(EventKind.RESTED): _nothing,
    int(EventKind.TRIGGERED): _nothing,
    int(EventKind.ACTIVATED): _nothing,
    int(EventKind.RESTATED): _restated,
}
