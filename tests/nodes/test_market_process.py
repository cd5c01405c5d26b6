"""The market data process: beside a writer of another process, woken by its doorbell, dead when its parent is."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import replicas
from core import messages as m
from core.kinds import TradingState
from replicas import market_data
from replicas.feed import DOORBELL, Doorbell
from replicas.passwords import PasswordError
from tests.nodes.copies import FIRMS, Copy, copied_venue, copies
from tests.nodes.market import PASSWORD, READER, Client, Venue, credential, serving, until
from tests.pair import seeds

HERE = Path(replicas.__file__).parent.parent
HALT = m.SetTradingState(instrument=1, state=TradingState.HALTED)


@pytest.fixture
def venue(tmp_path):
    venue = Venue(tmp_path / "venue", seeds(1)[0])
    venue.trade(200, batch=100)
    yield venue
    venue.close()


def command(venue, *more):
    return [sys.executable, "-m", "replicas.market_data", str(venue.directory.path), "--listen", "127.0.0.1:0", *more]


def port(line):
    """The port in the line that the process prints when it listens."""
    assert line.startswith("market data on 127.0.0.1:"), line
    return int(line.rpartition(":")[2])


def gone(pid):
    """Whether a process is dead, reaped or not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def test_it_follows_the_writer_and_checks_the_password(venue):
    with subprocess.Popen(command(venue), stdout=subprocess.PIPE, text=True, cwd=HERE) as process:
        try:
            listening = port(process.stdout.readline())

            async def run():
                wrong = await Client.connect(listening, 1, 1, READER, b"wrong")
                client = await Client.connect(listening, 1, 1, READER, PASSWORD)
                venue.trade(60)
                await until(lambda: client.next > venue.last(1))
                assert (client.rows, wrong.accepted) == (venue.told(1), None), f"seed {venue.seed}"

            asyncio.run(run())
        finally:
            process.kill()


def test_drop_copies_are_served_by_the_same_process_at_the_same_address(tmp_path):
    """Across the end of a segment, which is the writer's alone to see at once."""
    venue = copied_venue(tmp_path, seeds(1)[0])
    with subprocess.Popen(command(venue), stdout=subprocess.PIPE, text=True, cwd=HERE) as process:
        try:
            listening = port(process.stdout.readline())

            async def run():
                market = await Client.connect(listening, 1, 1)
                client = await Copy.connect(listening, "", 1, FIRMS[1])
                venue.sequencer.roll()
                venue.trade(60)
                venue.submit(m.Deposit(account=3, currency=1, amount=5), credential(FIRMS[1], b"changed"))
                await until(lambda: client.heads and client.heads[-1] == venue.directory.head())
                await until(lambda: market.next > venue.last(1))
                assert (client.rows, market.rows) == (copies(venue, 1), venue.told(1)), f"seed {venue.seed}"
                again = await Copy.connect(listening, "", 0, FIRMS[1], b"changed")
                assert again.accepted == ("LOCKSTEP", client.next)

            asyncio.run(run())
        finally:
            process.kill()
            venue.close()


PARENT = "import subprocess, sys; print(subprocess.Popen(sys.argv[1:]).pid, flush=True); sys.stdin.read()"


def test_it_dies_with_the_process_that_started_it(venue):
    start = [sys.executable, "-c", PARENT, *command(venue)]
    with subprocess.Popen(start, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=HERE) as parent:
        lines = sorted((parent.stdout.readline(), parent.stdout.readline()))
        child = int(lines[0])
        assert not gone(child)
        parent.kill()
    try:
        asyncio.run(until(lambda: gone(child)))
    finally:
        if not gone(child):
            os.kill(child, signal.SIGKILL)


def test_it_ends_at_once_if_its_parent_is_dead_already(venue):
    process = subprocess.run(
        command(venue, "--parent", "1" if os.getpid() != 1 else "2"), cwd=HERE, timeout=30, check=False
    )
    assert process.returncode == -signal.SIGKILL


def test_without_a_journal_it_says_so_in_one_line(tmp_path):
    arguments = [sys.executable, "-m", "replicas.market_data", str(tmp_path), "--listen", "127.0.0.1:0"]
    process = subprocess.run(arguments, cwd=HERE, capture_output=True, text=True, timeout=30, check=False)
    assert (process.returncode, process.stdout) == (1, "")
    assert process.stderr == f"market data: {tmp_path}: no journal here\n"


def test_the_doorbell_wakes_it(venue, monkeypatch):
    """With a poll of an hour nothing else does; a bell that was taken down is found again."""
    monkeypatch.setattr(market_data, "RECONNECT_SECONDS", 0.01)
    path = venue.directory.path / DOORBELL

    async def run():
        async with serving(venue, poll=3_600, doorbell=path) as server:
            client = await Client.connect(server.port, 1, 0)
            for _ in range(2):
                bell = Doorbell(path)
                while not bell.followers:
                    bell.ring()
                    await asyncio.sleep(0.001)
                venue.submit(HALT)
                bell.ring()
                await until(lambda: client.next > venue.last(1))
                bell.close()

    asyncio.run(run())


def test_a_login_whose_password_cannot_be_checked_is_cut_without_an_answer(venue):
    async def run():
        async with serving(venue) as server:

            async def refuse(*_):
                raise PasswordError("busy")

            server._checker.check = refuse
            client = await Client.connect(server.port)
            await until(lambda: client.closed)
            assert (client.accepted, client.rejected) == (None, None)
            assert dict(server.causes) == {"passwords not checked": 1}

    asyncio.run(run())
