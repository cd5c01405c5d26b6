"""Engine and naive model agree on every event of random streams, however the rows are cut and wherever they resume."""

import random
from collections import Counter

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from core import messages as m
from core.kinds import EventKind
from core.machine import Machine
from core.reasons import CancelReason, RejectReason
from core.rows import rows
from tests.pair import Pair, seeds, stream
from tests.streams import Stream

OFTEN = 20
SELDOM = {
    RejectReason.LEVELS_FULL: "65,536 levels: tests/core/test_bounds.py",
    RejectReason.TOO_MANY_PENDING: "1,024 operations: tests/core/test_bounds.py",
    RejectReason.FOLLOWERS_FULL: "1,024 orders of a type, or 64 reduce-only ones: tests/core/test_bounds_full.py",
    CancelReason.NO_ROOM: "65,536 levels: tests/core/test_bounds_full.py",
    CancelReason.MATCH_LIMIT: "65,536 orders: tests/core/test_bounds.py",
}
"""What no random stream reaches, and which test does."""


def test_stream_of_random_commands_gets_the_same_events():
    """Engine and model write the same events for every command, and every kind of event and reason comes about."""
    kinds, reasons = Counter(), Counter()
    chosen = seeds(30)
    for seed in chosen:
        for _, _, events in stream(seed, 1_200).log:
            for event in rows(events):
                kinds[type(event).KIND] += 1
                if isinstance(event, m.Rejected | m.Canceled):
                    reason = RejectReason if isinstance(event, m.Rejected) else CancelReason
                    reasons[reason(event.reason)] += 1
    if len(chosen) > 1:
        assert {kind.name: kinds[kind] for kind in EventKind if kinds[kind] < OFTEN} == {}
        assert {r.name for r in [*RejectReason, *CancelReason] if not reasons[r] and r not in SELDOM} == set()


def replay(log, machine, cuts):
    """The events of the log's rows, applied in the batches that the cuts make; a quarantined row is a batch of its own."""
    events, batch = [], []
    for at, (row, quarantine, _) in enumerate(log):
        if batch and (at in cuts or quarantine):
            joined = b"".join(batch)
            events.append(machine.apply(joined, 0, len(joined)))
            batch = []
        if quarantine:
            events.append(machine.apply_quarantined(row, 0, quarantine, 0))
        else:
            batch.append(row)
    joined = b"".join(batch)
    return b"".join([*events, machine.apply(joined, 0, len(joined))])


def test_stream_in_other_batches_gives_the_same_bytes():
    """Events, state and digests do not depend on how rows are cut into batches."""
    pair = stream(seeds(1)[0], 800)
    told = b"".join(events for _, _, events in pair.log)
    for cut in (1, 7, 64, len(pair.log)):
        machine = Machine()
        rng = random.Random(cut)
        cuts = {at for at in range(len(pair.log)) if rng.random() < 1 / cut} if cut > 1 else set(range(len(pair.log)))
        assert replay(pair.log, machine, cuts) == told
        assert machine.digest.value() == pair.machine.digest.value()
        assert machine.rows() == pair.machine.rows()


def test_stream_resumed_at_every_cut_gives_the_same_bytes():
    """A snapshot taken after any row, with the rest of the rows, gives the events and the state of the whole."""
    pair = stream(seeds(1)[0] + 500, 260)
    full = Machine()
    for at, (row, quarantine, _) in enumerate(pair.log):
        resumed = Machine.restore(full.rows())
        tail = replay(pair.log[at:], resumed, set())
        assert tail == b"".join(events for _, _, events in pair.log[at:])
        assert resumed.rows() == pair.machine.rows()
        if quarantine:
            full.apply_quarantined(row, 0, quarantine, 0)
        else:
            full.apply(row, 0, len(row))


class Venue(RuleBasedStateMachine):
    """Any order of commands, quarantines, jumps in time and restarts; hypothesis finds a short one that differs."""

    @initialize()
    def begin(self):
        self.pair = Pair()
        self.stream = Stream(0, self.pair.model)
        for row in self.stream.setup():
            self.pair.apply(row)

    @rule(rng=st.randoms(use_true_random=False), count=st.integers(1, 8))
    def send(self, rng, count):
        self.stream.rng = rng
        for _ in range(count):
            self.pair.apply(self.stream.next())

    @rule(rng=st.randoms(use_true_random=False))
    def quarantine(self, rng):
        self.stream.rng = rng
        row = self.stream.next()
        self.pair.apply(row, self.stream.quarantine_of(row))

    @rule(jump=st.integers(1, 10_000))
    def wait(self, jump):
        self.stream.time += jump

    @rule()
    def restart(self):
        self.pair.reload()

    @invariant()
    def holds(self):
        if hasattr(self, "pair"):
            self.pair.check()


TestVenue = Venue.TestCase
