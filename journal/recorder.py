"""A persistence module of the `eventsourcing` library in LMDB: `PERSISTENCE_MODULE=journal.recorder`, `LMDB_PATH=DIR`.

It is for what is asked, proposed and approved around the market, a few thousand events a second at most, and never for
the market itself. Every insert is durable on return. Conflicts and unfit data raise the errors of the library
(IntegrityError, DataError); whatever is wrong with disk or directory raises a JournalError, which no retry hides.
"""

from collections.abc import Sequence
from pathlib import Path
from threading import Event
from time import monotonic
from typing import Any, Final, TypeVar

import lmdb
from eventsourcing.persistence import (
    AggregateRecorder,
    ApplicationRecorder,
    InfrastructureFactory,
    InfrastructureFactoryError,
    IntegrityError,
    ProcessRecorder,
    StoredEvent,
    Tracking,
    TrackingRecorder,
    WaitInterruptedError,
)
from eventsourcing.utils import Environment, EnvType, resolve_topic, strtobool

from journal.recorder_events import POLL_SECONDS, LmdbAggregateRecorder, LmdbApplicationRecorder, LmdbRecorder
from journal.recorder_record import number_key, prepare, text_key
from journal.recorder_store import Share

_R = TypeVar("_R", bound=LmdbRecorder)


class LmdbTrackingRecorder(LmdbRecorder, TrackingRecorder):
    """How far each application has been followed. A view is a subclass that writes its own databases beside it."""

    def _open_databases(self) -> None:
        super()._open_databases()
        self._tracking = self.database("tracking")

    def insert_tracking(self, tracking: Tracking) -> None:
        """Record a position, durably; IntegrityError unless it lies behind the last one of its application."""
        with self.writing() as txn:
            self.track(txn, tracking)

    def track(self, txn: "lmdb.Transaction[bytes]", tracking: Tracking) -> None:
        """Record a position in the transaction that a view has open, so that both stand or neither; IntegrityError."""
        key, number = text_key(tracking.application_name), number_key(tracking.notification_id)
        last = txn.get(key, db=self._tracking)
        if last is not None and last >= number:
            raise IntegrityError(f"{tracking} does not lie behind {int.from_bytes(last, 'big')}")
        txn.put(key, number, db=self._tracking)

    def max_tracking_id(self, application_name: str) -> int | None:
        """The last position of an application, None before the first."""
        with self.reading() as txn:
            last = txn.get(text_key(application_name), db=self._tracking)
        return None if last is None else int.from_bytes(last, "big")

    def wait(
        self,
        application_name: str,
        notification_id: int | None,
        timeout: float = 1.0,
        interrupt: Event | None = None,
    ) -> None:
        """Wait until a position is recorded, at most `timeout` seconds; TimeoutError, WaitInterruptedError."""
        deadline = monotonic() + timeout
        woken = self.share.store.listen()
        while not self.has_tracking_id(application_name, notification_id):
            if interrupt is not None and interrupt.is_set():
                raise WaitInterruptedError
            left = deadline - monotonic()
            if left < 0:
                raise TimeoutError(f"event {notification_id} of {application_name} was not processed in {timeout} s")
            woken.wait(min(left, POLL_SECONDS))
            woken.clear()


class LmdbProcessRecorder(LmdbTrackingRecorder, LmdbApplicationRecorder, ProcessRecorder):
    """New events and the position of the one that caused them, in one transaction."""

    def _insert(self, events: Sequence[StoredEvent], **kwargs: Any) -> list[int]:
        tracking: Tracking | None = kwargs.get("tracking")
        if tracking is None:
            return super()._insert(events)
        prepared = [prepare(event) for event in events]
        with self.writing() as txn:
            self.track(txn, tracking)
            return self._write(txn, prepared)


class LmdbFactory(InfrastructureFactory[LmdbTrackingRecorder]):
    """Makes the recorders of one application. Nothing is opened before the first of them is made.

    `LMDB_PATH` names the directory, which several applications and views may share; with `CREATE_TABLE=no` it has to
    exist. The names of the library, `APPLICATION_RECORDER_TOPIC` and so on, choose other classes.
    """

    LMDB_PATH: Final = "LMDB_PATH"
    CREATE_TABLE: Final = "CREATE_TABLE"

    def __init__(self, env: Environment | EnvType | None) -> None:
        """InfrastructureFactoryError if the environment names no directory."""
        super().__init__(env)
        path = self.env.get(self.LMDB_PATH)
        if not path:
            raise InfrastructureFactoryError(f"no directory: set {' or '.join(self.env.create_keys(self.LMDB_PATH))}")
        self._path = Path(path)
        self._share: Share | None = None

    def aggregate_recorder(self, purpose: str = "events") -> AggregateRecorder:
        """A recorder of events without order among originators: snapshots, mostly. JournalError."""
        return self._made(LmdbAggregateRecorder, purpose)

    def application_recorder(self) -> ApplicationRecorder:
        """A recorder of the application's events. JournalError."""
        return self._made(self._class(self.APPLICATION_RECORDER_TOPIC, LmdbApplicationRecorder))

    def tracking_recorder(
        self, tracking_recorder_class: type[LmdbTrackingRecorder] | None = None
    ) -> LmdbTrackingRecorder:
        """A recorder of positions, or the view that a class or a topic names. JournalError."""
        return self._made(tracking_recorder_class or self._class(self.TRACKING_RECORDER_TOPIC, LmdbTrackingRecorder))

    def process_recorder(self) -> ProcessRecorder:
        """A recorder of events and positions together. JournalError."""
        return self._made(self._class(self.PROCESS_RECORDER_TOPIC, LmdbProcessRecorder))

    def _class(self, key: str, usual: type[_R]) -> type[_R]:
        topic = self.env.get(key)
        chosen: type[_R] = resolve_topic(topic) if topic else usual
        if not issubclass(chosen, usual):
            raise InfrastructureFactoryError(f"{key}: {topic} is not a {usual.__name__}")
        return chosen

    def _made(self, recorder_class: type[_R], purpose: str = "events") -> _R:
        if self._share is None:
            self._share = Share(self._path, create=strtobool(self.env.get(self.CREATE_TABLE) or "yes"))
        return recorder_class(self._share, self.env.name, purpose)

    def close(self) -> None:
        """Give the environment back; its recorders raise Closed from now on. Harmless when done twice."""
        if self._share is not None:
            self._share.close()
            self._share = None


Factory = LmdbFactory
