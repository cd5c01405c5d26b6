"""`lockstep diff` finds the one column of the one row that differs, wherever it is, and calls nothing else a difference."""

import json
import random
import shutil
import struct
from contextlib import closing

import pytest

from core.kinds import COLUMNS, CommandKind
from core.machine import Machine
from core.messages import COMMANDS, ROWS
from core.rows import layout
from core.state import SEMANTICS
from journal.batch import BatchKind, read_header, seal
from journal.chain import Chain
from journal.directory import JournalDirectory
from tests.pair import seeds
from tests.tools.conftest import ask, flip, run
from tests.tools.test_errors import refused
from tests.tools.twins import Twin, made, row_of
from tools.engines import LocalEngine
from tools.parting.columns import differing, named
from tools.parting.journals import common_head, compare

(SEED,) = seeds(1)
COUNT = 420
ROW = struct.Struct("<16q")
KINDS = sorted(set(COMMANDS) - {CommandKind.QUARANTINE})
SECRETS = ("hash_", "salt_")


def asked(*arguments):
    """What `diff` says in JSON, and whether its exit code says the same."""
    result = run("diff", *arguments, "--json")
    assert result.exit_code in {0, 1}, result.output
    told = json.loads(result.stdout)
    assert result.exit_code == (0 if told["same"] else 1)
    return told


def what(told):
    """What differs, and from which row on."""
    return [(one["what"], one["sequence"]) for one in told["differences"]]


@pytest.fixture(scope="module")
def venue(tmp_path_factory):
    return made(tmp_path_factory.mktemp("made") / "venue", SEED, COUNT, rolls=(210,), snapshots=(70,))


def sealed(path, rows, cut=1, epochs=None, state=None, **fields):
    """A journal of rows as they are, in batches of so many, applied by no engine."""
    machine = Machine()
    copy = JournalDirectory.create(path, state or machine.rows(), semantics=SEMANTICS)
    for at in range(0, len(rows), cut):
        value = seal(
            b"".join(rows[at : at + cut]),
            semantics=SEMANTICS,
            epoch=(epochs or {}).get(at + 1, copy.head().epoch),
            first=at + 1,
            base_time=ROW.unpack(rows[at])[2],
            previous=copy.head().hash,
            **{"applied": 0, "digest": machine.digest.value()} | fields,
        )
        copy.append(value)
    copy.close()
    return path


def rows_of_every_kind(rng):
    """A row of each kind of command, every column of it used."""
    return [
        ROW.pack(kind, at, 1_000 * at, *(rng.randrange(1, 2**62) for _ in range(COLUMNS - 3)))
        for at, kind in enumerate(KINDS, start=1)
    ]


def name_of(kind, column):
    """The field that a column belongs to, by the Struct."""
    fields = [field for field in layout(ROWS[kind]) if field.column <= column < field.column + (field.text or 1)]
    return fields[0].name if fields else f"column_{column}"


@pytest.mark.parametrize("kind", sorted(ROWS))
def test_each_column_of_each_kind_of_row(kind):
    """Two rows that differ in one column differ in the field of that column, and in nothing else."""
    rng = random.Random(SEED * 1_000 + kind)
    columns = [kind, *(rng.randrange(1, 2**62) for _ in range(COLUMNS - 1))]
    assert differing(ROW.pack(*columns), ROW.pack(*columns)) == []
    for column in range(1, COLUMNS):
        other = columns.copy()
        other[column] ^= 1 << rng.randrange(62)
        found = differing(ROW.pack(*columns), ROW.pack(*other))
        name = name_of(kind, column)
        assert [one.name for one in found] == [name], f"seed {SEED}"
        if not layout_text(kind, name) and found[0].a != "hidden":
            assert (found[0].a, found[0].b) == (columns[column], other[column])


def layout_text(kind, name):
    return any(field.text for field in layout(ROWS[kind]) if field.name == name)


@pytest.mark.parametrize("kind", KINDS)
def test_a_changed_byte_in_a_sealed_journal(kind, tmp_path):
    """One byte of one command, all hashes right: its row and its column are named, and both rows shown."""
    rng = random.Random(SEED * 1_000 + kind)
    mine = rows_of_every_kind(rng)
    at, column = KINDS.index(kind), rng.choice([2, *range(3, COLUMNS)])
    changed = bytearray(mine[at])
    changed[8 * column + (0 if column == 2 else rng.randrange(7))] ^= 1
    theirs = [*mine[:at], bytes(changed), *mine[at + 1 :]]
    cuts = rng.choice((1, 2, 5)), rng.choice((1, 3))
    told = asked(sealed(tmp_path / "a", mine, cuts[0]), sealed(tmp_path / "b", theirs, cuts[1]))
    assert what(told) == [("row", at + 1)], f"seed {SEED}, column {column}"
    assert told["rows"] == at
    (row,) = told["differences"]
    assert [one["column"] for one in row["columns"]] == [name_of(kind, column)]
    assert (row["a"], row["b"]) == (named(mine[at]), named(bytes(changed)))


def test_another_kind_at_the_same_row(tmp_path):
    mine = rows_of_every_kind(random.Random(SEED))
    theirs = [mine[0], ROW.pack(KINDS[5], *ROW.unpack(mine[1])[1:]), *mine[2:]]
    sealed(tmp_path / "a", mine)
    sealed(tmp_path / "b", theirs)
    (told,) = asked(tmp_path / "a", tmp_path / "b")["differences"]
    assert [(one["column"], one["a"], one["b"]) for one in told["columns"]] == [("kind", KINDS[1], KINDS[5])]
    plain = run("diff", tmp_path / "a", tmp_path / "b").stdout
    assert f"row 2 differs\n  A {COMMANDS[KINDS[1]].__name__} sequence=2 " in plain
    assert f"kind: A {COMMANDS[KINDS[1]].__name__}, B {COMMANDS[KINDS[5]].__name__}\ndifferent\n" in plain


def test_credentials_are_told_apart_and_not_shown(tmp_path):
    row = ROW.pack(CommandKind.SET_CREDENTIAL, 1, 5, *range(1_001, 1_014))
    other = ROW.pack(CommandKind.SET_CREDENTIAL, 1, 5, *range(1_001, 1_007), 77_777, *range(1_008, 1_014))
    sealed(tmp_path / "a", [row])
    sealed(tmp_path / "b", [other])
    for form in ([], ["--json"]):
        shown = run("diff", tmp_path / "a", tmp_path / "b", *form).stdout
        assert "hash_0" in shown
        assert not [secret for secret in ("77777", *map(str, range(1_007, 1_013))) if secret in shown]


def test_batches_that_are_cut_otherwise_are_no_difference_unless_asked_for(venue, tmp_path):
    Twin(LocalEngine(), venue, tmp_path / "b", cut=3)
    told = asked(venue, tmp_path / "b")
    ends = {"a": COUNT, "b": COUNT}
    assert told == {"same": True, "rows": COUNT, "hashed": 0, "ends": ends, "differences": [], "cut": 1}
    assert asked(venue, tmp_path / "b", "--batches") == told | {"same": False}
    assert "note: the batches are not the same from row 1 on" in ask("diff", venue, tmp_path / "b")


def test_a_copy_is_the_same(venue, tmp_path):
    shutil.copytree(venue, tmp_path / "b")
    ends = {"a": COUNT, "b": COUNT}
    same = {"same": True, "rows": COUNT, "hashed": COUNT, "ends": ends, "differences": [], "cut": None}
    assert asked(venue, tmp_path / "b", "--batches") == same
    assert asked(venue, tmp_path / "b", "--batches", "--whole") == same | {"hashed": 0}
    plain = f"the commands up to row {COUNT} are the same, up to row {COUNT} by the hash of a batch\nsame\n"
    assert ask("diff", venue, tmp_path / "b") == plain
    assert ask("diff", venue, tmp_path / "b", "--whole") == f"the commands up to row {COUNT} are the same\nsame\n"


@pytest.mark.parametrize("closed", [True, False])
def test_a_journal_that_goes_on_where_the_other_ends(closed, venue, tmp_path):
    made(tmp_path / "b", SEED, 280, rolls=(210,), close=closed)
    assert what(asked(venue, tmp_path / "b")) == what(asked(tmp_path / "b", venue)) == [("length", 281)]
    assert f"B ends at row 280, A goes on to row {COUNT}\n" in run("diff", venue, tmp_path / "b").stdout
    assert asked(venue, tmp_path / "b")["rows"] == 280


def test_a_closing_batch_at_the_end_of_one_is_a_note(tmp_path):
    made(tmp_path / "a", SEED, 70)
    made(tmp_path / "b", SEED, 70, close=False)
    told = asked(tmp_path / "a", tmp_path / "b")
    assert (told["same"], told["differences"], told["cut"]) == (True, [], 71)
    assert not asked(tmp_path / "a", tmp_path / "b", "--batches")["same"]


def test_a_journal_that_begins_later(venue, tmp_path):
    """A standby that joined at a segment holds the rows from there on."""
    with closing(JournalDirectory(venue)) as source:
        joined = JournalDirectory.adopt(tmp_path / "b", source.segment(218).state_batches())
        for value in source.segment(218).batches():
            joined.append(value)
        joined.close()
    for form in ([], ["--whole"]):
        told = asked(venue, tmp_path / "b", *form)
        assert what(told) == what(asked(tmp_path / "b", venue, *form)) == [("begin", 218)]
        assert told["rows"] == COUNT
    assert "A begins at row 1, B at row 218" in run("diff", venue, tmp_path / "b").stdout


def test_another_epoch_of_the_same_rows(tmp_path):
    mine = rows_of_every_kind(random.Random(SEED))
    sealed(tmp_path / "a", mine, epochs={4: 2})
    sealed(tmp_path / "b", mine, epochs={7: 2})
    told = asked(tmp_path / "a", tmp_path / "b")
    assert what(told) == [("epoch", 4)]
    assert told["differences"][0]["text"] == "epoch from row 4 on: A 2, B 1"


def test_another_event_digest_of_the_same_rows(tmp_path):
    mine = rows_of_every_kind(random.Random(SEED))
    sealed(tmp_path / "a", mine[:5])
    sealed(tmp_path / "b", mine[:5])
    for name, digest in (("a", bytes(32)), ("b", bytes(31) + b"\1")):
        with closing(JournalDirectory(tmp_path / name, write=True)) as journal:
            value = next(journal.batches(5))
            fields = {
                "semantics": SEMANTICS,
                "epoch": 1,
                "first": 6,
                "base_time": 10**9,
                "applied": 5,
                "digest": digest,
            }
            row = ROW.pack(1, 6, 10**9, *range(13))
            journal.append(seal(row, previous=read_header(value).hash, **fields))
    told = asked(tmp_path / "a", tmp_path / "b")
    assert what(told) == [("digest", 5)]
    assert "`lockstep bisect` finds where" in told["differences"][0]["text"]


def test_another_state_where_both_begin(venue, tmp_path):
    """The first row of state that differs, by its field."""
    with closing(JournalDirectory(venue)) as whole:
        rows = whole.segment(218).state()
    other = Machine.restore(rows)
    other.engine.account(3).state = 3
    mine = [ROW.pack(1, 1, 5, *range(13))]
    for name, state in (("a", Machine().rows()), ("b", Machine().rows())):
        sealed(tmp_path / name, mine, state=state)
    assert asked(tmp_path / "a", tmp_path / "b")["same"]
    for name, machine in (("c", Machine.restore(rows)), ("d", other)):
        JournalDirectory.create(tmp_path / name, machine.rows(), semantics=SEMANTICS).close()
    (told,) = asked(tmp_path / "c", tmp_path / "d")["differences"]
    assert (told["what"], told["sequence"], told["a"]["kind"]) == ("state", 217, "AccountState")
    assert [(one["column"], one["a_text"], one["b_text"]) for one in told["columns"]] == [
        ("state", "1 (OPEN)", "3 (HALTED)")
    ]


def test_the_last_common_batch_is_found_by_halving(venue, tmp_path):
    """The last batch that both hold, and a handful of batches read to find it."""
    with closing(JournalDirectory(venue)) as whole:
        headers = [Chain().feed(value) for value in whole.batches()]
    ends = [header.last for header in headers if header.kind == BatchKind.COMMANDS]
    for number in random.Random(SEED).sample(range(len(ends)), 5):
        path = tmp_path / str(number)
        at = ends[number]
        columns = list(ROW.unpack(row_of(venue, at)))
        columns[8] ^= 1
        Twin(LocalEngine(), venue, path, row=ROW.pack(*columns))
        with closing(JournalDirectory(venue)) as a, closing(JournalDirectory(path)) as b:
            read = []
            batches = a.batches
            a.batches = lambda row, batches=batches, read=read: read.append(row) or batches(row)
            head = common_head(a, b)
            assert (head and head.sequence) == (ends[number - 1] if number else None), f"seed {SEED}"
            assert len(read) <= 10
        assert ("row", at) in what(asked(venue, path))


@pytest.mark.parametrize("row", [5, 400])
def test_damage_is_told_as_damage(row, venue, tmp_path):
    """Where a comparison comes by; what lies before a batch that both hold is read if the whole is asked for."""
    shutil.copytree(venue, tmp_path / "b")
    flip(tmp_path / "b" / "segments" / f"{1 if row < 218 else 218:020}" / "data.mdb", row_of(venue, row))
    Twin(LocalEngine(), venue, tmp_path / "c", cut=5)
    for pair in ((venue, "--whole"), (tmp_path / "c",)):
        for said in (
            refused(1, "diff", tmp_path / "b", *pair),
            refused(1, "diff", pair[0], tmp_path / "b", *pair[1:]),
        ):
            assert said.startswith(f"lockstep: {tmp_path / 'b'}: batch ")
            assert "its hash is not that of its bytes" in said


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["A"], 64, "'B'"),
        (["A", "A"], 64, "are the same directory"),
        (["A", "nowhere"], 2, "nowhere: no journal here"),
        (["nowhere", "A"], 2, "nowhere: no journal here"),
        (["A", "FOREIGN"], 2, "no journal here"),
        (["A", "A", "--nonsense"], 64, "--nonsense"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(arguments, code, said, venue, tmp_path):
    (tmp_path / "foreign").mkdir()
    places = {"A": venue, "FOREIGN": tmp_path / "foreign"}
    assert said in refused(code, "diff", *(places.get(argument, argument) for argument in arguments))
    assert list((tmp_path / "foreign").iterdir()) == []


def test_a_writer_that_goes_on_is_no_contradiction(venue, tmp_path):
    """The ends are those that were read to, where these lie behind those that were looked up before."""
    shutil.copytree(venue, tmp_path / "b")
    with closing(JournalDirectory(venue)) as a, closing(JournalDirectory(tmp_path / "b")) as b:
        before = b.head()._replace(sequence=280)
        b.head = lambda: before
        found = compare(a, b, whole=True)
    assert (found.rows, found.ends, found.differences) == (COUNT, (COUNT, COUNT), [])


def test_it_reads_beside_a_writer(venue, tmp_path, in_another_process):
    shutil.copytree(venue, tmp_path / "b")
    with in_another_process(tmp_path / "b"):
        assert asked(venue, tmp_path / "b")["same"]
