"""A snapshot is the book at the number that it names, and with the rows after it the book at every later one."""

import asyncio
import random

import pytest

from core import messages as m
from core.kinds import ROW_SIZE, Side
from core.machine import Machine
from core.rows import from_row
from core.rows import rows as structs
from replicas import soup
from replicas.book_builder import BookBuilder, Resting
from replicas.market_feed import MarketFeed
from replicas.market_rows import SNAPSHOT_REQUEST, is_snapshot_request, parse_snapshot, public_rows, shown_orders
from tests.determinism.stream import INSTRUMENTS
from tests.nodes.market import (
    Client,
    engine_orders,
    made_venue,
    orders,
    serving,
    until,
)
from tests.pair import seeds
from tests.paths import HERE
from tests.special import special_rows


@pytest.fixture(params=seeds(1), ids=lambda seed: f"seed {seed}")
def venue(request, tmp_path):
    """A venue with some market data in each instrument."""
    venue = made_venue(tmp_path, request.param)
    yield venue
    venue.close()


def book_of(rows, instrument=1):
    """The book after these rows, from number 1 on."""
    book = BookBuilder(instrument)
    for row in rows:
        book.apply(row)
    return book


def test_snapshot_and_rows_after_it_are_the_book_at_every_number(venue):
    async def run():
        dice = random.Random(venue.seed)
        async with serving(venue) as server:
            for _ in range(6):
                client = await Client.connect(server.port, 1, 0)
                venue.trade(dice.randint(0, 40))
                client.ask()
                await until(lambda c=client: c.ends)
                venue.trade(60)
                told = venue.told(1)
                await until(lambda c=client, t=told: c.next > len(t))
                compare_from_snapshot(client, told, venue.seed)
                await client.close()

    asyncio.run(run())


def compare_from_snapshot(client, told, seed):
    """Recover as docs/market-data.md says, and compare with the book from number 1 on after each row."""
    end = client.ends[0]
    assert (end.orders, end.instrument) == (len(client.orders), 1)
    assert client.accepted.sequence <= end.number + 1
    book = BookBuilder(1)
    book.restore(client.orders, end.number, end.state)
    wanted = book_of(told[: end.number])
    later = client.rows[end.number + 1 - client.accepted.sequence :]
    for row in [None, *later]:
        for one in (book, wanted) if row else ():
            one.apply(row)
        assert (orders(book), book.number, book.state) == (orders(wanted), wanted.number, wanted.state), f"seed {seed}"
    assert book.number == len(told)


def test_a_snapshot_is_the_engines_book(venue):
    async def run():
        async with serving(venue) as server:
            client = await Client.connect(server.port, 1, 0)
            client.ask()
            await until(lambda: client.ends)
            rows = venue.sequencer.machine.rows()
            state = [from_row(rows, at) for at in range(0, len(rows), ROW_SIZE)]
            held = [order for side in Side for order in engine_orders(venue.sequencer.machine.engine, 1, side)]
            assert client.orders == held
            terms = next(s for s in state if isinstance(s, m.InstrumentState) and s.instrument == 1)
            assert client.ends == [(terms.market_data, len(held), terms.state, 1)]

    asyncio.run(run())


def test_a_snapshot_of_more_than_may_wait_is_sent_piece_by_piece(venue):
    """Each of 3,000 orders takes 67 bytes; a client that reads gets them although only 64 KiB of live rows may wait."""
    book = BookBuilder(1)
    book.restore([Resting(n, n & 1, 10 + n % 7, n) for n in range(1, 3_001)], 5)

    async def run():
        async with serving(venue, outbound_bytes=64 * 1024) as server:
            client = await Client.connect(server.port, 1, 0)
            series = server.feed.instruments[1]
            series.book, kept = book, series.book
            client.ask()
            await until(lambda: client.ends)
            series.book = kept
            assert client.orders == orders(book)
            assert not client.closed

    asyncio.run(run())


def test_a_request_has_64_bytes_of_one_form():
    assert is_snapshot_request(SNAPSHOT_REQUEST[3:])
    assert not any(is_snapshot_request(bytes(n)) for n in (0, 8, 63, 64, 65))


def test_a_snapshot_is_the_engines_book_at_every_number(venue):
    feed = MarketFeed(venue.sequencer.events, venue.directory)
    feed.catch_up()
    for _ in range(120):
        venue.trade(1)
        feed.catch_up()
        engine = venue.sequencer.machine.engine
        for instrument in INSTRUMENTS:
            *held, end = [
                parse_snapshot(payload) for _, payload in soup.Packets().feed(feed.instruments[instrument].snapshot())
            ]
            assert held == [order for side in Side for order in engine_orders(engine, instrument, side)], venue.seed
            terms = engine.instrument(instrument)
            assert end == (terms.market_data, len(held), terms.state, instrument), venue.seed


def test_the_request_is_the_one_in_the_documents():
    text = (HERE / "docs" / "market-data.md").read_text()
    assert "".join(text.split("```hex")[1].split("```")[0].split()) == SNAPSHOT_REQUEST.hex()


@pytest.mark.parametrize("seed", seeds(2))
def test_a_server_that_begins_with_a_state_shows_what_the_engine_shows(seed):
    """Icebergs, hidden orders and orders that wait stand in a state with all that they are."""
    machine, books = Machine(), {}
    for at, row in enumerate(special_rows(seed, 400), 1):
        for public in public_rows(machine.apply(row, 0, len(row))):
            books.setdefault(public.instrument, BookBuilder(public.instrument)).apply(public.row)
        if at % 40 == 0:
            shown = shown_orders(structs(machine.rows()))
            for number, book in books.items():
                other = BookBuilder(number)
                other.restore(shown.get(number, []), book.number, book.state)
                assert orders(other) == orders(book), f"row {at} of stream {seed}"
                assert orders(book) == [o for side in Side for o in engine_orders(machine.engine, number, side)]
