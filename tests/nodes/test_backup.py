"""`lockstep backup` and `restore`: whole verified batches, beside a writer, and nothing of a damaged journal."""

import subprocess
import sys

import pytest
import typer
from typer.testing import CliRunner

from core.messages import DefineCurrency, Deposit, OpenAccount
from core.rows import to_row
from journal.batch import BatchKind, read_header
from journal.directory import JournalDirectory
from journal.verify import verify
from replicas.opening import create, resume
from replicas.replay import recover
from tests.paths import HERE
from tools.backup import backup, restore
from tools.group import Group

app = typer.Typer(cls=Group)
app.command()(backup)
app.command()(restore)

SET_UP = to_row(DefineCurrency(currency=1, symbol="USD")) + to_row(OpenAccount(account=1, firm=1, name="one"))
DEPOSIT = to_row(Deposit(account=1, currency=1, amount=5))


def stop(directory, sequencer):
    sequencer.close_batch()
    sequencer.events.close()
    directory.close()


@pytest.fixture
def venue(tmp_path):
    """Two segments: rows 1-2, batches of 1, 2 and 3 rows up to 8, a roll, batches of 4 and 5 rows up to 17."""
    directory, sequencer = create(tmp_path / "venue")
    sequencer.submit(SET_UP, 1_000)
    for count in (1, 2, 3):
        sequencer.submit(DEPOSIT * count, 2_000)
    sequencer.roll()
    for count in (4, 5):
        sequencer.submit(DEPOSIT * count, 3_000)
    stop(directory, sequencer)
    return tmp_path / "venue"


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def ask(*arguments):
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    return result.stdout


def journaled(path):
    """Every batch of a journal, in order."""
    journal = JournalDirectory(path)
    try:
        return [*journal.segment(journal.segments()[0]).state_batches(), *journal.batches()]
    finally:
        journal.close()


def machine(path, upto):
    journal = JournalDirectory(path)
    try:
        return recover(journal, upto=upto)
    finally:
        journal.close()


def digests(path, upto):
    replayed = machine(path, upto)
    return replayed.engine.sequence, replayed.digest.value(), replayed.state_digest()


def test_a_backup_is_the_same_journal(venue, tmp_path):
    head = verify(venue).head
    said = ask("backup", venue, tmp_path / "copy")
    assert said.splitlines() == [f"{tmp_path / 'copy'}: everything up to row 17", f"head 17:{head.hash.hex()}"]
    assert verify(tmp_path / "copy", head=head).good
    assert journaled(tmp_path / "copy") == journaled(venue)
    assert [entry.name for entry in tmp_path.iterdir() if entry.name.startswith(".")] == []


def test_a_restored_venue_opens_and_goes_on(venue, tmp_path):
    ask("backup", venue, tmp_path / "copy")
    assert "rows up to 17 are kept\n" in ask("restore", tmp_path / "copy", tmp_path / "new")
    assert verify(tmp_path / "new").good
    assert digests(tmp_path / "new", 17) == digests(venue, 17)
    directory, sequencer = resume(tmp_path / "new")
    sequencer.submit(DEPOSIT, 4_000)
    assert sequencer.machine.engine.sequence == 18
    stop(directory, sequencer)
    assert verify(tmp_path / "new").good


@pytest.mark.parametrize(
    ("to", "kept", "kinds"),
    [(0, 0, "s"), (1, 0, "s"), (2, 2, "sc"), (4, 3, "scc"), (5, 5, "sccc"), (8, 8, "scccc|s"), (11, 8, "scccc|s"),
     (12, 12, "scccc|sc"), (16, 12, "scccc|sc"), (17, 17, "scccc|scc|")],
)  # fmt: skip
def test_a_restore_up_to_a_row_keeps_whole_batches(venue, tmp_path, to, kept, kinds):
    said = ask("restore", venue, tmp_path / "new", "--to", to)
    within = "" if to == kept else f": row {to} stands within a batch"
    assert f"rows up to {kept} are kept{within}\n" in said
    marks = {BatchKind.STATE: "s", BatchKind.COMMANDS: "c", BatchKind.CLOSING: "|"}
    assert "".join(marks[read_header(value).kind] for value in journaled(tmp_path / "new")) == kinds
    assert verify(tmp_path / "new").good
    assert digests(tmp_path / "new", kept) == digests(venue, kept)
    directory, sequencer = resume(tmp_path / "new")
    assert sequencer.machine.engine.sequence == kept
    stop(directory, sequencer)


def test_a_row_that_is_not_there_yet_is_refused(venue, tmp_path):
    result = run("restore", venue, tmp_path / "new", "--to", 18)
    assert (result.exit_code, result.stderr) == (64, f"lockstep: --to 18: {venue} ends at row 17\n")
    assert not (tmp_path / "new").exists()


def flip(path, segment, sequence):
    """Flip a bit in the batch that ends at this row."""
    journal = JournalDirectory(path)
    (value,) = [value for value in journal.batches() if read_header(value).last == sequence and read_header(value).rows]
    journal.close()
    file = path / "segments" / f"{segment:020}" / "data.mdb"
    data, middle = file.read_bytes(), len(value) // 2
    assert value in data
    file.write_bytes(data.replace(value, value[:middle] + bytes([value[middle] ^ 4]) + value[middle + 1 :]))


@pytest.mark.parametrize("command", ["backup", "restore"])
@pytest.mark.parametrize(("segment", "sequence", "named"), [(1, 5, "4-5"), (9, 12, "9-12"), (9, 17, "13-17")])
def test_a_damaged_source_is_refused_and_the_batch_named(venue, tmp_path, command, segment, sequence, named):
    flip(venue, segment, sequence)
    result = run(command, venue, tmp_path / "new")
    assert result.exit_code == 1
    assert result.stderr == f"lockstep: batch {named}: its hash is not that of its bytes\n"
    assert [entry.name for entry in tmp_path.iterdir()] == ["venue"]


@pytest.mark.parametrize(("damaged", "to"), [(12, 8), (17, 12)])
def test_what_stands_before_the_damage_can_be_restored(venue, tmp_path, damaged, to):
    flip(venue, 9, damaged)
    assert f"rows up to {to} are kept\n" in ask("restore", venue, tmp_path / "new", "--to", to)
    assert verify(tmp_path / "new").good


@pytest.mark.parametrize("to", [9, 11, 12, 16])
def test_damage_before_the_row_that_is_wanted_is_never_cut_off_in_silence(venue, tmp_path, to):
    flip(venue, 9, 12)
    assert run("restore", venue, tmp_path / "new", "--to", to).exit_code == 1
    assert not (tmp_path / "new").exists()


def test_a_lost_segment_is_named(venue, tmp_path):
    (venue / "segments" / f"{9:020}" / "data.mdb").unlink()
    result = run("backup", venue, tmp_path / "new")
    assert result.exit_code == 1
    assert f"damaged: segment {9:020}: " in result.stderr
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("command", ["backup", "restore"])
def test_nothing_is_overwritten(venue, tmp_path, command):
    ask("backup", venue, tmp_path / "copy")
    before = journaled(tmp_path / "copy")
    result = run(command, venue, tmp_path / "copy")
    assert result.exit_code == 64
    assert "not empty" in result.stderr
    assert journaled(tmp_path / "copy") == before


@pytest.mark.parametrize("command", ["backup", "restore"])
def test_a_place_within_the_journal_is_refused(venue, tmp_path, command):
    before = sorted(venue.rglob("*"))
    (tmp_path / "link").symlink_to(venue)
    for place in (venue / "copy", venue / "segments" / "copy", tmp_path / "link" / "copy"):
        result = run(command, venue, place)
        assert result.exit_code == 64
        assert "within the journal; choose another place" in result.stderr
    assert sorted(venue.rglob("*")) == before


def test_a_place_that_cannot_be_renamed_to_is_refused(venue, tmp_path, monkeypatch):
    """A symbolic link, and a directory that is not called by its name."""
    (tmp_path / "empty" / "within").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "empty" / "within")
    monkeypatch.chdir(tmp_path / "empty" / "within")
    before = sorted(tmp_path.rglob("*"))
    for place, said in (
        ("../../link", "a symbolic link"),
        (".", "by its name"),
        ("", "by its name"),
        ("..", "by its name"),
    ):
        result = run("backup", venue, place)
        assert (result.exit_code, said in result.stderr) == (64, True), result.stderr
    assert sorted(tmp_path.rglob("*")) == before


def test_no_journal_is_exit_code_2(tmp_path):
    for command in ("backup", "restore"):
        assert run(command, tmp_path / "nowhere", tmp_path / "new").exit_code == 2
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_backup_left_is_replaced(venue, tmp_path):
    left = tmp_path / ".copy.unfinished"
    left.mkdir()
    (left / "file").write_text("half")
    ask("backup", venue, tmp_path / "copy")
    assert not left.exists()
    assert verify(tmp_path / "copy").good


WRITER = """
import sys, threading
from pathlib import Path
from core.messages import Deposit
from core.rows import to_row
from replicas.opening import resume
directory, sequencer = resume(Path(sys.argv[1]))
asked = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), asked.set()), daemon=True).start()
row = to_row(Deposit(account=1, currency=1, amount=1))
written = 0
while not asked.is_set():
    sequencer.submit(row * (written % 7 + 1), 5_000)
    written += 1
    if written % 50 == 0:
        sequencer.roll()
    if written == 5:
        print("writing", flush=True)
print(sequencer.machine.engine.sequence, flush=True)
"""


def test_a_backup_beside_a_writer_is_a_beginning_of_its_journal(venue, tmp_path):
    command = [sys.executable, "-c", WRITER, str(venue)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=HERE) as writer:
        assert writer.stdout.readline() == "writing\n"
        for name in ("one", "two"):
            ask("backup", venue, tmp_path / name)
        writer.stdin.close()
        end = int(writer.stdout.readline())
    everything = journaled(venue)
    heads = []
    for name in ("one", "two"):
        head = verify(tmp_path / name).head
        copied = journaled(tmp_path / name)
        assert copied == everything[: len(copied)]
        assert digests(tmp_path / name, head.sequence) == digests(venue, head.sequence)
        heads.append(head.sequence)
    assert 17 < heads[0] <= heads[1] <= end
