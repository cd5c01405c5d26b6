"""Charts taken apart again: the numbers in a page, and the same by brute force."""

import json
from collections import defaultdict
from decimal import Decimal
from html.parser import HTMLParser

from core import messages as m
from core.kinds import REMOVED, SIDE_MASK, Side
from tests.tools.conftest import ask
from tests.tools.exports import levels, reading, told
from tools.books import instruments
from tools.moments import nanoseconds
from tools.reading import machine_at


class Page(HTMLParser):
    """The figures of a page, and every address in it that a browser would load."""

    def __init__(self, text):
        super().__init__()
        self.figures, self.addresses, self.policy, self.title = [], [], "", ""
        self.inside = None
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        named = dict(attributes)
        self.addresses += [value for name, value in attributes if name in {"src", "href", "srcset", "data", "action"}]
        self.inside = "figure" if named.get("type") == "application/json" else tag
        if named.get("http-equiv") == "Content-Security-Policy":
            self.policy = named["content"]

    def handle_endtag(self, tag):
        self.inside = None

    def handle_data(self, data):
        if self.inside == "figure":
            self.figures.append(Figure(json.loads(data, parse_float=Decimal)))
        elif self.inside == "title":
            self.title = data


class Figure:
    """The traces of one instrument by name, as exact numbers."""

    def __init__(self, figure):
        self.figure = figure
        self.traces = {trace["name"]: trace for trace in figure["data"]}
        self.symbol = figure["layout"]["meta"]["symbol"]
        self.rows = figure["layout"]["meta"]["rows"]

    def points(self, name):
        trace = self.traces[name]
        return list(zip(map(time_of, trace["x"]), trace["y"], trace["customdata"], strict=True))


def time_of(text):
    return nanoseconds(f"{text}Z")


def drawn(journal, *options):
    """The page of a journal."""
    target = journal.parent / "chart.html"
    ask("chart", journal, *options, "--to", target)
    return Page(target.read_text())


class Brute:
    """The engine's books after any row, each from a replay of its own; and the journal's rows and events."""

    def __init__(self, journal, symbol):
        self.journal, self.symbol = journal, symbol
        self.known = {}
        self.times, self.trades, self.books, self.states = {}, [], {}, []
        number = None
        for one in told(journal):
            self.times[one.sequence] = one.time
            for event in one.events:
                if isinstance(event, m.InstrumentDefined) and event.symbol == symbol:
                    number = event.instrument
                if isinstance(event, m.Executed) and event.instrument == number and event.flags & REMOVED:
                    self.trades.append((one.sequence, one.time, event.flags & SIDE_MASK, event.price, event.quantity))
            self.books[one.sequence] = [levels(one.model, number, side) for side in Side]
            self.states.append((one.time, max(one.model.venue_state, one.model.instrument_states.get(number, 1))))
        self.number = number

    def engine(self, sequence):
        """Both sides after a row, as a replay of the engine has them: shown and hidden orders together."""
        with reading(self.journal) as directory:
            machine = machine_at(directory, sequence)
        listed = instruments(machine.rows())
        if self.symbol not in listed:
            return [[], []]
        instrument = machine.engine.instrument(listed[self.symbol].instrument)
        ladders = ((instrument.bids, instrument.hidden_bids), (instrument.asks, instrument.hidden_asks))
        return [whole(side, *both) for side, both in zip(Side, ladders, strict=True)]

    def at(self, time):
        """Both sides after the last row stamped at most then."""
        stamped = [sequence for sequence, when in self.times.items() if when <= time]
        return self.books[stamped[-1]] if stamped else [[], []]


def whole(side, shown, hidden):
    """Price, open quantity and number of orders of every level of two ladders of one side, best first."""
    found = defaultdict(lambda: [0, 0])
    for level in (*shown.levels, *hidden.levels):
        found[level.price][0] += level.total
        found[level.price][1] += level.count
    return [(price, *found[price]) for price in sorted(found, reverse=side == Side.BUY)]


def touch(book, side):
    return book[side][0][0] if book[side] else None
