"""The event store is derived: what is damaged in it is found, and it can be cut back, cleared and deleted."""

import random

import lmdb
import pytest

from journal.batch import seek_key
from journal.errors import AlreadyOpen, CorruptEvents, JournalFull, NotAJournal, NotInOrder, UnknownVersion
from journal.event_store import Events, EventStore, read_events, seal_events
from tests.conftest import seed
from tests.journal.samples import events_of


@pytest.fixture
def path(tmp_path):
    return tmp_path / "events"


@pytest.fixture
def store(path):
    made = EventStore(path, write=True)
    yield made
    made.close()


def fill(store, *lasts):
    begin = store.head()
    for last in lasts:
        store.append(begin + 1, last, events_of(begin + 1, last))
        begin = last


def test_reads_back(path, store):
    """Events come back as they were stored, from the batch that holds the command on."""
    assert (store.head(), list(store.read())) == (0, [])
    fill(store, 2, 5, 6)
    batches = [Events(1, 2, events_of(1, 2)), Events(3, 5, events_of(3, 5)), Events(6, 6, events_of(6, 6))]
    for begin, found in ((0, 0), (1, 0), (3, 1), (5, 1), (6, 2), (7, 3)):
        assert list(store.read(begin)) == batches[found:]
    store.close()
    reader = EventStore(path)
    assert (reader.head(), list(reader.read())) == (6, batches)
    reader.close()


def test_commands_without_events(store):
    """A batch whose commands had no events keeps the store dense."""
    store.append(1, 3, b"")
    fill(store, 4)
    assert [events.rows for events in store.read()] == [b"", events_of(4, 4)]


def test_empty_store_begins_anywhere(store):
    """A store that was deleted is filled again from wherever the node begins to replay."""
    store.append(101, 104, events_of(101, 104))
    assert store.head() == 104
    assert next(store.read()).first == 101


@pytest.mark.parametrize(("first", "last", "size"), [(2, 4, 128), (4, 4, 128), (3, 2, 128), (3, 4, 100)])
def test_out_of_step(store, first, last, size):
    """Events that do not follow the head, or are not whole rows, are refused, and the store goes on."""
    fill(store, 2)
    with pytest.raises(NotInOrder):
        store.append(first, last, bytes(size))
    fill(store, 3)


@pytest.mark.parametrize(("to", "head"), [(6, 6), (9, 6), (5, 5), (4, 2), (2, 2), (1, 0), (0, 0)])
def test_cut_back(store, to, head):
    """Cutting back removes whole batches, and the store goes on from its new head."""
    fill(store, 2, 5, 6)
    assert store.cut_back(to) == head == store.head()
    fill(store, head + 1)


def test_clear(store):
    """A cleared store is empty and begins anywhere."""
    fill(store, 2, 5)
    store.clear()
    assert (store.head(), list(store.read())) == (0, [])
    store.append(50, 50, events_of(50, 50))


def test_every_flipped_bit_is_found():
    """Stored events with any one bit flipped fail a check, and so does any other length."""
    value = seal_events(1, 3, events_of(1, 3))
    assert read_events(seek_key(3), value).last == 3
    for at in range(len(value)):
        for bit in range(8):
            flipped = bytearray(value)
            flipped[at] ^= 1 << bit
            with pytest.raises((CorruptEvents, UnknownVersion)):
                read_events(seek_key(3), bytes(flipped))
        with pytest.raises(CorruptEvents):
            read_events(seek_key(3), value[:at])


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (4, seal_events(1, 3, events_of(1, 3))),
        (3, seal_events(4, 3, events_of(1, 3))),
        (3, seal_events(2, 3, events_of(1, 3))),
        (3, seal_events(1, 3, events_of(2, 4))),
        (3, seal_events(1, 3, events_of(2, 3) + events_of(1, 1))),
    ],
)
def test_forged_events(key, value):
    """Events under another key, or of commands that are not theirs, are refused though their hash fits."""
    with pytest.raises(CorruptEvents):
        read_events(seek_key(key), value)


def test_missing_batch_is_found(path, store):
    """A batch that was removed is found by the one that follows it."""
    fill(store, 2, 4, 6)
    store.close()
    environment = lmdb.open(str(path), max_dbs=1, lib_version=0)
    with environment.begin(write=True, db=environment.open_db(b"events")) as txn:
        assert txn.delete(seek_key(4))
    environment.close()
    reader = EventStore(path)
    with pytest.raises(CorruptEvents, match="they follow command 2"):
        list(reader.read())
    reader.close()


def test_damaged_end_is_found_at_open_and_can_be_removed(path, store):
    """A store whose last batch is damaged is not opened; it is removed and begins anew."""
    fill(store, 2)
    store.close()
    data = (path / "data.mdb").read_bytes()
    at = data.rindex(b"LOCKEVNT") + 200
    (path / "data.mdb").write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
    with pytest.raises(CorruptEvents):
        EventStore(path, write=True)
    EventStore.remove(path)
    EventStore.remove(path)
    fresh = EventStore(path, write=True)
    assert fresh.head() == 0
    fresh.close()


def test_one_handle(path, store):
    """A process has one handle for the store."""
    with pytest.raises(AlreadyOpen):
        EventStore(path)


def test_reader_creates_nothing(path):
    """A reader of a store that is not there is refused, and makes none."""
    with pytest.raises(NotAJournal):
        EventStore(path)
    assert not path.exists()


def test_full_map_is_final(path):
    """A full store refuses everything more."""
    store = EventStore(path, write=True, map_size=200_000)
    with pytest.raises(JournalFull):
        fill(store, *range(10, 10_000, 10))
    with pytest.raises(JournalFull):
        store.head()
    store.close()


@pytest.mark.parametrize("case", range(60))
def test_what_was_cut_back_opens_again(tmp_path, case):
    """LMDB may count pages that it never wrote; a store that was cut back is no damaged one."""
    rng = random.Random(f"{seed()} {case}")
    store = EventStore(tmp_path / "events", write=True)
    for _ in range(3):
        for _ in range(rng.randint(5, 60)):
            fill(store, store.head() + rng.choice((1, 2, 9, 40)))
        store.cut_back(rng.randint(0, store.head()))
    head = store.head()
    store.close()
    again = EventStore(tmp_path / "events")
    assert again.head() == head, seed()
    again.close()
