"""The change file of `lockstep whatif`: commands to remove, insert and alter, and rules that hold from a row on (TOML)."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from core.engine import names_account, names_instrument, names_order
from core.kinds import CommandKind
from core.limits import SUM_MAX
from core.messages import Command
from core.parts import is_part
from replicas.limits import BadConfig, read_toml
from tools.failures import Misuse
from tools.worlds.change_words import (
    BY_NAME,
    FIXED,
    NODE_KINDS,
    WordError,
    changed,
    fields_of,
    instrument_number,
    new_command,
)

Row = Annotated[int, Meta(ge=1, le=SUM_MAX)]
Number = Annotated[int, Meta(ge=0, le=SUM_MAX)]
Rate = Annotated[int, Meta(ge=-(10**6), le=10**6)]
Instrument = str | Number

TERMS: Final = ("maker_fee", "taker_fee", "price_max", "quantity_max")
"""What a rule can change of an instrument, by a DefineInstrument."""
RULES: Final = (*TERMS, "state", "post_only", "self_trade")
_KEPT: Final = frozenset({CommandKind.QUARANTINE, CommandKind.PROMOTE, CommandKind.UPGRADE})
_OTHER_ID: Final[dict[int, int]] = {CommandKind.REPLACE_ORDER: 15, CommandKind.QUOTE_DETAIL: 13}
"""Where a row names an order beside column 8: the one that is replaced, or the ask."""


class Selector(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"first": "from", "last": "to"}):
    """Commands that fit all that is named. Rows that a node wrote itself (Quarantine, Promote, Upgrade) never fit."""

    sequence: Row | list[Row] | None = None
    first: Row = 1
    last: Row = SUM_MAX
    kind: str | None = None
    session: Number | None = None
    account: Number | None = None
    instrument: Instrument | None = None
    client_order_id: int | None = None

    def __post_init__(self) -> None:
        """ValueError where nothing is named, or a kind that is none."""
        if self.kind is not None and self.kind not in BY_NAME:
            raise ValueError(f"kind {self.kind} is none of {', '.join(BY_NAME)}")
        names = ("sequence", "kind", "session", "account", "instrument", "client_order_id")
        if all(getattr(self, name) is None for name in names) and (self.first, self.last) == (1, SUM_MAX):
            raise ValueError(f"say which commands: by {', '.join(names)}, from, to")

    def sequences(self) -> list[int]:
        """The rows that are named one by one."""
        return [self.sequence] if isinstance(self.sequence, int) else self.sequence or []

    def begins(self) -> int:
        """The first row that may fit."""
        return max(self.first, min(self.sequences(), default=1))

    def fits(self, columns: tuple[int, ...], sequence: int, symbols: Mapping[str, int]) -> bool:
        """Whether a command row is one of these; `sequence` is its number, or that of the row that it repeats."""
        named = self.sequence
        if not self.first <= sequence <= self.last:
            return False
        if named is not None and (sequence not in named if isinstance(named, list) else sequence != named):
            return False
        kind = columns[0]
        if kind in _KEPT or (self.kind is not None and kind != BY_NAME[self.kind].KIND):
            return False
        return self._fits_names(kind, columns, symbols)

    def _fits_names(self, kind: int, columns: tuple[int, ...], symbols: Mapping[str, int]) -> bool:
        if self.session is not None and columns[3] != self.session:
            return False
        if self.account is not None and not (names_account(kind) and columns[7] == self.account):
            return False
        if self.instrument is not None:
            number = symbols.get(self.instrument) if isinstance(self.instrument, str) else self.instrument
            if not (names_instrument(kind) and columns[6] == number):
                return False
        if self.client_order_id is None:
            return True
        ids = (columns[8], columns[_OTHER_ID.get(kind, 8)])
        return (names_order(kind) or is_part(kind)) and self.client_order_id in ids


class Remove(Selector, frozen=True):
    """Commands that were never sent."""


class Alter(Selector, frozen=True):
    """Commands that said something else; those of a kind without the fields stay as they are."""

    set: dict[str, int | str | bool] = msgspec.field(default_factory=dict)

    def __post_init__(self) -> None:
        """ValueError for a field that no such command has."""
        super().__post_init__()
        fixed = FIXED & set(self.set)
        if not self.set or fixed:
            raise ValueError(f"set: {', '.join(sorted(fixed))} cannot be altered" if fixed else "set: say what")
        if not self.kinds():
            raise ValueError(f"set: no such command has {', '.join(self.set)}")

    def kinds(self) -> frozenset[int]:
        """The kinds of commands that have all the fields."""
        named = [self.kind] if self.kind else sorted(set(BY_NAME) - NODE_KINDS)
        return frozenset(int(BY_NAME[name].KIND) for name in named if set(self.set) <= fields_of(BY_NAME[name]))


class Insert(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A command that was never sent, before a row; one more than the last row is the end."""

    before: Row
    command: dict[str, int | str | bool]


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"first": "from"}):
    """What holds from a row on. Fees in millionths, price_max in ticks, quantity_max in lots."""

    first: Row
    instrument: Instrument | None = None
    account: Number | None = None
    session: Number | None = None
    maker_fee: Rate | None = None
    taker_fee: Rate | None = None
    price_max: Row | None = None
    quantity_max: Row | None = None
    state: Literal["OPEN", "CANCEL_ONLY", "HALTED"] | None = None
    post_only: bool | None = None
    self_trade: Literal["ALLOW", "CANCEL_NEWEST", "CANCEL_OLDEST", "CANCEL_BOTH", "DECREMENT"] | None = None

    def __post_init__(self) -> None:
        """ValueError where nothing is changed, or not for what is named."""
        if all(getattr(self, name) is None for name in RULES):
            raise ValueError(f"say what: {', '.join(RULES)}")
        if self.terms() and self.instrument is None:
            raise ValueError(f"{', '.join(self.terms())}: of which instrument")
        if self.state and self.instrument is not None and self.account is not None:
            raise ValueError("state: of an instrument or of an account")
        of_orders = self.post_only is not None or self.self_trade is not None
        if not of_orders and (self.session is not None or (self.account is not None and not self.state)):
            raise ValueError("an account or a session goes with post_only and self_trade, an account with state")

    def terms(self) -> dict[str, int]:
        """What it changes of an instrument."""
        return {name: getattr(self, name) for name in TERMS if getattr(self, name) is not None}


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    remove: list[Remove] = msgspec.field(default_factory=list)
    alter: list[Alter] = msgspec.field(default_factory=list)
    insert: list[Insert] = msgspec.field(default_factory=list)
    rule: list[dict[str, Any]] = msgspec.field(default_factory=list)


class ChangeFile(msgspec.Struct, frozen=True):
    """A change file that fits."""

    path: Path
    remove: list[Remove]
    alter: list[Alter]
    insert: list[Insert]
    rule: list[Rule]

    def begins(self) -> int:
        """The first row before or at which something may be changed; beyond every row where nothing is."""
        selectors = [selector.begins() for selector in (*self.remove, *self.alter)]
        return min([SUM_MAX, *selectors, *(one.before for one in self.insert), *(rule.first for rule in self.rule)])

    def names(self) -> list[str]:
        """Every part of the file, as reports name it."""
        counts = {
            "remove": len(self.remove),
            "alter": len(self.alter),
            "rule": len(self.rule),
            "insert": len(self.insert),
        }
        return [f"{name} {number + 1}" for name, count in counts.items() for number in range(count)]

    def rows(self) -> list[tuple[str, int, int]]:
        """The rows that the file names, with the part that does; 1 where it may be the one behind the last row."""
        found = [(f"insert {n}: before = {one.before}", one.before, 1) for n, one in enumerate(self.insert, start=1)]
        found += [(f"rule {n}: from = {one.first}", one.first, 0) for n, one in enumerate(self.rule, start=1)]
        for name, selectors in (("remove", self.remove), ("alter", self.alter)):
            for number, one in enumerate(selectors, start=1):
                found += [(f"{name} {number}: sequence = {row}", row, 0) for row in one.sequences()]
        return found

    def symbols(self) -> list[tuple[str, str]]:
        """The instruments that the file names by symbol, each with the part that does."""
        named: list[tuple[str, object]] = []
        parts: list[tuple[str, Sequence[Remove | Alter | Rule]]]
        parts = [("remove", self.remove), ("alter", self.alter), ("rule", self.rule)]
        for name, entries in parts:
            named += [(f"{name} {number}", one.instrument) for number, one in enumerate(entries, start=1)]
        named += [(f"alter {number}", one.set.get("instrument")) for number, one in enumerate(self.alter, start=1)]
        named += [(f"insert {n}", one.command.get("instrument")) for n, one in enumerate(self.insert, start=1)]
        return [(name, value) for name, value in named if isinstance(value, str)]

    def check(self, symbols: dict[str, int]) -> list[Command]:
        """Resolve every symbol and field; the commands to insert. Misuse names the part. Inserted instruments are added."""
        made: list[Command] = []
        for number, one in enumerate(self.insert, start=1):
            command = self._part(f"insert {number}", partial(new_command, one.command, symbols))
            made.append(command)
            if type(command).__name__ == "DefineInstrument":
                symbols.setdefault(command.symbol, command.instrument)
        parts: list[tuple[str, Sequence[Remove | Alter | Rule]]]
        parts = [("remove", self.remove), ("alter", self.alter), ("rule", self.rule)]
        for name, entries in parts:
            for number, entry in enumerate(entries, start=1):
                self._part(f"{name} {number}", partial(_check, entry, symbols))
        return made

    def _part(self, name: str, check: Any) -> Any:
        try:
            return check()
        except WordError as error:
            raise Misuse(f"{self.path}: {name}: {error}") from None


def _check(entry: Remove | Alter | Rule, symbols: Mapping[str, int]) -> None:
    if isinstance(entry.instrument, str):
        instrument_number(entry.instrument, symbols)
    if isinstance(entry, Alter):
        for kind in BY_NAME.values():
            if kind.KIND in entry.kinds():
                changed(kind(), entry.set, symbols)


def read_change(path: Path) -> ChangeFile:
    """A change file. Misuse names file and key; for a rule that no engine of ours has, what can be changed."""
    try:
        file = read_toml(path, _File)
    except (OSError, BadConfig) as error:
        raise Misuse(str(error)) from None
    rules = [_rule(path, number, table) for number, table in enumerate(file.rule, start=1)]
    return ChangeFile(path, file.remove, file.alter, file.insert, rules)


def _rule(path: Path, number: int, table: dict[str, Any]) -> Rule:
    known = {"from", "instrument", "account", "session", *RULES}
    unknown = sorted(set(table) - known)
    if unknown:
        raise Misuse(f"{path}: rule {number}: {', '.join(unknown)} cannot be changed; what can be: {', '.join(RULES)}")
    try:
        return msgspec.convert(table, Rule)
    except msgspec.ValidationError as error:
        raise Misuse(f"{path}: rule {number}: {error}") from None
