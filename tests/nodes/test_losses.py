"""Sessions that lose their connections: what they asked for is journaled and done, by this node or by the next."""

import asyncio
import signal

import pytest
from librt.strings import BytesWriter

from core import messages as m
from core.kinds import CommandKind, EventKind, OnDisconnect, Side, TimeInForce
from core.reasons import CancelReason, RejectReason
from core.rows import from_row, to_row
from journal.event_store import EventStore
from journal.verify import verify
from replicas.client import Client
from replicas.losses import Losses
from tests.nodes.processes import nodes
from tests.nodes.raw import Raw
from tests.nodes.served import PASSWORD, order, serving, venue

ALL = m.SetCancelOnDisconnect(mode=OnDisconnect.ALL)
DAY = m.SetCancelOnDisconnect(mode=OnDisconnect.DAY_ORDERS)
BUY = order(1, 7, Side.BUY, 100)


def run(work):
    return asyncio.run(asyncio.wait_for(work, 60))


@pytest.fixture
def place(tmp_path):
    venue(tmp_path / "v")
    return tmp_path / "v"


async def entered(served, session, *commands):
    """A connection of a session that has sent these and read all that answers them."""
    raw = await Raw.connect(served)
    await raw.login(session)
    first = served.primary.engine.session(session).inbound + 1
    raw.send(*(raw.message(command, session, at) for at, command in enumerate(commands, first)))
    for _ in commands:
        await raw.event()
    return raw


async def until(what):
    """Wait until something holds."""
    async with asyncio.timeout(30):
        while not what():  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.005)


def live(served, session):
    """How many orders of a session live."""
    return served.primary.engine.session(session).open


def day(command):
    """The same order, with time in force DAY and another client order id."""
    columns = {name: getattr(command, name) for name in command.__struct_fields__}
    flags = command.flags & ~(0xF << 5) | TimeInForce.DAY << 5
    return type(command)(**columns | {"flags": flags, "client_order_id": command.client_order_id + 1})


def told(store, kind):
    """The events of a kind that the node has told anybody."""
    return [from_row(row) for batch in store.read() for row in cut(batch.rows) if row[:8] == kind.to_bytes(8, "little")]


def cut(data):
    return [data[at : at + 128] for at in range(0, len(data), 128)]


def losses(served):
    return [
        (event.named, event.connection, event.mode) for event in told(served.primary.events, EventKind.SESSION_LOST)
    ]


# ---- a connection ends


@pytest.mark.parametrize("how", ["killed", "logout"])
def test_the_orders_of_a_session_whose_connection_ends_are_canceled(place, how):
    async def lose():
        async with serving(place) as served:
            raw = await entered(served, 1, ALL, BUY, day(BUY))
            other = await entered(served, 2, order(2, 1, Side.BUY, 90))
            if how == "logout":
                raw.send(b"\x00\x01O")
            else:
                raw.writer.transport.abort()
            await until(lambda: live(served, 1) == 0)
            assert live(served, 2) == 1
            assert losses(served) == [(1, 1, OnDisconnect.ALL)]
            gone = told(served.primary.events, EventKind.CANCELED)
            assert [event.reason for event in gone] == [CancelReason.SESSION_LOST] * 2
            other.writer.close()

    run(lose())
    assert verify(place).good


def test_by_mode_orders_that_outlive_the_day_stay(place):
    async def lose():
        async with serving(place) as served:
            raw = await entered(served, 1, DAY, BUY, day(BUY))
            raw.writer.transport.abort()
            await until(lambda: live(served, 1) == 1)
            assert list(served.primary.engine.account(1).orders) == [7]

    run(lose())


def test_a_session_that_has_asked_for_nothing_is_not_told(place):
    async def lose():
        async with serving(place) as served:
            raw = await entered(served, 1, BUY)
            raw.writer.transport.abort()
            await until(lambda: served.primary.gateway.desk(1).connection is None)
            again = await entered(served, 1, ALL, m.SetCancelOnDisconnect(mode=OnDisconnect.NOTHING))
            again.writer.transport.abort()
            await until(lambda: served.primary.gateway.desk(1).connection is None)
            assert (live(served, 1), losses(served)) == (1, [])

    run(lose())


def test_a_connection_that_another_one_of_the_session_replaced_is_no_loss(place):
    async def replace():
        async with serving(place) as served:
            old = await entered(served, 1, ALL, BUY)
            new = await entered(served, 1)
            assert (await old.next())[0] != 0
            old.writer.transport.abort()
            await until(lambda: len(served.primary.gateway.connections) == 1)
            await asyncio.sleep(0.05)
            assert (live(served, 1), losses(served)) == (1, [])
            new.writer.transport.abort()
            await until(lambda: live(served, 1) == 0)
            assert losses(served) == [(1, 2, OnDisconnect.ALL)]

    run(replace())


def test_a_mode_that_was_sent_and_not_yet_applied_counts(place):
    """The connection ends while its SetCancelOnDisconnect still waits for a batch."""

    async def lose():
        async with serving(place) as served:
            raw = await entered(served, 1, BUY)
            primary = served.primary
            arrived, primary.arrived = primary.arrived, lambda: None
            raw.send(raw.message(ALL, 1, 2))
            await until(lambda: primary.pending_rows == 1)
            raw.writer.transport.abort()
            await until(lambda: primary.gateway.desk(1).connection is None)
            assert live(served, 1) == 1
            primary.arrived = arrived
            arrived()
            await until(lambda: live(served, 1) == 0)
            assert losses(served) == [(1, 1, OnDisconnect.ALL)]

    run(lose())


# ---- a node starts


def test_who_does_not_come_back_to_a_node_that_starts_is_lost(place):
    """The node stopped with two sessions on it, told no loss then, and one of them logs in again in time."""

    async def first():
        async with serving(place) as served:
            there = [await entered(served, 1, ALL, BUY)]
            there.append(await entered(served, 2, ALL, order(2, 1, Side.BUY, 90)))
            there.append(await entered(served, 3, order(3, 1, Side.BUY, 80)))
        assert len(there) == 3

    async def second():
        async with serving(place, grace=0.3) as served:
            assert [live(served, session) for session in (1, 2, 3)] == [1, 1, 1]
            back = await entered(served, 1)
            await until(lambda: live(served, 2) == 0)
            assert losses(served) == [(2, 0, OnDisconnect.ALL)]
            assert [live(served, session) for session in (1, 2, 3)] == [1, 0, 1]
            back.writer.close()

    run(first())
    run(second())


def test_the_standby_that_takes_over_tells_who_did_not_come_back(tmp_path):
    venue(tmp_path / "a")
    config = tmp_path / "node.toml"
    config.write_text("[node]\nreconnect_seconds = 1.5\n")
    with nodes() as start:
        primary = start(tmp_path / "a", "serve").until("primary at")
        standby = start(tmp_path / "b", "standby", "--follow", str(tmp_path / "a"), "--config", str(config))
        standby.until("standby of")

        async def trade():
            client = Client([primary.address, standby.address], 1, PASSWORD, start=1)
            await client.connect()
            await client.answer(client.send(ALL))
            await client.answer(client.send(order(1, 7, Side.BUY, 100)))
            other = await Raw.connect(primary)
            await other.login(2)
            other.send(other.message(ALL, 2, 1), other.message(order(2, 7, Side.BUY, 100), 2, 2))
            await other.event()
            await other.event()
            primary.signal(signal.SIGKILL)
            # It comes back by itself, within the grace, and goes on; the other does not.
            await client.answer(client.send(order(1, 8, Side.BUY, 99)))
            await asyncio.to_thread(standby.wait, lambda: lost(standby.data), "nobody was lost")
            await asyncio.sleep(0.2)
            found = lost(standby.data)
            await client.close()
            return found

        assert run(trade()) == [(2, OnDisconnect.ALL)]
        assert standby.stop() == 0
    assert verify(standby.data).good


def lost(data):
    """Sessions that a node has told to be lost, and by which mode."""
    store = EventStore(data / "events")
    try:
        return [(event.named, event.mode) for event in told(store, EventKind.SESSION_LOST)]
    finally:
        store.close()


# ---- no room


class Fake:
    """A node whose engine has these sessions, and as many pending operations as a test wants."""

    def __init__(self, modes):
        self.pending, self.pending_rows = BytesWriter(), 0
        self.todos, self.modes = [], modes
        self.engine = self

    def session(self, number):
        fake = type("Session", (), {"number": number, "on_disconnect": self.modes[number], "inbound": 0, "role": 1})
        return fake if number in self.modes else None

    def arrived(self):
        """Rows wait."""

    def taken(self):
        """The sessions named by the rows that wait, which are taken."""
        found, self.pending_rows = rows_of(self.pending.getvalue()), 0
        self.pending.truncate(0)
        return found


def rows_of(data):
    return [row.named for row in map(from_row, cut(data))]


def refused(inbound=0):
    columns = {"command": CommandKind.SESSION_LOST, "reason": RejectReason.TOO_MANY_PENDING, "inbound": inbound}
    return to_row(m.Rejected(**columns))


def test_a_loss_that_is_refused_is_told_again_as_soon_as_there_is_room():
    node = Fake({1: 1, 2: 1, 3: 1})
    told_by = Losses(node)
    for number in (1, 2, 3):
        told_by.lost(number, 10 + number, 1)
    assert node.taken() == [1, 2, 3]
    node.todos = [None] * 1_024
    # An operator's own are none of the node's.
    told_by.answered(to_row(m.SessionWasLost(named=1)) + refused(inbound=7) + refused() + refused())
    assert node.taken() == []
    told_by.answered(b"")
    assert node.taken() == []
    node.todos = []
    told_by.answered(b"")
    assert node.taken() == [2, 3]
    told_by.answered(to_row(m.SessionWasLost(named=2)) + to_row(m.SessionWasLost(named=3)))
    told_by.answered(b"")
    assert node.taken() == []


def test_a_loss_that_made_the_engine_raise_is_not_told_again():
    node = Fake({1: 1, 2: 1})
    told_by = Losses(node)
    told_by.lost(1, 1, 1)
    told_by.lost(2, 2, 1)
    assert node.taken() == [1, 2]
    told_by.answered(to_row(m.Quarantined(command=CommandKind.SESSION_LOST)) + refused())
    assert node.taken() == [2]


def test_no_more_are_told_at_a_time_than_could_be_pending():
    node = Fake(dict.fromkeys(range(1, 2_000), 1))
    told_by = Losses(node)
    for number in range(1, 2_000):
        told_by.lost(number, 0, 1)
    first = node.taken()
    assert first == list(range(1, 1_025))
    told_by.answered(b"".join(to_row(m.SessionWasLost(named=number)) for number in first))
    assert node.taken() == list(range(1_025, 2_000))
