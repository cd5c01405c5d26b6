"""Promise 4 on one node: nothing acknowledged is lost, doubled or different, wherever the writer was killed."""

import json
import subprocess
import sys

import pytest

from tests.conftest import NIGHT, seed
from tests.crash.harness import ACTS
from tests.paths import HERE
from tools.build import build

POINTS = {"submit": 45}
"""Lines at which the normal run kills during an act; 12 for the others, and by night all of them."""

LINES_MIN = {"submit": 300, "close": 250, "snapshot": 400, "roll": 900, "resume": 1_500, "create": 700, "poison": 1_000}
"""What the acts reach, at least: fewer means that an act does not do any more what it is for."""


def harness(*arguments):
    """What the harness prints."""
    command = [sys.executable, "-m", "tests.crash.harness", *map(str, arguments), "--seed", str(seed())]
    done = subprocess.run(command, cwd=HERE, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_killed_at_random_moments(tmp_path):
    """A writer killed time and again: its journal is the stream, with every acknowledged batch and its events."""
    found = harness("moments", tmp_path, "--kills", 400 if NIGHT else 20)
    print(found)
    assert found["killed_idle"] < found["kills"]
    assert found["acknowledged"] > 20


def killed(tmp_path, act, points):
    """Kill at lines of an act."""
    if act == "poison" and build() == "compiled":
        pytest.skip("the engine is made to raise by patching it, which compiled classes do not allow")
    found = harness("lines", tmp_path, "--act", act, "--points", points)
    print({name: found[name] for name in ("act", "lines", "points")}, "violations:", len(found["violations"]))
    assert found["violations"] == []
    assert found["lines"] > LINES_MIN[act]
    return found


@pytest.mark.parametrize("act", ACTS)
def test_killed_at_some_lines(tmp_path, act):
    """Killed at lines of journal/ and replicas/ chosen by the seed, the venue recovers all that was acknowledged."""
    assert killed(tmp_path, act, POINTS.get(act, 12))["points"] >= 12


@pytest.mark.night
@pytest.mark.parametrize("act", ACTS)
def test_killed_at_every_line(tmp_path, act):
    """Killed at every line of journal/ and replicas/ that the act runs, the venue recovers all that was acknowledged."""
    found = killed(tmp_path, act, 0)
    assert found["points"] == found["lines"]


def test_the_harness_finds_what_is_lost(tmp_path):
    """Answering before the commit is what these tests are for: a writer that does so is caught at some line."""
    code = """
import sys
from replicas.sequencer import Sequencer
from tests.crash import harness

def early(self, rows):
    import hashlib, os
    at = self.sequencer.machine.engine.sequence
    head = self.directory.head()
    os.write(self.pipe, f"{at + 1} {at + rows} {head.hash.hex()} {hashlib.sha256(b'').hexdigest()}\\n".encode())
    self.sequencer.submit(b"".join(self.course.wire[at : at + rows]), harness.START)

submit = harness.Writer.submit
def chosen(self, rows):
    (early if sys.gettrace() else submit)(self, rows)

harness.Writer.submit = chosen
harness.main()
"""
    command = [
        sys.executable,
        "-c",
        code,
        "lines",
        str(tmp_path),
        "--act",
        "submit",
        "--points",
        "10",
        "--seed",
        str(seed()),
    ]
    done = subprocess.run(command, cwd=HERE, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert any("was acknowledged and is lost" in violation for violation in json.loads(done.stdout)["violations"])
