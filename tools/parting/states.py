"""Two states of a venue, field by field: what stands in one alone, and which fields of what stands in both differ.

A thing is known by its number, not by where its row stands, so that one order more moves nothing else. The place of an
order in its queue is a field of its own: it is told by the order of rows alone.
"""

from collections import defaultdict
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from core.kinds import ROW_SIZE, SIDE_MASK, StateKind
from tools.parting.columns import Column, differing, kind_name, kind_of, named, named_text, rows_of

Key = tuple[int, ...]

KEYS: Final[dict[int, tuple[int, ...]]] = {
    StateKind.ENGINE: (),
    StateKind.CURRENCY: (1,),
    StateKind.INSTRUMENT: (1,),
    StateKind.RULES: (1,),
    StateKind.ALLOCATION: (1,),
    StateKind.FIRM: (1,),
    StateKind.ACCOUNT: (1,),
    StateKind.BALANCE: (1, 2),
    StateKind.SESSION: (1,),
    StateKind.GRANT: (1, 2),
    StateKind.ANSWERS: (1, 2),
    StateKind.ORDER: (1,),
    StateKind.TERMS: (1,),
    StateKind.TODO: (2, 3, 4, 6),
    StateKind.QUARANTINED: (1,),
    StateKind.FOLLOWING: (1,),
    StateKind.LIMIT: (1, 2, 3, 4, 5),
    StateKind.EXPOSURE: (1, 2, 3, 4),
    StateKind.FEE_TIER: (1, 2),
    StateKind.VOLUME: (1, 2),
    StateKind.LINK: (3,),
    StateKind.STAGED: (2, 3),
    StateKind.DEAD_MAN: (1,),
    StateKind.PROTECTION: (1, 2),
}
"""The columns that say which thing a row of state is about. What follows from the others is not compared: DIGEST and END."""

_QUEUE: Final = (2, 6, 7)
"""Instrument, flags and price of an ORDER row: at which level it stands."""


class Differing(NamedTuple):
    """A thing that is not the same in both states; a row is missing where the thing does not stand."""

    name: str
    a: bytes | None
    b: bytes | None
    columns: list[Column]

    def json(self) -> dict[str, Any]:
        """As an object."""
        rows = {"a": self.a and named(self.a), "b": self.b and named(self.b)}
        alone = rows if self.a is None or self.b is None else {}
        return {"what": self.name, **alone, "columns": [column.json() for column in self.columns]}

    def lines(self) -> Iterator[str]:
        """As lines of text."""
        if self.a is None or self.b is None:
            row = self.a or self.b or b""
            yield f"{self.name}: only {'A' if self.b is None else 'B'}: {named_text(row)}"
        for column in self.columns:
            yield f"{self.name}: {column.name}: A {column.a_text}, B {column.b_text}"


def state_differences(a: bytes, b: bytes) -> list[Differing]:
    """What differs between two states, as state rows, in the order of state rows; those of B alone come last."""
    mine, theirs = _things(a), _things(b)
    places = _places(mine, theirs)
    found = []
    for key, row in mine.items():
        other = theirs.get(key)
        if other is None:
            found.append(Differing(_name(key), row, None, []))
        elif row != other or key in places:
            found.append(Differing(_name(key), row, other, differing(row, other) + places.get(key, [])))
    found += [Differing(_name(key), None, row, []) for key, row in theirs.items() if key not in mine]
    return found


def _things(rows: bytes) -> dict[Key, bytes]:
    found = {}
    for row in rows_of(rows):
        kind = kind_of(row)
        if kind == StateKind.DIGEST:
            break
        if kind in KEYS:
            found[(kind, *(_column(row, column) for column in KEYS[kind]))] = row
    return found


def _column(row: bytes, column: int) -> int:
    return int.from_bytes(row[8 * column : 8 * column + 8], "little", signed=True)


def _name(key: Key) -> str:
    numbers = " ".join(map(str, key[1:]))
    return f"{kind_name(key[0]).removesuffix('State')} {numbers}".rstrip()


def _places(mine: dict[Key, bytes], theirs: dict[Key, bytes]) -> dict[Key, list[Column]]:
    """The orders that stand in another place among those that both states hold at the same level."""
    found = {}
    ours, others = _ranks(mine, theirs), _ranks(theirs, mine)
    for key, rank in ours.items():
        other = others[key]
        if rank != other:
            found[key] = [Column("place", rank, other, str(rank), str(other))]
    return found


def _ranks(things: dict[Key, bytes], others: dict[Key, bytes]) -> dict[Key, int]:
    """How many of the orders at the same level in both states stand before each."""
    counts: dict[Key, int] = defaultdict(int)
    found = {}
    for key, row in things.items():
        if key[0] == StateKind.ORDER and key in others and _level(row) == _level(others[key]):
            level = _level(row)
            found[key] = counts[level]
            counts[level] += 1
    return found


def _level(row: bytes) -> Key:
    instrument, flags, price = (_column(row, column) for column in _QUEUE)
    return instrument, flags & SIDE_MASK, price


def without_digest(rows: bytes) -> bytes:
    """The state rows before DIGEST: equal for equal states, whatever events led there."""
    at = 0
    while at < len(rows) and _column(rows[at : at + 8], 0) != StateKind.DIGEST:
        at += ROW_SIZE
    return rows[:at]
