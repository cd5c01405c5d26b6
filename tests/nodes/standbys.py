"""A primary in memory, standbys that follow it, and what must be true of them; for the tests beside."""

import random
from contextlib import contextmanager

from core.machine import Machine
from core.state import SEMANTICS
from journal.batch import read_header
from journal.journal import Head
from journal.memory import MemoryJournal
from replicas.feed import MemoryFeed
from replicas.replay import start
from replicas.sequencer import Sequencer
from replicas.standby import Standby
from tests.determinism.stream import START, wire_rows
from tests.replicas.venue import NOW, define, opened

LATER = NOW + 10**15


@contextmanager
def following(path, journal):
    """A standby, closed in the end."""
    standby = Standby(path, MemoryFeed(journal))
    try:
        yield standby
    finally:
        standby.close()


@contextmanager
def promoted(path, journal, epoch=2):
    """What a standby at this path becomes."""
    standby = Standby(path, MemoryFeed(journal))
    try:
        directory, sequencer = standby.promote(epoch, LATER)
    except BaseException:
        standby.close()
        raise
    try:
        yield directory, sequencer
    finally:
        sequencer.events.close()
        directory.close()


def begin(directory):
    """Where a directory's journal begins: the head of the state of its first segment."""
    header = read_header(directory.segment(directory.segments()[0]).state_batches()[-1])
    return Head(header.epoch, header.last, header.hash)


def is_prefix(directory, journal):
    """The directory holds what follows its beginning in the journal, byte for byte, and nothing else; how many batches."""
    ours, theirs = list(directory.after(begin(directory))), list(journal.after(begin(directory)))
    assert theirs[: len(ours)] == ours
    return len(ours)


def primary(number, count=150):
    """A primary with a random stream behind it, in batches of random sizes, with rolls and closing batches."""
    rng, journal = random.Random(number), MemoryJournal.create(Machine().rows(), semantics=SEMANTICS)
    sequencer = Sequencer(journal, start(journal))
    wire, events = wire_rows(number, count), b""
    while wire:
        size = rng.choice((1, 2, 5, 20))
        events += sequencer.submit(b"".join(wire[:size]), START)
        wire = wire[size:]
        if rng.random() < 0.1:
            rng.choice((sequencer.roll, sequencer.close_batch))()
    return journal, sequencer, events


class Followed:
    """A journal that shows its first batches alone, as many as it is told."""

    def __init__(self, journal):
        self.journal, self.shown = MemoryJournal(journal._values[:1]), journal._values[1:]

    def show(self, count=1):
        for value in self.shown[:count]:
            self.journal.append(value)
        self.shown = self.shown[count:]


def stored_events(store):
    return b"".join(events.rows for events in store.read())


def filled(batches=5):
    journal, sequencer = opened()
    for n in range(batches):
        sequencer.submit(define(2 * n + 1) + define(2 * n + 2), NOW)
    return journal, sequencer
