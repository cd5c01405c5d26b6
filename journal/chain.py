"""The chain: what holds between one batch and the next, checked in the order in which they were sealed."""

from typing import NamedTuple

from core.kinds import ROW_SIZE, TIME
from journal.batch import BatchKind, Check, Header, name_of
from journal.check import check, columns
from journal.errors import CorruptBatch, Gap, WrongSemantics
from journal.journal import Head
from journal.state import ends_state


class _Link(NamedTuple):
    """What the next batch is held against."""

    header: Header
    time: int
    complete: bool


class Chain:
    """Verifies batches fed in order and remembers the head. After an error it must be fed no more.

    Checks, in order: those of the batch itself (journal/check.py), dense sequence numbers, the previous hash,
    the epoch, the place of state batches, the semantics version, the time, and that `applied` never goes back nor
    carries two digests.
    """

    def __init__(self, head: Head | None = None) -> None:
        """Begin after a trusted head, or (None) with whatever batch is fed first."""
        self._head = head
        self._link: _Link | None = None

    @property
    def head(self) -> Head | None:
        """The end of what has been verified; None before the first batch."""
        return self._head

    @property
    def complete(self) -> bool:
        """Whether the last batch fed may be the end: not in the middle of a segment's state."""
        return self._link is None or self._link.complete

    def feed(self, value: bytes, key: bytes | None = None) -> Header:
        """Verify the next batch. CorruptBatch, UnknownVersion, Gap or WrongSemantics name it and the check."""
        header = check(value, key=key)
        if self._head is not None:
            _check_head(header, self._head)
        if self._link is not None:
            _check_place(header, self._link)
            _check_course(header, self._link)
        self._link = _next_link(value, header, self._link)
        self._head = Head(header.epoch, header.last, header.hash)
        return header


def _next_link(value: bytes, header: Header, link: _Link | None) -> _Link:
    if header.kind == BatchKind.COMMANDS:
        return _Link(header, columns(value, len(value) - ROW_SIZE)[TIME // 8], complete=True)
    if header.kind == BatchKind.STATE:
        return _Link(header, header.base_time, complete=ends_state(value))
    return _Link(header, link.time if link else header.base_time, complete=True)


def _check_head(header: Header, head: Head) -> None:
    if header.first != head.sequence + 1:
        raise Gap(name_of(header), f"it follows sequence number {head.sequence}")
    if header.previous != head.hash:
        raise CorruptBatch(name_of(header), Check.PREVIOUS.value)
    if header.epoch < head.epoch:
        raise CorruptBatch(name_of(header), f"epoch {header.epoch} follows epoch {head.epoch}")


def _check_place(header: Header, link: _Link) -> None:
    before = link.header
    begins = header.kind == BatchKind.STATE and before.kind == BatchKind.CLOSING
    goes_on = header.kind == BatchKind.STATE and not link.complete
    if not (begins or goes_on or (header.kind != BatchKind.STATE and link.complete)):
        raise CorruptBatch(name_of(header), f"a batch of kind {header.kind} cannot follow one of kind {before.kind}")
    if header.flags != before.flags:
        raise CorruptBatch(name_of(header), f"it is marked {header.flags}, the batch before {before.flags}")
    if header.semantics != before.semantics and not begins:
        raise WrongSemantics(name_of(header), f"semantics {header.semantics} in a segment of {before.semantics}")


def _check_course(header: Header, link: _Link) -> None:
    before = link.header
    late = header.base_time <= link.time if header.kind == BatchKind.COMMANDS else header.base_time < link.time
    if late:
        raise CorruptBatch(name_of(header), "its time is not after that of the batch before")
    if header.applied < before.applied:
        reason = f"it was applied up to {header.applied}, the batch before to {before.applied}"
        raise CorruptBatch(name_of(header), reason)
    if header.applied == before.applied and header.digest != before.digest:
        raise CorruptBatch(name_of(header), f"two event digests for sequence number {header.applied}")
