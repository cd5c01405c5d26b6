"""The log tells what a replay says, batch by batch, with the same ids everywhere; and nothing else."""

import shutil
import threading
from itertools import pairwise
from time import monotonic, sleep

import pytest
from eventsourcing.persistence import NotSupportedError, ProgrammingError, StoredEvent
from eventsourcing.popo import POPOApplicationRecorder
from eventsourcing.utils import resolve_topic
from hypothesis import given, settings
from hypothesis import strategies as st

from core.rows import rows
from journal.batch import read_header, seek_key
from journal.directory import EVENTS, JournalDirectory
from journal.errors import CorruptBatch
from journal.event_batch import ORIGINATOR, EventBatch
from journal.event_store import EventStore, read_events
from journal.market_log import MarketLog
from replicas.feed import DirectoryFeed
from replicas.opening import mend_events
from replicas.standby import Standby
from tests.journal.log_readers import at, cut, number, shown, taken
from tests.market_logs import Venue, ends, lived, told
from tests.nodes.standbys import LATER
from tests.pair import seeds

OTHER = "another-topic"


@pytest.fixture(scope="module", params=seeds(2), ids="stream {}".format)
def made(request, tmp_path_factory):
    """A venue's directory, and what its log has to tell; nothing writes there."""
    path = lived(tmp_path_factory.mktemp("lived") / "venue", request.param)
    return path, told(path)


@pytest.fixture
def venue(made, tmp_path):
    """A copy of it, to be changed."""
    shutil.copytree(made[0], tmp_path / "venue")
    return tmp_path / "venue"


@pytest.fixture
def truth(made):
    return made[1]


def entries(path):
    """First and last command of each entry of an event store."""
    store = EventStore(path / EVENTS)
    try:
        return [(events.first, events.last) for events in store.read()]
    finally:
        store.close()


def until(what):
    """Wait for another thread, ten seconds at most."""
    end = monotonic() + 10
    while not what():
        assert monotonic() < end
        sleep(0.001)


# ---- identity


def test_it_tells_what_a_replay_says(made):
    """One notification for each batch of commands, its id the last sequence number, its state the sealed events."""
    path, truth = made
    assert shown(path) == truth
    assert [last for last, _ in truth] == ends(path)
    with MarketLog(path) as log:
        assert log.max_notification_id() == truth[-1][0]
        assert log.first() == 1
        batches = list(log.read())
    assert [(batch.last, batch.sealed) for batch in batches] == truth
    assert [batch.first for batch in batches] == [1, *(last + 1 for last, _ in truth[:-1])]
    first = batches[0]
    assert list(first.events()) == list(rows(first.rows))
    assert {event.sequence for batch in batches for event in batch.events()} <= set(range(1, truth[-1][0] + 1))


def test_a_store_made_again_has_other_entries_and_the_same_log(venue, truth):
    """A live node keeps a quarantined batch and the quarantine as one entry, a start of the node makes two of it."""
    before = entries(venue)
    EventStore.remove(venue / EVENTS)
    journal = JournalDirectory(venue, write=True)
    mend_events(journal).close()
    journal.close()
    assert entries(venue) != before, "the venue holds no quarantine that a live node stored"
    assert shown(venue) == truth


def test_a_store_in_pieces_of_any_size_gives_the_same_log(venue, truth):
    """The journal alone says where a notification ends."""
    store = EventStore(venue / EVENTS, write=True)
    everything = list(store.read())
    joined = b"".join(events.rows for events in everything)
    last = everything[-1].last
    for pieces in ([(1, last)], [(n, n) for n in range(1, last + 1)]):
        store.clear()
        for first, end in pieces:
            store.append(first, end, b"".join(row for row in cut(joined) if first <= number(row) <= end))
        store.close()
        assert shown(venue) == truth
        with MarketLog(venue) as log:
            again = [(found.originator_version, found.state) for found in log.select_events(ORIGINATOR, desc=True)]
        assert again == truth[::-1]
        store = EventStore(venue / EVENTS, write=True)
    store.close()


def test_ids_are_equal_on_a_standby_and_after_its_promotion(venue, truth, tmp_path):
    """A standby tells the same but for the last batch, which may still be quarantined; promoted, it goes on."""
    following = tmp_path / "standby"
    standby = Standby(following, DirectoryFeed(venue))
    try:
        while standby.step():
            pass
    finally:
        standby.close()
    # The last batch is one with a quarantine behind it: both are held back.
    assert told_from(truth, shown(following)) == truth[:-2]
    standby = Standby(following, DirectoryFeed(venue))
    directory, sequencer = standby.promote(2, LATER)
    sequencer.events.close()
    directory.close()
    assert told_from(truth, shown(following))[: len(truth)] == truth
    with MarketLog(venue) as old, MarketLog(following) as new:
        position = truth[len(truth) // 2][0]
        assert old.hash_at(position) is not None
        on = [batch.last for batch in new.read(truth[-1][0])]
        assert on == [truth[-1][0] + 1]
        last = truth[-1][0]
        assert old.hash_at(last) == new.hash_at(last)


def told_from(truth, found):
    """What is found, with what is before it in the truth: a standby that joins late is given old events where it can be."""
    assert found[0] == truth[0], "the standby was given the events before its journal"
    return found


def test_a_position_in_another_journal_is_named(made, tmp_path):
    """The hash at a position tells two venues apart, and is None where nothing ends or the journal does not reach."""
    path, truth = made
    other = Venue(tmp_path / "other", 12345)
    other.trade(3)
    other.close()
    inside = next(last for (before, _), (last, _) in pairwise(truth) if last - before > 1) - 1
    with MarketLog(path) as log, MarketLog(tmp_path / "other") as another:
        last = another.max_notification_id()
        assert another.hash_at(last) != log.hash_at(last)
        assert log.hash_at(inside) is None
        assert log.hash_at(truth[-1][0] + 1) is None
        hashes = [log.hash_at(last) for last, _ in truth]
    journal = JournalDirectory(path)
    assert hashes == [journal.header_at(last).hash for last, _ in truth]
    journal.close()


def test_what_is_stored_names_no_module(made):
    """The topic is a word that resolves to the class without an import by name."""
    path, _ = made
    with MarketLog(path) as log:
        (found,) = log.select_notifications(1, 1)
    assert found.topic == EventBatch.TOPIC
    assert resolve_topic(found.topic) is EventBatch
    assert not {".", ":"} & set(found.topic)
    assert (found.originator_id, found.originator_version) == (ORIGINATOR, found.id)


# ---- the library's contract


@pytest.fixture(scope="module")
def logs(made, tmp_path_factory):
    """The log, and the library's own recorder with the same in it: its ids are dense, so others stand in between."""
    truth = made[1]
    path = tmp_path_factory.mktemp("open") / "venue"
    shutil.copytree(made[0], path)
    oracle = POPOApplicationRecorder()
    lasts = dict(truth)
    for sequence in range(1, truth[-1][0] + 1):
        mine = sequence in lasts
        event = (ORIGINATOR, sequence, EventBatch.TOPIC, lasts[sequence]) if mine else ("x", sequence, "x", b"")
        oracle.insert_events([StoredEvent(*event)])
    log = MarketLog(path)
    yield log, oracle, truth[-1][0]
    log.close()


positions = st.one_of(st.none(), st.integers(-3, 40), st.floats(0, 1.1))


@given(
    start=positions,
    limit=st.integers(1, 80),
    stop=positions,
    topics=st.sampled_from([(), (EventBatch.TOPIC,), (OTHER,), (OTHER, EventBatch.TOPIC)]),
    inclusive=st.booleans(),
)
def test_select_notifications_is_the_library_s(logs, start, limit, stop, topics, inclusive):
    """For all arguments it returns what the library's recorder in memory does."""
    log, oracle, last = logs
    start, stop = at(start, last), at(stop, last)
    expected = oracle.select_notifications(
        start, limit, stop, topics or (EventBatch.TOPIC,), inclusive_of_start=inclusive
    )
    assert log.select_notifications(start, limit, stop, topics, inclusive_of_start=inclusive) == expected


@given(
    originator=st.sampled_from([ORIGINATOR, "nobody"]),
    gt=positions,
    lte=positions,
    desc=st.booleans(),
    limit=st.one_of(st.none(), st.integers(1, 80)),
)
def test_select_events_is_the_library_s(logs, originator, gt, lte, desc, limit):
    """For all arguments it returns what the library's recorder in memory does."""
    log, oracle, last = logs
    arguments = {"gt": at(gt, last), "lte": at(lte, last), "desc": desc, "limit": limit}
    assert log.select_events(originator, **arguments) == oracle.select_events(originator, **arguments)


@settings(max_examples=10)
@given(gt=positions)
def test_a_subscription_goes_through_everything_behind_a_position(logs, gt):
    """Wherever a batch ends, what follows is what the library's recorder holds."""
    log, oracle, last = logs
    after = max(
        (n.id for n in oracle.select_notifications(1, 10**6, at(gt, last) or 0, (EventBatch.TOPIC,))), default=0
    )
    expected = oracle.select_notifications(after, 10**6, None, (EventBatch.TOPIC,), inclusive_of_start=False)
    with log.subscribe(gt=after or None) as subscription:
        if expected:
            assert taken(subscription, expected[-1].id) == [(found.id, found.state) for found in expected]


def test_the_largest_id_of_nothing(tmp_path):
    """A log without a batch has none, and a subscription to it waits."""
    path = tmp_path / "venue"
    venue = Venue(path, 1)
    venue.sequencer.events.clear()
    venue.close()
    with MarketLog(path) as log:
        assert (log.max_notification_id(), log.first(), list(log.read())) == (None, 0, [])
        assert log.select_events(ORIGINATOR, desc=True, limit=1) == []


def test_it_is_read_only(made):
    """The library is told so by its own error."""
    with MarketLog(made[0]) as log, pytest.raises(NotSupportedError):
        log.insert_events([StoredEvent(ORIGINATOR, 10**6, EventBatch.TOPIC, b"")])


def test_a_subscription_may_be_stopped_at_any_time(made):
    """Before it is entered, while it waits, and twice; then it has ended."""
    with MarketLog(made[0], poll=0.001) as log:
        early = log.subscribe()
        early.stop()
        with early:
            assert list(early) == []
        with log.subscribe(topics=[OTHER]) as waiting:
            threading.Timer(0.05, waiting.stop).start()
            assert list(waiting) == []
            waiting.stop()
        with log.subscribe() as read, pytest.raises(ProgrammingError):
            read.__enter__()
        assert not [thread for thread in threading.enumerate() if "_loop_on_pull" in thread.name]


def test_a_reader_that_does_not_take_holds_a_few_pages(made, monkeypatch):
    """What is read ahead is bounded, and stopping ends a thread that waits for room."""
    import journal.log_pages

    monkeypatch.setattr(journal.log_pages, "PAGE_BYTES", 1)
    with MarketLog(made[0], poll=0.001) as log:
        with log.subscribe() as subscription:
            # Ten pages of one batch each wait in the queue, and one for room in it.
            ends_at = made[1][10][0]
            until(lambda: subscription._position.sequence == ends_at)
            sleep(0.02)
            assert subscription._position.sequence == ends_at
        assert not subscription._pull_thread.is_alive()


# ---- events from before a journal


def test_a_standby_that_joins_late_has_the_same_ids_from_the_first_row_on(venue, truth, tmp_path):
    """Its journal begins with the last segment; what it was given of before is cut as the primary's journal is."""
    standby = Standby(tmp_path / "late", DirectoryFeed(venue))
    standby.close()
    journal = JournalDirectory(tmp_path / "late")
    begins = journal.segments()[0]
    journal.close()
    assert begins > truth[0][0] + 1
    assert begins in [last + 1 for last, _ in truth]
    found = shown(tmp_path / "late")
    assert found == [batch for batch in truth if batch[0] < begins]
    with MarketLog(tmp_path / "late") as log:
        assert log.hash_at(found[-1][0]) is None
        backwards = [(n.originator_version, n.state) for n in log.select_events(ORIGINATOR, desc=True)]
        assert backwards == found[::-1]


def test_every_state_reads_as_stored_events(made):
    """The state of a notification passes the checks of the event store under its id."""
    for last, sealed in made[1]:
        assert read_events(seek_key(last), sealed).last == last
    with pytest.raises(CorruptBatch):
        read_header(made[1][0][1])
