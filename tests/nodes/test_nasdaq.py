"""Packets as Nasdaq's own client library understands them: it talks to a small server that is made of replicas/soup.py.

What the library is asked to do stands in tests/nodes/nasdaq.py, for every server that speaks the protocol.
"""

import asyncio
from contextlib import asynccontextmanager

import pytest

from core import messages as m
from core.rows import from_row, to_row
from core.wire import frames_between
from replicas import soup
from replicas.soup import Notice, NoticeKind, Packets, PacketType, Refusal
from tests.nodes import nasdaq

USER, PASSWORD, EVENTS = 17, "Sesame 1", 10
HEARTBEAT, SILENCE = 0.05, 1.0


class Venue:
    """One session, its password and what it was told. Each message is answered by one more event."""

    def __init__(self):
        self.connections, self.rows = [], []
        for number in range(1, EVENTS + 1):
            self.add(number)

    def add(self, client_order_id):
        number = len(self.rows) + 1
        self.rows.append(to_row(m.Accepted(session=USER, outbound=number, client_order_id=client_order_id)))
        return self.frames(number)

    def frames(self, first):
        return frames_between(b"".join(self.rows), USER, first, len(self.rows))

    def connection(self):
        self.connections.append(Connection(self))
        return self.connections[-1]


class Connection(asyncio.Protocol):
    def __init__(self, venue):
        self.venue, self.packets, self.logged_in = venue, Packets(types=soup.FROM_CLIENT), False

    def connection_made(self, transport):
        self.transport = transport
        self.silent_since = asyncio.get_running_loop().time()
        self.task = asyncio.create_task(self.watch())

    def connection_lost(self, _error):
        self.task.cancel()

    async def watch(self):
        while asyncio.get_running_loop().time() < self.silent_since + SILENCE:
            await asyncio.sleep(HEARTBEAT)
            if self.logged_in:
                self.transport.write(soup.SERVER_HEARTBEAT)
        self.transport.close()

    def data_received(self, data):
        self.silent_since = asyncio.get_running_loop().time()
        for kind, payload in self.packets.feed(data):
            if kind == PacketType.LOGIN:
                self.log_in(soup.parse_login(payload))
            elif kind == PacketType.UNSEQUENCED and self.logged_in:
                command = from_row(soup.wire_row(payload))
                self.transport.write(self.venue.add(command.client_order_id))
            elif kind == PacketType.LOGOUT:
                self.end()

    def log_in(self, login):
        told = len(self.venue.rows)
        if (login.number(), login.password) != (USER, PASSWORD.encode()):
            self.refuse(Refusal.NOT_AUTHORISED)
        elif login.session not in {"", soup.VENUE} or login.sequence > told + 1:
            self.refuse(Refusal.SESSION_NOT_AVAILABLE)
        else:
            for other in self.venue.connections[:-1]:
                other.end()
            self.logged_in, first = True, login.sequence or told + 1
            notices = Notice(NoticeKind.NEXT, 1, told + 1).packet() + Notice(NoticeKind.HEAD, 1, 1).packet()
            welcome = soup.accepted(soup.VENUE, first) + soup.debug("welcome") + notices
            self.transport.write(welcome + self.venue.frames(first))

    def refuse(self, reason):
        self.transport.write(soup.rejected(reason))
        self.transport.close()

    def end(self):
        if not self.transport.is_closing():
            self.transport.write(soup.END_OF_SESSION)
            self.transport.close()


@asynccontextmanager
async def serving():
    """Host, port, user and password of a server."""
    server = await asyncio.get_running_loop().create_server(Venue().connection, "127.0.0.1", 0)
    try:
        yield (*server.sockets[0].getsockname(), USER, PASSWORD)
    finally:
        server.close()


def enter_order(guest):
    """What `from_now_on_nothing_old_is_told` wants sent."""
    command = m.EnterOrder(session=USER, inbound=1, client_order_id=99)
    guest.session.send_unseq_data(soup.message(to_row(command)))


VISITS = {
    "login": (nasdaq.is_accepted, ()),
    "wrong password": (nasdaq.wrong_password_is_rejected, ()),
    "another session": (nasdaq.unknown_session_is_rejected, ()),
    "sequenced data": (nasdaq.is_told_everything, (EVENTS,)),
    "notices": (nasdaq.notices_follow_a_login, (EVENTS,)),
    "resume": (nasdaq.resumes_at_any_number, (EVENTS,)),
    "from now on": (nasdaq.from_now_on_nothing_old_is_told, (EVENTS, enter_order)),
    "beyond the next": (nasdaq.number_beyond_the_next_is_rejected, (EVENTS,)),
    "heartbeats": (nasdaq.heartbeats_keep_both_sides, (1.0, 0.1, 2.2)),
    "no heartbeats": (nasdaq.silent_client_is_dropped, ()),
    "newer login": (nasdaq.newer_login_wins, ()),
}


@pytest.mark.parametrize(("visit", "arguments"), VISITS.values(), ids=VISITS.keys())
def test_the_library_understands_us(visit, arguments):
    async def run():
        async with serving() as server:
            await visit(*server, *arguments)

    asyncio.run(run())
