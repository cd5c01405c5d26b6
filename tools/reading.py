"""Opening a journal to read it, and the venue as it stood at a row. Nothing here writes."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from core.machine import Machine
from core.state import SEMANTICS
from journal import snapshots
from journal.batch import COUNTERFACTUAL
from journal.directory import JournalDirectory, segment_firsts
from journal.errors import JournalError, NotAJournal, WrongSemantics
from replicas.replay import Applied, replay
from tools.failures import Failure


class Begin(NamedTuple):
    """Where a replay begins, and what it was read from."""

    machine: Machine
    source: str


@contextmanager
def opened(path: Path) -> Iterator[JournalDirectory]:
    """The journal in a directory, for reading beside whoever writes it. JournalError, Failure for a lost segment."""
    try:
        journal = JournalDirectory(path)
        try:
            tell_counterfactual(journal)
            yield journal
        finally:
            journal.close()
    except NotAJournal as error:
        # What is raised while it is open may be about another journal.
        if not segment_firsts(path) or not str(error).startswith((f"{path}:", f"{path}/")):
            raise
        raise Failure(_lost(path, error)) from None


def tell_counterfactual(journal: JournalDirectory) -> None:
    """Whatever is asked of a journal that tells what did not happen, one line says so."""
    if journal.flags & COUNTERFACTUAL:
        print(f"{journal.path}: counterfactual: this did not happen", file=sys.stderr)


def _lost(path: Path, error: NotAJournal) -> str:
    """What is said of a segment that has its directory and no sound file in it."""
    where, _, reason = str(error).replace(f"{path}/", "").partition(": ")
    reason = reason.removeprefix(f"{where}: ")
    return f"{path}: damaged: {where}: {reason}; `lockstep verify` says what else is"


def begin(journal: JournalDirectory, upto: int, *, from_zero: bool = False) -> Begin:
    """The newest state not after row `upto`: a sound snapshot, or a segment's own state.

    With `from_zero`, the first segment from which on this release can replay. Failure, JournalError.
    """
    firsts = [first for first in journal.segments() if first <= upto + 1]
    semantics = journal.segment(firsts[-1]).semantics
    if semantics != SEMANTICS:
        raise WrongSemantics(f"segment {firsts[-1]}", f"semantics {semantics}; this release applies {SEMANTICS}")
    if from_zero:
        return _segment(journal, _oldest(journal, firsts))
    found = snapshots.newest(journal.snapshots, upto, journal)
    if found is not None and found.semantics == SEMANTICS and found.sequence >= firsts[-1] - 1:
        return Begin(_restored(found.rows, f"snapshot {found.sequence}"), f"snapshot {found.sequence}")
    return _segment(journal, firsts[-1])


def _oldest(journal: JournalDirectory, firsts: list[int]) -> int:
    oldest = firsts[-1]
    for first in reversed(firsts):
        if journal.segment(first).semantics != SEMANTICS:
            break
        oldest = first
    return oldest


def _segment(journal: JournalDirectory, first: int) -> Begin:
    name = f"segment {first}"
    return Begin(_restored(journal.segment(first).state(), name), name)


def _restored(rows: bytes, name: str) -> Machine:
    try:
        return Machine.restore(rows)
    except ValueError as error:
        raise Failure(f"{name}: {error}") from None


def machine_at(journal: JournalDirectory, sequence: int) -> Machine:
    """The venue after this row, from the nearest state before it. Failure, JournalError."""
    machine = begin(journal, sequence).machine
    for _ in applied(journal, machine, sequence):
        pass
    return machine


def applied(journal: JournalDirectory, machine: Machine, to: int) -> Iterator[Applied]:
    """Apply the rows that follow, up to row `to`.

    JournalError, also if the journal does not lead there; Failure for a row that makes the engine raise.
    """
    yield from _guarded(replay(journal, machine, to=to), machine)
    reached = machine.engine.sequence
    if reached < to:
        raise JournalError(f"{journal.path}: ends at row {reached}, before row {to}")


def _guarded(batches: Iterator[Applied], machine: Machine) -> Iterator[Applied]:
    """Failure for what a row makes the engine raise: its quarantine is not in the journal, or not yet."""
    try:
        yield from batches
    except (JournalError, OSError, MemoryError, RecursionError):
        raise
    except Exception as error:
        told = f"row {machine.engine.sequence} makes the engine raise {error!r}, and no quarantine of it has come"
        raise Failure(told) from error
