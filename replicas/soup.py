"""SoupBinTCP packets and the notices that travel in them: bytes from values and back (docs/protocol.md). No sockets.

A packet is a length (two bytes, big-endian, of what follows), a type (one ASCII letter) and a payload.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from typing import NamedTuple

from core.limits import SUM_MAX
from core.wire import HEAD_SIZE, MESSAGE_SIZE
from replicas.errors import FormError

VENUE = "LOCKSTEP"
"""The session that order entry and drop copies are logged into."""
PACKET_MAX = 1_024
"""Largest length (type and payload) that a peer may send, where nothing else is said; the longest needed is 129."""
LENGTH_MAX = 65_535

_LENGTH = struct.Struct(">H")
_HEAD = struct.Struct(">HB")
_LOGIN = struct.Struct("6s10s10s20s")
_ACCEPTED = struct.Struct("10s20s")
_NOTICE = struct.Struct("<3q32sq")
NOTICE_SIZE = _NOTICE.size
"""Bytes of a notice: 64. An event row has 128, so that the size of an unsequenced payload tells them apart."""


class PacketType(IntEnum):
    """The byte after the length."""

    LOGIN = ord("L")
    CLIENT_HEARTBEAT = ord("R")
    LOGOUT = ord("O")
    ACCEPTED = ord("A")
    REJECTED = ord("J")
    SEQUENCED = ord("S")
    SERVER_HEARTBEAT = ord("H")
    END_OF_SESSION = ord("Z")
    UNSEQUENCED = ord("U")
    DEBUG = ord("+")


FROM_CLIENT = b"LURO+"
"""Types that a client sends."""
FROM_SERVER = b"AJSUHZ+"
"""Types that a server sends."""
_EMPTY = b"ROHZ"


class Refusal(IntEnum):
    """Why a login was rejected."""

    NOT_AUTHORISED = ord("A")
    SESSION_NOT_AVAILABLE = ord("S")


class NoticeKind(IntEnum):
    """Column 0 of a notice, and what its columns a, b and c say. A client ignores a kind that it does not know."""

    HEAD = 1
    """Epoch, sequence number and hash of the journal's head: the rows that are sent with it are durable in it."""
    NEXT = 2
    """The inbound number that is expected, and the outbound number that comes next."""
    BUSY = 3
    """The inbound number that was not taken, nor any after it; send them again later."""
    GAP = 4
    """The inbound number that is expected, where a larger one arrived."""
    REFUSED = 5
    """The inbound number of a message that was not taken, and its FormReason."""


class FormReason(IntEnum):
    """Why a message was refused before it was given a sequence number."""

    MALFORMED_LENGTH = 1
    WRONG_SESSION = 2
    INBOUND_CONFLICT = 3
    INBOUND_TOO_OLD = 4
    UNKNOWN_KIND = 5
    INCOMPLETE = 6


# ---- packets


def packet(packet_type: int, payload: bytes = b"") -> bytes:
    """A packet of any type. FormError if the payload is longer than 65,534 bytes."""
    if len(payload) >= LENGTH_MAX:
        raise FormError(f"a payload of {len(payload)} bytes does not fit into a packet")
    return _HEAD.pack(len(payload) + 1, packet_type) + payload


CLIENT_HEARTBEAT = packet(PacketType.CLIENT_HEARTBEAT)
SERVER_HEARTBEAT = packet(PacketType.SERVER_HEARTBEAT)
LOGOUT = packet(PacketType.LOGOUT)
END_OF_SESSION = packet(PacketType.END_OF_SESSION)


def sequenced(payload: bytes) -> bytes:
    """An 'S' packet."""
    return packet(PacketType.SEQUENCED, payload)


def unsequenced(payload: bytes) -> bytes:
    """A 'U' packet."""
    return packet(PacketType.UNSEQUENCED, payload)


def debug(text: str) -> bytes:
    """A '+' packet; both sides skip it. FormError if the text is not printable ASCII."""
    return packet(PacketType.DEBUG, _ascii(text, LENGTH_MAX - 1))


def next_packet(data: bytes | bytearray, begin: int, limit: int, types: bytes) -> int:
    """The byte offset at which the packet that begins at `begin` ends; 0 if it is not whole yet.

    Its type stands at `begin + 2`, its payload from `begin + 3` on. FormError, as soon as it can be seen: no type, a
    length over `limit`, a type that is not among `types`, a payload where there is none.
    """
    if len(data) < begin + 2:
        return 0
    (length,) = _LENGTH.unpack_from(data, begin)
    if not 1 <= length <= limit:
        raise FormError(f"a packet of length {length}; it is 1 to {limit}")
    if len(data) < begin + HEAD_SIZE:
        return 0
    packet_type = data[begin + 2]
    if packet_type not in types:
        raise FormError(f"a packet of type {bytes([packet_type])!r}")
    if packet_type in _EMPTY and length != 1:
        raise FormError(f"a packet of type {chr(packet_type)!r} with a payload")
    end = begin + 2 + length
    return int(end) if end <= len(data) else 0


class Packets:
    """Splits a stream into packets, however it was cut. After a FormError it raises the same for whatever is fed."""

    def __init__(self, limit: int = PACKET_MAX, types: bytes = FROM_CLIENT + FROM_SERVER) -> None:
        """Accept packets of these types, with lengths (type and payload) up to `limit`, at most 65,535."""
        self._limit = limit
        self._types = types
        self._buffer = bytearray()
        self._at = 0
        self._broken: FormError | None = None

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """Type and payload of each packet that is whole now. FormError behind the last good one.

        Go through it to the end before the next read: what is kept then is less than one packet of the largest size.
        """
        del self._buffer[: self._at]
        self._at = 0
        self._buffer += data
        return self._split()

    def _split(self) -> Iterator[tuple[int, bytes]]:
        try:
            while end := self._end():
                begin, self._at = self._at, end
                yield self._buffer[begin + 2], bytes(self._buffer[begin + HEAD_SIZE : end])
        except FormError as error:
            self._broken = error
            self._at = len(self._buffer)
            raise

    def _end(self) -> int:
        if self._broken is not None:
            raise self._broken
        return next_packet(self._buffer, self._at, self._limit, self._types)

    def __len__(self) -> int:
        """Bytes that are kept for the packet which is not whole yet."""
        return len(self._buffer) - self._at


# ---- login


@dataclass(frozen=True, slots=True)
class Login:
    """What a login packet asks for. `sequence`: the first number wanted, 0 for what comes from now on."""

    username: str
    password: bytes = field(repr=False)
    session: str
    sequence: int

    def number(self) -> int:
        """The session number that the username is, 1 to 999,999; 0 if it is none."""
        return int(self.username) if self.username.isdecimal() else 0


class Accepted(NamedTuple):
    """The session that was logged into, and the number of the next sequenced packet."""

    session: str
    sequence: int


def login(username: int | str, password: bytes, session: str = "", sequence: int = 0) -> bytes:
    """An 'L' packet. FormError if a field does not fit."""
    if len(password) > 10:
        raise FormError("a password of more than 10 bytes")
    user, asked = _ascii(str(username), 6), _ascii(session, 10)
    fields = (user.ljust(6), password.ljust(10), asked.ljust(10), _number(sequence))
    return packet(PacketType.LOGIN, _LOGIN.pack(*fields))


def parse_login(payload: bytes) -> Login:
    """The fields of an 'L' packet; padding on either side is taken off, of the password on the right alone.

    FormError for another size, bytes that are not printable ASCII, and a sequence number that is none up to 2^62 - 1.
    """
    user, password, session, sequence = _fields(_LOGIN, payload, "login")
    return Login(user.strip().decode(), password.rstrip(), session.strip().decode(), _parse_number(sequence))


def accepted(session: str, sequence: int) -> bytes:
    """An 'A' packet. FormError if a field does not fit."""
    return packet(PacketType.ACCEPTED, _ACCEPTED.pack(_ascii(session, 10).rjust(10), _number(sequence)))


def parse_accepted(payload: bytes) -> Accepted:
    """The fields of an 'A' packet. FormError as for a login."""
    session, sequence = _fields(_ACCEPTED, payload, "login accepted")
    return Accepted(session.strip().decode(), _parse_number(sequence))


def rejected(reason: Refusal) -> bytes:
    """A 'J' packet."""
    return packet(PacketType.REJECTED, bytes([reason]))


def parse_rejected(payload: bytes) -> Refusal:
    """The reason in a 'J' packet. FormError if it is none."""
    if len(payload) != 1 or payload[0] not in tuple(Refusal):
        raise FormError(f"no reason for a rejected login: {payload!r}")
    return Refusal(payload[0])


def _ascii(text: str, size: int) -> bytes:
    if not text.isascii() or not text.isprintable() or len(text) > size:
        raise FormError(f"{text!r} is not printable ASCII of at most {size} characters")
    return text.encode()


def _number(number: int) -> bytes:
    if not 0 <= number <= SUM_MAX:
        raise FormError(f"{number} is not a sequence number")
    return b"%20d" % number


def _fields(layout: struct.Struct, payload: bytes, name: str) -> tuple[bytes, ...]:
    if len(payload) != layout.size:
        raise FormError(f"a {name} of {len(payload)} bytes; it has {layout.size}")
    if any(not 0x20 <= byte <= 0x7E for byte in payload):
        raise FormError(f"a {name} that is not printable ASCII")
    fields: tuple[bytes, ...] = layout.unpack(payload)
    return fields


def _parse_number(text: bytes) -> int:
    digits = text.strip()
    if not digits.isdigit() or int(digits) > SUM_MAX:
        raise FormError(f"{digits!r} is not a sequence number")
    return int(digits)


# ---- messages


def message(row: bytes) -> bytes:
    """The payload of 112 bytes that a wire row is sent as: without sequence number and time."""
    return row[:8] + row[24:]


def wire_row(payload: bytes) -> bytes:
    """The wire row of a message. FormError (MALFORMED_LENGTH) if the payload has not 112 bytes."""
    if len(payload) != MESSAGE_SIZE:
        raise FormError(f"a message of {len(payload)} bytes; it has {MESSAGE_SIZE}")
    return payload[:8] + bytes(16) + payload[8:]


# ---- notices


class Notice(NamedTuple):
    """What a server says beside the rows; NoticeKind says what the columns mean, docs/protocol.md when it comes."""

    kind: int
    a: int = 0
    b: int = 0
    c: bytes = bytes(32)

    def packet(self) -> bytes:
        """The 'U' packet that carries it."""
        return unsequenced(_NOTICE.pack(self.kind, self.a, self.b, self.c, 0))


def parse_notice(payload: bytes) -> Notice:
    """The notice in an unsequenced payload of 64 bytes. FormError for another size or a used spare column."""
    if len(payload) != NOTICE_SIZE:
        raise FormError(f"a notice of {len(payload)} bytes; it has {NOTICE_SIZE}")
    kind, a, b, c, spare = _NOTICE.unpack(payload)
    if spare:
        raise FormError("a notice that uses its spare column")
    return Notice(kind, a, b, c)
