"""The LMDB segment: one test for each way in which LMDB, the disk or another process can mislead it."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import lmdb
import pytest

from journal import environment
from journal.batch import HEADER_SIZE, key_of, read_header
from journal.chain import Chain
from journal.errors import (
    AlreadyOpen,
    CorruptBatch,
    DiskError,
    Exists,
    Forked,
    JournalFull,
    Locked,
    NotAJournal,
    NotInOrder,
)
from journal.segment import BATCHES, Segment
from tests.journal.samples import SEMANTICS, Writer, new_state
from tests.paths import HERE


@pytest.fixture
def path(tmp_path):
    return tmp_path / "segment"


@pytest.fixture
def segment(path):
    made = Segment.create(path, new_state(), semantics=SEMANTICS)
    yield made
    made.close()


def child(what: str, path: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.journal.child", what, str(path)]
    return subprocess.Popen(command, cwd=HERE, stdout=subprocess.PIPE, text=True)


def verified(path: Path) -> list[bytes]:
    """All batches of a segment that nobody has open, with the chain checked."""
    segment = Segment(path)
    chain = Chain()
    for value in segment.state_batches():
        chain.feed(value)
    values = []
    for key, value in segment.entries():
        chain.feed(value, key)
        values.append(value)
    assert chain.head == segment.head()
    segment.close()
    return values


def test_reopened_segment_goes_on(path, segment):
    """A closed segment reads the same when it is opened again, and goes on."""
    writer = Writer(segment)
    values = [writer.write(), writer.close()]
    segment.close()
    writer.journal = Segment(path, write=True)
    assert writer.journal.closed()
    values.append(writer.write())
    writer.journal.close()
    assert verified(path) == values


# What LMDB does silently.


def test_append_behind_the_end_is_refused(path, segment):
    """`put(append=True)` answers False when another batch stands there already: the journal is dead then."""
    writer = Writer(segment)
    writer.write()
    ahead = writer.next(2)
    with segment._environment._lmdb.begin(write=True, db=segment._environment._databases[BATCHES]) as txn:
        txn.put(key_of(read_header(ahead)), ahead)
    with pytest.raises(NotInOrder, match="written by somebody else"):
        segment.append(writer.next(2))
    with pytest.raises(NotInOrder, match="written by somebody else"):
        segment.head()


def test_values_are_copies(path, segment):
    """A value stays what it was after the transaction, later writes, and the end of the environment."""
    writer = Writer(segment)
    first = writer.write()
    reader = segment.batches()
    read = next(reader)
    for _ in range(50):
        writer.write()
    segment.close()
    assert type(read) is bytes
    assert read == first


def test_keys_are_of_fixed_size(path, segment):
    """Keys are 8 bytes for commands and 16 for closing batches, big-endian; `integerkey` is not used."""
    writer = Writer(segment)
    writer.write(300)
    writer.close()
    keys = [key for key, _ in segment.entries()]
    assert keys == [(300).to_bytes(8, "big"), (300).to_bytes(8, "big") + (1).to_bytes(8, "big")]
    with segment._environment._lmdb.begin() as txn:
        assert not any(segment._environment._databases[BATCHES].flags(txn).values())


def test_format_is_named(path, monkeypatch):
    """The file is in the format of LMDB 0.9 whatever the default of the process, and its settings are the safe ones."""
    monkeypatch.setenv("LMDB_DEFAULT_LIB_VERSION", "1")
    calls = []
    original = lmdb.open

    def spy(*args, **settings):
        calls.append(settings)
        return original(*args, **settings)

    monkeypatch.setattr(environment.lmdb, "open", spy)
    Segment.create(path, new_state(), semantics=SEMANTICS).close()
    assert all(call["lib_version"] == 0 and call["sync"] for call in calls)
    assert not any({"writemap", "map_async", "metasync"} & {*call} for call in calls)
    assert (path / "data.mdb").read_bytes()[16:24] == (0xBEEFC0DE).to_bytes(4, "little") + (1).to_bytes(4, "little")


def test_head_beside_a_writing_process(path, segment):
    """A reader beside a writing process sees every batch that was acknowledged, and never less."""
    segment.close()
    process = child("write", path)
    reader = None
    try:
        assert process.stdout is not None
        for number in range(30):
            acknowledged, digest = process.stdout.readline().split()
            reader = reader or Segment(path)
            head = reader.head()
            assert head.sequence >= int(acknowledged)
            assert read_header(next(reader.batches(int(acknowledged)))).hash.hex() == digest, number
    finally:
        process.kill()
        process.wait()
        if reader is not None:
            reader.close()


def test_tail_misses_nothing(path, segment):
    """A reader that polls behind its own position gets every batch of a writing process, in order."""
    start = segment.head()
    segment.close()
    process = child("write", path)
    assert process.stdout is not None
    process.stdout.readline()
    reader, chain = Segment(path), Chain(start)
    deadline = time.monotonic() + 10
    while chain.head.sequence < 150 and time.monotonic() < deadline:
        for value in reader.after(chain.head):
            chain.feed(value)
    process.kill()
    process.wait()
    for value in reader.after(chain.head):
        chain.feed(value)
    assert chain.head == reader.head()
    assert chain.head.sequence >= 150
    reader.close()


def growth(segment: Segment, writer: Writer) -> int:
    before = segment.used_bytes()
    for _ in range(40):
        writer.write(1)
    return segment.used_bytes() - before


def test_dead_reader_is_freed(path, segment):
    """A killed reader makes the file grow with every commit until its slot is freed."""
    writer = Writer(segment)
    growth(segment, writer)
    process = child("hold", path)
    assert process.stdout is not None
    assert process.stdout.readline() == "holding\n"
    process.kill()
    process.wait()
    bloated = growth(segment, writer)
    assert segment.reader_check() == 1
    growth(segment, writer)
    assert growth(segment, writer) < bloated / 2
    assert segment.reader_check() == 0


def test_opening_frees_dead_readers(path, segment):
    """Opening a segment frees the slots of readers that died."""
    process = child("hold", path)
    assert process.stdout is not None
    process.stdout.readline()
    process.kill()
    process.wait()
    segment.close()
    again = Segment(path, write=True)
    assert again.reader_check() == 0
    again.close()


# One writer, one handle.


def test_second_open_in_the_process(path, segment):
    """A process has one handle for a segment, whatever the path it is given."""
    for write in (False, True):
        with pytest.raises(AlreadyOpen, match="already open in this process"):
            Segment(path / ".." / path.name, write=write)
    segment.close()
    Segment(path).close()


def test_second_writer_in_another_process(path, segment):
    """A second writing process is refused, and let in once the first has closed."""
    process = child("lock", path)
    assert process.communicate(timeout=20)[0] == "Locked\n"
    segment.close()
    process = child("lock", path)
    assert process.communicate(timeout=20)[0] == "opened\n"


def test_lock_ends_with_its_holder(path, segment):
    """The lock of a killed writer is free at once."""
    segment.close()
    process = child("write", path)
    assert process.stdout is not None
    process.stdout.readline()
    with pytest.raises(Locked):
        Segment(path, write=True)
    process.kill()
    process.wait()
    Segment(path, write=True).close()


def in_a_fork(use) -> str:
    """The name of the error that `use` raises in a forked child."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            use()
            os.write(write, b"none")
        except BaseException as error:  # noqa: BLE001
            os.write(write, type(error).__name__.encode())
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    os.close(write)
    with os.fdopen(read) as file:
        return file.read()


@pytest.mark.skipif(threading.active_count() > 1, reason="fork with threads")
def test_fork_is_refused(path, segment):
    """A forked child can neither read, write nor open the segment anew, and closing touches nothing."""
    writer = Writer(segment)
    value = writer.next()
    for use in (segment.head, segment.state, lambda: segment.append(value), lambda: list(segment.batches())):
        assert in_a_fork(use) == Forked.__name__
    assert in_a_fork(lambda: Segment(path)) == AlreadyOpen.__name__
    assert in_a_fork(segment.close) == "none"
    writer.write()
    assert segment.head().sequence == 4


def test_reader_refuses_to_write(path, segment):
    """A segment opened for reading refuses to append, and goes on reading."""
    value = Writer(segment).next()
    segment.close()
    reader = Segment(path)
    with pytest.raises(NotInOrder, match="opened for reading"):
        reader.append(value)
    assert reader.head().sequence == 0
    reader.close()


# Full and failing disks.


def write_many(writer: Writer) -> None:
    for _ in range(100):
        writer.write(20)


def test_full_map_is_final(path):
    """Once the map is full the journal refuses everything, and nothing acknowledged is lost."""
    segment = Segment.create(path, new_state(), semantics=SEMANTICS, map_size=300_000)
    writer = Writer(segment)
    with pytest.raises(JournalFull):
        write_many(writer)
    for use in (lambda: segment.append(b""), segment.head, lambda: list(segment.batches()), segment.used_bytes):
        with pytest.raises(JournalFull):
            use()
    segment.close()
    assert verified(path) == writer.sealed
    assert len(writer.sealed) > 20


class FailingTransaction:
    """A write transaction whose commit fails, as it does when a sync reports an error."""

    def __init__(self, txn):
        self.txn = txn

    def __enter__(self):
        return self.txn

    def __exit__(self, *_):
        self.txn.abort()
        raise lmdb.DiskError("mdb_txn_commit: Input/output error")


class FailingDisk:
    def __init__(self, real):
        self.real = real

    def begin(self, *, write=False, db=None):
        return FailingTransaction(self.real.begin(write=True, db=db)) if write else self.real.begin(db=db)

    def __getattr__(self, name):
        return getattr(self.real, name)


def test_failed_sync_is_final(path, segment):
    """After a failed commit nothing is tried again: not even when the disk answers once more."""
    writer = Writer(segment)
    writer.write()
    value, real = writer.next(), segment._environment._lmdb
    segment._environment._lmdb = FailingDisk(real)
    with pytest.raises(DiskError, match="Input/output error"):
        segment.append(value)
    segment._environment._lmdb = real
    for use in (lambda: segment.append(value), segment.head):
        with pytest.raises(DiskError, match="Input/output error"):
            use()
    segment.close()
    assert verified(path) == writer.sealed


def test_disk_that_refuses_to_grow(path, segment):
    """When the file cannot grow the error is final, and every acknowledged batch is there afterwards."""
    segment.close()
    said = child("limit", path).communicate(timeout=30)[0].splitlines()
    assert said[-2:] == ["DiskError", "again DiskError"]
    assert read_header(verified(path)[-1]).last == int(said[-3])


@pytest.mark.both
def test_killed_writer_loses_nothing(path, segment):
    """Every batch that a writer had acknowledged when it was killed is in the segment, at the same hash."""
    segment.close()
    for _ in range(15):
        process = child("write", path)
        assert process.stdout is not None
        lines = [process.stdout.readline()]
        time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        lines += process.stdout.readlines()
        process.wait()
        sequence, digest = next(line for line in reversed(lines) if line.endswith("\n")).split()
        hashes = {read_header(value).last: read_header(value).hash.hex() for value in verified(path)}
        assert hashes[int(sequence)] == digest


# What is no journal.


def test_not_a_journal(tmp_path):
    """What is missing, empty or foreign is refused in one line, and nothing is created."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "data.mdb").write_bytes(b"x" * 10_000)
    (tmp_path / "nothing").mkdir()
    (tmp_path / "nothing" / "data.mdb").touch()
    lmdb.open(str(tmp_path / "foreign"), lib_version=0).close()
    (tmp_path / "foreign" / "lock.mdb").unlink()
    before = sorted(tmp_path.rglob("*"))
    for name in ("missing", "empty", "text", "nothing", "foreign"):
        for write in (False, True):
            with pytest.raises(NotAJournal) as caught:
                Segment(tmp_path / name, write=write)
            assert "\n" not in str(caught.value)
    assert sorted(tmp_path.rglob("*")) == before


def test_other_engine_is_not_a_journal(tmp_path):
    """A file in the format of LMDB 1.0 is refused."""
    lmdb.open(str(tmp_path / "one"), lib_version=1).close()
    with pytest.raises(NotAJournal):
        Segment(tmp_path / "one")


def test_segment_without_state(path, segment):
    """A segment whose state is not complete is no journal."""
    with segment._environment._lmdb.begin(write=True) as txn:
        txn.drop(segment._environment._databases[b"state"], delete=False)
    segment.close()
    with pytest.raises(NotAJournal, match="without its state"):
        Segment(path)


def test_segment_is_not_made_twice(path, segment):
    """A segment is never created over another."""
    segment.close()
    with pytest.raises(Exists):
        Segment.create(path, new_state(), semantics=SEMANTICS)


def test_cut_file_is_refused(path, segment):
    """A file shorter than its pages is refused; reading it would kill the process."""
    writer = Writer(segment)
    for _ in range(10):
        writer.write(200)
    segment.close()
    os.truncate(path / "data.mdb", (path / "data.mdb").stat().st_size // 2)
    with pytest.raises(CorruptBatch, match="cut off"):
        Segment(path)


def test_damaged_last_batch_is_refused_at_open(path, segment):
    """A segment whose last batch is damaged is not opened, so that nothing is written behind it."""
    value = Writer(segment).write()
    segment.close()
    damage(path, value[HEADER_SIZE:])
    for write in (False, True):
        with pytest.raises(CorruptBatch, match="batch ending at 4: its hash"):
            Segment(path, write=write)


def damage(path: Path, part: bytes) -> None:
    """Flip a bit in the middle of these bytes in the file."""
    data = bytearray((path / "data.mdb").read_bytes())
    at = data.rindex(part[: len(part) // 2]) + len(part) // 2
    data[at] ^= 1
    (path / "data.mdb").write_bytes(data)
