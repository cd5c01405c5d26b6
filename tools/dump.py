"""`lockstep dump`: the rows of a journal, named column by column."""

import struct
from collections.abc import Iterator
from typing import Annotated, Any, NamedTuple

import msgspec
import typer

from core.kinds import ROW_SIZE, CommandKind
from core.messages import Command, Event, Row, SetCredential
from core.rows import RowError, from_row, rows
from journal.batch import HEADER_SIZE, BatchKind
from journal.chain import Chain
from journal.directory import JournalDirectory
from tools.failures import Misuse
from tools.options import Journal, Json, JsonLines, refuse_both
from tools.output import print_all
from tools.reading import applied, machine_at, opened

_SECRET = ("hash_0", "hash_1", "hash_2", "hash_3", "salt_0", "salt_1")
_SECRET_FROM = 9
_CREDENTIAL = int(CommandKind.SET_CREDENTIAL)
_COLUMNS = struct.Struct("<16q")


class Malformed(NamedTuple):
    """A command that no Struct fits: its columns as they stand, without the secret ones."""

    sequence: int
    time: int
    columns: tuple[int, ...]
    why: str


Shown = Row | Malformed


def dump(
    journal: Journal,
    first: Annotated[
        int | None, typer.Option("--from", metavar="SEQ", help="The first row; that of the journal if absent.")
    ] = None,
    last: Annotated[
        int | None, typer.Option("--to", metavar="SEQ", help="The last row; that of the journal if absent.")
    ] = None,
    events: Annotated[bool, typer.Option("--events", help="Below each command the events it caused.")] = False,
    as_json: Json = False,
    jsonl: JsonLines = False,
) -> None:
    """Print commands, and with --events what they caused. Columns that are zero are left out of the plain form.

    Example: lockstep dump venue --from 10 --to 20 --events
    """
    refuse_both("--json", "--jsonl", both=as_json and jsonl)
    with opened(journal) as source:
        begin, end = _range(source, first, last)
        found = _with_events(source, begin, end) if events else _commands(source, begin, end)
        if as_json or jsonl:
            print_all((row_json(row) for row in found), lines=jsonl)
            return
        for row in found:
            print(row_text(row))


def _range(journal: JournalDirectory, first: int | None, last: int | None) -> tuple[int, int]:
    low, high = journal.segments()[0], journal.head().sequence
    begin, end = low if first is None else first, high if last is None else last
    if (first is not None and not low <= begin <= high) or not low - 1 <= end <= high:
        raise Misuse(f"--from and --to: this journal holds the rows {low} to {high}")
    if first is not None and begin > end:
        raise Misuse(f"--from {begin} is behind --to {end}")
    return begin, end


def _commands(journal: JournalDirectory, begin: int, end: int) -> Iterator[Shown]:
    chain = Chain()
    for value in journal.batches(begin):
        header = chain.feed(value)
        if header.kind != BatchKind.COMMANDS:
            continue
        if header.first > end:
            return
        skipped = max(0, begin - header.first)
        count = min(header.rows, end - header.first + 1)
        yield from readable(value, HEADER_SIZE + skipped * ROW_SIZE, HEADER_SIZE + count * ROW_SIZE)


def _with_events(journal: JournalDirectory, begin: int, end: int) -> Iterator[Shown]:
    machine = machine_at(journal, begin - 1)
    for batch in applied(journal, machine, end):
        told = rows(batch.events)
        event = next(told, None)
        for command in readable(batch.value, batch.begin, batch.end):
            yield command
            while event is not None and _sequence(event) == _sequence(command):
                yield event
                event = next(told, None)


def readable(value: bytes, begin: int, end: int) -> Iterator[Shown]:
    """The command rows between two offsets; those that no Struct fits stand in the journal as well, and were refused."""
    for at in range(begin, end, ROW_SIZE):
        try:
            yield from_row(value, at)
        except RowError as error:
            columns = _COLUMNS.unpack_from(value, at)
            yield Malformed(
                columns[1], columns[2], columns[:_SECRET_FROM] if columns[0] == _CREDENTIAL else columns, str(error)
            )


def _sequence(row: Shown) -> int:
    assert isinstance(row, Command | Event | Malformed)
    return row.sequence


def row_json(row: Shown) -> dict[str, Any]:
    """All columns of a row by name, with the name of its kind first; hash and salt of a credential are hidden."""
    if isinstance(row, Malformed):
        return {"kind": "Malformed", **row._asdict()}
    return {"kind": type(row).__name__, **_columns(row)}


def _columns(row: Row) -> dict[str, Any]:
    columns: dict[str, Any] = msgspec.to_builtins(row)
    if isinstance(row, SetCredential):
        # Whoever reads a dump could try passwords against them.
        for name in _SECRET:
            del columns[name]
        columns["hash"] = "hidden"
    return columns


def row_text(row: Shown) -> str:
    """A row on one line: events are indented below their command."""
    if isinstance(row, Malformed):
        return f"{row.sequence} Malformed columns={' '.join(map(str, row.columns))} ({row.why})"
    columns = _columns(row)
    sequence = columns.pop("sequence")
    if isinstance(row, Event):
        # The line of the command says it.
        del columns["time"]
    named = " ".join(f"{name}={value}" for name, value in columns.items() if value not in {0, ""})
    indent = "    " if isinstance(row, Event) else f"{sequence} "
    return f"{indent}{type(row).__name__} {named}".rstrip()
