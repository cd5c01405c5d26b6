"""What no market data server may say, and servers that are not there."""

import asyncio
from contextlib import asynccontextmanager, suppress

import pytest

from core import messages as m
from core.kinds import RESTING, Side
from core.rows import to_row
from replicas import soup
from replicas.book_builder import BookBuilder, Resting
from replicas.client_ledger import Broken
from replicas.client_link import Ended
from replicas.market_client import MarketClient
from replicas.market_rows import sequenced_rows, snapshot_packets
from tests.nodes.market import READER, until
from tests.nodes.proxies import proxies


def rested(number, order=1, instrument=1, leaves=5):
    return to_row(
        m.Rested(
            flags=Side.SELL | RESTING,
            instrument=instrument,
            price=9,
            order_number=order,
            leaves=leaves,
            market_data=number,
        )
    )


def a_book(*orders, number=1, instrument=1):
    """The packets of a snapshot."""
    book = BookBuilder(instrument)
    book.restore(orders, number)
    return snapshot_packets(book)


ONE = Resting(1, Side.SELL, 9, 5)
ORDER, END = a_book(ONE)[:67], a_book(ONE)[67:]
TWO_ORDERS = a_book(ONE, Resting(2, Side.SELL, 9, 5))[-67:]
BEGUN = soup.accepted("1", 2) + ORDER + END

WRONG = {
    "another instrument is named": soup.accepted("2", 2),
    "accepted twice": soup.accepted("1", 2) * 2,
    "a row before the answer": sequenced_rows([rested(1)]),
    "a number told twice": BEGUN + sequenced_rows([rested(2, 2), rested(2, 3)]),
    "a number that goes back": BEGUN + sequenced_rows([rested(1, 2)]),
    "a row of another instrument": BEGUN + sequenced_rows([rested(2, 2, instrument=2)]),
    "a row that does not fit": BEGUN + sequenced_rows([rested(2, 1)]),
    "a row that is too short": BEGUN + soup.sequenced(rested(2, 2)[:-8]),
    "an order twice in a snapshot": soup.accepted("1", 2) + ORDER * 2 + TWO_ORDERS,
    "a snapshot of another instrument": soup.accepted("1", 2) + a_book(instrument=2),
    "an order on no side": soup.accepted("1", 2) + a_book(ONE).replace(bytes([1, *bytes(7), 9]), bytes([2, *bytes(7), 9])),
    "an order of nothing": soup.accepted("1", 2) + a_book(ONE._replace(leaves=0)),
}  # fmt: skip


@asynccontextmanager
async def saying(data):
    """A server that says this, whatever it is asked."""

    async def say(reader, writer):
        with suppress(OSError):
            writer.write(data)
            while await reader.read(4096):
                pass
        writer.close()

    server = await asyncio.start_server(say, "127.0.0.1", 0)
    async with server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"


def test_what_the_wrong_servers_say_is_well_begun():
    """Otherwise they would be refused for another reason than the one that is named."""

    async def run():
        async with saying(BEGUN + sequenced_rows([rested(2, 2)])) as address:
            client = MarketClient([address], READER, "x", 1)
            await client.connect()
            await until(lambda: client.book.number == 2)
            assert list(client.book.orders(Side.SELL)) == [ONE, Resting(2, Side.SELL, 9, 5)]
            await client.close()
            assert client.broken is None

    asyncio.run(run())


@pytest.mark.parametrize("said", WRONG.values(), ids=WRONG)
def test_a_server_that_says_what_none_may_ends_the_client(said):
    async def run():
        changes = []
        async with saying(said) as address:
            client = MarketClient([address], READER, "x", 1, on_change=lambda: changes.append(client.end))
            with suppress(Broken):
                await client.connect()
            await until(lambda: client.broken)
            assert client.end is client.broken
            await until(lambda: changes)
            assert changes[-1] is client.broken
            assert client.book.number <= 2
            await client.close()

    asyncio.run(run())


def test_where_nobody_answers_connecting_takes_no_longer_than_it_may():
    async def run():
        async with proxies(1) as (proxy,):
            with pytest.raises(Ended, match="no answer"):
                await MarketClient([proxy.address], READER, "x", 1).connect(0.05)

    asyncio.run(run())


@pytest.mark.parametrize("addresses", [[], ["nowhere"]])
def test_addresses_that_are_none(addresses):
    with pytest.raises(ValueError, match=r"address|HOST:PORT"):
        MarketClient(addresses, READER, "x", 1)
