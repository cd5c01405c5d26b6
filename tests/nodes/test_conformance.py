"""The gateway as Nasdaq's own SoupBinTCP client sees it: it logs in, is told everything, resumes and is refused."""

import asyncio

import pytest

from core.kinds import Side
from tests.nodes import nasdaq
from tests.nodes.served import PASSWORD, order, serving, venue

pytest.importorskip("nasdaq_protocols", reason="nasdaq-protocols is not installed")

COUNT = 12
USER = "1"


def checked(tmp_path, check, *arguments, **limits):
    """Serve a session that was told twelve rows, and let the library check the server."""

    async def run():
        async with serving(tmp_path / "v", **limits) as served:
            client = served.client(1)
            await client.connect()
            for number in range(1, COUNT + 1):
                await client.answer(client.send(order(1, number, Side.BUY, 100)))
            await client.close()
            await check("127.0.0.1", served.port, USER, PASSWORD, *arguments)

    venue(tmp_path / "v")
    asyncio.run(asyncio.wait_for(run(), 60))


@pytest.mark.parametrize(
    "check", [nasdaq.is_accepted, nasdaq.wrong_password_is_rejected, nasdaq.unknown_session_is_rejected]
)
def test_logins(tmp_path, check):
    checked(tmp_path, check)


@pytest.mark.parametrize(
    "check",
    [
        nasdaq.is_told_everything,
        nasdaq.notices_follow_a_login,
        nasdaq.resumes_at_any_number,
        nasdaq.number_beyond_the_next_is_rejected,
    ],
)
def test_numbers(tmp_path, check):
    checked(tmp_path, check, COUNT)


def test_the_newer_login_wins(tmp_path):
    checked(tmp_path, nasdaq.newer_login_wins)


def test_a_silent_client_is_dropped(tmp_path):
    checked(tmp_path, nasdaq.silent_client_is_dropped, silent_seconds=0.5)


def test_heartbeats_keep_both_sides(tmp_path):
    checked(tmp_path, nasdaq.heartbeats_keep_both_sides, 1.5, 0.2, 2.0, silent_seconds=1.0)
