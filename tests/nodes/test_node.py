"""Nodes as processes: a failover loses nothing, a hung primary is killed first, and nobody leads twice."""

import asyncio
import os
import signal

import pytest
from typer.testing import CliRunner

from core.kinds import Side
from journal.directory import JournalDirectory
from journal.errors import DiskError
from journal.verify import verify
from replicas.client import Client
from replicas.lease import LEASE, LeaseFile, released
from replicas.limits import Node, NodeConfig
from replicas.node import Place, _Following, follow
from replicas.passwords import Checker, CheckerGone
from tests.crash.harness import fork
from tests.nodes.processes import nodes
from tests.nodes.served import OPERATOR, PASSWORD, order, venue
from tools.main import app


@pytest.fixture
def pair(tmp_path):
    """A primary and its standby, both running."""
    venue(tmp_path / "a")
    with nodes() as start:
        primary = start(tmp_path / "a", "serve").until("primary at")
        standby = start(tmp_path / "b", "standby", "--follow", str(tmp_path / "a")).until("standby of")
        yield start, primary, standby


async def trade(client, numbers, price=100):
    """Enter an order for each number; its answers by client order id."""
    answers = {}
    for number in numbers:
        answers[number] = await client.answer(client.send(order(1, number, Side.BUY, price)))
    return answers


def both(*addresses):
    return Client(list(addresses), 1, PASSWORD, start=1)


def caught_up(node, path):
    """Whether the node's journal ends where the one at the path does."""
    ends = []
    for place in (node.data, path):
        directory = JournalDirectory(place)
        ends.append(directory.head())
        directory.close()
    return ends[0] == ends[1]


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
def test_the_standby_takes_over_and_nothing_is_lost_doubled_or_different(pair, how):
    """Killed, the lead is free at once. Stopped, the primary is killed and seen dead before the lead is taken."""
    _, primary, standby = pair

    async def run():
        client = both(primary.address, standby.address)
        await client.connect()
        before = await trade(client, range(1, 30))
        sent = [client.send(order(1, number, Side.BUY, 99)) for number in range(30, 60)]
        primary.signal(how)
        after = [await client.answer(inbound) for inbound in sent]
        more = await trade(client, range(60, 70))
        await client.close()
        return before, after, more

    before, after, more = asyncio.run(asyncio.wait_for(run(), 60))
    assert primary.ended() == -signal.SIGKILL
    told = [row for rows in (*before.values(), *after, *more.values()) for row in rows]
    assert [int.from_bytes(row[32:40], "little") for row in told] == list(range(1, 70))
    assert "promoted" in standby.said()
    assert standby.stop() == 0
    report = verify(standby.data)
    assert report.good, report
    directory = JournalDirectory(standby.data)
    assert directory.head().epoch == 2
    directory.close()


def test_the_old_primary_comes_back_as_a_standby_and_leads_again(pair):
    start, primary, standby = pair
    primary.signal(signal.SIGKILL)
    primary.ended()
    standby.until("primary at")
    # Where the venue has gone on, the old primary must not lead.
    refused = start(primary.data, "serve")
    assert refused.ended() == 1
    assert "lease" in refused.said() or "the venue went on in" in refused.said()
    back = start(primary.data, "standby", "--follow", str(standby.data)).until("standby of")

    async def run(address, numbers):
        client = both(address)
        await client.connect()
        answers = await trade(client, numbers)
        await client.close()
        return answers

    asyncio.run(asyncio.wait_for(run(standby.address, range(1, 20)), 60))
    back.wait(lambda: caught_up(back, standby.data), "it never caught up")
    standby.signal(signal.SIGKILL)
    back.until("primary at")
    asyncio.run(asyncio.wait_for(run(back.address, range(20, 30)), 60))
    assert back.stop() == 0
    directory = JournalDirectory(back.data)
    assert directory.head().epoch == 3
    directory.close()
    assert verify(back.data).good


def test_a_stale_node_does_not_lead_after_the_leader_died(pair):
    """Everybody is dead; the one that lacks acknowledged rows refuses, and names the one that has them."""
    start, primary, standby = pair
    primary.signal(signal.SIGKILL)
    standby.until("primary at").signal(signal.SIGKILL)
    standby.ended()
    stale = start(primary.data, "serve")
    assert stale.ended() == 1
    assert f"the venue went on in {standby.data}" in stale.said()
    start(standby.data, "serve").until("primary at")


def test_a_clean_stop_closes_the_journal_and_the_standby_goes_on(pair):
    _, primary, standby = pair
    assert primary.stop() == 0
    directory = JournalDirectory(primary.data)
    assert directory.closed()
    directory.close()
    standby.until("primary at")


def test_a_node_that_gave_the_lead_back_is_not_waited_for(tmp_path):
    """A node that cannot write any more takes its time to end; the standby leads before that."""
    venue(tmp_path / "a")
    (tmp_path / "b").mkdir()

    def gives_back(pipe):
        head = JournalDirectory(tmp_path / "a").head()
        lead = LeaseFile.claim(
            tmp_path / "a" / LEASE, directory=tmp_path / "a", address="", admin="", epoch=head.epoch, hang=60
        )
        lead.tell(head)
        os.write(pipe, b"held\n")
        signal.sigwait({signal.SIGUSR1})
        lead.release()
        os.write(pipe, b"released\n")
        signal.pause()

    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    pid, reading = fork(gives_back)
    try:
        assert os.read(reading, 100) == b"held\n"
        config = NodeConfig(node=Node(hang_seconds=60))
        following = _Following(Place(tmp_path / "b", config), tmp_path / "a")
        assert following._take_lead() is None
        os.kill(pid, signal.SIGUSR1)
        assert os.read(reading, 100) == b"released\n"
        assert following._take_lead() is not None
        os.kill(pid, 0)
        following.close()
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(reading)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGUSR1})


def test_a_promotion_that_fails_leaves_nothing_open_when_the_lead_is_free(tmp_path, monkeypatch):
    """Whoever takes the lead next opens the former leader's journal for writing."""
    venue(tmp_path / "a")
    (tmp_path / "b").mkdir()
    LeaseFile.claim(tmp_path / "a" / LEASE, directory=tmp_path / "a", address="", admin="", epoch=1).release()
    following = _Following(Place(tmp_path / "b", NodeConfig()), tmp_path / "a")
    lead = following._take_lead()
    done = []

    def fails(*_):
        following.standby._feed.settle()
        raise DiskError("as if it were full")

    def releases():
        JournalDirectory(tmp_path / "a", write=True).close()
        done.append("released")

    monkeypatch.setattr(following.standby, "promote", fails)
    monkeypatch.setattr(lead, "release", releases)
    with pytest.raises(DiskError):
        following.promote(lead, Checker())
    assert done == ["released"]


def test_a_lease_that_may_not_be_read_is_not_free(tmp_path):
    assert not released(tmp_path / "lease")


def test_a_standby_without_a_password_checker_follows(tmp_path, monkeypatch):
    """The first login starts it; until then there is time."""
    venue(tmp_path / "a")
    said = []

    async def fails(_):
        raise CheckerGone("no process can be started")

    async def run():
        stopping = asyncio.Event()
        monkeypatch.setattr("replicas.node._signals", lambda: stopping)
        monkeypatch.setattr(Checker, "start", fails)

        def ready(line):
            said.append(line)
            stopping.set()

        await follow(Place(tmp_path / "b", NodeConfig(node=Node(hang_seconds=60))), tmp_path / "a", ready)

    asyncio.run(asyncio.wait_for(run(), 30))
    assert said[0].startswith("standby of ")


def test_two_nodes_never_lead_at_the_same_time(pair):
    start, primary, _ = pair
    second = start(primary.data, "serve")
    assert second.ended() == 1
    assert "lease" in second.said()
    assert primary.process.poll() is None


def test_a_standby_begins_with_a_restored_backup(pair, tmp_path):
    """A backup is taken beside the writer; what is restored from it is a standby that lacks only what came since."""
    start, primary, _ = pair

    async def run(numbers):
        client = both(primary.address)
        await client.connect()
        await trade(client, numbers)
        await client.close()

    asyncio.run(asyncio.wait_for(run(range(1, 15)), 60))
    for arguments in (["backup", primary.data, tmp_path / "copy"], ["restore", tmp_path / "copy", tmp_path / "c"]):
        result = CliRunner().invoke(app, [str(argument) for argument in arguments])
        assert result.exit_code == 0, result.output
    asyncio.run(asyncio.wait_for(run(range(15, 30)), 60))
    restored = start(tmp_path / "c", "standby", "--follow", str(primary.data)).until("standby of")
    restored.wait(lambda: caught_up(restored, primary.data), "it never caught up")
    assert restored.stop() == 0
    assert verify(restored.data).good


def test_a_trading_day_ends_with_its_segment_and_the_standby_follows(pair):
    _, primary, standby = pair
    ended = CliRunner().invoke(
        app, ["admin", str(primary.data), "end-of-day", "20260302", "--operator", str(OPERATOR), "--reason", "close"]
    )
    assert ended.exit_code == 0, ended.output
    standby.wait(lambda: caught_up(standby, primary.data), "it never caught up")
    for node in (primary, standby):
        directory = JournalDirectory(node.data)
        assert len(directory.segments()) == 2
        directory.close()
    primary.signal(signal.SIGKILL)
    standby.until("primary at")
