"""A sequencer that was interrupted does nothing more, and the journal it leaves can be opened."""

import pytest

from core.machine import Machine
from core.messages import DefineCurrency
from core.rows import to_row
from core.snapshot import state_digest
from core.state import SEMANTICS
from journal.batch import BatchKind, read_header, seal
from journal.memory import MemoryJournal
from journal.order import seal_closing
from replicas.errors import BadRows, EventsDiffer, Stopped
from replicas.opening import take_over
from replicas.replay import recover
from replicas.sequencer import TIME_MAX, Sequencer

NOW = 1_000


def define(number: int, time: int = 0) -> bytes:
    """A row that defines a currency."""
    return to_row(DefineCurrency(currency=number, symbol=f"C{number}", time=time))


class Failing:
    """A machine that is interrupted in the middle of a batch."""

    def __init__(self, machine: Machine, error: BaseException) -> None:
        self.engine, self.digest = machine.engine, machine.digest
        self._error = error

    def apply(self, batch: bytes, begin: int, _end: int) -> bytes:
        """Apply one row, and no more."""
        self.engine.apply(batch, begin, begin + 128)
        raise self._error


@pytest.mark.both
@pytest.mark.parametrize("times", [(2**63 - 1, 0), (0, 2**63 - 1), (TIME_MAX + 1, 0), (0, 2**62)])
def test_times_without_room_behind_them(times: tuple[int, int]) -> None:
    """A batch is refused whole if any row brings a time that nothing could follow."""
    journal = MemoryJournal.create(Machine().rows(), semantics=SEMANTICS)
    sequencer = Sequencer(journal, Machine())
    sequencer.submit(define(1), NOW)
    with pytest.raises(BadRows, match="time"):
        sequencer.submit(define(2, times[0]) + define(3, times[1]), NOW)
    sequencer.submit(define(4), NOW)
    assert journal.head().sequence == 2
    assert recover(journal).rows() == sequencer.machine.rows()


@pytest.mark.parametrize("error", [KeyboardInterrupt(), MemoryError(), RecursionError()])
def test_an_interrupted_batch(error: BaseException) -> None:
    """After an interrupt in a batch neither a clean stop nor the next batch touches the journal; the next writer goes on."""
    journal = MemoryJournal.create(Machine().rows(), semantics=SEMANTICS)
    sequencer = Sequencer(journal, Machine())
    sequencer.submit(define(1), NOW)
    sequencer.machine = Failing(sequencer.machine, error)  # type: ignore[assignment]
    with pytest.raises(type(error)):
        sequencer.submit(define(2) + define(3), NOW)
    head = journal.head()
    for act in (sequencer.close_batch, lambda: sequencer.submit(define(4), NOW), sequencer.roll):
        with pytest.raises(Stopped):
            act()
    assert journal.head() == head
    following = take_over(journal)
    following.submit(define(4), NOW)
    assert recover(journal).rows() == following.machine.rows()


def test_a_closing_batch_that_says_something_else() -> None:
    """A new writer does not go on behind a closing batch with another event digest than its own."""
    journal = MemoryJournal.create(Machine().rows(), semantics=SEMANTICS)
    sequencer = Sequencer(journal, Machine())
    sequencer.submit(define(1), NOW)
    journal.append(
        seal_closing(journal.head(), semantics=SEMANTICS, epoch=1, time=sequencer.machine.engine.now, digest=bytes(32))
    )
    with pytest.raises(EventsDiffer):
        take_over(journal)


def test_a_malformed_quarantine_row_ends_in_a_journal_error_or_is_refused() -> None:
    """A Quarantine row with a used spare column, from a foreign writer, is applied as a refusal and breaks nothing."""
    journal = MemoryJournal.create(Machine().rows(), semantics=SEMANTICS)
    sequencer = Sequencer(journal, Machine())
    sequencer.submit(define(1), NOW)
    head, machine = journal.head(), sequencer.machine
    row = bytearray(128)
    for column, value in ((0, 11), (1, 2), (2, machine.engine.now + 1), (8, 9), (12, 7)):
        row[8 * column : 8 * column + 8] = value.to_bytes(8, "little")
    journal.append(
        seal(
            bytes(row),
            semantics=SEMANTICS,
            epoch=1,
            first=2,
            base_time=machine.engine.now + 1,
            applied=1,
            digest=machine.digest.value(),
            previous=head.hash,
        )
    )
    assert recover(journal).engine.sequence == 2
    kinds = [read_header(value).kind for value in journal.batches()]
    assert kinds.count(BatchKind.COMMANDS) == 2


@pytest.mark.both
def test_hostile_state_is_restored_exactly_or_refused() -> None:
    """State rows that no venue writes are refused with a ValueError, though their own digest fits."""
    machine = Machine()
    machine.apply(to_row(DefineCurrency(currency=1, symbol="USD", sequence=1, time=1)), 0, 128)
    rows = machine.rows()
    refused = 0
    for at in range(0, 256, 8):
        for value in (-1, 0, 2**62, 2**63 - 1):
            damaged = _with_digest(rows[:at] + value.to_bytes(8, "little", signed=True) + rows[at + 8 :])
            try:
                assert Machine.restore(damaged).rows() == damaged
            except ValueError:
                refused += 1
    assert refused > 30


def _with_digest(rows: bytes) -> bytes:
    """The rows of an engine and a currency, with the digest in their END row made to fit."""
    end = len(rows) - 128
    return rows[: end + 8] + state_digest(rows[:256]) + rows[end + 40 :]
