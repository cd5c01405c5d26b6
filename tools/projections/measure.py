"""How fast projections are: a journal taken from its first row into a new SQLite file, through the library, durable at the end."""

import time
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from tools.market_application import JOURNAL, Market
from tools.projections.projector import Projector
from tools.projections.registry import NAMES, fold_named
from tools.projections.sqlite import Sqlite


class Measured(NamedTuple):
    """One projection of one journal."""

    projection: str
    rows: int
    """Commands of the journal."""
    events: int
    nanoseconds: int
    """From the opened journal to the last commit; tables are made in this time, imports are not."""

    @property
    def events_per_second(self) -> int:
        """Rounded down."""
        return self.events * 10**9 // max(1, self.nanoseconds)


def measure(journal: Path, folder: Path, names: Iterable[str] = NAMES) -> list[Measured]:
    """Project a journal that nobody in this process has open, once for each name, into files on the disk of `folder`.

    The files are removed. JournalError, Failure.
    """
    return [_measure(journal, folder, name) for name in names]


def _measure(journal: Path, folder: Path, name: str) -> Measured:
    fold = fold_named(name, None)
    with (
        TemporaryDirectory(prefix="lockstep-projection-", dir=folder) as place,
        closing(Market({JOURNAL: str(journal)})) as market,
        closing(Sqlite(Path(place) / "view.sqlite")) as database,
    ):
        begun = time.perf_counter_ns()
        projector = Projector(market, journal, database, fold)
        projector.run(projector.log.max_notification_id() or 0)
        return Measured(fold.name, projector.reached, projector.projection.events, time.perf_counter_ns() - begun)
