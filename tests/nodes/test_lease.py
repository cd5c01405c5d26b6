"""The lease between real processes: who has it, who is killed for it, and what it says afterwards."""

import os
import signal
import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

import replicas.lease
from core.machine import Machine
from core.state import SEMANTICS
from journal.journal import Head
from journal.memory import MemoryJournal
from replicas.lead import CorruptLease, Deposed, LeadHeld, Superseded
from replicas.lease import LeaseFile, boot_time, hung, join, read, refuse_stale, released
from replicas.lease_state import SIZE, LeaseState, pack, start_time, unpack
from replicas.sequencer import Sequencer
from tests.crash.harness import fork
from tests.replicas.venue import NOW, define, opened

HANG = 0.03
LONG = 1_000.0
HASH = bytes(range(32))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "lease"


def claim(path, epoch=1, name="a", hang=LONG):
    return LeaseFile.claim(
        path, directory=path.parent / name, address=f"{name}:1", admin=f"{name}.sock", epoch=epoch, hang=hang
    )


def take(path, name="b", hang=LONG, epoch=0):
    return LeaseFile.take(
        path, hang=hang, directory=path.parent / name, address=f"{name}:1", admin=f"{name}.sock", epoch=epoch
    )


@contextmanager
def process(act):
    """A process that does the act, tells so, and waits to be killed; its process id and what the act returned."""

    def child(pipe):
        os.write(pipe, str(act() or "").encode() + b"\n")
        signal.pause()

    pid, reading = fork(child)
    try:
        with os.fdopen(reading) as lines:
            yield pid, lines.readline().strip()
    finally:
        kill(pid)


def kill(pid):
    """Dead and waited for, however it was before."""
    try:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    except (ProcessLookupError, ChildProcessError):
        pass


def holder(path, **options):
    """An act: hold the lease and tell row 7 once."""

    def act():
        lease = claim(path, **options)
        act.lease = lease
        lease.tell(Head(lease.epoch, 7, HASH))

    return act


def silent(path):
    """Wait until the holder has told nothing for as long as the hang limit."""
    while not hung(read(path), boot_time(), HANG):
        time.sleep(0.005)


def died_of(pid):
    return os.WTERMSIG(os.waitpid(pid, 0)[1])


# ---- who has it


def test_one_holder_at_a_time(path):
    first = claim(path)
    for attempt in (claim, take):
        with pytest.raises(LeadHeld):
            attempt(path)
    first.check()
    first.release()
    first.release()
    with pytest.raises(Deposed, match="released"):
        first.check()
    assert take(path).before.pid == os.getpid()


def test_a_lease_that_is_not_there_is_not_taken(path):
    with pytest.raises(LeadHeld, match="no lease to take"):
        take(path)
    assert read(path) is None
    assert not path.exists()


def test_what_it_says_outlives_the_holder(path):
    with process(holder(path, epoch=3)) as (pid, _):
        told = read(path)
        kill(pid)
    assert read(path) == told
    assert (told.pid, told.epoch, told.sequence, told.hash) == (pid, 3, 7, HASH.hex())
    assert (told.directory, told.address, told.admin) == (str(path.parent / "a"), "a:1", "a.sock")
    lease = take(path)
    assert (lease.before, lease.epoch) == (told, 4)


@pytest.mark.parametrize(
    ("name", "journal", "given"),
    [
        ("a", 3, 3),  # the same node goes on
        ("b", 3, 4),  # another node never writes under the same epoch
        ("a", 2, 4),  # an epoch was given in between
        ("b", 5, 5),  # its own journal is further than the lease
    ],
)
def test_no_two_nodes_have_one_epoch(path, name, journal, given):
    first = claim(path, epoch=3)
    first.tell(Head(3, 7, HASH))
    first.release()
    second = claim(path, epoch=journal, name=name)
    assert second.epoch == given
    second.release()
    third = take(path, epoch=journal)
    assert third.epoch == given + 1


def test_a_node_that_dies_while_it_is_promoted_has_changed_nothing(path):
    """Until it tells a head of its own epoch, the lease names the journal that went on, but never gives the epoch again."""
    with process(holder(path)) as (pid, _):
        kill(pid)

    def act():
        lease = act.lease = take(path)
        lease.tell(Head(1, 9, HASH))
        return read(path).pid

    with process(act) as (pid, told):
        state = read(path)
        assert str(pid) == told == str(state.pid)
        assert (state.directory, state.address, state.sequence, state.epoch) == (str(path.parent / "a"), "a:1", 7, 2)
        kill(pid)
    lease = take(path, name="c")
    assert lease.epoch == 3
    lease.tell(Head(3, 10, HASH))
    state = read(path)
    assert (state.directory, state.address, state.sequence) == (str(path.parent / "c"), "c:1", 10)


def test_other_nodes_have_a_link_to_it(tmp_path):
    first, second = tmp_path / "1", tmp_path / "2"
    first.mkdir()
    second.mkdir()
    link = join(second, first)
    assert join(second, first) == link
    lease = LeaseFile.claim(first / "lease", directory=first, address="", admin="", epoch=1, hang=LONG)
    assert read(link) == read(first / "lease")
    with pytest.raises(LeadHeld):
        take(link)
    lease.release()
    take(link).check()


# ---- children


def forked_child():
    """A child that runs already: the kernel copies descriptors before the child can drop one."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.write(writing, b".")
        time.sleep(60)
        os._exit(0)
    os.read(reading, 1)
    return pid


def other_program():
    return subprocess.Popen(["sleep", "60"], close_fds=False, stdout=subprocess.DEVNULL).pid


@pytest.mark.parametrize("beget", [forked_child, other_program])
def test_a_child_that_outlives_the_holder_does_not_keep_it(path, beget):
    hold = holder(path)

    def act():
        hold()
        return beget()

    with process(act) as (pid, child):
        try:
            with pytest.raises(LeadHeld):
                take(path)
            kill(pid)
            os.kill(int(child), 0)
            assert take(path).before.pid == pid
        finally:
            os.kill(int(child), signal.SIGKILL)


def test_a_forked_child_has_no_lead(path):
    lease = claim(path)

    def act():
        with pytest.raises(Deposed, match="forked"):
            lease.check()
        return "deposed"

    with process(act) as (_, told):
        assert told == "deposed"
    lease.check()


# ---- a holder that hangs


def test_a_holder_that_tells_progress_is_left_alone(path):
    with process(holder(path)) as (pid, _):
        with pytest.raises(LeadHeld, match=f"process {pid}"):
            take(path)
        assert read(path).alive()


@pytest.mark.parametrize("stop", [False, True], ids=["sleeps", "stopped"])
def test_a_holder_that_hangs_is_killed_and_seen_dead(path, stop):
    with process(holder(path)) as (pid, _):
        if stop:
            os.kill(pid, signal.SIGSTOP)
        silent(path)
        assert read(path).alive()
        lease = take(path, hang=HANG)
        assert not lease.before.alive()
        assert (lease.before.pid, lease.epoch) == (pid, 2)
        assert died_of(pid) == signal.SIGKILL


def test_a_holder_that_gave_it_back_may_live_on(path):
    """A node that cannot lead any more does not let the venue wait until it has ended."""
    held = holder(path)

    def given_back():
        held()
        held.lease.release()

    with process(given_back) as (pid, _):
        assert released(path)
        assert read(path).alive()
        lease = take(path)
        assert (lease.before.pid, lease.epoch) == (pid, lease.before.epoch + 1)
        os.kill(pid, 0)
        assert not released(path)


def test_a_number_that_another_process_has_now_is_not_killed(path):
    """The process id alone names nobody: another start time is another process."""
    with process(holder(path)) as (pid, _), process(lambda: None) as (innocent, _):
        state = msgspec.structs.replace(read(path), pid=innocent, start_time=start_time(pid) - 1, tick=0)
        path.write_bytes(pack(state))
        with pytest.raises(LeadHeld, match="somebody else has the lock"):
            take(path, hang=HANG)
        assert start_time(innocent) is not None
        assert not state.alive()
        assert os.waitpid(innocent, os.WNOHANG) == os.waitpid(pid, os.WNOHANG) == (0, 0)


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(replicas.lease, "_RELEASE_SECONDS", 0.05)


def test_a_holder_that_may_not_be_killed_means_no_promotion(path, monkeypatch):
    def refuse(*_):
        raise PermissionError

    with process(holder(path)) as (pid, _):
        silent(path)
        before = path.read_bytes()
        monkeypatch.setattr(signal, "pidfd_send_signal", refuse)
        with pytest.raises(LeadHeld, match="may not be killed"):
            take(path, hang=HANG)
        assert path.read_bytes() == before
        assert os.waitpid(pid, os.WNOHANG) == (0, 0)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody who may not kill")
def test_another_user_may_not_kill_it():
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)  # noqa: PTH101
        path = Path(folder) / "lease"
        with process(holder(path)) as (pid, _):
            path.chmod(0o666)
            silent(path)

            def act():
                os.setresuid(65_534, 65_534, 65_534)
                with pytest.raises(LeadHeld, match="may not be killed"):
                    take(path, hang=HANG)
                return "refused"

            with process(act) as (_, told):
                assert told == "refused"
            assert os.waitpid(pid, os.WNOHANG) == (0, 0)


# ---- who lost it


def test_a_lease_that_was_removed_is_lost(path):
    lease = claim(path)
    path.rename(path.with_name("moved"))
    with pytest.raises(Deposed, match="gone"):
        lease.check()
    path.with_name("moved").rename(path)
    with pytest.raises(Deposed):
        lease.check()


def test_a_lease_that_was_replaced_is_lost(path):
    """The path must name the very file that is locked, whatever an equal one says."""
    lease = claim(path)
    other = path.with_name("other")
    other.write_bytes(path.read_bytes())
    other.replace(path)
    for _ in range(2):
        with pytest.raises(Deposed, match="another file"):
            lease.tell(Head(1, 8, HASH))


@pytest.mark.parametrize("change", [{"pid": 1}, {"epoch": 9}, {"start_time": 1}])
def test_after_a_silence_the_file_is_asked(path, change):
    """A node that slept for longer than the limit looks whether it was declared dead, and believes that for ever."""
    lease = claim(path, hang=HANG)
    ours = read(path)
    silent(path)
    lease.check()
    path.write_bytes(pack(msgspec.structs.replace(ours, **change)))
    with pytest.raises(Deposed, match="after a silence"):
        lease.check()
    path.write_bytes(pack(ours))
    for ask in (lease.check, lambda: lease.tell(Head(1, 8, HASH))):
        with pytest.raises(Deposed):
            ask()
    assert read(path) == ours


def test_a_node_that_tells_is_not_silent(path):
    lease = claim(path, hang=HANG)
    silent(path)
    lease.tell(Head(1, 8, HASH))
    assert not hung(read(path), boot_time(), HANG)
    assert read(path).sequence == 8


# ---- a journal that the venue left behind


def lease_at(journal):
    head = journal.head()
    return LeaseState(1, 1, head.epoch, "elsewhere", "", "", head.sequence, head.hash.hex(), 0)


def test_a_journal_without_the_head_must_not_serve():
    journal, sequencer = opened()
    other = MemoryJournal.create(Machine().rows(), semantics=SEMANTICS)
    following = Sequencer(other, Machine())
    for node in (sequencer, following):
        node.submit(define(1), NOW)
    refuse_stale(None, journal)
    refuse_stale(lease_at(journal), other)
    following.submit(define(2), NOW)
    with pytest.raises(Superseded, match=r"elsewhere.*up to row 2") as found:
        refuse_stale(lease_at(other), journal)
    assert found.value.directory == "elsewhere"
    sequencer.submit(define(3), NOW)
    with pytest.raises(Superseded):
        refuse_stale(lease_at(other), journal)
    told = lease_at(other)
    following.submit(define(4), NOW)
    refuse_stale(told, other)


def test_a_new_lease_refuses_nobody():
    journal, _ = opened()
    refuse_stale(msgspec.structs.replace(lease_at(journal), sequence=0, hash=""), journal)


# ---- what stands in the file


STATE = LeaseState(12, 345, 6, "there", "host:1", "there/admin.sock", 7, HASH.hex(), 890)


def test_the_file_is_one_line_of_json_and_always_as_long():
    data = pack(STATE)
    assert len(data) == SIZE
    assert msgspec.json.decode(data.split(b"\n")[0]) == msgspec.to_builtins(STATE)
    assert unpack(data) == STATE
    with pytest.raises(ValueError, match="too long"):
        pack(msgspec.structs.replace(STATE, directory="d" * SIZE))


def test_every_flipped_bit_is_found():
    data = pack(STATE)
    end = data.rindex(b"\n")
    for at in range(end):
        for bit in range(8):
            flipped = data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1 :]
            assert unpack(flipped) in {None, STATE}, f"byte {at}, bit {bit}"


def test_a_damaged_lease_is_given_to_nobody(path):
    path.write_bytes(pack(STATE).replace(b"there", b"where"))
    for attempt in (claim, take, read):
        with pytest.raises(CorruptLease):
            attempt(path)
    assert b"where" in path.read_bytes()


def test_a_reader_never_meets_half_a_lease(path):
    """While one process tells without end, another reads only what was told, in its order."""

    def writer(pipe):
        lease = claim(path)
        for sequence in range(1, 10**9):
            lease.tell(Head(1, sequence, sequence.to_bytes(32, "big")))
            if sequence == 1:
                os.write(pipe, b"begun\n")

    pid, reading = fork(writer)
    try:
        os.read(reading, 6)
        states = [read(path) for _ in range(3_000)]
    finally:
        kill(pid)
        os.close(reading)
    assert all(int(state.hash, 16) == state.sequence for state in states)
    numbers = [state.sequence for state in states]
    assert numbers == sorted(numbers)
    assert numbers[0] < numbers[-1]
