"""Exactly once: wherever a projector is killed, the tables hold what the position beside them says, and nothing else."""

import json
import subprocess
import sys

import pytest

from tests.conftest import NIGHT, seed
from tests.paths import HERE


def harness(*arguments):
    """What the harness prints."""
    command = [sys.executable, "-m", "tests.crash.projector", *map(str, arguments), "--seed", str(seed())]
    done = subprocess.run(command, cwd=HERE, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["wrong"] == [], f"LOCKSTEP_SEED={seed()}"
    return found


def test_killed_while_it_follows_a_writer(tmp_path):
    """Followers killed time and again beside a writer at work: every event once, in all projections."""
    found = harness("moments", tmp_path, "--kills", 300 if NIGHT else 20)
    assert not found["behind"]
    assert found["positions"] > 3


def test_killed_at_some_statements(tmp_path):
    """Killed at statements chosen by the seed."""
    assert harness("statements", tmp_path, "--points", 4)["statements"] > 100


@pytest.mark.night
def test_killed_at_every_statement(tmp_path):
    harness("statements", tmp_path)
