"""How the orders of one price level share an incoming order that does not take all of them: the steps of an instrument."""

from __future__ import annotations

from mypy_extensions import i64

from core.book import Ladder, Level, Order
from core.codes import CancelReason, OrderType, Step
from core.crossing import Crossing, owns
from core.kinds import LEAD_MASK, LEAD_SHIFT, LOTS_MASK, LOTS_SHIFT, SHARE_MASK, SHARE_SHIFT, STEP_MASK
from core.limits import FEE_SCALE, MATCHES_MAX
from core.terms import pays_as_it_goes, type_of


class Share:
    """An order of the level, how many lots it may still be given, and how many it was given."""

    __slots__ = ("given", "order", "room")

    def __init__(self, order: Order, room: int) -> None:
        self.order = order
        self.room = room
        self.given: int = 0

    def give(self, lots: int) -> int:
        """Give as many lots as there is room for; returns how many."""
        taken = lots if lots < self.room else self.room
        self.room -= taken
        self.given += taken
        return taken


class Allocating(Crossing):
    """Crossing a level by steps. Sums and products here are Python integers: they pass 64 bits."""

    __slots__ = ("in_time",)

    def __init__(self) -> None:
        super().__init__()
        # The level that the incoming order takes whole, in order of time.
        self.in_time: Level | None = None

    def cross(self, incoming: Order) -> i64:
        """Trade while prices allow; returns why the rest must be canceled, or 0."""
        self.in_time = None
        return super().cross(incoming)

    def cross_level(self, incoming: Order, level: Level) -> i64:
        """Trade with a level, or one order of it; returns why the rest must be canceled, or 0."""
        if level is self.in_time or not self._is_shared(incoming, level):
            return super().cross_level(incoming, level)
        reason = self._clear(incoming, level)
        if reason != 0 or level.first is None:
            return reason
        shares = self._shares(level)
        if sum([share.room for share in shares]) <= incoming.leaves:
            self.in_time = level
            return 0
        self._give(incoming, shares, self.opposite(incoming))
        for share in shares:
            lots = self._still_there(share, level)
            if lots > 0 and incoming.leaves > 0:
                if self.has_met_all():
                    return CancelReason.MATCH_LIMIT
                self.met += 1
                self.exchange(incoming, share.order, lots)
        return 0

    def _is_shared(self, incoming: Order, level: Level) -> bool:
        """Whether the level is shown, and the instrument and the order share levels by steps."""
        if not incoming.instrument.steps or level is not self.opposite(incoming).best:
            return False
        return type_of(incoming) != OrderType.SPEND_AT_MOST and not pays_as_it_goes(incoming)

    def _clear(self, incoming: Order, level: Level) -> i64:
        """Orders whose time is over, and those of the owner, go first; returns why the rest must be canceled, or 0."""
        order = level.first
        while order is not None and incoming.leaves > 0:
            behind = order.behind
            over = self.is_over(order)
            if over or owns(incoming, order):
                if self.has_met_all():
                    return CancelReason.MATCH_LIMIT
                self.met += 1
                reason: i64 = 0
                if over:
                    self.expire(order)
                else:
                    reason = self.prevent(incoming, order)
                if reason != 0:
                    return reason
            order = behind
        return 0

    def _shares(self, level: Level) -> list[Share]:
        shares: list[Share] = []
        order = level.first
        while order is not None and len(shares) < MATCHES_MAX:
            shares.append(Share(order, self.offered(order)))
            order = order.behind
        return shares

    def _give(self, incoming: Order, shares: list[Share], ladder: Ladder) -> None:
        """Share what the incoming order has open, step by step; the rest by time."""
        left: int = incoming.leaves
        for step in incoming.instrument.steps:
            kind = step & STEP_MASK
            if kind == Step.TOP:
                left -= give_top(shares, ladder.top, step >> LOTS_SHIFT & LOTS_MASK, left)
            elif kind == Step.LEAD:
                account = step >> LEAD_SHIFT & LEAD_MASK
                left -= give_lead(shares, account, left * (step >> SHARE_SHIFT & SHARE_MASK) // FEE_SCALE)
            elif kind == Step.PRO_RATA:
                part = left * (step >> SHARE_SHIFT & SHARE_MASK) // FEE_SCALE
                left -= give_pro_rata(shares, part, step >> LOTS_SHIFT & LOTS_MASK)
            else:
                left -= give_in_turn(sorted(shares, key=smallest_room_last), left)
        give_in_turn(shares, left)

    def _still_there(self, share: Share, level: Level) -> i64:
        """What an order still trades of what it was given: a match before may have cut it."""
        order = share.order
        if share.given == 0 or order.level is not level:
            return 0
        offered = self.offered(order)
        given: i64 = share.given
        return given if given < offered else offered


def smallest_room_last(share: Share) -> int:
    """Sorts the largest first; what is alike stays in order of time."""
    return -share.room


def give_top(shares: list[Share], top: Order | None, most: int, left: int) -> int:
    """Give to the order that set the best price, up to a number of lots (0: any); returns what was given."""
    lots = most if 0 < most < left else left
    for share in shares:
        if share.order is top:
            return share.give(lots)
    return 0


def give_lead(shares: list[Share], account: int, lots: int) -> int:
    """Give to the orders of an account, in order of time; returns what was given."""
    given = 0
    for share in shares:
        if share.order.account.number == account:
            given += share.give(lots - given)
    return given


def give_pro_rata(shares: list[Share], lots: int, least: int) -> int:
    """Give to each its part, rounded down, unless that is less than the least; returns what was given."""
    total = sum([share.room for share in shares])
    given = 0
    if total == 0:
        return 0
    for share in shares:
        part = lots * share.room // total
        if part >= least:
            given += share.give(part)
    return given


def give_in_turn(shares: list[Share], lots: int) -> int:
    """Give to each all that it has room for, as far as it goes; returns what was given."""
    given = 0
    for share in shares:
        given += share.give(lots - given)
    return given
