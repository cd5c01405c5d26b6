"""`lockstep bench --history`: how long a question about a random moment of a long journal takes.

The journal has a snapshot every so many rows and a book of so many resting orders. Each question opens the journal anew,
as `lockstep at` does: once with the snapshots of the journal alone, once with a cache that `lockstep index` filled.
"""

import random
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final, NamedTuple

from rich.console import Console
from rich.table import Table

from core.kinds import Side
from core.machine import Machine
from core.state import SEMANTICS
from journal import snapshots
from journal.directory import JournalDirectory
from replicas.sequencer import Sequencer
from tools.benches.steady import Steady
from tools.build import build
from tools.flow import MAKERS, SYMBOLS, Wire, venue
from tools.history import EVERY, History
from tools.past.moment import Moment
from tools.past.seek import collector_off

BATCH: Final = 1_000

Question = Callable[[Moment, random.Random], object]
QUESTIONS: Final[dict[str, Question]] = {
    "book": lambda moment, _: moment.book(SYMBOLS[0]).bids,
    "account": lambda moment, _: moment.account(MAKERS[0]),
    "order": lambda moment, draw: moment.order(draw.randrange(1, max(2, moment.sequence // 2))),
    "instrument": lambda moment, _: moment.instrument(SYMBOLS[0]),
    "venue": lambda moment, _: moment.venue(),
}


class Size(NamedTuple):
    """Commands, resting orders at most, rows between two snapshots and between two of the cache, questions of each kind."""

    commands: int
    resting: int
    apart: int
    every: int
    questions: int

    @classmethod
    def usual(cls, commands: int | None = None, *, quick: bool = False) -> "Size":
        """Ten million commands compiled, a part of it interpreted; a snapshot for each tenth."""
        usual = 20_000 if quick else 10_000_000 if build() == "compiled" else 500_000
        count = commands or usual
        apart = max(BATCH, count // 10)
        return cls(count, min(100_000, count // 20), apart, min(EVERY, max(BATCH, apart // 5)), 3 if quick else 20)


def make(path: Path, size: Size) -> int:
    """A journal of this size, with its snapshots; how many orders rest at its end."""
    machine = Machine()
    with closing(JournalDirectory.create(path, machine.rows(), semantics=SEMANTICS)) as journal:
        sequencer, due = Sequencer(journal, machine), size.apart
        sequencer.submit(venue(), 1)
        for rows in _batches(size):
            sequencer.submit(rows, 1)
            sequence = machine.engine.sequence
            header = journal.header_at(sequence)
            if sequence >= due and header is not None:
                snapshots.write(journal.snapshots, machine.rows(), header)
                due += size.apart
        sequencer.close_batch()
    return sum(len(account.orders) for account in machine.engine.accounts if account is not None)


def _batches(size: Size) -> Iterator[bytes]:
    steady, wire = Steady(size.resting, seed=1), Wire(BATCH)
    for begin in range(0, size.commands, BATCH):
        # The buffer is used again; it goes on counting the inbound numbers of the sessions.
        wire.size = 0
        yield steady.fill(wire, min(BATCH, size.commands - begin))


def ask(path: Path, size: Size, cache: Path | None) -> dict[str, dict[str, float]]:
    """Milliseconds of each kind of question, each about a random moment of a journal that is opened for it."""
    figures = {}
    for name, question in QUESTIONS.items():
        draw, taken = random.Random(f"{name} 2"), []
        for _ in range(size.questions):
            sequence = draw.randrange(1, size.commands)
            with collector_off():
                watch = _Watch()
                with History(path, cache=cache, every=size.commands) as history:
                    question(history.at(sequence), draw)
                taken.append(watch.read())
        figures[name] = _told(taken)
    return figures


def onwards(path: Path, size: Size) -> dict[str, float]:
    """Milliseconds of a book at each of many moments, one soon after the other, in a journal that stays open."""
    taken, step = [], max(1, size.apart // 1_000)
    with History(path) as history:
        for number in range(size.questions):
            watch = _Watch()
            history.at(size.commands // 2 + number * step).book(SYMBOLS[0]).levels(Side.BUY, 10)
            taken.append(watch.read())
    return _told(taken[1:])


class Taken(NamedTuple):
    """Milliseconds of one question, on the wall and of the processor."""

    wall: float
    cpu: float


class _Watch:
    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def read(self) -> Taken:
        """What has gone by since it was made."""
        return Taken((time.perf_counter() - self._wall) * 1e3, (time.process_time() - self._cpu) * 1e3)


def _told(taken: list[Taken]) -> dict[str, float]:
    """Median and maximum by both clocks: they part where others use the machine."""
    figures: dict[str, float] = {}
    for clock in Taken._fields:
        ordered = sorted(getattr(one, clock) for one in taken)
        figures |= {f"{clock}_p50": round(ordered[len(ordered) // 2], 1), f"{clock}_max": round(ordered[-1], 1)}
    return figures


def measure(
    scratch: Path, commands: int | None = None, *, quick: bool = False, size: Size | None = None
) -> dict[str, Any]:
    """All figures; the journal is made in the directory, of this size or of the usual one."""
    size = size or Size.usual(commands, quick=quick)
    path, cache = scratch / "journal", scratch / "cache"
    resting = make(path, size)
    alone = ask(path, size, None)
    started = time.perf_counter()
    with History(path, cache=cache, every=size.every) as history:
        history.fill()
    filled = time.perf_counter() - started
    return {
        "build": build(),
        **size._asdict(),
        "resting": resting,
        "journal_bytes": _bytes(path),
        "cache_bytes": _bytes(cache),
        "index_seconds": round(filled, 1),
        "snapshots_ms": alone,
        "cache_ms": ask(path, size, cache),
        "onwards_ms": onwards(path, size),
    }


def _bytes(path: Path) -> int:
    return sum(file.stat().st_blocks * 512 for file in path.rglob("*") if file.is_file())


def show(figures: dict[str, Any]) -> None:
    """Print the table."""
    console = Console(highlight=False, soft_wrap=True)
    console.print(
        f"[bold]Lockstep bench --history[/bold]: {figures['build']} build; {figures['commands']:,} commands, "
        f"{figures['resting']:,} resting orders, {figures['questions']} questions of each kind"
    )
    console.print(
        f"journal and its snapshots: {figures['journal_bytes']:,} bytes; "
        f"cache: {figures['cache_bytes']:,} bytes, indexed in {figures['index_seconds']:,} s"
    )
    for part, apart in (("snapshots_ms", "apart"), ("cache_ms", "every")):
        console.print(f"\na random moment, with a snapshot every {figures[apart]:,} rows")
        console.print(_table(figures[part]))
    console.print("\nthe next moment of an open history")
    console.print(_table({"book": figures["onwards_ms"]}))


def _table(figures: dict[str, dict[str, float]]) -> Table:
    table = Table(box=None, pad_edge=False, caption="milliseconds for a question, on the wall and of the processor")
    table.add_column("question")
    for heading in ("wall p50", "wall max", "cpu p50", "cpu max"):
        table.add_column(heading, justify="right")
    for name, told in figures.items():
        table.add_row(name, *(f"{told[kind]:,.0f}" for kind in ("wall_p50", "wall_max", "cpu_p50", "cpu_max")))
    return table
