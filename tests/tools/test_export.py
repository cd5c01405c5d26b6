"""Exported tables against the naive market and `lockstep dump`, row by row; and that a file is whole or is not there."""

import json

import pytest

from core import messages as m
from core.kinds import REMOVED, SIDE_MASK, OrderType, Side, TimeInForce
from core.messages import EVENTS
from core.reasons import CancelReason, RejectReason
from tests.pair import seeds
from tests.tools.conftest import ROWS, ask
from tests.tools.exported import export
from tests.tools.exports import (
    MAKERS,
    levels,
    random_journal,
    reading,
    told,
)
from tools.books import Book
from tools.output import decimal_text
from tools.reading import machine_at


@pytest.fixture(params=[("small", 0), ("golden", 0), *(("random", seed) for seed in seeds(2))], ids=str, scope="module")
def journal(request, tmp_path_factory):
    name, seed = request.param
    return MAKERS[name](tmp_path_factory.mktemp(name) / "venue", seed)


# ---- what the tables hold


def dumped(journal, *options):
    return [json.loads(line) for line in ask("dump", journal, "--jsonl", *options).splitlines()]


def named(row):
    """What an exported row says: the columns that its kind has."""
    assert row["time_utc"] == row["time"]
    return {name: value for name, value in row.items() if value is not None and name != "time_utc"}


def test_events_are_those_of_the_dump_and_of_the_model(journal):
    rows = [named(row) for row in export(journal, "events")]
    kinds = {struct.__name__ for struct in EVENTS.values()}
    assert rows == [row for row in dumped(journal, "--events") if row["kind"] in kinds]
    model = [event for one in told(journal) for event in one.events]
    assert [(row["kind"], row["sequence"], row["outbound"]) for row in rows] == [
        (type(event).__name__, event.sequence, event.outbound) for event in model
    ]


def test_commands_are_those_of_the_dump(journal):
    """Hash and salt are missing; a row that no Struct fits is there column by column."""
    rows = [named(row) for row in export(journal, "commands")]
    shown = dumped(journal)
    assert len(rows) == len(shown)
    for row, line in zip(rows, shown, strict=True):
        wanted = line
        if wanted["kind"] == "Malformed":
            columns = " ".join(map(str, wanted["columns"]))
            wanted = {"kind": "Malformed", "sequence": wanted["sequence"], "time": wanted["time"],
                      "malformed": f"{columns} ({wanted['why']})"}  # fmt: skip
        wanted.pop("hash", None)
        assert row == wanted


def test_executions_are_the_matches_of_the_model(journal):
    wanted = []
    for one in told(journal):
        pairs = [event for event in one.events if isinstance(event, m.Executed)]
        settled = [event for event in one.events if isinstance(event, m.Settled)]
        for rest, come, moved in zip(pairs[::2], pairs[1::2], settled, strict=True):
            assert come.flags & REMOVED
            assert not rest.flags & REMOVED
            side = Side(come.flags & SIDE_MASK)
            buyer, seller = (come, rest) if side == Side.BUY else (rest, come)
            row = {"match_number": rest.match_number, "sequence": one.sequence, "time": one.time, "time_utc": one.time}
            row |= {"instrument": rest.instrument, "price": rest.price, "quantity": rest.quantity}
            row |= {"aggressor": side.name, "base_amount": moved.base_amount, "quote_amount": moved.quote_amount}
            row |= {"buyer_fee": moved.buyer_fee, "seller_fee": moved.seller_fee}
            assert (moved.buyer, moved.seller) == (buyer.account, seller.account)
            for name, event in (("buyer", buyer), ("seller", seller)):
                row |= {f"{name}_order": event.order_number}
                row |= {
                    f"{name}_{what}": getattr(event, what)
                    for what in ("account", "session", "client_order_id", "leaves")
                }
            wanted.append(row)
    rows = export(journal, "executions")
    assert [{name: row[name] for name in one} for row, one in zip(rows, wanted, strict=True)] == wanted
    assert [row["match_number"] for row in rows] == list(range(1, len(wanted) + 1))
    check_names(journal, rows)


def check_names(journal, rows):
    """Symbols, currencies and display decimals are those of the instruments' definitions."""
    instruments, currencies = {}, {}
    for one in told(journal):
        for event in one.events:
            if isinstance(event, m.InstrumentDefined):
                instruments[event.instrument] = event
            if isinstance(event, m.CurrencyDefined):
                currencies[event.currency] = event
    for row in rows:
        terms = instruments[row["instrument"]]
        base, quote = (currencies[terms.currencies >> shift & 0xFFFFFFFF] for shift in (0, 32))
        assert row["symbol"] == terms.symbol
        assert (row["base_currency"], row["quote_currency"]) == (base.symbol, quote.symbol)
        assert row["quote_decimals"] == quote.decimals
        assert row["price_display"] == decimal_text(row["price"], terms.flags & 0xFF)
        assert row["quantity_display"] == decimal_text(row["quantity"], terms.flags >> 8 & 0xFF)


FOR_THE_MARKET = m.Rested | m.Traded | m.DisplayChanged
"""Events about an order that its session is not told."""


def lives(journal):
    """What became of every order, found by looking at the events of each alone."""
    histories, refusals = {}, []
    for one in told(journal):
        for event in one.events:
            if isinstance(event, m.Rejected) and event.command == m.EnterOrder.KIND:
                refusals.append((one, event))
            elif getattr(event, "order_number", 0) and not isinstance(event, m.Acknowledged | FOR_THE_MARKET):
                histories.setdefault(event.order_number, []).append(event)
    return histories, refusals


def test_orders_are_the_lives_that_the_model_tells(journal):
    rows = export(journal, "orders")
    histories, refusals = lives(journal)
    expiries = {one.sequence: memoryview(one.row).cast("q")[11] for one in told(journal)}
    by_number = {row["order_number"]: row for row in rows if row["order_number"] is not None}
    assert by_number.keys() == histories.keys()
    for number, events in histories.items():
        row, first, last = by_number[number], events[0], events[-1]
        matches = [event for event in events if isinstance(event, m.Executed)]
        moved = [event for event in events if isinstance(event, m.Replaced)]
        priced = [event for event in events if isinstance(event, m.Accepted | m.Replaced | m.Restated)]
        triggered = [(event.sequence, event.time) for event in events if isinstance(event, m.Triggered)]
        taken = [event for event in events if isinstance(event, m.Reduced | m.Canceled | m.Expired)]
        assert isinstance(first, m.Accepted)
        assert (row["entered_sequence"], row["entered_time"], row["entered_time_utc"]) == (
            first.sequence,
            first.time,
            first.time,
        )
        for name in ("instrument", "account", "session", "price", "quantity"):
            assert row[name] == getattr(first, name), name
        named_later = [expiries[event.sequence] for event in moved if expiries[event.sequence]]
        assert row["expires"] == [first.expires, *named_later][-1]
        assert row["client_order_id"] == last.client_order_id
        assert row["side"] == Side(first.flags & 1).name
        assert row["order_type"] == OrderType(first.flags >> 1 & 15).name
        assert row["time_in_force"] == TimeInForce(first.flags >> 5 & 15).name
        assert row["post_only"] == bool(first.flags & 0x200)
        assert (row["executed"], row["matches"]) == (sum(event.quantity for event in matches), len(matches))
        assert [row["first_match_time"], row["last_match_time"]] == (
            [matches[0].time, matches[-1].time] if matches else [None, None]
        )
        assert row["replaced"] == len(moved)
        assert row["last_price"] == priced[-1].price
        assert (row["triggered_sequence"], row["triggered_time"]) == [(None, None), *triggered][-1]
        assert len(triggered) <= 1
        assert row["reduced"] == sum(isinstance(event, m.Reduced) for event in events)
        assert row["canceled"] == sum(event.quantity for event in taken)
        assert (row["end"], row["reason"], row["leaves"]) == end_of(last)
        ended = row["end"] != "OPEN"
        assert (row["ended_sequence"], row["ended_time"]) == ((last.sequence, last.time) if ended else (None, None))
    check_refusals([row for row in rows if row["order_number"] is None], refusals)
    ends = [row["ended_sequence"] for row in rows]
    assert ends == sorted(ends, key=lambda sequence: sequence or 2**62), "in the order in which they ended"


def end_of(event):
    if isinstance(event, m.Canceled):
        return "CANCELED", CancelReason(event.reason).name, 0
    if isinstance(event, m.Expired):
        return "EXPIRED", None, 0
    return ("FILLED", None, 0) if event.leaves == 0 else ("OPEN", None, event.leaves)


def check_refusals(rows, refusals):
    assert len(rows) == len(refusals)
    for row, (one, event) in zip(rows, refusals, strict=True):
        assert (row["end"], row["reason"]) == ("REJECTED", RejectReason(event.reason).name)
        assert row["entered_sequence"] == row["ended_sequence"] == one.sequence
        columns = memoryview(one.row).cast("q")
        sent = {
            "session": 3,
            "instrument": 6,
            "account": 7,
            "client_order_id": 8,
            "price": 9,
            "quantity": 10,
            "expires": 11,
        }
        assert {name: row[name] for name in sent} == {name: columns[at] for name, at in sent.items()}


DEPTH = 3


def shown(row):
    """The levels of an exported book: price, quantity, orders of bids and asks."""
    sides = []
    for side in ("bid", "ask"):
        names = [[f"{side}_{what}_{n}" for what in ("price", "quantity", "orders")] for n in range(1, DEPTH + 1)]
        found = [tuple(row[name] for name in level) for level in names]
        kept = [level for level in found if level[0] is not None]
        assert found == kept + [(None, None, None)] * (DEPTH - len(kept))
        sides.append(kept)
    return sides


@pytest.mark.parametrize("every", ["1row", "7rows", "3us", "1s"])
def test_books_are_those_of_the_model_at_every_moment(journal, every):
    """After each row before which a moment lies: every instrument that is listed by then, with its state."""
    step = {"1row": 1, "7rows": 7, "3us": 3_000, "1s": 10**9}[every]
    wanted, last = [], None
    for one in told(journal):
        moment = -(-(one.sequence if "row" in every else one.time) // step) * step
        if last is not None and last[0]["moment"] != moment:
            wanted += last
        states = one.model.instrument_states
        last = [
            {
                "moment": moment, "sequence": one.sequence, "time": one.time, "instrument": number,
                "levels": [levels(one.model, number, side)[:DEPTH] for side in Side],
                "trading_state": max(one.model.venue_state, states.get(number, 1)),
            }
            for number in sorted(one.model.instruments)
        ] or [{"moment": moment, "nothing": True}]  # fmt: skip
    wanted = [row for row in [*wanted, *last] if "nothing" not in row]
    rows = export(journal, "books", "--every", every, "--depth", DEPTH)
    assert len(rows) == len(wanted)
    states = {"OPEN": 1, "CANCEL_ONLY": 2, "HALTED": 3}
    for row, one in zip(rows, wanted, strict=True):
        assert {name: row[name] for name in ("moment", "sequence", "time", "instrument")} == {
            name: one[name] for name in ("moment", "sequence", "time", "instrument")
        }
        assert shown(row) == one["levels"], one["sequence"]
        assert states[row["trading_state"]] == one["trading_state"]


@pytest.mark.parametrize("every", [f"{2**61 - 1}rows", f"{2**61 - 1}ns"])
def test_books_as_far_apart_as_may_be(venue, every):
    """One moment behind all rows, which fits into 64 bits."""
    rows = export(venue, "books", "--every", every)
    assert [(row["moment"], row["sequence"]) for row in rows] == [(2**61 - 1, ROWS)]


@pytest.mark.both
def test_books_are_those_of_the_engine_at_those_moments(tmp_path):
    (seed,) = seeds(1)
    journal = random_journal(tmp_path / "venue", seed, 200)
    rows = export(journal, "books", "--every", "40rows", "--depth", DEPTH)
    with reading(journal) as directory:
        for row in rows:
            book = Book.of_state(machine_at(directory, row["sequence"]).rows(), row["instrument"])
            assert shown(row) == [
                [(level.price, level.quantity, len(level.orders)) for level in book.levels(side, DEPTH)]
                for side in Side
            ], f"seed {seed}, row {row['sequence']}"


# ---- ranges, symbols and kinds


@pytest.fixture(scope="module")
def day(tmp_path_factory):
    (seed,) = seeds(1)
    return random_journal(tmp_path_factory.mktemp("day") / "venue", seed, 300)


@pytest.mark.parametrize("what", ["commands", "events", "executions"])
def test_parts_put_together_are_the_whole(day, what):
    with reading(day) as directory:
        head = directory.head().sequence
    cuts = [1, 2, head // 3, head // 2, head]
    rows = []
    for first, after in zip(cuts, [*cuts[1:], head + 1], strict=True):
        rows += export(day, what, "--from", first, "--upto", after - 1)
    assert rows == export(day, what)


def test_times_name_the_rows_that_are_stamped_within_them(day):
    whole = export(day, "commands")
    for since, until in ((whole[40], whole[90]), (whole[0], whole[-1]), (whole[5], whole[5])):
        rows = export(day, "commands", "--since", since["time"], "--until", until["time"])
        assert rows == [row for row in whole if since["time"] <= row["time"] <= until["time"]]
    assert export(day, "commands", "--since", whole[-1]["time"] + 1) == []
    assert export(day, "commands", "--until", whole[0]["time"] - 1) == []
    assert export(day, "events", "--until", whole[0]["time"] - 1) == []


def test_books_of_a_range_begin_with_what_stood_before(day):
    whole = export(day, "books", "--every", "1row", "--depth", DEPTH)
    part = export(day, "books", "--every", "1row", "--depth", DEPTH, "--from", 150, "--upto", 160)
    assert part == [row for row in whole if 150 <= row["sequence"] <= 160]


def test_orders_that_stood_before_a_range_are_told_without_their_entry(day):
    whole = {row["order_number"]: row for row in export(day, "orders") if row["order_number"]}
    part = {row["order_number"]: row for row in export(day, "orders", "--from", 200) if row["order_number"]}
    assert part.keys() == {
        number for number, row in whole.items() if row["ended_sequence"] is None or row["ended_sequence"] >= 200
    }
    same = ("symbol", "account", "session", "side", "order_type", "time_in_force", "post_only", "expires", "end",
            "executed", "leaves", "last_price", "client_order_id", "ended_sequence", "reason")  # fmt: skip
    stood = 0
    for number, row in part.items():
        if whole[number]["entered_sequence"] >= 200:
            assert row == whole[number]
            continue
        stood += 1
        assert {name: row[name] for name in same} == {name: whole[number][name] for name in same}
        assert {row[name] for name in ("entered_sequence", "entered_time", "price", "quantity", "price_display")} == {
            None
        }
    assert stood > 0


@pytest.mark.parametrize("what", ["executions", "orders", "books"])
def test_a_symbol_narrows_a_table_to_one_instrument(day, what):
    whole = export(day, what)
    rows = export(day, what, "--symbol", "EUR/USD")
    assert rows == [row for row in whole if row["symbol"] == "EUR/USD"]
    assert 0 < len(rows) < len(whole)


def test_kinds_narrow_rows_and_columns(day):
    whole = export(day, "events")
    rows = export(day, "events", "--kind", "Executed", "--kind", "Settled")
    assert [named(row) for row in rows] == [named(row) for row in whole if row["kind"] in {"Executed", "Settled"}]
    assert [*rows[0]] == [
        "kind", "sequence", "time", "time_utc", "session", "outbound", "flags", "instrument", "account",
        "client_order_id", "price", "quantity", "order_number", "leaves", "match_number", "drop_copy", "market_data",
        "buyer", "seller", "base_amount", "quote_amount", "buyer_fee", "seller_fee", "buyer_drop_copy",
        "seller_drop_copy",
    ]  # fmt: skip
    rows = export(day, "commands", "--kind", "MassCancel")
    assert [named(row) for row in rows] == [
        named(row) for row in export(day, "commands") if row["kind"] == "MassCancel"
    ]
