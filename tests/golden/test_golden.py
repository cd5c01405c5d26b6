"""Promise 3 over time: what an earlier release wrote, this one reads, byte for byte."""

import json
import os
from hashlib import sha256

import pytest

from core.check import check
from core.kinds import ROW_SIZE, StateKind
from core.machine import Machine
from core.rows import from_row, rows, to_row
from core.state import SEMANTICS
from journal import snapshots
from journal.batch import BatchKind, Check, read_header
from journal.chain import Chain
from journal.directory import JournalDirectory
from journal.errors import CorruptBatch
from journal.memory import MemoryJournal
from journal.verify import verify
from replicas.replay import recover, replay
from tests.golden.make import FOLDER, first_state, read_values, state_of, versions, write
from tools.build import build

pytestmark = pytest.mark.both

if os.environ.get("UPDATE_GOLDEN") == "1" and build() == "interpreted":
    # Only ever the next version: `write` refuses a folder that exists.
    write(max(versions(), default=0) + 1)


class Golden:
    """One version's files."""

    def __init__(self, version):
        self.folder = FOLDER / f"v{version}"
        self.values = read_values(self.folder / "journal.batches")
        self.events = (self.folder / "events.rows").read_bytes()
        self.snapshot = (self.folder / "snapshot.rows").read_bytes()
        self.expected = json.loads((self.folder / "expected.json").read_text())
        self.state = first_state(self.values)

    def machine(self):
        """The venue as the journal begins."""
        return Machine.restore(state_of(self.state))

    def memory(self):
        """The journal in memory, adopted batch by batch."""
        journal = MemoryJournal(self.state)
        for value in self.values[len(self.state) :]:
            journal.append(value)
        return journal

    def directory(self, path):
        """The journal in a directory, adopted batch by batch."""
        journal = JournalDirectory.adopt(path, self.state)
        for value in self.values[len(self.state) :]:
            journal.append(value)
        return journal


@pytest.fixture(scope="module", params=versions(), ids=lambda version: f"v{version}")
def golden(request):
    found = Golden(request.param)
    if found.expected["semantics"] != SEMANTICS:
        pytest.skip(f"written under semantics {found.expected['semantics']}: replayed by the release that has them")
    return found


@pytest.fixture(params=["memory", "directory"])
def journal(golden, request, tmp_path):
    made = golden.memory() if request.param == "memory" else golden.directory(tmp_path / "venue")
    yield made
    made.close()


def found_in(journal, machine):
    """What a replay gives: the events, and the line of expected.json for each batch."""
    events, batches = b"", []
    for applied in replay(journal, machine):
        events += applied.events
        check(machine.engine)
        batches.append({
            "last": applied.header.last,
            "events": len(applied.events) // ROW_SIZE,
            "event_digest": machine.digest.value().hex(),
            "state_digest": machine.state_digest().hex(),
        })  # fmt: skip
    return events, batches


def test_there_is_one():
    assert versions()[0] == 1


def test_replayed(golden, journal):
    """Every event, and both digests at the end of every batch, are those that were written down."""
    machine = golden.machine()
    events, batches = found_in(journal, machine)
    assert batches == golden.expected["batches"]
    assert events == golden.events
    assert sha256(events).hexdigest() == golden.expected["events"]
    assert recover(journal).rows() == machine.rows()


def test_the_head(golden, journal):
    """The chain ends with the hash that was written down, closed."""
    chain = Chain()
    for value in golden.values:
        chain.feed(value)
    assert journal.head() == chain.head
    assert journal.head().hash.hex() == golden.expected["head"]
    assert journal.closed()


def test_from_the_snapshot(golden, journal):
    """The stored snapshot is the state at its row, byte for byte, and leads to the same end."""
    machine = golden.machine()
    list(replay(journal, machine, to=golden.expected["snapshot"]))
    assert machine.rows() == golden.snapshot
    restored = Machine.restore(golden.snapshot)
    assert restored.rows() == golden.snapshot
    events, batches = found_in(journal, restored)
    assert golden.events.endswith(events)
    assert batches == golden.expected["batches"][-len(batches) :]


def test_from_a_snapshot_file(golden, tmp_path):
    """A snapshot beside the rebuilt directory is found good, and so is the whole directory."""
    journal = golden.directory(tmp_path / "venue")
    header = journal.header_at(golden.expected["snapshot"])
    snapshots.write(journal.snapshots, golden.snapshot, header)
    assert snapshots.newest(journal.snapshots, 2**62, journal).rows == golden.snapshot
    end = recover(journal).rows()
    journal.close()
    assert verify(tmp_path / "venue").good
    assert recover(golden.memory()).rows() == end


def test_every_row_is_told_by_its_struct(golden):
    """Command, event and state rows are read by their Structs and written back as they were; but for spoiled commands."""
    stored = [golden.events, golden.snapshot]
    stored += [value[152:] for value in golden.values if read_header(value).kind == BatchKind.STATE]
    for data in stored:
        hashes = [
            at for at in range(0, len(data), ROW_SIZE) if data[at : at + 8] == StateKind.DIGEST.to_bytes(8, "little")
        ]
        assert len(hashes) <= 1
        assert b"".join(to_row(row) for row in rows(data)) == data


def test_it_holds_what_it_is_for(golden):
    """Two segments, quarantines in force at earlier rows, a closing batch at each segment's end."""
    kinds = [read_header(value).kind for value in golden.values]
    assert kinds.count(BatchKind.CLOSING) == 2
    assert kinds[-1] == BatchKind.CLOSING
    assert kinds[0] == kinds[kinds.index(BatchKind.CLOSING) + 1] == BatchKind.STATE
    named = [from_row(value[152:280]) for value in golden.values if value[152:153] == b"\x0b"]
    assert [bool(row.timer_order) for row in named] == [False, True]
    assert 300 < golden.expected["batches"][-1]["last"] < 1_000


def test_a_flipped_bit_is_found(golden):
    """One bit anywhere in the middle of any batch, and its check names it."""
    for number, value in enumerate(golden.values):
        at = len(value) // 2
        chain = Chain()
        for good in golden.values[:number]:
            chain.feed(good)
        with pytest.raises(CorruptBatch) as found:
            chain.feed(value[:at] + bytes([value[at] ^ 8]) + value[at + 1 :])
        assert Check.HASH.value in str(found.value)


def test_a_version_is_never_written_again(golden):
    """What would write into an existing version's folder fails, and changes nothing."""
    if build() == "compiled":
        pytest.skip("golden journals are written on the interpreted build")
    before = {path.name: path.read_bytes() for path in golden.folder.iterdir()}
    with pytest.raises(FileExistsError):
        write(int(golden.folder.name[1:]))
    assert {path.name: path.read_bytes() for path in golden.folder.iterdir()} == before


def test_the_session_still_gives_the_newest_version(tmp_path):
    """The recorded session, recorded again by today's engine, is the newest golden journal: the script has not drifted."""
    if build() == "compiled":
        pytest.skip("golden journals are written on the interpreted build")
    from tests.golden.make import record

    newest = Golden(versions()[-1])
    values, events, snapshot = record()
    assert [read_header(v).last for v in values] == [read_header(v).last for v in newest.values]
    assert values == newest.values
    assert events == newest.events
    assert snapshot == newest.snapshot
