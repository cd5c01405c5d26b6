"""Following a node's events from beside it: every instrument's book, every firm's drop copy, and who may read them.

Event store and journal are opened for reading; nothing here touches the writer, and nothing that is read was not
durable before. One step takes one batch of the store, so that whoever serves may answer in between.
"""

from bisect import bisect_right
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from core.kinds import COLUMNS, ROW_SIZE, Role, StateKind
from core.limits import SUM_MAX
from core.messages import AccountState, FirmState, InstrumentState, Row, SessionState, SetCredential
from core.rows import from_row
from journal import snapshots
from journal.batch import HEADER_SIZE, name_of
from journal.check import check, columns
from journal.directory import JournalDirectory
from journal.errors import CorruptBatch, Gap
from journal.event_store import Events, EventStore
from journal.journal import Head
from replicas import soup
from replicas.book_builder import TRADES_KEPT, BookBuilder, Resting
from replicas.drop_copy import FirmSeries, copied_rows
from replicas.errors import FormError
from replicas.market_rows import is_snapshot_request, public_rows, shown_orders, snapshot_packets
from replicas.market_series import Series, Source
from replicas.market_sessions import Granted, Sessions


class InstrumentSeries(Series):
    """An instrument's market data, and the book that follows from it."""

    def __init__(self, source: Source, instrument: int, before: int = 0) -> None:
        super().__init__(source, str(instrument), f"market data of instrument {instrument}", before=before)
        self.book = BookBuilder(instrument, trades_kept=TRADES_KEPT)
        self._packed: tuple[int, bytes] | None = None

    def restore(self, orders: list[Resting], number: int, state: int) -> None:
        """Begin with a book as it stood after a number."""
        self.book.restore(orders, number, state)
        self.last = number

    def rows_in(self, events: bytes) -> Iterator[tuple[int, bytes]]:
        """The instrument's rows without their private columns."""
        return ((number, row) for _, number, row in public_rows(events, self.book.instrument))

    def notices(self) -> bytes:
        """None: market data is rows alone."""
        return b""

    def answer(self, payload: bytes) -> None:
        """A snapshot, if it is a request for one. FormError."""
        if not is_snapshot_request(payload):
            raise FormError("not a request for a snapshot")

    def snapshot(self) -> bytes:
        """The packets of a snapshot of the book as it is now; made once for each market data number."""
        book = self.book
        made = self._packed
        if made is None or made[0] != book.number:
            made = self._packed = (book.number, snapshot_packets(book))
        return made[1]


class MarketFeed:
    """All market data and drop copies up to the events of command `sequence`. After an error nothing of it is good."""

    def __init__(self, events: EventStore, journal: JournalDirectory) -> None:
        """Begin with the newest state that the journal has at hand. Damaged, Gap."""
        self._events = events
        self._journal = journal
        self.instruments: dict[int, InstrumentSeries] = {}
        self.firms: dict[int, FirmSeries] = {}
        self.sessions = Sessions()
        self._firm_of: dict[int, int] = {}
        self._head: Head | None = None
        state = _newest_state(journal, events.head())
        self.sequence = columns(state[:ROW_SIZE])[1]
        self._before = self._numbers_before_the_store(state)
        self._load(state)

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

    def _load(self, rows: bytes) -> None:
        orders = shown_orders(_state_rows(rows, _BOOKS))
        instruments = []
        for row in _state_rows(rows, _WANTED):
            match row:
                case InstrumentState():
                    instruments.append(row)
                case FirmState():
                    self._firm(row.firm, row.drop_copy)
                case AccountState():
                    self._firm_of[row.account] = row.firm
                case SessionState():
                    self.sessions.load(row)
                case _:
                    raise AssertionError(f"a state row was not asked for: {row}")
        for terms in instruments:
            self._instrument(terms.instrument).restore(orders.get(terms.instrument, []), terms.market_data, terms.state)

    def _instrument(self, number: int) -> InstrumentSeries:
        if number not in self.instruments:
            before = self._before.get((StateKind.INSTRUMENT, number), 0)
            self.instruments[number] = InstrumentSeries(self, number, before)
        return self.instruments[number]

    def _firm(self, number: int, last: int = 0) -> FirmSeries:
        if number not in self.firms:
            before = self._before.get((StateKind.FIRM, number), 0)
            self.firms[number] = FirmSeries(self, number, self._firm_of, last=last, before=before)
        return self.firms[number]

    def _numbers_before_the_store(self, state: bytes) -> dict[tuple[StateKind, int], int]:
        """The last number of each instrument and firm whose row the store does not hold any more."""
        first = next((events.first for events in self._events.read()), self.sequence + 1)
        if first == 1:
            return {}
        rows = self._journal.segment(first).state() if first in self._journal.segments() else state
        found: dict[tuple[StateKind, int], int] = {}
        for row in _state_rows(rows, _NUMBERED):
            if isinstance(row, InstrumentState):
                found[StateKind.INSTRUMENT, row.instrument] = row.market_data
            elif isinstance(row, FirmState):
                found[StateKind.FIRM, row.firm] = row.drop_copy
        return found

    def wanted(self, granted: Granted, name: str) -> Series | None:
        """What a session reads that asks for this name; None if there is nothing of that name for it."""
        if granted.role == Role.DROP_COPY:
            return self.firms.get(granted.firm) if name in ("", soup.VENUE) else None
        return self.instruments.get(int(name)) if name.isdecimal() else None

    def step(self) -> dict[Series, list[bytes]] | None:
        """Take the next batch of events: the new rows of each series, in order; None if there is none yet.

        Gap, CorruptEvents, Impossible: the store does not hold what the engine wrote.
        """
        events = next(self._events.read(self.sequence + 1), None)
        if events is None:
            return None
        if events.first > self.sequence + 1:
            raise Gap(f"events {events.first}-{events.last}", f"those of command {self.sequence + 1} are missing")
        if events.first <= self.sequence:
            events = _behind(events, self.sequence)
        self.sessions.follow(events.rows, self._command)
        told: dict[Series, list[bytes]] = {}
        for number, market_data, row in public_rows(events.rows):
            instrument = self._instrument(number)
            instrument.book.apply(row)
            instrument.add(market_data, events.first)
            told.setdefault(instrument, []).append(row)
        for number, drop_copy, row in copied_rows(events.rows, self._firm_of):
            firm = self._firm(number)
            firm.add(drop_copy, events.first)
            told.setdefault(firm, []).append(row)
        self.sequence = events.last
        return told

    def catch_up(self) -> None:
        """Take every batch that is there."""
        while self.step() is not None:
            pass

    def events(self, sequence: int) -> Iterator[Events]:
        """The batches of events from the one on that holds the command's. CorruptEvents."""
        return self._events.read(sequence)

    def head(self) -> Head:
        """The end of the journal that the events taken are part of. CorruptBatch, Gap."""
        if self._head is None or self._head.sequence < self.sequence:
            header = self._journal.header_at(self.sequence)
            if header is None:
                # The store was made again in other batches than the journal's, and this one ends within one of those.
                value = next(self._journal.batches(self.sequence), None)
                header = check(value) if value is not None else None
            if header is None or header.last < self.sequence:
                raise Gap(f"batch of command {self.sequence}", "the journal does not hold it")
            self._head = Head(header.epoch, header.last, header.hash)
        return self._head

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


_NUMBERED: Final = frozenset(map(int, (StateKind.INSTRUMENT, StateKind.FIRM)))
_WANTED: Final = _NUMBERED | frozenset(map(int, (StateKind.ACCOUNT, StateKind.SESSION)))
_BOOKS: Final = frozenset(map(int, (StateKind.ORDER, StateKind.TERMS)))


def _state_rows(rows: bytes, kinds: frozenset[int]) -> Iterator[Row]:
    """The state rows of these kinds."""
    for at, kind in enumerate(columns(rows)[::COLUMNS]):
        if kind in kinds:
            yield from_row(rows, at * ROW_SIZE)


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
