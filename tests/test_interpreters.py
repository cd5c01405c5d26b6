"""The helper behind the determinism matrix finds what is here, and its environments can run Lockstep."""

import subprocess
import sys

import pytest

from tests.interpreters import OLDEST, environment, find, one_per_minor
from tests.paths import CHECKOUT


def test_the_running_interpreter_is_found():
    assert sys.version_info[:3] in {found.version for found in find()}


def test_no_version_is_below_the_oldest_supported():
    assert all(found.version >= OLDEST for found in find())


def test_one_interpreter_for_each_minor_version():
    minors = [found.version[:2] for found in one_per_minor()]
    assert minors == sorted(set(minors))


@pytest.mark.night
@pytest.mark.parametrize("found", one_per_minor(), ids=lambda found: found.name)
def test_an_environment_imports_the_rows_of_the_checkout(found):
    code = "import sys, core.rows, eventsourcing, lmdb, librt.strings, sortedcontainers; print(*sys.version_info[:3])"
    run = subprocess.run([environment(found), "-c", code], cwd=CHECKOUT, capture_output=True, text=True, check=False)
    assert run.stdout.split() == [str(part) for part in found.version], run.stderr
