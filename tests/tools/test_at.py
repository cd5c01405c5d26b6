"""`lockstep at` and `lockstep index`: what they print, for people and as JSON, and how they refuse."""

import re
import shutil

import pytest

from core.rows import to_row
from journal import snapshots
from journal.directory import segment_name
from tests.tools.conftest import FIRST, NINE, ROWS, TRADING, ask, ask_json, flip, run
from tests.tools.told_moments import files

GONE = {"order_number": 1, "client_order_id": 11, "account": 1, "session": 1, "instrument": "AAA/USD", "side": "SELL"}
SHOWN = {
    "price_decimals": 2, "quantity_decimals": 1, "over": False, "instructions": [], "display": 0, "trigger_price": 0,
    "offset": 0, "limit": 0,
}  # fmt: skip


def test_a_book_is_the_one_that_the_other_command_shows(venue):
    for row in (FIRST - 1, FIRST + 2, FIRST + 5, ROWS):
        for more in ([], ["--orders"], ["--depth", 1]):
            assert ask_json("at", venue, row, "book", "AAA/USD", *more) == ask_json(
                "book", venue, "AAA/USD", "--at", row, *more
            )
            drawn = ask("book", venue, "AAA/USD", "--at", row, *more)
            assert ask("at", venue, row, "book", "AAA/USD", *more) == drawn


def test_a_live_order(venue):
    found = ask_json("at", venue, FIRST + 2, "order", 2)
    assert found == {
        "sequence": FIRST + 2, "time": NINE + 2 * 10**9, "order_number": 2, "fate": "live",
        "order": GONE | SHOWN | {
            "order_number": 2, "client_order_id": 12, "order_type": "LIMIT", "time_in_force": "GTC", "post_only": False,
            "price": 10_050, "leaves": 20, "executed": 0, "expires": 0, "where": "in the book", "shown": 20,
        },
        "place": {"orders_ahead": 1, "quantity_ahead": 30}, "ended": None,
    }  # fmt: skip
    drawn = ask("at", venue, FIRST + 2, "order", 2)
    assert f"order 2 after row {FIRST + 2}, 09:00:02.000000000" in drawn
    assert "1 orders with 3.0" in drawn
    assert "100.50" in drawn


def test_an_order_that_was_executed(venue):
    found = ask_json("at", venue, "09:00:05", "order", 1)
    assert found["fate"] == "executed"
    assert found["order"] == GONE | SHOWN | {
        "order_type": "LIMIT", "time_in_force": "GTC", "post_only": False, "price": 10_050, "leaves": 0, "executed": 30,
        "expires": 0, "where": None, "shown": 0,
    }  # fmt: skip
    ended = {"sequence": FIRST + 3, "time": NINE + 3 * 10**9, "open_quantity": 0, "reason": None}
    assert (found["place"], found["ended"]) == (None, ended)
    assert f"executed by row {FIRST + 3}, 09:00:03.000000000" in ask("at", venue, ROWS, "order", 1)


def test_an_order_that_was_canceled(venue):
    found = ask_json("at", venue, "head", "order", 3)
    ended = {"sequence": ROWS, "time": NINE + 8 * 10**9, "open_quantity": 30, "reason": "REQUESTED"}
    assert (found["fate"], found["ended"]) == ("canceled", ended)
    assert "canceled by row" in ask("at", venue, "head", "order", 3)
    assert ask_json("at", venue, ROWS - 1, "order", 3)["fate"] == "live"


def test_an_account(venue):
    found = ask_json("at", venue, FIRST + 3, "account", 1)
    assert (found["name"], found["firm"], found["state"], found["sessions"]) == ("maker", 1, "OPEN", [1])
    assert found["balances"] == [
        {"currency": 1, "symbol": "AAA", "decimals": 0, "total": 10**12 - 35, "reserved": 15, "free": 10**12 - 50},
        {
            "currency": 2, "symbol": "USD", "decimals": 2, "total": 10**12 + 35 * 10_050, "reserved": 40 * 9_990,
            "free": 10**12 + 35 * 10_050 - 40 * 9_990,
        },
    ]  # fmt: skip
    assert [order["order_number"] for order in found["orders"]] == [2, 3]
    drawn = ask("at", venue, FIRST + 3, "account", 1)
    assert "10000003517.50" in drawn
    assert re.search(r"2 +│ +12 │ AAA/USD +│ SELL │ 100.50 │ +1.5 │ +0.5 │ GTC", drawn)


def test_an_instrument(venue):
    found = ask_json("at", venue, FIRST + 4, "instrument", "AAA/USD")
    assert (found["state"], found["price_max"], found["base"], found["quote"]) == ("OPEN", 1_000_000, "AAA", "USD")
    assert found["bid"] == {"price": 9_990, "quantity": 30, "orders": 1}
    assert found["ask"] == {"price": 10_050, "quantity": 15, "orders": 1}
    last = {"price": 10_050, "quantity": 5, "sequence": FIRST + 3, "time": NINE + 3 * 10**9, "match_number": 2}
    assert (found["last"], found["searched_from"]) == (last, 0)
    assert "0.5 at 100.50" in ask("at", venue, FIRST + 4, "instrument", "AAA/USD")
    assert ask_json("at", venue, FIRST, "instrument", "AAA/USD")["last"] is None


def test_sessions(venue):
    found = ask_json("at", venue, FIRST + 5, "session", 1)
    assert found == {
        "sequence": FIRST + 5, "time": NINE + 5 * 10**9, "session": 1, "role": "TRADER", "firm": 0, "accounts": [1],
        "inbound": 5, "outbound": 7, "has_credential": False, "killed": False, "limits": [], "positions": [],
    }  # fmt: skip
    assert "TRADER" in ask("at", venue, FIRST + 5, "session", 1)
    assert ask_json("at", venue, FIRST + 5, "session", 0)["role"] == "OPERATOR"


def test_currencies_and_the_venue(venue):
    found = ask_json("at", venue, ROWS, "currencies")["currencies"]
    assert [(each["symbol"], each["deposited"], each["held"]) for each in found] == [
        ("AAA", 2 * 10**12, 2 * 10**12),
        ("USD", 2 * 10**12, 2 * 10**12),
    ]
    assert "20000000000.00" in ask("at", venue, ROWS, "currencies")
    told, digests = ask_json("at", venue, ROWS, "venue"), ask_json("replay", venue)
    assert {name: told[name] for name in digests} == digests
    assert (told["open_orders"], told["order_numbers"], told["limits"]["levels"]) == (2, 5, 65_536)
    drawn = ask("at", venue, ROWS, "venue")
    assert digests["event_digest"] in drawn
    assert digests["state_digest"] in drawn


@pytest.mark.parametrize("what", [["book", "AAA/USD"], ["order", 2], ["venue"]])
def test_a_moment_by_any_name(venue, what):
    names = [FIRST + 2, "09:00:02", f"@{NINE + 2 * 10**9}", "1970-01-01T09:00:02.5Z", "1970-01-01 10:00:02+01:00"]
    answers = [ask_json("at", venue, name, *what) for name in names]
    assert all(answer == answers[0] for answer in answers)
    assert ask_json("at", venue, "head", *what) == ask_json("at", venue, ROWS, *what)


# ---- refusals


def refused(code, *arguments):
    """The one line on stderr; nothing is printed."""
    result = run(*arguments)
    assert (result.exit_code, result.stdout) == (code, ""), result.output
    assert isinstance(result.exception, SystemExit)
    lines = result.stderr.splitlines()
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("lockstep: ")
    return lines[0]


MISUSES = [
    ([ROWS + 1, "venue"], f"row {ROWS + 1}: this journal holds the rows 0 to {ROWS}"),
    ([99 * 10**40, "venue"], "not a moment"),
    (["@", "venue"], "@: not a moment; give a row by its sequence number"),
    (["noon", "venue"], "noon: not a time"),
    (["25:00:00", "venue"], "not a time"),
    (["", "venue"], "not a time"),
    ([1, "weather"], "weather"),
    ([1], "WHAT"),
    ([1, "book"], "book: say which: a symbol"),
    ([1, "order"], "order: say which: a number"),
    ([1, "venue", "x"], "venue takes no name"),
    ([1, "currencies", "x"], "currencies takes no name"),
    ([1, "order", "x"], "order x: not a number"),
    ([1, "account", "1.5"], "account 1.5: not a number"),
    ([1, "session", "\u0663"], "session \u0663: not a number"),
    ([1, "order", "9" * 5_000], "not a number"),
    ([ROWS, "book", "ZZZ"], f"no instrument ZZZ at row {ROWS}; known: AAA/USD"),
    ([1, "instrument", "AAA/USD"], "no instrument AAA/USD at row 1; known: none"),
    ([ROWS, "account", 9], f"no account 9 at row {ROWS}; known: 1, 2"),
    ([1, "account", 1], "no account 1 at row 1; known: none"),
    ([ROWS, "session", 9], f"no session 9 at row {ROWS}; known: 1, 2"),
    ([ROWS, "order", 6], f"no order 6 at row {ROWS}; the last one accepted by then: 5"),
    ([FIRST, "order", 2], f"no order 2 at row {FIRST}; the last one accepted by then: 1"),
    ([1, "order", 1], "no order 1 at row 1; the last one accepted by then: none"),
    ([ROWS, "order", 0], "no order 0 at row"),
    ([ROWS, "book", "AAA/USD", "--depth", 0], "--depth"),
    ([ROWS, "venue", "--cache", "DIR/snapshots"], "stands in the journal, where nothing is written"),
]


@pytest.mark.parametrize("depth", [2**16, 2**63, 10**20])
def test_no_depth_is_too_large(venue, depth):
    for command in (["at", venue, ROWS, "book", "AAA/USD"], ["book", venue, "AAA/USD"]):
        assert ask(*command, "--depth", depth) == ask(*command)


@pytest.mark.both
@pytest.mark.parametrize(("arguments", "said"), MISUSES, ids=lambda value: " ".join(map(str, value))[:50])
def test_misuse(arguments, said, venue):
    before = files(venue)
    line = refused(64, "at", venue, *(str(argument).replace("DIR", str(venue)) for argument in arguments))
    assert said in line
    assert len(line) < 400
    assert files(venue) == before


@pytest.mark.parametrize("what", ["missing", "empty", "foreign", "file"])
def test_not_a_journal(what, tmp_path):
    path = tmp_path / "there"
    if what == "file":
        path.write_text("x")
    elif what != "missing":
        path.mkdir()
    if what == "foreign":
        (path / "notes.txt").write_text("x")
    before = sorted(tmp_path.rglob("*"))
    for command in (["at", path, 1, "venue"], ["at", path, "head", "order", 1], ["index", path, tmp_path / "cache"]):
        assert "no journal here" in refused(2, *command)
    assert sorted(tmp_path.rglob("*")) == before


SUBJECTS = [
    ["book", "AAA/USD"],
    ["order", 5],
    ["account", 1],
    ["instrument", "AAA/USD"],
    ["session", 1],
    ["currencies"],
    ["venue"],
]


@pytest.mark.parametrize("what", SUBJECTS, ids=str)
def test_damage_is_one_line(what, venue):
    flip(venue / "segments" / segment_name(1) / "data.mdb", to_row(TRADING[7])[24:])
    assert f"batch {ROWS - 1}-{ROWS - 1}: its hash is not that of its bytes" in refused(1, "at", venue, "head", *what)
    assert "its hash is not that of its bytes" in refused(1, "index", venue, venue.parent / "cache", "--every", 1)


def test_a_segment_without_its_file_is_damage(venue):
    (venue / "segments" / segment_name(1) / "data.mdb").unlink()
    assert f"{venue}: damaged: segments/{segment_name(1)}: " in refused(1, "at", venue, 1, "venue")


@pytest.mark.parametrize("what", SUBJECTS, ids=str)
def test_asking_changes_nothing(what, venue):
    before = files(venue)
    ask("at", venue, ROWS, *what)
    assert files(venue) == before


def test_asking_works_beside_a_writer(venue, in_another_process):
    with in_another_process(venue):
        for what in SUBJECTS:
            ask("at", venue, "head", *what)


def test_help_has_an_example_and_says_what_a_moment_is():
    told = " ".join(ask("at", "--help").split())
    assert "Example: lockstep at venue 2500 order 17" in told
    assert "A plain integer is a sequence number; ns since 1970 are written @NS." in told
    assert "Example: lockstep index venue cache" in " ".join(ask("index", "--help").split())


# ---- caches


def test_an_index_serves_what_is_asked_after_it(tmp_path):
    ask("demo", "--journal", tmp_path / "day", "--commands", 3_000)
    shutil.rmtree(tmp_path / "day" / "snapshots")
    before, cache = files(tmp_path / "day"), tmp_path / "cache"
    told = ask_json("index", tmp_path / "day", cache, "--every", 1_000)
    assert told["rows"] == told["applied"] > 3_000
    assert len(snapshots.stored(cache)) >= 2
    assert ask_json("index", tmp_path / "day", cache, "--every", 1_000)["applied"] == 0
    assert "every moment up to row" in ask("index", tmp_path / "day", cache, "--every", 1_000)
    assert files(tmp_path / "day") == before
    kept = files(cache)
    for moment in (1, snapshots.stored(cache)[0], 2_500, "head"):
        for what in (["venue"], ["order", 100], ["instrument", "AAA"], ["account", 3]):
            plainly = run("at", tmp_path / "day", moment, *what, "--json")
            quickly = run("at", tmp_path / "day", moment, *what, "--json", "--cache", cache)
            assert (quickly.exit_code, quickly.stdout) == (plainly.exit_code, plainly.stdout)
    assert files(cache) == kept


def test_a_cache_that_cannot_be_written_is_one_line(venue, tmp_path):
    (tmp_path / "file").touch()
    assert "not a directory" in refused(64, "index", venue, tmp_path / "file")
    assert str(tmp_path / "file") in refused(1, "index", venue, tmp_path / "file" / "below", "--every", 1)
