"""What an order leaves behind when all its events have been told: quotes that are frozen, links that are over."""

from __future__ import annotations

from core.arrival import Arrival


class Aftermath(Arrival):
    """Work that matching only notes, so that what was in reach when an order was judged stays in reach."""

    __slots__ = ()

    def see_to_aftermath(self) -> None:
        """Cancel what a protection froze, then the partners of links that are over."""
        self.upset = False
