"""One client of market data or a drop copy: its login, the rows it missed, those that come, the snapshots it asks for.

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
from replicas.market_rows import sequenced_rows
from replicas.market_series import Series
from replicas.passwords import PasswordError
from replicas.soup import PacketType

PACKET_MAX: Final = 128
"""Largest length of a client's packet, type included; a message takes 113."""
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

    async def log_in(self, login: soup.Login, address: str) -> Series | soup.Refusal:
        """What the login reads, or why it is rejected; passwords.PasswordError where the password could not be checked."""

    def attach(self, reader: "Reader", series: Series, session: int) -> None:
        """From now on the reader is told the live rows of the series; one of the same session there ends."""

    def detach(self, reader: "Reader", cause: str) -> None:
        """The connection is gone."""

    def broken(self, error: JournalError) -> None:
        """Nothing may be served any more."""


class Reader(asyncio.Protocol):
    """A connection. `series` is None until it is logged in; `next` is the number of the row that it gets next."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._packets = soup.Packets(PACKET_MAX, soup.FROM_CLIENT)
        self._login: asyncio.Task[None] | None = None
        self._behind_login: list[tuple[int, bytes]] = []
        self._missed: Iterator[list[bytes]] | None = None
        self._notices = b""
        self._snapshot = memoryview(b"")
        self._asked = False
        self._pumping = False
        self._paused_at = 0.0
        self._begun = self._heard = self._sent = self._loop.time()
        self._cause = "closed by the client"
        self.address = ""
        self.series: Series | None = None
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
        if self._login is not None and self.series is None:
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
            if self.series is None:
                raise FormError("a message before a login")
            self._answer(self.series.answer(payload))

    async def _log_in(self, login: soup.Login) -> None:
        try:
            found = await self._server.log_in(login, self.address)
        except PasswordError:
            self.cut("passwords not checked")
            return
        if isinstance(found, soup.Refusal):
            self.end("rejected", soup.rejected(found))
        elif self._transport is not None:
            try:
                self._begin(found, login)
            except JournalError as error:
                self._damaged(error)
            self._take_all(self._behind_login)
            self._behind_login = []

    def _begin(self, series: Series, login: soup.Login) -> None:
        """Be told the rows of the series from the number on that the login wants."""
        self._notices = series.notices()
        self.series = series
        self.next = login.sequence or series.last + 1
        self._missed = series.rows_from(self.next)
        self._send(soup.accepted(series.name, self.next) + self._notices)
        self._server.attach(self, series, login.number())
        self._pump_soon()

    # ---- what is sent

    def tell(self, packets: bytes, count: int) -> None:
        """Send rows that have just come, unless the client still reads older ones: then these are read in their turn."""
        if self._missed is not None or self._transport is None:
            return
        self.next += count
        self._send_now(packets)

    def _answer(self, packets: bytes | None) -> None:
        if packets is None:
            self._asked = True
            self._pump_soon()
        else:
            self._send_now(packets)

    def _send_now(self, packets: bytes) -> None:
        """Send what does not wait until the client has read; if too much has gathered, it is cut."""
        self._send(packets)
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
        elif self._asked and self.series is not None:
            self._asked = False
            self._snapshot = memoryview(self.series.snapshot())
        elif self._missed is not None and self.series is not None:
            try:
                self._send_missed(self._missed, self.series)
            except JournalError as error:
                self._damaged(error)
        else:
            return
        self._pump_soon()

    def _send_missed(self, missed: Iterator[list[bytes]], series: Series) -> None:
        rows = next(missed, None)
        if rows is not None:
            self._send(sequenced_rows(rows))
            self.next += len(rows)
            return
        # Nothing has been taken since the last read, so what comes live follows directly.
        self._missed = None
        notices = series.notices()
        if notices != self._notices:
            self._send(notices)

    def _damaged(self, error: JournalError) -> None:
        self._server.broken(error)
        self.cut("damaged store")

    def _send(self, data: bytes) -> None:
        if self._transport is not None and data and not self._transport.is_closing():
            self._sent = self._loop.time()
            self._transport.write(data)

    # ---- time and ends

    def sweep(self, now: float) -> None:
        """Send a heartbeat if one is due; cut who does not log in, is silent or has stopped reading. Seconds of the loop."""
        limits = self._server.limits
        if self.series is None and now - self._begun > limits.unauthenticated_seconds:
            self.cut("no login")
        elif now - self._heard > limits.silent_seconds:
            self.cut("silent")
        elif self._paused_at:
            if now - self._paused_at > limits.silent_seconds:
                self.cut("slow")
        elif self.series is not None and now - self._sent >= HEARTBEAT:
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
