"""A journal in memory, for tests and simulation. Never use it in production: nothing it holds is durable."""

from collections.abc import Iterator, Sequence

from journal.batch import GENESIS, HEADER_SIZE, BatchKind, Header, read_header
from journal.errors import Closed
from journal.journal import Head
from journal.order import closing_and_state, head_of, header_to_append, refuse_append, stage, unknown_head
from journal.state import check_batches, ends_state, seal_state


class MemoryJournal:
    """The twin of `JournalDirectory`: same order, same refusals, same bytes; it dies with the process."""

    def __init__(self, values: Sequence[bytes]) -> None:
        """Begin with sealed state batches. CorruptBatch if they are wrong."""
        self._values: list[bytes] = []
        self._headers: list[Header] = []
        self._staged: list[bytes] = []
        self._state = b""
        self._begins: list[int] = []
        self._open = True
        self._begin_segment(list(values))

    @classmethod
    def create(cls, state_rows: bytes, *, semantics: int, epoch: int = 1, flags: int = 0) -> "MemoryJournal":
        """Begin with a venue's state rows, END row included."""
        return cls(seal_state(state_rows, semantics=semantics, epoch=epoch, previous=GENESIS, flags=flags))

    @property
    def first(self) -> int:
        """First sequence number of the current segment."""
        return self._headers[self._begins[-1]].first

    @property
    def semantics(self) -> int:
        """Semantics version of the current segment."""
        return self._headers[self._begins[-1]].semantics

    @property
    def flags(self) -> int:
        """Flags of all batches."""
        return self._headers[0].flags

    def head(self) -> Head:
        """The end of the journal."""
        self._check_open()
        return head_of(self._headers[-1])

    def closed(self) -> bool:
        """Whether the last batch is a closing batch."""
        return self._headers[-1].kind == BatchKind.CLOSING

    def append(self, value: bytes) -> None:
        """Store a batch; state batches begin a segment once they are complete."""
        self._check_open()
        header = header_to_append(value)
        if header.kind == BatchKind.STATE:
            self._stage(header, value)
            return
        refuse_append(header, self._headers[-1])
        self._staged = []
        self._values.append(value)
        self._headers.append(header)

    def _stage(self, header: Header, value: bytes) -> None:
        self._staged = stage(self._staged, header, value, self.head(), closed=self.closed())
        if ends_state(value):
            staged, self._staged = self._staged, []
            self._begin_segment(staged)

    def _begin_segment(self, values: list[bytes]) -> None:
        check_batches(values)
        self._state = b"".join(value[HEADER_SIZE:] for value in values)
        self._values += values
        self._headers += map(read_header, values)
        self._begins.append(len(self._values) - 1)

    def roll(self, state_rows: bytes, *, semantics: int, epoch: int) -> None:
        """Close the segment and begin one with this state."""
        for value in closing_and_state(self, state_rows, semantics=semantics, epoch=epoch):
            self.append(value)

    def batches(self, from_sequence: int = 1) -> Iterator[bytes]:
        """The batch that contains the number, then all that follow."""
        self._check_open()
        begins = [begin for begin in self._begins if self._headers[begin].first <= from_sequence]
        begin = begins[-1] if begins else self._begins[0]
        return self._from(begin + 1 + self._passed(begin, from_sequence))

    def _passed(self, begin: int, from_sequence: int) -> int:
        # How many batches stand between a segment's state and the one that contains the number.
        if from_sequence <= self._headers[begin].first:
            return 0
        rest = self._headers[begin + 1 :]
        found = (n for n, h in enumerate(rest) if h.kind == BatchKind.COMMANDS and h.last >= from_sequence)
        return next(found, len(rest))

    def after(self, head: Head) -> Iterator[bytes]:
        """All batches that follow a head."""
        self._check_open()
        for number, header in enumerate(self._headers):
            if (header.last, header.hash) == (head.sequence, head.hash):
                return self._from(number + 1)
        raise unknown_head(head, self.head())

    def _from(self, number: int) -> Iterator[bytes]:
        while number < len(self._values):
            yield self._values[number]
            self._check_open()
            number += 1

    def header_at(self, sequence: int) -> Header | None:
        """Header of the batch or state that ends at the number."""
        self._check_open()
        ending = [h for h in self._headers if h.last == sequence and h.kind != BatchKind.CLOSING]
        commands = [h for h in ending if h.kind == BatchKind.COMMANDS]
        return commands[0] if commands else ending[-1] if ending else None

    def state(self) -> bytes:
        """The state rows of the current segment."""
        self._check_open()
        return self._state

    def close(self) -> None:
        """Refuse everything from now on."""
        self._open = False

    def _check_open(self) -> None:
        if not self._open:
            raise Closed("the journal in memory is closed")
