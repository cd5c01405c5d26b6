"""A change file applied to a journal: both worlds compared, and the second one left as a journal."""

from pathlib import Path
from typing import Final

from core.kinds import ROW_SIZE, CommandKind
from core.machine import Machine
from core.messages import DefineInstrument
from core.rows import RowError, from_row
from journal.batch import HEADER_SIZE
from journal.chain import Chain
from journal.check import columns
from journal.directory import JournalDirectory
from tools.books import instruments
from tools.failures import Misuse
from tools.watching import progress
from tools.worlds.altering import Altering
from tools.worlds.change_file import ChangeFile
from tools.worlds.comparison import LISTED, Comparison
from tools.worlds.intended import Intended
from tools.worlds.rewriting import SecondWorld
from tools.worlds.whatif_run import Counts, Run

WORLDS: Final = ("as it was", "what if")


def numbers_of(journal: JournalDirectory, machine: Machine, last: int) -> dict[str, list[int]]:
    """The instruments that the venue knows or will be told of up to row `last`, by symbol; nothing is applied.

    A symbol may have several numbers, for the engine may have refused a definition.
    """
    found = {symbol: [state.instrument] for symbol, state in instruments(machine.rows()).items()}
    chain = Chain()
    for value in journal.batches(int(machine.engine.sequence) + 1):
        last_here = chain.feed(value).last
        kinds = columns(value, HEADER_SIZE)[:: ROW_SIZE // 8]
        for number, kind in enumerate(kinds):
            if kind == CommandKind.DEFINE_INSTRUMENT:
                _note_symbol(found, value, HEADER_SIZE + number * ROW_SIZE)
        if last_here >= last:
            break
    return found


def _note_symbol(found: dict[str, list[int]], value: bytes, at: int) -> None:
    try:
        row = from_row(value, at)
    except RowError:
        return
    assert isinstance(row, DefineInstrument)
    numbers = found.setdefault(row.symbol, [])
    if row.instrument not in numbers:
        numbers.append(row.instrument)


def compare_change(
    journal: JournalDirectory,
    machine: Machine,
    file: ChangeFile,
    to: Path,
    *,
    last: int,
    intended: Intended | None = None,
    listed: int = LISTED,
) -> tuple[Comparison, Counts, Altering]:
    """Make the second world up to row `last`, as a journal at `to`, from the state that the machine is in.

    Misuse where the change file does not fit the journal; JournalError; Failure. Whoever calls removes what an error left.
    """
    state, first = machine.rows(), int(machine.engine.sequence)
    _refuse_rows(file, first, last)
    numbers = numbers_of(journal, machine, last)
    _refuse_doubtful(file, numbers)
    symbols = {symbol: found[0] for symbol, found in numbers.items()}
    altering = Altering(file, symbols, file.check(symbols))
    comparison = Comparison(WORLDS, state, intended, listed=listed, shifted=True)
    comparison.rows = last - first
    world = SecondWorld(to, state)
    try:
        with progress("replaying", last - first) as advance:
            counts = Run(journal, machine, world, altering, comparison).run(last, advance)
        world.close()
    finally:
        world.abandon()
    return comparison, counts, altering


def _refuse_doubtful(file: ChangeFile, numbers: dict[str, list[int]]) -> None:
    for name, symbol in file.symbols():
        found = numbers.get(symbol, [])
        if len(found) > 1:
            named = ", ".join(map(str, sorted(found)))
            raise Misuse(f"{file.path}: {name}: {symbol} names the instruments {named}: give the number")


def _refuse_rows(file: ChangeFile, first: int, last: int) -> None:
    for name, row, end in file.rows():
        if not first < row <= last + end:
            raise Misuse(f"{file.path}: {name}: the rows to be replayed are {first + 1} to {last}")
