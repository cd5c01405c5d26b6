"""What the queries print about a small venue, for people and as JSON; and that asking changes nothing."""

import hashlib
import json

import pytest

from tests.tools.conftest import FIRST, NINE, ROWS, ask, ask_json

BOTH_SIDES = {"bids": [(9_990, [(5, 7)])], "asks": [(10_060, [(2, 15)])]}


def ladder(book):
    return {
        side: [(x["price"], [(o["order_number"], o["quantity"]) for o in x["orders"]]) for x in book[side]]
        for side in ("bids", "asks")
    }


@pytest.mark.both
def test_book_now(venue):
    book = ask_json("book", venue, "AAA/USD", "--orders")
    assert ladder(book) == BOTH_SIDES
    assert (book["symbol"], book["sequence"], book["price_decimals"], book["quantity_decimals"]) == (
        "AAA/USD",
        ROWS,
        2,
        1,
    )


@pytest.mark.parametrize(
    ("where", "asks", "bids"),
    [
        (["--at", FIRST + 2], [(10_050, [(1, 30), (2, 20)])], [(9_990, [(3, 40)])]),
        (["--time", "09:00:02"], [(10_050, [(1, 30), (2, 20)])], [(9_990, [(3, 40)])]),
        (["--time", NINE + 3 * 10**9], [(10_050, [(2, 15)])], [(9_990, [(3, 40)])]),
        (["--time", "1970-01-01T09:00:03.999999999Z"], [(10_050, [(2, 15)])], [(9_990, [(3, 40)])]),
        (["--time", "1970-01-01 10:00:03+01:00"], [(10_050, [(2, 15)])], [(9_990, [(3, 40)])]),
        (["--at", FIRST + 4], [(10_050, [(2, 15)])], [(9_990, [(3, 30)])]),
        (["--at", FIRST + 7], [(10_060, [(2, 15)])], [(9_990, [(3, 30), (5, 7)])]),
        (["--at", FIRST - 1], [], []),
    ],
)
def test_book_at_any_moment(venue, where, asks, bids):
    assert ladder(ask_json("book", venue, "AAA/USD", "--orders", *where)) == {"asks": asks, "bids": bids}


def test_book_by_level_and_depth(venue):
    book = ask_json("book", venue, "AAA/USD", "--at", FIRST + 2, "--depth", 1)
    assert book["asks"] == [{"price": 10_050, "quantity": 50, "count": 2, "shown": 50}]


def test_book_is_drawn_in_display_decimals(venue):
    drawn = ask("book", venue, "AAA/USD", "--at", FIRST + 2)
    assert f"AAA/USD after row {FIRST + 2}, 09:00:02.000000000" in drawn
    assert [word for word in drawn.splitlines()[-2].split() if word != "│"] == ["4.0", "99.90", "100.50", "5.0"]


def test_book_drawn_order_by_order(venue):
    lines = ask("book", venue, "AAA/USD", "--orders", "--at", FIRST + 2).splitlines()
    cells = [[cell.strip() for cell in line.strip("│").split("│")] for line in lines if line.startswith("│")]
    assert cells == [["3", "4.0", "99.90", "100.50", "3.0", "1"], ["", "", "", "100.50", "2.0", "2"]]


def test_life_of_an_order(venue):
    life = ask_json("order", venue, 2)["life"]
    assert [step["command"]["kind"] for step in life] == ["EnterOrder", "EnterOrder", "ReplaceOrder"]
    assert [[event["event"]["kind"] for event in step["events"]] for step in life] == [
        ["Accepted"],
        ["Executed"],
        ["Replaced"],
    ]
    assert life[0]["events"][0]["ahead"] == {"count": 1, "quantity": 30}
    assert life[1]["events"][0]["against"] == 4
    assert [step["sequence"] for step in life] == [FIRST + 1, FIRST + 3, FIRST + 5]


def test_life_of_an_order_in_words(venue):
    told = ask("order", venue, 4)
    assert told.count("Executed") == 2
    assert "against order 1" in told
    assert "against order 2" in told
    assert f"09:00:03.000000000 {FIRST + 3} EnterOrder" in told


@pytest.mark.both
def test_fills(venue):
    lines = [json.loads(line) for line in ask("fills", venue, "--jsonl").splitlines()]
    assert [(fill["n"], fill["m"], fill["p"], fill["q"]) for fill in lines] == [(0, 11, 10_050, 30), (0, 12, 10_050, 5)]
    assert ask_json("fills", venue) == lines
    assert ask("fills", venue).splitlines()[0] == (
        f"row {FIRST + 3}: session 2 command 0 took 30 at 10050 from 11, instrument 1, match 1"
    )


def test_dump(venue):
    rows = ask_json("dump", venue)
    assert [row["sequence"] for row in rows] == list(range(1, ROWS + 1))
    lines = ask("dump", venue, "--from", FIRST, "--to", FIRST + 3).splitlines()
    assert [line.split()[:2] for line in lines] == [[str(FIRST + n), "EnterOrder"] for n in range(4)]
    assert "flags" not in ask("dump", venue, "--to", 1)


def test_dump_with_events(venue):
    rows = [json.loads(line) for line in ask("dump", venue, "--events", "--jsonl", "--from", FIRST + 3).splitlines()]
    kinds = [row["kind"] for row in rows if row["sequence"] == FIRST + 3]
    assert kinds == ["EnterOrder", "Accepted", *["Executed", "Executed", "Settled"] * 2]
    assert rows[-1]["kind"] == "Canceled"


def test_dump_of_no_rows(venue):
    assert ask("dump", venue, "--to", 0) == ""
    assert ask("dump", venue, "--to", 0, "--json") == "[]\n"


def test_replay_prints_both_digests(venue):
    first, second = ask("replay", venue, "--check").splitlines()
    digests = ask_json("replay", venue)
    assert first == f"event digest {digests['event_digest']}"
    assert second == f"state digest {digests['state_digest']}"
    assert digests["sequence"] == ROWS


@pytest.mark.both
@pytest.mark.parametrize("to", [0, 1, FIRST, FIRST + 3, FIRST + 5, ROWS])
def test_replay_from_a_snapshot_ends_where_one_from_zero_does(venue, to):
    assert ask_json("replay", venue, "--to", to) == ask_json("replay", venue, "--to", to, "--from-snapshot")


def test_replay_until_a_time(venue):
    assert ask_json("replay", venue, "--until", "09:00:02")["sequence"] == FIRST + 2
    assert ask_json("replay", venue, "--until", "1")["sequence"] == 1
    assert ask_json("replay", venue, "--until", "0")["sequence"] == 0


def test_snapshot_is_written_at_the_head_and_used(venue):
    told = ask_json("snapshot", venue)
    assert (told["sequence"], told["removed"]) == (ROWS, [])
    assert told["state_digest"] == ask_json("replay", venue)["state_digest"]
    assert (venue / "snapshots" / f"{ROWS:020}.snapshot").is_file()
    assert ask("verify", venue).splitlines()[-2] == "sound"
    assert f"snapshot after row {ROWS}" in ask("snapshot", venue)


def test_verify_names_every_part(venue):
    told = ask_json("verify", venue)
    assert (told["sound"], told["first_damage"]) == (True, None)
    names = [part["name"] for part in told["parts"]]
    assert names == [f"segment {1:020}", f"snapshot {FIRST + 3}", "event store"]
    head = f"{told['head']['sequence']}:{told['head']['hash']}"
    assert f"head {head}" in ask("verify", venue, "--head", head)


QUERIES = [
    ["replay"], ["replay", "--from-snapshot"], ["book", "AAA/USD"], ["order", 1], ["fills"], ["verify"],
    ["dump", "--events"],
]  # fmt: skip


@pytest.mark.parametrize("query", QUERIES, ids=str)
def test_asking_changes_nothing(venue, query):
    """Nothing but LMDB's table of readers, in lock.mdb, is touched."""
    before = snapshot_of(venue)
    ask(query[0], venue, *query[1:])
    assert snapshot_of(venue) == before


def snapshot_of(path):
    return {
        file: file.is_file() and file.name != "lock.mdb" and hashlib.sha256(file.read_bytes()).digest()
        for file in path.rglob("*")
    }


@pytest.mark.parametrize("query", QUERIES, ids=str)
def test_asking_works_beside_a_writer(venue, query, in_another_process):
    """A writer of another process holds the journal; what it writes later is seen later."""
    with in_another_process(venue):
        ask(query[0], venue, *query[1:])
