"""Verification finds every damage, names the first bad batch of each part, and raises nothing for it."""

import os
import shutil

import lmdb
import pytest

from core.kinds import ROW_SIZE
from journal.batch import HEADER_SIZE, read_header, seal, seek_key
from journal.directory import JournalDirectory, segment_name
from journal.errors import AlreadyOpen, NotAJournal
from journal.event_store import EventStore, seal_events
from journal.journal import Head
from journal.verify import verify
from tests.journal.samples import Writer, events_of, make_venue


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    path = tmp_path_factory.mktemp("made") / "venue"
    return path, make_venue(path, segments=3, batches=5)


@pytest.fixture
def venue(made, tmp_path):
    shutil.copytree(made[0], tmp_path / "venue")
    return tmp_path / "venue"


@pytest.fixture
def values(made):
    return made[1]


def damages(report):
    return {part.name: part.damage for part in report.parts if part.damage}


def data_of(venue, first):
    return venue / "segments" / segment_name(first) / "data.mdb"


def flip(path, part):
    """Flip one bit in the middle of these bytes wherever they stand: LMDB leaves old copies of pages in the file."""
    data, middle = path.read_bytes(), len(part) // 2
    assert part in data
    path.write_bytes(data.replace(part, part[:middle] + bytes([part[middle] ^ 4]) + part[middle + 1 :]))


def entries(folder, database, change):
    environment = lmdb.open(str(folder), max_dbs=2, lib_version=0)
    with environment.begin(write=True, db=environment.open_db(database)) as txn:
        change(txn)
    environment.close()


def test_good_journal(venue, values):
    """A good journal is good in every part, and everything in it is counted."""
    said = []
    report = verify(venue, progress=lambda name, batches: said.append((name, batches)))
    assert report.good, str(report)
    assert (report.segments, report.snapshots) == (3, 15)
    assert report.batches == 3 * 5 + 3 + 3
    assert report.head[1] == 60
    assert report.first_damage is None
    assert [part.name for part in report.parts][:3] == [f"segment {segment_name(n)}" for n in (1, 21, 41)]
    assert report.parts[-1][:3] == ("event store", 15, 60)
    assert said[-1] == ("event store", 15)
    assert report.rows > 60
    assert report.bytes > sum(map(len, values))


@pytest.mark.parametrize(
    ("number", "segment", "named"), [(0, 1, "1-4"), (2, 1, "9-12"), (5, 21, "21-24"), (13, 41, "53-56")]
)
def test_names_the_first_bad_batch(venue, values, number, segment, named):
    """The first bad batch of a segment is named; segments before it are good."""
    flip(data_of(venue, segment), values[number][HEADER_SIZE:])
    report = verify(venue)
    first, last = named.split("-")
    assert report.first_damage.startswith(f"segment {segment_name(segment)}: batch ending at {last}: its hash"), first
    assert report.head[1] >= number * 4 or segment < 41
    assert not any(name < f"segment {segment_name(segment)}" for name in damages(report) if name.startswith("segment"))


def test_first_of_several_bad_batches_is_named(venue, values):
    """Of several bad batches the first is named, though the last one is bad too."""
    for number in (14, 12, 13):
        flip(data_of(venue, 41), values[number][HEADER_SIZE:])
    assert "batch ending at 52: its hash" in verify(venue).first_damage


def test_damage_in_two_segments(venue, values):
    """Damage in one segment does not hide that of another."""
    flip(data_of(venue, 1), values[1][HEADER_SIZE:])
    flip(data_of(venue, 41), values[11][HEADER_SIZE:])
    found = damages(verify(venue))
    assert {f"segment {segment_name(1)}", f"segment {segment_name(41)}"} <= {*found}
    assert f"segment {segment_name(21)}" not in found


def test_every_batch_removed_is_found(venue, values):
    """A removed batch of commands is a gap, named by the one that follows it."""
    entries(data_of(venue, 21).parent, b"batches", lambda txn: txn.delete(seek_key(28)))
    assert verify(venue).first_damage == f"segment {segment_name(21)}: batch 29-32: it follows sequence number 24"


def test_removed_closing_batch_is_found(venue):
    """A closing batch is a link of the chain like any other."""

    def change(txn):
        keys = [key for key, _ in txn.cursor() if len(key) == 16]
        assert [txn.delete(key) for key in keys] == [True]

    entries(data_of(venue, 1).parent, b"batches", change)
    assert f"segment {segment_name(21)}: state batch at 20" in verify(venue).first_damage


def test_rewritten_batch_is_found(venue, values):
    """A batch written anew with all its own hashes right is found by its successor."""
    header = read_header(values[1])
    rows = values[1][HEADER_SIZE:]
    forged = seal(
        rows[: 9 * 8] + b"\7" + rows[9 * 8 + 1 :],
        semantics=header.semantics, epoch=header.epoch, first=header.first, base_time=header.base_time,
        applied=header.applied, digest=header.digest, previous=header.previous,
    )  # fmt: skip
    entries(data_of(venue, 1).parent, b"batches", lambda txn: txn.put(seek_key(8), forged))
    assert verify(venue).first_damage.startswith(f"segment {segment_name(1)}: batch 9-12: its previous hash")


def test_batch_under_another_key(venue, values):
    """A batch that stands under another key is named by that key."""

    def change(txn):
        txn.delete(seek_key(8))
        txn.put(seek_key(7), values[1])

    entries(data_of(venue, 1).parent, b"batches", change)
    assert "it stands under another key" in verify(venue).first_damage


def test_damaged_state_is_found(venue):
    """A segment whose state is damaged is named."""
    data = data_of(venue, 21).read_bytes()
    at = data.index(b"A1\0\0\0\0")
    data_of(venue, 21).write_bytes(data[:at] + b"B" + data[at + 1 :])
    assert segment_name(21) in verify(venue).first_damage


def test_missing_segment_is_a_gap(venue):
    """A segment that is gone is found where the next begins."""
    shutil.rmtree(data_of(venue, 21).parent)
    assert verify(venue).first_damage == f"segment {segment_name(41)}: state batch at 40: it follows sequence number 20"


@pytest.mark.parametrize("size", [0, 100, 4096, 8192, 0.5, 0.9])
def test_cut_file_is_found(venue, size):
    """A data file cut off anywhere is reported, and never mapped."""
    path = data_of(venue, 21)
    os.truncate(path, int(path.stat().st_size * size) if isinstance(size, float) else size)
    assert segment_name(21) in verify(venue).first_damage


def test_no_flipped_byte_of_the_file_is_served(venue, values):
    """Wherever a byte of a data file is changed, the journal is reported damaged or holds what it held before."""
    path = data_of(venue, 41)
    data = path.read_bytes()
    good = verify(venue)
    for at in range(0, len(data), 1499):
        path.write_bytes(data[:at] + bytes([data[at] ^ 255]) + data[at + 1 :])
        report = verify(venue)
        assert not report.good or report[:2] == good[:2], at
        path.with_name("lock.mdb").unlink(missing_ok=True)


def test_outside_head(venue, values):
    """A head kept outside tells a journal that is whole from one that was cut off or rewritten."""
    head = verify(venue).head
    assert verify(venue, head=head).good
    assert verify(venue, head=Head(1, 8, read_header(values[1]).hash)).good
    cut = verify(venue, head=Head(1, 64, bytes(32)))
    assert cut.first_damage == "outside head: head at 64: the journal ends before it, at 60"
    other = verify(venue, head=Head(1, 8, bytes(32)))
    assert other.first_damage == "outside head: head at 8: the journal has another batch there"


def test_cut_journal_is_found_by_the_head(venue):
    """Batches cut off at the end leave a chain that holds; only the head kept outside tells."""
    head = verify(venue).head
    entries(data_of(venue, 41).parent, b"batches", lambda txn: [txn.delete(k) for k, _ in [*txn.cursor()][-2:]])
    shutil.rmtree(venue / "events")
    shutil.rmtree(venue / "snapshots")
    assert verify(venue).good
    assert damages(verify(venue, head=head)) == {"outside head": "head at 60: the journal ends before it, at 56"}


def test_damaged_snapshot_is_found(venue):
    """A damaged snapshot is named, and the journal is good all the same."""
    path = venue / "snapshots" / "00000000000000000024.snapshot"
    path.write_bytes(path.read_bytes()[:-1])
    (venue / "snapshots" / "00000000000000000025.snapshot").write_bytes(b"")
    assert {*damages(verify(venue))} == {"snapshot 24", "snapshot 25"}


def test_damaged_events_are_found(venue):
    """Damaged events are named by their batch."""
    flip(venue / "events" / "data.mdb", events_of(21, 24))
    assert damages(verify(venue)) == {"event store": "events ending at 24: their hash is not that of their bytes"}


def other_events(first, last):
    rows = events_of(first, last)
    return rows[:72] + b"\7" + rows[73:]


def test_other_events_are_found_by_the_digest(venue):
    """Events that are whole but not those of the journal fail its running digest."""
    change = seal_events(21, 24, other_events(21, 24))
    entries(venue / "events", b"events", lambda txn: txn.put(seek_key(24), change))
    found = damages(verify(venue))
    assert found == {"event store": "events up to 24: their digest is not the one in batch 25-28"}


def test_other_last_events_are_found_by_the_closing_batch(venue):
    """The closing batch covers the events of the last rows too."""
    change = seal_events(57, 60, other_events(57, 60))
    entries(venue / "events", b"events", lambda txn: txn.put(seek_key(60), change))
    found = damages(verify(venue))
    assert found == {"event store": "events up to 60: their digest is not the one in closing batch at 60"}


def test_store_that_begins_late_or_ends_early(venue):
    """A store that was cut back, or filled again from within a segment, is good as far as it goes."""
    store = EventStore(venue / "events", write=True)
    store.cut_back(50)
    store.close()
    report = verify(venue)
    assert report.good
    entries(venue / "events", b"events", lambda txn: [txn.delete(seek_key(n)) for n in (4, 8, 12)])
    report = verify(venue)
    assert report.good
    assert report.parts[-1].rows == 48 - 12
    change = seal_events(21, 24, other_events(21, 24))
    entries(venue / "events", b"events", lambda txn: txn.put(seek_key(24), change))
    assert "batch 25-28" in verify(venue).first_damage


def test_events_past_the_journal_are_found(venue):
    """Events of commands that the journal does not hold are reported."""
    store = EventStore(venue / "events", write=True)
    store.append(61, 64, events_of(61, 64))
    store.close()
    assert damages(verify(venue)) == {"event store": "events ending at 64: the journal ends at 60"}


def test_applied_within_a_batch(tmp_path):
    """Where a quarantine made `applied` fall inside a batch, only the events up to it are compared."""
    path = tmp_path / "venue"
    make_venue(path, segments=1, batches=2)
    journal = JournalDirectory(path, write=True)
    store = EventStore(journal.events, write=True)
    writer = Writer(journal, store)
    writer.digest.feed(events_of(1, 8))
    writer.write(4)
    early = Writer(journal)
    early.digest.feed(events_of(1, 10))
    value = early.next(4)
    header = read_header(value)
    journal.append(
        seal(
            value[HEADER_SIZE:], semantics=1, epoch=1, first=13, base_time=header.base_time, applied=10,
            digest=early.digest.value(), previous=header.previous,
        )
    )  # fmt: skip
    journal.close()
    store.close()
    assert verify(path).good, str(verify(path))


def test_foreign_directory(tmp_path):
    """A directory that is not ours is the caller's mistake."""
    for path in (tmp_path, tmp_path / "missing"):
        with pytest.raises(NotAJournal):
            verify(path)


def test_open_in_this_process(venue):
    """Verifying what this process has open is the caller's mistake too."""
    journal = JournalDirectory(venue)
    with pytest.raises(AlreadyOpen):
        verify(venue)
    journal.close()


def test_size_of_rows():
    """The samples are whole rows."""
    assert len(events_of(1, 3)) == 3 * ROW_SIZE
