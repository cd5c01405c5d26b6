"""Venues whose events are read as a log: random streams through several segments, with snapshots, and rows quarantined.

A quarantine is made as it stands in a journal, a batch and behind it the row that names one of its rows, so that the
engine need not raise: it honours the quarantine all the same, on both builds.

As a process, `python -m tests.market_logs PATH SEED` is a writer that takes a word at a time from its standard input.
"""

import random
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

from core.messages import Quarantine
from core.rows import to_row
from journal.batch import BatchKind, read_header
from journal.directory import JournalDirectory
from journal.event_store import EventStore, seal_events
from replicas.opening import create, resume
from replicas.replay import replay, start
from tests.determinism.stream import START, Stream


class Venue:
    """A journal with its writer and its event store, trading the stream of a seed."""

    def __init__(self, path, seed):
        """Begin a venue; the first batch sets it up."""
        self.path, self.seed = path, seed
        self.rng = random.Random(seed)
        self.directory, self.sequencer = create(path)
        self.stream = Stream(seed)
        self.sequencer.submit(b"".join(self.stream.setup()), START)

    def rows(self, count):
        return b"".join(self.stream.next() for _ in range(count))

    def trade(self, count):
        """So many rows of the stream in one batch."""
        self.sequencer.submit(self.rows(count), START)

    def quarantine(self, count, at):
        """A batch of the stream, one row of which is quarantined behind it, as a node does it that was stopped there."""
        sequencer = self.sequencer
        first = sequencer.machine.engine.sequence + 1
        value = sequencer._commit(self.rows(count), START)
        behind = sequencer._commit(to_row(Quarantine(named=first + at)), START)
        sequencer.events.append(first, first + count, sequencer.finish([value, behind]))

    def roll(self):
        if self.directory.head().sequence >= self.directory.first:
            self.sequencer.roll()

    def snapshot(self):
        self.sequencer.snapshot(self.directory)

    def act(self):
        """Something at random, trading for the most part."""
        kind = self.rng.random()
        if kind < 0.8:
            self.trade(self.rng.choice((1, 1, 2, 3, 7, 40)))
        elif kind < 0.9:
            size = self.rng.choice((1, 2, 9))
            self.quarantine(size, self.rng.randrange(size))
        elif kind < 0.94:
            self.snapshot()
        elif kind < 0.97:
            self.roll()
        else:
            self.sequencer.close_batch()

    def renew_events(self):
        """Delete the event store, and make it again from the journal, as a start of the node does."""
        self.close()
        EventStore.remove(self.directory.events)
        self.reopen()

    def reopen(self):
        self.directory, self.sequencer = resume(self.path)

    def close(self):
        self.sequencer.events.close()
        self.directory.close()


def lived(path, seed, acts=60):
    """The directory of a venue that has seen a bit of everything, and is closed; a quarantine stands at its very end."""
    venue = Venue(path, seed)
    for _ in range(acts):
        venue.act()
    venue.snapshot()
    venue.renew_events()
    for act in (lambda: venue.quarantine(5, 2), venue.roll, lambda: venue.trade(9), venue.snapshot):
        venue.trade(4)
        act()
    venue.trade(2)
    venue.quarantine(3, 0)
    venue.close()
    return path


def told(path):
    """What the log has to tell, by a replay of every row: last sequence number and sealed events of each batch."""
    journal = JournalDirectory(path)
    try:
        first = journal.segments()[0]
        machine = start(journal, upto=first - 1)
        return [(a.header.last, seal_events(a.header.first, a.header.last, a.events)) for a in replay(journal, machine)]
    finally:
        journal.close()


def ends(path):
    """Last sequence numbers of the journal's batches of commands."""
    journal = JournalDirectory(path)
    try:
        headers = [read_header(value) for value in journal.batches()]
        return [header.last for header in headers if header.kind == BatchKind.COMMANDS]
    finally:
        journal.close()


# ---- as a process


class Writer:
    """A process that writes a venue, and says when each word is done."""

    def __init__(self, process):
        self._process = process
        assert process.stdout.readline() == "ready\n"

    def do(self, *words):
        for word in words:
            self._process.stdin.write(f"{word}\n")
            self._process.stdin.flush()
            assert self._process.stdout.readline() == "done\n", word


@contextmanager
def writing(path, seed):
    """A writer of another process, for this one may not open a store twice; it stops cleanly in the end."""
    command = [sys.executable, "-m", "tests.market_logs", str(path), str(seed)]
    cwd = Path(__file__).resolve().parent.parent
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=cwd) as process:
        try:
            yield Writer(process)
        finally:
            process.stdin.close()


def main(path, seed):
    """Do what standard input says, word by word."""
    venue = Venue(Path(path), int(seed))
    words = {
        "trade": lambda: venue.trade(5),
        "quarantine": lambda: venue.quarantine(4, 1),
        "roll": venue.roll,
        "renew": venue.renew_events,
        "close": venue.close,
        "open": venue.reopen,
    }
    print("ready", flush=True)
    for line in sys.stdin:
        words[line.strip()]()
        print("done", flush=True)
    venue.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
