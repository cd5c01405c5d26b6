"""The table of executions: one row for each match, with both of its sides and what it settled."""

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from core.kinds import ROW_SIZE, SIDE_MASK, EventKind, Side
from core.rows import from_row
from replicas.replay import Applied
from tools.event_rows import EventRow, event_rows
from tools.exports.file import Field, Type
from tools.exports.names import NAMING, Names

_SIDE_FIELDS: Final = ("order", "account", "session", "client_order_id", "leaves")

FIELDS: Final = (
    Field("match_number"),
    Field("sequence"),
    Field("time"),
    Field("time_utc", Type.TIME),
    Field("symbol", Type.TEXT),
    Field("instrument"),
    Field("price"),
    Field("quantity"),
    Field("price_display", Type.TEXT),
    Field("quantity_display", Type.TEXT),
    Field("aggressor", Type.TEXT),
    *(Field(f"{side}_{name}") for side in ("buyer", "seller") for name in _SIDE_FIELDS),
    Field("base_amount"),
    Field("quote_amount"),
    Field("buyer_fee"),
    Field("seller_fee"),
    Field("base_currency", Type.TEXT),
    Field("quote_currency", Type.TEXT),
    Field("quote_decimals"),
)
"""The columns, in order."""


class _Settled(NamedTuple):
    """The columns of core.messages.Settled."""

    kind: int
    sequence: int
    time: int
    session: int
    outbound: int
    flags: int
    instrument: int
    buyer: int
    seller: int
    base_amount: int
    quote_amount: int
    buyer_fee: int
    seller_fee: int
    match_number: int
    buyer_drop_copy: int
    seller_drop_copy: int


def executions(names: Names, batches: Iterator[Applied], symbol: str | None = None) -> Iterator[tuple[Any, ...]]:
    """Each match in order, as a row of the fields; of one instrument, if a symbol is given."""
    for batch in batches:
        resting = incoming = None
        for at, event in enumerate(event_rows(batch.events)):
            if event.kind == EventKind.EXECUTED:
                resting, incoming = incoming, event
            elif event.kind == EventKind.SETTLED:
                assert resting is not None
                assert incoming is not None
                if symbol in {None, names.instruments[event.instrument].symbol}:
                    yield _row(names, resting, incoming, _Settled._make(event))
            elif event.kind in NAMING:
                names.learn(from_row(batch.events, at * ROW_SIZE))


def _row(names: Names, resting: EventRow, incoming: EventRow, settled: _Settled) -> tuple[Any, ...]:
    terms = names.instruments[resting.instrument]
    quote = names.currencies[terms.quote]
    side = Side(incoming.flags & SIDE_MASK)
    buyer, seller = (incoming, resting) if side == Side.BUY else (resting, incoming)
    return (
        settled.match_number,
        resting.sequence,
        resting.time,
        resting.time,
        terms.symbol,
        resting.instrument,
        resting.price,
        resting.quantity,
        terms.price(resting.price),
        terms.quantity(resting.quantity),
        side.name,
        *_side(buyer),
        *_side(seller),
        settled.base_amount,
        settled.quote_amount,
        settled.buyer_fee,
        settled.seller_fee,
        names.currencies[terms.base].symbol,
        quote.symbol,
        quote.decimals,
    )


def _side(event: EventRow) -> tuple[int, ...]:
    return event.order_number, event.account, event.session, event.client_order_id, event.leaves
