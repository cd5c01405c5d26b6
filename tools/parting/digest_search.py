"""Where the running event digests of two histories part, found from headers alone, and by halving: once apart, they stay apart."""

from collections.abc import Iterator
from itertools import chain
from typing import NamedTuple

from core.limits import SUM_MAX
from journal.batch import Header
from journal.chain import Chain
from journal.directory import JournalDirectory


class Span(NamedTuple):
    """Up to row `agreed` the digests are the same, at row `differ` they are not; None where no such row is known."""

    agreed: int | None
    digest: bytes
    """Of both, at row `agreed`."""
    differ: int | None = None
    a: bytes | None = None
    """The digest of the one at row `differ`, as far as it is known."""
    b: bytes | None = None
    """That of the other."""


class _Common(NamedTuple):
    """A row up to which both journals carry a digest; `last`: the last row of the batch that carries that of the one."""

    applied: int
    last: int
    a: bytes
    b: bytes


def points(journal: JournalDirectory, begin: int) -> Iterator[Header]:
    """Headers from the batch that contains the row on, each batch verified; each carries a digest. JournalError."""
    chained = Chain()
    state = journal.segment(journal.segments()[0]).state_batches() if begin <= journal.segments()[0] else []
    return map(chained.feed, chain(state, journal.batches(begin)))


def _common(a: JournalDirectory, b: JournalDirectory, begin: int, end: int = SUM_MAX) -> Iterator[_Common]:
    """The rows before row `end` up to which both carry a digest, from the batch of A that contains row `begin` on."""
    theirs: Iterator[Header] | None = None
    other: Header | None = None
    for mine in points(a, begin):
        if mine.applied >= end:
            return
        if theirs is None:
            # The closing batch behind a row carries the same digest as the batch that follows, if one does.
            theirs = points(b, max(mine.applied, 1))
            other = next(theirs, None)
        while other is not None and other.applied < mine.applied:
            other = next(theirs, None)
        if other is None:
            return
        if other.applied == mine.applied:
            yield _Common(mine.applied, mine.last, mine.digest, other.digest)


def search(a: JournalDirectory, b: JournalDirectory) -> Span:
    """Halve the rows that both journals hold. Each batch that is looked at is checked; JournalError."""
    low, high = max(a.segments()[0], b.segments()[0]), min(a.head().sequence, b.head().sequence) + 1
    found = next(_common(a, b, low), None)
    if found is None or found.a != found.b:
        return _span(None, found)
    agreed: _Common = found
    differ: _Common | None = None
    while low < high:
        middle = (low + high) // 2
        found = next(_common(a, b, middle, high), None)
        if found is None:
            high = middle
        elif found.a == found.b:
            agreed, low = max(agreed, found), max(found.last, middle) + 1
        else:
            differ, high = found, middle
    return _tail(a, b, agreed) if differ is None else _span(agreed, differ)


def _tail(a: JournalDirectory, b: JournalDirectory, agreed: _Common) -> Span:
    """Closing batches, which hold no row, are found by none of the steps: look through the rest."""
    for found in _common(a, b, max(agreed.applied, 1)):
        if found.a != found.b:
            return _span(agreed, found)
        agreed = max(agreed, found)
    return _span(agreed, None)


def _span(agreed: _Common | None, differ: _Common | None) -> Span:
    found = Span(None, b"") if agreed is None else Span(agreed.applied, agreed.a)
    return found if differ is None else found._replace(differ=differ.applied, a=differ.a, b=differ.b)
