"""Books of other venues, imported as orders that never trade: what is kept of a feed that contradicts itself."""

import json
import random
import zlib

import pytest

from core.kinds import ROW_SIZE, CommandKind, Side
from core.rows import from_row
from tests.conftest import seed
from tests.tools.conftest import ask_json
from tools.books import Book, instruments
from tools.importing.bitstamp import read as read_bitstamp
from tools.importing.bitstamp import shifted
from tools.importing.feed_book import FeedBook, Quote, parts
from tools.importing.kraken import read as read_kraken
from tools.importing.source import Listing, Malformed, Source, Step
from tools.importing.venue import opening
from tools.importing.writing import write_journal
from tools.reading import machine_at, opened


def ladder(path, symbol):
    """Levels of both sides of a journal's last book, best first: bids, asks."""
    with opened(path) as journal:
        rows = machine_at(journal, journal.head().sequence).rows()
    book = Book.of_state(rows, instruments(rows)[symbol].instrument)
    return [[(level.price, level.quantity) for level in book.levels(side)] for side in (Side.BUY, Side.SELL)]


# ---- a book that never trades


@pytest.mark.parametrize("case", range(4))
def test_the_engine_has_the_orders_of_the_feed_but_for_those_that_cross(tmp_path, case):
    """Against a list of orders: whatever the feed says, nothing trades, and whoever waits crosses what stands."""
    rng = random.Random(f"{seed()} {case}")
    book, orders, steps = FeedBook(1), {}, []
    for _ in range(300):
        order = rng.randint(1, 25)
        if rng.random() < 0.4:
            orders.pop(order, None)
            steps += book.remove(order, len(steps) + 1)
        else:
            orders[order] = Quote(rng.choice((Side.BUY, Side.SELL)), rng.randint(95, 105), rng.randint(1, 9))
            steps += book.put(order, orders[order], len(steps) + 1)
        standing = {number: quote for number, quote in orders.items() if number not in book.waiting}
        bids = [quote.price for quote in standing.values() if quote.side == Side.BUY]
        asks = [quote.price for quote in standing.values() if quote.side == Side.SELL]
        assert max(bids, default=0) < min(asks, default=1_000), seed()
        for quote in book.waiting.values():
            assert quote.price >= min(asks) if quote.side == Side.BUY else quote.price <= max(bids), seed()
    steps = [step._replace(time=at) for at, step in enumerate(steps, start=1)]
    summary = write_journal(Source("X", 0, [], steps, {}), tmp_path / "venue")
    assert (summary.executions, summary.rejections) == (0, {}), seed()
    naive = [
        sorted(
            ((price, sum(q.quantity for q in standing.values() if q[:2] == (side, price))) for price in range(95, 106)),
            reverse=side == Side.BUY,
        )
        for side in (Side.BUY, Side.SELL)
    ]
    assert ladder(tmp_path / "venue", "X") == [[level for level in side if level[1]] for side in naive], seed()


def test_orders_that_wait_are_not_walked_over_at_each_message(monkeypatch):
    looks, crosses = [], FeedBook._crosses
    monkeypatch.setattr(FeedBook, "_crosses", lambda book, quote: looks.append(quote) or crosses(book, quote))
    book, steps = FeedBook(1), []
    steps += book.put(1, Quote(Side.SELL, 100, 1), 0)
    for order in range(2, 2_002):
        steps += book.put(order, Quote(Side.BUY, 100 + order % 7, 1), 0)
    assert (len(steps), len(book.waiting)) == (1, 2_000)
    assert len(looks) <= 2 * 2_001
    steps += book.remove(1, 0)
    assert [step.client_order_id for step in steps[2:]] == list(range(2, 2_002))
    assert not book.waiting


@pytest.mark.parametrize(("price", "quantity"), [(1, 10**34), (1, 2**62), (2**40 - 1, 2**60)])
def test_a_volume_beyond_all_bounds_is_refused_at_once(price, quantity):
    with pytest.raises(ValueError, match="too large"):
        next(parts(Quote(Side.BUY, price, quantity)))


def test_a_volume_beyond_a_command_becomes_several_orders():
    for price, quantity in ((1, 2**43 + 7), (2**40 - 1, 2**30), (5, 1), (10**9, 2**40)):
        split = list(parts(Quote(Side.BUY, price, quantity)))
        assert sum(part.quantity for part in split) == quantity
        assert all(part.quantity <= 2**40 - 1 and price * part.quantity <= 2**62 - 1 for part in split)
        assert len(split) == -(-quantity // min(2**40 - 1, (2**62 - 1) // price))


@pytest.mark.parametrize(
    ("text", "decimals", "number"),
    [("236.47", 2, 23647), ("0.00000001", 8, 1), ("7", 3, 7000), ("1.500", 1, 15), (".5", 1, 5)],
)
def test_decimals_are_shifted_without_floats(text, decimals, number):
    assert shifted(text, decimals) == number


@pytest.mark.parametrize("text", ["", ".", "1.23", "-1", "1e5", "١", "1.2.3", " 1", "nan"])
def test_what_is_no_number_of_so_many_decimals_is_refused(text):
    with pytest.raises(ValueError, match="is no number of 1 decimals"):
        shifted(text, 1)


# ---- bitstamp


def bitstamp(*lines):
    return "".join(f"{time} {kind} {json.dumps(fields)}\n" for time, kind, fields in lines)


def order(number, side, price, amount):
    return {"id": number, "order_type": side, "price": price, "amount": amount, "datetime": "1"}


def test_a_log_of_orders(tmp_path):
    """Late deletions leave a cross: the newer order waits, and enters once the way is free."""
    (tmp_path / "log").write_text(
        bitstamp(
            (5, "order_created", order(1, 0, "100.00", "2.00000000")),
            (5, "order_created", order(2, 1, "99.00", "1.00000000")),
            (6, "order_changed", order(1, 0, "100.00", "1.50000000")),
            (6, "order_book", {"bids": [["100.00", "1.5"]], "asks": []}),
            (7, "order_deleted", order(9, 0, "98.00", "0")),
            (8, "order_deleted", order(1, 0, "100.00", "0.00000000")),
            (8, "trade", {"price": 100, "amount": 0.5}),
            (8, "order_book", {"bids": [], "asks": [["99.00", "1"]]}),
        )
    )
    source, published = read_bitstamp(tmp_path / "log")
    assert source.listings() == (Listing("BTC/USD", 2, 8),)
    assert [(step.kind.name, step.client_order_id, step.quantity) for step in source.steps] == [
        ("ENTER_ORDER", 1, 200_000_000),
        ("REDUCE_ORDER", 1, 50_000_000),
        ("CANCEL_ORDER", 1, 150_000_000),
        ("ENTER_ORDER", 2, 100_000_000),
    ]
    assert [step.time for step in source.steps] == [5_000_001, 6_000_001, 8_000_001, 8_000_002]
    assert [(book.steps, book.bids, book.asks) for book in published] == [
        (2, [(10_000, 150_000_000)], []),
        (4, [], [(9_900, 100_000_000)]),
    ]
    assert source.left_out == {
        "deleted orders that were not known": 1,
        "trades": 1,
    }


def test_an_import_says_how_many_of_the_published_books_it_has(tmp_path):
    (tmp_path / "log").write_text(
        bitstamp(
            (1, "order_created", order(1, 0, "100.00", "2")),
            (2, "order_book", {"bids": [["100.00", "2"]], "asks": []}),
            (3, "order_created", order(2, 1, "101.00", "1")),
            (4, "order_book", {"bids": [["100.00", "2"]], "asks": [["101.00", "3"]]}),
            (5, "order_changed", order(2, 1, "101.00", "3")),
            (6, "order_book", {"bids": [["100.00", "2"]], "asks": [["101.00", "3"]]}),
        )
    )
    told = ask_json("import", "bitstamp", tmp_path / "log", "--journal", tmp_path / "venue")
    assert told["checked"] == {
        "published books": 3,
        "of them in the second half": 2,
        **{f"equal to {depth} in the second half": 1 for depth in (1, 5, 10, 20)},
    }


@pytest.mark.parametrize(
    "line",
    [
        "x order_created {}",
        "5 order_created {}",
        "5 order_lost {}",
        "5 order_created",
        '5 order_created {"id": 1, "price": "1.234", "amount": "1", "order_type": 0}',
        '5 order_created {"id": 1, "price": "1.23", "amount": "1", "order_type": 0',
        '5 order_created {"id": 1, "price": "1.23", "amount": "1", "order_type": 2}',
        '5 order_created {"id": 1, "price": "-1.23", "amount": "1", "order_type": 0}',
        '5 order_created {"id": 99999999999999999999, "price": "1.23", "amount": "1", "order_type": 0}',
        f'5 order_created {{"id": {2**62}, "price": "1.23", "amount": "1", "order_type": 0}}',
        '-5 order_created {"id": 2, "price": "1.23", "amount": "1", "order_type": 0}',
        "-5 trade {}",
        f'{2**62 // 10**6 + 1} order_created {{"id": 2, "price": "1.23", "amount": "1", "order_type": 0}}',
        f"{2**63} trade {{}}",
        pytest.param('5 order_created {"x": ' + "[" * 100_000, id="nested"),
    ],
)
def test_a_line_that_is_none_is_named(tmp_path, line):
    (tmp_path / "log").write_text(bitstamp((1, "order_created", order(1, 0, "1.00", "1"))) + line + "\n")
    with pytest.raises(Malformed, match="line 2"):
        read_bitstamp(tmp_path / "log")


def test_messages_of_orders_that_have_gone_or_never_came_are_counted_and_left_out(tmp_path):
    (tmp_path / "log").write_text(
        bitstamp(
            (1, "order_deleted", order(1, 0, "100.00", "0")),
            (2, "order_created", order(1, 0, "100.00", "2")),
            (3, "order_changed", order(2, 0, "100.00", "2")),
            (4, "order_created", order(3, 0, "100.00", "2")),
            (5, "order_created", order(3, 0, "100.00", "1")),
            (6, "order_deleted", order(3, 0, "100.00", "1")),
            (7, "order_changed", order(3, 0, "100.00", "1")),
            (8, "order_deleted", order(3, 0, "100.00", "1")),
        )
    )
    source, _ = read_bitstamp(tmp_path / "log")
    assert [(step.kind.name, step.client_order_id) for step in source.steps] == [
        ("ENTER_ORDER", 3),
        ("REDUCE_ORDER", 3),
        ("CANCEL_ORDER", 3),
    ]
    assert source.left_out == {
        "deleted orders that were not known": 1,
        "changed orders that were not known": 1,
        "orders created twice, taken as changed": 1,
        "messages about orders that had gone": 3,
    }


@pytest.mark.parametrize(
    ("price", "amount"),
    [("0", "1"), (str(2**40), "1"), ("1", str(2**40)), ("9" * 30, "9" * 30), ("9999999999", "10995")],
)
def test_an_order_that_the_engine_would_refuse_does_not_stand(tmp_path, price, amount):
    """Nor does one that is changed into such: what comes next must not be held against it."""
    (tmp_path / "log").write_text(
        bitstamp(
            (1, "order_created", order(1, 0, price, amount)),
            (2, "order_created", order(2, 0, "5.00", "1")),
            (3, "order_changed", order(2, 0, price, amount)),
            (4, "order_created", order(3, 1, "4.00", "1")),
        )
    )
    told = ask_json("import", "bitstamp", tmp_path / "log", "--journal", tmp_path / "venue")
    assert (told["commands"], told["executions"], told["rejections"]) == (3, 0, {})
    assert told["left_out"] == {"orders of a price or quantity out of range": 2}
    assert ladder(tmp_path / "venue", "BTC/USD") == [[], [(400, 100_000_000)]]


# ---- how money is shown


@pytest.mark.parametrize(
    ("listed", "quantity", "decimals"),
    [
        ((), 1, (0, 2)),
        ((Listing("A", 2),), 1, (0, 2)),
        ((Listing("A", 2, 8),), 1, (8, 10)),
        ((Listing("A", 12, 8),), 1, (0, 0)),
        ((Listing("A", 2, 8), Listing("B", 2, 8)), 1, (0, 0)),
        ((Listing("A", 2, 8),), 2**30 - 1, (0, 0)),
    ],
    ids=["lots", "one of lots", "one", "too many decimals", "several", "a divisor"],
)
def test_money_is_shown_in_units_of_both_decimals_or_raw(listed, quantity, decimals):
    steps = [Step(CommandKind.ENTER_ORDER, n, Side.BUY, 2**32, quantity, n) for n in (1, 2)]
    rows = opening(Source("A", 2, [], steps, {}, listed))
    defined = [from_row(rows[at : at + ROW_SIZE]) for at in (0, ROW_SIZE)]
    assert tuple(currency.decimals for currency in defined) == decimals


# ---- kraken


def capture(*messages):
    lines = ["wss://ws <-> 1", '1.5: {"event":"heartbeat"}', ""]
    return "\n".join([*lines, *(f"{time}: {json.dumps(message)}" for time, message in messages)]) + "\n"


def checksum(digits):
    return str(zlib.crc32(digits.encode()))


def test_a_capture_of_levels(tmp_path):
    """Two pairs; a level that goes and one that comes in one message, in the order that crosses nothing; its checksums."""
    (tmp_path / "capture").write_text(
        capture(
            (
                "7.1",
                [1, {"as": [["5.10", "2.00000000", "t"]], "bs": [["5.00", "1.00000000", "t"]]}, "book-1000", "A/B"],
            ),
            ("7.1", [2, {"as": [["0.010", "1.50000000", "t"]], "bs": []}, "book-1000", "C/B"]),
            (
                "7.2",
                [
                    1,
                    {"b": [["5.10", "4.00000000", "t"]], "c": "0"},
                    {"a": [["5.10", "0.00000000", "t"]]},
                    "book-1000",
                    "A/B",
                ],
            ),
            ("7.3", [2, {"a": [["0.010", "0.50000000", "t"]], "c": checksum("1050000000")}, "book-1000", "C/B"]),
        )
    )
    source, checksums = read_kraken(tmp_path / "capture")
    assert source.listings() == (Listing("A/B", 2, 8), Listing("C/B", 3, 8))
    assert [(step.kind.name, step.instrument, step.price) for step in source.steps] == [
        ("ENTER_ORDER", 1, 510),
        ("ENTER_ORDER", 1, 500),
        ("ENTER_ORDER", 2, 10),
        ("CANCEL_ORDER", 1, 510),
        ("ENTER_ORDER", 1, 510),
        ("CANCEL_ORDER", 2, 10),
        ("ENTER_ORDER", 2, 10),
    ]
    assert [(mark.steps, mark.instrument) for mark in checksums] == [(5, 1), (7, 2)]
    told = ask_json("import", "kraken", tmp_path / "capture", "--journal", tmp_path / "venue")
    assert told["checked"] == {"checksums": 2, "equal": 1}
    assert (told["executions"], told["rejections"]) == (0, {})
    assert ladder(tmp_path / "venue", "A/B") == [[(510, 400_000_000), (500, 100_000_000)], []]


def test_levels_beyond_the_depth_of_the_feed_are_dropped(tmp_path):
    levels = [[f"{n}.0", "1.00000000", "t"] for n in range(1, 1_001)]
    (tmp_path / "capture").write_text(
        capture(
            ("1.0", [1, {"as": [], "bs": levels}, "book-1000", "A/B"]),
            ("2.0", [1, {"b": [["1001.0", "1.00000000", "t"]]}, "book-1000", "A/B"]),
        )
    )
    source, _ = read_kraken(tmp_path / "capture")
    assert [(step.kind.name, step.price) for step in source.steps[-2:]] == [
        ("ENTER_ORDER", 10_010),
        ("CANCEL_ORDER", 10),
    ]


def test_the_depth_is_that_of_the_channel(tmp_path):
    levels = [[f"{n}.0", "1.00000000", "t"] for n in range(1, 11)]
    (tmp_path / "capture").write_text(
        capture(
            ("1.0", [1, {"as": [], "bs": levels}, "book-10", "A/B"]),
            ("2.0", [1, {"b": [["11.0", "1.00000000", "t"]]}, "book-10", "A/B"]),
        )
    )
    source, _ = read_kraken(tmp_path / "capture")
    assert [(step.kind.name, step.price) for step in source.steps[10:]] == [("ENTER_ORDER", 110), ("CANCEL_ORDER", 10)]


def test_a_second_snapshot_replaces_the_book_of_its_pair_alone(tmp_path):
    def snapshot(symbol, bids, asks):
        levels = [[[f"{price}.0", "1.00000000", "t"] for price in prices] for prices in (asks, bids)]
        return [1, dict(zip(("as", "bs"), levels, strict=True)), "book-10", symbol]

    (tmp_path / "capture").write_text(
        capture(
            ("1.0", snapshot("A/B", [1, 2], [3, 4])),
            ("2.0", snapshot("C/B", [1], [9])),
            ("3.0", snapshot("A/B", [2, 4], [6])),
        )
    )
    told = ask_json("import", "kraken", tmp_path / "capture", "--journal", tmp_path / "venue")
    assert (told["executions"], told["rejections"]) == (0, {})
    one = 100_000_000
    assert ladder(tmp_path / "venue", "A/B") == [[(40, one), (20, one)], [(60, one)]]
    assert ladder(tmp_path / "venue", "C/B") == [[(10, one)], [(90, one)]]


@pytest.mark.parametrize(
    "line",
    [
        '1.0: [1, {"a": [["1", "1e26", "t"]]}, "book-10", "A/B"]',
        f'1.0: [1, {{"a": [["1", "1{"0" * 26}", "t"]]}}, "book-10", "A/B"]',
        f'{2**62 // 10**9 + 1}.0: [1, {{"a": [["1", "1", "t"]]}}, "book-10", "A/B"]',
        f'1.0: [1, {{"a": [["0.{"0" * 18}1", "1", "t"]]}}, "book-10", "A/B"]',
        '1.0: [1, {"a": [["1", "1", "t"]]}, "book-0", "A/B"]',
        '1.0: [1, {"a": [["1", "1", "t"]]}, "trade", "A/B"]',
        '1.0: [1, {"a": [["1", "1", "t"]]}, 10, "A/B"]',
        "1.0: " + "[" * 100_000,
    ],
    ids=["exponent", "volume", "time", "decimals", "no depth", "no book", "no channel", "nested"],
)
def test_a_message_beyond_all_bounds_is_named(tmp_path, line):
    (tmp_path / "capture").write_text(f"{line}\n")
    with pytest.raises(Malformed, match="line 1: "):
        read_kraken(tmp_path / "capture")


@pytest.mark.parametrize(
    "message", ["[", "[1]", '[1, 2, "book-1000", "A/B"]', '[1, {"a": [["1"]]}, "book-10", "A/B"]', '[1, {"a": [["x", "1", "t"]]}, "book-10", "A/B"]', '[1, {"a": []}, "book-10", "A B"]']
)  # fmt: skip
def test_a_message_that_is_none_is_named(tmp_path, message):
    (tmp_path / "capture").write_text(f"1.0: {message}\n")
    with pytest.raises(Malformed, match="line 1"):
        read_kraken(tmp_path / "capture")
