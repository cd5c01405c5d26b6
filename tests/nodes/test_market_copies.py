"""What goes with a drop copy: notices, messages that are refused, and where the following of it begins."""

import asyncio

import pytest

from core import messages as m
from core.kinds import ROW_SIZE, TradingState
from core.rows import from_row, to_row
from journal.errors import CorruptBatch
from journal.journal import Head
from replicas import soup
from replicas.market_feed import MarketFeed
from replicas.soup import FormReason, Notice, NoticeKind, Refusal
from tests.nodes.copies import FIRMS, Copy, copied_venue, copies, head_notice, last, reads
from tests.nodes.market import credential, serving, until
from tests.pair import seeds

MESSAGE = soup.unsequenced(soup.message(to_row(m.MassCancel(session=31, inbound=5, account=3))))


@pytest.fixture(params=seeds(1), ids=lambda seed: f"seed {seed}")
def venue(request, tmp_path):
    """A venue that has traded, with a session for the drop copy of each firm."""
    venue = copied_venue(tmp_path, request.param)
    yield venue
    venue.close()


# ---- notices


def test_head_comes_at_login_and_behind_the_rows_of_every_batch(venue):
    async def run():
        async with serving(venue) as server:
            client = await reads(server, 1)
            wanted = [head_notice(venue)]
            for account in (3, 1, 3, 3):
                number = last(venue, 1)
                venue.submit(*[m.Deposit(account=account, currency=1, amount=5)] * 2)
                if last(venue, 1) > number:
                    wanted += [*copies(venue, 1)[number:], head_notice(venue)]
                await until(lambda: server.feed.sequence == venue.sequencer.machine.engine.sequence)
            await until(lambda: len(client.order) >= len(wanted))
            assert client.order == wanted
            assert len(wanted) == 1 + 3 * 3

    asyncio.run(run())


def test_heads_are_those_of_the_journal_rise_and_hold_the_rows_before_them(venue):
    async def run():
        async with serving(venue) as server:
            for _ in range(5):
                client = await reads(server, 2, 1)
                for _ in range(10):
                    venue.trade(5)
                    await asyncio.sleep(0)
                await until(lambda c=client: c.next > last(venue, 2) and isinstance(c.order[-1], Notice))
                known = [venue.directory.header_at(head.sequence) for head in client.heads]
                assert client.heads == [Head(header.epoch, header.last, header.hash) for header in known]
                assert client.heads == sorted(client.heads, key=lambda head: head[:2])
                assert client.heads[-1].sequence >= from_row(client.rows[-1]).sequence, f"seed {venue.seed}"
                await client.close()

    asyncio.run(run())


def test_what_comes_while_a_client_catches_up_is_followed_by_its_head(venue):
    """The rows wait in their turn behind older ones; their head comes when the client has them all."""

    async def run():
        async with serving(venue) as server:
            readers, attach = [], server.attach

            def slowly(reader, *more):
                attach(reader, *more)
                readers.append(reader)
                reader.pause_writing()

            server.attach = slowly
            before = head_notice(venue)
            client = await reads(server, 1, 1)
            venue.submit(m.Deposit(account=3, currency=1, amount=5))
            await until(lambda: server.feed.sequence == venue.sequencer.machine.engine.sequence)
            assert client.order == [before]
            readers[0].resume_writing()
            await until(lambda: len(client.notices) == 2)
            assert client.order == [before, *copies(venue, 1), head_notice(venue)]

    asyncio.run(run())


def test_in_a_store_of_other_batches_head_is_the_end_of_the_batch_that_the_rows_are_part_of(venue):
    batch = [to_row(m.Deposit(account=3, currency=1, amount=5))] * 4
    venue.sequencer.submit(b"".join(batch), 0)
    head, store = venue.directory.head(), venue.sequencer.events
    *stored, split = store.read()
    middle = head.sequence - 2
    half = split.rows[: 2 * ROW_SIZE]
    store.clear()
    store.append(1, middle, b"".join([*(events.rows for events in stored), half]))
    feed = MarketFeed(store, venue.directory)
    feed.catch_up()
    assert (feed.sequence, feed.head()) == (middle, head)
    store.append(middle + 1, head.sequence, split.rows[2 * ROW_SIZE :])
    feed.catch_up()
    assert (feed.sequence, feed.head()) == (head.sequence, head)


REFUSALS = {
    "command": (MESSAGE, (5, FormReason.WRONG_SESSION)),
    "request for a snapshot": (soup.unsequenced(bytes(64)), (0, FormReason.MALFORMED_LENGTH)),
    "nothing": (soup.unsequenced(b""), (0, FormReason.MALFORMED_LENGTH)),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_who_reads_a_drop_copy_sends_nothing(case, venue):
    packet, answer = REFUSALS[case]

    async def run():
        async with serving(venue) as server:
            client = await reads(server, 1)
            client.send(packet + packet)
            await until(lambda: len(client.notices) == 3)
            assert client.notices[1:] == [Notice(NoticeKind.REFUSED, *answer)] * 2
            venue.submit(m.SetTradingState(account=3, state=TradingState.HALTED))
            await until(lambda: client.rows)
            assert not client.closed

    asyncio.run(run())


def test_who_sends_and_does_not_read_is_cut(venue):
    async def run():
        async with serving(venue, outbound_bytes=64 * 1024, silent_seconds=600) as server, asyncio.timeout(10):
            client = await reads(server, 1)
            client.writer.transport.pause_reading()
            while not server.causes["slow"]:
                client.send(soup.unsequenced(b"") * 10_000)
                await asyncio.sleep(0.001)
            client.writer.transport.resume_reading()
            await until(lambda: client.closed)

    asyncio.run(run())


# ---- where the following begins


def test_a_feed_that_begins_in_the_middle_tells_the_same_rows(venue):
    """After a snapshot, and after a segment that began since."""
    feeds = [MarketFeed(venue.sequencer.events, venue.directory)]
    venue.sequencer.snapshot(venue.directory)
    feeds.append(MarketFeed(venue.sequencer.events, venue.directory))
    venue.trade(100)
    venue.sequencer.roll()
    venue.submit(credential(FIRMS[1], b"later"))
    feeds.append(MarketFeed(venue.sequencer.events, venue.directory))
    assert feeds[0].sequence < feeds[1].sequence < feeds[2].sequence
    for feed in feeds:
        feed.catch_up()
        assert feed.sessions == feeds[0].sessions
        assert feed.head() == venue.directory.head()
        for firm, series in feed.firms.items():
            assert series.last == last(venue, firm)
            found = [row for rows in series.rows_from(1) for row in rows]
            assert found == copies(venue, firm), f"firm {firm}, seed {venue.seed}"


def test_numbers_that_the_store_has_no_more_are_refused(venue):
    venue.sequencer.roll()
    before = last(venue, 1)
    venue.sequencer.events.clear()
    venue.submit(*[m.Deposit(account=3, currency=1, amount=1)] * 5)

    async def run():
        async with serving(venue) as server:
            early = await Copy.connect(server.port, "", before, FIRMS[1])
            assert early.rejected == Refusal.SESSION_NOT_AVAILABLE
            client = await reads(server, 1, before + 1)
            await until(lambda: len(client.rows) == 5)
            assert [from_row(row).drop_copy for row in client.rows] == list(range(before + 1, before + 6))

    asyncio.run(run())


def test_head_is_that_of_the_state_where_the_journal_begins_with_it(venue):
    """As on a node that joined late, and has been told nothing yet."""
    venue.sequencer.roll()
    venue.sequencer.events.clear()
    feed = MarketFeed(venue.sequencer.events, venue.directory)
    found = venue.directory.header_at(feed.sequence)
    assert feed.head() == Head(found.epoch, found.last, found.hash)
    assert feed.sequence == venue.sequencer.machine.engine.sequence


def test_numbers_go_on_after_a_restart_that_makes_the_store_anew(venue):
    async def run():
        async with serving(venue) as server:
            client = await reads(server, 2, 1)
            await until(lambda: client.next > last(venue, 2))
        venue.restart(without_events=True)
        async with serving(venue) as server:
            back = await reads(server, 2, client.next)
            venue.trade(60)
            await until(lambda: back.next > last(venue, 2))
            assert client.rows + back.rows == copies(venue, 2), f"seed {venue.seed}"

    asyncio.run(run())


def test_a_journal_that_is_damaged_at_the_head_ends_the_server_before_anything_is_told(venue):
    async def run():
        async with serving(venue) as server:

            def head():
                raise CorruptBatch("batch 1-2", "its hash is not that of its bytes")

            server.feed.head = head
            client = await Copy.connect(server.port, "", 1, FIRMS[1])
            await until(lambda: client.closed)
            await asyncio.wait([server.running], timeout=10)
            with pytest.raises(ExceptionGroup) as raised:
                server.running.result()
            assert raised.group_contains(CorruptBatch)
            assert (client.accepted, client.order, dict(server.causes)) == (None, [], {"damaged store": 1})

    asyncio.run(run())
