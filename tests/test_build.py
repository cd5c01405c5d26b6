"""The build under test is the one that was meant, and no compiled module can stand in front of an edited source."""

import importlib
import os
import subprocess
import sys
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import pytest

from tests.paths import CHECKOUT, PACKAGES, name_of, project, sources
from tools.build import build

pytestmark = pytest.mark.both
COMPILED = tuple(EXTENSION_SUFFIXES)
NOT_COMPILED = project()["tool"]["lockstep"]["not-compiled"]


def module_name(path: Path) -> str:
    return name_of(path).removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def core_modules() -> list[str]:
    return [module_name(path) for path in sources("core") if name_of(path) not in NOT_COMPILED]


def test_no_compiled_module_stands_beside_the_sources():
    """Python prefers a .so to the .py beside it, without a word: an edit would change nothing."""
    candidates = [*CHECKOUT.glob("*"), *(path for package in PACKAGES for path in (CHECKOUT / package).rglob("*"))]
    found = [path for path in candidates if path.suffix in {".so", ".pyd"}]
    assert found == [], "remove them: `make compiled` builds elsewhere"


def test_the_expected_build_is_imported():
    expected = os.environ.get("LOCKSTEP_EXPECT_BUILD")
    assert build() == expected if expected else build() in {"compiled", "interpreted"}


@pytest.mark.parametrize("module", core_modules())
def test_every_module_of_core_is_of_this_build(module):
    """One module that stayed interpreted would cost its speed, and its i64 would not wrap."""
    file = importlib.import_module(module).__file__
    assert file.endswith(COMPILED) == (build() == "compiled"), file


@pytest.mark.parametrize("name", NOT_COMPILED)
def test_what_is_excluded_by_name_is_interpreted(name):
    file = importlib.import_module(module_name(CHECKOUT / name)).__file__
    assert file.endswith(".py")


@pytest.mark.parametrize("package", PACKAGES)
def test_sources_are_the_ones_of_the_checkout(package):
    """The installed wheel holds the same modules with the same text: it was built after the last edit."""
    installed = Path(importlib.import_module(package).__file__).parent
    here = {name_of(path): path.read_bytes() for path in sources(package)}
    there = {path.relative_to(installed.parent).as_posix(): path.read_bytes() for path in installed.rglob("*.py")}
    assert there == here


def test_the_compiled_build_does_not_see_the_checkout():
    if build() == "interpreted":
        pytest.skip("only the compiled build is installed away from its sources")
    assert str(CHECKOUT) not in sys.path
    assert not Path(importlib.import_module("core").__file__).is_relative_to(CHECKOUT / "core")


@pytest.mark.parametrize("arguments", [["build_ext", "--inplace"], ["build_ext", "-i"]])
def test_compiling_in_place_is_refused(arguments):
    run = subprocess.run(
        [sys.executable, "setup.py", *arguments], cwd=CHECKOUT, capture_output=True, text=True, check=False
    )
    assert run.returncode != 0
    assert "not compiled in place" in run.stderr
