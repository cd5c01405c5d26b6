"""Running the stages of `lockstep bench` in order, and telling what they gave."""

import json
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

from rich.console import Console
from rich.table import Table

from core.kinds import ROW_SIZE
from tools.benches import stages
from tools.benches.flows import MANY, Flow, flash1, own
from tools.benches.stages import BATCH, Timing
from tools.benches.yardstick import PLAIN_SIZE, NoYardstick, beside, load
from tools.build import build

FLASH1: Final = ("data", "flash1", "normal_seed7_count20000.bin.xz")
DAY_COMMANDS: Final = 50_000_000
"""The day that the disk is reckoned for."""


STAGES: Final = """\
yardstick: matching alone, the prototype. engine: reads and writes rows, with sessions, money and limits, which it always
has. Each line below it adds a part of a node. durable: the whole sequencer on a synced journal, in turns with raw LMDB:
the same sealed bytes, appended and synced by LMDB alone. Percentiles are of whole batches, on the wall clock."""


class Plan(NamedTuple):
    """How much is measured: runs of each stage, resting orders, and commands of each durable batch size."""

    repeats: int = 5
    resting: int = 200_000
    durable: tuple[tuple[int, int], ...] = ((1, 2_000), (64, 64_000), (1_024, 512_000))
    disk_repeats: int = 3

    @classmethod
    def quick(cls) -> "Plan":
        """Enough to see that every stage runs."""
        return cls(1, 5_000, ((1, 50), (64, 2_000), (1_024, 8_000)), 1)


class Line(NamedTuple):
    """A stage as it was measured; `ratio` is its speed against what `against` names."""

    flow: str
    stage: str
    timing: Timing
    ratio: float | None = None
    against: str = ""


def choose(named: str | None, commands: int | None, *, quick: bool) -> list[Flow]:
    """The flows to measure, the first of them on disk as well. OSError or ValueError for one that cannot be read."""
    usual = 20_000 if quick else 1_000_000 if build() == "compiled" else 100_000
    if named and named.startswith("flash1:"):
        return [flash1(Path(named.removeprefix("flash1:")), commands)]
    if named not in (None, "own"):
        raise ValueError(f"{named}: neither own nor flash1:FILE")
    flows = [own(commands or usual), own(commands or usual, accounts=MANY)]
    recorded = None if named else beside(*FLASH1)
    return [*flows, flash1(recorded, commands)] if recorded else flows


class Report:
    """All figures of a run, as a table and as JSON."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.machine = _machine()
        self.flows: list[Flow] = []
        self.lines: list[Line] = []
        self.disk: dict[str, float] = {}
        self.memory = 0.0
        self.notes: list[str] = []

    def json(self) -> str:
        """Every figure, for a machine."""
        figures = {
            "build": build(),
            "machine": self.machine,
            "flows": {flow.name: flow.commands for flow in self.flows},
            "garbage_collector": "off",
            "best_of": self.plan.repeats,
            "stages": [_figures(line) for line in self.lines],
            "bytes_per_resting_order": round(self.memory, 1),
            "disk": self.disk,
            "notes": self.notes,
        }
        return json.dumps(figures, indent=2) + "\n"

    def show(self) -> None:
        """Print the table."""
        console = Console(highlight=False, soft_wrap=True)
        told = ", ".join(f"{name} {value}" for name, value in self.machine.items())
        console.print(f"[bold]Lockstep bench[/bold]: {build()} build; {told}")
        console.print(STAGES)
        console.print(
            f"Garbage collector off in every stage; best of {self.plan.repeats} runs, of the disk's {self.plan.disk_repeats}."
        )
        for flow in self.flows:
            console.print(f"\nFlow {flow.name}; {flow.commands:,} commands")
            console.print(_table([line for line in self.lines if line.flow == flow.name]))
        console.print(f"\nMemory of a resting order: {self.memory:,.0f} bytes, with its client order id and its levels")
        for name, value in self.disk.items():
            console.print(f"{name}: {value:,.0f}")
        for note in self.notes:
            console.print(note)


class Bench:
    """Measures stage after stage."""

    def __init__(self, plan: Plan, scratch: Path) -> None:
        self._scratch = scratch
        self._plan = plan
        self._report = Report(plan)

    def run(self, flows: list[Flow]) -> Report:
        """All stages for the first flow, those without a disk for the others."""
        report = self._report
        report.memory = stages.memory(self._plan.resting)
        report.flows = flows
        for flow in flows:
            self._processor(flow)
        for batch, commands in self._plan.durable:
            self._disk(_shortened(flows[0], commands), batch)
        return report

    def _processor(self, flow: Flow) -> None:
        """What needs no disk; every stage has what the one before has."""
        repeats = self._plan.repeats
        ready = stages.stamped(flow)
        run = self._yardstick(flow)
        # In turns with the yardstick, because the processor changes its mind too.
        pairs = [(run() if run else None, stages.engine(ready)) for _ in range(repeats)]
        measures = [measure for measure, _ in pairs if measure]
        measure = stages.best(iter(measures)) if measures else None
        if measure:
            self._add(flow, "yardstick", measure, None)
        self._add(flow, "engine", stages.best(timing for _, timing in pairs), measure)
        self._add(flow, "+ event digest", stages.machine(ready, repeats), measure)
        self._add(flow, "+ stamp, seal, chain", stages.sequencer(flow, repeats), measure)
        if flow is self._report.flows[0]:
            timing = stages.unsynced(flow, min(2, repeats), self._scratch)
            self._add(flow, "+ LMDB, not synced", timing, measure)

    def _yardstick(self, flow: Flow) -> Callable[[], Timing] | None:
        """What runs the yardstick once, if it can be had."""
        try:
            fresh = load(self._scratch)
        except NoYardstick as reason:
            self._report.notes = [f"No yardstick: {reason}."]
            return None
        size = len(flow.plain)
        return lambda: stages.timed(fresh(flow.plain, BATCH), size, BATCH, row_size=PLAIN_SIZE)

    def _disk(self, flow: Flow, batch: int) -> None:
        disk = stages.durable(flow, self._plan.disk_repeats, self._scratch, batch)
        self._report.lines += [
            Line(
                flow.name,
                "durable, applied",
                disk.durable,
                disk.durable.per_second / disk.raw.per_second,
                "raw LMDB",
            ),
            Line(flow.name, "raw LMDB, synced", disk.raw),
        ]
        each = disk.bytes_per_command
        self._report.disk |= {
            f"bytes of journal for each command, {batch} a batch": round(each, 1),
            f"gigabytes of journal for {DAY_COMMANDS:,} commands, {batch} a batch": round(each * DAY_COMMANDS / 1e9, 2),
            f"commands a second replayed and verified from it, {batch} a batch": round(disk.replayed),
        }

    def _add(self, flow: Flow, stage: str, timing: Timing, measure: Timing | None) -> None:
        ratio = timing.per_second / measure.per_second if measure else None
        self._report.lines.append(Line(flow.name, stage, timing, ratio, "yardstick" if measure else ""))


def _shortened(flow: Flow, commands: int) -> Flow:
    """The first commands of a flow."""
    return flow._replace(rows=flow.rows[: commands * ROW_SIZE])


def _figures(line: Line) -> dict[str, Any]:
    timing = line.timing
    figures: dict[str, Any] = {
        "flow": line.flow,
        "stage": line.stage,
        "batch": timing.batch,
        "commands": timing.commands,
        "clock": timing.clock,
        "per_second": round(timing.per_second),
        "batch_us": {name: round(timing.percentile(part), 1) for name, part in _PERCENTILES.items()},
    }
    return figures | ({"ratio": round(line.ratio, 3), "against": line.against} if line.ratio else {})


_PERCENTILES: Final = {"p50": 0.5, "p99": 0.99, "p99.9": 0.999}


def _table(lines: list[Line]) -> Table:
    table = Table(box=None, pad_edge=False, caption="ratio: to the yardstick; of durable stages: to raw LMDB")
    table.add_column("stage", no_wrap=True)
    for heading in ("batch", "commands/s", "clock", *(f"{name} µs" for name in _PERCENTILES), "ratio"):
        table.add_column(heading, justify="right")
    for line in lines:
        timing = line.timing
        waits = (f"{timing.percentile(part):,.0f}" for part in _PERCENTILES.values())
        ratio = f"{line.ratio:.2f}" if line.ratio else ""
        table.add_row(line.stage, str(timing.batch), f"{timing.per_second:,.0f}", timing.clock, *waits, ratio)
    return table


def _machine() -> dict[str, str]:
    """Processor, cores and how many of them are free now, Python."""
    cores = len(os.sched_getaffinity(0))
    return {
        "processor": _processor_name(),
        "cores": f"{cores} ({_free_cores():.1f} free)",
        "python": f"{platform.python_implementation()} {sys.version.split()[0]}",
        "system": f"{platform.system()} {platform.release()}",
    }


def _processor_name() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def _free_cores(seconds: float = 0.5) -> float:
    """How many cores of the machine were idle just now."""
    before = list(_ticks())
    time.sleep(seconds)
    spent = [new - old for old, new in zip(before, _ticks(), strict=True)]
    return (spent[3] + spent[4]) / max(1, sum(spent)) * (os.cpu_count() or 1)


def _ticks() -> Iterator[int]:
    """User, nice, system, idle, wait and so on, of all cores together."""
    return map(int, Path("/proc/stat").read_text().splitlines()[0].split()[1:9])
