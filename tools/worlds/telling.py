"""What the events of a command say, without the numbers that shift when an earlier command tells more or less.

An order goes by the command that entered it, of one with several parts by its client order id too, and each dense number
(outbound, drop copy, market data, match, order) by its distance from the one before: so two worlds that have parted can be
compared command by command, and a number that is skipped is still seen.
"""

import struct
from typing import Any, NamedTuple

from core.kinds import COLUMNS, ROW_SIZE, EventKind
from core.messages import AccountState, EngineState, FirmState, InstrumentState, OrderState, SessionState
from tools.books import state_rows
from tools.event_rows import ORDER_EVENTS, SHOWING, EventRow, event_rows

Key = int | str
"""How a command is named: by its sequence number, or by a word where it has none of its own."""


class Said(NamedTuple):
    """An event about an order, with the columns of `EventRow`; `order` names it, `number` is its step where it was accepted."""

    kind: int
    sequence: int
    time: int
    session: int
    outbound: int
    flags: int
    instrument: int
    account: int
    client_order_id: int
    price: int
    quantity: int
    order: Any
    leaves: int
    detail: int
    drop_copy: int
    market_data: int
    number: int


_INBOUND: dict[int, tuple[int, ...]] = {
    EventKind.REJECTED: (10,),
    EventKind.ACKNOWLEDGED: (10,),
    EventKind.MASS_CANCELED: (9,),
    EventKind.REPEATED: (6,),
}
"""Columns that repeat the inbound number of a command, which is another one where earlier commands are missing."""
_NAMED = ORDER_EVENTS | SHOWING | {EventKind.ACKNOWLEDGED, EventKind.QUARANTINED}
_OF_SEVERAL = frozenset({EventKind.BATCH_ENTERED, EventKind.ORDERS_LINKED, EventKind.QUOTED})
"""The kinds that tell of a command with orders in its parts."""
_LAST = frozenset({EventKind.EXECUTED, EventKind.CANCELED, EventKind.EXPIRED})
_TEXT = struct.Struct("<2q")


class Telling:
    """Reads the events of one world, command by command, in the order of the journal."""

    def __init__(self, state: bytes, *, shifted: bool = False) -> None:
        """Begin with state rows. `shifted`: commands may have other numbers and times than in the other world."""
        self._shifted = shifted
        self._sessions = {row.session: row.outbound for row in _of(state, SessionState)}
        self._copies = {row.firm: row.drop_copy for row in _of(state, FirmState)}
        self._market = {row.instrument: row.market_data for row in _of(state, InstrumentState)}
        self._firms = {row.account: row.firm for row in _of(state, AccountState)}
        self._orders: dict[int, Key] = {o.order_number: f"order {o.order_number}" for o in _of(state, OrderState)}
        self.symbols = {row.instrument: row.symbol for row in _of(state, InstrumentState)}
        engine = next(_of(state, EngineState))
        self._matches, self._numbers = engine.match_numbers, engine.order_numbers

    def copy(self) -> "Telling":
        """Another one that goes on from here."""
        other = object.__new__(Telling)
        for name, value in vars(self).items():
            setattr(other, name, dict(value) if isinstance(value, dict) else value)
        return other

    def name(self, number: int) -> Key:
        """What an order of this world is called in both: the command that entered it, or its number in the first state."""
        return self._orders.get(number, f"order {number}")

    def number(self, name: Key) -> int:
        """The number of the live order of a name; 0 if there is none. Takes as long as there are orders."""
        return next((number for number, called in self._orders.items() if called == name), 0)

    def read(self, key: Key, rows: bytes) -> list[Said]:
        """The events of one command, which is called `key` in both worlds."""
        events = list(event_rows(rows))
        several = any(event.kind in _OF_SEVERAL for event in events)
        said = [self._said(_part(key, event) if several else key, event) for event in events]
        for event in events:
            if event.kind == EventKind.SETTLED:
                self._matches = event.detail
            elif event.kind in _LAST and event.leaves == 0:
                self._orders.pop(event.order_number, None)
        return said

    def _said(self, key: Key, event: EventRow) -> Said:
        columns: list[Any] = [*event, 0]
        if event.kind == EventKind.ACCOUNT_OPENED:
            self._firms[event.account] = event.client_order_id
        elif event.kind == EventKind.INSTRUMENT_DEFINED:
            self.symbols[event.instrument] = _text(event.account, event.client_order_id)
        elif event.kind == EventKind.ACCEPTED:
            self._orders[event.order_number] = key
            columns[16], self._numbers = event.order_number - self._numbers, event.order_number
        if event.kind in _NAMED and event.order_number:
            columns[11] = self.name(event.order_number)
        self._count(event, columns)
        if self._shifted:
            for column in (1, 2, *_INBOUND.get(event.kind, ())):
                columns[column] = 0
        return Said._make(columns)

    def _count(self, event: EventRow, columns: list[Any]) -> None:
        """Put steps in the places of dense numbers."""
        if event.outbound:
            columns[4] = _step(self._sessions, event.session, event.outbound)
        if event.kind == EventKind.SETTLED:
            columns[14] = _step(self._copies, self._firms.get(event.account, 0), event.drop_copy)
            columns[15] = _step(self._copies, self._firms.get(event.client_order_id, 0), event.market_data)
        elif event.drop_copy:
            columns[14] = _step(self._copies, self._firm(event), event.drop_copy)
        if event.kind != EventKind.SETTLED and event.market_data:
            columns[15] = _step(self._market, event.instrument, event.market_data)
        if event.kind in {EventKind.EXECUTED, EventKind.SETTLED, EventKind.TRADED}:
            columns[13] = event.detail - self._matches
        elif event.kind == EventKind.REPEATED:
            # The first outbound number of an answer that was given long ago, by the numbers of this world.
            columns[8] = 0

    def _firm(self, event: EventRow) -> int:
        """The firm whose drop copy an event is part of: that of its account, or the one that it names itself (column 9)."""
        own = event.account == 0 and event.kind in {EventKind.KILLED, EventKind.LIMIT_SET}
        firm: int = event.price if own else self._firms.get(event.account, 0)
        return firm


def _part(key: Key, event: EventRow) -> Key:
    """The name of an order that a command of several parts entered."""
    return f"order {event.client_order_id} of {f'row {key}' if isinstance(key, int) else key}"


def _step(last: dict[int, int], of: int, number: int) -> int:
    step = number - last.get(of, 0)
    last[of] = number
    return step


def _of(state: bytes, kind: Any) -> Any:
    return state_rows(state, kind.KIND)


def _text(low: int, high: int) -> str:
    return _TEXT.pack(low, high).rstrip(b"\0").decode("ascii", "replace")


def by_command(events: bytes) -> dict[int, bytes]:
    """The event rows of each command that caused any."""
    numbers = memoryview(events).cast("q")[1::COLUMNS].tolist() if events else []
    found: dict[int, bytes] = {}
    begin = 0
    for end, sequence in enumerate(numbers, start=1):
        if end == len(numbers) or numbers[end] != sequence:
            found[sequence] = found.get(sequence, b"") + events[begin * ROW_SIZE : end * ROW_SIZE]
            begin = end
    return found
