"""`lockstep export`: commands, events, executions, orders or books of a journal as a table in a file."""

from collections.abc import Callable, Iterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final, NamedTuple

import typer

from tools.exports.books import DEPTH, DEPTH_MAX, Every, Market, books, every
from tools.exports.books import fields as book_fields
from tools.exports.executions import FIELDS as EXECUTION_FIELDS
from tools.exports.executions import executions
from tools.exports.file import Block, Field, Format, Sink, blocks, format_of, refuse_target, written_whole
from tools.exports.names import Names
from tools.exports.orders import FIELDS as ORDER_FIELDS
from tools.exports.orders import Orders
from tools.exports.range import Asked, First, Last, Since, Source, Until
from tools.exports.rows import Commands, Events
from tools.failures import Misuse
from tools.options import Journal, Json
from tools.output import print_json
from tools.reading import opened


class What(StrEnum):
    """The tables."""

    COMMANDS = "commands"
    EVENTS = "events"
    EXECUTIONS = "executions"
    ORDERS = "orders"
    BOOKS = "books"


EVERY: Final = "1s"


class Options(NamedTuple):
    """What narrows or shapes a table."""

    kinds: tuple[str, ...] = ()
    symbol: str | None = None
    apart: Every = every(EVERY)
    depth: int = DEPTH


class Table(NamedTuple):
    """The columns of a table, and its rows."""

    fields: tuple[Field, ...]
    blocks: Iterator[Block]


def export(
    journal: Journal,
    what: Annotated[What, typer.Argument(help="The table.", show_default=False)],
    to: Annotated[Path, typer.Option("--to", metavar="FILE", help="The file; an older one is replaced.")],
    form: Annotated[
        Format | None, typer.Option("--format", help="Its format; that of the file's suffix if absent.")
    ] = None,
    first: First = None,
    since: Since = None,
    last: Last = None,
    until: Until = None,
    kind: Annotated[
        list[str] | None, typer.Option("--kind", help="Commands or events of this kind alone; may be repeated.")
    ] = None,
    symbol: Annotated[str | None, typer.Option("--symbol", help="Of this instrument alone.")] = None,
    apart: Annotated[
        str | None, typer.Option("--every", metavar="STEP", help="Books: such as 1000rows, 250ms or 1s, the default.")
    ] = None,
    depth: Annotated[
        int | None, typer.Option("--depth", min=1, max=DEPTH_MAX, help=f"Books: levels of each side ({DEPTH}).")
    ] = None,
    as_json: Json = False,
) -> None:
    """Write a table for analysis: commands, events, executions, orders or books, as Parquet or CSV.

    Example: lockstep export venue executions --to executions.parquet
    """
    _refuse_strangers(what, {"--kind": kind, "--symbol": symbol, "--every": apart, "--depth": depth})
    options = Options(tuple(kind or ()), symbol, every(apart or EVERY), depth or DEPTH)
    asked = Asked(first, since, last, until)
    with opened(journal) as opened_journal:
        refuse_target(to, journal)
        source = Source(opened_journal, asked)
        facts = write(source, what, to, format_of(to, form), options)
    if as_json:
        print_json(facts)
        return
    print(f"{to}: {facts['rows']} {what}, rows {facts['first']} to {facts['last']} of {journal}")


_TAKES: Final = {
    "--kind": {What.COMMANDS, What.EVENTS},
    "--symbol": {What.EXECUTIONS, What.ORDERS, What.BOOKS},
    "--every": {What.BOOKS},
    "--depth": {What.BOOKS},
}


def _refuse_strangers(what: What, given: dict[str, object]) -> None:
    """Misuse for an option that another table takes."""
    for name, value in given.items():
        if value and what not in _TAKES[name]:
            takers = " and ".join(table for table in What if table in _TAKES[name])
            raise Misuse(f"{name} goes with {takers}, not with {what}")


def write(source: Source, what: What, to: Path, form: Format, options: Options) -> dict[str, str | int]:
    """Write a table; returns its metadata with the number of its rows.

    Failure, JournalError, OSError: then the file is as it was before.
    """
    table = _TABLES[what](source, options)
    with written_whole(to) as place, Sink(place, table.fields, form) as sink:
        for block in table.blocks:
            sink.write(block)
        facts = {"table": str(what), **source.facts(), **_shape(what, options)}
        sink.describe(facts)
    return {**facts, "file": str(to), "format": str(form), "rows": sink.rows}


def _shape(what: What, options: Options) -> dict[str, str]:
    """What the options say of the table, for its metadata."""
    shape = {"kinds": ",".join(options.kinds), "symbol": options.symbol or ""}
    if what == What.BOOKS:
        shape["every"] = f"{options.apart.step}{'rows' if options.apart.in_rows else 'ns'}"
        shape["depth"] = str(options.depth)
    return {name: text for name, text in shape.items() if text}


def _commands(source: Source, options: Options) -> Table:
    table = Commands(options.kinds)
    return Table(table.fields, table.of(source.stored()))


def _events(source: Source, options: Options) -> Table:
    table = Events(options.kinds)
    return Table(table.fields, table.of(source.applied()))


def _executions(source: Source, options: Options) -> Table:
    names = Names(source.state())
    rows = executions(names, source.applied(), options.symbol)
    return Table(EXECUTION_FIELDS, _known(names, blocks(rows, len(EXECUTION_FIELDS)), options.symbol))


def _orders(source: Source, options: Options) -> Table:
    state = source.state()
    names = Names(state)
    rows = Orders(names, state).rows(source.applied(), options.symbol)
    return Table(ORDER_FIELDS, _known(names, blocks(rows, len(ORDER_FIELDS)), options.symbol))


def _books(source: Source, options: Options) -> Table:
    state = source.state()
    names = Names(state)
    columns = book_fields(options.depth)
    rows = books(Market(names, state), source.applied(), options.apart, options.depth, options.symbol)
    return Table(columns, _known(names, blocks(rows, len(columns)), options.symbol))


def _known(names: Names, found: Iterator[Block], symbol: str | None) -> Iterator[Block]:
    """The blocks; Misuse at their end if no row has listed the instrument."""
    yield from found
    if symbol not in {None, *names.symbols()}:
        raise Misuse(f"no instrument {symbol}; known: {', '.join(names.symbols()) or 'none'}")


_TABLES: Final[dict[What, Callable[[Source, Options], Table]]] = {
    What.COMMANDS: _commands,
    What.EVENTS: _events,
    What.EXECUTIONS: _executions,
    What.ORDERS: _orders,
    What.BOOKS: _books,
}
