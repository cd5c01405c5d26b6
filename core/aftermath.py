"""What an order leaves behind when all its events have been told: quotes that are frozen, links that are over."""

from __future__ import annotations

from core.arrival import Arrival
from core.book import Order
from core.codes import CancelReason
from core.terms import OrderLink, Terms


class Aftermath(Arrival):
    """Work that matching only notes, so that what was in reach when an order was judged stays in reach."""

    __slots__ = ()

    def see_to_aftermath(self) -> None:
        """Cancel what a protection froze, then the partners of links that are over."""
        self.upset = False
        self._see_to_links()

    # ---- links

    def _see_to_links(self) -> None:
        ended = self.ended
        self.ended = []
        for link in ended:
            self._part(link)

    def part_triggered(self, order: Order, terms: Terms) -> bool:
        """An order that cancels another one is triggered: the other is canceled at once; whether there was one."""
        link = terms.link
        if link is None or link.parent is not None:
            return False
        link.over = True
        link.by = order
        self._part(link)
        return True

    def _part(self, link: OrderLink) -> None:
        """Cancel the others of a link that is over, in order of order number; none knows it from then on."""
        self.drop_activation(link)
        for order in (link.first, link.second):
            if order is not None and order.live and order is not link.by:
                self.cancel(order, CancelReason.LINKED)
        self.unlink(link)

    def unlink(self, link: OrderLink) -> None:
        """No order knows the link from now on; what only the link made more than plain is plain."""
        del self.links[link.first.number]
        for order in (link.parent, link.first, link.second):
            terms = order.terms if order is not None else None
            if order is not None and terms is not None:
                terms.link = None
                if order.live and order.level is not None and not self.keeps_terms(order, terms):
                    self.shed_terms(order)
