"""A primary and a standby in processes of their own: killed or stopped at any moment, nothing acknowledged is lost."""

import itertools
import os
import random
import select
import shutil
import signal
import sys
import time

import pytest

import journal.directory
import replicas.sequencer
from journal.directory import JournalDirectory
from journal.event_store import EventStore
from journal.verify import verify
from replicas.feed import DOORBELL, DirectoryFeed, Doorbell, DoorbellClient
from replicas.joining import rejoin
from replicas.lead import LeadHeld, Superseded
from replicas.lease import LEASE, LeaseFile, join, read, refuse_stale
from replicas.opening import create
from replicas.replay import recover
from replicas.sequencer import Sequencer
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


PHASES = {
    "the lead is asked": (LeaseFile, "check"),
    "a batch is stamped": (replicas.sequencer, "stamp"),
    "a batch is sealed": (replicas.sequencer, "seal"),
    "a batch is committed": (JournalDirectory, "append"),
    "a batch is applied": (replicas.sequencer, "apply"),
    "events are stored": (EventStore, "append"),
    "the head is told to the lease": (LeaseFile, "tell"),
    "a batch is acknowledged": (sys.modules[__name__], "acknowledge"),
    "the doorbell is rung": (Doorbell, "ring"),
    "a closing batch is sealed": (journal.directory, "closing_and_state"),
    "a segment is rolled": (Sequencer, "roll"),
    "a segment gets its name": (journal.directory, "move_durably"),
    "a snapshot is written": (Sequencer, "snapshot"),
}
"""What a primary does, in the order in which it does it, and the function that does it."""


def stop_in(phase, side, nth):
    """From now on this process stops itself as it begins or ends a phase for the n-th time."""
    owner, name = PHASES[phase]
    before, count = getattr(owner, name), itertools.count(1)

    def stopping(*arguments, **named):
        stops = next(count) == nth
        if stops and side == "begins":
            os.kill(os.getpid(), signal.SIGSTOP)
        done = before(*arguments, **named)
        if stops and side == "ends":
            os.kill(os.getpid(), signal.SIGSTOP)
        return done

    setattr(owner, name, stopping)


def acknowledge(pipe, head):
    os.write(pipe, f"{head.sequence} {head.hash.hex()}\n".encode())


def serve(folder, number, pipe, stop=None):
    """A primary without clients: durable, applied, told to the lease, then acknowledged to the parent."""
    if stop is not None:
        stop_in(*stop)
    wire, sizes = wire_rows(number, ROWS), random.Random(number)
    directory, sequencer = create(folder)
    lead = LeaseFile.claim(folder / LEASE, directory=folder, address="first", admin="", epoch=1, hang=HANG)
    lead.tell(directory.head())
    bell = Doorbell(folder / DOORBELL)
    for batch in itertools.count(1):
        size = sizes.choice((1, 3, 9))
        lead.check()
        sequencer.submit(b"".join(wire[:size]), START)
        lead.tell(directory.head())
        acknowledge(pipe, directory.head())
        bell.ring()
        wire = wire[size:]
        if batch % 13 == 0:
            sequencer.snapshot(directory)
        if batch % 29 == 0:
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
    taken_over(folders, standby, pid, reading, link, number)
    bell.close()


@pytest.mark.parametrize("side", ["begins", "ends"])
@pytest.mark.parametrize("phase", PHASES)
def test_a_primary_that_stops_in_any_phase_is_killed_and_loses_nothing(folders, phase, side):
    """Stopped where it cannot know: the standby kills it, sees it dead, reads the rest of its journal, and takes over."""
    first, second = folders
    for case in range(4 if NIGHT else 1):
        number = seed() + case
        often = phase not in (
            "a snapshot is written",
            "a segment is rolled",
            "a segment gets its name",
            "a closing batch is sealed",
        )
        stop = (phase, side, random.Random(f"{number} {phase} {side}").randint(*((5, 60) if often else (2, 3))))
        pid, reading = fork(lambda pipe, stop=stop, number=number: serve(first, number, pipe, stop))
        select.select([reading], [], [], 10)
        link = join(second, first)
        standby, bell = Standby(second, DirectoryFeed(first)), DoorbellClient(first / DOORBELL)
        assert os.WIFSTOPPED(waited(standby, bell, pid)), f"it did not stop; seed {number}"
        taken_over(folders, standby, pid, reading, link, number)
        bell.close()
        shutil.rmtree(first)
        shutil.rmtree(second)
        second.mkdir()


def waited(standby, bell, pid):
    """Follow until the process stops or ends; its status."""
    end = time.monotonic() + 20
    while time.monotonic() < end:
        follow(standby, bell, 0.01)
        found, status = os.waitpid(pid, os.WUNTRACED | os.WNOHANG)
        if found:
            return status
    raise AssertionError("it goes on")


def taken_over(folders, standby, pid, reading, link, number):
    """The standby takes the lead from a primary that is dead or hangs, and has all that it acknowledged."""
    first, second = folders
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
