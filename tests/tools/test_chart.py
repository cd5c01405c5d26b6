"""The numbers that a page draws, taken back out of its HTML, against the engine at the rows that they name."""

import json
import shutil
import subprocess
import sys
from collections import Counter, defaultdict
from decimal import Decimal
from html.parser import HTMLParser

import pytest

from core import messages as m
from core.kinds import REMOVED, SIDE_MASK, Side
from core.rows import pack_halves, to_row
from replicas.opening import create
from tests.determinism.stream import START, Stream
from tests.pair import seeds
from tests.tools.conftest import NINE, ROWS, TRADING, ask, ask_json, flip, run
from tests.tools.exports import empty_journal, golden_journal, levels, random_journal, reading, told
from tests.tools.test_errors import refused
from tools.books import instruments
from tools.charts import heat as chart_heat
from tools.charts import page as chart_page
from tools.charts.data import Axis, Best, extremes
from tools.charts.heat import BARS, COLUMNS
from tools.moments import nanoseconds
from tools.reading import machine_at

pytest.importorskip("plotly")
image, numpy = pytest.importorskip("matplotlib.image"), pytest.importorskip("numpy")

BUY, SELL = Side.BUY, Side.SELL


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
        """Both sides after a row, as a replay of the engine has them."""
        with reading(self.journal) as directory:
            machine = machine_at(directory, sequence)
        listed = instruments(machine.rows())
        if self.symbol not in listed:
            return [[], []]
        instrument = machine.engine.instrument(listed[self.symbol].instrument)
        return [
            [(level.price, level.total, level.count) for level in reversed(ladder.levels)]
            for ladder in (instrument.bids, instrument.asks)
        ]

    def at(self, time):
        """Both sides after the last row stamped at most then."""
        stamped = [sequence for sequence, when in self.times.items() if when <= time]
        return self.books[stamped[-1]] if stamped else [[], []]


@pytest.fixture(scope="module")
def seed():
    return seeds(1)[0]


@pytest.fixture(scope="module")
def day(seed, tmp_path_factory):
    return random_journal(tmp_path_factory.mktemp("day") / "venue", seed, 700)


@pytest.fixture(scope="module")
def brute(day):
    return Brute(day, "BTC/USD")


@pytest.fixture(scope="module")
def figure(day):
    """Of an instrument whose prices and quantities show no decimals, so that the numbers are ticks and lots."""
    (found,) = drawn(day, "BTC/USD").figures
    return found


@pytest.fixture(scope="module")
def axis(brute):
    return Axis(min(brute.times.values()), max(brute.times.values()), COLUMNS)


def touch(book, side):
    return book[side][0][0] if book[side] else None


def test_best_prices_are_those_of_the_engine_at_the_rows_they_name(figure, brute, axis, seed):
    checked = 0
    for name, side in (("bid", BUY), ("ask", SELL)):
        points = figure.points(name)
        for number, (time, price, sequence) in enumerate(points):
            ends = number == len(points) - 1 and time == axis.end
            assert sequence == 0 or ends or time == brute.times[sequence], f"seed {seed}"
            assert price == touch(brute.books.get(sequence, [[], []]), side), f"seed {seed}, row {sequence}"
        for time, price, sequence in points[:: max(1, len(points) // 12)]:
            assert price == touch(brute.engine(sequence), side), f"seed {seed}, row {sequence}, {time}"
            checked += 1
    assert checked > 4


def test_no_extreme_and_no_end_of_a_column_is_lost(figure, brute, axis, seed):
    """What is left out lies, within its column, between what is drawn; and the lines end where the journal does."""
    for name, side in (("bid", BUY), ("ask", SELL)):
        points = figure.points(name)
        shown = [price for _, price, _ in points if price is not None]
        ours = [touch(book, side) for book in brute.books.values() if book[side]]
        assert (min(shown), max(shown)) == (min(ours), max(ours)), f"seed {seed}"
        assert points[-1][0] == axis.end
        for column in range(0, COLUMNS, 40):
            moment = axis.edge(column + 1) - 1
            last = [None, *(price for time, price, _ in points if time <= moment)][-1]
            assert last == touch(brute.at(moment), side), f"seed {seed}, column {column}"


@pytest.mark.parametrize("columns", [2, 16])
def test_of_a_crowded_column_the_extremes_are_drawn(columns, day, brute, seed, monkeypatch):
    """With few columns for many rows: in each, the lowest and the highest price of either side, and every lack of one."""
    import tools.chart

    monkeypatch.setattr(tools.chart, "COLUMNS", columns)
    monkeypatch.setattr(chart_page, "BARS", 1)
    monkeypatch.setattr(chart_heat, "BARS", 1)
    (found,) = drawn(day, "BTC/USD").figures
    axis = Axis(min(brute.times.values()), max(brute.times.values()), columns)
    for name, side in (("bid", BUY), ("ask", SELL)):
        shown, ours = defaultdict(set), defaultdict(set)
        for time, price, sequence in found.points(name):
            if time == brute.times[sequence]:
                shown[axis.column(time)].add(price)
        before = None
        for sequence, book in brute.books.items():
            best = [touch(book, other) for other in Side]
            if best != before and before is not None:
                ours[axis.column(brute.times[sequence])].add(best[side])
            before = best
        for column, prices in ours.items():
            numbers = prices - {None}
            wanted = {min(numbers), max(numbers)} if numbers else set()
            assert wanted | (prices & {None}) <= shown[column], f"seed {seed}, column {column}"


def test_spread_is_ask_less_bid(figure):
    bids, asks, spreads = (figure.points(name) for name in ("bid", "ask", "spread"))
    for (_, bid, row), (_, ask_, _), (_, spread, same) in zip(bids, asks, spreads, strict=True):
        assert row == same
        assert spread == (None if bid is None or ask_ is None else ask_ - bid)


def test_depth_is_that_of_the_engine_at_the_end_of_each_column(figure, brute, axis, seed):
    trace = figure.traces["depth"]
    edges = trace["y"]
    assert [time_of(text) for text in trace["x"]] == [axis.edge(column) for column in range(COLUMNS + 1)]
    assert len(figure.rows) == COLUMNS
    replayed = 0
    for column in range(0, COLUMNS, 7):
        book = brute.at(axis.edge(column + 1) - 1)
        if figure.rows[column] and column % 105 == 0:
            assert brute.engine(figure.rows[column]) == book
            replayed += 1
        wanted = Counter()
        for price, quantity, _ in (*book[BUY], *book[SELL]):
            if edges[0] <= price < edges[-1]:
                wanted[sum(edge <= price for edge in edges) - 1] += quantity
        got = {band: row[column] for band, row in enumerate(trace["z"]) if row[column] is not None}
        assert got == wanted, f"seed {seed}, column {column}"
    assert replayed > 2


def test_the_window_holds_nearly_all_best_prices(figure, brute):
    edges = figure.traces["depth"]["y"]
    prices = [touch(book, side) for book in brute.books.values() for side in Side if book[side]]
    assert sum(edges[0] <= price < edges[-1] for price in prices) >= len(prices) * 9 // 10


def test_trades_are_the_matches_by_column_side_and_price(figure, brute, axis, seed):
    wanted, first = Counter(), {}
    for sequence, time, side, price, quantity in brute.trades:
        key = axis.column(time), side, price
        wanted[key] += quantity
        first.setdefault(key, (sequence, time))
    got = {}
    for name, side in (("buys", BUY), ("sells", SELL)):
        for time, price, (sequence, quantity, matches) in figure.points(name):
            key = axis.column(time), side, price
            assert first[key] == (sequence, time), f"seed {seed}"
            assert matches == sum((axis.column(t), s, p) == key for _, t, s, p, _ in brute.trades)
            got[key] = int(quantity)
    assert got == wanted, f"seed {seed}"
    assert len(got) > 3


def test_volume_is_what_aggressors_bought_and_sold(figure, brute, axis):
    for name, side, sign in (("bought", BUY, 1), ("sold", SELL, -1)):
        wanted = [0] * BARS
        for _, time, aggressor, _, quantity in brute.trades:
            if aggressor == side:
                wanted[axis.column(time) * BARS // COLUMNS] += quantity
        assert [sign * height for height in figure.traces[name]["y"]] == wanted


@pytest.mark.parametrize("make", ["random", "golden"])
def test_bands_are_the_times_without_free_trading(make, day, tmp_path):
    """Of the instrument and of the venue, whichever is stricter; quarantines halt, too."""
    journal = day if make == "random" else golden_journal(tmp_path / "venue")
    found = drawn(journal, "BTC/USD").figures[0]
    brute = Brute(journal, "BTC/USD")
    shapes = found.figure["layout"]["shapes"]
    bands = [(time_of(shape["x0"]), time_of(shape["x1"]), shape["name"]) for shape in shapes]
    names = {1: None, 2: "CANCEL_ONLY", 3: "HALTED"}
    for time, state in brute.states:
        inside = [
            name
            for begin, end, name in bands
            if begin <= time < end or begin <= time == end == max(brute.times.values())
        ]
        assert (inside or [None])[-1] == names[state], time
    assert bands or make == "random"


def test_decimals_are_those_of_the_instrument(venue):
    (found,) = drawn(venue).figures
    brute = Brute(venue, "AAA/USD")
    for time, price, sequence in found.points("bid"):
        best = touch(brute.books.get(sequence, [[], []]), BUY)
        assert (None if best is None else Decimal(best) / 100) == price, time
    sold = [quantity for _, _, (_, quantity, _) in found.points("buys")]
    assert sold == ["3.5"]
    assert found.figure["layout"]["yaxis"]["tickformat"] == ",.2f"


def test_extremes_are_kept():
    prices = [(5, 9), (4, 9), (7, 9), (None, 9), (6, 8), (6, None), (6, 12), (6, 10), (5, 11)]
    kept = [Best(number, number, bid, ask_) for number, (bid, ask_) in enumerate(prices)]
    assert [best.sequence for best in extremes(kept)] == [0, 1, 2, 3, 4, 5, 6, 8]
    assert extremes(kept[:2]) == kept[:2]


def test_points_are_bounded_however_many_rows_there_are(day, monkeypatch):
    """With few columns and marks the same journal is drawn with few points, and the heading says what is left out."""
    import tools.chart

    monkeypatch.setattr(tools.chart, "COLUMNS", 16)
    monkeypatch.setattr(chart_heat, "BARS", 8)
    monkeypatch.setattr(chart_page, "BARS", 8)
    monkeypatch.setattr(chart_heat, "TRADES", 2)
    (found,) = drawn(day, "BTC/USD").figures
    assert len(found.points("bid")) <= 16 * 8 + 1
    assert len(found.points("buys")) + len(found.points("sells")) == 2
    assert len(found.traces["depth"]["z"]) <= chart_heat.BANDS
    assert {len(row) for row in found.traces["depth"]["z"]} == {16}
    assert "<b>the 2 largest of " in (day.parent / "chart.html").read_text()


# ---- the page and the image


def test_the_page_needs_nothing_but_itself(day):
    page = drawn(day)
    assert page.addresses == []
    assert page.policy.startswith("default-src 'none';")
    assert "http" not in page.policy
    assert [found.symbol for found in page.figures] == ["BTC/USD", "EUR/USD", "BTC/EUR", "USD/EUR"]
    assert "Plotly.newPlot" in (day.parent / "chart.html").read_text()


def test_plotly_takes_every_figure(day):
    """It refuses properties that it does not know."""
    from plotly.graph_objects import Figure as Checked

    drawn(day)
    for found in Page((day.parent / "chart.html").read_text()).figures:
        Checked(json.loads(json.dumps(found.figure, default=float)))


def test_a_symbol_cannot_break_out_of_the_page(tmp_path):
    symbol = "</script>&<b>"
    directory, sequencer = create(tmp_path / "venue")
    listed = m.DefineInstrument(instrument=1, symbol=symbol, currencies=pack_halves(1, 2), price_max=9, quantity_max=9)
    wire = [m.DefineCurrency(currency=1, symbol="A"), m.DefineCurrency(currency=2, symbol="B"), listed]
    sequencer.submit(b"".join(map(to_row, wire)), 1)
    sequencer.events.close()
    directory.close()
    page = drawn(tmp_path / "venue")
    assert [found.symbol for found in page.figures] == [symbol]
    assert page.title == f"{symbol} – venue"
    assert "<b>&" not in (tmp_path / "chart.html").read_text().replace("Plotly", "")[:3_000]


def test_an_image_is_a_png_with_something_on_it(day, tmp_path):
    ask("chart", day, "BTC/USD", "--to", tmp_path / "chart.png")
    data = (tmp_path / "chart.png").read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    pixels = image.imread(tmp_path / "chart.png")
    assert pixels.shape[:2] == (1200, 1920)
    red, green, blue = ((pixels[..., n] * 255).round().astype(int) for n in range(3))
    colors = {*numpy.unique(red << 16 | green << 8 | blue).tolist()}
    assert len(colors) > 60
    for hexed in (chart_page.BUY, chart_page.SELL, chart_page.PANEL):
        assert int(hexed[1:], 16) in colors


def test_the_same_journal_gives_the_same_bytes(day, tmp_path):
    for suffix in ("html", "png"):
        for name in ("one", "two"):
            ask("chart", day, "BTC/USD", "--to", tmp_path / f"{name}.{suffix}")
        assert (tmp_path / f"one.{suffix}").read_bytes() == (tmp_path / f"two.{suffix}").read_bytes()


# ---- ranges and journals of other shapes


def test_a_range_is_drawn_with_what_stood_before(day, brute):
    (found,) = drawn(day, "BTC/USD", "--from", 250, "--upto", 300).figures
    assert time_of(found.traces["depth"]["x"][0]) == brute.times[250]
    assert {row for _, _, row in found.points("bid")} <= {*range(249, 301)}
    for _, price, row in found.points("bid"):
        assert price == touch(brute.books[row], BUY)
    (same,) = drawn(day, "BTC/USD", "--since", brute.times[250], "--until", brute.times[300]).figures
    assert same.figure == found.figure


def test_a_long_quiet_time_before_trading_is_left_out(tmp_path, seed):
    """Definitions and orders of long before take no place, but what stood at the beginning is drawn."""
    stream = Stream(seed)
    directory, sequencer = create(tmp_path / "venue")
    setup = [row[:16] + (n + 1).to_bytes(8, "little") + row[24:] for n, row in enumerate(stream.setup())]
    sequencer.submit(b"".join(setup), 1)
    sequencer.submit(b"".join(stream.next() for _ in range(400)), 1)
    sequencer.events.close()
    directory.close()
    told_ = ask_json("chart", tmp_path / "venue", "BTC/USD", "--to", tmp_path / "chart.html")
    assert told_["first"] == str(len(setup) + 1)
    (found,) = Page((tmp_path / "chart.html").read_text()).figures
    assert time_of(found.traces["depth"]["x"][0]) >= START
    told_ = ask_json("chart", tmp_path / "venue", "BTC/USD", "--to", tmp_path / "chart.html", "--from", 1)
    assert told_["first"] == "1"


def test_without_trades_and_without_orders(venue):
    """Before the first match there is a book to draw, and before the first order there is nothing but the axis."""
    set_up = ROWS - len(TRADING)
    (found,) = drawn(venue, "--upto", set_up + 3).figures
    assert (found.points("buys"), found.points("sells")) == ([], [])
    assert found.traces["depth"]["z"]
    for last in (set_up, 3):
        (found,) = drawn(venue, "--upto", last).figures
        assert "depth" not in found.traces
        assert {price for _, price, _ in found.points("bid")} == {None}
        ask("chart", venue, "--upto", last, "--to", venue.parent / "chart.png")
        assert image.imread(venue.parent / "chart.png").shape[:2] == (1200, 1920)


def test_one_row_is_a_range(venue):
    (found,) = drawn(venue, "--from", ROWS, "--upto", ROWS).figures
    assert len(found.rows) == COLUMNS
    ask("chart", venue, "--from", ROWS, "--to", venue.parent / "chart.png")


def test_what_is_printed(venue, tmp_path):
    told_ = ask_json("chart", venue, "AAA/USD", "--to", tmp_path / "a.html")
    assert (told_["first"], told_["last"], told_["symbols"]) == ("1", str(ROWS), ["AAA/USD"])
    assert told_["event_digest"] == ask_json("replay", venue)["event_digest"]
    assert (
        ask("chart", venue, "--to", tmp_path / "a.png")
        == f"{tmp_path / 'a.png'}: AAA/USD, rows 1 to {ROWS} of {venue}\n"
    )


MISUSES = [
    (["ZZZ", "--to", "c.html"], 64, f"no instrument ZZZ up to row {ROWS}; known: AAA/USD"),
    (["--to", "c.html", "--upto", 2], 64, "no instrument up to row 2; known: none"),
    (["--to", "c.pdf"], 64, "end it in .html or .png"),
    (["--to", "c"], 64, "end it in .html or .png"),
    ([], 64, "--to"),
    (["--to", "no/where.html"], 64, "there is no directory no"),
    (["--to", "DIR/c.html"], 64, "within the journal"),
    (["--to", "c.html", "--from", ROWS + 1], 64, f"this journal holds the rows 1 to {ROWS}"),
    (["--to", "c.html", "--since", NINE + 10**15], 1, "no rows in this range"),
    (["--to", "c.html", "--until", 0], 1, "no rows in this range"),
]


@pytest.mark.parametrize(("arguments", "code", "said"), MISUSES, ids=lambda value: str(value)[:60])
def test_misuse_is_one_line_and_leaves_nothing(arguments, code, said, venue, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    assert said in refused(code, "chart", venue, *(str(a).replace("DIR", str(venue)) for a in arguments))
    assert sorted(tmp_path.rglob("*")) == before


def test_an_image_shows_one_instrument(day, tmp_path):
    assert "an image shows one instrument: name it; known: BTC/USD, " in refused(
        64, "chart", day, "--to", tmp_path / "c.png"
    )
    assert [*tmp_path.iterdir()] == []


def test_a_page_shows_few_instruments(tmp_path):
    """Of a venue with more than a page holds, one has to be named."""
    directory, sequencer = create(tmp_path / "venue")
    wire = [m.DefineCurrency(currency=n, symbol=f"C{n}") for n in range(1, 11)]
    wire += [
        m.DefineInstrument(instrument=n, symbol=f"I{n}", currencies=pack_halves(n + 1, 1), price_max=9, quantity_max=9)
        for n in range(1, 10)
    ]
    sequencer.submit(b"".join(map(to_row, wire)), 1)
    sequencer.events.close()
    directory.close()
    assert "more than 8 instruments: name one; known: I1, " in refused(
        64, "chart", tmp_path / "venue", "--to", tmp_path / "c.html"
    )
    assert [found.symbol for found in drawn(tmp_path / "venue", "I9").figures] == ["I9"]


def test_an_empty_journal_has_nothing_to_draw(tmp_path):
    journal = empty_journal(tmp_path / "venue")
    assert "no rows in this range" in refused(1, "chart", journal, "--to", tmp_path / "c.html")


@pytest.mark.parametrize("suffix", ["html", "png"])
def test_damage_leaves_the_file_as_it_was(suffix, venue, tmp_path):
    shutil.rmtree(venue / "snapshots")
    flip(venue / "segments" / f"{1:020}" / "data.mdb", (9_990).to_bytes(8, "little"))
    (tmp_path / f"c.{suffix}").write_text("older")
    assert "its hash is not that of its bytes" in refused(1, "chart", venue, "--to", tmp_path / f"c.{suffix}")
    assert (tmp_path / f"c.{suffix}").read_text() == "older"
    assert "no journal here" in refused(2, "chart", tmp_path / "there", "--to", tmp_path / "d.html")
    assert {path.name for path in tmp_path.iterdir()} == {"venue", f"c.{suffix}"}


def test_a_chart_that_is_stopped_leaves_nothing(venue, tmp_path, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(chart_page, "page", stop)
    assert run("chart", venue, "--to", tmp_path / "c.html").exit_code == 130
    assert {path.name for path in tmp_path.iterdir()} == {"venue"}


@pytest.mark.parametrize(("name", "suffix"), [("plotly", "html"), ("matplotlib", "png"), ("numpy", "png")])
def test_a_missing_library_is_one_line(name, suffix, venue, tmp_path):
    code = f"import sys; sys.modules[{name!r}] = None; from tools.main import main; main()"
    command = [sys.executable, "-c", code, "chart", str(venue), "--to", str(tmp_path / f"c.{suffix}")]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.startswith("lockstep: needs ")
    assert result.stderr.endswith(": pip install 'lockstep[export]'\n")
    assert {path.name for path in tmp_path.iterdir()} == {"venue"}
