"""`lockstep explain`: why an order, a match, an account or a command came out as it did, from the journal alone."""

from collections.abc import Callable, Iterable
from enum import Enum
from typing import Annotated, Final

import typer

from core.machine import Machine
from core.reasons import RejectReason
from journal.directory import JournalDirectory
from tools.failures import Misuse
from tools.moments import moment
from tools.options import Journal, Json, JsonLines, refuse_both
from tools.output import print_all, print_json
from tools.reading import begin, machine_at, opened


class Subject(Enum):
    """What can be explained."""

    ORDER = "order"
    MATCH = "match"
    ACCOUNT = "account"
    COMMAND = "command"


def explain(
    journal: Journal,
    subject: Annotated[Subject, typer.Argument(help="What is asked about.", show_default=False)],
    number: Annotated[
        int,
        typer.Argument(metavar="NUMBER", min=1, help="An order, match or account number; a command's sequence number."),
    ],
    at: Annotated[
        int | None, typer.Option("--at", metavar="SEQ", help="As known after this row; the last one if absent.")
    ] = None,
    first: Annotated[int | None, typer.Option("--from", metavar="SEQ", help="An account's first row.")] = None,
    last: Annotated[int | None, typer.Option("--to", metavar="SEQ", help="An account's last row.")] = None,
    as_json: Json = False,
    jsonl: JsonLines = False,
) -> None:
    """Tell every cause: of an order's life, of a match, of what an account holds, or of what a command did.

    An order that was refused has no order number: ask for its command.

    Example: lockstep explain venue order 17
    """
    refuse_both("--json", "--jsonl", both=as_json and jsonl)
    refuse_both("--at", "--to", both=at is not None and last is not None)
    if subject is not Subject.ACCOUNT and (first is not None or last is not None or jsonl):
        raise Misuse("--from, --to and --jsonl go with an account")
    with opened(journal) as source:
        upto = moment(source, at if at is not None else last, None, ("--at" if at is not None else "--to", "--time"))
        if subject is Subject.ACCOUNT:
            _account(source, number, first, upto, as_json=as_json, jsonl=jsonl)
        else:
            _SHOW[subject](source, number, upto, as_json)


def _order(journal: JournalDirectory, number: int, upto: int, as_json: bool) -> None:
    from tools.causes.order import explain_order
    from tools.causes.order_text import order_lines

    told, life = explain_order(journal, number, upto, full=as_json)
    if as_json:
        print_json({"order_number": number, "upto": upto, "entry": told.json()} | life.json())
        return
    _print(order_lines(told, life, upto))


def _match(journal: JournalDirectory, number: int, upto: int, as_json: bool) -> None:
    from tools.causes.match import explain_match

    match, lines = explain_match(journal, number, upto)
    if as_json:
        print_json(match.json())
        return
    _print(lines)


def _command(journal: JournalDirectory, number: int, upto: int, as_json: bool) -> None:
    from tools.causes.command import tell
    from tools.causes.find import row_bytes
    from tools.causes.gone import gone

    low = journal.segments()[0]
    if not low <= number <= upto:
        raise Misuse(f"no command {number}: rows {low} to {upto}")
    told, _ = tell(machine_at(journal, number - 1), journal, row_bytes(journal, number))
    if told.refused is not None and told.refused["number"] == RejectReason.UNKNOWN_ORDER:
        facts = told.refused["facts"]
        facts["gone"] = gone(journal, told.command["account"], facts["client_order_id"], number - 1)
    if as_json:
        print_json(told.json())
        return
    _print(told.lines())


_SHOW: Final[dict[Subject, Callable[[JournalDirectory, int, int, bool], None]]] = {
    Subject.ORDER: _order,
    Subject.MATCH: _match,
    Subject.COMMAND: _command,
}


def _account(
    journal: JournalDirectory, number: int, first: int | None, last: int, *, as_json: bool, jsonl: bool
) -> None:
    from tools.causes.account import account_entries, entry_line
    from tools.causes.names import Names

    machine = _machine_before(journal, first, last)
    names = Names(machine.engine)
    entries = account_entries(journal, machine, number, last)
    if as_json or jsonl:
        print_all((entry._asdict() for entry in entries), lines=jsonl)
        return
    _print(entry_line(entry, names) for entry in entries)


def _machine_before(journal: JournalDirectory, first: int | None, last: int) -> Machine:
    """The venue before the first row of a range, or as early as this release can tell. Misuse for a row not in the range."""
    if first is None:
        return begin(journal, last, from_zero=True).machine
    low = journal.segments()[0]
    if not low <= first <= last:
        raise Misuse(f"--from {first}: rows {low} to {last}")
    return machine_at(journal, first - 1)


def _print(lines: Iterable[str]) -> None:
    for line in lines:
        print(line)
