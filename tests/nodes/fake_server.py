"""A server that a client test drives: an engine in memory behind the native protocol, with faults at chosen moments."""

import asyncio
import contextlib
import random

from core import messages as m
from core.kinds import ROW_SIZE, OrderType, Role, TimeInForce
from core.machine import Machine
from core.rows import pack_halves, to_row
from core.stamp import stamp
from replicas import soup
from replicas.soup import Notice, NoticeKind

PASSWORD = "hunter2"
NOW = 1_700_000_000_000_000_000
LIMIT = OrderType.LIMIT << 1 | TimeInForce.GTC << 5
COLUMN = 8

VENUE = [
    m.DefineCurrency(currency=1, symbol="USD", decimals=2),
    m.DefineCurrency(currency=2, symbol="AAA"),
    m.DefineInstrument(
        instrument=1, symbol="AAA", currencies=pack_halves(2, 1), price_max=10**6, quantity_max=10**6
    ),
    *(m.OpenAccount(account=a, firm=a, name=f"account {a}") for a in (1, 2)),
    *(m.Deposit(account=a, currency=c, amount=10**12) for a in (1, 2) for c in (1, 2)),
    *(m.GrantSession(account=a, grantee=a, role=Role.TRADER) for a in (1, 2)),
]  # fmt: skip


def enter(number, side=0, price=100, quantity=1, account=1):
    return m.EnterOrder(
        flags=side | LIMIT, instrument=1, account=account, client_order_id=number, price=price, quantity=quantity
    )


def cut(rows):
    return [rows[at : at + ROW_SIZE] for at in range(0, len(rows), ROW_SIZE)]


def number(row, column):
    return int.from_bytes(row[column * COLUMN : (column + 1) * COLUMN], "little", signed=True)


class FakeServer:
    """One venue behind any number of sockets. `chance` is that of a fault at each of its moments."""

    def __init__(self, seed=0, chance=0.0):
        self.rng, self.chance = random.Random(seed), chance
        self.machine = Machine()
        self.told, self.answers, self.taken, self.logins = {}, {}, [], []
        self.epoch, self.busy, self.silent, self.lost = 1, 0, False, 0
        self.mute, self.repeated = False, 0
        self.connections = set()
        self.apply(b"".join(to_row(command) for command in VENUE))

    def fault(self):
        return self.rng.random() < self.chance

    def session(self, session):
        return self.machine.engine.session(session)

    def apply(self, rows):
        """Apply wire rows as one batch; the events of each session."""
        engine = self.machine.engine
        batch = stamp(rows, engine.sequence, engine.now, NOW)
        news = {}
        for row in cut(batch):
            events = cut(self.machine.apply(row, 0, ROW_SIZE))
            for event in events:
                if number(event, 4):
                    news.setdefault(number(event, 3), []).append(event)
                    self.told.setdefault(number(event, 3), []).append(event)
            session = number(row, 3)
            if session:
                self.taken.append((session, number(row, 4)))
                self.answers[session, number(row, 4)] = [e for e in events if number(e, 3) == session]
        return news

    def head(self):
        return Notice(NoticeKind.HEAD, self.epoch, self.machine.engine.sequence, bytes(32)).packet()

    # ---- connections

    @contextlib.asynccontextmanager
    async def at(self, *paths):
        """Listen on Unix sockets; yields their addresses."""
        servers = [await asyncio.start_unix_server(self.serve, path) for path in paths]
        try:
            yield [f"unix:{path}" for path in paths]
        finally:
            self.drop()
            for server in servers:
                server.close()

    def drop(self):
        """Cut every connection."""
        for writer in list(self.connections):
            writer.transport.abort()

    async def serve(self, reader, writer):
        self.connections.add(writer)
        with contextlib.suppress(OSError, EOFError):
            packets, session = soup.Packets(types=soup.FROM_CLIENT), None
            while data := await reader.read(65_536):
                messages = []
                for kind, payload in packets.feed(data):
                    if kind == soup.PacketType.LOGIN:
                        session = self.log_in(soup.parse_login(payload), writer)
                    elif kind == soup.PacketType.UNSEQUENCED:
                        messages.append(soup.wire_row(payload))
                if messages and not self.silent:
                    self.take(session, messages, writer)
        self.connections.discard(writer)
        writer.close()

    def log_in(self, login, writer):
        self.logins.append(login)
        session = login.number()
        if login.password.decode() != PASSWORD:
            writer.write(soup.rejected(soup.Refusal.NOT_AUTHORISED))
            return session
        told = self.told.get(session, [])
        first = login.sequence or len(told) + 1
        inbound, outbound = self.session(session).inbound + 1 - self.lost, len(told) + 1
        writer.write(soup.accepted(soup.VENUE, first) + Notice(NoticeKind.NEXT, inbound, outbound).packet())
        writer.write(self.head() + b"".join(map(soup.sequenced, told[first - 1 :])))
        return session

    def take(self, session, messages, writer):
        """What a gateway does with messages, and what may go wrong with it."""
        fresh, out, faulty = [], [], self.fault()
        for row in messages:
            inbound, expected = number(row, 4), self.session(session).inbound + 1 + len(fresh)
            if inbound > expected:
                out.append(Notice(NoticeKind.GAP, expected).packet())
            elif inbound < expected:
                self.repeated += 1
                out += map(soup.unsequenced, self.again(session, inbound))
            elif self.busy or self.fault():
                self.busy = max(0, self.busy - 1)
                out.append(Notice(NoticeKind.BUSY, inbound).packet())
            else:
                fresh.append(row)
        if faulty and self.rng.random() < 0.3:
            writer.transport.abort()
            return
        news = self.apply(b"".join(fresh)) if fresh else {}
        if self.mute:
            return
        out += [soup.sequenced(event) for event in news.get(session, [])]
        data = b"".join(out) + (self.head() if news else b"")
        if faulty:
            writer.write(data[: self.rng.randrange(len(data) + 1)])
            writer.close()
            return
        writer.write(data)

    def again(self, session, inbound):
        return self.answers.get((session, inbound), [])
