"""`lockstep trade`: what its words mean, what it tells, and a whole session through a pipe."""

import asyncio
import io

import pytest

from core import messages as m
from core.kinds import POST_ONLY, RESTING, OrderType, Side, TimeInForce
from core.reasons import CancelReason, RejectReason
from replicas.client import Client
from replicas.client_link import Ended
from tests.nodes.fake_server import PASSWORD, FakeServer
from tools.failures import Failure, Misuse
from tools.trade import _account, _password, _print, _trade
from tools.trade_words import Scale, Unclear, Words
from tools.venue_file import Account, Login, Venue

SCALES = [Scale(3, "AAA", 2, 1), Scale(4, "B/C")]


@pytest.fixture
def words():
    return Words(7, SCALES)


def enter(side, order_type, tif, instrument, price, quantity, post=0):
    flags = side | order_type << 1 | tif << 5 | post
    return m.EnterOrder(
        flags=flags, instrument=instrument, account=7, client_order_id=1, price=price, quantity=quantity
    )


@pytest.mark.parametrize(
    ("line", "command"),
    [
        ("buy 10 AAA @ 100.25", enter(Side.BUY, OrderType.LIMIT, TimeInForce.DAY, 3, 10_025, 100)),
        ("BUY 10.5 AAA@100", enter(Side.BUY, OrderType.LIMIT, TimeInForce.DAY, 3, 10_000, 105)),
        ("sell 10 #1 @ 10025 gtc", enter(Side.SELL, OrderType.LIMIT, TimeInForce.GTC, 1, 10_025, 10)),
        ("sell 1 B/C @ 5 post gtc", enter(Side.SELL, OrderType.LIMIT, TimeInForce.GTC, 4, 5, 1, POST_ONLY)),
        ("buy 1 #3 @ 1", enter(Side.BUY, OrderType.LIMIT, TimeInForce.DAY, 3, 100, 10)),
        ("sell 2 AAA fok", enter(Side.SELL, OrderType.MARKET, TimeInForce.FOK, 3, 0, 20)),
        ("sell 2 AAA", enter(Side.SELL, OrderType.MARKET, TimeInForce.IOC, 3, 0, 20)),
        ("cancel 5 AAA", m.CancelOrder(instrument=3, account=7, client_order_id=5)),
    ],
)
def test_lines_that_are_commands(words, line, command):
    assert words.read(line, 1) == command


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("bye", "not understood"),
        ("buy AAA", "not understood"),
        ("buy ten AAA @ 5", "not a number"),
        ("buy 1 AAA @ 1.001", "more than 2 decimals"),
        ("buy 1 AAA @ 1e3", "not a number"),
        ("buy 1 AAA @ 1.2.3", "not a number"),
        ("buy 0 AAA @ 1", "out of bounds"),
        (f"buy 1 AAA @ {2**40}", "out of bounds"),
        ("buy 1 ZZZ @ 1", "no instrument ZZZ; known are #NUMBER and AAA, B/C"),
        ("buy 1 #0 @ 1", "no instrument"),
        ("buy 1 #65536 @ 1", "no instrument"),
        ("buy 1 AAA @ 1 soon", "one of day, gtc, ioc, fok"),
        ("buy 1 AAA @ 1 day gtc", "one of day, gtc, ioc, fok"),
        ("cancel 5", "order 5 was not entered here"),
        ("cancel 0 AAA", "no order's id"),
    ],
)
def test_lines_that_are_not(words, line, why):
    with pytest.raises(Unclear, match=why):
        words.read(line, 1)


def test_an_order_entered_here_is_canceled_by_its_id(words):
    words.read("buy 1 B/C @ 1", 12)
    assert words.read("cancel 12", 13) == m.CancelOrder(instrument=4, account=7, client_order_id=12)


NAMES = {"flags": Side.SELL, "instrument": 3, "account": 7, "client_order_id": 12, "price": 10_025, "quantity": 105}


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (m.Accepted(**NAMES | {"flags": RESTING | Side.SELL}), "accepted 12: sell 10.5 AAA @ 100.25"),
        (m.Accepted(**NAMES | {"price": 0}), "accepted 12: sell 10.5 AAA, matching"),
        (m.Executed(**NAMES, leaves=10), "executed 12: sell 10.5 AAA @ 100.25, 1.0 open"),
        (m.Replaced(**NAMES, leaves=0), "replaced 12: sell 10.5 AAA @ 100.25, 0.0 open"),
        (m.Reduced(**NAMES | {"instrument": 9}, leaves=3), "reduced 12: sell 105 #9 @ 10025, 3 open"),
        (
            m.Canceled(**NAMES, reason=CancelReason.MASS_CANCEL),
            "canceled 12: sell 10.5 AAA @ 100.25, MASS_CANCEL",
        ),
        (m.Expired(**NAMES), "expired 12: sell 10.5 AAA @ 100.25"),
        (m.Rejected(client_order_id=12, reason=RejectReason.HALTED), "rejected 12: HALTED"),
        (m.Rejected(reason=RejectReason.MALFORMED), "rejected: MALFORMED"),
        (m.MassCanceled(), "MassCanceled"),
    ],
)
def test_lines_about_events(words, event, line):
    assert words.tell(event) == line


def test_whose_account_and_which_password(tmp_path):
    venue = Venue(
        account=[Account(number=4, firm=1)],
        session=[Login(number=5, role="trader", accounts=[4, 2], password="in-file"), Login(number=6, role="operator")],
    )
    assert _account(venue, 5) == 4
    for session, described in ((6, venue), (5, None)):
        with pytest.raises(Misuse, match="--account"):
            _account(described, session)
    assert _password(5, None, venue) == "in-file"
    file = tmp_path / "passwords"
    file.write_text("alone\n")
    assert _password(5, file, venue) == "alone"
    file.write_text("4 four\n5 five\n")
    assert _password(5, file, None) == "five"
    with pytest.raises(Misuse, match="no password of session 6") as error:
        _password(6, file, None)
    assert "four" not in str(error.value)


# ---- through a pipe


def piped(monkeypatch, tmp_path, lines, spoil=lambda server: None):
    """The session of account 1 with these lines on stdin."""
    monkeypatch.setattr("sys.stdin", io.StringIO(lines))
    words = Words(1, [Scale(1, "AAA", 2)])

    async def session():
        server = FakeServer()
        async with server.at(tmp_path / "a") as addresses:
            spoil(server)
            await _trade(Client(addresses, 1, PASSWORD, on_event=lambda row: _print(words, row)), words)
        return server

    return asyncio.run(session())


def test_a_session_through_a_pipe(monkeypatch, tmp_path, capsys):
    lines = "buy 3 AAA @ 1.05\n\nnonsense\nsell 1 AAA @ 1.05\ncancel 1\nquit\nbuy 9 AAA @ 1\n"
    server = piped(monkeypatch, tmp_path, lines)
    assert server.taken == [(1, 1), (1, 2), (1, 3)]
    told = capsys.readouterr()
    assert told.out.splitlines() == [
        "accepted 1: buy 3 AAA @ 1.05",
        "? 'nonsense' is not understood; `help` says what is",
        "accepted 2: sell 1 AAA @ 1.05, matching",
        "executed 1: buy 1 AAA @ 1.05, 2 open",
        "executed 2: sell 1 AAA @ 1.05, 0 open",
        "canceled 1: buy 2 AAA @ 1.05, REQUESTED",
    ]
    assert PASSWORD not in told.out + told.err


def test_the_end_of_the_input_is_the_end(monkeypatch, tmp_path, capsys):
    assert piped(monkeypatch, tmp_path, "buy 3 AAA @ 1").taken == [(1, 1)]
    assert capsys.readouterr().out == "accepted 1: buy 3 AAA @ 1.00\n"


def test_commands_without_an_answer_are_not_passed_over(monkeypatch, tmp_path, capsys):
    def spoil(server):
        server.silent = True

    monkeypatch.setattr("tools.trade.ANSWER_SECONDS", 0.02)
    with pytest.raises(Failure, match="1 commands have no answer"):
        piped(monkeypatch, tmp_path, "buy 3 AAA @ 1\n", spoil)
    assert "no answer yet" in capsys.readouterr().err


def test_a_session_that_is_not_authorised(tmp_path):
    async def session():
        async with FakeServer().at(tmp_path / "a") as addresses:
            with pytest.raises(Ended, match="not authorised"):
                await _trade(Client(addresses, 1, "wrong"), Words(1, []))

    asyncio.run(session())
