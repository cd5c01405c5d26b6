"""Strikes a writer at random moments, at every line or at every system call, and checks what is left. Prints one JSON object.

    python -m tests.crash.harness moments FOLDER --seed N --kills N
    python -m tests.crash.harness lines|kills|errors FOLDER --seed N --act ACT [--points N]
    python -m tests.crash.harness syncs FOLDER --seed N --act ACT

The writer is a fork of this process, which has one thread and no journal open. It applies the stream of its seed, row n
of the stream becoming row n of the journal, and tells through a pipe what `submit` returned. So what is lost, doubled
or changed shows in a comparison with the same stream applied without a journal.
"""

import argparse
import contextlib
import json
import os
import random
import select
import shutil
import signal
import sys
import time
from hashlib import sha256
from pathlib import Path

from core.check import check
from core.engine import Engine
from core.kinds import ROW_SIZE
from core.machine import Machine
from core.stamp import stamp
from journal.directory import JournalDirectory
from journal.errors import JournalError, NotAJournal
from journal.event_store import EventStore
from journal.verify import verify
from replicas.opening import create, resume
from replicas.replay import recover, replay
from tests.crash.faults import AtLine, Errors, Kills, chosen
from tests.determinism.stream import START, wire_rows

ROWS_PER_KILL = 200
"""Rows of the stream for each time that its writer is killed; some 95 are written on average."""
BASE = 60
"""Rows in the journal before a writer is killed at a line."""


class Course:
    """The stream, and what its first n rows come to."""

    def __init__(self, seed, rows):
        self.wire = wire_rows(seed, rows)
        self.stamped = stamp(b"".join(self.wire), 0, 0, START)
        self.machine = Machine()
        self.events = b""
        self.ends = {0: 0}
        self.states = {0: self.machine.rows()}

    def to(self, sequence):
        """All events of the rows up to a number, and the state after it; numbers must be asked for in rising order once."""
        at = self.machine.engine.sequence
        while at < sequence:
            self.events += self.machine.apply(self.stamped, at * ROW_SIZE, (at + 1) * ROW_SIZE)
            at += 1
            self.ends[at] = len(self.events)
            if len(self.states) < 200:
                self.states[at] = self.machine.rows()
        if sequence not in self.states:
            assert sequence == at
            self.states[sequence] = self.machine.rows()
        return self.events[: self.ends[sequence]], self.states[sequence]


class Writer:
    """What runs in the child."""

    def __init__(self, course, path, pipe):
        self.course, self.path, self.pipe = course, path, pipe
        self.directory = self.sequencer = None

    def open(self):
        try:
            self.directory, self.sequencer = resume(self.path)
        except NotAJournal:
            self.directory, self.sequencer = create(self.path)

    def submit(self, rows):
        """One batch of the stream's next rows; told to the parent once it has been answered."""
        at = self.sequencer.machine.engine.sequence
        events = self.sequencer.submit(b"".join(self.course.wire[at : at + rows]), START)
        head = self.directory.head()
        told = f"{at + 1} {head.sequence} {head.hash.hex()} {sha256(events).hexdigest()}\n"
        os.write(self.pipe, told.encode())

    def close(self):
        self.sequencer.events.close()
        self.directory.close()


def fork(child):
    """Run `child(pipe)` in a fork; its process id and the reading end."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid:
        os.close(writing)
        return pid, reading
    status = 1
    try:
        os.close(reading)
        child(writing)
        status = 0
    except BaseException:  # noqa: BLE001 - a fork must not run on in what its parent was doing
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(status)


def read_all(descriptor):
    """The lines that were told whole."""
    data = b""
    while part := os.read(descriptor, 65_536):
        data += part
    os.close(descriptor)
    return [line.split() for line in data.decode().split("\n")[:-1]]


# ---- what must hold afterwards


def check_journal(course, path, told):
    """What was acknowledged is there, and nothing but whole batches of the stream; returns the head's number."""
    directory = JournalDirectory(path)
    try:
        head = directory.head().sequence
        events, state = course.to(head)
        for first, last, hashed, answered in told:
            header = directory.header_at(int(last))
            assert header is not None, f"batch ending at {last} was acknowledged and is lost"
            assert header.hash.hex() == hashed, f"another batch ends at {last}"
            begin, end = course.ends[int(first) - 1], course.ends[int(last)]
            assert sha256(events[begin:end]).hexdigest() == answered, f"rows {first}-{last} were answered differently"
        machine = recover(directory, directory.snapshots)
        assert machine.rows() == state, f"recovered another state at {head}"
        check(machine.engine)
        again = Machine.restore(directory.segment(directory.segments()[0]).state())
        assert b"".join(one.events for one in replay(directory, again)) == events, "replay gives other events"
        assert again.rows() == state, "replay from the first segment gives another state"
        return head
    finally:
        directory.close()


def check_sound(path):
    report = verify(path)
    assert report.good, str(report)


def check_goes_on(course, path, head):
    """Opened again, the venue numbers on, and its event store holds every event of the rows in the journal."""
    writer = Writer(course, path, os.open(os.devnull, os.O_WRONLY))
    writer.open()
    writer.submit(2)
    assert writer.directory.head().sequence == head + 2
    writer.sequencer.close_batch()
    writer.close()
    os.close(writer.pipe)
    store = EventStore(path / "events")
    stored = list(store.read())
    store.close()
    events, _ = course.to(head + 2)
    first = stored[0].first if stored else 1
    assert first == 1, f"the event store begins at {first}"
    assert b"".join(one.rows for one in stored) == events, "the event store holds other events"
    check_sound(path)


# ---- killed at random moments


def moments(folder, seed, kills):
    """Kill a writer that appends for ever, time and again, on one journal."""
    rng, course, path = random.Random(seed), Course(seed, 10_000 + kills * ROWS_PER_KILL), folder / "venue"
    told, killed_idle = [], 0

    def forever(pipe):
        writer = Writer(course, path, pipe)
        writer.open()
        sizes = random.Random(os.getpid())
        batches = 0
        while True:
            writer.submit(sizes.choice((1, 2, 3, 20)))
            batches += 1
            if batches % 17 == 0:
                writer.sequencer.snapshot(writer.directory)
            if batches % 29 == 0:
                writer.sequencer.roll()

    for _ in range(kills):
        pid, reading = fork(forever)
        select.select([reading], [], [], 5)
        time.sleep(rng.random() * 0.08)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        more = read_all(reading)
        told += more
        killed_idle += not more
    assert told, "nothing was acknowledged"
    head = check_journal(course, path, told)
    check_sound(path)
    check_goes_on(course, path, head)
    return {"kills": kills, "killed_idle": killed_idle, "acknowledged": len(told), "rows": head}


# ---- struck at every line or call


def act_submit(writer):
    yield
    writer.submit(3)
    writer.submit(1)


def act_close(writer):
    yield
    writer.submit(2)
    writer.sequencer.close_batch()
    writer.close()


def act_snapshot(writer):
    yield
    writer.submit(2)
    writer.sequencer.snapshot(writer.directory)
    writer.submit(1)


def act_roll(writer):
    yield
    writer.submit(2)
    writer.sequencer.roll()
    writer.submit(1)


def act_resume(writer):
    """The event store has lost its last batches; the writer is killed while it is mended."""
    writer.sequencer.events.cut_back(BASE // 2)
    writer.close()
    yield
    writer.open()
    writer.submit(1)


def act_create(writer):
    """The journal is made anew."""
    writer.close()
    shutil.rmtree(writer.path)
    yield
    writer.open()
    writer.submit(5)


def act_poison(writer):
    """The second of three rows makes the engine raise."""
    poison()
    yield
    writer.submit(3)


def poison():
    """From now on the second row after the base makes the engine raise, in this process; returns what ends that."""
    # Where every row comes by: one that is a repeat, or has a wrong number, runs no command.
    dispatch = Engine._dispatch

    def raising(self, row, at):
        if self.sequence == BASE + 2:
            raise ValueError("poison")
        dispatch(self, row, at)

    Engine._dispatch = raising
    return lambda: setattr(Engine, "_dispatch", dispatch)


ACTS = {name.removeprefix("act_"): act for name, act in globals().copy().items() if name.startswith("act_")}


def struck_at(course, base, path, act, fault):
    """Do the act on a copy of the base and suffer the fault; what was told, and whether the process went on after an error."""
    shutil.copytree(base, path)

    def child(pipe):
        writer = Writer(course, path, pipe)
        writer.open()
        steps = ACTS[act](writer)
        next(steps)
        fault.begin()
        stopped = suffer(lambda: next(steps, None), pipe)
        fault.end(pipe)
        if stopped:
            suffer(lambda: writer.submit(1), pipe)

    pid, reading = fork(child)
    fault.attach(pid)
    told = read_all(reading)
    _, status = os.waitpid(pid, 0)
    if not os.WIFSIGNALED(status):
        assert os.WEXITSTATUS(status) == 0, "the writer failed"
    return told


def suffer(step, pipe):
    """Take a step; an error of the disk is told with its name. Whether there was one."""
    try:
        step()
    except (JournalError, OSError) as error:
        os.write(pipe, f"error {type(error).__name__}\n".encode())
        return True
    return False


def check_after(course, path, act, told):
    """Everything that must hold after a kill at a line."""
    if act == "create" and not told:
        with contextlib.suppress(NotAJournal):
            check_journal(course, path, [])
        head = 0
        with contextlib.suppress(NotAJournal):
            directory = JournalDirectory(path)
            head = directory.head().sequence
            directory.close()
        check_goes_on(course, path, head)
        return
    if act == "poison":
        check_quarantine(path, told)
        return
    head = check_journal(course, path, told)
    check_sound(path)
    check_goes_on(course, path, head)


def check_quarantine(path, told):
    """The next writer's engine raises too: the batch with the poison is not there, or its quarantine is in the end."""
    check_sound(path)
    cure = poison()
    try:
        directory, sequencer = resume(path)
    finally:
        cure()
    head = directory.head().sequence
    check(sequencer.machine.engine)
    assert head in ((BASE + 4,) if told else (BASE, BASE + 4))
    assert recover(directory).rows() == sequencer.machine.rows(), "a fixed engine recovers another state"
    again = Machine.restore(directory.state())
    events = b"".join(one.events for one in replay(directory, again))
    assert b"".join(one.rows for one in sequencer.events.read()) == events, "the event store holds other events"
    if told:
        answered = [one.events for one in replay(directory, recover(directory, upto=BASE))]
        assert sha256(b"".join(answered)).hexdigest() == told[0][3], "the rows were answered differently"
    sequencer.submit(b"".join(wire_rows(0, 2)), START)
    sequencer.events.close()
    directory.close()
    check_sound(path)


def faults(folder, seed, act, wanted, counting):
    """Strike a writer at every point of an act, or at about as many as are wanted."""
    course, base = based(folder, seed)
    told = struck_at(course, base, folder / "counted", act, counting)
    (counted,) = [int(line[1]) for line in told if line[0] == "end"]
    points, violations = counting.points(counted), []
    tried = chosen(points, wanted, seed)
    for fault in tried:
        path = folder / "venue"
        shutil.rmtree(path, ignore_errors=True)
        told = struck_at(course, base, path, act, fault)
        try:
            check_told(act, told, deadly=not isinstance(fault, Errors))
            check_after(course, path, act, [line for line in told if line[0].isdecimal()])
        except Exception as error:  # noqa: BLE001 - each violation is told with its point, and the next one is tried
            violations.append(f"{fault}: {type(error).__name__}: {error}")
    return {"act": act, "all": len(points), "points": len(tried), "violations": violations}


def based(folder, seed):
    """The stream of the seed, and a folder with the journal that acts begin with."""
    course, base = Course(seed, BASE + 40), folder / "base"
    pid, reading = fork(lambda pipe: make_base(course, base, pipe))
    read_all(reading)
    assert os.waitpid(pid, 0)[1] == 0
    return course, base


def syncs(folder, seed, act):
    """What was not yet on the disk at each acknowledgement of an act, and at its end."""
    recorded = Kills(folder / "calls")
    struck_at(*based(folder, seed), folder / "venue", act, recorded)
    told = [*recorded.acknowledged(), recorded.disk.unsynced()]
    return {"act": act, "unsynced": [[path.removeprefix(f"{folder}/venue/") for path in paths] for paths in told]}


def check_told(act, told, *, deadly):
    """A kill leaves no word behind; after an error of the disk nothing is acknowledged any more."""
    words = [line[0] for line in told]
    if deadly:
        assert "end" not in words, "it was not reached"
        return
    assert "end" in words, "the writer died of the error"
    if "error" in words and act != "snapshot":
        assert not [word for word in words[words.index("error") :] if word.isdecimal()], f"it went on: {told}"


def make_base(course, base, pipe):
    """A journal of a few batches with snapshots and events, stopped without a closing batch."""
    writer = Writer(course, base, pipe)
    writer.open()
    while writer.sequencer.machine.engine.sequence < BASE:
        writer.submit(12)
        if writer.sequencer.machine.engine.sequence == BASE // 5 * 2:
            writer.sequencer.snapshot(writer.directory)
    writer.close()


COUNTING = {"lines": lambda _: AtLine(), "kills": Kills, "errors": Errors}


def main():
    """Read the arguments, run, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("mode", choices=("moments", "syncs", *COUNTING))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--act", choices=ACTS, default="submit")
    parser.add_argument("--points", type=int, default=0)
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    if given.mode == "moments":
        print(json.dumps(moments(given.folder, given.seed, given.kills)))
    elif given.mode == "syncs":
        print(json.dumps(syncs(given.folder, given.seed, given.act)))
    else:
        counting = COUNTING[given.mode](given.folder / "calls")
        print(json.dumps(faults(given.folder, given.seed, given.act, given.points, counting)))


if __name__ == "__main__":
    main()
