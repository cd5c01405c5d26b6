"""A database that holds views: tables, rows and transactions, in SQLite or PostgreSQL; and which one a URL names."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Final, NoReturn
from urllib.parse import unquote, urlsplit

from tools.failures import Failure, Misuse
from tools.options import refuse_no_file
from tools.projections.tables import Table, Type, Values

SQLITE: Final = "sqlite"
POSTGRES: Final = ("postgresql", "postgres")


class Database(ABC):
    """One connection. Whatever goes wrong is a Failure of one line, and the transaction leaves nothing behind."""

    title: str
    """What messages call it; never with a password."""

    @abstractmethod
    def transaction(self) -> AbstractContextManager[None]:
        """All that is written inside becomes durable at once at the end, or not at all; one inside another is part of it."""

    @abstractmethod
    def query(self, sql: str, *values: object) -> list[Values]:
        """The rows that a statement gives; values stand for `?`."""

    @abstractmethod
    def execute(self, sql: str, *values: object) -> int:
        """How many rows a statement changed."""

    @abstractmethod
    def has(self, name: str) -> bool:
        """Whether there is a table of this name."""

    @abstractmethod
    def create(self, table: Table) -> None:
        """Make a table that is not there."""

    @abstractmethod
    def write(self, table: Table, rows: Sequence[Values]) -> None:
        """Insert rows; where a key is there, the row takes its place unless the table is appended."""

    @abstractmethod
    def lock(self, projection: str) -> None:
        """Until the transaction ends, nobody else writes this projection."""

    @abstractmethod
    def close(self) -> None:
        """Give the connection back; harmless when done twice."""

    def select(self, table: Table, condition: str) -> Iterator[Values]:
        """The rows of a table, sums as integers."""
        where = f" WHERE {condition}" if condition else ""
        sums = [kind is Type.SUM for _, kind in table.columns]
        for row in self.query(f"SELECT {', '.join(table.names)} FROM {table.name}{where}"):  # noqa: S608 - our own names
            yield tuple(int(value) if is_sum else value for value, is_sum in zip(row, sums, strict=True))

    @contextmanager
    def failing(self, *errors: type[Exception]) -> Iterator[None]:
        """Errors of the database as a Failure."""
        try:
            yield
        except errors as error:
            self.fail(error)

    def fail(self, error: object) -> NoReturn:
        """Failure with the name of the database."""
        raise Failure(f"{self.title}: {' '.join(str(error).split())}") from None


def creation(table: Table, types: dict[Type, str], tail: str = "") -> list[str]:
    """The statements that make a table, with the database's names of types."""
    columns = [f"{name} {types[kind]}".rstrip() for name, kind in table.columns]
    key = ", ".join(table.names[: table.keys])
    made = f"CREATE TABLE {table.name} ({', '.join(columns)}, PRIMARY KEY ({key})){tail}"
    indexes = (f"CREATE INDEX {table.name}_{at} ON {table.name} {text}" for at, text in enumerate(table.indexes))
    return [made, *indexes]


def replacing(table: Table) -> str:
    """What follows an INSERT so that a row takes the place of the one with its key."""
    if table.appended:
        return ""
    key, others = table.names[: table.keys], table.names[table.keys :]
    changes = ", ".join(f"{name} = excluded.{name}" for name in others)
    return f" ON CONFLICT ({', '.join(key)}) DO UPDATE SET {changes}"


class Target:
    """Where `--into` points. Misuse for what is neither `sqlite:///FILE` nor `postgresql://...`."""

    def __init__(self, url: str) -> None:
        """Look at the text alone; nothing is opened."""
        scheme, _, rest = url.partition("://")
        self._url = url
        self._path: Path | None = None
        if scheme == SQLITE and rest.startswith("/") and rest != "/":
            self._path = Path(_printable(unquote(rest[1:])))
            refuse_no_file("--into", self._path)
            self.title = str(self._path)
        elif scheme in POSTGRES and rest:
            self.title = _without_password(url)
        else:
            raise Misuse("--into: neither sqlite:///FILE nor postgresql://USER@HOST/DATABASE")

    def open(self) -> Database:
        """Connect; a SQLite file is made if there is none. Failure."""
        if self._path is not None:
            from tools.projections.sqlite import Sqlite

            return Sqlite(self._path)
        from tools.projections.postgres import Postgres

        return Postgres(self._url, self.title)


def _printable(text: str) -> str:
    if not text.isprintable():
        raise Misuse("--into: not the name of a file")
    return text


def _without_password(url: str) -> str:
    """What may be printed of a URL. Misuse where the database's own library would read another password in it."""
    rest = url.partition("://")[2]
    if "#" in rest or "@" in rest.partition("/")[2]:
        raise Misuse("--into: write # / and @ of a name or a password as %23, %2F and %40")
    try:
        parts = urlsplit(url)
    except ValueError:
        raise Misuse("--into: not a URL of a PostgreSQL database") from None
    user, host = f"{parts.username}@" if parts.username else "", parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{user}{host}{parts.path}"


def as_any(values: Sequence[object]) -> Sequence[Any]:
    """For drivers whose types of parameters cannot be written down."""
    return values
