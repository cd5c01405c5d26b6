"""`lockstep at`: any moment of a journal; and `lockstep index`, which brings every moment near."""

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer
from rich.table import Table

from replicas.replay import Watch
from tools.book import View
from tools.failures import Misuse
from tools.history import EVERY, MOMENT_HELP, History, is_number
from tools.moments import clock_text
from tools.options import Journal, Json
from tools.output import print_json, print_table
from tools.past import tables
from tools.past.answers import Fate, plain
from tools.past.moment import Moment
from tools.past.seek import collector_off

_SHOWN = 40


class Subject(Enum):
    """What can be asked of a moment."""

    BOOK = "book"
    ORDER = "order"
    ACCOUNT = "account"
    INSTRUMENT = "instrument"
    SESSION = "session"
    CURRENCIES = "currencies"
    VENUE = "venue"


class Told(NamedTuple):
    """An answer for a machine, and for people."""

    json: dict[str, Any]
    tables: list[Table]


class Shape(NamedTuple):
    """How much of a book is shown."""

    depth: int
    orders: bool


Cache = Annotated[
    Path | None,
    typer.Option("--cache", metavar="CACHE", help="A directory for snapshots, not in the journal; kept for next time."),
]


def at(
    journal: Journal,
    moment: Annotated[str, typer.Argument(metavar="MOMENT", help=MOMENT_HELP, show_default=False)],
    what: Annotated[Subject, typer.Argument(metavar="WHAT", help=" ".join(subject.value for subject in Subject))],
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="A symbol; or the number of an order, account or session.")
    ] = None,
    depth: Annotated[int, typer.Option(min=1, help="Levels of each side of a book.")] = 10,
    orders: Annotated[bool, typer.Option("--orders", help="A book order by order, in queue order.")] = False,
    cache: Cache = None,
    as_json: Json = False,
) -> None:
    """Ask what stood at a moment: a book, an order and its place in the queue, an account, an instrument, a session.

    A plain integer is a sequence number; ns since 1970 are written @NS.

    Example: lockstep at venue 2500 order 17
    """
    _refuse_name(what, name)
    with _ends_quickly(), _progress("applying") as watch, History(journal, cache=cache, watch=watch) as history:
        asked = history.at(moment)
        told = _ASK[what](asked, name or "", Shape(depth, orders))
        if as_json:
            print_json({"sequence": asked.sequence, "time": asked.time} | told.json)
            return
        heading = f"row {asked.sequence}, {clock_text(asked.time)}"
    print(f"{f'{what.value} {name}' if what in _NUMBERED else name or what.value} after {heading}")
    for table in told.tables:
        print_table(table)


def index(
    journal: Journal,
    cache: Annotated[Path, typer.Argument(metavar="CACHE", help="The directory to fill, one for each journal.")],
    every: Annotated[int, typer.Option(min=1, help="Rows between two snapshots.")] = EVERY,
    as_json: Json = False,
) -> None:
    """Fill a cache for `lockstep at --cache`: a snapshot every so many rows, so that any moment is near one.

    What is there is not made again, so that it can be interrupted, and repeated for a journal that has grown.

    Example: lockstep index venue cache
    """
    with _progress("indexing") as watch, History(journal, cache=cache, every=every, watch=watch) as history:
        applied = history.fill()
        last = history.last
    if as_json:
        print_json({"rows": last, "applied": applied})
    else:
        print(f"{cache}: every moment up to row {last} is near a snapshot; {applied} rows were applied")


_SHOWN = 40
_NAMELESS = frozenset({Subject.CURRENCIES, Subject.VENUE})
_NUMBERED = frozenset({Subject.ORDER, Subject.ACCOUNT, Subject.SESSION})


def _refuse_name(what: Subject, name: str | None) -> None:
    if what in _NAMELESS:
        if name is not None:
            raise Misuse(f"{what.value} takes no name")
    elif name is None:
        raise Misuse(f"{what.value}: say which: {'a number' if what in _NUMBERED else 'a symbol'}")
    elif what in _NUMBERED and not is_number(name):
        raise Misuse(f"{what.value} {name[:_SHOWN]}: not a number")


def _book(moment: Moment, symbol: str, shape: Shape) -> Told:
    book = moment.book(symbol)
    view = View(book.instrument, book, shape.depth)
    json = view.json(moment.sequence, moment.time, orders=shape.orders)
    return Told(json, [view.table(orders=shape.orders)])


def _order(moment: Moment, number: str, _shape: Shape) -> Told:
    order = moment.order(int(number))
    if order.fate == Fate.NOT_ACCEPTED:
        last = moment.state.engine.order_numbers
        raise Misuse(f"no order {number} at row {moment.sequence}; the last one accepted by then: {last or 'none'}")
    return Told(plain(order), [tables.order_table(order)])


def _account(moment: Moment, number: str, _shape: Shape) -> Told:
    account = moment.account(int(number))
    return Told(plain(account), tables.account_tables(account))


def _instrument(moment: Moment, symbol: str, _shape: Shape) -> Told:
    instrument = moment.instrument(symbol)
    return Told(plain(instrument), [tables.instrument_table(instrument)])


def _session(moment: Moment, number: str, _shape: Shape) -> Told:
    session = moment.session(int(number))
    return Told(plain(session), tables.session_tables(session))


def _currencies(moment: Moment, _name: str, _shape: Shape) -> Told:
    found = moment.currencies()
    return Told({"currencies": plain(found)}, [tables.currencies_table(found)])


def _venue(moment: Moment, _name: str, _shape: Shape) -> Told:
    venue = moment.venue()
    return Told(plain(venue), [tables.venue_table(venue)])


_ASK: dict[Subject, Callable[[Moment, str, Shape], Told]] = {
    Subject.BOOK: _book,
    Subject.ORDER: _order,
    Subject.ACCOUNT: _account,
    Subject.INSTRUMENT: _instrument,
    Subject.SESSION: _session,
    Subject.CURRENCIES: _currencies,
    Subject.VENUE: _venue,
}


@contextmanager
def _ends_quickly() -> Iterator[None]:
    """No garbage collection up to the end of the process: the last one would look at all that stood in the venue."""
    with collector_off():
        yield
        gc.freeze()


@contextmanager
def _progress(word: str) -> Iterator[Watch]:
    """A bar on stderr, where a terminal is, for work that takes a while."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(word, total=None)
        yield lambda row, upto: progress.update(task, completed=row, total=upto)
