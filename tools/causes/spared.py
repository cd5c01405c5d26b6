"""Which linked orders reserve nothing, and until when: held ones, and those that wait for a price and cancel another one.

Docs/matching.md (Batches and linked orders) has the rule; this follows it event by event, as core/matching.py does in the engine.
"""

from core.book import Order
from core.kinds import EventKind, Link, OrderType
from core.terms import HELD, reserves_nothing
from tools.causes.names import type_of_flags
from tools.event_rows import EventRow

_WAITING = frozenset({
    OrderType.STOP, OrderType.STOP_LIMIT, OrderType.MARKET_IF_TOUCHED, OrderType.LIMIT_IF_TOUCHED, OrderType.TRAILING_STOP,
})  # fmt: skip


class Spared:
    """Order numbers: of those that are held, and of those that cancel another order and wait for their price."""

    def __init__(self) -> None:
        self._held: set[int] = set()
        self._paired: set[int] = set()

    def add(self, order: Order) -> None:
        """A live order as it stands in a state."""
        link = order.terms.link if order.terms is not None else None
        if order.terms is None or link is None or not reserves_nothing(order.terms):
            return
        if order.terms.waits == HELD:
            self._held.add(order.number)
        if link.second is not None:
            self._paired.add(order.number)

    def apply(self, event: EventRow) -> None:
        """Take in any event."""
        if event.kind == EventKind.ORDERS_LINKED:
            # 9, 10 and 11: the order numbers of the first, the second and the third order.
            numbers = event.price, event.quantity, event.order_number
            self._held.update(numbers[1:] if event.flags != Link.ONE_CANCELS_OTHER else ())
            self._paired.update(
                {Link.ONE_CANCELS_OTHER: numbers[:2], Link.BRACKET: numbers[1:]}.get(Link(event.flags), ())
            )
        elif event.kind == EventKind.ACTIVATED:
            self._held.discard(event.order_number)
        elif event.kind == EventKind.TRIGGERED:
            self._paired.discard(event.order_number)

    def __contains__(self, event: object) -> bool:
        """Whether the order of an event reserves nothing after it."""
        assert isinstance(event, EventRow)
        waits = type_of_flags(event.flags) in _WAITING
        return event.order_number in self._held or (waits and event.order_number in self._paired)
