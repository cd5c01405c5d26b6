"""Reading a log on from a position, page by page: what follows without a hole, in the journal in which the position was reached."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice, takewhile
from typing import Final

from journal.batch import BatchKind
from journal.errors import Damaged, Diverged, Gap
from journal.event_slices import EventSlices, Slice
from journal.log_source import LogSource, Opened

PAGE_BYTES: Final = 2**20
"""Bytes of events after which a page ends."""
PAGE_BATCHES: Final = 500
"""Batches that a page holds at most."""


@dataclass(slots=True)
class Position:
    """How far somebody has read: the last command whose events were taken, and the hash of its batch where it is known."""

    sequence: int
    hash: bytes | None = None
    opening: int = 0
    """Which opening of the source it was reached in; 0: in none."""


def next_page(source: LogSource, position: Position, upto: int) -> list[Slice]:
    """The pieces behind a position that end at `upto` or before; the position moves on. None where there is nothing yet.

    Gap where events are missing, Diverged where no batch ends at the position or another journal stands there than before.
    """
    with source.reading() as opened:
        _refuse_other(source, opened, position)
        found = _page(opened.slices, position.sequence, upto)
        if not found or not source.in_place():
            return []
        position.sequence = found[-1].last
        position.hash = hash_at(opened, position.sequence)
        return found


def _refuse_other(source: LogSource, opened: Opened, position: Position) -> None:
    if position.opening == source.openings:
        return
    found = hash_at(opened, position.sequence)
    if position.hash not in (None, found):
        raise Diverged(f"{source.path}: row {position.sequence}", "another journal stands here than before")
    position.hash = found
    position.opening = source.openings


def _page(slices: EventSlices, after: int, upto: int) -> list[Slice]:
    found: list[Slice] = []
    size = 0
    try:
        for piece in islice(between(slices, after + 1, upto), PAGE_BATCHES):
            _refuse_hole(after, piece)
            found.append(piece)
            after, size = piece.last, size + len(piece.sealed)
            if size >= PAGE_BYTES:
                break
    except Damaged:
        # What stands before the damage is sound: the next page begins with the error.
        if not found:
            raise
    return found


def _refuse_hole(after: int, piece: Slice) -> None:
    where = f"events {piece.first}-{piece.last}"
    if piece.first > after + 1:
        raise Gap(where, f"those of command {after + 1} are missing")
    if piece.first <= after:
        raise Diverged(where, f"no batch ends at command {after}: the position is one in another journal")


def between(slices: EventSlices, begin: int, end: int, *, desc: bool = False) -> Iterator[Slice]:
    """The pieces whose last command is one of `begin` to `end`. Damaged."""
    begin = max(begin, 1)
    if desc:
        return takewhile(lambda piece: piece.last >= begin, slices.backward(end))
    return slices.forward(begin, end)


def hash_at(opened: Opened, sequence: int) -> bytes | None:
    """Hash of the journal's batch that ends at a row, or of a venue's first state for row 0; None if none ends there."""
    header = opened.journal.header_at(sequence)
    if header is None or (header.kind != BatchKind.COMMANDS and sequence != 0):
        return None
    return header.hash
