"""The bench measures every stage, says what it measured, and writes it down."""

import json

import pytest
from typer.testing import CliRunner

from tests.tools.twins import checkout
from tools.build import build
from tools.failures import MISUSED
from tools.main import app

STAGES = [
    "engine",
    "+ event digest",
    "+ stamp, seal, chain",
    "+ LMDB, not synced",
    "durable, applied",
    "raw LMDB, synced",
]


def run(tmp_path, *arguments):
    """Exit code, what is printed, and the figures."""
    file = tmp_path / "figures.json"
    command = ["bench", "--quick", "--json", str(file), "--folder", str(tmp_path), *arguments]
    result = CliRunner(env={"COLUMNS": "200", "NO_COLOR": "1"}).invoke(app, command)
    return result, json.loads(file.read_text()) if file.exists() else {}


@pytest.mark.both
def test_every_stage_is_measured_and_written_down(tmp_path):
    result, figures = run(tmp_path, "--flow", "own", "--commands", "3000")
    assert result.exit_code == 0, result.output
    assert figures["build"] == build()
    assert figures["garbage_collector"] == "off"
    assert figures["machine"].keys() >= {"processor", "cores", "python"}
    assert [*dict.fromkeys(line["stage"] for line in figures["stages"] if line["stage"] != "yardstick")] == STAGES
    assert all(
        line["per_second"] > 0 and line["batch_us"].keys() == {"p50", "p99", "p99.9"} for line in figures["stages"]
    )
    durable = {line["batch"]: line for line in figures["stages"] if line["stage"] == "durable, applied"}
    assert durable.keys() == {1, 64, 1024}
    assert all(line["ratio"] > 0 and line["against"] == "raw LMDB" for line in durable.values())
    assert figures["bytes_per_resting_order"] > 100
    assert figures["disk"]["bytes of journal for each command, 1024 a batch"] > 128
    assert not [path for path in tmp_path.iterdir() if path.name != "figures.json"]


def test_the_yardstick_is_measured_or_its_absence_is_told(tmp_path):
    result, figures = run(tmp_path, "--flow", "own", "--commands", "2000")
    engine = next(line for line in figures["stages"] if line["stage"] == "engine")
    if figures["notes"]:
        assert "No yardstick: " in result.output
        assert "ratio" not in engine
    else:
        assert figures["stages"][0]["stage"] == "yardstick"
        assert engine["against"] == "yardstick"
        assert 0 < engine["ratio"] < 2


def test_without_the_prototype_the_rest_is_measured(tmp_path, monkeypatch):
    monkeypatch.setenv("LOCKSTEP_CHECKOUT", str(tmp_path / "elsewhere"))
    result, figures = run(tmp_path, "--flow", "own", "--commands", "2000")
    assert result.exit_code == 0, result.output
    assert figures["notes"] == ["No yardstick: the prototype does not lie beside the checkout."]
    assert figures["stages"][0]["stage"] == "engine"


@pytest.mark.parametrize("flow", ["nonsense", "flash1:nowhere.bin"])
def test_a_flow_that_cannot_be_read_is_a_wrong_command_line(tmp_path, flow):
    result, figures = run(tmp_path, "--flow", flow)
    assert result.exit_code == 64
    assert figures == {}


def test_views_are_measured(tmp_path):
    result = CliRunner().invoke(app, ["bench", "--projections", "--quick", "--json", str(tmp_path / "figures.json")])
    assert result.exit_code == 0, result.output
    views = json.loads((tmp_path / "figures.json").read_text())["views"]
    assert [view["projection"] for view in views] == ["trades", "positions", "candles_1m", "orders", "usage"]
    assert {view["events"] for view in views} == {views[0]["events"]}
    assert views[0]["events"] > 5_000
    assert all(view["events_per_second"] > 0 for view in views)


def test_random_moments_are_measured(tmp_path):
    result = CliRunner().invoke(app, ["bench", "--history", "--quick", "--json", str(tmp_path / "figures.json")])
    assert result.exit_code == 0, result.output
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert (
        figures["snapshots_ms"].keys()
        == figures["cache_ms"].keys()
        == {"book", "account", "order", "instrument", "venue"}
    )
    assert figures["resting"] > 0


def test_what_a_reader_costs_is_measured(tmp_path):
    result = CliRunner().invoke(app, ["bench", "--beside", "--quick", "--json", str(tmp_path / "figures.json")])
    assert result.exit_code == 0, result.output
    figures = json.loads((tmp_path / "figures.json").read_text())
    told = {"commits_per_second", "bytes_per_command", "cpu_us_per_commit"}
    assert figures["alone"].keys() == figures["beside"].keys() == told
    assert figures["rate_kept"] > 0
    # A reader that held a transaction open would keep the writer from using any page again.
    assert figures["file_growth"] < 1.2


def test_another_build_is_measured_in_turns(tmp_path):
    """It runs its own code: where no order is canceled, more of them trade."""
    other = checkout(tmp_path / "engine", "cancels nothing")
    result = CliRunner().invoke(
        app, ["bench", "--against", str(other), "--quick", "--json", str(tmp_path / "figures.json")]
    )
    assert result.exit_code == 0, result.output
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert figures["against"] == {"path": str(other), "build": "interpreted"}
    for flow in figures["flows"]:
        mine, others = flow["events"]
        assert mine < others
        assert flow["speed"] > 0
        assert flow["ratio"] == pytest.approx(flow["speed"] / flow["against"], abs=0.01)
    assert "events, against" in result.output


def test_no_build_is_not_measured(tmp_path):
    result = CliRunner().invoke(app, ["bench", "--against", str(tmp_path), "--quick"])
    assert result.exit_code == MISUSED
    assert "no engine there" in result.stderr


@pytest.mark.parametrize(
    "others", [("--nodes", "--history"), ("--nodes", "--commands", "2000"), ("--projections", "--flow", "own")]
)
def test_only_one_thing_is_measured_at_a_time(others):
    result = CliRunner().invoke(app, ["bench", *others])
    assert result.exit_code == MISUSED
    assert "exclude each other" in result.stderr
