"""What must not matter: how rows are cut into batches, where a snapshot was taken, and which way they came."""

from bisect import bisect_right
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.check import check
from core.kinds import ROW_SIZE, EventKind
from core.machine import Machine
from core.state import SEMANTICS
from journal.memory import MemoryJournal
from replicas.replay import recover, replay, start
from replicas.sequencer import Sequencer
from tests.conftest import seed
from tests.determinism.stream import START, stamped_rows, times, wire_rows

ROWS = 700
cuts = st.lists(st.integers(1, ROWS - 1), max_size=40).map(lambda cut: [0, *sorted(set(cut)), ROWS])


class Told(tuple):
    """Rows, all events, where those of each row end, the last state, and states on the way; its repr stays short."""

    __slots__ = ()

    def __repr__(self):
        return f"the stream of seed {seed()}"


@pytest.fixture(scope="module")
def stream():
    """Stamped rows and what they come to."""
    data = stamped_rows(seed(), ROWS)
    machine, ends, states = Machine(), [], []
    events = b""
    for at in range(0, len(data), ROW_SIZE):
        states.append(machine.rows() if at % (ROW_SIZE * 50) == 0 else b"")
        events += machine.apply(data, at, at + ROW_SIZE)
        ends.append(len(events))
    return Told((data, events, ends, machine.rows(), states))


def fresh():
    """A journal in memory and its sequencer."""
    journal = MemoryJournal.create(Machine().rows(), semantics=SEMANTICS)
    return journal, Sequencer(journal, start(journal))


@pytest.fixture(scope="module")
def journaled(stream):
    """The same rows as one sequencer journaled them in batches of many sizes, and what it answered."""
    journal, sequencer = fresh()
    wire = wire_rows(seed(), ROWS)
    answers, done, size = [], 0, 1
    while done < ROWS:
        answers.append(sequencer.submit(b"".join(wire[done : done + size]), START))
        done, size = done + size, size % 23 + 1
    return journal, sequencer, b"".join(answers)


@given(cut=cuts)
def test_any_cutting_into_batches(stream, cut):
    """Cut anywhere, the rows give the same events and state."""
    data, events, _, state, _ = stream
    machine = Machine()
    found = b"".join(machine.apply(data, begin * ROW_SIZE, end * ROW_SIZE) for begin, end in pairwise(cut))
    assert found == events
    assert machine.rows() == state


@given(cut=cuts)
def test_any_snapshots_on_the_way(stream, cut):
    """Dumped and restored anywhere, however often, the venue goes on to the same events and state, and stays sound."""
    data, events, _, state, _ = stream
    machine, found = Machine(), b""
    for begin, end in pairwise(cut):
        machine = Machine.restore(machine.rows())
        check(machine.engine)
        found += machine.apply(data, begin * ROW_SIZE, end * ROW_SIZE)
    assert found == events
    assert machine.rows() == state


def test_a_snapshot_after_every_fiftieth_row_and_the_tail(stream):
    """From each of the stored states the rest of the rows leads to the same end."""
    data, events, ends, state, states = stream
    for number, rows in enumerate(states):
        if rows:
            machine = Machine.restore(rows)
            assert machine.rows() == rows
            before = ends[number - 1] if number else 0
            assert machine.apply(data, number * ROW_SIZE, len(data)) == events[before:]
            assert machine.rows() == state


def test_through_a_sequencer(stream, journaled):
    """A stream that is journaled first gives the events and state of one applied directly."""
    data, events, _, state, _ = stream
    journal, sequencer, answered = journaled
    assert b"".join(value[152:] for value in journal.batches()) == data
    assert answered == events
    assert sequencer.machine.rows() == state


def test_replay_from_zero(stream, journaled):
    """A replay of the whole journal gives the same again, batch by batch."""
    _, events, _, state, _ = stream
    machine = start(journaled[0])
    applied = list(replay(journaled[0], machine))
    assert b"".join(one.events for one in applied) == events
    assert machine.rows() == state
    assert all(one.value[one.begin : one.end] == one.value[152:] for one in applied)


def test_replay_to_every_number(stream, journaled):
    """Stopped after any row, a replay has given exactly the events up to there; and goes on from there to the end."""
    _, events, ends, state, _ = stream
    machine, found = start(journaled[0]), b""
    for number in range(1, ROWS + 1):
        found += b"".join(one.events for one in replay(journaled[0], machine, to=number))
        assert machine.engine.sequence == number
        assert len(found) == ends[number - 1]
    assert found == events
    assert machine.rows() == state


def test_replay_until_every_time(stream, journaled):
    """Asked for a time, a replay gives the rows stamped no later, for times between rows too."""
    data, events, ends, state, _ = stream
    stamps = times(data)
    machine, found = start(journaled[0]), b""
    for moment in sorted({*stamps, *(at - 1 for at in stamps), *(at + 1 for at in stamps), 0}):
        found += b"".join(one.events for one in replay(journaled[0], machine, until=moment))
        assert machine.engine.sequence == bisect_right(stamps, moment)
        assert len(found) == (ends[machine.engine.sequence - 1] if machine.engine.sequence else 0)
    assert found == events
    assert machine.rows() == state


@pytest.mark.parametrize("number", [0, 1, 2, 45, 100, 333, 699, 700, 701])
def test_recover_to_a_number(stream, journaled, number):
    """Recovered up to a row at once, the venue stands as a machine that applied so many rows."""
    data = stream[0]
    machine = Machine()
    machine.apply(data, 0, min(number, ROWS) * ROW_SIZE)
    assert recover(journaled[0], upto=number).rows() == machine.rows()


@given(cut=cuts)
def test_the_batches_of_two_journals(stream, cut):
    """Two journals of one stream, cut in different ways, replay to the same state and events."""
    _, events, _, state, _ = stream
    wire = wire_rows(seed(), ROWS)
    journal, sequencer = fresh()
    found = b"".join(sequencer.submit(b"".join(wire[begin:end]), START) for begin, end in pairwise(cut))
    sequencer.close_batch()
    assert found == events
    assert recover(journal).rows() == state


def test_events_name_their_rows(stream):
    """Every event carries the number and time of the command that caused it, in order."""
    data, events, _, _, _ = stream
    stamps = times(data)
    last = 0
    for at in range(0, len(events), ROW_SIZE):
        kind, number, time = (int.from_bytes(events[at + c : at + c + 8], "little") for c in (0, 8, 16))
        assert kind in set(EventKind)
        assert last <= number <= ROWS
        assert time == stamps[number - 1]
        last = number
