"""A journal that is written again otherwise: one writer, which seals what another one sealed, under the counterfactual mark."""

from pathlib import Path
from typing import NamedTuple

from core.machine import Machine
from core.messages import Quarantine
from core.rows import to_row
from core.state import SEMANTICS
from journal.batch import COUNTERFACTUAL
from journal.directory import JournalDirectory
from journal.event_store import EventStore
from replicas.sequencer import Sequencer
from tools.worlds.telling import Key, by_command

BATCH_ROWS = 1024
"""Rows after which a batch of the second world is sealed, once the batch of the first one has ended."""
_NO_TIME = 1
"""Rows that bring no time of their own are stamped one nanosecond after the row before."""


class Step(NamedTuple):
    """A command of either world: what it is called, its place in the first one, and its events there."""

    key: Key
    sequence: int
    events: bytes
    row: bytes
    """The row of the second world, not stamped yet; empty where it is missing there."""
    alone: bool
    """Whether it stands in one world only."""


class Told(NamedTuple):
    """A step with its events in the second world."""

    step: Step
    events: bytes


class Rewriter(Sequencer):
    """The writer of the second world. It takes every kind of row, for nodes wrote some of them."""

    def write(self, rows: bytes, quarantines: list[bytes]) -> bytes:
        """Make rows durable as one batch, and behind it the Quarantine rows that name some of them; returns the events.

        A row that brings no time is stamped 1 ns after the one before. A row that makes the engine raise is quarantined.
        """
        with self._acting():
            first = int(self.machine.engine.sequence) + 1
            values = [self._commit(rows, _NO_TIME), *(self._commit(row, _NO_TIME) for row in quarantines)]
            events = self.finish(values)
            if self.events is not None:
                self.events.append(first, int(self.machine.engine.sequence), events)
        return events


class SecondWorld:
    """The journal of the second world, and what waits to be sealed there."""

    def __init__(self, path: Path, state: bytes) -> None:
        """Begin a journal with state rows. Exists, NotAJournal, DiskError."""
        self.journal = JournalDirectory.create(path, state, semantics=SEMANTICS, flags=COUNTERFACTUAL)
        self._events = EventStore(self.journal.events, write=True)
        self.writer = Rewriter(self.journal, Machine.restore(state), events=self._events)
        self._waiting: list[Step] = []
        self._rows = 0
        self._quarantines: list[bytes] = []

    @property
    def machine(self) -> Machine:
        """The state of what has been sealed."""
        return self.writer.machine

    @property
    def waiting(self) -> int:
        """Rows that wait to be sealed."""
        return self._rows

    @property
    def poisoned(self) -> bool:
        """Whether a row that waits is quarantined: its batch then goes on to where the first world's ended, if it can."""
        return bool(self._quarantines)

    def add(self, step: Step) -> None:
        """A command more, to be sealed with the next flush."""
        self._waiting.append(step)
        self._rows += bool(step.row)

    def next(self) -> int:
        """The sequence number that the next row will have here."""
        return int(self.machine.engine.sequence) + self._rows + 1

    def quarantine(self, time: int, timer_time: int, timer_order: int) -> None:
        """Quarantine the row that was added last: the row that says so is sealed behind the batch that holds it."""
        row = Quarantine(time=time, named=self.next() - 1, timer_time=timer_time, timer_order=timer_order)
        self._quarantines.append(to_row(row))

    def flush(self) -> list[Told]:
        """Seal and apply what waits; the steps with their events in this world."""
        steps, self._waiting = self._waiting, []
        quarantines, self._quarantines = self._quarantines, []
        number, self._rows = int(self.machine.engine.sequence), 0
        rows = b"".join(step.row for step in steps)
        events = by_command(self.writer.write(rows, quarantines)) if rows else {}
        told = []
        for step in steps:
            number += bool(step.row)
            told.append(Told(step, events.get(number, b"") if step.row else b""))
        return told

    def roll(self) -> None:
        """End the segment, as the first world does here, unless nothing is left of it."""
        if self.journal.head().sequence >= self.journal.first:
            self.writer.roll()

    def close(self) -> None:
        """Seal a closing batch, and give everything back."""
        try:
            self.writer.close_batch()
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Give everything back as it is; harmless when repeated."""
        self._events.close()
        self.journal.close()
