"""An upgrade of semantics closes a segment."""

from pathlib import Path

import pytest

from core.machine import Machine
from core.messages import DefineCurrency, Upgrade
from core.rows import rows, to_row
from core.state import SEMANTICS
from journal.batch import BatchKind, read_header
from journal.directory import JournalDirectory
from journal.errors import DiskError, WrongSemantics
from journal.memory import MemoryJournal
from replicas.opening import create, resume
from replicas.replay import replay
from replicas.sequencer import Sequencer

BEFORE = to_row(DefineCurrency(currency=1, symbol="USD", decimals=2))
AFTER = to_row(DefineCurrency(currency=2, symbol="EUR", decimals=2))


def venue() -> tuple[MemoryJournal, Sequencer]:
    """An empty venue in memory."""
    machine = Machine()
    journal = MemoryJournal.create(machine.rows(), semantics=SEMANTICS)
    return journal, Sequencer(journal, machine)


def test_an_upgrade_is_the_last_row_of_its_segment() -> None:
    """The segment ends at the row, the next one names the new version, and this release applies nothing of it."""
    journal, sequencer = venue()
    sequencer.submit(BEFORE + to_row(Upgrade(version=SEMANTICS + 1)), 1_000)
    with pytest.raises(WrongSemantics):
        sequencer.submit(AFTER, 1_000)
    headers = [read_header(value) for value in journal.batches()]
    last = [header for header in headers if header.kind == BatchKind.COMMANDS][-1]
    assert (last.last, last.semantics) == (2, SEMANTICS)
    assert journal.semantics == SEMANTICS + 1
    assert headers[-1].kind == BatchKind.STATE


def test_a_replay_stops_at_a_segment_of_another_version() -> None:
    """The rows before the upgrade are applied, then the replay says which version it lacks."""
    journal, sequencer = venue()
    sequencer.submit(BEFORE + to_row(Upgrade(version=SEMANTICS + 1)), 1_000)
    machine = Machine()
    with pytest.raises(WrongSemantics, match=f"semantics {SEMANTICS + 1}"):
        list(replay(journal, machine))
    assert machine.engine.sequence == 2


def test_the_same_version_changes_nothing() -> None:
    """An Upgrade to the present version is accepted, and the segment goes on."""
    journal, sequencer = venue()
    sequencer.submit(to_row(Upgrade(version=SEMANTICS)), 1_000)
    sequencer.submit(AFTER, 1_000)
    assert journal.semantics == SEMANTICS
    assert sequencer.machine.engine.sequence == 2


def test_rows_behind_an_upgrade_are_left_out() -> None:
    """What stands before an Upgrade is answered, and nothing of what stands behind it is sealed."""
    journal, sequencer = venue()
    events = sequencer.submit(BEFORE + to_row(Upgrade(version=SEMANTICS + 1)) + AFTER, 1_000)
    assert [type(event).__name__ for event in rows(events)] == ["CurrencyDefined", "Upgraded"]
    assert journal.head().sequence == 2


def test_a_writer_that_died_before_the_roll(tmp_path: Path) -> None:
    """The next writer ends the segment behind an Upgrade that the last one had made durable."""
    directory, sequencer = create(tmp_path / "v")
    sequencer.roll_if_upgraded = lambda: None  # type: ignore[method-assign]
    sequencer.submit(BEFORE + to_row(Upgrade(version=SEMANTICS + 1)), 1_000)
    assert sequencer.events is not None
    sequencer.events.close()
    directory.close()
    directory, sequencer = resume(tmp_path / "v")
    assert directory.semantics == SEMANTICS + 1
    assert sequencer.events is not None
    sequencer.events.close()
    directory.close()


def test_another_release_goes_on_and_this_one_does_not(tmp_path: Path) -> None:
    """A venue whose last segment is another release's is refused, each time with the lock given back."""
    directory, sequencer = create(tmp_path / "v")
    sequencer.submit(BEFORE + to_row(Upgrade(version=SEMANTICS + 1)), 1_000)
    assert sequencer.events is not None
    sequencer.events.close()
    directory.close()
    for _ in range(2):
        with pytest.raises(WrongSemantics, match=f"semantics {SEMANTICS + 1}; this release applies {SEMANTICS}"):
            resume(tmp_path / "v")


def test_what_fails_while_opening_gives_everything_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the segment cannot be ended, neither the journal nor the event store stays open, and the next try succeeds."""
    directory, sequencer = create(tmp_path / "v")
    sequencer.roll_if_upgraded = lambda: None  # type: ignore[method-assign]
    sequencer.submit(BEFORE + to_row(Upgrade(version=SEMANTICS + 1)), 1_000)
    assert sequencer.events is not None
    sequencer.events.close()
    directory.close()

    def fail(*_: object, **__: object) -> None:
        raise DiskError("the disk is gone")

    with monkeypatch.context() as patch:
        patch.setattr(JournalDirectory, "roll", fail)
        with pytest.raises(DiskError):
            resume(tmp_path / "v")
    directory, sequencer = resume(tmp_path / "v")
    assert directory.semantics == SEMANTICS + 1
    assert sequencer.events is not None
    sequencer.events.close()
    directory.close()
