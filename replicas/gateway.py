"""The gateway: logins, the form of messages, and who is told what. It checks bytes and passes them on.

What it refuses never was a command and leaves no row. A session is a `Desk`, whatever connection it is at.
"""

import asyncio
import time
from typing import Final, Protocol

from librt.strings import BytesWriter

from core.engine import Engine
from core.kinds import Role
from core.session import Session, content_hash
from core.wire import Router
from journal.event_store import EventStore
from journal.journal import Head
from replicas import passwords, soup
from replicas.connection import Connection
from replicas.counts import Counts
from replicas.limits import Limits
from replicas.passwords import AddressLimiter, Checker
from replicas.soup import FormReason, Notice, NoticeKind
from replicas.told import Told, older

SWEEP_SECONDS: Final = 0.25
END_SECONDS: Final = 1.0
"""How long a node that stops waits for clients to read what it has answered."""
_LOOK_SECONDS: Final = 0.005
_LOGIN_ROLES: Final = (Role.TRADER, Role.OPERATOR)


class Node(Protocol):
    """What the gateway asks of the node that it belongs to."""

    limits: Limits
    counts: Counts
    pending: BytesWriter
    """Wire rows that wait for a batch."""
    pending_rows: int
    events: EventStore

    @property
    def engine(self) -> Engine:
        """The engine; another one after a quarantine."""

    def head(self) -> Head:
        """The head of the journal."""

    def arrived(self) -> None:
        """Rows were added to `pending`."""

    def lost(self, number: int, connection: int, expected: int) -> None:
        """The last connection of a session has ended; `expected` is the inbound number that it would have sent next."""

    async def next_batch(self) -> None:
        """Return once the next batch has been answered."""

    def refuses_orders(self) -> bool:
        """Whether new orders are answered BUSY now."""

    def refuses_all(self) -> bool:
        """Whether cancels are answered BUSY as well."""


class Desk:
    """A session at the gateway: the inbound number expected of it, what it was told, and its connection."""

    __slots__ = ("connection", "expected", "number", "told")

    def __init__(self, session: Session) -> None:
        self.number = session.number
        self.expected = session.inbound + 1
        self.told = Told(session.outbound + 1)
        self.connection: Connection | None = None


class Gateway:
    """All connections of a node that trade."""

    def __init__(self, node: Node, checker: Checker) -> None:
        """Connections are made by passing `connection` to a server of the event loop."""
        self.node = node
        self.connections: set[Connection] = set()
        self._checker = checker
        self._logins = AddressLimiter(node.limits.logins_per_minute)
        self._desks: dict[int, Desk] = {}
        self._made = 0
        self.seen: set[int] = set()
        """Sessions that have logged in."""
        self._router = Router()
        self._sweeping: asyncio.Task[None] | None = None

    def connection(self) -> Connection:
        """A protocol for one more connection."""
        self._made += 1
        return Connection(self, self._made)

    def admit(self, connection: Connection) -> str | None:
        """Why one more connection from its address is refused, or None."""
        limits = self.node.limits
        if len(self.connections) >= limits.connections:
            return "connections"
        same = sum(other.address == connection.address for other in self.connections)
        if same >= limits.connections_per_address:
            return "connections_per_address"
        self.connections.add(connection)
        return None

    # ---- logins

    async def log_in(self, login: soup.Login, address: str, now: int) -> Desk | soup.Refusal:
        """The desk of the session, if the password is its; raises passwords.PasswordError where none could be checked."""
        if not self._logins.allow(address, now):
            self.node.counts.login("rate")
            return soup.Refusal.NOT_AUTHORISED
        number = login.number()
        session = self.node.engine.session(number) if number else None
        known = session if session is not None and session.role in _LOGIN_ROLES else None
        right = await self._checker.check(login.password, *passwords.to_check(known))
        if known is None or not right:
            self.node.counts.login("refused")
            return soup.Refusal.NOT_AUTHORISED
        desk = self.desk(number)
        known_there = login.session in ("", soup.VENUE) and login.sequence <= desk.told.next
        if not known_there or not await self._at_hand(desk, login.sequence):
            self.node.counts.login("session")
            return soup.Refusal.SESSION_NOT_AVAILABLE
        self.node.counts.login("accepted")
        return desk

    async def _at_hand(self, desk: Desk, number: int) -> bool:
        """Whether the session can be told everything from this outbound number on: a late standby lacks what was before it."""
        if number == 0 or number >= desk.told.first:
            return True
        found = older(self.node.events, desk.number, desk.told, number, number)
        return bool([True async for _ in found])

    def desk(self, number: int) -> Desk:
        """The desk of a session that exists."""
        desk = self._desks.get(number)
        if desk is None:
            session = self.node.engine.session(number)
            if session is None:
                raise AssertionError(f"there is no session {number}")
            desk = self._desks[number] = Desk(session)
        return desk

    # ---- answers

    def publish(self, events: bytes, head: Head) -> None:
        """Tell each session its rows of a batch that is durable and applied, with the head that holds them."""
        notice = Notice(NoticeKind.HEAD, head.epoch, head.sequence, head.hash).packet()
        for number, packets, _ in self._router.route(events):
            desk = self._desks.get(number)
            if desk is None:
                # Its packets are in the event store; a desk that is made later begins behind them.
                continue
            desk.told.add(packets)
            if desk.connection is None:
                desk.told.forget()
            else:
                desk.connection.tell(packets, desk.told.next, notice)

    def again(self, session: Session, inbound: int, row: bytes) -> tuple[bytes, int, int]:
        """What a repeated message is answered with: a notice, or the outbound numbers of its first answer, both included."""
        if inbound < 1 or not session.remembers(inbound):
            return _refused(inbound, FormReason.INBOUND_TOO_OLD), 0, 0
        if session.content(inbound) != content_hash(row, 0):
            return _refused(inbound, FormReason.INBOUND_CONFLICT), 0, 0
        first = session.first(inbound)
        return b"", first, first + session.count(inbound) - 1

    def head(self) -> bytes:
        """The notice that tells the head of the journal."""
        head = self.node.head()
        return Notice(NoticeKind.HEAD, head.epoch, head.sequence, head.hash).packet()

    # ---- the passing of time

    def start(self) -> None:
        """Send heartbeats, and drop who is silent or does not log in."""
        self._sweeping = asyncio.create_task(self._sweep())

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            now = time.monotonic_ns()
            for connection in list(self.connections):
                connection.sweep(now)

    def close(self) -> None:
        """Cut all connections, without another word: what was not answered must not be."""
        if self._sweeping is not None:
            self._sweeping.cancel()
        for connection in list(self.connections):
            connection.abort("stopped")

    async def end(self) -> None:
        """End all sessions of a node that stops cleanly; clients have a moment to read their last answers."""
        for connection in list(self.connections):
            connection.end()
        until = time.monotonic() + END_SECONDS
        while self.connections and time.monotonic() < until:  # noqa: ASYNC110 - each ends by itself
            await asyncio.sleep(_LOOK_SECONDS)


def _refused(inbound: int, reason: FormReason) -> bytes:
    return Notice(NoticeKind.REFUSED, inbound, reason).packet()
