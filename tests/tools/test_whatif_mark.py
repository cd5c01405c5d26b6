"""A second world is marked in every batch and served by nobody; what a change file may not say."""

import shutil
from contextlib import closing

import pytest

from core import messages as m
from core.machine import Machine
from core.rows import to_row
from core.state import SEMANTICS
from journal.batch import COUNTERFACTUAL, HEADER_SIZE, read_header, seal
from journal.chain import Chain
from journal.directory import JournalDirectory
from journal.errors import CorruptBatch, NotInOrder, UnknownVersion
from journal.memory import MemoryJournal
from replicas.counterfactual import Counterfactual
from replicas.feed import DirectoryFeed
from replicas.opening import resume
from replicas.standby import Standby
from tests.pair import seeds
from tests.tools.conftest import FIRST, ROWS, ask, ask_json, flip, run
from tests.tools.test_errors import refused
from tests.tools.worlds import OF_NODES, ROW, Naive, changes, make, whatif


@pytest.fixture(scope="module")
def worlds(tmp_path_factory):
    return {seed: make(tmp_path_factory.mktemp("worlds") / "venue", seed, quarantines=0.02) for seed in seeds(2)}


@pytest.fixture
def other(venue, tmp_path):
    """A counterfactual journal."""
    whatif(venue, tmp_path, f"[[remove]]\nsequence = {FIRST}\n")
    return tmp_path / "other"


def test_every_batch_bears_the_mark(worlds, tmp_path):
    made = worlds[seeds(1)[0]]
    whatif(made, tmp_path, "[[remove]]\nsession = 1\n")
    for path, flags in ((tmp_path / "other", COUNTERFACTUAL), (made.path, 0)):
        journal = JournalDirectory(path)
        try:
            values = [*journal.segment(journal.segments()[0]).state_batches(), *journal.batches()]
            assert {read_header(value).flags for value in values} == {flags}
            assert journal.flags == flags
        finally:
            journal.close()


def test_a_batch_without_the_mark_breaks_the_chain(other):
    """Nobody can take the mark off one batch and seal it again: those before it bear it."""
    journal = JournalDirectory(other)
    try:
        values = [*journal.segment(1).state_batches(), *journal.batches()]
    finally:
        journal.close()
    chain = Chain()
    for value in values[:-1]:
        chain.feed(value)
    fields = read_header(values[-1])._asdict()
    names = ("kind", "semantics", "epoch", "first", "base_time", "applied", "digest", "previous")
    plain = seal(values[-1][HEADER_SIZE:], **{name: fields[name] for name in names})
    with pytest.raises(CorruptBatch, match="it is marked 0, the batch before 1"):
        chain.feed(plain)


@pytest.mark.parametrize(("ours", "theirs"), [(0, COUNTERFACTUAL), (COUNTERFACTUAL, 0)])
def test_a_journal_takes_no_batch_that_is_marked_otherwise(ours, theirs):
    machine = Machine()
    journal = MemoryJournal.create(machine.rows(), semantics=SEMANTICS, flags=ours)
    fields = {"semantics": SEMANTICS, "epoch": 1, "first": 1, "base_time": 1, "applied": 0}
    fields |= {"digest": machine.digest.value(), "previous": journal.head().hash}
    row = to_row(m.AdvanceTime(sequence=1, time=1))
    with pytest.raises(NotInOrder, match=f"marked {theirs}, the batch before {ours}"):
        journal.append(seal(row, flags=theirs, **fields))
    journal.append(seal(row, flags=ours, **fields))
    with pytest.raises(UnknownVersion, match="flags 2, which this release does not read"):
        read_header(seal(row, flags=2, **fields))


def test_no_node_serves_it(other, tmp_path):
    """Neither as a primary nor as a standby, nor does one follow it; nothing in the directory changes."""
    before = sorted(other.rglob("*"))
    with pytest.raises(Counterfactual):
        resume(other)
    with closing(DirectoryFeed(other)) as feed, pytest.raises(Counterfactual):
        Standby(tmp_path / "follower", feed)
    assert not (tmp_path / "follower" / "segments").exists()
    said = refused(1, "serve", "--data", other, "--unix", tmp_path / "socket")
    assert f"{other}: counterfactual: it tells what did not happen, and no node serves it" in said
    for place in (other, tmp_path / "new"):
        followed = tmp_path / "venue" if place == other else other
        said = refused(1, "standby", "--data", place, "--follow", followed, "--unix", tmp_path / "socket")
        assert "counterfactual" in said
    assert sorted(other.rglob("*")) == before
    assert not (tmp_path / "new").exists()


def test_a_copy_is_marked_as_well(other, tmp_path):
    ask("backup", other, tmp_path / "copy")
    assert "counterfactual" in refused(1, "serve", "--data", tmp_path / "copy", "--unix", tmp_path / "socket")


@pytest.mark.parametrize(
    "question", [["replay"], ["book", "AAA/USD"], ["order", "1"], ["fills"], ["dump"], ["snapshot"]], ids=lambda q: q[0]
)
def test_every_query_says_that_it_did_not_happen(question, other, venue):
    name, *rest = question
    assert f"{other}: counterfactual: this did not happen" in run(name, other, *rest).stderr
    assert "counterfactual" not in run(name, venue, *rest).stderr


def test_verify_says_so(other, venue):
    assert "sound\ncounterfactual: this did not happen\n" in ask("verify", other)
    assert ask_json("verify", other)["counterfactual"]
    assert not ask_json("verify", venue)["counterfactual"]


# ---- errors

UNFIT = [
    ("[[remove]]", "say which commands"),
    ("[[remove]]\nsequence = 10000", f"remove 1: sequence = 10000: the rows to be replayed are 1 to {ROWS}"),
    ("[[remove]]\nkind = 'Enter'", "kind Enter is none of"),
    ("[[remove]]\ninstrument = 'ZZZ'", "remove 1: no instrument ZZZ; known: AAA/USD"),
    ("[[remove]]\nprice = 5", "price"),
    ("[[alter]]\nsequence = 15\n", "set: say what"),
    ("[[alter]]\nsequence = 15\nset = { session = 3 }", "session cannot be altered"),
    ("[[alter]]\nsequence = 15\nset = { colour = 3 }", "no such command has colour"),
    ("[[alter]]\nkind = 'EnterOrder'\nset = { side = 'LEFT' }", "side = 'LEFT' is none of BUY, SELL"),
    ("[[alter]]\nkind = 'EnterOrder'\nset = { price = 'x' }", "price = 'x' is not an integer"),
    ("[[alter]]\nkind = 'EnterOrder'\nset = { price = 9223372036854775808 }", "alter 1"),
    ("[[insert]]\nbefore = 10000\ncommand = { kind = 'MassCancel' }", "before = 10000"),
    ("[[insert]]\nbefore = 15\ncommand = { kind = 'Promote', epoch = 9 }", "'Promote' is none of"),
    ("[[insert]]\nbefore = 15\ncommand = { account = 9 }", "kind = None is none of"),
    ("[[insert]]\nbefore = 15\ncommand = { kind = 'CancelOrder', inbound = 9 }", "given by the sequencer"),
    ("[[insert]]\nbefore = 15\ncommand = { kind = 'CancelOrder', price = 9 }", "CancelOrder has no price; it has"),
    ("[[insert]]\nbefore = 15\ncommand = { kind = 'AcceptClock', time = 4611686018427387904 }", "time"),
    ("[[rule]]\nfrom = 15\nallocation = 'FIFO'", "allocation cannot be changed; what can be: maker_fee"),
    ("[[rule]]\nfrom = 15\nallocation = 'PRO_RATA'", "allocation cannot be changed"),
    ("[[rule]]\nfrom = 15\nmaker_fee = 1", "of which instrument"),
    ("[[rule]]\nfrom = 15\ninstrument = 'AAA/USD'", "say what"),
    ("[[rule]]\nfrom = 0\nstate = 'OPEN'", "rule 1"),
    ("[[rule]]\nfrom = 10000\nstate = 'OPEN'", "rule 1: from = 10000"),
    ("[[remove", "not TOML"),
    ("[[delete]]\nsequence = 1", "delete"),
]


@pytest.mark.parametrize(("text", "said"), UNFIT, ids=[text.replace("\n", " ")[:50] for text, _ in UNFIT])
def test_a_change_file_that_does_not_fit(text, said, venue, tmp_path):
    """One line that names the part; nothing is made."""
    file = changes(tmp_path, text)
    before = sorted(tmp_path.rglob("*"))
    assert said in refused(64, "whatif", venue, "--change", file, "--to", tmp_path / "other")
    assert [path for path in sorted(tmp_path.rglob("*")) if path.name != "lock.mdb"] == [
        path for path in before if path.name != "lock.mdb"
    ]


def test_no_journal_a_place_that_is_taken_and_damage(venue, tmp_path):
    file = changes(tmp_path, "")
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "notes.txt").write_text("x")
    for path in (tmp_path / "nothing", tmp_path / "foreign"):
        assert "no journal here" in refused(2, "whatif", path, "--change", file, "--to", tmp_path / "other")
    assert "not empty" in refused(64, "whatif", venue, "--change", file, "--to", tmp_path / "foreign")
    assert "no/file" in refused(64, "whatif", venue, "--change", "no/file", "--to", tmp_path / "other")
    shutil.rmtree(venue / "snapshots")
    flip(venue / "segments" / f"{1:020}" / "data.mdb", (9_990).to_bytes(8, "little"))
    assert "its hash is not that" in refused(1, "whatif", venue, "--change", file, "--to", tmp_path / "other")
    assert not list(tmp_path.glob("*other*"))


def test_a_place_within_the_journal_is_refused(venue, tmp_path):
    file, before = changes(tmp_path, ""), sorted(venue.rglob("*"))
    (tmp_path / "link").symlink_to(venue)
    for place in (venue / "other", venue / "segments" / "other", tmp_path / "link" / "other"):
        said = refused(64, "whatif", venue, "--change", file, "--to", place)
        assert "within the journal; choose another place" in said
    assert sorted(venue.rglob("*")) == before


def test_an_interrupted_run_leaves_nothing(venue, tmp_path, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("tools.worlds.rewriting.SecondWorld.close", stop)
    result = run("whatif", venue, "--change", changes(tmp_path, ""), "--to", tmp_path / "other")
    assert (result.exit_code, result.stdout) == (130, "")
    assert not list(tmp_path.glob("*other*"))


def test_the_journal_that_is_asked_stays_as_it_is(venue, tmp_path):
    data = venue / "segments" / f"{1:020}" / "data.mdb"
    before = data.read_bytes()
    whatif(venue, tmp_path, "[[remove]]\nsession = 1\n")
    assert data.read_bytes() == before


def test_the_second_world_replays_to_its_own_state(worlds, tmp_path):
    """Its snapshots of state are those of an engine that is given its rows."""
    made = worlds[seeds(1)[0]]
    whatif(made, tmp_path, "[[remove]]\nsession = 2\n")
    ours = Machine()
    naive = Naive(made, lambda _, columns: columns[0] in OF_NODES or columns[3] != 2)
    for _, line in naive.lines:
        if line.quarantine is None:
            ours.apply(line.row, 0, len(line.row))
        else:
            ours.apply_quarantined(line.row, 0, line.quarantine, 0)
    last = len(naive.lines)
    assert ask_json("replay", tmp_path / "other", "--to", last)["state_digest"] == ours.state_digest().hex()
    assert ROW.size == 128
