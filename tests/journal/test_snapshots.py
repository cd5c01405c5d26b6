"""Snapshots are a cache: a damaged one is never served, and any of them may be missing."""

import pytest

from journal import snapshots
from journal.errors import CorruptSnapshot, UnknownVersion
from journal.files import write_durably
from journal.memory import MemoryJournal
from journal.snapshots import SNAPSHOT_HEADER_SIZE, Snapshot, load, newest, prune, snapshot_path, stored
from tests.journal.samples import SEMANTICS, Writer, new_state


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "snapshots"


@pytest.fixture
def journal():
    return MemoryJournal.create(new_state(), semantics=SEMANTICS)


@pytest.fixture
def writer(journal):
    return Writer(journal)


def take(folder, journal, writer):
    """Write a batch and a snapshot after it."""
    writer.write()
    return snapshots.write(folder, writer.state(), journal.header_at(journal.head().sequence))


def test_reads_back(folder, journal, writer):
    """A snapshot gives back the state rows and the batch they were taken after."""
    path = take(folder, journal, writer)
    header = journal.header_at(4)
    assert load(path, header) == Snapshot(4, SEMANTICS, 1, header.hash, writer.state())
    assert path.name == "00000000000000000004.snapshot"
    assert [entry.name for entry in folder.iterdir()] == [path.name]


def test_same_state_same_bytes(folder, journal, writer):
    """Two snapshots of one state are the same bytes."""
    path = take(folder, journal, writer)
    data = path.read_bytes()
    snapshots.write(folder, writer.state(), journal.header_at(4))
    assert path.read_bytes() == data


def test_closing_batch_changes_nothing(folder, journal, writer):
    """A snapshot taken after a clean stop belongs to the batch before the closing batch."""
    writer.write()
    writer.close()
    path = snapshots.write(folder, writer.state(), journal.header_at(4))
    assert newest(folder, 4, journal) == load(path, journal.header_at(4))


def test_newest_up_to(folder, journal, writer):
    """The newest snapshot at or before a number is found."""
    for _ in range(4):
        take(folder, journal, writer)
    found = [newest(folder, upto, journal) for upto in (3, 4, 7, 8, 16, 99)]
    assert [snapshot and snapshot.sequence for snapshot in found] == [None, 4, 4, 8, 16, 16]


def test_every_damaged_byte_falls_back(folder, journal, writer):
    """Whatever byte of the newest snapshot is changed, the one before it serves."""
    take(folder, journal, writer)
    path = take(folder, journal, writer)
    data = path.read_bytes()
    for at in range(len(data)):
        path.write_bytes(data[:at] + bytes([data[at] ^ 16]) + data[at + 1 :])
        assert newest(folder, 99, journal).sequence == 4
    path.write_bytes(data)
    assert newest(folder, 99, journal).sequence == 8


def test_every_truncation_falls_back(folder, journal, writer):
    """However short the newest snapshot is, the one before it serves."""
    take(folder, journal, writer)
    path = take(folder, journal, writer)
    data = path.read_bytes()
    for length in range(0, len(data), 7):
        path.write_bytes(data[:length])
        assert newest(folder, 99, journal).sequence == 4
    path.write_bytes(data + b"\0")
    assert newest(folder, 99, journal).sequence == 4


def test_forged_snapshots(folder, journal, writer):
    """A snapshot whose hash fits is held against the journal and its own rows."""
    from hashlib import sha256

    data = take(folder, journal, writer).read_bytes()
    path = snapshot_path(folder, 4)
    header = journal.header_at(4)
    for offset in (12, 16, 24, 48, SNAPSHOT_HEADER_SIZE + 8, SNAPSHOT_HEADER_SIZE + 200):
        forged = data[:offset] + b"\7" + data[offset + 1 : -32]
        path.write_bytes(forged + sha256(forged).digest())
        with pytest.raises(CorruptSnapshot):
            load(path, header)
    forged = data[:8] + b"\2" + data[9:]
    path.write_bytes(forged)
    with pytest.raises(UnknownVersion):
        load(path, header)


def test_snapshot_of_another_history(folder, journal, writer):
    """A snapshot is refused if the journal has another batch, or none, where it was taken."""
    path = take(folder, journal, writer)
    other = MemoryJournal.create(new_state(5), semantics=SEMANTICS)
    Writer(other).write()
    for header in (None, other.header_at(4)):
        with pytest.raises(CorruptSnapshot, match="no such batch"):
            load(path, header)
    assert newest(folder, 99, other) is None


def test_under_another_name(folder, journal, writer):
    """A snapshot under another number is refused."""
    path = take(folder, journal, writer)
    writer.write()
    path.rename(snapshot_path(folder, 8))
    with pytest.raises(CorruptSnapshot, match="another sequence number"):
        load(snapshot_path(folder, 8), journal.header_at(8))


def test_wrong_state_is_not_written(folder, journal, writer):
    """State rows that are damaged, or of another number, are refused before anything is written."""
    writer.write()
    for rows in (new_state(), writer.state()[:-128]):
        with pytest.raises(CorruptSnapshot):
            snapshots.write(folder, rows, journal.header_at(4))
    assert stored(folder) == []


def test_prune_keeps_three(folder, journal, writer):
    """Pruning leaves the newest, and three at least."""
    for _ in range(6):
        take(folder, journal, writer)
    assert prune(folder, keep=5) == [4]
    assert prune(folder, keep=0) == [8, 12]
    assert stored(folder) == [16, 20, 24]
    assert prune(folder) == []


def test_what_is_not_a_snapshot_is_passed_over(folder, journal, writer):
    """Files of other names are neither read nor deleted, and a missing folder holds nothing."""
    assert newest(folder, 99, journal) is None
    take(folder, journal, writer)
    (folder / ".00000000000000000009.snapshot.1.tmp").touch()
    (folder / "notes.snapshot").touch()
    snapshot_path(folder, 8).mkdir()
    assert newest(folder, 99, journal).sequence == 4
    assert prune(folder) == []
    assert (folder / "notes.snapshot").exists()


def test_interrupted_write_leaves_the_old_file(tmp_path, monkeypatch):
    """A file that cannot be synced never replaces the one before it."""
    path = tmp_path / "file"
    write_durably(path, (b"old",))
    monkeypatch.setattr("journal.files.os.fsync", lambda _: (_ for _ in ()).throw(OSError(5, "I/O")))
    with pytest.raises(OSError, match="I/O"):
        write_durably(path, (b"new",))
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
