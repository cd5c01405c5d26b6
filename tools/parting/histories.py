"""How a node's events came about: an engine replayed from a state that the node's journal holds, or the node's event store.

A history is only believed if its digest is the one that the journal carries. So a node whose memory was damaged is still
explained: by its own snapshot, which holds the damage, or by the events that it stored.
"""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import chain
from typing import NamedTuple, Protocol

from core.digest import EventDigest
from journal import snapshots
from journal.batch import HEADER_SIZE, BatchKind
from journal.chain import Chain
from journal.directory import JournalDirectory
from journal.errors import CorruptSnapshot, JournalError, UnknownVersion
from journal.event_store import EventStore
from journal.state import check_state
from replicas.replay import Applied
from tools.engines import Engine, EngineRaised, EngineRefused, replayed
from tools.parting.columns import rows_of

_SNAPSHOTS_MAX = 3
_PARTS = 16


class Told(NamedTuple):
    """A command, the event rows it caused, and what the engine raised instead, if it did."""

    sequence: int
    row: bytes
    events: bytes
    error: str = ""


class Start(NamedTuple):
    """A state to begin with, and where it was read."""

    sequence: int
    rows: bytes
    source: str


class State(NamedTuple):
    """State rows after a row."""

    sequence: int
    rows: bytes


class History(Protocol):
    """The events of the rows behind a row `agreed`, and the states, as far as they are known."""

    source: str

    def told(self, last: int) -> Iterator[Told]:
        """The commands behind row `agreed`, up to row `last`, with their events."""

    def state(self, sequence: int) -> State | None:
        """The state after a row, or the first one after it that is known; None if there is none."""

    def digest(self, last: int) -> bytes:
        """The event digest after row `last`. EngineRaised."""


def starts(journal: JournalDirectory, upto: int) -> Iterator[Start]:
    """The states not after row `upto` that the journal holds: its newest sound snapshots, then its segments' own."""
    for sequence in [one for one in reversed(snapshots.stored(journal.snapshots)) if one <= upto][:_SNAPSHOTS_MAX]:
        with suppress(CorruptSnapshot, UnknownVersion):
            path = snapshots.snapshot_path(journal.snapshots, sequence)
            found = snapshots.load(path, journal.header_at(sequence))
            yield Start(sequence, found.rows, f"snapshot {sequence}")
    firsts = [first for first in journal.segments() if first <= upto + 1]
    for first in dict.fromkeys([*firsts[-1:], *firsts[:1]]):
        yield Start(first - 1, journal.segment(first).state(), f"segment {first}")


class Replayed:
    """An engine, replayed from a state up to row `agreed`, and from there as often as is asked."""

    def __init__(self, journal: JournalDirectory, engine: Engine, start: Start, agreed: int) -> None:
        """Failure if the engine does not take the state, EngineRaised if it does not come to the row; JournalError."""
        self.source = f"{engine.name}, from {start.source}"
        self._journal, self._engine, self._start, self._agreed = journal, engine, start, agreed
        engine.restore(start.rows)
        for _ in replayed(journal, engine, to=agreed):
            pass
        self.agreed_digest = engine.digest()
        self.near = engine.state()
        """The state after row `agreed`."""
        self._begin = self.near

    def from_start(self) -> None:
        """Replay from the first state from now on: for an engine that goes on otherwise from a state it wrote itself."""
        self._begin = self._start.rows

    def digest(self, last: int) -> bytes:
        """The event digest after row `last`. EngineRaised."""
        for _ in self._batches(last):
            pass
        return self._engine.digest()

    def _batches(self, last: int) -> Iterator[Applied]:
        try:
            self._engine.restore(self._begin)
        except EngineRefused:
            self.from_start()
            self._engine.restore(self._begin)
        for _ in replayed(self._journal, self._engine, to=min(self._agreed, last)):
            pass
        return replayed(self._journal, self._engine, to=last)

    def told(self, last: int) -> Iterator[Told]:
        """The commands behind row `agreed` with their events; it ends with the row on which the engine raises."""
        done = 0
        try:
            for told in chain.from_iterable(map(split, self._batches(last))):
                yield told
                done = told.sequence
        except EngineRaised as error:
            raised = error
        else:
            return
        # What it said of the rows before, in the same batch, is lost with it.
        again = chain.from_iterable(map(split, self._batches(raised.sequence - 1)))
        yield from (told for told in again if told.sequence > done)
        yield Told(raised.sequence, _row_at(self._journal, raised.sequence), b"", raised.error)

    def state(self, sequence: int) -> State | None:
        """The state after a row; None if the engine raises on the way."""
        try:
            for _ in self._batches(sequence):
                pass
        except EngineRaised:
            return None
        return State(sequence, self._engine.state())

    def command(self, sequence: int) -> bytes:
        """A command as it stands in the journal."""
        return _row_at(self._journal, sequence)

    def states(self, begin: State, rows: Iterable[int]) -> Iterator[State]:
        """The states after these rows, which rise, replayed from a state before them. EngineRaised."""
        self._engine.restore(begin.rows)
        for row in rows:
            for _ in replayed(self._journal, self._engine, to=row):
                pass
            yield State(row, self._engine.state())


def states_part(one: Replayed, other: Replayed, same: State, last: int) -> tuple[State, State] | None:
    """The states after a row, where they differ although they are the same after the row before; not after row `last`.

    `same`: a state that both may begin with. None if the states after row `last` do not differ. What differs for some
    rows and then no more may be passed over. Each round replays a sixteenth of the one before it.
    """
    while same.sequence < last:
        step = max(1, (last - same.sequence) // _PARTS)
        rows = [*range(same.sequence + step, last, step), last]
        found: tuple[State, State] | None = None
        for mine, theirs in zip(one.states(same, rows), other.states(same, rows), strict=True):
            if mine.rows != theirs.rows:
                found, last = (mine, theirs), mine.sequence
                break
            same = mine
        if found is None or step == 1:
            return found
    return None


def split(batch: Applied) -> Iterator[Told]:
    """The commands of a batch, each with its own events."""
    events: dict[int, list[bytes]] = {}
    for event in rows_of(batch.events):
        events.setdefault(_sequence(event), []).append(event)
    for row in rows_of(batch.value[batch.begin : batch.end]):
        sequence = _sequence(row)
        yield Told(sequence, row, b"".join(events.get(sequence, ())))


def _sequence(row: bytes) -> int:
    return int.from_bytes(row[8:16], "little", signed=True)


def _row_at(journal: JournalDirectory, sequence: int) -> bytes:
    return next(_commands(journal, sequence, sequence))


def _commands(journal: JournalDirectory, first: int, last: int) -> Iterator[bytes]:
    chained = Chain()
    for value in journal.batches(first):
        header = chained.feed(value)
        if header.first > last:
            return
        if header.kind == BatchKind.COMMANDS:
            rows = rows_of(value[HEADER_SIZE:])
            yield from (row for row in rows if first <= _sequence(row) <= last)


class Stored:
    """What a node told, as its event store has it; of its states, those that its journal and snapshots hold."""

    source = "its event store"

    def __init__(self, journal: JournalDirectory, agreed: int, near: bytes) -> None:
        """`near`: the state of another node after row `agreed`, for the digest. JournalError if there is no store."""
        self._journal, self._agreed = journal, agreed
        self._base = EventDigest.restore(near, check_state(near).offset)
        self._store = EventStore(journal.events)

    def close(self) -> None:
        """Give the store back."""
        self._store.close()

    def _events(self, last: int) -> Iterator[bytes]:
        for part in self._store.read(self._agreed + 1):
            if part.first > last:
                return
            yield from (event for event in rows_of(part.rows) if self._agreed < _sequence(event) <= last)

    def digest(self, last: int) -> bytes:
        """The digest of the stored events up to row `last`, behind those that both nodes told."""
        digest = EventDigest.restore(self._base.rows(), 0)
        for event in self._events(last):
            digest.feed(event)
        return digest.value()

    def told(self, last: int) -> Iterator[Told]:
        """The commands behind row `agreed` with their events."""
        events = self._events(last)
        event = next(events, None)
        for row in _commands(self._journal, self._agreed + 1, last):
            found = []
            while event is not None and _sequence(event) <= _sequence(row):
                found.append(event)
                event = next(events, None)
            yield Told(_sequence(row), row, b"".join(found))

    def state(self, sequence: int) -> State | None:
        """The first state not before a row that a snapshot or a segment holds."""
        known = [(first - 1, True) for first in self._journal.segments()]
        known += [(at, False) for at in snapshots.stored(self._journal.snapshots)]
        for at, segment in sorted(known):
            if at >= sequence:
                with suppress(JournalError):
                    return State(at, self._rows(at, segment=segment))
        return None

    def _rows(self, at: int, *, segment: bool) -> bytes:
        if segment:
            return self._journal.segment(at + 1).state()
        path = snapshots.snapshot_path(self._journal.snapshots, at)
        return snapshots.load(path, self._journal.header_at(at)).rows


def replayed_as(
    journal: JournalDirectory, engine: Engine, span: tuple[int, int], digests: tuple[bytes, bytes | None]
) -> Replayed | None:
    """The replay of a journal that gives its digests at both ends of a span, from the newest state for which one does.

    None if from no state the engine comes to them; the second one is not looked at if it is None.
    """
    for start in starts(journal, span[0]):
        with suppress(EngineRaised, EngineRefused):
            found = Replayed(journal, engine, start, span[0])
            if found.agreed_digest == digests[0] and digests[1] in {None, found.digest(span[1])}:
                return found
    return None
