"""A client that sees market data alone holds the engine's book: docs/events.md, Rebuilding a book, done as it says."""

from core import messages as m
from core.kinds import HIDDEN, KEPT_PLACE, RESTING, Side
from core.machine import Machine
from core.rows import rows
from tests.pair import seeds, stream

PUBLIC = (
    m.Accepted, m.Rested, m.Executed, m.Traded, m.Reduced, m.DisplayChanged, m.Canceled, m.Expired, m.Replaced,
    m.Restated, m.InstrumentDefined, m.TradingStateChanged,
)  # fmt: skip
PRIVATE = ("session", "outbound", "account", "client_order_id", "original_client_order_id", "drop_copy")


def public(event):
    """What market data shows of an event; None if it is no part of it."""
    if not isinstance(event, PUBLIC) or event.market_data == 0:
        return None
    return type(event)(**{name: getattr(event, name) for name in event.__struct_fields__ if name not in PRIVATE})


class Book:
    """One instrument's orders by side and price, each price a list of [order number, leaves]."""

    def __init__(self):
        self.levels, self.market_data = {}, 0

    def read(self, event):
        """Treat one row of market data."""
        assert event.market_data == self.market_data + 1, "a gap"
        self.market_data = event.market_data
        match event:
            case m.Accepted() | m.Rested():
                assert event.flags & RESTING
                self.add(event)
            case m.Traded(order_number=0):
                pass
            case m.Executed() | m.Traded():
                # Where an instrument has steps of allocation it need not be the first order of its level.
                self.find(event)[1] = event.leaves
                if event.leaves == 0:
                    self.remove(event)
            case m.Canceled() | m.Expired() | m.DisplayChanged(leaves=0):
                self.remove(event)
            case m.Reduced() | m.DisplayChanged():
                self.find(event)[1] = event.leaves
            case m.Replaced() if event.flags & KEPT_PLACE:
                self.find(event)[1] = event.leaves
            case m.Replaced() | m.Restated():
                self.remove(event)
                if event.flags & RESTING:
                    self.add(event)

    def add(self, event):
        self.levels.setdefault((event.flags & 1, event.price), []).append([event.order_number, event.leaves])

    def find(self, event):
        return next(order for level in self.levels.values() for order in level if order[0] == event.order_number)

    def remove(self, event):
        """Take the order out if it stands: a pegged one need not."""
        order = next((o for level in self.levels.values() for o in level if o[0] == event.order_number), None)
        self.levels = {key: [o for o in level if o is not order] for key, level in self.levels.items()}
        self.levels = {key: level for key, level in self.levels.items() if level}


def shown(book, side):
    """All orders of a side as (price, order number, leaves), the one that trades next first."""
    prices = sorted((price for s, price in book.levels if s == side), reverse=side == Side.BUY)
    return [(price, number, leaves) for price in prices for number, leaves in book.levels[side, price]]


def held(state, instrument, side):
    """The same as the engine shows it, from its snapshot: rows of a book stand best price first, in queue order."""
    terms = {row.order_number: row for row in state if isinstance(row, m.TermsState)}
    found = [row for row in state if isinstance(row, m.OrderState) and not row.flags & HIDDEN]
    found = [row for row in found if (row.instrument, row.flags & 1) == (instrument, side)]
    special = {row.order_number: terms.get(row.order_number, m.TermsState()) for row in found}
    standing = [row for row in found if special[row.order_number].waits == 0]
    return [(r.price, r.order_number, special[r.order_number].shown or r.leaves) for r in standing]


def follow(seed, steps):
    """Compare the book of every instrument after every command of a random stream."""
    pair = stream(seed, steps)
    machine, books = Machine(), {}
    for row, quarantine, _ in pair.log:
        told = machine.apply_quarantined(row, 0, quarantine, 0) if quarantine else machine.apply(row, 0, len(row))
        for event in rows(told):
            if (seen := public(event)) is not None:
                books.setdefault(seen.instrument, Book()).read(seen)
        state = list(rows(machine.rows()))
        for instrument, book in books.items():
            for side in Side:
                assert shown(book, side) == held(state, instrument, side)
    return books


def test_market_data_alone_rebuilds_every_book_after_every_command():
    """The book that market data makes is the engine's, order by order, after each command of random streams."""
    counted = 0
    for seed in seeds(4):
        counted += sum(book.market_data for book in follow(seed, 200).values())
    assert counted > 100
