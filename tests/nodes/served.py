"""A venue in a directory, and a primary that serves it in the test's own event loop."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from core import messages as m
from core.kinds import OrderType, Role, Side, TimeInForce
from core.limits import COST_MIN
from core.rows import pack_halves, to_row
from replicas.client import Client
from replicas.lead import MemoryLead
from replicas.limits import Limits, Node, NodeConfig
from replicas.opening import create, resume
from replicas.passwords import make, pack
from replicas.primary import Primary

PASSWORD = "secret"
OPERATOR = 9
TRADERS = (1, 2, 3)
START = 1_700_000_000_000_000_000


def venue(path: Path) -> None:
    """One instrument, three accounts of two firms with a session each, an operator; closed cleanly."""
    directory, sequencer = create(path)
    commands = [
        m.DefineCurrency(currency=1, symbol="USD", decimals=2),
        m.DefineCurrency(currency=2, symbol="AAA"),
        m.DefineInstrument(
            instrument=1, symbol="AAA", currencies=pack_halves(2, 1), price_max=10**6, quantity_max=10**6
        ),
    ]
    for number in TRADERS:
        commands.append(m.OpenAccount(account=number, firm=1 + number % 2, name=f"account {number}"))
        commands += [m.Deposit(account=number, currency=c, amount=10**12) for c in (1, 2)]
        commands.append(m.GrantSession(account=number, grantee=number, role=Role.TRADER))
    commands.append(m.GrantSession(grantee=OPERATOR, role=Role.OPERATOR))
    commands += [m.SetCredential(grantee=number, **pack(*make(PASSWORD, COST_MIN))) for number in (*TRADERS, OPERATOR)]
    sequencer.submit(b"".join(map(to_row, commands)), START)
    sequencer.close_batch()
    assert sequencer.events is not None
    sequencer.events.close()
    directory.close()


def order(account: int, client: int, side: Side, price: int, quantity: int = 10) -> m.EnterOrder:
    """A good-till-cancel limit order on the instrument."""
    flags = side | OrderType.LIMIT << 1 | TimeInForce.GTC << 5
    return m.EnterOrder(
        flags=flags, instrument=1, account=account, client_order_id=client, price=price, quantity=quantity
    )


class Served:
    """A primary that runs, and its address."""

    def __init__(self, primary: Primary, lead: MemoryLead, address: str, running: "asyncio.Task[None]") -> None:
        self.primary = primary
        self.lead = lead
        self.address = address
        self.running = running

    def client(self, session: int, **options) -> Client:
        """A client of a session with the right password."""
        return Client([self.address], session, PASSWORD, **options)

    @property
    def port(self) -> int:
        return int(self.address.rpartition(":")[2])

    def counted(self, name: str, **labels: str) -> float:
        """The value of one of the node's counters."""
        return self.primary.counts.registry.get_sample_value(f"lockstep_{name}_total", labels) or 0.0


@asynccontextmanager
async def serving(path: Path, *, grace: float = 5.0, **limits: object) -> AsyncIterator[Served]:
    """Serve the venue of a directory until the block is left; then it stops cleanly, unless it has failed before.

    `grace` seconds are those within which a session that asked for cancel on disconnect comes back.
    """
    directory, sequencer = resume(path)
    lead = MemoryLead(sequencer.epoch)
    config = NodeConfig(limits=Limits(**limits), node=Node(reconnect_seconds=grace))
    primary = Primary(directory, sequencer, lead, config)
    server = await asyncio.get_running_loop().create_server(primary.gateway.connection, "127.0.0.1", 0)
    running = asyncio.create_task(primary.run())
    await asyncio.sleep(0)
    port = server.sockets[0].getsockname()[1]
    try:
        yield Served(primary, lead, f"127.0.0.1:{port}", running)
    finally:
        server.close()
        primary.stop()
        with suppress(Exception):
            await running
