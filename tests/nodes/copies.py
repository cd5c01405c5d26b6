"""The drop copies of a venue in this process: what they must be, and a client that keeps all it is told."""

from core import messages as m
from core.kinds import Role
from core.rows import rows, to_row
from journal.journal import Head
from replicas import soup
from replicas.soup import Notice, NoticeKind, PacketType
from tests.nodes.market import Client, credential, made_venue

FIRMS = {1: 31, 2: 32, 3: 33}
"""The firms of the venue, and the session that reads the drop copy of each."""
OTHER_SIDE = {
    "buyer": ("seller", "seller_fee", "seller_drop_copy"),
    "seller": ("buyer", "buyer_fee", "buyer_drop_copy"),
}
"""What a firm does not see of a match, written down apart from the code that hides it."""


def told(event, engine):
    """The drop copy rows of an event as docs/protocol.md says, each with its firm and number."""
    if isinstance(event, m.Settled):
        for side, hidden in OTHER_SIDE.items():
            row = to_row(type(event)(**{n: getattr(event, n) for n in event.__struct_fields__ if n not in hidden}))
            yield engine.account(getattr(event, side)).firm.number, getattr(event, f"{side}_drop_copy"), row
    elif getattr(event, "drop_copy", 0):
        account = engine.account(event.account)
        yield account.firm.number if account is not None else event.firm, event.drop_copy, to_row(event)


def copies(venue, firm):
    """The firm's drop copy as the event store has it, from number 1 on, held against the engine's count."""
    engine = venue.sequencer.machine.engine
    found = [
        row for events in venue.sequencer.events.read() for event in rows(events.rows) for row in told(event, engine)
    ]
    mine = [(number, row) for of, number, row in found if of == firm]
    assert [number for number, _ in mine] == list(range(1, last(venue, firm) + 1))
    return [row for _, row in mine]


def last(venue, firm):
    """The firm's last drop copy number, by the engine."""
    return venue.sequencer.machine.engine.firm(firm).drop_copy


class Copy(Client):
    """A client that keeps notices, and all that it was told in order."""

    def __init__(self, reader, writer):
        super().__init__(reader, writer)
        self.notices, self.order = [], []

    def _take(self, kind, payload):
        if kind == PacketType.UNSEQUENCED:
            self.notices.append(soup.parse_notice(payload))
            self.order.append(self.notices[-1])
            return
        super()._take(kind, payload)
        if kind == PacketType.SEQUENCED:
            self.order.append(payload)

    @property
    def heads(self):
        return [Head(n.a, n.b, n.c) for n in self.notices if n.kind == NoticeKind.HEAD]


async def reads(server, firm, number=0, name="LOCKSTEP"):
    """A client that is logged in to the firm's drop copy."""
    client = await Copy.connect(server.port, name, number, FIRMS[firm])
    assert client.accepted == ("LOCKSTEP", number or client.accepted.sequence)
    return client


def head_notice(venue):
    """The notice that names the end of the journal."""
    return Notice(NoticeKind.HEAD, *venue.directory.head())


def copied_venue(folder, seed):
    """A venue that has traded, with a session for the drop copy of each firm."""
    venue = made_venue(folder, seed)
    venue.submit(*(m.GrantSession(grantee=s, role=Role.DROP_COPY, firm=firm) for firm, s in FIRMS.items()))
    venue.submit(*map(credential, FIRMS.values()))
    return venue
