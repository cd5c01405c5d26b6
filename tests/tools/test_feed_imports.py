"""Books of other venues, imported as orders that never trade: what is kept of a feed that contradicts itself."""

import json
import random
import zlib

import pytest

from core.kinds import Side
from tests.conftest import seed
from tests.tools.conftest import ask_json
from tools.books import Book, instruments
from tools.importing.bitstamp import read as read_bitstamp
from tools.importing.bitstamp import shifted
from tools.importing.feed_book import FeedBook, Quote, parts
from tools.importing.kraken import read as read_kraken
from tools.importing.source import Listing, Malformed, Source
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
            side = orders[order].side if order in orders else rng.choice((Side.BUY, Side.SELL))
            orders[order] = Quote(side, rng.randint(95, 105), rng.randint(1, 9))
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
    ],
)
def test_a_line_that_is_none_is_named(tmp_path, line):
    (tmp_path / "log").write_text(bitstamp((1, "order_created", order(1, 0, "1.00", "1"))) + line + "\n")
    with pytest.raises(Malformed, match="line 2"):
        read_bitstamp(tmp_path / "log")


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


@pytest.mark.parametrize(
    "message", ["[", "[1]", '[1, 2, "book-1000", "A/B"]', '[1, {"a": [["1"]]}, "b", "A/B"]', '[1, {"a": [["x", "1", "t"]]}, "b", "A/B"]', '[1, {"a": []}, "b", "A B"]']
)  # fmt: skip
def test_a_message_that_is_none_is_named(tmp_path, message):
    (tmp_path / "capture").write_text(f"1.0: {message}\n")
    with pytest.raises(Malformed, match="line 1"):
        read_kraken(tmp_path / "capture")
