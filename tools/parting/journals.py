"""Where two journals part: the last batch that both hold, found by its hash, then everything behind it side by side.

Equal hashes of two batches mean equal bytes up to there, for the hash of a batch covers all before it. So the place is
found by halving, and what lies before it is not read. Behind it, memory is bounded by a batch of each journal.
"""

from collections import deque
from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any, Final, NamedTuple

from core.kinds import ROW_SIZE
from core.limits import SUM_MAX
from journal.batch import HEADER_SIZE, BatchKind, Header
from journal.chain import Chain
from journal.check import check
from journal.directory import JournalDirectory
from journal.journal import Head
from journal.order import head_of
from tools.parting.columns import Column, differing, named

_FIELDS: Final = ("semantics", "flags", "epoch")
"""What the headers of two batches must agree on wherever they hold the same row."""

_STAMPED: Final = (*_FIELDS, "base_time")
"""The same for closing and state batches, which have no row to carry the time."""

Watch = Callable[[int], None]
"""Told the row that a comparison has come to."""


class Difference(NamedTuple):
    """Something in which two journals differ, first at a row; `columns` where rows differ."""

    what: str
    sequence: int
    text: str
    columns: list[Column]
    rows: tuple[bytes, bytes] | None = None

    def json(self) -> dict[str, Any]:
        """As an object."""
        told: dict[str, Any] = {"what": self.what, "sequence": self.sequence, "text": self.text}
        if self.rows is not None:
            told |= {"a": named(self.rows[0]), "b": named(self.rows[1])}
        return told | {"columns": [column.json() for column in self.columns]}


class Comparison(NamedTuple):
    """What a comparison found, in the order of rows."""

    rows: int
    """Up to this row the commands are the same; 0 for none."""
    hashed: int
    """Up to this row they are so by the hash of a batch that both hold, without having been read; 0 for none."""
    ends: tuple[int, int]
    differences: list[Difference]
    cut: int | None
    """The first row at which the batches of the one are cut otherwise; None if all are cut alike."""


def compare(
    a: JournalDirectory, b: JournalDirectory, *, upto: int = SUM_MAX, whole: bool = False, watch: Watch | None = None
) -> Comparison:
    """Compare two journals up to the first command that differs, the end of one, or row `upto`. JournalError.

    What stands before the last batch that both hold is read only if the whole is asked for.
    """
    head = None if whole else common_head(a, b, upto)
    return _Walk(a, b, head, upto, watch or _ignore).run()


def _ignore(_: int) -> None:
    pass


def common_head(a: JournalDirectory, b: JournalDirectory, upto: int = SUM_MAX) -> Head | None:
    """The last batch of commands not behind row `upto` that both journals hold, by halving; None if there is none.

    Each batch that is looked at is checked. JournalError.
    """
    low = max(a.segments()[0], b.segments()[0]) - 1
    high = min(a.head().sequence, b.head().sequence, upto)
    found = None
    while low < high:
        header = check(next(a.batches((low + high + 1) // 2)))
        other = b.header_at(header.last)
        if other is not None and other.hash == header.hash:
            found, low = head_of(header), header.last
        else:
            high = header.first - 1
    return found


class _Reader:
    """The batches of a journal in order, each verified; within one, the rows that were not compared yet."""

    def __init__(self, values: Iterator[bytes], chained: Chain) -> None:
        self._values = values
        self._chain = chained
        self.header: Header | None = None
        self.read = 0
        """The last row of the batches that were read."""
        self.value = b""
        self.at = HEADER_SIZE
        self.bounds: deque[tuple[int, int, int]] = deque()
        self.points: deque[tuple[int, bytes]] = deque()
        self.advance()

    def advance(self) -> None:
        """Go to the next batch; `header` is None behind the last one."""
        value = next(self._values, None)
        self.value, self.at = value or b"", HEADER_SIZE
        self.header = None if value is None else self._chain.feed(value)
        if self.header is not None:
            self.bounds.append((self.header.kind, self.header.first, self.header.rows))
            self.points.append((self.header.applied, self.header.digest))
        if self.header is not None and self.kind == BatchKind.COMMANDS:
            self.read = self.header.last

    @property
    def kind(self) -> int:
        """The kind of the batch; 0 behind the last one."""
        return 0 if self.header is None else self.header.kind

    def sequence(self) -> int:
        """The number of the row that is next."""
        assert self.header is not None
        return self.header.first + (self.at - HEADER_SIZE) // ROW_SIZE

    def skip(self, size: int) -> None:
        """Go so many bytes on in a batch of commands."""
        self.at += size
        if self.at >= len(self.value):
            self.advance()


def _reader(journal: JournalDirectory, head: Head | None, begin: int, *, state: bool) -> _Reader:
    """A reader behind a head, or else at a row, with the state before it if that is to be compared."""
    if head is not None:
        return _Reader(journal.after(head), Chain(head))
    before = journal.segment(begin).state_batches() if state else []
    reader = _Reader(chain(before, journal.batches(begin)), Chain())
    if reader.header is not None and reader.kind == BatchKind.COMMANDS:
        reader.skip((begin - reader.header.first) * ROW_SIZE)
    return reader


class _Walk:
    """Two readers that stand at the same row."""

    def __init__(self, a: JournalDirectory, b: JournalDirectory, head: Head | None, upto: int, watch: Watch) -> None:
        self._upto, self._watch = upto, watch
        self._ends = a.head().sequence, b.head().sequence
        self._differences: list[Difference] = []
        self._told: set[str] = set()
        self._cut: int | None = None
        self._hashed = self._rows = 0 if head is None else head.sequence
        firsts = a.segments()[0], b.segments()[0]
        if firsts[0] != firsts[1]:
            self._tell("begin", max(firsts), f"A begins at row {firsts[0]}, B at row {firsts[1]}")
        self._a, self._b = (_reader(one, head, max(firsts), state=firsts[0] == firsts[1]) for one in (a, b))

    def run(self) -> Comparison:
        while self._step():
            self._compare_cuts()
            self._compare_digests()
        # A writer may have gone on since the ends were looked up.
        self._ends = max(self._ends[0], self._a.read), max(self._ends[1], self._b.read)
        self._compare_cuts(ended=True)
        self._compare_digests()
        self._compare_ends()
        order = sorted(self._differences, key=lambda one: one.sequence)
        return Comparison(self._rows, self._hashed, self._ends, order, self._cut)

    def _step(self) -> bool:
        """Compare what both stand at and go on; False at the first command that differs, and at the end."""
        a, b = self._a, self._b
        if a.kind == 0 or b.kind == 0:
            return self._drain()
        for kind, compared in ((BatchKind.CLOSING, self._compare_closing), (BatchKind.STATE, self._compare_state)):
            if kind in {a.kind, b.kind}:
                if a.kind == b.kind:
                    compared()
                for reader in [reader for reader in (a, b) if reader.kind == kind]:
                    reader.advance()
                return True
        return self._compare_rows()

    def _drain(self) -> bool:
        """One journal has ended: closing and state batches of the other say nothing that differs."""
        rest = self._a if self._b.kind == 0 else self._b
        if rest.kind in {BatchKind.CLOSING, BatchKind.STATE}:
            rest.advance()
            return True
        return False

    def _compare_closing(self) -> None:
        self._compare_headers(_STAMPED)

    def _compare_state(self) -> None:
        self._compare_headers(_STAMPED)
        one, other = self._a.value, self._b.value
        at = first_difference(one, other, HEADER_SIZE, HEADER_SIZE, min(len(one), len(other)) - HEADER_SIZE)
        if at is not None or len(one) != len(other):
            sequence = self._a.sequence()
            rows = None if at is None else (_row(one, HEADER_SIZE + at), _row(other, HEADER_SIZE + at))
            self._tell("state", sequence - 1, f"the state before row {sequence} differs", rows)

    def _compare_rows(self) -> bool:
        a, b = self._a, self._b
        sequence = a.sequence()
        if sequence > self._upto:
            return False
        self._compare_headers(_FIELDS)
        size = min(len(a.value) - a.at, len(b.value) - b.at, (self._upto - sequence + 1) * ROW_SIZE)
        at = first_difference(a.value, b.value, a.at, b.at, size)
        if at is not None:
            self._rows = sequence + at // ROW_SIZE - 1
            rows = _row(a.value, a.at + at), _row(b.value, b.at + at)
            self._tell("row", self._rows + 1, f"row {self._rows + 1} differs", rows)
            return False
        self._rows = sequence + size // ROW_SIZE - 1
        self._watch(self._rows)
        a.skip(size)
        b.skip(size)
        return True

    def _compare_headers(self, names: tuple[str, ...]) -> None:
        for name in names:
            one, other = getattr(self._a.header, name), getattr(self._b.header, name)
            if one != other:
                self._tell(name, self._a.sequence(), f"{name} from row {self._a.sequence()} on: A {one}, B {other}")

    def _compare_cuts(self, *, ended: bool = False) -> None:
        """Whether the batches, in their order, hold the same rows; told once, and no difference of the rows."""
        a, b = self._a.bounds, self._b.bounds
        while self._cut is None and a and b:
            one, other = a.popleft(), b.popleft()
            if one != other:
                self._cut = min(one[1], other[1])
        if self._cut is not None:
            a.clear()
            b.clear()
        elif ended and self._rows >= self._ends[0] == self._ends[1] and (a or b):
            self._cut = (a or b)[0][1]

    def _compare_digests(self) -> None:
        a, b = self._a.points, self._b.points
        while a and b:
            if a[0][0] == b[0][0] and a[0][1] != b[0][1]:
                self._tell("digest", a[0][0], f"the events up to row {a[0][0]} differ: `lockstep bisect` finds where")
            (a if a[0][0] <= b[0][0] else b).popleft()

    def _compare_ends(self) -> None:
        if self._ends[0] != self._ends[1] and self._rows >= min(self._ends):
            short, long = ("A", "B") if self._ends[0] < self._ends[1] else ("B", "A")
            text = f"{short} ends at row {min(self._ends)}, {long} goes on to row {max(self._ends)}"
            self._tell("length", min(self._ends) + 1, text)

    def _tell(self, what: str, sequence: int, text: str, rows: tuple[bytes, bytes] | None = None) -> None:
        """Keep a difference, unless one of its kind was found before."""
        if what not in self._told:
            self._told.add(what)
            columns = [] if rows is None else differing(*rows)
            self._differences.append(Difference(what, sequence, text, columns, rows))


def _row(value: bytes, at: int) -> bytes:
    return value[at : at + ROW_SIZE]


def first_difference(a: bytes, b: bytes, a_at: int, b_at: int, size: int) -> int | None:
    """Where the first row begins that differs, in bytes from both offsets; None if so many bytes are the same."""
    if a[a_at : a_at + size] == b[b_at : b_at + size]:
        return None
    return next(at for at in range(0, size, ROW_SIZE) if _row(a, a_at + at) != _row(b, b_at + at))
