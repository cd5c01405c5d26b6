"""One LMDB environment: the settings and refusals that the segments and the event store share.

Every transaction is short, every value is copied out of it (`buffers` stays off: its views change under the
reader), and `append=True` is checked, for LMDB answers False where others raise.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

import lmdb

from journal.errors import AlreadyOpen, Closed, Damaged, DiskError, JournalError, JournalFull, NotAJournal, NotInOrder
from journal.files import Handle, WriterLock

MAP_SIZE: Final = 64 * 2**30
"""Bytes of address space, and the bound of the file; the file itself grows as it is written."""

FORMAT: Final = 0
"""LMDB 0.9, named in every call: the two bundled formats cannot read each other, and the default may be changed."""


class Settings(NamedTuple):
    """How an environment is opened."""

    databases: tuple[bytes, ...]
    damaged: type[Damaged]
    """What damage is called in this environment."""
    sync: bool = True
    map_size: int = MAP_SIZE


def build(path: Path, settings: Settings) -> lmdb.Environment:
    """A new environment with its databases in an existing directory; JournalFull or DiskError."""
    with _writing(path):
        environment = lmdb.open(
            str(path),
            map_size=settings.map_size,
            max_dbs=len(settings.databases),
            sync=settings.sync,
            lib_version=FORMAT,
        )
        for name in settings.databases:
            environment.open_db(name)
    return environment


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except lmdb.MapFullError:
        raise JournalFull(f"{path}: the map is full") from None
    except lmdb.Error as error:
        raise DiskError(f"{path}: {error}") from error


def refuse_foreign(path: Path, settings: Settings) -> None:
    """NotAJournal unless the directory holds an environment with our databases. Creates nothing, not even a lock."""
    data = path / "data.mdb"
    if not data.is_file() or data.stat().st_size == 0:
        raise NotAJournal(f"{path}: no journal here")
    if (path / "lock.mdb").exists():
        return
    # Nobody has it open, so it may be read without the lock file, which a foreign directory must not get.
    environment = _connect(path, settings, write=False, lock=False)
    try:
        _databases(path, environment, settings)
    finally:
        environment.close()


def _connect(path: Path, settings: Settings, *, write: bool, lock: bool = True) -> lmdb.Environment:
    try:
        return lmdb.open(
            str(path),
            map_size=settings.map_size,
            max_dbs=len(settings.databases),
            sync=settings.sync,
            lib_version=FORMAT,
            readonly=not write,
            create=False,
            lock=lock,
        )
    except (lmdb.InvalidError, lmdb.VersionMismatchError) as error:
        raise NotAJournal(f"{path}: {error}") from None
    except lmdb.Error as error:
        if "already open" in str(error):
            raise AlreadyOpen(f"{path}: already open in this process or in the one it was forked from") from None
        raise DiskError(f"{path}: {error}") from error


def _databases(path: Path, environment: lmdb.Environment, settings: Settings) -> dict[bytes, "lmdb._Database"]:
    try:
        return {name: environment.open_db(name, create=False) for name in settings.databases}
    except (lmdb.NotFoundError, lmdb.DbsFullError, lmdb.IncompatibleError):
        raise NotAJournal(f"{path}: an LMDB environment, but not ours") from None
    except lmdb.Error as error:
        raise settings.damaged(str(path), str(error)) from error


def _copied(item: tuple[bytes | memoryview, bytes | memoryview]) -> tuple[bytes, bytes]:
    # They are bytes already, and `bytes` of bytes copies nothing; a view would change after the transaction.
    return bytes(item[0]), bytes(item[1])


class Environment:
    """An open environment; one writer in all processes, one handle in this one."""

    def __init__(self, path: Path, settings: Settings, *, write: bool) -> None:
        """Open what exists. NotAJournal, AlreadyOpen, Locked, DiskError or the damage."""
        if not path.is_dir():
            raise NotAJournal(f"{path}: no journal here")
        self._path = path
        self._settings = settings
        self._dead: JournalError | None = None
        self._lock: WriterLock | None = None
        self._lmdb: lmdb.Environment | None = None
        self._handle = Handle(path)
        try:
            self._open(write=write)
        except BaseException:
            self.close()
            raise

    def _open(self, *, write: bool) -> None:
        refuse_foreign(self._path, self._settings)
        self._lock = WriterLock(self._path) if write else None
        self._lmdb = _connect(self._path, self._settings, write=write)
        if self.used_bytes() > (self._path / "data.mdb").stat().st_size:
            # Reading a page past the end of the file would kill the process.
            raise self._settings.damaged(str(self._path), "data.mdb is cut off: shorter than the pages in use")
        self._databases = _databases(self._path, self._lmdb, self._settings)
        self.reader_check()

    @property
    def writable(self) -> bool:
        """Whether this handle may write."""
        return self._lock is not None

    def used_bytes(self) -> int:
        """Bytes of the map in use."""
        environment = self.check()
        return int((environment.info()["last_pgno"] + 1) * environment.stat()["psize"])

    def reader_check(self) -> int:
        """Free the slots of readers that died: until then every commit grows the file. Number of slots freed."""
        return self.check().reader_check()

    def check(self, *, write: bool = False) -> lmdb.Environment:
        """The open environment. Closed, Forked, the error that was final, or NotInOrder for a write without lock."""
        self._handle.check()
        if self._dead is not None:
            raise type(self._dead)(*self._dead.args)
        if self._lmdb is None:
            raise Closed(f"{self._path}: not open")
        if write and not self.writable:
            raise NotInOrder(f"{self._path}: opened for reading")
        return self._lmdb

    @contextmanager
    def _cursor(self, database: bytes) -> Iterator[lmdb.Cursor]:
        environment = self.check()
        try:
            with environment.begin(db=self._databases[database]) as txn:
                yield txn.cursor()
        except lmdb.ReadersFullError as error:
            raise JournalError(f"{self._path}: {error}") from None
        except lmdb.Error as error:
            raise self._settings.damaged(str(self._path), str(error)) from error

    def at_or_after(self, database: bytes, key: bytes) -> tuple[bytes, bytes] | None:
        """The entry with the smallest key that is not below the given one, in a read transaction of its own."""
        with self._cursor(database) as cursor:
            return _copied(cursor.item()) if cursor.set_range(key) else None

    def last(self, database: bytes) -> tuple[bytes, bytes] | None:
        """The entry with the largest key, as of now: another process may be writing."""
        with self._cursor(database) as cursor:
            return _copied(cursor.item()) if cursor.last() else None

    def get(self, database: bytes, key: bytes) -> bytes | None:
        """The value of a key."""
        with self._cursor(database) as cursor:
            return bytes(cursor.value()) if cursor.set_key(key) else None

    def entries(self, database: bytes, key: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """The entries from a key on, each read in a transaction of its own."""
        while (entry := self.at_or_after(database, key)) is not None:
            yield entry
            key = entry[0] + b"\0"

    def append(self, database: bytes, key: bytes, value: bytes) -> None:
        """Store an entry behind all others; with `sync`, durable on return.

        JournalFull, DiskError, or NotInOrder if the key is not behind all others; each is final.
        """
        environment = self.check(write=True)
        try:
            with _writing(self._path), environment.begin(db=self._databases[database], write=True) as txn:
                stored = txn.put(key, value, append=True)
        except JournalError as error:
            self._dead = error
            raise
        except BaseException:
            # An interrupt may come before or after the commit: nothing here tells whether the entry is stored.
            self._dead = DiskError(f"{self._path}: interrupted while it was written")
            raise
        if not stored:
            self._dead = NotInOrder(f"{self._path}: written by somebody else, past our head")
            raise self._dead

    def delete_from(self, database: bytes, key: bytes) -> None:
        """Remove the entries whose key is not below the given one; JournalFull and DiskError are final."""
        environment = self.check(write=True)
        try:
            with _writing(self._path), environment.begin(db=self._databases[database], write=True) as txn:
                cursor = txn.cursor()
                while cursor.set_range(key):
                    cursor.delete()
            self._lengthen()
        except JournalError as error:
            self._dead = error
            raise

    def _lengthen(self) -> None:
        # A transaction that takes pages and frees them again counts them, but never writes them; the file would look
        # as if it had been cut off.
        file = self._path / "data.mdb"
        try:
            if file.stat().st_size < self.used_bytes():
                os.truncate(file, self.used_bytes())
        except OSError as error:
            raise DiskError(f"{file}: {error.strerror}") from error

    def close(self) -> None:
        """Give everything back; harmless when done twice, and in a forked child, where nothing is touched."""
        if not self._handle.release():
            return
        if self._lmdb is not None:
            self._lmdb.close()
        if self._lock is not None:
            self._lock.release()
