"""A PostgreSQL server for tests, from the machine's own binaries: in a temporary directory, on a Unix socket there."""

import os
import shutil
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp

import pytest

_PLACES = (*sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True), Path("/usr/local/bin"))


def binary(name):
    """The path of a program of PostgreSQL, the newest there is; the test is skipped without one."""
    found = [place / name for place in _PLACES if (place / name).exists()]
    path = found[0] if found else shutil.which(name)
    if path is None:
        pytest.skip(f"no PostgreSQL on this machine: {name} is neither in PATH nor in /usr/lib/postgresql/*/bin")
    return str(path)


def user():
    """Who runs the server: it refuses to be root's."""
    return "postgres" if os.geteuid() == 0 else None


@contextmanager
def server():
    """A server that is up; the directory of its socket."""
    # Not below pytest's own directory, which is closed to the server's user, and has a name too long for a socket.
    folder = Path(mkdtemp(prefix="lockstep-pg-", dir="/tmp"))
    if user():
        shutil.chown(folder, user())
    try:
        make = [
            binary("initdb"),
            "-D",
            folder / "data",
            "-A",
            "trust",
            "-U",
            "postgres",
            "-E",
            "UTF8",
            "--locale=C",
            "-N",
        ]
        subprocess.run(make, user=user(), cwd=folder, check=True, capture_output=True)
        with _running(folder):
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _running(folder):
    settings = ("listen_addresses=", "fsync=off", "shared_buffers=32MB", "max_connections=20")
    command = [binary("postgres"), "-D", folder / "data", "-k", folder, *(part for s in settings for part in ("-c", s))]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, user=user(), cwd=folder, stdout=log, stderr=log)
        try:
            _await(process, folder)
            yield
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _await(process, folder, seconds=30):
    import psycopg

    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and process.poll() is None:
        try:
            psycopg.connect(url(folder, "postgres"), connect_timeout=2).close()
        except psycopg.OperationalError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError((folder / "log").read_text())


def url(folder, name):
    """The URL of a database there."""
    return f"postgresql://postgres@/{name}?host={folder}"
