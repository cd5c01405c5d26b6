"""The sequencer's clock against a wall clock that is set, slewed and stepped."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replicas.clock import TOLERANCE, Clock

SECOND = 10**9
START = 1_700_000_000 * SECOND


class Machine:
    """A boot clock that only goes on, and a wall clock that anyone may set."""

    def __init__(self):
        self.boot, self.wall = 77, START

    def pass_by(self, nanoseconds):
        self.boot += nanoseconds
        self.wall += nanoseconds

    def clock(self, **options):
        return Clock(lambda: self.wall, lambda: self.boot, **options)


@pytest.fixture
def machine():
    return Machine()


def test_it_is_the_wall_clock(machine):
    clock = machine.clock()
    machine.pass_by(3 * SECOND)
    assert clock.now() == START + 3 * SECOND
    assert clock.alarm is None


def test_a_small_step_is_followed_but_never_back(machine):
    clock = machine.clock()
    machine.wall += 4 * SECOND
    assert clock.now() == START + 4 * SECOND
    machine.wall -= 3 * SECOND
    assert clock.now() == START + 4 * SECOND
    machine.pass_by(5 * SECOND)
    assert clock.now() == START + 6 * SECOND
    assert clock.alarm is None


@pytest.mark.parametrize("step", [TOLERANCE + 1, -TOLERANCE - 1, 3_600 * SECOND, -3_600 * SECOND])
def test_a_clock_that_was_set_is_not_followed(machine, step):
    clock = machine.clock()
    machine.pass_by(SECOND)
    machine.wall += step
    assert clock.now() == START + SECOND
    assert f"moved by {step / SECOND:.1f} s" in clock.alarm
    machine.pass_by(SECOND)
    assert clock.now() == START + 2 * SECOND


def test_small_steps_add_up(machine):
    clock = machine.clock()
    for _ in range(3):
        machine.wall += 2 * SECOND
        clock.now()
    assert clock.alarm is not None
    assert clock.now() == START + 4 * SECOND


def test_the_alarm_stays_until_it_is_accepted(machine):
    clock = machine.clock()
    machine.wall += 60 * SECOND
    clock.now()
    machine.wall -= 60 * SECOND
    assert clock.now() == START
    assert clock.alarm is not None
    machine.wall += 60 * SECOND
    assert clock.accept() == START + 60 * SECOND
    assert clock.alarm is None
    machine.pass_by(SECOND)
    assert clock.now() == START + 61 * SECOND


def test_an_accepted_clock_that_was_set_back_is_waited_for(machine):
    clock = machine.clock()
    machine.wall -= 60 * SECOND
    clock.now()
    assert clock.accept() == START
    machine.pass_by(59 * SECOND)
    assert clock.now() == START
    machine.pass_by(2 * SECOND)
    assert clock.now() == START + SECOND
    assert clock.alarm is None


def test_a_machine_that_wakes_up_before_the_last_row_goes_on_from_there(machine):
    last = START + 3_600 * SECOND
    clock = machine.clock(since=last)
    assert "stands 3600.0 s before the last row" in clock.alarm
    machine.pass_by(SECOND)
    assert clock.now() == last + SECOND


def test_a_last_row_just_ahead_of_the_clock_is_no_alarm(machine):
    clock = machine.clock(since=START + TOLERANCE)
    assert clock.alarm is None
    assert clock.now() == START + TOLERANCE


def test_the_real_clocks_agree():
    clock = Clock()
    assert clock.now() <= clock.now()
    assert clock.alarm is None


ACTS = st.one_of(
    st.tuples(st.just("pass"), st.integers(0, 20 * SECOND)),
    st.tuples(st.just("set"), st.integers(-8 * SECOND, 8 * SECOND)),
    st.tuples(st.just("set"), st.integers(-(10**18), 10**18)),
    st.tuples(st.just("accept"), st.just(0)),
)


@given(st.lists(ACTS, max_size=60))
def test_never_back_and_never_far_from_the_boot_clock(acts):
    """Whatever is done to the wall clock; what is accepted is where the pace is counted from."""
    machine = Machine()
    clock, last = machine.clock(), 0
    earliest = latest = START - machine.boot
    for act, number in acts:
        if act == "pass":
            machine.pass_by(number)
        elif act == "set":
            machine.wall += number
        else:
            clock.accept()
            # After an accepted step back the time stands still, until the wall clock has come up to it.
            earliest, latest = machine.wall - machine.boot, max(machine.wall, last) - machine.boot
        now = clock.now()
        assert now >= last
        assert machine.boot + earliest - TOLERANCE <= now <= machine.boot + latest + TOLERANCE
        last = now
