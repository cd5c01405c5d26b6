"""What projections are made of: tables, batches of events, and the fold that makes rows of a table out of batches.

A fold is pure: it knows neither database nor journal. Between two writes it keeps the rows that it changed; what it needs
of earlier ones it reads from the tables when it begins.
"""

import struct
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any, ClassVar, Final, NamedTuple

from core.kinds import COLUMNS, REMOVED, ROW_SIZE, SIDE_MASK, EventKind
from journal.check import columns
from journal.errors import CorruptEvents

ROW: Final = struct.Struct(f"<{COLUMNS}q")
_SETTLED: Final = int(EventKind.SETTLED)
_EXECUTED: Final = int(EventKind.EXECUTED)
_TRADED: Final = int(EventKind.TRADED)
SIDES: Final = ("buy", "sell")

Values = tuple[Any, ...]
"""A row of a table: the values of its columns, in order."""

Select = Callable[["Table", str], Iterable[Values]]
"""Reads the rows of a table that a condition in SQL chooses; all where it is empty."""


class Type(Enum):
    """What a column holds. An INTEGER has 64 bits; a SUM is an integer of any size."""

    INTEGER = "integer"
    SUM = "sum"
    TEXT = "text"


@dataclass(frozen=True)
class Table:
    """A table; the first `keys` columns are its primary key. Rows of an `appended` table are never changed."""

    name: str
    columns: tuple[tuple[str, Type], ...]
    keys: int
    appended: bool = False
    indexes: tuple[str, ...] = ()
    """What stands between `CREATE INDEX name ON table` and the end."""

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the columns."""
        return tuple(name for name, _ in self.columns)


def table(name: str, keys: int, *, appended: bool = False, indexes: tuple[str, ...] = (), **types: Type) -> Table:
    """A table, its columns as keywords in order."""
    return Table(name, tuple(types.items()), keys, appended, indexes)


class Batch(NamedTuple):
    """The event rows of the commands from `first` to `last`, and a way to get at the rows of those commands."""

    first: int
    last: int
    events: bytes
    commands: Callable[[], bytes]


class Fold(ABC):
    """Makes rows out of events, batch after batch; the same rows in whatever batches the events come."""

    name: str
    """What the projection is called in the database."""
    tables: tuple[Table, ...]
    views: ClassVar[tuple[tuple[str, str], ...]] = ()
    """Names and queries that every database understands."""
    layout: ClassVar[int] = 1
    """Raised with every change of tables or of what stands in them."""

    @abstractmethod
    def load(self, select: Select) -> None:
        """Read from the tables what is needed to go on."""

    @abstractmethod
    def take(self, batch: Batch) -> None:
        """Change rows as the events say. CorruptEvents for events that no engine writes."""

    @abstractmethod
    def changes(self) -> Iterator[tuple[Table, list[Values]]]:
        """The rows that are new or have changed since this was last asked, each once, whole."""


class Match(NamedTuple):
    """One match: `price` in ticks, `quantity` in lots, the amounts in units; `side` is that of the incoming order."""

    match_number: int
    sequence: int
    time: int
    instrument: int
    price: int
    quantity: int
    side: int
    resting_order: int
    incoming_order: int
    buyer: int
    seller: int
    base_amount: int
    quote_amount: int
    buyer_fee: int
    seller_fee: int


def matches(events: bytes) -> Iterator[Match]:
    """The matches among event rows: two `Executed`, with a `Traded` between them or not, and a `Settled`. CorruptEvents."""
    kinds = columns(events)[::COLUMNS]
    for at, kind in enumerate(kinds):
        if kind == _SETTLED:
            between = at >= 3 and kinds[at - 2] == _TRADED
            yield _match(events, at, at - 3 if between else at - 2)


def _match(events: bytes, at: int, begin: int) -> Match:
    settled = ROW.unpack_from(events, at * ROW_SIZE)
    resting = ROW.unpack_from(events, max(begin, 0) * ROW_SIZE)
    incoming = ROW.unpack_from(events, max(at - 1, 0) * ROW_SIZE)
    number = settled[13]
    kinds = (resting[0], resting[5] & REMOVED, incoming[0], incoming[5] & REMOVED)
    if kinds != (_EXECUTED, 0, _EXECUTED, REMOVED) or (resting[13], incoming[13]) != (number, number):
        raise CorruptEvents(f"events of command {settled[1]}", f"match {number} is not two Executed and a Settled")
    columns_of = (settled[6], *resting[9:11], incoming[5] & SIDE_MASK, resting[11], incoming[11], *settled[7:13])
    return Match._make((number, *settled[1:3], *columns_of))
