"""A published book kept as orders that never trade: what dirty feeds are read into, so that it can be held against them.

A feed tells of a book after the venue has matched it, and tells it late or out of order. So the engine must not match
it once more: an order that would cross waits until what it would meet has gone, and enters then.
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

from sortedcontainers import SortedDict

from core.kinds import CommandKind, Side
from core.limits import QUANTITY_MAX, SUM_MAX
from tools.importing.source import Step


class Quote(NamedTuple):
    """An order of a feed; price in ticks, quantity in lots."""

    side: int
    price: int
    quantity: int


class FeedBook:
    """One instrument: every change gives the steps that make the engine's book the same."""

    def __init__(self, instrument: int) -> None:
        self._instrument = instrument
        self._live: dict[int, Quote] = {}
        # The quantity at each price, per side; sums of what is live.
        self._levels: tuple[SortedDict[int, int], SortedDict[int, int]] = (SortedDict(), SortedDict())
        self.waiting: dict[int, Quote] = {}
        """Orders that would cross, in the order in which they came."""

    def __contains__(self, order: int) -> bool:
        return order in self._live or order in self.waiting

    def put(self, order: int, quote: Quote, time: int) -> Iterator[Step]:
        """The order stands like this from now on: entered, reduced or replaced, or waiting."""
        before = self._live.get(order)
        self.waiting.pop(order, None)
        if before is not None and self._crosses(quote):
            yield self._cancel(order, time)
            self.waiting[order] = quote
        elif before is not None:
            yield self._change(order, before, quote, time)
        elif self._crosses(quote):
            self.waiting[order] = quote
        else:
            yield self._enter(order, quote, time)
        yield from self._let_in(time)

    def remove(self, order: int, time: int) -> Iterator[Step]:
        """The order has gone; nothing if it was not known."""
        if self.waiting.pop(order, None) is None and order in self._live:
            yield self._cancel(order, time)
        yield from self._let_in(time)

    def _let_in(self, time: int) -> Iterator[Step]:
        for order, quote in list(self.waiting.items()):
            if not self._crosses(quote):
                del self.waiting[order]
                yield self._enter(order, quote, time)

    def _crosses(self, quote: Quote) -> bool:
        others = self._levels[1 - quote.side]
        if not others:
            return False
        best: int = others.peekitem(0 if quote.side == Side.BUY else -1)[0]
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
    """A quantity as orders that are not too large for a command, and whose price times quantity is not either."""
    largest: Final = min(QUANTITY_MAX, SUM_MAX // quote.price)
    left = quote.quantity
    while left:
        yield quote._replace(quantity=min(left, largest))
        left -= min(left, largest)
