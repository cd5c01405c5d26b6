"""Views in a PostgreSQL database, by psycopg 3."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from tools.failures import Failure
from tools.projections.database import Database, as_any, creation, replacing
from tools.projections.tables import Table, Type, Values

try:
    import psycopg
    from psycopg import sql
except ImportError:
    raise Failure("a PostgreSQL database needs psycopg: pip install 'lockstep[export]'") from None

_TYPES: Final = {Type.INTEGER: "BIGINT", Type.SUM: "NUMERIC", Type.TEXT: "TEXT"}


class Postgres(Database):
    """A connection; the tables stand in the first schema of its search path."""

    def __init__(self, url: str, title: str) -> None:
        """Connect. Failure."""
        self.title = title
        self._staged: set[str] = set()
        with self.failing(psycopg.Error):
            self._connection = psycopg.connect(url, autocommit=True, application_name="lockstep")

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Read committed; writers of one projection wait for each other in `lock`."""
        with self.failing(psycopg.Error), self._connection.transaction():
            yield

    def query(self, statement: str, *values: object) -> list[Values]:
        """The rows that a statement gives."""
        with self.failing(psycopg.Error):
            return self._connection.execute(_sql(statement), as_any(values)).fetchall()

    def execute(self, statement: str, *values: object) -> int:
        """How many rows a statement changed."""
        with self.failing(psycopg.Error):
            return self._connection.execute(_sql(statement), as_any(values)).rowcount

    def has(self, name: str) -> bool:
        """Whether there is a table of this name in the search path."""
        return self.query("SELECT to_regclass(?)", name) != [(None,)]

    def create(self, table: Table) -> None:
        """A table and its indexes."""
        for statement in creation(table, _TYPES):
            self.execute(statement)

    def write(self, table: Table, rows: Sequence[Values]) -> None:
        """By COPY: into the table itself, or beside it and from there where rows take the place of others."""
        target = table.name if table.appended else self._stage(table)
        copying = sql.SQL("COPY {} FROM STDIN").format(sql.Identifier(target))
        with self.failing(psycopg.Error), self._connection.cursor() as cursor:
            with cursor.copy(copying) as copy:
                for row in rows:
                    copy.write_row(row)
            if target != table.name:
                self.execute(f"INSERT INTO {table.name} SELECT * FROM {target}{replacing(table)}")  # noqa: S608 - our own names
                self.execute(f"TRUNCATE {target}")

    def _stage(self, table: Table) -> str:
        """A table of this connection alone, empty between two writes."""
        stage = f"lockstep_stage_{table.name}"
        if stage not in self._staged:
            self.execute(f"CREATE TEMP TABLE IF NOT EXISTS {stage} (LIKE {table.name})")
            self._staged.add(stage)
        return stage

    def lock(self, projection: str) -> None:
        """The row that says how far the projection is."""
        self.query("SELECT 1 FROM lockstep_views WHERE projection = ? FOR UPDATE", projection)

    def close(self) -> None:
        """Give the connection back."""
        self._connection.close()


def _sql(statement: str) -> bytes:
    """Statements are ours alone: values never stand in them."""
    return statement.replace("?", "%s").encode()
