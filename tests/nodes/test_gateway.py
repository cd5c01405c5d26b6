"""The gateway of a primary: what it takes, refuses, repeats and tells, by real sockets."""

import asyncio
import struct

import pytest

from core.kinds import EventKind, Side
from core.messages import CancelOrder, EnterOrder, Rejected
from core.reasons import RejectReason
from core.rows import from_row, rows
from journal.batch import HEADER_SIZE, BatchKind, read_header
from journal.directory import JournalDirectory
from journal.event_store import EventStore
from journal.verify import verify
from replicas import soup
from replicas.soup import FormReason, NoticeKind, PacketType
from tests.nodes.raw import Raw
from tests.nodes.served import PASSWORD, order, serving, venue


def run(work):
    return asyncio.run(asyncio.wait_for(work, 60))


@pytest.fixture
def place(tmp_path):
    venue(tmp_path / "v")
    return tmp_path / "v"


def test_an_order_is_answered_once_it_is_durable_and_its_counterparty_is_told(place):
    async def trade():
        async with serving(place) as served:
            buyer, seller = served.client(1), served.client(2)
            await buyer.connect()
            await seller.connect()
            first = await buyer.answer(buyer.send(order(1, 7, Side.BUY, 100)))
            second = await seller.answer(seller.send(order(2, 8, Side.SELL, 100)))
            kinds = [int.from_bytes(row[:8], "little") for row in (*first, *second)]
            assert kinds[0] == EventKind.ACCEPTED
            assert EventKind.EXECUTED in kinds
            last = int.from_bytes(second[-1][8:16], "little")
            assert served.primary.directory.head().sequence >= last
            await buyer.close()
            await seller.close()

    run(trade())
    assert verify(place).good


def test_a_session_is_told_everything_again_from_any_number_after_the_node_was_restarted(place):
    async def first():
        async with serving(place) as served:
            client = served.client(1)
            await client.connect()
            for number in range(1, 6):
                await client.answer(client.send(order(1, number, Side.BUY, 100 + number)))
            await client.close()

    async def second():
        async with serving(place) as served:
            told = {}
            for begin in (1, 3, 6):
                raw = await Raw.connect(served)
                assert await raw.login(1, sequence=begin) == begin
                told[begin] = [(await raw.event())[1] for _ in range(begin, 6)]
                raw.writer.close()
            assert [int.from_bytes(row[32:40], "little") for row in told[1]] == [1, 2, 3, 4, 5]
            assert told[3] == told[1][2:]

    run(first())
    run(second())


def test_a_repeated_message_gets_the_same_bytes_again_and_leaves_no_row(place):
    async def repeat():
        async with serving(place) as served:
            raw = await Raw.connect(served)
            await raw.login(1)
            packet = raw.message(order(1, 7, Side.BUY, 100), 1, 1)
            raw.send(packet)
            kind, answer = await raw.event()
            assert kind == PacketType.SEQUENCED
            before = served.primary.head()
            raw.send(packet)
            kind, again = await raw.event()
            assert (kind, again) == (PacketType.UNSEQUENCED, answer)
            raw.send(raw.message(order(1, 7, Side.BUY, 101), 1, 1))
            notice = await raw.notice(NoticeKind.REFUSED)
            assert (notice.a, notice.b) == (1, FormReason.INBOUND_CONFLICT)
            assert served.primary.head() == before

    run(repeat())


def test_a_message_sent_twice_in_one_packet_of_bytes_is_done_once(place):
    async def repeat():
        async with serving(place) as served:
            raw = await Raw.connect(served)
            await raw.login(1)
            packet = raw.message(order(1, 7, Side.BUY, 100), 1, 1)
            raw.send(packet, packet, raw.message(order(1, 8, Side.BUY, 99), 1, 2))
            found = [await raw.event() for _ in range(3)]
            assert [kind for kind, _ in found] == [PacketType.SEQUENCED, PacketType.UNSEQUENCED, PacketType.SEQUENCED]
            assert found[0][1] == found[1][1]

    run(repeat())


def test_a_gap_is_told_and_consumes_nothing(place):
    async def gap():
        async with serving(place) as served:
            raw = await Raw.connect(served)
            await raw.login(1)
            before = served.primary.head()
            raw.send(raw.message(order(1, 7, Side.BUY, 100), 1, 3))
            assert (await raw.notice(NoticeKind.GAP)).a == 1
            assert served.primary.head() == before

    run(gap())


def test_what_a_form_allows_nobody_reaches_no_journal(place):
    """Another's session, a kind that nobody may send, a wrong length: each is told, and nothing is written."""

    async def refuse():
        async with serving(place) as served:
            raw = await Raw.connect(served)
            await raw.login(1)
            before = served.primary.head()
            raw.send(raw.message(order(1, 7, Side.BUY, 100), 2, 1))
            assert (await raw.notice(NoticeKind.REFUSED)).b == FormReason.WRONG_SESSION
            raw.send(soup.unsequenced(struct.pack("<3q", 11, 1, 1) + bytes(88)))
            assert (await raw.notice(NoticeKind.REFUSED)).b == FormReason.UNKNOWN_KIND
            raw.send(soup.unsequenced(bytes(111)))
            assert (await raw.notice(NoticeKind.REFUSED)).b == FormReason.MALFORMED_LENGTH
            assert served.primary.head() == before
            assert served.counted("messages_refused", reason="wrong_session") == 1

    run(refuse())


def test_what_the_engine_refuses_is_an_event(place):
    async def refuse():
        async with serving(place) as served:
            client = served.client(1)
            await client.connect()
            rows_ = await client.answer(client.send(CancelOrder(instrument=1, account=1, client_order_id=99)))
            assert isinstance(from_row(rows_[0]), Rejected)
            rows_ = await client.answer(client.send(order(2, 5, Side.BUY, 100)))
            refused = from_row(rows_[0])
            assert isinstance(refused, Rejected)
            assert refused.reason == RejectReason.NOT_PERMITTED
            await client.close()

    run(refuse())


@pytest.mark.parametrize(("session", "password"), [(1, "wrong"), (4_711, PASSWORD), (0, PASSWORD), (1, "")])
def test_a_login_that_is_not_right(place, session, password):
    async def knock():
        async with serving(place) as served:
            raw = await Raw.connect(served)
            raw.send(soup.login(session, password.encode()))
            kind, payload = await raw.next()
            assert (kind, soup.parse_rejected(payload)) == (PacketType.REJECTED, soup.Refusal.NOT_AUTHORISED)
            assert await raw.next() == (0, b"")

    run(knock())


@pytest.mark.parametrize(("venue_name", "sequence"), [("OTHER", 0), ("LOCKSTEP", 1_000)])
def test_a_session_that_is_not_available(place, venue_name, sequence):
    async def knock():
        async with serving(place) as served:
            raw = await Raw.connect(served)
            raw.send(soup.login(1, PASSWORD.encode(), venue_name, sequence))
            assert (await raw.next())[1] == bytes([soup.Refusal.SESSION_NOT_AVAILABLE])

    run(knock())


def test_the_newer_login_ends_the_older(place):
    async def twice():
        async with serving(place) as served:
            old, new = await Raw.connect(served), await Raw.connect(served)
            await old.login(1)
            await new.login(1)
            while (found := await old.next())[0] != PacketType.END_OF_SESSION:
                assert found[0] != 0
            new.send(new.message(order(1, 7, Side.BUY, 100), 1, 1))
            assert (await new.event())[0] == PacketType.SEQUENCED

    run(twice())


@pytest.mark.parametrize(
    "garbage",
    [
        b"\0\0",
        b"\xff\xff" + b"x" * 40,
        b"GET / HTTP/1.1\r\n\r\n",
        soup.packet(ord("S"), bytes(128)),
        b"\0\x71U" + bytes(112),
    ],
)
@pytest.mark.parametrize("logged_in", [False, True])
def test_garbage_ends_the_connection_and_nothing_else(place, garbage, logged_in):
    async def throw():
        async with serving(place, unauthenticated_seconds=0.3) as served:
            raw = await Raw.connect(served)
            if logged_in:
                await raw.login(1)
            before = served.primary.head()
            raw.send(garbage)
            if logged_in and garbage[2:3] == b"U":
                assert (await raw.notice(NoticeKind.REFUSED)).b == FormReason.WRONG_SESSION
            else:
                while (await raw.next())[0]:
                    pass
            assert served.primary.head() == before
            other = await Raw.connect(served)
            await other.login(2)

    run(throw())


def test_who_does_not_log_in_or_falls_silent_is_dropped(place):
    async def wait():
        async with serving(place, unauthenticated_seconds=0.2, silent_seconds=0.4) as served:
            silent, never = await Raw.connect(served), await Raw.connect(served)
            await silent.login(1)
            assert await never.next() == (0, b"")
            while (await silent.next())[0]:
                pass
            assert served.counted("disconnects", cause="unauthenticated") == 1
            assert served.counted("disconnects", cause="silent") == 1

    run(wait())


def test_more_connections_than_are_allowed(place):
    async def crowd():
        async with serving(place, connections_per_address=2) as served:
            raws = [await Raw.connect(served) for _ in range(3)]
            await raws[0].login(1)
            await raws[1].login(2)
            assert await raws[2].next() == (0, b"")

    run(crowd())


def test_a_full_node_answers_busy_to_orders_and_still_takes_cancels(place):
    async def fill():
        async with serving(place) as served:
            raw = await Raw.connect(served)
            await raw.login(1)
            raw.send(raw.message(order(1, 7, Side.BUY, 100), 1, 1))
            await raw.event()
            served.primary._free = 0.5 * served.primary.config.node.low_space_orders
            raw.send(raw.message(order(1, 8, Side.BUY, 100), 1, 2))
            assert (await raw.notice(NoticeKind.BUSY)).a == 2
            raw.send(raw.message(CancelOrder(instrument=1, account=1, client_order_id=7), 1, 2))
            _kind, row = await raw.event()
            assert int.from_bytes(row[:8], "little") == EventKind.CANCELED

    run(fill())


@pytest.mark.parametrize("ask", range(1, 12))
def test_whoever_lost_the_lead_appends_and_answers_nothing(place, ask):
    """The lead is revoked at the n-th ask from now on: no answer leaves, and nothing is appended behind the revocation."""

    async def lose():
        async with serving(place) as served:
            raw = await Raw.connect(served)
            await raw.login(1)
            served.lead.revoke_at = served.lead.asked + ask
            answered = 0
            for inbound in range(1, 40):
                raw.send(raw.message(order(1, inbound, Side.BUY, 100), 1, inbound))
                kind, payload = 1, b""
                while kind and len(payload) != 128:
                    kind, payload = await raw.next()
                if not kind:
                    break
                answered += 1
            else:
                raise AssertionError("it went on for ever")
            with pytest.raises(Exception, match="the lead was revoked"):
                await served.running
            return answered

    answered = run(lose())
    directory = JournalDirectory(place)
    commands = [value[HEADER_SIZE:] for value in directory.batches() if read_header(value).kind == BatchKind.COMMANDS]
    journaled = sum(isinstance(command, EnterOrder) for body in commands for command in rows(body))
    directory.close()
    assert answered <= journaled <= answered + 1


def test_every_event_row_is_told_once_and_in_order_to_a_client_that_reconnects_all_the_time(place):
    async def reconnect():
        async with serving(place) as served:
            told = []
            client = served.client(1, on_event=told.append, start=1)
            await client.connect()
            for number in range(1, 60):
                inbound = client.send(order(1, number, Side.BUY, 100))
                if number % 7 == 0:
                    for connection in list(served.primary.gateway.connections):
                        connection.abort("test")
                await client.answer(inbound)
            await client.close()
            assert [int.from_bytes(row[32:40], "little") for row in told] == list(range(1, 60))

    run(reconnect())


def test_repeats_after_a_restart_are_answered_from_what_was_read_once(place, monkeypatch):
    """A client whose answers were lost with the node asks for them by number, and repeats all of its commands."""
    count = 40

    async def first():
        async with serving(place) as served:
            raw = await Raw.connect(served)
            await raw.login(1)
            packets = [raw.message(order(1, number, Side.BUY, 100), 1, number) for number in range(1, count + 1)]
            raw.send(*packets)
            return packets, [(await raw.event())[1] for _ in packets]

    async def second(packets, answers):
        read = []
        monkeypatch.setattr(EventStore, "read", lambda *args: read.append(args) or read_all(*args))
        async with serving(place) as served:
            raw = await Raw.connect(served)
            await raw.login(1, sequence=1)
            raw.send(*packets)
            assert [(await raw.event())[1] for _ in packets] == answers
            before = len(read)
            again = [await raw.event() for _ in packets]
            assert [row for _, row in again] == answers
            assert {kind for kind, _ in again} == {PacketType.UNSEQUENCED}
            assert len(read) == before

    read_all = EventStore.read
    run(second(*run(first())))


def test_a_session_that_was_told_little_lately_is_found_far_behind(place):
    """Its numbers stand at the beginning of the event store, behind those of others."""

    async def trade():
        async with serving(place) as served:
            quiet, busy = await Raw.connect(served), await Raw.connect(served)
            await quiet.login(1)
            quiet.send(*(quiet.message(order(1, number, Side.BUY, 100), 1, number) for number in (1, 2)))
            told = [(await quiet.event())[1] for _ in range(2)]
            await busy.login(2)
            for begin in range(1, 6_000, 500):
                numbers = range(begin, begin + 500)
                busy.send(
                    *(busy.message(CancelOrder(instrument=1, account=2, client_order_id=7), 2, n) for n in numbers)
                )
                for _ in numbers:
                    await busy.event()
            return told

    async def ask(told):
        async with serving(place) as served:
            raw = await Raw.connect(served)
            assert await raw.login(1, sequence=2) == 2
            assert (await raw.event())[1] == told[1]

    run(ask(run(trade())))
