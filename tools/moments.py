"""Which moment of a journal is meant: a sequence number, or a time in one of three forms."""

import re
import struct
from datetime import UTC, datetime
from typing import Final

from core.kinds import ROW_SIZE, TIME
from journal.batch import HEADER_SIZE
from journal.check import check
from journal.directory import JournalDirectory
from tools.failures import Misuse

_SECOND: Final = 10**9
_DAY: Final = 86_400 * _SECOND
_DIGITS: Final = 19
_CLOCK = re.compile(r"([01]?\d|2[0-3]):([0-5]\d):([0-5]\d)(?:\.(\d{1,9}))?")
_ISO = re.compile(r"(\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d)?)?)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)?")

TIME_HELP: Final = "ns since 1970, ISO 8601 (UTC unless it says otherwise), or HH:MM:SS[.fraction] after midnight."


def nanoseconds(text: str) -> int:
    """A time as it stands in rows. Misuse if it has none of the three forms."""
    if text.isascii() and text.isdecimal():
        if len(text) > _DIGITS:
            raise Misuse(f"{text[:_DIGITS]}...: no time of a row has more than {_DIGITS} digits")
        return int(text)
    if clock := _CLOCK.fullmatch(text):
        hours, minutes, seconds = (int(part) for part in clock.groups()[:3])
        return (hours * 3600 + minutes * 60 + seconds) * _SECOND + _fraction(clock[4])
    if iso := _ISO.fullmatch(text):
        try:
            moment = datetime.fromisoformat(iso[1] + (iso[3] or "Z") if len(iso[1]) > 10 else iso[1])
        except ValueError as error:
            raise Misuse(f"{text}: {error}") from None
        since = moment.replace(tzinfo=moment.tzinfo or UTC) - datetime(1970, 1, 1, tzinfo=UTC)
        return (since.days * 86_400 + since.seconds) * _SECOND + _fraction(iso[2])
    raise Misuse(f"{text}: not a time; give {TIME_HELP}")


def _fraction(digits: str | None) -> int:
    return int((digits or "0").ljust(9, "0"))


def moment(journal: JournalDirectory, at: int | None, time: str | None, names: tuple[str, str]) -> int:
    """The sequence number of the last row that counts; the head if neither is given.

    Misuse if both are given, or if the row is not in the journal. `names` are those of the two options.
    """
    first, last = journal.segments()[0] - 1, journal.head().sequence
    if at is not None and time is not None:
        raise Misuse(f"{names[0]} and {names[1]} exclude each other")
    if time is not None:
        _refuse_time_of_day(journal, time, names[1])
        return last_row_by(journal, nanoseconds(time), first, last)
    if at is None:
        return last
    if not first <= at <= last:
        raise Misuse(f"{names[0]} {at}: this journal holds the rows {first} to {last}")
    return at


def _refuse_time_of_day(journal: JournalDirectory, time: str, name: str) -> None:
    """Misuse for a time of day where rows are stamped with dates: it would lie before all of them.

    The last row decides: those that set a venue up may be stamped 1, 2, 3 ns.
    """
    head = journal.head().sequence
    if not _CLOCK.fullmatch(time) or head < journal.segments()[0]:
        return
    ended = _time_of(journal, head)
    if ended >= _DAY:
        raise Misuse(f"{name} {time}: the journal ends at {clock_text(ended)}: give a date and time")


def last_row_by(journal: JournalDirectory, time: int, first: int, last: int) -> int:
    """The last row between `first` and `last` that is stamped at most `time` (ns); `first` if there is none."""
    while first < last:
        middle = (first + last + 1) // 2
        if _time_of(journal, middle) <= time:
            first = middle
        else:
            last = middle - 1
    return first


def _time_of(journal: JournalDirectory, sequence: int) -> int:
    value = next(journal.batches(sequence))
    # A damaged stamp would lead the search astray, to a row that nobody asked for.
    at = HEADER_SIZE + (sequence - check(value).first) * ROW_SIZE + TIME
    time: int = struct.unpack_from("<q", value, at)[0]
    return time


def clock_text(time: int) -> str:
    """A time as people read it: of day on the first day of 1970, else ISO 8601; to the nanosecond."""
    seconds, fraction = divmod(time, _SECOND)
    if time < _DAY:
        return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}.{fraction:09}"
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{fraction:09}Z"
