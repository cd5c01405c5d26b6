"""The tables of one projection in a database, with the position in the journal that they stand at.

Rows and position are written in one transaction: after whatever kill the tables hold the events up to the position, each
once. The position is the last row of a journal batch and that batch's hash, which no other journal has, and all replicas.
"""

from collections.abc import Iterable
from typing import Final, NamedTuple

from eventsourcing.persistence import IntegrityError, Tracking, TrackingRecorder

from tools.failures import Failure
from tools.projections.database import Database
from tools.projections.tables import Fold, Table, Type, Values, table

VIEWS: Final = table("lockstep_views", 1, projection=Type.TEXT, layout=Type.INTEGER)
TRACKING: Final = table(
    "lockstep_tracking", 2,
    projection=Type.TEXT, application=Type.TEXT, notification_id=Type.INTEGER, batch_hash=Type.TEXT,
)  # fmt: skip


class Reached(NamedTuple):
    """The last row that the tables know of, and the hash of its batch."""

    sequence: int
    hash: str


class View(TrackingRecorder):
    """What the library's projections write to and read their position from."""

    def __init__(self, database: Database, fold: Fold, application: str) -> None:
        """Find the tables of the fold or make them, and load it. Failure, also for another layout than the fold's."""
        self.database = database
        self._name = fold.name
        self._application = application
        with database.transaction():
            self._prepare(fold)
            database.lock(self._name)
            self.reached = self._reached()
            fold.load(database.select)

    def _prepare(self, fold: Fold) -> None:
        for books in (VIEWS, TRACKING):
            if not self.database.has(books.name):
                self.database.create(books)
        found = self.database.query("SELECT layout FROM lockstep_views WHERE projection = ?", self._name)
        if found and found[0][0] != fold.layout:
            told = f"{self._name} has layout {found[0][0]}, this release writes layout {fold.layout}"
            raise Failure(f"{self.database.title}: {told}: project into another database")
        if not found:
            self._create(fold)

    def _create(self, fold: Fold) -> None:
        for made in fold.tables:
            self.database.create(made)
        for name, query in fold.views:
            self.database.execute(f"CREATE VIEW {name} AS {query}")
        self.database.write(VIEWS, [(self._name, fold.layout)])

    def _reached(self) -> Reached | None:
        found = self.database.query(
            "SELECT notification_id, batch_hash FROM lockstep_tracking WHERE projection = ? AND application = ?",
            self._name,
            self._application,
        )
        return Reached(*found[0]) if found else None

    def write(self, changes: Iterable[tuple[Table, list[Values]]], tracking: Tracking, batch_hash: str) -> None:
        """Rows and position in one transaction. Failure if somebody else has moved the projection meanwhile."""
        with self.database.transaction():
            self.database.lock(self._name)
            if self._reached() != self.reached:
                raise Failure(f"{self.database.title}: another process writes {self._name}")
            for changed, rows in changes:
                if rows:
                    self.database.write(changed, rows)
            self._track(tracking, batch_hash)
        self.reached = Reached(tracking.notification_id, batch_hash)

    def insert_tracking(self, tracking: Tracking) -> None:
        """Move the position alone. IntegrityError unless it goes forward."""
        with self.database.transaction():
            self._track(tracking, "")

    def _track(self, tracking: Tracking, batch_hash: str) -> None:
        moved = self.database.execute(
            "INSERT INTO lockstep_tracking VALUES (?, ?, ?, ?) ON CONFLICT (projection, application) DO UPDATE "
            "SET notification_id = excluded.notification_id, batch_hash = excluded.batch_hash "
            "WHERE lockstep_tracking.notification_id < excluded.notification_id",
            self._name,
            tracking.application_name,
            tracking.notification_id,
            batch_hash,
        )
        if moved != 1:
            raise IntegrityError(f"{self._name}: position {tracking.notification_id} is not ahead")

    def max_tracking_id(self, application_name: str) -> int | None:
        """The last row that the tables know of; None before the first."""
        found = self.database.query(
            "SELECT notification_id FROM lockstep_tracking WHERE projection = ? AND application = ?",
            self._name,
            application_name,
        )
        return found[0][0] if found else None
