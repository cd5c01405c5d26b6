"""Any moment of a venue by the library's repository: the books that a replay of the commands leaves."""

import random
import shutil

import pytest
from eventsourcing.application import AggregateNotFoundError, Repository
from eventsourcing.persistence import EventStore as LibraryStore
from eventsourcing.persistence import JSONTranscoder, NotSupportedError, StoredEvent, Tracking, TrackingRecorder
from eventsourcing.popo import POPOTrackingRecorder
from eventsourcing.projection import ApplicationSubscription, Projection, ProjectionRunner

from core.kinds import Side
from core.messages import Upgrade
from core.rows import to_row
from core.state import SEMANTICS
from journal import snapshots
from journal.directory import EVENTS, SNAPSHOTS, JournalDirectory
from journal.errors import CorruptEvents, Gap, JournalError, NotAJournal, WrongSemantics
from journal.event_batch import ORIGINATOR, EventBatch, EventBatchMapper
from journal.event_store import EventStore, seal_events
from journal.market_log import MarketLog
from tests.determinism.stream import INSTRUMENTS, START
from tests.market_logs import Venue, lived, told, writing
from tests.pair import seeds
from tools.backup import copy
from tools.books import Book
from tools.failures import Misuse
from tools.market_application import EVENTS as EVENTS_KEY
from tools.market_application import JOURNAL, Market
from tools.market_books import Books, VenueState, project
from tools.market_events import events_made
from tools.market_repository import MomentRecorder, StateRecorder, books_at, state_before, venue_repository
from tools.reading import machine_at


@pytest.fixture(scope="module", params=seeds(2), ids="stream {}".format)
def made(request, tmp_path_factory):
    """A venue of several segments with snapshots and quarantines; nothing writes there."""
    return lived(tmp_path_factory.mktemp("lived") / "venue", request.param)


@pytest.fixture
def venue(made, tmp_path):
    """A copy of it, to be changed."""
    shutil.copytree(made, tmp_path / "venue")
    return tmp_path / "venue"


def by_replay(journal, sequence):
    """Level by level and order by order, what a replay of the commands leaves in the books."""
    state = machine_at(journal, sequence).rows()
    return {(n, side): Book.of_state(state, n).levels(side) for n in INSTRUMENTS for side in Side}


def by_events(books):
    """The same of books that were made from events."""
    return {(n, side): books.book(n).levels(side) for n in INSTRUMENTS for side in Side}


def moments(log, seed, count=25):
    """Rows at random, and those where something ends or begins."""
    last = log.max_notification_id()
    stored = snapshots.stored(log.journal.snapshots)
    edges = [0, 1, last, *(first + n for first in log.journal.segments() for n in (-1, 0)), *stored]
    return sorted({*edges, *random.Random(seed).sample(range(last + 1), count)})


# ---- what it answers


def test_every_moment_is_that_of_a_full_replay(made, request):
    """For rows at random, whether a batch ends there or not, across segments and quarantines."""
    filled = 0
    with MarketLog(made) as log:
        repository = venue_repository(log)
        for sequence in moments(log, request.node.callspec.params["made"]):
            books = repository.get(ORIGINATOR, version=sequence, projector_func=project)
            assert books.version == sequence
            assert by_events(books) == by_replay(log.journal, sequence), f"after row {sequence}"
            filled += any(by_events(books).values())
    assert filled > 5


def test_without_snapshots_it_is_the_same(made):
    """From events alone, from the first row on, and from the state of the segment."""
    with MarketLog(made) as log:
        alone = Repository(LibraryStore(EventBatchMapper(JSONTranscoder()), MomentRecorder(log)))
        for sequence in moments(log, 7, 5)[1:]:
            books = alone.get(ORIGINATOR, version=sequence, projector_func=project)
            assert by_events(books) == by_events(books_at(log, sequence)) == by_replay(log.journal, sequence)
        with pytest.raises(AggregateNotFoundError):
            alone.get(ORIGINATOR, version=0, projector_func=project)


def test_no_version_is_the_last_row_that_is_told(made):
    """The newest moment is that of the log's end."""
    with MarketLog(made) as log:
        last = log.max_notification_id()
        assert by_events(books_at(log)) == by_replay(log.journal, last)
        assert books_at(log).version == last
        assert (books_at(log).id, books_at(log, 0).books) == (ORIGINATOR, {})


def test_instruments_without_orders_have_books(made):
    """Those of the state, and those that events define."""
    with MarketLog(made) as log:
        setup = next(log.read()).last
        assert set(books_at(log, setup).books) == set(INSTRUMENTS)
        assert set(books_at(log).books) >= set(INSTRUMENTS)


def test_it_begins_with_the_nearest_state(venue):
    """The newest snapshot up to the moment, or the segment; never one behind it, and no events from before it."""
    with MarketLog(venue) as log:
        stored, firsts = snapshots.stored(log.journal.snapshots), log.journal.segments()
        for sequence in moments(log, 3):
            nearest = max(number for number in (*stored, *(first - 1 for first in firsts)) if number <= sequence)
            state = state_before(log.journal, sequence)
            assert state.originator_version == nearest
            assert state.rows == machine_at(log.journal, nearest).rows()
        begun = MomentRecorder(log).select_events(ORIGINATOR, gt=stored[-1])
        assert [event.originator_version for event in begun] == [
            batch.last for batch in log.read() if batch.last > stored[-1]
        ]


def test_a_damaged_snapshot_is_passed_over(venue):
    """An older state takes its place, and the answer is the same."""
    for path in (venue / SNAPSHOTS).iterdir():
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
    with MarketLog(venue) as log:
        for sequence in moments(log, 5, 5):
            assert by_events(books_at(log, sequence)) == by_replay(log.journal, sequence)


def test_a_moment_inside_a_batch_cuts_its_events(made):
    """The recorder of moments gives every row a version: whole batches, and the last one up to the row."""
    with MarketLog(made) as log:
        batches = list(log.read())
        recorder, mapper = MomentRecorder(log), EventBatchMapper(JSONTranscoder())
        whole = b"".join(batch.rows for batch in batches)
        rows = [whole[at : at + 128] for at in range(0, len(whole), 128)]
        for sequence in moments(log, 11, 8)[1:]:
            found = [mapper.to_domain_event(event) for event in recorder.select_events(ORIGINATOR, lte=sequence)]
            assert found[-1].last == sequence
            assert all(batch.originator_version == batch.last for batch in found)
            mine = [row for row in rows if int.from_bytes(row[8:16], "little") <= sequence]
            assert b"".join(batch.rows for batch in found) == b"".join(mine)
        behind = recorder.select_events(ORIGINATOR, gt=batches[3].last, lte=batches[6].last)
        assert (len(behind), behind[0].originator_version) == (3, batches[4].last)
        assert [event.originator_version for event in behind[1:]] == [batches[5].last, batches[6].last]
        assert list(recorder.select_events("nobody")) == []


# ---- what it refuses


def test_moments_that_the_journal_does_not_hold(made):
    """Behind the last row, and before the first."""
    with MarketLog(made) as log:
        last = log.max_notification_id()
        with pytest.raises(JournalError, match=f"the events end at row {last}, before row {last + 1}"):
            books_at(log, last + 1)
        with pytest.raises(Gap, match="the journal begins at row 1"):
            books_at(log, -1)
        with pytest.raises(AggregateNotFoundError):
            venue_repository(log).get("nobody", version=3, projector_func=project)


def test_events_that_are_missing_are_named(venue):
    """A store that begins later answers from the next state on, and refuses what needs older events."""
    store = EventStore(venue / EVENTS, write=True)
    kept = list(store.read())
    journal = JournalDirectory(venue)
    begins = journal.segments()[-1]
    journal.close()
    store.clear()
    for events in kept:
        if events.first >= begins:
            store.append(*events)
    store.close()
    for path in (venue / SNAPSHOTS).iterdir():
        path.unlink()
    with MarketLog(venue) as log:
        assert by_events(books_at(log, begins + 1)) == by_replay(log.journal, begins + 1)
        assert by_events(books_at(log, begins - 1)) == by_replay(log.journal, begins - 1)
        with pytest.raises(Gap, match="are missing"):
            books_at(log, begins - 2)


def test_a_batch_that_does_not_follow_is_refused():
    """Books are not carried over a hole."""
    store = Books(4)
    with pytest.raises(Gap, match="those of command 5 are missing"):
        store.apply(batch_of(6))
    assert store.version == 4


def batch_of(first):
    return EventBatch(ORIGINATOR, first, seal_events(first, first, b""))


def test_damaged_events_give_no_books(venue):
    """Damage that stands between state and moment is named; a moment before it is answered."""
    with MarketLog(venue) as log:
        batches = list(log.read())
        # The state behind the last batch of a segment stands in the next one, and needs no events.
        ends = {first - 1 for first in log.journal.segments()}
    later = batches[len(batches) // 2 :]
    wrong = next(batch for batch in later if len(batch.rows) > 512 and batch.last not in ends)
    for path in (venue / SNAPSHOTS).iterdir():
        path.unlink()
    data = venue / EVENTS / "data.mdb"
    part = wrong.rows[:256]
    assert part in data.read_bytes()
    data.write_bytes(data.read_bytes().replace(part, part[:100] + bytes([part[100] ^ 1]) + part[101:]))
    with MarketLog(venue) as log:
        with pytest.raises(CorruptEvents):
            books_at(log, wrong.last)
        before = next(batch.last for batch in reversed(batches) if batch.last < wrong.first - 20)
        assert by_events(books_at(log, before)) == by_replay(log.journal, before)


def test_a_segment_of_another_release_is_refused(tmp_path):
    """Its rows are that release's to read; moments before it are answered."""
    venue = Venue(tmp_path / "venue", 5)
    venue.trade(30)
    venue.sequencer.submit(to_row(Upgrade(version=SEMANTICS + 1)), START)
    last = venue.directory.head().sequence
    venue.close()
    with MarketLog(tmp_path / "venue") as log:
        with pytest.raises(WrongSemantics, match=f"semantics {SEMANTICS + 1}; this release applies {SEMANTICS}"):
            books_at(log)
        assert by_events(books_at(log, last - 1)) == by_replay(log.journal, last - 1)


def test_the_recorders_are_read_only(made):
    """Neither events nor snapshots are stored through the library, and what it does not ask for is not answered."""
    with MarketLog(made) as log:
        for recorder in (MomentRecorder(log), StateRecorder(log)):
            with pytest.raises(NotSupportedError):
                recorder.insert_events([StoredEvent(ORIGINATOR, 1, EventBatch.TOPIC, b"")])
        with pytest.raises(NotSupportedError):
            MomentRecorder(log).select_events(ORIGINATOR, desc=True)
        with pytest.raises(NotSupportedError):
            StateRecorder(log).select_events(ORIGINATOR)
        last = StateRecorder(log).select_events(ORIGINATOR, desc=True, limit=1)[0]
        assert last.topic == VenueState.TOPIC
        newest = {"gt": last.originator_version, "desc": True, "limit": 1}
        assert StateRecorder(log).select_events(ORIGINATOR, **newest) == []
        with pytest.raises(TypeError):
            EventBatchMapper(JSONTranscoder()).to_stored_event(VenueState(ORIGINATOR, 1, b""))


# ---- as an application


class Seen(POPOTrackingRecorder):
    """A view that keeps what it was shown."""

    def __init__(self):
        super().__init__()
        self.batches = []


class Watching(Projection[TrackingRecorder]):
    """Writes down every batch with its position."""

    name = "watching"
    topics = (EventBatch.TOPIC,)

    def process_event(self, domain_event, tracking):
        self.view.insert_tracking(tracking)
        self.view.batches.append((domain_event.last, domain_event.sealed))


def test_a_projection_runner_goes_through_it_once(made):
    """The library's runner drives a projection over every batch, in order, and tracks it."""
    truth = told(made)
    env = {JOURNAL: str(made), "PERSISTENCE_MODULE": "eventsourcing.popo"}
    runner = ProjectionRunner(application_class=Market, projection_class=Watching, view_class=Seen, env=env)
    with runner:
        runner.wait(runner.app.recorder.max_notification_id(), timeout=20)
        assert runner.projection.view.batches == truth
        assert runner.view.max_tracking_id("market") == truth[-1][0]
    with Market({JOURNAL: str(made)}) as app, ApplicationSubscription(app, gt=truth[-3][0]) as subscription:
        batch, tracking = next(subscription)
        assert (batch.last, batch.sealed) == truth[-2]
        assert tracking == Tracking("market", truth[-2][0])


def test_a_runner_follows_a_writer(tmp_path):
    """What comes while it runs is shown as it comes, also through an event store made anew."""
    path = tmp_path / "venue"
    with writing(path, 9) as writer:
        env = {JOURNAL: str(path)}
        runner = ProjectionRunner(application_class=Market, projection_class=Watching, view_class=Seen, env=env)
        with runner:
            for word in ("trade", "quarantine", "renew", "roll", "trade"):
                writer.do(word)
                runner.wait(runner.app.recorder.max_notification_id(), timeout=20)
            seen = list(runner.view.batches)
    assert seen == told(path)


def test_the_application_answers_moments(made):
    """Its repository is the venue's."""
    with Market({JOURNAL: str(made)}) as app:
        last = app.recorder.max_notification_id()
        books = app.repository.get(ORIGINATOR, version=last, projector_func=project)
        assert by_events(books) == by_replay(app.recorder.journal, last)
        assert len(app.notification_log.select(1, 5)) == 5
    # It is closed: the journal may be opened for writing.
    with pytest.raises(JournalError):
        app.recorder.max_notification_id()
    JournalDirectory(made, write=True).close()


def test_an_application_without_a_journal(tmp_path):
    """What is missing is said in one line, and nothing is created."""
    with pytest.raises(Misuse, match=JOURNAL):
        Market({JOURNAL: ""})
    with pytest.raises(NotAJournal):
        Market({JOURNAL: str(tmp_path / "missing")})
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(NotSupportedError):
        Market.construct_factory(None, {}).process_recorder()


# ---- journals without events


def test_a_backup_has_its_events_made(made, tmp_path):
    """A copy without an event store tells the same from events that are replayed beside, and they are gone afterwards."""
    copy(made, tmp_path / "copy", None)
    beside = tmp_path / "beside"
    beside.mkdir()
    heard = []
    with events_made(tmp_path / "copy", beside, lambda row, last: heard.append((row, last))) as events:
        with MarketLog(tmp_path / "copy", events=events) as log:
            assert [(batch.last, batch.sealed) for batch in log.read()] == told(made)
        with Market({JOURNAL: str(tmp_path / "copy"), EVENTS_KEY: str(events)}) as app:
            assert app.recorder.max_notification_id() == told(made)[-1][0]
    assert list(beside.iterdir()) == []
    assert heard[-1] == (told(made)[-1][0],) * 2
    assert not (tmp_path / "copy" / EVENTS / "data.mdb").exists()
