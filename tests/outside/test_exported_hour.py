"""The AAPL hour as tables and as a chart: what `lockstep fills` tells, and a page that stays small."""

import json

import pytest

from tests.tools.charted import Page

pq = pytest.importorskip("pyarrow.parquet")
pytest.importorskip("plotly")

pytestmark = pytest.mark.data


def test_executions_of_the_hour_are_its_fills(lobster_hour, tmp_path):
    lobster_hour.ask("export", "executions", "--to", tmp_path / "t.parquet")
    names = ["sequence", "price", "quantity", "match_number"]
    rows = pq.read_table(tmp_path / "t.parquet", columns=names).to_pylist()
    fills = [json.loads(line) for line in lobster_hour.ask("fills", "--jsonl").splitlines()]
    assert [(row["sequence"], row["price"], row["quantity"], row["match_number"]) for row in rows] == [
        (fill["sequence"], fill["p"], fill["q"], fill["match"]) for fill in fills
    ]


def test_the_page_of_the_hour_is_small_and_begins_with_the_flow(lobster_hour, tmp_path):
    """Orders of before are stamped at midnight; the hours up to the opening are left out."""
    lobster_hour.ask("chart", "--to", tmp_path / "hour.html")
    text = (tmp_path / "hour.html").read_text()
    assert len(text) < 8_000_000
    (found,) = Page(text).figures
    assert found.traces["depth"]["x"][0].startswith("1970-01-01T09:30:00")
    assert found.traces["depth"]["x"][-1].startswith("1970-01-01T10:29:59")
