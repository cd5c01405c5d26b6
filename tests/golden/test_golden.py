"""Promise 3 over time: what an earlier release wrote, this one reads, byte for byte."""

import json
import os
from hashlib import sha256

import pytest

from core.check import check
from core.digest import EventDigest
from core.kinds import ROW_SIZE, CommandKind, StateKind
from core.machine import Machine
from core.messages import StateEnd
from core.rows import from_row, rows, to_row
from core.state import SEMANTICS
from journal import snapshots
from journal.batch import HEADER_SIZE, BatchKind, Check, read_header
from journal.chain import Chain
from journal.directory import JournalDirectory
from journal.errors import CorruptBatch, WrongSemantics
from journal.memory import MemoryJournal
from journal.verify import verify
from replicas.replay import recover, replay
from tests.golden.make import FOLDER, first_state, read_values, state_of, versions, write
from tools.build import build

pytestmark = pytest.mark.both

if os.environ.get("UPDATE_GOLDEN") == "1" and build() == "interpreted":
    # Only ever the next version: `write` refuses a folder that exists.
    write(max(versions(), default=0) + 1)


QUARANTINE = bytes([CommandKind.QUARANTINE])


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

    def named(self):
        """The Quarantine rows."""
        found = [value for value in self.values if value[HEADER_SIZE : HEADER_SIZE + 1] == QUARANTINE]
        return [from_row(value[HEADER_SIZE : HEADER_SIZE + ROW_SIZE]) for value in found]

    def directory(self, path):
        """The journal in a directory, adopted batch by batch."""
        journal = JournalDirectory.adopt(path, self.state)
        for value in self.values[len(self.state) :]:
            journal.append(value)
        return journal


def semantics_of(version):
    """The semantics that a version was written under."""
    return json.loads((FOLDER / f"v{version}" / "expected.json").read_text())["semantics"]


REPLAYED = [version for version in versions() if semantics_of(version) == SEMANTICS]
"""What this release replays; of the others it reads and verifies every byte, and the release that wrote them replays them."""


@pytest.fixture(scope="module", params=versions(), ids=lambda version: f"v{version}")
def golden(request):
    return Golden(request.param)


@pytest.fixture(scope="module", params=REPLAYED, ids=lambda version: f"v{version}")
def replayed(request):
    return Golden(request.param)


@pytest.fixture(params=["memory", "directory"])
def kept_in(request, tmp_path):
    """Builds the journal of a version, in memory or in a directory."""
    made = []

    def build_journal(version):
        made.append(version.memory() if request.param == "memory" else version.directory(tmp_path / "venue"))
        return made[-1]

    yield build_journal
    for journal in made:
        journal.close()


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


def test_none_is_missing():
    """No version has been taken away, and the newest one is of the semantics of this release."""
    assert versions() == list(range(1, len(versions()) + 1))
    assert REPLAYED[-1:] == versions()[-1:]


def test_replayed(replayed, kept_in):
    """Every event, and both digests at the end of every batch, are those that were written down."""
    journal, machine = kept_in(replayed), replayed.machine()
    events, batches = found_in(journal, machine)
    assert batches == replayed.expected["batches"]
    assert events == replayed.events
    assert recover(journal).rows() == machine.rows()


@pytest.mark.parametrize("version", [version for version in versions() if version not in REPLAYED])
def test_other_semantics_are_not_replayed(version):
    """What was written under other rules is refused, not applied by these."""
    golden = Golden(version)
    machine = Machine()
    with pytest.raises(WrongSemantics):
        list(replay(golden.memory(), machine))
    assert machine.engine.sequence == 0


def test_the_events(golden):
    """The stored events come, batch by batch, to the digests that were written down and that later batches carry."""
    assert sha256(golden.events).hexdigest() == golden.expected["events"]
    digest, known, at = EventDigest(), {0: EventDigest().value()}, 0
    for batch in golden.expected["batches"]:
        end = at + batch["events"] * ROW_SIZE
        digest.feed(golden.events[at:end])
        known[batch["last"]], at = digest.value(), end
        assert digest.value().hex() == batch["event_digest"]
    assert at == len(golden.events)
    headers = [read_header(value) for value in golden.values]
    carried = [header for header in headers if header.applied in known]
    assert all(header.digest == known[header.applied] for header in carried)
    # A batch that follows a quarantine was sealed while the one before it could not be applied to its end.
    assert len(headers) - len(carried) <= len(golden.named())


def test_the_states(golden):
    """The states that segments begin with, and the snapshot, are whole, and those that their rows' batches led to."""
    segments = {}
    for value in golden.values:
        header = read_header(value)
        if header.kind == BatchKind.STATE:
            segments[header.last] = segments.get(header.last, b"") + value[HEADER_SIZE:]
    assert len(segments) == 2
    digests = {batch["last"]: (batch["state_digest"], batch["event_digest"]) for batch in golden.expected["batches"]}
    for sequence, state in [*segments.items(), (golden.expected["snapshot"], golden.snapshot)]:
        at = next(n for n in range(0, len(state), ROW_SIZE) if state[n] == StateKind.DIGEST % 256 and state[n + 1] == 2)
        end = from_row(state[-ROW_SIZE:])
        assert end == StateEnd(**end_hashes(sha256(state[:at]).digest()), rows=len(state) // ROW_SIZE - 1)
        if sequence:
            assert (sha256(state[:at]).hexdigest(), EventDigest.restore(state, at).value().hex()) == digests[sequence]


def end_hashes(digest):
    """A digest as the columns of an END row."""
    return {f"hash_{n}": int.from_bytes(digest[8 * n : 8 * n + 8], "little", signed=True) for n in range(4)}


def test_the_head(golden, kept_in):
    """The chain ends with the hash that was written down, closed."""
    journal = kept_in(golden)
    chain = Chain()
    for value in golden.values:
        chain.feed(value)
    assert journal.head() == chain.head
    assert journal.head().hash.hex() == golden.expected["head"]
    assert journal.closed()


def test_from_the_snapshot(replayed, kept_in):
    """The stored snapshot is the state at its row, byte for byte, and leads to the same end."""
    journal, machine = kept_in(replayed), replayed.machine()
    list(replay(journal, machine, to=replayed.expected["snapshot"]))
    assert machine.rows() == replayed.snapshot
    restored = Machine.restore(replayed.snapshot)
    assert restored.rows() == replayed.snapshot
    events, batches = found_in(journal, restored)
    assert replayed.events.endswith(events)
    assert batches == replayed.expected["batches"][-len(batches) :]


def test_a_snapshot_file(golden, tmp_path):
    """A snapshot beside the rebuilt directory is found good, and so is the whole directory."""
    journal = golden.directory(tmp_path / "venue")
    header = journal.header_at(golden.expected["snapshot"])
    snapshots.write(journal.snapshots, golden.snapshot, header)
    assert snapshots.newest(journal.snapshots, 2**62, journal).rows == golden.snapshot
    journal.close()
    assert verify(tmp_path / "venue").good


def test_recovered_in_two_ways(replayed, tmp_path):
    """A directory and a journal in memory recover to the same state."""
    journal = replayed.directory(tmp_path / "venue")
    assert recover(journal).rows() == recover(replayed.memory()).rows()
    journal.close()


def test_every_row_is_told_by_its_struct(golden):
    """Command, event and state rows are read by their Structs and written back as they were; but for spoiled commands."""
    stored = [golden.events, golden.snapshot]
    stored += [value[HEADER_SIZE:] for value in golden.values if read_header(value).kind == BatchKind.STATE]
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
    # A row, the timer of an order, and since semantics 2 an instrument whose orders were to follow.
    signs = [(row.timer_time > 0) - (row.timer_time < 0) for row in golden.named()]
    assert signs == [0, 1, -1][: 2 if golden.expected["semantics"] == 1 else 3]
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
