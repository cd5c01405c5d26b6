"""What an order leaves behind when all its events have been told: quotes that are frozen, links that are over."""

from __future__ import annotations

from core.arrival import Arrival
from core.codes import CancelReason, EventKind


class Aftermath(Arrival):
    """Work that matching only notes, so that what was in reach when an order was judged stays in reach."""

    __slots__ = ()

    def see_to_aftermath(self) -> None:
        """Cancel what a protection froze, then the partners of links that are over."""
        self.upset = False
        if self.reached:
            self._freeze()

    def _freeze(self) -> None:
        """Tell whose protection was reached, and cancel the quotes that it protects, in order of order number."""
        reached = self.reached
        self.reached = []
        for account, quoting in reached:
            self.row(
                EventKind.PROTECTION_FROZEN, quoting.session, 0, quoting.instrument, account.number, quoting.reached,
                quoting.lots, quoting.matches, quoting.net, 0, 0, account.firm.next_drop_copy(), 0,
            )  # fmt: skip
            quoting.end_window()
            quoting.reached = 0
            quoting.session = None
            for number in sorted(quoting.quotes.keys()):
                self.cancel(quoting.quotes[number], CancelReason.PROTECTION)
