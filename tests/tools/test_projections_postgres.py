"""Projections into PostgreSQL: what holds for SQLite holds there, with a real server."""

import os
from contextlib import closing
from itertools import count

import pytest

from tests.conftest import seed
from tests.market_logs import ends, lived
from tests.tools import postgres
from tests.tools.conftest import ask, ask_json
from tests.tools.projection_suite import Projections, project, wrong
from tools.projections.database import Target

psycopg = pytest.importorskip("psycopg", reason="PostgreSQL is reached by psycopg, which is not installed")
NUMBERS = count(1)


@pytest.fixture(scope="module")
def folder():
    """The directory of a running server."""
    with postgres.server() as folder:
        yield folder


@pytest.fixture
def database(folder):
    """The URL of a new database."""
    name = f"market_{os.getpid()}_{next(NUMBERS)}"
    with closing(psycopg.connect(postgres.url(folder, "postgres"), autocommit=True)) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return postgres.url(folder, name)


@pytest.fixture
def target(database):
    return Target(database)


class TestPostgres(Projections):
    """The suite in a database of PostgreSQL."""


def test_the_command(database, venue):
    told = ask_json("project", "positions", venue, "--into", database)
    assert told["into"].startswith("postgresql://postgres@/market_")
    assert "everything up to row" in ask("project", "positions", venue, "--into", database)
    with closing(psycopg.connect(database)) as connection:
        rows = connection.execute("SELECT account, position, cost, fees FROM positions ORDER BY account").fetchall()
    assert rows == [(1, -35, -351_750, 0), (2, 35, 351_750, 0)]


def test_a_connection_that_is_lost(target, database, folder, tmp_path):
    """The server ends it in mid-run: one Failure, nothing half written, and the next run goes on."""
    from tests.tools.projection_suite import projecting
    from tools.failures import Failure

    path = lived(tmp_path / "venue", seed(), acts=20)
    between, last = ends(path)[4], ends(path)[-1]
    with projecting(path, target, gathered_rows=1) as projector:
        projector.run(between)
        with closing(psycopg.connect(postgres.url(folder, "postgres"), autocommit=True)) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'lockstep'"
            )
        with pytest.raises(Failure, match="terminat"):
            projector.run(last)
    assert project(path, target) == last
    assert wrong(path, target, "trades") is None
