"""Where a primary listens: TLS, a Unix socket, and nothing that others can reach by accident."""

import asyncio
import shutil
import ssl
import stat
import subprocess

import pytest
from typer.testing import CliRunner

from core.kinds import EventKind, Side
from replicas import soup
from replicas.client import Client
from replicas.limits import Listen
from replicas.listening import Exposed, context, listen, refuse_exposed
from replicas.market_data import MarketDataServer
from replicas.market_feed import MarketFeed
from replicas.passwords import Checker
from tests.nodes.served import PASSWORD, order, serving, venue
from tools.main import app


@pytest.fixture
def place(tmp_path):
    venue(tmp_path / "v")
    return tmp_path / "v"


@pytest.fixture
def certificate(tmp_path):
    """A certificate of this test's own, and its key."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not at hand to make a certificate")
    key, file = tmp_path / "key.pem", tmp_path / "certificate.pem"
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", str(key), "-out", str(file)]
    made += ["-days", "1", "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"]
    subprocess.run(made, check=True, capture_output=True)
    return file, key


async def trades(address, tls=None):
    """Whether a client can enter an order there."""
    client = Client([address], 1, PASSWORD, tls=tls)
    await client.connect()
    row = (await client.answer(client.send(order(1, 1, Side.BUY, 100))))[0]
    await client.close()
    return int.from_bytes(row[:8], "little") == EventKind.ACCEPTED


def test_a_client_trades_through_tls(place, certificate):
    file, key = certificate

    async def run():
        async with serving(place) as served:
            where = Listen(tcp="127.0.0.1:0", tls_certificate=str(file), tls_key=str(key))
            (server,) = await listen(served.primary.gateway.connection, where)
            port = server.sockets[0].getsockname()[1]
            assert await trades(f"127.0.0.1:{port}", ssl.create_default_context(cafile=str(file)))
            server.close()

    asyncio.run(asyncio.wait_for(run(), 30))


def test_market_data_comes_through_tls(place, certificate):
    file, key = certificate

    async def run():
        feed = MarketFeed.open(place)
        feed.catch_up()
        server = MarketDataServer(feed, Checker())
        port = (await server.listen("127.0.0.1", 0, context(str(file), str(key))))[1]
        tls = ssl.create_default_context(cafile=str(file))
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls)
        writer.write(soup.login(4_711, b"wrong", "1"))
        assert await reader.read(100) == soup.rejected(soup.Refusal.NOT_AUTHORISED)
        writer.close()
        await server.close()
        feed.close()

    asyncio.run(asyncio.wait_for(run(), 30))


def test_a_client_trades_through_a_unix_socket_that_only_its_owner_may_open(place, tmp_path):
    async def run():
        async with serving(place) as served:
            path = tmp_path / "orders.sock"
            for _ in range(2):
                # What a killed node left at the path is replaced.
                (server,) = await listen(served.primary.gateway.connection, Listen(unix=str(path)))
                assert stat.S_IMODE(path.stat().st_mode) == 0o600
            assert await trades(f"unix:{path}")
            server.close()

    asyncio.run(asyncio.wait_for(run(), 30))


@pytest.mark.parametrize("address", ["127.0.0.1:7001", "[::1]:7001", "localhost:7001", "127.8.9.1:1"])
def test_loopback_needs_no_tls(address):
    refuse_exposed(address, tls=False, insecure=False)


@pytest.mark.parametrize("address", [":7001", "0.0.0.0:7001", "[::]:7001", "10.0.0.1:7001", "venue.example:7001"])
def test_what_others_can_reach_needs_tls_or_the_word_of_the_operator(address, tmp_path):
    with pytest.raises(Exposed, match="--insecure"):
        refuse_exposed(address, tls=False, insecure=False)
    refuse_exposed(address, tls=True, insecure=False)
    refuse_exposed(address, tls=False, insecure=True)
    for option in ("--listen", "--market-data"):
        other = [] if option == "--listen" else ["--listen", "127.0.0.1:7001"]
        result = CliRunner().invoke(app, ["serve", "--data", str(tmp_path), *other, option, address])
        assert result.exit_code != 0
        assert not list(tmp_path.iterdir())
