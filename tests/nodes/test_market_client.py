"""The market data client: its book is the engine's own, whatever happens to its connections on the way."""

import asyncio
import random
import shutil
from copy import deepcopy

import pytest

from replicas.book_builder import Resting
from replicas.client_link import Ended
from replicas.market_client import MarketClient
from replicas.market_rows import parse_snapshot
from replicas.opening import resume
from replicas.soup import PacketType
from tests.determinism.stream import INSTRUMENTS
from tests.nodes.market import PASSWORD, READER, Venue, made_venue, serving, until
from tests.nodes.proxies import agree, proxies, reading
from tests.pair import seeds


@pytest.fixture(params=seeds(1), ids=lambda seed: f"seed {seed}")
def venue(request, tmp_path):
    """A venue with some market data in each instrument."""
    venue = made_venue(tmp_path, request.param)
    yield venue
    venue.close()


@pytest.fixture(autouse=True)
def soon(monkeypatch):
    """Logins follow each other faster than a server by default lets them."""
    monkeypatch.setattr("replicas.market_client.PAUSE_MAX", 0.05)


# ---- joining


def test_who_joins_late_has_the_engines_book_and_keeps_it(venue):
    async def run():
        async with serving(venue) as server:
            for instrument in INSTRUMENTS:
                venue.trade(60)
                async with reading([f"127.0.0.1:{server.port}"], instrument) as client:
                    begun = client.book.number - len(client.taken)
                    for _ in range(15):
                        venue.trade(20)
                        await agree(client, venue)
                    assert client.taken == venue.told(instrument)[begun:]
                    assert begun > 0

    asyncio.run(run())


@pytest.mark.parametrize("held", ["request", "end", "rows"])
def test_rows_and_snapshot_fit_together_whichever_comes_first(venue, held):
    """The request comes late: rows are in the snapshot. Its end comes late: rows follow. Rows come late: it holds them."""

    async def run():
        async with serving(venue) as server, proxies(1, server.port) as (proxy,):
            if held == "request":
                proxy.asking.clear()
            elif held == "end":
                proxy.holds = lambda kind, payload: kind == PacketType.UNSEQUENCED and payload[0] == 17
            else:
                proxy.holds = lambda kind, payload: kind == PacketType.SEQUENCED
                proxy.asking.clear()
            client = MarketClient([proxy.address], READER, PASSWORD.decode(), 1)
            connecting = asyncio.create_task(client.connect())
            await until(lambda: client._next)
            if held == "end":
                await until(lambda: proxy.held)
            first, begun = client._next, venue.last(1)
            venue.trade(200)
            assert venue.last(1) > begun
            last = venue.last(1)
            if held == "rows":
                await until(lambda: len(proxy.held) == last - begun)
            else:
                await until(lambda: client._next == last + 1)
            assert client.book.number == 0
            proxy.asking.set()
            if held == "end":
                proxy.release()
            await connecting
            if held == "rows":
                assert (client.book.number, client._next) == (last, first)
                proxy.release()
            await agree(client, venue)
            venue.trade(100)
            await agree(client, venue)
            assert (client.gaps, len(proxy.logins)) == (0, 1)
            await client.close()

    asyncio.run(run())


# ---- what is lost on the way


def test_after_a_lost_connection_every_row_comes_once_and_no_snapshot(venue):
    """The connection breaks after so many bytes, within a packet or between two; or at once."""

    async def run():
        dice = random.Random(venue.seed)
        async with (
            serving(venue) as server,
            proxies(2, server.port) as pair,
            reading([proxy.address for proxy in pair]) as client,
        ):
            begun = client.book.number - len(client.taken)
            for _ in range(20):
                for proxy in pair:
                    proxy.bytes_left = dice.randint(1, 1_000)
                venue.trade(dice.randint(10, 60))
                if dice.random() < 0.3:
                    pair[0].cut()
                await agree(client, venue)
            assert client.taken == venue.told(1)[begun:], f"seed {venue.seed}"
            asked = sorted(number for proxy in pair for number in proxy.logins)
            assert (asked[0], asked.count(0)) == (0, 1)
            assert len(asked) > 5
            assert client.gaps == 0

    asyncio.run(run())


def test_a_row_lost_on_the_way_is_a_gap_and_is_asked_for(venue):
    async def run():
        dice = random.Random(venue.seed)
        async with serving(venue) as server, proxies(1, server.port) as (proxy,), reading([proxy.address]) as client:
            begun, gone = client.book.number - len(client.taken), []
            for _ in range(8):
                lost = client.book.number + dice.randint(1, 5)

                def loses(kind, payload, lost=lost):
                    found = kind == PacketType.SEQUENCED and int.from_bytes(payload[-8:], "little") == lost
                    if found and lost not in gone:
                        gone.append(lost)
                        return True
                    return False

                proxy.loses = loses
                while venue.last(1) <= lost:
                    venue.trade(20)
                await agree(client, venue)
            assert len(gone) == client.gaps == 8
            assert proxy.logins[1:] == gone
            assert client.taken == venue.told(1)[begun:], f"seed {venue.seed}"

    asyncio.run(run())


def test_an_order_of_the_snapshot_lost_on_the_way_is_a_gap(venue):
    async def run():
        async with serving(venue) as server, proxies(1, server.port) as (proxy,):
            lost = []

            def loses(kind, payload):
                if kind == PacketType.UNSEQUENCED and not lost and isinstance(parse_snapshot(payload), Resting):
                    lost.append(payload)
                    return True
                return False

            proxy.loses = loses
            async with reading([proxy.address]) as client:
                await agree(client, venue)
                assert (client.gaps, proxy.logins) == (1, [0, 0])

    asyncio.run(run())


# ---- other nodes


def copied(venue, path):
    """A second venue over a copy of the journal, which gets the same commands from then on."""
    shutil.copytree(venue.directory.path, path)
    other = object.__new__(Venue)
    other.seed, other.stream = venue.seed, deepcopy(venue.stream)
    other.directory, other.sequencer = resume(path)
    return other


def test_after_a_failover_the_numbers_go_on(venue, tmp_path):
    async def run():
        async with proxies(2) as (first, second):
            async with serving(venue) as server:
                first.target = server.port
                client = MarketClient([first.address, second.address], READER, PASSWORD.decode(), 1)
                await client.connect()
                venue.trade(100)
                await agree(client, venue)
                # What the client may not have been told yet when the node dies.
                venue.trade(100)
                first.target = None
                first.cut()
            successor = copied(venue, tmp_path / "successor")
            number = client.book.number
            async with serving(successor) as server:
                second.target = server.port
                for _ in range(10):
                    await agree(client, successor)
                    successor.trade(30)
                await agree(client, successor)
                assert second.logins == [number + 1]
                assert client.book.number > number
                await client.close()
            successor.close()

    asyncio.run(run())


def test_at_a_node_that_lags_the_book_does_not_go_back(venue, tmp_path):
    """It refuses the number, and its snapshot is older than the book: the client waits until it has caught up."""

    async def run():
        lagging = copied(venue, tmp_path / "lagging")
        async with proxies(2) as (first, second):
            async with serving(venue) as server:
                first.target = server.port
                client = MarketClient([first.address, second.address], READER, PASSWORD.decode(), 1)
                await client.connect()
                venue.trade(140)
                await agree(client, venue)
                first.target = None
                first.cut()
            number = client.book.number
            assert number > lagging.last(1)
            async with serving(lagging) as server:
                second.target = server.port
                await until(lambda: second.logins.count(0) > 1)
                assert (client.book.number, client.connected) == (number, False)
                await agree(client, venue)
                lagging.trade(140)
                for _ in range(5):
                    lagging.trade(20)
                    await agree(client, lagging)
                await client.close()
        lagging.close()

    asyncio.run(run())


def test_a_number_that_is_not_kept_any_more_means_a_new_snapshot(venue):
    async def run():
        async with serving(venue) as server, proxies(1, server.port) as (proxy,), reading([proxy.address]) as client:
            proxy.target = None
            proxy.cut()
            begun = client.book.number
            while venue.last(1) < begun + 10:
                venue.trade(20)
            await until(lambda: server.feed.sequence == venue.sequencer.machine.engine.sequence)
            server.feed.instruments[1]._before = venue.last(1)
            proxy.target = server.port
            await agree(client, venue)
            assert proxy.logins == [0, begun + 1, 0]
            venue.trade(50)
            await agree(client, venue)

    asyncio.run(run())


# ---- ends and changes


@pytest.mark.parametrize(
    ("instrument", "password", "why"),
    [(1, "wrong", "not authorised"), (99, PASSWORD.decode(), "session not available")],
)
def test_a_login_that_is_refused_ends_the_client(venue, instrument, password, why):
    async def run():
        async with serving(venue) as server:
            client = MarketClient([f"127.0.0.1:{server.port}"] * 2, READER, password, instrument)
            with pytest.raises(Ended, match=f"no market data of instrument {instrument}: .*{why}") as error:
                await client.connect()
            assert server.causes["rejected"] == 2
            assert password not in f"{error.value} {client!r}"

    asyncio.run(run())


def test_changes_are_told_once_for_what_comes_together_and_at_the_end(venue):
    async def run():
        async with serving(venue) as server:
            told = []
            options = {"on_change": lambda: told.append(client.book.number)}
            async with reading([f"127.0.0.1:{server.port}"], **options) as client:
                await agree(client, venue)
                told.clear()
                venue.trade(1_000, batch=1_000)
                await agree(client, venue)
                await until(lambda: told and told[-1] == venue.last(1))
                assert len(told) < len(client.taken) / 2
                assert told == sorted(told)
                told.clear()
            await until(lambda: told)
            await client.close()
            assert isinstance(client.end, Ended)
            assert client.broken is None

    asyncio.run(run())
