"""A node to be operated: a venue in memory behind a real admin socket, in a thread with a loop of its own."""

import asyncio
import threading
from contextlib import contextmanager

import msgspec
from prometheus_client import CollectorRegistry, Counter

from core import messages as m
from core.kinds import Role
from core.machine import Machine
from core.rows import to_row
from core.stamp import stamp
from replicas.admin import AdminServer, told

OPERATOR = 9
NOW = 1_700_000_000_000_000_000
SET_UP = (
    m.DefineCurrency(currency=1, symbol="USD"),
    m.DefineCurrency(currency=2, symbol="BTC"),
    m.OpenAccount(account=1, firm=1),
    m.GrantSession(grantee=OPERATOR, role=Role.OPERATOR),
)


class FakeNode:
    """Applies what it is given to an engine, without a journal."""

    def __init__(self):
        self.registry = CollectorRegistry()
        self.rows = Counter("lockstep_rows", "Rows", registry=self.registry)
        self.machine = Machine()
        self.submitted = []
        self.raises = None
        for command in SET_UP:
            self._apply(command)

    @property
    def engine(self):
        return self.machine.engine

    def _apply(self, command):
        row = stamp(to_row(command), self.engine.sequence, self.engine.now, NOW)
        self.rows.inc()
        return self.machine.apply(row, 0, len(row))

    def status(self):
        return {"role": "primary", "epoch": 1, "sequence": self.engine.sequence, "snapshot": None}

    async def submit(self, command):
        if self.raises is not None:
            raise self.raises
        self.submitted.append(command)
        session = self.engine.session(command.session)
        inbound = 1 if session is None else session.inbound + 1
        return told(self._apply(msgspec.structs.replace(command, inbound=inbound)))


@contextmanager
def serving(node, path, loop_factory=asyncio.new_event_loop):
    """The node behind an admin socket at the path."""
    loop = loop_factory()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    server = AdminServer(node, path)
    try:
        asyncio.run_coroutine_threadsafe(server.start(), loop).result(30)
        yield server
    finally:
        asyncio.run_coroutine_threadsafe(server.stop(), loop).result(30)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
