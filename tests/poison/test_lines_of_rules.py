"""An exception at every line of the engine that any rule of the market reaches: it costs the row, and what the row names.

Each line is raised at in a row of some scenario that reaches it, which the seed chooses; test_every_line.py raises at
each run of each line of a few rows.
"""

import hashlib

import pytest

from core import messages as m
from core.check import check
from core.kinds import SEQUENCE, Side, TradingState
from core.rows import from_row
from journal.batch import HEADER_SIZE
from tests.conftest import seed
from tests.poison.engine_lines import (
    BYSTANDERS,
    BYSTANDING,
    CORE,
    MODULES,
    OUTSIDE,
    UNREACHABLE,
    Place,
    before,
    places,
    renamed,
    sources,
    statements,
)
from tests.poison.more_scenarios import bounded
from tests.poison.samples import Lines, Venue, agrees, of_kind, order

PREFIX_MAX = 150
"""Rows before the poison, at most: a scenario that needs more is used where no other reaches the line."""

EARLY = 10
"""Every row reaches so many lines."""

SOME = 40
"""One line in so many is raised at by day."""


def dice(*words):
    """A number that the seed and the words give."""
    return int.from_bytes(hashlib.sha256(f"{seed()} {words}".encode()).digest()[:8], "little")


def lines_of(module):
    """The lines of a module at which a row can raise."""
    outside = {line for lines, name, _ in statements(module) if name in OUTSIDE for line in lines}
    found = (line for line, rows in places().items() if line[0] == module and any(rows))
    return sorted(line for line in found if line[1] not in outside)


def chosen_place(line):
    """One of the rows that reach a line."""
    rows = [place for place in places()[line] if place]
    near = [place for place in rows if place.index < PREFIX_MAX]
    return near[dice(line) % len(near)] if near else min(rows, key=lambda place: place.index)


def states(engine):
    """Everything that is not open."""
    found = {("instrument", i.number): i.state for i in engine.instruments if i and i.state > 1}
    found |= {("account", a.number): a.state for a in engine.accounts if a and a.state > 1}
    return found | ({("venue", 0): engine.state} if engine.state > 1 else {})


def halted_by(closed, told):
    """What is not open after a quarantine, of what was not open before."""
    if told.instrument:
        return closed | {("instrument", told.instrument): TradingState.HALTED}
    if told.account:
        return closed | {("account", told.account): TradingState.HALTED}
    return {("venue", 0): TradingState.CANCEL_ONLY} | closed


def pair(number):
    """Two orders of bystanders that meet."""
    columns = {"instrument": BYSTANDING, "price": 50, "quantity": 2, "client_order_id": number}
    return [
        order(side, account=account, session=900 + account, **columns)
        for side, account in zip((Side.SELL, Side.BUY), BYSTANDERS, strict=True)
    ]


def traded(events):
    return len([e for e in of_kind(events, m.Executed) if e.instrument == BYSTANDING]) == 2


def inject(place, plan):
    """Raise in rows from a place on, as `plan` says for each, then hold the venue to all that a quarantine promises."""
    bounds, rows = sources()[place.source]
    with bounded(bounds):
        venue = Venue(before(place))
        closed, first = states(venue.engine), venue.next()
        poison = [renamed(row) for row, _ in rows[place.index : place.index + len(plan)]]
        wire = b"".join(row[:SEQUENCE] + bytes(8) + row[2 * SEQUENCE :] for row in poison) + venue.wire(*pair(1))
        where = {first + n: at for n, at in enumerate(plan)}
        with Lines(where) as lines:
            events = venue.submit_wire(wire)
        assert lines.raised == sorted(where), (place, plan, lines.raised)
        named = of_kind(events, m.Quarantined)
        assert [told.sequence for told in named] == sorted(where), place
        for told in named:
            closed = halted_by(closed, told)
        assert states(venue.engine) == closed, place
        goes_on(venue, events)
        check(venue.engine)
        rows = [from_row(body) for body in quarantine_bodies(venue)]
        assert [(q.named, (q.timer_time, q.timer_order)) for q in rows] == [(n, lines.timers[n]) for n in sorted(where)]
        with Lines(where) as standby:
            agrees(venue, at_every_row=False)
        assert not standby.raised, "a standby that has the same fault applies the quarantine, not the row"
        agrees(venue, at_every_row=False)


def quarantine_bodies(venue):
    """The Quarantine rows that the sequencer has written."""
    kind = bytes([m.Quarantine.KIND])
    values = [value[HEADER_SIZE:] for value in venue.journal.batches()]
    return [body for body in values if body[:1] == kind and body[1:2] == b"\0" and len(body) == 128]


def goes_on(venue, events):
    """The bystanders have traded, or do so as soon as an operator opens the venue; unless it was shut to all before."""
    if venue.engine.killed:
        return
    if venue.engine.state != TradingState.OPEN:
        venue.submit(m.SetTradingState(state=TradingState.OPEN))
        events = venue.submit(*pair(2))
    assert traded(events)


def test_no_line_is_left_out():
    """Every statement of every command method, and of what it calls, is reached by a row of some scenario."""
    reached = set(places())
    left = []
    for module in MODULES:
        source = (CORE / f"{module}.py").read_text().splitlines()
        for lines, name, full_name in statements(module):
            is_known = {(module, name), (module, full_name)} & UNREACHABLE.keys()
            if not is_known and not any((module, line) in reached for line in lines):
                left.append(f"core/{module}.py:{lines.start} {name}: {source[lines.start - 1].strip()}")
    assert left == [], "\n".join(left)


def test_the_list_of_the_unreachable_is_needed():
    """Each entry names a function of which something is indeed not reached."""
    reached = set(places())
    found = set()
    for module in MODULES:
        for lines, name, full_name in statements(module):
            if not any((module, line) in reached for line in lines):
                found |= {(module, name), (module, full_name)}
    assert found >= UNREACHABLE.keys()


@pytest.mark.parametrize("module", MODULES)
def test_some_lines(module):
    """A few lines of each module, chosen by the seed."""
    for line in lines_of(module):
        if dice("some", line) % SOME == 0:
            inject(chosen_place(line), [line])


@pytest.mark.night
@pytest.mark.parametrize("module", MODULES)
def test_every_line(module):
    """Every line of each module."""
    for line in lines_of(module):
        inject(chosen_place(line), [line])


def two_rows():
    """Rows that follow each other in a scenario and may stand in one batch."""
    alone = {m.Quarantine.KIND, m.Promote.KIND, m.Upgrade.KIND}
    reached = {place for rows in places().values() for place in rows if place and place.index < PREFIX_MAX}
    for place in sorted(reached, key=lambda place: (place.source, place.index)):
        rows = sources()[place.source][1][place.index : place.index + 2]
        follows = Place(place.source, place.index + 1) in reached
        if follows and not any(int.from_bytes(row[:8], "little") in alone for row, _ in rows):
            yield place


def raise_twice(share):
    for place in two_rows():
        if dice("two", place) % share == 0:
            inject(place, [1 + dice("first", place) % EARLY, 1 + dice("second", place) % EARLY])


def test_some_batches_with_two():
    """Two rows of one batch raise: each is quarantined, and both name what they halt."""
    raise_twice(100)


@pytest.mark.night
def test_batches_with_two():
    """The same for one pair of rows in four."""
    raise_twice(4)
