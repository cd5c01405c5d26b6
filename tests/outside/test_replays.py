"""Every import replayed, twice from zero and once from a snapshot: the same event bytes, the same digests."""

import pytest

from tests.outside.conftest import SCENARIOS
from tests.outside.replays import assert_replays_agree

pytestmark = pytest.mark.data


@pytest.mark.both
def test_replays_of_the_commands_agree(orders_hour):
    assert len(assert_replays_agree(orders_hour.path)) == orders_hour.summary["executions"]


def test_replays_of_the_messages_agree(lobster_hour):
    assert len(assert_replays_agree(lobster_hour.path)) == lobster_hour.summary["executions"]


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_replays_of_a_workload_agree(scenario, workloads):
    imported, _ = workloads(scenario)
    assert len(assert_replays_agree(imported.path)) == imported.summary["executions"]


def test_replay_gives_the_digest_that_the_import_printed(orders_hour):
    first, second = orders_hour.ask("replay", "--check").splitlines()
    assert first == f"event digest {orders_hour.summary['digest']}"
    assert second.startswith("state digest ")
