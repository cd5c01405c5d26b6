"""Commands of several parts, taken as one: who removes a row of such a command removes all of it."""

import struct
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from core.parts import part_of, parts_of

Columns = tuple[int, ...]
ROW = struct.Struct("<16q")


class Member(NamedTuple):
    """A row of a command, which is most often all of it."""

    row: bytes
    sequence: int
    columns: Columns
    """As a selector reads them: a part is of the account of its head."""


def commands(rows: Sequence[bytes], first: int) -> Iterator[list[Member]]:
    """The commands of a batch, whose first row has this number: each row alone, or a head with the parts right behind it."""
    at = 0
    while at < len(rows):
        end = _end(rows, at)
        head = ROW.unpack(rows[at])
        whole = [Member(rows[at], first + at, head)]
        for place in range(at + 1, end):
            columns = ROW.unpack(rows[place])
            whole.append(Member(rows[place], first + place, (*columns[:7], head[7], *columns[8:])))
        yield whole
        at = end


def _end(rows: Sequence[bytes], at: int) -> int:
    """Where the command ends that begins at a row: its parts are of the kind and the session that the head asks for."""
    head = ROW.unpack(rows[at])
    end, most = at + 1, min(len(rows), at + 1 + int(parts_of(rows[at], 0)))
    while end < most and _is_part(ROW.unpack(rows[end]), head):
        end += 1
    return end


def _is_part(columns: Columns, head: Columns) -> bool:
    return columns[0] == part_of(head[0]) and columns[3] == head[3]
