"""Market data as clients get it: every row once and in order, whenever they come, go and come back."""

import asyncio
import random

import pytest

from core import messages as m
from core.kinds import ROW_SIZE, Side, TradingState
from core.messages import ROWS
from core.rows import layout, to_row
from journal.errors import Gap
from replicas.market_feed import MarketFeed
from replicas.market_rows import PUBLIC, public_rows
from replicas.soup import Refusal
from tests.determinism.stream import INSTRUMENTS
from tests.nodes.market import (
    HALTS,
    HIDDEN,
    MARKET_DATA,
    OWNERS_FLAGS,
    READER,
    Client,
    credential,
    engine_orders,
    made_venue,
    orders,
    serving,
    until,
)
from tests.pair import seeds
from tests.paths import HERE


@pytest.fixture(params=seeds(1), ids=lambda seed: f"seed {seed}")
def venue(request, tmp_path):
    """A venue with some market data in each instrument."""
    venue = made_venue(tmp_path, request.param)
    yield venue
    venue.close()


# ---- what is shown


@pytest.mark.parametrize("kind", sorted(kind for kind in ROWS if 256 <= kind < 512), ids=lambda k: ROWS[k].__name__)
def test_a_row_shows_all_of_the_order_and_nothing_of_its_owner(kind):
    """Every column is set, so that whatever is not taken out would be seen."""
    told = kind.to_bytes(8, "little") + bytes(range(1, ROW_SIZE - 7))
    shown = [row.row for row in public_rows(told)]
    if not issubclass(ROWS[kind], MARKET_DATA):
        assert (shown, kind in PUBLIC) == ([], False)
        return
    names = {field.column + n: field.name for field in layout(ROWS[kind]) for n in range(field.text or 1)}
    seen = {names.get(n) for n in range(1, 16) if any(shown[0][8 * n : 8 * n + 8])}
    assert seen == {name for name in names.values() if not name.startswith("column_")} - HIDDEN
    flags = int.from_bytes(told[40:48], "little") & ~(OWNERS_FLAGS if "order_number" in seen else 0)
    told = told[:40] + flags.to_bytes(8, "little") + told[48:]
    assert [a not in (0, b) for a, b in zip(shown[0], told, strict=True)].count(True) == 0
    assert shown[0][40:48] == told[40:48]


def test_what_has_no_market_data_number_is_not_shown():
    assert list(public_rows(to_row(m.Accepted(instrument=1, price=5, leaves=1)))) == []
    assert list(public_rows(to_row(m.Settled(instrument=1, buyer_drop_copy=1, seller_drop_copy=9)))) == []


def test_rows_of_one_instrument_can_be_asked_for():
    both = b"".join(to_row(m.Rested(instrument=i, market_data=3)) for i in (1, 2))
    assert [(row.instrument, row.number) for row in public_rows(both, 2)] == [(2, 3)]


# ---- every row, once, in order


def test_a_late_joiner_gets_every_row_from_its_number_on(venue):
    async def run():
        dice = random.Random(venue.seed)
        async with serving(venue) as server:
            for instrument in INSTRUMENTS:
                last = venue.last(instrument)
                for number in (1, last, last + 1, *(dice.randint(1, last) for _ in range(5))):
                    client = await Client.connect(server.port, instrument, number)
                    assert client.accepted == (str(instrument), number)
                    venue.trade(20)
                    want = venue.told(instrument)[number - 1 :]
                    await until(lambda c=client, w=want: len(c.rows) >= len(w))
                    assert client.rows == want, f"instrument {instrument} from {number}, seed {venue.seed}"
                    await client.close()

    asyncio.run(run())


def test_number_0_begins_with_the_next_row(venue):
    async def run():
        async with serving(venue) as server:
            before = venue.last(1)
            client = await Client.connect(server.port, 1, 0)
            assert client.accepted.sequence == before + 1
            venue.trade(60)
            want = venue.told(1)[before:]
            await until(lambda: len(client.rows) >= len(want))
            assert client.rows == want

    asyncio.run(run())


def test_a_client_that_loses_its_connection_again_and_again_misses_and_repeats_nothing(venue):
    async def run():
        dice = random.Random(venue.seed)
        async with serving(venue) as server:
            got, client = [], None
            for _ in range(30):
                venue.trade(dice.randint(1, 25))
                if client is None:
                    client = await Client.connect(server.port, 1, len(got) + 1)
                wanted = dice.randint(0, venue.last(1) - len(got))
                await until(lambda c=client, w=wanted: len(c.rows) >= w)
                if dice.random() < 0.7:
                    await client.close()
                    got, client = got + client.rows, None
            client = client or await Client.connect(server.port, 1, len(got) + 1)
            await until(lambda: len(got) + len(client.rows) >= venue.last(1))
            assert got + client.rows == venue.told(1), f"seed {venue.seed}"

    asyncio.run(run())


def test_a_client_that_catches_up_while_others_trade_misses_nothing_where_old_meets_new(venue):
    """Trading goes on between every two pieces that the client is sent."""
    venue.trade(600, batch=100)

    async def run():
        async with serving(venue) as server:
            for _ in range(4):
                client = await Client.connect(server.port, 2, 1)
                for _ in range(12):
                    venue.trade(3)
                    await asyncio.sleep(0)
                want = venue.told(2)
                await until(lambda c=client, w=want: len(c.rows) >= len(w))
                assert client.rows == want, f"seed {venue.seed}"
                await client.close()

    asyncio.run(run())


def test_readers_of_several_instruments_get_each_its_own(venue):
    async def run():
        async with serving(venue) as server:
            clients = {i: await Client.connect(server.port, i, 1) for i in INSTRUMENTS}
            venue.trade(100)
            for instrument, client in clients.items():
                await until(lambda c=client, i=instrument: len(c.rows) >= venue.last(i))
                assert client.rows == venue.told(instrument)

    asyncio.run(run())


# ---- where the following begins


def test_a_feed_that_begins_in_the_middle_has_the_same_books_and_tells_the_same_rows(venue):
    """After a snapshot, and after a segment that began since."""
    feeds = [MarketFeed(venue.sequencer.events, venue.directory)]
    venue.sequencer.snapshot(venue.directory)
    feeds.append(MarketFeed(venue.sequencer.events, venue.directory))
    venue.trade(100)
    venue.sequencer.roll()
    venue.submit(credential(READER, b"later"))
    feeds.append(MarketFeed(venue.sequencer.events, venue.directory))
    assert feeds[0].sequence < feeds[1].sequence < feeds[2].sequence
    for feed in feeds:
        feed.catch_up()
        assert feed.sessions == feeds[0].sessions
        for instrument, series in feed.instruments.items():
            book, first = series.book, feeds[0].instruments[instrument].book
            assert (orders(book), book.number, book.state) == (orders(first), first.number, first.state)
            rows = [row for rows in series.rows_from(1) for row in rows]
            assert rows == venue.told(instrument), f"seed {venue.seed}"


def test_numbers_that_the_store_has_no_more_are_refused(venue):
    venue.sequencer.roll()
    before = venue.last(1)
    venue.sequencer.events.clear()
    venue.submit(*HALTS)

    async def run():
        async with serving(venue) as server:
            assert (await Client.connect(server.port, 1, before)).rejected == Refusal.SESSION_NOT_AVAILABLE
            client = await Client.connect(server.port, 1, before + 1)
            await until(lambda: len(client.rows) == len(HALTS))
            assert [public.number for public in public_rows(b"".join(client.rows))][:2] == [before + 1, before + 2]

    asyncio.run(run())


def test_a_store_that_lacks_events_ends_the_server(venue):
    """Whoever cleared the store under the server did not wait for it: nothing is told across the hole."""

    async def run():
        async with serving(venue) as server:
            client = await Client.connect(server.port, 1, 0)
            venue.sequencer.events.clear()
            venue.sequencer.events = None
            venue.submit(*HALTS)
            head = venue.sequencer.machine.engine.sequence
            events = server.feed._events
            events.append(head + 1, head + 1, b"")
            await asyncio.wait([server.running], timeout=10)
            with pytest.raises(ExceptionGroup) as raised:
                server.running.result()
            assert raised.group_contains(Gap)
            assert client.rows == []
            venue.sequencer.events = events

    asyncio.run(run())


def test_the_kinds_that_are_told_are_those_of_the_documents():
    assert {of.KIND for of in MARKET_DATA} == PUBLIC
    text = (HERE / "docs" / "market-data.md").read_text()
    assert [of.__name__ for of in MARKET_DATA if f"`{of.__name__}`" not in text] == []


def test_numbers_go_on_after_a_restart_that_makes_the_store_anew(venue):
    async def run():
        async with serving(venue) as server:
            client = await Client.connect(server.port, 1, 1)
            await until(lambda: client.next > venue.last(1))
        venue.restart(without_events=True)
        async with serving(venue) as server:
            back = await Client.connect(server.port, 1, client.next)
            venue.trade(60)
            await until(lambda: back.next > venue.last(1))
            assert client.rows + back.rows == venue.told(1), f"seed {venue.seed}"

    asyncio.run(run())


def test_of_a_quiet_instrument_no_more_is_read_than_is_wanted(venue):
    """However much others trade: the last row of one that has been quiet since is found without reading their rows."""
    feed = MarketFeed(venue.sequencer.events, venue.directory)
    venue.submit(*HALTS)
    for _ in range(70):
        venue.submit(*[m.AdvanceTime()] * 1_000)
    venue.submit(m.SetTradingState(instrument=2, state=TradingState.OPEN))
    feed.catch_up()
    read = list(feed.instruments[2].rows_from(venue.last(2)))
    assert (len(read), read[-1]) == (1, [venue.told(2)[-1]])
    assert list(feed.instruments[2].rows_from(venue.last(2) + 1)) == []


def test_a_state_from_within_a_batch_of_the_store_is_followed_by_the_rest_of_it(venue):
    """A store that was made again may be cut into other batches than the journal that the snapshot goes with."""
    venue.sequencer.snapshot(venue.directory)
    venue.trade(100)
    store = venue.sequencer.events
    stored = list(store.read())
    store.clear()
    store.append(1, stored[-1].last, b"".join(events.rows for events in stored))
    feed = MarketFeed(store, venue.directory)
    assert 1 < feed.sequence < stored[-1].last
    feed.catch_up()
    for instrument, series in feed.instruments.items():
        assert orders(series.book) == [
            o for side in Side for o in engine_orders(venue.sequencer.machine.engine, instrument, side)
        ]
        assert [row for rows in series.rows_from(1) for row in rows] == venue.told(instrument)
