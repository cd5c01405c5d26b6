"""The stages of `lockstep bench`: the engine alone, then one more part of a node with each stage, then the disk alone.

Each returns the best of several runs. The garbage collector is off during all of them, the yardstick's included.
"""

import gc
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Final, NamedTuple

import lmdb

from core.engine import Engine
from core.kinds import ROW_SIZE
from core.machine import Machine
from core.stamp import stamp
from core.state import SEMANTICS
from journal.batch import key_of, read_header
from journal.directory import JournalDirectory
from journal.environment import FORMAT
from journal.journal import RollingJournal
from journal.memory import MemoryJournal
from replicas.replay import recover
from replicas.sequencer import Sequencer
from tools.benches.flows import Flow, resting
from tools.failures import Failure

BATCH: Final = 512
"""Commands of a batch where the disk has no part in it."""

Apply = Callable[[int, int], object]
"""Applies what lies between two offsets in bytes."""


class Timing(NamedTuple):
    """One run: seconds by the stage's clock (`cpu` or `wall`), and nanoseconds on the wall for each batch, sorted."""

    commands: int
    batch: int
    clock: str
    seconds: float
    batches: list[int]

    @property
    def per_second(self) -> float:
        """Commands per second."""
        return self.commands / self.seconds

    def percentile(self, part: float) -> float:
        """Microseconds that this part of the batches did not exceed."""
        return self.batches[min(len(self.batches) - 1, int(len(self.batches) * part))] / 1_000


class Stamped(NamedTuple):
    """A flow as rows of the journal: the venue's, then the flow's."""

    venue: bytes
    rows: bytes


def timed(apply: Apply, size: int, batch: int, *, row_size: int = ROW_SIZE, clock: str = "cpu") -> Timing:
    """Give `apply` everything up to `size` in batches, and time it."""
    step, taken, now = batch * row_size, [], time.perf_counter_ns
    gc.collect()
    gc.disable()
    try:
        cpu, last = time.process_time(), now()
        first = last
        for begin in range(0, size, step):
            apply(begin, min(begin + step, size))
            before, last = last, now()
            taken.append(last - before)
        cpu = time.process_time() - cpu
    finally:
        gc.enable()
    return Timing(size // row_size, batch, clock, cpu if clock == "cpu" else (last - first) / 1e9, sorted(taken))


def best(runs: Iterator[Timing]) -> Timing:
    """The fastest of several runs."""
    return min(runs, key=lambda timing: timing.seconds)


def stamped(flow: Flow) -> Stamped:
    """Number a flow and give it times."""
    venue = stamp(flow.venue, 0, 0, 1)
    count = len(venue) // ROW_SIZE
    return Stamped(venue, stamp(flow.rows, count, count, count))


def engine(flow: Stamped) -> Timing:
    """One run of rows in, events out, both as bytes; with sessions, money and limits, which the engine always has."""
    fresh = Engine()
    fresh.apply(flow.venue, 0, len(flow.venue))
    return timed(lambda begin, end: fresh.apply(flow.rows, begin, end), len(flow.rows), BATCH)


def machine(flow: Stamped, repeats: int) -> Timing:
    """The engine, and the running event digest over what it says."""

    def run() -> Timing:
        fresh = Machine()
        fresh.apply(flow.venue, 0, len(flow.venue))
        return timed(lambda begin, end: fresh.apply(flow.rows, begin, end), len(flow.rows), BATCH)

    return best(run() for _ in range(repeats))


class UnsyncedJournal(MemoryJournal):
    """For this measurement alone: what the disk would get is written to LMDB, and never synced."""

    def open(self, path: Path) -> None:
        """Write to an environment in this directory from now on."""
        self._environment = lmdb.open(str(path), map_size=2**36, sync=False, lib_version=FORMAT)

    def append(self, value: bytes) -> None:
        """Store a batch in memory, and in LMDB without a sync."""
        super().append(value)
        put(self._environment, value)

    def close(self) -> None:
        """Give the environment back."""
        super().close()
        self._environment.close()


def put(environment: lmdb.Environment, value: bytes) -> None:
    """One transaction with one batch."""
    with environment.begin(write=True) as txn:
        txn.put(key_of(read_header(value)), value, append=True)


def sequencer(flow: Flow, repeats: int, batch: int = BATCH) -> Timing:
    """All that a sequencer does but the disk: stamp, seal with SHA-256, check the order, apply, digest."""

    def run() -> Timing:
        state = Machine()
        with closing(MemoryJournal.create(state.rows(), semantics=SEMANTICS)) as journal:
            return submit(journal, state, flow, batch)

    return best(run() for _ in range(repeats))


def unsynced(flow: Flow, repeats: int, scratch: Path, batch: int = BATCH) -> Timing:
    """The sequencer with an LMDB environment that is never synced."""

    def run(number: int) -> Timing:
        state = Machine()
        path = scratch / f"unsynced-{number}"
        path.mkdir()
        with closing(UnsyncedJournal.create(state.rows(), semantics=SEMANTICS)) as journal:
            assert isinstance(journal, UnsyncedJournal)
            journal.open(path)
            return submit(journal, state, flow, batch)

    return best(run(number) for number in range(repeats))


def submit(journal: RollingJournal, state: Machine, flow: Flow, batch: int, clock: str = "cpu") -> Timing:
    """The whole way of a command, from wire rows to events."""
    node = Sequencer(journal, state)
    node.submit(flow.venue, 1)
    rows = flow.rows
    return timed(lambda begin, end: node.submit(rows[begin:end], 1), len(rows), batch, clock=clock)


class Disk(NamedTuple):
    """A durable run, the same sealed bytes appended by LMDB alone, and what they take on disk."""

    durable: Timing
    raw: Timing
    replayed: float
    bytes_per_command: float


def durable(flow: Flow, repeats: int, scratch: Path, batch: int) -> Disk:
    """The sequencer on a synced journal; in turns with LMDB alone, because disks change their mind."""
    runs = [_durable(flow, scratch / f"durable-{batch}-{number}", batch) for number in range(repeats)]
    return Disk(
        best(run.durable for run in runs),
        best(run.raw for run in runs),
        max(run.replayed for run in runs),
        runs[0].bytes_per_command,
    )


def _durable(flow: Flow, path: Path, batch: int) -> Disk:
    state = Machine()
    with closing(JournalDirectory.create(path, state.rows(), semantics=SEMANTICS)) as journal:
        before = journal.used_bytes()
        timing = submit(journal, state, flow, batch, "wall")
        used = journal.used_bytes() - before
        values = list(journal.batches())
        started = time.process_time()
        again = recover(journal)
        replayed = timing.commands / (time.process_time() - started)
    if again.digest.value() != state.digest.value():
        raise Failure("the replay of what was journaled differs from the run")
    return Disk(timing, _raw(values, path, batch), replayed, used / timing.commands)


def _raw(values: list[bytes], path: Path, batch: int) -> Timing:
    """Sealed batches appended durably by LMDB alone, one transaction each."""
    folder = path.with_name(f"{path.name}-raw")
    folder.mkdir()
    keyed = [(key_of(read_header(value)), value) for value in values]
    with closing(lmdb.open(str(folder), map_size=2**36, lib_version=FORMAT)) as environment:

        def append(begin: int, end: int) -> None:
            for key, value in keyed[begin:end]:
                with environment.begin(write=True) as txn:
                    txn.put(key, value, append=True)

        timing = timed(append, len(keyed), 1, row_size=1, clock="wall")
    rows = sum(read_header(value).rows for value in values)
    return Timing(rows, batch, "wall", timing.seconds, timing.batches)


def memory(count: int) -> float:
    """Bytes of resident memory for each of so many resting orders; in a process of its own, whose memory is untouched."""
    code = f"import sys; sys.path[:] = {sys.path!r}; from tools.benches.stages import rest; print(rest({count}))"
    return float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)


def rest(count: int) -> float:
    """What `memory` does in its process."""
    flow = stamped(resting(count))
    fresh = Engine()
    fresh.apply(flow.venue, 0, len(flow.venue))
    gc.collect()
    before = _resident()
    timed(lambda begin, end: fresh.apply(flow.rows, begin, end), len(flow.rows), BATCH)
    return (_resident() - before) / count


def _resident() -> int:
    """Bytes of resident memory of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
