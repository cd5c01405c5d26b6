"""What market data looks like on the wire: event rows without their private columns, and the rows of a snapshot.

A snapshot row has the 64 bytes of a notice: eight signed 64-bit integers, little-endian (docs/market-data.md).
"""

import struct
from collections.abc import Iterable, Iterator
from enum import IntEnum
from typing import Final, NamedTuple

from core.kinds import (
    COLUMNS,
    FLAGS,
    HIDDEN,
    PREVENTION_MASK,
    PREVENTION_SHIFT,
    QUOTE,
    REDUCE_ONLY,
    ROW_SIZE,
    SIDE_MASK,
)
from core.messages import ROWS, OrderState, Row, TermsState
from core.rows import layout
from journal.check import columns
from replicas.book_builder import BookBuilder, Resting
from replicas.errors import FormError
from replicas.soup import NOTICE_SIZE, unsequenced

SHOWN: Final = frozenset((
    "sequence", "time", "flags", "instrument", "symbol", "currencies", "price_max", "quantity_max", "fee_rates",
    "state", "price", "quantity", "order_number", "leaves", "match_number", "expires", "market_data",
))  # fmt: skip
"""Fields of events that market data shows; whatever has another name is zeroed, so nothing new is shown by oversight."""

PRIVATE_FLAGS: Final = QUOTE | REDUCE_ONLY | PREVENTION_MASK << PREVENTION_SHIFT
"""Bits of an order's flags that tell of its owner: that it makes a market, a position to be closed, and what it does where it meets itself."""

_BYTES: Final = (1 << 64) - 1
_NOTICE: Final = struct.Struct("<8q")


class SnapshotKind(IntEnum):
    """Column 0 of the 64-byte rows: the client's request, and what answers it. The last two are no `NoticeKind`."""

    SNAPSHOT = 1
    ORDER = 16
    END = 17


def _masks() -> dict[int, int]:
    """For each event kind that market data may tell, the bits of the row that are shown."""
    masks = {}
    for kind, struct_type in ROWS.items():
        fields = layout(struct_type)
        if any(field.name == "market_data" for field in fields) and 256 <= kind < 512:
            shown = [field for field in fields if field.name in SHOWN]
            places = [0, *(field.column + more for field in shown for more in range(field.text or 1))]
            masks[kind] = sum(_BYTES << 64 * place for place in places)
            if any(field.name == "order_number" for field in fields):
                masks[kind] &= ~(PRIVATE_FLAGS << 8 * FLAGS)
    return masks


_MASKS: Final = _masks()
PUBLIC: Final = frozenset(_MASKS)
"""Kinds of events that are market data where column 15 is not zero."""


class PublicRow(NamedTuple):
    """A row as market data shows it, with its instrument and its market data number."""

    instrument: int
    number: int
    row: bytes


def public_rows(events: bytes, instrument: int = 0) -> Iterator[PublicRow]:
    """The market data rows among event rows, of one instrument or (0) of all, without their private columns."""
    data = columns(events)
    places = zip(data[::COLUMNS], data[15::COLUMNS], data[6::COLUMNS], strict=True)
    for at, (kind, number, of) in enumerate(places):
        if number and kind in _MASKS and instrument in (0, of):
            row = int.from_bytes(events[at * ROW_SIZE : (at + 1) * ROW_SIZE], "little")
            yield PublicRow(of, number, (row & _MASKS[kind]).to_bytes(ROW_SIZE, "little"))


def shown_orders(state: Iterable[Row]) -> dict[int, list[Resting]]:
    """What market data shows of the orders in ORDER and TERMS rows of a state, in queue order, by instrument.

    Hidden orders and those that wait are left out, and of an iceberg there is what it shows.
    """
    found: dict[int, list[Resting]] = {}
    orders: list[Resting] = []
    for row in state:
        if isinstance(row, OrderState):
            orders = found.setdefault(row.instrument, [])
            if not row.flags & HIDDEN:
                orders.append(Resting(row.order_number, row.flags & SIDE_MASK, row.price, row.leaves))
        elif isinstance(row, TermsState) and orders and orders[-1].order_number == row.order_number:
            last = orders.pop()
            if row.waits == 0:
                orders.append(last._replace(leaves=row.shown or last.leaves))
    return found


class SnapshotEnd(NamedTuple):
    """The last row of a snapshot: what the orders before it are the book of, and when."""

    number: int
    """Market data number after which the book stood so."""
    orders: int
    """How many ORDER rows came before."""
    state: int
    """Trading state of the instrument."""
    instrument: int


SNAPSHOT_REQUEST: Final = unsequenced(_NOTICE.pack(SnapshotKind.SNAPSHOT, 0, 0, 0, 0, 0, 0, 0))
"""The packet by which a client asks for a snapshot."""


def is_snapshot_request(payload: bytes) -> bool:
    """Whether an unsequenced payload asks for a snapshot; whoever sends another one has not read the protocol."""
    return payload == SNAPSHOT_REQUEST[-NOTICE_SIZE:]


def snapshot_packets(book: BookBuilder) -> bytes:
    """The packets that tell a book as it is now: buys, then sells, each from the order that trades next; then END."""
    orders = [order for side in (0, 1) for order in book.orders(side)]
    end = (SnapshotKind.END, book.number, len(orders), book.state, book.instrument, 0, 0, 0)
    return b"".join((*map(_order, orders), unsequenced(_NOTICE.pack(*end))))


def _order(order: Resting) -> bytes:
    return unsequenced(_NOTICE.pack(SnapshotKind.ORDER, *order, 0, 0, 0))


def parse_snapshot(payload: bytes) -> Resting | SnapshotEnd | None:
    """An unsequenced payload as a row of a snapshot; None for a notice of another kind. FormError for another size."""
    if len(payload) != NOTICE_SIZE:
        raise FormError(f"a snapshot row of {len(payload)} bytes; it has {NOTICE_SIZE}")
    kind, a, b, c, d, *_ = _NOTICE.unpack(payload)
    if kind == SnapshotKind.ORDER:
        return Resting(a, b, c, d)
    return SnapshotEnd(a, b, c, d) if kind == SnapshotKind.END else None


def sequenced_rows(rows: Iterable[bytes]) -> bytes:
    """The 'S' packets of market data rows."""
    return b"".join(part for row in rows for part in (_SEQUENCED, row))


_SEQUENCED: Final = struct.pack(">H", ROW_SIZE + 1) + b"S"
