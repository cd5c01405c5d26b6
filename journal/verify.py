"""Verification of a whole journal directory: every chain, state, snapshot and event, and how they agree.

Run it from another process than the writer's, or on a closed journal: LMDB allows one handle per process.
"""

from collections.abc import Callable
from functools import partial
from itertools import islice
from pathlib import Path

import lmdb
import lmdb.verify

from core.digest import EventDigest
from core.kinds import ROW_SIZE
from journal.batch import COUNTERFACTUAL, BatchKind, Header, read_header
from journal.chain import Chain
from journal.directory import EVENTS, SEGMENTS, SNAPSHOTS, segment_firsts, segment_name
from journal.errors import AlreadyOpen, CorruptBatch, CorruptSnapshot, JournalError, Locked, NotAJournal
from journal.event_store import EventStore
from journal.event_walk import EventWalk
from journal.files import WriterLock
from journal.journal import Head
from journal.report import Count, Part, Report
from journal.segment import Segment
from journal.snapshots import load, snapshot_path, stored
from journal.state import check_batches

Progress = Callable[[str, int], None]
"""Called with the name of a part and the number of its batches that have passed."""

_EVERY = 256


def verify(path: Path, *, head: Head | None = None, progress: Progress | None = None) -> Report:
    """Check everything under a journal directory; damage is reported, never raised.

    `head` is one kept outside the journal: with it a journal that was cut off, or written anew, is found as well.
    NotAJournal if the directory is not one of ours, AlreadyOpen if this process has it open.
    """
    if not segment_firsts(path):
        raise NotAJournal(f"{path}: no journal here")
    return _Verification(path, head, progress or (lambda _name, _batches: None)).run()


class _Verification:
    def __init__(self, path: Path, head: Head | None, progress: Progress) -> None:
        self._path = path
        self._outside = head
        self._progress = progress
        self._parts: list[Part] = []
        self._chain = Chain()
        self._head: Head | None = None
        self._outside_found = False
        self._marked: dict[int, Header | None] = dict.fromkeys(stored(path / SNAPSHOTS))
        self._good: dict[int, int] = {}
        self._walked: set[str] = set()
        self._flags = 0

    def run(self) -> Report:
        firsts = segment_firsts(self._path)
        for first in firsts:
            self._walked.add(f"segment {segment_name(first)}")
            self._part(f"segment {segment_name(first)}", partial(self._segment, first))
        if self._outside is not None:
            self._part("outside head", self._check_outside)
        for sequence in self._marked:
            if not snapshot_path(self._path / SNAPSHOTS, sequence).exists():
                continue  # its writer has dropped it meanwhile
            self._part(f"snapshot {sequence}", partial(self._snapshot, sequence))
        if (self._path / EVENTS / "data.mdb").exists():
            self._part("event store", self._events)
        marked = bool(self._flags & COUNTERFACTUAL)
        return Report(tuple(self._parts), self._head, len(firsts), len(self._marked), marked)

    def _part(self, name: str, check: Callable[[Count], None]) -> None:
        count, damage = Count(name), None
        try:
            check(count)
        except AlreadyOpen:
            raise
        except (JournalError, lmdb.Error, OSError) as error:
            damage = str(error)
        self._progress(name, count.batches)
        self._parts.append(count.part(damage))

    def _segment(self, first: int, count: Count) -> None:
        folder = self._path / SEGMENTS / segment_name(first)
        _check_pages(folder)
        # Damage in one segment must not hide that of the next one.
        chain, self._chain = self._chain, Chain()
        segment = Segment(folder, check_last=False)
        try:
            self._walk(segment, chain, count)
        finally:
            segment.close()
        self._chain = chain

    def _walk(self, segment: Segment, chain: Chain, count: Count) -> None:
        values = segment.state_batches()
        check_batches(values, "state")
        for value in values:
            self._pass(chain, chain.feed(value), count, value)
        for key, value in segment.entries():
            self._pass(chain, chain.feed(value, key), count, value)
            self._good[segment.first] = self._good.get(segment.first, 0) + 1

    def _pass(self, chain: Chain, header: Header, count: Count, value: bytes) -> None:
        count.add(header.rows, len(value))
        self._head = chain.head
        self._flags |= header.flags
        if header.kind != BatchKind.CLOSING and header.last in self._marked:
            before = self._marked[header.last]
            if before is None or before.kind == BatchKind.STATE:
                self._marked[header.last] = header
        if self._outside is not None and (header.last, header.hash) == self._outside[1:]:
            self._outside_found = True
        if count.batches % _EVERY == 0:
            self._progress(count.name, count.batches)

    def _check_outside(self, _: Count) -> None:
        if self._outside is None or self._outside_found:
            return
        end = self._head.sequence if self._head else 0
        cut = self._outside.sequence > end
        reason = f"the journal ends before it, at {end}" if cut else "the journal has another batch there"
        raise CorruptBatch(f"head at {self._outside.sequence}", reason)

    def _snapshot(self, sequence: int, count: Count) -> None:
        if self._marked[sequence] is None and any(part.damage for part in self._parts if part.name in self._walked):
            raise CorruptSnapshot(f"snapshot {sequence}", "it cannot be checked: the journal is damaged before it")
        snapshot = load(snapshot_path(self._path / SNAPSHOTS, sequence), self._marked[sequence])
        count.add(len(snapshot.rows) // ROW_SIZE, len(snapshot.rows))

    def _events(self, count: Count) -> None:
        _check_pages(self._path / EVENTS)
        store = EventStore(self._path / EVENTS)
        try:
            walk = EventWalk(store, count)
            self._compare(walk)
            walk.finish(self._head.sequence if self._head else 0, self._head_now)
        finally:
            store.close()

    def _head_now(self) -> int:
        """Last row of the journal at this moment: events are stored after their batch, never before it."""
        segment = Segment(self._path / SEGMENTS / segment_name(segment_firsts(self._path)[-1]), check_last=False)
        try:
            return segment.head().sequence
        finally:
            segment.close()

    def _compare(self, walk: EventWalk) -> None:
        # The digest can be followed from the first segment that begins where the store has events.
        started = False
        for first, good in self._good.items():
            segment = Segment(self._path / SEGMENTS / segment_name(first), check_last=False)
            try:
                if not started and first >= walk.first:
                    walk.start(_digest_of(segment), first - 1)
                    started = True
                if started:
                    _follow(walk, segment, good)
            finally:
                segment.close()


def _digest_of(segment: Segment) -> EventDigest:
    rows = segment.state()
    return EventDigest.restore(rows, check_batches(segment.state_batches())[1].offset)


def _follow(walk: EventWalk, segment: Segment, good: int) -> None:
    for _, value in islice(segment.entries(), good):
        header = read_header(value)
        walk.compare(header)


def _check_pages(folder: Path) -> None:
    """CorruptBatch if the pages of an environment are not sound: mapping such a file could kill the process."""
    if not (folder / "data.mdb").exists() or not (folder / "data.mdb").stat().st_size:
        return
    # A file that is being written is never at rest: what looks wrong then says nothing.
    reason = None if _written(folder) else _unsound(folder)
    if reason and not _written(folder):
        raise CorruptBatch(folder.name, f"data.mdb is not sound: {reason}")


def _unsound(folder: Path) -> str | None:
    try:
        errors = lmdb.verify.verify(str(folder))  # type: ignore[no-untyped-call]
    except lmdb.verify.VerifyError as error:
        return str(error)
    return str(errors[0]) if errors else None


def _written(folder: Path) -> bool:
    try:
        WriterLock(folder).release()
    except Locked:
        return True
    return False
