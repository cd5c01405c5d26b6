"""Making a new venue: its commands are tried first, then journaled, and the directory appears whole."""

import os
from pathlib import Path

from core.kinds import ROW_SIZE
from core.machine import Machine
from core.messages import Rejected
from core.reasons import RejectReason
from core.rows import RowError, rows, to_row
from core.stamp import stamp
from journal.journal import Head
from replicas.clock import Clock
from replicas.limits import BadConfig
from replicas.opening import create
from replicas.passwords import generate
from tools.failures import Misuse
from tools.venue_file import SMALLEST, Said, Venue, commands, read_venue
from tools.whole import refuse_full, whole

_BATCH_ROWS = 1_024


def make_venue(directory: Path, venue: Path | None, passwords: Path | None) -> tuple[Venue, Head]:
    """Make the venue of a file in a new directory; what it consists of, and where its journal ends. Misuse, JournalError.

    Generated passwords are written before the journal, so that no venue stands whose passwords nobody knows.
    """
    refuse_full(directory)
    described = _read(venue) if venue is not None else SMALLEST
    made = _generated(described, given=passwords is not None)
    now = Clock().now()
    try:
        said = list(commands(described, made))
        _refuse_rejected(said, now)
    except (BadConfig, RowError) as error:
        raise Misuse(f"{venue}: {error}") from None
    if passwords is None:
        return described, _create(directory, said, now)
    _write_passwords(passwords, made)
    try:
        return described, _create(directory, said, now)
    except BaseException:
        passwords.unlink()
        raise


def _read(venue: Path) -> Venue:
    try:
        return read_venue(venue)
    except BadConfig as error:
        raise Misuse(str(error)) from None
    except FileNotFoundError:
        raise Misuse(f"--venue {venue}: no such file") from None


def _generated(venue: Venue, *, given: bool) -> dict[int, str]:
    """A password for every session that has none in the file; Misuse if nobody would learn it."""
    lacking = [login.number for login in venue.session if login.password is None]
    if lacking and not given:
        raise Misuse(f"session {lacking[0]} has no password: give one in the venue's file, or --passwords FILE")
    return {number: generate() for number in lacking}


def _refuse_rejected(said: list[Said], now: int) -> None:
    """BadConfig for the first command that a new venue refuses: they are tried on one that nobody keeps."""
    batch = stamp(b"".join(to_row(command) for _, command in said), 0, 0, now)
    for event in rows(Machine().apply(batch, 0, len(batch))):
        if isinstance(event, Rejected):
            part, command = said[event.sequence - 1]
            raise BadConfig(f"{part}: {type(command).__name__} is refused: {RejectReason(event.reason).name}")


def _write_passwords(path: Path, passwords: dict[int, str]) -> None:
    """One line `SESSION PASSWORD` each, readable by the owner alone; Misuse if there is a file already."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        raise Misuse(f"--passwords {path}: there is a file already") from None
    with os.fdopen(descriptor, "w") as file:
        # A umask may have taken the owner's own rights as well.
        os.fchmod(descriptor, 0o600)
        file.writelines(f"{number} {password}\n" for number, password in passwords.items())
        file.flush()
        os.fsync(descriptor)


def _create(directory: Path, said: list[Said], now: int) -> Head:
    """The venue on disk, closed cleanly."""
    data = b"".join(to_row(command) for _, command in said)
    with whole(directory) as place:
        journal, sequencer = create(place)
        try:
            for begin in range(0, len(data), _BATCH_ROWS * ROW_SIZE):
                sequencer.submit(data[begin : begin + _BATCH_ROWS * ROW_SIZE], now)
            sequencer.close_batch()
            return journal.head()
        finally:
            if sequencer.events is not None:
                sequencer.events.close()
            journal.close()
