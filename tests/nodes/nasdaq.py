"""Nasdaq's own client library at a server of ours: what any server that speaks the protocol must do.

Each function is one client's visit and asserts what it sees; the password of `user` is `password`. The server has events for the session.
"""

import asyncio
from contextlib import asynccontextmanager

import pytest
from nasdaq_protocols import soup

from replicas.soup import NOTICE_SIZE, NoticeKind, parse_notice

PATIENCE = 5.0
"""Seconds until a test gives up."""


class Visit:
    """A client that is logged in, and the packets that it gets."""

    def __init__(self):
        self.packets = asyncio.Queue()
        self.session = None

    async def got(self, packet):
        self.packets.put_nowait(packet)

    async def ended(self):
        """Wait until the connection is closed; of an end of session the library tells nobody, so this has to look."""
        async with asyncio.timeout(PATIENCE):
            while not self.session.is_closed():  # noqa: ASYNC110  the library has no event for it
                await asyncio.sleep(0.01)

    async def sequenced(self, count):
        """The payloads of the next sequenced packets; others are passed over."""
        found = []
        async with asyncio.timeout(PATIENCE):
            while len(found) < count:
                packet = await self.packets.get()
                if isinstance(packet, soup.SequencedData):
                    found.append(packet.data)
        return found

    async def unsequenced(self, size):
        """The payload of the next unsequenced packet of this size; others are passed over."""
        async with asyncio.timeout(PATIENCE):
            while True:
                packet = await self.packets.get()
                if isinstance(packet, soup.UnSequencedData) and len(packet.data) == size:
                    return packet.data


@asynccontextmanager
async def visit(host, port, user, password, *, sequence=1, session="", client_seconds=0.2, server_seconds=PATIENCE):
    """Log in, and out at the end. ConnectionRefusedError if the login is rejected.

    A silent client sends a heartbeat every `client_seconds`, and bears a silent server for `server_seconds`.
    """
    guest = Visit()
    async with asyncio.timeout(PATIENCE):
        guest.session = await soup.connect_async(
            (host, port), str(user), password, session, sequence, guest.got,
            client_heartbeat_interval=client_seconds, server_heartbeat_interval=server_seconds,
        )  # fmt: skip
    try:
        yield guest
    finally:
        if guest.session.is_active():
            guest.session.logout()
        await guest.ended()


async def is_accepted(host, port, user, password):
    """The login is accepted, for the venue's session by name and for whatever session there is."""
    for session in ("LOCKSTEP", ""):
        async with visit(host, port, user, password, session=session) as guest:
            assert guest.session.session_id.session == "LOCKSTEP"


async def is_rejected(host, port, user, password, session="", reason="NOT_AUTHORIZED"):
    """The login is rejected for this reason."""
    with pytest.raises(ConnectionRefusedError, match=reason):
        async with visit(host, port, user, password, session=session):
            pass


async def wrong_password_is_rejected(host, port, user, password):
    """So is a right one with something behind it, or none."""
    for wrong in ("", password[:-1], f"{password[:9]}x", password.swapcase()):
        if wrong != password:
            await is_rejected(host, port, user, wrong)


async def unknown_session_is_rejected(host, port, user, password):
    """As unavailable, where the password is right."""
    await is_rejected(host, port, user, password, session="ELSEWHERE", reason="SESSION_NOT_AVAILABLE")


async def is_told_everything(host, port, user, password, count):
    """The session's first `count` events, by their numbers from 1 on; returns their payloads."""
    async with visit(host, port, user, password) as guest:
        rows = await guest.sequenced(count)
        assert [int.from_bytes(row[32:40], "little") for row in rows] == list(range(1, count + 1))
        assert guest.session.sequence >= count
        return rows


async def notices_follow_a_login(host, port, user, password, count):
    """What comes next, and the head of the journal."""
    async with visit(host, port, user, password) as guest:
        notices = [parse_notice(await guest.unsequenced(NOTICE_SIZE)) for _ in range(2)]
        assert [notice.kind for notice in notices] == [NoticeKind.NEXT, NoticeKind.HEAD]
        assert notices[0].b == count + 1
        assert notices[1].a >= 1


async def resumes_at_any_number(host, port, user, password, count):
    """The same bytes under the same numbers, from whichever number the client asks for."""
    everything = await is_told_everything(host, port, user, password, count)
    for first in (1, 2, count // 2, count):
        async with visit(host, port, user, password, sequence=first) as guest:
            assert guest.session.sequence >= first - 1
            assert await guest.sequenced(count + 1 - first) == everything[first - 1 :]


async def from_now_on_nothing_old_is_told(host, port, user, password, count, send):
    """Sequence number 0. `send(visit)` causes one more event, which is the first that comes."""
    async with visit(host, port, user, password, sequence=0) as guest:
        assert guest.session.sequence == count
        send(guest)
        (row,) = await guest.sequenced(1)
        assert int.from_bytes(row[32:40], "little") == count + 1


async def number_beyond_the_next_is_rejected(host, port, user, password, count):
    """Such a client has seen another history."""
    with pytest.raises(ConnectionRefusedError, match="SESSION_NOT_AVAILABLE"):
        async with visit(host, port, user, password, sequence=count + 2):
            pass


async def heartbeats_keep_both_sides(host, port, user, password, server_seconds, client_seconds, seconds):
    """An idle connection outlives the patience of both: the server's, thanks to the client's heartbeats, the client's, thanks to the server's."""
    waits = {"server_seconds": server_seconds, "client_seconds": client_seconds}
    async with visit(host, port, user, password, sequence=0, **waits) as guest:
        await asyncio.sleep(seconds)
        assert guest.session.is_active()


async def silent_client_is_dropped(host, port, user, password):
    """One that sends no heartbeats."""
    async with visit(host, port, user, password, sequence=0, client_seconds=1_000) as guest:
        await guest.ended()


async def newer_login_wins(host, port, user, password):
    """The older connection ends, the newer one stays."""
    async with visit(host, port, user, password) as older, visit(host, port, user, password) as newer:
        await older.ended()
        assert newer.session.is_active()
