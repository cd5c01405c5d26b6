"""`lockstep bench --beside`: what it costs a writer at full rate that somebody reads its journal, on a core of his own.

The reader takes every batch of the events' log as it comes, and writes nothing: a view that syncs its own file shares the
disk with the writer, which is another question. Rounds with and without it alternate, each on a new journal; the journal's file is held against the commands in it.
"""

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

from rich.console import Console
from rich.table import Table

from core.kinds import ROW_SIZE
from journal.directory import SEGMENTS
from replicas.opening import create
from tools.benches.flows import Flow, own
from tools.build import build
from tools.failures import Failure

BATCH: Final = 64
ROUNDS: Final = 5
_READER: Final = """
import sys
from pathlib import Path
from journal.event_batch import EventBatch
from journal.market_log import MarketLog
with MarketLog(Path(sys.argv[1])) as log, log.subscribe(gt=None, topics=(EventBatch.TOPIC,)) as batches:
    for number, batch in enumerate(batches):
        if number == 0:
            print("reading", flush=True)
"""


class Written(NamedTuple):
    """One round of the writer; what stood before the reader was there does not count."""

    commits_per_second: float
    bytes_per_command: float
    cpu_us_per_commit: float
    """Processor time of the writer: what others do on the machine weighs less on it than on its rate."""


def measure(scratch: Path, commands: int | None = None, *, quick: bool = False) -> dict[str, Any]:
    """All figures; the journals are made in the directory. Failure if the reader cannot read."""
    flow = own(commands or (4_000 if quick else 200_000))
    alone, beside = [], []
    for number in range(2 if quick else ROUNDS):
        alone.append(_write(scratch / f"alone-{number}", flow, read=False))
        beside.append(_write(scratch / f"beside-{number}", flow, read=True))
    kept = [b.commits_per_second / a.commits_per_second for a, b in zip(alone, beside, strict=True)]
    return {
        "build": build(),
        "commands": flow.commands,
        "batch": BATCH,
        "alone": _told(alone),
        "beside": _told(beside),
        "rate_kept": statistics.median(kept),
        "rate_kept_by_round": kept,
        "load": os.getloadavg()[0],
        "cpu_kept": statistics.median(
            a.cpu_us_per_commit / b.cpu_us_per_commit for a, b in zip(alone, beside, strict=True)
        ),
        "file_growth": statistics.median(
            b.bytes_per_command / a.bytes_per_command for a, b in zip(alone, beside, strict=True)
        ),
    }


def _told(rounds: list[Written]) -> dict[str, float]:
    return {name: statistics.median(getattr(each, name) for each in rounds) for name in Written._fields}


def _write(path: Path, flow: Flow, *, read: bool) -> Written:
    """Commit the flow in batches, with or without a reader that has the venue before the first of them."""
    directory, sequencer = create(path)
    try:
        sequencer.submit(flow.venue, 1)
        with _reading(path) if read else _nothing():
            before, started, cpu = _size(path), time.perf_counter(), time.process_time()
            for at in range(0, len(flow.rows), BATCH * ROW_SIZE):
                sequencer.submit(flow.rows[at : at + BATCH * ROW_SIZE], 1)
            seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
        commits = flow.commands / BATCH
        return Written(commits / seconds, (_size(path) - before) / flow.commands, cpu / commits * 1e6)
    finally:
        if sequencer.events is not None:
            sequencer.events.close()
        directory.close()


def _size(path: Path) -> int:
    return sum(file.stat().st_size for file in (path / SEGMENTS).glob("*/data.mdb"))


@contextmanager
def _nothing() -> Iterator[None]:
    yield


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """A reader that follows; it must still do so in the end."""
    command = [sys.executable, "-c", _READER, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as reader:
        try:
            assert reader.stdout is not None
            reader.stdout.readline()
            yield
            if reader.poll() is not None:
                raise Failure(f"the reader ended: {reader.stderr.read().strip() if reader.stderr else ''}")
        finally:
            reader.kill()


def show(figures: dict[str, Any]) -> None:
    """Print the table."""
    console = Console(highlight=False, soft_wrap=True)
    console.print(
        f"[bold]Lockstep bench --beside[/bold]: {figures['build']} build; {figures['commands']:,} commands, {figures['batch']} a batch, synced"
    )
    table = Table(box=None, pad_edge=False, caption="medians of alternating rounds; the reader follows every batch")
    for heading in ("writer", "commits/s", "bytes of journal for each command", "µs of processor a commit"):
        table.add_column(heading, justify="right" if heading != "writer" else "left")
    for name in ("alone", "beside"):
        told = figures[name]
        values = told["commits_per_second"], told["bytes_per_command"], told["cpu_us_per_commit"]
        table.add_row(name, f"{values[0]:,.0f}", f"{values[1]:,.1f}", f"{values[2]:,.0f}")
    console.print(table)
    kept = figures["rate_kept_by_round"]
    console.print(
        f"rate kept: {figures['rate_kept']:.3f}, by round {min(kept):.3f} to {max(kept):.3f}; "
        f"by processor time {figures['cpu_kept']:.3f}; growth of the file: {figures['file_growth']:.3f}; load of the machine: {figures['load']:.1f}, {os.cpu_count()} cores"
    )
