"""A published book kept as orders that never trade: what dirty feeds are read into, so that it can be held against them.

A feed tells of a book after the venue has matched it, and tells it late or out of order. So the engine must not match
it once more: an order that would cross waits until what it would meet has gone, and enters then.
"""

from collections.abc import Iterator
from itertools import count
from typing import Final, NamedTuple

from sortedcontainers import SortedDict, SortedList

from core.kinds import CommandKind, Side
from core.limits import PRICE_MAX, QUANTITY_MAX, SUM_MAX
from tools.importing.source import Step

_Place = tuple[int, int, int]
_PARTS_MAX: Final = 2**17


class Quote(NamedTuple):
    """An order of a feed; price in ticks, quantity in lots."""

    side: int
    price: int
    quantity: int

    def fits(self) -> bool:
        """Whether one order may say this; the engine refuses any other."""
        within = 1 <= self.price <= PRICE_MAX and 1 <= self.quantity <= QUANTITY_MAX
        return within and self.price * self.quantity <= SUM_MAX


class FeedBook:
    """One instrument: every change gives the steps that make the engine's book the same."""

    def __init__(self, instrument: int) -> None:
        self._instrument = instrument
        self._live: dict[int, Quote] = {}
        # The quantity at each price, per side; sums of what is live.
        self._levels: tuple[SortedDict[int, int], SortedDict[int, int]] = (SortedDict(), SortedDict())
        self.waiting: dict[int, Quote] = {}
        """Orders that would cross, in the order in which they came."""
        # Price, arrival and order of those that wait, per side: who may enter is found without a walk over all.
        self._queues: tuple[SortedList[_Place], SortedList[_Place]] = (SortedList(), SortedList())
        self._places: dict[int, _Place] = {}
        self._arrivals = count(1)

    def __contains__(self, order: int) -> bool:
        return order in self._live or order in self.waiting

    def put(self, order: int, quote: Quote, time: int) -> Iterator[Step]:
        """The order, whose quote fits, stands like this from now on: entered, reduced or replaced, or waiting."""
        before = self._live.get(order)
        self._leave(order)
        # A replaced order keeps its side: one that changes it is canceled and entered.
        if before is not None and (before.side != quote.side or self._crosses(quote)):
            yield self._cancel(order, time)
            before = None
        if before is not None:
            yield self._change(order, before, quote, time)
        elif self._crosses(quote):
            self._wait(order, quote)
        else:
            yield self._enter(order, quote, time)
        yield from self._let_in(time)

    def remove(self, order: int, time: int) -> Iterator[Step]:
        """The order has gone; nothing if it was not known."""
        self._leave(order)
        if order in self._live:
            yield self._cancel(order, time)
        yield from self._let_in(time)

    def _wait(self, order: int, quote: Quote) -> None:
        self.waiting[order] = quote
        place = self._places[order] = (quote.price, next(self._arrivals), order)
        self._queues[quote.side].add(place)

    def _leave(self, order: int) -> None:
        if order in self.waiting:
            self._queues[self.waiting.pop(order).side].remove(self._places.pop(order))

    def _let_in(self, time: int) -> Iterator[Step]:
        free = [place for side in (Side.BUY, Side.SELL) for place in self._free(side)]
        for _, _, order in sorted(free, key=lambda place: place[1]):
            quote = self.waiting[order]
            # One that has just entered may be in the way of the next.
            if not self._crosses(quote):
                self._leave(order)
                yield self._enter(order, quote, time)

    def _free(self, side: int) -> Iterator[_Place]:
        """Those of a side that wait and cross nothing that stands."""
        best = self._best(1 - side)
        if best is None:
            return iter(self._queues[side])
        if side == Side.BUY:
            return self._queues[side].irange(maximum=(best, 0, 0))
        return self._queues[side].irange(minimum=(best + 1, 0, 0))

    def _best(self, side: int) -> int | None:
        levels = self._levels[side]
        return levels.peekitem(-1 if side == Side.BUY else 0)[0] if levels else None

    def _crosses(self, quote: Quote) -> bool:
        best = self._best(1 - quote.side)
        if best is None:
            return False
        return quote.price >= best if quote.side == Side.BUY else quote.price <= best

    def _enter(self, order: int, quote: Quote, time: int) -> Step:
        self._live[order] = quote
        self._add(quote, quote.quantity)
        return self._step(CommandKind.ENTER_ORDER, order, quote, time)

    def _cancel(self, order: int, time: int) -> Step:
        quote = self._live.pop(order)
        self._add(quote, -quote.quantity)
        return self._step(CommandKind.CANCEL_ORDER, order, quote, time)

    def _change(self, order: int, before: Quote, quote: Quote, time: int) -> Step:
        """A reduction keeps its place; everything else gives it up."""
        self._live[order] = quote
        self._add(before, -before.quantity)
        self._add(quote, quote.quantity)
        if quote[:2] == before[:2] and quote.quantity < before.quantity:
            taken = before._replace(quantity=before.quantity - quote.quantity)
            return self._step(CommandKind.REDUCE_ORDER, order, taken, time)
        return self._step(CommandKind.REPLACE_ORDER, order, quote, time)

    def _add(self, quote: Quote, quantity: int) -> None:
        level = self._levels[quote.side]
        level[quote.price] = level.get(quote.price, 0) + quantity
        if level[quote.price] == 0:
            del level[quote.price]

    def _step(self, kind: CommandKind, order: int, quote: Quote, time: int) -> Step:
        return Step(kind, order, *quote, time, instrument=self._instrument)


def parts(quote: Quote) -> Iterator[Quote]:
    """A quantity as orders that are not too large for a command, and whose price times quantity is not either.

    ValueError for a quantity beyond SUM_MAX, or one that would take more than 131,072 orders.
    """
    largest: Final = min(QUANTITY_MAX, SUM_MAX // quote.price)
    if quote.quantity > min(SUM_MAX, largest * _PARTS_MAX):
        raise ValueError(f"a quantity of {quote.quantity} at price {quote.price} is too large")
    left = quote.quantity
    while left:
        yield quote._replace(quantity=min(left, largest))
        left -= min(left, largest)
