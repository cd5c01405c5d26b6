"""What kept a resting order from trading: who stood before it, and how far the best opposite price was away.

`Queue` follows the orders that trade before one: those ahead of it at its price, and those at better prices. Both are
kept up event by event in constant time. `Standing` watches one stay in the book and notes each change; `Summary` keeps
a stay in few lines, however long it was.
"""

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from core.kinds import KEPT_PLACE, SIDE_MASK, EventKind, Side
from tools.books import Book, BookOrder
from tools.event_rows import EventRow

LINES_MAX: Final = 8
"""Spans that a summary keeps at least where there were as many changes; at most twice as many less one."""

_KEEP = frozenset({EventKind.EXECUTED, EventKind.REDUCED})
"""After these an order stands in its place with what is left of it."""


class SidedBook(Book):
    """A book that can be asked for its best price alone."""

    def fill(self, rows: bytes) -> None:
        """Take in the orders that stand in the state rows of a venue."""
        book = Book.of_state(rows, self.instrument)
        for level in (*book.levels(Side.BUY), *book.levels(Side.SELL)):
            for order in level.orders:
                self.stand(order)

    def best(self, side: int) -> tuple[int, int] | None:
        """The best price of a side in ticks and the open lots there; None for an empty side."""
        prices = self._sides[side]
        if not prices:
            return None
        price = max(prices) if side == Side.BUY else min(prices)
        return price, sum(order.leaves for order in prices[price].values())


class Moved(NamedTuple):
    """An order ahead left, or became smaller: by how many lots, and who is ahead now."""

    order_number: int
    account: int
    kind: int
    detail: int
    quantity: int
    ahead_orders: int
    ahead_quantity: int


class Step(NamedTuple):
    """How an order stood after a row; prices in ticks, quantities in lots, `price` None where the other side was empty."""

    sequence: int
    time: int
    price: int | None
    quantity: int
    ahead_orders: int
    ahead_quantity: int
    better_orders: int
    better_quantity: int


class Queue:
    """The orders that trade before one that rests, and their open quantity."""

    def __init__(self, book: SidedBook, order: BookOrder) -> None:
        """Taken from the book in which the order stands."""
        self.order = order
        self._book = book
        self._ahead: dict[int, int] = {}
        for other in book.queue(order.side, order.price):
            if other.order_number == order.order_number:
                break
            self._ahead[other.order_number] = other.leaves
        levels = (level for level in book.levels(order.side) if self._is_better(level.price))
        self._better = {other.order_number: other.leaves for level in levels for other in level.orders}
        self.ahead_quantity = sum(self._ahead.values())
        self.better_quantity = sum(self._better.values())

    def _is_better(self, price: int) -> bool:
        return price > self.order.price if self.order.side == Side.BUY else price < self.order.price

    def counts(self) -> tuple[int, int, int, int]:
        """Orders and lots ahead at its price, orders and lots at better prices."""
        return len(self._ahead), self.ahead_quantity, len(self._better), self.better_quantity

    def apply(self, event: EventRow) -> Moved | None:
        """Take in an event about another order, after the book has; what it moved if it was about one ahead."""
        if event.flags & SIDE_MASK != self.order.side:
            return None
        number = event.order_number
        known, found = self._ahead.get(number), self._book.find(number)
        kept_place = known is not None and event.kind in _KEEP
        kept_place |= event.kind == EventKind.REPLACED and bool(event.flags & KEPT_PLACE) and known is not None
        ahead = better = 0
        if found is not None and self._is_better(found.price):
            better = found.leaves
        elif found is not None and found.price == self.order.price and (kept_place or self._goes_before(found)):
            ahead = found.leaves
        self.better_quantity += better - self._better.get(number, 0)
        self.ahead_quantity += ahead - (known or 0)
        _set(self._better, number, better)
        _set(self._ahead, number, ahead)
        if known is None or ahead >= known:
            return None
        counts = (len(self._ahead), self.ahead_quantity)
        return Moved(number, event.account, event.kind, event.detail, known - ahead, *counts)

    def _goes_before(self, other: BookOrder) -> bool:
        """Whether an order that comes to stand at its price trades before this one: what is shown does, if this one hides."""
        return self.order.hidden and not other.hidden


def _set(orders: dict[int, int], number: int, leaves: int) -> None:
    if leaves:
        orders[number] = leaves
    else:
        orders.pop(number, None)


class Span:
    """Some changes in a row: how they began and ended, and the step that came nearest to a trade."""

    __slots__ = ("changes", "first", "last", "nearest", "prices")

    def __init__(self, step: Step, *, price_changed: bool) -> None:
        self.first = self.last = self.nearest = step
        self.changes = 1
        self.prices = int(price_changed)

    def add(self, other: "Span", side: int) -> None:
        """Take in the span that follows."""
        self.last = other.last
        self.changes += other.changes
        self.prices += other.prices
        if nearer(other.nearest, self.nearest, side):
            self.nearest = other.nearest


class Summary:
    """The spans of a stay in the book: one for each best opposite price, joined in pairs where they become too many."""

    def __init__(self, side: int) -> None:
        self.spans: list[Span] = []
        self.changes = 0
        self._side = side
        self._grain = 1
        self._price: int | None = None

    def add(self, step: Step) -> None:
        """Take in the next change."""
        changed = self.changes == 0 or step.price != self._price
        self._price = step.price
        self.changes += 1
        span = Span(step, price_changed=changed)
        if self.spans and (not changed or self.spans[-1].prices < self._grain):
            self.spans[-1].add(span, self._side)
            return
        self.spans.append(span)
        if len(self.spans) == 2 * LINES_MAX:
            self._join()

    def _join(self) -> None:
        for at in range(0, len(self.spans), 2):
            self.spans[at].add(self.spans[at + 1], self._side)
        self.spans = self.spans[::2]
        self._grain *= 2

    def nearest(self) -> Step | None:
        """The step whose opposite price came nearest, the first of equals; None if the other side was always empty."""
        found = None
        for span in self.spans:
            if span.nearest.price is not None and (found is None or nearer(span.nearest, found, self._side)):
                found = span.nearest
        return found


def nearer(one: Step, other: Step, side: int) -> bool:
    """Whether the opposite price of one step is nearer to an order of this side than that of another."""
    if one.price is None or other.price is None:
        return one.price is not None and other.price is None
    return one.price < other.price if side == Side.BUY else one.price > other.price


class Standing:
    """One stay in the book at one price: from when an order comes to rest until it leaves its place."""

    def __init__(self, book: SidedBook, number: int, *, full: bool) -> None:
        """`full` keeps every step and not the summary alone."""
        order = book.find(number)
        assert order is not None
        self.price = order.price
        self.side = order.side
        self.queue = Queue(book, order)
        self.summary = Summary(order.side)
        self.steps: list[Step] | None = [] if full else None
        self.traded_ahead = 0
        self.last: Step | None = None
        self._book = book
        self._best: tuple[int, int] | tuple[None, int] = (None, 0)
        self._stale = True

    def apply(self, event: EventRow) -> Moved | None:
        """Take in an event about another order, after the book has."""
        self._stale |= event.flags & SIDE_MASK != self.side
        return self.queue.apply(event)

    def after(self, sequence: int, time: int) -> None:
        """A row has been applied wholly: note how the order stands if that has changed."""
        step = Step(sequence, time, *self._opposite(), *self.queue.counts())
        last = self.last
        if last is not None and step.price == last.price and step[4:] == last[4:]:
            return
        self.last = step
        self.summary.add(step)
        if self.steps is not None:
            self.steps.append(step)

    def _opposite(self) -> tuple[int | None, int]:
        """The best opposite price, looked up only where the other side may have changed."""
        if self._stale:
            self._best = self._book.best(1 - self.side) or (None, 0)
            self._stale = False
        return self._best

    def distance(self, step: Step) -> int | None:
        """Ticks between the best opposite price and the order's; None where the other side was empty."""
        if step.price is None:
            return None
        return step.price - self.price if self.side == Side.BUY else self.price - step.price

    def steps_json(self) -> Iterator[dict[str, Any]]:
        """Every step, with what was needed: lots that an order of the other side had to bring to reach this one.

        Where the steps of the instrument share a level among its orders, fewer may do.
        """
        for step in self.steps or ():
            needed = step.ahead_quantity + step.better_quantity + 1
            yield step._asdict() | {"distance": self.distance(step), "needed_quantity": needed}
