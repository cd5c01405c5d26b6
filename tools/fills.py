"""`lockstep fills`: every match, as the normalised form of order flow tells it."""

from collections.abc import Iterator
from typing import Any

from core.kinds import REMOVED, EventKind
from journal.directory import JournalDirectory
from replicas.replay import Applied
from tools.event_rows import command_rows, event_rows
from tools.importing.orders import source_id
from tools.options import Journal, Json, JsonLines, refuse_both
from tools.output import print_all
from tools.reading import applied, begin, opened


def fills(journal: Journal, as_json: Json = False, jsonl: JsonLines = False) -> None:
    """Print each match: the command that caused it, the resting order, price and quantity.

    Example: lockstep fills venue --jsonl
    """
    refuse_both("--json", "--jsonl", both=as_json and jsonl)
    with opened(journal) as source:
        found = all_fills(source)
        if as_json or jsonl:
            print_all(found, lines=jsonl)
            return
        for fill in found:
            print(
                f"row {fill['sequence']}: session {fill['session']} command {fill['n']} took {fill['q']} at {fill['p']}"
                f" from {fill['m']}, instrument {fill['instrument']}, match {fill['match']}"
            )


def all_fills(journal: JournalDirectory) -> Iterator[dict[str, Any]]:
    """Every match of the journal in order; `n` is the inbound number of the command less one."""
    machine = begin(journal, journal.head().sequence, from_zero=True).machine
    for batch in applied(journal, machine, journal.head().sequence):
        yield from fills_of(batch)


def fills_of(batch: Applied) -> Iterator[dict[str, Any]]:
    """The matches of one batch."""
    commands = {row.sequence: row for row in command_rows(batch.value, batch.begin, batch.end)}
    for event in event_rows(batch.events):
        if event.kind == EventKind.EXECUTED and not event.flags & REMOVED:
            command = commands[event.sequence]
            yield {
                "n": command.inbound - 1,
                "m": source_id(event.client_order_id),
                "p": event.price,
                "q": event.quantity,
                "session": command.session,
                "sequence": event.sequence,
                "instrument": event.instrument,
                "match": event.detail,
            }
