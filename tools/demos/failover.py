"""The last act of `lockstep demo`: a primary is killed in mid-flow, and its standby takes over."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from rich.table import Table

from journal.verify import verify
from tools.drills.load import venue
from tools.drills.run import Result, run
from tools.make_venue import make_venue

CLIENTS: Final = 4
_DECK: Final = ("kill the primary",)


def fail_over(folder: Path, seed: int, say: Callable[[str], None]) -> tuple[bool, Table]:
    """Let clients trade on two real nodes and kill the primary; whether all was well, and the table that says so."""
    folder.mkdir()
    file = folder / "venue.toml"
    file.write_text(venue(CLIENTS))
    make_venue(folder / "a", file, None)
    result = run(folder, 1, seed, CLIENTS, lambda _: None, _DECK)
    verified = all(verify(folder / name).good for name in "ab")
    for note in result.notes:
        say(note)
    good = result.good() and result.takeovers == 1 and verified
    return good, _table(result, verified=verified)


def _table(result: Result, *, verified: bool) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(min_width=13)
    table.add_column(no_wrap=True)
    say = {True: "yes", False: "[bold red]NO[/bold red]"}
    lines = {
        "sent": f"{result.sent:,} commands, by {CLIENTS} clients",
        "acknowledged": f"{result.acknowledged:,}",
        "lost": f"{result.lost}",
        "doubled": f"{result.doubled}",
        "different": f"{result.different}",
        "takeover": f"{result.takeover_ms.get('max', 0):.0f} ms, from the last answer of the old primary to the first of the new",
        "digests": f"equal: {say[result.good()]}",
        "journals": f"verified: {say[verified]}",
    }
    for name, value in lines.items():
        table.add_row(name, value)
    return table
