"""Structs, rows and documents say the same: every kind, column, reason and number."""

import random
import re
import struct

import pytest

from core.kinds import (
    COLUMNS,
    ROW_SIZE,
    AccountStanding,
    CommandKind,
    EventKind,
    Limit,
    Link,
    OnDisconnect,
    OrderType,
    Prevention,
    Role,
    StateKind,
    Step,
)
from core.messages import COMMANDS, EVENTS, ROWS, STATES
from core.reasons import CancelReason, RejectReason
from core.rows import RowError, from_row, layout, rows, to_row
from tests.paths import HERE

HEADER = re.compile(r"^\| (column|number) \|", re.MULTILINE)
ROW = re.compile(r"^\| (?P<columns>[\d–, ]+) \| (?P<names>[^|]+) \|", re.MULTILINE)
FIRST = {"commands.md": 6, "events.md": 5}
"""The first column that the tables of a page name; flags are named where they have a meaning."""


def page(name):
    """A page of docs/ without what is only drafted."""
    return (HERE / "docs" / name).read_text().split("\n# Drafts")[0]


def sections(name):
    """The text under each heading of the second rank."""
    parts = re.split(r"^## (.+)$", page(name), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def columns(text):
    """The columns of the first table of a section: name to (first column, how many)."""
    found = {}
    table = text[header.start() :].split("\n\n")[0] if (header := HEADER.search(text)) else ""
    for row in ROW.finditer(table):
        names = [name.strip() for name in row["names"].split(",")]
        places = [part.strip() for part in row["columns"].split(",")]
        for name, place in zip(names, places, strict=True):
            first, _, last = place.partition("–")
            found[name] = int(first), int(last or first) - int(first) + 1
    return found


def declared(struct_type, first):
    """The columns of a Struct as a table should have them."""
    fields = [f for f in layout(struct_type) if f.column >= first and not f.name.startswith("column_")]
    return {f.name: (f.column, f.text or 1) for f in fields}


@pytest.mark.parametrize("name", FIRST)
def test_pages_describe_every_kind_in_order(name):
    """Each kind has a heading, in the order of its enum, and nothing else that looks like one does."""
    kinds, structs = (CommandKind, COMMANDS) if name == "commands.md" else (EventKind, EVENTS)
    known = [structs[kind].__name__ for kind in kinds]
    assert [heading for heading in sections(name) if heading in known] == known
    assert [heading for heading in sections(name) if " " not in heading and heading not in known] == []


@pytest.mark.parametrize("struct_type", [*COMMANDS.values(), *EVENTS.values()], ids=lambda s: s.__name__)
def test_tables_name_the_columns_of_the_struct(struct_type):
    """A table has the Struct's fields with their columns, in order."""
    name = "commands.md" if struct_type.KIND in COMMANDS else "events.md"
    text = sections(name)[struct_type.__name__]
    if struct_type.__name__ == "Withdraw":
        assert "Columns as Deposit." in text
        text = sections(name)["Deposit"]
    written, known = columns(text), declared(struct_type, FIRST[name])
    assert written.pop("flags", (5, 1)) == (5, 1)
    known.pop("flags", None)
    assert list(written.items()) == list(known.items())


def reasons_of(heading):
    """Number and name of each reason of a table."""
    table = sections("reasons.md")[heading]
    return [(int(number), name) for number, name in re.findall(r"^\| (\d+) \| ([A-Z_]+) \|", table, re.MULTILINE)]


def test_reject_reasons_are_documented_by_precedence():
    """docs/reasons.md has the reject reasons with their numbers, in the order of the enum, which only rises."""
    assert reasons_of("Reject reasons, in order of precedence") == [(r.value, r.name) for r in RejectReason]
    assert sorted(RejectReason) == list(RejectReason)


def test_cancel_reasons_are_documented():
    """docs/reasons.md has the cancel reasons with their numbers, in order."""
    assert reasons_of("Cancel reasons") == [(r.value, r.name) for r in CancelReason]


def test_documents_use_no_reason_that_does_not_exist():
    """Whatever commands.md gives as a reason in capitals is one, or another word of the kinds."""
    words = {*re.findall(r"\b[A-Z]+_[A-Z_]+[A-Z]\b", page("commands.md"))}
    others = {"KEPT_PLACE", "DAY_BASE", "FEE_PERIOD", "MARKET_RESTS", *Role.__members__, *OrderType.__members__}
    others |= {*Prevention.__members__, *AccountStanding.__members__, *Limit.__members__, *Step.__members__}
    others |= {*OnDisconnect.__members__, *Link.__members__, "REPLACE_ALL", "QUOTES_SLIDE"}
    known = {r.name for r in [*RejectReason, *CancelReason]}
    assert words - known - others == set()


def test_kinds_have_structs():
    """Every number of a kind has one Struct, and every Struct a number."""
    assert [*COMMANDS] == [*CommandKind]
    assert [*EVENTS] == [*EventKind]
    assert [*STATES] == [*StateKind]
    assert len(ROWS) == len(COMMANDS) + len(EVENTS) + len(STATES)


def filled(struct_type, seed):
    """A Struct with something in every field that is not spare."""
    rng = random.Random(f"{struct_type.__name__} {seed}")
    values = {}
    for name, _, text in layout(struct_type):
        if text:
            values[name] = "".join(rng.choices("ABCz~! ", k=rng.randint(1, 8 * text)))
        elif not name.startswith("column_"):
            values[name] = rng.choice((rng.randint(-(2**63), 2**63 - 1), -(2**63), 2**63 - 1, -1, 0))
    return struct_type(**values)


@pytest.mark.parametrize("struct_type", ROWS.values(), ids=lambda s: s.__name__)
def test_a_struct_and_its_row_are_the_same(struct_type):
    """Struct to row to Struct loses nothing, alone or among others."""
    messages = [filled(struct_type, seed) for seed in range(20)]
    data = b"".join(to_row(message) for message in messages)
    assert len(data) == 20 * ROW_SIZE
    assert list(rows(data)) == messages


@pytest.mark.parametrize("struct_type", ROWS.values(), ids=lambda s: s.__name__)
def test_columns_after_the_last_are_refused(struct_type):
    """A row that uses a column that its Struct does not have is no row of that kind."""
    last = max((f.column + (f.text or 1) for f in layout(struct_type)), default=1)
    for column in range(last, COLUMNS):
        row = bytearray(to_row(filled(struct_type, 0)))
        struct.pack_into("<q", row, 8 * column, 1)
        with pytest.raises(RowError):
            from_row(bytes(row))


@pytest.mark.parametrize(
    "message",
    [
        EVENTS[EventKind.ACCOUNT_OPENED](name="ü"),
        EVENTS[EventKind.ACCOUNT_OPENED](name="x" * 33),
        EVENTS[EventKind.DAY_ENDED](day=2**63),
        EVENTS[EventKind.DAY_ENDED](day=-(2**63) - 1),
    ],
    ids=["letter", "long", "above", "below"],
)
def test_what_does_not_fit_into_a_row_is_refused(message):
    """A text or number that a row cannot hold is an error, not something else."""
    with pytest.raises(RowError):
        to_row(message)
