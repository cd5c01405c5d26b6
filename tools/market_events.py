"""Events for a journal that has none beside it, as a backup: replayed into a folder that is gone in the end."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from journal.event_store import EventStore
from replicas.replay import Watch, replay
from tools.reading import begin, opened


@contextmanager
def events_made(path: Path, folder: Path | None = None, watch: Watch | None = None) -> Iterator[Path]:
    """An event store up to the journal's present end, from the first row on that this release can replay.

    `MarketLog(path, events=...)` takes what is yielded. It stands in a temporary directory, inside `folder` if one is given,
    and takes as much room as the events do. `watch` is told the row that the replay is at, and the last one. JournalError,
    Failure, OSError.
    """
    with TemporaryDirectory(prefix="lockstep-events-", dir=folder) as name:
        made = Path(name) / "events"
        _make(path, made, watch)
        yield made


def _make(path: Path, folder: Path, watch: Watch | None) -> None:
    with opened(path) as journal:
        last = journal.head().sequence
        machine = begin(journal, last, from_zero=True).machine
        store = EventStore(folder, write=True)
        try:
            for applied in replay(journal, machine, to=last):
                store.append(applied.header.first, applied.header.last, applied.events)
                if watch is not None:
                    watch(applied.header.last, last)
        finally:
            store.close()
