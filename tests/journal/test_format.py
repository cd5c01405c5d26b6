"""docs/journal-format.md says what the code does: offsets, sizes, checks and versions."""

import re
import struct

import pytest

from core.messages import DigestState, EngineState, SessionState, StateEnd
from core.rows import layout
from journal import event_store, snapshots
from journal.batch import HEADER_CODES, HEADER_SIZE, MAGIC, VERSION, BatchKind, Check, Header, read_header
from journal.event_store import EVENTS_CODES, EVENTS_HEADER_SIZE, EventsHeader
from journal.snapshots import SNAPSHOT_CODES, SNAPSHOT_HEADER_SIZE, SnapshotHeader
from journal.state import BATCH_ROWS
from tests.journal.samples import commands, lone_batch
from tests.paths import HERE

TEXT = (HERE / "docs" / "journal-format.md").read_text()


def section(title):
    """What stands under a heading, up to the next one."""
    return re.split(r"^#+ ", TEXT.split(f"# {title}\n")[1], maxsplit=1, flags=re.MULTILINE)[0]


def table(title):
    """The rows of the table under a heading."""
    lines = [line for line in section(title).splitlines() if line.startswith("|")][2:]
    return [[cell.strip().strip("`") for cell in line.strip("|").split("|")] for line in lines]


LAYOUTS = [
    ("Header", Header, HEADER_CODES, HEADER_SIZE),
    ("Snapshot header", SnapshotHeader, SNAPSHOT_CODES, SNAPSHOT_HEADER_SIZE),
    ("Events header", EventsHeader, EVENTS_CODES, EVENTS_HEADER_SIZE),
]


@pytest.mark.parametrize(("title", "fields", "codes", "size"), LAYOUTS)
def test_offsets(title, fields, codes, size):
    """Fields, offsets and sizes of the three headers are those of the code."""
    sizes = [struct.calcsize("<" + code) for code in codes]
    expected = [[str(sum(sizes[:n])), str(sizes[n]), name] for n, name in enumerate(fields._fields)]
    assert [row[:3] for row in table(title)] == expected
    assert sum(sizes) == size
    assert re.search(rf"header is {size} bytes", TEXT)


def test_header_stands_where_the_page_says():
    """Reading a sealed batch by the offsets of the page gives its fields."""
    value = lone_batch(commands(1, 2))
    header = read_header(value)
    for offset, size, name, _ in table("Header"):
        data = value[int(offset) : int(offset) + int(size)]
        field = getattr(header, name)
        assert data == field if isinstance(field, bytes) else int.from_bytes(data, "little") == field


def test_checks():
    """The checks are listed in their order and words."""
    assert re.findall(r"^\d+\. (.*)$", section("Checks"), re.MULTILINE) == [check.value for check in Check]


def test_state_rows():
    """Offsets of the columns that readers of state rely on are those of their layouts."""
    structs = {"ENGINE": EngineState, "SESSION": SessionState, "DIGEST": DigestState, "END": StateEnd}
    names = [("sequence", 1), ("time", 1), ("epoch", 1)]
    names += [("session", 1), ("role", 1), ("firm", 1), ("hash_0", 4), ("salt_0", 2), ("cost", 1)]
    names += [("hash_0", 4), ("events", 1), ("hash_0", 4), ("rows", 1)]
    for (row, offset, size, _), (name, columns) in zip(table("State batches"), names, strict=True):
        column = next(field.column for field in layout(structs[row]) if field.name == name)
        assert (int(offset), int(size)) == (8 * column, 8 * columns)


def test_numbers_in_the_text():
    """Magics, kinds, versions and the size of state batches are those of the code."""
    for magic in (MAGIC, snapshots.MAGIC, event_store.MAGIC):
        assert f"`{magic.decode()}`" in TEXT
    for kind in BatchKind:
        assert f"{kind.value} {kind.name.lower()}" in TEXT
    assert f"At most {BATCH_ROWS:,} state rows" in TEXT
    versions = [int(row[0]) for row in table("History")]
    assert versions[-1] == VERSION == snapshots.VERSION == event_store.VERSION
