"""What an account has in an instrument where it quotes: its live quotes, and the protection that counts their matches."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mypy_extensions import i64
from sortedcontainers import SortedDict

from core.codes import ProtectionLimit
from core.limits import SUM_MAX

if TYPE_CHECKING:
    from core.book import Order
    from core.session import Session


class Quoting:
    """Window in ns; lots and matches, 0 for no limit. The sums of a window that runs stop at SUM_MAX."""

    __slots__ = (
        "began", "count", "delta", "frozen", "instrument", "lots", "matches", "net", "quantity", "quotes", "reached",
        "session", "window",
    )  # fmt: skip

    def __init__(self, instrument: i64) -> None:
        self.instrument = instrument
        self.window: i64 = 0
        self.quantity: i64 = 0
        self.count: i64 = 0
        self.delta: i64 = 0
        # Whether the account may not quote here until ResetProtection.
        self.frozen = False
        # When the window began that runs, in ns since 1970 (0: none), and its lots, matches, and lots bought less sold.
        self.began: i64 = 0
        self.lots: i64 = 0
        self.matches: i64 = 0
        self.net: i64 = 0
        # Which limit was reached and whose quote reached it, until that is told.
        self.reached: i64 = 0
        self.session: Session | None = None
        # Live quotes by order number.
        self.quotes: SortedDict[int, Order] = SortedDict()

    def protects(self) -> bool:
        """Whether matches are counted."""
        return self.window != 0 and not self.frozen

    def end_window(self) -> None:
        """Count anew from the next match on."""
        self.began = 0
        self.lots = 0
        self.matches = 0
        self.net = 0

    def add(self, lots: i64, bought: bool, now: i64) -> None:
        """Count one match in the window that runs, or in one that begins now; `lots` are at most SUM_MAX."""
        if now >= self.began + self.window:
            self.end_window()
        if self.began == 0:
            self.began = now
        self.matches += 1
        self.lots = self.lots + lots if self.lots <= SUM_MAX - lots else SUM_MAX
        if bought:
            self.net = self.net + lots if self.net <= SUM_MAX - lots else SUM_MAX
        else:
            self.net = self.net - lots if self.net >= lots - SUM_MAX else -SUM_MAX

    def limit(self) -> i64:
        """The first limit that is reached, or 0."""
        if 0 < self.quantity <= self.lots:
            return ProtectionLimit.QUANTITY
        if 0 < self.count <= self.matches:
            return ProtectionLimit.COUNT
        amount = self.net if self.net >= 0 else -self.net
        return ProtectionLimit.DELTA if 0 < self.delta <= amount else 0
