"""Exported files: formats and metadata, memory, journals of other shapes, and errors that leave nothing behind."""

import shutil
import subprocess
import sys
from io import StringIO

import pytest

from core import messages as m
from core.messages import SetCredential, Upgrade
from core.rows import to_row
from core.state import SEMANTICS
from journal.verify import verify
from replicas.opening import create
from tests.pair import seeds
from tests.tools.conftest import NINE, ROWS, ask, ask_json, flip, run
from tests.tools.exported import as_table, export, parquet
from tests.tools.exports import empty_journal, golden_journal, random_journal, reading
from tests.tools.test_errors import refused
from tools.export import What
from tools.exports import file as export_file
from tools.exports.file import BLOCK_ROWS, Sink
from tools.exports.range import Asked, Source, progress
from tools.exports.rows import Events, pieces

pq, csv = pytest.importorskip("pyarrow.parquet"), pytest.importorskip("pyarrow.csv")
pytest.importorskip("numpy")

TABLES = [str(what) for what in What]


NAMES = ("hash_0", "hash_1", "hash_2", "hash_3", "salt_0", "salt_1")


# ---- ranges, symbols and kinds


@pytest.fixture(scope="module")
def day(tmp_path_factory):
    (seed,) = seeds(1)
    return random_journal(tmp_path_factory.mktemp("day") / "venue", seed, 300)


# ---- files


@pytest.mark.parametrize("what", TABLES)
def test_csv_read_with_the_types_of_parquet_is_the_same_table(day, what, tmp_path):
    for name in ("t.parquet", "t.csv"):
        ask("export", day, what, "--to", tmp_path / name)
    table = pq.read_table(tmp_path / "t.parquet")
    types = {field.name: field.type for field in table.schema}
    convert = csv.ConvertOptions(column_types=types, strings_can_be_null=True, quoted_strings_can_be_null=False)
    read = csv.read_csv(tmp_path / "t.csv", convert_options=convert)
    assert read.schema.equals(table.schema.remove_metadata())
    assert as_table(read) == as_table(table)
    assert table.num_rows > 0


def test_integers_are_64_bits_and_times_are_utc_in_nanoseconds(day, tmp_path):
    for what in TABLES:
        ask("export", day, what, "--to", tmp_path / "t.parquet")
        types = {field.name: str(field.type) for field in pq.read_schema(tmp_path / "t.parquet")}
        assert {types[name] for name in types if name.endswith("time_utc")} == {"timestamp[ns, tz=UTC]"}
        assert {*types.values()} <= {"int64", "string", "bool", "timestamp[ns, tz=UTC]"}
        assert types["sequence" if what != "orders" else "ended_sequence"] == "int64"


def test_metadata_names_the_journal_the_rows_and_the_digests(day, tmp_path):
    told_ = ask_json("export", day, "executions", "--to", tmp_path / "t.parquet", "--upto", 250)
    metadata = {key.decode(): value.decode() for key, value in pq.read_schema(tmp_path / "t.parquet").metadata.items()}
    replayed = ask_json("replay", day, "--to", 250)
    assert metadata["lockstep.table"] == "executions"
    assert metadata["lockstep.journal"] == "venue"
    assert (metadata["lockstep.first"], metadata["lockstep.last"]) == ("1", "250")
    assert metadata["lockstep.semantics"] == str(SEMANTICS)
    assert metadata["lockstep.event_digest"] == replayed["event_digest"]
    assert metadata["lockstep.state_digest"] == replayed["state_digest"]
    with reading(day) as directory:
        last = next(header for n in range(250, 400) if (header := directory.header_at(n)) is not None)
    assert metadata["lockstep.batch"] == f"{last.last}:{last.hash.hex()}"
    assert {f"lockstep.{name}": value for name, value in told_.items()} | metadata == {
        f"lockstep.{name}": value for name, value in told_.items()
    }
    assert told_["rows"] == pq.read_metadata(tmp_path / "t.parquet").num_rows


def test_memory_is_bounded_by_blocks(day):
    """However the rows are cut into blocks, they are the same rows; and no block is larger than was asked for."""
    with reading(day) as directory:
        events = b"".join(batch.events for batch in Source(directory, Asked()).applied())
    table = Events(())
    whole = [column.to_pylist() for column in table.block(events)]
    for size in (1, 7, 64):
        cut = [*pieces((events[at : at + 640] for at in range(0, len(events), 640)), size * 128)]
        assert {len(piece) for piece in cut[:-1]} == {size * 128}
        assert b"".join(cut) == events
        blocks = [table.block(piece) for piece in cut[:20]]
        for number, column in enumerate(whole):
            assert [value for block in blocks for value in block[number].to_pylist()] == column[: 20 * size]
    assert BLOCK_ROWS * 128 <= 2**24


def test_rows_made_one_by_one_are_gathered_no_further_than_a_block(monkeypatch):
    monkeypatch.setattr(export_file, "CELLS", 20)
    made = []
    rows = ((made.append(n), n, str(n))[1:] for n in range(14))
    found = export_file.blocks(rows, 3)
    assert next(found) == [(0, 1, 2, 3, 4, 5), ("0", "1", "2", "3", "4", "5")]
    assert len(made) == 6
    assert [len(block[0]) for block in found] == [6, 2]
    assert [*export_file.blocks(iter([]), 3)] == []


def test_hash_and_salt_are_in_no_table(tmp_path):
    """Not those of a credential that was set, and not those of a row that the engine refused."""
    secret = {name: (-1) ** n * (0x0123456789ABCDEF * (n + 3) % 2**62) for n, name in enumerate(NAMES)}
    directory, sequencer = create(tmp_path / "venue")
    spoiled = to_row(SetCredential(grantee=1, cost=9, **secret))
    sequencer.submit(to_row(SetCredential(cost=14, **secret)) + spoiled[:40] + b"\1" + spoiled[41:], 1)
    sequencer.events.close()
    directory.close()
    for what in ("commands", "events"):
        rows = export(tmp_path / "venue", what)
        ask("export", tmp_path / "venue", what, "--to", tmp_path / "t.csv")
        text = (tmp_path / "t.csv").read_text()
        assert rows
        assert [name for name, value in secret.items() if name in rows[0] or name in text or str(value) in text] == []


def test_a_text_with_commas_and_quotes_survives_csv(tmp_path):
    directory, sequencer = create(tmp_path / "venue")
    sequencer.submit(to_row(m.OpenAccount(account=1, firm=1, name='a "b", c')), 1)
    sequencer.events.close()
    directory.close()
    ask("export", tmp_path / "venue", "commands", "--to", tmp_path / "t.csv")
    assert csv.read_csv(tmp_path / "t.csv")["name"].to_pylist() == ['a "b", c']


def test_format_is_that_of_the_suffix_unless_it_is_named(venue, tmp_path):
    ask("export", venue, "orders", "--to", tmp_path / "one.CSV")
    ask("export", venue, "orders", "--to", tmp_path / "two", "--format", "csv")
    assert (tmp_path / "one.CSV").read_bytes() == (tmp_path / "two").read_bytes()
    printed = ask("export", venue, "orders", "--to", tmp_path / "one.csv", "--format", "parquet")
    assert printed == f"{tmp_path / 'one.csv'}: 5 orders, rows 1 to {ROWS} of {venue}\n"
    assert parquet(tmp_path / "one.csv")


def test_an_export_reads_beside_the_writer(venue, in_another_process):
    with in_another_process(venue):
        assert len(export(venue, "commands")) == ROWS
        assert export(venue, "executions")


@pytest.mark.parametrize("way", ["applied", "stored"])
def test_no_read_transaction_stays_open_between_two_batches(day, way):
    """One that did would keep the writer of a live journal from using freed pages again."""
    with reading(day) as directory:
        batches = 0
        for _ in getattr(Source(directory, Asked()), way)():
            batches += 1
            for first in directory.segments():
                readers = directory.segment(first)._environment.check().readers().splitlines()
                assert {line.split()[-1] for line in readers[1:]} <= {"-"}, readers
        assert batches > 10


def test_a_terminal_shows_how_far_an_export_is(day, tmp_path, monkeypatch):
    class Terminal(StringIO):
        def isatty(self):
            return True

    monkeypatch.setattr(sys, "stderr", Terminal())
    with progress(7) as advance:
        advance(3)
    assert "3/7" in sys.stderr.getvalue()


def test_exporting_changes_nothing_in_the_journal(venue):
    before = {path: path.read_bytes() for path in venue.rglob("*") if path.is_file() and path.name != "lock.mdb"}
    for what in TABLES:
        export(venue, what)
    assert {
        path: path.read_bytes() for path in venue.rglob("*") if path.is_file() and path.name != "lock.mdb"
    } == before
    assert verify(venue).good


# ---- journals of other shapes


def test_an_empty_journal_gives_empty_tables(tmp_path):
    journal = empty_journal(tmp_path / "venue")
    for what in TABLES:
        assert export(journal, what) == []
    assert pq.read_schema(tmp_path / "executions.parquet").names[0] == "match_number"


def test_a_journal_that_ends_with_an_upgrade_is_exported_up_to_it(tmp_path):
    """The next segment is another release's; what stands before it can be replayed, and commands need no replay."""
    directory, sequencer = create(tmp_path / "venue")
    sequencer.submit(to_row(m.DefineCurrency(currency=1, symbol="USD")) + to_row(Upgrade(version=SEMANTICS + 1)), 1)
    sequencer.events.close()
    directory.close()
    assert [row["kind"] for row in export(tmp_path / "venue", "events")] == ["CurrencyDefined", "Upgraded"]
    assert [row["kind"] for row in export(tmp_path / "venue", "commands")] == ["DefineCurrency", "Upgrade"]


def test_quarantines_are_in_the_tables(tmp_path):
    """A row that was replaced by a halt is told as such, and the books after it say what is halted."""
    journal = golden_journal(tmp_path / "venue")
    rows = export(journal, "events", "--kind", "Quarantined")
    named = [row["named"] for row in export(journal, "commands", "--kind", "Quarantine")]
    assert [row["sequence"] for row in rows] == named
    assert len(named) >= 2
    states = export(journal, "books", "--every", "1row")
    for row in rows:
        halted = {
            state["instrument"]
            for state in states
            if state["sequence"] == row["sequence"] and state["trading_state"] == "HALTED"
        }
        assert row["instrument"] in halted


# ---- errors: one line, the right code, and nothing left

MISUSES = [
    (["executions", "--to", "t.xlsx"], "end it in .parquet or .csv, or give --format"),
    (["executions", "--to", "t"], "end it in .parquet or .csv, or give --format"),
    (["executions", "--to", "t.csv", "--format", "xlsx"], "--format"),
    (["nonsense", "--to", "t.csv"], "nonsense"),
    (["executions"], "--to"),
    (["executions", "--to", "no/where.csv"], "there is no directory no"),
    (["executions", "--to", "DIR"], "a directory"),
    (["executions", "--to", "DIR/segments/t.csv"], "within the journal"),
    (["executions", "--to", "/dev/null", "--format", "csv"], "not a file"),
    (["executions", "--to", "t.csv", "--symbol", "ZZZ"], "no instrument ZZZ; known: AAA/USD"),
    (["events", "--to", "t.csv", "--symbol", "AAA/USD"], "--symbol goes with executions and orders and books"),
    (["executions", "--to", "t.csv", "--kind", "Executed"], "--kind goes with commands and events"),
    (["executions", "--to", "t.csv", "--depth", 3], "--depth goes with books"),
    (["events", "--to", "t.csv", "--kind", "EnterOrder"], "--kind EnterOrder: no such kind; known: "),
    (["commands", "--to", "t.csv", "--kind", "Executed"], "--kind Executed: no such kind; known: "),
    (["books", "--to", "t.csv", "--every", "0rows"], "--every 0rows: give a number with rows"),
    (["books", "--to", "t.csv", "--every", "often"], "--every often"),
    (["books", "--to", "t.csv", "--every", f"{'9' * 19}h"], f"--every {'9' * 19}h: at most {2**61 - 1} rows or ns"),
    (["books", "--to", "t.csv", "--every", f"{2**61}ns"], f"--every {2**61}ns: at most"),
    (["books", "--to", "t.csv", "--depth", 0], "--depth"),
    (["books", "--to", "t.csv", "--depth", 1_001], "--depth"),
    (["events", "--to", "t.csv", "--from", 0], f"--from 0: this journal holds the rows 1 to {ROWS}"),
    (["events", "--to", "t.csv", "--from", ROWS + 1], f"this journal holds the rows 1 to {ROWS}"),
    (["events", "--to", "t.csv", "--upto", ROWS + 1], f"--upto {ROWS + 1}: this journal holds the rows 0 to {ROWS}"),
    (["events", "--to", "t.csv", "--from", 5, "--upto", 4], "begins at row 5, behind its end, row 4"),
    (["events", "--to", "t.csv", "--from", 1, "--since", "1"], "--from and --since exclude each other"),
    (["events", "--to", "t.csv", "--upto", 1, "--until", "1"], "--upto and --until exclude each other"),
    (["events", "--to", "t.csv", "--since", "noon"], "noon: not a time"),
    (["events", "--to", "t.csv", "--since", "9" * 5_000], "no time of a row has more than 19 digits"),
    (["events", "--to", "t.csv", "--since", NINE + 5 * 10**9, "--until", NINE], "behind its end"),
]


@pytest.mark.parametrize(("arguments", "said"), MISUSES, ids=lambda value: " ".join(map(str, value))[:60])
def test_misuse_is_one_line_and_leaves_nothing(arguments, said, venue, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    assert said in refused(64, "export", venue, *(str(a).replace("DIR", str(venue)) for a in arguments))
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("what", TABLES)
@pytest.mark.parametrize("kind", ["missing", "empty", "foreign"])
def test_no_journal(what, kind, tmp_path):
    if kind != "missing":
        (tmp_path / "there").mkdir()
    if kind == "foreign":
        (tmp_path / "there" / "notes.txt").write_text("x")
    before = sorted(tmp_path.rglob("*"))
    assert "no journal here" in refused(2, "export", tmp_path / "there", what, "--to", tmp_path / "t.csv")
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("what", TABLES)
def test_damage_leaves_the_file_as_it_was(what, venue, tmp_path):
    shutil.rmtree(venue / "snapshots")
    flip(venue / "segments" / f"{1:020}" / "data.mdb", (9_990).to_bytes(8, "little"))
    (tmp_path / "t.csv").write_text("older")
    line = refused(1, "export", venue, what, "--to", tmp_path / "t.csv")
    assert "its hash is not that of its bytes" in line
    assert {path.name for path in tmp_path.iterdir()} == {"venue", "t.csv"}
    assert (tmp_path / "t.csv").read_text() == "older"


@pytest.mark.parametrize(
    "error", [KeyboardInterrupt(), OSError(28, "No space left on device")], ids=["interrupt", "full"]
)
@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_an_export_that_is_stopped_leaves_nothing(venue, tmp_path, monkeypatch, error, form):
    written = Sink.write

    def stop(self, block):
        written(self, block)
        raise error

    monkeypatch.setattr(Sink, "write", stop)
    result = run("export", venue, "events", "--to", tmp_path / f"t.{form}")
    assert result.exit_code == (130 if isinstance(error, KeyboardInterrupt) else 1)
    assert {path.name for path in tmp_path.iterdir()} == {"venue"}
    monkeypatch.undo()
    assert export(venue, "events")


@pytest.mark.parametrize("name", ["pyarrow", "numpy"])
def test_a_missing_library_is_one_line(name, venue, tmp_path):
    code = f"import sys; sys.modules[{name!r}] = None; from tools.main import main; main()"
    command = [sys.executable, "-c", code, "export", str(venue), "events", "--to", str(tmp_path / "t.parquet")]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == f"lockstep: needs {name}: pip install 'lockstep[export]'\n"
    assert not (tmp_path / "t.parquet").exists()
