"""One client of market data: its login, the rows it missed, those that come, and the snapshots it asks for.

What comes live is written at once, and a client that does not keep up with it is cut: it comes back and asks for what it
missed. What it missed, and snapshots, are written as fast as it reads, a piece at a time.
"""

import asyncio
from collections.abc import Iterable, Iterator
from typing import Final, Protocol, cast

from journal.errors import JournalError
from replicas import soup
from replicas.errors import FormError
from replicas.limits import Limits
from replicas.market_rows import is_snapshot_request, sequenced_rows
from replicas.passwords import PasswordError
from replicas.soup import PacketType

PACKET_MAX: Final = 128
"""Largest length of a client's packet, type included; a request for a snapshot takes 65."""
BEHIND_LOGIN_MAX: Final = 64
"""Packets that a client may send behind its login, before that is answered."""
PIECE: Final = 64 * 1024
"""Bytes that may wait before what is not live pauses, and bytes of a snapshot that are written at once."""
HEARTBEAT: Final = 1.0
"""Seconds without a packet after which a heartbeat is sent."""


class Server(Protocol):
    """What a reader asks of the server that it belongs to."""

    limits: Limits

    def admit(self, reader: "Reader") -> str | None:
        """Why one more connection is refused, or None."""

    async def refuse(self, login: soup.Login, address: str) -> soup.Refusal | None:
        """Why the login is rejected, or None; passwords.PasswordError where the password could not be checked."""

    def attach(self, reader: "Reader", session: int) -> None:
        """From now on the reader is told the live rows of its instrument; one of the same session there ends."""

    def detach(self, reader: "Reader", cause: str) -> None:
        """The connection is gone."""

    def next_number(self, instrument: int) -> int:
        """The market data number that comes next."""

    def rows_from(self, instrument: int, number: int) -> Iterator[list[bytes]]:
        """As `MarketFeed.rows_from`."""

    def snapshot(self, instrument: int) -> bytes:
        """As `MarketFeed.snapshot`."""

    def broken(self, error: JournalError) -> None:
        """Nothing may be served any more."""


class Reader(asyncio.Protocol):
    """A connection. `instrument` is 0 until it is logged in; `next` is the market data number it gets next."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._packets = soup.Packets(PACKET_MAX, soup.FROM_CLIENT)
        self._login: asyncio.Task[None] | None = None
        self._behind_login: list[tuple[int, bytes]] = []
        self._missed: Iterator[list[bytes]] | None = None
        self._snapshot = memoryview(b"")
        self._asked = False
        self._pumping = False
        self._paused_at = 0.0
        self._begun = self._heard = self._sent = self._loop.time()
        self._cause = "closed by the client"
        self.address = ""
        self.instrument = 0
        self.next = 0

    # ---- what asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for a login."""
        self._transport = cast("asyncio.Transport", transport)
        peer = transport.get_extra_info("peername")
        self.address = str(peer[0]) if isinstance(peer, tuple) else ""
        self._transport.set_write_buffer_limits(high=PIECE)
        refused = self._server.admit(self)
        if refused is not None:
            self.cut(refused)

    def data_received(self, data: bytes) -> None:
        """Take the client's packets."""
        self._heard = self._loop.time()
        self._take_all(self._packets.feed(data))

    def pause_writing(self) -> None:
        """Wait with what is not live until the client has read."""
        self._paused_at = self._loop.time()

    def resume_writing(self) -> None:
        """Go on with what is not live."""
        self._paused_at = 0.0
        self._pump_soon()

    def connection_lost(self, exc: Exception | None) -> None:
        """Be forgotten."""
        self._transport = None
        if self._login is not None:
            self._login.cancel()
        self._server.detach(self, self._cause if exc is None or self._cause == "slow" else "connection lost")

    # ---- packets

    def _take_all(self, packets: Iterable[tuple[int, bytes]]) -> None:
        try:
            for packet_type, payload in packets:
                self._take(packet_type, payload)
        except FormError:
            self.cut("form")

    def _take(self, packet_type: int, payload: bytes) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        if self._login is not None and not self.instrument:
            self._behind_login.append((packet_type, payload))
            if len(self._behind_login) > BEHIND_LOGIN_MAX:
                raise FormError("more behind a login than can wait for its answer")
        elif packet_type == PacketType.LOGIN:
            if self._login is not None:
                raise FormError("a second login")
            self._login = self._loop.create_task(self._log_in(soup.parse_login(payload)))
        elif packet_type == PacketType.LOGOUT:
            self.end("logout")
        elif packet_type == PacketType.UNSEQUENCED:
            if not self.instrument or not is_snapshot_request(payload):
                raise FormError("not a request for a snapshot by a client that is logged in")
            self._asked = True
            self._pump_soon()

    async def _log_in(self, login: soup.Login) -> None:
        try:
            refusal = await self._server.refuse(login, self.address)
        except PasswordError:
            self.cut("passwords not checked")
            return
        if refusal is not None:
            self.end("rejected", soup.rejected(refusal))
            return
        if self._transport is None:
            return
        self.instrument = int(login.session)
        self.next = login.sequence or self._server.next_number(self.instrument)
        self._missed = self._server.rows_from(self.instrument, self.next)
        self._send(soup.accepted(str(self.instrument), self.next))
        self._server.attach(self, login.number())
        self._pump_soon()
        self._take_all(self._behind_login)
        self._behind_login = []

    # ---- what is sent

    def tell(self, packets: bytes, count: int) -> None:
        """Send rows that have just come, unless the client still reads older ones: then these are read in their turn."""
        if self._missed is not None or self._transport is None:
            return
        self._send(packets)
        self.next += count
        if self._transport is not None and self._transport.get_write_buffer_size() > self._server.limits.outbound_bytes:
            self.cut("slow")

    def _pump_soon(self) -> None:
        if not self._pumping:
            self._pumping = True
            self._loop.call_soon(self._pump)

    def _pump(self) -> None:
        """Send one piece of what is not live; others get their turn before the next."""
        self._pumping = False
        if self._transport is None or self._transport.is_closing() or self._paused_at:
            return
        if self._snapshot:
            self._send(bytes(self._snapshot[:PIECE]))
            self._snapshot = self._snapshot[PIECE:]
        elif self._asked:
            self._asked = False
            self._snapshot = memoryview(self._server.snapshot(self.instrument))
        elif self._missed is not None:
            self._send_missed(self._missed)
        else:
            return
        self._pump_soon()

    def _send_missed(self, missed: Iterator[list[bytes]]) -> None:
        try:
            rows = next(missed, None)
        except JournalError as error:
            self._server.broken(error)
            self.cut("damaged store")
            return
        if rows is None:
            # Nothing has been taken since the last read, so what comes live follows directly.
            self._missed = None
        else:
            self._send(sequenced_rows(rows))
            self.next += len(rows)

    def _send(self, data: bytes) -> None:
        if self._transport is not None and data and not self._transport.is_closing():
            self._sent = self._loop.time()
            self._transport.write(data)

    # ---- time and ends

    def sweep(self, now: float) -> None:
        """Send a heartbeat if one is due; cut who does not log in, is silent or has stopped reading. Seconds of the loop."""
        limits = self._server.limits
        if not self.instrument and now - self._begun > limits.unauthenticated_seconds:
            self.cut("no login")
        elif now - self._heard > limits.silent_seconds:
            self.cut("silent")
        elif self._paused_at:
            if now - self._paused_at > limits.silent_seconds:
                self.cut("slow")
        elif self.instrument and now - self._sent >= HEARTBEAT:
            self._send(soup.SERVER_HEARTBEAT)

    def end(self, cause: str, last: bytes = soup.END_OF_SESSION) -> None:
        """Send a last packet and close."""
        if self._transport is not None and not self._transport.is_closing():
            self._cause = cause
            self._send(last)
            self._transport.close()

    def cut(self, cause: str) -> None:
        """Close at once, with what still waits to be sent."""
        if self._transport is not None:
            self._cause = cause
            self._transport.abort()
