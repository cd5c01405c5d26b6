"""The live quotes of an account in an instrument."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mypy_extensions import i64
from sortedcontainers import SortedDict

if TYPE_CHECKING:
    from core.book import Order


class Quotes:
    """Live orders with the flag QUOTE, by order number; at most QUOTES_MAX."""

    __slots__ = ("instrument", "live")

    def __init__(self, instrument: i64) -> None:
        self.instrument = instrument
        self.live: SortedDict[int, Order] = SortedDict()
