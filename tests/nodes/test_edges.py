"""What happens at the edges of a node: late standbys, stops at bad moments, and clients that do not play along."""

import asyncio
import shutil
import socket
import time

import pytest

from core.kinds import EventKind, Side
from core.messages import AcceptClock, CancelOrder, EndOfDay, MassCancel, Upgrade
from core.state import SEMANTICS
from journal.directory import segment_name
from journal.errors import JournalError
from replicas import soup
from replicas.children import Children
from replicas.client import Client
from replicas.lead import Deposed, MemoryLead
from replicas.limits import Listen, NodeConfig
from replicas.listening import listen
from replicas.opening import resume
from replicas.primary import Primary
from replicas.soup import FormReason, NoticeKind, PacketType
from tests.nodes.raw import Raw
from tests.nodes.served import OPERATOR, PASSWORD, order, serving, venue

ORDERS = 1_500


@pytest.fixture
def place(tmp_path):
    venue(tmp_path / "v")
    return tmp_path / "v"


def run(work):
    return asyncio.run(asyncio.wait_for(work, 90))


async def enter(raw, first, last, session=1, **columns):
    """Enter orders that rest; their first events."""
    numbers = range(first, last + 1)
    raw.send(*(raw.message(order(session, number, Side.BUY, 100, **columns), session, number) for number in numbers))
    return [(await raw.event())[1] for _ in numbers]


async def until(what):
    """Wait until something holds."""
    async with asyncio.timeout(30):
        while not what():  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)


# ---- what is not at hand


def test_a_node_that_lacks_old_events_refuses_what_it_cannot_tell_and_goes_on(place):
    """As a standby that joined late: the event store begins in the middle of a session's numbers."""

    async def before():
        async with serving(place) as served:
            raw = await Raw.connect(served)
            await raw.login(1)
            return await enter(raw, 1, 5)

    async def after():
        async with serving(place) as served:
            for number in (1, 3, 5):
                raw = await Raw.connect(served)
                raw.send(soup.login(1, PASSWORD.encode(), "", number))
                assert (await raw.next()) == (PacketType.REJECTED, bytes([soup.Refusal.SESSION_NOT_AVAILABLE]))
            raw, other = await Raw.connect(served), await Raw.connect(served)
            assert await raw.login(1, sequence=6) == 6
            raw.send(raw.message(order(1, 3, Side.BUY, 100), 1, 3))
            notice = await raw.notice(NoticeKind.REFUSED)
            assert (notice.a, notice.b) == (3, FormReason.INBOUND_TOO_OLD)
            await other.login(2)
            assert int.from_bytes((await enter(other, 1, 1, session=2))[0][:8], "little") == EventKind.ACCEPTED

    run(before())
    directory, sequencer = resume(place)
    # A new segment, and neither the one before it nor its events.
    sequencer.roll()
    sequencer.events.clear()
    sequencer.events.close()
    directory.close()
    shutil.rmtree(place / "segments" / segment_name(1))
    run(after())


@pytest.mark.parametrize("large", [False, True])
def test_an_answer_of_many_rows_reaches_a_client_that_reads(place, large):
    """Larger than what may wait for one connection: sent in parts, told live and when it is repeated."""

    async def sweep():
        async with serving(place, outbound_bytes=64 * 1024) as served:
            maker, taker = await Raw.connect(served), await Raw.connect(served)
            await maker.login(1)
            count = ORDERS if large else 3
            await enter(maker, 1, count, quantity=1)
            await taker.login(2)
            packet = taker.message(order(2, 1, Side.SELL, 100, quantity=count), 2, 1)
            taker.send(packet)
            told = [(await taker.event())[1] for _ in range(count + 1)]
            assert [int.from_bytes(row[32:40], "little") for row in told] == list(range(1, count + 2))
            taker.send(packet)
            assert [(await taker.event())[1] for _ in range(count + 1)] == told

    run(sweep())


# ---- operators


def test_a_mass_cancel_by_an_operator_ends_although_nobody_else_sends(place):
    async def cancel():
        async with serving(place) as served:
            raw = await Raw.connect(served)
            await raw.login(1)
            await enter(raw, 1, ORDERS, quantity=1)
            await served.primary.submit(MassCancel(session=OPERATOR, account=1))
            await until(lambda: served.primary.engine.account(1).oldest is None)

    run(cancel())


def test_a_day_that_ends_rolls_the_segment_once_all_of_it_is_done(place):
    async def end():
        async with serving(place) as served:
            raw = await Raw.connect(served)
            await raw.login(1)
            await enter(raw, 1, 3)
            await served.primary.submit(EndOfDay(session=OPERATOR, day=20_260_302))
            await until(lambda: len(served.primary.directory.segments()) >= 2)
            assert not served.primary.engine.todos

    run(end())


def test_an_upgrade_that_waits_when_an_operator_acts_ends_the_node(place):
    async def upgrade():
        async with serving(place) as served:
            raw = await Raw.connect(served)
            await raw.login(OPERATOR)
            served.primary.arrived = lambda: None
            raw.send(raw.message(Upgrade(version=SEMANTICS + 1), OPERATOR, 1))
            await until(lambda: served.primary.pending_rows)
            with pytest.raises(JournalError):
                await served.primary.submit(AcceptClock(session=OPERATOR, clock=1))
            with pytest.raises(JournalError, match="Upgrade"):
                await served.running

    run(upgrade())


def test_a_clock_that_an_operator_accepts_by_the_protocol_is_followed(place):
    async def accept():
        async with serving(place) as served:
            served.primary.clock.alarm = "it was set"
            raw = await Raw.connect(served)
            await raw.login(OPERATOR)
            raw.send(raw.message(AcceptClock(clock=time.time_ns()), OPERATOR, 1))
            _, row = await raw.event()
            assert int.from_bytes(row[:8], "little") == EventKind.CLOCK_ACCEPTED
            assert served.primary.clock.alarm is None

    run(accept())


# ---- the node itself


def test_a_stop_before_the_start_is_a_stop(place):
    """What goes wrong between the lead and the first listener must not leave a node that says nothing and leads."""

    async def stop():
        directory, sequencer = resume(place)
        lead = MemoryLead(sequencer.epoch)
        primary = Primary(directory, sequencer, lead, NodeConfig())
        primary.stop()
        await primary.run()
        with pytest.raises(Deposed, match="released"):
            lead.check()

    run(stop())


def test_a_clean_stop_lets_clients_read_their_last_answers(place):
    """More than the sockets hold: the rest goes out while the node waits."""

    async def stop():
        async with serving(place) as served:
            raw = await Raw.connect(served)
            await raw.login(1)
            (connection,) = served.primary.gateway.connections
            for transport, option in (
                (raw.writer.transport, socket.SO_RCVBUF),
                (connection._transport, socket.SO_SNDBUF),
            ):
                transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, option, 32_768)
            raw.writer.transport.pause_reading()
            count = 4_000
            numbers = range(1, count + 1)
            raw.send(*(raw.message(CancelOrder(instrument=1, account=1, client_order_id=7), 1, n) for n in numbers))
            await until(lambda: served.primary.engine.session(1).inbound == count)
            served.primary.stop()
            await asyncio.sleep(0.02)
            raw.writer.transport.resume_reading()
            for number in numbers:
                _, row = await raw.event()
                assert int.from_bytes(row[32:40], "little") == number
            await served.running

    run(stop())


def test_a_session_that_has_gone_keeps_nothing_in_memory(place):
    """Its packets are in the event store: any number of sessions may have been here."""

    async def go():
        async with serving(place) as served:
            raw = await Raw.connect(served)
            await raw.login(1)
            before = await enter(raw, 1, 50)
            desk = served.primary.gateway.desk(1)
            assert desk.told.between(1, 50)
            raw.writer.close()
            await until(lambda: desk.connection is None)
            assert desk.told.first == desk.told.next == 51
            seller = await Raw.connect(served)
            await seller.login(2)
            seller.send(seller.message(order(2, 1, Side.SELL, 100), 2, 1))
            await seller.event()
            assert desk.told.first == desk.told.next == 52
            raw = await Raw.connect(served)
            assert await raw.login(1, sequence=1) == 1
            assert [(await raw.event())[1] for _ in range(50)] == before

    run(go())


def test_trouble_with_the_disk_or_a_child_does_not_end_the_signs_of_life(place, monkeypatch):
    async def trouble():
        async with serving(place) as served:

            def fail(*_):
                raise OSError(24, "too many open files")

            monkeypatch.setattr(shutil, "disk_usage", fail)
            before = len(served.lead.told)
            await until(lambda: len(served.lead.told) >= before + 3)

    run(trouble())


def test_an_idle_node_that_lost_the_lead_ends(place):
    async def lose():
        async with serving(place) as served:
            raw = await Raw.connect(served)
            await raw.login(1)

            def fail(_):
                raise Deposed("the lease is another's")

            served.lead.tell = fail
            with pytest.raises(Deposed):
                await asyncio.wait_for(served.running, 20)
            while (await raw.next())[0]:
                pass

    run(lose())


def test_a_child_that_dies_at_once_is_started_ever_more_rarely(tmp_path, monkeypatch):
    started = []

    class Dead:
        def poll(self):
            return 1

    monkeypatch.setattr(Children, "_start", lambda *_: started.append(1) or Dead())
    children = Children(tmp_path, "127.0.0.1:1", 1_000)
    for tenth in range(600):
        children.look(1, tenth / 10, alone=False)
    assert 3 < len(started) < 12


# ---- clients that do not play along


def test_who_does_not_read_its_last_word_is_cut(place):
    async def linger():
        async with serving(place, unauthenticated_seconds=0.3) as served:
            raw = await Raw.connect(served)
            await raw.login(1)
            raw.writer.transport.pause_reading()
            for _ in range(30):
                raw.send(raw.message(CancelOrder(instrument=1, account=1, client_order_id=1), 1, 1_000) * 2_000)
                await asyncio.sleep(0)
            raw.send(soup.LOGOUT)
            await until(lambda: not served.primary.gateway.connections)

    run(linger())


def test_a_login_is_not_cut_while_its_password_is_being_checked(place, monkeypatch):
    async def wait():
        async with serving(place, unauthenticated_seconds=0.2) as served:
            check = served.primary._checker.check

            async def slow(*arguments):
                await asyncio.sleep(0.8)
                return await check(*arguments)

            monkeypatch.setattr(served.primary._checker, "check", slow)
            raw = await Raw.connect(served)
            assert await raw.login(1) == 1

    run(wait())


def test_a_login_that_went_away_meanwhile_displaces_nobody(place, monkeypatch):
    async def leave():
        async with serving(place) as served:
            good = await Raw.connect(served)
            await good.login(1)
            check, waiting = served.primary._checker.check, asyncio.Event()

            async def slow(*arguments):
                await waiting.wait()
                return await check(*arguments)

            monkeypatch.setattr(served.primary._checker, "check", slow)
            late = await Raw.connect(served)
            late.send(soup.login(1, PASSWORD.encode()))
            await until(lambda: len(served.primary.gateway.connections) >= 2)
            await asyncio.sleep(0.1)
            late.writer.transport.abort()
            await asyncio.sleep(0.1)
            waiting.set()
            await asyncio.sleep(0.1)
            assert int.from_bytes((await enter(good, 1, 1))[0][:8], "little") == EventKind.ACCEPTED

    run(leave())


def test_what_is_refused_counts_for_the_rate(place):
    async def flood():
        async with serving(place, messages_per_second=20, burst=20) as served:
            raw = await Raw.connect(served)
            await raw.login(1)
            raw.send(raw.message(order(1, 1, Side.BUY, 100), 1, 9) * 5_000)
            await asyncio.sleep(0.5)
            assert 20 <= served.counted("messages_refused", reason="gap") < 100

    run(flood())


def test_our_client_trades_on_uvloop(place):
    uvloop = pytest.importorskip("uvloop", reason="uvloop is not installed")

    async def trade():
        async with serving(place) as served:
            (server,) = await listen(served.primary.gateway.connection, Listen(tcp="127.0.0.1:0"))
            client = Client([f"127.0.0.1:{server.sockets[0].getsockname()[1]}"], 1, PASSWORD)
            await client.connect()
            assert await client.answer(client.send(order(1, 1, Side.BUY, 100)))
            await client.close()
            server.close()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(asyncio.wait_for(trade(), 60))
