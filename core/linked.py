"""Orders that are linked: what ends a link is noted here, and seen to when all events of the order are told."""

from __future__ import annotations

from mypy_extensions import i64
from sortedcontainers import SortedDict

from core.book import Order
from core.counting import Counting
from core.terms import OrderLink, Terms


class Linked(Counting):
    """Links that hold, and those that are over and not seen to yet."""

    __slots__ = ("ended", "links")

    def __init__(self) -> None:
        super().__init__()
        # Links that hold, by the order number of their first order that is no parent.
        self.links: SortedDict[int, OrderLink] = SortedDict()
        # Those that ended in this row, as they ended; empty between rows.
        self.ended: list[OrderLink] = []

    def begin_link(self, link: OrderLink) -> None:
        """Live orders are linked from now on."""
        self.links[link.first.number] = link
        for order in (link.parent, link.first, link.second):
            if order is not None and order.terms is not None:
                order.terms.link = link

    def end_link(self, link: OrderLink, by: Order) -> None:
        """A link is over; the order that ended it is left as it is, and the others are seen to later."""
        if not link.over:
            link.over = True
            link.by = by
            self.ended.append(link)
            self.upset = True

    def note_trade(self, order: Order) -> None:
        """An order has traded: unless it is a parent, its link is over."""
        terms = order.terms
        if terms is not None:
            link = terms.link
            if link is not None and order is not link.parent:
                self.end_link(link, order)

    def note_leave(self, order: Order, terms: Terms) -> None:
        """An order has ended: its link is over, or, where it is a parent that has traded, activates others."""
        link = terms.link
        if link is None:
            return
        if order is not link.parent or order.executed == 0:
            self.end_link(link, order)
        elif not link.over:
            terms.link = None
            link.parent = None
            link.traded = order.executed
            self.await_activation(link)

    # ---- turns to be activated

    def await_activation(self, link: OrderLink) -> None:
        """The held orders of a link are activated behind those of all parents that ended before."""
        instrument = link.first.instrument
        followers = instrument.followers
        followers.turns += 1
        link.turn = followers.turns
        followers.activations[link.turn] = link
        instrument.watch += 1

    def drop_activation(self, link: OrderLink) -> None:
        """No held order of the link is to be activated any more."""
        if link.turn != 0:
            instrument = link.first.instrument
            del instrument.followers.activations[link.turn]
            instrument.watch -= 1
            link.turn = 0


def spared_by(order: Order, link: OrderLink | None) -> i64:
    """What the other of two orders that cancel each other reserves in the same balance: only one of them ever trades."""
    partner = link.partner(order) if link is not None else None
    return partner.reserved if partner is not None and partner.hold is order.hold else 0
