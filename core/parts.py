"""Commands of several parts: which rows are heads and which are parts, and how many follow. docs/commands.md (EnterBatch)."""

from __future__ import annotations

from librt.strings import read_i64_le
from mypy_extensions import i64

from core.codes import CommandKind, Link
from core.kinds import (
    C6,
    C8,
    C9,
    C10,
    C11,
    C12,
    C13,
    C14,
    C15,
    FLAGS,
    KIND,
    QUOTES_SLIDE,
    REPLACE_ALL,
    ROW_SIZE,
)
from core.limits import PARTS_MAX, SUM_MAX


def is_head(kind: i64) -> bool:
    """Whether a command of this kind is followed by parts."""
    return CommandKind.MASS_QUOTE <= kind <= CommandKind.LINK_ORDERS


def is_part(kind: i64) -> bool:
    """Whether a row of this kind is a part of a command."""
    return kind == CommandKind.DETAIL or kind == CommandKind.QUOTE_DETAIL


def part_of(head: i64) -> i64:
    """The kind of the parts of a command, by the kind of its head."""
    return CommandKind.QUOTE_DETAIL if head == CommandKind.MASS_QUOTE else CommandKind.DETAIL


def parts_of(row: bytes, at: i64) -> i64:
    """How many parts follow a row: 0 unless it is a head whose number of parts is in range."""
    kind = read_i64_le(row, at + KIND)
    return parts_after(kind, row, at) if is_head(kind) else 0


def parts_after(kind: i64, row: bytes, at: i64) -> i64:
    """How many parts follow a head of this kind: 0 where it is malformed. Reads no column before FLAGS."""
    return 0 if is_malformed_head(kind, row, at) else read_i64_le(row, at + C9)


def is_malformed_head(kind: i64, row: bytes, at: i64) -> bool:
    """Whether the head of a command is malformed: no part may follow it."""
    flags = read_i64_le(row, at + FLAGS)
    parts = read_i64_le(row, at + C9)
    spare = read_i64_le(row, at + C6) | read_i64_le(row, at + C10) | read_i64_le(row, at + C11)
    spare |= read_i64_le(row, at + C12) | read_i64_le(row, at + C13) | read_i64_le(row, at + C14)
    if spare | read_i64_le(row, at + C15) != 0 or not 0 <= read_i64_le(row, at + C8) <= SUM_MAX:
        return True
    if kind == CommandKind.LINK_ORDERS:
        known = Link.ONE_CANCELS_OTHER <= flags <= Link.BRACKET
        return not known or parts != (3 if flags == Link.BRACKET else 2)
    allowed: i64 = REPLACE_ALL | QUOTES_SLIDE if kind == CommandKind.MASS_QUOTE else 0
    return flags & ~allowed != 0 or not 1 <= parts <= PARTS_MAX


def command_end(rows: bytes, begin: i64, end: i64) -> i64:
    """Where the command ends whose rows are cut at byte `end`, at most PARTS_MAX rows later; `end` where none is cut.

    All rows between 0 and `begin`, and every command of several parts, are whole.
    """
    at = end
    while at > begin and end < len(rows) and is_part(read_i64_le(rows, at - ROW_SIZE + KIND)):
        at -= ROW_SIZE
    if at <= begin:
        return end
    last = at + parts_of(rows, at - ROW_SIZE) * ROW_SIZE
    return last if end < last <= len(rows) else end
