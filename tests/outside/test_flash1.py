"""Five simulated workloads: every report line, in order, by its hash."""

import hashlib
import json

import pytest

from tests.outside.conftest import SCENARIOS

pytestmark = pytest.mark.data


@pytest.mark.both
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_report_lines_are_the_expected_ones(scenario, workloads, market_data):
    sets = json.loads((market_data / "flash1" / "small_expected_hashes.json").read_text())["sets"]
    expected = sets[f"{scenario}_seed7_count20000"]
    imported, reports = workloads(scenario)
    text = reports.read_bytes()
    assert text.count(b"\n") + 1 == expected["reports"]
    assert imported.summary["commands"] == expected["messages"]
    assert imported.summary["executions"] == expected["trades"]
    assert {*imported.summary["rejections"]} <= {"UNKNOWN_ORDER"}
    assert hashlib.sha256(text).hexdigest() == expected["sha256"]
