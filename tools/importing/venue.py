"""The venue that an import needs: its instruments, one funded account, a session for the seed and one for the flow.

The account stands on both sides of every trade, so nothing it holds ever leaves it, and it needs no more than what its
live orders reserve at one time. All buys together and all sells together bound that from above.
"""

import struct
from typing import Final, NamedTuple

from core.kinds import QUANTITY_DECIMALS_SHIFT, REENTER, CommandKind, OrderType, Role, Side, TimeInForce
from core.limits import PRICE_MAX, QUANTITY_MAX, SCALE_MAX, SUM_MAX
from core.messages import DefineCurrency, DefineInstrument, Deposit, GrantSession, OpenAccount
from core.rows import pack_halves, to_row
from tools.importing.source import Listing, Source, Step

FLOW: Final = 1
"""The session of the flow: command n of the source, from 0, is its inbound number n + 1."""
SEED: Final = 2
"""The session that enters what stood before."""

INSTRUMENT: Final = 1
ACCOUNT: Final = 1
_BASE, _QUOTE = 1, 2
_ROW = struct.Struct("<16q")
_LIMIT: Final = OrderType.LIMIT << 1
_GTC: Final = _LIMIT | TimeInForce.GTC << 5
_IOC: Final = _LIMIT | TimeInForce.IOC << 5


class Funds(NamedTuple):
    """What the account gets, in units: base lots, quote units, and the divisor that makes the quote units fit."""

    base: int
    quote: int
    divisor: int


def funds(source: Source) -> Funds:
    """Enough that no order of the source lacks money, and each sum within its bound."""
    base = notional = 0
    for step in (*source.seed, *source.steps):
        if step.kind in {CommandKind.ENTER_ORDER, CommandKind.REPLACE_ORDER} and _in_bounds(step):
            # A replaced order keeps its side, which the step of a source need not know: both sides are counted.
            replaces = step.kind == CommandKind.REPLACE_ORDER
            base += step.quantity if replaces or step.side == Side.SELL else 0
            notional += step.price * step.quantity if replaces or step.side == Side.BUY else 0
    divisor = max(1, -(-notional // SUM_MAX))
    return Funds(_bounded(base), _bounded(notional // divisor), divisor)


def _in_bounds(step: Step) -> bool:
    """Whether an order may stand; the engine refuses any other, which then needs no funds."""
    within = 1 <= step.price <= PRICE_MAX and 1 <= step.quantity <= QUANTITY_MAX
    return within and (step.kind != CommandKind.ENTER_ORDER or step.price * step.quantity <= SUM_MAX)


def _bounded(amount: int) -> int:
    return min(max(amount, 1), SUM_MAX)


def opening(source: Source) -> bytes:
    """The commands of the venue itself that come before everything else, as wire rows."""
    money, listings = funds(source), source.listings()
    base = "LOTS" if source.symbol == "USD" or len(listings) > 1 else source.symbol
    base_decimals, quote_decimals = _decimals(source, money.divisor)
    return b"".join(
        to_row(message)
        for message in (
            DefineCurrency(currency=_BASE, symbol=base, decimals=base_decimals),
            DefineCurrency(currency=_QUOTE, symbol="USD", decimals=quote_decimals),
            *(_instrument(number, listing, money.divisor) for number, listing in enumerate(listings, start=1)),
            OpenAccount(account=ACCOUNT, firm=1, name="imported flow"),
            Deposit(account=ACCOUNT, currency=_BASE, amount=money.base),
            Deposit(account=ACCOUNT, currency=_QUOTE, amount=money.quote),
            GrantSession(account=ACCOUNT, grantee=FLOW, role=Role.TRADER),
            GrantSession(account=ACCOUNT, grantee=SEED, role=Role.TRADER),
        )
    )


def _decimals(source: Source, divisor: int) -> tuple[int, int]:
    """How base and quote are shown; raw where several instruments share them or the quote has no such unit."""
    first, *others = source.listings()
    if not any(listing.quantity_decimals for listing in (first, *others)):
        return 0, source.price_decimals
    quote = first.price_decimals + first.quantity_decimals
    return (0, 0) if others or divisor > 1 or quote > SCALE_MAX else (first.quantity_decimals, quote)


def _instrument(number: int, listing: Listing, divisor: int) -> DefineInstrument:
    return DefineInstrument(
        flags=listing.price_decimals | listing.quantity_decimals << QUANTITY_DECIMALS_SHIFT,
        instrument=number,
        symbol=listing.symbol,
        currencies=pack_halves(_BASE, _QUOTE),
        divisor=divisor,
        price_max=PRICE_MAX,
        quantity_max=QUANTITY_MAX,
    )


def row(step: Step, session: int, inbound: int) -> bytes:
    """The wire row of a step."""
    kind, order, side, price, quantity, time, at_once, instrument = step
    flags = original = 0
    if kind == CommandKind.ENTER_ORDER:
        flags = side | (_IOC if at_once else _GTC)
    elif kind == CommandKind.REPLACE_ORDER:
        flags, original = REENTER, order
    else:
        # A source may repeat what it said of the order; these columns must be zero.
        price, quantity = 0, quantity if kind == CommandKind.REDUCE_ORDER else 0
    columns = (kind, 0, time, session, inbound, flags, instrument, ACCOUNT, order, price, quantity)
    return _ROW.pack(*columns, 0, 0, 0, 0, original)
