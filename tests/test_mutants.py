"""Each small fault of tests/mutants/mutants.toml makes the test that is named with it fail: the tests mean what they say.

All of them run at night; two chosen by LOCKSTEP_SEED run always.
"""

import os
import random
import shutil
import subprocess
import sys
import tomllib

import pytest

from tests.paths import CHECKOUT, HERE

MUTANTS = tomllib.loads((HERE / "tests" / "mutants" / "mutants.toml").read_text())["mutant"]
ALWAYS = 2
SEED = int(os.environ.get("LOCKSTEP_SEED", "0"))
CHOSEN = random.Random(SEED).sample(range(len(MUTANTS)), ALWAYS)
SECONDS = 60


def name(mutant):
    return mutant["name"].replace(" ", "-")


def parameters():
    """Every mutant; those that are not chosen wait for the night."""
    for at, mutant in enumerate(MUTANTS):
        yield pytest.param(mutant, id=name(mutant), marks=[] if at in CHOSEN else pytest.mark.night)


def run(folder, test):
    """Run one test in a tree of its own; what pytest returned and printed."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("LOCKSTEP_", "PYTEST_"))}
    environment |= {"PYTHONPATH": str(folder), "LOCKSTEP_SEED": str(SEED), "LOCKSTEP_CHECKOUT": str(folder)}
    command = [sys.executable, "-m", "pytest", test, "-q", "-x", "-p", "no:cacheprovider", "-p", "no:xdist"]
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=SECONDS, check=False
    )
    return done.returncode, done.stdout + done.stderr


@pytest.fixture
def tree(tmp_path):
    """A copy of core, and of what the tests need beside it."""
    skip = shutil.ignore_patterns("__pycache__", "*.so")
    for folder in ("core", "tools"):
        shutil.copytree(CHECKOUT / folder, tmp_path / folder, ignore=skip)
    for folder in ("tests", "docs"):
        shutil.copytree(HERE / folder, tmp_path / folder, ignore=skip)
    shutil.copy(HERE / "pyproject.toml", tmp_path)
    return tmp_path


@pytest.mark.parametrize("mutant", list(parameters()))
def test_mutant_is_caught(mutant, tree):
    """The test named with the fault fails on the faulty core within a minute."""
    source = tree / mutant["file"]
    text = source.read_text()
    source.write_text(text.replace(mutant["old"], mutant["new"]))
    code, output = run(tree, mutant["caught_by"])
    print(f"LOCKSTEP_SEED={SEED}", output)
    assert code == pytest.ExitCode.TESTS_FAILED, f"{mutant['breaks']}: nobody noticed\n{output}"
    assert "1 failed" in output


@pytest.mark.night
@pytest.mark.parametrize("test", sorted({mutant["caught_by"] for mutant in MUTANTS}))
def test_what_catches_mutants_passes_without(test, tree):
    """The same test passes on the core as it is."""
    code, output = run(tree, test)
    assert code == pytest.ExitCode.OK, output


@pytest.mark.parametrize("mutant", MUTANTS, ids=name)
def test_mutant_fits_the_sources(mutant):
    """What it replaces stands in its file exactly once."""
    assert (CHECKOUT / mutant["file"]).read_text().count(mutant["old"]) == 1
    assert mutant["old"] != mutant["new"]


def test_there_are_mutants_enough():
    """At least twelve, with different names."""
    assert len({mutant["name"] for mutant in MUTANTS}) == len(MUTANTS) >= 12
