"""The page and the image of a chart: whole in themselves, for ranges and journals of any shape, and nothing left by errors."""

import json
import shutil
import subprocess
import sys

import pytest

from core import messages as m
from core.kinds import Side
from core.rows import pack_halves, to_row
from replicas.opening import create
from tests.determinism.stream import START, Stream
from tests.pair import seeds
from tests.tools.charted import Brute, Page, drawn, time_of, touch
from tests.tools.conftest import NINE, ROWS, TRADING, ask, ask_json, flip, run
from tests.tools.exports import empty_journal, random_journal
from tests.tools.test_errors import refused
from tools.charts import page as chart_page
from tools.charts.heat import COLUMNS

pytest.importorskip("plotly")
image, numpy = pytest.importorskip("matplotlib.image"), pytest.importorskip("numpy")


@pytest.fixture(scope="module")
def seed():
    return seeds(1)[0]


@pytest.fixture(scope="module")
def day(seed, tmp_path_factory):
    return random_journal(tmp_path_factory.mktemp("day") / "venue", seed, 700)


@pytest.fixture(scope="module")
def brute(day):
    return Brute(day, "BTC/USD")


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
        assert price == touch(brute.books[row], Side.BUY)
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
