"""Who orders are counted for: what an account, a session and a firm have in common, limits and exposures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mypy_extensions import i64
from sortedcontainers import SortedDict

from core.limits import SUM_MAX

if TYPE_CHECKING:
    from core.book import Order

KILLED: Final = 1
LIMITED: Final = 2
STANDING: Final = 4
"""Bits of `Holder.guards`: what an order of this holder has to be judged by. 0, as for most, costs one test."""


class Limit:
    """One limit of one holder in one instrument (0: any); rates and ratios count in it.

    `value_until` and `second_until` hold before `until`, in ns since 1970; `value` and `second` from then on.
    """

    __slots__ = (
        "arrival", "days", "instrument", "kind", "orders", "second", "second_until", "trades", "until", "value",
        "value_until",
    )  # fmt: skip

    def __init__(self, kind: i64, instrument: i64) -> None:
        self.kind = kind
        self.instrument = instrument
        self.value: i64 = 0
        self.second: i64 = 0
        self.until: i64 = 0
        self.value_until: i64 = 0
        self.second_until: i64 = 0
        # Of a rate: the theoretical arrival time of the next command, in ns since 1970.
        self.arrival: i64 = 0
        # Of a ratio: what was counted since the day of this number began.
        self.orders: i64 = 0
        self.trades: i64 = 0
        self.days: i64 = 0

    def value_at(self, now: i64) -> i64:
        """The value in force at a time."""
        return self.value_until if now < self.until else self.value

    def second_at(self, now: i64) -> i64:
        """The second value in force at a time."""
        return self.second_until if now < self.until else self.second


class Exposure:
    """The position of a holder in an instrument, and the live orders in it: lots on each side, and their notional.

    `position` is lots bought less lots sold. It stays within 2^62 - 1, because no order enters that would bring it
    beyond that, all open orders of its side counted as filled.
    """

    __slots__ = ("buys", "instrument", "notional", "position", "reducing", "sells")

    def __init__(self, instrument: i64) -> None:
        self.instrument = instrument
        self.position: i64 = 0
        self.buys: i64 = 0
        self.sells: i64 = 0
        self.notional: i64 = 0
        # Live reduce-only orders by order number; of accounts alone.
        self.reducing: SortedDict[int, Order] = SortedDict()


class Holder:
    """An account, a session or a firm."""

    __slots__ = ("exposures", "guards", "limits", "open")

    def __init__(self) -> None:
        self.guards: i64 = 0
        # How many live orders it has.
        self.open: i64 = 0
        self.limits: dict[tuple[int, int], Limit] = {}
        self.exposures: dict[int, Exposure] = {}

    def limit(self, kind: i64, instrument: i64) -> Limit | None:
        """The limit of this kind in this instrument (0: any), if there is one."""
        return self.limits.get((kind, instrument))

    def exposure(self, instrument: i64) -> Exposure:
        """The exposure in an instrument, made if there is none."""
        found = self.exposures.get(instrument)
        if found is None:
            found = Exposure(instrument)
            self.exposures[instrument] = found
        return found

    def killed(self) -> bool:
        """Whether its kill switch is thrown."""
        return self.guards & KILLED != 0

    def guard(self, bit: i64, on: bool) -> None:
        """Set or clear a bit of `guards`."""
        self.guards = self.guards | bit if on else self.guards & (SUM_MAX - bit)
