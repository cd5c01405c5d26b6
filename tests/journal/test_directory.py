"""A journal directory: whatever interrupts a roll or a creation, what was there before is there afterwards."""

import shutil

import pytest

from journal import directory, files
from journal.chain import Chain
from journal.directory import JournalDirectory, segment_name
from journal.errors import AlreadyOpen, CorruptBatch, DiskError, Exists, Gap, JournalError, Locked, NotAJournal
from tests.journal.samples import SEMANTICS, Writer, make_venue, new_state


@pytest.fixture
def path(tmp_path):
    return tmp_path / "venue"


def opened(path, **settings):
    return JournalDirectory.create(path, new_state(), semantics=SEMANTICS, **settings)


def whole_chain(journal):
    chain = Chain()
    for value in journal.batches():
        chain.feed(value)
    return chain.head


def test_reopened(path):
    """A directory reads the same when it is opened again, across its segments, and goes on."""
    values = make_venue(path, segments=3)
    journal = JournalDirectory(path, write=True)
    assert journal.segments() == [1, 25, 49]
    assert [value for value in journal.batches() if value in values] == values
    assert whole_chain(journal) == journal.head()
    writer = Writer(journal)
    writer.write()
    assert journal.head().sequence == 76
    journal.close()


@pytest.mark.parametrize("number", [1, 4, 5, 24, 25, 26, 48, 49, 72])
def test_batches_from_any_segment(path, number):
    """Reading begins in the segment that holds the number."""
    values = make_venue(path, segments=3)
    journal = JournalDirectory(path)
    rest = [value for value in journal.batches(number) if value in values]
    assert rest == values[(number - 1) // 4 :]
    journal.close()


def test_headers_in_older_segments(path):
    """Headers are found in the segment that holds the batch, where two segments meet too."""
    make_venue(path, segments=2)
    journal = JournalDirectory(path)
    found = {n: journal.header_at(n) for n in range(50)}
    assert [n for n, header in found.items() if header] == list(range(0, 49, 4))
    assert [found[n].kind for n in (0, 24, 28)] == [2, 1, 1]
    journal.close()


def test_reader_follows_a_roll(path):
    """Iterators that began before a roll go on into the new segment."""
    journal = opened(path)
    writer = Writer(journal)
    writer.write()
    reader = journal.batches()
    kinds = [next(reader)]
    writer.write()
    journal.roll(writer.state(), semantics=2, epoch=1)
    writer.write()
    kinds += reader
    assert len(kinds) == 5
    journal.close()


def test_nothing_else_matters(path):
    """Without snapshots, events and lock files the journal is the same."""
    make_venue(path)
    journal = JournalDirectory(path)
    head = journal.head()
    journal.close()
    shutil.rmtree(path / "snapshots")
    shutil.rmtree(path / "events")
    for lock in path.rglob("lock.mdb"):
        lock.unlink()
    journal = JournalDirectory(path, write=True)
    assert journal.head() == head
    journal.close()


def test_one_writer(path):
    """A directory has one writer, and one handle in a process."""
    journal = opened(path)
    with pytest.raises(Locked):
        JournalDirectory(path, write=True)
    with pytest.raises(AlreadyOpen):
        JournalDirectory(path)
    journal.close()


def test_what_is_no_directory_of_ours(tmp_path):
    """What is missing, empty or foreign is refused, and nothing is created in it."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "letter.txt").write_text("dear")
    before = sorted(tmp_path.rglob("*"))
    for name in ("missing", "empty", "foreign"):
        for write in (False, True):
            with pytest.raises(NotAJournal):
                JournalDirectory(tmp_path / name, write=write)
    with pytest.raises(NotAJournal, match="holds other files"):
        opened(tmp_path / "foreign")
    assert sorted(tmp_path.rglob("*")) == before


def test_not_created_twice(path):
    """A journal is never created over another, nor from damaged state."""
    with pytest.raises(CorruptBatch):
        JournalDirectory.create(path, new_state()[128:], semantics=1)
    assert not path.exists()
    opened(path).close()
    with pytest.raises(Exists):
        opened(path)


def test_segment_under_another_name(path):
    """A segment that was renamed is refused."""
    opened(path).close()
    (path / "segments" / segment_name(1)).rename(path / "segments" / segment_name(2))
    with pytest.raises(Gap):
        JournalDirectory(path)


class Interruption(Exception):
    """Stands for the process dying at this point."""


class Steps:
    """Counts the steps that reach the disk, and interrupts one of them."""

    def __init__(self, monkeypatch, error):
        self.count = 0
        self.stop_at = None
        self.error = error
        self.wrap(monkeypatch, files, "sync_directory")
        self.wrap(monkeypatch, directory, "move_durably")
        self.wrap(monkeypatch, directory, "build_segment")
        self.wrap(monkeypatch, directory.Segment, "append")
        self.wrap(monkeypatch, files.Path, "rename")
        self.wrap(monkeypatch, files.Path, "mkdir")

    def wrap(self, monkeypatch, owner, name):
        original = getattr(owner, name)

        def counted(*args, **settings):
            self.step()
            result = original(*args, **settings)
            self.step()
            return result

        monkeypatch.setattr(owner, name, counted)

    def step(self):
        self.count += 1
        if self.count == self.stop_at:
            raise self.error


def roll_interrupted(path, steps, stop_at):
    journal = opened(path)
    writer = Writer(journal)
    writer.write()
    steps.count, steps.stop_at = 0, stop_at
    try:
        journal.roll(writer.state(), semantics=1, epoch=1)
    finally:
        steps.stop_at = None
        journal.close()
    return steps.count


@pytest.mark.parametrize("error", [Interruption(), OSError(5, "Input/output error")], ids=["killed", "disk"])
def test_roll_interrupted_at_every_step(tmp_path, monkeypatch, error):
    """Wherever a roll stops, the journal opens with every batch, leaves nothing behind, and rolls the next time."""
    steps = Steps(monkeypatch, error)
    total = roll_interrupted(tmp_path / "whole", steps, None)
    assert total > 8
    for stop_at in range(1, total + 1):
        path = tmp_path / str(stop_at)
        with pytest.raises((Interruption, DiskError, OSError)):
            roll_interrupted(path, steps, stop_at)
        finish(path)


def finish(path):
    reader = JournalDirectory(path)
    assert whole_chain(reader) == reader.head()
    assert reader.head().sequence == 4
    reader.close()
    journal = JournalDirectory(path, write=True)
    assert not [entry for entry in (path / "segments").iterdir() if entry.name.startswith(".")]
    writer = Writer(journal)
    writer.digest.feed(b"".join(made_events()))
    if journal.segments() == [1]:
        journal.roll(writer.state(), semantics=1, epoch=1)
    writer.write()
    assert journal.segments() == [1, 5]
    assert whole_chain(journal) == journal.head()
    journal.close()


def made_events():
    from tests.journal.samples import events_of

    return [events_of(1, 4)]


def test_failed_roll_is_final(path, monkeypatch):
    """A disk that fails within a roll ends the journal object."""
    journal = opened(path)
    writer = Writer(journal)
    writer.write()
    state = writer.state()
    monkeypatch.setattr(directory, "move_durably", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left")))
    with pytest.raises(DiskError, match="No space left"):
        journal.roll(state, semantics=1, epoch=1)
    for use in (journal.head, lambda: journal.append(b""), lambda: journal.roll(state, semantics=1, epoch=1)):
        with pytest.raises(DiskError):
            use()
    journal.close()


def test_creation_interrupted_at_every_step(tmp_path, monkeypatch):
    """Wherever a creation stops, there is no journal or a whole one, and creating goes on from there."""
    steps = Steps(monkeypatch, Interruption())
    opened(tmp_path / "whole").close()
    for stop_at in range(1, steps.count + 1):
        path = tmp_path / str(stop_at)
        steps.count, steps.stop_at = 0, stop_at
        with pytest.raises(Interruption):
            opened(path)
        steps.stop_at = None
        try:
            journal = opened(path)
        except Exists:
            journal = JournalDirectory(path, write=True)
        assert journal.state() == new_state()
        journal.close()


def test_errors_are_of_one_tree():
    """Whoever catches JournalError catches all of them."""
    from journal import errors

    named = {name for name, value in vars(errors).items() if isinstance(value, type)}
    assert all(issubclass(getattr(errors, name), JournalError) for name in named)
    listed = {line.split()[0] for line in errors.__doc__.splitlines()[2:] if line.strip()}
    assert listed == named
