"""What a change file does to one command after the other: gone, altered, or as it was."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from core.kinds import (
    POST_ONLY,
    PREVENTION_MASK,
    PREVENTION_SHIFT,
    SLIDE,
    TIME_IN_FORCE_MASK,
    TIME_IN_FORCE_SHIFT,
    TYPE_MASK,
    TYPE_SHIFT,
    CommandKind,
    OrderType,
    Prevention,
    TimeInForce,
    TradingState,
)
from core.messages import Command, DefineInstrument, InstrumentState, SetTradingState
from core.rows import RowError, from_row, to_row
from tools.failures import Failure
from tools.worlds.change_file import Alter, ChangeFile, Rule
from tools.worlds.change_words import WordError, changed
from tools.worlds.whole import ROW, Columns, Member

_ORDERS = frozenset({CommandKind.ENTER_ORDER, CommandKind.DETAIL})
_RESTS = frozenset({TimeInForce.DAY, TimeInForce.GTC, TimeInForce.GTD})


class Altering:
    """The changes of a file, and how many commands each has met."""

    def __init__(self, file: ChangeFile, symbols: Mapping[str, int], inserted: list[Command]) -> None:
        self.file = file
        self.inserted = inserted
        self.met: Counter[str] = Counter()
        self.refused: dict[str, list[str]] = {}
        """Why the engine refused commands that an entry brought, each reason once."""
        self._symbols = symbols
        self._rules = [(f"rule {n}", rule) for n, rule in enumerate(file.rule, start=1)]

    def removes(self, whole: list[Member]) -> bool:
        """Whether a command was never sent: one of its rows fits."""
        for number, one in enumerate(self.file.remove, start=1):
            if any(one.fits(row.columns, row.sequence, self._symbols) for row in whole):
                self.met[f"remove {number}"] += 1
                return True
        return False

    def altered(self, row: bytes, columns: Columns, sequence: int) -> bytes:
        """The command row as the file has it; as it was, to the byte, if nothing fits.

        `columns` are what selectors read, `sequence` is the number of the row, or of the one that it repeats.
        """
        for number, one in enumerate(self.file.alter, start=1):
            if columns[0] in one.kinds() and one.fits(columns, sequence, self._symbols):
                self.met[f"alter {number}"] += 1
                row = self._set(one, row, f"alter {number}")
        for name, rule in self._rules:
            if rule.first <= sequence:
                row = self._ruled(rule, row, columns, name)
        return row

    def _set(self, one: Alter, row: bytes, name: str) -> bytes:
        try:
            return to_row(changed(from_row(row), one.set, self._symbols))
        except RowError:
            # No Struct fits the row: it was refused as malformed, and is again.
            return row
        except WordError as error:
            raise Failure(f"{self.file.path}: {name}: {error}") from None

    def _ruled(self, rule: Rule, row: bytes, named: Columns, name: str) -> bytes:
        columns = ROW.unpack(row)
        made = row
        if columns[0] == CommandKind.DEFINE_INSTRUMENT and columns[6] == self._number(rule) and rule.terms():
            try:
                made = to_row(changed(from_row(row), rule.terms(), self._symbols))
            except RowError:
                return row
        elif columns[0] in _ORDERS and self._covers(rule, named):
            if rule.post_only is not None:
                made = _post_only(columns, wanted=rule.post_only)
            if rule.self_trade is not None:
                made = _prevented(ROW.unpack(made), Prevention[rule.self_trade])
        self.met[name] += made != row
        return made

    def _number(self, rule: Rule) -> int | None:
        return self._symbols.get(rule.instrument) if isinstance(rule.instrument, str) else rule.instrument

    def _covers(self, rule: Rule, columns: Columns) -> bool:
        named = ((rule.session, columns[3]), (self._number(rule), columns[6]), (rule.account, columns[7]))
        return all(wanted is None or wanted == found for wanted, found in named)

    def commands_before(self, sequence: int, instruments: Mapping[int, InstrumentState]) -> list["Added"]:
        """What the second world alone is told before a row: rules first. `instruments` are those that it knows by then."""
        found = []
        for name, rule in self._rules:
            if rule.first == sequence:
                found += [Added(name, command) for command in self._rule_commands(rule, instruments)]
        for number, (one, command) in enumerate(zip(self.file.insert, self.inserted, strict=True), start=1):
            if one.before == sequence:
                found.append(Added(f"insert {number}", command))
        self.met.update(added.name for added in found)
        return found

    def refuse(self, name: str, reason: str) -> None:
        """Note that the engine refused a command of this part of the file."""
        reasons = self.refused.setdefault(name, [])
        if reason not in reasons:
            reasons.append(reason)

    def json(self) -> dict[str, Any]:
        """What each part of the file met, and the refusals."""
        return {"changes": {name: self.met[name] for name in self.file.names()}, "refused": self.refused}

    def lines(self) -> Iterator[str]:
        """The same for people."""
        for name in self.file.names():
            yield f"{name}: {self.met[name]} commands" if self.met[name] else f"{name}: met nothing"
            yield from (f"{name}: refused by the engine: {reason}" for reason in self.refused.get(name, ()))

    def rules_before(self, sequence: int) -> bool:
        """Whether a rule begins at a row."""
        return any(rule.first == sequence for _, rule in self._rules)

    def inserts_before(self, sequence: int) -> bool:
        """Whether something is inserted before a row."""
        return any(one.before == sequence for one in self.file.insert)

    def _rule_commands(self, rule: Rule, instruments: Mapping[int, InstrumentState]) -> list[Command]:
        found: list[Command] = []
        known = instruments.get(self._number(rule) or 0)
        if rule.terms() and known is not None:
            found.append(_definition(known, rule.terms()))
        if rule.state is not None:
            state = TradingState[rule.state]
            found.append(SetTradingState(instrument=self._number(rule) or 0, account=rule.account or 0, state=state))
        return found


class Added(NamedTuple):
    """A command of the second world alone, and the part of the change file that it comes from."""

    name: str
    command: Command


def _definition(known: InstrumentState, terms: Mapping[str, int]) -> Command:
    names = ("instrument", "flags", "symbol", "currencies", "multiplier", "divisor", "lot_units", "price_max")
    columns = {name: getattr(known, name) for name in (*names, "quantity_max", "fee_rates")}
    made = changed(DefineInstrument(**columns), terms, {})
    assert isinstance(made, Command)
    return made


def _post_only(columns: Columns, *, wanted: bool) -> bytes:
    """The order with the flag set or cleared; only a LIMIT order that may stand can be post-only."""
    flags = columns[5] & ~(POST_ONLY | SLIDE)
    limit = columns[5] >> TYPE_SHIFT & TYPE_MASK == OrderType.LIMIT
    stands = columns[5] >> TIME_IN_FORCE_SHIFT & TIME_IN_FORCE_MASK in _RESTS
    if wanted and limit and stands:
        flags |= POST_ONLY
    return ROW.pack(*columns[:5], flags, *columns[6:])


def _prevented(columns: Columns, mode: Prevention) -> bytes:
    """The order with this self-trade prevention in the place of its own; SPEND_AT_MOST may not name DECREMENT."""
    if columns[5] >> TYPE_SHIFT & TYPE_MASK == OrderType.SPEND_AT_MOST and mode == Prevention.DECREMENT:
        mode = Prevention.CANCEL_NEWEST
    flags = columns[5] & ~(PREVENTION_MASK << PREVENTION_SHIFT) | mode << PREVENTION_SHIFT
    return ROW.pack(*columns[:5], flags, *columns[6:])
