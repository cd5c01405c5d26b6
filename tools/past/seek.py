"""Going to a row of a journal: from the nearest state before it, or onwards from where the last question led."""

import gc
import struct
from bisect import bisect_left
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

from core.kinds import ROW_SIZE
from core.machine import Machine
from core.messages import InstrumentState
from journal.batch import HEADER_SIZE
from journal.check import check
from journal.directory import JournalDirectory
from journal.errors import WrongSemantics
from replicas.replay import Applied, Watch
from tools.event_rows import CommandRow, command_rows
from tools.failures import Failure
from tools.past.answers import Trade
from tools.past.places import Places
from tools.past.state import VenueState, decimals
from tools.past.traces import LastTrades, OrderTrace
from tools.reading import applied

Sees = Callable[[Applied], bool]
"""Is shown each batch that is applied; whether to stop there."""


class Reached(NamedTuple):
    """The state at a row, and the matches that were seen on the way to it."""

    state: VenueState
    trades: LastTrades


class Seeker:
    """Finds states, keeps the machine that it went with, and fills the cache if there is one."""

    def __init__(self, journal: JournalDirectory, cache: Path | None, every: int, watch: Watch | None) -> None:
        self.journal = journal
        self.places = Places(journal, cache)
        self._every = every if cache is not None else 0
        self._watch = watch
        self._machine: Machine | None = None
        self._trades = LastTrades(0)
        self._sure = True
        self._begun = False
        self._size = 0
        self._kept = 0

    def reach(self, sequence: int) -> Reached:
        """The state after a row of this journal. JournalError, Failure."""
        if not self._stands_at(sequence) and (state := self._state_at(sequence)) is not None:
            return Reached(state, LastTrades(sequence))
        self._go(sequence)
        return self._taken()

    def is_near(self, sequence: int) -> bool:
        """Whether the state after a row is at hand, without a row to be applied."""
        return self._stands_at(sequence) or bool(self.places.between(sequence, sequence))

    def _stands_at(self, sequence: int) -> bool:
        return self._machine is not None and self._machine.engine.sequence == sequence

    def _state_at(self, sequence: int) -> VenueState | None:
        """The state at a place, if one is just there."""
        if not self.places.between(sequence, sequence):
            return None
        rows = self.places.rows(sequence)
        return VenueState(rows) if rows is not None else None

    def _taken(self) -> Reached:
        """What the machine has come to."""
        assert self._machine is not None
        reached = Reached(VenueState(self._machine.rows()), self._trades.copy())
        self._drop_unsure()
        return reached

    def _drop_unsure(self) -> None:
        """Forget a machine that applied rows for which a quarantine may still come: they will be applied again."""
        if not self._sure:
            self._machine = None

    def _go(self, sequence: int) -> None:
        """Bring the machine to a row."""
        begins = self.places.segment_of(sequence)
        for place in reversed(self.places.between(begins, sequence)):
            # To read a state costs about as much as to apply as many rows as it has.
            if self._machine is not None and place - self._size <= self._machine.engine.sequence <= sequence:
                break
            rows = self.places.rows(place)
            if rows is not None:
                self._begin(rows, place)
                break
        self._run(sequence)

    def _begin(self, rows: bytes, place: int) -> None:
        self._machine = None
        if self._begun:
            # The orders of the last machine hold each other: only a collection gives their memory back.
            gc.collect()
        self._begun, self._size = True, len(rows) // ROW_SIZE
        with collector_off():
            try:
                self._machine = Machine.restore(rows)
            except ValueError as error:
                raise Failure(f"the state after row {place}: {error}") from None
        self._trades = LastTrades(place)
        self._sure, self._kept = True, place

    def _run(self, to: int, sees: Sees | None = None) -> None:
        """Apply what follows, up to row `to` or to where `sees` says so. JournalError, Failure."""
        machine, self._machine = self._machine, None
        assert machine is not None
        settled = self.places.settled()
        with collector_off():
            for batch in applied(self.journal, machine, to):
                self._trades.feed(batch, sum(map(bool, machine.engine.instruments)))
                if self._every and machine.engine.sequence >= self._kept + self._every:
                    self._keep(machine, batch, settled)
                if self._watch is not None:
                    self._watch(machine.engine.sequence, to)
                if sees is not None and sees(batch):
                    break
        self._machine, self._sure = machine, machine.engine.sequence <= settled

    def _keep(self, machine: Machine, batch: Applied, settled: int) -> None:
        """Keep the state after a batch in the cache, if all of it was applied and nothing can change it."""
        if machine.engine.sequence == batch.header.last <= settled:
            self.places.keep(machine.rows(), batch.header)
            self._kept = batch.header.last

    def fill(self) -> int:
        """Write what the cache lacks between the first row and the last that is settled; how many rows were applied."""
        end, count = self.places.settled(), 0
        first = self.places.first_replayable(end)
        for place in reversed(self.places.good(first, end)):
            # Snapshots stand where batches end, so that two of them are rarely just so far apart.
            if end - place > self._every * 3 // 2:
                rows = self.places.rows(place)
                if rows is None:
                    continue
                self._begin(rows, place)
                self._run(end)
                count += end - place
            end = place
        return count

    # ---- what a state alone does not tell

    def command(self, sequence: int) -> CommandRow:
        """A command of the journal; its batch is verified by itself. CorruptBatch."""
        value = next(self.journal.batches(sequence))
        header = check(value)
        at = HEADER_SIZE + (sequence - header.first) * ROW_SIZE
        return next(command_rows(value, at, at + ROW_SIZE))

    def end_of(self, number: int, upto: int) -> OrderTrace | Reached:
        """How an order ended by row `upto`; or the state there, where it was open or not accepted yet. JournalError, Failure."""
        first = self.places.first_replayable(upto)
        places, low, begin = self.places.between(first, upto), 0, None
        high = len(places)
        # Once gone, an order is gone in every later state: find the last state in which it is not. Most end soon after they
        # were accepted, and to check a state takes long.
        at = bisect_left([*accumulate(map(self.places.orders_by, places), max)], number)
        guesses = iter((at - 1, at, at - 2, at + 1, at + 3))
        while low < high:
            middle = next((guess for guess in guesses if low <= guess < high), (low + high) // 2)
            state = self._state_at(places[middle])
            if state is None:
                del places[middle]
                high -= 1
            elif state.is_gone(number):
                high = middle
            else:
                low, begin = middle + 1, state
        if begin is None:
            raise Failure(f"order {number} ended by row {first}, where what this release can replay begins")
        trace = self._trace(number, begin, places[high] if high < len(places) else upto)
        if trace.ended is None:
            return self._taken()
        self._drop_unsure()
        return trace

    def _trace(self, number: int, begin: VenueState, to: int) -> OrderTrace:
        at = begin.place_of(number)
        trace = OrderTrace(number, begin.order(at) if at is not None else None, begin.terms(number))

        def ended(batch: Applied) -> bool:
            trace.feed(batch)
            return trace.ended is not None

        self._begin(begin.rows, begin.engine.sequence)
        self._run(to, ended)
        if trace.order is not None:
            self._name(trace, trace.order.instrument)
        return trace

    def _name(self, trace: OrderTrace, number: int) -> None:
        """What the trace of an order says of its instrument, which was listed by then."""
        instrument = self._machine.engine.instrument(number) if self._machine is not None else None
        assert instrument is not None
        trace.symbol = struct.pack("<2q", instrument.symbol_0, instrument.symbol_1).rstrip(b"\0").decode("ascii")
        trace.decimals = decimals(instrument.flags)

    def last_trade(self, instrument: int, reached: Reached) -> tuple[Trade | None, int]:
        """The last match of an instrument; if there is none, the row after which that is known, 0 for all rows."""
        trade, end = reached.trades.trades.get(instrument), reached.trades.since
        if trade is not None or reached.state.engine.match_numbers == 0:
            return trade, 0
        try:
            first = self.places.first_replayable(reached.state.engine.sequence)
        except WrongSemantics:
            return None, end
        return self._last_before(instrument, first, end)

    def _last_before(self, instrument: int, first: int, end: int) -> tuple[Trade | None, int]:
        """The same, for what stands between two places: stretch by stretch, backwards."""
        later: VenueState | None = None
        for place in reversed(self.places.between(first, end)):
            state = self._state_at(place)
            if state is None:
                continue
            if place < end and (later is None or _may_have_traded(instrument, state, later)):
                self._begin(state.rows, place)
                self._run(end)
                self._drop_unsure()
                if trade := self._trades.trades.get(instrument):
                    return trade, 0
            later, end = state, place
        return None, end if later is not None and later.engine.match_numbers else 0


def _may_have_traded(instrument: int, before: VenueState, after: VenueState) -> bool:
    """Whether the instrument may have traded between two states: each match takes a number of each."""
    if before.engine.match_numbers == after.engine.match_numbers:
        return False
    return _told(instrument, before) != _told(instrument, after)


def _told(instrument: int, state: VenueState) -> int:
    row = state.listed.get(instrument, InstrumentState())
    return row.market_data


@contextmanager
def collector_off() -> Iterator[None]:
    """No garbage collection, which would look at all resting orders again and again. A command that ends soon needs none."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
