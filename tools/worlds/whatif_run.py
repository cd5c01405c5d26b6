"""The second world of `lockstep whatif`: the commands of a journal, changed, through a sequencer and an engine of their own."""

from collections import Counter
from collections.abc import Callable
from itertools import takewhile
from typing import Final, NamedTuple

from core.kinds import FLAGS, INBOUND, ROW_SIZE, CommandKind, EventKind
from core.machine import Machine
from core.messages import AdvanceTime, GrantSession, Quarantine
from core.reasons import RejectReason
from core.rows import from_row, to_row
from core.state import SEMANTICS
from journal.batch import HEADER_SIZE
from journal.directory import JournalDirectory
from replicas.replay import Applied, is_quarantine, quarantines
from tools.books import instruments
from tools.event_rows import event_rows
from tools.parting.columns import rows_of
from tools.reading import applied
from tools.worlds.altering import Added, Altering
from tools.worlds.comparison import Comparison
from tools.worlds.inbounds import Changed, Inbounds
from tools.worlds.rewriting import BATCH_ROWS, SecondWorld, Step
from tools.worlds.telling import by_command
from tools.worlds.whole import ROW, Member, commands

_GRANTEE: Final = 8
"""The column of the session in GrantSession and in SessionGranted."""
_ADVANCE = to_row(AdvanceTime())
_NODE_ROWS = frozenset({CommandKind.QUARANTINE, CommandKind.PROMOTE, CommandKind.UPGRADE})


class Counts(NamedTuple):
    """What became of the commands."""

    rows: int
    """Commands of the first world."""
    removed: int
    added: int
    altered: int
    repeats: int
    """Rows that had the number of a removed command again, which were removed with it: repeats, and what was refused as one."""
    no_such_order: int
    """Commands that name an order which the second world does not have: kept, and refused there."""
    timers: int
    """AdvanceTime rows that the second world needed and the first did not."""
    released: int
    """Quarantines of rows that are not in the second world as they were."""
    last: int
    """Last row of the second world."""


class Run:
    """Drives both worlds; `comparison` is told what each command did in either."""

    def __init__(
        self,
        journal: JournalDirectory,
        machine: Machine,
        world: SecondWorld,
        altering: Altering,
        comparison: Comparison,
    ) -> None:
        self._journal = journal
        self._machine = machine
        self._world = world
        self._altering = altering
        self._comparison = comparison
        self._inbounds = Inbounds(machine.rows())
        self._counts: Counter[str] = Counter()
        start = int(machine.engine.sequence) + 1
        later = [first for first in journal.segments() if first > start]
        self._rolls = {first for first in later if journal.segment(first).semantics == SEMANTICS}
        self._begins = altering.file.begins()
        # Sessions that rows which wait may bring into being.
        self._granting: set[int] = set()

    def run(self, last: int, advance: Callable[[int], None] = lambda _rows: None) -> Counts:
        """Replay up to row `last`. JournalError; Failure."""
        first = int(self._machine.engine.sequence)
        for batch in applied(self._journal, self._machine, last):
            self._batch(batch)
            advance(batch.header.last - first)
        if last + 1 >= self._begins:
            self._add_before(last + 1)
        self._flush()
        self._advance_if_due()
        if last + 1 in self._rolls:
            self._world.roll()
        self._comparison.end(last, self._machine.rows(), self._world.machine.rows())
        names = ("removed", "added", "altered", "repeats", "no_such_order", "timers", "released")
        counted = {name: self._counts[name] for name in names}
        return Counts(rows=last - first, last=int(self._world.machine.engine.sequence), **counted)

    def _batch(self, batch: Applied) -> None:
        header = batch.header
        sequence = header.first + (batch.begin - HEADER_SIZE) // ROW_SIZE
        if sequence in self._rolls:
            self._flush()
            self._world.roll()
        if header.epoch != self._world.writer.epoch:
            self._flush()
            self._world.writer.epoch = header.epoch
        events, named = by_command(batch.events), self._quarantined(batch)
        if named:
            # So that a batch which holds a poisoned row begins where it began.
            self._flush()
        rows = list(rows_of(batch.value[batch.begin : batch.end]))
        for whole in commands(rows, sequence):
            self._begin(whole)
            for member in whole:
                self._row(member, whole, events.get(member.sequence, b""), named.get(member.sequence))
        if self._world.waiting >= BATCH_ROWS:
            self._flush()
            self._advance_if_due()

    def _quarantined(self, batch: Applied) -> dict[int, bytes]:
        """The Quarantine rows that were in force in a batch, by the row that each names."""
        if not any(event.kind == EventKind.QUARANTINED for event in event_rows(batch.events)):
            return {}
        return quarantines(takewhile(is_quarantine, self._journal.batches(batch.header.last + 1)))

    def _begin(self, whole: list[Member]) -> None:
        """What comes before any row of a command comes before all of it: nothing may stand between its parts."""
        if whole[0].columns[0] in _NODE_ROWS:
            self._flush()
        for member in whole:
            if member.sequence >= self._begins:
                self._add_before(member.sequence)

    def _row(self, member: Member, whole: list[Member], events: bytes, quarantine: bytes | None) -> None:
        row, sequence, columns = member
        if columns[0] == CommandKind.QUARANTINE and not events:
            # It was sealed behind the batch that holds the row which it names, as soon as that was.
            return
        made = self._made(member, whole)
        if columns[0] == CommandKind.GRANT_SESSION:
            self._granting.add(columns[_GRANTEE])
            self._note_grants(events)
        if quarantine is not None:
            self._keep_quarantine(_same(made, row), quarantine, Step(sequence, sequence, events, made, alone=not made))
        else:
            self._world.add(Step(sequence, sequence, events, made, alone=not made))
        if columns[0] in _NODE_ROWS:
            self._flush()

    def _note_grants(self, events: bytes) -> None:
        for event in event_rows(events):
            if event.kind == EventKind.SESSION_GRANTED:
                self._inbounds.granted(event[_GRANTEE])

    def _made(self, member: Member, whole: list[Member]) -> bytes:
        """The row in the second world; empty if it is not there."""
        session, inbound = member.columns[3], member.columns[4]
        consumed = bool(session) and self._inbounds.consumes(session, inbound)
        before = whole[-1].sequence < self._begins
        made = member.row if before else self._changed(member, whole, consumed=consumed)
        if not made or not session:
            return made
        # Before the first change both worlds are one.
        exists = consumed if before else self._exists(session, likely=consumed)
        number = self._inbounds.number(session, inbound, consumed=consumed, exists=exists)
        changed = ROW.unpack(made)
        return made if number == inbound else ROW.pack(*changed[:4], number, *changed[5:])

    def _changed(self, member: Member, whole: list[Member], *, consumed: bool) -> bytes:
        row, sequence, columns = member
        session, inbound = columns[3], columns[4]
        first = None if consumed or not session else self._inbounds.changed(session, inbound)
        if first is not None and first.removed:
            self._counts["repeats"] += 1
            return b""
        if self._altering.removes(whole):
            self._counts["removed"] += 1
            made = b""
        elif first is not None:
            return self._altering.altered(row, columns, first.sequence)
        elif consumed or not session:
            made = self._altering.altered(row, columns, sequence)
            self._counts["altered"] += made != row
        else:
            # What repeats a command that was not changed is not changed either.
            return row
        if consumed and made != row:
            self._inbounds.change(session, inbound, Changed(sequence, removed=not made))
        return made

    def _exists(self, session: int, *, likely: bool = False) -> bool:
        """Whether the second world knows a session when it comes to the next row; `likely`: the first one does."""
        if self._world.machine.engine.session(session) is not None:
            return True
        if session in self._granting and self._world.poisoned:
            return likely
        if session in self._granting:
            self._flush()
        return self._world.machine.engine.session(session) is not None

    def _keep_quarantine(self, kept: bool, quarantine: bytes, step: Step) -> None:
        """A row that was poison is poison still where it is the same; its timer's order may have another number."""
        named = from_row(quarantine)
        assert isinstance(named, Quarantine)
        order = self._timer(named) if step.sequence >= self._begins else named.timer_order
        self._world.add(step)
        if kept and (order or not named.timer_order):
            self._world.quarantine(named.time, named.timer_time, order)
        else:
            self._counts["released"] += 1

    def _timer(self, named: Quarantine) -> int:
        """The number in the second world of the order whose timer raised, or which was triggered; 0 if it is not there."""
        if not named.timer_order:
            return 0
        # What waits may enter the order, or end it.
        self._flush()
        order = self._comparison.order_there(named.timer_order)
        # A time below 0 names the instrument whose orders were triggered.
        return order if named.timer_time < 0 or (named.timer_time, order) in self._world.machine.engine.timers else 0

    def _add_before(self, sequence: int) -> None:
        """Say what the second world alone is told before a row."""
        rules = self._altering.rules_before(sequence)
        if not rules and not self._altering.inserts_before(sequence):
            return
        self._flush()
        known = instruments(self._world.machine.rows()) if rules else {}
        by_number = {state.instrument: state for state in known.values()}
        for added in self._altering.commands_before(sequence, by_number):
            self._add(added, sequence)

    def _add(self, added: Added, sequence: int) -> None:
        command = added.command
        if command.session and self._exists(command.session):
            columns = {name: getattr(command, name) for name in command.__struct_fields__}
            command = type(command)(**columns | {"inbound": self._inbounds.next(command.session)})
        if isinstance(command, GrantSession):
            self._granting.add(command.grantee)
        self._counts["added"] += 1
        self._world.add(Step(added.name, sequence, b"", to_row(command), alone=True))

    def _advance_if_due(self) -> None:
        """Tell what is due in the second world and was not in the first, as a node does."""
        ours = self._machine.engine
        while ours.due() > ours.now and self._world.machine.engine.due() <= self._world.machine.engine.now:
            self._counts["timers"] += 1
            self._world.add(Step("AdvanceTime", int(ours.sequence), b"", _ADVANCE, alone=True))
            self._flush()

    def _flush(self) -> None:
        for step, events in self._world.flush():
            self._comparison.command(step.key, step.sequence, step.events, events, alone=step.alone)
            if step.alone and isinstance(step.key, str):
                self._note_refusal(step.key, events)
            if events != step.events and not step.alone:
                self._counts["no_such_order"] += _unknown(events) and not _unknown(step.events)
        self._granting.clear()

    def _note_refusal(self, name: str, events: bytes) -> None:
        for event in event_rows(events):
            if event.kind == EventKind.REJECTED:
                self._altering.refuse(name, RejectReason(event.detail).name)


def _same(made: bytes, row: bytes) -> bool:
    """Whether a command says what it said, under whatever inbound number."""
    return bool(made) and made[:INBOUND] + made[FLAGS:] == row[:INBOUND] + row[FLAGS:]


def _unknown(events: bytes) -> bool:
    """Whether a command was refused because there is no such order."""
    reason = RejectReason.UNKNOWN_ORDER
    return any(event.kind == EventKind.REJECTED and event.detail == reason for event in event_rows(events))
