"""Fields of commands as people write them in a change file, and the columns that they become."""

from collections.abc import Mapping
from enum import IntEnum
from typing import Any, Final

from core.kinds import (
    ALL_OR_NONE,
    BASIS_POINTS,
    EXPOSURES,
    HIDDEN,
    MARKET_RESTS,
    ONLY_BUYS,
    ONLY_SELLS,
    PEG_MASK,
    PEG_SHIFT,
    POST_ONLY,
    PREVENTION_MASK,
    PREVENTION_SHIFT,
    QUOTE,
    REDUCE_ONLY,
    REENTER,
    SIDE_MASK,
    SLIDE,
    TIME_IN_FORCE_MASK,
    TIME_IN_FORCE_SHIFT,
    TYPE_MASK,
    TYPE_SHIFT,
    AccountStanding,
    KillAct,
    Limit,
    OnDisconnect,
    OrderType,
    Peg,
    Prevention,
    Role,
    Side,
    TimeInForce,
    TradingState,
)
from core.messages import (
    COMMANDS,
    Detail,
    EnterOrder,
    GrantSession,
    Kill,
    MassCancel,
    QuoteDetail,
    ReplaceOrder,
    Row,
    SetAccount,
    SetCancelOnDisconnect,
    SetLimit,
    SetRules,
    SetTradingState,
)
from core.rows import RowError, layout, pack_halves, to_row, unpack_halves
from replicas.sequencer import TIME_MAX

BY_NAME: Final = {kind.__name__: kind for kind in COMMANDS.values()}
NODE_KINDS: Final = frozenset({"Quarantine", "Promote", "Upgrade", "AdvanceTime"})
"""Commands that come from the node, or end a segment: nobody inserts them."""
FIXED: Final = frozenset({"sequence", "time", "session", "inbound"})
"""Fields that an alteration cannot set: they say who sent a command, and when."""
FEES: Final = ("maker_fee", "taker_fee")


def _names(words: type[IntEnum], shift: int = 0) -> dict[Any, int]:
    return {word.name: word.value << shift for word in words}


_BITS: Final[dict[tuple[type[Row], str], tuple[int, dict[Any, int]]]] = {
    (EnterOrder, "side"): (SIDE_MASK, _names(Side)),
    (EnterOrder, "order_type"): (TYPE_MASK << TYPE_SHIFT, _names(OrderType, TYPE_SHIFT)),
    (EnterOrder, "time_in_force"): (
        TIME_IN_FORCE_MASK << TIME_IN_FORCE_SHIFT,
        _names(TimeInForce, TIME_IN_FORCE_SHIFT),
    ),
    (EnterOrder, "post_only"): (POST_ONLY | SLIDE, {True: POST_ONLY, False: 0, "SLIDE": SLIDE}),
    (EnterOrder, "self_trade"): (PREVENTION_MASK << PREVENTION_SHIFT, _names(Prevention, PREVENTION_SHIFT)),
    (EnterOrder, "reduce_only"): (REDUCE_ONLY, {True: REDUCE_ONLY, False: 0}),
    (EnterOrder, "hidden"): (HIDDEN, {True: HIDDEN, False: 0}),
    (EnterOrder, "quote"): (QUOTE, {True: QUOTE, False: 0}),
    (EnterOrder, "all_or_none"): (ALL_OR_NONE, {True: ALL_OR_NONE, False: 0}),
    (EnterOrder, "peg"): (PEG_MASK << PEG_SHIFT, _names(Peg, PEG_SHIFT)),
    (EnterOrder, "basis_points"): (BASIS_POINTS, {True: BASIS_POINTS, False: 0}),
    (SetRules, "exposures"): (EXPOSURES, {True: EXPOSURES, False: 0}),
    (SetRules, "market_rests"): (MARKET_RESTS, {True: MARKET_RESTS, False: 0}),
    (ReplaceOrder, "reenter"): (REENTER, {True: REENTER, False: 0}),
    (MassCancel, "side"): (ONLY_BUYS | ONLY_SELLS, {"BUY": ONLY_BUYS, "SELL": ONLY_SELLS}),
}
"""Words that stand for bits of the flags: the bits that they replace, and what each word means."""
_BITS.update({(Detail, name): bits for (kind, name), bits in _BITS.items() if kind is EnterOrder})
_OF_THE_HEAD: Final = {Detail: {"account"}, QuoteDetail: {"account"}}
"""Fields that the parts of a command leave to its head."""
_VALUES: Final[dict[tuple[type[Row], str], dict[Any, int]]] = {
    (SetTradingState, "state"): _names(TradingState),
    (GrantSession, "role"): _names(Role),
    (SetAccount, "state"): _names(AccountStanding),
    (SetAccount, "prevention"): _names(Prevention),
    (SetLimit, "limit"): _names(Limit),
    (Kill, "act"): _names(KillAct),
    (SetCancelOnDisconnect, "mode"): _names(OnDisconnect),
}


class WordError(ValueError):
    """A field or value that no command has; one line."""


def fields_of(kind: type[Row]) -> set[str]:
    """Every name that a command of this kind may be given."""
    names = {field.name for field in layout(kind) if not field.name.startswith("column_")}
    names |= {name for of, name in _BITS if of is kind}
    names -= _OF_THE_HEAD.get(kind, set())
    return names | set(FEES) if "fee_rates" in names else names


def changed(row: Row, fields: Mapping[str, Any], symbols: Mapping[str, int]) -> Row:
    """The command with these fields, whose values are integers (ticks, lots, units, ns) or words. WordError."""
    kind = type(row)
    values: dict[str, Any] = {field.name: getattr(row, field.name) for field in layout(kind)}
    for name, value in fields.items():
        if name not in fields_of(kind):
            raise WordError(f"{kind.__name__} has no {name}; it has {', '.join(sorted(fields_of(kind)))}")
        if (kind, name) in _BITS:
            mask, words = _BITS[kind, name]
            values["flags"] = values["flags"] & ~mask | _word(name, value, words)
        elif name in FEES:
            rates = [*unpack_halves(values["fee_rates"])]
            rates[FEES.index(name)] = _rate(name, value)
            values["fee_rates"] = pack_halves(*rates)
        else:
            values[name] = _value(kind, name, value, symbols)
    made = kind(**values)
    try:
        to_row(made)
    except RowError as error:
        raise WordError(str(error)) from None
    return made


def _word(name: str, value: Any, words: Mapping[Any, int]) -> int:
    if isinstance(value, bool | str) and value in words:
        return words[value]
    raise WordError(f"{name} = {value!r} is none of {', '.join(str(word) for word in words)}")


def _rate(name: str, value: Any) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**31:
        return value
    raise WordError(f"{name} = {value!r} is not a rate in millionths")


def _value(kind: type[Row], name: str, value: Any, symbols: Mapping[str, int]) -> int | str:
    text = next(field.text for field in layout(kind) if field.name == name)
    if (kind, name) in _VALUES and isinstance(value, str):
        return _word(name, value, _VALUES[kind, name])
    if name == "instrument" and isinstance(value, str):
        return instrument_number(value, symbols)
    if isinstance(value, str if text else int) and not isinstance(value, bool):
        return value
    raise WordError(f"{name} = {value!r} is not {'a text' if text else 'an integer'}")


def instrument_number(symbol: str, symbols: Mapping[str, int]) -> int:
    """The number of an instrument. WordError lists those that there are."""
    if symbol in symbols:
        return symbols[symbol]
    raise WordError(f"no instrument {symbol}; known: {', '.join(symbols) or 'none'}")


def new_command(fields: Mapping[str, Any], symbols: Mapping[str, int]) -> Row:
    """A command from a table with `kind` and fields. An order without flags is a LIMIT GTC, or MARKET IOC without a price."""
    names = sorted(set(BY_NAME) - NODE_KINDS)
    given = dict(fields)
    kind = given.pop("kind", None)
    if kind not in names:
        raise WordError(f"kind = {kind!r} is none of {', '.join(names)}")
    if "inbound" in given or "sequence" in given:
        raise WordError("sequence and inbound number are given by the sequencer")
    if isinstance(given.get("time"), int) and not 0 <= int(given["time"]) <= TIME_MAX:
        raise WordError(f"time {given['time']} is not within 0 and {TIME_MAX}")
    of = BY_NAME[kind]
    if of is EnterOrder and "flags" not in given:
        limit = bool(given.get("price"))
        usual = {
            "side": "BUY",
            "order_type": "LIMIT" if limit else "MARKET",
            "time_in_force": "GTC" if limit else "IOC",
        }
        given = usual | given
    return changed(of(), given, symbols)
