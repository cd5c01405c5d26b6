"""Tables of commands and of events: a column for each name that their Structs declare, empty where a kind has none.

Rows are taken apart by NumPy, a kind at a time. Hash and salt of a credential are columns of no table.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from core.kinds import COLUMNS, ROW_SIZE, TIME
from core.layout import Row
from core.messages import COMMANDS, EVENTS
from core.rows import layout
from replicas.replay import Applied
from tools.dump import Malformed, readable, row_text
from tools.exports.file import BLOCK_ROWS, Block, Field, Type, library
from tools.failures import Misuse

MALFORMED: Final = "Malformed"
_HEAD: Final = (Field("kind", Type.TEXT), Field("sequence"), Field("time"), Field("time_utc", Type.TIME))
_SECRET: Final = ("hash_0", "hash_1", "hash_2", "hash_3", "salt_0", "salt_1")
_APART: Final = {"sequence", "time", *_SECRET}

Kinds = Mapping[int, type[Row]]
"""Structs by the number of their kind."""


def kinds_of(names: Sequence[str], known: Kinds) -> dict[int, type[Row]]:
    """The kinds that are named, or all. Misuse for a name that none has."""
    by_name = {struct.__name__: kind for kind, struct in known.items()}
    for name in names:
        if name not in by_name:
            raise Misuse(f"--kind {name}: no such kind; known: {', '.join(by_name)}")
    chosen = {by_name[name] for name in names}
    return {kind: struct for kind, struct in known.items() if kind in chosen or not names}


class Rows:
    """A table of commands or events of some kinds."""

    def __init__(self, kinds: Kinds) -> None:
        self._kinds = kinds
        self._numpy = library("numpy")
        rest: dict[str, Field] = {}
        for struct in kinds.values():
            for name, _, text in layout(struct):
                rest.setdefault(name, Field(name, Type.TEXT if text else Type.INT))
        self.fields = (*_HEAD, *(field for name, field in rest.items() if name not in _APART))
        """The columns, in order."""

    def blocks(self, parts: Iterator[bytes]) -> Iterator[Block]:
        """The rows of these kinds, in order, from pieces of whole rows."""
        for piece in pieces(parts, BLOCK_ROWS * ROW_SIZE):
            yield self.block(piece)

    def block(self, data: bytes) -> Block:
        """The columns of some rows; rows of other kinds are left out."""
        rows = self._rows(data)
        wanted = rows[self._numpy.isin(rows[:, 0], list(self._kinds))]
        columns = _Columns(self.fields, wanted)
        for kind in self._numpy.unique(wanted[:, 0]).tolist():
            columns.fill(self._kinds[kind], self._numpy.flatnonzero(wanted[:, 0] == kind))
        return columns.arrays()

    def _rows(self, data: bytes) -> Any:
        return self._numpy.frombuffer(data, "<i8").reshape(-1, COLUMNS)


class Commands(Rows):
    """The table of commands; one that no Struct fits has its columns as a text in the last column."""

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__(kinds_of(names, COMMANDS))
        self._all = not names
        self.fields = (*self.fields, *([Field("malformed", Type.TEXT)] if self._all else []))

    def of(self, batches: Iterator[Applied]) -> Iterator[Block]:
        """The commands of the batches."""
        return self.blocks(batch.value[batch.begin : batch.end] for batch in batches)

    def block(self, data: bytes) -> Block:
        """The columns of some commands."""
        rows = self._rows(data)
        malformed = {at: _unreadable(data, at) for at in self._suspects(rows)}
        columns = _Columns(self.fields, rows)
        wrong = self._numpy.zeros(len(rows), bool)
        for at, found in malformed.items():
            if found is not None:
                wrong[at] = True
                columns.put(at, {"kind": MALFORMED, "malformed": found})
        for kind in set(self._numpy.unique(rows[:, 0]).tolist()) & self._kinds.keys():
            columns.fill(self._kinds[kind], self._numpy.flatnonzero((rows[:, 0] == kind) & ~wrong))
        return columns.arrays(~wrong & self._numpy.isin(rows[:, 0], list(self._kinds)) | (wrong & self._all))

    def _suspects(self, rows: Any) -> list[int]:
        """The rows that may be malformed: of no kind, with a spare column in use, or of a kind that holds a text."""
        found = ~self._numpy.isin(rows[:, 0], list(COMMANDS))
        for kind, struct in COMMANDS.items():
            fields = layout(struct)
            of = rows[:, 0] == kind
            end = fields[-1].column + (fields[-1].text or 1)
            found |= of & (any(field.text for field in fields) or rows[:, end:].any(axis=1))
        return self._numpy.flatnonzero(found).tolist()  # type: ignore[no-any-return]


def _unreadable(data: bytes, number: int) -> str | None:
    """The columns of a command as a text with the reason why no Struct fits; None if one does."""
    at = number * ROW_SIZE
    (row,) = readable(data, at, at + ROW_SIZE)
    if isinstance(row, Malformed):
        return row_text(row).partition("columns=")[2]
    if row.KIND not in COMMANDS:
        columns = memoryview(data)[at : at + ROW_SIZE].cast("q").tolist()
        return f"{' '.join(map(str, columns))} (kind {row.KIND} is that of no command)"
    return None


class Events(Rows):
    """The table of events."""

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__(kinds_of(names, EVENTS))

    def of(self, batches: Iterator[Applied]) -> Iterator[Block]:
        """The events of the batches."""
        return self.blocks(batch.events for batch in batches)


class _Columns:
    """Columns that are filled a kind at a time; what is not filled is null."""

    def __init__(self, fields: Sequence[Field], rows: Any) -> None:
        self._numpy, self._arrow = library("numpy"), library("pyarrow")
        self._fields, self._rows = fields, rows
        count = len(rows)
        self._numbers = {field.name: self._numpy.zeros(count, "<i8") for field in fields if field.type == Type.INT}
        self._known = {name: self._numpy.zeros(count, bool) for name in self._numbers}
        self._texts: dict[str, list[str | None]] = {
            field.name: [None] * count for field in fields if field.type == Type.TEXT
        }
        for name, column in (("sequence", 1), ("time", TIME // 8)):
            self._numbers[name][:] = rows[:, column]
            self._known[name][:] = True

    def fill(self, struct: type[Row], index: Any) -> None:
        """Take the columns of one kind from the rows with these numbers."""
        for name, column, text in layout(struct):
            if text:
                self._fill_text(name, self._rows[index, column : column + text], index)
            elif name in self._numbers:
                self._numbers[name][index] = self._rows[index, column]
                self._known[name][index] = True
        self._fill_all("kind", struct.__name__, index)

    def _fill_text(self, name: str, columns: Any, index: Any) -> None:
        texts = self._texts[name]
        for at, row in zip(index.tolist(), columns, strict=True):
            texts[at] = row.tobytes().rstrip(b"\0").decode("ascii")

    def _fill_all(self, name: str, text: str, index: Any) -> None:
        texts = self._texts[name]
        for at in index.tolist():
            texts[at] = text

    def put(self, at: int, texts: Mapping[str, str]) -> None:
        """Set texts of one row, where there is such a column."""
        for name, text in texts.items():
            if name in self._texts:
                self._texts[name][at] = text

    def arrays(self, wanted: Any = None) -> Block:
        """All columns as Arrow arrays, or the rows that are wanted of them."""
        found = [self._array(field) for field in self._fields]
        return found if wanted is None else [column.filter(self._arrow.array(wanted)) for column in found]

    def _array(self, field: Field) -> Any:
        if field.type == Type.TEXT:
            return self._arrow.array(self._texts[field.name], self._arrow.string())
        if field.type == Type.TIME:
            return self._arrow.array(self._numbers["time"])
        return self._arrow.array(self._numbers[field.name], mask=~self._known[field.name])


def pieces(parts: Iterator[bytes], size: int) -> Iterator[bytes]:
    """The same bytes in pieces of this size, the last one shorter."""
    gathered = bytearray()
    for part in parts:
        gathered += part
        while len(gathered) >= size:
            yield bytes(gathered[:size])
            del gathered[:size]
    if gathered:
        yield bytes(gathered)
