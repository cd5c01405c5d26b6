"""Plain orders are matched in a plain way, and in the general way where an instrument has rules: both give the same bytes.

One venue has no rules; in the other each instrument has rules that say nothing, which sends every order the general way.
"""

import struct

import pytest

from core import messages as m
from core.check import check
from core.kinds import COLUMNS, PLAIN_FLAGS, ROW_SIZE, TYPE_MASK, TYPE_SHIFT, CommandKind, EventKind, StateKind
from core.kinds import OrderType as Type
from core.machine import Machine
from core.rows import to_row
from tests.model import Model
from tests.pair import seeds
from tests.streams import Stream

ROW = struct.Struct(f"<{COLUMNS}q")
NOT_PLAIN = (
    CommandKind.SET_ACCOUNT,
    CommandKind.SET_LIMIT,
    CommandKind.SET_RULES,
    CommandKind.SET_ALLOCATION,
    CommandKind.KILL,
    CommandKind.SET_PROTECTION,
    CommandKind.ENTER_BATCH,
    CommandKind.LINK_ORDERS,
    CommandKind.MASS_QUOTE,
    CommandKind.DETAIL,
    CommandKind.QUOTE_DETAIL,
)
FLAGS, DISPLAY, MINIMUM, TRIGGER, OFFSET = 5, 12, 13, 14, 15


def plain(row):
    """The row without what only the general way knows; what is left of it may well be refused."""
    columns = list(ROW.unpack(row))
    if columns[0] in NOT_PLAIN:
        return ROW.pack(CommandKind.ADVANCE_TIME, *columns[1:5], *[0] * 11)
    if columns[0] == CommandKind.ENTER_ORDER:
        order_type = Type.MARKET if columns[9] == 0 else Type.LIMIT
        columns[FLAGS] = columns[FLAGS] & PLAIN_FLAGS & ~(TYPE_MASK << TYPE_SHIFT) | order_type << TYPE_SHIFT
        columns[DISPLAY] = columns[MINIMUM] = columns[TRIGGER] = columns[OFFSET] = 0
    if columns[0] == CommandKind.REPLACE_ORDER:
        columns[DISPLAY] = columns[TRIGGER] = 0
    return ROW.pack(*columns)


def without(rows, kind):
    """Rows of all kinds but one."""
    each = (rows[at : at + ROW_SIZE] for at in range(0, len(rows), ROW_SIZE))
    return b"".join(row for row in each if row[:8] != kind.to_bytes(8, "little"))


def two_ways(seed, steps):
    """Both venues through one stream; how many events they gave."""
    plainly, generally, model = Machine(), Machine(), Model()
    source, told = Stream(seed, model), []

    def both(row, ruled):
        (one, other) = (machine.apply(r, 0, ROW_SIZE) for machine, r in ((plainly, row), (generally, ruled)))
        model.apply(row)
        assert one == without(other, EventKind.RULES_SET), f"row {source.sequence} of seed {seed}"
        told.append(len(one) // ROW_SIZE)

    for row in source.setup():
        both(plain(row), plain(row))
    for number in (1, 2, 3):
        columns = {"sequence": source.sequence + 1, "time": source.time + 1}
        source.sequence, source.time = columns["sequence"], columns["time"]
        both(to_row(m.AdvanceTime(**columns)), to_row(m.SetRules(instrument=number, **columns)))
    for _ in range(steps):
        row = plain(source.next())
        both(row, row)
    for machine in (plainly, generally):
        check(machine.engine)
    # No order has kept what only the general way has: but for the rules themselves the state is the same.
    states = [without(machine.rows(), StateKind.RULES) for machine in (plainly, generally)]
    end = min(state.index(StateKind.DIGEST.to_bytes(8, "little")) for state in states)
    assert states[0][:end] == states[1][:end]
    assert all(i is None or i.special == 1 for i in generally.engine.instruments)
    assert all(i is None or i.special == 0 for i in plainly.engine.instruments)
    return sum(told)


@pytest.mark.both
def test_plain_and_general_matching_give_the_same_bytes():
    """Events and state of random streams of plain commands are the same by both ways."""
    assert all(two_ways(seed, 1_200) > 1_000 for seed in seeds(12))
