"""What sessions were told: the last packets of each in memory, older ones out of the event store."""

import asyncio
from bisect import bisect_right
from collections.abc import AsyncIterator
from typing import Final

from core.kinds import OUTBOUND, SEQUENCE
from core.limits import SUM_MAX
from core.wire import EVENT_PACKET, HEAD_SIZE, SEQUENCED, UNSEQUENCED, frames_between
from journal.event_store import EventStore

KEPT: Final = 1_024
"""Packets of a session that stay in memory, at least."""
LANDMARK: Final = 1_024
"""Outbound numbers from one remembered place in the event store to the next."""
_AT_ONCE: Final = 16
"""Batches of the event store that are read before others have their turn."""
_NEAR: Final = 4_096
_FARTHER: Final = 8
"""Commands from the end at which a number is looked for first, and by how much farther each time."""
_TYPE: Final = 2


class Told:
    """The last sequenced packets of one session, dense by outbound number."""

    __slots__ = ("_landmarks", "_packets", "first")

    def __init__(self, number: int) -> None:
        """`number` is the next outbound number."""
        self.first = number
        """Outbound number of the first packet that is kept."""
        self._packets = bytearray()
        self._landmarks: list[tuple[int, int]] = []

    @property
    def next(self) -> int:
        """The next outbound number."""
        return self.first + len(self._packets) // EVENT_PACKET

    def add(self, packets: bytes) -> int:
        """Keep what the session was told now, and return how many outbound numbers that took."""
        before = self.next
        numbered = sequenced(packets)
        if not numbered:
            return 0
        if _column(numbered, 0, OUTBOUND) != before:
            raise AssertionError(f"outbound number {_column(numbered, 0, OUTBOUND)} follows {before - 1}")
        if not self._landmarks or before >= self._landmarks[-1][0] + LANDMARK:
            self._landmarks.append((before, _column(numbered, 0, SEQUENCE)))
        self._packets += numbered
        spare = len(self._packets) - KEPT * EVENT_PACKET
        # Cut rarely: moving the rest costs as much as keeping it.
        if spare > KEPT * EVENT_PACKET:
            del self._packets[:spare]
            self.first += spare // EVENT_PACKET
        return len(numbered) // EVENT_PACKET

    def forget(self) -> None:
        """Keep no packet: the session is at no connection, and what it asks for when it returns is in the event store."""
        self.first = self.next
        self._packets.clear()

    def between(self, first: int, last: int) -> bytes | None:
        """The packets with these outbound numbers; None if some of them are kept no longer."""
        if first < self.first:
            return None
        return bytes(self._packets[(first - self.first) * EVENT_PACKET : (last + 1 - self.first) * EVENT_PACKET])

    def prepend(self, packets: bytes) -> None:
        """Keep what stands right before the first packet that is kept, read from the event store: it is asked for again."""
        count = len(packets) // EVENT_PACKET
        if count and _column(packets, len(packets) - EVENT_PACKET, OUTBOUND) == self.first - 1:
            self._packets[:0] = packets
            self.first -= count

    def place(self, number: int) -> int:
        """A command at or before the one that caused this outbound number; 0 if none is remembered."""
        at = bisect_right(self._landmarks, (number, 2**63))
        return self._landmarks[at - 1][1] if at else 0


async def older(
    store: EventStore, session: int, told: Told, first: int, last: int, packet: int = SEQUENCED
) -> AsyncIterator[bytes]:
    """Packets of a session's outbound numbers from `first` to `last`, out of the event store, in parts.

    Others run between two parts. CorruptEvents if the store is damaged.
    """
    place = told.place(first) or await _place(store, session, first)
    async for rows in _rows(store, place):
        packets = frames_between(rows, session, first, last, packet)
        if packets:
            yield packets
            if _column(packets, len(packets) - EVENT_PACKET, OUTBOUND) >= last:
                return


async def _place(store: EventStore, session: int, number: int) -> int:
    """A command at or before the one that caused an outbound number: looked for from the end on, where it mostly is."""
    head, span = store.head(), _NEAR
    while span < head:
        async for rows in _rows(store, head - span):
            told = frames_between(rows, session, 1, SUM_MAX)
            if told:
                if _column(told, 0, OUTBOUND) <= number:
                    return head - span
                break
        span *= _FARTHER
    return 1


async def _rows(store: EventStore, place: int) -> AsyncIterator[bytes]:
    """The event rows of each batch from the one that contains a command on."""
    for number, events in enumerate(store.read(place), 1):
        yield events.rows
        if number % _AT_ONCE == 0:
            await asyncio.sleep(0)


def sequenced(packets: bytes) -> bytes:
    """The 'S' packets among a session's packets, all of the size of an event's."""
    size = len(packets)
    types = packets[_TYPE::EVENT_PACKET]
    if UNSEQUENCED not in types:
        return packets
    parts = (packets[at : at + EVENT_PACKET] for at in range(0, size, EVENT_PACKET))
    return b"".join(part for part in parts if part[_TYPE] == SEQUENCED)


def unsequenced(packets: bytes) -> bytes:
    """The same event rows as 'U' packets: told again, without taking a number."""
    again = bytearray(packets)
    again[_TYPE::EVENT_PACKET] = bytes([UNSEQUENCED]) * (len(packets) // EVENT_PACKET)
    return bytes(again)


def outbound(packets: bytes) -> int:
    """Outbound number of the first packet."""
    return _column(packets, 0, OUTBOUND)


def _column(packets: bytes, at: int, column: int) -> int:
    begin = at + HEAD_SIZE + column
    return int.from_bytes(packets[begin : begin + 8], "little", signed=True)
