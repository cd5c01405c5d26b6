"""`lockstep replay --behaviour-diff`: what differs under another engine is what two engines, asked row by row, say otherwise."""

import json
import shutil

import pytest

from core.kinds import POST_ONLY
from core.machine import Machine
from core.messages import BalanceState, CancelOrder, CurrencyState, EnterOrder, ReduceOrder
from core.rows import RowError, from_row, rows, to_row
from replicas.opening import create
from tests.pair import seeds
from tests.paths import CHECKOUT
from tests.tools.conftest import FIRST, LIMIT_GTC, NINE, ROWS, SELL, SET_UP, ask, ask_json, flip, of, order, run
from tests.tools.test_errors import refused
from tests.tools.worlds import Made, differing, make
from tools.engines import EngineProcess
from tools.worlds.differences import KINDS as KINDS_OF_DIFFERENCES
from tools.worlds.intended import Intended

FAULTS = {
    "a fee at one price": (
        "core/matching.py",
        "        taker = charge(amount, incoming.taker_rate)\n",
        "        taker = charge(amount, incoming.taker_rate) + (1 if price == 100 else 0)\n",
    ),
    "newest first": ("core/matching.py", "            resting = best.first\n", "            resting = best.last\n"),
    "incoming order's price": (
        "core/matching.py",
        "self._trade(incoming, resting, ladder, best.price, payable)",
        "self._trade(incoming, resting, ladder, incoming.price or best.price, payable)",
    ),
    "cancels are refused at one price": (
        "core/cancels.py",
        "        if order is None or order.instrument is not instrument:\n",
        "        if order is None or order.instrument is not instrument or order.price == 101:\n",
    ),
    "post-only ignored": (
        "core/entry.py",
        "        if flags & POST_ONLY and would_trade(",
        "        if flags & 0 and would_trade(",
    ),
    "reduce loses the place": (
        "core/cancels.py",
        "self.same(order).reduce(order, quantity)",
        "self.same(order).reduce(order, quantity); self.same(order).remove(order); self.same(order).add(order)",
    ),
}
POOL = ("core/matching.py", "instrument.quote.fees += maker + taker", "instrument.quote.fees += 0")
MATCHES = tuple(
    (file, "        self.match_numbers += 1\n", "        self.match_numbers += 2\n")
    for file in ("core/matching.py", "core/crossing.py")
)
RAISES = (
    "core/matching.py",
    "        self.match_numbers += 1\n",
    "        self.match_numbers += 1\n        if price == 100:\n            raise KeyError(price)\n",
)


def build(folder, *faults):
    """A copy of the engine's sources, with faults in it."""
    shutil.copytree(CHECKOUT / "core", folder / "core", ignore=shutil.ignore_patterns("__pycache__"))
    for fault in faults:
        plant(folder, fault)
    return folder


def compare(made, engine, *more):
    result = run("replay", made.path, "--engine", engine, "--behaviour-diff", "--json", "--listed", 10_000, *more)
    assert result.exit_code in (0, 1), result.output
    told = json.loads(result.stdout)
    assert told["same"] == (result.exit_code == 0) or "--strict" in more
    return told


def rows_told(told):
    return {entry["row"] for entries in told["differences"].values() for entry in entries} - {"end"}


def both(made, engine):
    """The events of every row under this engine and the other one, and their states: asked row by row."""
    ours, first, second = Machine(), [], []
    with EngineProcess(engine) as theirs:
        theirs.restore(ours.rows())
        for sequence, line in enumerate(made.lines, start=1):
            if line.quarantine is None:
                mine, other = ours.apply(line.row, 0, len(line.row)), theirs.apply(line.row)
            else:
                mine = ours.apply_quarantined(line.row, 0, line.quarantine, 0)
                other = theirs.apply_quarantined(line.row, line.quarantine)
            first.append((sequence, list(rows(mine))))
            second.append((sequence, list(rows(other))))
        return first, second, ours.rows(), theirs.state()


def structs(state, kind):
    found = []
    for at in range(0, len(state), 128):
        try:
            row = from_row(state, at)
        except RowError:
            continue
        found += [row] if isinstance(row, kind) else []
    return found


def balances(state):
    """What accounts and the venue hold, but what is nothing."""
    held = {(row.account, row.currency): (row.total, row.reserved) for row in structs(state, BalanceState)}
    fees = {(0, row.currency): (row.deposited, row.withdrawn, row.fees) for row in structs(state, CurrencyState)}
    return {key: value for key, value in (held | fees).items() if any(value)}


@pytest.fixture(scope="module")
def worlds(tmp_path_factory):
    return [make(tmp_path_factory.mktemp("worlds") / "venue", seed) for seed in seeds(1)]


def test_the_same_engine_says_the_same(worlds, tmp_path):
    told = compare(worlds[0], build(tmp_path))
    assert told["same"]
    assert not any(total["differences"] for total in told["totals"].values())
    assert "no difference" in ask("replay", worlds[0].path, "--engine", tmp_path, "--behaviour-diff")


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_listed_exactly(name, worlds, tmp_path):
    """The rows of all differences are those whose events differ, and the balances those that do at the end."""
    engine = build(tmp_path, FAULTS[name])
    for seed, made in zip(seeds(1), worlds, strict=True):
        told = compare(made, engine)
        first, second, ours, theirs = both(made, engine)
        assert rows_told(told) == differing(first, second), seed
        left, right = balances(ours), balances(theirs)
        changed = {key for key in {*left, *right} if left.get(key) != right.get(key)}
        at_end = [entry for entry in told["differences"]["balance"] if entry["row"] == "end"]
        assert len(at_end) == len(changed), seed
        assert {account for entry in at_end for account in entry["accounts"]} == {account for account, _ in changed} - {
            0
        }


SCRIPT = (
    order(1, 1, 11, SELL, 100, 5),
    order(1, 2, 12, SELL, 100, 5),
    ReduceOrder(**of(1, 3, 11), quantity=1),
    order(2, 1, 21, 0, 102, 4),
    order(1, 4, 13, SELL, 101, 5),
    CancelOrder(**of(1, 5, 13)),
    EnterOrder(session=2, inbound=2, flags=LIMIT_GTC | POST_ONLY, instrument=1, account=2, client_order_id=22, price=100, quantity=1),
)  # fmt: skip
MATCH, CANCEL, POST = FIRST + 3, FIRST + 5, FIRST + 6
KINDS = {
    "a fee at one price": {"settlement": {MATCH}},
    "newest first": {"priority": {MATCH}},
    "incoming order's price": {"execution": {MATCH}},
    "cancels are refused at one price": {"rejection": {CANCEL}},
    "post-only ignored": {"execution": {POST}, "rejection": {POST}},
    "reduce loses the place": {"priority": {MATCH}},
}


@pytest.fixture(scope="module")
def script(tmp_path_factory):
    path = tmp_path_factory.mktemp("script") / "venue"
    directory, sequencer = create(path)
    sequencer.submit(b"".join(map(to_row, (*SET_UP, *SCRIPT))), NINE)
    sequencer.close_batch()
    sequencer.events.close()
    directory.close()
    return Made(path)


@pytest.mark.parametrize("name", KINDS)
def test_a_fault_is_called_by_its_kind(name, script, tmp_path):
    told = compare(script, build(tmp_path, FAULTS[name]))
    rows_of = {
        kind: {entry["row"] for entry in entries if entry["row"] != "end"}
        for kind, entries in told["differences"].items()
    }
    assert {kind: found for kind, found in rows_of.items() if found} == KINDS[name]


def test_places_in_a_queue_are_compared_at_the_end(script, tmp_path):
    """An order that lost its place, which no event has told yet."""
    told = compare(script, build(tmp_path, FAULTS["reduce loses the place"]), "--to", FIRST + 2)
    (entry,) = told["differences"]["priority"]
    assert (entry["row"], entry["instruments"], entry["accounts"]) == ("end", ["AAA/USD"], [1])
    assert entry["left"] == [f"price 100: order of row {FIRST}, order of row {FIRST + 1}"]
    assert entry["right"] == [f"price 100: order of row {FIRST + 1}, order of row {FIRST}"]


def test_what_no_event_tells_is_found_in_the_state(worlds, tmp_path):
    """Fees that never reach the pool: no row differs, and the venue's balances do at the end."""
    engine = build(tmp_path, POOL)
    for seed, made in zip(seeds(1), worlds, strict=True):
        told = compare(made, engine)
        _, _, ours, theirs = both(made, engine)
        left, right = balances(ours), balances(theirs)
        changed = {key for key in {*left, *right} if left.get(key) != right.get(key)}
        assert rows_told(told) == set(), seed
        assert told["totals"]["balance"]["differences"] == len(changed), seed


def test_numbers_that_are_skipped_are_differences(worlds, tmp_path):
    """A dense number with a hole is one, though no match is another."""
    told = compare(worlds[0], build(tmp_path, *MATCHES))
    matched = {
        sequence
        for sequence, line in enumerate(worlds[0].lines, start=1)
        if any(type(event).__name__ == "Settled" for event in line.events)
    }
    assert rows_told(told) == matched
    assert told["totals"]["execution"]["differences"] == told["totals"]["priority"]["differences"] == 0


def test_an_engine_that_raises_is_different(script, tmp_path):
    told = compare(script, build(tmp_path, RAISES))
    (entry,) = told["differences"]["other"]
    assert entry["row"] == MATCH
    assert "KeyError" in entry["right"][0]
    assert "raises" in run("replay", script.path, "--engine", tmp_path, "--behaviour-diff").stdout


def plant(folder, fault):
    """One more fault in a copy of the engine's sources."""
    file, old, new = fault
    text = (folder / file).read_text()
    assert text.count(old) == 1, fault
    (folder / file).write_text(text.replace(old, new))


RAISES_AT_A_CANCEL = (
    "core/cancels.py",
    "        if order is None or order.instrument is not instrument:\n",
    "        if order is not None and order.price == 101:\n            raise KeyError(order.price)\n"
    + FAULTS["cancels are refused at one price"][1],
)


NEWEST_FROM_101 = (
    "core/matching.py",
    "            resting = best.first\n",
    "            resting = best.first if best.price < 101 else best.last\n",
)


@pytest.mark.parametrize(("parted", "takes"), [(0, ("1", "3")), (1, ("3", "1"))], ids=["in step", "parted"])
def test_of_a_long_command_what_differs_is_shown(parted, takes, tmp_path):
    """A sweep trades with nine orders alike in both worlds, and then parts: its equal events are told by their number."""
    last = [order(1, n, n, SELL, 101, 1) for n in (1, 2, 3)]
    before = [order(2, 1, 1, 0, 101, 1)] * parted
    first = [order(1, n, n, SELL, 100, 1) for n in range(4, 13)]
    sweep = order(2, 1 + parted, 2, 0, 101, 11)
    directory, sequencer = create(tmp_path / "venue")
    sequencer.submit(b"".join(map(to_row, (*SET_UP, *last, *before, *first, sweep))), NINE)
    sequencer.close_batch()
    sequencer.events.close()
    directory.close()
    told = compare(Made(tmp_path / "venue"), build(tmp_path, NEWEST_FROM_101))
    entry = told["differences"]["priority"][-1]
    for lines, client in zip((entry["left"], entry["right"]), takes, strict=True):
        assert lines[0].endswith("the same in both, then")
        assert lines[1].startswith("Executed")
        assert f"client_order_id={client} " in lines[1]


def test_what_differs_before_the_row_on_which_it_raises_is_kept(script, tmp_path):
    """Also where they stand in one batch; and this release's answer stands beside the error."""
    engine = build(tmp_path, FAULTS["newest first"])
    plant(engine, RAISES_AT_A_CANCEL)
    told = compare(script, engine)
    assert [entry["row"] for entry in told["differences"]["priority"]] == [MATCH]
    (entry,) = told["differences"]["other"]
    assert entry["row"] == CANCEL
    assert any("Canceled" in line for line in entry["left"])
    assert "KeyError" in entry["right"][0]
    assert told["rows"] == CANCEL


def test_an_engine_that_raises_is_never_meant(script, tmp_path):
    """Whatever the entries cover, and however little is shown."""
    engine = build(tmp_path / "engine", RAISES)
    meant = intended(tmp_path, {"reason": "anything"})
    arguments = ("replay", script.path, "--engine", engine, "--behaviour-diff", "--intended", meant, "--listed", 0)
    result = run(*arguments, "--json")
    told = json.loads(result.stdout)
    assert (result.exit_code, told["same"]) == (1, False)
    assert told["totals"]["other"] == {"differences": 1, "intended": 0}
    assert "KeyError" in run(*arguments).stdout


def test_a_replay_that_begins_at_its_end_compares_nothing(venue, tmp_path):
    """That is no success; what is inserted behind the last row is something to compare."""
    engine = build(tmp_path / "engine")
    arguments = ("replay", venue, "--from-snapshot", "--behaviour-diff")
    said = refused(64, *arguments, "--engine", engine, "--to", FIRST + 3)
    assert f"nothing to compare: it begins after row {FIRST + 3}" in said
    file = tmp_path / "change.toml"
    file.write_text(f"[[insert]]\nbefore = {FIRST + 4}\ncommand = {{ kind = 'SetTradingState', state = 'HALTED' }}\n")
    assert run(*arguments, "--change", file, "--to", FIRST + 3).exit_code == 1
    file.write_text("")
    assert "nothing to compare" in refused(64, *arguments, "--change", file, "--to", FIRST + 3)


def test_how_many_rows_were_compared_is_told(venue, tmp_path):
    engine = build(tmp_path / "engine")
    arguments = ("replay", venue, "--engine", engine, "--behaviour-diff")
    assert ask_json(*arguments)["rows"] == ROWS
    assert ask_json(*arguments, "--from-snapshot")["rows"] == ROWS - FIRST - 3
    assert f"rows compared: {FIRST}\n" in ask(*arguments, "--to", FIRST)


def test_totals_come_first_then_both_versions(worlds, tmp_path):
    result = run("replay", worlds[0].path, "--engine", build(tmp_path, *MATCHES), "--behaviour-diff", "--listed", 1)
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    told = compare(worlds[0], tmp_path)
    kinds = [kind for kind, total in told["totals"].items() if total["differences"]]
    assert [line.split()[1] for line in lines[: len(kinds)]] == kinds
    shown = [line for line in lines if line.endswith(":") and not line.startswith(" ")]
    assert len(shown) == len(kinds)
    assert any(line.startswith("  this release") for line in lines)
    assert any(line.startswith("  the other ") for line in lines)


def test_a_part_of_the_session_alone(worlds, tmp_path):
    """Up to a row, and from a snapshot on: the rows are those of the whole that lie there."""
    engine = build(tmp_path, *MATCHES)
    whole = rows_told(compare(worlds[0], engine))
    middle = sorted(whole)[len(whole) // 2]
    assert rows_told(compare(worlds[0], engine, "--to", middle)) == {row for row in whole if row <= middle}
    result = run("replay", worlds[0].path, "--from-snapshot", "--json")
    begins = int(result.stderr.split("after row ")[1].split()[0])
    assert rows_told(compare(worlds[0], engine, "--from-snapshot")) == {row for row in whole if row > begins}


# ---- differences that are meant


def intended(folder, *entries):
    text = "".join(
        "[[intended]]\n" + "".join(f"{name} = {json.dumps(value)}\n" for name, value in entry.items())
        for entry in entries
    )
    (folder / "intended.toml").write_text(text)
    return folder / "intended.toml"


def test_what_is_meant_is_no_failure(script, tmp_path):
    engine = build(tmp_path / "engine", FAULTS["a fee at one price"])
    entries = [
        {"kind": "settlement", "from": MATCH, "to": MATCH, "reason": "the taker pays one more"},
        {"kind": "balance", "reason": "and so has less"},
    ]
    told = compare(script, engine, "--intended", intended(tmp_path, *entries), "--strict")
    assert told["same"]
    assert told["totals"]["settlement"] == {"differences": 1, "intended": 1}
    assert [entry["differences"] for entry in told["intended"]] == [1, told["totals"]["balance"]["differences"]]
    told = compare(script, engine, "--intended", intended(tmp_path, entries[0]))
    assert not told["same"]


def test_a_fee_that_is_meant_hides_no_other_fault_of_its_command(script, tmp_path):
    engine = build(tmp_path / "engine", FAULTS["a fee at one price"], *MATCHES)
    entries = [
        {"kind": "settlement", "reason": "the taker pays one more"},
        {"kind": "balance", "reason": "so it has less"},
    ]
    told = compare(script, engine, "--intended", intended(tmp_path, *entries))
    assert not told["same"]
    assert [entry["row"] for entry in told["differences"]["other"] if entry["row"] != "end"] == [MATCH]
    assert told["totals"]["settlement"] == {"differences": 1, "intended": 1}


def test_every_kind_can_be_meant(tmp_path):
    entries = [{"kind": kind, "reason": "meant"} for kind in KINDS_OF_DIFFERENCES]
    assert [entry.kind for entry in Intended.read(intended(tmp_path, *entries)).entries] == [*KINDS_OF_DIFFERENCES]


@pytest.mark.parametrize("of", ["kind", "instrument", "account", "rows"])
def test_an_entry_covers_what_it_names_and_no_more(of, worlds, tmp_path):
    engine = build(tmp_path / "engine", *MATCHES)
    plain = compare(worlds[0], engine)
    entries = [(kind, e) for kind, found in plain["differences"].items() for e in found]
    last = len(worlds[0].lines)
    one = next(e for _, e in entries if len(e["instruments"]) == 1 and e["accounts"])
    middle = sorted(last if e["row"] == "end" else e["row"] for _, e in entries)[len(entries) // 2]
    covers = {
        "kind": ({"kind": one["kind"]}, lambda kind, _: kind == one["kind"]),
        "instrument": ({"instrument": one["instruments"][0]}, lambda _, e: e["instruments"] == one["instruments"]),
        "account": (
            {"account": one["accounts"]},
            lambda _, e: bool(e["accounts"]) and {*e["accounts"]} <= {*one["accounts"]},
        ),
        "rows": ({"from": 1, "to": middle}, lambda _, e: (last if e["row"] == "end" else e["row"]) <= middle),
    }
    terms, fits = covers[of]
    told = compare(worlds[0], engine, "--intended", intended(tmp_path, {"reason": "meant", **terms}))
    left = [(kind, e["row"], e["accounts"]) for kind, found in told["differences"].items() for e in found]
    assert left == [(kind, e["row"], e["accounts"]) for kind, e in entries if not fits(kind, e)]
    assert sum(total["intended"] for total in told["totals"].values()) == len(entries) - len(left) > 0


def test_what_is_meant_and_not_found_is_told(worlds, tmp_path):
    """It fails with --strict alone."""
    engine = build(tmp_path / "engine")
    file = intended(tmp_path, {"kind": "priority", "reason": "queues are drawn by lot"})
    arguments = ("replay", worlds[0].path, "--engine", engine, "--behaviour-diff", "--intended", file)
    result = run(*arguments)
    assert result.exit_code == 0
    assert "intended, and not found: queues are drawn by lot" in result.stdout
    assert run(*arguments, "--strict").exit_code == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[intended]]\nkind = 'price'\nreason = 'x'", "Invalid enum value 'price'"),
        ("[[intended]]\nkind = 'balance'", "reason"),
        ("[[intended]]\nreason = 'x'\nwhere = 3", "where"),
        ("[[intended", "not TOML"),
    ],
)
def test_a_file_of_intended_differences_that_does_not_fit(text, said, worlds, tmp_path):
    (tmp_path / "intended.toml").write_text(text)
    arguments = ("--engine", tmp_path, "--behaviour-diff", "--intended", tmp_path / "intended.toml")
    assert said in refused(64, "replay", worlds[0].path, *arguments)


# ---- errors


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--engine", "x"], "go with --behaviour-diff"),
        (["--strict"], "go with --behaviour-diff"),
        (["--behaviour-diff"], "give either --engine or --change"),
        (["--behaviour-diff", "--engine", "x", "--change", "y"], "give either --engine or --change"),
        (["--behaviour-diff", "--engine", "x", "--check"], "exclude each other"),
        (["--behaviour-diff", "--engine", "x", "--to", 10_000], "this journal holds the rows"),
        (["--behaviour-diff", "--change", "no/file"], "no/file"),
        (["--behaviour-diff", "--engine", "x", "--intended", "no/file"], "no/file"),
    ],
)
def test_misuse(options, said, venue):
    assert said in refused(64, "replay", venue, *options)


def test_no_journal_no_engine_and_damage(venue, tmp_path):
    engine = build(tmp_path / "engine")
    ask_for = ("--engine", engine, "--behaviour-diff")
    assert "no journal here" in refused(2, "replay", tmp_path / "nothing", *ask_for)
    assert run("replay", venue, "--engine", tmp_path / "none", "--behaviour-diff").exit_code == 64
    shutil.rmtree(venue / "snapshots")
    flip(venue / "segments" / f"{1:020}" / "data.mdb", (9_990).to_bytes(8, "little"))
    result = run("replay", venue, *ask_for)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.splitlines()[-1].startswith("lockstep: batch ")
