"""What a drill compares: the ledgers of the clients with the journal, and the journals of the nodes with each other.

The journal is replayed here, with every check of a replay, by an engine of the drill's own; what it says of each command
is the truth that ledgers, digests and snapshots are held against.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import Final

from core.kinds import INBOUND, ROW_SIZE, SESSION
from core.machine import Machine
from journal import snapshots
from journal.batch import name_of, read_header
from journal.errors import Damaged, Diverged, Gap
from journal.journal import Head, Journal
from replicas.client_ledger import Entry, Ledger
from replicas.replay import Applied, replay, start

NOTES_MAX: Final = 20
"""Findings that are told with their numbers; all are counted."""
_SEQUENCE_AT, _OUTBOUND_AT = 8, 32

Command = tuple[int, int]
"""Session and inbound number."""


@dataclass
class Findings:
    """What was compared, and what was found; everything but the first two must be 0."""

    acknowledged: int = 0
    """Commands whose answers were compared."""
    told: int = 0
    """Event rows told to clients that were compared."""
    lost: int = 0
    """Answers, event rows and heads that a client has and the journal has not."""
    doubled: int = 0
    """Commands that the journal holds more than once, and outbound numbers that were given twice."""
    different: int = 0
    """Answers and event rows that are in the journal with other bytes; journals, digests and snapshots that differ."""
    notes: list[str] = field(default_factory=list)
    """The first findings, one line each."""

    def good(self) -> bool:
        """Whether nothing was found."""
        return not (self.lost or self.doubled or self.different)

    def note(self, kind: str, line: str) -> None:
        """Count a finding: `lost`, `doubled` or `different`."""
        setattr(self, kind, getattr(self, kind) + 1)
        if len(self.notes) < NOTES_MAX:
            self.notes.append(f"{kind}: {line}")


class Truth:
    """What a journal says of the commands of every session, and of what each session was told."""

    def __init__(self) -> None:
        self.answers: dict[Command, list[list[bytes]]] = {}
        """By command: its event rows to the session, once for each time that it took effect."""
        self.rows: dict[tuple[int, int], list[bytes]] = {}
        """By session and outbound number: the event rows."""
        self._told: dict[int, int] = {}

    def told(self, session: int) -> int:
        """The last outbound number of a session; 0 if it was told nothing."""
        return self._told.get(session, 0)

    def add(self, rows: bytes, events: bytes) -> None:
        """Take command rows as they stand in the journal, and the events of just these."""
        answers: dict[tuple[int, int], list[bytes]] = {}
        for event in cut(events):
            session, outbound = number(event, SESSION), number(event, _OUTBOUND_AT)
            if outbound:
                self.rows.setdefault((session, outbound), []).append(event)
                self._told[session] = max(outbound, self._told.get(session, 0))
                answers.setdefault((number(event, _SEQUENCE_AT), session), []).append(event)
        for row in cut(rows):
            session = number(row, SESSION)
            answer = answers.get((number(row, _SEQUENCE_AT), session))
            if session and answer:
                self.answers.setdefault((session, number(row, INBOUND)), []).append(answer)


class Auditor:
    """Replays a journal as it grows, and keeps what it says; `forget` drops what was compared."""

    def __init__(self, journal: Journal) -> None:
        """Begin with the state of the journal's current segment."""
        self.machine: Machine = start(journal, upto=journal.first - 1)
        self.truth = Truth()
        self.digests: dict[int, bytes] = {}
        """Event digests by sequence number, where batches end."""

    @property
    def sequence(self) -> int:
        """The last row replayed."""
        return int(self.machine.engine.sequence)

    def advance(self, journal: Journal, wanted: Iterable[int] = ()) -> dict[int, bytes]:
        """Replay what the journal has more; the state rows after the wanted sequence numbers that end a batch.

        Damaged, EventsDiffer and what else a replay raises.
        """
        states: dict[int, bytes] = {}
        ends = set(wanted)
        self._keep(ends, states)
        for applied in replay(journal, self.machine):
            self._take(applied)
            self._keep(ends, states)
        return states

    def _take(self, applied: Applied) -> None:
        self.truth.add(applied.value[applied.begin : applied.end], applied.events)

    def _keep(self, ends: set[int], states: dict[int, bytes]) -> None:
        self.digests[self.sequence] = self.machine.digest.value()
        if self.sequence in ends:
            states[self.sequence] = self.machine.rows()

    def forget(self) -> None:
        """Drop what was compared; the last digest stays."""
        self.truth = Truth()
        self.digests = {self.sequence: self.digests[self.sequence]}


def compare_ledger(ledger: Ledger, truth: Truth, findings: Findings) -> None:
    """Every answer that a client has is in the journal, once and equal, and so is every event row it was told."""
    for entry in ledger.entries.values():
        if entry.answered_ns:
            findings.acknowledged += 1
            _compare_answer(ledger.session, entry, truth, findings)
    for outbound, row in enumerate(ledger.rows, start=ledger.first_outbound):
        findings.told += 1
        found = truth.rows.get((ledger.session, outbound), [])
        where = f"session {ledger.session}, outbound number {outbound}"
        _judge(where, [[one] for one in found], [row], findings)
    if truth.told(ledger.session) >= ledger.outbound:
        findings.note("lost", f"session {ledger.session}: outbound number {ledger.outbound} was never told to it")


def _compare_answer(session: int, entry: Entry, truth: Truth, findings: Findings) -> None:
    where = f"session {session}, inbound number {entry.inbound}"
    _judge(where, truth.answers.get((session, entry.inbound), []), entry.answer, findings)


def _judge(where: str, found: list[list[bytes]], expected: list[bytes], findings: Findings) -> None:
    if not found:
        findings.note("lost", f"{where}: the journal does not have it")
    elif len(found) > 1:
        findings.note("doubled", f"{where}: the journal has it {len(found)} times")
    elif found[0] != expected:
        findings.note("different", f"{where}: the journal says something else")


def compare_head(ledger: Ledger, journal: Journal, findings: Findings) -> None:
    """The highest head that a client has seen is in the journal."""
    head: Head = ledger.head
    if head.epoch == 0:
        return
    try:
        journal.after(head)
    except Gap:
        findings.note(
            "lost", f"session {ledger.session}: head {head.sequence} of epoch {head.epoch} is beyond the journal"
        )
    except Diverged:
        findings.note("different", f"session {ledger.session}: another batch stands at head {head.sequence}")


def compare_journals(one: Journal, other: Journal, first: int, findings: Findings) -> None:
    """Both journals hold the same bytes from row `first` on, up to the same head; the later of two begins counts."""
    begin = max(first, _begin(one), _begin(other))
    for mine, theirs in zip_longest(_from(one, begin), _from(other, begin)):
        if mine != theirs:
            name = name_of(read_header(mine or theirs or b""))
            findings.note("different", f"{name}: the journals of the two nodes differ")
            return


def _begin(journal: Journal) -> int:
    for value in journal.batches():
        return read_header(value).first
    return journal.first


def _from(journal: Journal, first: int) -> Iterator[bytes]:
    """The batches from a row on, without what stands between it and the batch before."""
    return (value for value in journal.batches(first) if read_header(value).first >= first)


def compare_digest(name: str, applied: int, digest: str, auditor: Auditor, findings: Findings) -> None:
    """A node's running event digest is that of the replay; `digest` in hexadecimal digits, after row `applied`."""
    ours = auditor.digests.get(applied)
    if ours is None:
        findings.note("different", f"{name}: says that it applied up to row {applied}, where no batch ends")
    elif ours.hex() != digest:
        findings.note("different", f"{name}: its event digest after row {applied} is another one")


def compare_snapshots(name: str, folder: Path, journal: Journal, states: dict[int, bytes], findings: Findings) -> int:
    """Each of a node's snapshots, at the sequence numbers of `states`, holds the state of the replay; how many did."""
    good = 0
    for sequence, rows in states.items():
        path = snapshots.snapshot_path(folder, sequence)
        if not path.exists():
            continue
        try:
            found = snapshots.load(path, journal.header_at(sequence)).rows
        except Damaged as error:
            findings.note("different", f"{name}: {error}")
            continue
        if found == rows:
            good += 1
        else:
            findings.note("different", f"{name}: snapshot {sequence} holds another state")
    return good


def cut(rows: bytes) -> Iterator[bytes]:
    """Rows one by one."""
    return (rows[at : at + ROW_SIZE] for at in range(0, len(rows), ROW_SIZE))


def number(row: bytes, at: int) -> int:
    """The column of a row at a byte offset."""
    return int.from_bytes(row[at : at + 8], "little", signed=True)
