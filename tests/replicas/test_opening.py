"""Opening a venue for writing, after a clean stop and after a crash."""

import random
from pathlib import Path

import pytest

from core.messages import DefineCurrency, Deposit, OpenAccount
from core.rows import to_row
from journal.directory import JournalDirectory
from journal.errors import Exists, Locked, NotAJournal
from journal.event_store import EventStore
from journal.verify import verify
from replicas.opening import create, mend_events, resume

SETUP = to_row(DefineCurrency(currency=1, symbol="USD", decimals=2)) + to_row(OpenAccount(account=1, firm=1, name="A"))
DEPOSIT = to_row(Deposit(account=1, currency=1, amount=5))


def session(path: Path, batches: int = 6) -> bytes:
    """A venue with some batches, stopped without a closing batch; returns all its events."""
    directory, sequencer = create(path)
    events = sequencer.submit(SETUP, 1_000)
    for batch in range(batches):
        events += sequencer.submit(DEPOSIT * (batch + 1), 2_000)
        if batch == batches // 2:
            sequencer.snapshot(directory)
    assert sequencer.events is not None
    sequencer.events.close()
    directory.close()
    return events


def stored(path: Path) -> bytes:
    """What the event store holds."""
    store = EventStore(path / "events")
    rows = b"".join(events.rows for events in store.read())
    store.close()
    return rows


def reopen(path: Path) -> None:
    """Open for writing and stop again."""
    directory, sequencer = resume(path)
    assert sequencer.events is not None
    sequencer.events.close()
    directory.close()


def test_a_venue_goes_on_where_it_stopped(tmp_path: Path) -> None:
    """A resumed venue numbers on behind its last row, and its balance includes what came before."""
    session(tmp_path / "v")
    directory, sequencer = resume(tmp_path / "v")
    sequence = sequencer.machine.engine.sequence
    sequencer.submit(DEPOSIT, 3_000)
    assert sequencer.machine.engine.sequence == sequence + 1
    account = sequencer.machine.engine.account(1)
    currency = sequencer.machine.engine.currency(1)
    assert account is not None
    assert currency is not None
    assert account.balance(currency).total == 5 * (21 + 1)
    assert sequencer.events is not None
    sequencer.events.close()
    directory.close()
    assert verify(tmp_path / "v").good


@pytest.mark.parametrize("lost", range(8))
def test_events_that_a_crash_left_behind_are_made_again(tmp_path: Path, lost: int) -> None:
    """An event store cut at any batch, or empty, is brought up to the journal with the same bytes."""
    events = session(tmp_path / "v")
    store = EventStore(tmp_path / "v" / "events", write=True)
    store.cut_back([0, 1, 2, 3, 5, 8, 17, 23][lost])
    store.close()
    reopen(tmp_path / "v")
    assert stored(tmp_path / "v") == events


def test_a_deleted_event_store_is_made_again(tmp_path: Path) -> None:
    """Deleting the event store loses nothing."""
    events = session(tmp_path / "v")
    EventStore.remove(tmp_path / "v" / "events")
    reopen(tmp_path / "v")
    assert stored(tmp_path / "v") == events


def test_a_damaged_event_store_is_made_again(tmp_path: Path) -> None:
    """A store with flipped bits in its rows is thrown away and rebuilt."""
    events = session(tmp_path / "v")
    path = tmp_path / "v" / "events" / "data.mdb"
    data = bytearray(path.read_bytes())
    at = data.find(DEPOSIT[56:72])
    assert at > 0
    data[at + 1] ^= 1
    path.write_bytes(data)
    reopen(tmp_path / "v")
    assert stored(tmp_path / "v") == events


def test_events_ahead_of_the_journal_are_cut_back(tmp_path: Path) -> None:
    """Events whose batch the journal does not hold are not told again."""
    events = session(tmp_path / "v")
    directory = JournalDirectory(tmp_path / "v", write=True)
    head = directory.head().sequence
    store = EventStore(directory.events, write=True)
    store.append(head + 1, head + 2, b"")
    store.close()
    mended = mend_events(directory)
    assert mended.head() == head
    mended.close()
    directory.close()
    assert stored(tmp_path / "v") == events


def test_opening_refuses(tmp_path: Path) -> None:
    """A missing journal, an existing one, and one that is being written are refused without changing anything."""
    with pytest.raises(NotAJournal):
        resume(tmp_path / "missing")
    assert not (tmp_path / "missing").exists()
    directory, sequencer = create(tmp_path / "v")
    with pytest.raises(Exists):
        create(tmp_path / "v")
    with pytest.raises(Locked):
        resume(tmp_path / "v")
    assert sequencer.events is not None
    sequencer.events.close()
    directory.close()


def test_snapshots_change_nothing_but_the_time_to_start(tmp_path: Path) -> None:
    """With all snapshots deleted, or a random one damaged, the same state is recovered."""
    session(tmp_path / "v")
    directory, sequencer = resume(tmp_path / "v")
    rows = sequencer.machine.rows()
    assert sequencer.events is not None
    sequencer.events.close()
    directory.close()
    for path in (tmp_path / "v" / "snapshots").iterdir():
        data = bytearray(path.read_bytes())
        data[random.Random(7).randrange(len(data))] ^= 4
        path.write_bytes(data)
    for _ in range(2):
        directory, sequencer = resume(tmp_path / "v")
        assert sequencer.machine.rows() == rows
        assert sequencer.events is not None
        sequencer.events.close()
        directory.close()
        for path in (tmp_path / "v" / "snapshots").iterdir():
            path.unlink()


def test_a_recovery_tells_how_far_it_has_come(tmp_path: Path) -> None:
    """Row by row of the batches that are applied again, and up to which row it goes."""
    session(tmp_path / "v")
    for path in (tmp_path / "v" / "snapshots").iterdir():
        path.unlink()
    told: list[tuple[int, int]] = []
    directory, sequencer = resume(tmp_path / "v", lambda row, last: told.append((row, last)))
    assert sequencer.events is not None
    sequencer.events.close()
    directory.close()
    assert [row for row, _ in told] == sorted({row for row, _ in told})
    assert {last for _, last in told} == {told[-1][0]}
    assert 0 < told[-1][0] <= directory_head(tmp_path / "v")


def directory_head(path: Path) -> int:
    """The last row of a journal."""
    directory = JournalDirectory(path)
    head = directory.head().sequence
    directory.close()
    return head
