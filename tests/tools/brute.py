"""What `bisect` has to find, found without it: every row applied alone, every field of the states by its Struct."""

import json
from contextlib import closing

from core.kinds import StateKind
from core.rows import rows
from journal.event_store import EventStore
from tests.tools.conftest import run
from tests.tools.twins import told_one_by_one
from tools.engines import EngineRaised, LocalEngine
from tools.parting.columns import rows_of

KEYS = {
    "Engine": (), "Currency": ("currency",), "Instrument": ("instrument",), "Firm": ("firm",), "Account": ("account",),
    "Balance": ("account", "currency"), "Session": ("session",), "Grant": ("session", "account"),
    "Answers": ("session", "inbound"), "Order": ("order_number",), "Todo": ("sequence", "session", "inbound", "account"),
    "Quarantined": ("named",), "Rules": ("instrument",), "Terms": ("order_number",), "Following": ("instrument",),
    "Limit": ("account", "named", "firm", "instrument", "limit"),
    "Exposure": ("account", "named", "firm", "instrument"),
    "FeeTier": ("schedule", "tier"), "Volume": ("account", "schedule"), "Allocation": ("instrument",),
    "Link": ("first",), "Staged": ("session", "inbound"), "DeadMan": ("account",), "Protection": ("account", "instrument"),
}  # fmt: skip
"""What each kind of state row is about, by the names of its Struct."""


def asked(*arguments):
    """What `bisect` says in JSON, and whether it says that there is a difference."""
    result = run("bisect", *arguments, "--json")
    assert result.exit_code in {0, 1}, result.output
    told = json.loads(result.stdout)
    assert result.exit_code == (0 if told["same"] else 1)
    return told


def brute(journal, *engines):
    """The first row whose events differ, these, the states before and after it; None if all agree."""
    try:
        found = next((told for told in told_one_by_one(journal, *engines) if told[1][0] != told[1][1]), None)
    except EngineRaised as error:
        found = error.sequence, None
    if found is None:
        return None
    return (
        *found,
        states(journal, engines, found[0] - 1),
        None if found[1] is None else states(journal, engines, found[0]),
    )


def states(journal, engines, sequence):
    """The state of each engine after a row, applied one by one from the first."""
    for told in told_one_by_one(journal, *engines, upto=sequence):
        assert told[0] <= sequence
    return [engine.state() for engine in engines]


def fields(state):
    """Every field of a state by what it is of; the places of orders among all at their level."""
    found, queues = {}, {}
    for row in rows(state):
        kind = type(row).__name__.removesuffix("State")
        if kind == "Digest":
            break
        name = " ".join([kind, *(str(getattr(row, key)) for key in KEYS[kind])])
        found[name] = {field: getattr(row, field) for field in row.__struct_fields__}
        if row.KIND == StateKind.ORDER:
            queues.setdefault((row.instrument, row.flags & 1, row.price), []).append(name)
    return found, queues


def places(queues, others):
    """The place of each order among those that both states hold at the same level."""
    shared = {level: [name for name in queue if name in others.get(level, ())] for level, queue in queues.items()}
    return {name: place for queue in shared.values() for place, name in enumerate(queue)}


def differing(one, other):
    """What two states differ in, found by their Structs alone."""
    (mine, queues), (theirs, others) = fields(one), fields(other)
    found = {(name, None) for name in mine.keys() ^ theirs.keys()}
    for name in mine.keys() & theirs.keys():
        found |= {(name, field) for field, value in mine[name].items() if theirs[name][field] != value}
    ours, their = places(queues, others), places(others, queues)
    return found | {(name, "place") for name in ours if ours[name] != their[name]}


def named(differences):
    """The same out of what `bisect` says."""
    alone = {(one["what"], None) for one in differences if "a" in one}
    return alone | {(one["what"], column["column"]) for one in differences for column in one["columns"]}


def check(told, expected):
    """What `bisect` says is what the brute force found."""
    sequence, events, before, after = expected
    assert told["sequence"] == sequence
    assert named(told["before"]) == differing(*before)
    assert ("states" in told) == bool(told["before"])
    if after is None:
        assert told["after"] is None
        return
    found, wanted = named(told["after"]), differing(*after)
    assert found == wanted, (sorted(map(str, found - wanted)), sorted(map(str, wanted - found)))
    for name, mine in zip("ab", events, strict=True):
        assert [event["kind"] for event in told[name]["events"]] == [type(event).__name__ for event in rows(mine)]


def check_states(told, journal, engine):
    """The states part where it says so: they are the same before that row, and differ after it in these fields."""
    if "states" in told:
        row = told["states"]["sequence"]
        both = LocalEngine(), engine
        assert differing(*states(journal, both, row - 1)) == set()
        assert differing(*states(journal, both, row)) == named(told["states"]["differences"]) != set()
        assert row < told.get("sequence", row + 1)


def stored(a, b):
    """The events of every row, as the event stores of two nodes have them."""
    told = []
    for path in (a, b):
        events = {}
        with closing(EventStore(path / "events")) as store:
            for event in (row for part in store.read() for row in rows_of(part.rows)):
                events.setdefault(int.from_bytes(event[8:16], "little"), []).append(event)
        told.append(events)
    return [(row, told[0].get(row), told[1].get(row)) for row in sorted(told[0].keys() | told[1].keys())]


def parts(a, b):
    """The rows whose events differ in the event stores of two nodes."""
    return [row for row, one, other in stored(a, b) if one != other]
