"""`lockstep whatif`: a past session once more with other commands or other rules, as a journal that no node serves."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tools.moments import moment
from tools.options import Journal, Json
from tools.output import print_json
from tools.reading import begin, opened
from tools.whole import refuse_full, refuse_within, whole
from tools.worlds.comparison import LISTED, Comparison

if TYPE_CHECKING:
    from tools.worlds.altering import Altering

CAUTION = "traders saw the first world and acted in it: in the second they would have acted otherwise"


def whatif(
    journal: Journal,
    change: Annotated[
        Path, typer.Option("--change", metavar="FILE", help="What is otherwise (TOML).", show_default=False)
    ],
    to: Annotated[
        Path, typer.Option("--to", metavar="TO", help="The new journal; empty, or not there.", show_default=False)
    ],
    upto: Annotated[int | None, typer.Option("--upto", metavar="SEQ", help="Stop after this row.")] = None,
    from_snapshot: Annotated[
        bool, typer.Option("--from-snapshot", help="Begin at the newest sound state before the first change.")
    ] = False,
    listed: Annotated[int, typer.Option(min=0, help="Differences of each kind that are shown.")] = LISTED,
    as_json: Json = False,
) -> None:
    """Replay a journal with commands removed, inserted or altered, or with other rules, and say what differs.

    The result is a journal as well, marked counterfactual: it can be asked everything, and no node serves it.

    Example: lockstep whatif venue --change change.toml --to other
    """
    from tools.worlds.change_file import read_change
    from tools.worlds.whatif_compare import compare_change

    file = read_change(change)
    refuse_full(to)
    refuse_within(to, journal)
    with opened(journal) as source:
        last = moment(source, upto, None, ("--upto", ""))
        start = min(file.begins() - 1, last) if from_snapshot else last
        machine, _ = begin(source, max(start, source.segments()[0] - 1), from_zero=not from_snapshot)
        with whole(to) as place:
            comparison, counts, altering = compare_change(source, machine, file, place, last=last, listed=listed)
    told = {"journal": str(to), **counts._asdict()}
    if as_json:
        print_json({**told, **altering.json(), "caution": CAUTION, **comparison.json()})
        return
    for line in _lines(told, altering, comparison):
        print(line)


def _lines(told: dict[str, Any], altering: "Altering", comparison: Comparison) -> Iterator[str]:
    yield (
        f"{told['journal']}: counterfactual, {told['last']} rows: {told['removed']} of {told['rows']} commands removed, "
        f"{told['altered']} altered, {told['added']} added"
    )
    yield from altering.lines()
    for name, text in _NOTES.items():
        if told[name]:
            yield f"{told[name]} {text}"
    yield from comparison.lines()
    yield CAUTION


_NOTES = {
    "repeats": "repeats of removed commands are gone with them",
    "no_such_order": "commands name an order that is not there, and were refused",
    "timers": "AdvanceTime rows were added, for what is due here alone",
    "released": "quarantines are gone, because their rows are not as they were",
}
