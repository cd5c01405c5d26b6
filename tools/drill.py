"""`lockstep drill`: kill and stop the nodes of a venue under load, and prove that nothing was lost, doubled or different."""

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tools.failures import FAILED
from tools.options import Json

if TYPE_CHECKING:
    from tools.drills.run import Result


def drill(
    rounds: Annotated[int, typer.Option(min=1, help="Rounds, each with one fault.")] = 10,
    seed: Annotated[
        int | None, typer.Option(help="Repeats the order of the faults and the orders; printed if not given.")
    ] = None,
    directory: Annotated[
        Path | None,
        typer.Option("--dir", metavar="DIR", help="Keep journals and logs in this new directory, whatever comes."),
    ] = None,
    clients: Annotated[int, typer.Option(min=1, max=64, help="Sessions that trade, each as fast as it can.")] = 4,
    only: Annotated[
        list[str] | None,
        typer.Option(metavar="FAULT", help="This fault alone, as the report names it; may be repeated."),
    ] = None,
    megabytes: Annotated[
        int | None,
        typer.Option(
            "--disks", metavar="MB", min=64, help="A file system of this size for each node, to be filled; root."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Run a primary and a standby as real processes, and let faults come while clients trade.

    In each round one fault: the primary is killed or stopped, or its writes fail as on a full disk; the standby is
    killed, also in the middle of a promotion or of its return; or both are killed. With --disks, the disk of one node
    is filled to its last block in some rounds. Whoever died comes back. Then every
    answer that a client has is looked for in the journal, and both nodes' journals, digests and snapshots are compared
    with a replay. Exit code 1 if anything is lost, doubled or different.

    Example: lockstep drill --rounds 20 --seed 7
    """
    from secrets import randbelow
    from tempfile import mkdtemp

    from tools.drills.load import venue
    from tools.whole import refuse_full

    deck = _deck(only, disks=megabytes is not None)
    seed = randbelow(2**32) if seed is None else seed
    if directory is not None:
        refuse_full(directory)
        directory.mkdir(parents=True, exist_ok=True)
    folder = (directory or Path(mkdtemp(prefix="lockstep-drill-"))).resolve()
    print(f"seed {seed}, in {folder}", file=sys.stderr)
    (folder / "venue.toml").write_text(venue(clients))
    result = _run(folder, rounds, seed, clients, deck, megabytes, keep=directory is not None)
    if as_json:
        import msgspec

        from tools.output import print_json

        print_json(msgspec.to_builtins(result) | {"good": result.good()})
    else:
        _print(result)
    if not result.good():
        print(f"journals and logs are kept in {folder}", file=sys.stderr)
        raise typer.Exit(FAILED)
    if directory is None:
        shutil.rmtree(folder)


def _deck(only: list[str] | None, *, disks: bool) -> tuple[str, ...]:
    """The faults that are dealt. Misuse for a fault that there is not."""
    from tools.drills.nodes import DECK, DECK_WITH_DISKS, DISK_FAULTS, FAULTS
    from tools.failures import Misuse

    known = (*FAULTS, *DISK_FAULTS) if disks else tuple(FAULTS)
    for fault in only or ():
        if fault in DISK_FAULTS and not disks:
            raise Misuse(f"--only {fault!r} needs --disks MB")
        if fault not in known:
            raise Misuse(f"--only {fault!r}: the faults are {', '.join(known)}")
    return tuple(only or (DECK_WITH_DISKS if disks else DECK))


def _run(
    folder: Path, rounds: int, seed: int, clients: int, deck: tuple[str, ...], megabytes: int | None, *, keep: bool
) -> "Result":
    """The drill, on disks of their own if they are wanted; what is on them is kept in the folder where it has to be."""
    from contextlib import nullcontext

    from tools.drills.disks import disks
    from tools.drills.nodes import NAMES, data_of
    from tools.drills.run import NO_DISKS, run
    from tools.make_venue import make_venue

    with disks(folder, NAMES, megabytes) if megabytes else nullcontext(NO_DISKS) as mounted:
        make_venue(data_of("a", folder, mounted.get("a")), folder / "venue.toml", None)
        result = run(folder, rounds, seed, clients, lambda line: print(line, file=sys.stderr), deck, mounted)
        if keep or not result.good():
            for name, disk in mounted.items():
                shutil.copytree(data_of(name, folder, disk), folder / name, symlinks=True)
    return result


def _print(result: "Result") -> None:
    from rich.table import Table

    from tools.output import print_table

    table = Table(title=f"drill with seed {result.seed}")
    for name in ("rounds", "takeovers", "acknowledged", "lost", "doubled", "different"):
        table.add_column(name, justify="right")
    for name in ("p50", "p99", "max"):
        table.add_column(f"takeover {name} ms", justify="right")
    counts = (result.rounds, result.takeovers, result.acknowledged, result.lost, result.doubled, result.different)
    times = (str(result.takeover_ms.get(name, "-")) for name in ("p50", "p99", "max"))
    table.add_row(*(f"{count:,}" for count in counts), *times)
    print_table(table)
    for name, count in sorted(result.faults.items()):
        print(f"{count:6} x {name}")
    print(f"{result.under_load} of {result.rounds} rounds: a takeover, and more than 1,000 commands acknowledged")
    print(f"{result.told:,} events compared, {result.rows:,} rows replayed, {result.snapshots} snapshots equal")
    for note in result.notes:
        print(note)
