"""What an event says about the order that is being explained, in words: entry, trigger, following, cuts."""

from typing import Any

from core.kinds import REDUCE_ONLY, RESTING, CommandKind, EventKind, OrderType
from core.terms import waits_for_price
from tools.causes.names import Names, type_of_flags
from tools.event_rows import CommandRow, EventRow

Item = dict[str, Any]

_CUTS = frozenset({EventKind.REDUCED, EventKind.CANCELED, EventKind.DISPLAY_CHANGED})
"""What is told between a match and the cut of a reduce-only order by it."""


class Own:
    """The words for one order."""

    def __init__(self, names: Names, number: int, instrument: int) -> None:
        self.names = names
        self.number = number
        self.instrument = instrument
        self.account = 0
        self._flags = self._client = 0
        self._asking: CommandRow
        """The command whose events are being told."""

    def lots(self, quantity: int) -> str:
        """A quantity of the order's instrument."""
        return self.names.lots(self.instrument, quantity)

    def price(self, ticks: int) -> str:
        """A price of the order's instrument."""
        return self.names.price(self.instrument, ticks)

    def open_text(self, quantity: int) -> str:
        """What is open of the order: lots, or what is left of its budget."""
        if type_of_flags(self._flags) == OrderType.SPEND_AT_MOST:
            return self.names.quote_amount(self.instrument, quantity)
        return self.lots(quantity)

    def accepted(self, event: EventRow) -> Item:
        """The order has come in, and may wait."""
        text = f"accepted as order {self.number}, {self.open_text(event.quantity)}"
        order_type = type_of_flags(event.flags)
        if waits_for_price(order_type):
            text += f"; it waits for {self.price(self._asking.column_14)}"
        elif order_type == OrderType.PEGGED:
            text += f"; it follows to {self.price(event.price)}" if event.price else f"; {_PARKED}"
        elif event.price != self._asking.price:
            text += f"; it gets the price {self.price(event.price)}"
        return {"kind": "accepted", "quantity": event.quantity, "text": text}

    def triggered(self, event: EventRow) -> Item:
        """The order arrives, after it has waited for a price."""
        limit = f"with the limit {self.price(event.price)}" if event.price else "at any price"
        text = f"triggered, for {self.price(event.detail)} was reached: {self.lots(event.leaves)} arrive {limit}"
        return {"kind": "triggered", "trigger_price": event.detail, "price": event.price, "text": text}

    def activated(self, event: EventRow) -> Item:
        """The order that triggers this one has traded."""
        text = f"activated, for order {event.detail}, which triggers it, has traded: {self.lots(event.leaves)} arrive, or wait"
        return {"kind": "activated", "parent": event.detail, "price": event.price, "text": text}

    def restated(self, event: EventRow) -> Item:
        """A pegged order has followed."""
        stands = bool(event.flags & RESTING)
        text = f"follows to {self.price(event.price)}, behind all others there" if stands else _PARKED
        return {"kind": "restated", "price": event.price, "leaves": event.leaves, "text": text}

    def reduced(self, events: list[EventRow], at: int, *, stands: bool) -> Item:
        """Some of the order is gone, because that was asked for or because a rule cut it."""
        event = events[at]
        why = self._cut(events, at)
        place = "; it keeps its place" if stands else ""
        text = f"reduced by {self.lots(event.quantity)}, {self.lots(event.leaves)} open{place}"
        told: Item = {"kind": "reduced", "quantity": event.quantity, "leaves": event.leaves}
        return told | {"text": f"{text}: {why}" if why else text, "sentence": why or None}

    def _cut(self, events: list[EventRow], at: int) -> str:
        """Why the order was cut; nothing where that was asked for."""
        asked = self._asking
        named = (asked.kind, asked.account, asked.client_order_id)
        if named == (CommandKind.REDUCE_ORDER, self.account, self._client):
            return ""
        before = [event.kind for event in events[:at] if event.kind not in _CUTS]
        if self._flags & REDUCE_ONLY and before and before[-1] == EventKind.SETTLED:
            return "the position of its account allows no more"
        return "self-trade prevention: it met an order of its owner, and both lost as much"


_PARKED = "parked: the price that it follows is missing, or would trade"
