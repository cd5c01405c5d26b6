"""An instrument: its terms, its two ladders, and the arithmetic of its money.

A match of `quantity` lots at `price` ticks moves `price * quantity * multiplier / divisor` quote units, rounded by the
instrument's rule. Every product here stays within 2^62 - 1, because a notional beyond `notional_max` is refused.
"""

from __future__ import annotations

from mypy_extensions import i64

from core.codes import Rounding, TradingState
from core.book import Ladder
from core.kinds import ROUNDING_MASK, ROUNDING_SHIFT
from core.fees import FeeSchedule
from core.ledger import Currency
from core.terms import Followers
from core.limits import FEE_SCALE, SUM_MAX
from core.text import high_half, low_half


class Rules:
    """What SetRules says of an instrument; ticks, millionths, lots and quote units, 0 for none."""

    __slots__ = (
        "collar", "exposures", "flags", "notional_max", "notional_min", "protection", "quantity_min",
        "schedule",
    )  # fmt: skip

    def __init__(self) -> None:
        self.flags: i64 = 0
        self.protection: i64 = 0
        self.collar: i64 = 0
        self.quantity_min: i64 = 0
        self.notional_min: i64 = 0
        self.notional_max: i64 = 0
        # The fee schedule that is charged in the place of the instrument's own rates.
        self.schedule: FeeSchedule | None = None
        # Whether positions and open orders are counted.
        self.exposures = False


class Instrument:
    """Terms as in DefineInstrument; prices in ticks, quantities in lots, money in units of the quote currency."""

    __slots__ = (
        "asks", "base", "bids", "currencies", "divisor", "fee_rates", "flags", "followers", "hidden_asks",
        "hidden_bids", "high", "last_price", "lot_units", "lots_max", "low", "maker_rate", "market_data", "multiplier",
        "notional_max", "number", "price_max", "quantity_max", "quote", "rounding_up", "rules", "special", "state",
        "steps", "stirred", "symbol_0", "symbol_1", "taker_rate", "watch",
    )  # fmt: skip

    def __init__(self, number: i64, base: Currency, quote: Currency) -> None:
        self.number = number
        self.base = base
        self.quote = quote
        self.currencies: i64 = base.number | quote.number << 32
        self.fee_rates: i64 = 0
        self.symbol_0: i64 = 0
        self.symbol_1: i64 = 0
        self.flags: i64 = 0
        self.rounding_up = False
        self.price_max: i64 = 0
        self.quantity_max: i64 = 0
        self.maker_rate: i64 = 0
        self.taker_rate: i64 = 0
        self.state: i64 = TradingState.OPEN
        self.market_data: i64 = 0
        self.bids = Ladder(-1)
        self.asks = Ladder(1)
        self.hidden_bids = Ladder(-1)
        self.hidden_asks = Ladder(1)
        # The price of the latest match, 0 before the first.
        self.last_price: i64 = 0
        # Steps of SetAllocation; without one, levels trade in order of time.
        self.steps: list[int] = []
        # What SetRules says; None as long as it has not.
        self.rules: Rules | None = None
        # Live orders with Terms, and 1 each if there are rules and steps. At 0 every order takes the plain way.
        self.special: i64 = 0
        # Live orders that wait for a price or follow one; and whether work on them is due.
        self.watch: i64 = 0
        self.stirred = False
        self.followers = Followers()
        # All last prices since triggers were last worked off lie between these; kept while orders wait for a price.
        self.low: i64 = 0
        self.high: i64 = 0
        self.multiplier: i64 = 1
        self.divisor: i64 = 1
        self.lot_units: i64 = 1
        self.notional_max: i64 = SUM_MAX
        self.lots_max: i64 = SUM_MAX

    def list_as(self, flags: i64, symbol_0: i64, symbol_1: i64, multiplier: i64, divisor: i64, lot_units: i64) -> None:
        """Fix the terms that never change; multiplier, divisor and lot units are 1 to SUM_MAX."""
        self.flags = flags
        self.rounding_up = flags >> ROUNDING_SHIFT & ROUNDING_MASK == Rounding.UP
        self.symbol_0 = symbol_0
        self.symbol_1 = symbol_1
        self.multiplier = multiplier
        self.divisor = divisor
        self.lot_units = lot_units
        self.notional_max = SUM_MAX // multiplier
        self.lots_max = SUM_MAX // lot_units

    def set_limits(self, price_max: i64, quantity_max: i64, fee_rates: i64) -> None:
        """Set what may change, for orders entered from now on."""
        self.price_max = price_max
        self.quantity_max = quantity_max
        self.fee_rates = fee_rates
        self.maker_rate = low_half(fee_rates)
        self.taker_rate = high_half(fee_rates)

    def has_terms(self, flags: i64, currencies: i64, multiplier: i64, divisor: i64, lot_units: i64) -> bool:
        """Whether these are the terms that never change (the symbol is compared apart)."""
        return (
            self.flags == flags
            and self.currencies == currencies
            and self.multiplier == multiplier
            and self.divisor == divisor
            and self.lot_units == lot_units
        )

    def amount(self, price: i64, quantity: i64) -> i64:
        """Quote units that a match moves."""
        product = price * quantity * self.multiplier
        divisor = self.divisor
        if divisor == 1:
            return product
        whole = product // divisor
        if self.rounding_up and whole * divisor != product:
            whole += 1
        return whole

    def cover(self, price: i64, quantity: i64) -> i64:
        """Quote units that pay for this quantity at this price or better, in whatever parts it is filled.

        Rounded down, the parts of a whole never add up to more than the whole; rounded up they may, but never to
        more than the quantity times the rounded amount of one lot.
        """
        if self.divisor == 1:
            return price * quantity * self.multiplier
        if not self.rounding_up:
            return self.amount(price, quantity)
        return quantity * self.amount(price, 1)

    def next_market_data(self) -> i64:
        """Number the next market data event of this instrument."""
        self.market_data += 1
        return self.market_data


def charge(amount: i64, rate: i64) -> i64:
    """`amount * rate / FEE_SCALE` truncated toward zero, by quotient and remainder; negative for a rebate.

    |rate| <= FEE_SCALE, so the result is at most the amount, and no product passes 2^62.
    """
    if rate == 0:
        return 0
    whole = amount // FEE_SCALE
    rest = amount - whole * FEE_SCALE
    if rate < 0:
        return whole * rate - rest * -rate // FEE_SCALE
    return whole * rate + rest * rate // FEE_SCALE


def limit_rebate(fee: i64, other: i64) -> i64:
    """A negative fee is paid out of the other side's and never exceeds it."""
    if fee >= 0:
        return fee
    if other <= 0:
        return 0
    return fee if -fee <= other else -other
