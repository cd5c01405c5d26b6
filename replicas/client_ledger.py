"""What a client sent and was told, and what a server may never say: the ledger of one session.

No sockets and no clock: the client (replicas/client.py) feeds it, and a drill compares it with journals.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

from core.kinds import EventKind
from core.reasons import RejectReason
from journal.journal import Head
from replicas.client_answers import ROW, Columns, answering, named
from replicas.errors import FormError

_KIND, _SEQUENCE, _SESSION, _OUTBOUND, _REASON = 0, 1, 3, 4, 13
_INBOUND = 4


class Broken(FormError):
    """The server said what no server may say; the text is one line with the numbers. Nothing after it can be trusted."""


@dataclass(slots=True)
class Entry:
    """One command: its wire row with session and inbound number, when it was sent and answered, and by what."""

    inbound: int
    row: bytes
    columns: Columns = field(repr=False)
    sent_ns: int = 0
    """Monotonic time of the first send; 0 while it waits for its turn."""
    answered_ns: int = 0
    """Monotonic time at which its answer was complete; 0 before."""
    answer: list[bytes] = field(default_factory=list)
    """All event rows that the session was told with the command's sequence number, in order."""
    sure: bool = False
    """Whether an event among them can answer nothing but this command."""
    last: int = 0
    """Inbound number of the last row of its command, which gets the answer: its own, but for commands of several parts."""

    @property
    def sequence(self) -> int:
        """Sequence number of the command; 0 before it is known."""
        return int.from_bytes(self.answer[0][8:16], "little") if self.answer else 0


class Takeover(NamedTuple):
    """The epoch that began, and (monotonic ns) when the last answer before it and the first one under it came."""

    epoch: int
    last_ns: int
    first_ns: int


class Group(NamedTuple):
    """The events of one sequence number, as they come in."""

    sequence: int
    rows: list[bytes]


class Ledger:
    """Of one session, from its first login on. Every method raises Broken where the server contradicts itself.

    It keeps everything, about a kilobyte for a command with one event; `forget` and `forget_rows` drop
    what is done with.
    """

    def __init__(self, session: int) -> None:
        """Empty: `resume` begins it."""
        self.session = session
        self.entries: dict[int, Entry] = {}
        self.first = 0
        """Inbound number of the first command; 0 before the first login."""
        self.next = 0
        """Inbound number that the next command gets."""
        self.oldest = 0
        """Inbound number of the oldest command without an answer; `next` if there is none."""
        self.expected = 0
        """Inbound number that the server expected at the last login."""
        self.first_outbound = 0
        """Outbound number of the first event row that is kept; 0 before the first login."""
        self.rows: list[bytes] = []
        """The event rows told, dense from `first_outbound`."""
        self.head = Head(0, 0, bytes(32))
        """The highest head seen."""
        self.takeovers: list[Takeover] = []
        self._ahead: dict[int, bytes] = {}
        self._group = Group(0, [])
        self._matched: Entry | None = None
        self._told_to = 0
        self._last_answer_ns = 0
        self._epoch_since: tuple[int, int] | None = None

    # ---- what the client does

    def enter(self, row: bytes) -> Entry:
        """Give a wire row session and inbound number, and keep it until it is answered."""
        number = self.next
        columns = list(ROW.unpack(row))
        columns[1:5] = 0, 0, self.session, number
        entry = Entry(number, ROW.pack(*columns), tuple(columns), last=number)
        self.entries[number] = entry
        self.next += 1
        return entry

    def enter_parts(self, rows: list[bytes]) -> Entry:
        """The same for the head and the parts of one command; returns the entry of the last row, which gets the answer."""
        entries = [self.enter(row) for row in rows]
        last = entries[-1]
        for entry in entries:
            entry.last = last.inbound
        # The answer names the kind and the columns of the head, and the inbound number of the last row.
        last.columns = (*entries[0].columns[:_INBOUND], last.inbound, *entries[0].columns[_INBOUND + 1 :])
        return last

    def forget(self, upto: int) -> None:
        """Drop answered commands with inbound numbers up to this one."""
        for number in [number for number in self.entries if number <= min(upto, self.oldest - 1)]:
            del self.entries[number]

    def forget_rows(self) -> None:
        """Drop the event rows told; one of them that is told again is not compared any more."""
        self.first_outbound += len(self.rows)
        self.rows.clear()

    # ---- what the server says

    def begin(self, outbound: int) -> None:
        """A login was accepted: what follows has this outbound number."""
        if self.first_outbound == 0:
            self.first_outbound = outbound
        if outbound != self.outbound:
            raise Broken(f"login accepted at outbound number {outbound}: {self.outbound} comes next")
        self._told_to = 2**63

    @property
    def outbound(self) -> int:
        """The outbound number that comes next."""
        return self.first_outbound + len(self.rows)

    def resume(self, inbound: int, outbound: int, now: int) -> Entry | None:
        """Notice NEXT: the inbound number that the server expects, and the outbound number of what it will tell next.

        Returns the command whose answer is complete thereby.
        """
        if self.first == 0:
            self.first = self.next = self.oldest = inbound
        if inbound < self.oldest:
            raise Broken(f"inbound number {inbound} is expected, although {self.oldest - 1} was answered")
        if inbound > self.next:
            raise Broken(f"inbound number {inbound} is expected, although {self.next} was never sent from here")
        if outbound < self.outbound:
            raise Broken(f"outbound number {outbound} comes next, although {self.outbound - 1} was told")
        self._told_to = outbound
        self.expected = inbound
        return self.settle(now)

    def see(self, head: Head, now: int) -> Entry | None:
        """Notice HEAD. Returns the command whose answer is complete thereby."""
        if head.epoch < self.head.epoch:
            raise Broken(f"epoch {head.epoch} follows epoch {self.head.epoch}")
        if head.sequence < self.head.sequence:
            raise Broken(f"head {head.sequence} of epoch {head.epoch} follows head {self.head.sequence}")
        if 0 < self.head.epoch < head.epoch:
            self._epoch_since = head.epoch, self._last_answer_ns
        self.head = head
        return self.settle(now) if head.sequence >= self._group.sequence else None

    def tell(self, row: bytes, now: int) -> Entry | None:
        """A sequenced event row. Returns the command whose answer was complete before it."""
        event = ROW.unpack(row)
        self._check(row, event)
        done = self.settle(now, more=True) if event[_SEQUENCE] != self._group.sequence else None
        if event[_SEQUENCE] != self._group.sequence:
            self._group = Group(event[_SEQUENCE], [])
            self._matched = None
        self.rows.append(row)
        self._group.rows.append(row)
        self._match(event)
        return done

    @property
    def behind(self) -> bool:
        """Whether events are missing that were told before the last login."""
        return self.outbound < self._told_to

    def caught_up(self, now: int) -> Entry | None:
        """Returns the command whose answer is complete with the last event that was missing at the login."""
        return self.settle(now) if self.outbound == self._told_to else None

    def again(self, row: bytes) -> None:
        """An event row out of sequence: one told again, which must be the same as the first time, or a refusal."""
        event = ROW.unpack(row)
        number = event[_OUTBOUND]
        if number == 0 and event[_KIND] == EventKind.REJECTED and event[_REASON] == RejectReason.INBOUND_CONFLICT:
            raise Broken(f"inbound number {named(event)} was taken with other content")
        at = number - self.first_outbound
        if at < 0:
            return
        if at < len(self.rows):
            if self.rows[at] != row:
                raise Broken(f"outbound number {number} was told again with other bytes")
        elif self._ahead.setdefault(number, row) != row:
            raise Broken(f"outbound number {number} was told twice with other bytes")

    def settle(self, now: int, *, more: bool = False) -> Entry | None:
        """The events of the last sequence number are complete: so is the answer among them, if it is one.

        Unless `more` (an event of the next number is there) nothing happens while older events are still to come.
        """
        entry = self._matched
        if entry is None or (not more and self.behind):
            return None
        self._matched = None
        if entry.answered_ns:
            return None
        entry.answered_ns = now
        before = entry.inbound - 1
        while (part := self.entries.get(before)) is not None and part.last == entry.inbound:
            part.answered_ns, before = now, before - 1
        if self._epoch_since is not None:
            self.takeovers.append(Takeover(*self._epoch_since, now))
            self._epoch_since = None
        self._last_answer_ns = now
        return entry

    # ---- within

    def _check(self, row: bytes, event: Columns) -> None:
        if event[_OUTBOUND] != self.outbound:
            raise Broken(f"outbound number {event[_OUTBOUND]} stands where {self.outbound} comes next")
        if event[_SESSION] != self.session:
            raise Broken(f"an event for session {event[_SESSION]} was told to session {self.session}")
        if event[_SEQUENCE] < self._group.sequence:
            raise Broken(f"an event of row {event[_SEQUENCE]} follows one of row {self._group.sequence}")
        if self._ahead.pop(event[_OUTBOUND], row) != row:
            raise Broken(f"outbound number {event[_OUTBOUND]} was told twice with other bytes")

    def _match(self, event: Columns) -> None:
        """Find out whether the event makes its group the answer to a command."""
        inbound = named(event)
        entry = self.entries.get(self.oldest)
        due = self.oldest if entry is None else entry.last
        entry = self.entries.get(due)
        if inbound >= self.first and inbound != due:
            self._correct(inbound, event)
            return
        if entry is None and inbound == due != 0:
            raise Broken(f"inbound number {inbound} was answered, although it was never sent from here")
        if entry is None or self._matched is not None:
            return
        pattern = answering(event, entry.columns)
        if pattern is None:
            if inbound == due:
                raise Broken(f"inbound number {inbound} was answered as another command than the one sent")
            return
        if entry.sent_ns == 0:
            raise Broken(f"inbound number {entry.inbound} was answered before it was sent")
        entry.answer, entry.sure = self._group.rows, pattern.sure
        self._matched = entry
        self.oldest = due + 1

    def _correct(self, inbound: int, event: Columns) -> None:
        """An event names another command than the oldest: one that was taken for answered by what another session did."""
        if inbound > self.oldest:
            raise Broken(f"inbound number {inbound} was answered before {self.oldest}")
        entry = self.entries.get(inbound)
        # The second MassCanceled tells the end of an operation that went on over several rows.
        if entry is None or entry.sequence == event[_SEQUENCE] or event[_KIND] == EventKind.MASS_CANCELED:
            return
        if entry.sure or answering(event, entry.columns) is None:
            raise Broken(f"inbound number {inbound} was answered by rows {entry.sequence} and {event[_SEQUENCE]}")
        entry.answer, entry.sure = self._group.rows, True
