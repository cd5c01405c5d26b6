"""The client library against a server that drops connections, is busy, repeats, and says what no server may say."""

import asyncio
import logging
import random
from collections import Counter

import pytest

from core import messages as m
from core.rows import from_row
from replicas import soup
from replicas.client import Client
from replicas.client_link import Ended, Timing, parse_address
from replicas.soup import Notice, NoticeKind
from tests.nodes.clients import logged_in, m_row, run, until
from tests.nodes.fake_server import PASSWORD, FakeServer, enter, number
from tests.pair import seeds


def flow(seed, count):
    """Orders of both sides that trade with each other, and what is done to them."""
    rng, live = random.Random(seed), []
    for number_ in range(1, count + 1):
        order = rng.choice(live) if live else 0
        names = {"instrument": 1, "account": 1, "client_order_id": order}
        chance = rng.random()
        if not order or chance < 0.6:
            live.append(number_)
            yield enter(number_, side=rng.randrange(2), price=rng.randint(98, 102), quantity=rng.randint(1, 9))
        elif chance < 0.7:
            yield m.CancelOrder(**names)
        elif chance < 0.8:
            yield m.ReduceOrder(quantity=rng.randint(1, 3), **names)
        elif chance < 0.95:
            yield m.ReplaceOrder(price=100, quantity=rng.randint(1, 9), original_client_order_id=order, **names)
        else:
            yield m.MassCancel(account=1)


# ---- exactly once


@pytest.mark.parametrize("chance", [0.0, 0.05, 0.25])
@pytest.mark.parametrize("seed", seeds(2))
def test_every_command_takes_effect_once_and_gets_its_own_answer(tmp_path, seed, chance):
    async def test():
        server, told = FakeServer(seed, chance), []
        async with logged_in(server, tmp_path, on_event=told.append, window=40) as client:
            rng = random.Random(seed)
            numbers = []
            for command in flow(seed, 200):
                numbers.append(client.send(command))
                if rng.random() < 0.1:
                    await asyncio.sleep(0)
            answers = [await client.answer(number) for number in numbers]
        assert numbers == list(range(1, 201))
        assert Counter(server.taken) == Counter((1, number) for number in numbers)
        assert answers == [server.answers[1, number] for number in numbers]
        assert told == client.ledger.rows == server.told[1]
        assert client.ledger.head.sequence == server.machine.engine.sequence

    run(test())


def test_what_a_client_sends_again_are_the_same_bytes_and_numbers(tmp_path):
    async def test():
        server = FakeServer()
        async with logged_in(server, tmp_path) as client:
            server.silent = True
            number_ = client.send(enter(7))
            await asyncio.sleep(0.05)
            server.silent = False
            server.drop()
            await client.answer(number_)
            await until(lambda: client.ledger.oldest == 2)
            assert server.taken == [(1, 1)]
            assert [login.sequence for login in server.logins] == [0, 1]

    run(test())


def test_what_was_taken_before_the_connection_was_lost_is_not_sent_again(tmp_path):
    """Its answers come by their outbound numbers; to look up each of them would cost the server more."""

    async def test():
        server = FakeServer()
        async with logged_in(server, tmp_path) as client:
            server.mute = True
            numbers = [client.send(enter(n)) for n in range(1, 20)]
            await until(lambda: len(server.taken) == 19)
            server.mute = False
            server.drop()
            last = client.send(enter(20))
            for number_ in (*numbers, last):
                assert await client.answer(number_) == server.answers[1, number_]
            assert server.repeated == 0

    run(test())


def test_a_repeated_command_changes_nothing(tmp_path):
    """Sent twice because the server was thought to have missed it: the answer comes once more, aside."""

    async def test():
        server = FakeServer()
        async with logged_in(server, tmp_path) as client:
            await client.answer(client.send(enter(1)))
            client._sender._link.write(soup.unsequenced(soup.message(client.ledger.entries[1].row)))
            await client.answer(client.send(enter(2)))
            assert (server.repeated, server.taken) == (1, [(1, 1), (1, 2)])
            assert client.ledger.rows == server.told[1]

    run(test())


def test_fills_of_a_resting_order_are_told_but_answer_nothing(tmp_path):
    async def test():
        server = FakeServer()
        async with logged_in(server, tmp_path) as maker:
            first = maker.send(enter(1, quantity=5))
            await maker.answer(first)
            events = maker.events()
            waiting = asyncio.ensure_future(anext(events))
            await asyncio.sleep(0)
            (told, *_) = server.apply(m_row(enter(2, side=1, quantity=2, account=2), session=2))[1]
            for connection in server.connections:
                connection.write(soup.sequenced(told) + server.head())
            assert await waiting == told
            second = maker.send(enter(3))
            assert [type(from_row(row)) for row in await maker.answer(second)] == [m.Accepted]
            assert [type(from_row(row)) for row in await maker.answer(first)] == [m.Accepted]

    run(test())


# ---- busy, gaps, windows


@pytest.mark.parametrize("times", [1, 4])
def test_what_was_not_taken_is_sent_again_and_all_after_it(tmp_path, times):
    async def test():
        server = FakeServer()
        async with logged_in(server, tmp_path) as client:
            server.busy = times
            numbers = [client.send(enter(n)) for n in range(1, 30)]
            for number_ in numbers:
                await client.answer(number_)
            assert server.taken == [(1, number_) for number_ in numbers]

    run(test())


def test_a_gap_that_the_server_reports_is_filled(tmp_path):
    async def test():
        server = FakeServer()
        async with logged_in(server, tmp_path) as client:
            server.silent = True
            client.send(enter(1))
            await asyncio.sleep(0.05)
            server.silent = False
            second = client.send(enter(2))
            await client.answer(second)
            assert server.taken == [(1, 1), (1, 2)]

    run(test())


def test_no_more_than_the_window_is_on_its_way(tmp_path):
    async def test():
        server = FakeServer()
        async with logged_in(server, tmp_path, window=5) as client:
            server.silent = True
            for number_ in range(1, 20):
                client.send(enter(number_))
            await asyncio.sleep(0.05)
            assert [entry.inbound for entry in client.ledger.entries.values() if entry.sent_ns] == [1, 2, 3, 4, 5]
            server.silent = False
            server.drop()
            await client.answer(19)
            assert server.taken == [(1, number_) for number_ in range(1, 20)]

    run(test())


# ---- connections


def test_the_next_address_is_tried_where_one_does_not_answer(tmp_path):
    async def test():
        server = FakeServer()
        async with server.at(tmp_path / "b") as (address,):
            client = Client([f"unix:{tmp_path / 'a'}", address], 1, PASSWORD)
            await client.connect()
            await client.answer(client.send(enter(1)))
            assert client.address == address
            await client.close()

    run(test())


def test_a_silent_server_is_given_up(tmp_path):
    async def test():
        server = FakeServer()
        timing = Timing(heartbeat=0.01, silence=0.05)
        async with logged_in(server, tmp_path, timing=timing):
            await until(lambda: len(server.logins) > 1)

    run(test())


def test_heartbeats_are_sent_where_nothing_else_is(tmp_path):
    heard = []

    async def listen(reader, writer):
        writer.write(soup.accepted(soup.VENUE, 1) + Notice(NoticeKind.NEXT, 1, 1).packet())
        packets = soup.Packets(types=soup.FROM_CLIENT)
        while data := await reader.read(1_000):
            heard.extend(kind for kind, _ in packets.feed(data))
        writer.close()

    async def test():
        async with await asyncio.start_unix_server(listen, tmp_path / "a"):
            client = Client([f"unix:{tmp_path / 'a'}"], 1, PASSWORD, timing=Timing(heartbeat=0.01))
            await client.connect()
            await until(lambda: soup.PacketType.CLIENT_HEARTBEAT in heard)
            await client.close()

    run(test())


def test_a_wrong_password_ends_the_client_and_shows_nowhere(tmp_path, caplog):
    caplog.set_level(logging.DEBUG)

    async def test():
        server = FakeServer()
        async with server.at(tmp_path / "a") as addresses:
            client = Client(addresses, 1, "not-it")
            with pytest.raises(Ended, match="not authorised") as error:
                await client.connect()
            assert "not-it" not in repr(client) + repr(vars(client)["_link"]) + str(error.value) + caplog.text

    run(test())


def test_a_server_that_is_not_there_is_waited_for_as_long_as_asked(tmp_path):
    async def test():
        client = Client([f"unix:{tmp_path / 'a'}"], 1, PASSWORD)
        with pytest.raises(Ended, match="no server"):
            await client.connect(seconds=0.05)

    run(test())


def test_a_closed_client_says_so_to_whoever_waits(tmp_path):
    async def test():
        server = FakeServer()
        async with logged_in(server, tmp_path) as client:
            server.silent = True
            waiting = asyncio.ensure_future(client.answer(client.send(enter(1))))
            await asyncio.sleep(0)
            await client.close()
            with pytest.raises(Ended, match="closed"):
                await waiting
            with pytest.raises(Ended, match="closed"):
                client.send(enter(2))

    run(test())


@pytest.mark.parametrize("command", [m.AdvanceTime(), m.Quarantine(), m.Promote()], ids=lambda c: type(c).__name__)
def test_commands_that_need_not_be_answered_are_not_sent(tmp_path, command):
    async def test():
        async with logged_in(FakeServer(), tmp_path) as client:
            with pytest.raises(ValueError, match="sends no command"):
                client.send(command)

    run(test())


@pytest.mark.parametrize("address", ["", "localhost", "localhost:", ":7", "a:0", "a:65536", "unix:", "a:x"])
def test_addresses_that_are_none(address):
    with pytest.raises(ValueError, match="not HOST:PORT"):
        parse_address(address)


def test_addresses():
    assert parse_address("[::1]:7001") == ("::1", 7001)
    assert parse_address("localhost:7001") == ("localhost", 7001)


def test_the_ledger_knows_when_an_answer_came(tmp_path):
    async def test():
        server = FakeServer()
        async with logged_in(server, tmp_path) as client:
            await client.answer(client.send(enter(1)))
            server.epoch = 2
            server.drop()
            await client.answer(client.send(enter(2)))
            one, two = client.ledger.entries.values()
            assert one.sent_ns <= one.answered_ns < two.sent_ns <= two.answered_ns
            assert [(t.epoch, t.last_ns, t.first_ns) for t in client.ledger.takeovers] == [
                (2, one.answered_ns, two.answered_ns)
            ]
            client.ledger.forget(1)
            assert list(client.ledger.entries) == [2]
            with pytest.raises(ValueError, match="no command of inbound number 1"):
                await client.answer(1)
            assert number(two.answer[0], 1) == two.sequence

    run(test())
