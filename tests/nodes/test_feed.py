"""Feeds: what a standby sees of another node's journal, also while segments roll; and the doorbell that wakes it."""

import os
import select
import signal
import time
from contextlib import contextmanager

import pytest

from core.machine import Machine
from core.messages import OpenAccount
from core.rows import to_row
from core.state import SEMANTICS
from journal.batch import BatchKind, read_header
from journal.directory import JournalDirectory
from journal.errors import Diverged, Gap, Locked, NotAJournal
from journal.files import WriterLock
from journal.journal import Head
from journal.memory import MemoryJournal
from journal.state import seal_state
from replicas.feed import DirectoryFeed, Doorbell, DoorbellClient, MemoryFeed
from replicas.opening import create
from tests.crash.harness import fork
from tests.replicas.venue import NOW, define, opened


def kinds(values):
    return [BatchKind(read_header(value).kind).name[0] for value in values]


# ---- in memory


def test_a_feed_in_memory_shows_what_follows_a_head():
    journal, sequencer = opened()
    feed = MemoryFeed(journal)
    begin = feed.head()
    sequencer.submit(define(1), NOW)
    sequencer.roll()
    sequencer.submit(define(2), NOW)
    values = list(feed.after(begin))
    assert kinds(values) == ["C", "C", "S", "C"]
    assert [read_header(value).kind for value in values] == [1, 3, 2, 1]
    assert feed.head() == journal.head()
    assert list(feed.after(feed.head())) == []
    feed.close()
    feed.close()
    assert journal.head() == feed.head()


@pytest.mark.parametrize("accounts", [2, 9_000], ids=["one batch", "several"])
def test_the_state_batches_of_a_feed_in_memory(accounts):
    """They are those of the current segment, byte for byte, for the first one and for later ones."""
    first = MemoryJournal.create(Machine().rows(), semantics=SEMANTICS, epoch=3)
    assert MemoryFeed(first).state_batches() == first._values
    journal, sequencer = opened()
    accounts = b"".join(to_row(OpenAccount(account=n + 1, firm=1, name="A")) for n in range(accounts))
    sequencer.submit(accounts, NOW)
    sequencer.roll()
    state = MemoryFeed(journal).state_batches()
    assert state == journal._values[-len(state) :]
    assert kinds(state) == ["S"] * len(state)
    again = MemoryJournal(seal_state(journal.state(), semantics=SEMANTICS, epoch=1, previous=bytes(32)))
    assert MemoryFeed(again).state_batches() == again._values


def test_the_state_of_a_journal_that_does_not_show_it():
    """What stood before a segment of several state batches cannot be guessed, and is not."""
    rows = Machine().rows()
    journal = MemoryJournal(seal_state(rows, semantics=SEMANTICS, epoch=1, previous=b"p" * 32))
    assert MemoryFeed(journal).state_batches() == journal._values
    _, sequencer = opened()
    sequencer.submit(b"".join(to_row(OpenAccount(account=n + 1, firm=1, name="")) for n in range(9_000)), NOW)
    made = seal_state(sequencer.machine.rows(), semantics=SEMANTICS, epoch=1, previous=b"p" * 32)
    with pytest.raises(Gap):
        MemoryFeed(MemoryJournal(made)).state_batches()


# ---- of another process


class Writer:
    """A process that writes a venue's journal, a word at a time: `rows`, `roll` or `close`."""

    def __init__(self, path):
        reading, self._words = os.pipe()

        def child(pipe):
            os.close(self._words)
            directory, sequencer = create(path)
            acts = {
                b"r": lambda: sequencer.submit(define(1) * 2, NOW),
                b"n": sequencer.roll,
                b"c": sequencer.close_batch,
            }
            os.write(pipe, b".")
            while word := os.read(reading, 1):
                acts[word]()
                os.write(pipe, b".")
            directory.close()

        self.pid, self._answers = fork(child)
        os.close(reading)
        assert os.read(self._answers, 1)

    def do(self, words):
        for word in words:
            os.write(self._words, word.encode())
            assert os.read(self._answers, 1) == b"."

    def end(self):
        os.close(self._words)
        os.waitpid(self.pid, 0)
        os.close(self._answers)


@pytest.fixture
def writer(tmp_path):
    made = Writer(tmp_path / "venue")
    yield made
    made.end()


@pytest.mark.parametrize("step", [1, 2, 100], ids="steps of {}".format)
def test_a_feed_of_a_directory_goes_on_across_rolls(writer, tmp_path, step):
    """However often it looks, what it sees is the writer's journal from its state on."""
    feed = DirectoryFeed(tmp_path / "venue")
    words = "rrnrnrrcrnr"
    state = feed.state_batches()
    begin = head = feed.head()
    seen = []
    for at in range(0, len(words), step):
        writer.do(words[at : at + step])
        values = list(feed.after(head))
        seen += values
        last = read_header(values[-1])
        head = Head(last.epoch, last.last, last.hash)
        assert feed.head() == head
    assert list(feed.after(begin)) == seen
    assert read_header(seen[0]).previous == read_header(state[-1]).hash
    feed.close()
    feed.close()
    directory = JournalDirectory(tmp_path / "venue")
    assert list(directory.after(begin)) == seen
    assert kinds(seen).count("S") == 3
    assert kinds(directory.current().state_batches()) == ["S"]
    directory.close()


def test_its_state_is_that_of_the_newest_segment(writer, tmp_path):
    feed = DirectoryFeed(tmp_path / "venue")
    assert read_header(feed.state_batches()[0]).first == 1
    writer.do("rrn")
    assert read_header(feed.state_batches()[0]).first == 5
    feed.close()


def test_a_head_that_it_does_not_have(writer, tmp_path):
    writer.do("rr")
    feed = DirectoryFeed(tmp_path / "venue")
    with pytest.raises(Gap):
        feed.after(Head(1, 99, bytes(32)))
    with pytest.raises(Diverged):
        feed.after(Head(1, 2, bytes(32)))
    feed.close()


def test_a_journal_that_is_not_there_or_was_moved_away(writer, tmp_path):
    with pytest.raises(NotAJournal):
        DirectoryFeed(tmp_path / "nowhere")
    feed = DirectoryFeed(tmp_path / "venue")
    head = feed.head()
    (tmp_path / "venue" / "segments").rename(tmp_path / "aside")
    for ask in (feed.head, feed.state_batches, lambda: feed.after(head)):
        with pytest.raises(NotAJournal):
            ask()
    (tmp_path / "aside").rename(tmp_path / "venue" / "segments")
    assert feed.head() == head
    feed.close()


def test_a_writer_that_lives_is_not_settled_with(writer, tmp_path):
    """A feed takes the writer's place when that one is dead: then it has the last batch, and no other writer begins."""
    feed = DirectoryFeed(tmp_path / "venue")
    begin = feed.head()
    writer.do("rrnr")
    with pytest.raises(Locked):
        feed.settle()
    feed.close()
    feed = DirectoryFeed(tmp_path / "venue")
    seen = list(feed.after(begin))
    os.kill(writer.pid, signal.SIGKILL)
    os.waitid(os.P_PID, writer.pid, os.WEXITED | os.WNOWAIT)
    feed.settle()
    assert list(feed.after(begin)) == seen
    assert feed.head() == Head(1, 6, read_header(seen[-1]).hash)
    with pytest.raises(Locked):
        WriterLock(tmp_path / "venue")
    feed.close()
    WriterLock(tmp_path / "venue").release()


# ---- the doorbell


@contextmanager
def bell(path):
    opened = Doorbell(path)
    try:
        yield opened
    finally:
        opened.close()


def connected(opened, path):
    """A follower that the bell knows, and that has read what came before."""
    client = DoorbellClient(path)
    assert client.wait(0)
    opened.ring()
    assert client.wait(5)
    return client


@pytest.fixture
def path(tmp_path):
    """A place deeper than a socket's name may be long."""
    folder = tmp_path / ("deep" * 20) / ("deeper" * 20)
    folder.mkdir(parents=True)
    return folder / "doorbell"


def test_a_ring_wakes_every_follower(path):
    with bell(path) as opened:
        clients = [connected(opened, path) for _ in range(3)]
        opened.ring()
        opened.ring()
        assert [client.wait(5) for client in clients[1:]] == [True, True]
        assert not clients[1].wait(0)
        assert opened.followers == 3
        for client in clients:
            client.close()
            client.close()


def test_what_was_rung_before_it_was_connected_is_not_missed(path):
    """A new connection is itself a reason to look."""
    with bell(path) as opened:
        opened.ring()
        client = DoorbellClient(path)
        assert client.wait(0)
        assert not client.wait(0)
        client.close()


def test_where_nobody_listens_it_is_a_timer(path):
    client = DoorbellClient(path)
    begin = time.monotonic()
    assert not client.wait(0.02)
    assert time.monotonic() - begin >= 0.02
    with bell(path) as opened:
        connected(opened, path).close()
        assert client.wait(5)
    assert client.wait(5), "the end of the connection is told once"
    assert not client.wait(0)
    with bell(path):
        assert client.wait(0), "the next writer is found"
    client.close()


def test_whoever_is_gone_is_dropped(path):
    with bell(path) as opened:
        gone, other = connected(opened, path), connected(opened, path)
        gone.close()
        opened.ring()
        opened.ring()
        assert opened.followers == 1
        assert other.wait(5)
        other.close()


def test_whoever_does_not_read_is_dropped_and_holds_up_nobody(path):
    with bell(path) as opened:
        slow, other = connected(opened, path), connected(opened, path)
        rings = 0
        while opened.followers == 2 and rings < 10**6:
            opened.ring()
            select.select([other._socket], [], [], 5)
            other.wait(0)
            rings += 1
        assert opened.followers == 1
        assert rings > 10
        opened.ring()
        assert other.wait(5)
        for client in (slow, other):
            client.close()


def test_a_socket_that_a_killed_writer_left_is_replaced(path):
    first = Doorbell(path)
    first._listener.close()
    assert path.is_socket()
    with bell(path) as opened:
        connected(opened, path).close()
    assert not path.exists()
