"""`lockstep bench --projections`: how fast views in SQLite are brought up to the end of a journal, durably."""

from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from replicas.opening import create
from tools.build import build
from tools.flow import OPENING, Day, batches, venue
from tools.projections.measure import measure as measure_views

SEED: Final = 7


def measure(scratch: Path, commands: int | None = None, *, quick: bool = False) -> dict[str, Any]:
    """All figures; the journal and the databases are made in the directory."""
    count = commands or (5_000 if quick else 300_000)
    path = scratch / "venue"
    _make(path, count)
    views = [view._asdict() | {"events_per_second": view.events_per_second} for view in measure_views(path, scratch)]
    return {"build": build(), "commands": count, "views": views}


def _make(path: Path, commands: int) -> None:
    """A day of the demo's venue."""
    directory, sequencer = create(path)
    try:
        sequencer.submit(venue(), OPENING)
        for batch in batches(Day(commands, SEED).rows(), SEED):
            sequencer.submit(batch.rows, batch.time)
        sequencer.close_batch()
    finally:
        if sequencer.events is not None:
            sequencer.events.close()
        directory.close()


def show(figures: dict[str, Any]) -> None:
    """Print the table."""
    console = Console(highlight=False, soft_wrap=True)
    console.print(
        f"[bold]Lockstep bench --projections[/bold]: {figures['build']} build; {figures['commands']:,} commands of the demo's day"
    )
    table = Table(box=None, pad_edge=False, caption="from the first row to the last commit, synced, one file a view")
    table.add_column("view")
    for heading in ("events", "seconds", "events/s"):
        table.add_column(heading, justify="right")
    for view in figures["views"]:
        seconds = f"{view['nanoseconds'] / 1e9:.2f}"
        table.add_row(view["projection"], f"{view['events']:,}", seconds, f"{view['events_per_second']:,}")
    console.print(table)
