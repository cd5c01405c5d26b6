"""Writing a source into a new journal: built beside its place under another name, and moved there when it is whole."""

import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Final, NamedTuple

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from core.kinds import COLUMNS, REMOVED, ROW_SIZE, TIME, EventKind
from core.machine import Machine
from core.reasons import RejectReason
from core.state import SEMANTICS
from journal.directory import JournalDirectory
from journal.errors import Exists
from journal.event_store import EventStore
from journal.files import make_directory, move_durably
from replicas.errors import BadRows
from replicas.sequencer import Sequencer
from tools.event_rows import command_rows, event_rows
from tools.failures import Failure
from tools.importing.source import Source
from tools.importing.venue import FLOW, SEED, opening, row

BATCH_ROWS: Final = 1024

Listener = Callable[[int, bytes, bytes], None]
"""Told the first sequence number of a batch of the flow, its wire rows, and the events they caused."""


class Summary(NamedTuple):
    """What became of a source."""

    symbol: str
    commands: int
    executions: int
    rejections: dict[str, int]
    digest: str
    left_out: dict[str, int]

    def __str__(self) -> str:
        rejected = _counts(self.rejections)
        line = f"{self.symbol}: {self.commands} commands, {self.executions} executions, {rejected or 'no'} rejections"
        left_out = _counts(self.left_out)
        return f"{line}, digest {self.digest}{f'; left out: {left_out}' if left_out else ''}"


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))


class Tally:
    """Counts what the events of an import say."""

    def __init__(self) -> None:
        self.executions = 0
        self.rejections: Counter[str] = Counter()

    def feed(self, events: bytes) -> None:
        """Count the events of one batch."""
        for event in event_rows(events):
            if event.kind == EventKind.EXECUTED:
                self.executions += 1 if event.flags & REMOVED else 0
            elif event.kind == EventKind.REJECTED:
                self.rejections[RejectReason(event.detail).name] += 1


def write_journal(source: Source, target: Path, listener: Listener | None = None) -> Summary:
    """Make a journal of a source. Exists if something stands there; nothing stands there after an error."""
    refuse_existing(target)
    building = target.absolute().with_name(f".{target.absolute().name}.importing-{os.getpid()}")
    try:
        make_directory(building.parent)
        summary = _build(source, building, listener)
        refuse_existing(target)
        move_durably(building, target.absolute())
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return summary


def refuse_existing(target: Path) -> None:
    """Exists unless the place of a new journal is free or an empty directory."""
    if target.is_dir() and any(target.iterdir()):
        raise Exists(f"{target}: not empty: an import makes a journal of its own")
    if target.exists() and not target.is_dir():
        raise Exists(f"{target}: a file stands there")


def _build(source: Source, path: Path, listener: Listener | None) -> Summary:
    machine, tally = Machine(), Tally()
    journal = JournalDirectory.create(path, machine.rows(), semantics=SEMANTICS)
    store = EventStore(journal.events, write=True)
    try:
        sequencer = Sequencer(journal, machine, events=store)
        _set_up(sequencer, source)
        with _progress(len(source.seed) + len(source.steps)) as advance:
            for session, rows in _batches(source):
                first = journal.head().sequence + 1
                events = _submit(sequencer, rows, session)
                tally.feed(events)
                if listener is not None and session == FLOW:
                    listener(first, rows, events)
                advance(len(rows) // ROW_SIZE)
        sequencer.close_batch()
        digest = sequencer.machine.digest.value().hex()
    finally:
        store.close()
        journal.close()
    counts = (len(source.steps), tally.executions, dict(tally.rejections))
    return Summary(source.symbol, *counts, digest, source.left_out)


def _set_up(sequencer: Sequencer, source: Source) -> None:
    tally = Tally()
    # Without a time of their own these rows are stamped 1, 2, 3, ... ns: before everything that the source brings.
    tally.feed(sequencer.submit(opening(source), 1))
    if tally.rejections:
        raise Failure(f"the venue cannot be set up for {source.symbol}: {_counts(tally.rejections)}")


def _submit(sequencer: Sequencer, rows: bytes, session: int) -> bytes:
    """The events of rows. Failure, with the number of the latest command from 1, for a time that no row may bring."""
    try:
        return sequencer.submit(rows, 1)
    except BadRows as error:
        times = memoryview(rows).cast("q")[TIME // 8 :: COLUMNS].tolist()
        at = times.index(max(times))
        inbound = [*command_rows(rows, 0, len(rows))][at].inbound
        part = "flow" if session == FLOW else "seed"
        raise Failure(f"line {inbound} of the {part}: {error}") from None


def _batches(source: Source) -> Iterator[tuple[int, bytes]]:
    for session, steps in ((SEED, source.seed), (FLOW, source.steps)):
        rows = (row(step, session, inbound) for inbound, step in enumerate(steps, start=1))
        while batch := b"".join(islice(rows, BATCH_ROWS)):
            yield session, batch


@contextmanager
def _progress(total: int) -> Iterator[Callable[[int], None]]:
    console = Console(stderr=True)
    columns = (TextColumn("importing"), BarColumn(), TaskProgressColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("importing", total=total)
        yield lambda rows: progress.advance(task, rows)
