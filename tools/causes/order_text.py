"""The life of an order as people read it: its causes in order, how far it was from trading, and what it lacked."""

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any, Final

from core.kinds import Side
from tools.causes.command import Told
from tools.causes.names import count_text
from tools.causes.order import OrderLife, Stay
from tools.causes.rest import Span, Standing, Step
from tools.moments import clock_text

_MOVES_SHOWN: Final = 4
"""Rows of a run in which nothing happened but that the order moved forward: so many are printed, then the last one."""


def order_lines(told: Told, life: OrderLife, upto: int) -> Iterator[str]:
    """What is printed of an order that entered by a command, up to a row."""
    yield f"order {life.number} of account {life.account} in {life.names.instrument(life.instrument)}"
    entry, *rest = life.life
    yield from _row(entry, told.met["text"] if told.met is not None else [])
    for moves, run in groupby(rest, key=_only_moves):
        rows = list(run)
        yield from _moves(rows) if moves else (line for row in rows for line in _row(row))
    for stay in life.stays:
        yield from _stay(life, stay, upto)
    yield from _conclusion(life, upto)


def _only_moves(row: dict[str, Any]) -> bool:
    return all(item["kind"] == "moved" for item in row["what"])


def _row(row: dict[str, Any], met: Iterable[str] = ()) -> Iterator[str]:
    yield f"{clock_text(row['time'])} row {row['sequence']}: {row['command']}"
    yield from (f"    {line}" for line in met)
    for item in row["what"]:
        yield f"    {item['text']}"


def _moves(rows: list[dict[str, Any]]) -> Iterator[str]:
    """Rows that only moved the order forward; those in the middle of many are counted."""
    hidden = rows[_MOVES_SHOWN:-1]
    shown = rows if len(hidden) < 2 else rows[:_MOVES_SHOWN]
    for row in shown:
        yield from _row(row)
    if shown is rows:
        return
    items = [item for row in hidden for item in row["what"]]
    kinds = ", ".join(f"{count} {how}" for how, count in Counter(item["how"] for item in items).items())
    yield f"    ... {count_text(len(hidden), 'more row')} moved it forward: {kinds}; then {items[-1]['text'].rpartition('; ')[2]}"
    yield from _row(rows[-1])


def _stay(life: OrderLife, stay: Stay, upto: int) -> Iterator[str]:
    standing = stay.standing
    end = f"row {stay.until['sequence']}" if stay.until else f"row {upto}, and on"
    changes = count_text(standing.summary.changes, "change")
    price = life.names.price(life.instrument, standing.price)
    yield f"while it rested at {price}, row {stay.since['sequence']} to {end}: {changes} of what stood against it"
    for span in standing.summary.spans:
        yield f"  {_when(span)}: {_opposite(life, standing, span)}; {_ahead(life, span)}"


def _when(span: Span) -> str:
    if span.changes == 1:
        return f"{clock_text(span.first.time)} row {span.first.sequence}"
    rows = f"rows {span.first.sequence} to {span.last.sequence}"
    return f"{clock_text(span.first.time)} to {clock_text(span.last.time)}, {rows}, {span.changes:,} changes"


def _opposite(life: OrderLife, standing: Standing, span: Span) -> str:
    name = _opposite_name(standing)
    if span.nearest.price is None:
        return f"no {name}"
    near = _near(life, standing, span.nearest)
    if span.prices <= 1:
        return f"best {name} {near}"
    return f"best {name} {_price(life, span.first)}, last {_price(life, span.last)}, {span.prices:,} prices, nearest {near} at row {span.nearest.sequence}"


def _price(life: OrderLife, step: Step) -> str:
    return "none" if step.price is None else life.names.price(life.instrument, step.price)


def _near(life: OrderLife, standing: Standing, step: Step) -> str:
    """The best opposite price of a step, and how far it was away."""
    distance = standing.distance(step)
    assert distance is not None
    lots, away = life.names.lots(life.instrument, step.quantity), life.names.price(life.instrument, distance)
    return f"{_price(life, step)} x {lots}, {away} away"


def _ahead(life: OrderLife, span: Span) -> str:
    first, last = _before(life, span.first), _before(life, span.last)
    return first if first == last else f"{first}; in the end {last}"


def _before(life: OrderLife, step: Step) -> str:
    """Who would have traded before it."""
    parts = []
    if step.better_orders:
        lots = life.names.lots(life.instrument, step.better_quantity)
        parts.append(f"{count_text(step.better_orders, 'order')} with {lots} at better prices")
    if step.ahead_orders:
        lots = life.names.lots(life.instrument, step.ahead_quantity)
        parts.append(f"{count_text(step.ahead_orders, 'order')} with {lots} ahead")
    return " and ".join(parts) or "nobody before it"


def _opposite_name(standing: Standing) -> str:
    return "ask" if standing.side == Side.BUY else "bid"


# ---- what it comes to


def _conclusion(life: OrderLife, upto: int) -> Iterator[str]:
    """What became of it, and what it needed where it did not trade in full."""
    lots, number = life.names.lots, life.instrument
    done = f"{lots(number, life.executed)} executed" if life.executed else "nothing executed"
    if life.end is None:
        yield f"open after row {upto}: {done}, {life.open_text(life.leaves)} open"
    elif life.end["kind"] == "filled":
        yield f"filled at row {life.end['sequence']}: {done}"
        return
    else:
        yield f"{life.end['kind']} at row {life.end['sequence']}: {done}, {life.open_text(life.leaves)} open"
    yield from (f"    {line}" for line in _lacked(life))


def _lacked(life: OrderLife) -> Iterator[str]:
    """What the order needed while it rested, by the stay in which the other side came nearest."""
    near = [(stay.standing, stay.standing.summary.nearest()) for stay in life.stays]
    if not near:
        return
    standing, step = min(near, key=lambda pair: _gap(*pair))
    other, way = ("sell", "lower") if standing.side == Side.BUY else ("buy", "higher")
    name, price = _opposite_name(standing), life.names.price(life.instrument, standing.price)
    seen = (
        f"no {name} stood" if step is None else f"nearest {name} {_near(life, standing, step)}, at row {step.sequence}"
    )
    yield f"{seen}; needed a {other} at {price} or {way}"
    traded = sum(stay.standing.traded_ahead for stay in life.stays)
    if traded:
        yield f"{life.names.lots(life.instrument, traded)} traded ahead of it at its price"
    last = life.stays[-1].standing.last
    if last is not None:
        yield f"in the end {_before(life, last)}"


def _gap(standing: Standing, step: Step | None) -> tuple[bool, int]:
    distance = standing.distance(step) if step is not None else None
    return distance is None, distance or 0
