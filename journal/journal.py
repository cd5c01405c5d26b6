"""The boundary between the durable order and whoever writes or reads it.

`MemoryJournal`, `Segment` and `JournalDirectory` satisfy it; one suite in tests/journal runs against each.
"""

from collections.abc import Iterator
from typing import NamedTuple, Protocol

from journal.batch import Header


class Head(NamedTuple):
    """The end of a journal: what is kept outside of it to tell whether it was cut or rewritten."""

    epoch: int
    sequence: int
    hash: bytes


class Journal(Protocol):
    """Sealed batches in one order. Every error is a `journal.errors.JournalError`."""

    @property
    def first(self) -> int:
        """First sequence number of the current segment: one more than that of its state."""

    @property
    def semantics(self) -> int:
        """Semantics version of the current segment."""

    @property
    def flags(self) -> int:
        """Flags of all its batches: 0, or journal.batch.COUNTERFACTUAL."""

    def head(self) -> Head:
        """Epoch, sequence number and hash of the last batch, closing and state batches included."""

    def closed(self) -> bool:
        """Whether the last batch is a closing batch: the writer stopped cleanly, and the digest covers all rows."""

    def append(self, value: bytes) -> None:
        """Store a sealed batch; it is durable on return.

        NotInOrder or WrongSemantics before anything is written. JournalFull and DiskError are final: nothing tells
        whether the batch is stored, and the object refuses everything but `close`. The header alone is checked;
        who takes a batch from elsewhere feeds it to a `Chain` first.
        """

    def batches(self, from_sequence: int = 1) -> Iterator[bytes]:
        """The batch that contains the number, then all that follow in chain order, up to the present end.

        A number before the journal's first begins at its first batch, one past the end yields nothing. Closing
        batches, and the state batches of segments that begin on the way, stand in their places. The iterator
        holds no transaction between two batches and may be left at any time.
        """

    def after(self, head: Head) -> Iterator[bytes]:
        """All batches that follow a head, closing and state batches included: what a standby lacks.

        Gap if the journal ends before the head, Diverged if another batch stands there.
        """

    def header_at(self, sequence: int) -> Header | None:
        """Header of the batch whose last row has this number, or of the state up to it; None if neither exists."""

    def state(self) -> bytes:
        """The state rows that the current segment begins with."""

    def close(self) -> None:
        """Give everything back; harmless when done twice."""


class RollingJournal(Journal, Protocol):
    """A journal of several segments."""

    def roll(self, state_rows: bytes, *, semantics: int, epoch: int) -> None:
        """Close the segment and begin one with this state, which must be the state at the head's sequence number.

        NotInOrder if it is not; JournalFull and DiskError are final.
        """
