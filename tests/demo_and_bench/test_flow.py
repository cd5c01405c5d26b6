"""The flows of demo and bench: the same for the same seed, and what they say they are."""

from collections import Counter

import pytest

from core.check import check
from core.kinds import ROW_SIZE, CommandKind, EventKind
from core.machine import Machine
from core.messages import CancelOrder, EnterOrder, Rejected
from core.rows import rows
from core.stamp import stamp
from tools.benches import flows as bench_flows
from tools.benches import yardstick as bench_yardstick
from tools.flow import OPENING, Batch, Day, batches, venue


def apply(machine, wire, now=OPENING):
    """Stamp and apply wire rows; the events as messages."""
    stamped = stamp(wire, machine.engine.sequence, machine.engine.now, now)
    return list(rows(machine.apply(stamped, 0, len(stamped))))


@pytest.mark.both
def test_a_day_is_the_same_for_the_same_seed():
    assert Day(3_000, 5).rows() == Day(3_000, 5).rows()
    assert Day(3_000, 5).rows() != Day(3_000, 6).rows()


def test_a_day_has_as_many_commands_as_asked_for_and_is_a_day_of_all_sorts():
    day = Day(6_000, 5).rows()
    machine = Machine()
    assert not any(isinstance(event, Rejected) for event in apply(machine, venue(), OPENING - 1))
    events = Counter(event.KIND for event in apply(machine, day))
    kinds = Counter(command.KIND for command in rows(day))
    assert len(day) == 6_000 * ROW_SIZE
    assert kinds[CommandKind.CANCEL_ORDER] > 0.25 * 6_000
    assert kinds.keys() >= {CommandKind.REPLACE_ORDER, CommandKind.MASS_CANCEL, CommandKind.END_OF_DAY}
    assert events[EventKind.CANCELED] > 3 * events[EventKind.EXECUTED] // 2
    assert 0.02 * 6_000 < events[EventKind.REJECTED] < 0.25 * 6_000
    assert events.keys() >= {EventKind.EXECUTED, EventKind.REPLACED, EventKind.EXPIRED, EventKind.MASS_CANCELED}
    check(machine.engine)


def test_batches_hold_every_row_once_and_vary_in_size():
    day = Day(3_000, 5).rows()
    found = list(batches(day, 5))
    assert b"".join(batch.rows for batch in found) == day
    assert len({len(batch.rows) for batch in found}) > 20
    assert found == list(batches(day, 5))
    assert isinstance(found[0], Batch)


def test_the_flow_of_the_bench_is_the_yardsticks_and_nothing_of_it_is_refused_but_late_cancels():
    flow = bench_flows.own(4_000)
    assert flow == bench_flows.own(4_000)
    assert len(flow.plain) == 40 * flow.commands
    shares = Counter(type(command) for command in rows(flow.rows))
    assert 0.35 < shares[CancelOrder] / 4_000 < 0.45
    assert shares[EnterOrder] > 0.5 * 4_000
    machine = Machine()
    apply(machine, flow.venue, 1)
    refused = Counter(event.reason for event in apply(machine, flow.rows) if isinstance(event, Rejected))
    assert refused.keys() <= {140}
    assert machine.engine.match_numbers > 100


@pytest.mark.data
def test_flash1_becomes_the_same_number_of_commands(market_data):
    flow = bench_flows.flash1(market_data / "flash1" / "normal_seed7_count20000.bin.xz", 5_000)
    machine = Machine()
    apply(machine, flow.venue, 1)
    events = apply(machine, flow.rows)
    assert flow.commands == 5_000
    assert {event.reason for event in events if isinstance(event, Rejected)} <= {140}


def test_resting_orders_all_rest():
    flow = bench_flows.resting(3_000)
    machine = Machine()
    apply(machine, flow.venue, 1)
    apply(machine, flow.rows)
    instrument = machine.engine.instrument(1)
    assert sum(level.count for ladder in (instrument.bids, instrument.asks) for level in ladder.levels) == 3_000


def test_the_yardstick_and_the_engine_match_the_same_trades(tmp_path, monkeypatch):
    """Both run the same flow only if both find the same matches in it."""
    source = bench_yardstick.beside("prototypes", "readable_engine.py")
    if source is None:
        pytest.skip("the prototype does not lie beside the checkout")
    monkeypatch.syspath_prepend(str(source.parent))
    prototype = pytest.importorskip("readable_engine")
    flow, book, machine = bench_flows.own(10_000), prototype.Book(), Machine()
    prototype.apply_batch(book, flow.plain)
    apply(machine, flow.venue, 1)
    apply(machine, flow.rows)
    assert machine.engine.match_numbers == book.trades
