"""What every test has at hand: the build under test, the seed that repeats a run, and the market data.

LOCKSTEP_SEED          drives hypothesis and the choice of tests; printed by every run
LOCKSTEP_PART=third    runs the tests marked `both` and a third of the others, chosen by the seed
LOCKSTEP_NIGHT=1       runs the tests marked `night` too, and hypothesis for longer
LOCKSTEP_EXPECT_BUILD  compiled or interpreted: the run fails at once if the other one is imported
LOCKSTEP_DATA          where the market data lies
"""

import hashlib
import os
import secrets
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.paths import CHECKOUT, MARKET_DATA
from tools.build import build

NIGHT = os.environ.get("LOCKSTEP_NIGHT") == "1"
SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large]
settings.register_profile("ci", deadline=None, print_blob=True, max_examples=60, suppress_health_check=SLOW)
settings.register_profile("night", settings.get_profile("ci"), max_examples=2_000)


def seed() -> int:
    """The number that repeats this run; workers inherit it from the process that chose it."""
    return int(os.environ.setdefault("LOCKSTEP_SEED", str(secrets.randbelow(2**24))))


def the_build() -> str:
    """Which build is under test."""
    try:
        return build()
    except ImportError as error:
        return f"no ({error})"


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config):
    """Refuse the wrong build, and hand the seed to hypothesis before its plugin looks."""
    expected = os.environ.get("LOCKSTEP_EXPECT_BUILD")
    if expected and expected != the_build():
        raise pytest.UsageError(f"LOCKSTEP_EXPECT_BUILD={expected}, but the {the_build()} build is imported")
    if config.option.hypothesis_seed is None:
        config.option.hypothesis_seed = str(seed())
    settings.load_profile(config.option.hypothesis_profile or ("night" if NIGHT else "ci"))


def repeat_line() -> str:
    """What to type to run the same again."""
    return f"{the_build()} build; LOCKSTEP_SEED={seed()} make {'night' if NIGHT else 'test'} repeats this run"


def pytest_report_header(config):
    return repeat_line()


def pytest_terminal_summary(terminalreporter, exitstatus):
    if exitstatus:
        terminalreporter.write_line(repeat_line(), yellow=True)


def chosen(nodeid: str) -> bool:
    """Whether a test is in the third that the seed chooses; without hash(), which differs between processes."""
    return hashlib.sha256(f"{seed()} {nodeid}".encode()).digest()[0] % 3 == 0


def pytest_collection_modifyitems(config, items):
    """Leave out what takes minutes, and two thirds of the rest where a third was asked for."""
    named = any("::" in argument for argument in config.args)
    with_night = NIGHT or named or "night" in config.option.markexpr
    third = os.environ.get("LOCKSTEP_PART") == "third" and not named
    left_out = [
        item
        for item in items
        if (item.get_closest_marker("night") and not with_night)
        or (third and not item.get_closest_marker("both") and not chosen(item.nodeid))
    ]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Turn the skip of a `data` test into a failure where the data lies: there it would hide that nothing was tested."""
    report = yield
    skipped = report.skipped and not hasattr(report, "wasxfail")
    if skipped and item.get_closest_marker("data") and MARKET_DATA.is_dir():
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} was skipped although {MARKET_DATA} exists: {report.longrepr}"
    return report


@pytest.fixture(scope="session")
def checkout() -> Path:
    """The checkout with the sources, for tests that read them; on the compiled build the tests stand elsewhere."""
    return CHECKOUT


@pytest.fixture(scope="session")
def market_data() -> Path:
    """The folder of third-party market data; mark the test `data`."""
    if not MARKET_DATA.is_dir():
        pytest.skip(f"no market data: {MARKET_DATA} does not exist")
    return MARKET_DATA
