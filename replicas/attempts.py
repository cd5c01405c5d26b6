"""Attempt marks: how a row that kills the process, instead of raising, is found out at recovery and quarantined.

Before the last rows of a journal are applied, a small file beside it says so. Where it says so still at the next start,
the process died in between: the rows are then applied one by one, each with a mark of its own. A row at which the
process dies then, its second death in one place, is quarantined by the start after that. The marks are operational: they
are no state, and deleting them forgets attempts and nothing else.
"""

import os
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from core.digest import EventDigest
from core.engine import Engine
from core.kinds import KIND, ROW_SIZE, TIME, CommandKind
from journal.errors import DiskError
from journal.files import sync_directory

ATTEMPTS: Final = "attempts"
"""Name of the file in a data directory."""

DEATHS: Final = 2
"""Deaths in one place after which a row is taken for what kills."""

_SIZE: Final = 64


class Mark(NamedTuple):
    """Rows that are being applied, and how often that was begun without coming to an end."""

    first: int
    last: int
    begun: int


class Attempts:
    """The marks of one data directory."""

    def __init__(self, path: Path, *, applied: int = 0) -> None:
        """Read what an earlier process left, at most one mark; a file that is none is taken for empty. DiskError.

        Rows up to `applied` are never blamed: they ran through once, and their senders may have been answered.
        """
        self._path = path
        self._applied = applied
        self._died = self._read()

    def _read(self) -> Mark | None:
        try:
            numbers = self._path.read_bytes()[:_SIZE].split()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise DiskError(f"{self._path}: {error}") from error
        if len(numbers) != len(Mark._fields) or not all(number.isdigit() for number in numbers):
            return None
        return Mark(*map(int, numbers))

    def died_in(self, first: int, last: int) -> bool:
        """Whether an earlier process died while it applied some of these rows."""
        return self._died is not None and first <= self._died.first and self._died.last <= last

    def blamed(self) -> int | None:
        """The row at which the process died twice; it is to be quarantined. None if there is none, or not known which."""
        died = self._died
        if died is None or died.first != died.last or died.begun < DEATHS or died.first <= self._applied:
            return None
        return died.first

    def begin(self, first: int, last: int) -> None:
        """Mark that these rows are about to be applied; durable on return. DiskError."""
        died = self._died
        again = died is not None and died.first <= first and last <= died.last
        self._write(Mark(first, last, died.begun + 1 if died is not None and again else 1))

    def done(self) -> None:
        """The rows were applied, and the process lives: forget the marks. DiskError."""
        self._died = None
        if self._path.exists():
            self._write(None)

    def _write(self, mark: Mark | None) -> None:
        data = b"" if mark is None else b"%d %d %d" % mark
        try:
            new = not self._path.exists()
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
            try:
                os.pwrite(descriptor, data.ljust(_SIZE), 0)
                os.fdatasync(descriptor)
            finally:
                os.close(descriptor)
            if new:
                sync_directory(self._path.parent)
        except OSError as error:
            raise DiskError(f"{self._path}: {error}") from error


class _KilledTwice(Exception):
    """Stands for what the engine would do with the row; it becomes a quarantine, and reaches nobody."""


class Applies(Protocol):
    """What a sequencer drives: a `core.machine.Machine`."""

    @property
    def engine(self) -> Engine:
        """The engine."""

    @property
    def digest(self) -> EventDigest:
        """The digest of its events."""

    def apply(self, batch: bytes, begin: int, end: int, /) -> bytes:
        """Apply command rows between two byte offsets."""

    def apply_quarantined(self, batch: bytes, at: int, quarantine: bytes, quarantine_at: int, /) -> bytes:
        """Apply the halt in the place of a row."""


class Narrowing:
    """A machine that applies row by row with a mark for each, and raises at the row that is blamed."""

    def __init__(self, machine: Applies, attempts: Attempts, last: int, blamed: int | None) -> None:
        """Drive the machine up to row `last`; the blamed one is not in quarantine yet."""
        self.machine = machine
        self.engine = machine.engine
        self.digest = machine.digest
        self._attempts = attempts
        self._last = last
        self._blamed = blamed

    def apply(self, batch: bytes, begin: int, end: int) -> bytes:
        """Apply command rows between two byte offsets; returns the event rows."""
        events = []
        for at in range(begin, end, ROW_SIZE):
            row = self.engine.sequence + 1
            if row == self._blamed:
                self._raise_at(batch, at, row)
            self._attempts.begin(row, row)
            events.append(self.machine.apply(batch, at, at + ROW_SIZE))
        return b"".join(events)

    def apply_quarantined(self, batch: bytes, at: int, quarantine: bytes, quarantine_at: int) -> bytes:
        """Apply the halt in the place of a row; returns the event rows."""
        row = self.engine.sequence + 1
        self._attempts.begin(row, row)
        return self.machine.apply_quarantined(batch, at, quarantine, quarantine_at)

    def _raise_at(self, batch: bytes, at: int, row: int) -> None:
        # The engine is thrown away after this, so it may say that it stands at the row, and at what is due first: if that
        # is not the one which kills, the next round drops the next one.
        engine = self.engine
        engine.sequence = row
        if _column(batch, at + KIND) == CommandKind.ADVANCE_TIME:
            self._blame(_column(batch, at + TIME))
        self._attempts.begin(row, self._last)
        raise _KilledTwice(f"row {row} killed the process {DEATHS} times")

    def _blame(self, now: int) -> None:
        """Name the timer that is due, or where there is neither one nor a mass operation the instrument that is to follow."""
        engine = self.engine
        if engine.timers and engine.timers.peekitem(0)[0][0] <= now:
            (engine.timer_time, _), engine.timer = engine.timers.peekitem(0)
        elif engine.dead_men and engine.dead_men.peekitem(0)[0][0] <= now:
            (engine.timer_time, _), engine.timer_account = engine.dead_men.peekitem(0)
        elif engine.following and not engine.todos:
            engine.timer_time = -engine.following[0].number


def _column(batch: bytes, at: int) -> int:
    return int.from_bytes(batch[at : at + 8], "little", signed=True)
