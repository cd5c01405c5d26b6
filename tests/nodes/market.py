"""A venue in this process, its market data server on the test's loop, and a client that keeps what it is told."""

import asyncio
from contextlib import asynccontextmanager

from core import messages as m
from core.kinds import Role, Side, TradingState
from core.rows import from_row, to_row
from journal.event_store import EventStore
from replicas import soup
from replicas.book_builder import Resting
from replicas.limits import Limits
from replicas.market_data import MarketDataServer
from replicas.market_feed import MarketFeed
from replicas.market_rows import SNAPSHOT_REQUEST, SnapshotEnd, parse_snapshot
from replicas.opening import create, resume
from replicas.passwords import Credential, make, matches, pack
from replicas.soup import PacketType
from tests.determinism.stream import START, Stream

READER, SECOND, TRADER, NEVER_SET, UNKNOWN = 20, 21, 1, 22, 999
PASSWORD = b"secret"
HIDDEN = {"session", "outbound", "account", "client_order_id", "original_client_order_id", "drop_copy", "reason"}
"""What nobody but the owner of an order learns, written down apart from the code that hides it."""

HALTS = [m.SetTradingState(instrument=1, state=TradingState.HALTED)] * 1_000
"""A batch of a thousand rows for instrument 1."""

MARKET_DATA = (
    m.Accepted, m.Rested, m.Executed, m.Traded, m.Reduced, m.DisplayChanged, m.Canceled, m.Expired, m.Replaced,
    m.Restated, m.InstrumentDefined, m.TradingStateChanged,
)  # fmt: skip
OWNERS_FLAGS = 1 << 11 | 7 << 14 | 1 << 22
"""Reduce-only and self-trade prevention."""


def public(event):
    """An event as market data shows it."""
    shown = {name: getattr(event, name) for name in event.__struct_fields__ if name not in HIDDEN}
    if "order_number" in shown:
        shown["flags"] &= ~OWNERS_FLAGS
    return type(event)(**shown)


def credential(session, password=PASSWORD):
    """The command that gives a session a password, cheap to check."""
    return m.SetCredential(grantee=session, **pack(*make(password.decode(), cost=10)))


class Venue:
    """A journal with its writer, trading a random stream that its seed repeats."""

    def __init__(self, path, seed):
        self.seed = seed
        self.directory, self.sequencer = create(path)
        self.stream = Stream(seed)
        self.sequencer.submit(b"".join(self.stream.setup()), START)
        self.submit(*(m.GrantSession(grantee=s, role=Role.MARKET_DATA) for s in (READER, SECOND, NEVER_SET)))
        self.submit(credential(READER), credential(SECOND), credential(TRADER))

    def submit(self, *commands):
        self.sequencer.submit(b"".join(map(to_row, commands)), START)

    def trade(self, rows, batch=7):
        """So many rows of the stream, in batches."""
        for at in range(0, rows, batch):
            self.sequencer.submit(b"".join(self.stream.next() for _ in range(min(batch, rows - at))), START)

    def last(self, instrument):
        """The instrument's last market data number, by the engine."""
        return self.sequencer.machine.engine.instrument(instrument).market_data

    def told(self, instrument):
        """The instrument's market data as the event store has it, from number 1 on."""
        events = [from_row(e.rows, at) for e in self.sequencer.events.read() for at in range(0, len(e.rows), 128)]
        mine = [e for e in events if isinstance(e, MARKET_DATA) and e.instrument == instrument and e.market_data]
        assert [event.market_data for event in mine] == list(range(1, len(mine) + 1))
        return [to_row(public(event)) for event in mine]

    def restart(self, *, without_events):
        """Go on as another writer would, after a clean stop."""
        self.close()
        if without_events:
            EventStore.remove(self.directory.events)
        self.directory, self.sequencer = resume(self.directory.path)

    def close(self):
        self.sequencer.events.close()
        self.directory.close()


def made_venue(folder, seed):
    """A venue with some market data in each instrument, and an order in the first one's book."""
    venue = Venue(folder / "venue", seed)
    venue.trade(400, batch=100)
    for _ in range(100):
        if any(engine_orders(venue.sequencer.machine.engine, 1, side) for side in Side):
            return venue
        venue.trade(10, batch=10)
    raise AssertionError(f"a thousand rows of stream {seed} leave no order in the book")


def orders(book):
    """Level 3 of both sides."""
    return [order for side in Side for order in book.orders(side)]


def engine_orders(engine, number, side):
    """What the engine's own orders of a side show, the one that trades next first."""
    instrument = engine.instrument(number)
    found = []
    for level in reversed((instrument.bids if side == Side.BUY else instrument.asks).levels):
        order = level.first
        while order is not None:
            shown = order.terms.shown if order.terms is not None and order.terms.display else order.leaves
            found.append(Resting(order.number, side, order.price, shown))
            order = order.behind
    return found


class CheckedHere:
    """Checks passwords in this process: starting another one for each test would take most of its time."""

    async def check(self, password, *kept):
        return matches(password, Credential(*kept))

    async def close(self):
        pass


@asynccontextmanager
async def serving(venue, *, poll=0.005, doorbell=None, **limits):
    """A server that follows the venue; `server.port` is where it listens."""
    feed = MarketFeed(venue.sequencer.events, venue.directory)
    feed.catch_up()
    limits = Limits(**{"outbound_bytes": 2**20, "logins_per_minute": 10_000} | limits)
    server = MarketDataServer(feed, CheckedHere(), limits, poll=poll)
    server.feed = feed
    _, server.port = await server.listen("127.0.0.1", 0)
    server.running = asyncio.create_task(server.run(doorbell))
    try:
        yield server
    finally:
        server.running.cancel()
        await asyncio.wait([server.running])
        await server.close()


class Client:
    """A connection and what came over it: rows with their numbers, orders and ends of snapshots, other packets."""

    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer
        self.packets = soup.Packets()
        self.accepted = self.rejected = None
        self.rows, self.orders, self.ends, self.others = [], [], [], []
        self.first = 0
        self.closed = False
        self.reading = asyncio.create_task(self._read())

    @classmethod
    async def connect(cls, port, instrument=1, sequence=0, session=READER, password=PASSWORD):
        """Connect and log in; returns when that is answered."""
        client = cls(*await asyncio.open_connection("127.0.0.1", port))
        client.send(soup.login(session, password, str(instrument), sequence))
        await until(lambda: client.accepted or client.rejected or client.closed)
        return client

    async def _read(self):
        try:
            while data := await self.reader.read(65_536):
                for kind, payload in self.packets.feed(data):
                    self._take(kind, payload)
        except ConnectionError:
            pass
        self.closed = True

    def _take(self, kind, payload):
        if kind == PacketType.ACCEPTED:
            self.accepted = soup.parse_accepted(payload)
        elif kind == PacketType.REJECTED:
            self.rejected = soup.parse_rejected(payload)
        elif kind == PacketType.SEQUENCED:
            self.rows.append(payload)
        elif kind == PacketType.UNSEQUENCED:
            row = parse_snapshot(payload)
            (self.orders if isinstance(row, Resting) else self.ends).append(row)
            assert isinstance(row, Resting | SnapshotEnd)
        else:
            self.others.append(kind)

    @property
    def next(self):
        """The number that comes next, by counting as SoupBinTCP does."""
        return self.accepted.sequence + len(self.rows)

    def send(self, data):
        self.writer.write(data)

    def ask(self):
        """Ask for a snapshot."""
        self.send(SNAPSHOT_REQUEST)

    async def close(self):
        self.writer.transport.abort()
        await self.reading


async def until(condition, seconds=10):
    """Let others work until it holds."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - what it waits for happens in code that knows nothing of tests
            await asyncio.sleep(0.001)
