"""`lockstep bisect` names the command that a brute force finds, and exactly the fields in which the states then differ."""

import shutil
import struct
from contextlib import closing

import pytest

from core.kinds import StateKind
from core.machine import Machine
from core.messages import DefineCurrency, Upgrade
from core.rows import to_row
from core.state import SEMANTICS
from journal.batch import BatchKind, read_header
from journal.directory import JournalDirectory
from journal.event_store import EventStore
from replicas.opening import create
from tests.determinism.stream import START, wire_rows
from tests.pair import seeds
from tests.tools.brute import asked, brute, check, check_states, differing, named, parts, stored
from tests.tools.conftest import ask, flip, run
from tests.tools.exports import golden_journal
from tests.tools.test_errors import refused
from tests.tools.twins import FAULTS, Twin, checkout, made, row_of, told_one_by_one
from tools.engines import EngineProcess, LocalEngine
from tools.parting.digest_search import search
from tools.parting.states import KEYS, without_digest

SEEDS = seeds(2)
SEED = SEEDS[-1]
ROWS = 420


@pytest.fixture(scope="module")
def engines(tmp_path_factory):
    """A process for each faulty engine, started once."""
    folder = tmp_path_factory.mktemp("engines")
    started = {fault: EngineProcess(checkout(folder / str(at), fault)) for at, fault in enumerate(FAULTS)}
    yield started
    for engine in started.values():
        engine.close()


@pytest.fixture(scope="module")
def venues(tmp_path_factory):
    """A journal for each seed: several segments, snapshots, closed."""
    folder = tmp_path_factory.mktemp("venues")
    return {seed: made(folder / str(seed), seed, ROWS, rolls=(210,), snapshots=(70, 140, 350)) for seed in SEEDS}


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("fault", FAULTS)
def test_the_first_command_is_the_one_that_brute_force_finds(fault, seed, engines, venues):
    expected = brute(venues[seed], LocalEngine(), engines[fault])
    certain = seed % 2 == 1 and fault in {"fee at one price", "newest first", "a match of 7 raises"}
    assert expected is not None or not certain, f"seed {seed}"
    told = asked(venues[seed], "--engine", engines[fault].name)
    if expected is not None:
        assert not told["same"], f"seed {seed}"
        check(told, expected)
    else:
        assert told["differ"] is None
    check_states(told, venues[seed], engines[fault])


@pytest.mark.parametrize("seed", SEEDS)
def test_states_that_part_without_any_event(seed, tmp_path, venues):
    """Fees that the venue forgets stand in no event: the first match with a fee is named all the same."""
    with EngineProcess(checkout(tmp_path / "engine", "fees are forgotten")) as engine:
        both = LocalEngine(), engine
        first = None
        for row, _ in told_one_by_one(venues[seed], *both):
            if first is None and without_digest(both[0].state()) != without_digest(engine.state()):
                first = row
        told = asked(venues[seed], "--engine", engine.name)
        assert told["differ"] is None
        assert told.get("states", {}).get("sequence") == first, f"seed {seed}"
        assert told["same"] == (first is None)
        if first is not None:
            check_states(told, venues[seed], engine)
            assert {field for _, field in named(told["states"]["differences"])} == {"fees"}


@pytest.mark.parametrize(
    ("fault", "cut"), [("fee at one price", None), ("replace goes to the back", 5), ("newest first", 3)]
)
def test_two_nodes_of_which_one_has_another_engine(fault, cut, engines, venues, tmp_path):
    """With the other engine both states are compared; without it, what its node has kept tells the command."""
    expected = brute(venues[SEED], LocalEngine(), engines[fault])
    Twin(engines[fault], venues[SEED], tmp_path / "b", cut=cut)
    told = asked(venues[SEED], "--against", tmp_path / "b", "--engine", engines[fault].name)
    backwards = asked(tmp_path / "b", "--against", venues[SEED])
    assert told["same"] == backwards["same"] == (expected is None), f"seed {SEED}"
    if expected is not None:
        check(told, expected)
        check_states(told, venues[SEED], engines[fault])
        assert told["agreed"] < told["sequence"] <= told["differ"] <= told["agreed"] + 7
        twice = asked(tmp_path / "b", "--engine", checkout(tmp_path / "right"))
        assert backwards["sequence"] == twice["sequence"] == told["sequence"]
        assert twice["a"]["events"] == told["b"]["events"]
        assert (backwards["b"], backwards["a"]["events"]) == (told["a"], told["b"]["events"])
        # The state that its own second segment begins with may hold what the fault has done.
        assert backwards["a"]["source"] in {"its event store", "this release, from segment 218"}


def parted(venues, engines, path):
    """A journal that parts from its twin: the seed's, and the twin by the first faulty engine that gives one."""
    for fault in ("newest first", "fee at one price", "cancels are refused at one price"):
        Twin(engines[fault], venues[SEED], path)
        if not asked(venues[SEED], "--against", path)["same"]:
            return path
        shutil.rmtree(path)
    return pytest.skip(f"seed {SEED} meets none of the faults")


def test_an_engine_that_does_not_take_back_its_own_state(venues, tmp_path):
    """It is replayed from the first row, every time."""
    with EngineProcess(checkout(tmp_path / "engine", "newest first", "takes no orders")) as engine:
        expected = brute(venues[SEED], LocalEngine(), engine)
        told = asked(venues[SEED], "--engine", engine.name)
        assert told.get("sequence") == (expected and expected[0]), f"seed {SEED}"
        if expected is not None:
            assert named(told["after"]) == differing(*expected[3])


def test_nodes_that_begin_with_different_states(tmp_path):
    """It is no command that made them differ."""
    for name, currency in (("a", 1), ("b", 2)):
        machine = Machine()
        machine.apply(to_row(DefineCurrency(sequence=1, time=5, currency=currency, symbol="USD")), 0, 128)
        JournalDirectory.create(tmp_path / name, machine.rows(), semantics=SEMANTICS).close()
    told = asked(tmp_path / "a", "--against", tmp_path / "b")
    assert [one["what"] for one in told["inputs"]][:1] == ["state"]
    assert told["inputs"][0]["columns"][0]["column"] == "currency"


def test_what_is_printed(venues, engines):
    """The command, what each engine told, and the fields, by name; where the states parted before, that command too."""
    for fault in ("newest first", "replace goes to the back"):
        told = asked(venues[SEED], "--engine", engines[fault].name)
        lines = run("bisect", venues[SEED], "--engine", engines[fault].name).stdout.splitlines()
        if "states" in told:
            assert f"the states part without an event at row {told['states']['sequence']}" in lines
        if "sequence" in told:
            at = lines.index(f"the first command after which they differ: row {told['sequence']}")
            assert lines[at + 1].startswith(f"  {told['command']['kind']} sequence={told['sequence']} ")
            sides = [lines.index(f"{name} ({told[name.lower()]['source']}):") for name in "AB"]
            for side, name in zip(sides, "ab", strict=True):
                kinds = [line.split()[0] for line in lines[side + 1 : side + 1 + len(told[name]["events"])]]
                assert kinds == [event["kind"] for event in told[name]["events"]]
            for one in told["after"] or []:
                assert [line for line in lines if line.startswith(f"  {one['what']}: ")]


def test_without_engine_and_event_store_the_rows_are_named_between_which_it_lies(venues, engines, tmp_path):
    b = parted(venues, engines, tmp_path / "b")
    known = asked(venues[SEED], "--against", b)
    EventStore.remove(b / "events")
    told = asked(venues[SEED], "--against", b)
    assert "sequence" not in told
    assert told["agreed"] < known["sequence"] <= told["differ"]
    assert told["unknown"] == "the digest of B comes neither from a replay nor from an event store"


def test_events_that_were_stored_but_not_told_are_not_believed(venues, engines, tmp_path):
    """The event store of the first node beside the journal of the second: its digest is not that of the journal."""
    b = parted(venues, engines, tmp_path / "b")
    EventStore.remove(b / "events")
    shutil.copytree(venues[SEED] / "events", b / "events")
    assert "neither from a replay nor from an event store" in asked(venues[SEED], "--against", b)["unknown"]


def richer(engine, sequence, at=250):
    """From a row on, every balance is another one, which no event tells."""
    if sequence == at:
        for account in engine.machine.engine.accounts:
            for balance in [] if account is None else account.balances:
                if balance is not None:
                    balance.total += 1_000_003


def test_a_memory_that_was_damaged(venues, tmp_path):
    """One engine in both nodes. The events come from the event store; from a snapshot with the damage in it, the state too."""
    Twin(LocalEngine(), venues[SEED], tmp_path / "b", damage=richer)
    first = next(row for row, one, other in stored(venues[SEED], tmp_path / "b") if one != other)
    told = asked(venues[SEED], "--against", tmp_path / "b")
    assert told["sequence"] == first >= 250, f"seed {SEED}"
    assert told["b"]["source"] == "its event store"
    assert told["before"] is None


def test_a_snapshot_with_the_damage_in_it_tells_the_fields(venues, tmp_path):
    """The node's own snapshot explains its events, and the fields that were damaged are named, which no event tells."""
    damaged = set()

    def damage(engine, sequence):
        if sequence == 246:
            account = engine.machine.engine.account(5)
            for currency, balance in zip((1, 2, 3), account.balances, strict=False):
                balance.total += 7
                damaged.add((f"Balance 5 {currency}", "total"))

    Twin(LocalEngine(), venues[SEED], tmp_path / "b", damage=damage, snapshot=252)
    parts = [row for row, one, other in stored(venues[SEED], tmp_path / "b") if one != other]
    told = asked(venues[SEED], "--against", tmp_path / "b")
    assert told["same"] == (not parts), f"seed {SEED}"
    if parts:
        assert told["sequence"] == parts[0]
    if parts and parts[0] > 259:
        assert told["b"]["source"] == "this release, from snapshot 252"
        assert named(told["before"]) >= damaged


def test_a_copy_agrees(venues, tmp_path):
    shutil.copytree(venues[SEED], tmp_path / "b")
    told = asked(venues[SEED], "--against", tmp_path / "b")
    assert told == {"same": True, "agreed": ROWS, "differ": None}
    assert "the event digests agree up to row 420\nsame" in ask("bisect", venues[SEED], "--against", tmp_path / "b")


def test_the_same_engine_agrees(venues, tmp_path):
    told = asked(venues[SEED], "--engine", checkout(tmp_path / "same"))
    assert told == {"same": True, "agreed": ROWS, "differ": None}


def test_batches_cut_otherwise_agree_up_to_the_last_row(venues, tmp_path):
    """Two journals that were not closed, whose last digests stand at different rows."""
    made(tmp_path / "a", SEED, ROWS, close=False)
    Twin(LocalEngine(), tmp_path / "a", tmp_path / "b", cut=5)
    told = asked(tmp_path / "a", "--against", tmp_path / "b")
    assert told["same"]
    assert told["agreed"] == ROWS - 7


def test_digests_at_different_rows_are_told_by_a_replay(tmp_path):
    """The last row for which both carry a digest is 390; the one carries more at 400 and 410, the other at 405."""
    made(tmp_path / "a", SEED, ROWS, cut=10, close=False)
    made(tmp_path / "b", SEED, ROWS, cut=15, close=False)
    LiesOnce(LocalEngine(), tmp_path / "b", tmp_path / "c")
    assert asked(tmp_path / "a", "--against", tmp_path / "b") == {"same": True, "agreed": 405, "differ": None}
    for pair in (("a", "c"), ("c", "a")):
        told = asked(tmp_path / pair[0], "--against", tmp_path / pair[1])
        assert (told["agreed"], told["differ"]) == (390, 405)
        assert told["unknown"].startswith(f"the digest of {'AB'[pair.index('c')]} comes neither")


class LiesOnce(Twin):
    """The digest up to row 405 is that of no events."""

    def seal(self, header, rows, named):
        if header.first == 406:
            self.engine.digest = lambda: bytes(32)
        super().seal(header, rows, named)


def test_a_journal_that_begins_later(venues, engines, tmp_path):
    """A node that joined at a segment: agreed from there on, or parted before."""
    for number, engine in enumerate([LocalEngine(), engines["fee at one price"]]):
        twin, joined = tmp_path / f"twin{number}", tmp_path / f"joined{number}"
        Twin(engine, venues[SEED], twin)
        with closing(JournalDirectory(twin)) as source:
            copy = JournalDirectory.adopt(joined, source.segment(218).state_batches())
            for value in source.segment(218).batches():
                copy.append(value)
            copy.close()
        parted_before = number == 1 and any(row < 218 for row in parts(venues[SEED], twin))
        told = asked(venues[SEED], "--against", joined)
        if parted_before:
            assert (told["agreed"], told["differ"]) == (None, 217)
            assert told["unknown"] == "they differ where both journals begin"
        elif number == 0:
            assert told == {"same": True, "agreed": ROWS, "differ": None}


def test_rows_without_a_digest_are_compared_with_another_engine(engines, tmp_path):
    """The last batch of a journal that was not closed carries no digest of its own rows."""
    seed, fault = SEED, "newest first"
    made(tmp_path / "a", seed, ROWS, cut=ROWS, close=False)
    expected = brute(tmp_path / "a", LocalEngine(), engines[fault])
    told = asked(tmp_path / "a", "--engine", engines[fault].name)
    assert told["same"] == (expected is None), f"seed {seed}"
    if expected is not None:
        check(told, expected)


class ClosesWrong(Twin):
    """Its closing batch carries a digest of no events at all."""

    def add(self, value, named):
        if read_header(value).kind == BatchKind.CLOSING and read_header(value).last == ROWS:
            self.engine.digest = lambda: bytes(32)
        super().add(value, named)


def test_only_the_closing_batch_differs(venues, tmp_path):
    ClosesWrong(LocalEngine(), venues[SEED], tmp_path / "b")
    with closing(JournalDirectory(venues[SEED])) as a, closing(JournalDirectory(tmp_path / "b")) as b:
        span = search(a, b)
    assert (span.agreed, span.differ) == (ROWS - 7, ROWS)
    told = asked(venues[SEED], "--against", tmp_path / "b")
    assert (told["agreed"], told["differ"]) == (ROWS - 7, ROWS)
    assert told["unknown"] == "the digest of B comes neither from a replay nor from an event store"


@pytest.mark.parametrize("row", [1, 300, ROWS])
def test_inputs_that_differ_are_named_before_events(row, venues, tmp_path):
    columns = list(struct.unpack("<16q", row_of(venues[SEED], row)))
    columns[7] += 1
    Twin(LocalEngine(), venues[SEED], tmp_path / "b", row=struct.pack("<16q", *columns))
    told = asked(venues[SEED], "--against", tmp_path / "b")
    assert not told["same"]
    assert [one["sequence"] for one in told["inputs"] if one["what"] == "row"] == [row]
    assert "sequence" not in told
    assert (
        "the inputs differ, before any event does: `lockstep diff`"
        in run("bisect", venues[SEED], "--against", tmp_path / "b").stdout
    )


def test_a_journal_that_ends_earlier_agrees_as_far_as_it_goes(venues, tmp_path):
    made(tmp_path / "b", SEED, 210, close=False)
    told = asked(tmp_path / "b", "--against", venues[SEED])
    assert told == {"same": True, "agreed": 203, "differ": None}


def test_rows_in_quarantine(engines, tmp_path):
    """A journal with quarantines, several segments and every kind of command, and what another engine makes of it."""
    golden_journal(tmp_path / "a")
    assert asked(tmp_path / "a", "--engine", checkout(tmp_path / "same"))["same"]
    for number, fault in enumerate(["newest first", "cancels are refused at one price"]):
        expected = brute(tmp_path / "a", LocalEngine(), engines[fault])
        Twin(engines[fault], tmp_path / "a", tmp_path / f"b{number}")
        told = asked(tmp_path / "a", "--against", tmp_path / f"b{number}", "--engine", engines[fault].name)
        assert told["same"] == (expected is None)
        if expected is not None:
            check(told, expected)


# ---- other rules


@pytest.fixture(scope="module")
def of_other_rules(tmp_path_factory, venues):
    """Journals that this release cannot replay, and the engines that made them: `a` the right one, `b` one with a fault."""
    folder = tmp_path_factory.mktemp("rules")
    for name, faults in {"a": (), "b": ("newest first",)}.items():
        with EngineProcess(checkout(folder / f"engine-{name}", "other rules", *faults)) as engine:
            Twin(engine, venues[SEED], folder / name, semantics=SEMANTICS + 1)
    return folder


def test_other_rules_need_their_engine_only_where_events_differ(of_other_rules, tmp_path):
    a, b = of_other_rules / "a", of_other_rules / "b"
    shutil.copytree(a, tmp_path / "copy")
    assert asked(a, "--against", tmp_path / "copy")["same"]
    assert asked(a, "--engine", of_other_rules / "engine-a")["same"]
    for side, other in (("a", "b"), ("b", "a")) if parts(a, b) else ():
        line = refused(1, "bisect", of_other_rules / side, "--against", of_other_rules / other)
        assert f"semantics {SEMANTICS + 1}; this release applies {SEMANTICS}: name one that does by --engine" in line
        engine = of_other_rules / f"engine-{other}"
        told = asked(of_other_rules / side, "--against", of_other_rules / other, "--engine", engine)
        assert told["sequence"] == parts(a, b)[0]


def test_an_upgrade_behind_the_rows_is_no_hindrance(engines, tmp_path):
    """The last segment is of rules that this release does not have; the rows that differ stand before it."""
    directory, sequencer = create(tmp_path / "a")
    wire = wire_rows(SEED, ROWS)
    for at in range(0, ROWS, 30):
        sequencer.submit(b"".join(wire[at : at + 30]), START)
    sequencer.submit(to_row(Upgrade(version=SEMANTICS + 1)), START + 10**15)
    sequencer.events.close()
    directory.close()
    expected = brute(tmp_path / "a", LocalEngine(), engines["fee at one price"])
    Twin(engines["fee at one price"], tmp_path / "a", tmp_path / "b")
    told = asked(tmp_path / "a", "--against", tmp_path / "b")
    assert told["same"] == (expected is None), f"seed {SEED}"
    again = asked(tmp_path / "a", "--engine", engines["fee at one price"].name)
    assert told.get("sequence") == again.get("sequence") == (expected and expected[0])


# ---- what is refused


def test_a_damaged_journal(venues, tmp_path):
    """One line, and no answer, whichever of the two it is."""
    shutil.copytree(venues[SEED], tmp_path / "b")
    flip(tmp_path / "b" / "segments" / f"{1:020}" / "data.mdb", row_of(venues[SEED], 150))
    flip(tmp_path / "b" / "segments" / f"{218:020}" / "data.mdb", row_of(venues[SEED], 400))
    for arguments in ([venues[SEED], "--against", tmp_path / "b"], [tmp_path / "b", "--against", venues[SEED]]):
        said = refused(1, "bisect", *arguments)
        assert said.startswith(f"lockstep: {tmp_path / 'b'}: batch ")
        assert "its hash is not that of its bytes" in said
    same = checkout(tmp_path / "same")
    assert "its hash is not that of its bytes" in refused(1, "bisect", tmp_path / "b", "--engine", same)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["A"], 64, "against what? Give --against B, --engine CHECKOUT_OR_WHEEL, or both"),
        (["A", "--against", "A"], 64, "are the same directory"),
        (["A", "--against", "nowhere"], 2, "no journal here"),
        (["nowhere", "--against", "A"], 2, "no journal here"),
        (["A", "--against", "FOREIGN"], 2, "no journal here"),
        (["A", "--engine", "FOREIGN"], 64, "no engine there: neither a checkout"),
        (["A", "--engine", "nowhere"], 64, "no engine there: neither a checkout"),
        (["A", "--engine", "FILE"], 64, "neither a checkout nor a sound wheel"),
        (["A", "--nonsense"], 64, "--nonsense"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(arguments, code, said, venues, tmp_path):
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "file").write_text("no wheel")
    places = {"A": venues[SEED], "FOREIGN": tmp_path / "foreign", "FILE": tmp_path / "foreign" / "file"}
    assert said in refused(code, "bisect", *(places.get(argument, argument) for argument in arguments))
    assert [path.name for path in tmp_path.rglob("*")] == ["foreign", "file"]


def test_every_kind_of_state_row_is_compared():
    """A kind without a key would be passed over, or end the search with an error."""
    assert set(KEYS) == {*StateKind} - {StateKind.DIGEST, StateKind.END}
