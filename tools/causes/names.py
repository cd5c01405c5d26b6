"""How explanations show what stands in rows: symbols, display decimals, and the words for sides and flags."""

import struct
from collections.abc import Collection
from typing import Final

from core.engine import Engine
from core.instrument import Instrument
from core.kinds import (
    DECIMALS_MASK,
    QUANTITY_DECIMALS_SHIFT,
    SIDE_MASK,
    TIME_IN_FORCE_MASK,
    TIME_IN_FORCE_SHIFT,
    TYPE_MASK,
    TYPE_SHIFT,
    CommandKind,
    OrderType,
    Side,
    TimeInForce,
)
from tools.output import decimal_text
from tools.words import instructions

_SYMBOL = struct.Struct("<2q")
_MANY: Final = 10


class Names:
    """The numbers of one venue as people read them; what the venue does not know is shown as it stands in the row."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def currency(self, number: int) -> str:
        """The symbol of a currency."""
        known = self._engine.currency(number)
        return symbol_text(known.symbol_0, known.symbol_1) if known is not None else f"currency {number}"

    def instrument(self, number: int) -> str:
        """The symbol of an instrument."""
        known = self._engine.instrument(number)
        return symbol_text(known.symbol_0, known.symbol_1) if known is not None else f"instrument {number}"

    def amount(self, currency: int, units: int) -> str:
        """Units of a currency, with its symbol."""
        known = self._engine.currency(currency)
        decimals = known.decimals if known is not None else 0
        return f"{decimal_text(units, decimals)} {self.currency(currency)}"

    def quote_amount(self, instrument: int, units: int) -> str:
        """Units of the quote currency of an instrument."""
        known = self._engine.instrument(instrument)
        return self.amount(known.quote.number, units) if known is not None else str(units)

    def price(self, instrument: int, ticks: int) -> str:
        """A price or a distance of prices in ticks."""
        return decimal_text(ticks, self._flags(instrument) & DECIMALS_MASK)

    def lots(self, instrument: int, quantity: int) -> str:
        """A quantity in lots."""
        return decimal_text(quantity, self._flags(instrument) >> QUANTITY_DECIMALS_SHIFT & DECIMALS_MASK)

    def at(self, instrument: int, quantity: int, price: int) -> str:
        """A quantity at a price."""
        return f"{self.lots(instrument, quantity)} at {self.price(instrument, price)}"

    def _flags(self, instrument: int) -> int:
        known = self._engine.instrument(instrument)
        return known.flags if known is not None else 0


def symbol_text(first: int, second: int) -> str:
    """The text in the two columns of a symbol."""
    return _SYMBOL.pack(first, second).rstrip(b"\0").decode("ascii")


def hold_currency(instrument: Instrument, side: int) -> int:
    """The currency that covers an order: quote of a buy, base of a sell."""
    return instrument.quote.number if side == Side.BUY else instrument.base.number


def type_of_flags(flags: int) -> int:
    """The number of the order type in the flags of an order."""
    return flags >> TYPE_SHIFT & TYPE_MASK


def pays_as_it_goes(flags: int) -> bool:
    """Whether a buy with these flags reserves nothing, and pays what it trades."""
    if type_of_flags(flags) == OrderType.MARKET:
        return flags >> TIME_IN_FORCE_SHIFT & TIME_IN_FORCE_MASK in {TimeInForce.IOC, TimeInForce.FOK}
    return type_of_flags(flags) in {OrderType.STOP, OrderType.MARKET_IF_TOUCHED, OrderType.TRAILING_STOP}


def terms_text(flags: int) -> str:
    """Order type, time in force and instructions in the flags of an order; as a number where they mean nothing."""
    kind, force = flags >> TYPE_SHIFT & TYPE_MASK, flags >> TIME_IN_FORCE_SHIFT & TIME_IN_FORCE_MASK
    if kind not in set(OrderType) or force not in set(TimeInForce):
        return f"flags {flags}"
    return " ".join([OrderType(kind).name, TimeInForce(force).name, *instructions(flags)])


def side_text(flags: int) -> str:
    """The side in the flags of an order."""
    return "sell" if flags & SIDE_MASK else "buy"


def kind_text(kind: int) -> str:
    """The name of a kind of command as docs/commands.md has it."""
    if kind not in set(CommandKind):
        return f"kind {kind}"
    return "".join(part.capitalize() for part in CommandKind(kind).name.split("_"))


def count_text(count: int, one: str) -> str:
    """A count with its noun."""
    return f"{count:,} {one}{'' if count == 1 else 's'}"


def known_text(numbers: Collection[int]) -> str:
    """Numbers that are known, or their range where they are many."""
    if not numbers:
        return "none"
    if len(numbers) > _MANY:
        return f"{len(numbers):,} from {min(numbers)} to {max(numbers)}"
    return ", ".join(map(str, sorted(numbers)))
