"""`lockstep trade`: what its words mean, what it tells, and a whole session through a pipe."""

import asyncio
import io
from functools import partial

import pytest

from core import messages as m
from core.kinds import (
    ALL_OR_NONE,
    BASIS_POINTS,
    HIDDEN,
    POST_ONLY,
    REDUCE_ONLY,
    RESTING,
    SLIDE,
    OrderType,
    Side,
    TimeInForce,
    TradingState,
)
from core.reasons import CancelReason, RejectReason
from core.rows import to_row
from replicas.book_builder import BookBuilder, Resting, Trade
from replicas.client import Client
from replicas.client_link import Ended
from replicas.market_client import MarketClient
from tests.nodes import market
from tests.nodes.fake_server import PASSWORD, FakeServer
from tests.pair import seeds
from tools.failures import Failure, Misuse
from tools.trade import Watch, _account, _market, _password, _print, _trade
from tools.trade_orders import Scale, Unclear
from tools.trade_words import LEVELS, TRADES, USAGE, Watched, Words, ladder, trades
from tools.venue_file import Account, Login, Venue

SCALES = [Scale(3, "AAA", 2, 1), Scale(4, "B/C", quote_decimals=3, price_max=900)]


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


def special(order_type, tif=TimeInForce.DAY, flags=0, side=Side.SELL, **columns):
    """An order of one lot in AAA, unless the columns say otherwise."""
    columns = {"instrument": 3, "account": 7, "client_order_id": 1, "quantity": 10} | columns
    return m.EnterOrder(flags=side | order_type << 1 | tif << 5 | flags, **columns)


@pytest.mark.parametrize(
    ("line", "command"),
    [
        ("sell 1 AAA stop 59000", special(OrderType.STOP, trigger_price=5_900_000)),
        ("sell 1 AAA stop 590 limit 589 gtc", special(OrderType.STOP_LIMIT, TimeInForce.GTC, trigger_price=59_000, price=58_900)),
        ("sell 1 AAA touched 590", special(OrderType.MARKET_IF_TOUCHED, trigger_price=59_000)),
        ("sell 1 AAA touched 590 limit 591", special(OrderType.LIMIT_IF_TOUCHED, trigger_price=59_000, price=59_100)),
        ("sell 1 AAA trail 1.5", special(OrderType.TRAILING_STOP, trigger_price=1, offset=150)),
        ("sell 1 AAA trail 50bp stop 580", special(OrderType.TRAILING_STOP, flags=BASIS_POINTS, trigger_price=58_000, offset=50)),
        ("sell 1 AAA stop 580 trail 2", special(OrderType.TRAILING_STOP, trigger_price=58_000, offset=200)),
        ("buy 1 B/C trail 5", special(OrderType.TRAILING_STOP, side=Side.BUY, instrument=4, quantity=1, trigger_price=900, offset=5)),
        ("sell 1 AAA peg primary -2", special(OrderType.PEGGED, offset=-200)),
        ("sell 1 AAA @ 9 peg midpoint hidden", special(OrderType.PEGGED, flags=1 << 17 | HIDDEN, price=900)),
        ("buy 1 AAA @ 9 peg market +0.01", special(OrderType.PEGGED, flags=2 << 17, side=Side.BUY, price=900, offset=1)),
        ("sell 1 AAA @ 9 show 0.1", special(OrderType.LIMIT, price=900, display_quantity=1)),
        ("sell 1 AAA @ 9 HIDDEN gtc", special(OrderType.LIMIT, TimeInForce.GTC, HIDDEN, price=900)),
        ("sell 1 AAA @ 9 slide", special(OrderType.LIMIT, flags=SLIDE, price=900)),
        ("sell 1 AAA @ 9 all ioc", special(OrderType.LIMIT, TimeInForce.IOC, ALL_OR_NONE, price=900)),
        ("sell 1 AAA @ 9 least 0.4", special(OrderType.LIMIT, price=900, minimum_quantity=4)),
        ("sell 1 AAA reduce-only", special(OrderType.MARKET, TimeInForce.IOC, REDUCE_ONLY)),
        ("sell 1 AAA to-limit", special(OrderType.MARKET_TO_LIMIT)),
        ("sell 1 AAA @ 9 prevent both", special(OrderType.LIMIT, flags=3 << 14, price=900)),
        ("buy for 50.25 B/C", special(OrderType.SPEND_AT_MOST, TimeInForce.IOC, side=Side.BUY, instrument=4, quantity=50_250)),
    ],
)  # fmt: skip
def test_lines_that_say_more(words, line, command):
    assert words.read(line, 1) == command


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("sell 1 AAA stop", "stop: say a price behind it"),
        ("sell 1 AAA @ 9 stop 8", "STOP and LIMIT do not go together"),
        ("sell 1 AAA @ 9 limit 8", "limit goes behind stop or touched"),
        ("sell 1 AAA stop 9 touched 8", "MARKET_IF_TOUCHED and STOP do not go together"),
        ("sell 1 AAA stop 1.001", "stop 1.001: more than 2 decimals"),
        ("buy 1 AAA trail 5", "say `stop PRICE` too"),
        ("sell 1 AAA trail 10000bp", "trail 10000: out of bounds"),
        ("sell 1 AAA peg best", "peg best: one of primary, midpoint, market"),
        ("sell 1 AAA peg primary -x", "peg x: not a number"),
        ("sell 1 AAA prevent all", "prevent all: one of newest, oldest"),
        ("sell 1 AAA @ 9 show 0", "show 0: out of bounds"),
        ("sell for 5 AAA", "a sell has a quantity"),
        ("buy for 5 AAA @ 9", "SPEND_AT_MOST and LIMIT do not go together"),
        ("buy for 5.001 AAA", "amount 5.001: more than 0 decimals"),
        ("sell 1 AAA @ 9 iceberg", "'iceberg': one of day, gtc, ioc, fok, post, slide"),
    ],
)
def test_lines_that_say_more_than_goes_together(words, line, why):
    with pytest.raises(Unclear, match=why):
        words.read(line, 1)


def test_the_help_names_every_word():
    from tools import trade_orders

    words = (
        *trade_orders._TIMES,
        *trade_orders._FLAGS,
        *trade_orders._TAKES,
        *trade_orders._PREVENT,
        *trade_orders._PEGS,
    )
    assert [word for word in words if word not in USAGE] == []


def test_an_order_entered_here_is_canceled_by_its_id(words):
    words.read("buy 1 B/C @ 1", 12)
    assert words.read("cancel 12", 13) == m.CancelOrder(instrument=4, account=7, client_order_id=12)


SPENDS = OrderType.SPEND_AT_MOST << 1
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
        (
            m.Accepted(**NAMES | {"price": 0, "flags": Side.SELL | OrderType.STOP << 1}),
            "accepted 12: sell 10.5 AAA, waiting",
        ),
        (
            m.Accepted(**NAMES | {"price": 0, "flags": Side.SELL | OrderType.PEGGED << 1}),
            "accepted 12: sell 10.5 AAA, parked",
        ),
        (
            m.Accepted(**NAMES | {"instrument": 4, "price": 0, "flags": SPENDS}),
            "accepted 12: buy for 0.105 B/C, matching",
        ),
        (
            m.Executed(**NAMES | {"instrument": 4, "flags": SPENDS}, leaves=7),
            "executed 12: buy 105 B/C @ 10025, 0.007 open",
        ),
        (m.Triggered(**NAMES, trigger_price=9_950), "triggered 12: sell 10.5 AAA @ 100.25, for 99.50 was reached"),
        (m.Restated(**NAMES | {"flags": Side.SELL | RESTING}), "restated 12: sell 10.5 AAA @ 100.25"),
        (m.Restated(**NAMES | {"price": 0}), "restated 12: sell 10.5 AAA, parked"),
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


def test_a_password_without_a_session_is_not_that_of_market_data(tmp_path):
    file = tmp_path / "passwords"
    file.write_text("alone\n")
    venue = Venue(session=[Login(number=6, role="market_data", password="in-file")])
    assert _password(6, file, venue, lone=False) == "in-file"
    file.write_text("5 five\n6 six\n")
    assert _password(6, file, venue, lone=False) == "six"


# ---- through a pipe


def piped(monkeypatch, tmp_path, lines, spoil=lambda server: None, missing="watch needs nothing here"):
    """The session of account 1 with these lines on stdin."""
    monkeypatch.setattr("sys.stdin", io.StringIO(lines))
    words = Words(1, [Scale(1, "AAA", 2)])

    async def session():
        server = FakeServer()
        async with server.at(tmp_path / "a") as addresses:
            spoil(server)
            await _trade(
                Client(addresses, 1, PASSWORD, on_event=lambda row: _print(words, row)), words, Watch(words, missing)
            )
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
                await _trade(Client(addresses, 1, "wrong"), Words(1, []), Watch(Words(1, []), ""))

    asyncio.run(session())


# ---- watching a market


@pytest.mark.parametrize(
    ("line", "watched"),
    [
        ("watch AAA", Watched(SCALES[0])),
        ("WATCH  #9", Watched(Scale(9, "#9"))),
        ("watch", Watched(None)),
        ("watch AAA B/C", None),
        ("watches", None),
        ("buy 1 AAA", None),
    ],
)
def test_lines_that_watch(words, line, watched):
    assert words.watched(line) == watched


def test_a_market_that_is_not_known_cannot_be_watched(words):
    with pytest.raises(Unclear, match="no instrument ZZZ"):
        words.watched("watch ZZZ")


def test_a_ladder_shows_the_best_levels_buys_on_the_left():
    book = BookBuilder(3)
    sells = [Resting(n, Side.SELL, 10_025 + n, 10 * n) for n in range(1, LEVELS + 2)]
    book.restore([Resting(20, Side.BUY, 10_000, 5), Resting(21, Side.BUY, 10_000, 7), *sells], 9, TradingState.HALTED)
    lines = [line.split() for line in ladder(book, SCALES[0])]
    assert lines[:3] == [["AAA,", "HALTED"], ["1.2", "100.00", "|", "100.26", "1.0"], ["|", "100.27", "2.0"]]
    assert len(lines) == 1 + LEVELS
    assert ladder(BookBuilder(3), SCALES[0]) == ["AAA: no orders"]


def test_trades_are_shown_once_and_not_too_many():
    told = [Trade(n, 0, n, Side.SELL, 10_025, n) for n in range(1, TRADES + 4)]
    assert list(trades(told, 11, SCALES[0])) == ["trade 1.2 AAA @ 100.25, sell", "trade 1.3 AAA @ 100.25, sell"]
    shown = list(trades(told, 1, SCALES[0]))
    assert (len(shown), shown[0]) == (TRADES + 1, "trades of AAA: 2 or more not shown")
    assert list(trades(told, TRADES + 3, SCALES[0])) == []


@pytest.mark.parametrize(
    ("addresses", "session", "missing"),
    [
        ([], None, "watch needs --market-data ADDRESS and --market-session N"),
        ([], 21, "watch needs --market-data ADDRESS"),
        (["127.0.0.1:1"], None, "watch needs --market-session N"),
    ],
)
def test_what_is_missing_for_watching_is_said_in_a_line(monkeypatch, tmp_path, capsys, addresses, session, missing):
    found = _market(addresses, session, None, None)
    piped(monkeypatch, tmp_path, "watch AAA\nbuy 3 AAA @ 1\n", missing=found)
    assert capsys.readouterr().out.splitlines() == [f"? {missing}", "accepted 1: buy 3 AAA @ 1.00"]


def test_where_market_data_cannot_be_is_said_at_once(tmp_path):
    venue = Venue(session=[Login(number=21, role="market_data", password="in-file")])
    with pytest.raises(ValueError, match="nowhere: not HOST:PORT"):
        _market(["nowhere"], 21, None, venue)


@pytest.fixture(params=seeds(1), ids=lambda seed: f"seed {seed}")
def venue(request, tmp_path):
    venue = market.made_venue(tmp_path, request.param)
    yield venue
    venue.close()


def engine_ladder(venue, scale):
    """The ladder that the engine's own orders make."""
    engine, book = venue.sequencer.machine.engine, BookBuilder(scale.number)
    orders = [order for side in Side for order in market.engine_orders(engine, scale.number, side)]
    book.restore(orders, 1, engine.instrument(scale.number).state)
    return ladder(book, scale)


def at(server):
    return partial(MarketClient, [f"127.0.0.1:{server.port}"], market.READER, market.PASSWORD.decode())


def test_a_watched_market_is_shown_when_it_changes_and_not_more_often_than_said(venue, capsys, monkeypatch):
    """At first, then after the pause, which is made endless here: so what has changed is shown at the end."""
    monkeypatch.setattr("tools.trade.WATCH_SECONDS", 1_000)
    scale, words = Scale(1, "#1"), Words(1, [])

    async def run():
        async with market.serving(venue) as server:
            watch = Watch(words, at(server))
            await watch.turn(scale)
            assert capsys.readouterr().out.splitlines() == engine_ladder(venue, scale)
            number, client = venue.last(1), watch._client
            venue.trade(300)
            await market.until(lambda: client.book.number == venue.last(1) and watch._timer)
            assert capsys.readouterr().out == ""
            await watch.turn(None)
            traded = [trade for trade in client.book.trades if trade.market_data > number]
            assert traded
            assert capsys.readouterr().out.splitlines() == [*trades(traded, 0, scale), *engine_ladder(venue, scale)]
            venue.trade(300)
            await watch.end()
            assert capsys.readouterr().out == ""

    asyncio.run(run())


def test_nothing_is_shown_where_the_best_levels_stay(venue, capsys, monkeypatch):
    monkeypatch.setattr("tools.trade.WATCH_SECONDS", 0)
    scale = Scale(4, "#4")

    async def run():
        async with market.serving(venue) as server:
            watch = Watch(Words(1, []), at(server))
            await watch.turn(scale)
            capsys.readouterr()
            state = venue.sequencer.machine.engine.instrument(4).state
            venue.submit(m.SetTradingState(instrument=4, state=state), m.SetTradingState(instrument=4, state=state))
            await market.until(lambda: watch._told == venue.last(4))
            assert capsys.readouterr().out == ""
            for state in (TradingState.HALTED, TradingState.CANCEL_ONLY):
                venue.submit(m.SetTradingState(instrument=4, state=state))
                await market.until(lambda: watch._told == venue.last(4))
                assert capsys.readouterr().out.splitlines() == engine_ladder(venue, scale)
            await watch.end()

    asyncio.run(run())


def test_a_market_is_watched_through_a_pipe_beside_trading(venue, capsys, monkeypatch, tmp_path):
    monkeypatch.setattr("sys.stdin", io.StringIO("watch #1\nbuy 3 AAA @ 1.05\nwatch #99\nwatch\nquit\n"))
    words = Words(1, [Scale(1, "AAA", 2)])

    async def run():
        async with market.serving(venue) as server, FakeServer().at(tmp_path / "a") as addresses:
            client = Client(addresses, 1, PASSWORD, on_event=lambda row: _print(words, row))
            await _trade(client, words, Watch(words, at(server)))
            await market.until(lambda: not server._readers)

    asyncio.run(run())
    told = capsys.readouterr().out
    lines = engine_ladder(venue, Scale(1, "AAA", 2))
    assert told.splitlines()[: len(lines) + 1] == [*lines, "accepted 1: buy 3 AAA @ 1.05"]
    assert "? no market data of instrument 99: " in told
    assert market.PASSWORD.decode() not in told


def test_a_market_data_server_that_cannot_be_right_is_watched_no_more(venue, capsys, monkeypatch):
    """It tells a row that does not fit the book: one line says so, and the session goes on."""
    monkeypatch.setattr("tools.trade.WATCH_SECONDS", 0)

    async def run():
        async with market.serving(venue) as server:
            watch = Watch(Words(1, []), at(server))
            await watch.turn(Scale(1, "#1"))
            series = server.feed.instruments[1]
            bad = to_row(m.Canceled(instrument=1, order_number=2**40, market_data=venue.last(1) + 1))
            server._tell(list(server._readers), series, [bad])
            await market.until(lambda: watch._client.end)
            await watch.end()
            why = f"market data {venue.last(1) + 1} of instrument 1: order {2**40} does not stand in the book"
            said = [line for line in capsys.readouterr().out.splitlines() if line.startswith("? ")]
            assert said == [f"? #1 is not watched any more: {why}"]

    asyncio.run(run())
