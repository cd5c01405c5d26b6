"""Where in a journal something began that the venue numbered: the row that made an order or a match.

Order and match numbers are dense, and every state holds how many there were: the search walks back over the states that
the journal keeps (snapshots, segments), and replays from the newest one that does not know the number yet.
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

from core.engine import Engine
from core.kinds import ROW_SIZE, EventKind
from core.machine import Machine
from journal.batch import HEADER_SIZE
from journal.check import check
from journal.directory import JournalDirectory
from replicas.replay import Applied
from tools.event_rows import CommandRow, EventRow, command_rows, event_rows
from tools.failures import Failure, Misuse
from tools.reading import applied, begin
from tools.watching import progress

_LONG: Final = 50_000
"""Rows from which on a replay shows how far it has come."""


class Numbered(NamedTuple):
    """What the venue numbers: its name, the state's counter, the kind of event that bears it, and the event's column."""

    name: str
    counter: str
    kind: int
    column: str

    def count(self, engine: Engine) -> int:
        """How many there were so far."""
        return int(getattr(engine, self.counter))

    def made_by(self, events: list[EventRow], number: int) -> bool:
        """Whether one of the events is the first that tells of the number."""
        return self.first(events, number) is not None

    def first(self, events: list[EventRow], number: int) -> EventRow | None:
        """The first event that tells of the number, if one does."""
        told = (event for event in events if event.kind == self.kind and getattr(event, self.column) == number)
        return next(told, None)


class Made(NamedTuple):
    """The command that made what was looked for, and all events that it caused."""

    command: CommandRow
    events: list[EventRow]


ORDERS: Final = Numbered("order", "order_numbers", EventKind.ACCEPTED, "order_number")
MATCHES: Final = Numbered("match", "match_numbers", EventKind.EXECUTED, "detail")


def made(journal: JournalDirectory, kind: Numbered, number: int, upto: int) -> Made:
    """The command that made an order or a match, not after row `upto`.

    Misuse for a number that was not given by then, Failure for one given before the journal at hand begins; JournalError.
    """
    machine = _before(journal, kind, number, upto)
    for batch in watched(journal, machine, upto):
        if kind.count(machine.engine) >= number:
            return next(one for one in map(Made._make, by_command(batch)) if kind.made_by(one.events, number))
    count = kind.count(machine.engine)
    known = f"numbers so far: 1 to {count}" if count else f"no {kind.name} was made so far"
    raise Misuse(f"no {kind.name} {number} at row {upto}; {known}")


def _before(journal: JournalDirectory, kind: Numbered, number: int, upto: int) -> Machine:
    """The newest state at hand that does not know the number yet."""
    machine = begin(journal, upto).machine
    while kind.count(machine.engine) >= number:
        earlier = machine.engine.sequence - 1
        if earlier < journal.segments()[0] - 1:
            first = machine.engine.sequence + 1
            raise Failure(f"{kind.name} {number} was made before row {first}, where the journal at hand begins")
        machine = begin(journal, earlier).machine
    return machine


def watched(journal: JournalDirectory, machine: Machine, to: int) -> Iterator[Applied]:
    """Apply the rows up to `to` as `tools.reading.applied` does; on a terminal, a bar shows how far a long replay is."""
    first = int(machine.engine.sequence)
    if to - first < _LONG:
        yield from applied(journal, machine, to)
        return
    with progress("replaying", to - first) as watch:
        for batch in applied(journal, machine, to):
            watch(int(machine.engine.sequence) - first)
            yield batch


def row_bytes(journal: JournalDirectory, sequence: int) -> bytes:
    """The bytes of a command's row as they stand in the journal, which holds it. CorruptBatch."""
    value = next(journal.batches(sequence))
    # A damaged header would lead to another row.
    at = HEADER_SIZE + (sequence - check(value).first) * ROW_SIZE
    return value[at : at + ROW_SIZE]


def by_command(batch: Applied) -> Iterator[tuple[CommandRow, list[EventRow]]]:
    """Each command of a batch with the events that it caused."""
    events = event_rows(batch.events)
    event = next(events, None)
    for command in command_rows(batch.value, batch.begin, batch.end):
        told = []
        while event is not None and event.sequence == command.sequence:
            told.append(event)
            event = next(events, None)
        yield command, told
