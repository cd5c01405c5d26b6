"""What a node allows and how it is set up: the limits, the configuration file, and the bucket that counts a rate."""

import re
from pathlib import Path
from typing import Annotated, Final, TypeVar

import msgspec
from msgspec import Meta

_T = TypeVar("_T")

SECOND: Final = 10**9
"""Nanoseconds."""
ADMIN_SOCKET: Final = "admin.sock"
"""Name of the operators' socket in a data directory."""
MIB: Final = 2**20
GIB: Final = 2**30

Seconds = Annotated[float, Meta(gt=0, le=86_400)]
Count = Annotated[int, Meta(ge=1, le=2**20)]
Bytes = Annotated[int, Meta(ge=0, le=2**62 - 1)]


class BadConfig(ValueError):
    """A configuration that cannot be meant; the text is one line that names the file and the key."""


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a node lets its clients do; the table [limits]. Every default is safe for a venue of some hundred sessions."""

    messages_per_second: Annotated[int, Meta(ge=0, le=10**9)] = 100_000
    """Of one connection, on the long run; 0: unlimited."""
    burst: Annotated[int, Meta(ge=1, le=10**9)] = 100_000
    """Messages that a connection which was silent may send at once."""
    unauthenticated_seconds: Seconds = 2.0
    """From connecting to a complete login."""
    silent_seconds: Seconds = 15.0
    """Without a byte from the peer, after which it is dropped."""
    outbound_bytes: Annotated[int, Meta(ge=64 * 1024, le=GIB)] = 4 * MIB
    """What may wait to be sent to one connection; a slower reader is dropped."""
    connections: Count = 1_024
    connections_per_address: Count = 64
    logins_per_minute: Count = 60
    """Of one address, refused logins included."""
    batch_rows: Annotated[int, Meta(ge=1, le=65_536)] = 1_024
    """Rows of one batch; what came beyond them waits for the next."""
    pending_rows: Annotated[int, Meta(ge=1, le=2**24)] = 16_384
    """Rows that wait for a batch; beyond them a message is answered BUSY."""


class Listen(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where clients connect; the table [listen]. An empty text means: not there."""

    tcp: str = ""
    """`HOST:PORT`; the host of an IPv6 address in brackets."""
    unix: str = ""
    """Path of a Unix socket."""
    tls_certificate: str = ""
    """Path of a PEM file; with `tls_key`, the TCP listener speaks TLS."""
    tls_key: str = ""

    def __post_init__(self) -> None:
        """ValueError, which names the key, for what cannot be listened on."""
        if self.tcp:
            host_and_port(self.tcp)
        if bool(self.tls_certificate) != bool(self.tls_key):
            raise ValueError("tls_certificate and tls_key go together")
        if self.tls_key and not self.tcp:
            raise ValueError("tls_key: there is no tcp to be protected by it")


class Node(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the node itself behaves; the table [node]."""

    hang_seconds: Seconds = 1.0
    """Without progress of the primary, after which a standby may take over."""
    reconnect_seconds: Seconds = 5.0
    """From the beginning of a lead, within which a session that asked for cancel on disconnect logs in, or is lost."""
    snapshot_rows: Annotated[int, Meta(ge=1, le=2**40)] = 1_000_000
    """Rows from one snapshot to the next."""
    segment_bytes: Annotated[int, Meta(ge=MIB, le=32 * GIB)] = 32 * GIB
    """Bytes in use after which a segment ends; at most half of its map."""
    low_space_orders: Bytes = GIB
    """Free bytes of the disk below which new orders are refused."""
    low_space_cancels: Bytes = 256 * MIB
    """Free bytes of the disk below which cancels are refused as well; at most `low_space_orders`."""

    def __post_init__(self) -> None:
        """ValueError if cancels would be refused before orders."""
        if self.low_space_cancels > self.low_space_orders:
            raise ValueError("low_space_cancels: cancels are refused last, so it is at most low_space_orders")


class NodeConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The configuration file of a node. What it does not name has its default; what it names must be known."""

    limits: Limits = Limits()
    listen: Listen = Listen()
    node: Node = Node()

    @staticmethod
    def read(path: Path) -> "NodeConfig":
        """The configuration in a TOML file. BadConfig, OSError."""
        return read_toml(path, NodeConfig)


def host_and_port(text: str) -> tuple[str, int]:
    """Host and port of `HOST:PORT` or `[IPV6]:PORT`; an empty host is every interface. ValueError."""
    host, colon, port = text.rpartition(":")
    if not colon or not port.isascii() or not port.isdecimal() or int(port) > 65_535:
        raise ValueError(f"tcp: {text!r} is not HOST:PORT")
    if host.startswith("[") and host.endswith("]"):
        return host[1:-1], int(port)
    if ":" in host:
        raise ValueError(f"tcp: {text!r} is not HOST:PORT; an IPv6 address stands in brackets")
    return host, int(port)


_AT: Final = re.compile(r"(?P<what>.*) - at `\$(?P<where>[^`]*)`", re.DOTALL)
_UNKNOWN: Final = re.compile(r"Object contains unknown field `(?P<field>[^`]*)`")
_MISSING: Final = re.compile(r"Object missing required field `(?P<field>[^`]*)`")


def read_toml(path: Path, struct: type[_T]) -> _T:
    """A TOML file as a Struct. BadConfig: one line that names the file and the key. OSError if it cannot be read."""
    data = path.read_bytes()
    try:
        return msgspec.toml.decode(data, type=struct)
    except msgspec.ValidationError as error:
        raise BadConfig(f"{path}: {_told(str(error))}") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadConfig(f"{path}: not TOML: {' '.join(str(error).split())}") from None


def _told(message: str) -> str:
    """`KEY: what is wrong` from what msgspec says."""
    found = _AT.fullmatch(message)
    what, where = (found["what"], found["where"].lstrip(".")) if found else (message, "")
    for pattern, reason in ((_UNKNOWN, "there is no such key"), (_MISSING, "the key is missing")):
        field = pattern.fullmatch(what)
        if field:
            where, what = f"{where}.{field['field']}".lstrip("."), reason
    return f"{where}: {what}" if where else what


class TokenBucket:
    """Counts a rate in integers: `rate` tokens each `period` nanoseconds, at most `burst` of them kept.

    It is full at first. Time is an argument, in ns of any clock; a time before the last one brings nothing.
    """

    __slots__ = ("_credit", "_full", "_last", "_period", "_rate")

    def __init__(self, rate: int, burst: int, *, period: int = SECOND, now: int = 0) -> None:
        """`rate` 0: unlimited."""
        self._rate = rate
        self._period = period
        # Credit is counted in tokens times period, so that no fraction of a token is ever lost.
        self._full = burst * period
        self._credit = self._full
        self._last = now

    def take(self, now: int, tokens: int = 1) -> bool:
        """Take tokens if there are that many; otherwise none is taken, and the answer is False."""
        if self._rate == 0:
            return True
        self._refill(now)
        if self._credit < tokens * self._period:
            return False
        self._credit -= tokens * self._period
        return True

    def full(self, now: int) -> bool:
        """Whether it is as if it were new, so that it can be forgotten."""
        self._refill(now)
        return self._rate == 0 or self._credit == self._full

    def _refill(self, now: int) -> None:
        if now > self._last:
            self._credit = min(self._full, self._credit + (now - self._last) * self._rate)
            self._last = now
