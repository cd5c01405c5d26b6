"""Rows as tuples with names, for queries that look at every row: twenty times faster than Structs."""

import struct
from collections.abc import Iterator
from typing import NamedTuple

from core.kinds import EventKind

_ROW = struct.Struct("<16q")


class CommandRow(NamedTuple):
    """The columns of a command; the names are those of orders (core/messages.py)."""

    kind: int
    sequence: int
    time: int
    session: int
    inbound: int
    flags: int
    instrument: int
    account: int
    client_order_id: int
    price: int
    quantity: int
    expires: int
    column_12: int
    column_13: int
    column_14: int
    original_client_order_id: int


class EventRow(NamedTuple):
    """The columns of an event about an order; `detail` is reason, match number, expiry or original client order id."""

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
    order_number: int
    leaves: int
    detail: int
    drop_copy: int
    market_data: int


ORDER_EVENTS = frozenset(
    {
        EventKind.ACCEPTED,
        EventKind.EXECUTED,
        EventKind.REPLACED,
        EventKind.REDUCED,
        EventKind.CANCELED,
        EventKind.EXPIRED,
        EventKind.RESTED,
    }
)
"""The kinds whose rows name one order in the column `order_number`."""


def command_rows(data: bytes, begin: int, end: int) -> Iterator[CommandRow]:
    """The command rows between two offsets."""
    return map(CommandRow._make, _ROW.iter_unpack(memoryview(data)[begin:end]))


def event_rows(events: bytes) -> Iterator[EventRow]:
    """The event rows, of whatever kind."""
    return map(EventRow._make, _ROW.iter_unpack(events))
