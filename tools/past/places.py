"""Where the state of a venue can be read without applying a row: where segments begin, and in snapshots.

The snapshots are those beside the journal, and those of a cache of our own, which stands elsewhere and is denser. Both
are checked before use, against themselves and against the journal, and one that fails is passed over.
"""

from collections import deque
from contextlib import suppress
from pathlib import Path

from core.messages import EngineState
from core.rows import layout
from core.state import SEMANTICS
from journal import snapshots
from journal.batch import BatchKind, Header, read_header
from journal.directory import JournalDirectory
from journal.errors import CorruptBatch, CorruptSnapshot, UnknownVersion, WrongSemantics
from replicas.replay import is_quarantine, quarantines
from tools.failures import Misuse

_ORDER_NUMBERS = next(8 * field.column for field in layout(EngineState) if field.name == "order_numbers")


class Places:
    """The states at hand, by the sequence number of the last row that each includes."""

    def __init__(self, journal: JournalDirectory, cache: Path | None = None) -> None:
        """Misuse for a cache that stands in the journal's directory, or is a file."""
        if cache is not None and cache.resolve().is_relative_to(journal.path.resolve()):
            raise Misuse(f"cache {cache}: stands in the journal, where nothing is written: name another directory")
        if cache is not None and cache.exists() and not cache.is_dir():
            raise Misuse(f"cache {cache}: not a directory")
        self._journal = journal
        self._cache = cache
        self._bad: set[int] = set()

    def between(self, first: int, last: int) -> list[int]:
        """The places from row `first` to row `last`, both included, in order; whether they are good is not looked at."""
        found = {segment - 1 for segment in self._journal.segments()}
        for folder in self._folders():
            found.update(snapshots.stored(folder))
        return sorted(place for place in found - self._bad if first <= place <= last)

    def good(self, first: int, last: int) -> list[int]:
        """The same without snapshots that are damaged, each of which is read; the segments' own states are not."""
        begun = set(self._journal.segments())
        return [place for place in self.between(first, last) if place + 1 in begun or self.rows(place) is not None]

    def _folders(self) -> list[Path]:
        return [self._journal.snapshots, *([self._cache] if self._cache is not None else [])]

    def rows(self, place: int) -> bytes | None:
        """The state rows at a place; None if no good one stands there. CorruptBatch for a segment's own state."""
        if place + 1 in self._journal.segments():
            return self._journal.segment(place + 1).state()
        for folder in self._folders():
            path = snapshots.snapshot_path(folder, place)
            if path.exists():
                with suppress(CorruptSnapshot, UnknownVersion, CorruptBatch):
                    return snapshots.load(path, self._journal.header_at(place)).rows
        self._bad.add(place)
        return None

    def orders_by(self, place: int) -> int:
        """How many orders were accepted by a place, as its snapshot says, which is not checked: a hint where to look first.

        0 where that is not known.
        """
        for folder in self._folders():
            with suppress(OSError), snapshots.snapshot_path(folder, place).open("rb") as file:
                file.seek(snapshots.SNAPSHOT_HEADER_SIZE + _ORDER_NUMBERS)
                return int.from_bytes(file.read(8), "little")
        return 0

    def segment_of(self, sequence: int) -> int:
        """The place where the segment begins that holds a row. WrongSemantics if this release cannot apply its rows."""
        firsts = self._journal.segments()
        first = max((first for first in firsts if first <= sequence), default=firsts[0])
        semantics = self._journal.segment(first).semantics
        if semantics != SEMANTICS:
            reason = f"semantics {semantics}; this release applies {SEMANTICS}, and answers at its snapshots alone"
            raise WrongSemantics(f"segment {first}", reason)
        return first - 1

    def first_replayable(self, sequence: int) -> int:
        """The first place from which this release can apply every row up to `sequence`. WrongSemantics."""
        oldest = self.segment_of(sequence)
        for first in reversed(self._journal.segments()):
            if first <= oldest:
                if self._journal.segment(first).semantics != SEMANTICS:
                    break
                oldest = first - 1
        return oldest

    def keep(self, rows: bytes, header: Header) -> None:
        """Write a snapshot of the state after this batch into the cache, if there is one. OSError, CorruptSnapshot."""
        if self._cache is not None:
            snapshots.write(self._cache, rows, header)
            self._bad.discard(header.last)

    def settled(self) -> int:
        """The last row whose effect no later batch can change: a quarantine may still come for those of the last batch."""
        head = self._journal.head().sequence
        end = deque(self._journal.batches(max(1, head)), maxlen=1)
        if not end or read_header(end[0]).kind != BatchKind.COMMANDS:
            return head
        last = end[0]
        if is_quarantine(last):
            last = next(self._journal.batches(min(quarantines([last]))))
        return read_header(last).first - 1
