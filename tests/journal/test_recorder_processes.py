"""Recorders of one path in several processes: ids, order, kills, forks, and disks that take no more."""

import os
import signal
import subprocess
import sys
import threading

import pytest

from journal.errors import Forked
from journal.recorder_events import LmdbApplicationRecorder
from journal.recorder_store import READER_CHECK_EVERY, Share
from tests.journal.recorder_child import events
from tests.paths import HERE

pytestmark = pytest.mark.both


@pytest.fixture
def path(tmp_path):
    return tmp_path / "recorder"


@pytest.fixture
def recorder(path):
    share = Share(path)
    yield LmdbApplicationRecorder(share, "app")
    share.close()


@pytest.fixture
def start():
    started = []

    def child(what, *arguments):
        command = [sys.executable, "-m", "tests.journal.recorder_child", what, *map(str, arguments)]
        process = subprocess.Popen(command, cwd=HERE, stdout=subprocess.PIPE, text=True)
        started.append(process)
        return process

    yield child
    for process in started:
        process.kill()
        process.communicate()


def kill(process) -> list[str]:
    """What a process had told when it was killed."""
    process.send_signal(signal.SIGKILL)
    return process.communicate(timeout=30)[0].splitlines()


def test_two_writers_and_a_subscriber(path, start):
    """Ids are contiguous in the order of commits, and each originator's events come in their order, once."""
    writers = [start("write", path, name, 99) for name in ("a", "b")]
    follower = start("follow", path, 198)
    told = follower.communicate(timeout=60)[0].splitlines()[1:]
    assert [writer.wait(timeout=60) for writer in writers] == [0, 0]
    rows = [line.split() for line in told]
    assert [int(number) for number, _, _ in rows] == list(range(1, 199))
    for name in ("a", "b"):
        assert [int(version) for _, originator, version in rows if originator == name] == list(range(99))


def test_processes_make_one_recorder_together(path, start):
    """Of several that find nothing one makes the recorder, all use it, and nothing is left beside it."""
    writers = [start("write", path, name, 3) for name in "abcd"]
    assert [writer.wait(timeout=60) for writer in writers] == [0] * 4
    share = Share(path)
    assert LmdbApplicationRecorder(share, "app").max_notification_id() == 12
    share.close()
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_a_killed_writer_loses_nothing_acknowledged(path, start, recorder):
    """After kill -9 all acknowledged events are there, each insert is whole, and the next writer goes on."""
    before = 0
    for name in ("a", "b", "c"):
        writer = start("write", path, name, 10**9)
        for _ in range(15):
            writer.stdout.readline()
        told = kill(writer)
        last_id, last_version = map(int, told[-1].split()) if told else (before, -1)
        stored = recorder.select_events(name)
        assert [event.originator_version for event in stored] == list(range(len(stored)))
        assert last_version < len(stored)
        assert len(stored) % 3 == 0
        assert recorder.max_notification_id() >= last_id
        before = recorder.insert_events(events("ours", before))[-1]
        assert len(recorder.select_notifications(None, 10**9)) == before


def test_a_writer_killed_in_the_middle(path, start, recorder):
    """What it had not committed is gone, and the next writer does not wait for it."""
    recorder.insert_events(events("a", 0))
    holder = start("die", path)
    assert holder.stdout.readline() == "holding\n"
    kill(holder)
    assert recorder.insert_events(events("a", 1)) == [2]
    assert [event.id for event in recorder.select_notifications(None, 10)] == [1, 2]


def test_a_killed_reader_is_noticed(path, start, recorder):
    """The slot of a reader that died is free again a few writes later: until then the file would grow with each."""
    recorder.insert_events(events("b", 0))
    holder = start("hold", path)
    assert holder.stdout.readline() == "holding\n"
    kill(holder)
    for version in range(READER_CHECK_EVERY + 1):
        recorder.insert_events(events("a", version))
    assert recorder.share.store._lmdb.reader_check() == 0


def test_an_unstopped_subscription_keeps_no_process_alive(path, start):
    """Nobody has to stop a subscription for the interpreter to end."""
    process = start("forget", path)
    assert process.communicate(timeout=30)[0] == "leaving\n"
    assert process.returncode == 0


def test_another_process_wakes_a_subscription(path, start, recorder):
    """An event of another process is seen without anything being written here."""
    with recorder.subscribe() as subscription:
        assert start("write", path, "a", 1).wait(timeout=30) == 0
        assert next(subscription).originator_id == "a"


def test_a_failing_disk_is_final(path, start):
    """When the file cannot grow, what was acknowledged stays, and nothing is tried again."""
    told = start("limit", path).communicate(timeout=60)[0].split("\n")[:-1]
    *acknowledged, error, again = told
    assert len(acknowledged) > 5
    assert (error, again) == ("DiskError", "again DiskError")
    share = Share(path)
    stored = LmdbApplicationRecorder(share, "app").select_notifications(None, 10**6)
    assert [str(event.id) for event in stored] == acknowledged
    share.close()


def in_a_fork(use) -> str:
    """The name of the error that `use` raises in a forked child."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            use()
            os.write(write, b"none")
        except BaseException as error:  # noqa: BLE001
            os.write(write, type(error).__name__.encode())
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    os.close(write)
    with os.fdopen(read) as file:
        return file.read()


@pytest.mark.skipif(threading.active_count() > 1, reason="fork with threads")
def test_a_fork_is_refused(path, recorder):
    """A forked child can neither read, write, follow nor open anew, and closing there touches nothing."""
    recorder.insert_events(events("a", 0))
    subscription = recorder.subscribe()
    uses = (
        recorder.max_notification_id,
        lambda: recorder.insert_events(events("a", 1)),
        lambda: recorder.select_events("a"),
        lambda: next(subscription),
        lambda: Share(path),
        lambda: LmdbApplicationRecorder(recorder.share, "other"),
    )
    assert [in_a_fork(use) for use in uses] == [Forked.__name__] * len(uses)
    assert in_a_fork(recorder.share.close) == "none"
    assert next(subscription).id == 1
    assert recorder.insert_events(events("a", 1)) == [2]


def test_a_file_grows_little_while_it_is_followed(recorder):
    """A subscription holds no transaction between two events, so that pages are used again."""
    with recorder.subscribe() as subscription:
        recorder.insert_events(events("a", 0))
        next(subscription)
        sizes = []
        for version in range(1, 151):
            recorder.insert_events(events("a", version))
            sizes.append(recorder.share.store._lmdb.info()["last_pgno"])
        assert sizes[-1] - sizes[50] < 50
