"""Exported tables, read back."""

import pytest

from tests.tools.conftest import ask

arrow = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")


def as_table(table):
    """A table as lists: time stamps as the integers that they are."""
    of = {field.name: arrow.int64() if arrow.types.is_timestamp(field.type) else field.type for field in table.schema}
    return table.cast(arrow.schema(list(of.items()))).to_pylist()


def parquet(path):
    return as_table(pq.read_table(path))


def export(journal, what, *options, to=None):
    """The rows of an exported table."""
    to = to or journal.parent / f"{what}.parquet"
    ask("export", journal, what, "--to", to, *options)
    return parquet(to)
