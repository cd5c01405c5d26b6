"""The AAPL hour as published: our ladder, rebuilt from events, against the published ten levels after every message.

Published are single executions, one line each; we are sent one order for those of one instant and side. So the published
row after the second of three executions is compared with the book after the second of our executions.

The publisher sees a window of prices: an order from before shows up when it comes into the window. `--as-shown` enters it
then, as a command like any other; without it the order takes its place by id, early, where the publisher does not show it
yet. Apart from that the engine is on its own: which resting order trades is its decision, and no command is bent towards
the published outcome. Where it differs from the published one, quantities by price are the same all the same.
"""

import lzma
from itertools import groupby

import pytest

from core.kinds import REMOVED, EventKind, Side
from tools.books import Book
from tools.event_rows import event_rows
from tools.importing.lobster import place, read_messages
from tools.reading import applied, begin, opened

pytestmark = pytest.mark.data


def published_books(path):
    with lzma.open(path, "rt") as lines:
        for line in lines:
            values = [int(text) for text in line.split(",")]
            levels = [values[i : i + 4] for i in range(0, len(values), 4)]
            yield [(p, q) for p, q, _, _ in levels if q], [(p, q) for _, _, p, q in levels if q]


def moments(messages, shallow):
    """For every level-10 message, in order, the index of the level-50 message that it is."""
    rest = iter(messages)
    for wanted in shallow:
        yield next(message.line for message in rest if message[1:] == wanted[1:])


def ladder(book):
    """The ten best levels of both sides, as published."""
    return tuple([(level.price, level.quantity) for level in book.levels(side, 10)] for side in (Side.SELL, Side.BUY))


def our_ladders(path, placed, upto):
    """By the index of a line, up to this one, the ladder after it; lines that no command stands for change nothing."""
    found, book = {}, Book(1)
    with opened(path) as journal:
        head = journal.head().sequence
        first = head - len(placed) + 1
        machine = begin(journal, 0, from_zero=True).machine
        for batch in applied(journal, machine, head):
            for sequence, events in groupby(event_rows(batch.events), lambda event: event.sequence):
                lines = placed[sequence - first].lines if sequence >= first else ()
                if lines and lines[0] > upto:
                    return found
                follow(book, events, lines, found)
    return found


def follow(book, events, lines, found):
    """Apply the events of one command, and keep the ladder after each line that it stands for."""
    executions = 0
    for event in events:
        book.apply(event)
        if lines and event.kind == EventKind.EXECUTED and not event.flags & REMOVED:
            found[lines[min(executions, len(lines) - 1)]] = ladder(book)
            executions += 1
    if lines:
        found[lines[-1]] = ladder(book)


def after(ladders, index):
    """The ladder after a line: that of the last line at or before it that a command stands for."""
    while index not in ladders:
        index -= 1
    return ladders[index]


@pytest.mark.both
def test_ladder_is_the_published_one_after_every_message(shown_hour, messages_50, market_data):
    folder = market_data / "lobster_raw"
    messages = read_messages(messages_50)
    shallow = read_messages(next(folder.glob("AAPL_*_first1000_message_10.csv.xz")))
    published = list(published_books(next(folder.glob("AAPL_*_first1000_orderbook_10.csv.xz"))))
    indices = list(moments(messages, shallow))
    ladders = our_ladders(shown_hour.path, place(messages, as_shown=True)[1], indices[-1])
    equal = [after(ladders, index) == wanted for index, wanted in zip(indices, published, strict=True)]
    assert (len(equal), equal.count(True)) == (999, 999)


def test_import_of_the_published_hour_gives_the_normalised_one(lobster_hour, orders_hour):
    """Both imports make the same commands but for two unseen orders of one instant, at prices apart, in turned order."""
    assert lobster_hour.summary["left_out"] == {"hidden executions": 2_201}
    for key in ("commands", "executions", "rejections"):
        assert lobster_hour.summary[key] == orders_hour.summary[key]
    ours, theirs = (imported.json("book", "AAPL", "--depth", 1_000) for imported in (lobster_hour, orders_hour))
    assert (ours["bids"], ours["asks"]) == (theirs["bids"], theirs["asks"])
