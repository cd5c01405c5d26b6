"""The LMDB environment of a path: synced, shared by the recorders of this process, written by several processes.

LMDB forbids a second opening in a process, and an application and its views often name one path. So the environment
is opened by the first of them, and closed when the last has gone and no transaction is left. Writers, in one process
or several, take turns by the lock of LMDB, which the kernel hands on when its holder dies.
"""

import os
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import lmdb
from eventsourcing.persistence import DataError, ProgrammingError

from journal.environment import MAP_SIZE
from journal.errors import Closed, CorruptRecord, DiskError, JournalError, JournalFull, NotAJournal
from journal.files import Handle
from journal.recorder_files import DATABASES_MAX, make_recorder, open_recorder

READER_CHECK_EVERY: Final = 64
"""Writes between two looks for readers that died: until then every write makes the file grow."""


class _Open:
    """The stores that are open in this process, by the inode of their file, and the lock of their counters."""

    lock = threading.RLock()
    stores: Final[dict[tuple[int, int], "Store"]] = {}

    @classmethod
    def renew(cls) -> None:
        """Another thread may have held the lock when this process was forked."""
        cls.lock = threading.RLock()


os.register_at_fork(after_in_child=_Open.renew)


class Store:
    """The environment of a path, with a count of its users: shares, and transactions under way."""

    def __init__(self, path: Path, map_size: int) -> None:
        """Open what exists, for one user. NotAJournal, UnknownVersion, AlreadyOpen, CorruptRecord or DiskError."""
        self._path = path
        self._users = 1
        self._dead: JournalError | None = None
        self._turn = threading.RLock()
        self._writing = False
        self._writes = 0
        self._waiting: weakref.WeakSet[threading.Event] = weakref.WeakSet()
        self._handle = Handle(path)
        try:
            self._lmdb = open_recorder(path, map_size)
            self.inode = _inode(path)
        except BaseException:
            self._handle.release()
            raise

    def enter(self) -> None:
        """Count one more user; Closed if there was none any more, Forked in a forked child."""
        self._handle.check()
        with _Open.lock:
            if not self._users:
                raise Closed(f"{self._path}: closed")
            self._users += 1

    def leave(self) -> None:
        """Count one user less, and close the environment behind the last; nothing is touched in a forked child."""
        with _Open.lock:
            self._users -= 1
            if not self._users and self._handle.release():
                _Open.stores.pop(self.inode, None)
                self._lmdb.close()

    @contextmanager
    def _entered(self) -> Iterator[lmdb.Environment]:
        self.enter()
        try:
            if self._dead is not None:
                raise type(self._dead)(*self._dead.args)
            yield self._lmdb
        finally:
            self.leave()

    def database(self, name: bytes) -> "lmdb._Database":
        """A named database, made if it is missing; DataError, JournalFull, DiskError. Not within a transaction."""
        with self._taking_turns(), self._entered() as environment:
            try:
                return environment.open_db(name)
            except lmdb.DbsFullError:
                raise JournalError(f"{self._path}: more than {DATABASES_MAX} databases: use another path") from None
            except lmdb.BadValsizeError:
                raise DataError(f"{self._path}: {name.decode()[:40]}... is too long for a name") from None
            except lmdb.Error as error:
                raise self._die(error) from error

    @contextmanager
    def reading(self) -> Iterator["lmdb.Transaction[bytes]"]:
        """A read transaction. Keep it short: as long as it lasts, every write makes the file grow."""
        with self._entered() as environment:
            try:
                with environment.begin() as txn:
                    yield txn
            except lmdb.ReadersFullError as error:
                raise JournalError(f"{self._path}: {error}") from None
            except lmdb.Error as error:
                raise CorruptRecord(str(self._path), str(error)) from error

    @contextmanager
    def _taking_turns(self) -> Iterator[None]:
        # Threads wait here, where an interrupt reaches them, and not in the lock of LMDB.
        with self._turn:
            if self._writing:
                raise ProgrammingError(f"{self._path}: a write within a write")
            self._writing = True
            try:
                yield
            finally:
                self._writing = False

    @contextmanager
    def writing(self) -> Iterator["lmdb.Transaction[bytes]"]:
        """A write transaction: durable when the block ends, undone when it raises. Whoever listens is woken.

        JournalFull and DiskError are final: the store takes nothing more, from whomever.
        """
        with self._taking_turns(), self._entered() as environment:
            txn = self._begin(environment)
            try:
                yield txn
            except lmdb.BadValsizeError as error:
                txn.abort()
                raise DataError(f"{self._path}: {error}") from None
            except lmdb.Error as error:
                txn.abort()
                raise self._die(error) from error
            except BaseException:
                txn.abort()
                raise
            self._commit(txn)
        self._wake()

    def _begin(self, environment: lmdb.Environment) -> "lmdb.Transaction[bytes]":
        try:
            if not self._writes % READER_CHECK_EVERY:
                environment.reader_check()
            self._writes += 1
            return environment.begin(write=True)
        except lmdb.Error as error:
            raise self._die(error) from error

    def _commit(self, txn: "lmdb.Transaction[bytes]") -> None:
        try:
            txn.commit()
        except lmdb.Error as error:
            raise self._die(error) from error

    def _die(self, error: lmdb.Error) -> JournalError:
        full = isinstance(error, lmdb.MapFullError)
        self._dead = JournalFull(f"{self._path}: the map is full") if full else DiskError(f"{self._path}: {error}")
        return self._dead

    def listen(self) -> threading.Event:
        """An event that every write of this process sets from now on, for as long as somebody keeps it."""
        woken = threading.Event()
        with _Open.lock:
            self._waiting.add(woken)
        return woken

    def _wake(self) -> None:
        with _Open.lock:
            waiting = list(self._waiting)
        for woken in waiting:
            woken.set()


def _inode(path: Path) -> tuple[int, int]:
    # Of the file and not of its directory: the number of one that was deleted is not given again while it is open.
    status = (path / "data.mdb").stat()
    return status.st_dev, status.st_ino


def _shared(path: Path, map_size: int, *, create: bool) -> Store:
    with _Open.lock:
        if create:
            make_recorder(path, map_size)
        if not path.is_dir():
            raise NotAJournal(f"{path}: no directory of a recorder here")
        with suppress(FileNotFoundError, Closed):
            store = _Open.stores.get(_inode(path))
            if store is not None:
                store.enter()
                return store
        store = Store(path, map_size)
        _Open.stores[store.inode] = store
        return store


class Share:
    """One user's share of a store. It ends when it is closed, and when nobody keeps it any more."""

    def __init__(self, path: Path, *, create: bool = True, map_size: int = MAP_SIZE) -> None:
        """Open, and make what is missing if that is wanted; the first share of a path decides the bytes of its map.

        NotAJournal, UnknownVersion, AlreadyOpen, Forked, CorruptRecord, JournalFull or DiskError.
        """
        self._path = path.absolute()
        try:
            self._store = _shared(self._path, map_size, create=create)
        except OSError as error:
            raise DiskError(f"{path}: {error.strerror}") from None
        self._leave = weakref.finalize(self, self._store.leave)

    @property
    def store(self) -> Store:
        """The open store; Closed after `close`."""
        if not self._leave.alive:
            raise Closed(f"{self._path}: closed")
        return self._store

    def close(self) -> None:
        """Give the share back; harmless when done twice."""
        self._leave()
