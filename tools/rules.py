"""`lockstep rules`: the rule book of this release."""

from collections.abc import Iterable
from typing import Any

from rich.table import Table

from tools.options import Json
from tools.output import print_json, print_table


def rules(as_json: Json = False) -> None:
    """Print the rule book: commands with their columns, order types, limits with their bounds, and every reason.

    It is what the engine of this release goes by; docs/commands.md says what the columns mean.

    Example: lockstep rules
    """
    from tools.rulebook import rulebook

    book = rulebook()
    if as_json:
        print_json(book)
        return
    print(f"rules of semantics {book['semantics']}")
    for table in (
        _table("commands", _commands(book), ("kind", "command", "what it does", "columns")),
        _table(
            "order types", _types(book), ("type", "name", "price", "time in force", "waits for a price", "may have")
        ),
        _table("limits", _limits(book), ("limit", "name", "value", "second", "instrument", "refuses")),
        _table("reject reasons, in order of precedence", _reasons(book["reject_reasons"]), _REASON),
        _table("cancel reasons", _reasons(book["cancel_reasons"]), _REASON),
    ):
        print_table(table)


_REASON = ("number", "reason", "because")


def _table(title: str, rows: Iterable[tuple[str, ...]], names: tuple[str, ...]) -> Table:
    table = Table(title=title, title_justify="left")
    for name in names:
        table.add_column(name, justify="right" if name == names[0] else "left", overflow="fold")
    for row in rows:
        table.add_row(*row)
    return table


def _commands(book: dict[str, Any]) -> Iterable[tuple[str, ...]]:
    for command in book["commands"]:
        columns = (f"{_places(column)} {column['name']}" for column in command["columns"])
        yield str(command["kind"]), command["name"], command["text"], ", ".join(columns)


def _places(column: dict[str, Any]) -> str:
    first, last = column["column"], column["last"]
    return str(first) if first == last else f"{first}-{last}"


def _types(book: dict[str, Any]) -> Iterable[tuple[str, ...]]:
    for one in book["order_types"]:
        times = ", ".join(one["times_in_force"])
        more = [time for time in one.get("with_market_rests", ()) if time not in one["times_in_force"]]
        times += f"; with MARKET_RESTS also {', '.join(more)}" if more else ""
        waits = "yes" if one["waits_for_a_price"] else "no"
        yield str(one["number"]), one["name"], one["price"], times, waits, ", ".join(one["may_have"])


def _limits(book: dict[str, Any]) -> Iterable[tuple[str, ...]]:
    for one in book["limits"]:
        value, second = (_bounds(*one[name]) for name in ("value", "second"))
        yield str(one["number"]), one["name"], value, second, one["instrument"], one["refuses"]


def _bounds(least: int, most: int) -> str:
    return str(least) if least == most else f"{least} to {most}"


def _reasons(reasons: Iterable[dict[str, Any]]) -> Iterable[tuple[str, ...]]:
    for reason in reasons:
        yield str(reason["number"]), reason["name"], reason["text"]
