"""The standby: an equal journal, state and events; what stops it; and promotion, wherever it is interrupted."""

import random
from contextlib import nullcontext

import pytest

from core.check import check
from core.messages import Promoted, Upgrade
from core.reasons import RejectReason
from core.rows import rows, to_row
from core.state import SEMANTICS
from journal.batch import HEADER_SIZE, read_header
from journal.directory import JournalDirectory
from journal.errors import CorruptBatch, Damaged, Diverged, Gap, WrongSemantics
from journal.memory import MemoryJournal
from journal.snapshots import snapshot_path, stored
from journal.verify import verify
from replicas.errors import BadRows, EventsDiffer, Stopped
from replicas.feed import MemoryFeed
from replicas.lead import Deposed, MemoryLead, Superseded
from replicas.lease import LeaseState
from replicas.opening import resume
from replicas.replay import recover, replay, start
from replicas.sequencer import Sequencer
from replicas.standby import Standby
from tests.conftest import seed
from tests.nodes.standbys import (
    LATER,
    Followed,
    begin,
    filled,
    following,
    is_prefix,
    primary,
    promoted,
    stored_events,
)
from tests.poison.samples import BUY, Venue, order, raising_at
from tests.replicas.test_replay import rewritten
from tests.replicas.venue import NOW, define, opened
from tools.build import build

interpreted = pytest.mark.skipif(build() != "interpreted", reason="compiled classes cannot be patched")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "standby"


# ---- it follows


@pytest.mark.both
@pytest.mark.parametrize("case", range(4))
def test_it_has_the_primarys_journal_state_and_events(path, case):
    """However the batches come, and however often it starts anew: nothing is lost, doubled or different."""
    number = seed() + case
    journal, sequencer, events = primary(number)
    rng, followed = random.Random(number), Followed(journal)
    standby = Standby(path, MemoryFeed(followed.journal))
    while followed.shown:
        followed.show(rng.choice((1, 1, 3, 9)))
        if rng.random() < 0.2:
            standby.close()
            standby = Standby(path, MemoryFeed(followed.journal))
        standby.step()
        standby.snapshot_if_due(40)
        assert standby.step() == 0
        assert standby.journal.head() == followed.journal.head(), number
    state, head = sequencer.machine.rows(), journal.head()
    directory, ours = standby.promote(2, LATER)
    assert list(directory.after(begin(directory)))[:-1] == journal._values[1:], number
    assert recover(directory, upto=head.sequence).rows() == state, number
    told = stored_events(ours.events)
    assert told[: len(events)] == events, number
    *given_up, promoted = rows(told[len(events) :])
    assert isinstance(promoted, Promoted)
    # A command of several parts that was not whole yet: the Promote row comes in between.
    assert [row.reason for row in given_up] in ([], [RejectReason.INCOMPLETE]), number
    check(ours.machine.engine)
    ours.events.close()
    directory.close()
    assert verify(path).good


def test_the_last_batch_is_held_back(path):
    """It is durable at once, and applied when the next one shows that nothing in it was quarantined."""
    journal, sequencer = opened()
    sequencer.submit(define(1) * 2, NOW)
    with following(path, journal) as standby:
        assert standby.lag() == (2, 2)
        assert standby.step() == 1
        assert standby.lag() == (0, 2)
        assert standby.journal.head() == journal.head()
        assert standby.machine.engine.sequence == 0
        sequencer.submit(define(2), NOW)
        assert (standby.step(), standby.lag()) == (1, (0, 1))
        sequencer.close_batch()
        assert (standby.step(), standby.lag()) == (1, (0, 0))
        assert standby.machine.rows() == sequencer.machine.rows()


def test_a_step_takes_so_many_batches(path):
    journal, sequencer = opened()
    for n in range(10):
        sequencer.submit(define(n + 1), NOW)
    with following(path, journal) as standby:
        assert [standby.step(4) for _ in range(4)] == [4, 4, 2, 0]


def test_a_standby_begins_at_the_present_segment(path):
    """Beside the files of the node, which stand in its directory before the journal does."""
    journal, sequencer, _ = primary(5)
    sequencer.roll()
    sequencer.submit(define(7), LATER)
    path.mkdir()
    (path / "lease").symlink_to(path.parent / "venue" / "lease")
    (path / "attempts").write_bytes(b"")
    with following(path, journal) as standby:
        standby.step()
        assert standby.journal.segments() == [journal.first]
        assert standby.journal.head() == journal.head()
    assert {entry.name for entry in path.iterdir()} == {"lease", "attempts", "segments", "snapshots", "events"}


def test_snapshots_shorten_the_start_and_change_nothing(path):
    journal, sequencer = opened()
    with following(path, journal) as standby:
        for n in range(30):
            sequencer.submit(define(n + 1), NOW)
            standby.step()
            due = standby.machine.engine.sequence >= 10 * (len(stored(path / "snapshots")) + 1)
            assert standby.snapshot_if_due(10) == due
        assert stored(path / "snapshots") == [10, 20]
        before = standby.machine.rows()
    snapshot_path(path / "snapshots", 10).write_bytes(b"damaged")
    with following(path, journal) as standby:
        assert standby.machine.rows() == before
        assert start(standby.journal, standby.journal.snapshots).engine.sequence == 20
        assert not standby.snapshot_if_due(10)


# ---- quarantines


@interpreted
@pytest.mark.parametrize("steps_between", [False, True])
@pytest.mark.parametrize("raises", [False, True], ids=["a fixed engine", "the same engine"])
def test_a_quarantine_is_in_force_at_the_row_it_names(path, monkeypatch, steps_between, raises):
    """Its own engine need not raise, and does not if it would: the row is never run."""
    venue = Venue()
    with raising_at(monkeypatch, poison := venue.next() + 1):
        batch = [order(BUY, 100, 5, session=s, account=s, instrument=i) for s, i in ((1, 2), (2, 1), (3, 2))]
        venue.submit(*batch)
        venue.submit(order(BUY, 100, 5, session=1, instrument=2, client_order_id=9))
    followed = Followed(venue.journal)
    context = raising_at(monkeypatch, poison) if raises else nullcontext()
    with context, following(path, followed.journal) as standby:
        while followed.shown:
            followed.show()
            if steps_between or not followed.shown:
                standby.step()
        directory, sequencer = standby.promote(2, LATER)
        assert recover(directory, upto=venue.next() - 1).rows() == venue.sequencer.machine.rows()
        assert stored_events(sequencer.events)[: len(venue.answered)] == venue.answered
        sequencer.events.close()
        directory.close()


@interpreted
def test_a_restart_between_a_batch_and_its_quarantine(path, monkeypatch):
    """What was held back before the restart is held back after it."""
    venue = Venue()
    with raising_at(monkeypatch, venue.next()):
        venue.submit(order(BUY, 100, 5, session=1))
    followed = Followed(venue.journal)
    followed.show(len(followed.shown) - 1)
    for _ in range(2):
        with following(path, followed.journal) as standby:
            standby.step()
            assert standby.lag() == (0, 1)
    followed.show()
    with promoted(path, followed.journal) as (directory, sequencer):
        assert sequencer.machine.engine.instrument(1).state == 3
        assert recover(directory, upto=venue.next() - 1).rows() == venue.sequencer.machine.rows()
        assert stored_events(sequencer.events)[: len(venue.answered)] == venue.answered


@interpreted
def test_a_row_that_raised_on_the_primary_that_died_of_it(path, monkeypatch):
    """The primary died before it could seal the quarantine: the standby's promotion seals it, and trades on."""
    venue = Venue()
    before = venue.sequencer.machine.rows()
    with raising_at(monkeypatch, poison := venue.next()):
        with monkeypatch.context() as patch:
            patch.setattr(Sequencer, "_name_the_row", lambda _: 1 // 0)
            with pytest.raises(ZeroDivisionError):
                venue.submit(order(BUY, 100, 5, session=1))
        with promoted(path, venue.journal) as (directory, sequencer):
            kinds = [next(rows(v[HEADER_SIZE:])) for v in directory.after(venue.journal.head())]
            assert [type(row).__name__ for row in kinds] == ["Quarantine", "Promote"]
            assert kinds[0].named == poison
            assert recover(directory, upto=poison - 1).rows() == before
            assert sequencer.machine.engine.instrument(1).state == 3
            again = start(directory)
            events = b"".join(applied.events for applied in replay(directory, again))
            assert again.rows() == sequencer.machine.rows()
            assert stored_events(sequencer.events) == events
    assert verify(path).good


# ---- what stops it


def stops(path, journal, error, *, appended):
    """It raises the error, has appended so many batches of the journal, and does nothing more."""
    standby = Standby(path, MemoryFeed(journal))
    try:
        with pytest.raises(error) as found:
            standby.step()
        for act in (standby.step, lambda: standby.promote(2, LATER), lambda: standby.snapshot_if_due(0)):
            with pytest.raises(Stopped):
                act()
        assert is_prefix(standby.journal, journal) == appended
    finally:
        standby.close()
    return found.value


@pytest.mark.both
@pytest.mark.parametrize("number", range(2, 6))
def test_other_events_than_the_primarys(path, number):
    """It names the row up to which the events differ; a standby that is opened anew finds the same."""
    journal, _ = filled()
    wrong = rewritten(journal, number, digest=bytes(32))
    for _ in range(2):
        error = stops(path, wrong, EventsDiffer, appended=number - 1)
        assert error.sequence == 2 * (number - 1)
    with pytest.raises(EventsDiffer), promoted(path, wrong):
        pass


def test_other_events_than_the_closing_batch_says(path):
    journal, sequencer = filled()
    sequencer.close_batch()
    assert stops(path, rewritten(journal, 6, digest=bytes(32)), EventsDiffer, appended=5).sequence == 10


def test_another_state_than_the_next_segment_begins_with(path):
    """A segment is not begun with a state that is not our own, though its chain and digests are right."""
    journal, sequencer = filled()
    with following(path, journal) as standby:
        standby.step()
        sequencer.machine.engine.currencies[3].decimals = 5
        sequencer.roll()
        with pytest.raises(EventsDiffer) as found:
            standby.step()
        assert found.value.sequence == 10
        assert standby.journal.segments() == [1]
        assert is_prefix(standby.journal, journal) == 6


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda value: value[:-1], CorruptBatch),
        (lambda value: value[:-1] + bytes([value[-1] ^ 1]), CorruptBatch),
        (lambda value: value[:150] + bytes([value[150] ^ 1]) + value[151:], CorruptBatch),
        (lambda _: filled()[0]._values[2], Damaged),
    ],
    ids=["cut", "a flipped bit in the rows", "one in the header", "another batch"],
)
def test_a_batch_that_is_damaged_or_out_of_order(path, change, error):
    journal, _ = filled()
    journal._values[4] = change(journal._values[4])
    stops(path, journal, error, appended=3)


def test_a_former_primary_that_writes_on_is_not_followed(path):
    """After a promotion a batch of the epoch before is refused by whoever receives it."""
    journal, sequencer = filled(2)
    sequencer.promote(4, LATER)
    sequencer.submit(define(8), LATER)
    stops(path, rewritten(journal, 4, epoch=3), CorruptBatch, appended=3)


def test_rules_that_this_release_does_not_have(path):
    """A standby stops where other rules begin, and none begins there."""
    journal, sequencer = filled()
    with following(path, journal) as standby:
        standby.step()
        sequencer.roll(SEMANTICS + 1)
        with pytest.raises(WrongSemantics, match=f"semantics {SEMANTICS + 1}"):
            standby.step()
        assert is_prefix(standby.journal, journal) == 6
    with pytest.raises(WrongSemantics):
        Standby(path.parent / "other", MemoryFeed(journal))
    assert not (path.parent / "other").exists()


def test_another_history(path):
    """A standby whose journal has other batches than the feed, or more, neither goes on nor is promoted."""
    journal, _ = filled(3)
    other, sequencer = opened()
    for n in range(6):
        sequencer.submit(define(n + 50), NOW)
    with following(path, other) as standby:
        standby.step()
        ours = standby.journal.head()
    for feed in (journal, MemoryJournal(other._values[:1])):
        for act in (Standby.step, lambda standby: standby.promote(2, LATER)):
            with following(path, feed) as standby:
                with pytest.raises((Diverged, Gap)):
                    act(standby)
                assert standby.journal.head() == ours


def test_a_feed_that_ends_too_early_is_not_promoted_on(path):
    """What the dead primary's journal holds must be ours before we are the writer."""
    journal, _ = filled(3)
    feed = MemoryFeed(journal)
    feed.after = lambda _: iter(())
    standby = Standby(path, feed)
    with pytest.raises(Gap, match="ended before"):
        standby.promote(2, LATER)
    standby.close()


# ---- promotion


def test_what_the_primary_committed_when_it_died(path):
    """A batch that shows only once the writer is known to be dead is taken before the venue goes on."""
    journal, sequencer = filled()
    followed = Followed(journal)
    followed.show(4)
    feed = MemoryFeed(followed.journal)
    feed.settle = followed.show
    standby = Standby(path, feed)
    assert standby.step() == 4
    directory, ours = standby.promote(2, LATER)
    assert recover(directory, upto=10).rows() == sequencer.machine.rows()
    ours.events.close()
    directory.close()


@pytest.mark.both
def test_a_promoted_standby_is_a_primary(path):
    """Under its epoch it takes commands, and the journal is one that a start or a standby can go on from."""
    journal, _ = filled()
    with promoted(path, journal, epoch=7) as (directory, ours):
        (value,) = directory.after(journal.head())
        assert (read_header(value).epoch, next(rows(value[HEADER_SIZE:])).epoch) == (7, 7)
        ours.submit(define(30), LATER)
        ours.close_batch()
        assert ours.machine.engine.epoch == directory.head().epoch == 7
        state = ours.machine.rows()
    directory, again = resume(path)
    assert again.machine.rows() == state
    again.events.close()
    directory.close()


def test_an_epoch_that_is_not_higher(path):
    journal, sequencer = filled()
    sequencer.promote(4, LATER)
    for epoch in (0, 3, 4):
        with pytest.raises(BadRows), promoted(path, journal, epoch=epoch):
            pass
    with promoted(path, journal, epoch=5) as (directory, _):
        assert directory.head().epoch == 5


def test_a_promoted_standby_follows_no_more(path):
    journal, _ = filled()
    standby = Standby(path, MemoryFeed(journal))
    directory, sequencer = standby.promote(2, LATER)
    for act in (standby.step, lambda: standby.promote(3, LATER)):
        with pytest.raises(Stopped):
            act()
    standby.close()
    sequencer.submit(define(9), LATER)
    sequencer.events.close()
    directory.close()


def test_the_lead_is_told_signs_of_life_and_then_the_new_head(path):
    """Before the Promote row only heads of the epoch before; the head behind it is told before promote returns."""
    journal, _ = filled()
    lead = MemoryLead(7)
    standby = Standby(path, MemoryFeed(journal))
    directory, sequencer = standby.promote(lead.epoch, LATER, lead)
    assert lead.told[-1] == directory.head()
    assert {head.epoch for head in lead.told[:-1]} == {1}
    sequencer.events.close()
    directory.close()


@pytest.mark.parametrize("at", [1, 2, 3, 4])
def test_a_lead_that_is_lost_during_a_promotion(path, at):
    """At whichever ask it is lost: the promotion fails, and one with another lead and a higher epoch succeeds."""
    journal, sequencer = filled()
    standby = Standby(path, MemoryFeed(journal))
    with pytest.raises(Deposed):
        standby.promote(2, LATER, MemoryLead(2, revoke_at=at))
    assert (standby.journal.head().epoch == 2) == (at == 4), "a Promote row is sealed by the one writer alone"
    standby.close()
    with promoted(path, journal, epoch=3) as (directory, ours):
        assert ours.machine.engine.epoch == 3
        assert recover(directory, upto=10).rows() == sequencer.machine.rows()


def test_the_last_row_was_an_upgrade_to_other_rules(path):
    """The primary died before it ended the segment: that is done now, and what follows is for the next release."""
    journal, sequencer = filled()
    sequencer.roll_if_upgraded = lambda: None
    sequencer.submit(to_row(Upgrade(version=SEMANTICS + 1)), LATER)
    with pytest.raises(WrongSemantics), promoted(path, journal):
        pass
    directory = JournalDirectory(path)
    assert directory.semantics == SEMANTICS + 1
    assert directory.head().sequence == 11
    directory.close()


def test_a_standby_of_a_node_that_the_venue_left_is_not_promoted(path):
    """The lease tells a head that neither it nor the node it follows has: nothing is sealed, and where to look is told."""
    journal, sequencer = filled()
    followed = Followed(journal)
    followed.show(3)
    head = journal.head()
    told = LeaseState(1, 1, 1, "elsewhere", "", "", head.sequence, head.hash.hex(), 0)
    standby = Standby(path, MemoryFeed(followed.journal))
    with pytest.raises(Superseded, match="elsewhere"):
        standby.promote(2, LATER, before=told)
    assert is_prefix(standby.journal, journal) == 3
    standby.close()
    standby = Standby(path, MemoryFeed(journal))
    directory, ours = standby.promote(2, LATER, before=told)
    assert recover(directory, upto=10).rows() == sequencer.machine.rows()
    ours.events.close()
    directory.close()
