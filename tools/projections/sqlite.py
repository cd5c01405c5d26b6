"""Views in a SQLite file."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tools.projections.database import Database, creation, replacing
from tools.projections.tables import Table, Type, Values

# A column without a type keeps what it is given: an integer, or its digits where it takes more than 64 bits.
_TYPES: Final = {Type.INTEGER: "INTEGER", Type.SUM: "", Type.TEXT: "TEXT"}
_BUSY_SECONDS: Final = 30
_CACHE_KIB: Final = 65_536
_MAX: Final = 2**63


class Sqlite(Database):
    """A file that others may read meanwhile (WAL); every commit is synced."""

    def __init__(self, path: Path) -> None:
        """Open or make the file. Failure."""
        self.title = str(path)
        with self.failing(sqlite3.Error):
            # Its own transactions are off, ours are explicit. A runner may call from a thread of its own, one at a time.
            self._connection = sqlite3.connect(
                path.absolute(), isolation_level=None, timeout=_BUSY_SECONDS, check_same_thread=False
            )
        try:
            for pragma in ("journal_mode = WAL", "synchronous = FULL", f"cache_size = -{_CACHE_KIB}"):
                self.query(f"PRAGMA {pragma}")
        except BaseException:
            self.close()
            raise

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Immediate: who reads here what it writes back is not overtaken."""
        if self._connection.in_transaction:
            yield
            return
        self.execute("BEGIN IMMEDIATE")
        try:
            yield
            self.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                self._connection.rollback()
            raise

    def query(self, sql: str, *values: object) -> list[Values]:
        """The rows that a statement gives."""
        with self.failing(sqlite3.Error):
            return self._connection.execute(sql, values).fetchall()

    def execute(self, sql: str, *values: object) -> int:
        """How many rows a statement changed."""
        with self.failing(sqlite3.Error):
            return self._connection.execute(sql, values).rowcount

    def has(self, name: str) -> bool:
        """Whether there is a table of this name."""
        return bool(self.query("SELECT 1 FROM sqlite_master WHERE name = ?", name))

    def create(self, table: Table) -> None:
        """A key of several columns is where the rows stand, without numbers of their own."""
        for statement in creation(table, _TYPES, " WITHOUT ROWID" if table.keys > 1 else ""):
            self.execute(statement)

    def write(self, table: Table, rows: Sequence[Values]) -> None:
        """One prepared statement for all rows."""
        marks = ", ".join("?" * len(table.columns))
        statement = f"INSERT INTO {table.name} VALUES ({marks}){replacing(table)}"  # noqa: S608 - our own names
        sums = any(kind is Type.SUM for _, kind in table.columns)
        with self.failing(sqlite3.Error, OverflowError):
            self._connection.executemany(statement, map(_digits, rows) if sums else rows)

    def lock(self, projection: str) -> None:
        """An immediate transaction has locked the whole file."""

    def close(self) -> None:
        """Give the connection back."""
        self._connection.close()


def _digits(row: Values) -> Values:
    return tuple(str(value) if isinstance(value, int) and not -_MAX <= value < _MAX else value for value in row)
