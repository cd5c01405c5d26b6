"""`lockstep rules` prints what the documents say, and the engine does what it prints."""

import re

import pytest

from core import messages as m
from core.kinds import EXPOSURES, MARKET_RESTS, CommandKind, Limit, OrderType, TimeInForce
from core.limits import QUANTITY_MAX, RATE_MAX, SUM_MAX
from core.reasons import CancelReason, RejectReason
from tests.paths import HERE
from tests.tools.conftest import ask, ask_json
from tests.venue import Engine, Venue

COMMANDS = (HERE / "docs" / "commands.md").read_text()
REASONS = (HERE / "docs" / "reasons.md").read_text()


@pytest.fixture(scope="module")
def book():
    return ask_json("rules")


def table(text, heading):
    """The rows of the first table behind a line that begins so, as lists of cells."""
    lines = text[text.index(heading) :].splitlines()
    start = next(at for at, line in enumerate(lines) if line.startswith("|"))
    rows = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


def places(column):
    return str(column["column"]) if column["column"] == column["last"] else f"{column['column']}–{column['last']}"


def test_commands_have_the_columns_of_the_documents(book):
    assert [command["kind"] for command in book["commands"]] == [int(kind) for kind in CommandKind]
    for command in book["commands"]:
        name = "Deposit" if command["name"] == "Withdraw" else command["name"]
        section = COMMANDS[COMMANDS.index(f"\n## {name}\n") + 1 :].split("\n## ", 1)[0]
        told = {}
        for numbers, names, *_ in table(section, "## ") if "| column |" in section else []:
            every = names.split(", ")
            told |= dict(zip(every, numbers.split(", ") if len(every) > 1 else [numbers], strict=True))
        assert {column["name"]: places(column) for column in command["columns"]} == told, command["name"]


def test_reasons_are_those_of_the_documents_in_their_order(book):
    rejected, canceled = REASONS.split("## Cancel reasons")
    for text, name in ((rejected, "reject_reasons"), (canceled, "cancel_reasons")):
        rows = [[int(number), reason, why] for number, reason, why in table(text, "|")]
        assert [[one["number"], one["name"], one["text"]] for one in book[name]] == rows
    assert [one["number"] for one in book["reject_reasons"]] == sorted(map(int, RejectReason))
    assert len(book["cancel_reasons"]) == len(CancelReason)


WORDS = {"bit 19": "offset in basis points", "bits 17–18": "peg", "a price": "a price", "0": "0"}


def test_order_types_are_those_of_the_documents(book):
    for one, row in zip(book["order_types"], table(COMMANDS, "| type | name | price |"), strict=True):
        assert [str(one["number"]), one["name"]] == row[:2]
        everything = ["DAY", "GTC", "IOC", "FOK", "GTD"]
        times = row[3].split(";")[0].split(", ")
        assert set(one["times_in_force"]) == set(everything if row[3] == "any" else times)
        assert one["waits_for_a_price"] == (row[4] == "yes")
        words = {WORDS.get(word, word) for word in row[5].split(", ") if word} if len(row) > 5 else set()
        # Column 14 goes with waiting for a price, column 15 with two types, as the text below the table says.
        words |= {"trigger_price"} if row[4] == "yes" else set()
        words |= {"offset"} if one["name"] in {"TRAILING_STOP", "PEGGED"} else set()
        assert set(one["may_have"]) == words, one["name"]
        if one["price"] in {"0", "a price"}:
            assert one["price"] == row[2]
    market = book["order_types"][0]
    assert set(market["with_market_rests"]) == {"DAY", "GTC", "IOC", "FOK", "GTD"}


BOUNDS = {"2^40 - 1": QUANTITY_MAX, "2^62 - 1": SUM_MAX, "1,000,000": RATE_MAX}


def bounds(cell, before):
    """The numbers in a cell such as `burst, 1 to 1,000,000`; those of the row before where it says `likewise`."""
    if "likewise" in cell:
        return before
    found = re.search(r"(\d) to ([\d^,]+(?: - 1)?)", cell)
    return [int(found[1]), BOUNDS[found[2]]] if found else [0, 0]


def test_limits_are_those_of_the_documents(book):
    value = second = None
    for one, row in zip(book["limits"], table(COMMANDS, "| limit | name | value |"), strict=True):
        value, second = bounds(row[2], value), bounds(row[3], second)
        assert [str(one["number"]), one["name"], one["value"], one["second"]] == [*row[:2], value, second]
        assert [one["instrument"], one["refuses"]] == [row[4].replace("one or 0", "one, or 0"), row[5]]


def test_the_engine_takes_just_what_it_prints(book):
    """Every bound of every limit, and every time in force of every type, tried on an engine."""
    venue = Venue(Engine())
    venue.instrument()
    venue.send(m.SetRules, instrument=1, flags=EXPOSURES)
    for one in book["limits"]:
        instrument = 1 if one["instrument"].startswith("one") else 0
        for value, second, fits in (
            (one["value"][0], one["second"][0], True),
            (one["value"][1], one["second"][1], True),
            (one["value"][0] - 1, one["second"][0], False),
            (one["value"][1] + 1, one["second"][0], False),
            (one["value"][0], one["second"][0] - 1, False),
            (one["value"][0], one["second"][1] + 1, False),
        ):
            terms = {"limit": one["number"], "value": value, "second": second}
            (event,) = venue.send(m.SetLimit, instrument=instrument, account=1, **terms)
            assert isinstance(event, m.LimitSet) == fits, (one["name"], value, second)


@pytest.mark.parametrize("rests", [False, True])
@pytest.mark.parametrize("order_type", OrderType, ids=lambda one: one.name)
def test_the_engine_takes_the_times_that_are_printed(book, order_type, rests):
    (one,) = (one for one in book["order_types"] if one["number"] == order_type)
    venue = Venue(Engine())
    venue.instrument()
    venue.fund()
    if rests:
        venue.send(m.SetRules, instrument=1, flags=MARKET_RESTS, protection=5)
    times = one.get("with_market_rests", one["times_in_force"]) if rests else one["times_in_force"]
    for time in TimeInForce:
        terms = {"price": 10 if one["price"] != "0" else 0, "quantity": 1}
        terms |= {"trigger_price": 10} if one["waits_for_a_price"] else {}
        terms |= {"offset": 1} if "offset" in one["may_have"] else {}
        terms |= {"expires": SUM_MAX} if time == TimeInForce.GTD else {}
        venue.ids += 1
        events = venue.send(
            m.EnterOrder, flags=order_type << 1 | time << 5, instrument=1, account=1, client_order_id=venue.ids, **terms
        )
        refused = events[0].reason if isinstance(events[0], m.Rejected) else 0
        assert (refused == RejectReason.INVALID_TIME_IN_FORCE) == (time.name not in times), time.name


def test_what_is_printed_for_people_has_every_name(book):
    text = ask("rules")
    squeezed = re.sub(r"[\s│]", "", text)
    for part in ("commands", "order_types", "limits", "reject_reasons", "cancel_reasons"):
        assert [one["name"] for one in book[part] if one["name"] not in squeezed] == []
    assert all(limit.name in squeezed for limit in Limit)
