"""Two worlds compared command by command and at their end: totals, and the first differences of each kind with both versions."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import takewhile
from typing import Any, Final, NamedTuple

from core.kinds import ROW_SIZE
from tools.dump import readable, row_text
from tools.worlds.differences import KINDS, OTHER, Parting, partings
from tools.worlds.end_states import World, end_partings
from tools.worlds.intended import Intended
from tools.worlds.telling import Key, Said, Telling, by_command

LISTED: Final = 5
"""Differences of each kind that are shown with both versions."""
_LINES: Final = 12
"""Lines of one version that are shown."""


class Listed(NamedTuple):
    """A difference with both versions, each as lines."""

    kind: str
    row: Key
    """The command, by its sequence number or by a word; "end" for the states at the end."""
    instruments: tuple[str, ...]
    accounts: tuple[int, ...]
    left: tuple[str, ...]
    right: tuple[str, ...]


class Comparison:
    """Feed it what both worlds said; memory is bounded by live orders, sessions, instruments and accounts."""

    def __init__(
        self,
        names: tuple[str, str],
        state: bytes,
        intended: Intended | None = None,
        *,
        listed: int = LISTED,
        shifted: bool = False,
    ) -> None:
        """`names` call the two worlds, which begin with the same state rows.

        `listed` is how many differences of each kind are kept with both versions. `shifted`: commands have other numbers
        and times in the second world.
        """
        self.names = names
        self.rows = 0
        """Commands of the first world that were compared; told by whoever drives."""
        self.intended = intended or Intended([])
        self.found: Counter[str] = Counter()
        self.meant: Counter[str] = Counter()
        self.instruments: Counter[tuple[str, str]] = Counter()
        self.accounts: Counter[tuple[int, str]] = Counter()
        self.listed: dict[str, list[Listed]] = {kind: [] for kind in KINDS}
        self._most = listed
        self._shifted = shifted
        self._left = self._right = Telling(state, shifted=shifted)

    def commands(self, left: bytes, right: bytes) -> None:
        """The event rows of a run of commands in both worlds, where these have the same numbers."""
        ours, theirs = by_command(left), by_command(right)
        for sequence in sorted({*ours, *theirs}):
            self.command(sequence, sequence, ours.get(sequence, b""), theirs.get(sequence, b""))

    def command(self, key: Key, sequence: int, left: bytes, right: bytes, *, alone: bool = False) -> None:
        """The event rows of one command in both worlds; `sequence` is its place in the first one.

        `alone`: it stands in one world only, and only its matches are looked at.
        """
        in_step = self._left is self._right
        if in_step and left == right:
            self._left.read(key, left)
            return
        if in_step:
            self._right = self._left.copy()
        said = self._left.read(key, left), self._right.read(key, right)
        found = partings(*said, alone=alone)
        if in_step and not found and not self._shifted:
            # Nothing came before that could have shifted a number.
            found = [Parting(OTHER, (), ())]
        alike = _alike(_cut(left), _cut(right)) if in_step else _alike(*said)
        for parting in found:
            self._take(parting, key, sequence, (left, right), alike)

    def raised(self, sequence: int, left: bytes, told: str) -> None:
        """The second world ends at this row, because its engine raised: always shown, and never meant."""
        self.found[OTHER] += 1
        self.listed[OTHER].append(Listed(OTHER, sequence, (), (), _texts(left), (told,)))

    def order_there(self, number: int) -> int:
        """The order number that an order of the first world has in the second; 0 if it is not there."""
        return self._right.number(self._left.name(number))

    def end(self, sequence: int, left: bytes, right: bytes) -> None:
        """The state rows of both worlds after the last row."""
        worlds = World.of(left, self._left.name), World.of(right, self._right.name)
        for parting, ours, theirs in end_partings(*worlds):
            self._count(parting, "end", sequence, tuple((text,) if text else () for text in (ours, theirs)))
        if left != right and not self._shifted and not self.found:
            self._count(Parting(OTHER, (), ()), "end", sequence, _state_texts(left, right))

    def _take(self, parting: Parting, key: Key, sequence: int, rows: tuple[bytes, bytes], alike: int) -> None:
        texts: tuple[tuple[str, ...], ...] = ((), ())
        if len(self.listed[parting.kind]) < self._most:
            texts = _texts(rows[0], alike), _texts(rows[1], alike)
        self._count(parting, key, sequence, texts)

    def _count(self, parting: Parting, key: Key, sequence: int, texts: tuple[tuple[str, ...], ...]) -> None:
        symbols = self._left.symbols | self._right.symbols
        self.found[parting.kind] += 1
        if self.intended.covers(parting, sequence, symbols):
            self.meant[parting.kind] += 1
            return
        named = tuple(symbols.get(number, str(number)) for number in parting.instruments)
        for symbol in named:
            self.instruments[symbol, parting.kind] += 1
        for account in parting.accounts:
            self.accounts[account, parting.kind] += 1
        if len(self.listed[parting.kind]) < self._most:
            self.listed[parting.kind].append(Listed(parting.kind, key, named, parting.accounts, *texts))

    @property
    def same(self) -> bool:
        """Whether nothing differs but what is meant to."""
        return self.found == self.meant

    def json(self) -> dict[str, Any]:
        """Everything, for `--json`."""
        return {
            "same": self.same,
            "worlds": list(self.names),
            "rows": self.rows,
            "totals": {kind: {"differences": self.found[kind], "intended": self.meant[kind]} for kind in KINDS},
            "instruments": _table(self.instruments),
            "accounts": _table(self.accounts),
            "differences": {kind: [entry._asdict() for entry in self.listed[kind]] for kind in KINDS},
            "intended": [
                {"reason": entry.reason, "differences": used}
                for entry, used in zip(self.intended.entries, self.intended.used, strict=True)
            ],
        }

    def lines(self) -> Iterator[str]:
        """The same for people: totals first, then the first differences of each kind."""
        if not self.found:
            yield f"no difference between {self.names[0]} and {self.names[1]}"
        for kind in filter(self.found.get, KINDS):
            meant = f", {self.meant[kind]} of them intended" if self.meant[kind] else ""
            yield f"{self.found[kind]} {kind}{meant} ({KINDS[kind]})"
        yield f"rows compared: {self.rows}"
        yield from _told("instrument", self.instruments)
        yield from _told("account", self.accounts)
        for kind in KINDS:
            for entry in self.listed[kind]:
                yield from self._entry(entry)
        for reason in self.intended.unused():
            yield f"intended, and not found: {reason}"

    def _entry(self, entry: Listed) -> Iterator[str]:
        where = f"row {entry.row}" if isinstance(entry.row, int) else "at the end" if entry.row == "end" else entry.row
        touched = [*entry.instruments, *(f"account {number}" for number in entry.accounts)]
        yield f"{entry.kind}, {', '.join([where, *touched])}:"
        width = max(map(len, self.names))
        for name, texts in zip(self.names, (entry.left, entry.right), strict=True):
            for line in texts or ("nothing",):
                yield f"  {name:{width}}  {line}"


def _cut(rows: bytes) -> list[bytes]:
    return [rows[at : at + ROW_SIZE] for at in range(0, len(rows), ROW_SIZE)]


def _alike(left: Sequence[Said | bytes], right: Sequence[Said | bytes]) -> int:
    """How many events a command begins with that say the same in both worlds; 0 where all of them can be shown."""
    if max(len(left), len(right)) <= _LINES:
        return 0
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(left, right, strict=False)))


def _texts(rows: bytes, alike: int = 0) -> tuple[str, ...]:
    """The rows behind those that are alike, as far as they can be shown; how many stand before and behind them."""
    begin, count = alike * ROW_SIZE, len(rows) // ROW_SIZE
    shown = [row_text(row).strip() for row in readable(rows, begin, min(len(rows), begin + _LINES * ROW_SIZE))]
    before = [f"{alike} the same in both, then"] if alike else []
    more = count - alike - len(shown)
    return (*before, *(shown or ["nothing"] * bool(before)), *([f"and {more} more"] if more else []))


def _state_texts(left: bytes, right: bytes) -> tuple[tuple[str, ...], ...]:
    """The first row in which two states differ, where no field that people know does."""
    at = next(
        at for at in range(0, max(len(left), len(right)), ROW_SIZE) if left[at:][:ROW_SIZE] != right[at:][:ROW_SIZE]
    )
    kinds = (int.from_bytes(state[at : at + 8], "little") for state in (left, right))
    return tuple((f"state row {at // ROW_SIZE}, of kind {kind}",) for kind in kinds)


def _table(counts: Counter[tuple[Any, str]]) -> dict[str, dict[str, int]]:
    table: dict[str, dict[str, int]] = {}
    for (name, kind), count in sorted(counts.items()):
        table.setdefault(str(name), {})[kind] = count
    return table


def _told(what: str, counts: Counter[tuple[Any, str]]) -> Iterable[str]:
    for name, kinds in _table(counts).items():
        yield f"{what} {name}: {', '.join(f'{count} {kind}' for kind, count in kinds.items())}"
