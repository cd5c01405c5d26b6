"""`lockstep bench --against`: the plain path of this release beside that of another build, in turns in one run.

The plain path is what every venue has: limit orders, cancels and replaces of accounts without limits. Both builds run in
processes of their own, and apply the same rows by the engine alone.
"""

from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

import core
from core.kinds import ROW_SIZE
from core.stamp import stamp
from tools.benches.flows import Flow
from tools.benches.report import choose
from tools.engines import EngineProcess

ROUNDS: Final = 5
_COMMANDS: Final = 200_000
_OPENING: Final = 1
"""Journal time of the venue's rows in ns; the flow's are one later."""


def measure(_: Path, commands: int | None = None, *, quick: bool = False, against: Path) -> dict[str, Any]:
    """The best of several rounds for each flow and build, their order changed in each. Misuse and Failure of the other build."""
    count = commands or (5_000 if quick else _COMMANDS)
    with ExitStack() as stack:
        ours = stack.enter_context(EngineProcess(Path(core.__path__[0]).parent))
        theirs = stack.enter_context(EngineProcess(against))
        flows = [_compared(flow, ours, theirs, 1 if quick else ROUNDS) for flow in choose(None, count, quick=quick)]
        return {"build": ours.build, "against": {"path": str(against), "build": theirs.build}, "flows": flows}


def _compared(flow: Flow, ours: EngineProcess, theirs: EngineProcess, rounds: int) -> dict[str, Any]:
    venue = stamp(flow.venue, 0, 0, _OPENING)
    rows = stamp(flow.rows, len(venue) // ROW_SIZE, len(venue), _OPENING + 1)
    took: dict[EngineProcess, list[int]] = {ours: [], theirs: []}
    events: dict[EngineProcess, int] = {}
    for turn in range(rounds):
        for engine in (ours, theirs) if turn % 2 else (theirs, ours):
            nanoseconds, events[engine] = engine.timed(venue, rows)
            took[engine].append(nanoseconds)
    speeds = [flow.commands / min(took[engine]) * 1e9 for engine in (ours, theirs)]
    return {
        "flow": flow.name, "commands": flow.commands, "speed": round(speeds[0]), "against": round(speeds[1]),
        "ratio": round(speeds[0] / speeds[1], 3), "events": [events[ours], events[theirs]],
    }  # fmt: skip


def show(figures: dict[str, Any]) -> None:
    """Print the table."""
    console, other = Console(highlight=False, soft_wrap=True), figures["against"]
    console.print(
        f"[bold]Lockstep bench --against[/bold]: {figures['build']} build, beside the {other['build']} one of {other['path']}"
    )
    table = Table(box=None, pad_edge=False, caption="commands/s of the engine alone, the best of each build's rounds")
    table.add_column("flow")
    for heading in ("this release", "against", "ratio"):
        table.add_column(heading, justify="right")
    for flow in figures["flows"]:
        mine, told = flow["events"]
        differ = "" if mine == told else f"; {mine:,} events, against {told:,}"
        table.add_row(flow["flow"] + differ, f"{flow['speed']:,}", f"{flow['against']:,}", f"{flow['ratio']:.2f}")
    console.print(table)
