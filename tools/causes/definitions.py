"""Why a definition was refused: which value is out of range, or what the number or symbol stands for."""

from collections.abc import Iterator
from typing import Any, Final

from core.engine import Engine
from core.kinds import AccountStanding, KillAct, Limit, OnDisconnect, Prevention, Role
from core.limits import (
    ACCOUNT_NUMBER_MAX,
    COST_MAX,
    COST_MIN,
    CURRENCY_NUMBER_MAX,
    DAY_NS,
    FEE_SCALE,
    FIRM_NUMBER_MAX,
    GROUP_MAX,
    INSTRUMENT_NUMBER_MAX,
    PRICE_MAX,
    PROTECTION_COUNT_MAX,
    QUANTITY_MAX,
    SCALE_MAX,
    SESSION_NUMBER_MAX,
    SUM_MAX,
)
from core.messages import (
    ArmDeadMan,
    DefineCurrency,
    DefineInstrument,
    GrantSession,
    Kill,
    OpenAccount,
    Row,
    SessionLost,
    SetAccount,
    SetCancelOnDisconnect,
    SetCredential,
    SetLimit,
    SetProtection,
    SetRules,
    SetTradingState,
)
from tools.causes.names import symbol_text
from tools.dump import row_json

_BOUNDS: Final[dict[type[Row], dict[str, tuple[int, int]]]] = {
    DefineCurrency: {"currency": (1, CURRENCY_NUMBER_MAX), "decimals": (0, SCALE_MAX)},
    DefineInstrument: {
        "instrument": (1, INSTRUMENT_NUMBER_MAX),
        "multiplier": (1, SUM_MAX),
        "divisor": (1, SUM_MAX),
        "lot_units": (1, SUM_MAX),
        "price_max": (1, PRICE_MAX),
        "quantity_max": (1, QUANTITY_MAX),
    },
    OpenAccount: {"account": (1, ACCOUNT_NUMBER_MAX), "firm": (1, FIRM_NUMBER_MAX)},
    GrantSession: {"grantee": (1, SESSION_NUMBER_MAX), "role": (min(Role), max(Role))},
    SetTradingState: {"state": (1, 3)},
    SetCredential: {"cost": (COST_MIN, COST_MAX)},
    SetAccount: {
        "state": (min(AccountStanding), max(AccountStanding)),
        "group": (0, GROUP_MAX),
        "prevention": (min(Prevention), max(Prevention)),
    },
    SetRules: {
        "protection": (0, PRICE_MAX),
        "collar": (0, FEE_SCALE),
        "quantity_min": (0, QUANTITY_MAX),
        "notional_min": (0, SUM_MAX),
        "notional_max": (0, SUM_MAX),
    },
    SetLimit: {"limit": (min(Limit), max(Limit)), "value": (1, SUM_MAX), "second": (0, SUM_MAX)},
    Kill: {"act": (min(KillAct), max(KillAct))},
    SessionLost: {"connection": (0, SUM_MAX)},
    SetCancelOnDisconnect: {"mode": (min(OnDisconnect), max(OnDisconnect))},
    ArmDeadMan: {"interval": (0, DAY_NS)},
    SetProtection: {
        "window": (0, DAY_NS),
        "quantity": (0, QUANTITY_MAX),
        "count": (0, PROTECTION_COUNT_MAX),
        "delta": (0, QUANTITY_MAX),
    },
}
"""The plain ranges; docs/commands.md has the rules between columns."""

_COMMON: Final = ("kind", "sequence", "time", "session", "inbound")


def definition(command: Row | None, malformed: str) -> tuple[str, dict[str, Any]]:
    """Which values of a definition are out of their range; all of them where a rule between them was broken."""
    if command is None:
        return malformed, {}
    bounds = _BOUNDS.get(type(command), {})
    values = {name: getattr(command, name) for name in bounds}
    wrong = {name: value for name, value in values.items() if not bounds[name][0] <= value <= bounds[name][1]}
    if wrong:
        said = (f"{name} {value}, allowed {bounds[name][0]} to {bounds[name][1]}" for name, value in wrong.items())
        return "; ".join(said), {"asked": _asked(command), "out_of_range": list(wrong)}
    return _asked_text(command), {"asked": _asked(command), "out_of_range": []}


def conflict(engine: Engine, command: Row | None, malformed: str) -> tuple[str, dict[str, Any]]:
    """What the number or the symbol of a definition stands for."""
    if command is None:
        return malformed, {}
    known = list(_known(engine, command))
    return f"asked {_asked_text(command)}; known: {', '.join(known) or 'none'}", {
        "asked": _asked(command),
        "known": known,
    }


def _known(engine: Engine, command: Row) -> Iterator[str]:
    match command:
        case DefineCurrency():
            for currency in engine.currencies:
                if currency is not None:
                    symbol = symbol_text(currency.symbol_0, currency.symbol_1)
                    if currency.number == command.currency or symbol == command.symbol:
                        yield f"currency {currency.number} is {symbol} with {currency.decimals} decimals"
        case DefineInstrument():
            for one in engine.instruments:
                if one is not None:
                    symbol = symbol_text(one.symbol_0, one.symbol_1)
                    if one.number == command.instrument or symbol == command.symbol:
                        yield (
                            f"instrument {one.number} is {symbol}, flags {one.flags}, currencies {one.currencies},"
                            f" multiplier {one.multiplier}, divisor {one.divisor}, lot_units {one.lot_units}"
                        )
        case OpenAccount():
            account = engine.account(command.account)
            if account is not None:
                name = bytes(account.name).rstrip(b"\0").decode("ascii")
                yield f"account {account.number} is {name!r} of firm {account.firm.number}"
        case GrantSession():
            session = engine.session(command.grantee)
            if session is not None:
                yield f"session {session.number} has the role {Role(session.role).name}, firm {session.firm}"


def _asked(command: Row) -> dict[str, Any]:
    return {name: value for name, value in row_json(command).items() if name not in _COMMON}


def _asked_text(command: Row) -> str:
    said = (f"{name}={value}" for name, value in _asked(command).items() if value not in {0, ""})
    return " ".join(said) or "every column is 0"
