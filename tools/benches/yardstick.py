"""The yardstick: a readable prototype of matching alone, which lies outside of the project and may be absent.

It has no accounts, money, sessions, limits or expiries, and reads and writes rows of 40 bytes. What an engine that has
them all may cost is a multiple of it, measured in the same run, on the same flow, in the same build.
"""

import importlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from typing import Any, Final

from tools.build import build

NAME: Final = "readable_engine"
PLAIN_SIZE: Final = 40
"""Bytes of one of its commands."""


class NoYardstick(Exception):
    """It cannot be measured here; the message says why."""


def beside(*parts: str) -> Path | None:
    """A file or folder under `shared`, beside the checkout that this was started in or installed from."""
    named = os.environ.get("LOCKSTEP_CHECKOUT")
    starts = (
        [Path(named)] if named else [Path.cwd(), *Path.cwd().parents, Path(__file__).resolve().parent.parent.parent]
    )
    found = (start.parent.joinpath("shared", *parts) for start in starts)
    return next((path for path in found if path.exists()), None)


def load(scratch: Path) -> Callable[[bytes, int], Callable[[int, int], object]]:
    """The yardstick in the build under measurement, ready to be given a flow. NoYardstick."""
    source = beside("prototypes", f"{NAME}.py")
    if source is None:
        raise NoYardstick("the prototype does not lie beside the checkout")
    shutil.copy(source, scratch)
    if build() == "compiled":
        _compile(scratch)
    return _Runs(_import(scratch)).on


def _compile(scratch: Path) -> None:
    compiler = next(_compilers(), None)
    if compiler is None:
        raise NoYardstick("mypyc is not at hand to compile the prototype with")
    done = subprocess.run([compiler, f"{NAME}.py"], cwd=scratch, capture_output=True, text=True, check=False)
    if done.returncode or not any((scratch / f"{NAME}{suffix}").exists() for suffix in EXTENSION_SUFFIXES):
        raise NoYardstick(f"the prototype did not compile: {(done.stderr or done.stdout).strip()[-200:]}")


def _compilers() -> Iterator[str]:
    named = os.environ.get("LOCKSTEP_CHECKOUT", ".")
    for folder in (Path(sys.executable).parent, Path(named) / ".venv" / "bin"):
        if (folder / "mypyc").exists():
            yield str((folder / "mypyc").absolute())
    on_path = shutil.which("mypyc")
    if on_path:
        yield on_path


def _import(scratch: Path) -> Any:
    sys.modules.pop(NAME, None)
    sys.path.insert(0, str(scratch))
    try:
        return importlib.import_module(NAME)
    finally:
        sys.path.remove(str(scratch))


class _Runs:
    """Fresh books of the prototype."""

    def __init__(self, module: Any) -> None:
        self._module = module

    def on(self, plain: bytes, batch: int) -> Callable[[int, int], object]:
        """A new book; the returned function applies the commands between two offsets, whole batches of them."""
        book, apply, step = self._module.Book(), self._module.apply_batch, batch * PLAIN_SIZE
        parts = [plain[at : at + step] for at in range(0, len(plain), step)]
        return lambda begin, _end: apply(book, parts[begin // step])
