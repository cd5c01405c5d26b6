"""One connection of a client: it logs in, splits packets, keeps the connection alive and notices a silent server."""

import asyncio
import ssl
import time
from pathlib import Path
from typing import Final, Protocol, cast

from replicas.errors import FormError
from replicas.soup import CLIENT_HEARTBEAT, FROM_SERVER, Packets

CONNECT_SECONDS: Final = 2.0


class Ended(Exception):
    """The client was closed, or the server refuses its login; nothing was said about the commands without an answer."""


class Owner(Protocol):
    """Who is told what a connection brings."""

    def take(self, kind: int, payload: bytes) -> None:
        """A packet of the server. FormError ends the connection."""

    def fail(self, error: FormError) -> None:
        """The server said what no server may say; the connection is closed."""


class Timing:
    """How long a connection waits, in seconds."""

    __slots__ = ("heartbeat", "silence")

    def __init__(self, heartbeat: float = 1.0, silence: float = 15.0) -> None:
        """A heartbeat goes out after `heartbeat` without sending; a server silent for `silence` is given up."""
        self.heartbeat = heartbeat
        self.silence = silence


class Link(asyncio.Protocol):
    """An `asyncio.Protocol` that begins with the login packet it is given. `ended` is done once the connection is lost."""

    def __init__(self, owner: Owner, login: bytes, timing: Timing) -> None:
        self._owner = owner
        self._login = login
        self._timing = timing
        self._packets = Packets(types=FROM_SERVER)
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._heard = self._sent = time.monotonic()
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def __repr__(self) -> str:
        """Without the login packet, which holds the password."""
        return f"<Link {'ended' if self.ended.done() else 'open'}>"

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Log in at once."""
        # uvloop's transports are not asyncio's.
        self._transport = cast("asyncio.Transport", transport)
        self.write(self._login)
        self._login = b""
        self._watch()

    def connection_lost(self, _error: Exception | None) -> None:
        """The end, whoever wanted it."""
        if self._timer is not None:
            self._timer.cancel()
        if not self.ended.done():
            self.ended.set_result(None)

    def data_received(self, data: bytes) -> None:
        """Packets, whole or in part."""
        self._heard = time.monotonic()
        try:
            for kind, payload in self._packets.feed(data):
                if self.ended.done() or self._transport is None or self._transport.is_closing():
                    return
                self._owner.take(kind, payload)
        except FormError as error:
            self._owner.fail(error)
            self.abort()

    def write(self, data: bytes) -> None:
        """Send; nothing happens where the connection is lost already."""
        if self._transport is not None and not self._transport.is_closing():
            self._sent = time.monotonic()
            self._transport.write(data)

    def close(self) -> None:
        """End the connection when all has been sent."""
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """End the connection now."""
        if self._transport is not None:
            self._transport.abort()

    def _watch(self) -> None:
        now = time.monotonic()
        if now - self._heard > self._timing.silence:
            self.abort()
            return
        if now - self._sent >= self._timing.heartbeat:
            self.write(CLIENT_HEARTBEAT)
        wait = min(self._sent + self._timing.heartbeat, self._heard + self._timing.silence) - now
        self._timer = asyncio.get_running_loop().call_later(max(wait, 0.001), self._watch)


def parse_address(address: str) -> Path | tuple[str, int]:
    """A Unix socket's path (`unix:PATH`), or host and port (`HOST:PORT`, an IPv6 host in brackets). ValueError."""
    if address.startswith("unix:") and len(address) > 5:
        return Path(address[5:])
    host, _, port = address.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not (port.isascii() and port.isdecimal()) or not 1 <= int(port) <= 65_535:
        raise ValueError(f"{address}: not HOST:PORT nor unix:PATH")
    return host, int(port)


async def open_link(address: str, link: Link, tls: ssl.SSLContext | None = None) -> bool:
    """Connect; whether it could be done within two seconds. TLS is spoken over TCP where a context is given."""
    loop, where = asyncio.get_running_loop(), parse_address(address)
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            if isinstance(where, Path):
                await loop.create_unix_connection(lambda: link, str(where))
            else:
                await loop.create_connection(lambda: link, *where, ssl=tls)
    except (OSError, TimeoutError):
        return False
    return True
