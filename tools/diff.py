"""`lockstep diff`: whether two journals hold the same commands, and the first thing in which they differ."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import typer

from journal.chain import Chain
from journal.directory import JournalDirectory
from journal.errors import Damaged, JournalError
from tools.failures import FAILED, Failure, Misuse
from tools.options import Json
from tools.output import print_json
from tools.parting.columns import named_text
from tools.parting.journals import Comparison, Difference, compare
from tools.reading import opened
from tools.watching import progress

A = Annotated[Path, typer.Argument(metavar="A", help="A journal's directory.", show_default=False)]
B = Annotated[Path, typer.Argument(metavar="B", help="The other journal's directory.", show_default=False)]

_AROUND = 6
"""Batches in which damage is met again: the one before it, and what stands between two segments."""


def diff(
    a: A,
    b: B,
    batches: Annotated[
        bool, typer.Option("--batches", help="Batches that are cut otherwise are a difference.")
    ] = False,
    whole: Annotated[
        bool, typer.Option("--whole", help="Read all, also what the hash of a later batch says to be the same.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Compare two journals, row by row: the first command that differs, column by column. Exit code 1 if they differ.

    Example: lockstep diff venue copy
    """
    with both(a, b) as (mine, theirs), progress("comparing", _common_end(mine, theirs)) as watch:
        found = compare(mine, theirs, whole=whole, watch=watch)
    same = not found.differences and not (batches and found.cut is not None)
    if as_json:
        print_json({"same": same} | _json(found))
    else:
        for line in _lines(found):
            print(line)
        print("same" if same else "different")
    if not same:
        raise typer.Exit(FAILED)


@contextmanager
def both(a: Path, b: Path) -> Iterator[tuple[JournalDirectory, JournalDirectory]]:
    """Two journals, for reading. Misuse if they are one; Failure that names the one that is damaged; what `opened` raises."""
    if a.resolve() == b.resolve():
        raise Misuse(f"{a} and {b} are the same directory")
    with opened(a) as mine, opened(b) as theirs:
        try:
            yield mine, theirs
        except Damaged as error:
            raise Failure(_whose(error, (mine, theirs))) from None


def _whose(error: Damaged, journals: tuple[JournalDirectory, ...]) -> str:
    """The error with the journal in which it is met again, around the batch that it names; as it is if in none."""
    named = re.match(r"batch (\d+)", error.where)
    if named is None:
        return str(error)
    for journal in journals:
        chain = Chain()
        try:
            for value in islice(journal.batches(max(int(named[1]) - 1, journal.segments()[0])), _AROUND):
                chain.feed(value)
        except JournalError as found:
            if str(found) == str(error):
                return f"{journal.path}: {error}"
    return str(error)


def _common_end(a: JournalDirectory, b: JournalDirectory) -> int:
    return min(a.head().sequence, b.head().sequence)


def _json(found: Comparison) -> dict[str, Any]:
    return {
        "rows": found.rows,
        "hashed": found.hashed,
        "ends": {"a": found.ends[0], "b": found.ends[1]},
        "differences": [one.json() for one in found.differences],
        "cut": found.cut,
    }


def _lines(found: Comparison) -> Iterator[str]:
    read = f", up to row {found.hashed} by the hash of a batch" if found.hashed else ""
    yield f"the commands up to row {found.rows} are the same{read}" if found.rows else "no command is the same"
    for one in found.differences:
        yield from difference_lines(one)
    if found.cut is not None:
        yield f"note: the batches are not the same from row {found.cut} on: cut otherwise, or closed in one alone"


def difference_lines(one: Difference) -> Iterator[str]:
    """A difference on lines: what differs, both rows, and each column."""
    yield one.text
    if one.rows is not None:
        yield from (f"  {name} {named_text(row)}" for name, row in zip("AB", one.rows, strict=True))
    for column in one.columns:
        yield f"  {column.name}: A {column.a_text}, B {column.b_text}"
