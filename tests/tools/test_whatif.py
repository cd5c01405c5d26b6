"""`lockstep whatif`: the second world is what the naive model makes of the changed stream, and no node serves it."""

import json
import random

import pytest

from core import messages as m
from core.kinds import POST_ONLY, OrderType, Prevention
from core.reasons import RejectReason
from core.rows import from_row, to_row
from replicas.opening import create
from tests.pair import seeds
from tests.tools.conftest import FIRST, NINE, ROWS, SELL, SET_UP, ask, ask_json, order, run
from tests.tools.test_errors import refused
from tests.tools.worlds import (
    OF_NODES,
    Naive,
    changes,
    differing,
    journaled,
    make,
    segments,
    stored,
    whatif,
    whole,
)

OF_ORDERS = range(32, 37)


@pytest.fixture(scope="module")
def worlds(tmp_path_factory):
    return {seed: make(tmp_path_factory.mktemp("worlds") / "venue", seed, quarantines=0.02) for seed in seeds(2)}


def rows_told(told):
    return {entry["row"] for entries in told["differences"].values() for entry in entries} - {"end"}


@pytest.mark.parametrize("text", ["", "[[remove]]\nfrom = 1\nsession = 99\n"], ids=["empty", "meets nothing"])
def test_without_a_change_it_is_the_same_journal(text, worlds, tmp_path):
    """The same rows, events, digests and segments, whether each row is looked at or none."""
    for seed, made in worlds.items():
        folder = tmp_path / str(seed)
        folder.mkdir()
        told = whatif(made, folder, text)
        assert told["same"]
        assert journaled(folder / "other") == [line.row for line in made.lines]
        assert stored(folder / "other") == [event for line in made.lines for event in line.events]
        assert ask("replay", folder / "other") == ask("replay", made.path)
        assert segments(folder / "other") == segments(made.path)
        assert "sound\n" in ask("verify", folder / "other")


def picked(name, made, seed):
    """The text of a removal, and whether a command is removed."""
    some = sorted(random.Random(seed).sample(range(30, len(made.lines)), 25))
    return {
        "account": ("account = 1", lambda _, c: c[7] == 1 and (c[0] in OF_ORDERS or 3 <= c[0] <= 7 or c[0] in (15, 16, 20, 21, 37, 38, 39, 40, 41, 64, 65))),
        "session": ("session = 1", lambda _, c: c[3] == 1),
        "kind": ('kind = "CancelOrder"', lambda _, c: c[0] == 35),
        "rows": (f"sequence = {some}", lambda s, _: s in some),
        "parts": ("client_order_id = 7", lambda _, c: (c[0] in range(32, 36) and 7 in (c[8], c[15] if c[0] == 33 else c[8]))
                  or (c[0] in (64, 65) and 7 in (c[8], c[13] if c[0] == 65 else c[8]))),
        "range": ("instrument = 2\nfrom = 60\nto = 150", lambda s, c: 60 <= s <= 150 and c[6] == 2 and
                  (c[0] in (2, 7, 15, 21, 23, 29, 41, 64, 65) or c[0] in OF_ORDERS)),
    }[name]  # fmt: skip


@pytest.mark.parametrize("name", ["account", "session", "kind", "rows", "range", "parts"])
def test_removed_commands_never_were(name, worlds, tmp_path):
    """Rows, events and differences are those of the model that is never told of them."""
    for seed, made in worlds.items():
        folder = tmp_path / str(seed)
        folder.mkdir()
        text, fits = picked(name, made, seed)
        told = whatif(made, folder, f"[[remove]]\n{text}\n")
        naive = Naive(made, lambda s, c, fits=fits: c[0] in OF_NODES or not fits(s, c))
        check(told, made, naive, folder / "other", seed)


def check(told, made, naive, other, seed):
    want = [line.row for _, line in naive.lines]
    found = journaled(other)
    assert found[: len(want)] == want, seed
    assert {from_row(row).KIND for row in found[len(want) :]} <= {m.AdvanceTime.KIND}, seed
    assert len(found) == len(want) + told["timers"], seed
    events = [event for _, line in naive.lines for event in line.events]
    assert stored(other)[: len(events)] == events, seed
    second = {s: line.events for s, line in naive.lines if s}
    first = dict(enumerate((line.events for line in made.lines), start=1))
    differ = differing(first.items(), second.items())
    alone = {s for s in differ - second.keys() if any(isinstance(event, m.Executed) for event in first[s])}
    assert rows_told(told) == (differ & second.keys()) | alone, seed
    lost = [s for s in differ & second.keys() if unknown(second[s]) and not unknown(first[s])]
    assert told["no_such_order"] == len(lost), seed
    if not told["timers"]:
        check_balances(told, made, naive, seed)


def unknown(events):
    return any(isinstance(event, m.Rejected) and event.reason == RejectReason.UNKNOWN_ORDER for event in events)


def check_balances(told, made, naive, seed):
    """The balances that are told to differ at the end are the model's, in both worlds."""
    first = Naive(made, lambda *_: True)
    texts = []
    for model in (first.model, naive.model):
        keys = {key for key in model.balances if model.balances[key] or model.reserved(*key)}
        texts.append({key: f"account {key[0]}, currency {key[1]}: holds {model.balances[key]}, reserved {model.reserved(*key)}" for key in keys})  # fmt: skip
    want = {
        (texts[0].get(key, ""), texts[1].get(key, ""))
        for key in {*texts[0], *texts[1]}
        if texts[0].get(key) != texts[1].get(key)
    }
    found = {
        ("".join(entry["left"]), "".join(entry["right"]))
        for entry in told["differences"]["balance"]
        if entry["row"] == "end" and entry["accounts"]
    }
    assert found == want, seed


@pytest.mark.parametrize("kind", [m.EnterOrder, m.Detail])
def test_altered_commands_said_something_else(kind, worlds, tmp_path):
    """As the model has it, for the quantities of one account; the parts of a command are of the account of its head."""
    text = f"[[alter]]\naccount = 3\nkind = '{kind.__name__}'\nset = {{ quantity = 4 }}\n"
    for seed, made in worlds.items():
        folder = tmp_path / str(seed)
        folder.mkdir()
        told = whatif(made, folder, text)
        met, accounts = {}, whole(made)[1]

        def fits(sequence, columns, accounts=accounts):
            return columns[0] == kind.KIND and accounts.get(sequence, columns[7]) == 3

        def alter(sequence, columns, met=met, made=made, fits=fits):
            found = fits(sequence, columns)
            if made.line(sequence).consumed:
                met[tuple(columns[3:5])] = found
            if found and (columns[3] == 0 or met.get(tuple(columns[3:5]))):
                columns[10] = 4
            return columns

        if any(line.quarantine and fits(s, line.columns) for s, line in enumerate(made.lines, start=1)):
            continue
        check(told, made, Naive(made, lambda *_: True, alter), folder / "other", seed)


def test_a_rule_of_an_account_covers_the_parts_of_its_commands(worlds, tmp_path):
    covered = 0
    for seed, made in worlds.items():
        folder = tmp_path / str(seed)
        folder.mkdir()
        linking = [event.account for line in made.lines for event in line.events if isinstance(event, m.OrdersLinked)]
        account = linking[0] if linking else 3
        whatif(made, folder, f"[[rule]]\nfrom = 1\naccount = {account}\nself_trade = 'CANCEL_BOTH'\n")
        events = [event for event in stored(folder / "other") if getattr(event, "account", 0) == account]
        linked = [event for event in events if isinstance(event, m.OrdersLinked)]
        numbers = {number for event in linked for number in (event.order_1, event.order_2, event.order_3)}
        entered = [event for event in events if isinstance(event, m.Accepted) and event.order_number in numbers]
        assert {event.flags >> 14 & 7 for event in entered} <= {Prevention.CANCEL_BOTH}, seed
        covered += len(entered)
    assert covered


def test_what_comes_before_a_part_comes_before_its_command(tmp_path):
    """A command that is inserted between the rows of another one does not break it."""
    directory, sequencer = create(tmp_path / "venue")
    orders = [order(1, number, number, SELL, 100, 5) for number in (2, 3)]
    names = [
        name for name in m.EnterOrder.__struct_fields__ if name in m.Detail.__struct_fields__ and name != "account"
    ]
    parts = [m.Detail(**{name: getattr(one, name) for name in names}) for one in orders]
    rows = m.EnterBatch(session=1, inbound=1, account=1, parts=2), *parts
    sequencer.submit(b"".join(map(to_row, (*SET_UP, *rows))), NINE)
    sequencer.close_batch()
    sequencer.events.close()
    directory.close()
    text = f"[[insert]]\nbefore = {FIRST + 1}\ncommand = {{ kind = 'SetTradingState', instrument = 1, state = 'HALTED' }}\n"
    told = whatif(tmp_path / "venue", tmp_path, text)
    assert told["refused"] == {}
    reasons = [event.reason for event in stored(tmp_path / "other") if isinstance(event, m.Rejected)]
    assert reasons == [RejectReason.HALTED]


# ---- a small venue by hand


def test_an_order_that_never_mattered(venue, tmp_path):
    """Without an order that never traded, and what was asked of it, nothing else is otherwise."""
    told = whatif(venue, tmp_path, "[[remove]]\naccount = 1\nclient_order_id = 13\n")
    assert told["removed"] == 3
    assert told["same"]
    assert ask("fills", tmp_path / "other").count("took") == ask("fills", venue).count("took")


def test_an_order_that_mattered(venue, tmp_path):
    told = whatif(venue, tmp_path, f"[[remove]]\nsequence = {FIRST}\n")
    (execution,) = told["differences"]["execution"]
    assert (execution["row"], execution["instruments"], execution["accounts"]) == (FIRST + 3, ["AAA/USD"], [1, 2])
    assert told["totals"]["rejection"]["differences"] == told["no_such_order"] == 1
    assert told["instruments"]["AAA/USD"]["execution"] == told["accounts"]["1"]["execution"] == 1
    fills = ask_json("fills", tmp_path / "other")
    assert [(fill["m"], fill["p"], fill["q"]) for fill in fills] == [(12, 10_050, 20)]


def test_inserted_commands_come_before_their_row(venue, tmp_path):
    """Numbered, stamped and answered like any other; what follows is not refused as a gap."""
    text = f"""
        [[insert]]
        before = {FIRST + 3}
        command = {{ kind = "EnterOrder", session = 1, account = 1, instrument = "AAA/USD", client_order_id = 77,
                     side = "SELL", price = 10040, quantity = 8 }}
        [[insert]]
        before = {ROWS + 1}
        command = {{ kind = "SetTradingState", state = "HALTED", reason = "what if" }}
    """.replace(",\n", ",")
    told = whatif(venue, tmp_path, text)
    assert (told["added"], told["last"], told["totals"]["rejection"]["differences"]) == (2, ROWS + 2, 0)
    rows = [from_row(row) for row in journaled(tmp_path / "other")]
    added = rows[FIRST + 2]
    assert (added.client_order_id, added.inbound, added.time) == (77, 4, NINE + 2 * 10**9 + 1)
    assert [row.inbound for row in rows if row.session == 1] == list(range(1, 9))
    assert (rows[-1].state, rows[-1].reason) == (3, "what if")
    assert [fill["m"] for fill in ask_json("fills", tmp_path / "other")] == [77, 11]


def test_fees_change_from_a_row_on(venue, tmp_path):
    """The orders entered before keep their rates; later definitions of the instrument do not bring the old ones back."""
    text = f"[[rule]]\nfrom = {FIRST + 3}\ninstrument = 'AAA/USD'\ntaker_fee = 10000\n"
    told = whatif(venue, tmp_path, text)
    (settlement,) = told["differences"]["settlement"]
    assert settlement["row"] == FIRST + 3
    assert settlement["accounts"] == [2]
    fees = [event.buyer_fee for event in stored(tmp_path / "other") if isinstance(event, m.Settled)]
    assert fees == [30 * 10_050 // 100, 5 * 10_050 // 100]
    assert told["totals"]["execution"]["differences"] == told["totals"]["rejection"]["differences"] == 0


def test_a_rule_from_the_start_on_changes_the_definition_itself(venue, tmp_path):
    told = whatif(venue, tmp_path, "[[rule]]\nfrom = 1\ninstrument = 'AAA/USD'\nprice_max = 10050\n")
    assert (told["added"], told["altered"]) == (0, 1)
    (row,) = [row for row in map(from_row, journaled(tmp_path / "other")) if isinstance(row, m.DefineInstrument)]
    assert row.price_max == 10_050
    assert rows_told(told) == {3, FIRST + 5}


def test_a_halt_that_was_not(venue, tmp_path):
    told = whatif(venue, tmp_path, f"[[rule]]\nfrom = {FIRST + 1}\nstate = 'HALTED'\n")
    assert {entry["row"] for entry in told["differences"]["rejection"]} == set(range(FIRST + 1, ROWS + 1))


def test_post_only_set_and_cleared(venue, tmp_path):
    told = whatif(venue, tmp_path, f"[[rule]]\nfrom = {FIRST}\naccount = 2\npost_only = true\n")
    assert [entry["row"] for entry in told["differences"]["rejection"]] == [FIRST + 3]
    flags = {row.client_order_id: row.flags for row in map(from_row, journaled(tmp_path / "other"))
             if isinstance(row, m.EnterOrder)}  # fmt: skip
    assert {client for client, value in flags.items() if value & POST_ONLY} == {-1, 21}
    (tmp_path / "again").mkdir()
    text = f"[[rule]]\nfrom = {FIRST}\npost_only = false\n"
    back = whatif(tmp_path / "other", tmp_path / "again", text)
    assert journaled(tmp_path / "again" / "other") == journaled(venue)
    assert back["altered"] == 2


@pytest.mark.parametrize("mode", ["CANCEL_NEWEST", "CANCEL_OLDEST", "CANCEL_BOTH", "DECREMENT"])
def test_self_trade_prevention_of_all_orders(mode, worlds, tmp_path):
    """No account trades with itself in the second world, whatever it did in the first."""
    for seed, made in worlds.items():
        folder = tmp_path / str(seed)
        folder.mkdir()
        # Quotes have the prevention of their account.
        text = f"[[remove]]\nkind = 'MassQuote'\n\n[[rule]]\nfrom = 1\nself_trade = '{mode}'\n"
        told = whatif(made, folder, text)
        assert told["altered"] > 0
        entered = [event for event in stored(folder / "other") if isinstance(event, m.Accepted)]
        assert {event.flags >> 14 & 7 for event in entered if event.flags >> 1 & 15 != OrderType.SPEND_AT_MOST} == {
            Prevention[mode]
        }
        settled = [event for event in stored(folder / "other") if isinstance(event, m.Settled)]
        assert all(event.buyer != event.seller for event in settled)


def test_limits_and_rules_are_inserted_as_commands(venue, tmp_path):
    text = f"""
        [[insert]]
        before = {FIRST}
        command = {{ kind = "SetLimit", account = 2, limit = "ORDER_QUANTITY", value = 1 }}

        [[insert]]
        before = {FIRST}
        command = {{ kind = "SetAccount", account = 1, state = "SUSPENDED", prevention = "CANCEL_BOTH" }}
    """
    told = whatif(venue, tmp_path, text)
    assert told["refused"] == {}
    reasons = {event.reason for event in stored(tmp_path / "other") if isinstance(event, m.Rejected)}
    assert {RejectReason.QUANTITY_LIMIT, RejectReason.ACCOUNT_SUSPENDED} <= reasons


def test_what_is_due_in_the_second_world_alone_is_told(venue, tmp_path):
    """An order that expires there makes the AdvanceTime row that a node would have journaled."""
    text = f"""
        [[alter]]
        sequence = {FIRST + 7}
        set = {{ time_in_force = "GTD", expires = {NINE + 7 * 10**9 + 5} }}
    """
    told = whatif(venue, tmp_path, text)
    assert told["timers"] == 1
    assert [type(event).__name__ for event in stored(tmp_path / "other")].count("Expired") == 1


def test_from_a_snapshot_on(worlds, tmp_path):
    """The second world begins at a state before the first change, and differs as it does from the start."""
    for seed, made in worlds.items():
        (tmp_path / f"{seed}").mkdir()
        (tmp_path / f"{seed}-late").mkdir()
        last = len(made.lines)
        text = f"[[remove]]\nfrom = {last - 40}\nkind = 'EnterOrder'\n"
        whole = whatif(made, tmp_path / f"{seed}", text)
        late = whatif(made, tmp_path / f"{seed}-late", text, "--from-snapshot")
        assert late["rows"] < whole["rows"] == last
        assert (late["totals"], late["removed"]) == (whole["totals"], whole["removed"])
        assert ask("replay", tmp_path / f"{seed}-late" / "other") == ask("replay", tmp_path / f"{seed}" / "other")


def test_up_to_a_row(venue, tmp_path):
    told = whatif(venue, tmp_path, "", "--upto", FIRST)
    assert (told["last"], told["same"]) == (FIRST, True)
    assert journaled(tmp_path / "other") == journaled(venue)[:FIRST]


def test_a_repeat_goes_with_what_it_repeats(tmp_path):
    """A command that was sent twice and is removed is removed twice; altered, its repeat is a repeat still."""
    directory, sequencer = create(tmp_path / "venue")
    first, second = order(1, 1, 11, SELL, 100, 5), order(1, 2, 12, SELL, 101, 5)
    for number, rows in enumerate((SET_UP, (first,), (second,), (first,), (order(1, 3, 13, SELL, 102, 5),))):
        sequencer.submit(b"".join(map(to_row, rows)), NINE + number)
    sequencer.close_batch()
    sequencer.events.close()
    directory.close()
    (tmp_path / "a").mkdir()
    told = whatif(tmp_path / "venue", tmp_path / "a", f"[[remove]]\nsequence = {FIRST}\n")
    assert (told["removed"], told["repeats"], told["totals"]["rejection"]["differences"]) == (1, 1, 0)
    assert [from_row(row).client_order_id for row in journaled(tmp_path / "a" / "other")[len(SET_UP) :]] == [12, 13]
    (tmp_path / "b").mkdir()
    told = whatif(tmp_path / "venue", tmp_path / "b", f"[[alter]]\nsequence = {FIRST}\nset = {{ quantity = 3 }}\n")
    events = stored(tmp_path / "b" / "other")
    assert [event.count for event in events if isinstance(event, m.Repeated)] == [1]
    assert not any(isinstance(event, m.Rejected) for event in events)


def test_it_says_plainly_what_it_is(venue, tmp_path):
    said = ask("whatif", venue, "--change", changes(tmp_path, "[[remove]]\nsession = 2"), "--to", tmp_path / "other")
    lines = said.splitlines()
    assert "counterfactual" in lines[0]
    assert "2 of 20 commands removed" in lines[0]
    assert lines[1] == "remove 1: 2 commands"
    assert "they would have acted otherwise" in lines[-1]


def test_replay_compares_without_a_journal(venue, tmp_path):
    """`replay --change` says the same, leaves nothing, and fails where something differs that is not meant."""
    told = whatif(venue, tmp_path, f"[[remove]]\nsequence = {FIRST}\n")
    result = run(
        "replay", venue, "--behaviour-diff", "--change", tmp_path / "change.toml", "--json", "--listed", 10_000
    )
    assert result.exit_code == 1
    found = json.loads(result.stdout)
    assert found["differences"] == told["differences"]
    (tmp_path / "intended.toml").write_text("[[intended]]\nreason = 'without it'\n")
    more = ("--intended", tmp_path / "intended.toml", "--strict")
    assert run("replay", venue, "--behaviour-diff", "--change", tmp_path / "change.toml", *more).exit_code == 0
    assert run("replay", venue, "--behaviour-diff", "--change", changes(tmp_path, "")).exit_code == 0


@pytest.mark.parametrize("part", ["remove", "alter", "rule", "insert"])
def test_a_symbol_of_two_numbers_is_asked_back(part, tmp_path):
    """The engine may have refused one of the definitions: what a symbol names is not guessed."""
    directory, sequencer = create(tmp_path / "venue")
    again = m.DefineInstrument(instrument=9, symbol="AAA/USD", currencies=99, price_max=1, quantity_max=1)
    sequencer.submit(b"".join(map(to_row, (again, *SET_UP))), NINE)
    sequencer.close_batch()
    sequencer.events.close()
    directory.close()
    named = "instrument = {}"
    text = {
        "remove": f"[[remove]]\n{named}\n",
        "alter": f"[[alter]]\nkind = 'EnterOrder'\nset = {{{{ {named} }}}}\n",
        "rule": f"[[rule]]\nfrom = 5\n{named}\nstate = 'HALTED'\n",
        "insert": f"[[insert]]\nbefore = 5\ncommand = {{{{ kind = 'SetTradingState', {named}, state = 'HALTED' }}}}\n",
    }[part]
    file = changes(tmp_path, text.format("'AAA/USD'"))
    said = refused(64, "whatif", tmp_path / "venue", "--change", file, "--to", tmp_path / "other")
    assert f"{part} 1: AAA/USD names the instruments 1, 9: give the number" in said
    whatif(tmp_path / "venue", tmp_path, text.format(1))


def test_what_the_engine_refuses_and_what_met_nothing_is_told(venue, tmp_path):
    text = f"""
        [[remove]]
        session = 99
        [[rule]]
        from = {FIRST}
        instrument = 99
        state = "HALTED"
        [[insert]]
        before = {FIRST}
        command = {{ kind = "OpenAccount", account = 1, firm = 9, name = "again" }}
        [[insert]]
        before = {FIRST}
        command = {{ kind = "OpenAccount", account = 3, firm = 9, name = "new" }}
    """
    told = whatif(venue, tmp_path, text)
    assert told["refused"] == {"rule 1": ["UNKNOWN_INSTRUMENT"], "insert 1": ["CONFLICTING_DEFINITION"]}
    assert told["changes"] == {"remove 1": 0, "rule 1": 1, "insert 1": 1, "insert 2": 1}
    want = [
        "remove 1: met nothing",
        "rule 1: 1 commands",
        "rule 1: refused by the engine: UNKNOWN_INSTRUMENT",
        "insert 1: 1 commands",
        "insert 1: refused by the engine: CONFLICTING_DEFINITION",
        "insert 2: 1 commands",
    ]
    file = tmp_path / "change.toml"
    assert ask("whatif", venue, "--change", file, "--to", tmp_path / "second").splitlines()[1:7] == want
    compared = run("replay", venue, "--behaviour-diff", "--change", file)
    assert compared.stdout.splitlines()[-6:] == want
    assert (
        json.loads(run("replay", venue, "--behaviour-diff", "--change", file, "--json").stdout)["refused"]
        == told["refused"]
    )
