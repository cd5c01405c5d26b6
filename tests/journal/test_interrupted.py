"""A write that is interrupted, and a verification beside a writer that goes on."""

from pathlib import Path

import pytest

import journal.environment
from core.messages import DefineCurrency
from core.rows import to_row
from journal.directory import EVENTS
from journal.errors import DiskError
from journal.event_store import EventStore
from journal.verify import verify
from replicas.opening import create, resume

ROW = to_row(DefineCurrency(currency=1, symbol="USD"))


def test_an_interrupt_as_the_commit_returns_is_final(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A journal interrupted behind its commit stores nothing more, and the next writer goes on behind what was stored."""
    directory, sequencer = create(tmp_path / "v")
    sequencer.submit(ROW, 1_000)
    writing = journal.environment._writing

    class Interrupted:
        def __init__(self, path: Path) -> None:
            self._inner = writing(path)

        def __enter__(self) -> None:
            self._inner.__enter__()

        def __exit__(self, *error: object) -> None:
            self._inner.__exit__(*error)  # type: ignore[arg-type]
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(journal.environment, "_writing", Interrupted)
        with pytest.raises(KeyboardInterrupt):
            sequencer.submit(ROW, 2_000)
    with pytest.raises(DiskError):
        directory.head()
    assert sequencer.events is not None
    sequencer.events.close()
    directory.close()
    directory, sequencer = resume(tmp_path / "v")
    assert sequencer.machine.engine.sequence == 2
    sequencer.submit(ROW, 3_000)
    assert sequencer.events is not None
    sequencer.events.close()
    directory.close()
    assert verify(tmp_path / "v").good


@pytest.mark.parametrize("stored", [1, 0])
def test_events_of_a_batch_written_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stored: int) -> None:
    """Events behind the batches that were walked are sound if the journal holds their batch by now, else damage."""
    directory, sequencer = create(tmp_path / "v")
    sequencer.submit(ROW, 1_000)
    sequencer.close_batch()
    assert sequencer.events is not None
    sequencer.events.close()
    directory.close()
    began = []
    init = EventStore.__init__

    def late(self: EventStore, path: Path, **options: bool) -> None:
        if not began and path.name == EVENTS and not options.get("write"):
            began.append(True)
            directory, sequencer = resume(tmp_path / "v")
            if stored:
                sequencer.submit(ROW, 2_000)
            assert sequencer.events is not None
            if not stored:
                sequencer.events.append(2, 2, b"")
            sequencer.events.close()
            directory.close()
        init(self, path, **options)

    monkeypatch.setattr(EventStore, "__init__", late)
    assert verify(tmp_path / "v").good == bool(stored)
