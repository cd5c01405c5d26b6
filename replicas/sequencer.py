"""The sequencer: number, stamp, seal, commit; then apply; then answer. In this order, in one thread.

No event leaves `submit` before its batch is durable, and none of a batch before the whole batch has been applied.
"""

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from core.kinds import ROW_SIZE, TIME, CommandKind
from core.limits import SUM_MAX
from core.machine import Machine
from core.messages import Promote, Quarantine
from core.rows import to_row
from core.stamp import first_of_kind, latest_time, stamp
from core.state import SEMANTICS
from journal import snapshots
from journal.batch import HEADER_SIZE, read_header, seal
from journal.directory import JournalDirectory
from journal.event_store import EventStore
from journal.journal import RollingJournal
from journal.order import seal_closing
from replicas.errors import BadRows, Stopped
from replicas.lead import Lead
from replicas.replay import apply, quarantines, recover

_TIME = struct.Struct("<q")
_QUARANTINE = int(CommandKind.QUARANTINE)
_UPGRADE = int(CommandKind.UPGRADE)
_PROMOTE = int(CommandKind.PROMOTE)
TIME_MAX = SUM_MAX - 2**32
"""Latest time that a row may bring, in ns since 1970: after it there is room to count on, for quarantines too."""
_INDETERMINATE = (MemoryError, RecursionError)
"""Failures of the machine we run on, never taken for what a command does."""


class Sequencer:
    """The writer of a journal. After anything raised but BadRows it is dead: recover from the journal."""

    def __init__(
        self,
        journal: RollingJournal,
        machine: Machine,
        *,
        epoch: int | None = None,
        events: EventStore | None = None,
        snapshots_folder: Path | None = None,
    ) -> None:
        """Write on behind a journal whose last row the machine has applied.

        `events` keeps every event row; the snapshots in the folder shorten the pause that a quarantine costs.
        """
        self.journal = journal
        self.machine = machine
        self.events = events
        self.snapshots_folder = snapshots_folder
        self.epoch = journal.head().epoch if epoch is None else epoch
        self.lead: Lead | None = None
        """Asked before every append, where it is set: Deposed then, and the sequencer is dead."""
        self._time = 0
        self._dead: BaseException | None = None

    def _check_alive(self) -> None:
        if self._dead is not None:
            raise Stopped(f"recover from the journal: {self._dead!r} came before") from self._dead

    @contextmanager
    def _acting(self) -> Iterator[None]:
        """Whatever interrupts an act leaves journal, engine and numbers out of step: the sequencer is dead then."""
        self._check_alive()
        try:
            yield
        except BaseException as error:
            self._dead = error
            raise

    def submit(self, rows: bytes, now: int) -> bytes:
        """Make wire rows durable as one batch, then apply them; returns the event rows they caused.

        `now` is in ns since 1970 and stands in every row that brings no time of its own. JournalError: nothing of this
        batch is acknowledged. BadRows: nothing was sealed. Rows behind an Upgrade that ends the segment are not
        sealed either: nobody is answered for them, and clients repeat them to the next release.
        """
        pieces = _pieces(rows, now)
        events = []
        with self._acting():
            for piece in pieces:
                events.append(self._submit(piece, now))
                if self.journal.semantics != SEMANTICS:
                    break
        return b"".join(events)

    def _submit(self, rows: bytes, now: int) -> bytes:
        value = self._commit(rows, now)
        first = self.machine.engine.sequence + 1
        events = self.finish([value])
        if self.events is not None and self.machine.engine.sequence >= first:
            self.events.append(first, self.machine.engine.sequence, events)
        self.roll_if_upgraded()
        return events

    def promote(self, epoch: int, now: int) -> bytes:
        """Become the writer under a new epoch: seal a batch of the Promote row alone, apply it; returns its events.

        Every batch sealed from here on carries the epoch. BadRows if it is not greater than that of the journal and
        of the engine, or beyond bounds: nothing was sealed. `now` is in ns since 1970.
        """
        self._check_alive()
        last = max(self.machine.engine.epoch, self.journal.head().epoch)
        if not last < epoch <= SUM_MAX:
            raise BadRows(f"epoch {epoch} does not follow epoch {last}")
        if now > TIME_MAX:
            raise BadRows(f"time {now} is beyond {TIME_MAX}")
        with self._acting():
            self.epoch = epoch
            return self._submit(to_row(Promote(epoch=epoch)), now)

    def roll_if_upgraded(self) -> None:
        """End the segment if its last row was an Upgrade to another version; what follows is that release's to write."""
        if self.machine.engine.next_semantics != self.machine.engine.semantics:
            self.roll(self.machine.engine.next_semantics)

    def close_batch(self) -> None:
        """Seal a closing batch, so that the digest covers the last row; call it on a clean stop. Harmless when repeated."""
        with self._acting():
            if not self.journal.closed():
                self._ask()
                self.journal.append(self._closing())

    def _closing(self) -> bytes:
        engine = self.machine.engine
        digest, flags = self.machine.digest.value(), self.journal.flags
        return seal_closing(
            self.journal.head(), semantics=SEMANTICS, epoch=self.epoch, time=engine.now, digest=digest, flags=flags
        )

    def snapshot(self, directory: JournalDirectory) -> None:
        """Write a snapshot of the present state beside the journal, and drop old ones."""
        with self._acting():
            header = directory.header_at(self.machine.engine.sequence)
            if header is not None:
                snapshots.write(directory.snapshots, self.machine.rows(), header)
                snapshots.prune(directory.snapshots)

    def roll(self, semantics: int = SEMANTICS) -> None:
        """End the segment and begin the next one with the present state."""
        self._check_alive()
        self._ask()
        self.journal.roll(self.machine.rows(), semantics=semantics, epoch=self.epoch)

    def _commit(self, rows: bytes, now: int) -> bytes:
        """Stamp, seal and append; durable on return."""
        engine = self.machine.engine
        head = self.journal.head()
        stamped = stamp(rows, head.sequence, self._last_time(), now)
        self._time = _TIME.unpack_from(stamped, len(stamped) - ROW_SIZE + TIME)[0]
        value = seal(
            stamped,
            semantics=SEMANTICS,
            flags=self.journal.flags,
            epoch=self.epoch,
            first=head.sequence + 1,
            base_time=_TIME.unpack_from(stamped, TIME)[0],
            applied=engine.sequence,
            digest=self.machine.digest.value(),
            previous=head.hash,
        )
        self._ask()
        self.journal.append(value)
        self._tell()
        return value

    def _tell(self, *_: object) -> None:
        """A sign of life between two long pieces of work."""
        if self.lead is not None:
            self.lead.tell(self.journal.head())

    def _ask(self) -> None:
        """Deposed unless this node is the writer."""
        if self.lead is not None:
            self.lead.check()

    def _last_time(self) -> int:
        return max(self._time, self.machine.engine.now)

    def finish(self, values: list[bytes]) -> bytes:
        """Apply batches that are durable already: the last one, and the Quarantine batches behind it.

        A row that makes the engine raise is quarantined now, if that was not done before. What a row raises while it
        is being replaced by its halt is raised: that is a fault of the node.
        """
        named = quarantines(values[1:])
        before = self.machine.engine.sequence
        if read_header(values[0]).first != before + 1:
            raise AssertionError(f"the batch does not follow row {before}")
        pending = list(values)
        # A Quarantine row that is sealed now follows the last row of these, which the engine has not seen yet.
        self._time = _TIME.unpack_from(values[-1], len(values[-1]) - ROW_SIZE + TIME)[0]
        while True:
            try:
                return b"".join(self._apply_all(pending, named))
            except _INDETERMINATE:
                raise
            except Exception:
                # Whatever a command makes the engine raise, it raises on every replica.
                named_row = self.machine.engine.sequence
                if named_row in named:
                    raise
                row = self._name_the_row()
                self.machine = recover(self.journal, self.snapshots_folder, upto=before, watch=self._tell)
                pending.append(self._commit(row, self._time))
                named[named_row] = pending[-1][HEADER_SIZE : HEADER_SIZE + ROW_SIZE]

    def _apply_all(self, values: list[bytes], named: dict[int, bytes]) -> list[bytes]:
        return [apply(self.machine, value, HEADER_SIZE, len(value), named) for value in values]

    def _name_the_row(self) -> bytes:
        """The Quarantine row that names the row being applied, and the timer, of an order or an account, if one was running."""
        engine = self.machine.engine
        timer = engine.timer
        order = timer.number if timer is not None else 0
        if engine.timer_account is not None:
            order = -engine.timer_account.number
        return to_row(Quarantine(named=engine.sequence, timer_time=engine.timer_time, timer_order=order))


def _pieces(rows: bytes, now: int) -> list[bytes]:
    """The rows, cut after each Upgrade, which is the last of its batch. BadRows for what nobody may send."""
    if len(rows) % ROW_SIZE:
        raise BadRows(f"{len(rows)} bytes are not whole rows")
    latest = max(latest_time(rows), now)
    if latest > TIME_MAX:
        raise BadRows(f"time {latest} is beyond {TIME_MAX}")
    if first_of_kind(rows, 0, _QUARANTINE) < len(rows):
        raise BadRows("a Quarantine row comes from the sequencer alone")
    if first_of_kind(rows, 0, _PROMOTE) < len(rows):
        raise BadRows("a Promote row comes from the node that is promoted")
    pieces = []
    begin = 0
    while begin < len(rows):
        end = min(first_of_kind(rows, begin, _UPGRADE) + ROW_SIZE, len(rows))
        pieces.append(rows[begin:end])
        begin = end
    return pieces
