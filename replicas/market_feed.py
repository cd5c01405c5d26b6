"""Following a node's events from beside it: every instrument's book, where its rows lie, and who may read them.

Event store and journal are opened for reading; nothing here touches the writer, and nothing that is read was not
durable before. One step takes one batch of the store, so that whoever serves may answer in between.
"""

from bisect import bisect_right
from collections.abc import Iterator
from pathlib import Path
from typing import Final, cast

from core.kinds import C8, C9, COLUMNS, ROW_SIZE, EventKind, Role, StateKind
from core.limits import SUM_MAX
from core.messages import InstrumentState, OrderState, SessionState, SetCredential
from core.rows import from_row
from journal import snapshots
from journal.batch import HEADER_SIZE, name_of
from journal.check import check, columns
from journal.directory import JournalDirectory
from journal.errors import CorruptBatch, Gap
from journal.event_store import Events, EventStore
from replicas.book_builder import TRADES_KEPT, BookBuilder, Resting
from replicas.market_rows import public_rows, snapshot_packets
from replicas.passwords import Credential, HasCredential, unpack

INDEXED: Final = 256
"""Of every so many market data numbers of an instrument, the place of one is kept,"""
COMMANDS: Final = 65_536
"""and of the first one after so many commands: with the two, no search reads more than that in vain."""


class _Places:
    """Where the rows of an instrument lie in the event store: the batch (by a sequence number in it) of some of them."""

    def __init__(self) -> None:
        self._numbers: list[int] = []
        self._sequences: list[int] = []

    def add(self, number: int, sequence: int) -> None:
        """The row with this market data number lies in the batch with this sequence number."""
        known = bool(self._numbers)
        if not known or number >= self._numbers[-1] + INDEXED or sequence >= self._sequences[-1] + COMMANDS:
            self._numbers.append(number)
            self._sequences.append(sequence)

    def at_or_before(self, number: int) -> int:
        """A sequence number from which on the row is found; 1 for what was told before the following began."""
        at = bisect_right(self._numbers, number)
        return self._sequences[at - 1] if at else 1


class MarketFeed:
    """Every instrument's market data up to the events of command `sequence`. After an error nothing of it is good."""

    def __init__(self, events: EventStore, journal: JournalDirectory) -> None:
        """Begin with the newest state that the journal has at hand. Damaged, Gap."""
        self._events = events
        self._journal = journal
        self.books: dict[int, BookBuilder] = {}
        self.sessions: dict[int, Credential | None] = {}
        """MARKET_DATA sessions, each with what its password is checked against; None as long as it has no password."""
        self._places: dict[int, _Places] = {}
        self._packed: dict[int, tuple[int, bytes]] = {}
        self.sequence = self._load(_newest_state(journal, events.head()))
        self._before = self._numbers_before_the_store()

    @classmethod
    def open(cls, path: Path) -> "MarketFeed":
        """Follow the node whose data directory this is, from another process. NotAJournal, AlreadyOpen, Damaged."""
        journal = JournalDirectory(path)
        try:
            events = EventStore(journal.events)
        except BaseException:
            journal.close()
            raise
        try:
            return cls(events, journal)
        except BaseException:
            events.close()
            journal.close()
            raise

    def _load(self, rows: bytes) -> int:
        orders: dict[int, list[Resting]] = {}
        sequence = columns(rows[:ROW_SIZE])[1]
        instruments = []
        for kind, at in _state_rows(rows):
            row = from_row(rows, at)
            if isinstance(row, InstrumentState):
                instruments.append(row)
            elif isinstance(row, SessionState) and row.role == Role.MARKET_DATA:
                self.sessions[row.session] = _credential(row)
            elif isinstance(row, OrderState):
                resting = Resting(row.order_number, row.flags & 1, row.price, row.leaves)
                orders.setdefault(row.instrument, []).append(resting)
            elif kind != StateKind.SESSION:
                raise AssertionError(f"state rows of kind {kind} were not asked for")
        for row in instruments:
            self._book(row.instrument).restore(orders.get(row.instrument, ()), row.market_data, row.state)
        return sequence

    def _book(self, instrument: int) -> BookBuilder:
        if instrument not in self.books:
            self.books[instrument] = BookBuilder(instrument, trades_kept=TRADES_KEPT)
            self._places[instrument] = _Places()
        return self.books[instrument]

    def _numbers_before_the_store(self) -> dict[int, int]:
        """The last market data number of each instrument whose row the store does not hold any more."""
        first = next((events.first for events in self._events.read()), self.sequence + 1)
        if first == 1:
            return {}
        if first not in self._journal.segments():
            return {number: book.number for number, book in self.books.items()}
        rows = self._journal.segment(first).state()
        found = (from_row(rows, at) for kind, at in _state_rows(rows) if kind == StateKind.INSTRUMENT)
        return {row.instrument: row.market_data for row in found if isinstance(row, InstrumentState)}

    def oldest(self, instrument: int) -> int:
        """The first market data number that can be told again."""
        return self._before.get(instrument, 0) + 1

    def step(self) -> dict[int, list[bytes]] | None:
        """Take the next batch of events: the new rows of each instrument, in order; None if there is none yet.

        Gap, CorruptEvents, Impossible: the store does not hold what the engine wrote.
        """
        events = next(self._events.read(self.sequence + 1), None)
        if events is None:
            return None
        if events.first > self.sequence + 1:
            raise Gap(f"events {events.first}-{events.last}", f"those of command {self.sequence + 1} are missing")
        if events.first <= self.sequence:
            events = _behind(events, self.sequence)
        self._follow_sessions(events)
        told: dict[int, list[bytes]] = {}
        for instrument, number, row in public_rows(events.rows):
            self._book(instrument).apply(row)
            self._places[instrument].add(number, events.first)
            told.setdefault(instrument, []).append(row)
        self.sequence = events.last
        return told

    def catch_up(self) -> None:
        """Take every batch that is there."""
        while self.step() is not None:
            pass

    def rows_from(self, instrument: int, number: int) -> Iterator[list[bytes]]:
        """The instrument's rows from a number on, up to the last one taken: a list, often empty, for each batch read.

        At the end nothing that has been taken is missing, as long as no step comes between. Gap, CorruptEvents.
        """
        book = self.books[instrument]
        batches = self._events.read(self._places[instrument].at_or_before(number))
        while number <= book.number:
            events = next(batches, None)
            if events is None or events.first > self.sequence:
                raise Gap(f"market data {number} of instrument {instrument}", "the event store does not hold it")
            rows = []
            for _, found, row in public_rows(events.rows, instrument):
                if found > number:
                    raise Gap(f"market data {found} of instrument {instrument}", f"{number} comes before it")
                if found == number:
                    rows.append(row)
                    number += 1
            yield rows

    def snapshot(self, instrument: int) -> bytes:
        """The packets of a snapshot of the instrument's book as it is now; made once for each market data number."""
        book = self.books[instrument]
        made = self._packed.get(instrument)
        if made is None or made[0] != book.number:
            made = self._packed[instrument] = (book.number, snapshot_packets(book))
        return made[1]

    def _follow_sessions(self, events: Events) -> None:
        data = columns(events.rows)
        for at, kind in enumerate(data[::COLUMNS]):
            if kind not in _ABOUT_SESSIONS:
                continue
            sequence, grantee, value = (data[at * COLUMNS + place // 8] for place in (8, C8, C9))
            if kind == EventKind.SESSION_GRANTED:
                if value == Role.MARKET_DATA:
                    self.sessions.setdefault(grantee, None)
            elif grantee in self.sessions:
                # The event says that it took effect and hides the hash, which stands in the command.
                self.sessions[grantee] = _credential(self._command(sequence))

    def _command(self, sequence: int) -> SetCredential:
        value = next(self._journal.batches(sequence))
        header = check(value)
        row = from_row(value, HEADER_SIZE + (sequence - header.first) * ROW_SIZE)
        if not isinstance(row, SetCredential) or row.sequence != sequence:
            raise CorruptBatch(name_of(header), f"row {sequence} is not the SetCredential that its event answers")
        return row

    def close(self) -> None:
        """Give event store and journal back; harmless when done twice."""
        self._events.close()
        self._journal.close()


_ABOUT_SESSIONS: Final = frozenset((int(EventKind.SESSION_GRANTED), int(EventKind.CREDENTIAL_SET)))
_WANTED: Final = frozenset(map(int, (StateKind.INSTRUMENT, StateKind.SESSION, StateKind.ORDER)))


def _state_rows(rows: bytes) -> Iterator[tuple[int, int]]:
    """Kind and offset of the state rows that market data is made of."""
    for at, kind in enumerate(columns(rows)[::COLUMNS]):
        if kind in _WANTED:
            yield kind, at * ROW_SIZE


def _credential(row: SessionState | SetCredential) -> Credential | None:
    # Both have the columns; the protocol says nothing of who may write them.
    return unpack(cast("HasCredential", row))


def _newest_state(journal: JournalDirectory, upto: int) -> bytes:
    """The state rows of the newest sound snapshot not after a row, or of the current segment where that is newer."""
    found = snapshots.newest(journal.snapshots, min(upto, SUM_MAX), journal)
    if found is not None and found.semantics == journal.semantics and found.sequence >= journal.first - 1:
        return found.rows
    return journal.state()


def _behind(events: Events, sequence: int) -> Events:
    """The events of the commands after a sequence number."""
    numbers = columns(events.rows)[1::COLUMNS]
    return Events(sequence + 1, events.last, events.rows[bisect_right(numbers, sequence) * ROW_SIZE :])
