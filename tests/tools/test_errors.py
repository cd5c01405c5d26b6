"""Every error is one line on stderr and its exit code: 1 failed or damaged, 2 no journal, 64 the command line."""

import gzip
import json
import re
import shutil

import pytest

from core.rows import to_row
from journal.directory import JournalDirectory
from replicas.opening import create
from replicas.replay import apply
from tests.tools.conftest import FIRST, ROWS, SET_UP, ask, flip, run

QUERIES = ["replay", "book", "order", "fills", "verify", "dump", "snapshot"]
REST = {"book": ["AAA/USD"], "order": ["1"]}


def refused(code, *arguments):
    """The one line on stderr; nothing is printed, and nothing else is raised."""
    result = run(*arguments)
    assert (result.exit_code, result.stdout) == (code, ""), result.output
    assert isinstance(result.exception, SystemExit)
    lines = result.stderr.splitlines()
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("lockstep: ")
    return lines[0]


MISUSES = [
    (["book", "DIR", "ZZZ"], f"no instrument ZZZ at row {ROWS}; known: AAA/USD"),
    (["book", "DIR", "AAA/USD", "--at", 1], "no instrument AAA/USD at row 1; known: none"),
    (["book", "DIR", "AAA/USD", "--at", ROWS + 1], f"--at {ROWS + 1}: this journal holds the rows 0 to {ROWS}"),
    (["book", "DIR", "AAA/USD", "--at", -1], f"--at -1: this journal holds the rows 0 to {ROWS}"),
    (["book", "DIR", "AAA/USD", "--at", 1, "--time", "1"], "--at and --time exclude each other"),
    (["book", "DIR", "AAA/USD", "--depth", 0], "--depth"),
    (["book", "DIR", "AAA/USD", "--at", "x"], "--at"),
    (["book", "DIR", "AAA/USD", "--time", "noon"], "noon: not a time"),
    (["book", "DIR", "AAA/USD", "--time", "2026-13-01"], "2026-13-01: "),
    (["book", "DIR", "AAA/USD", "--time", "09:61:00"], "not a time"),
    (["book", "DIR"], "SYMBOL"),
    (["replay", "DIR", "--to", ROWS + 1], f"--to {ROWS + 1}: this journal holds the rows 0 to {ROWS}"),
    (["replay", "DIR", "--to", 1, "--until", "1"], "--to and --until exclude each other"),
    (["replay", "DIR", "--until", ""], "not a time"),
    (["replay"], "DIR"),
    (["replay", "DIR", "more"], "more"),
    (["order", "DIR", 6], "no order 6 in VENUE"),
    (["order", "DIR", 0], "NUMBER"),
    (["order", "DIR", "x"], "NUMBER"),
    (["dump", "DIR", "--from", ROWS + 1], f"this journal holds the rows 1 to {ROWS}"),
    (["dump", "DIR", "--from", 0], "this journal holds the rows"),
    (["dump", "DIR", "--to", ROWS + 1], "this journal holds the rows"),
    (["dump", "DIR", "--from", FIRST, "--to", FIRST - 1], f"--from {FIRST} is behind --to {FIRST - 1}"),
    (["verify", "DIR", "--head", "x"], "--head x: not SEQ:HASH"),
    (["verify", "DIR", "--head", "1:00"], "not a sequence number and 64 hexadecimal digits"),
    (["fills", "DIR", "--nonsense"], "--nonsense"),
    (["fills", "DIR", "--json", "--jsonl"], "--json and --jsonl exclude each other"),
    (["dump", "DIR", "--jsonl", "--json"], "--json and --jsonl exclude each other"),
    (["replay", "DIR", "--from-zero", "--from-snapshot"], "--from-zero and --from-snapshot exclude each other"),
    (["replay", "DIR", "--until", "25:00:00"], "not a time"),
    (["import", "lobster", "x.csv", "--journal", "new", "--symbol", "TOOLONGTOOLONGTOO"], "--symbol 'TOOLONG"),
    (["import", "orders", "x", "--journal", "new", "--symbol", "A B"], "--symbol 'A B': not 1 to 16"),
    (["import", "flash1", "x", "--journal", "new", "--symbol", "\xc4"], "--symbol '\\xc4': not 1 to 16"),
    (["import", "flash1", "x", "--journal", "new", "--reports", "DIR"], "a directory"),
    (["import", "flash1", "x", "--journal", "new", "--reports", "no/where"], "there is no directory no"),
    (["bench", "--quick", "--json", "no/where"], "--json no/where: there is no directory no"),
    (["nonsense"], "nonsense"),
    (["import", "nonsense"], "nonsense"),
    (["import", "lobster", "x.csv"], "--journal"),
    (["import"], "Missing command"),
    ([], "Missing command"),
]


@pytest.mark.both
@pytest.mark.parametrize(("arguments", "said"), MISUSES, ids=lambda value: " ".join(map(str, value))[:50])
def test_misuse(arguments, said, venue):
    line = refused(64, *(venue if argument == "DIR" else argument for argument in arguments))
    assert said.replace("VENUE", str(venue)) in line


@pytest.mark.parametrize("name", QUERIES)
@pytest.mark.parametrize("what", ["missing", "empty", "foreign", "file"])
def test_not_a_journal(name, what, tmp_path):
    path = tmp_path / "there"
    if what == "file":
        path.write_text("x")
    elif what != "missing":
        path.mkdir()
    if what == "foreign":
        (path / "notes.txt").write_text("x")
    before = sorted(tmp_path.rglob("*"))
    assert "no journal here" in refused(2, name, path, *REST.get(name, []))
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("name", ["replay", "book", "order", "fills", "dump", "snapshot"])
def test_damage_is_one_line(name, venue):
    """A flipped bit in a command ends every query; what came before it may have been printed."""
    shutil.rmtree(venue / "snapshots")
    flip(venue / "segments" / f"{1:020}" / "data.mdb", (9_990).to_bytes(8, "little"))
    result = run(name, venue, *REST.get(name, []))
    assert (result.exit_code, len(result.stderr.splitlines()[-1:])) == (1, 1)
    assert re.match("lockstep: batch .*: its hash is not that of its bytes", result.stderr.splitlines()[-1])


def test_a_journal_open_in_this_process(venue):
    journal = JournalDirectory(venue)
    try:
        assert "already open" in refused(1, "replay", venue)
    finally:
        journal.close()


GOOD = {"c": "new", "id": 1, "s": "B", "p": 100, "q": 1, "tif": "GTC", "t": 5}
BAD_LINES = [
    ("{", "Input data was truncated"),
    (json.dumps(GOOD | {"c": "amend"}), "Invalid enum value 'amend'"),
    (json.dumps(GOOD | {"p": "100"}), "Expected `int`, got `str`"),
    (json.dumps(GOOD | {"p": 1.5}), "Expected `int`, got `float`"),
    (json.dumps(GOOD | {"p": 2**63}), "price 9223372036854775808 does not fit into 64 bits"),
    (json.dumps(GOOD | {"t": -1}), "time -1 is out of range"),
    (json.dumps(GOOD | {"id": "X1"}), "neither an integer nor"),
    ('{"c": "new", "id": 1}', "a new order needs a side"),
    ('{"c": "cancel"}', "missing required field `id`"),
]


@pytest.mark.parametrize(("line", "said"), BAD_LINES)
def test_a_malformed_line_of_orders(line, said, tmp_path):
    flow = tmp_path / "flow"
    flow.mkdir()
    (flow / "commands.jsonl").write_text(f"{json.dumps(GOOD)}\n{line}\n")
    told = refused(1, "import", "orders", flow, "--journal", tmp_path / "venue")
    assert f"{flow / 'commands.jsonl'}: line 2: " in told
    assert said in told
    assert [path.name for path in tmp_path.iterdir()] == ["flow"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("34200.1,1,5,10", "not `time,type,order id,size,price,direction`"),
        ("x,1,5,10,100,1", "not `time"),
        ("34200.1,9,5,10,100,1", "type 9"),
        ("34200.1,1,5,10,100,2", "direction 2"),
        ("34200.1,1,5,0,100,1", "must be positive"),
        ("34200.1,1,5,10,1.5,1", "not `time"),
        ("34200.1,1,99999999999999999999,10,100,1", "does not fit into 64 bits"),
        ("", "not `time"),
    ],
)
def test_a_malformed_line_of_messages(line, said, tmp_path):
    file = tmp_path / "messages.csv"
    file.write_text(f"34200.0,1,4,10,100,1\n{line}\n")
    told = refused(1, "import", "lobster", file, "--journal", tmp_path / "venue")
    assert told.startswith(f"lockstep: {file}: line 2: ")
    assert said in told
    assert [path.name for path in tmp_path.iterdir()] == ["messages.csv"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "shorter than a header"),
        (bytes(16), "not a flash1 file of version 1"),
        (bytes.fromhex("3130305f5742454d") + bytes([1, 0, 0, 0, 2, 0, 0, 0]) + bytes(40), "belong to 2 records"),
        (
            bytes.fromhex("3130305f5742454d") + bytes([1, 0, 0, 0, 1, 0, 0, 0, 7]) + bytes(39),
            "record 0: no such message",
        ),
    ],
)
def test_a_malformed_workload(content, said, tmp_path):
    file = tmp_path / "flow.bin"
    file.write_bytes(content)
    assert said in refused(1, "import", "flash1", file, "--journal", tmp_path / "venue", "--reports", tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["flow.bin"]


@pytest.mark.parametrize("form", ["lobster", "flash1", "orders"])
def test_a_source_that_is_missing(form, tmp_path):
    told = refused(1, "import", form, tmp_path / "nothing", "--journal", tmp_path / "venue")
    assert str(tmp_path / "nothing") in told
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", [".gz", ".xz"])
def test_a_source_whose_compression_is_damaged(suffix, tmp_path):
    file = tmp_path / f"messages.csv{suffix}"
    file.write_bytes(gzip.compress(b"34200.0,1,4,10,100,1\n" * 100)[:40])
    assert f"{file}: not a sound {suffix} file" in refused(
        1, "import", "lobster", file, "--journal", tmp_path / "venue"
    )


@pytest.mark.parametrize("form", ["lobster", "flash1", "orders"])
@pytest.mark.parametrize("there", ["journal", "files", "file"])
def test_an_import_onto_something_is_refused(form, there, venue, tmp_path):
    target = {"journal": venue, "files": tmp_path / "files", "file": tmp_path / "file"}[there]
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "x").touch()
    (tmp_path / "file").touch()
    before = sorted(tmp_path.rglob("*"))
    assert str(target) in refused(1, "import", form, tmp_path, "--journal", target)
    assert sorted(tmp_path.rglob("*")) == before


def test_help_tells_exit_codes_and_every_command_has_an_example():
    assert "64" in ask("--help")
    for name in [*QUERIES, "demo"]:
        assert f"Example: lockstep {name}" in " ".join(ask(name, "--help").split())
    for form in ("lobster", "orders", "flash1"):
        assert f"Example: lockstep import {form}" in " ".join(ask("import", form, "--help").split())


@pytest.mark.parametrize("what", ["missing", "empty", "cut", "foreign"])
@pytest.mark.parametrize("name", [name for name in QUERIES if name != "verify"])
def test_a_segment_without_its_file_is_damage(name, what, venue):
    data = venue / "segments" / f"{1:020}" / "data.mdb"
    content = {"empty": b"", "cut": data.read_bytes()[:100], "foreign": b"x" * 10_000}
    data.unlink()
    if what != "missing":
        data.write_bytes(content[what])
    line = refused(1, name, venue, *REST.get(name, []))
    assert f"{venue}: damaged: segments/{1:020}: " in line
    assert line.count(str(venue)) == 1
    assert "`lockstep verify`" in line
    assert run("verify", venue).exit_code == 1


def test_a_symbol_of_the_source_that_no_instrument_may_have(tmp_path):
    (tmp_path / "flow").mkdir()
    (tmp_path / "flow" / "commands.jsonl").write_text(json.dumps(GOOD))
    (tmp_path / "flow" / "meta.json").write_text('{"symbol": "A B"}')
    told = refused(1, "import", "orders", tmp_path / "flow", "--journal", tmp_path / "venue")
    assert "meta.json: symbol 'A B': not 1 to 16" in told


def test_a_time_that_no_row_may_bring(tmp_path):
    (tmp_path / "flow").mkdir()
    lines = [GOOD | {"id": number, "t": time} for number, time in ((1, 5), (2, 2**62 - 1))]
    (tmp_path / "flow" / "commands.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    told = refused(1, "import", "orders", tmp_path / "flow", "--journal", tmp_path / "venue")
    assert told.startswith("lockstep: line 2 of the flow: ")
    assert f"time {2**62 - 1} is beyond" in told
    assert [path.name for path in tmp_path.iterdir()] == ["flow"]


def test_a_time_of_day_where_rows_have_dates(tmp_path):
    directory, sequencer = create(tmp_path / "venue")
    # Imports stamp the rows that set the venue up 1, 2, 3 ns.
    sequencer.submit(to_row(SET_UP[0]), 1)
    sequencer.submit(to_row(SET_UP[1]), 1_772_443_800 * 10**9)
    sequencer.close_batch()
    sequencer.events.close()
    directory.close()
    said = "09:30:00: the journal ends at 2026-03-02T09:30:00.000000000Z: give a date and time"
    assert f"--until {said}" in refused(64, "replay", tmp_path / "venue", "--until", "09:30:00")
    export = ("export", tmp_path / "venue", "events", "--to", tmp_path / "t.csv")
    assert f"--since {said}" in refused(64, *export, "--since", "09:30:00")
    assert "row 1," in ask("at", tmp_path / "venue", "1970-01-01T09:30:00", "venue")


POISONED = [
    ["replay", "DIR"],
    ["book", "DIR", "AAA/USD"],
    ["explain", "DIR", "order", 5],
    ["explain", "DIR", "command", ROWS],
    ["export", "DIR", "executions", "--to", "TO.csv"],
    ["chart", "DIR", "AAA/USD", "--to", "TO.html"],
]


@pytest.mark.parametrize("arguments", POISONED, ids=lambda value: " ".join(map(str, value)))
def test_a_row_that_makes_the_engine_raise_is_one_line(arguments, venue, tmp_path, monkeypatch):
    """As a reader meets it between a batch and the quarantine that a writer seals next."""

    def poisoned(machine, *rest):
        events = apply(machine, *rest)
        if machine.engine.sequence == ROWS:
            raise ValueError("poison")
        return events

    monkeypatch.setattr("replicas.replay.apply", poisoned)
    result = run(*(str(one).replace("DIR", str(venue)).replace("TO", str(tmp_path / "to")) for one in arguments))
    told = f"lockstep: row {ROWS} makes the engine raise ValueError('poison'), and no quarantine of it has come"
    assert (result.exit_code, result.stderr.splitlines()[-1], result.stdout) == (1, told, "")
    assert [path.name for path in tmp_path.iterdir()] == ["venue"]
