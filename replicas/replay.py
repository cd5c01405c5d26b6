"""Rebuilding a venue from its journal: verified batch by batch, and one batch read ahead for quarantines."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from core.kinds import C8, KIND, ROW_SIZE, CommandKind
from core.limits import SUM_MAX
from core.machine import Machine
from core.state import SEMANTICS
from journal import snapshots
from journal.batch import HEADER_SIZE, BatchKind, Header, name_of, read_header
from journal.chain import Chain
from journal.directory import JournalDirectory
from journal.errors import Gap, WrongSemantics
from journal.journal import Journal
from replicas.errors import EventsDiffer

_NAMED = C8


class Applied(NamedTuple):
    """A batch as it was applied: the rows between two offsets of the sealed value, and the events they caused."""

    header: Header
    value: bytes
    begin: int
    end: int
    events: bytes


Watch = Callable[[int, int], None]
"""Told how far a recovery has come: the row it is at, and the row that it goes up to."""


def recover(
    journal: Journal, folder: Path | None = None, *, upto: int = SUM_MAX, watch: Watch | None = None
) -> Machine:
    """The venue after row `upto`, or after the last row: from the newest sound snapshot, or the segment's own state."""
    machine = start(journal, folder, upto=upto)
    for applied in replay(journal, machine, to=upto):
        if watch is not None:
            watch(applied.header.last, min(upto, journal.head().sequence))
    return machine


def start(journal: Journal, folder: Path | None = None, *, upto: int = SUM_MAX) -> Machine:
    """The venue as the newest sound snapshot not after row `upto` holds it, or as its segment begins.

    Gap for a row before the first segment that is at hand.
    """
    found = snapshots.newest(folder, upto, journal) if folder is not None else None
    if found is not None and found.semantics == SEMANTICS:
        return Machine.restore(found.rows)
    return Machine.restore(_state_before(journal, upto))


def _state_before(journal: Journal, upto: int) -> bytes:
    """The state that the segment which holds the row after `upto`, or the last one, begins with."""
    if upto >= journal.first - 1:
        return journal.state()
    if not isinstance(journal, JournalDirectory):
        raise Gap(f"row {upto}", f"the segment begins at row {journal.first}")
    firsts = [first for first in journal.segments() if first - 1 <= upto]
    if not firsts:
        raise Gap(f"row {upto}", f"the journal begins at row {journal.segments()[0]}")
    return journal.segment(firsts[-1]).state()


def replay(journal: Journal, machine: Machine, *, to: int = SUM_MAX, until: int = SUM_MAX) -> Iterator[Applied]:
    """Apply what follows the machine's last row, up to row `to` and to rows stamped at most `until` (ns since 1970).

    Every batch is verified against the chain and the running event digest that later batches carry. Damaged (and
    below), WrongSemantics, EventsDiffer.
    """
    chain = Chain()
    known = {machine.engine.sequence: machine.digest.value()}
    for value, following in ahead(journal.batches(machine.engine.sequence + 1)):
        header = chain.feed(value)
        if header.semantics != SEMANTICS:
            raise WrongSemantics(name_of(header), f"semantics {header.semantics}; this release applies {SEMANTICS}")
        _compare(header, known)
        if header.kind != BatchKind.COMMANDS:
            continue
        begin = HEADER_SIZE + (machine.engine.sequence + 1 - header.first) * ROW_SIZE
        end = _end(value, header, to, until)
        if end > begin:
            yield Applied(header, value, begin, end, apply(machine, value, begin, end, quarantines(following)))
            known = {header.applied: header.digest, machine.engine.sequence: machine.digest.value()}
        if end < len(value):
            return


def apply(machine: Machine, value: bytes, begin: int, end: int, named: dict[int, bytes]) -> bytes:
    """Apply rows of a sealed batch, with the quarantines (by the number they name) in force; returns the events."""
    events = []
    for sequence in sorted(named):
        at = begin + (sequence - machine.engine.sequence - 1) * ROW_SIZE
        if begin <= at < end:
            events.append(machine.apply(value, begin, at))
            events.append(machine.apply_quarantined(value, at, named[sequence], 0))
            begin = at + ROW_SIZE
    events.append(machine.apply(value, begin, end))
    return b"".join(events)


def quarantines(values: Iterable[bytes]) -> dict[int, bytes]:
    """The Quarantine rows that these batches begin with, by the number that each names."""
    found = {}
    for value in values:
        row = value[HEADER_SIZE : HEADER_SIZE + ROW_SIZE]
        found[int.from_bytes(row[_NAMED : _NAMED + 8], "little", signed=True)] = row
    return found


def is_quarantine(value: bytes) -> bool:
    """Whether a sealed batch begins with a Quarantine row."""
    kind = value[HEADER_SIZE + KIND : HEADER_SIZE + KIND + 8]
    return read_header(value).kind == BatchKind.COMMANDS and int.from_bytes(kind, "little") == CommandKind.QUARANTINE


def ahead(values: Iterator[bytes]) -> Iterator[tuple[bytes, list[bytes]]]:
    """Each batch with those after it that begin with a Quarantine row, up to the first that does not."""
    queue: list[bytes] = []
    for value in values:
        if queue and not is_quarantine(value):
            yield from ((queue[i], queue[i + 1 :]) for i in range(len(queue)))
            queue = []
        queue.append(value)
    yield from ((queue[i], queue[i + 1 :]) for i in range(len(queue)))


def _compare(header: Header, known: dict[int, bytes]) -> None:
    ours = known.get(header.applied)
    if ours is not None and ours != header.digest:
        raise EventsDiffer(header.applied, name_of(header))


def _end(value: bytes, header: Header, to: int, until: int) -> int:
    """Where the rows end that are to be applied."""
    end = HEADER_SIZE + max(0, min(header.rows, to - header.first + 1)) * ROW_SIZE
    while end > HEADER_SIZE and int.from_bytes(value[end - ROW_SIZE + 16 : end - ROW_SIZE + 24], "little") > until:
        end -= ROW_SIZE
    return end if end < HEADER_SIZE + header.body else len(value)
