"""Which rows of a journal are exported, how they are applied, and what the export says of where it comes from."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, NamedTuple

import typer

from core.kinds import COLUMNS, ROW_SIZE, SEQUENCE, TIME
from core.machine import Machine
from core.state import SEMANTICS
from journal.batch import COUNTERFACTUAL, HEADER_SIZE, VERSION, BatchKind, read_header
from journal.chain import Chain
from journal.directory import JournalDirectory
from journal.errors import JournalError, WrongSemantics
from replicas.replay import Applied
from tools.event_rows import EventRow, event_rows
from tools.failures import Misuse
from tools.moments import TIME_HELP, last_row_by, moment, nanoseconds
from tools.reading import applied, begin, machine_at

First = Annotated[
    int | None, typer.Option("--from", metavar="SEQ", help="The first row; the first of the journal if absent.")
]
Since = Annotated[
    str | None, typer.Option("--since", metavar="T", help=f"The first row stamped then or later: {TIME_HELP}")
]
Last = Annotated[
    int | None, typer.Option("--upto", metavar="SEQ", help="The last row; the last of the journal if absent.")
]
Until = Annotated[
    str | None, typer.Option("--until", metavar="T", help=f"The last row stamped then or earlier: {TIME_HELP}")
]


class Asked(NamedTuple):
    """The options that name a range of rows, as they were typed."""

    first: int | None = None
    since: str | None = None
    last: int | None = None
    until: str | None = None


class Range(NamedTuple):
    """Rows of a journal, both included; empty where `last` is `first - 1`."""

    first: int
    last: int


def range_of(journal: JournalDirectory, asked: Asked) -> Range:
    """The rows that are meant. Misuse for rows that the journal does not hold, and for a range that ends before it begins."""
    last = moment(journal, asked.last, asked.until, ("--upto", "--until"))
    first = _first(journal, asked)
    if first > last + 1 or (first > last and asked.since is None and asked.first is not None):
        raise Misuse(f"the range begins at row {first}, behind its end, row {last}")
    return Range(first, last)


def _first(journal: JournalDirectory, asked: Asked) -> int:
    low, high = journal.segments()[0], journal.head().sequence
    if asked.first is not None and asked.since is not None:
        raise Misuse("--from and --since exclude each other")
    if asked.since is not None:
        moment(journal, None, asked.since, ("--from", "--since"))
        return last_row_by(journal, nanoseconds(asked.since) - 1, low - 1, high) + 1
    if asked.first is not None and not low <= asked.first <= high:
        raise Misuse(f"--from {asked.first}: this journal holds the rows {low} to {high}")
    return asked.first or low


class Source:
    """The rows of a range, with the venue before the first of them; a table takes what it needs of them."""

    def __init__(self, journal: JournalDirectory, asked: Asked) -> None:
        """Look up the range; nothing is applied yet. Misuse, JournalError."""
        self._journal = journal
        self.range = range_of(journal, asked)
        self.whole = asked == Asked()
        """Whether no range was asked for."""
        self._from_oldest = asked.first is None and asked.since is None
        self._machine: Machine | None = None
        self._batch = ""
        self._semantics: set[int] = set()

    def begin_at(self, first: int) -> None:
        """Begin at a later row; before the state is asked for."""
        self.range = self.range._replace(first=first)
        self._from_oldest = False

    def first_after(self, time: int) -> int:
        """The first row stamped later than this, or the row behind the last."""
        return last_row_by(self._journal, time, self.range.first - 1, self.range.last) + 1

    def state(self) -> bytes:
        """The state rows of the venue before the first row. Failure, JournalError.

        Where no beginning was asked for, the range begins from here on with what this release can replay.
        """
        if self._machine is None:
            self._machine = self._oldest() if self._from_oldest else machine_at(self._journal, self.range.first - 1)
            self.range = self.range._replace(first=self._machine.engine.sequence + 1)
        return self._machine.rows()

    def _oldest(self) -> Machine:
        """The first segment that this release can replay: the segment behind the last row, of whatever version, is not needed."""
        upto = max(self.range.first - 1, self.range.last - 1)
        return begin(self._journal, upto, from_zero=True).machine

    def applied(self) -> Iterator[Applied]:
        """The rows with the events they cause, batch by batch, verified. Failure, JournalError."""
        self.state()
        assert self._machine is not None
        yield from self._watched(self._applied(self._machine))

    def _applied(self, machine: Machine) -> Iterator[Applied]:
        try:
            yield from applied(self._journal, machine, self.range.last)
        except WrongSemantics:
            # Behind the last row of a segment stands its closing batch, which has been compared, and then, it may be, a
            # segment of another version.
            if machine.engine.sequence < self.range.last:
                raise

    def stored(self) -> Iterator[Applied]:
        """The rows as they stand in the journal, of any version, without events; their chain is verified."""
        yield from self._watched(self._stored())

    def _stored(self) -> Iterator[Applied]:
        chain, reached = Chain(), self.range.first - 1
        for value in self._journal.batches(self.range.first):
            header = chain.feed(value)
            if header.kind != BatchKind.COMMANDS or header.last < self.range.first:
                continue
            if header.first > self.range.last:
                break
            low, high = max(self.range.first, header.first), min(self.range.last, header.last)
            start = HEADER_SIZE + (low - header.first) * ROW_SIZE
            yield Applied(header, value, start, start + (high - low + 1) * ROW_SIZE, b"")
            reached = high
        if reached < self.range.last:
            raise JournalError(f"{self._journal.path}: ends at row {reached}, before row {self.range.last}")

    def _watched(self, batches: Iterator[Applied]) -> Iterator[Applied]:
        """The batches, with a bar on a terminal; remembers what the facts tell of them."""
        with progress(self.range.last - self.range.first + 1) as advance:
            for batch in batches:
                self._batch = f"{batch.header.last}:{batch.header.hash.hex()}"
                self._semantics.add(batch.header.semantics)
                yield batch
                advance((batch.end - batch.begin) // ROW_SIZE)

    def facts(self) -> dict[str, str]:
        """What the rows were, and what every replica must agree on after the last of them; texts, by name."""
        facts = {
            "journal": self._journal.path.absolute().name,
            "journal_format": str(VERSION),
            "semantics": ",".join(map(str, sorted(self._semantics or {SEMANTICS}))),
            "first": str(self.range.first),
            "last": str(self.range.last),
            "batch": self._batch,
        }
        if self._machine is not None:
            facts["event_digest"] = self._machine.digest.value().hex()
            facts["state_digest"] = self._machine.state_digest().hex()
        if self._journal.flags & COUNTERFACTUAL:
            facts["counterfactual"] = "yes"
        return facts


@contextmanager
def progress(total: int) -> Iterator[Callable[[int], None]]:
    """A bar on stderr, if that is a terminal; call what it gives with the rows that are done."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("rows"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("rows", total=total)
        yield lambda rows: bar.advance(task, rows)


class Step(NamedTuple):
    """One row, and the events it caused."""

    sequence: int
    time: int
    events: list[EventRow]
    at: int
    """Where the first of them stands among the events of the batch, in rows."""


def steps(batch: Applied) -> Iterator[Step]:
    """The rows of a batch in order, those without events too."""
    columns = memoryview(batch.value)[batch.begin : batch.end].cast("q")
    times = columns[TIME // 8 :: COLUMNS].tolist()
    sequences = columns[SEQUENCE // 8 :: COLUMNS].tolist()
    told = event_rows(batch.events)
    event, at = next(told, None), 0
    for sequence, time in zip(sequences, times, strict=True):
        events: list[EventRow] = []
        while event is not None and event.sequence == sequence:
            events.append(event)
            event = next(told, None)
        yield Step(sequence, time, events, at)
        at += len(events)


def command_at(batch: Applied, sequence: int) -> int:
    """Where the command with this number begins in the sealed batch."""
    return HEADER_SIZE + (sequence - batch.header.first) * ROW_SIZE


def stamped(journal: JournalDirectory, sequence: int) -> int:
    """The time of a row, in ns since 1970."""
    value = next(journal.batches(sequence))
    at = HEADER_SIZE + (sequence - read_header(value).first) * ROW_SIZE + TIME
    return int.from_bytes(value[at : at + 8], "little", signed=True)
