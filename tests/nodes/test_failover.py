"""A primary and a standby in processes of their own: killed or stopped at any moment, nothing acknowledged is lost."""

import os
import random
import select
import signal
import time

import pytest

from journal.directory import JournalDirectory
from journal.verify import verify
from replicas.feed import DOORBELL, DirectoryFeed, Doorbell, DoorbellClient
from replicas.joining import rejoin
from replicas.lead import LeadHeld, Superseded
from replicas.lease import LEASE, LeaseFile, join, read, refuse_stale
from replicas.opening import create
from replicas.replay import recover
from replicas.standby import Standby
from tests.conftest import NIGHT, seed
from tests.crash.harness import fork, read_all
from tests.determinism.stream import START, wire_rows
from tests.nodes.standbys import LATER

HANG = 0.1
ROWS = 20_000


@pytest.fixture
def folders(tmp_path):
    """The data directories of the two nodes; the lease is in the first one's."""
    first, second = tmp_path / "first", tmp_path / "second"
    second.mkdir()
    return first, second


def serve(folder, number, pipe):
    """A primary without clients: durable, applied, told to the lease, then acknowledged to the parent."""
    wire, sizes = wire_rows(number, ROWS), random.Random(number)
    directory, sequencer = create(folder)
    lead = LeaseFile.claim(folder / LEASE, directory=folder, address="first", admin="", epoch=1, hang=HANG)
    lead.tell(directory.head())
    bell = Doorbell(folder / DOORBELL)
    while wire:
        size = sizes.choice((1, 3, 9))
        lead.check()
        sequencer.submit(b"".join(wire[:size]), START)
        lead.tell(directory.head())
        os.write(pipe, f"{directory.head().sequence} {directory.head().hash.hex()}\n".encode())
        bell.ring()
        wire = wire[size:]
        if sizes.random() < 0.02:
            sequencer.roll()


def lead_of(folder, lease):
    """The lead, as soon as it can be had."""
    end = time.monotonic() + 10
    while True:
        try:
            return LeaseFile.take(lease, hang=HANG, directory=folder, address="second", admin="")
        except LeadHeld:
            assert time.monotonic() < end
            time.sleep(0.01)


def follow(standby, bell, seconds):
    """Follow for a while; the number of batches taken."""
    end, taken = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        bell.wait(0.05)
        taken += standby.step()
    return taken


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "stopped"])
@pytest.mark.parametrize("case", range(20 if NIGHT else 2))
def test_nothing_acknowledged_is_lost(folders, how, case):
    first, second = folders
    number = seed() + case
    pid, reading = fork(lambda pipe: serve(first, number, pipe))
    select.select([reading], [], [], 10)
    link = join(second, first)
    standby, bell = Standby(second, DirectoryFeed(first)), DoorbellClient(first / DOORBELL)
    assert follow(standby, bell, random.Random(number).uniform(0.02, 0.2)) > 0, number
    os.kill(pid, how)
    lead = lead_of(second, link)
    assert os.WTERMSIG(os.waitpid(pid, 0)[1]) == signal.SIGKILL
    told = read_all(reading)
    directory, sequencer = standby.promote(lead.epoch, LATER, lead, lead.before)
    assert len(told) > 0
    for sequence, hashed in told:
        header = directory.header_at(int(sequence))
        assert header is not None, f"row {sequence} was acknowledged and is lost; seed {number}"
        assert header.hash.hex() == hashed, number
    assert recover(directory, upto=sequencer.machine.engine.sequence).rows() == sequencer.machine.rows(), number
    lead.check()
    state = read(first / LEASE)
    assert (state.directory, state.epoch, state.hash) == (str(second), 2, directory.head().hash.hex())
    bell.close()
    sequencer.events.close()
    directory.close()
    assert verify(second).good
    come_back(first, second)


def come_back(first, second):
    """The former primary may not serve, and follows: the standby had all of its journal."""
    former = JournalDirectory(first)
    with pytest.raises(Superseded, match="second"):
        refuse_stale(read(first / LEASE), former)
    former.close()
    feed = DirectoryFeed(second)
    assert rejoin(first, feed) is None
    standby = Standby(first, feed)
    while standby.step():
        pass
    assert standby.journal.head() == feed.head()
    standby.close()
