"""One connection to the gateway: from bytes to wire rows, and its place in what its session is told."""

import asyncio
import time
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Final, cast

from core.codes import CommandKind
from core.limits import PARTS_MAX
from core.wire import BROKEN, EVENT_PACKET, HELD, MESSAGE_PACKET, MESSAGE_SIZE, UNSEQUENCED, sendable, standing, take
from journal.errors import CorruptEvents, JournalError
from replicas import soup
from replicas.errors import FormError
from replicas.limits import TokenBucket
from replicas.passwords import PasswordError
from replicas.soup import FormReason, Notice, NoticeKind, PacketType
from replicas.told import KEPT, older, outbound, unsequenced

if TYPE_CHECKING:
    from replicas.gateway import Desk, Gateway

_BUFFER_MAX: Final = 2**20
_CANCELS: Final = (CommandKind.REDUCE_ORDER, CommandKind.CANCEL_ORDER, CommandKind.MASS_CANCEL)
_HEARTBEAT_NS: Final = 10**9
_PAUSE_SECONDS: Final = 0.01
_AT_ONCE: Final = 512
"""Packets of one write to a client that catches up."""


class Connection(asyncio.Protocol):
    """A client. Nothing it sends raises: each message is taken, answered, or ends the connection with a count."""

    def __init__(self, gateway: "Gateway") -> None:
        self.address = ""
        self._gateway = gateway
        self._desk: Desk | None = None
        self._transport: asyncio.Transport | None = None
        self._bucket = TokenBucket(gateway.node.limits.messages_per_second, gateway.node.limits.burst)
        self._buffer = b""
        self._asking: asyncio.Task[None] | None = None
        # The next outbound number to send, and whether all before it have been sent, so that news follow directly.
        self._next = 0
        self._live = False
        # Nothing is read: over its rate, or until it has gone after its last word.
        self._paused = False
        self._ending = 0
        self._writable = asyncio.Event()
        self._writable.set()
        self._made = self._heard = self._sent = time.monotonic_ns()

    # ---- the transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has connected."""
        self._transport = cast("asyncio.Transport", transport)
        peer = transport.get_extra_info("peername")
        self.address = str(peer[0]) if isinstance(peer, tuple) else "unix"
        self._transport.set_write_buffer_limits(high=64 * 1024)
        refused = self._gateway.admit(self)
        if refused is not None:
            self.abort(refused)

    def connection_lost(self, _error: Exception | None) -> None:
        """It is gone; its session goes on without it."""
        self._gateway.connections.discard(self)
        if self._asking is not None:
            self._asking.cancel()
        if self._desk is not None and self._desk.connection is self:
            self._desk.connection = None
            self._desk.told.forget()
        self._transport = None

    def pause_writing(self) -> None:
        """The client reads slowly."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """The client has caught up."""
        self._writable.set()

    def data_received(self, data: bytes) -> None:
        """Take what can be taken."""
        self._heard = time.monotonic_ns()
        if self._ending:
            return
        self._buffer = self._buffer + data if self._buffer else data
        if self._asking is None and not self._paused:
            self._read()

    # ---- reading

    def _read(self) -> None:
        """Go through the packets that are whole, as long as none of them has to wait for an answer."""
        data, at = self._buffer, 0
        try:
            while self._open() and self._asking is None and not self._paused:
                at = self._take(data, at)
                end = soup.next_packet(data, at, soup.PACKET_MAX, soup.FROM_CLIENT)
                if end == 0 or self._holds(data, at):
                    break
                self._packet(data, at, end)
                at = end
        except FormError:
            self.abort("form")
        self._buffer = data[at:]
        if len(self._buffer) > _BUFFER_MAX and self._transport is not None:
            self._transport.pause_reading()

    def _take(self, data: bytes, at: int) -> int:
        """Take all messages that are in form and in order; returns where the first other packet begins."""
        desk, node = self._desk, self._gateway.node
        if desk is None or node.refuses_orders():
            return at
        # An empty node takes a command of any number of parts.
        room = max(node.limits.pending_rows, PARTS_MAX + 1) if node.pending_rows == 0 else node.limits.pending_rows
        room -= node.pending_rows
        count = take(data, at, desk.number, desk.expected, room, node.pending)
        if count == 0:
            return at
        desk.expected += count
        node.pending_rows += count
        node.arrived()
        if not self._bucket.take(self._heard, min(count, node.limits.burst)):
            # What came is taken, so that nobody has to send it again; the next read waits until it is paid for.
            self._wait(min(count, node.limits.burst))
        return at + count * MESSAGE_PACKET

    def _holds(self, data: bytes, at: int) -> bool:
        """Whether a command of several parts begins here whose last part has not come: it is taken whole or not at all."""
        desk = self._desk
        if desk is None or self._gateway.node.refuses_orders():
            return False
        return standing(data, at, desk.number, desk.expected) == HELD

    def _wait(self, owed: int) -> None:
        """Read on once so many messages are paid for."""
        self._paused = True
        if self._transport is not None:
            self._transport.pause_reading()
            asyncio.get_running_loop().call_later(_PAUSE_SECONDS, self._go_on, owed)

    def _go_on(self, owed: int) -> None:
        if not self._open() or self._transport is None:
            return
        if not self._bucket.take(time.monotonic_ns(), owed):
            self._wait(owed)
            return
        self._paused = False
        self._transport.resume_reading()
        if self._asking is None:
            self._read()

    def _open(self) -> bool:
        return self._transport is not None and not self._ending

    def _packet(self, data: bytes, at: int, end: int) -> None:
        """One packet that is no message in order."""
        kind, payload, desk = data[at + 2], data[at + 3 : end], self._desk
        if desk is not None and standing(data, at, desk.number, desk.expected) == BROKEN:
            self._refuse(desk.expected, FormReason.INCOMPLETE)
        elif kind == PacketType.LOGOUT:
            self.end()
        elif kind == PacketType.LOGIN and self._desk is None:
            self._ask(self._log_in(soup.parse_login(payload)))
        elif kind == PacketType.UNSEQUENCED and self._desk is not None:
            self._message(self._desk, payload)
        elif kind not in (PacketType.CLIENT_HEARTBEAT, PacketType.DEBUG):
            raise FormError("a packet that has no place here")

    def _message(self, desk: "Desk", payload: bytes) -> None:
        """A message that was not taken: refuse it, ask for the one that is missing, or repeat its answer."""
        if len(payload) != MESSAGE_SIZE:
            self._refuse(0, FormReason.MALFORMED_LENGTH)
            return
        if not self._bucket.take(self._heard):
            self._wait(1)
        kind, session, inbound = (int.from_bytes(payload[n : n + 8], "little", signed=True) for n in (0, 8, 16))
        node = self._gateway.node
        if session != desk.number:
            self._refuse(inbound, FormReason.WRONG_SESSION)
        elif not sendable(kind):
            self._refuse(inbound, FormReason.UNKNOWN_KIND)
        elif inbound > desk.expected:
            node.counts.form("gap")
            self.write(Notice(NoticeKind.GAP, desk.expected).packet())
        elif inbound < desk.expected:
            self._repeated(desk, inbound, soup.wire_row(payload))
        elif kind in _CANCELS and not node.refuses_all():
            # A full node takes cancels first and last.
            node.pending.write(soup.wire_row(payload))
            desk.expected += 1
            node.pending_rows += 1
            node.arrived()
        else:
            node.counts.form("busy")
            self.write(Notice(NoticeKind.BUSY, inbound).packet())

    def _refuse(self, inbound: int, reason: FormReason) -> None:
        self._gateway.node.counts.form(reason.name.lower())
        self.write(Notice(NoticeKind.REFUSED, inbound, reason).packet())

    # ---- what takes a while: nothing more is read from this connection until it is done

    def _ask(self, work: Coroutine[None, None, None]) -> None:
        self._asking = asyncio.get_running_loop().create_task(work)
        self._asking.add_done_callback(self._asked)

    def _asked(self, task: "asyncio.Task[None]") -> None:
        self._asking = None
        if task.cancelled():
            return
        error = task.exception()
        if isinstance(error, PasswordError | JournalError):
            self.abort(type(error).__name__)
        elif error is not None:
            self.abort("error")
            raise error
        elif self._open() and self._desk is not None and not self._live:
            self._ask(self._catch_up(self._desk))
        elif self._open() and self._transport is not None and not self._paused:
            self._transport.resume_reading()
            self._read()

    def _repeated(self, desk: "Desk", inbound: int, row: bytes) -> None:
        """Answer a repeated message: at once where its answer is at hand, otherwise nothing more is read until it is."""
        node = self._gateway.node
        node.counts.form("repeated")
        session = node.engine.session(desk.number)
        if session is not None and session.inbound >= inbound:
            refused, first, last = self._gateway.again(session, inbound, row)
            kept = refused or desk.told.between(first, last)
            if kept is not None and len(kept) <= _AT_ONCE * EVENT_PACKET:
                self.write(refused or unsequenced(kept))
                return
        self._ask(self._repeat(desk, inbound, row))

    async def _repeat(self, desk: "Desk", inbound: int, row: bytes) -> None:
        """Once everything before it is answered, the rows of its first answer, from the event store."""
        node = self._gateway.node
        while (session := node.engine.session(desk.number)) is not None and session.inbound < inbound:
            await node.next_batch()
        if session is None:
            return
        refused, first, last = self._gateway.again(session, inbound, row)
        if refused:
            self.write(refused)
            return
        async for packets in older(node.events, desk.number, desk.told, first, last, UNSEQUENCED):
            if outbound(packets) != first:
                break
            first += len(packets) // EVENT_PACKET
            self.write(packets)
            await self._writable.wait()
        if first <= last:
            # A standby that joined late has not what was told before.
            self.write(Notice(NoticeKind.REFUSED, inbound, FormReason.INBOUND_TOO_OLD).packet())

    async def _log_in(self, login: soup.Login) -> None:
        found = await self._gateway.log_in(login, self.address, self._heard)
        if not self._open():
            return
        if isinstance(found, soup.Refusal):
            self.write(soup.rejected(found))
            self._close("login")
            return
        if found.connection is not None:
            found.connection.end()
        found.connection, self._desk = self, found
        self._next = login.sequence or found.told.next
        self.write(
            soup.accepted(soup.VENUE, self._next)
            + Notice(NoticeKind.NEXT, found.expected, found.told.next).packet()
            + self._gateway.head()
        )
        await self._catch_up(found)

    async def _catch_up(self, desk: "Desk") -> None:
        """Send what the session was told from `_next` on; news follow directly once nothing is missing."""
        told, began = desk.told, self._next
        while self._next < told.next:
            last = min(told.next, self._next + _AT_ONCE) - 1
            packets = told.between(self._next, last)
            if packets is None:
                await self._catch_up_from_store(desk, told.first - 1)
            else:
                self.write(packets)
                self._next = last + 1
            await self._writable.wait()
        if self._next > began:
            self.write(self._gateway.head())
        self._live = True

    async def _catch_up_from_store(self, desk: "Desk", last: int) -> None:
        near = bytearray()
        async for packets in older(self._gateway.node.events, desk.number, desk.told, self._next, last):
            if outbound(packets) != self._next:
                break
            self.write(packets)
            self._next += len(packets) // EVENT_PACKET
            # The last of them are the answers to what is repeated next.
            near += packets
            del near[: -KEPT * EVENT_PACKET]
            await self._writable.wait()
        if self._next <= last:
            raise CorruptEvents(f"session {desk.number}", f"outbound number {self._next} is not in the event store")
        desk.told.prepend(bytes(near))

    # ---- writing

    def tell(self, packets: bytes, following: int, notice: bytes) -> None:
        """News: packets up to the outbound number before `following`. A connection that catches up finds them later."""
        if not self._live:
            return
        if len(packets) > self._gateway.node.limits.outbound_bytes // 4:
            # Too much for one write: sent in parts, as fast as the client reads.
            self._live = False
            if self._asking is None and self._desk is not None:
                self._ask(self._catch_up(self._desk))
            return
        self._next = following
        self.write(packets + notice)

    def write(self, data: bytes) -> None:
        """Send; a client that reads too slowly is dropped, and resumes by number."""
        transport = self._transport
        if transport is None or self._ending:
            return
        transport.write(data)
        self._sent = time.monotonic_ns()
        if transport.get_write_buffer_size() > self._gateway.node.limits.outbound_bytes:
            self.abort("slow")

    def sweep(self, now: int) -> None:
        """Heartbeat, or drop, as the time asks for; `now` is monotonic, in ns."""
        limits = self._gateway.node.limits
        if self._ending:
            if now - self._ending > limits.unauthenticated_seconds * 1e9:
                self.abort("unread")
        elif self._desk is None:
            if self._asking is None and now - self._made > limits.unauthenticated_seconds * 1e9:
                self.abort("unauthenticated")
        elif now - self._heard > limits.silent_seconds * 1e9:
            self.abort("silent")
        elif now - self._sent >= _HEARTBEAT_NS:
            self.write(soup.SERVER_HEARTBEAT)

    def end(self) -> None:
        """End of session: a logout, a newer login, or a node that stops."""
        if self._open():
            self.write(soup.END_OF_SESSION)
            self._close("ended")

    def _close(self, cause: str) -> None:
        """Hang up once the last word has been sent; who does not read it is cut by `sweep`."""
        if self._transport is not None:
            self._gateway.node.counts.disconnect(cause)
            self._ending = time.monotonic_ns()
            self._transport.close()

    def abort(self, cause: str) -> None:
        """Cut the connection at once."""
        if self._transport is not None:
            if not self._ending:
                self._gateway.node.counts.disconnect(cause)
            self._transport.abort()
            self._transport = None
