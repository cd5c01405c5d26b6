"""Durable, then applied, then answered, and by the one writer alone: a running primary that fails in between says nothing."""

import asyncio

import pytest

from core.kinds import Side
from core.rows import to_row
from journal.errors import DiskError
from journal.journal import Head
from replicas.lead import Deposed, MemoryLead, Superseded
from replicas.lease import LEASE, LeaseFile
from replicas.limits import NodeConfig
from replicas.node import Place, serve
from tests.nodes.served import order, serving, venue
from tests.nodes.test_gateway import Raw
from tests.replicas.venue import NOW, define, opened


@pytest.fixture
def place(tmp_path):
    venue(tmp_path / "v")
    return tmp_path / "v"


def unanswered(place, spoil, error):
    """An order at a node that was spoiled: no event is told, and the error ends the lead; the rows that became durable."""

    async def run():
        async with serving(place) as served:
            raw = await Raw.connect(served)
            await raw.login(1)
            before = served.primary.head().sequence
            spoil(served)
            raw.send(raw.message(order(1, 7, Side.BUY, 100), 1, 1))
            kind, payload = 1, b""
            while kind:
                kind, payload = await raw.next()
                assert len(payload) != 128, "an event was told"
            with pytest.raises(error):
                await served.running
        async with serving(place) as served:
            return served.primary.engine.sequence - before

    return asyncio.run(asyncio.wait_for(run(), 60))


def when_appended(served):
    """Lose the lead between the commit and the answer."""
    append = served.primary.directory.append

    def losing(value):
        append(value)
        served.lead.revoke()

    served.primary.directory.append = losing


def when_applied(served):
    """Lose the lead between the last row and the answer."""
    submit = served.primary.sequencer.submit

    def losing(rows, now):
        events = submit(rows, now)
        served.lead.revoke()
        return events

    served.primary.sequencer.submit = losing


def when_told(served):
    """Lose the lead as it is told of a batch that was applied."""
    tell, sequencer = served.lead.tell, served.primary.sequencer
    before = sequencer.machine.engine.sequence

    def losing(head):
        if sequencer.machine.engine.sequence > before:
            served.lead.revoke()
        tell(head)

    served.lead.tell = losing


def failing(served):
    """The disk takes no more batches."""

    def refuse(_):
        raise DiskError("the disk is gone")

    served.primary.directory.append = refuse


@pytest.mark.parametrize("lose", [when_appended, when_applied, when_told])
def test_no_answer_leaves_once_the_lead_is_lost(place, lose):
    """The batch is durable, and whoever leads next answers for it."""
    assert unanswered(place, lose, Deposed) == 1


def test_no_answer_leaves_for_what_the_disk_did_not_take(place):
    assert unanswered(place, failing, DiskError) == 0


@pytest.mark.parametrize("act", ["submit", "close", "roll"])
def test_nothing_is_appended_once_the_lead_is_lost(act):
    """Not a batch of commands, nor a closing one, nor the state that begins a segment."""
    journal, sequencer = opened()
    sequencer.lead = MemoryLead()
    sequencer.submit(define(1), NOW)
    head = journal.head()
    sequencer.lead.revoke()
    acts = {"submit": lambda: sequencer.submit(define(2), NOW), "close": sequencer.close_batch, "roll": sequencer.roll}
    with pytest.raises(Deposed):
        acts[act]()
    assert journal.head() == head
    assert sequencer.machine.engine.sequence == 1


def test_a_number_is_answered_again_for_the_same_message_alone(place):
    async def run():
        async with serving(place) as served:
            client = served.client(1)
            await client.connect()
            await client.answer(client.send(order(1, 7, Side.BUY, 100)))
            gateway, session = served.primary.gateway, served.primary.engine.session(1)
            refused = [gateway.again(session, 1, to_row(order(1, 7, Side.BUY, price)))[0] for price in (100, 101)]
            await client.close()
            return [bool(notice) for notice in refused]

    assert asyncio.run(asyncio.wait_for(run(), 60)) == [False, True]


def test_a_node_that_the_venue_left_does_not_serve(place):
    """The lease tells a head that its journal lacks."""
    lease = LeaseFile.claim(place / LEASE, directory=place.parent / "other", address="", admin="", epoch=1)
    lease.tell(Head(1, 1_000, bytes(range(32))))
    lease.release()

    def ready(text):
        raise AssertionError(text)

    with pytest.raises(Superseded, match="other"):
        asyncio.run(asyncio.wait_for(serve(Place(place, NodeConfig(), insecure=True), ready), 60))
