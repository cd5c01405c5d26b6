"""Journals to be exported and drawn, and what the naive market says of each of their rows."""

import random
from collections import defaultdict
from contextlib import contextmanager
from typing import NamedTuple

from core.kinds import ROW_SIZE, Side
from core.machine import Machine
from core.state import SEMANTICS
from journal.batch import HEADER_SIZE, BatchKind, read_header
from journal.directory import JournalDirectory
from replicas.opening import create
from replicas.replay import is_quarantine, quarantines
from tests.determinism.stream import Stream
from tests.golden.make import first_state, present, read_values
from tests.model import Model
from tests.tools.conftest import make


class Told(NamedTuple):
    """A command as it stands in the journal, what it caused, and the model after it."""

    sequence: int
    time: int
    row: bytes
    events: list
    model: Model


def random_journal(path, seed, count=300):
    """A random day in batches of random sizes, with three segments, a snapshot and a clean end."""
    rng, stream = random.Random(seed), Stream(seed)
    directory, sequencer = create(path)
    waiting = stream.setup() + [stream.next() for _ in range(count)]
    rolls = {count // 3, 2 * count // 3}
    done = 0
    while waiting:
        size = min(int(rng.paretovariate(0.9)), 60)
        batch, waiting = waiting[:size], waiting[size:]
        sequencer.submit(b"".join(batch), 1)
        if rolls & {*range(done, done + len(batch))}:
            sequencer.roll()
        if done < count // 2 <= done + len(batch):
            sequencer.snapshot(directory)
        done += len(batch)
    sequencer.close_batch()
    sequencer.events.close()
    directory.close()
    return path


def golden_journal(path):
    """Every kind of command and event, quarantines, a promotion, two segments, under the rules of this release."""
    values = read_values(present() / "journal.batches")
    state = first_state(values)
    directory = JournalDirectory.adopt(path, state)
    for value in values[len(state) :]:
        directory.append(value)
    directory.close()
    return path


def empty_journal(path):
    """A venue that has done nothing."""
    JournalDirectory.create(path, Machine().rows(), semantics=SEMANTICS).close()
    return path


MAKERS = {
    "small": lambda path, seed: make(path),
    "golden": lambda path, seed: golden_journal(path),
    "random": random_journal,
}


@contextmanager
def reading(path):
    directory = JournalDirectory(path)
    try:
        yield directory
    finally:
        directory.close()


def told(path):
    """Each row of a journal in order. The model goes on: look at it at once."""
    with reading(path) as directory:
        values = [value for value in directory.batches() if read_header(value).kind == BatchKind.COMMANDS]
    named = quarantines(value for value in values if is_quarantine(value))
    model = Model()
    for value in values:
        for at in range(HEADER_SIZE, len(value), ROW_SIZE):
            row = value[at : at + ROW_SIZE]
            sequence, time = (int.from_bytes(row[n : n + 8], "little") for n in (8, 16))
            quarantine = named.get(sequence)
            events = model.apply(row) if quarantine is None else model.apply_quarantined(row, quarantine)
            yield Told(sequence, time, row, events, model)


def levels(model, instrument, side):
    """Price, open quantity and number of orders of every level of the model's whole book, best first.

    Hidden orders stand in it, icebergs with all that they have open; orders that wait or are parked do not.
    """
    found = defaultdict(lambda: [0, 0])
    for order in model.orders:
        if (order.instrument, order.side) == (instrument, side) and model.stands(order):
            found[order.price][0] += order.leaves
            found[order.price][1] += 1
    return [(price, *found[price]) for price in sorted(found, reverse=side == Side.BUY)]
