"""The demo ends well, is the same for the same seed, and fails when any of its checks does."""

import re
from contextlib import closing

import pytest
from typer.testing import CliRunner

from journal.directory import JournalDirectory
from journal.report import Report
from journal.verify import verify
from tools.demos import story as demo_story
from tools.main import app

COMMANDS = 2_000


def run(*arguments, commands=COMMANDS, seed=7):
    """What the demo prints, durations left out, and its exit code."""
    runner = CliRunner(env={"COLUMNS": "200", "NO_COLOR": "1"})
    result = runner.invoke(
        app, ["demo", "--no-failover", "--commands", str(commands), "--seed", str(seed), *map(str, arguments)]
    )
    return re.sub(r"\(\d+\.\d s\)", "", result.output), result.exit_code


def table(printed):
    """The table at the end, by name."""
    return {line[:15].strip(): line[15:].strip() for line in printed.splitlines()}


@pytest.mark.both
def test_all_checks_hold_and_the_day_is_the_same_again():
    printed, code = run()
    told = table(printed)
    assert code == 0, printed
    assert told["equal"] == "yes (from the first row) / yes (from the snapshot)"
    assert told["verified"] == "yes"
    assert told["flipped bit"] == "found: yes"
    assert int(told["commands"].replace(",", "")) > COMMANDS
    assert run() == (printed, 0)


def test_another_seed_is_another_day():
    assert table(run(seed=8)[0])["event digest"] != table(run()[0])["event digest"]


def test_a_journal_that_was_asked_for_stays(tmp_path):
    printed, code = run("--journal", tmp_path / "venue")
    assert code == 0, printed
    assert verify(tmp_path / "venue").good
    with closing(JournalDirectory(tmp_path / "venue")) as journal:
        assert f"{journal.head().sequence:,}" == table(printed)["commands"]


def test_a_journal_is_never_overwritten(tmp_path):
    run("--journal", tmp_path / "venue")
    before = (tmp_path / "venue" / "segments").stat().st_mtime_ns
    assert run("--journal", tmp_path / "venue")[1] == 1
    assert (tmp_path / "venue" / "segments").stat().st_mtime_ns == before


def test_it_fails_where_verification_finds_nothing(monkeypatch):
    def blind(path):
        return Report((), verify(path).head, 1, 1)

    monkeypatch.setattr(demo_story, "verify", blind)
    printed, code = run()
    assert code == 1
    assert table(printed)["flipped bit"] == "found: NO"


def test_it_fails_where_verification_names_another_batch(monkeypatch):
    def wrong(path):
        report = verify(path)
        parts = (part._replace(damage=part.damage and "batch ending at 1: wrong") for part in report.parts)
        return report._replace(parts=tuple(parts))

    monkeypatch.setattr(demo_story, "verify", wrong)
    assert run()[1] == 1


def test_it_fails_where_a_replay_differs(monkeypatch):
    recover = demo_story.recover

    def forgetful(journal, folder=None, **upto):
        return recover(journal, folder, upto=upto.get("upto", journal.head().sequence - 1))

    monkeypatch.setattr(demo_story, "recover", forgetful)
    printed, code = run()
    assert code == 1
    assert table(printed)["equal"] == "NO (from the first row) / NO (from the snapshot)"


def test_it_fails_where_the_snapshot_was_not_used(monkeypatch):
    start = demo_story.start
    monkeypatch.setattr(demo_story, "start", lambda journal, _folder: start(journal))
    printed, code = run()
    assert code == 1
    assert table(printed)["equal"] == "yes (from the first row) / NO (from the snapshot)"


@pytest.mark.both
def test_the_last_act_is_a_takeover_that_loses_nothing():
    result = CliRunner(env={"COLUMNS": "200", "NO_COLOR": "1"}).invoke(app, ["demo", "--commands", "1000"])
    assert result.exit_code == 0, result.output
    told = table(result.output[result.output.index("killed with -9") :])
    assert (told["lost"], told["doubled"], told["different"]) == ("0", "0", "0")
    assert told["digests"] == "equal: yes"
    assert told["journals"] == "verified: yes"
    assert int(told["acknowledged"].replace(",", "")) > 0


def test_a_takeover_that_is_not_good_fails_the_demo(monkeypatch):
    from rich.table import Table

    from tools.demos import failover as demo_failover

    monkeypatch.setattr(demo_failover, "fail_over", lambda *_: (False, Table()))
    assert CliRunner().invoke(app, ["demo", "--commands", "1000"]).exit_code == 1
