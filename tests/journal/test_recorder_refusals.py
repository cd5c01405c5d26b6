"""What a recorder refuses: directories that are not its own, damage, a full map, a write within a write."""

import hashlib
import os
import shutil
from pathlib import Path

import lmdb
import pytest
from eventsourcing.application import Application
from eventsourcing.domain import Aggregate
from eventsourcing.persistence import IntegrityError, Notification, ProgrammingError, StoredEvent, Tracking

import journal.recorder_files
from journal.errors import AlreadyOpen, CorruptRecord, DiskError, JournalError, JournalFull, NotAJournal, UnknownVersion
from journal.event_store import EventStore
from journal.recorder import LmdbProcessRecorder
from journal.recorder_record import number_key, prepare, read_record, seal, text_key
from journal.recorder_store import Share
from journal.segment import Segment
from tests.journal.recorder_child import events
from tests.journal.samples import SEMANTICS, new_state

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


def content(folder: Path) -> dict[str, str]:
    """Every file below a folder with the hash of what it holds; LMDB's lock files hold nothing that lasts."""
    files = [file for file in folder.rglob("*") if file.name != "lock.mdb"]
    return {str(file): hashlib.sha256(file.read_bytes() if file.is_file() else b"").hexdigest() for file in files}


# ---- directories


def a_file(path):
    path.write_text("not a directory")


def notes(path):
    path.mkdir()
    (path / "notes.txt").write_text("mine")


def an_empty_file(path):
    path.mkdir()
    (path / "data.mdb").touch()


def noise(path):
    path.mkdir()
    (path / "data.mdb").write_bytes(b"noise" * 10_000)


def an_environment(path):
    lmdb.open(str(path), lib_version=0).close()


def an_environment_without_its_lock(path):
    an_environment(path)
    (path / "lock.mdb").unlink()


def a_segment(path):
    Segment.create(path, new_state(), semantics=SEMANTICS).close()


def an_event_store(path):
    EventStore(path, write=True).close()


def a_value_where_the_mark_should_be(path):
    environment = lmdb.open(str(path), lib_version=0)
    with environment.begin(write=True) as txn:
        txn.put(journal.recorder_files.MARK, b"x")
    environment.close()


FOREIGN = (
    a_file,
    notes,
    an_empty_file,
    noise,
    an_environment,
    an_environment_without_its_lock,
    a_segment,
    an_event_store,
    a_value_where_the_mark_should_be,
)


@pytest.mark.parametrize("create", [True, False])
@pytest.mark.parametrize("make", FOREIGN)
def test_foreign_directories_are_refused(tmp_path, path, make, create):
    """With one line, and as they were."""
    make(path)
    before = content(tmp_path)
    with pytest.raises(NotAJournal) as refused:
        Share(path, create=create)
    assert "\n" not in str(refused.value)
    assert str(path) in str(refused.value)
    assert content(tmp_path) == before


def test_missing_directories(path):
    """They are made, with their parents, unless that is not wanted."""
    with pytest.raises(NotAJournal):
        Share(path / "a", create=False)
    assert not path.exists()
    with pytest.raises(NotAJournal):
        Application(env={"PERSISTENCE_MODULE": "journal.recorder", "LMDB_PATH": str(path), "CREATE_TABLE": "no"})
    assert not path.exists()
    Share(path / "a" / "b").close()
    path.joinpath("empty").mkdir()
    Share(path / "empty").close()
    Share(path / "empty", create=False).close()


def test_where_nothing_can_be_made(path):
    """The line names the path and what the system said, and nothing is left beside it."""
    path.write_text("a file")
    with pytest.raises(DiskError, match="File exists") as refused:
        Share(path / "below" / "it")
    assert str(path) in str(refused.value)
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_a_making_that_fails_leaves_nothing(path, monkeypatch):
    """A recorder appears whole or not at all."""
    monkeypatch.setattr(journal.recorder_files, "move_durably", lambda building, _: building.rename(path / "a" / "b"))
    with pytest.raises(DiskError):
        Share(path)
    assert list(path.parent.iterdir()) == []


def test_another_version(path, monkeypatch):
    """What a later release wrote is not read by this one."""
    with monkeypatch.context() as patch:
        patch.setattr(journal.recorder_files, "VERSION", b"2")
        Share(path).close()
    with pytest.raises(UnknownVersion, match="this release reads"):
        Share(path)


def test_a_path_that_is_open_already(path):
    """By the journal's own code or by LMDB itself, in this process; afterwards it can be opened."""
    Share(path).close()
    environment = lmdb.open(str(path), lib_version=0)
    with pytest.raises(AlreadyOpen):
        Share(path)
    environment.close()
    share = Share(path)
    with pytest.raises(AlreadyOpen):
        EventStore(path, write=True)
    share.close()
    Share(path).close()


def test_a_directory_that_was_deleted_while_it_was_open(path, recorder):
    """Whoever opens the path again never finds what was deleted: an empty recorder, or that it is still open."""
    recorder.insert_events(events("a", 0))
    shutil.rmtree(path)
    try:
        again = Share(path)
    except AlreadyOpen:
        return
    assert LmdbProcessRecorder(again, "app").max_notification_id() is None
    again.close()


# ---- damage

STORED = Notification("request-1", 3, "topic", b"state", 5)
VALUE = seal(5, prepare(StoredEvent("request-1", 3, "topic", b"state")))


def test_every_flipped_bit_is_found():
    """A record with any one bit flipped fails a check, and so does any other length."""
    assert read_record(5, VALUE) == STORED
    for at in range(len(VALUE)):
        for bit in range(8):
            flipped = bytearray(VALUE)
            flipped[at] ^= 1 << bit
            with pytest.raises(CorruptRecord):
                read_record(5, bytes(flipped))
        with pytest.raises(CorruptRecord):
            read_record(5, VALUE[:at])
    with pytest.raises(CorruptRecord, match="it is record 5"):
        read_record(6, VALUE)


def forge(recorder, change):
    with recorder.writing() as txn:
        change(txn, recorder._log, recorder._index)


KEY = text_key("a")
DAMAGES = {
    "a record is another": lambda txn, log, _: txn.put(number_key(2), txn.get(number_key(1), db=log), db=log),
    "a record is missing": lambda txn, log, _: txn.delete(number_key(2), db=log),
    "a bit is flipped": lambda txn, log, _: txn.put(
        number_key(2), txn.get(number_key(2), db=log).replace(b"state", b"stats"), db=log
    ),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_damage_is_never_served(recorder, damage):
    """Whoever asks for the event or for all is told which record it is, in one line; a subscription ends with it."""
    recorder.insert_events(events("a", 0, 4))
    forge(recorder, damage)
    asked = (
        lambda: recorder.select_events("a"),
        lambda: recorder.select_events("a", gt=0, lte=1, desc=True),
        lambda: recorder.select_notifications(None, 10),
        lambda: recorder.select_notifications(2, 1),
        lambda: list(recorder.subscribe(gt=1)),
    )
    for ask in asked:
        with pytest.raises(CorruptRecord, match="record 2: ") as found:
            ask()
        assert "\n" not in str(found.value)
    assert [event.id for event in recorder.select_notifications(3, 10)] == [3, 4]


def test_an_index_that_names_another_event(recorder):
    """An aggregate is never built of what another one did."""
    recorder.insert_events([*events("a", 0, 2), *events("b", 1)])
    forge(recorder, lambda txn, _, index: txn.put(KEY + number_key(1), number_key(3), db=index))
    with pytest.raises(CorruptRecord, match="record 3: it is not the event that the index names"):
        recorder.select_events("a")


def test_a_file_that_was_cut_off(path, share, recorder):
    """It is refused when it is opened: reading past its end would kill the process."""
    recorder.insert_events(events("a", 0, 200, bytes(1000)))
    share.close()
    os.truncate(path / "data.mdb", path.joinpath("data.mdb").stat().st_size - 3 * 4096)
    with pytest.raises(CorruptRecord, match="cut off"):
        Share(path)


def test_a_file_whose_last_pages_were_freed(path):
    """LMDB does not write pages that one transaction took and freed: such a file is short, sound, and opened."""
    share = Share(path)
    recorder = LmdbProcessRecorder(share, "app")
    with recorder.writing() as txn:
        for number in range(20):
            txn.put(b"%d" % number, bytes(5_000), db=recorder._log)
        for number in range(20):
            txn.delete(b"%d" % number, db=recorder._log)
    environment = share.store._lmdb
    needed = (environment.info()["last_pgno"] + 1) * environment.stat()["psize"]
    share.close()
    assert path.joinpath("data.mdb").stat().st_size < needed
    Share(path).close()


# ---- writes that fail


def test_a_full_map_is_final_and_changes_nothing(path):
    """What was acknowledged stays, nothing of the refused insert does, and the store takes and gives no more."""
    share = Share(path, map_size=300_000)
    recorder = LmdbProcessRecorder(share, "app")
    stored = 0
    with pytest.raises(JournalFull):  # noqa: PT012
        while True:
            stored = recorder.insert_events(events("a", stored, 5, bytes(2_500)), tracking=Tracking("up", stored))[-1]
    other = Share(path)
    for use in (
        lambda: recorder.insert_events(events("b", 0)),
        lambda: recorder.select_events("a"),
        lambda: recorder.insert_tracking(Tracking("up", 10**6)),
        lambda: next(recorder.subscribe()),
        lambda: LmdbProcessRecorder(other, "app"),
    ):
        with pytest.raises(JournalFull):
            use()
    share.close()
    other.close()
    share = Share(path)
    recorder = LmdbProcessRecorder(share, "app")
    assert stored > 20
    assert len(recorder.select_events("a")) == recorder.max_notification_id() == stored
    assert recorder.max_tracking_id("up") == stored - 5
    assert recorder.insert_events(events("a", stored)) == [stored + 1]
    share.close()


def test_an_application_on_a_full_map(path):
    """It is told at the save, and its aggregates are as they were."""
    share = Share(path, map_size=300_000)
    with Application(env={"PERSISTENCE_MODULE": "journal.recorder", "LMDB_PATH": str(path)}) as app:
        saved = []
        with pytest.raises(JournalFull):  # noqa: PT012
            while True:
                aggregates = [Aggregate() for _ in range(20)]
                app.save(*aggregates)
                saved += [aggregate.id for aggregate in aggregates]
    share.close()
    with Application(env={"PERSISTENCE_MODULE": "journal.recorder", "LMDB_PATH": str(path)}) as app:
        assert [app.repository.get(name).id for name in saved] == saved
        assert app.recorder.max_notification_id() == len(saved) > 20


def test_two_who_change_one_aggregate(path):
    """The second is refused, and what it wanted is not stored."""
    with Application(env={"PERSISTENCE_MODULE": "journal.recorder", "LMDB_PATH": str(path)}) as app:
        aggregate = Aggregate()
        app.save(aggregate)
        first, second = app.repository.get(aggregate.id), app.repository.get(aggregate.id)
        first.trigger_event(Aggregate.Event)
        app.save(first)
        second.trigger_event(Aggregate.Event)
        with pytest.raises(IntegrityError):
            app.save(second, Aggregate())
        assert app.recorder.max_notification_id() == 2


def test_a_write_within_a_write(recorder):
    """It is refused instead of waiting for itself, and undoes the outer one."""
    with pytest.raises(ProgrammingError, match="a write within a write"), recorder.writing() as txn:  # noqa: PT012
        recorder.track(txn, Tracking("up", 1))
        recorder.insert_events(events("a", 0))
    assert (recorder.max_notification_id(), recorder.max_tracking_id("up")) == (None, None)
    assert recorder.insert_events(events("a", 0)) == [1]


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_an_interrupted_write_is_undone(recorder, error):
    """Nothing of it stays, and the store goes on: it keeps no head in memory that could be wrong."""
    with pytest.raises(error), recorder.writing() as txn:  # noqa: PT012
        recorder.track(txn, Tracking("up", 1))
        raise error
    assert recorder.max_tracking_id("up") is None
    recorder.insert_tracking(Tracking("up", 1))


def test_an_error_of_the_disk_is_final(recorder, monkeypatch):
    """After a sync that failed the next one may lie: whatever the error, nothing is tried again."""

    class Failing:
        def __getattr__(self, name):
            raise lmdb.DiskError("input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(recorder.share.store, "_begin", lambda environment: Failing())
        patch.setattr(Failing, "abort", lambda self: None, raising=False)
        with pytest.raises(DiskError):
            recorder.insert_events(events("a", 0))
    with pytest.raises(DiskError, match="input/output error"):
        recorder.insert_events(events("a", 0))


def test_too_many_readers(path, monkeypatch):
    """One transaction more than there are slots is refused in one line, and the others end in peace."""
    Share(path).close()
    path.joinpath("lock.mdb").unlink()
    monkeypatch.setattr(journal.recorder_files, "READERS_MAX", 2)
    share = Share(path)
    recorder = LmdbProcessRecorder(share, "app")
    recorder.insert_events(events("a", 0))
    with recorder.reading(), recorder.reading(), pytest.raises(JournalError, match="READERS_FULL"):
        recorder.max_notification_id()
    assert recorder.max_notification_id() == 1
    share.close()
