"""The directory of a recorder: making it whole, and refusing what is foreign or cut off."""

import errno
import os
import shutil
from pathlib import Path
from typing import Final

import lmdb
import lmdb.verify

from journal.environment import FORMAT, Settings, build, refuse_foreign
from journal.errors import AlreadyOpen, CorruptRecord, DiskError, NotAJournal, UnknownVersion
from journal.files import make_directory, move_durably

MARK: Final = b"recorder"
"""The database that says whose environment this is."""

VERSION_KEY: Final = b"version"
VERSION: Final = b"1"

DATABASES_MAX: Final = 256
"""About three for each application: a path is for the few that belong together."""

READERS_MAX: Final = 1024
"""Read transactions at one time, of all processes."""


def make_recorder(path: Path, map_size: int) -> None:
    """Make what is missing, whole or not at all, where nothing or an empty directory stands.

    Whoever comes second finds what the first has made. JournalFull or DiskError.
    """
    if path.exists() and not (path.is_dir() and not any(path.iterdir())):
        return
    building = path.with_name(f".building-{path.name}-{os.getpid()}")
    try:
        make_directory(path.parent)
        shutil.rmtree(building, ignore_errors=True)
        building.mkdir()
        _fill(building, map_size)
        _put_in_place(building, path)
    except OSError as error:
        raise DiskError(f"{path}: {error.strerror}") from None
    finally:
        shutil.rmtree(building, ignore_errors=True)


def _put_in_place(building: Path, path: Path) -> None:
    try:
        move_durably(building, path)
    except OSError as error:
        if error.errno not in {errno.ENOTEMPTY, errno.EEXIST}:
            raise


def _fill(building: Path, map_size: int) -> None:
    environment = build(building, Settings((MARK,), CorruptRecord, map_size=map_size))
    try:
        with environment.begin(db=environment.open_db(MARK), write=True) as txn:
            txn.put(VERSION_KEY, VERSION)
    except lmdb.Error as error:
        raise DiskError(f"{building}: {error}") from error
    finally:
        environment.close()


def open_recorder(path: Path, map_size: int) -> lmdb.Environment:
    """Open what exists. NotAJournal, UnknownVersion, AlreadyOpen, CorruptRecord or DiskError."""
    refuse_foreign(path, Settings((MARK,), CorruptRecord))
    environment = _connect(path, map_size)
    try:
        _refuse_cut_off(path, environment)
        _refuse_version(path, environment)
        environment.reader_check()
    except BaseException:
        environment.close()
        raise
    return environment


def _connect(path: Path, map_size: int) -> lmdb.Environment:
    try:
        return lmdb.open(
            str(path),
            map_size=map_size,
            max_dbs=DATABASES_MAX,
            max_readers=READERS_MAX,
            sync=True,
            lib_version=FORMAT,
            create=False,
        )
    except (lmdb.InvalidError, lmdb.VersionMismatchError) as error:
        raise NotAJournal(f"{path}: {error}") from None
    except lmdb.Error as error:
        if "already open" in str(error):
            raise AlreadyOpen(f"{path}: already open in this process or in the one it was forked from") from None
        raise DiskError(f"{path}: {error}") from error


def _refuse_cut_off(path: Path, environment: lmdb.Environment) -> None:
    # Reading a page past the end of the file would kill the process. But a file may be shorter than the pages in
    # use where a transaction freed the last ones it had taken: they are never read, and the pages are sound.
    if not _short(path, environment):
        return
    with environment.begin(write=True):
        if _short(path, environment) and lmdb.verify.verify(str(path)):  # type: ignore[no-untyped-call]
            raise CorruptRecord(str(path), "data.mdb is cut off: shorter than the pages in use")


def _short(path: Path, environment: lmdb.Environment) -> bool:
    used = int((environment.info()["last_pgno"] + 1) * environment.stat()["psize"])
    return used > (path / "data.mdb").stat().st_size


def _refuse_version(path: Path, environment: lmdb.Environment) -> None:
    try:
        with environment.begin(db=environment.open_db(MARK, create=False)) as txn:
            version = txn.get(VERSION_KEY)
    except (lmdb.NotFoundError, lmdb.IncompatibleError):
        raise NotAJournal(f"{path}: an LMDB environment, but not one of recorders") from None
    except lmdb.Error as error:
        raise CorruptRecord(str(path), str(error)) from error
    if version != VERSION:
        raise UnknownVersion(str(path), f"recorder version {version!r}, this release reads {VERSION!r}")
