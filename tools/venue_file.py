"""The TOML file of `lockstep init`: what a new venue consists of, and the commands that make it so."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Final, Literal, NamedTuple

import msgspec
from msgspec import Meta

from core.kinds import (
    EXPOSURES,
    MARKET_RESTS,
    PRICE_DECIMALS_SHIFT,
    QUANTITY_DECIMALS_SHIFT,
    ROUNDING_SHIFT,
    AccountStanding,
    Limit,
    Prevention,
    Role,
    Rounding,
)
from core.limits import (
    ACCOUNT_NUMBER_MAX,
    COST_MAX,
    COST_MIN,
    CURRENCY_NUMBER_MAX,
    FEE_SCALE,
    FIRM_NUMBER_MAX,
    GROUP_MAX,
    INSTRUMENT_NUMBER_MAX,
    PRICE_MAX,
    QUANTITY_MAX,
    SCALE_MAX,
    SCHEDULE_NUMBER_MAX,
    SUM_MAX,
    TIERS_MAX,
)
from core.messages import (
    Command,
    DefineCurrency,
    DefineInstrument,
    Deposit,
    GrantSession,
    OpenAccount,
    SetAccount,
    SetAllocation,
    SetCredential,
    SetFeeSchedule,
    SetLimit,
    SetRules,
)
from core.rows import pack_halves
from replicas.limits import BadConfig, read_toml
from replicas.passwords import COST, make, pack, refuse_password
from tools.steps import columns_of

LOGIN_NUMBER_MAX: Final = 999_999
"""Largest session number that can log in: SoupBinTCP gives a user name six characters."""

_ROLES: Final = {
    "trader": Role.TRADER,
    "operator": Role.OPERATOR,
    "drop_copy": Role.DROP_COPY,
    "market_data": Role.MARKET_DATA,
}
_ROUNDING: Final = {"down": Rounding.DOWN, "up": Rounding.UP}

Symbol = Annotated[str, Meta(pattern=r"\A[!-~]{1,16}\Z")]
Decimals = Annotated[int, Meta(ge=0, le=SCALE_MAX)]
Units = Annotated[int, Meta(ge=1, le=SUM_MAX)]
Rate = Annotated[int, Meta(ge=-FEE_SCALE, le=FEE_SCALE)]
AccountNumber = Annotated[int, Meta(ge=1, le=ACCOUNT_NUMBER_MAX)]


class Currency(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A currency or any other asset; amounts are whole units of 10^-decimals."""

    number: Annotated[int, Meta(ge=1, le=CURRENCY_NUMBER_MAX)]
    symbol: Symbol
    decimals: Decimals = 0


class Instrument(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is traded; docs/commands.md (DefineInstrument) says what the numbers mean. Fees are in millionths."""

    number: Annotated[int, Meta(ge=1, le=INSTRUMENT_NUMBER_MAX)]
    symbol: Symbol
    base: Symbol
    quote: Symbol
    price_decimals: Decimals = 0
    quantity_decimals: Decimals = 0
    rounding: Literal["down", "up"] = "down"
    multiplier: Units = 1
    divisor: Units = 1
    lot_units: Units = 1
    price_max: Annotated[int, Meta(ge=1, le=PRICE_MAX)] = PRICE_MAX
    quantity_max: Annotated[int, Meta(ge=1, le=QUANTITY_MAX)] = QUANTITY_MAX
    maker_fee: Rate = 0
    taker_fee: Rate = 0
    exposures: bool = False
    """Whether positions and open orders are counted. This and what follows are the rules of SetRules."""
    market_rests: bool = False
    protection: Annotated[int, Meta(ge=0, le=PRICE_MAX)] = 0
    collar: Annotated[int, Meta(ge=0, le=FEE_SCALE)] = 0
    quantity_min: Annotated[int, Meta(ge=0, le=QUANTITY_MAX)] = 0
    notional_min: Annotated[int, Meta(ge=0, le=SUM_MAX)] = 0
    notional_max: Annotated[int, Meta(ge=0, le=SUM_MAX)] = 0
    fee_schedule: Annotated[int, Meta(ge=0, le=SCHEDULE_NUMBER_MAX)] = 0
    steps: list[str] = []
    """How the orders of a price share an incoming order, as `tools.steps` reads them; by time if there are none."""

    def __post_init__(self) -> None:
        """ValueError, which names the instrument, for rules that do not go together."""
        columns_of(self.steps)
        if self.market_rests and not self.protection:
            raise ValueError(f"instrument {self.number}: market_rests needs a protection")

    def has_rules(self) -> bool:
        """Whether any rule is given."""
        bounds = self.protection | self.collar | self.quantity_min | self.notional_min | self.notional_max
        return self.exposures or self.market_rests or (bounds | self.fee_schedule) != 0


class FeeTier(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A tier of a fee schedule: the volume in units of the quote currency from which it holds; fees in millionths."""

    schedule: Annotated[int, Meta(ge=1, le=SCHEDULE_NUMBER_MAX)]
    tier: Annotated[int, Meta(ge=0, le=TIERS_MAX)]
    volume: Annotated[int, Meta(ge=0, le=SUM_MAX)] = 0
    maker_fee: Rate = 0
    taker_fee: Rate = 0


class Account(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An account of a firm, and what it begins with: units by symbol of the currency."""

    number: AccountNumber
    firm: Annotated[int, Meta(ge=1, le=FIRM_NUMBER_MAX)]
    name: Annotated[str, Meta(pattern=r"\A[ -~]{0,32}\Z")] = ""
    deposits: dict[Symbol, Units] = {}
    standing: Literal["active", "reduce_only", "suspended"] = "active"
    group: Annotated[int, Meta(ge=0, le=GROUP_MAX)] = 0
    prevention: Literal["none", "cancel_newest", "cancel_oldest", "cancel_both", "decrement", "allow"] = "none"

    def has_terms(self) -> bool:
        """Whether it is more than an account that may enter everything."""
        return self.standing != "active" or self.group != 0 or self.prevention != "none"


class Limited(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A limit of one account, session or firm; docs/commands.md (SetLimit) says what the values mean."""

    limit: Literal[
        "order_quantity", "order_notional", "open_orders", "open_notional", "position", "message_rate", "cancel_rate",
        "order_to_trade",
    ]  # fmt: skip
    value: Units
    second: Annotated[int, Meta(ge=0, le=SUM_MAX)] = 0
    instrument: Symbol | None = None
    account: Annotated[int, Meta(ge=0, le=ACCOUNT_NUMBER_MAX)] = 0
    session: Annotated[int, Meta(ge=0, le=LOGIN_NUMBER_MAX)] = 0
    firm: Annotated[int, Meta(ge=0, le=FIRM_NUMBER_MAX)] = 0

    def __post_init__(self) -> None:
        """ValueError unless it is the limit of just one."""
        if bool(self.account) + bool(self.session) + bool(self.firm) != 1:
            raise ValueError(f"limit {self.limit}: give one of account, session and firm")


class Login(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A session: a trader of accounts, an operator, the drop copy of a firm, or a reader of market data."""

    number: Annotated[int, Meta(ge=1, le=LOGIN_NUMBER_MAX)]
    role: Literal["trader", "operator", "drop_copy", "market_data"]
    accounts: list[AccountNumber] = []
    firm: Annotated[int, Meta(ge=0, le=FIRM_NUMBER_MAX)] = 0
    password: str | None = None
    """1 to 10 printable ASCII characters without spaces; generated if there is none."""

    def __post_init__(self) -> None:
        """ValueError, which names the session, for what does not go with the role."""
        if (self.role == "trader") != bool(self.accounts):
            raise ValueError(f"session {self.number}: a trader has accounts, and nobody else has")
        if (self.role == "drop_copy") != bool(self.firm):
            raise ValueError(f"session {self.number}: a drop copy has a firm, and nobody else has")
        refused = refuse_password(self.password) if self.password is not None else None
        if refused:
            raise ValueError(f"session {self.number}: {refused}")


class Venue(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file."""

    currency: list[Currency] = []
    fee_tier: list[FeeTier] = []
    instrument: list[Instrument] = []
    account: list[Account] = []
    session: list[Login] = []
    limit: list[Limited] = []
    password_cost: Annotated[int, Meta(ge=COST_MIN, le=COST_MAX)] = COST
    """log2 of scrypt's N for all passwords."""


SMALLEST: Final = Venue(session=[Login(number=1, role="operator")])
"""A venue without a file: one operator, who makes the rest by commands."""


class Said(NamedTuple):
    """A command, and the part of the file that asks for it."""

    part: str
    command: Command


def read_venue(path: Path) -> Venue:
    """The venue in a file. BadConfig names file and key; OSError."""
    venue = read_toml(path, Venue)
    for name, parts in (("currency", venue.currency), ("instrument", venue.instrument), ("account", venue.account),
                        ("session", venue.session)):  # fmt: skip
        twice = _first_twice([part.number for part in parts])
        if twice is not None:
            raise BadConfig(f"{path}: {name}: number {twice} is given twice")
    return venue


def _first_twice(numbers: Iterable[int]) -> int | None:
    seen: set[int] = set()
    for number in numbers:
        if number in seen:
            return number
        seen.add(number)
    return None


def commands(venue: Venue, passwords: dict[int, str]) -> Iterator[Said]:
    """The commands that make the venue, by the venue itself; `passwords` has those that the file does not give.

    BadConfig for a symbol that no currency has.
    """
    currencies = {currency.symbol: currency.number for currency in venue.currency}
    for currency in venue.currency:
        of = DefineCurrency(currency=currency.number, symbol=currency.symbol, decimals=currency.decimals)
        yield Said(f"currency {currency.number}", of)
    for at, tier in enumerate(venue.fee_tier):
        yield Said(f"fee_tier[{at}]", _tier(tier))
    for instrument in venue.instrument:
        part = f"instrument {instrument.number}"
        yield Said(part, _define(instrument, currencies))
        if instrument.has_rules():
            yield Said(part, _rules(instrument))
    for account in venue.account:
        part = f"account {account.number}"
        yield Said(part, OpenAccount(account=account.number, firm=account.firm, name=account.name))
        for symbol, amount in account.deposits.items():
            number = _currency(currencies, symbol, part)
            yield Said(part, Deposit(account=account.number, currency=number, amount=amount, reason="opening"))
        if account.has_terms():
            yield Said(part, _terms(account))
    for login in venue.session:
        yield from _session(login, passwords, venue.password_cost)
    symbols = {instrument.symbol: instrument.number for instrument in venue.instrument}
    for at, limited in enumerate(venue.limit):
        yield Said(f"limit[{at}]", _limit(limited, symbols, f"limit[{at}]"))
    for instrument in venue.instrument:
        if instrument.steps:
            columns = columns_of(instrument.steps)
            steps = SetAllocation(instrument=instrument.number, reason="opening", **columns)
            yield Said(f"instrument {instrument.number}", steps)


def _tier(tier: FeeTier) -> Command:
    rates = pack_halves(tier.maker_fee, tier.taker_fee)
    return SetFeeSchedule(schedule=tier.schedule, tier=tier.tier, volume=tier.volume, fee_rates=rates, reason="opening")


def _rules(instrument: Instrument) -> Command:
    return SetRules(
        flags=EXPOSURES * instrument.exposures | MARKET_RESTS * instrument.market_rests,
        instrument=instrument.number,
        protection=instrument.protection,
        collar=instrument.collar,
        quantity_min=instrument.quantity_min,
        notional_min=instrument.notional_min,
        notional_max=instrument.notional_max,
        fee_schedule=instrument.fee_schedule,
        reason="opening",
    )


def _terms(account: Account) -> Command:
    return SetAccount(
        account=account.number,
        state=AccountStanding[account.standing.upper()],
        group=account.group,
        prevention=Prevention[account.prevention.upper()],
        reason="opening",
    )


def _limit(limited: Limited, symbols: dict[str, int], part: str) -> Command:
    if limited.instrument is not None and limited.instrument not in symbols:
        raise BadConfig(f"{part}: there is no instrument {limited.instrument}")
    return SetLimit(
        instrument=symbols[limited.instrument] if limited.instrument is not None else 0,
        account=limited.account,
        named=limited.session,
        firm=limited.firm,
        limit=Limit[limited.limit.upper()],
        value=limited.value,
        second=limited.second,
        reason="opening",
    )


def _define(instrument: Instrument, currencies: dict[str, int]) -> Command:
    part = f"instrument {instrument.number}"
    base, quote = (_currency(currencies, symbol, part) for symbol in (instrument.base, instrument.quote))
    return DefineInstrument(
        flags=instrument.price_decimals << PRICE_DECIMALS_SHIFT
        | instrument.quantity_decimals << QUANTITY_DECIMALS_SHIFT
        | _ROUNDING[instrument.rounding] << ROUNDING_SHIFT,
        instrument=instrument.number,
        symbol=instrument.symbol,
        currencies=pack_halves(base, quote),
        multiplier=instrument.multiplier,
        divisor=instrument.divisor,
        lot_units=instrument.lot_units,
        price_max=instrument.price_max,
        quantity_max=instrument.quantity_max,
        fee_rates=pack_halves(instrument.maker_fee, instrument.taker_fee),
    )


def _currency(currencies: dict[str, int], symbol: str, part: str) -> int:
    number = currencies.get(symbol)
    if number is None:
        raise BadConfig(f"{part}: there is no currency {symbol}")
    return number


def _session(login: Login, passwords: dict[int, str], cost: int) -> Iterator[Said]:
    part = f"session {login.number}"
    for account in login.accounts or [0]:
        grant = GrantSession(
            account=account, grantee=login.number, role=_ROLES[login.role], firm=login.firm, reason="opening"
        )
        yield Said(part, grant)
    password = passwords[login.number] if login.password is None else login.password
    yield Said(part, SetCredential(grantee=login.number, **pack(*make(password, cost))))
