"""The numbers that a page draws, taken back out of its HTML, against the engine at the rows that they name."""

from collections import Counter, defaultdict
from decimal import Decimal

import pytest

from core.kinds import Side
from tests.pair import seeds
from tests.tools.charted import Brute, drawn, time_of, touch
from tests.tools.exports import golden_journal, random_journal
from tools.charts import heat as chart_heat
from tools.charts import page as chart_page
from tools.charts.data import Axis, Best, extremes
from tools.charts.heat import BARS, COLUMNS

pytest.importorskip("plotly")

BUY, SELL = Side.BUY, Side.SELL


@pytest.fixture(scope="module")
def seed():
    return seeds(1)[0]


@pytest.fixture(scope="module")
def day(seed, tmp_path_factory):
    return random_journal(tmp_path_factory.mktemp("day") / "venue", seed, 700)


@pytest.fixture(scope="module")
def figure(day):
    """Of an instrument whose prices and quantities show no decimals, so that the numbers are ticks and lots."""
    (found,) = drawn(day, "BTC/USD").figures
    return found


@pytest.fixture(scope="module")
def brute(day):
    return Brute(day, "BTC/USD")


@pytest.fixture(scope="module")
def axis(brute):
    return Axis(min(brute.times.values()), max(brute.times.values()), COLUMNS)


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
