"""A chart as one HTML page that needs nothing but itself: plotly.js and the numbers stand in it.

The numbers are JSON in script elements of their own, a figure for each instrument. Prices and quantities are display
decimals there; each point tells the row it comes from, so that `lockstep book --at` shows the rest.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from html import escape
from itertools import pairwise
from math import sqrt
from typing import Any, Final

from core.kinds import Side, TradingState
from tools.charts.data import Picture
from tools.charts.heat import BARS, Window, bounds, heat, largest, to_the_end, volumes, weight, window
from tools.exports.file import library
from tools.output import decimal_text

BACKGROUND: Final = "#0b1017"
PANEL: Final = "#0e151f"
GRID: Final = "#1c2735"
TEXT: Final = "#c3cfdd"
BUY: Final = "#2fe0a5"
SELL: Final = "#ff7d5c"
SPREAD: Final = "#9fb4cc"
STATES: Final = {int(TradingState.CANCEL_ONLY): "#f2b134", int(TradingState.HALTED): "#ff4d6d"}
HEAT: Final = ("#101a29", "#12263d", "#153655", "#1a4a70", "#24638c", "#3a80a8", "#63a3c2", "#9cc8da", "#e6f4f7")
"""From little to much; equal steps of color are equal factors of quantity."""

SHOWN_BANDS: Final = 200
MANY_MARKS: Final = 800
_LABELED: Final = 12
_CONFIG: Final = {
    "displaylogo": False,
    "responsive": True,
    "scrollZoom": True,
    "plotlyServerURL": "",
    "modeBarButtonsToRemove": ["lasso2d", "select2d", "autoScale2d"],
}
_POLICY: Final = (
    "default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline'; img-src data: blob:"
)
_STYLE: Final = f"""
:root {{ color-scheme: dark; }}
body {{ margin: 0; background: {BACKGROUND}; color: {TEXT}; font: 14px/1.45 system-ui, sans-serif; }}
header {{ padding: 14px 22px 4px; display: flex; flex-wrap: wrap; gap: 4px 26px; align-items: baseline; }}
h1 {{ font-size: 19px; font-weight: 600; margin: 0; color: #eef4fb; }}
header span {{ color: #8b9bb0; }}
header b {{ color: {TEXT}; font-weight: 500; font-variant-numeric: tabular-nums; }}
.chart {{ height: 860px; }}
.only {{ height: calc(100vh - 96px); min-height: 620px; }}
footer {{ padding: 2px 22px 12px; color: #66768b; font-size: 12px; overflow-wrap: anywhere; }}
"""
_LOADER: Final = f"""
for (const script of document.querySelectorAll("script[type='application/json']")) {{
  const figure = JSON.parse(script.textContent);
  Plotly.newPlot(script.dataset.chart, figure.data, figure.layout, {json.dumps(_CONFIG)});
}}
"""


def page(pictures: Sequence[Picture], facts: Mapping[str, str]) -> str:
    """The whole page. Failure if plotly is missing."""
    plotly = library("plotly.offline").get_plotlyjs()
    style = "chart only" if len(pictures) == 1 else "chart"
    charts = [_chart(number, picture, style) for number, picture in enumerate(pictures)]
    title = escape(f"{', '.join(picture.terms.symbol for picture in pictures)} – {facts['journal']}")
    told = " · ".join(f"{name.replace('_', ' ')} {escape(fact)}" for name, fact in facts.items())
    return "".join(
        (
            '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n',
            f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n',
            f"<title>{title}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n",
            *charts,
            f"<footer>{told}</footer>\n<script>{plotly}</script>\n<script>{_LOADER}</script>\n</body>\n</html>\n",
        )
    )


def _chart(number: int, picture: Picture, style: str) -> str:
    # No `<` stands in the JSON, so that no symbol can end the script.
    data = json.dumps(figure(picture), separators=(",", ":")).replace("<", "\\u003c")
    return (
        f"{_heading(picture)}"
        f'<div id="chart-{number}" class="{style}"></div>\n'
        f'<script type="application/json" data-chart="chart-{number}">{data}</script>\n'
    )


def _heading(picture: Picture) -> str:
    terms, axis = picture.terms, picture.axis
    drawn, found = len(largest(picture.trades)), len(picture.trades)
    facts = {
        "from": stamp(axis.begin)[:23],
        "to": f"{stamp(axis.end)[:23]} UTC",
        "matches": f"{picture.matches:,}",
        "volume": terms.quantity(picture.volume),
    }
    if drawn < found:
        facts["marks"] = f"the {drawn:,} largest of {found:,} trades"
    told = "".join(f"<span>{name} <b>{escape(fact)}</b></span>" for name, fact in facts.items())
    return f"<header><h1>{escape(terms.symbol)}</h1>{told}</header>\n"


def figure(picture: Picture) -> dict[str, Any]:
    """The figure of one instrument, as plotly.js takes it."""
    shown = window(picture)
    traces = [_heat(picture, shown)] if shown else []
    traces += [_line(picture, Side.BUY), _line(picture, Side.SELL), _spread(picture)]
    traces += [_trades(picture, side) for side in Side]
    traces += [_bars(picture, side) for side in Side]
    return {"data": traces, "layout": _layout(picture, shown)}


def _heat(picture: Picture, shown: Window) -> dict[str, Any]:
    terms, axis = picture.terms, picture.axis
    cells = heat(picture, shown)
    low, high = (number(lots, terms.quantity_decimals) for lots in bounds(cells))
    return {
        "type": "heatmap",
        "name": "depth",
        "x": [stamp(axis.edge(column)) for column in range(axis.columns + 1)],
        "y": [number(shown.low + band * shown.step, terms.price_decimals) for band in range(shown.bands + 1)],
        "z": [[None if lots is None else number(lots, terms.quantity_decimals) for lots in row] for row in cells],
        "zmin": low,
        "zmax": high,
        "colorscale": _scale(low, high),
        "showscale": False,
        "zsmooth": False,
        "hoverongaps": False,
        "hovertemplate": "%{z} open near %{y}<br>%{x|%H:%M:%S.%3f}<extra>depth</extra>",
    }


def _scale(low: float, high: float) -> list[list[float | str]]:
    """The colors over quantities from `low` to `high`, in logarithmic steps."""
    last = len(HEAT) - 1
    if high <= low:
        return [[0.0, HEAT[last // 2]], [1.0, HEAT[last // 2]]]
    places = [((low * (high / low) ** (step / last)) - low) / (high - low) for step in range(last + 1)]
    places[0], places[-1] = 0.0, 1.0
    return [[place, color] for place, color in zip(places, HEAT, strict=True)]


def _line(picture: Picture, side: Side) -> dict[str, Any]:
    best = to_the_end(picture)
    prices = [one.bid if side == Side.BUY else one.ask for one in best]
    name = "bid" if side == Side.BUY else "ask"
    return {
        "type": "scatter",
        "mode": "lines",
        "name": name,
        "x": [stamp(one.time) for one in best],
        "y": [optional(price, picture.terms.price_decimals) for price in prices],
        "customdata": [one.sequence for one in best],
        "line": {"shape": "hv", "width": 1.4, "color": BUY if side == Side.BUY else SELL},
        "hovertemplate": f"{name} %{{y}}<br>%{{x|%H:%M:%S.%6f}}<br>row %{{customdata}}<extra></extra>",
    }


def _spread(picture: Picture) -> dict[str, Any]:
    best = to_the_end(picture)
    spreads = [None if one.bid is None or one.ask is None else one.ask - one.bid for one in best]
    return {
        "type": "scatter",
        "mode": "lines",
        "name": "spread",
        "yaxis": "y2",
        "showlegend": False,
        "x": [stamp(one.time) for one in best],
        "y": [optional(spread, picture.terms.price_decimals) for spread in spreads],
        "customdata": [one.sequence for one in best],
        "line": {"shape": "hv", "width": 1, "color": SPREAD},
        "fill": "tozeroy",
        "fillcolor": "rgba(159,180,204,0.14)",
        "hovertemplate": "spread %{y}<br>%{x|%H:%M:%S.%6f}<br>row %{customdata}<extra></extra>",
    }


def _trades(picture: Picture, side: Side) -> dict[str, Any]:
    terms = picture.terms
    drawn = largest(picture.trades)
    scale = weight(drawn)
    trades = [trade for trade in drawn if trade.side == side]
    words = "buys" if side == Side.BUY else "sells"
    return {
        "type": "scatter",
        "mode": "markers",
        "name": words,
        "x": [stamp(trade.time) for trade in trades],
        "y": [number(trade.price, terms.price_decimals) for trade in trades],
        "customdata": [[trade.sequence, terms.quantity(trade.quantity), trade.matches] for trade in trades],
        "marker": {
            "symbol": "triangle-up" if side == Side.BUY else "triangle-down",
            "size": [size(trade.quantity, scale, len(drawn)) for trade in trades],
            "color": BUY if side == Side.BUY else SELL,
            "opacity": 0.85,
            "line": {"width": 0.8, "color": BACKGROUND},
        },
        "hovertemplate": "%{customdata[1]} @ %{y}<br>%{x|%H:%M:%S.%6f}<br>from row %{customdata[0]},"
        f" matches: %{{customdata[2]}}<extra>{words}</extra>",
    }


def _bars(picture: Picture, side: Side) -> dict[str, Any]:
    axis, terms = picture.axis, picture.terms
    lots = volumes(picture)[side]
    each = axis.columns // BARS
    edges = [axis.edge(bar * each) for bar in range(BARS + 1)]
    sign = 1 if side == Side.BUY else -1
    return {
        "type": "bar",
        "name": "bought" if side == Side.BUY else "sold",
        "yaxis": "y3",
        "showlegend": False,
        "x": [stamp((begin + end) // 2) for begin, end in pairwise(edges)],
        "y": [sign * number(count, terms.quantity_decimals) for count in lots],
        "customdata": [terms.quantity(count) for count in lots],
        "marker": {"color": BUY if side == Side.BUY else SELL, "line": {"width": 0}},
        "hovertemplate": "%{customdata}<br>%{x|%H:%M:%S}<extra>%{fullData.name}</extra>",
    }


def _layout(picture: Picture, shown: Window | None) -> dict[str, Any]:
    terms, axis = picture.terms, picture.axis
    price = f",.{terms.price_decimals}f"
    layout: dict[str, Any] = {
        "meta": {"rows": [depth.sequence for depth in picture.depth], "symbol": terms.symbol},
        "paper_bgcolor": BACKGROUND,
        "plot_bgcolor": PANEL,
        "font": {"color": TEXT, "size": 12},
        "margin": {"l": 76, "r": 24, "t": 34, "b": 44},
        "hovermode": "closest",
        "hoverlabel": {"bgcolor": "#17212e", "bordercolor": "#3a4c61", "font": {"color": "#eef4fb"}},
        "dragmode": "pan",
        "barmode": "relative",
        "bargap": 0.12,
        "legend": {"orientation": "h", "x": 1, "xanchor": "right", "y": 1.005, "yanchor": "bottom"},
        "xaxis": {
            **_axis("time, UTC"),
            "type": "date",
            "anchor": "y3",
            "range": [stamp(axis.begin), stamp(axis.end)],
            "showspikes": True,
            "spikemode": "across",
            "spikesnap": "cursor",
            "spikethickness": 1,
            "spikedash": "dot",
            "spikecolor": "#56687e",
        },
        "yaxis": {**_axis("price"), "domain": [0.32, 1], "tickformat": price},
        "yaxis2": {
            **_axis("spread"),
            "domain": [0.175, 0.29],
            "tickformat": price,
            "rangemode": "tozero",
            "nticks": 4,
            "fixedrange": True,
        },
        "yaxis3": {**_axis("volume"), "domain": [0, 0.145], "fixedrange": True},
        **_states(picture),
    }
    if shown is not None:
        layout["yaxis"]["range"] = [number(edge, terms.price_decimals) for edge in (shown.low, shown.high)]
    return layout


def _axis(title: str) -> dict[str, Any]:
    return {"title": {"text": title, "standoff": 10}, "automargin": True, "gridcolor": GRID, "zerolinecolor": GRID}


def _states(picture: Picture) -> dict[str, Any]:
    """A band over all panels for each time without free trading, with a label while there are few."""
    shapes, labels = [], []
    for band in picture.bands[:SHOWN_BANDS]:
        color, name = STATES[band.state], TradingState(band.state).name
        begin, end = stamp(band.begin), stamp(picture.axis.end if band.end is None else band.end)
        shape = {"type": "rect", "xref": "x", "yref": "paper", "x0": begin, "x1": end, "y0": 0, "y1": 1, "name": name}
        shapes.append(
            {**shape, "fillcolor": color, "opacity": 0.2, "layer": "above", "line": {"width": 1, "color": color}}
        )
        label = {"text": name.replace("_", " "), "x": begin, "y": 1, "xref": "x", "yref": "paper", "showarrow": False}
        labels.append({**label, "xanchor": "left", "yanchor": "top", "font": {"color": color, "size": 11}})
    return {"shapes": shapes, "annotations": labels[:_LABELED]}


def stamp(time: int) -> str:
    """A time as plotly.js reads it, in UTC, to the nanosecond."""
    seconds, fraction = divmod(time, 10**9)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{fraction:09}"


def number(value: int, decimals: int) -> int | float:
    """A price or quantity as a chart draws it: the nearest number to its display decimals."""
    return float(decimal_text(value, decimals)) if decimals else value


def optional(value: int | None, decimals: int) -> int | float | None:
    """The same where there may be none."""
    return None if value is None else number(value, decimals)


def size(quantity: int, scale: int, marks: int) -> float:
    """The width of a mark in pixels: its area grows with the quantity, up to `scale`; smaller where there are many."""
    room = 14 if marks < MANY_MARKS else 9
    return round(4 + room * sqrt(min(1, quantity / scale)), 1)
