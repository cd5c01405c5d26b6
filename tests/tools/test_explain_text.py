"""What `lockstep explain` prints of a small session, for people and as JSON; its errors; and that asking changes nothing."""

import json
import random
import re
import shutil
from itertools import pairwise

import pytest

from core import messages as m
from core.kinds import HIDDEN, POST_ONLY, OrderType, TimeInForce
from core.kinds import Step as Sharing
from core.limits import QUANTITY_MAX
from core.messages import CancelOrder, Deposit
from core.rows import pack_halves, to_row
from core.state import SEMANTICS
from journal.directory import JournalDirectory
from replicas.opening import create, resume
from tests.tools.conftest import FIRST, LIMIT_GTC, NINE, ROWS, SELL, SET_UP, ask, ask_json, flip, of, order, run
from tools.causes.account import Ledger
from tools.causes.rest import LINES_MAX, Step, Summary
from tools.reading import machine_at, opened

# ---- summaries


@pytest.mark.parametrize("side", [0, 1])
@pytest.mark.parametrize("count", [1, 7, 15, 16, 17, 1_000])
def test_a_summary_is_short_and_loses_no_change(side, count):
    rng = random.Random(count)
    prices = [rng.choice((None, *range(90, 110))) for _ in range(count)]
    steps = [Step(n, 10 * n, price, 5, rng.randrange(9), 0, 0, 0) for n, price in enumerate(prices, start=1)]
    summary = Summary(side)
    for step in steps:
        summary.add(step)
    assert sum(span.changes for span in summary.spans) == summary.changes == count
    changed = 1 + sum(one.price != other.price for one, other in pairwise(steps))
    assert sum(span.prices for span in summary.spans) == changed
    assert min(changed, LINES_MAX) <= len(summary.spans) < 2 * LINES_MAX
    assert (summary.spans[0].first, summary.spans[-1].last) == (steps[0], steps[-1])
    assert all(one.last.sequence + 1 == other.first.sequence for one, other in pairwise(summary.spans))
    best = (max if side else min)((price for price in prices if price is not None), default=None)
    want = next((step for step in steps if step.price == best), None) if best is not None else None
    assert summary.nearest() == want


# ---- what is printed


def lines(*arguments):
    return ask("explain", *arguments).splitlines()


ORDER_2 = """\
order 2 of account 1 in AAA/USD
09:00:01.000000000 row 13: EnterOrder by session 1, inbound 2: sell 2.0 at 100.50, LIMIT GTC, AAA/USD, account 1, client order id 12
    needs 20 AAA; 999999999970 AAA available
    there is no bid
    accepted as order 2, 2.0
    rests at 100.50 behind 1 order with 3.0
09:00:03.000000000 row 15: EnterOrder by session 2, inbound 1: buy 3.5 at 100.50, LIMIT GTC, AAA/USD, account 2, client order id -1
    moved forward: order 1 of account 1 executed, 3.0 less ahead; first in the queue
    executed 0.5 at 100.50 as the resting side, match 2 with order 4 of account 2; 1.5 open
09:00:05.000000000 row 17: ReplaceOrder by session 1, inbound 5: total 2.0 at 100.60, AAA/USD, account 1, client order id 14, until now 12
    replaced: 1.5 at 100.60 open, client order id 14; it leaves its place
    rests at 100.60 first in the queue
while it rested at 100.50, row 13 to row 17: 3 changes of what stood against it
  09:00:01.000000000 row 13: no bid; 1 order with 3.0 ahead
  09:00:02.000000000 to 09:00:03.000000000, rows 14 to 15, 2 changes: best bid 99.90 x 4.0, 0.60 away; 1 order with 3.0 ahead; in the end nobody before it
while it rested at 100.60, row 17 to row 20, and on: 1 change of what stood against it
  09:00:05.000000000 row 17: best bid 99.90 x 3.0, 0.70 away; nobody before it
open after row 20: 0.5 executed, 1.5 open
    nearest bid 99.90 x 4.0, 0.60 away, at row 14; needed a buy at 100.50 or higher
    3.0 traded ahead of it at its price
    in the end nobody before it"""

MATCH_1 = """\
match 1: 3.0 at 100.50 AAA/USD, row 15, 09:00:03.000000000
  caused by EnterOrder by session 2, inbound 1: buy 3.5 at 100.50, LIMIT GTC, AAA/USD, account 2, client order id -1
  resting order 1, account 1, session 1, client order id 11: sell at 100.50, LIMIT GTC; 0.0 open afterwards
  incoming order 4, account 2, session 2, client order id -1: buy at 100.50, LIMIT GTC; 0.5 open afterwards
  why at 100.50: that is the resting order's price; the incoming order took 100.50 or less
  why order 1: 100.50 was the best ask, and the order the first of 2 orders with 5.0:
      order 1 of account 1, 3.0
      order 2 of account 1, 2.0
  amount: 30 AAA for 3015.00 USD (10050 ticks × 30 lots × 1 / 1, exact)
  maker fee 0.00 USD at 0.0000 %
  taker fee 0.00 USD at 0.0000 %
  account 2: settlement match 1 order 4: +30 AAA, balance 1000000000030 AAA, reserved 0 AAA
  account 2: settlement match 1 order 4: -3015.00 USD, reserved -3015.00 USD, balance 9999996985.00 USD, reserved 502.50 USD
  account 1: settlement match 1 order 1: -30 AAA, reserved -30 AAA, balance 999999999970 AAA, reserved 20 AAA
  account 1: settlement match 1 order 1: +3015.00 USD, balance 10000003015.00 USD, reserved 3996.00 USD"""

COMMAND_18 = """\
09:00:06.000000000 row 18: CancelOrder by session 1, inbound 6: AAA/USD, account 1, client order id 99
  refused: UNKNOWN_ORDER (140): the account has no live order of this client order id in this instrument
  client order id 99; account 1 has 2 live in AAA/USD"""

ACCOUNT_1 = """\
09:00:03.000000000 row 15 opening: balance 999999999965 AAA, reserved 15 AAA
09:00:03.000000000 row 15 opening: balance 10000003517.50 USD, reserved 3996.00 USD
09:00:04.000000000 row 16 ReduceOrder by session 1: release order 3: reserved -999.00 USD, balance 10000003517.50 USD, reserved 2997.00 USD
09:00:04.000000000 row 16 closing: balance 999999999965 AAA, reserved 15 AAA
09:00:04.000000000 row 16 closing: balance 10000003517.50 USD, reserved 2997.00 USD"""


@pytest.mark.both
@pytest.mark.parametrize(
    ("asked", "printed"),
    [
        (["order", 2], ORDER_2),
        (["match", 1], MATCH_1),
        (["command", 18], COMMAND_18),
        (["account", 1, "--from", 16, "--to", 16], ACCOUNT_1),
    ],
    ids=["order", "match", "command", "account"],
)
def test_what_is_printed_of_a_small_session(venue, asked, printed):
    assert "\n".join(lines(venue, *asked)) == printed


def test_json_holds_what_is_printed_and_more(venue):
    told = ask_json("explain", venue, "order", 2)
    assert (told["order_number"], told["upto"], told["executed"], told["leaves"], told["end"]) == (2, ROWS, 5, 15, None)
    assert [stay["price"] for stay in told["rests"]] == [10_050, 10_060]
    assert [step["sequence"] for step in told["rests"][0]["steps"]] == [FIRST + 1, FIRST + 2, FIRST + 3]
    assert told["rests"][0]["nearest"]["distance"] == 60
    assert ask_json("explain", venue, "match", 1)["queue"][1]["order_number"] == 2
    assert ask_json("explain", venue, "command", 18)["refused"]["reason"] == "UNKNOWN_ORDER"
    entries = ask_json("explain", venue, "account", 1)
    assert entries[0]["cause"] == "deposit"
    assert [json.loads(line) for line in ask("explain", venue, "account", 1, "--jsonl").splitlines()] == entries
    closing = {e["currency"]: (e["balance"], e["reserved"]) for e in entries if e["cause"] == "closing"}
    assert closing == {1: (999_999_999_965, 15), 2: (1_000_000_351_750, 0)}


def more(venue, *commands):
    """Go on with the venue."""
    directory, sequencer = resume(venue)
    for command in commands:
        sequencer.submit(to_row(command), 1)
    sequencer.events.close()
    directory.close()


def flags(side, tif):
    return side | 2 << 1 | tif << 5


def test_an_order_that_did_not_trade_says_what_it_needed(venue):
    """Five kinds of an order that came to nothing, and what each lacked."""
    more(
        venue,
        m.EnterOrder(**of(2, 3, 31), flags=flags(0, TimeInForce.IOC), price=10_000, quantity=30),
        m.EnterOrder(**of(2, 4, 32), flags=flags(0, TimeInForce.FOK), price=10_060, quantity=30),
        m.EnterOrder(**of(2, 5, 33), flags=1 << 1 | TimeInForce.FOK << 5, quantity=30),
        m.EnterOrder(**of(2, 6, 34), flags=flags(0, TimeInForce.GTC), price=10_000_000, quantity=1),
        m.EnterOrder(**of(2, 7, 35), flags=flags(SELL, TimeInForce.GTC), price=10_000, quantity=1_050_000_000_000),
    )
    told = "\n".join(lines(venue, "order", 6))
    assert "it found no more to trade with on entry: needed a sell at 100.00 or lower" in told
    assert "best ask 100.60 x 1.5; in reach of its price: 0.0 of 0 orders" in told
    assert "it could not be filled in full on entry: 1.5 in reach, 3.0 needed" in "\n".join(lines(venue, "order", 7))
    assert "it could not be filled in full on entry: 1.5 in reach, 3.0 needed" in "\n".join(lines(venue, "order", 8))
    assert lines(venue, "command", ROWS + 4)[-1] == "  price 100000.00; 0.01 to 10000.00"
    funds = "  needed 1050000000000 AAA; available 1000000000035 AAA of 1000000000035 AAA, 0 AAA reserved"
    assert lines(venue, "command", ROWS + 5)[-1] == funds


def test_a_deposit_keeps_the_reason_of_its_operator(venue):
    more(venue, Deposit(account=2, currency=1, amount=5, reason="fat finger"))
    told = lines(venue, "account", 2, "--from", ROWS + 1)
    assert f"row {ROWS + 1} Deposit by session 0: deposit (fat finger): +5 AAA, balance " in told[2]


def test_a_cancel_that_came_too_late(venue):
    more(venue, CancelOrder(**of(1, 8, 11)), CancelOrder(**of(1, 9, 12)), CancelOrder(**of(1, 10, 13)))
    more(venue, order(1, 11, 11, 0, 9_000, 1), CancelOrder(**of(1, 12, 11)), CancelOrder(**of(1, 13, 11)))
    last = lines(venue, "command", ROWS + 6)[-1]
    assert last == f"  order 6 had that client order id: canceled at row {ROWS + 5}"
    late = [lines(venue, "command", ROWS + n)[-1] for n in (1, 2, 3)]
    assert late == [
        f"  order 1 had that client order id: filled at row {FIRST + 3}",
        f"  order 2 had that client order id: replaced under another client order id at row {FIRST + 5}",
        f"  order 3 had that client order id: canceled at row {ROWS}",
    ]


def test_many_moves_in_a_row_are_counted(venue):
    """The middle of a long run of rows that only moved an order forward stands on one line."""
    more(venue, *(order(1, 8 + n, 50 + n, 0, 9_980, 10) for n in range(9)))
    more(venue, order(2, 3, 31, 0, 9_980, 10))
    more(venue, *(CancelOrder(**of(1, 17 + n, 50 + n)) for n in range(9)))
    told = lines(venue, "order", 15)
    assert "    rests at 99.80 behind 9 orders with 9.0; 1 order with 0.7 at better prices" in told
    counted = "    ... 4 more rows moved it forward: 4 canceled; then behind 1 order with 1.0"
    assert [line for line in told if "moved" in line and "row" in line] == [counted]
    assert sum(line.startswith("    moved forward: ") for line in told) == 5


def test_an_order_that_is_replaced_pays_by_the_rates_of_its_entry(venue):
    """The fee rates of the instrument were changed after the order entered; by its replace it takes."""
    dear = m.DefineInstrument(
        instrument=1, symbol="AAA/USD", flags=2 | 1 << 8, currencies=pack_halves(1, 2), price_max=1_000_000,
        quantity_max=QUANTITY_MAX, fee_rates=pack_halves(50_000, 100_000),
    )  # fmt: skip
    crossing = m.ReplaceOrder(**of(2, 3, 21), price=10_060, quantity=7, original_client_order_id=21)
    more(venue, dear, crossing, order(2, 4, 22, 0, 10_060, 8))
    old, new = (ask_json("explain", venue, "match", number) for number in (3, 4))
    assert (old["incoming"]["rate"], old["incoming"]["fee"]) == (0, 0)
    assert (new["incoming"]["rate"], new["incoming"]["fee"]) == (100_000, 8_048)
    assert (new["resting"]["rate"], new["resting"]["fee"]) == (0, 0)


def test_entries_that_do_not_sum_up_are_an_error(venue, monkeypatch):
    monkeypatch.setattr(Ledger, "_settled", lambda *_: iter(()))
    result = run("explain", venue, "account", 1)
    assert result.exit_code == 1
    assert result.stderr == (
        "lockstep: account 1, currency 1: the entries sum up to 1000000000000 with 50 reserved,"
        " the engine holds 999999999965 with 15 reserved\n"
    )


# ---- errors


def refused(code, *arguments):
    result = run("explain", *arguments)
    assert (result.exit_code, result.stdout) == (code, ""), result.output
    assert isinstance(result.exception, SystemExit)
    (line,) = result.stderr.splitlines()
    assert line.startswith("lockstep: ")
    return line


MISUSES = [
    (["order", 6], f"no order 6 at row {ROWS}; numbers so far: 1 to 5"),
    (["order", 1, "--at", FIRST - 1], f"no order 1 at row {FIRST - 1}; no order was made so far"),
    (["match", 3], f"no match 3 at row {ROWS}; numbers so far: 1 to 2"),
    (["account", 3], f"no account 3 at row {ROWS}; known: 1, 2"),
    (["account", 3, "--json"], f"no account 3 at row {ROWS}; known: 1, 2"),
    (["account", 1, "--to", 0], "no account 1 at row 0; known: none"),
    (["command", ROWS + 1], f"no command {ROWS + 1}: rows 1 to {ROWS}"),
    (["command", 0], "NUMBER"),
    (["order", "x"], "NUMBER"),
    (["trade", 1], "trade"),
    (["order"], "NUMBER"),
    (["order", 1, "--at", ROWS + 1], f"--at {ROWS + 1}: this journal holds the rows 0 to {ROWS}"),
    (["account", 1, "--to", ROWS + 1], f"--to {ROWS + 1}: this journal holds the rows 0 to {ROWS}"),
    (["account", 1, "--from", 0], f"--from 0: rows 1 to {ROWS}"),
    (["account", 1, "--from", 5, "--to", 4], "--from 5: rows 1 to 4"),
    (["account", 1, "--at", 4, "--to", 4], "--at and --to exclude each other"),
    (["account", 1, "--json", "--jsonl"], "--json and --jsonl exclude each other"),
    (["order", 1, "--from", 4], "--from, --to and --jsonl go with an account"),
    (["match", 1, "--jsonl"], "--from, --to and --jsonl go with an account"),
]


@pytest.mark.parametrize(("arguments", "said"), MISUSES, ids=lambda value: " ".join(map(str, value))[:40])
def test_misuse(arguments, said, venue):
    assert said in refused(64, venue, *arguments)


SUBJECTS = ["order", "match", "account", "command"]


@pytest.mark.parametrize("subject", SUBJECTS)
@pytest.mark.parametrize("what", ["missing", "empty", "foreign", "file"])
def test_not_a_journal(subject, what, tmp_path):
    path = tmp_path / "there"
    if what == "file":
        path.write_text("x")
    elif what != "missing":
        path.mkdir()
    if what == "foreign":
        (path / "notes.txt").write_text("x")
    assert "no journal here" in refused(2, path, subject, 1)


@pytest.mark.parametrize("subject", SUBJECTS)
def test_damage_is_one_line(subject, venue):
    shutil.rmtree(venue / "snapshots")
    flip(venue / "segments" / f"{1:020}" / "data.mdb", (10_050).to_bytes(8, "little"))
    number = FIRST if subject == "command" else 1
    result = run("explain", venue, subject, number)
    assert result.exit_code == 1
    assert re.match("lockstep: batch .*: its hash is not that of its bytes", result.stderr.splitlines()[-1])


def test_an_order_of_a_segment_that_this_release_does_not_apply(venue, monkeypatch):
    with opened(venue) as journal:
        state = machine_at(journal, ROWS).rows()
    directory = JournalDirectory(venue, write=True)
    directory.roll(state, semantics=SEMANTICS + 1, epoch=1)
    directory.close()
    shutil.rmtree(venue / "snapshots")
    monkeypatch.setattr("tools.reading.SEMANTICS", SEMANTICS + 1)
    monkeypatch.setattr("replicas.replay.SEMANTICS", SEMANTICS + 1)
    said = f"segment 1: semantics {SEMANTICS}; this release applies {SEMANTICS + 1}"
    for subject in ("order", "match", "command"):
        assert said in refused(1, venue, subject, 1)
    # What came before stands in the state of the segment.
    assert [entry["cause"] for entry in ask_json("explain", venue, "account", 1)] == ["opening"] * 2 + ["closing"] * 2


def files(path):
    return {file: file.read_bytes() for file in path.rglob("*") if file.is_file() and file.name != "lock.mdb"}


@pytest.mark.parametrize("subject", SUBJECTS)
def test_asking_changes_nothing(subject, venue):
    before = files(venue)
    ask("explain", venue, subject, 1)
    assert files(venue) == before


def test_asking_works_beside_a_writer(venue, in_another_process):
    with in_another_process(venue):
        for subject in SUBJECTS:
            ask("explain", venue, subject, 1)


def test_help_has_an_example():
    assert "Example: lockstep explain venue order 17" in " ".join(ask("explain", "--help").split())


def test_a_match_of_a_level_that_steps_share_says_so(tmp_path):
    """The largest order trades first, then the older one: no match is of the first of the queue alone."""
    directory, sequencer = create(tmp_path / "venue")
    asks = order(1, 1, 11, SELL, 10_050, 2), order(1, 2, 12, SELL, 10_050, 5)
    steps = m.SetAllocation(instrument=1, step_1=Sharing.LARGEST)
    sequencer.submit(b"".join(map(to_row, (*SET_UP, steps, *asks, order(2, 1, 21, 0, 10_050, 3)))), NINE)
    sequencer.close_batch()
    sequencer.events.close()
    directory.close()
    told = "\n".join(lines(tmp_path / "venue", "match", 1))
    assert "why order 2: 100.50 was the best ask, and the steps of the instrument share it among 2 orders with " in told
    assert [one["order_number"] for one in ask_json("explain", tmp_path / "venue", "match", 1)["queue"]] == [1, 2]


def test_a_refusal_is_told_with_what_it_met_and_not_with_what_its_row_left(tmp_path):
    """A batch leaves a trigger to the row behind it, which is refused first; then the stop takes the ask, and is the best bid."""
    directory, sequencer = create(tmp_path / "venue")
    gtc = OrderType.STOP_LIMIT << 1 | TimeInForce.GTC << 5
    stop = m.EnterOrder(**of(2, 1, 21), flags=gtc, price=10_055, quantity=9, trigger_price=10_050)
    part = m.Detail(session=2, inbound=4, instrument=1, client_order_id=23, flags=LIMIT_GTC, price=10_050, quantity=3)
    batch = m.EnterBatch(session=2, inbound=3, account=2, parts=1), part
    post = order(1, 2, 12, SELL, 9_990, 4)
    post = m.EnterOrder(
        **{name: getattr(post, name) for name in post.__struct_fields__} | {"flags": post.flags | POST_ONLY}
    )
    for rows in ((*SET_UP, order(1, 1, 11, SELL, 10_050, 5), stop, order(2, 2, 22, 0, 9_990, 1)), batch, (post,)):
        sequencer.submit(b"".join(map(to_row, rows)), NINE)
    sequencer.close_batch()
    sequencer.events.close()
    directory.close()
    last = len(SET_UP) + 6
    said = ask("explain", tmp_path / "venue", "command", last)
    assert "order_number=2 leaves=9 trigger_price=10050" in said
    assert "best opposite price 99.90" in said
    assert "best opposite price 100.55" not in said


def test_a_command_that_is_given_up_is_no_refusal_of_the_row_that_did_it(tmp_path):
    directory, sequencer = create(tmp_path / "venue")
    head = m.EnterBatch(session=2, inbound=1, account=2, parts=1)
    for rows in ((*SET_UP, order(1, 1, 11, SELL, 10_050, 5), head), (m.ReduceOrder(**of(1, 2, 11), quantity=2),)):
        sequencer.submit(b"".join(map(to_row, rows)), NINE)
    sequencer.close_batch()
    sequencer.events.close()
    directory.close()
    told = ask_json("explain", tmp_path / "venue", "order", 1)
    assert [item["kind"] for row in told["life"] for item in row["what"]] == ["accepted", "rests", "reduced"]
    said = ask_json("explain", tmp_path / "venue", "command", len(SET_UP) + 3)
    assert said["refused"] is None
    assert [event["event"]["kind"] for event in said["events"]] == ["Rejected", "Reduced"]


def test_a_match_of_a_batch_knows_no_order_that_arrives_later(tmp_path):
    """A hidden sell of the batch stands at a better price than the one that the first order of the batch meets."""
    directory, sequencer = create(tmp_path / "venue")
    parts = ((22, LIMIT_GTC, 10_050), (23, LIMIT_GTC | SELL | HIDDEN, 10_040))
    rows = [
        m.Detail(session=2, inbound=at, instrument=1, client_order_id=client, flags=bits, price=price, quantity=3)
        for at, (client, bits, price) in enumerate(parts, start=2)
    ]
    head = m.EnterBatch(session=2, inbound=1, account=2, parts=2)
    for batch in ((*SET_UP, order(1, 1, 11, SELL, 10_050, 3)), (head, *rows)):
        sequencer.submit(b"".join(map(to_row, batch)), NINE)
    sequencer.close_batch()
    sequencer.events.close()
    directory.close()
    told = ask_json("explain", tmp_path / "venue", "match", 1)
    assert [one["order_number"] for one in told["queue"]] == [1]
