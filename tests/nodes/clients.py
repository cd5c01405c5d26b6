"""Clients of the fake server, logged in, and the time that a test may take."""

import asyncio
import contextlib

from core.rows import to_row
from replicas.client import Client
from replicas.client_answers import ROW
from tests.nodes.fake_server import PASSWORD

SECONDS = 20


@contextlib.asynccontextmanager
async def logged_in(server, folder, session=1, **options):
    """A client of a server that listens on two sockets."""
    async with server.at(folder / "a", folder / "b") as addresses, asyncio.timeout(SECONDS):
        client = Client(addresses, session, PASSWORD, **options)
        await client.connect()
        try:
            yield client
        finally:
            await client.close()


def run(test):
    asyncio.run(test)


async def until(true):
    while not true():  # noqa: ASYNC110 - what is waited for happens in a server that knows of no event
        await asyncio.sleep(0.001)


def m_row(command, session, inbound=1):
    """A wire row as another client of the session would send it."""
    columns = list(ROW.unpack(to_row(command)))
    columns[3:5] = session, inbound
    return ROW.pack(*columns)
