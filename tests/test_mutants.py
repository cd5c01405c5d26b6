"""Each small fault of tests/mutants makes the test that is named with it fail: the tests mean what they say.

All of them run at night; a twelfth, chosen by LOCKSTEP_SEED, runs always.
"""

import compileall
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import tomllib
from contextlib import contextmanager
from py_compile import PycInvalidationMode

import pytest

from tests.conftest import seed
from tests.paths import CHECKOUT, HERE, PACKAGES

FILES = sorted((HERE / "tests" / "mutants").glob("*.toml"))
MUTANTS = [mutant for path in FILES for mutant in tomllib.loads(path.read_text())["mutant"]]
SECONDS = 60


def name(mutant):
    return mutant["name"].replace(" ", "-")


def chosen(mutant):
    """Whether a mutant is in the twelfth that the seed chooses."""
    return hashlib.sha256(f"{seed()} {mutant['name']}".encode()).digest()[0] % 12 == 0


def parameters():
    """Every mutant; those that are not chosen wait for the night."""
    for mutant in MUTANTS:
        yield pytest.param(mutant, id=name(mutant), marks=[] if chosen(mutant) else pytest.mark.night)


def run(folder, test):
    """Run one test in a tree of its own; what pytest returned and printed."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("LOCKSTEP_", "PYTEST_"))}
    environment |= {"PYTHONPATH": str(folder), "LOCKSTEP_SEED": str(seed()), "LOCKSTEP_CHECKOUT": str(folder)}
    command = [
        sys.executable,
        "-m",
        "pytest",
        "--runxfail",
        test,
        "-q",
        "-x",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:xdist",
    ]
    output = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    with subprocess.Popen(command, cwd=folder, env=environment, start_new_session=True, **output) as process:
        try:
            printed, _ = process.communicate(timeout=SECONDS)
        except (subprocess.TimeoutExpired, KeyboardInterrupt):
            # The nodes that the test started go with it.
            os.killpg(process.pid, signal.SIGKILL)
            raise
    return process.returncode, printed


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """A copy of all packages, and of what the tests need beside them; compiled once, for modules that no mutant changes."""
    folder = tmp_path_factory.mktemp("tree")
    skip = shutil.ignore_patterns("__pycache__", "*.so")
    for package in PACKAGES:
        shutil.copytree(CHECKOUT / package, folder / package, ignore=skip)
    for other in ("tests", "docs", "examples"):
        shutil.copytree(HERE / other, folder / other, ignore=skip)
    shutil.copy(HERE / "pyproject.toml", folder)
    # By its time and size alone, a source could be taken for the mutant that stood in its place a moment ago.
    for package in PACKAGES:
        compileall.compile_dir(folder / package, quiet=1, invalidation_mode=PycInvalidationMode.CHECKED_HASH)
    return folder


@contextmanager
def broken(folder, mutant):
    """Put a mutant into the tree, and its source back in the end."""
    source = folder / mutant["file"]
    text = source.read_text()
    source.write_text(text.replace(mutant["old"], mutant["new"]))
    try:
        yield
    finally:
        source.write_text(text)


@pytest.mark.parametrize("mutant", list(parameters()))
def test_mutant_is_caught(mutant, tree):
    """The test named with the fault fails on the faulty sources within a minute."""
    with broken(tree, mutant):
        code, output = run(tree, mutant["caught_by"])
    print(f"LOCKSTEP_SEED={seed()}", output)
    if code == pytest.ExitCode.OK and "1 skipped" in output:
        pytest.skip(f"{mutant['caught_by']} cannot run here")
    assert code == pytest.ExitCode.TESTS_FAILED, f"{mutant['breaks']}: nobody noticed\n{output}"
    assert "1 failed" in output


@pytest.mark.night
@pytest.mark.parametrize("test", sorted({mutant["caught_by"] for mutant in MUTANTS}))
def test_what_catches_mutants_passes_without(test, tree):
    """The same test passes on the sources as they are."""
    code, output = run(tree, test)
    assert code == pytest.ExitCode.OK, output


@pytest.mark.parametrize("mutant", MUTANTS, ids=name)
def test_mutant_fits_the_sources(mutant):
    """What it replaces stands in its file exactly once, and the fault is not one of grammar."""
    text = (CHECKOUT / mutant["file"]).read_text()
    assert text.count(mutant["old"]) == 1
    assert mutant["old"] != mutant["new"]
    compile(text.replace(mutant["old"], mutant["new"]), mutant["file"], "exec")


@pytest.mark.parametrize("test", sorted({mutant["caught_by"] for mutant in MUTANTS}))
def test_what_catches_mutants_exists(test):
    """The file, the function and the scenario; whether it passes is seen at night."""
    file, *_, last = test.split("::")
    function, _, parameter = last.partition("[")
    beside = [path.read_text() for path in (HERE / file).parent.glob("*.py")]
    assert any(f"def {function}(" in text or f"class {function}" in text for text in beside)
    if file == "tests/test_scenarios.py" and parameter:
        assert (HERE / "tests" / "scenarios" / f"{parameter.removesuffix(']')}.txt").exists()


def test_there_are_mutants_enough():
    """At least twelve, with different names."""
    assert len({mutant["name"] for mutant in MUTANTS}) == len(MUTANTS) >= 12
