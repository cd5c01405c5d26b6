"""The native protocol's hot path: messages into wire rows, event rows into packets (docs/protocol.md).

A packet is two bytes of big-endian length, a type and a payload. A message is a wire row without sequence number and
time. Everything else about packets lies in replicas/soup.py, off the hot path.
"""

from __future__ import annotations

from typing import Final

from librt.strings import BytesWriter, read_i64_le, write_i64_le
from mypy_extensions import i64

from core.codes import CommandKind, EventKind
from core.kinds import KIND, OUTBOUND, ROW_SIZE, SESSION
from core.limits import SESSION_NUMBER_MAX
from core.parts import is_head, is_part, part_of, parts_after

HEAD_SIZE: Final = 3
"""Bytes of a packet before its payload: length and type."""
MESSAGE_SIZE: Final = 112
"""Bytes of a message: a row without sequence number and time."""
MESSAGE_PACKET: Final = 115
"""Bytes of a packet that carries a message."""
EVENT_PACKET: Final = 131
"""Bytes of a packet that carries an event row."""
SEQUENCED: Final = 0x53
"""Packet type 'S': an event row under its outbound number."""
UNSEQUENCED: Final = 0x55
"""Packet type 'U': an event row without an outbound number of its own, or one that is told again."""

WHOLE: Final = 0
HELD: Final = 1
BROKEN: Final = 2
"""How much has come of a command of several parts."""

# The head of a packet with a message (113 bytes and type 'U'), as a little-endian number of three bytes.
_HEAD: Final = 0x557100
_HEAD_MASK: Final = 0xFFFFFF
# Of an event packet the length: 129 bytes of type and payload.
_EVENT_LENGTH: Final = 0x81
# Where columns stand in a packet: a message has neither SEQUENCE nor TIME.
_KIND_AT: Final = 3
_SESSION_AT: Final = 11
_INBOUND_AT: Final = 19
# From a packet to where its row would begin, for columns from SESSION on; the kind of a head is looked at before.
_ROW_AT: Final = -13
# Bytes up to which a session's buffer is kept for the next batch.
_KEPT_MAX: Final = 0x100000


def sendable(kind: i64) -> bool:
    """Whether a session may send this kind of command; the sequencer alone writes Quarantine and Promote."""
    if CommandKind.ENTER_ORDER <= kind <= CommandKind.LINK_ORDERS or is_part(kind):
        return True
    if CommandKind.DEFINE_CURRENCY <= kind <= CommandKind.UPGRADE:
        return True
    if kind == CommandKind.PROMOTE:
        return False
    if CommandKind.KILL <= kind <= CommandKind.SET_LIMIT:
        return True
    if kind == CommandKind.SET_FEE_SCHEDULE or kind == CommandKind.SET_ALLOCATION:
        return True
    return kind == CommandKind.SET_RULES


def take(data: bytes, begin: i64, session: i64, expected: i64, room: i64, out: BytesWriter) -> i64:
    """Append a wire row for each message packet from byte `begin` on; returns how many packets of 115 bytes it took.

    It stops before the first packet that is not whole, not a message, of another session, of a kind that nobody may
    send, or whose inbound number is not the next one (`expected` at first), and after `room` rows. A command of several
    parts is taken whole or not at all. `begin` is at least 0.
    """
    taken: i64 = 0
    at = begin
    size: i64 = len(data)
    while taken < room and at + MESSAGE_PACKET <= size:
        if read_i64_le(data, at) & _HEAD_MASK != _HEAD:
            break
        if read_i64_le(data, at + _SESSION_AT) != session or read_i64_le(data, at + _INBOUND_AT) != expected + taken:
            break
        kind = read_i64_le(data, at + _KIND_AT)
        if not sendable(kind):
            break
        if is_head(kind):
            parts = parts_after(kind, data, at + _ROW_AT)
            if taken + parts >= room or standing(data, at, session, expected + taken) != WHOLE:
                break
        write_i64_le(out, kind)
        write_i64_le(out, 0)
        write_i64_le(out, 0)
        column = at + _SESSION_AT
        at += MESSAGE_PACKET
        while column < at:
            write_i64_le(out, read_i64_le(data, column))
            column += 8
        taken += 1
    return taken


def standing(data: bytes, at: i64, session: i64, expected: i64) -> i64:
    """How much has come of the command whose message may begin at a byte: HELD while parts are missing.

    BROKEN: another packet came between them. Any other message is WHOLE by itself.
    """
    if not _carries(data, at, session, expected):
        return WHOLE
    kind = read_i64_le(data, at + _KIND_AT)
    parts = parts_after(kind, data, at + _ROW_AT) if is_head(kind) else 0
    while parts > 0:
        parts -= 1
        at += MESSAGE_PACKET
        expected += 1
        come: i64 = len(data) - at
        # A packet that has begun must be a message; its columns are looked at when it is whole.
        if come < HEAD_SIZE:
            return HELD
        if (data[at] << 8) | data[at + 1] != MESSAGE_SIZE + 1 or data[at + 2] != UNSEQUENCED:
            return BROKEN
        if come < MESSAGE_PACKET:
            return HELD
        if not _carries(data, at, session, expected) or read_i64_le(data, at + _KIND_AT) != part_of(kind):
            return BROKEN
    return WHOLE


def _carries(data: bytes, at: i64, session: i64, expected: i64) -> bool:
    """Whether a whole message of this session and inbound number begins at a byte."""
    if at + MESSAGE_PACKET > len(data) or read_i64_le(data, at) & _HEAD_MASK != _HEAD:
        return False
    return read_i64_le(data, at + _SESSION_AT) == session and read_i64_le(data, at + _INBOUND_AT) == expected


def messages(rows: bytes) -> bytes:
    """The packets, 115 bytes each, that carry these wire rows as messages; what a client sends. ValueError if not whole."""
    out = BytesWriter()
    at: i64 = 0
    size = whole(rows)
    while at < size:
        out.append(0)
        out.append(MESSAGE_SIZE + 1)
        out.append(UNSEQUENCED)
        write_i64_le(out, read_i64_le(rows, at + KIND))
        column = at + SESSION
        at += ROW_SIZE
        while column < at:
            write_i64_le(out, read_i64_le(rows, column))
            column += 8
    return out.getvalue()


def whole(rows: bytes) -> i64:
    """The size of rows in bytes. ValueError if they are not whole."""
    size: i64 = len(rows)
    if size % ROW_SIZE != 0:
        raise ValueError("these bytes are not whole rows")
    return size


def _write_event(out: BytesWriter, rows: bytes, at: i64, packet: i64) -> None:
    """Append the packet of this type that carries the event row at a byte offset."""
    out.append(0)
    out.append(_EVENT_LENGTH)
    out.append(SEQUENCED if packet == SEQUENCED else UNSEQUENCED)
    end = at + ROW_SIZE
    while at < end:
        write_i64_le(out, read_i64_le(rows, at))
        at += 8


def frames_between(events: bytes, session: i64, first: i64, last: i64, packet: i64 = SEQUENCED) -> bytes:
    """The packets of a session's event rows with outbound numbers from `first` to `last`, in the order of the rows.

    `first` is at least 1. SEQUENCED packets resume a session, UNSEQUENCED ones repeat an answer. ValueError if rows are
    not whole.
    """
    out = BytesWriter()
    at: i64 = 0
    size = whole(events)
    while at < size:
        if read_i64_le(events, at + SESSION) == session and first <= read_i64_le(events, at + OUTBOUND) <= last:
            _write_event(out, events, at, packet)
        at += ROW_SIZE
    return out.getvalue()


class _Lane:
    """What one session is told of a batch."""

    __slots__ = ("count", "out", "session")

    def __init__(self, session: i64) -> None:
        self.session = session
        self.count: i64 = 0
        self.out = BytesWriter()


class Router:
    """Sorts the event rows of a batch by the sessions that are told; buffers are kept from batch to batch."""

    __slots__ = ("_lanes",)

    def __init__(self) -> None:
        self._lanes: list[_Lane | None] = [None]

    def route(self, events: bytes) -> list[tuple[int, bytes, int]]:
        """For each session in order of first appearance: its number, its packets, and how many packets they are.

        A row with an outbound number becomes an 'S' packet, one without (Repeated, rejections out of sequence) a 'U'
        packet in its place. Rows that tell no session are left out. ValueError if rows are not whole.
        """
        told: list[_Lane] = []
        at: i64 = 0
        size = whole(events)
        while at < size:
            number = read_i64_le(events, at + SESSION)
            # A rejection of an unknown session may bear any number.
            if 0 < number <= SESSION_NUMBER_MAX:
                lane = self._lane(number)
                if lane.count == 0:
                    told.append(lane)
                lane.count += 1
                _write_event(lane.out, events, at, SEQUENCED if read_i64_le(events, at + OUTBOUND) > 0 else UNSEQUENCED)
            at += ROW_SIZE
        return [_emptied(lane) for lane in told]

    def _lane(self, number: i64) -> _Lane:
        lanes = self._lanes
        missing = number + 1 - len(lanes)
        if missing > 0:
            lanes.extend([None] * missing)
        lane = lanes[number]
        if lane is None:
            lane = _Lane(number)
            lanes[number] = lane
        return lane


def _emptied(lane: _Lane) -> tuple[int, bytes, int]:
    """What the lane holds; it is empty afterwards, and keeps its buffer unless that has grown large."""
    packets = lane.out.getvalue()
    count = lane.count
    lane.count = 0
    if len(packets) > _KEPT_MAX:
        lane.out = BytesWriter()
    else:
        lane.out.truncate(0)
    return lane.session, packets, count


def tally(data: bytes, begin: i64) -> tuple[i64, i64]:
    """Walk the packets that a server sent, from byte `begin` on, as a generator of load does.

    Returns where the first one begins that is not whole, and how many told that an order was accepted, canceled or refused.
    """
    answers: i64 = 0
    at = begin
    size: i64 = len(data)
    while at + HEAD_SIZE <= size:
        end = at + 2 + ((data[at] << 8) | data[at + 1])
        if end > size:
            break
        if data[at + 2] == SEQUENCED and end == at + EVENT_PACKET:
            kind = read_i64_le(data, at + HEAD_SIZE)
            if kind == EventKind.ACCEPTED or kind == EventKind.CANCELED or kind == EventKind.REJECTED:
                answers += 1
        at = end
    return at, answers
