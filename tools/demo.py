"""`lockstep demo`: a whole trading day in one terminal, journaled, replayed, verified, and damaged on purpose."""

from pathlib import Path
from typing import Annotated

import typer

from tools.failures import FAILED, Failure

COMMANDS = 60_000


def demo(
    journal: Annotated[
        Path | None, typer.Option(help="Keep the journal in this new directory; without it a temporary one is used.")
    ] = None,
    commands: Annotated[int, typer.Option(min=1_000, help="Commands of the trading day.")] = COMMANDS,
    failover: Annotated[
        bool, typer.Option(help="End with two nodes, clients that trade, and the primary killed.")
    ] = True,
    seed: Annotated[int, typer.Option(help="Another number makes another day; the same one the same bytes.")] = 7,
) -> None:
    """Make a venue, trade a day on it, replay the day, verify it, flip one bit, and find it; then kill a primary.

    Exit code 1 if a replay differs, the journal does not verify, the flipped bit is not found, or the takeover lost,
    doubled or changed anything.

    Example: lockstep demo --journal venue --commands 20000
    """
    from tempfile import TemporaryDirectory

    from journal.errors import Exists, NotAJournal
    from tools.demos.story import tell

    with TemporaryDirectory(prefix="lockstep-demo-") as scratch:
        try:
            good = tell(journal or Path(scratch) / "venue", Path(scratch), commands, seed, kept=journal is not None)
        except (Exists, NotAJournal) as error:
            raise Failure(f"{error}; the demo makes a new journal") from None
        if failover:
            good = _fail_over(Path(scratch) / "nodes", seed) and good
    if not good:
        raise typer.Exit(FAILED)


def _fail_over(folder: Path, seed: int) -> bool:
    from tools.demos.failover import fail_over
    from tools.demos.story import Clock

    clock = Clock()
    clock.console.print(
        "\nA primary, its standby and four clients are started; the primary is killed with -9 in mid-flow."
    )
    good, table = fail_over(folder, seed, clock.console.print)
    clock.say(
        "The standby took over. Every answer of every client was looked for in the journal, and both were replayed."
    )
    clock.console.print(table)
    return good
