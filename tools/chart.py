"""`lockstep chart`: prices, depth, trades and trading states of a journal as a page or an image."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

import typer

from journal.directory import JournalDirectory
from tools.charts.data import Axis, Picture, sample
from tools.charts.heat import COLUMNS
from tools.exports.file import refuse_target, written_whole
from tools.exports.names import Names
from tools.exports.range import Asked, First, Last, Since, Source, Until, stamped
from tools.failures import Failure, Misuse
from tools.options import Journal, Json
from tools.output import print_json
from tools.reading import opened

_QUIET: Final = 10
"""A first half of the time with less than this part of the rows is left out, unless a range was asked for."""


class Kind(StrEnum):
    """What can be drawn; each is the suffix of its files."""

    HTML = "html"
    PNG = "png"


def chart(
    journal: Journal,
    symbol: Annotated[
        str | None, typer.Argument(metavar="[SYMBOL]", help="The instrument; all if absent.", show_default=False)
    ] = None,
    *,
    to: Annotated[
        Path, typer.Option("--to", metavar="FILE", help="The file, .html or .png; an older one is replaced.")
    ],
    first: First = None,
    since: Since = None,
    last: Last = None,
    until: Until = None,
    as_json: Json = False,
) -> None:
    """Draw price, depth, spread, trades and trading states over time: a page to look into, or an image.

    Example: lockstep chart venue AAA --to aaa.html
    """
    kind = _kind(to)
    asked = Asked(first, since, last, until)
    with opened(journal) as opened_journal:
        refuse_target(to, journal)
        source = Source(opened_journal, asked)
        if source.range.first > source.range.last:
            raise Failure(f"{journal}: no rows in this range, so nothing to draw")
        pictures = draw(opened_journal, source, symbol)
        facts = source.facts()
    if kind == Kind.PNG and len(pictures) > 1:
        raise Misuse(f"an image shows one instrument: name it; known: {', '.join(p.terms.symbol for p in pictures)}")
    _write(to, kind, pictures, facts)
    told = {"file": str(to), **facts, "symbols": [picture.terms.symbol for picture in pictures]}
    if as_json:
        print_json(told)
        return
    print(f"{to}: {', '.join(told['symbols'])}, rows {facts['first']} to {facts['last']} of {journal}")


def _kind(to: Path) -> Kind:
    try:
        return Kind(to.suffix.removeprefix(".").lower())
    except ValueError:
        raise Misuse(f"--to {to}: end it in .html or .png") from None


def draw(journal: JournalDirectory, source: Source, symbol: str | None) -> list[Picture]:
    """The pictures of one instrument, or of all. Misuse for a symbol that is not listed; Failure, JournalError."""
    if source.whole:
        _pass_over_quiet(journal, source)
    state = source.state()
    names = Names(state)
    begin, end = stamped(journal, source.range.first), stamped(journal, source.range.last)
    pictures = sample(names, state, source.applied(), Axis(begin, end, COLUMNS), symbol)
    if not pictures:
        wrong = f"no instrument {symbol}" if symbol is not None else "no instrument"
        raise Misuse(f"{wrong} up to row {source.range.last}; known: {', '.join(names.symbols()) or 'none'}")
    return pictures


def _pass_over_quiet(journal: JournalDirectory, source: Source) -> None:
    """Begin behind the rows that set a venue up long before it trades: they would press the rest into a corner."""
    low, high = source.range
    begin, end = stamped(journal, low), stamped(journal, high)
    later = source.first_after(begin + (end - begin) // 2)
    if (later - low) * _QUIET < high - low + 1:
        source.begin_at(later)


def _write(to: Path, kind: Kind, pictures: list[Picture], facts: dict[str, str]) -> None:
    """Write the file whole. Failure for a missing library, OSError."""
    with written_whole(to) as place:
        if kind == Kind.HTML:
            from tools.charts.page import page

            place.write_text(page(pictures, facts), encoding="utf-8")
        else:
            from tools.charts.png import image

            image(pictures[0], facts, place)
