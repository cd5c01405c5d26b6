"""A connection to a gateway that sends whatever bytes a test wants."""

import asyncio

from core.rows import to_row
from replicas import soup
from replicas.soup import PacketType
from tests.nodes.served import PASSWORD


class Raw:
    """A connection that sends whatever bytes a test wants."""

    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer
        self.packets = soup.Packets()
        self.found = []

    @classmethod
    async def connect(cls, served):
        return cls(*await asyncio.open_connection("127.0.0.1", served.port))

    async def login(self, session=1, password=PASSWORD, sequence=0):
        """Log in; the outbound number that comes next."""
        self.send(soup.login(session, password.encode(), "", sequence))
        kind, payload = await self.next()
        assert kind == PacketType.ACCEPTED
        return soup.parse_accepted(payload).sequence

    def send(self, *parts):
        self.writer.write(b"".join(parts))

    def message(self, command, session, inbound):
        """The packet of a command."""
        names = {n: getattr(command, n) for n in command.__struct_fields__} | {"session": session, "inbound": inbound}
        return soup.unsequenced(soup.message(to_row(type(command)(**names))))

    async def next(self, *, skip=(PacketType.SERVER_HEARTBEAT,)):
        """Type and payload of the next packet; (0, b"") once the server has hung up."""
        while True:
            while self.found:
                found = self.found.pop(0)
                if found[0] not in skip:
                    return found
            try:
                data = await asyncio.wait_for(self.reader.read(65_536), 10)
            except ConnectionError:
                data = b""
            if not data:
                return 0, b""
            self.found += self.packets.feed(data)

    async def notice(self, *kinds):
        """The next notice of one of these kinds."""
        while True:
            kind, payload = await self.next()
            assert kind, "the server hung up"
            if kind == PacketType.UNSEQUENCED and len(payload) == soup.NOTICE_SIZE:
                notice = soup.parse_notice(payload)
                if notice.kind in kinds:
                    return notice

    async def event(self):
        """Packet type and event of the next event row."""
        while True:
            kind, payload = await self.next()
            assert kind, "the server hung up"
            if len(payload) == 128:
                return kind, payload
