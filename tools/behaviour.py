"""`lockstep replay --behaviour-diff`: what a past session would have been under another build of the engine."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, NamedTuple

from core.limits import SUM_MAX
from core.machine import Machine
from journal.directory import JournalDirectory
from tools.engines import EngineProcess, EngineRaised, replayed
from tools.failures import FAILED, SOUND, Misuse
from tools.options import refuse_both
from tools.output import print_json
from tools.reading import applied
from tools.watching import progress
from tools.worlds.altering import Altering
from tools.worlds.change_file import ChangeFile, read_change
from tools.worlds.comparison import LISTED, Comparison
from tools.worlds.intended import Intended
from tools.worlds.telling import by_command
from tools.worlds.whatif_compare import compare_change

OURS: Final = "this release"
THEIRS: Final = "the other"


def compare_engine(
    journal: JournalDirectory,
    machine: Machine,
    engine: Path,
    intended: Intended,
    *,
    last: int,
    listed: int = LISTED,
) -> Comparison:
    """Replay up to row `last` under this release and under another build, from the state that the machine is in.

    Misuse for a path that is no build; Failure where it cannot be run; JournalError. A row on which the other build
    raises is a difference, and the last one that is looked for.
    """
    state, first = machine.rows(), int(machine.engine.sequence)
    comparison = Comparison((OURS, THEIRS), state, intended, listed=listed)
    with EngineProcess(engine) as theirs, progress("comparing", last - first) as advance:
        theirs.restore(state)
        ours = applied(journal, machine, last)
        try:
            for other, mine in zip(replayed(journal, theirs, to=last), ours, strict=False):
                comparison.commands(mine.events, other.events)
                advance(int(machine.engine.sequence) - first)
        except EngineRaised as error:
            comparison.rows = error.sequence - first
            theirs.restore(state)
            said = _said_before(journal, theirs, int(machine.engine.sequence), error.sequence)
            told = by_command(next(ours).events)
            comparison.commands(b"".join(rows for row, rows in sorted(told.items()) if row < error.sequence), said)
            comparison.raised(error.sequence, told.get(error.sequence, b""), str(error))
            return comparison
        comparison.rows = last - first
        comparison.end(last, machine.rows(), theirs.state())
    return comparison


def _said_before(journal: JournalDirectory, engine: EngineProcess, compared: int, raised: int) -> bytes:
    """What an engine said of the rows behind those compared, before the row it raised on: lost with it, asked again."""
    for _ in replayed(journal, engine, to=compared):
        pass
    return b"".join(one.events for one in replayed(journal, engine, to=raised - 1))


def report(comparison: Comparison, strict: bool, as_json: bool, altering: Altering | None = None) -> int:
    """Print a comparison; the exit code: 0 if nothing differs that is not meant to, and, with `strict`, all that is meant does.

    `altering`: the changes that made the second world, with what each of them met.
    """
    if as_json:
        print_json(comparison.json() | (altering.json() if altering else {}))
    else:
        for line in (*comparison.lines(), *(altering.lines() if altering else ())):
            print(line)
    missing = strict and comparison.intended.unused()
    return SOUND if comparison.same and not missing else FAILED


class Asked(NamedTuple):
    """What a session is to be compared with: another build, or a change file."""

    engine: Path | None
    change: ChangeFile | None
    intended: Intended
    strict: bool

    @property
    def begins(self) -> int:
        """The first row that may be otherwise because of the change file; beyond every row without one."""
        return self.change.begins() if self.change else SUM_MAX

    def refuse_nothing(self, machine: Machine, last: int) -> None:
        """Misuse if no row is left to be compared: the state to begin with is that after row `last`."""
        if machine.engine.sequence >= last and self.begins > last + 1:
            raise Misuse(
                f"nothing to compare: it begins after row {machine.engine.sequence} and ends there; "
                "leave --from-snapshot out, or go on to a later row"
            )

    def compare(self, journal: JournalDirectory, machine: Machine, *, last: int, listed: int, as_json: bool) -> int:
        """Compare from the state of the machine up to row `last`, print what differs; the exit code."""
        if self.engine is not None:
            bounds = {"last": last, "listed": listed}
            return report(compare_engine(journal, machine, self.engine, self.intended, **bounds), self.strict, as_json)
        assert self.change is not None
        with TemporaryDirectory(prefix="lockstep-whatif-") as folder:
            place = Path(folder) / "venue"
            comparison, _, altering = compare_change(
                journal, machine, self.change, place, last=last, intended=self.intended, listed=listed
            )
        return report(comparison, self.strict, as_json, altering)


def asked(
    behaviour_diff: bool,
    engine: Path | None,
    change: Path | None,
    intended: Path | None,
    *,
    strict: bool,
    checked: bool,
) -> Asked | None:
    """What the options of `lockstep replay` ask for; None for a replay alone. Misuse, also for a file that does not fit."""
    if not behaviour_diff:
        if engine or change or intended or strict:
            raise Misuse("--engine, --change, --intended and --strict go with --behaviour-diff")
        return None
    refuse_both("--behaviour-diff", "--check", both=checked)
    if (engine is None) == (change is None):
        raise Misuse("--behaviour-diff: give either --engine or --change")
    return Asked(engine, read_change(change) if change else None, Intended.read(intended), strict)
