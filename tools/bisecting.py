"""`lockstep bisect`: the first command after which two nodes, or two builds of the engine, differ, and how."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Annotated, Any

import typer

from core.state import SEMANTICS
from journal.directory import JournalDirectory
from tools.diff import both, difference_lines
from tools.engines import Engine, EngineProcess, LocalEngine
from tools.failures import FAILED, Misuse
from tools.options import Json
from tools.output import print_json
from tools.parting.bisection import Parting, Party, Verdict, of_engine, of_journals
from tools.parting.columns import named, named_text, rows_of
from tools.parting.histories import Told
from tools.parting.journals import Watch
from tools.parting.states import Differing
from tools.reading import opened
from tools.watching import progress

LINES_MAX = 100
"""Differences of the states that the plain form prints; JSON has all."""


def bisect(
    a: Annotated[Path, typer.Argument(metavar="A", help="A journal's directory.", show_default=False)],
    against: Annotated[
        Path | None, typer.Option("--against", metavar="B", help="The journal of another node, of the same commands.")
    ] = None,
    engine: Annotated[
        Path | None,
        typer.Option(
            "--engine",
            metavar="CHECKOUT_OR_WHEEL",
            help="Another build of the engine: it made B's events, or is to make A's again.",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Find the first command after which two histories differ: its events in both, and the states field by field.

    Exit code 1 if they differ.

    Example: lockstep bisect a --against b
    """
    if against is None and engine is None:
        raise Misuse("against what? Give --against B, --engine CHECKOUT_OR_WHEEL, or both")
    found = _of_engine(a, engine) if against is None and engine is not None else _of_journals(a, against or a, engine)
    if as_json:
        print_json(_json(found))
    else:
        for line in _lines(found):
            print(line)
    if not _same(found):
        raise typer.Exit(FAILED)


def _of_engine(path: Path, engine: Path) -> Verdict:
    with EngineProcess(engine) as theirs, opened(path) as journal, _watched(journal) as watch:
        return of_engine(journal, theirs, watch)


def _of_journals(a: Path, b: Path, engine: Path | None) -> Verdict:
    with ExitStack() as stack:
        one, other = stack.enter_context(both(a, b))
        mine: list[Engine] = [LocalEngine()]
        theirs: list[Engine] = [LocalEngine()]
        if engine is not None:
            theirs.insert(0, stack.enter_context(EngineProcess(engine)))
        if engine is not None and one.semantics != SEMANTICS:
            # It takes turns with the one for B, row by row, so that A needs one of its own.
            mine.append(stack.enter_context(EngineProcess(engine)))
        watch = stack.enter_context(_watched(one))
        return of_journals(Party(one, mine), Party(other, theirs), watch)


def _watched(journal: JournalDirectory) -> AbstractContextManager[Watch]:
    return progress("searching", journal.head().sequence)


def _same(found: Verdict) -> bool:
    return found.inputs is None and found.span.differ is None and found.silent is None


# ---- as JSON


def _json(found: Verdict) -> dict[str, Any]:
    span = found.span
    told: dict[str, Any] = {"same": _same(found), "agreed": span.agreed, "differ": span.differ}
    if found.inputs is not None:
        told["inputs"] = [one.json() for one in found.inputs.differences]
    if found.unknown:
        told["unknown"] = found.unknown
    if found.silent is not None:
        told["states"] = {
            "sequence": found.silent.sequence,
            "command": named(found.silent.row),
            "differences": _states_json(found.silent.differences),
        }
    return told | ({} if found.parting is None else _parting_json(found.parting))


def _parting_json(parting: Parting) -> dict[str, Any]:
    return {
        "sequence": parting.a.sequence,
        "command": named(parting.a.row),
        "a": _told_json(parting.a, parting.sources[0]),
        "b": _told_json(parting.b, parting.sources[1]),
        "before": _states_json(parting.before),
        "after": _states_json(parting.after),
        "after_row": parting.after_row,
    }


def _told_json(told: Told, source: str) -> dict[str, Any]:
    return {"source": source, "events": list(map(named, rows_of(told.events))), "raised": told.error or None}


def _states_json(differences: list[Differing] | None) -> list[dict[str, Any]] | None:
    return None if differences is None else [one.json() for one in differences]


# ---- as text


def _lines(found: Verdict) -> Iterator[str]:
    span = found.span
    if found.inputs is not None:
        yield "the inputs differ, before any event does: `lockstep diff` compares them"
        for one in found.inputs.differences:
            yield from difference_lines(one)
        return
    if span.agreed is not None:
        yield f"the event digests agree up to row {span.agreed}"
    if span.differ is not None:
        yield f"the events up to row {span.differ} differ"
    if found.unknown:
        yield f"which command it was cannot be told: {found.unknown}"
    if found.parting is not None:
        yield from _parting_lines(found.parting)
    if found.silent is not None:
        yield f"the states part without an event at row {found.silent.sequence}"
        yield f"  {named_text(found.silent.row)}"
        yield from _states_lines(f"the states after row {found.silent.sequence}", found.silent.differences)
    if _same(found):
        yield "same: no digest differs"


def _parting_lines(parting: Parting) -> Iterator[str]:
    sequence = parting.a.sequence
    yield f"the first command after which they differ: row {sequence}"
    yield f"  {named_text(parting.a.row)}"
    for name, told, source in zip("AB", (parting.a, parting.b), parting.sources, strict=True):
        yield f"{name} ({source}):"
        yield from (f"  {named_text(event)}" for event in rows_of(told.events))
        if told.error:
            yield f"  the engine raises {told.error}"
        elif not told.events:
            yield "  no event"
    yield from _states_lines(f"the states before row {sequence}", parting.before)
    yield from _states_lines(f"the states after row {parting.after_row}", parting.after)


def _states_lines(name: str, differences: list[Differing] | None) -> Iterator[str]:
    if differences is None:
        yield f"{name} are not both known"
        return
    if not differences:
        yield f"{name} are the same"
        return
    yield f"{name} differ:"
    lines = [line for one in differences for line in one.lines()]
    yield from (f"  {line}" for line in lines[:LINES_MAX])
    if len(lines) > LINES_MAX:
        yield f"  and {len(lines) - LINES_MAX} more: --json has all"
