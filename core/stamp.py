"""Stamping: a wire row (a command without sequence number and time) becomes a row of the journal."""

from librt.strings import BytesWriter, read_i64_le, write_i64_le
from mypy_extensions import i64

from core.kinds import KIND, ROW_SIZE, SEQUENCE, SESSION, TIME


def stamp(rows: bytes, sequence: i64, time: i64, now: i64) -> bytes:
    """Copies of the rows, numbered from `sequence + 1`; each time is later than the one before, `time` at first.

    A row's own time is kept where it is later than the one before; a row without one (0) is given `now`, in ns since 1970.
    """
    out = BytesWriter()
    at: i64 = 0
    size: i64 = len(rows)
    while at < size:
        sequence += 1
        own = read_i64_le(rows, at + TIME)
        if own == 0:
            own = now
        time = own if own > time else time + 1
        write_i64_le(out, read_i64_le(rows, at + KIND))
        write_i64_le(out, sequence)
        write_i64_le(out, time)
        column = at + SESSION
        at += ROW_SIZE
        while column < at:
            write_i64_le(out, read_i64_le(rows, column))
            column += SEQUENCE
    return out.getvalue()


def latest_time(rows: bytes) -> i64:
    """The latest time that any of the rows brings, in ns since 1970; 0 if none brings one."""
    latest: i64 = 0
    at: i64 = 0
    size: i64 = len(rows)
    while at < size:
        time = read_i64_le(rows, at + TIME)
        if time > latest:
            latest = time
        at += ROW_SIZE
    return latest


def first_of_kind(rows: bytes, begin: i64, kind: i64) -> i64:
    """Byte offset of the first row of this kind from `begin` on; the size of the rows if there is none."""
    at = begin
    size: i64 = len(rows)
    while at < size and read_i64_le(rows, at + KIND) != kind:
        at += ROW_SIZE
    return at
