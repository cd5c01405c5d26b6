"""Every market rule in tests/scenarios/ holds, in engine and model, however its rows are cut and wherever they resume.

UPDATE_SCENARIOS=1 writes the model's events into the tables; a reviewer reads the difference.
"""

import os

import pytest

from core import messages as m
from core.kinds import CommandKind, EventKind
from core.machine import Machine
from core.reasons import CancelReason, RejectReason
from core.rows import rows
from tests.model import Model
from tests.pair import Pair
from tests.paths import HERE
from tests.scenario import Scenario
from tests.scenario_words import words, written

FILES = sorted((HERE / "tests" / "scenarios").glob("*.txt"))
UNREACHED = {
    "LEVELS_FULL": "needs 65,536 price levels: tests/core/test_bounds.py",
    "MATCH_LIMIT": "needs 65,536 resting orders: tests/core/test_bounds.py",
    "NO_ROOM": "needs 65,536 price levels: tests/core/test_bounds.py",
}
"""What no scenario shows, and why."""

every_file = pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)


def read(file):
    return Scenario(file.read_text())


def run(scenario, restored=False):
    """The event bytes of each step, one row per batch; with `restored`, from a snapshot before each step."""
    machine, told = Machine(), []
    for step in scenario.steps:
        machine = Machine.restore(machine.rows()) if restored else machine
        told.append(b"".join(apply(machine, row, quarantine) for row, quarantine in step.rows))
    return machine, told


def apply(machine, row, quarantine):
    return machine.apply_quarantined(row, 0, quarantine, 0) if quarantine else machine.apply(row, 0, len(row))


@pytest.mark.both
@every_file
def test_the_table_is_what_happens(file):
    """The events of each command are those of the table, all of them and no others."""
    scenario = read(file)
    _, told = run(scenario)
    for step, events in zip(scenario.steps, told, strict=True):
        if step.expected is not None:
            shown = [words(event, scenario.numbers) for event in rows(events)]
            assert [step.line, *shown] == [step.line, *step.expected]


@every_file
def test_the_model_says_the_same(file):
    """Engine and model write the same events, column by column, and the invariants hold at the end."""
    scenario, pair = read(file), Pair()
    for step in scenario.steps:
        for row, quarantine in step.rows:
            pair.apply(row, quarantine)
    pair.check()


@pytest.mark.both
@every_file
def test_other_batches_and_restarts_change_nothing(file):
    """One row per batch, all rows in one batch, and a restart between every two commands: the same bytes."""
    scenario = read(file)
    machine, told = run(scenario)
    restarted, again = run(scenario, restored=True)
    assert again == told
    assert restarted.rows() == machine.rows()
    whole, joined, batch = Machine(), [], b""
    for row, quarantine in [row for step in scenario.steps for row in step.rows]:
        if quarantine:
            joined += [whole.apply(batch, 0, len(batch)), apply(whole, row, quarantine)]
            batch = b""
        else:
            batch += row
    joined.append(whole.apply(batch, 0, len(batch)))
    assert b"".join(joined) == b"".join(told)
    assert whole.rows() == machine.rows()


if os.environ.get("UPDATE_SCENARIOS"):

    @every_file
    def test_update(file):
        """Not a test: writes the model's events into the table."""
        scenario, model = read(file), Model()
        shown = []
        for step in scenario.steps:
            events = []
            for row, quarantine in step.rows:
                events += model.apply_quarantined(row, quarantine) if quarantine else model.apply(row)
            shown.append([words(event, scenario.numbers) for event in events])
        file.write_text(written(scenario, shown))


@pytest.fixture(scope="module")
def reached():
    """Names of the commands, events and reasons in the shown parts of all scenarios."""
    names = set()
    for file in FILES:
        scenario = read(file)
        for step, events in zip(scenario.steps, run(scenario)[1], strict=True):
            if step.expected is None:
                continue
            kinds = {int.from_bytes(row[:8], "little") for row, _ in step.rows}
            names |= {kind.name for kind in CommandKind if kind in kinds}
            for event in rows(events):
                names.add(EventKind(event.KIND).name)
                if isinstance(event, m.Rejected | m.Canceled):
                    reason = RejectReason if isinstance(event, m.Rejected) else CancelReason
                    names.add(f"{reason.__name__}.{reason(event.reason).name}")
    return names


@pytest.mark.parametrize("of", [CommandKind, EventKind, RejectReason, CancelReason], ids=lambda of: of.__name__)
def test_scenarios_reach_everything(of, reached):
    """Each command, event and reason is shown by some scenario, but for a short list with reasons."""
    full = of in {RejectReason, CancelReason}
    missed = {name for name in of.__members__ if (f"{of.__name__}.{name}" if full else name) not in reached}
    assert missed == {name for name in UNREACHED if name in of.__members__}


def test_there_are_many_and_each_says_its_rule():
    """At least forty rules, one per file, each with prose that ends in a full stop and fits the page."""
    assert len(FILES) >= 40
    for file in FILES:
        prose = read(file).prose
        assert prose.endswith("."), file.name
        assert max(len(line) for line in prose.splitlines()) <= 120, file.name
