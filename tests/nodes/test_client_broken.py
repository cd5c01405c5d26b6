"""What no server may say: the client ends, and says what it was told."""

import asyncio

import pytest

from core import messages as m
from core.kinds import ROW_SIZE
from replicas import soup
from replicas.client_ledger import Broken
from replicas.soup import FormReason, Notice, NoticeKind
from tests.nodes.clients import logged_in, m_row
from tests.nodes.fake_server import FakeServer, enter


async def two_more(client):
    for number_ in (3, 4):
        await client.answer(client.send(enter(number_)))


def broken_by(tmp_path, spoil):
    """What a client says of a server that was spoiled after a good answer."""

    async def test():
        server = FakeServer()
        async with logged_in(server, tmp_path) as client:
            await client.answer(client.send(enter(1)))
            await client.answer(client.send(enter(2)))
            spoil(server)
            with pytest.raises(Broken) as error:
                await two_more(client)
            assert client.broken is error.value
            with pytest.raises(Broken):
                client.send(enter(5))
            return str(error.value)

    return asyncio.run(test())


def say(packet):
    """A spoiler: the server says this."""

    def spoil(server):
        for connection in server.connections:
            connection.write(packet(server))

    return spoil


def changed(row, column, value):
    at = 8 * column
    return row[:at] + value.to_bytes(8, "little", signed=True) + row[at + 8 :]


def told_again(server):
    return soup.unsequenced(changed(server.told[1][0], 10, 5))


def test_an_epoch_that_goes_back(tmp_path):
    def spoil(server):
        server.epoch = 0

    assert broken_by(tmp_path, spoil) == "epoch 0 follows epoch 1"


def test_a_head_that_goes_back(tmp_path):
    spoil = say(lambda _: Notice(NoticeKind.HEAD, 1, 5).packet())
    assert broken_by(tmp_path, spoil).startswith("head 5 of epoch 1 follows head ")


def test_an_outbound_number_that_is_left_out(tmp_path):
    spoil = say(lambda server: soup.sequenced(changed(server.told[1][0], 4, 4)))
    assert broken_by(tmp_path, spoil) == "outbound number 4 stands where 3 comes next"


def test_an_outbound_number_that_is_told_again_with_other_bytes(tmp_path):
    assert broken_by(tmp_path, say(told_again)) == "outbound number 1 was told again with other bytes"


def test_other_bytes_under_a_number_that_is_still_to_come(tmp_path):
    spoil = say(lambda server: soup.unsequenced(changed(server.told[1][0], 4, 3)))
    assert broken_by(tmp_path, spoil) == "outbound number 3 was told twice with other bytes"


def test_events_of_another_session(tmp_path):
    spoil = say(lambda server: soup.sequenced(changed(changed(server.told[1][0], 4, 3), 3, 2)))
    assert broken_by(tmp_path, spoil) == "an event for session 2 was told to session 1"


def test_an_answered_command_that_the_server_has_forgotten(tmp_path):
    def spoil(server):
        server.lost = 1
        server.drop()

    assert broken_by(tmp_path, spoil) == "inbound number 2 is expected, although 2 was answered"


def test_told_events_that_the_server_has_forgotten(tmp_path):
    def spoil(server):
        server.told[1].pop()
        server.drop()

    assert broken_by(tmp_path, spoil) == "outbound number 2 comes next, although 2 was told"


def test_another_client_of_the_same_session(tmp_path):
    def spoil(server):
        server.apply(m_row(enter(9), 1, 3) + m_row(enter(10), 1, 4))
        server.drop()

    assert "was never sent from here" in broken_by(tmp_path, spoil)


def test_an_answer_to_what_was_never_sent(tmp_path):
    row = m_row(m.Rejected(command=32, inbound=9, outbound=3, sequence=99), 1, 3)
    assert broken_by(tmp_path, say(lambda _: soup.sequenced(row))) == "inbound number 9 was answered before 3"


@pytest.mark.parametrize("reason", FormReason)
def test_a_message_that_is_no_command(tmp_path, reason):
    spoil = say(lambda _: Notice(NoticeKind.REFUSED, 3, reason).packet())
    assert broken_by(tmp_path, spoil) == f"inbound number 3 was refused: {reason.name}"


def test_bytes_that_are_no_protocol(tmp_path):
    assert "type" in broken_by(tmp_path, say(lambda _: b"\0\1?"))


def test_a_row_that_is_no_row(tmp_path):
    spoil = say(lambda server: soup.sequenced(server.told[1][0][: ROW_SIZE - 8]))
    assert broken_by(tmp_path, spoil) == "a sequenced packet of 120 bytes"
