"""Another build of the engine, in a process of its own: it says what an engine in this process says, and never harms this one."""

import os
import signal
import subprocess
import sys
import time
import zipfile
from contextlib import closing
from pathlib import Path

import pytest

from core.kinds import ROW_SIZE
from core.machine import Machine
from core.state import SEMANTICS
from journal.directory import JournalDirectory
from replicas.replay import replay
from tests.determinism.stream import stamped_rows
from tests.pair import seeds
from tests.paths import CHECKOUT
from tests.tools.exports import golden_journal
from tests.tools.twins import checkout, made
from tools import engines as module
from tools.engines import EngineProcess, EngineRaised, EngineRefused, LocalEngine, replayed
from tools.failures import Failure, Misuse

(SEED,) = seeds(1)
ROWS = stamped_rows(SEED, 300)


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    return checkout(tmp_path_factory.mktemp("sources"))


@pytest.fixture(scope="module")
def other(sources):
    with EngineProcess(sources) as engine:
        yield engine


def wheel(folder, path):
    """A wheel of the engine in a folder."""
    with zipfile.ZipFile(path, "w") as packed:
        for file in sorted((folder / "core").rglob("*.py")):
            packed.write(file, file.relative_to(folder))
    return path


@pytest.mark.both
def test_both_say_the_same_of_every_row(other):
    """Events, digests, numbers and states, in pieces of any size."""
    ours = LocalEngine()
    for engine in (ours, other):
        engine.restore(Machine().rows())
    at, size = 0, 1
    while at < len(ROWS):
        piece = ROWS[at : at + size * ROW_SIZE]
        assert ours.apply(piece) == other.apply(piece), f"seed {SEED}"
        assert (ours.sequence, ours.digest()) == (other.sequence, other.digest())
        at, size = at + len(piece), size * 2
    assert ours.sequence == 300
    assert ours.state() == other.state()
    assert (other.semantics, ours.semantics) == (SEMANTICS, SEMANTICS)
    assert other.build == "interpreted"


def test_a_state_goes_over_and_back(other):
    """A second engine goes on from the state of the first."""
    ours = LocalEngine()
    ours.restore(Machine().rows())
    ours.apply(ROWS[: 100 * ROW_SIZE])
    other.restore(ours.state())
    assert other.sequence == 100
    assert other.apply(ROWS[100 * ROW_SIZE :]) == ours.apply(ROWS[100 * ROW_SIZE :])
    assert other.state() == ours.state()


def test_a_journal_is_replayed_with_its_quarantines(other, tmp_path):
    """What `replay` yields, and the same state: of several segments, with rows that were replaced by halts."""
    golden_journal(tmp_path / "venue")
    with closing(JournalDirectory(tmp_path / "venue")) as journal:
        state = journal.segment(journal.segments()[0]).state()
        machine = Machine.restore(state)
        wanted = list(replay(journal, machine))
        for engine in (LocalEngine(), other):
            engine.restore(state)
            assert list(replayed(journal, engine)) == wanted
            assert engine.state() == machine.rows()
            assert engine.digest() == machine.digest.value()


@pytest.mark.parametrize("to", [0, 6, 7, 150])
def test_a_replay_stops_at_a_row_and_goes_on(to, tmp_path):
    made(tmp_path / "venue", SEED, 300)
    with closing(JournalDirectory(tmp_path / "venue")) as journal:
        engine, machine = LocalEngine(), Machine()
        engine.restore(machine.rows())
        told = b"".join(batch.events for batch in replayed(journal, engine, to=to))
        assert (engine.sequence, told) == (to, b"".join(batch.events for batch in replay(journal, machine, to=to)))
        told += b"".join(batch.events for batch in replayed(journal, engine))
        assert told == b"".join(batch.events for batch in replay(journal, Machine()))


def test_a_wheel_is_unpacked_for_as_long_as_it_runs(sources, tmp_path, monkeypatch):
    monkeypatch.setattr(module.tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    with EngineProcess(wheel(sources, tmp_path / "engine.whl")) as engine:
        assert list((tmp_path / "temporary").iterdir())
        engine.restore(Machine().rows())
        assert engine.apply(ROWS) == LocalEngine().apply(ROWS)
    assert list((tmp_path / "temporary").iterdir()) == []


def test_nothing_is_written_into_a_checkout(tmp_path):
    before = sorted(checkout(tmp_path / "engine").rglob("*"))
    with EngineProcess(tmp_path / "engine") as engine:
        engine.restore(Machine().rows())
        engine.apply(ROWS)
    assert sorted((tmp_path / "engine").rglob("*")) == before


def test_it_is_the_other_build_that_answers(tmp_path, monkeypatch):
    """Whatever this process imports, and wherever it was told to look."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text("raise SystemExit(9)")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path / 'site'}{os.pathsep}{CHECKOUT}")
    with EngineProcess(checkout(tmp_path / "engine", "other rules")) as engine:
        assert engine.semantics == SEMANTICS + 1


def test_an_engine_that_raises_names_the_row_and_can_be_restored(tmp_path):
    with EngineProcess(checkout(tmp_path / "engine", "raises")) as engine:
        engine.restore(Machine().rows())
        with pytest.raises(EngineRaised, match="the engine raises on row 200: KeyError: 7") as found:
            engine.apply(ROWS)
        assert (found.value.sequence, found.value.error) == (200, "KeyError: 7")
        with pytest.raises(EngineRefused, match="it holds none"):
            engine.apply(ROWS)
        engine.restore(Machine().rows())
        engine.apply(ROWS[: 199 * ROW_SIZE])
        assert engine.sequence == 199


def test_this_release_raises_in_the_same_words():
    engine = LocalEngine()
    with pytest.raises(EngineRaised, match="this release: the engine raises on row 0: AssertionError: row 2 "):
        engine.apply(ROWS[ROW_SIZE : 2 * ROW_SIZE])


def test_a_state_that_is_damaged_is_refused(other):
    rows = Machine().rows()
    for engine in (LocalEngine(), other):
        for state in (b"", rows[:-ROW_SIZE], rows[:20] + b"\1" + rows[21:]):
            with pytest.raises(EngineRefused, match="the engine does not take the state: "):
                engine.restore(state)


def test_what_an_engine_prints_is_no_answer(tmp_path):
    with EngineProcess(checkout(tmp_path / "engine", "talks")) as engine:
        engine.restore(Machine().rows())
        assert engine.apply(ROWS[: 50 * ROW_SIZE]) == LocalEngine().apply(ROWS[: 50 * ROW_SIZE])


def failing(folder, fault, said, timeout=module.TIMEOUT):
    """An engine that does not come back from a row: one line that says what it was."""
    with EngineProcess(checkout(folder, fault), timeout=timeout) as engine:
        engine.restore(Machine().rows())
        with pytest.raises(Failure, match=said) as found:
            engine.apply(ROWS[:ROW_SIZE])
        assert "\n" not in str(found.value)
        assert engine._process.wait(10) is not None


def test_a_process_that_dies(tmp_path):
    failing(tmp_path / "engine", "dies", "the engine's process died after row 0: exit code 7")


def test_a_process_that_hangs(tmp_path):
    failing(tmp_path / "engine", "never ends", "the engine gave no answer for 1 s after row 0", timeout=1)


def test_a_process_that_does_not_take_what_is_sent(other, sources):
    """It was stopped: what does not fit into the socket waits no longer than an answer would."""
    with EngineProcess(sources, timeout=1) as engine:
        engine.restore(Machine().rows())
        os.kill(engine._process.pid, signal.SIGSTOP)
        with pytest.raises(Failure, match="gave no answer for 1 s"):
            engine.apply(bytes(2**24))


def test_a_process_that_was_killed(sources):
    with EngineProcess(sources) as engine:
        engine.restore(Machine().rows())
        engine._process.kill()
        engine._process.wait()
        with pytest.raises(Failure, match="the engine's process died after row 0: exit code -9"):
            engine.apply(ROWS)


@pytest.mark.parametrize(
    ("fault", "said"),
    [("does not begin", "the engine cannot be imported: ImportError: cannot import name 'snapshots'")],
)
def test_a_build_that_cannot_be_imported(fault, said, tmp_path):
    with pytest.raises(Failure, match=said) as found:
        EngineProcess(checkout(tmp_path / "engine", fault))
    assert not isinstance(found.value, Misuse)


def test_a_build_that_takes_no_state(tmp_path):
    engine = EngineProcess(checkout(tmp_path / "engine", "takes no state"))
    with engine, pytest.raises(EngineRefused, match="the engine does not take the state: ValueError: not mine"):
        engine.restore(Machine().rows())


def no_engines(folder):
    """Paths at which no engine stands, and what is said of each."""
    (folder / "empty").mkdir()
    (folder / "text.whl").write_text("no wheel")
    with zipfile.ZipFile(folder / "other.whl", "w") as packed:
        packed.writestr("other/__init__.py", "")
    return {
        "nowhere": "no engine there: neither a checkout",
        "empty": "no engine there: neither a checkout",
        "text.whl": "neither a checkout nor a sound wheel",
        "other.whl": "no engine there",
    }


def test_a_place_without_an_engine_is_misuse(tmp_path):
    for name, said in no_engines(tmp_path).items():
        with pytest.raises(Misuse, match=said) as found:
            EngineProcess(tmp_path / name)
        assert str(tmp_path / name) in str(found.value)


DAMAGES = {
    "deflate": (zipfile.ZIP_DEFLATED, lambda data: data[:60] + b"\xff" * 200 + data[260:]),
    "lzma": (zipfile.ZIP_LZMA, lambda data: data[:60] + b"\xff" * 200 + data[260:]),
    "encrypted": (zipfile.ZIP_STORED, lambda data: headers(data, 6, 1)),
    "unknown method": (zipfile.ZIP_STORED, lambda data: headers(data, 8, 77)),
}


def headers(data, at, value):
    """The archive with another value in a field of its local and central headers."""
    for mark, place in ((b"PK\x03\x04", at), (b"PK\x01\x02", at + 2)):
        where = data.index(mark) + place
        data = data[:where] + value.to_bytes(2, "little") + data[where + 2 :]
    return data


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_wheel_is_misuse(name, tmp_path):
    method, damage = DAMAGES[name]
    path = tmp_path / "damaged.whl"
    with zipfile.ZipFile(path, "w", method) as packed:
        packed.writestr("core/machine.py", bytes(number * number % 251 for number in range(5_000)))
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(Misuse, match="neither a checkout nor a sound wheel"):
        EngineProcess(path)


PARENT = """
import sys, time
from pathlib import Path
from core.machine import Machine
from tools.engines import EngineProcess
engine = EngineProcess(Path(sys.argv[1]))
engine.restore(Machine().rows())
print(engine._process.pid, flush=True)
engine.apply(bytes.fromhex(sys.argv[2]))
"""


def test_it_ends_with_the_process_that_started_it(tmp_path):
    """Also in the middle of a row that never ends."""
    arguments = [str(checkout(tmp_path / "engine", "never ends")), ROWS[:ROW_SIZE].hex()]
    with subprocess.Popen([sys.executable, "-c", PARENT, *arguments], stdout=subprocess.PIPE) as parent:
        pid = int(parent.stdout.readline())
        parent.kill()
    for _ in range(200):
        if not alive(pid):
            return
        time.sleep(0.05)
    raise AssertionError(f"process {pid} is still there")


def alive(pid):
    """Whether a process runs; one that has ended and that nobody has asked for is over."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_nothing_stays_open(sources):
    """Descriptors and processes are given back, also by one that could not begin."""
    before = descriptors()
    engine = EngineProcess(sources)
    pid = engine._process.pid
    engine.close()
    engine.close()
    with pytest.raises(Misuse):
        EngineProcess(sources / "core")
    assert descriptors() == before
    assert not alive(pid)


def descriptors():
    """How many files and sockets this process has open."""
    return sum(1 for _ in Path("/proc/self/fd").iterdir())
