"""A chart as an image, in the colors of the page."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from core.kinds import Side, TradingState
from tools.charts.data import Picture
from tools.charts.heat import BARS, Window, bounds, heat, largest, to_the_end, volumes, weight, window
from tools.charts.page import BACKGROUND, BUY, GRID, HEAT, PANEL, SELL, SHOWN_BANDS, SPREAD, STATES, TEXT, number, size
from tools.exports.file import library

INCHES: Final = (16, 10)
DOTS: Final = 120
"""Dots per inch."""

_MARK: Final = 0.5
"""Square points for a square pixel of the page."""


def image(picture: Picture, facts: Mapping[str, str], path: Path) -> None:
    """Write the image of one instrument as PNG. Failure if matplotlib is missing; OSError."""
    matplotlib = library("matplotlib")
    figure = library("matplotlib.figure").Figure(figsize=INCHES, dpi=DOTS, facecolor=BACKGROUND)
    with matplotlib.rc_context(
        {"text.color": TEXT, "axes.labelcolor": TEXT, "font.size": 10, "text.parse_math": False}
    ):
        _Image(picture, figure).draw(facts)
        figure.savefig(path, format="png", facecolor=BACKGROUND, metadata={"Software": "lockstep"})


class _Image:
    """Three panels over one time axis: price, spread, volume."""

    def __init__(self, picture: Picture, figure: Any) -> None:
        self._picture, self._figure = picture, figure
        self._terms, self._axis = picture.terms, picture.axis
        self._numpy = library("numpy")
        grid = {"height_ratios": (6.2, 1.2, 1.4), "hspace": 0.07}
        self._price, self._spread, self._volume = figure.subplots(3, 1, sharex=True, gridspec_kw=grid)
        figure.subplots_adjust(left=0.065, right=0.985, top=0.915, bottom=0.075)

    def draw(self, facts: Mapping[str, str]) -> None:
        """Draw everything."""
        for axes, name in ((self._price, "price"), (self._spread, "spread"), (self._volume, "volume")):
            self._prepare(axes, name)
        shown = window(self._picture)
        if shown is not None:
            self._draw_heat(shown)
            self._price.set_ylim(*(number(edge, self._terms.price_decimals) for edge in (shown.low, shown.high)))
        self._draw_lines()
        self._draw_trades()
        self._draw_volume()
        self._draw_states()
        self._label(facts)

    def _prepare(self, axes: Any, name: str) -> None:
        axes.set_facecolor(PANEL)
        axes.grid(visible=True, color=GRID, linewidth=0.6)
        axes.set_axisbelow(True)
        axes.tick_params(colors=TEXT, length=3)
        axes.set_ylabel(name)
        for spine in axes.spines.values():
            spine.set_color(GRID)

    def _times(self, times: list[int]) -> Any:
        return self._numpy.array(times, "<i8").astype("datetime64[ns]")

    def _draw_heat(self, shown: Window) -> None:
        colors = library("matplotlib.colors")
        decimals = self._terms.quantity_decimals
        found = heat(self._picture, shown)
        cells = [[0 if lots is None else number(lots, decimals) for lots in row] for row in found]
        depth = self._numpy.ma.masked_equal(self._numpy.array(cells, float), 0)
        low, high = (number(lots, decimals) for lots in bounds(found))
        edges = self._times([self._axis.edge(column) for column in range(self._axis.columns + 1)])
        bands = [number(shown.low + band * shown.step, self._terms.price_decimals) for band in range(shown.bands + 1)]
        shades = colors.LinearSegmentedColormap.from_list("depth", HEAT)
        norm = colors.LogNorm(low, max(high, low * 1.01), clip=True)
        mesh = self._price.pcolormesh(edges, bands, depth, cmap=shades, norm=norm, rasterized=True, zorder=1)
        self._add_scale(mesh)

    def _add_scale(self, mesh: Any) -> None:
        place = self._price.inset_axes((0.845, 1.028, 0.15, 0.016))
        scale = self._figure.colorbar(mesh, cax=place, orientation="horizontal")
        scale.outline.set_visible(False)
        scale.ax.tick_params(colors=TEXT, labelsize=7, length=2, pad=1, which="both")
        scale.ax.minorticks_off()
        ticks = library("matplotlib.ticker")
        scale.ax.xaxis.set_major_locator(ticks.LogLocator(numticks=5))
        scale.ax.xaxis.set_major_formatter(ticks.FuncFormatter(lambda x, _: f"{x:,g}"))
        scale.ax.set_title("open quantity", fontsize=8, color=TEXT, pad=2)

    def _draw_lines(self) -> None:
        best = to_the_end(self._picture)
        times = self._times([one.time for one in best])
        nan = self._numpy.nan
        decimals = self._terms.price_decimals
        bids = [nan if one.bid is None else number(one.bid, decimals) for one in best]
        asks = [nan if one.ask is None else number(one.ask, decimals) for one in best]
        spreads = [nan if one.bid is None or one.ask is None else number(one.ask - one.bid, decimals) for one in best]
        self._price.step(times, bids, where="post", color=BUY, linewidth=1.0, label="bid")
        self._price.step(times, asks, where="post", color=SELL, linewidth=1.0, label="ask")
        self._spread.fill_between(times, spreads, step="post", color=SPREAD, alpha=0.16, linewidth=0)
        self._spread.step(times, spreads, where="post", color=SPREAD, linewidth=0.8)
        self._spread.set_ylim(bottom=0)

    def _draw_trades(self) -> None:
        drawn = largest(self._picture.trades)
        scale = weight(drawn)
        for side, mark, color, label in ((Side.BUY, "^", BUY, "buys"), (Side.SELL, "v", SELL, "sells")):
            trades = [trade for trade in drawn if trade.side == side]
            self._price.scatter(
                self._times([trade.time for trade in trades]),
                [number(trade.price, self._terms.price_decimals) for trade in trades],
                s=[size(trade.quantity, scale, len(drawn)) ** 2 * _MARK for trade in trades],
                marker=mark, color=color, alpha=0.85, edgecolors=BACKGROUND, linewidths=0.5, zorder=3, label=label,
            )  # fmt: skip

    def _draw_volume(self) -> None:
        each = self._axis.columns // BARS
        edges = self._times([self._axis.edge(bar * each) for bar in range(BARS + 1)])
        widths = (edges[1:] - edges[:-1]) * 9 // 10
        for side, color, sign in ((Side.BUY, BUY, 1), (Side.SELL, SELL, -1)):
            lots = [sign * number(count, self._terms.quantity_decimals) for count in volumes(self._picture)[side]]
            self._volume.bar(edges[:-1], lots, width=widths, align="edge", color=color, linewidth=0)
        self._volume.axhline(0, color=GRID, linewidth=0.8)

    def _draw_states(self) -> None:
        for band in self._picture.bands[:SHOWN_BANDS]:
            begin, end = self._times([band.begin, self._axis.end if band.end is None else band.end])
            for axes in (self._price, self._spread, self._volume):
                axes.axvspan(begin, end, color=STATES[band.state], alpha=0.22, linewidth=0.8, zorder=2)
            name = TradingState(band.state).name.replace("_", " ")
            self._price.annotate(
                name, (begin, 1), xycoords=("data", "axes fraction"), xytext=(3, -11), textcoords="offset points",
                fontsize=8, color=STATES[band.state], annotation_clip=True,
            )  # fmt: skip

    def _label(self, facts: Mapping[str, str]) -> None:
        dates, ticker = library("matplotlib.dates"), library("matplotlib.ticker")
        price, decimals = self._price, self._terms.price_decimals
        price.set_xlim(*self._times([self._axis.begin, self._axis.end + (self._axis.begin == self._axis.end)]))
        locator = dates.AutoDateLocator(minticks=6, maxticks=14)
        self._volume.xaxis.set_major_locator(locator)
        self._volume.xaxis.set_major_formatter(dates.ConciseDateFormatter(locator))
        self._volume.set_xlabel("time, UTC")
        for axes in (price, self._spread):
            axes.yaxis.set_major_formatter(ticker.StrMethodFormatter(f"{{x:,.{decimals}f}}"))
        self._volume.yaxis.set_major_formatter(ticker.FuncFormatter(lambda x, _: f"{abs(x):,g}"))
        legend = price.legend(loc="lower left", bbox_to_anchor=(0, 1.0), ncols=4, frameon=False, fontsize=9)
        for handle in legend.legend_handles:
            if hasattr(handle, "set_sizes"):
                handle.set_sizes([40])
        title = f"{self._terms.symbol}   {self._picture.matches:,} matches, {self._terms.quantity(self._picture.volume)} traded"
        self._figure.text(0.065, 0.963, title, fontsize=14, color="#eef4fb")
        told = f"{facts['journal']}, rows {facts['first']} to {facts['last']}"
        self._figure.text(0.985, 0.006, told, fontsize=8, color="#66768b", ha="right")
