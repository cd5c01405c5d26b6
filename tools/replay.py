"""`lockstep replay`: apply a journal again, and print the digests that every replica must agree on."""

import sys
from pathlib import Path
from time import perf_counter
from typing import Annotated

import typer

from core.check import check
from core.kinds import ROW_SIZE
from core.machine import Machine
from journal.directory import JournalDirectory
from tools.failures import Failure
from tools.moments import TIME_HELP, moment
from tools.options import Journal, Json, refuse_both
from tools.output import print_json
from tools.reading import applied, begin, opened
from tools.worlds.comparison import LISTED

CHECK_ROWS = 100_000


def replay(
    journal: Journal,
    to: Annotated[int | None, typer.Option("--to", metavar="SEQ", help="Stop after this row.")] = None,
    until: Annotated[
        str | None, typer.Option("--until", metavar="TIME", help=f"Stop after rows stamped: {TIME_HELP}")
    ] = None,
    checked: Annotated[
        bool, typer.Option("--check", help="Assert every invariant now and then, and at the end.")
    ] = False,
    from_zero: Annotated[bool, typer.Option("--from-zero", help="Begin at the first segment, the default.")] = False,
    from_snapshot: Annotated[bool, typer.Option("--from-snapshot", help="Begin at the newest sound state.")] = False,
    behaviour_diff: Annotated[
        bool, typer.Option("--behaviour-diff", help="Say what would be otherwise under --engine, or with --change.")
    ] = False,
    engine: Annotated[
        Path | None, typer.Option(metavar="PATH", help="Another build of the engine: a checkout or a wheel.")
    ] = None,
    change: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Other commands or rules (TOML), as for `lockstep whatif`.")
    ] = None,
    intended: Annotated[Path | None, typer.Option(metavar="FILE", help="Differences that are meant (TOML).")] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Fail as well if an intended difference is not found.")
    ] = False,
    listed: Annotated[int, typer.Option(min=0, help="Differences of each kind that are shown.")] = LISTED,
    as_json: Json = False,
) -> None:
    """Replay a journal and print the event digest and the state digest; the rate goes to stderr.

    With --behaviour-diff the journal is replayed twice, here and under another build or with other rules, and the exit code
    is 1 if anything but what is intended differs.

    Example: lockstep replay venue --to 1000 --check

    Example: lockstep replay venue --engine ../next --behaviour-diff --intended intended.toml
    """
    from tools.behaviour import asked

    refuse_both("--from-zero", "--from-snapshot", both=from_zero and from_snapshot)
    other = asked(behaviour_diff, engine, change, intended, strict=strict, checked=checked)
    with opened(journal) as source:
        last = moment(source, to, until, ("--to", "--until"))
        start = min(last, other.begins - 1) if other and from_snapshot else last
        machine, name = begin(source, max(start, source.segments()[0] - 1), from_zero=not from_snapshot)
        if other:
            other.refuse_nothing(machine, last)
        print(f"from {name}, after row {machine.engine.sequence}", file=sys.stderr)
        if other:
            raise typer.Exit(other.compare(source, machine, last=last, listed=listed, as_json=as_json))
        _run(source, machine, last, checked=checked)
    digests = {
        "sequence": machine.engine.sequence,
        "event_digest": machine.digest.value().hex(),
        "state_digest": machine.state_digest().hex(),
    }
    if as_json:
        print_json(digests)
        return
    print(f"event digest {digests['event_digest']}")
    print(f"state digest {digests['state_digest']}")


def _run(journal: JournalDirectory, machine: Machine, last: int, *, checked: bool) -> None:
    first, events, started = machine.engine.sequence, 0, perf_counter()
    due = first + CHECK_ROWS
    for batch in applied(journal, machine, last):
        events += len(batch.events) // ROW_SIZE
        if checked and machine.engine.sequence >= due:
            _check(machine)
            due = machine.engine.sequence + CHECK_ROWS
    rows, seconds = machine.engine.sequence - first, perf_counter() - started
    if checked:
        _check(machine)
    rate = int(float(rows) / seconds)
    print(f"{rows} rows, {events} events in {seconds:.3f} s: {rate} rows/s", file=sys.stderr)


def _check(machine: Machine) -> None:
    try:
        check(machine.engine)
    except AssertionError as error:
        raise Failure(f"after row {machine.engine.sequence} the state contradicts itself: {error}") from None
