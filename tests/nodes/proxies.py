"""Market data clients, and a proxy between them and their servers that loses what a test says."""

import asyncio
from contextlib import asynccontextmanager, suppress

from core.kinds import Side
from replicas import soup
from replicas.market_client import MarketClient
from replicas.soup import PacketType
from tests.nodes.market import PASSWORD, READER, engine_orders, until


class Proxy:
    """Stands between clients and a server. Packets of the server are lost or held back where a test says so."""

    def __init__(self):
        self.target, self.logins, self.tasks = None, [], []
        self.loses = lambda kind, payload: False
        self.holds = lambda kind, payload: False
        self.asking = asyncio.Event()
        self.asking.set()
        self.writers, self.held = [], []
        self.bytes_left = None

    async def take(self, reader, writer):
        if self.target is None:
            writer.transport.abort()
            return
        there, here = await asyncio.open_connection("127.0.0.1", self.target)
        self.writers += [writer, here]
        self.tasks += [asyncio.create_task(self.up(reader, here)), asyncio.create_task(self.down(there, writer))]

    async def up(self, reader, writer):
        packets = soup.Packets()
        with suppress(OSError):
            while data := await reader.read(65_536):
                for kind, payload in packets.feed(data):
                    if kind == PacketType.LOGIN:
                        self.logins.append(soup.parse_login(payload).sequence)
                    if kind == PacketType.UNSEQUENCED:
                        await self.asking.wait()
                    writer.write(soup.packet(kind, payload))
        writer.transport.abort()

    async def down(self, reader, writer):
        packets = soup.Packets()
        with suppress(OSError):
            while data := await reader.read(65_536):
                for kind, payload in packets.feed(data):
                    packet = soup.packet(kind, payload)
                    if self.holds(kind, payload):
                        self.held.append((writer, packet))
                    elif not self.loses(kind, payload):
                        self.send(writer, packet)
        writer.close()

    def send(self, writer, packet):
        """Pass it on, until so many bytes have gone; then cut, wherever in a packet that is."""
        if self.bytes_left is not None:
            packet = packet[: self.bytes_left]
            self.bytes_left -= len(packet)
        writer.write(packet)
        if self.bytes_left == 0:
            self.bytes_left = None
            writer.close()

    def release(self):
        """What was held back goes on."""
        self.holds = lambda kind, payload: False
        for writer, packet in self.held:
            writer.write(packet)
        self.held = []

    def cut(self):
        for writer in self.writers:
            writer.transport.abort()
        self.writers = []


@asynccontextmanager
async def proxies(count, target=None):
    """So many of them, listening; each with its address."""
    made, servers = [Proxy() for _ in range(count)], []
    for proxy in made:
        servers.append(await asyncio.start_server(proxy.take, "127.0.0.1", 0))
        proxy.address, proxy.target = f"127.0.0.1:{servers[-1].sockets[0].getsockname()[1]}", target
    try:
        yield made
    finally:
        for server, proxy in zip(servers, made, strict=True):
            server.close()
            proxy.cut()
            for task in proxy.tasks:
                task.cancel()


@asynccontextmanager
async def reading(addresses, instrument=1, **options):
    """A client with its book; `client.taken` are the rows that it applies, in order."""
    client = MarketClient(addresses, READER, PASSWORD.decode(), instrument, **options)
    client.taken, apply = [], client.book.apply

    def recorded(row):
        apply(row)
        client.taken.append(row)

    client.book.apply = recorded
    await client.connect()
    try:
        yield client
    finally:
        await client.close()


async def agree(client, venue):
    """Once the client has every row, its book is the engine's, order by order."""
    instrument, engine = client.book.instrument, venue.sequencer.machine.engine
    await until(lambda: client.book.number >= venue.last(instrument))
    assert client.book.number == venue.last(instrument), f"seed {venue.seed}"
    for side in Side:
        assert list(client.book.orders(side)) == engine_orders(engine, instrument, side), f"seed {venue.seed}"
    assert client.book.state == engine.instrument(instrument).state
