"""`lockstep status`: what a data directory says of its node, and what a running node says of itself."""

import json
import os
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager

import msgspec
import pytest
import typer
from typer.testing import CliRunner

from core.messages import DefineCurrency
from core.rows import to_row
from core.state import SEMANTICS
from journal.verify import verify
from replicas import lease_state
from replicas.lease import LEASE, LeaseFile, join
from replicas.opening import create
from tests.nodes.operated import FakeNode, serving
from tests.paths import HERE
from tools.group import Group
from tools.status import status

app = typer.Typer(cls=Group)
app.command()(status)
app.callback()(lambda: None)

ROW = to_row(DefineCurrency(currency=1, symbol="USD"))


@pytest.fixture
def make(tmp_path):
    """A venue of three rows, a snapshot after the second; closed cleanly or not."""

    def of(name="venue", *, closed=True):
        directory, sequencer = create(tmp_path / name)
        sequencer.submit(ROW * 2, 1_000)
        sequencer.snapshot(directory)
        sequencer.submit(ROW, 2_000)
        if closed:
            sequencer.close_batch()
        sequencer.events.close()
        digest = sequencer.machine.digest.value().hex()
        directory.close()
        return tmp_path / name, digest

    return of


def run(*arguments):
    return CliRunner().invoke(app, ["status", *map(str, arguments)])


def ask(*arguments):
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


HOLDER = """
import sys
from pathlib import Path
from replicas import lease_state
from replicas.lease import LEASE, LeaseFile
directory = Path(sys.argv[1])
lease = LeaseFile.claim(directory / LEASE, directory=directory, address="127.0.0.1:9001", admin="a.sock", epoch=1)
print(lease.epoch, flush=True)
sys.stdin.read()
"""


@contextmanager
def led(directory):
    """Another process holds the lease in the directory."""
    command = [sys.executable, "-c", HOLDER, str(directory)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=HERE) as process:
        assert process.stdout.readline() == b"1\n"
        yield process.pid
        process.stdin.close()


def test_a_venue_that_was_stopped(make):
    path, digest = make()
    said = ask(path)
    size = sum(file.stat().st_size for file in (path / "segments").rglob("data.mdb"))
    assert said == {
        "role": "stopped", "primary": None, "epoch": 1, "sequence": 3, "head": verify(path).head.hash.hex(),
        "closed": True, "digest": digest, "semantics": SEMANTICS, "segments": 1, "journal_bytes": size, "snapshot": 2,
    }  # fmt: skip


def test_no_digest_is_shown_that_does_not_cover_all_rows(make):
    path, _ = make(closed=False)
    said = ask(path)
    assert (said["closed"], said["digest"]) == (False, None)


def test_the_one_that_holds_the_lease_is_the_primary(make):
    path, _ = make()
    with led(path) as pid:
        said = ask(path)
    assert (said["role"], said["primary"], said["process"]) == ("primary", str(path), pid)
    assert (said["address"], said["admin"]) == ("127.0.0.1:9001", "a.sock")
    assert said["silent_seconds"] >= 0
    assert ask(path)["role"] == "stopped"


def test_another_node_of_the_venue_is_a_standby(make):
    path, _ = make()
    other, _ = make("other")
    join(other, path)
    with led(path) as pid:
        said = ask(other)
    assert (said["role"], said["primary"], said["process"]) == ("standby", str(path), pid)
    said = ask(other)
    assert (said["role"], said["primary"]) == ("stopped", str(path))


def test_a_process_that_only_has_the_number_of_the_primary_is_not_it(make):
    path, _ = make()
    lease = LeaseFile.claim(path / LEASE, directory=path, address="", admin="", epoch=1)
    try:
        assert ask(path)["process"] == os.getpid()
    finally:
        lease.release()
    said = lease_state.unpack((path / LEASE).read_bytes())
    other = msgspec.structs.replace(said, start_time=said.start_time + 1)
    (path / LEASE).write_bytes(lease_state.pack(other))
    assert ask(path)["role"] == "stopped"


def test_nothing_in_the_directory_is_changed(make):
    path, _ = make()
    before = {file: file.read_bytes() for file in path.rglob("*.*") if file.is_file() and file.name != "lock.mdb"}
    ask(path)
    assert {
        file: file.read_bytes() for file in path.rglob("*.*") if file.is_file() and file.name != "lock.mdb"
    } == before
    assert not (path / LEASE).exists()


def test_a_running_node_is_asked_itself(tmp_path):
    node = FakeNode()
    with serving(node, tmp_path / "admin.sock"):
        assert ask(f"unix:{tmp_path / 'admin.sock'}") == node.status()


def test_a_table_for_people(make, tmp_path):
    path, digest = make()
    lines = run(path).stdout.splitlines()
    assert "role           stopped" in lines
    assert f"digest         {digest}" in lines
    assert "primary        -" in lines
    assert lines[-1] == "snapshot       2"


def test_no_journal_and_no_node(tmp_path):
    assert run(tmp_path / "nowhere").exit_code == 2
    result = run(f"unix:{tmp_path}/admin.sock")
    assert (result.exit_code, result.stderr) == (1, f"lockstep: {tmp_path}/admin.sock: no node answers there\n")


def test_a_lease_that_is_damaged_is_named(make):
    path, _ = make()
    (path / LEASE).write_bytes(b"nonsense")
    result = run(path)
    assert result.exit_code == 1
    assert str(path / LEASE) in result.stderr


def test_a_node_that_answers_nonsense_is_a_failure(tmp_path):
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "admin.sock"))
    listener.listen()

    def answer():
        connection, _ = listener.accept()
        connection.recv(4096)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]")
        connection.close()

    thread = threading.Thread(target=answer)
    thread.start()
    result = run(f"unix:{tmp_path}/admin.sock")
    thread.join()
    listener.close()
    assert result.exit_code == 1
    assert "the node's answer is no JSON object" in result.stderr
