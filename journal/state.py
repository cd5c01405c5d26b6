"""The venue's whole state as rows: how a segment's state batches are sealed, and how state is checked before use.

State rows are an ENGINE row first, the venue's tables, a DIGEST row, the event rows of the digest's unfinished block
as they are, and an END row with the state digest. Their layouts are in `core/messages.py`.
"""

from collections.abc import Sequence
from hashlib import sha256
from typing import Final, NamedTuple

from core.digest import BLOCK_ROWS, EventDigest
from core.kinds import ROW_SIZE, SEQUENCE, TIME, StateKind
from journal.batch import HEADER_SIZE, BatchKind, Header, seal
from journal.check import check, column
from journal.errors import CorruptBatch, Damaged

BATCH_ROWS: Final = 4096
"""Rows of one state batch; the last one of a segment may have fewer."""

EVENT_KINDS: Final = range(256, 512)


class State(NamedTuple):
    """What checked state rows say of themselves."""

    sequence: int
    """Last sequence number that the state includes; 0 for a venue that has seen none."""
    time: int
    """The engine's clock there, nanoseconds since 1970."""
    digest: bytes
    """Running event digest there."""
    offset: int
    """Offset of the DIGEST row in bytes, for `EventDigest.restore`."""


def check_state(rows: bytes, where: str = "state", error: type[Damaged] = CorruptBatch) -> State:
    """Check complete state rows against their own END row. Raises `error` naming the check that fails."""
    kinds = [] if len(rows) % ROW_SIZE else column(rows, 0)
    reason = _refuse(rows, kinds)
    if reason:
        raise error(where, reason)
    offset = ROW_SIZE * kinds.index(StateKind.DIGEST)
    sequence, time = _column(rows, SEQUENCE), _column(rows, TIME)
    return State(sequence, time, EventDigest.restore(rows, offset).value(), offset)


def _refuse(rows: bytes, kinds: list[int]) -> str | None:
    if len(kinds) < 3:
        return "the state is not whole rows, or fewer than three"
    end = len(kinds) - 1
    if kinds[0] != StateKind.ENGINE:
        return "the state does not begin with an ENGINE row"
    if kinds[end] != StateKind.END:
        return "the state does not end with an END row"
    if kinds.count(StateKind.DIGEST) != 1 or kinds.count(StateKind.END) != 1:
        return "the state has not one DIGEST row and one END row"
    digest = kinds.index(StateKind.DIGEST)
    return _refuse_end(rows, end, digest) or _refuse_tail(rows, digest, kinds[digest + 1 : -1])


def _refuse_end(rows: bytes, end: int, digest: int) -> str | None:
    if _column(rows, end * ROW_SIZE + 40) != end:
        return "the END row counts other rows"
    if rows[end * ROW_SIZE + 8 : end * ROW_SIZE + 40] != sha256(memoryview(rows)[: digest * ROW_SIZE]).digest():
        return "the state digest is not that of the rows"
    return None


def _refuse_tail(rows: bytes, digest: int, tail: list[int]) -> str | None:
    events = _column(rows, digest * ROW_SIZE + 40)
    if events < 0 or len(tail) != events % BLOCK_ROWS:
        return "the unfinished block of the event digest is not complete"
    if any(kind not in EVENT_KINDS for kind in tail):
        return "a row after DIGEST is not an event"
    return None


def _column(rows: bytes, offset: int) -> int:
    return int.from_bytes(rows[offset : offset + 8], "little", signed=True)


def ends_state(value: bytes) -> bool:
    """Whether a sealed state batch is the last of its segment."""
    return _column(value, len(value) - ROW_SIZE) == StateKind.END


def seal_state(rows: bytes, *, semantics: int, epoch: int, previous: bytes, flags: int = 0) -> list[bytes]:
    """The state batches of a segment, for state rows that include their END row. CorruptBatch if they are wrong.

    Their first sequence number is the segment's: one more than the state's. Their base time is the engine's clock.
    """
    state = check_state(rows)
    values = []
    for begin in range(0, len(rows), BATCH_ROWS * ROW_SIZE):
        value = seal(
            rows[begin : begin + BATCH_ROWS * ROW_SIZE],
            kind=BatchKind.STATE,
            semantics=semantics,
            flags=flags,
            epoch=epoch,
            first=state.sequence + 1,
            base_time=state.time,
            applied=state.sequence,
            digest=state.digest,
            previous=previous,
        )
        values.append(value)
        previous = value[HEADER_SIZE - 32 : HEADER_SIZE]
    return values


def check_batches(values: Sequence[bytes], where: str = "state") -> tuple[Header, State]:
    """Check a segment's state batches, each by itself, as a chain and as state; the header of the last, the state.

    CorruptBatch or UnknownVersion. What stood before the first one is the caller's to check.
    """
    headers: list[Header] = []
    for number, value in enumerate(values):
        headers.append(_next_header(value, headers, f"{where}, state batch {number}"))
    state = check_state(b"".join(value[HEADER_SIZE:] for value in values), where)
    if any(_origin(header) != (state.sequence, state.time, state.digest) for header in headers):
        raise CorruptBatch(where, "the headers of the state batches name another state than their rows")
    return headers[-1], state


def _next_header(value: bytes, headers: list[Header], where: str) -> Header:
    header = check(value, previous=headers[-1].hash if headers else None)
    if header.kind != BatchKind.STATE:
        raise CorruptBatch(where, "it is not a state batch")
    if headers and (header.semantics, header.epoch) != (headers[0].semantics, headers[0].epoch):
        raise CorruptBatch(where, "its semantics or epoch is not that of the first state batch")
    return header


def _origin(header: Header) -> tuple[int, int, bytes]:
    return header.applied, header.base_time, header.digest
