"""What our recorders promise beside the library's own test cases: what is stored and refused, who is woken."""

import queue
import threading
from uuid import UUID

import pytest
from eventsourcing.persistence import DataError, IntegrityError, StoredEvent, Tracking, WaitInterruptedError

import journal.recorder
import journal.recorder_events
import journal.recorder_files
from journal.errors import Closed, JournalError
from journal.recorder import LmdbAggregateRecorder, LmdbApplicationRecorder, LmdbProcessRecorder
from journal.recorder_record import NUMBER_MAX, ORIGINATOR_MAX, TOPIC_MAX
from journal.recorder_store import Share
from tests.journal.recorder_child import events

pytestmark = pytest.mark.both


@pytest.fixture
def path(tmp_path):
    return tmp_path / "recorder"


@pytest.fixture
def share(path):
    made = Share(path)
    yield made
    made.close()


@pytest.fixture
def recorder(share):
    return LmdbProcessRecorder(share, "app")


@pytest.fixture
def never_poll(monkeypatch):
    """Whoever waits is woken, or waits for an hour."""
    for module in (journal.recorder, journal.recorder_events):
        monkeypatch.setattr(module, "POLL_SECONDS", 3600)


def soon(use):
    """What `use` gives in a thread of its own, within half a minute."""
    answers = queue.Queue()

    def run():
        try:
            answers.put((use(), None))
        except BaseException as error:  # noqa: BLE001
            answers.put((None, error))

    threading.Thread(target=run, daemon=True).start()

    def answer():
        value, error = answers.get(timeout=30)
        if error is not None:
            raise error
        return value

    return answer


def ids(recorder):
    return [event.id for event in recorder.select_notifications(None, 10**9)]


# ---- what is stored


def test_it_is_there_when_opened_again(path):
    """Events, positions and the next id outlive the process's handle."""
    share = Share(path)
    recorder = LmdbProcessRecorder(share, "app")
    stored = [*events("a", 0, 2), StoredEvent(UUID(int=5), 7, "topic ü", b"\0\xff")]
    assert recorder.insert_events(stored, tracking=Tracking("up", 9)) == [1, 2, 3]
    share.close()
    share = Share(path, create=False)
    recorder = LmdbProcessRecorder(share, "app")
    assert (ids(recorder), recorder.max_tracking_id("up")) == ([1, 2, 3], 9)
    assert [*recorder.select_events("a"), *recorder.select_events(UUID(int=5))] == stored
    assert recorder.insert_events(events("a", 2)) == [4]
    share.close()


@pytest.mark.parametrize("at", [0, 1])
def test_events_and_position_stand_or_fall_together(recorder, at):
    """A conflict of either undoes both."""
    recorder.insert_events(events("a", 0), tracking=Tracking("up", 5))
    conflicts = [(events("b", 0, 3), Tracking("up", 5)), ([*events("b", 0, 3), *events("a", 0)], Tracking("up", 6))]
    with pytest.raises(IntegrityError):
        recorder.insert_events(conflicts[at][0], tracking=conflicts[at][1])
    assert (ids(recorder), recorder.max_tracking_id("up"), recorder.select_events("b")) == ([1], 5, [])
    assert recorder.insert_events(events("b", 0), tracking=Tracking("up", 6)) == [2]


def test_a_uuid_and_its_text_name_one_aggregate(recorder):
    """Either finds the events, which keep the kind of id that they were stored with."""
    uuid = UUID(int=77)
    recorder.insert_events([StoredEvent(uuid, 1, "t", b""), StoredEvent(str(uuid), 2, "t", b"")])
    for name in (uuid, str(uuid)):
        assert [event.originator_id for event in recorder.select_events(name)] == [uuid, str(uuid)]
    with pytest.raises(IntegrityError):
        recorder.insert_events([StoredEvent(uuid, 2, "t", b"")])


LONG = "ü" * (ORIGINATOR_MAX // 2)


def test_every_insert_is_synced(share):
    """Losing power loses nothing that was acknowledged, as far as the disk keeps its promises."""
    flags = share.store._lmdb.flags()
    assert (flags["sync"], flags["metasync"], flags["map_async"], flags["writemap"]) == (True, True, False, False)


def test_the_largest_that_is_taken(recorder):
    """Bounds are those that are named, to the byte."""
    largest = StoredEvent(LONG, NUMBER_MAX, "t" * TOPIC_MAX, bytes(3_000_000))
    recorder.insert_events([largest], tracking=Tracking(LONG, NUMBER_MAX))
    assert recorder.select_events(LONG, gt=NUMBER_MAX - 1, lte=NUMBER_MAX + 1) == [largest]
    assert recorder.max_tracking_id(LONG) == NUMBER_MAX
    assert recorder.select_notifications(NUMBER_MAX, 1, inclusive_of_start=False) == []


@pytest.mark.parametrize(
    "unfit",
    [
        StoredEvent(LONG + "a", 1, "t", b""),
        StoredEvent("\ud800", 1, "t", b""),
        StoredEvent("a", -1, "t", b""),
        StoredEvent("a", NUMBER_MAX + 1, "t", b""),
        StoredEvent("a", 1, "t" * (TOPIC_MAX + 1), b""),
        StoredEvent("a", 1, "\udfff", b""),
    ],
)
def test_what_cannot_be_stored_is_refused(recorder, unfit):
    """It raises the library's DataError, nothing is written, and the recorder goes on."""
    with pytest.raises(DataError) as refused:
        recorder.insert_events([*events("b", 0), unfit])
    assert "\n" not in str(refused.value)
    assert ids(recorder) == []
    assert recorder.insert_events(events("b", 0)) == [1]


@pytest.mark.parametrize("tracking", [Tracking("a" * 501, 1), Tracking("a", -1), Tracking("a", NUMBER_MAX + 1)])
def test_a_position_that_cannot_be_stored_is_refused(recorder, tracking):
    with pytest.raises(DataError):
        recorder.insert_events(events("b", 0), tracking=tracking)
    assert ids(recorder) == []


def test_unknown_names_have_nothing(recorder):
    """Also those that could not be stored."""
    assert [recorder.select_events(name) for name in ("a", "", LONG + "a", "\ud800", UUID(int=1))] == [[]] * 5
    assert recorder.max_tracking_id("nobody") is None


@pytest.mark.parametrize("limit", [0, -1])
def test_nothing_is_asked_for(recorder, limit):
    recorder.insert_events(events("a", 0, 3))
    assert recorder.select_events("a", limit=limit) == recorder.select_notifications(None, limit) == []


def test_names_never_meet(share):
    """Whatever characters names have, each application and each purpose has events of its own."""
    names = [("a", "b/c"), ("a/b", "c"), ("a", "b%2Fc"), ("a%2Fb", "c"), ("", "a"), ("a", ""), ("ü", "ü")]
    for number, (application, purpose) in enumerate(names):
        LmdbAggregateRecorder(share, application, purpose).insert_events(events("x", number))
    for number, (application, purpose) in enumerate(names):
        assert LmdbAggregateRecorder(share, application, purpose).select_events("x") == events("x", number)


def test_one_name_shorter_than_another(recorder):
    """Events of an originator are not mixed with those of one whose name begins like it."""
    names = ["", "a", "a\0", "ab", "a\xff", "b"]
    for name in names:
        recorder.insert_events(events(name, 0, 3))
    for name in names:
        assert recorder.select_events(name) == events(name, 0, 3)
        assert recorder.select_events(name, desc=True) == events(name, 0, 3)[::-1]


def test_too_many_names(path, monkeypatch):
    """A path is for a few applications: one too many is refused, and the others go on."""
    monkeypatch.setattr(journal.recorder_files, "DATABASES_MAX", 4)
    share = Share(path)
    first = LmdbApplicationRecorder(share, "first")
    with pytest.raises(JournalError, match="use another path"):
        LmdbApplicationRecorder(share, "second")
    assert first.insert_events(events("a", 0)) == [1]
    share.close()
    Share(path).close()


def test_a_name_that_is_too_long(share):
    with pytest.raises(DataError, match="too long"):
        LmdbApplicationRecorder(share, "n" * 600)


# ---- transactions are short


def test_reading_goes_by_pages(recorder, monkeypatch):
    """However much is asked for, and however rare the topic, no transaction reads more than a page."""
    recorder.insert_events([*events("a", 0, 20), StoredEvent("b", 0, "rare", b"")])
    monkeypatch.setattr(journal.recorder_events, "PAGE", 4)
    opened, reading = [], recorder.share.store.reading
    monkeypatch.setattr(recorder.share.store, "reading", lambda: opened.append(True) or reading())
    assert [event.id for event in recorder.select_notifications(1, 5, topics=["rare"])] == [21]
    assert len(opened) == 7
    assert recorder.select_events("a") == events("a", 0, 20)
    assert len(opened) == 7 + 6


def test_a_subscription_reads_nothing_twice(recorder, monkeypatch):
    """What a filter left out is not read again with each new event."""
    begun, read_after = [], recorder.read_after
    monkeypatch.setattr(recorder, "read_after", lambda number: begun.append(number) or read_after(number))
    with recorder.subscribe(topics=["rare"]) as subscription:
        for version in range(3):
            rare = StoredEvent("b", version, "rare", b"")
            recorder.insert_events([*events("a", version * 10, 10), rare, *events("c", version)])
            assert next(subscription).originator_version == version
    assert begun == [0, 12, 24]


# ---- who is woken


def test_an_insert_between_reading_and_waiting_is_seen(recorder, never_poll, monkeypatch):
    """Nothing falls between what a subscription found and the moment it begins to wait."""
    read_after = recorder.read_after

    def read_and_insert(number):
        page = read_after(number)
        if not page:
            recorder.insert_events(events("a", 0))
        return page

    subscription = recorder.subscribe()
    monkeypatch.setattr(recorder, "read_after", read_and_insert)
    assert soon(lambda: next(subscription))().id == 1


def test_an_insert_before_the_first_reading_is_seen(recorder, never_poll):
    """Nor between its making and its use."""
    recorder.insert_events(events("a", 0))
    subscription = recorder.subscribe(gt=1)
    recorder.insert_events(events("a", 1))
    assert soon(lambda: next(subscription))().id == 2


def test_a_waiting_subscription_is_woken(share, recorder, never_poll):
    """By an insert of another recorder of the same application, at once."""
    subscription = recorder.subscribe()
    answer = soon(lambda: next(subscription))
    LmdbApplicationRecorder(share, "app").insert_events(events("a", 0))
    assert answer().id == 1


def test_a_waiting_subscription_is_stopped(recorder, never_poll):
    """From another thread, at once; and once stopped it stays so."""
    subscription = recorder.subscribe()
    answer = soon(lambda: list(subscription))
    subscription.stop()
    assert answer() == []
    recorder.insert_events(events("a", 0))
    assert list(subscription) == []


def test_a_stop_between_reading_and_waiting(recorder, never_poll, monkeypatch):
    """A stop that comes before there is anything to wait for ends it too."""

    class StoppedWhenCleared(threading.Event):
        def clear(self):
            subscription.stop()
            super().clear()

    subscription = recorder.subscribe()
    monkeypatch.setattr(subscription, "_woken", StoppedWhenCleared())
    assert soon(lambda: list(subscription))() == []


def test_a_subscription_ends_with_its_share(share, recorder):
    """Whoever waits when the share is closed is told, and does not wait for ever."""
    answer = soon(lambda: next(recorder.subscribe()))
    share.close()
    with pytest.raises(Closed):
        answer()


def test_waiting_for_a_position(recorder, never_poll):
    """It ends with the write that is waited for."""
    answer = soon(lambda: recorder.wait("up", 5, timeout=3600))
    recorder.insert_tracking(Tracking("up", 4))
    recorder.insert_events(events("a", 0), tracking=Tracking("up", 5))
    assert answer() is None


def test_waiting_is_interrupted(recorder):
    interrupt = threading.Event()
    answer = soon(lambda: recorder.wait("up", 5, timeout=3600, interrupt=interrupt))
    interrupt.set()
    with pytest.raises(WaitInterruptedError):
        answer()
