"""Where things lie. The compiled build is tested from a copy of the tests, so tests that read sources ask here."""

import os
import tomllib
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent.parent
"""The tree that these tests stand in, with docs/ and README.md: the checkout, or its copy without packages."""

CHECKOUT = Path(os.environ.get("LOCKSTEP_CHECKOUT") or HERE).resolve()
"""The checkout with the sources of all packages."""

MARKET_DATA = Path(os.environ.get("LOCKSTEP_DATA") or CHECKOUT.parent / "shared" / "data").resolve()
"""Third-party market data; it is not part of the project and may be absent."""

PACKAGES = ("core", "journal", "replicas", "tools")


def sources(*packages: str) -> list[Path]:
    """Every module of the named packages, or of all, in the checkout."""
    return sorted(path for package in packages or PACKAGES for path in (CHECKOUT / package).rglob("*.py"))


def name_of(path: Path) -> str:
    """The path from the root of the checkout, as reports and exception lists write it."""
    return path.relative_to(CHECKOUT).as_posix()


def project() -> dict[str, Any]:
    """What pyproject.toml says."""
    return tomllib.loads((CHECKOUT / "pyproject.toml").read_text())
