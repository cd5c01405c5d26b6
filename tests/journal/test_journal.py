"""What every journal promises: one suite for the twin in memory, one segment, and a directory of segments."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from core.digest import EventDigest
from journal.batch import BatchKind, read_header
from journal.chain import Chain
from journal.directory import JournalDirectory
from journal.errors import Closed, CorruptBatch, Diverged, Gap, NotInOrder, WrongSemantics
from journal.journal import Head, Journal, RollingJournal
from journal.memory import MemoryJournal
from journal.segment import Segment
from tests.journal.samples import BASE, SEMANTICS, Writer, commands, lone_batch, new_state

MAKERS: dict[str, Callable[[Path], Journal]] = {
    "memory": lambda _: MemoryJournal.create(new_state(), semantics=SEMANTICS),
    "segment": lambda path: Segment.create(path / "segment", new_state(), semantics=SEMANTICS),
    "directory": lambda path: JournalDirectory.create(path / "venue", new_state(), semantics=SEMANTICS),
}


@pytest.fixture(params=MAKERS)
def journal(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Journal]:
    made = MAKERS[request.param](tmp_path)
    yield made
    made.close()


@pytest.fixture(params=["memory", "directory"])
def rolling(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RollingJournal]:
    made = MAKERS[request.param](tmp_path)
    yield made  # type: ignore[misc]
    made.close()


def test_new_journal(journal: Journal) -> None:
    """A new journal ends with its state, which reads back as it was written."""
    assert journal.state() == new_state()
    assert (journal.head().sequence, journal.first, journal.semantics) == (0, 1, SEMANTICS)
    assert not journal.closed()
    assert list(journal.batches()) == []
    assert list(journal.after(journal.head())) == []


def test_append_and_read(journal: Journal) -> None:
    """Batches read back byte for byte, and the head is the last of them."""
    writer = Writer(journal)
    values = [writer.write(count) for count in (1, 5, 2)]
    assert list(journal.batches()) == values
    header = read_header(values[-1])
    assert journal.head() == Head(1, 8, header.hash)
    assert journal.header_at(8) == header


@pytest.mark.parametrize(("number", "found"), [(-3, 0), (0, 0), (1, 0), (2, 1), (4, 1), (6, 1), (7, 2), (8, 2), (9, 3)])
def test_batches_from(journal: Journal, number: int, found: int) -> None:
    """Reading begins with the batch that contains the number."""
    writer = Writer(journal)
    values = [writer.write(count) for count in (1, 5, 2)]
    assert list(journal.batches(number)) == values[found:]


def test_batches_see_what_comes(journal: Journal) -> None:
    """An iterator goes on to batches that were appended after it began."""
    writer = Writer(journal)
    first = writer.write()
    reader = journal.batches()
    assert next(reader) == first
    second = writer.write()
    assert list(reader) == [second]


def test_header_at_batch_ends_only(journal: Journal) -> None:
    """There is a header for the ends of batches and for the state, and for no other number."""
    Writer(journal).write(3)
    found = [n for n in range(6) if journal.header_at(n) is not None]
    assert found == [0, 3]


def test_closing_batches(journal: Journal) -> None:
    """Closing batches stand in the chain in order, one for each epoch, and numbers go on behind them."""
    writer = Writer(journal)
    values = [writer.write()]
    values.append(writer.close())
    assert journal.closed()
    with pytest.raises(NotInOrder):
        writer.close()
    writer.epoch = 2
    values += [writer.close(), writer.write()]
    assert not journal.closed()
    assert list(journal.batches()) == values
    assert list(journal.batches(5)) == values[3:]
    assert journal.head()[:2] == (2, 8)
    chain = Chain(journal.head()._replace(sequence=0, hash=read_header(values[0]).previous, epoch=1))
    assert [chain.feed(value).kind for value in values] == [1, 3, 3, 1]


def test_closing_before_the_first_batch(journal: Journal) -> None:
    """A journal may be closed before it has seen a command."""
    writer = Writer(journal)
    values = [writer.close(), writer.write()]
    assert list(journal.batches()) == values
    header = journal.header_at(0)
    assert header is not None
    assert header.kind == BatchKind.STATE


def test_after_every_head(journal: Journal) -> None:
    """What follows a head is everything behind it, closing batches included."""
    writer = Writer(journal)
    heads = [journal.head()]
    values = []
    for step in (writer.write, writer.close, writer.write, writer.write):
        values.append(step())
        heads.append(journal.head())
    for number, head in enumerate(heads):
        assert list(journal.after(head)) == values[number:]


def test_after_unknown_head(journal: Journal) -> None:
    """A head past the end is a gap; another hash at a known number is another history."""
    Writer(journal).write()
    with pytest.raises(Gap, match="ends before it, at 4"):
        journal.after(Head(1, 5, bytes(32)))
    for number in (0, 2, 4):
        with pytest.raises(Diverged):
            journal.after(Head(1, number, bytes(32)))


def _refused(journal: Journal, **changes: object) -> bytes:
    right = {"first": 5, "base_time": BASE + 5, "applied": 4, "previous": journal.head().hash}
    first = changes.get("first", 5)
    return lone_batch(commands(first, 2), **(right | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"previous": bytes(32)}, NotInOrder),
        ({"first": 4}, NotInOrder),
        ({"first": 6}, NotInOrder),
        ({"epoch": 0}, NotInOrder),
        ({"semantics": 2}, WrongSemantics),
        ({"kind": BatchKind.STATE}, NotInOrder),
    ],
)
def test_out_of_step(journal: Journal, changes: dict[str, object], error: type[Exception]) -> None:
    """A batch that does not follow the head is refused, and the journal goes on."""
    writer = Writer(journal)
    first = writer.write()
    with pytest.raises(error):
        journal.append(_refused(journal, **changes))
    assert list(journal.batches()) == [first]
    second = writer.write()
    assert list(journal.batches()) == [first, second]


@pytest.mark.parametrize("value", [b"", b"x" * 500, bytes(151)])
def test_no_batch(journal: Journal, value: bytes) -> None:
    """Bytes that are no batch are refused."""
    with pytest.raises(NotInOrder):
        journal.append(value)


def test_cut_batch_refused(journal: Journal) -> None:
    """A batch without its end is refused."""
    with pytest.raises(NotInOrder):
        journal.append(Writer(journal).next()[:-1])


def test_closed_refuses(journal: Journal) -> None:
    """A closed journal refuses everything and may be closed again."""
    value = Writer(journal).next()
    journal.close()
    journal.close()
    for use in (lambda: journal.append(value), journal.head, journal.state, lambda: list(journal.batches())):
        with pytest.raises(Closed):
            use()


def test_roll(rolling: RollingJournal) -> None:
    """A roll closes the segment and begins the next in the same chain, under its own semantics."""
    writer = Writer(rolling)
    writer.write()
    rolling.roll(writer.state(), semantics=2, epoch=2)
    writer.epoch = 2
    assert (rolling.semantics, rolling.first, rolling.head().sequence) == (2, 5, 4)
    assert rolling.state() == writer.state()
    writer.write()
    chain = Chain()
    assert [chain.feed(value).kind for value in rolling.batches()] == [1, 3, 2, 1]
    assert chain.head == rolling.head()
    header = rolling.header_at(4)
    assert header is not None
    assert header.kind == BatchKind.COMMANDS


def test_after_across_segments(rolling: RollingJournal) -> None:
    """A reader finds its place by any head of the chain, on either side of a segment's end."""
    writer = Writer(rolling)
    start = rolling.head()
    for _ in range(3):
        writer.write()
        writer.close()
        rolling.roll(writer.state(), semantics=1, epoch=1)
    values = list(rolling.after(start))
    chain, heads = Chain(start), [start]
    for value in values:
        chain.feed(value)
        assert chain.head is not None
        heads.append(chain.head)
    assert heads[-1] == rolling.head()
    for number, head in enumerate(heads):
        assert list(rolling.after(head)) == values[number:]


def test_roll_needs_the_state_at_the_head(rolling: RollingJournal) -> None:
    """A roll is refused with another state, with damaged rows, and before the segment holds a batch."""
    writer = Writer(rolling)
    with pytest.raises(NotInOrder, match="holds no batch yet"):
        rolling.roll(writer.state(), semantics=1, epoch=1)
    old = writer.state()
    writer.write()
    with pytest.raises(NotInOrder):
        rolling.roll(old, semantics=1, epoch=1)
    with pytest.raises(CorruptBatch):
        rolling.roll(writer.state()[:-128], semantics=1, epoch=1)
    assert not rolling.closed()
    writer.write()


@pytest.mark.parametrize("kind", ["memory", "directory"])
def test_standby_copies_byte_for_byte(rolling: RollingJournal, kind: str, tmp_path: Path) -> None:
    """A copy fed with the sealed batches holds the same bytes, segments included."""
    start = _sealed_state(rolling)
    writer = Writer(rolling)
    writer.write()
    rolling.roll(writer.state(accounts=5000), semantics=2, epoch=1)
    writer.write()
    copy: RollingJournal = MemoryJournal(start) if kind == "memory" else JournalDirectory.adopt(tmp_path / "b", start)
    for value in rolling.after(copy.head()):
        copy.append(value)
    assert list(copy.batches()) == list(rolling.batches())
    assert (copy.head(), copy.semantics, copy.state()) == (rolling.head(), 2, rolling.state())
    copy.close()


def _sealed_state(journal: RollingJournal) -> list[bytes]:
    from journal.state import seal_state

    return seal_state(journal.state(), semantics=SEMANTICS, epoch=1, previous=bytes(32))


def test_standby_gets_a_state_twice(rolling: RollingJournal) -> None:
    """A copy that was interrupted within a segment's state begins it again; out of order it is refused."""
    writer, copy = Writer(rolling), MemoryJournal(_sealed_state(rolling))
    writer.write()
    rolling.roll(writer.state(accounts=9000), semantics=1, epoch=1)
    values = list(rolling.after(copy.head()))
    assert len(values) == 5
    for number in (0, 1, 2, 3, 2):
        copy.append(values[number])
    with pytest.raises(NotInOrder):
        copy.append(values[4])
    head = copy.head()
    copy.append(values[3])
    assert copy.head() == head
    copy.append(values[4])
    assert copy.head() == rolling.head()


def test_digest_of_state_is_in_the_chain(rolling: RollingJournal) -> None:
    """State batches carry the event digest of their state."""
    header = rolling.header_at(0)
    assert header is not None
    assert header.digest == EventDigest().value()
