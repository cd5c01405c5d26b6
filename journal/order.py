"""The order of writing: what may follow the head, refused before anything is stored."""

from collections.abc import Iterator

from journal.batch import HEADER_SIZE, BatchKind, Check, Header, name_of, read_header, seal
from journal.errors import CorruptBatch, Diverged, Gap, NotInOrder, WrongSemantics
from journal.journal import Head, Journal
from journal.state import check_state, seal_state


def head_of(header: Header) -> Head:
    """The head of a journal that ends with this batch."""
    return Head(header.epoch, header.last, header.hash)


def header_to_append(value: bytes) -> Header:
    """The header of a batch about to be stored. NotInOrder if it is none, or its length is not what it says."""
    try:
        header = read_header(value)
    except CorruptBatch as error:
        raise NotInOrder(str(error)) from None
    if len(value) != HEADER_SIZE + header.body:
        raise NotInOrder(f"{name_of(header)}: {Check.LENGTH.value}")
    return header


def refuse_append(header: Header, before: Header) -> None:
    """NotInOrder or WrongSemantics if a batch of commands or a closing batch may not follow the one before."""
    if header.kind == BatchKind.STATE:
        raise NotInOrder(f"{name_of(header)}: a state batch begins a segment")
    if header.previous != before.hash:
        raise NotInOrder(f"{name_of(header)}: not sealed after the head, which is at {before.last}")
    if header.first != before.last + 1:
        raise NotInOrder(f"{name_of(header)}: the next sequence number is {before.last + 1}")
    if header.epoch < before.epoch:
        raise NotInOrder(f"{name_of(header)}: epoch {header.epoch} is fenced off by epoch {before.epoch}")
    if header.semantics != before.semantics:
        raise WrongSemantics(name_of(header), f"semantics {header.semantics} in a segment of {before.semantics}")
    if header.flags != before.flags:
        raise NotInOrder(f"{name_of(header)}: marked {header.flags}, the batch before {before.flags}")
    if header.kind == BatchKind.CLOSING == before.kind and header.epoch == before.epoch:
        # It would say nothing new, and stand under the same key.
        raise NotInOrder(f"{name_of(header)}: closed already in epoch {header.epoch}")


def seal_closing(head: Head, *, semantics: int, epoch: int, time: int, digest: bytes, flags: int = 0) -> bytes:
    """A closing batch: no rows, and the event digest up to the last one. `time` is that of the last row."""
    return seal(
        b"",
        kind=BatchKind.CLOSING,
        semantics=semantics,
        flags=flags,
        epoch=epoch,
        first=head.sequence + 1,
        base_time=time,
        applied=head.sequence,
        digest=digest,
        previous=head.hash,
    )


def stage(staged: list[bytes], header: Header, value: bytes, head: Head, *, closed: bool) -> list[bytes]:
    """The state batches gathered so far with this one; one that follows the head begins anew. NotInOrder."""
    if header.previous == head.hash and closed and header.first == head.sequence + 1 and header.epoch >= head.epoch:
        return [value]
    if staged and header.previous == read_header(staged[-1]).hash:
        return [*staged, value]
    raise NotInOrder(f"{name_of(header)}: a segment begins after a closing batch, and with its first state batch")


def unknown_head(theirs: Head, ours: Head) -> Diverged | Gap:
    """The error for a head that is not in the journal."""
    if theirs.sequence > ours.sequence:
        return Gap(f"head at {theirs.sequence}", f"the journal ends before it, at {ours.sequence}")
    return Diverged(f"head at {theirs.sequence}", "the journal has another batch there")


def closing_and_state(journal: Journal, state_rows: bytes, *, semantics: int, epoch: int) -> Iterator[bytes]:
    """What a roll appends: a closing batch, unless the journal is closed, and the next segment's state batches."""
    state = check_state(state_rows)
    head = journal.head()
    if state.sequence != head.sequence:
        raise NotInOrder(f"the state is that at {state.sequence}, the journal ends at {head.sequence}")
    if journal.first > head.sequence:
        raise NotInOrder(f"the segment that begins at {journal.first} holds no batch yet")
    if not journal.closed():
        yield seal_closing(
            head, semantics=journal.semantics, epoch=epoch, time=state.time, digest=state.digest, flags=journal.flags
        )
    previous = journal.head().hash
    yield from seal_state(state_rows, semantics=semantics, epoch=epoch, previous=previous, flags=journal.flags)
