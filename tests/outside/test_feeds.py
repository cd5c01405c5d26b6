"""Books as other venues published them: ours, rebuilt from the journal, against their checksums and their ladders."""

import json
import lzma
import random
import zlib
from decimal import Decimal

import pytest

from core.kinds import Side
from tests.conftest import seed
from tools.books import Book, instruments
from tools.importing.kraken import read
from tools.reading import machine_at, opened

pytestmark = pytest.mark.data


def test_every_checksum_of_kraken_is_that_of_our_book(kraken):
    assert kraken.summary["checked"] == {"checksums": 4_269, "equal": 4_269}
    assert (kraken.summary["executions"], kraken.summary["rejections"]) == (0, {})


def naive_books(file):
    """The strings as they were published, without our reader: pair, its book and its checksum after each message."""
    books = {}
    with lzma.open(file, "rt") as lines:
        for line in lines:
            _, separator, text = line.partition(": ")
            if not separator or line.startswith("wss") or not text.startswith("["):
                continue
            message = json.loads(text)
            sides = books.setdefault(message[-1], {"a": {}, "b": {}})
            for part in message[1:-2]:
                for key in ("as", "bs", "a", "b"):
                    levels = sides[key[0]]
                    for price, volume, *_ in part.get(key, ()):
                        levels.pop(price, None)
                        if Decimal(volume):
                            levels[price] = volume
                    for _ in range(len(levels) - 1000):
                        del levels[(max if key[0] == "a" else min)(levels, key=Decimal)]
            for part in message[1:-2]:
                if "c" in part:
                    yield message[-1], sides, int(part["c"])


def naive_checksum(sides):
    """The venue's rule."""
    asks = sorted(sides["a"].items(), key=lambda level: Decimal(level[0]))[:10]
    bids = sorted(sides["b"].items(), key=lambda level: -Decimal(level[0]))[:10]
    digits = (number.replace(".", "").lstrip("0") for level in asks + bids for number in level)
    return zlib.crc32("".join(digits).encode())


def test_the_books_of_the_journal_have_the_checksums_of_the_feed(kraken, market_data):
    """At moments chosen by the seed, from the journal alone, against the published strings."""
    file = market_data / "kraken" / "KRAKEN.ws.50.0.xz"
    source, marks = read(file)
    chosen = sorted(random.Random(seed()).sample(range(len(marks)), 3))
    with opened(kraken.path) as journal:
        first = journal.head().sequence - len(source.steps)
        for at, (pair, sides, checksum) in enumerate(naive_books(file)):
            assert marks[at].crc == checksum
            if at in chosen:
                rows = machine_at(journal, first + marks[at].steps).rows()
                book = Book.of_state(rows, instruments(rows)[pair].instrument)
                levels = [level for side in (Side.SELL, Side.BUY) for level in book.levels(side, 10)]
                digits = "".join(f"{level.price}{level.quantity}" for level in levels)
                assert zlib.crc32(digits.encode()) == naive_checksum(sides) == checksum, f"{at}, seed {seed()}"
    assert at == len(marks) - 1


def test_our_book_is_the_one_that_bitstamp_published(bitstamp):
    """In the second half of the file, when most of what rested before it has gone."""
    checked = bitstamp.summary["checked"]
    later = checked["of them in the second half"]
    assert (checked["published books"], later) == (5_011, 2_506)
    assert checked["equal to 1 in the second half"] >= 0.999 * later
    assert checked["equal to 5 in the second half"] >= 0.995 * later
    assert (bitstamp.summary["executions"], bitstamp.summary["rejections"]) == (0, {})
    assert bitstamp.summary["left_out"]["deleted orders that were not known"] == 187
