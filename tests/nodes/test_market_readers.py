"""Who may read market data, and what becomes of readers that break the protocol or do not keep up."""

import asyncio

import pytest

from core import messages as m
from core.kinds import Role
from replicas import soup
from replicas.market_rows import SNAPSHOT_REQUEST
from replicas.soup import PacketType, Refusal
from tests.nodes.market import (
    HALTS,
    NEVER_SET,
    PASSWORD,
    READER,
    SECOND,
    TRADER,
    UNKNOWN,
    Client,
    credential,
    made_venue,
    serving,
    until,
)
from tests.pair import seeds


@pytest.fixture(params=seeds(1), ids=lambda seed: f"seed {seed}")
def venue(request, tmp_path):
    """A venue with some market data in each instrument."""
    venue = made_venue(tmp_path, request.param)
    yield venue
    venue.close()


# ---- who may read


CASES = {
    "wrong password": ({"password": b"wrong"}, Refusal.NOT_AUTHORISED),
    "no password": ({"password": b""}, Refusal.NOT_AUTHORISED),
    "session without a password": ({"session": NEVER_SET}, Refusal.NOT_AUTHORISED),
    "session of a trader": ({"session": TRADER}, Refusal.NOT_AUTHORISED),
    "unknown session": ({"session": UNKNOWN}, Refusal.NOT_AUTHORISED),
    "no session": ({"session": "reader"}, Refusal.NOT_AUTHORISED),
    "unknown instrument": ({"instrument": 99}, Refusal.SESSION_NOT_AVAILABLE),
    "no instrument": ({"instrument": ""}, Refusal.SESSION_NOT_AVAILABLE),
    "name of an instrument": ({"instrument": "BTC/USD"}, Refusal.SESSION_NOT_AVAILABLE),
    "number beyond the end": ({"sequence": 10**9}, Refusal.SESSION_NOT_AVAILABLE),
}


@pytest.mark.parametrize("case", CASES)
def test_a_login_is_rejected(case, venue):
    fields, reason = CASES[case]

    async def run():
        async with serving(venue) as server:
            client = await Client.connect(server.port, **fields)
            await until(lambda: client.closed)
            assert (client.rejected, client.accepted, client.rows) == (reason, None, [])

    asyncio.run(run())


def test_the_first_number_beyond_the_end_is_the_next_and_the_second_is_refused(venue):
    async def run():
        async with serving(venue) as server:
            end = venue.last(1)
            assert (await Client.connect(server.port, 1, end + 1)).accepted.sequence == end + 1
            assert (await Client.connect(server.port, 1, end + 2)).rejected == Refusal.SESSION_NOT_AVAILABLE

    asyncio.run(run())


def test_passwords_and_sessions_follow_the_journal(venue):
    async def run():
        async with serving(venue) as server:
            venue.submit(credential(READER, b"changed"))
            venue.submit(credential(UNKNOWN, b"refused"))
            venue.submit(m.GrantSession(grantee=30, role=Role.MARKET_DATA), credential(30, b"new"))
            venue.submit(m.SetCredential(grantee=SECOND))
            await until(lambda: server.feed.sequence == venue.sequencer.machine.engine.sequence)
            logins = [(READER, PASSWORD), (READER, b"changed"), (UNKNOWN, b"refused"), (30, b"new"), (SECOND, PASSWORD)]
            answers = [await Client.connect(server.port, 1, 0, *login) for login in logins]
            assert [bool(client.accepted) for client in answers] == [False, True, False, True, False]

    asyncio.run(run())


def test_a_password_that_is_changed_while_it_is_checked_is_refused(venue):
    async def run():
        async with serving(venue) as server:
            check, go_on = server._checker.check, asyncio.Event()

            async def slowly(*arguments):
                await go_on.wait()
                return await check(*arguments)

            server._checker.check = slowly
            login = asyncio.create_task(Client.connect(server.port))
            await until(lambda: server._logins._buckets)
            venue.submit(credential(READER, b"changed"))
            await until(lambda: server.feed.sequence == venue.sequencer.machine.engine.sequence)
            go_on.set()
            assert (await login).rejected == Refusal.NOT_AUTHORISED

    asyncio.run(run())


def test_too_many_logins_of_an_address_are_rejected(venue):
    async def run():
        async with serving(venue, logins_per_minute=2) as server:
            answers = [await Client.connect(server.port) for _ in range(3)]
            assert [bool(client.accepted) for client in answers] == [True, True, False]

    asyncio.run(run())


def test_a_newer_login_of_a_session_ends_the_older_one_at_that_instrument_alone(venue):
    async def run():
        async with serving(venue) as server:
            older = await Client.connect(server.port, 1, 0)
            other_instrument = await Client.connect(server.port, 2, 0)
            other_session = await Client.connect(server.port, 1, 0, session=SECOND)
            newer = await Client.connect(server.port, 1, 0)
            await until(lambda: older.closed)
            assert older.others == [PacketType.END_OF_SESSION]
            venue.trade(60)
            await until(lambda: newer.next > venue.last(1) and other_instrument.next > venue.last(2))
            await until(lambda: other_session.next > venue.last(1))
            assert [c.closed for c in (newer, other_instrument, other_session)] == [False] * 3

    asyncio.run(run())


# ---- clients that do not keep to the protocol, or do not keep up


def test_a_slow_reader_is_cut_and_others_are_not(venue):
    async def run():
        async with serving(venue) as server:
            slow = await Client.connect(server.port, 1, 0)
            quick = await Client.connect(server.port, 1, 0, session=SECOND)
            slow.writer.transport.pause_reading()
            while not server.causes["slow"]:
                venue.submit(*HALTS)
                await until(lambda: quick.next > venue.last(1))
            slow.writer.transport.resume_reading()
            await until(lambda: slow.closed)
            assert slow.next <= venue.last(1)
            back = await Client.connect(server.port, 1, slow.next)
            await until(lambda: back.next > venue.last(1))
            assert slow.rows + back.rows == quick.rows
            assert not quick.closed

    asyncio.run(run())


def test_a_slow_reader_of_old_rows_is_not_cut_and_keeps_no_more_than_a_piece_waiting(venue):
    for _ in range(60):
        venue.submit(*HALTS)

    async def run():
        async with serving(venue, outbound_bytes=64 * 1024) as server:
            slow = await Client.connect(server.port, 1, 1)
            slow.writer.transport.pause_reading()
            reader = next(iter(server._readers))
            await until(lambda: reader._paused_at)
            for _ in range(100):
                await asyncio.sleep(0)
            assert reader._transport.get_write_buffer_size() < 64 * 1024 + 131 * len(HALTS)
            slow.writer.transport.resume_reading()
            await until(lambda: slow.next > venue.last(1))
            assert slow.rows == venue.told(1)
            assert not server.causes

    asyncio.run(run())


@pytest.mark.parametrize(
    "data",
    [
        SNAPSHOT_REQUEST,
        b"GET / HTTP/1.1\r\n\r\n",
        soup.unsequenced(bytes(64)),
        soup.sequenced(bytes(128)),
        b"\0\0",
        soup.login(READER, PASSWORD, "1") * 2,
    ],
)
def test_bytes_that_have_no_place_here_end_the_connection(data, venue):
    async def run():
        async with serving(venue) as server:
            client = Client(*await asyncio.open_connection("127.0.0.1", server.port))
            client.send(data)
            await until(lambda: client.closed)
            assert (dict(server.causes), client.rows, client.orders) == ({"form": 1}, [], [])

    asyncio.run(run())


@pytest.mark.parametrize("payload", [b"", bytes(63), bytes(64), bytes(112)])
def test_an_unsequenced_message_that_is_no_request_ends_the_connection(payload, venue):
    async def run():
        async with serving(venue) as server:
            client = await Client.connect(server.port)
            client.send(soup.unsequenced(payload))
            await until(lambda: client.closed)
            assert server.causes["form"] == 1

    asyncio.run(run())


def test_a_logout_closes_and_a_debug_packet_is_skipped(venue):
    async def run():
        async with serving(venue) as server:
            client = await Client.connect(server.port)
            client.send(soup.debug("hello") + soup.CLIENT_HEARTBEAT)
            client.ask()
            await until(lambda: client.ends)
            client.send(soup.LOGOUT)
            await until(lambda: client.closed)
            assert (client.others, dict(server.causes)) == ([PacketType.END_OF_SESSION], {"logout": 1})

    asyncio.run(run())


def test_what_is_sent_behind_a_login_is_read_after_it(venue):
    async def run():
        async with serving(venue) as server:
            client = Client(*await asyncio.open_connection("127.0.0.1", server.port))
            client.send(soup.login(READER, PASSWORD, "1") + SNAPSHOT_REQUEST + soup.LOGOUT)
            await until(lambda: client.closed)
            assert client.accepted.session == "1"
            assert client.others == [PacketType.END_OF_SESSION]

    asyncio.run(run())


def test_heartbeats_are_sent_and_who_is_silent_or_does_not_log_in_is_cut(venue):
    async def run():
        async with serving(venue) as server:
            client = await Client.connect(server.port)
            stranger = Client(*await asyncio.open_connection("127.0.0.1", server.port))
            await until(lambda: len(server._readers) == 2)
            now = asyncio.get_running_loop().time()
            for reader in list(server._readers):
                reader.sweep(now + 1.5)
            await until(lambda: client.others)
            assert (client.others, stranger.closed) == ([PacketType.SERVER_HEARTBEAT], False)
            for reader in list(server._readers):
                reader.sweep(now + 3)
            await until(lambda: stranger.closed)
            assert (dict(server.causes), client.closed) == ({"no login": 1}, False)
            next(iter(server._readers)).sweep(now + 60)
            await until(lambda: client.closed)
            assert server.causes["silent"] == 1

    asyncio.run(run())


def test_no_more_connections_than_allowed(venue):
    async def run():
        async with serving(venue, connections=3, connections_per_address=2) as server:
            first = [await Client.connect(server.port, 1, 0, session) for session in (READER, SECOND)]
            third = Client(*await asyncio.open_connection("127.0.0.1", server.port))
            await until(lambda: third.closed)
            assert (dict(server.causes), [c.closed for c in first]) == ({"connections_per_address": 1}, [False] * 2)

    asyncio.run(run())
