"""Attempt marks: a row that kills the process is found out by the third start after it, and costs one instrument."""

import os

import pytest

from core import messages as m
from core.check import check
from core.engine import Engine
from core.kinds import OrderType as Type
from core.kinds import TimeInForce as Tif
from core.kinds import TradingState
from core.machine import Machine
from core.rows import rows
from journal.errors import DiskError
from journal.memory import MemoryJournal
from journal.verify import verify
from replicas.attempts import ATTEMPTS, Attempts
from replicas.feed import MemoryFeed
from replicas.opening import create, resume, take_over
from replicas.replay import recover, replay
from replicas.standby import Standby
from tests.crash.harness import fork, read_all
from tests.nodes.standbys import LATER
from tests.poison.samples import BUY, SELL, SETUP, Venue, of_kind, order
from tools.build import build

DIED = 77
"""How a process ends that was killed by a row."""

killing = pytest.mark.skipif(build() != "interpreted", reason="compiled classes cannot be patched")


# ---- the marks


@pytest.fixture
def path(tmp_path):
    return tmp_path / ATTEMPTS


def test_a_new_directory_has_no_marks(path):
    attempts = Attempts(path)
    assert not attempts.died_in(1, 10**9)
    assert attempts.blamed() is None
    attempts.done()
    assert not path.exists()


@pytest.mark.parametrize(
    ("deaths", "blamed"),
    [
        ([(5, 9)], None),  # some row of the range
        ([(5, 9), (7, 7)], 7),
        ([(7, 7)], None),  # once is not enough
        ([(7, 7), (7, 7)], 7),
        ([(5, 9), (7, 7), (8, 8)], None),  # another place
        ([(5, 9), (7, 7), (8, 9), (8, 8)], 8),
        ([(5, 9), (5, 9), (5, 9)], None),  # never narrowed
        ([(1, 4), (7, 7)], None),
    ],
)
def test_two_deaths_in_one_place(path, deaths, blamed):
    """A row is blamed if it was reached twice, alone at last, and the process came no further either time."""
    for first, last in deaths:
        Attempts(path).begin(first, last)
    assert Attempts(path).blamed() == blamed
    assert Attempts(path).died_in(1, 9)
    assert not Attempts(path).died_in(deaths[-1][0] + 1, 9)
    assert not Attempts(path).died_in(1, deaths[-1][1] - 1)


def test_what_was_done_is_forgotten(path):
    for _ in range(2):
        Attempts(path).begin(7, 7)
    attempts = Attempts(path)
    attempts.begin(7, 7)
    attempts.done()
    for again in (attempts, Attempts(path)):
        assert again.blamed() is None
        assert not again.died_in(1, 100)


def test_deaths_count_for_one_start_each(path):
    """A process that goes past a row has not died there, however often it marks it."""
    attempts = Attempts(path)
    for _ in range(3):
        attempts.begin(7, 7)
    assert Attempts(path).blamed() is None


@pytest.mark.parametrize("data", [b"", b" " * 64, b"7", b"7 7 x", b"\0" * 64, b"-1 2 3", b"1 2 3 4"])
def test_a_file_that_holds_no_mark_is_none(path, data):
    path.write_bytes(data)
    assert Attempts(path).blamed() is None
    assert not Attempts(path).died_in(0, 10**9)


def test_a_mark_that_cannot_be_written_is_an_error(tmp_path):
    with pytest.raises(DiskError):
        Attempts(tmp_path / "nowhere" / ATTEMPTS).begin(1, 2)
    with pytest.raises(DiskError):
        Attempts(tmp_path)


# ---- rows that kill


def kills(*sequences):
    """From now on running one of these rows ends the process at once."""
    run = Engine._run

    def killing(self, kind, row, at):
        if self.sequence in sequences:
            os._exit(DIED)
        run(self, kind, row, at)

    Engine._run = killing


def process(act):
    """Run the act in a process of its own; how that ended."""
    pid, reading = fork(lambda _: act())
    read_all(reading)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def started(folder, act=lambda _: None):
    """Start the venue as an operator does, do the act, stop."""
    directory, sequencer = resume(folder)
    act(sequencer)
    sequencer.events.close()
    directory.close()


BATCH = tuple(
    order(BUY, 100, 5, account=a, instrument=i, client_order_id=40 + n)
    for n, (a, i) in enumerate(((1, 2), (2, 1), (3, 2), (1, 2)))
)
FIRST = len(SETUP) + 1
"""Sequence number of the batch's first row."""


def venue(folder, wire, poison, batch=BATCH):
    """A venue whose last batch is durable, and killed its writer when it was applied."""

    def write():
        _, sequencer = create(folder)
        sequencer.submit(wire(*SETUP), LATER)
        poison()
        sequencer.submit(wire(*batch), LATER)

    assert process(write) == DIED


@pytest.fixture
def wire():
    return Venue().wire


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "venue"


def starts_until_it_lives(folder, poison):
    """How many starts die before one does not; that one is the last."""

    def start():
        poison()
        started(folder)

    for deaths in range(20):
        code = process(start)
        if code != DIED:
            assert code == 0
            return deaths
    raise AssertionError("no start lives")


def trades_on(folder, instrument):
    """In this process, whose engine was never patched: whether two orders still meet."""
    number = 1_000 + instrument
    directory, sequencer = resume(folder)
    pair = [
        order(side, 500, 1, instrument=instrument, account=a, client_order_id=number)
        for side, a in ((SELL, 2), (BUY, 3))
    ]
    events = list(rows(sequencer.submit(Venue().wire(*pair), LATER)))
    check(sequencer.machine.engine)
    sequencer.events.close()
    directory.close()
    return len(of_kind(events, m.Executed)) == 2


def agrees(folder):
    """An engine that nothing kills has the same state and events; what was quarantined, in order."""
    directory, sequencer = resume(folder)
    again = Machine.restore(directory.state())
    events = b"".join(applied.events for applied in replay(directory, again))
    assert again.rows() == sequencer.machine.rows()
    assert b"".join(one.rows for one in sequencer.events.read()) == events
    sequencer.events.close()
    directory.close()
    assert verify(folder).good
    return [event.sequence for event in of_kind(list(rows(events)), m.Quarantined)]


@killing
@pytest.mark.parametrize("place", range(4))
def test_a_row_that_kills_twice_is_quarantined_by_the_third_start(folder, wire, place):
    """Two starts die of it; the third one quarantines that row alone, and the venue trades on."""

    def poison():
        kills(FIRST + place)

    venue(folder, wire, poison)
    assert starts_until_it_lives(folder, poison) == 2
    assert agrees(folder) == [FIRST + place]
    poisoned = BATCH[place].instrument
    assert trades_on(folder, 3 - poisoned)
    assert not trades_on(folder, poisoned)


def blaming(folder, wire, row, *, lost):
    """A venue in which two starts died at the row, as the marks say; with the events of its batch, or without."""
    directory, sequencer = create(folder)
    for batch in (SETUP, BATCH):
        sequencer.submit(wire(*batch), LATER)
    if lost:
        sequencer.events.cut_back(FIRST - 1)
    sequencer.events.close()
    directory.close()
    for first, last in ((FIRST, FIRST + 3), (row, row)):
        Attempts(folder / ATTEMPTS).begin(first, last)


@pytest.mark.both
@pytest.mark.parametrize("place", range(4))
def test_the_marks_alone_tell(folder, wire, place):
    """Whichever build it is, and whatever killed: the row that the marks blame is quarantined, and no other."""
    blaming(folder, wire, FIRST + place, lost=True)
    started(folder)
    assert agrees(folder) == [FIRST + place]
    assert trades_on(folder, 3 - BATCH[place].instrument)


@pytest.mark.both
def test_a_row_that_may_have_been_answered_is_never_blamed(folder, wire):
    """Its events are stored, so it ran through once: whatever killed the starts after that, it was not the row alone."""
    blaming(folder, wire, FIRST + 1, lost=False)
    started(folder)
    assert agrees(folder) == []
    assert not (folder / ATTEMPTS).read_bytes().strip()


@killing
def test_what_was_survived_is_not_asked_again(folder, wire):
    """After the quarantine the next start is an ordinary one, though the engine still kills at the row."""

    def poison():
        kills(FIRST + 1)

    venue(folder, wire, poison)
    assert starts_until_it_lives(folder, poison) == 2
    assert not (folder / ATTEMPTS).read_bytes().strip()
    assert starts_until_it_lives(folder, poison) == 0


@killing
def test_two_rows_of_one_batch(folder, wire):
    def poison():
        kills(FIRST + 1, FIRST + 2)

    venue(folder, wire, poison)
    assert starts_until_it_lives(folder, poison) <= 4
    assert agrees(folder) == [FIRST + 1, FIRST + 2]


@killing
def test_a_row_that_kills_and_one_that_raises(folder, wire):
    """Both are quarantined, each for what it did."""

    def poison():
        kills(FIRST + 2)
        run = Engine._run

        def raising(self, kind, row, at):
            if self.sequence == FIRST + 1:
                raise ValueError("poison")
            run(self, kind, row, at)

        Engine._run = raising

    venue(folder, wire, poison)
    assert starts_until_it_lives(folder, poison) <= 4
    assert agrees(folder) == [FIRST + 1, FIRST + 2]


@killing
@pytest.mark.parametrize("deaths", [0, 1])
def test_a_start_that_was_killed_for_another_reason_blames_nobody(folder, wire, deaths):
    """The row runs through in the end, so nothing is quarantined, and what it did stands."""

    def poison():
        kills(FIRST + 1)

    venue(folder, wire, poison)
    if deaths == 1:
        assert process(lambda: (poison(), started(folder))) == DIED
    assert process(lambda: started(folder)) == 0
    assert agrees(folder) == []
    assert not (folder / ATTEMPTS).read_bytes().strip()
    assert trades_on(folder, 1)


@killing
def test_a_timer_that_kills(folder, wire):
    """The timer that is due is dropped and its instrument halts; the next AdvanceTime row does not die of it again."""

    def poison():
        expire = Engine.expire

        def killing(self, order):
            if order.client_order_id == 41:
                os._exit(DIED)
            expire(self, order)

        Engine.expire = killing

    orders = [order(BUY, 100, 5, Tif.GTD, instrument=i, client_order_id=40 + i, expires=LATER + 10**6) for i in (1, 2)]
    batch = (*orders, m.AdvanceTime(time=LATER + 10**7))
    venue(folder, wire, poison, batch)
    assert starts_until_it_lives(folder, poison) == 2
    assert agrees(folder) == [FIRST + 2]

    def advance():
        poison()
        started(folder, lambda sequencer: sequencer.submit(wire(m.AdvanceTime()), LATER + 10**8))

    assert process(advance) == 0
    directory, sequencer = resume(folder)
    engine = sequencer.machine.engine
    assert [engine.instrument(i).state for i in (1, 2)] == [TradingState.HALTED, TradingState.OPEN]
    assert len(engine.timers) == 0
    sequencer.events.close()
    directory.close()


@killing
def test_orders_that_kill_as_they_follow(folder, wire):
    """The instrument whose orders follow is halted, and no other; the next AdvanceTime row does not die of it again."""

    def poison():
        follow = Engine.follow

        def killing(self, instrument, steps):
            if self.command == m.AdvanceTime.KIND and instrument.number == 1:
                os._exit(DIED)
            return follow(self, instrument, steps)

        Engine.follow = killing

    pegged = {"flags": BUY | Type.PEGGED << 1 | Tif.GTC << 5, "session": 1, "account": 1, "price": 200, "quantity": 1}
    pegs = [m.EnterOrder(instrument=i, client_order_id=40 + i, **pegged) for i in (1, 2)]
    venue(folder, wire, poison, (*pegs, m.SetTradingState(state=TradingState.OPEN), m.AdvanceTime(time=LATER)))
    assert starts_until_it_lives(folder, poison) == 2
    assert agrees(folder) == [FIRST + 3]

    def advance():
        poison()
        started(folder, lambda sequencer: sequencer.submit(wire(m.AdvanceTime()), LATER + 10**8))

    assert process(advance) == 0
    directory, sequencer = resume(folder)
    engine = sequencer.machine.engine
    assert [engine.instrument(i).state for i in (1, 2)] == [TradingState.HALTED, TradingState.OPEN]
    assert engine.following == []
    sequencer.events.close()
    directory.close()


@killing
def test_a_row_that_kills_the_standby_that_is_promoted(tmp_path):
    """It killed the primary, then two promotions; the third one quarantines it."""
    primary = Venue()

    poisoned = primary.next() + 1
    run = Engine._run

    def raising(self, kind, row, at):
        if self.sequence == poisoned:
            raise KeyboardInterrupt
        run(self, kind, row, at)

    Engine._run = raising
    try:
        with pytest.raises(KeyboardInterrupt):
            primary.submit(*BATCH)
    finally:
        Engine._run = run

    def promote(epoch):
        kills(poisoned)
        standby = Standby(tmp_path / "standby", MemoryFeed(primary.journal))
        directory, sequencer = standby.promote(epoch, LATER)
        sequencer.events.close()
        directory.close()

    assert [process(lambda epoch=epoch: promote(epoch)) for epoch in (2, 3, 4)] == [DIED, DIED, 0]
    assert agrees(tmp_path / "standby") == [poisoned]
    assert trades_on(tmp_path / "standby", 2)


def test_a_journal_without_a_directory_needs_no_marks():
    """In memory nothing outlives the process, and a take-over does without."""
    primary = Venue()
    primary.submit(*BATCH)
    assert isinstance(primary.journal, MemoryJournal)
    assert take_over(primary.journal).machine.rows() == recover(primary.journal).rows()
