"""Two rows side by side: the columns that differ, by the names of their Structs, as they stand and as people read them."""

from collections.abc import Callable, Iterator
from enum import IntEnum
from typing import Final, NamedTuple

from core.kinds import (
    ALL_OR_NONE,
    BASIS_POINTS,
    COLUMNS,
    ENTER_FLAGS,
    EXPOSURES,
    HIDDEN,
    KEPT_PLACE,
    MARKET_RESTS,
    PEG_MASK,
    PEG_SHIFT,
    PENDING,
    POST_ONLY,
    PREVENTION_MASK,
    PREVENTION_SHIFT,
    QUOTE,
    REDUCE_ONLY,
    REMOVED,
    RESTING,
    ROW_SIZE,
    SIDE_MASK,
    SLIDE,
    TIME_IN_FORCE_MASK,
    TIME_IN_FORCE_SHIFT,
    TYPE_MASK,
    TYPE_SHIFT,
    AccountStanding,
    CommandKind,
    EventKind,
    KillAct,
    Limit,
    OnDisconnect,
    OrderType,
    Peg,
    Prevention,
    ProtectionLimit,
    Role,
    Side,
    StateKind,
    TimeInForce,
    TradingState,
)
from core.messages import ROWS
from core.reasons import CancelReason, RejectReason
from core.rows import Field, layout, unpack_halves
from tools.moments import clock_text

Value = int | str


class Column(NamedTuple):
    """A column in which two rows differ; the values as they stand, and as people read them."""

    name: str
    a: Value
    b: Value
    a_text: str
    b_text: str

    def json(self) -> dict[str, Value]:
        """As an object."""
        return {"column": self.name, "a": self.a, "b": self.b, "a_text": self.a_text, "b_text": self.b_text}


def differing(a: bytes, b: bytes) -> list[Column]:
    """The columns in which two rows differ, in order; of rows of two kinds, the kind alone."""
    kind, other = kind_of(a), kind_of(b)
    if kind != other:
        return [Column("kind", kind, other, kind_name(kind), kind_name(other))]
    pairs = zip(_columns(kind, a), _columns(kind, b), strict=True)
    return [
        Column(name, one, two, value_text(kind, name, one), value_text(kind, name, two))
        for (name, one, mine), (_, two, theirs) in pairs
        if mine != theirs
    ]


def kind_of(row: bytes) -> int:
    """Column 0."""
    return int.from_bytes(row[:8], "little", signed=True)


def named(row: bytes) -> dict[str, Value]:
    """The columns of a row by name, `kind` first, whatever its bytes are; spare ones only where they are used."""
    kind = kind_of(row)
    told = {name: value for name, value, _ in _columns(kind, row) if value or not name.startswith("column_")}
    return {"kind": kind_name(kind)} | told


def named_text(row: bytes) -> str:
    """A row on one line, without its columns that are zero."""
    kind = kind_of(row)
    told = ((name, value) for name, value, _ in _columns(kind, row) if value not in {0, ""})
    return " ".join([kind_name(kind), *(f"{name}={value_text(kind, name, value)}" for name, value in told)])


def _columns(kind: int, row: bytes) -> Iterator[tuple[str, Value, bytes]]:
    """Name, value and bytes of each column after the first, the spare ones too."""
    end = 1
    for field in layout(ROWS[kind]) if kind in ROWS else ():
        end = field.column + (field.text or 1)
        data = row[8 * field.column : 8 * end]
        yield field.name, _value(kind, field, data), data
    for column in range(end, COLUMNS):
        data = row[8 * column : 8 * column + 8]
        yield f"column_{column}", _integer(data), data


def _value(kind: int, field: Field, data: bytes) -> Value:
    if is_secret(kind, field.name):
        # Whoever reads a difference could try passwords against them.
        return "hidden" if any(data) else 0
    if not field.text:
        return _integer(data)
    text = data.rstrip(b"\0")
    return text.decode("ascii") if text.isascii() and b"\0" not in text else data.hex()


def _integer(data: bytes) -> int:
    return int.from_bytes(data, "little", signed=True)


_CREDENTIALS: Final = frozenset({int(CommandKind.SET_CREDENTIAL), int(StateKind.SESSION)})


def is_secret(kind: int, name: str) -> bool:
    """Whether a column holds a part of a credential."""
    return kind in _CREDENTIALS and name.startswith(("hash_", "salt_"))


def kind_name(kind: int) -> str:
    """The Struct's name, or the number where there is none."""
    return ROWS[kind].__name__ if kind in ROWS else f"kind {kind}"


def rows_of(data: bytes) -> Iterator[bytes]:
    """The rows one by one."""
    return (data[at : at + ROW_SIZE] for at in range(0, len(data), ROW_SIZE))


# ---- values as people read them


def value_text(kind: int, name: str, value: Value) -> str:
    """The value with what it means, where a column holds more than a number."""
    if isinstance(value, str):
        return value if value.isprintable() else repr(value)
    reader = _BY_KIND.get((kind, name)) or _BY_NAME.get(name)
    meant = reader(value) if reader is not None else ""
    return f"{value} ({meant})" if meant else str(value)


def _member(enum: type[IntEnum]) -> Callable[[int], str]:
    return lambda value: enum(value).name if value in enum.__members__.values() else ""


def _halves(value: int) -> str:
    low, high = unpack_halves(value)
    return f"{low}, {high}" if value else ""


def _time(value: int) -> str:
    # Whatever stands there: calendars end long before the column does.
    return clock_text(value) if 0 < value < 2**62 else ""


_BITS: Final = (
    (POST_ONLY, "POST_ONLY"),
    (SLIDE, "SLIDE"),
    (REDUCE_ONLY, "REDUCE_ONLY"),
    (HIDDEN, "HIDDEN"),
    (ALL_OR_NONE, "ALL_OR_NONE"),
    (BASIS_POINTS, "BASIS_POINTS"),
    (QUOTE, "QUOTE"),
    (RESTING, "RESTING"),
    (REMOVED, "REMOVED"),
    (KEPT_PLACE, "KEPT_PLACE"),
    (PENDING, "PENDING"),
)
_KNOWN_FLAGS: Final = ENTER_FLAGS | RESTING | REMOVED | KEPT_PLACE | PENDING


def _order_flags(value: int) -> str:
    parts = (
        (Side, value & SIDE_MASK),
        (OrderType, value >> TYPE_SHIFT & TYPE_MASK),
        (TimeInForce, value >> TIME_IN_FORCE_SHIFT & TIME_IN_FORCE_MASK),
    )
    words = [_member(enum)(number) for enum, number in parts]
    mode = value >> PREVENTION_SHIFT & PREVENTION_MASK
    peg = value >> PEG_SHIFT & PEG_MASK
    if not all(words) or value & ~_KNOWN_FLAGS:
        return ""
    words += [_member(Prevention)(mode)] if mode else []
    words += [_member(Peg)(peg)] if words[1] == OrderType.PEGGED.name else []
    return " ".join([*words, *(name for bit, name in _BITS if value & bit)])


def _rule_flags(value: int) -> str:
    return " ".join(name for bit, name in ((EXPOSURES, "EXPOSURES"), (MARKET_RESTS, "MARKET_RESTS")) if value & bit)


_BY_NAME: Final[dict[str, Callable[[int], str]]] = {
    "time": _time,
    "expires": _time,
    "clock": _time,
    "timer_time": _time,
    "until": _time,
    "arrival": _time,
    "fires_at": _time,
    "began": _time,
    "on_disconnect": _member(OnDisconnect),
    "standing": _member(AccountStanding),
    "prevention": _member(Prevention),
    "act": _member(KillAct),
    "state": _member(TradingState),
    "role": _member(Role),
    "command": _member(CommandKind),
    "currencies": _halves,
    "fee_rates": _halves,
}

_ORDER_ROWS: Final = (
    CommandKind.ENTER_ORDER,
    EventKind.ACCEPTED,
    EventKind.EXECUTED,
    EventKind.REPLACED,
    EventKind.REDUCED,
    EventKind.CANCELED,
    EventKind.EXPIRED,
    EventKind.RESTED,
    EventKind.TRIGGERED,
    EventKind.ACTIVATED,
    EventKind.RESTATED,
    StateKind.ORDER,
)
_RULES: Final = (CommandKind.SET_RULES, EventKind.RULES_SET, StateKind.RULES)
_LIMITS: Final = (CommandKind.SET_LIMIT, EventKind.LIMIT_SET, StateKind.LIMIT)
_LOSSES: Final = (
    CommandKind.SET_CANCEL_ON_DISCONNECT,
    EventKind.CANCEL_ON_DISCONNECT_SET,
    EventKind.SESSION_LOST,
    StateKind.TODO,
)
_ACCOUNTS: Final = (CommandKind.SET_ACCOUNT, EventKind.ACCOUNT_SET)

_BY_KIND: Final[dict[tuple[int, str], Callable[[int], str]]] = {
    **{(int(kind), "flags"): _order_flags for kind in _ORDER_ROWS},
    **{(int(kind), "flags"): _rule_flags for kind in _RULES},
    **{(int(kind), "limit"): _member(Limit) for kind in _LIMITS},
    **{(int(kind), "state"): _member(AccountStanding) for kind in _ACCOUNTS},
    **{(int(kind), "mode"): _member(OnDisconnect) for kind in _LOSSES},
    (int(EventKind.PROTECTION_FROZEN), "limit"): _member(ProtectionLimit),
    (int(EventKind.REJECTED), "reason"): _member(RejectReason),
    (int(EventKind.CANCELED), "reason"): _member(CancelReason),
}
