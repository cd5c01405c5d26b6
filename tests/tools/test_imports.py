"""What an import makes of small sources, and that it leaves nothing behind when it does not finish."""

import json
import struct

import pytest

from tests.tools.conftest import ask, ask_json, run
from tools.importing import writing as importing

BIG = 2**39


def orders(folder, commands, seed=(), meta=None):
    folder.mkdir()
    (folder / "commands.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in commands))
    if seed:
        (folder / "seed.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in seed))
    if meta:
        (folder / "meta.json").write_text(json.dumps(meta))
    return folder


def new(name, side, price, quantity, tif="GTC", time=1_000):
    return {"c": "new", "id": name, "s": side, "p": price, "q": quantity, "tif": tif, "t": time}


SEED = [
    {"id": 1, "s": "B", "p": 990, "q": 5},
    {"id": 2, "s": "B", "p": 990, "q": 6},
    {"id": 3, "s": "S", "p": 1_010, "q": 7},
]
FLOW = [
    new(4, "S", 1_005, 10),
    new("T1", "B", 1_010, 12, "IOC"),
    {"c": "reduce", "id": 1, "q": 2, "t": 1_001},
    {"c": "cancel", "id": 99, "t": 2_000},
]


@pytest.mark.both
def test_orders_become_a_journal(tmp_path):
    flow = orders(tmp_path / "flow", FLOW, SEED, {"price_unit": "USD/100", "symbol": "XYZ"})
    summary = ask_json("import", "orders", flow, "--journal", tmp_path / "venue")
    assert (summary["commands"], summary["executions"], summary["rejections"]) == (4, 2, {"UNKNOWN_ORDER": 1})
    assert summary["digest"] == ask_json("replay", tmp_path / "venue")["event_digest"]
    fills = ask_json("fills", tmp_path / "venue")
    assert [(fill["n"], fill["m"], fill["p"], fill["q"]) for fill in fills] == [(1, 4, 1_005, 10), (1, 3, 1_010, 2)]
    book = ask_json("book", tmp_path / "venue", "XYZ", "--orders")
    assert [(o["client_order_id"], o["quantity"]) for o in book["bids"][0]["orders"]] == [(1, 3), (2, 6)]
    assert book["price_decimals"] == 2
    assert ask("verify", tmp_path / "venue").splitlines()[-2] == "sound"


def test_rows_keep_numbers_ids_and_times(tmp_path):
    flow = orders(tmp_path / "flow", FLOW, SEED)
    ask("import", "orders", flow, "--journal", tmp_path / "venue")
    rows = ask_json("dump", tmp_path / "venue")
    assert [(row["session"], row["inbound"]) for row in rows[-7:]] == [
        (2, 1),
        (2, 2),
        (2, 3),
        (1, 1),
        (1, 2),
        (1, 3),
        (1, 4),
    ]
    assert [row["client_order_id"] for row in rows[-7:]] == [1, 2, 3, 4, -2, 1, 99]
    assert [row["time"] for row in rows[:-4]] == list(range(1, len(rows) - 3))
    assert [row["time"] for row in rows[-4:]] == [1_000, 1_001, 1_002, 2_000]


def test_summary_is_one_line(tmp_path):
    flow = orders(tmp_path / "flow", FLOW, SEED)
    said = ask("import", "orders", flow, "--journal", tmp_path / "venue", "--symbol", "XYZ")
    digest = ask_json("replay", tmp_path / "venue")["event_digest"]
    assert said == f"XYZ: 4 commands, 2 executions, 1 UNKNOWN_ORDER rejections, digest {digest}\n"


@pytest.mark.both
def test_money_is_scaled_so_that_no_order_lacks_it(tmp_path):
    """Twenty orders of 2^61 each are far more than any sum may hold: the divisor makes room."""
    buys = [new(number, "B", 2**22, BIG) for number in range(1, 21)]
    sells = [new(100 + number, "S", 2**22, BIG) for number in range(1, 21)]
    summary = ask_json("import", "orders", orders(tmp_path / "flow", buys + sells), "--journal", tmp_path / "venue")
    assert (summary["executions"], summary["rejections"]) == (20, {})
    ask("replay", tmp_path / "venue", "--check")
    rows = ask_json("dump", tmp_path / "venue")
    assert next(row for row in rows if row["kind"] == "DefineInstrument")["divisor"] == 11
    assert all(row["amount"] < 2**62 for row in rows if row["kind"] == "Deposit")


def test_what_no_venue_can_take_is_counted_by_reason(tmp_path):
    flow = [new(1, "B", 2**40, 1), new(2, "B", 2**30, 2**39), new(0, "B", 1, 1), new(3, "B", 1, 0), new(4, "B", 1, 1)]
    flow += [new(4, "B", 1, 1), {"c": "cancel", "id": 5}]
    summary = ask_json("import", "orders", orders(tmp_path / "flow", flow), "--journal", tmp_path / "venue")
    assert summary["rejections"] == {
        "INVALID_PRICE": 1, "INVALID_NOTIONAL": 1, "MALFORMED": 1, "INVALID_QUANTITY": 1, "UNKNOWN_ORDER": 1,
        "DUPLICATE_CLIENT_ORDER_ID": 1,
    }  # fmt: skip


MESSAGES = """\
34200.5,1,100,10,1000,1
34200.500000001,1,50,5,1000,1
34201,4,40,3,1100,-1
34201,4,101,2,1101,-1
34201,5,0,2,1099,-1
34202.25,2,100,4,1000,1
34203,3,102,6,990,1
34204,7,0,0,-1,-1
"""


def lobster(tmp_path, *options):
    file = tmp_path / "ABC_2012-06-21_message_50.csv"
    file.write_text(MESSAGES)
    summary = ask_json("import", "lobster", file, "--journal", tmp_path / "venue", *options)
    rows = ask_json("dump", tmp_path / "venue")
    return summary, [row for row in rows if row["kind"] in {"EnterOrder", "ReduceOrder", "CancelOrder"}]


def test_messages_become_commands_by_the_rules(tmp_path):
    """40 and 50 are older than the first new order: seed; 101 and 102 come later than every new one and never enter."""
    summary, rows = lobster(tmp_path)
    assert summary["left_out"] == {"hidden executions": 1, "trading halts": 1}
    assert [(row["session"], row["client_order_id"]) for row in rows] == [
        (2, 40), (2, 50), (1, 100), (1, -2), (1, 100), (1, 102),
    ]  # fmt: skip
    incoming = rows[3]
    assert (incoming["price"], incoming["quantity"], incoming["time"]) == (1_101, 5, 34_201 * 10**9)
    assert rows[2]["time"] == 34_200_500_000_000
    assert "ABC" in ask("book", tmp_path / "venue", "ABC")


def test_messages_as_shown(tmp_path):
    _, rows = lobster(tmp_path, "--as-shown", "--symbol", "DEF")
    assert [(row["session"], row["client_order_id"]) for row in rows][:3] == [(2, 40), (1, 100), (1, 50)]


RECORDS = [
    (0, 1, 0, 10, 0, 1, 100), (0, 1, 0, 5, 1, 2, 100), (2, 1, 0, 4, 2, 1, 100), (0, 0, 1, 12, 3, 3, 100),
    (1, 0, 0, 9, 4, 3, 7), (2, 0, 0, 9, 5, 3, 7),
]  # fmt: skip
REPORTS = """\
0,0,1,1,100,10
0,1,1,2,100,5
3,2,1,1,100,4
0,3,0,3,100,12
1,3,100,5,2,3
1,3,100,4,1,3
2,3,0,3,100
4,4,3
5,5,3"""


def test_a_workload_and_its_report_lines(tmp_path):
    """A modified order goes to the back; an immediate order's rest is canceled; what is gone is refused."""
    records = b"".join(struct.pack("<BBBxIQQq8x", *record) for record in RECORDS)
    file = tmp_path / "flow.bin"
    file.write_bytes(struct.pack("<QII", 0x4D4542575F303031, 1, len(RECORDS)) + records)
    ask("import", "flash1", file, "--journal", tmp_path / "venue", "--reports", tmp_path / "reports")
    assert (tmp_path / "reports").read_text() == REPORTS


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError, MemoryError])
def test_an_import_that_breaks_off_leaves_nothing(error, tmp_path, monkeypatch):
    def submit(*_):
        raise error("stop")

    flow = orders(tmp_path / "flow", FLOW, SEED)
    monkeypatch.setattr(importing.Sequencer, "submit", submit)
    result = run("import", "orders", flow, "--journal", tmp_path / "venue")
    assert result.exit_code == (130 if error is KeyboardInterrupt else 1)
    assert [path.name for path in tmp_path.iterdir()] == ["flow"]


def test_an_empty_directory_is_a_place_for_a_journal(tmp_path):
    (tmp_path / "venue").mkdir()
    ask("import", "orders", orders(tmp_path / "flow", FLOW), "--journal", tmp_path / "venue")
    assert ask_json("replay", tmp_path / "venue")["sequence"] == 8 + len(FLOW)


def test_batching_does_not_change_what_is_imported(tmp_path, monkeypatch):
    """One row a batch gives the digests that one batch gives."""
    flow = orders(tmp_path / "flow", FLOW, SEED)
    ask("import", "orders", flow, "--journal", tmp_path / "one")
    monkeypatch.setattr(importing, "BATCH_ROWS", 1)
    ask("import", "orders", flow, "--journal", tmp_path / "many")
    assert ask_json("replay", tmp_path / "one") == ask_json("replay", tmp_path / "many")


@pytest.mark.parametrize("big", [2**63 - 1, 2**62 - 2, 2**40])
def test_orders_beyond_every_bound_need_no_funds(big, tmp_path):
    flow = [*(new(number, side, big, big) for number, side in enumerate("BBBS", start=1)), new(5, "B", 7, 3)]
    summary = ask_json("import", "orders", orders(tmp_path / "flow", flow), "--journal", tmp_path / "venue")
    assert summary["rejections"] == {"INVALID_PRICE": 4}
    rows = ask_json("dump", tmp_path / "venue")
    assert next(row for row in rows if row["kind"] == "DefineInstrument")["divisor"] == 1
    assert [row["amount"] for row in rows if row["kind"] == "Deposit"] == [1, 21]


EXCESSES = """\
1,1,100,10,1000,1
2,1,100,10,1000,1
3,2,100,4,1000,1
4,4,100,7,1000,1
5,1,101,5,1000,1
6,2,101,6,1000,1
"""


def test_what_a_message_file_takes_too_often_is_counted(tmp_path):
    file = tmp_path / "ABC.csv"
    file.write_text(EXCESSES)
    said = ask("import", "lobster", file, "--journal", tmp_path / "venue")
    told = "1 executions beyond the order, 1 reductions beyond the order, 1 repeated submissions"
    assert said.startswith("ABC: ")
    assert said.endswith(f"; left out: {told}\n")
