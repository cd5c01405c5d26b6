"""Every CPython on this machine that Lockstep supports, each with an environment of its own that is made once.

    for found in one_per_minor():
        subprocess.run([environment(found), "-m", "tools.main", ...], cwd=CHECKOUT)

An environment holds what Lockstep needs at run time, not Lockstep: the process sees the checkout's sources by its
working directory or PYTHONPATH, so the interpreted build runs. It lies under build/ and is made again when the dependencies change.
"""

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import NamedTuple

from tests.paths import CHECKOUT, project

OLDEST = (3, 11)
ASK = "import sys; print(sys.implementation.name, *sys.version_info[:3], sys.version_info[3], sys.base_prefix, sep='|')"


class Interpreter(NamedTuple):
    """One CPython."""

    version: tuple[int, int, int]
    path: Path

    @property
    def name(self) -> str:
        """Its version as people write it."""
        return ".".join(map(str, self.version))


class NoEnvironmentError(Exception):
    """An interpreter exists, and an environment for it cannot be made; the message says why."""


def candidates() -> list[Path]:
    """Everything that is called like a Python: on PATH, of pyenv, and beside the running one."""
    folders = [Path(folder) for folder in os.environ.get("PATH", "").split(os.pathsep) if folder]
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    folders += sorted((pyenv / "versions").glob("*/bin"))
    named = re.compile(r"python3(\.\d+)?")
    return [
        path
        for folder in folders
        if folder.is_dir() and folder != pyenv / "shims"
        for path in sorted(folder.iterdir())
        if named.fullmatch(path.name) and os.access(path, os.X_OK)
    ]


@cache
def find() -> tuple[Interpreter, ...]:
    """All supported CPythons, oldest first, each installation once; environments made from one count as that one."""
    found: dict[str, Interpreter] = {}
    for path in candidates():
        try:
            run = subprocess.run([path, "-I", "-c", ASK], capture_output=True, text=True, check=False, timeout=30)
        except (OSError, subprocess.TimeoutExpired):
            continue
        match run.stdout.strip().split("|"):
            case ["cpython", major, minor, micro, "final", prefix] if (int(major), int(minor)) >= OLDEST:
                version = (int(major), int(minor), int(micro))
                found.setdefault(prefix, Interpreter(version, Path(prefix, "bin", f"python{major}.{minor}")))
    return tuple(sorted(found.values()))


def one_per_minor() -> tuple[Interpreter, ...]:
    """The newest of each minor version that can make environments, which Debian's own may not."""
    newest = {found.version[:2]: found for found in find() if _has_venv(found)}
    return tuple(newest.values())


@cache
def _has_venv(found: Interpreter) -> bool:
    run = subprocess.run([found.path, "-I", "-c", "import ensurepip, venv"], capture_output=True, check=False)
    return run.returncode == 0


def environment(found: Interpreter) -> Path:
    """The python of an environment with the run-time dependencies; NoEnvironmentError says why there is none."""
    needs = project()["project"]["dependencies"]
    key = hashlib.sha256("\n".join([str(found.path), *needs]).encode()).hexdigest()[:12]
    folder = CHECKOUT / "build" / "interpreters" / f"{found.name}-{key}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with Path(f"{folder}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "ready").exists():
            shutil.rmtree(folder, ignore_errors=True)
            _run(found, [found.path, "-I", "-m", "venv", folder])
            _run(found, [folder / "bin" / "python", "-m", "pip", "install", "-qq", *needs])
            (folder / "ready").touch()
    return folder / "bin" / "python"


def _run(found: Interpreter, command: list[str | Path]) -> None:
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    if run.returncode:
        last = (run.stderr.strip() or run.stdout.strip() or "no output").splitlines()[-1]
        raise NoEnvironmentError(f"no environment for Python {found.name}: {' '.join(map(str, command[1:6]))}…: {last}")
