"""The standby: it follows another node's journal with a journal and an engine of its own, and can become the writer.

Every batch is verified against the standby's own head, compared with its own events, and durable here before its rows are
applied. The last batch is held back: it is applied when the next one shows that no row of it was quarantined, for a
Quarantine row stands first in the very next batch. Nothing is told to anyone before `promote`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from core.machine import Machine
from core.state import SEMANTICS
from journal import snapshots
from journal.batch import HEADER_SIZE, BatchKind, Header, name_of, read_header
from journal.chain import Chain
from journal.directory import JournalDirectory, segment_firsts
from journal.errors import Diverged, Gap, JournalError, WrongSemantics
from journal.event_store import EventStore
from journal.journal import Head
from journal.state import ends_state
from replicas.attempts import ATTEMPTS, Attempts
from replicas.counterfactual import refuse_counterfactual
from replicas.errors import EventsDiffer, Stopped
from replicas.feed import Feed
from replicas.joining import adopt
from replicas.lead import Lead
from replicas.lease import LeaseState, refuse_stale
from replicas.opening import compare_closing, finish, mend_events, tail
from replicas.replay import apply, is_quarantine, quarantines, recover, start
from replicas.sequencer import Sequencer

BATCHES: Final = 256
"""Batches that one step takes at most, so that whoever drives it can do other things in between."""

_PROMOTED: Final = "it was promoted"


class Lag(NamedTuple):
    """Rows of the followed journal that are missing here."""

    appended: int
    """Not in the own journal yet."""
    applied: int
    """Not in the state yet; those of the last batch are held back on purpose."""


class Standby:
    """One node that follows. After anything raised it is dead: open it anew, and it goes on from its own journal."""

    def __init__(self, directory: Path, feed: Feed) -> None:
        """Open the directory's journal, or begin one at the present segment of the feed.

        WrongSemantics if the journal is of another release; Locked, Damaged, EventsDiffer, DiskError. The feed is closed
        with the standby, and stays open if this raises.
        """
        self._feed = feed
        self._dead: str | BaseException = ""
        self._state: list[bytes] = []
        if not segment_firsts(directory):
            adopt(directory, feed, semantics=SEMANTICS)
        self._attempts = Attempts(directory / ATTEMPTS)
        self.journal = JournalDirectory(directory, write=True)
        try:
            refuse_counterfactual(self.journal.flags, directory)
            self.machine, self._held = _machine(self.journal)
            self._chain = _chain(self.journal)
            self._events: EventStore = mend_events(self.journal, self.machine.engine.sequence)
        except BaseException:
            self.journal.close()
            raise
        self._snapshot = max((0, *snapshots.stored(self.journal.snapshots)))

    @contextmanager
    def _acting(self) -> Iterator[None]:
        """Whatever interrupts an act may leave journal, engine and chain out of step: the standby stops for ever."""
        if self._dead:
            raise Stopped(f"the standby stopped: {self._dead!r}")
        try:
            yield
        except BaseException as error:
            self._dead = error
            raise

    def step(self, most: int = BATCHES) -> int:
        """Take what the feed has, `most` batches and the rest of a segment's state; how many were taken.

        EventsDiffer names the row up to which this engine says something else; Diverged, Gap, CorruptBatch and
        WrongSemantics name the batch. A batch that is refused is not appended, and the standby stops for ever.
        """
        taken = 0
        with self._acting():
            for value in self._lacking():
                self._take(value)
                taken += 1
                if taken >= most and not self._state:
                    break
        return taken

    def _lacking(self) -> Iterator[bytes]:
        try:
            return self._feed.after(self.journal.head())
        except Gap:
            if self._is_ahead():
                return iter(())
            raise

    def _is_ahead(self) -> bool:
        """Whether our journal has the feed's end and goes on, with what an interrupted promotion alone seals behind it."""
        end = self._feed.head()
        if not self._contains(end):
            return False
        return all(read_header(value).epoch > end.epoch or is_quarantine(value) for value in self.journal.after(end))

    def _contains(self, head: Head) -> bool:
        try:
            self.journal.after(head)
        except (Gap, Diverged):
            return False
        return True

    def _take(self, value: bytes) -> None:
        header = self._chain.feed(value)
        if header.semantics != SEMANTICS:
            raise _wrong(name_of(header), header.semantics)
        if header.kind == BatchKind.STATE:
            self._take_state(header, value)
            return
        if not is_quarantine(value):
            self._apply_held()
        self._compare(header)
        self.journal.append(value)
        if header.kind == BatchKind.COMMANDS:
            self._held.append(value)

    def _compare(self, header: Header) -> None:
        if header.applied == self.machine.engine.sequence and header.digest != self.machine.digest.value():
            raise EventsDiffer(header.applied, name_of(header))

    def _take_state(self, header: Header, value: bytes) -> None:
        """A segment begins: with our own state, to the byte, or not at all."""
        self._state.append(value)
        if not ends_state(value):
            return
        if b"".join(part[HEADER_SIZE:] for part in self._state) != self.machine.rows():
            raise EventsDiffer(header.applied, f"the state of the segment that begins at {header.first}")
        for part in self._state:
            self.journal.append(part)
        self._state = []

    def _apply_held(self) -> None:
        values, self._held = self._held, []
        if not values:
            return
        named, first = quarantines(values[1:]), self.machine.engine.sequence + 1
        events = b"".join(apply(self.machine, value, HEADER_SIZE, len(value), named) for value in values)
        self._events.append(first, self.machine.engine.sequence, events)

    def lag(self) -> Lag:
        """How many rows the followed journal has that are not in ours, and how many that are not applied."""
        end = self._feed.head().sequence
        return Lag(max(0, end - self.journal.head().sequence), max(0, end - self.machine.engine.sequence))

    def snapshot_if_due(self, every: int) -> bool:
        """Write a snapshot if `every` rows were applied since the last one; whether it was written. OSError."""
        at = self.machine.engine.sequence
        if at - self._snapshot < every:
            return False
        with self._acting():
            header = self.journal.header_at(at)
            if header is None:
                return False
            snapshots.write(self.journal.snapshots, self.machine.rows(), header)
            snapshots.prune(self.journal.snapshots)
        self._snapshot = at
        return True

    def promote(
        self, lead_epoch: int, now: int, lead: Lead | None = None, before: LeaseState | None = None
    ) -> tuple[JournalDirectory, Sequencer]:
        """Become the writer: take the rest of the followed journal, finish it, and seal a Promote row under the epoch.

        The former writer must be dead, and the lead be ours: it is told signs of life meanwhile, asked before the row is
        sealed, and told the new head; without one here, tell it that head before anybody is answered. `before` is what the
        lease said when it was taken: Superseded, and nothing sealed, if the venue went on elsewhere than where we followed.
        `now` is in ns since 1970. What `step` raises; BadRows for an epoch that is not higher than that of the journal;
        Locked if the former writer lives; Deposed. After an error a standby that is opened anew can be promoted, under a
        higher epoch. This object is done with.
        """
        with self._acting():
            self._feed.settle()
        while self.step():
            _tell(lead, self.journal.head())
        with self._acting():
            end = self._feed.head()
            if not self._contains(end):
                raise Gap(f"head at {end.sequence}", "the feed ended before it")
            refuse_stale(before, self.journal)
            self._feed.close()
            sequencer = Sequencer(
                self.journal, self.machine, events=self._events, snapshots_folder=self.journal.snapshots
            )
            _tell(lead, self.journal.head())
            self._finish(sequencer)
            sequencer.roll_if_upgraded()
            if self.journal.semantics != SEMANTICS:
                raise _wrong("the next segment", self.journal.semantics)
            _tell(lead, self.journal.head())
            sequencer.promote(lead_epoch, now)
            _tell(lead, self.journal.head())
        self._dead = _PROMOTED
        return self.journal, sequencer

    def _finish(self, sequencer: Sequencer) -> None:
        """Apply what is held back; a row that raises, or killed two promotions, is quarantined now."""
        if not self._held:
            return
        first = self.machine.engine.sequence + 1
        events = finish(sequencer, self._held, self._attempts)
        self._events.append(first, sequencer.machine.engine.sequence, events)

    def close(self) -> None:
        """Give everything back but what `promote` returned; harmless when done twice."""
        self._feed.close()
        if self._dead != _PROMOTED:
            self._events.close()
            self.journal.close()


def _tell(lead: Lead | None, head: Head) -> None:
    if lead is not None:
        lead.tell(head)


def _wrong(where: str, semantics: int) -> JournalError:
    return WrongSemantics(where, f"semantics {semantics}; this release applies {SEMANTICS}")


def _machine(journal: JournalDirectory) -> tuple[Machine, list[bytes]]:
    """The venue up to the last batch, and that one, to be held back; up to the end, if what follows is known there."""
    if journal.semantics != SEMANTICS:
        raise _wrong("the last segment", journal.semantics)
    machine = start(journal, journal.snapshots)
    if machine.engine.sequence == journal.head().sequence:
        compare_closing(journal, machine)
        return machine, []
    if journal.closed():
        return recover(journal, journal.snapshots), []
    held = tail(journal)
    return recover(journal, journal.snapshots, upto=read_header(held[0]).first - 1), held


def _chain(journal: JournalDirectory) -> Chain:
    """The chain at the journal's end: fed with its last batches, so that the next one is held against them."""
    chain = Chain()
    values = list(journal.batches(max(1, journal.head().sequence))) or journal.current().state_batches()
    for value in values:
        chain.feed(value)
    return chain
