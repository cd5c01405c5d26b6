"""Commands of several parts on their way: taken whole or not at all, never cut, and answered as one."""

import asyncio
from contextlib import closing

import pytest

from core.kinds import ROW_SIZE, CommandKind, EventKind, Link, OrderType, Side, TimeInForce
from core.messages import AdvanceTime, CancelOrder, Detail, EnterBatch, LinkOrders, MassQuote, QuoteDetail
from core.parts import command_end, is_part, parts_of
from core.rows import from_row, to_row
from core.wire import BROKEN, HELD, MESSAGE_PACKET, WHOLE, standing
from journal.batch import HEADER_SIZE, BatchKind, read_header
from journal.directory import JournalDirectory
from journal.verify import verify
from replicas import soup
from replicas.client_ledger import Ledger
from replicas.soup import FormReason, NoticeKind
from tests.nodes.raw import Raw
from tests.nodes.served import order, serving, venue


def run(work):
    return asyncio.run(asyncio.wait_for(work, 60))


@pytest.fixture
def place(tmp_path):
    venue(tmp_path / "v")
    return tmp_path / "v"


def detail(client, price):
    flags = Side.BUY | OrderType.LIMIT << 1 | TimeInForce.GTC << 5
    return Detail(flags=flags, instrument=1, client_order_id=client, price=price, quantity=1)


def batch(account, count, first=1):
    """Head and parts of a batch."""
    return [
        EnterBatch(account=account, batch_id=first, parts=count),
        *(detail(first + n, 10 + n) for n in range(count)),
    ]


def packets(raw, commands, session, first):
    return [raw.message(command, session, first + n) for n, command in enumerate(commands)]


def assert_never_cut(place):
    """Behind each head stand its parts, of its session, in its batch; returns how many heads there are."""
    heads = 0
    with closing(JournalDirectory(place)) as directory:
        for value in directory.batches():
            at = HEADER_SIZE if read_header(value).kind == BatchKind.COMMANDS else len(value)
            while at < len(value):
                row, parts = from_row(value, at), parts_of(value, at)
                heads += parts > 0
                assert not is_part(row.KIND)
                for n in range(1, parts + 1):
                    part = from_row(value, at + n * ROW_SIZE)
                    assert (is_part(part.KIND), part.session, part.inbound) == (True, row.session, row.inbound + n)
                at += (parts + 1) * ROW_SIZE
    return heads


def test_a_client_sends_a_command_of_several_parts_and_each_row_has_its_answer(place):
    async def trade():
        async with serving(place) as served:
            client = served.client(1)
            await client.connect()
            head, *parts = batch(1, 3)
            inbound = client.send_parts(head, parts)
            after = client.send(CancelOrder(instrument=1, account=1, client_order_id=1))
            kinds = [from_row(row).KIND for row in await client.answer(inbound)]
            assert kinds == [EventKind.BATCH_ENTERED] + [EventKind.ACCEPTED] * 3
            assert inbound == 4
            assert await client.answer(1) == await client.answer(4)
            assert [from_row(row).KIND for row in await client.answer(after)] == [EventKind.CANCELED]
            links = [LinkOrders(flags=Link.ONE_TRIGGERS_OTHER, account=1, parts=2), detail(8, 5), detail(9, 5)]
            answer = await client.answer(client.send_parts(links[0], links[1:]))
            assert from_row(answer[0]).KIND == EventKind.ORDERS_LINKED
            quote = QuoteDetail(instrument=1, bid_client_order_id=20, bid_price=7, bid_quantity=1)
            answer = await client.answer(client.send_parts(MassQuote(account=1, parts=1), [quote]))
            assert [from_row(row).KIND for row in answer] == [EventKind.ACCEPTED, EventKind.QUOTED]
            head, *parts = batch(1, 2, first=8)
            refused = await client.answer(client.send_parts(head, parts))
            assert [(from_row(row).KIND, from_row(row).part) for row in refused] == [(EventKind.REJECTED, 1)]
            await client.close()

    run(trade())
    assert verify(place).good
    assert assert_never_cut(place) == 4


@pytest.mark.parametrize("came", range(4))
def test_a_connection_that_ends_within_a_command_leaves_nothing_of_it(place, came):
    """After each part; what had come has no number, and the whole command is taken later."""

    async def cut():
        async with serving(place) as served:
            raw, other = await Raw.connect(served), served.client(2)
            await raw.login(1)
            await other.connect()
            sent = packets(raw, batch(1, 3), 1, 1)
            raw.send(*sent[:came], sent[came][: came * 30])
            await raw.writer.drain()
            await other.answer(other.send(order(2, 1, Side.BUY, 5)))
            raw.writer.close()
            again = await Raw.connect(served)
            await again.login(1)
            assert (await again.notice(NoticeKind.NEXT)).a == 1
            again.send(*sent)
            kinds = [from_row((await again.event())[1]).KIND for _ in range(4)]
            assert kinds == [EventKind.BATCH_ENTERED] + [EventKind.ACCEPTED] * 3
            await other.close()

    run(cut())
    assert assert_never_cut(place) == 1


def test_no_row_comes_between_the_parts_however_slowly_they_come(place):
    async def trickle():
        async with serving(place) as served:
            raw, other = await Raw.connect(served), served.client(2)
            await raw.login(1)
            await other.connect()
            data = b"".join(packets(raw, batch(1, 3), 1, 1))
            for at in range(0, len(data), 77):
                raw.send(data[at : at + 77])
                await other.answer(other.send(order(2, at + 1, Side.BUY, 5)))
            assert from_row((await raw.event())[1]).KIND == EventKind.BATCH_ENTERED
            await other.close()

    run(trickle())
    assert assert_never_cut(place) == 1


@pytest.mark.parametrize("at", [1, 2, 3])
@pytest.mark.parametrize("what", ["order", "part", "heartbeat", "number"])
def test_anything_else_between_the_parts_refuses_the_command(place, at, what):
    """It is refused before it has a number; so the next command has the number of its head."""

    async def between():
        async with serving(place) as served:
            raw = await Raw.connect(served)
            await raw.login(1)
            before = served.primary.head()
            sent = packets(raw, batch(1, 3), 1, 1)
            wrong = {
                "order": raw.message(order(1, 7, Side.BUY, 100), 1, 1 + at),
                "part": raw.message(QuoteDetail(instrument=1), 1, 1 + at),
                "heartbeat": soup.packet(soup.PacketType.CLIENT_HEARTBEAT),
                "number": raw.message(detail(7, 9), 1, 2 + at),
            }
            raw.send(*sent[:at], wrong[what], *sent[at:])
            notice = await raw.notice(NoticeKind.REFUSED)
            assert (notice.a, notice.b) == (1, FormReason.INCOMPLETE)
            assert served.primary.head() == before
            assert (await raw.notice(NoticeKind.GAP)).a == 1
            raw.send(raw.message(order(1, 7, Side.BUY, 100), 1, 1))
            assert from_row((await raw.event())[1]).KIND == EventKind.ACCEPTED

    run(between())
    assert assert_never_cut(place) == 0


def test_a_command_that_was_taken_is_repeated_row_by_row(place):
    async def repeat():
        async with serving(place) as served:
            raw = await Raw.connect(served)
            await raw.login(1)
            sent = packets(raw, batch(1, 2), 1, 1)
            raw.send(*sent)
            answer = [await raw.event() for _ in range(3)]
            before = served.primary.head()
            raw.send(*sent)
            assert [row for _, row in [await raw.event() for _ in range(3)]] == [row for _, row in answer]
            assert served.primary.head() == before

    run(repeat())


def test_batches_of_one_row_hold_commands_whole(place):
    async def small():
        async with serving(place, batch_rows=1, pending_rows=3) as served:
            clients = [served.client(session) for session in (1, 2)]
            for client in clients:
                await client.connect()
            sent = []
            for n in range(5):
                for session, client in enumerate(clients, start=1):
                    sent.append((client, client.send(order(session, 1000 + n, Side.BUY, 3))))
                    head, *parts = batch(session, 5, first=10 * n + 1)
                    sent.append((client, client.send_parts(head, parts)))
            for client, inbound in sent:
                assert from_row((await client.answer(inbound))[0]).KIND in {EventKind.BATCH_ENTERED, EventKind.ACCEPTED}
            for client in clients:
                await client.close()

    run(small())
    assert assert_never_cut(place) == 10


def test_a_head_that_is_malformed_is_a_row_of_its_own(place):
    async def malformed():
        async with serving(place) as served:
            raw = await Raw.connect(served)
            await raw.login(1)
            raw.send(*packets(raw, [EnterBatch(account=1, parts=65), detail(1, 5)], 1, 1))
            rows = [from_row((await raw.event())[1]) for _ in range(2)]
            assert [row.command for row in rows] == [CommandKind.ENTER_BATCH, CommandKind.DETAIL]

    run(malformed())


def test_how_much_of_a_command_has_come_is_told_byte_by_byte():
    raw = Raw(None, None)
    data = b"".join(packets(raw, batch(1, 2), 1, 5))
    for size in range(len(data)):
        expected = WHOLE if size < MESSAGE_PACKET else HELD
        assert standing(data[:size], 0, 1, 5) == expected, size
    assert standing(data, 0, 1, 5) == WHOLE
    assert standing(data[: 2 * MESSAGE_PACKET] + soup.CLIENT_HEARTBEAT, 0, 1, 5) == BROKEN


def test_a_cut_within_a_command_moves_to_its_end():
    rows = b"".join(map(to_row, [AdvanceTime(), *batch(1, 2), AdvanceTime(), *batch(1, 1), detail(1, 1)]))
    ends = [command_end(rows, 0, n * ROW_SIZE) // ROW_SIZE for n in range(1, 8)]
    assert ends == [1, 4, 4, 4, 5, 7, 7]


def test_a_client_refuses_parts_that_do_not_go_together(place):
    async def refuse():
        async with serving(place) as served:
            client = served.client(1)
            await client.connect()
            head, *parts = batch(1, 2)
            for wrong in (parts[:1], [*parts, parts[0]], [parts[0], QuoteDetail()], [parts[0], head]):
                with pytest.raises(ValueError, match="parts"):
                    client.send_parts(head, wrong)
            with pytest.raises(ValueError, match="parts"):
                client.send(parts[0])
            await client.close()

    run(refuse())


def test_the_last_part_gets_the_answer_in_the_ledger():
    ledger = Ledger(1)
    ledger.resume(1, 1, 0)
    last = ledger.enter_parts([to_row(command) for command in batch(1, 2)])
    assert (last.inbound, [entry.last for entry in ledger.entries.values()]) == (3, [3, 3, 3])
    assert last.columns[:5] == (CommandKind.ENTER_BATCH, 0, 0, 1, 3)
    assert ledger.oldest == 1
