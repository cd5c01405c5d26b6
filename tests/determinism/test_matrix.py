"""Promise 3: same journal, same bytes, on every CPython with any hash seed, optimisation, collector and locale."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from hashlib import sha256

import pytest

from core.kinds import TIME, CommandKind, EventKind
from core.machine import Machine
from core.state import SEMANTICS
from journal.directory import JournalDirectory
from replicas.replay import start
from replicas.sequencer import Sequencer
from tests.conftest import NIGHT, chosen, seed
from tests.determinism.replayer import report
from tests.determinism.stream import START, stamped_rows, times, wire_rows
from tests.interpreters import NoEnvironmentError, environment, find, one_per_minor
from tests.paths import CHECKOUT, HERE

ROWS = 40_000 if NIGHT else 4_000


@dataclass(frozen=True)
class Cell:
    """One way to run the replayer: options of the interpreter, of the replayer, and variables."""

    name: str
    flags: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    variables: dict[str, str] = field(default_factory=dict)


CELLS = (
    Cell("as it is"),
    *(Cell(f"hash seed {value}", variables={"PYTHONHASHSEED": value}) for value in ("0", "1", "4294967295", "random")),
    Cell("asserts off", ("-O",)),
    Cell("docstrings off", ("-OO",)),
    Cell("isolated from site and user", ("-B", "-s")),
    Cell("development mode", ("-X", "dev")),
    Cell("UTF-8 mode", ("-X", "utf8=0")),
    Cell("short integers as text", ("-X", "int_max_str_digits=640")),
    Cell("collector off", options=("--gc", "off")),
    Cell("collector at every allocation", options=("--gc", "1")),
    Cell("low recursion limit", options=("--recursion", "120")),
    Cell("debug allocator", variables={"PYTHONMALLOC": "debug"}),
    Cell("system allocator", variables={"PYTHONMALLOC": "malloc"}),
    *(
        Cell(f"{zone} {locale}", variables={"TZ": zone, "LC_ALL": locale})
        for zone, locale in (("UTC", "C"), ("Asia/Kathmandu", "tr_TR.UTF-8"), ("America/St_Johns", "de_DE.UTF-8"))
    ),
    Cell("row by row", options=("--batch", "1")),
    Cell("seven rows at a time", options=("--batch", "7")),
    Cell("restored every 97 rows", options=("--restore", "97")),
    Cell(
        "all at once",
        ("-O",),
        ("--gc", "1", "--recursion", "120", "--batch", "13", "--restore", "501"),
        {"PYTHONHASHSEED": "random", "TZ": "Pacific/Chatham", "LC_ALL": "tr_TR.UTF-8", "PYTHONMALLOC": "debug"},
    ),
)

OTHERS = (CELLS[0], CELLS[4], CELLS[5], CELLS[12], CELLS[13], CELLS[-1])
"""What every other interpreter runs, interpreted."""


def in_third(name, cell):
    """The cell as a parameter: a third of all, chosen by the seed, in every run; the others by night or by name."""
    marks = () if chosen(f"{name} {cell.name}") else (pytest.mark.night,)
    return pytest.param(cell, id=cell.name.replace(" ", "-").replace("/", "-"), marks=marks)


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    """The stream in a file."""
    path = tmp_path_factory.mktemp("stream") / "rows"
    path.write_bytes(stamped_rows(seed(), ROWS, every=True))
    return path


@pytest.fixture(scope="module")
def expected(rows):
    """What this process makes of the stream."""
    return report(rows.read_bytes())


def run(python, cell, path, folder):
    """The report of a replayer in a process of its own."""
    names = ["PATH", "HOME", "LD_LIBRARY_PATH", *(["PYTHONPATH"] if python == sys.executable else [])]
    kept = {name: os.environ[name] for name in names if name in os.environ}
    command = [python, *cell.flags, "-m", "tests.determinism.replayer", str(path), *cell.options]
    done = subprocess.run(
        command, cwd=folder, env=kept | cell.variables, capture_output=True, text=True, check=False, timeout=600
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def same(found, expected):
    """Compare from the first difference on, so that a failure names the thousand rows it is in."""
    expected = json.loads(json.dumps(expected))
    differing = [
        n for n, pair in enumerate(zip(found["running"], expected["running"], strict=True)) if pair[0] != pair[1]
    ]
    assert not differing, f"seed {seed()}: first difference within rows {differing[0] * 1_000 + 1} to +1000"
    assert found == expected, f"seed {seed()}"


def test_the_stream_is_worth_replaying(expected):
    """The stream reaches every kind of event but that of a quarantine; a few are so rare that one seed may lack them."""
    counts = dict(expected["kinds"])
    rare = {EventKind.CLOCK_ACCEPTED, EventKind.PROMOTED, EventKind.DEAD_MAN_FIRED}
    missing = {kind for kind in EventKind if kind not in counts} - {EventKind.QUARANTINED}
    assert missing <= rare
    assert len(missing) < len(rare)
    assert counts[EventKind.EXECUTED] > ROWS // 20
    assert counts[EventKind.REJECTED] < ROWS // 2


@pytest.mark.parametrize("cell", [in_third("this build", cell) for cell in CELLS])
def test_the_build_under_test(cell, rows, expected):
    """The interpreter of this run, in another process set up in another way, gives the same bytes."""
    same(run(sys.executable, cell, rows, HERE), expected)


@pytest.mark.parametrize("cell", [in_third("each python", cell) for cell in OTHERS])
@pytest.mark.parametrize("found", one_per_minor(), ids=lambda found: found.name)
def test_every_python(found, cell, rows, expected):
    """Every CPython on this machine gives the bytes of the build under test."""
    try:
        python = environment(found)
    except NoEnvironmentError as error:
        pytest.skip(str(error))
    same(run(python, cell, rows, CHECKOUT), expected)


def test_a_journal_directory(tmp_path):
    """Rows that a sequencer journaled on disk, two segments of them, replay in other processes to what it answered."""
    directory = JournalDirectory.create(tmp_path / "venue", Machine().rows(), semantics=SEMANTICS)
    sequencer = Sequencer(directory, start(directory))
    wire = wire_rows(seed(), 600)
    sequencer.submit(b"".join(wire[:300]), START)
    sequencer.roll()
    answered = b"".join(sequencer.submit(b"".join(wire[at : at + 50]), START) for at in range(300, 600, 50))
    sequencer.close_batch()
    directory.close()
    for cell in (CELLS[0], CELLS[-1]):
        found = run(sys.executable, Cell(cell.name, cell.flags, (), cell.variables), tmp_path / "venue", HERE)
        assert found["events"] == sha256(answered).hexdigest()
        assert found["event_digest"] == sequencer.machine.digest.value().hex()
        assert found["state_digest"] == sequencer.machine.state_digest().hex()
        assert found["rows"] == 600
        assert len(found["running"]) >= 6  # an Upgrade ends its batch


def test_several_pythons_are_here():
    """A matrix of one interpreter proves little: it is said when there is but one."""
    minors = {found.version[:2] for found in find()}
    if len(minors) == 1:
        pytest.skip(f"only CPython {minors} is on this machine")
    assert sys.version_info[:2] in minors


def test_a_tripwire_is_not_tripped(rows, expected):
    """While rows are applied, nothing asks for the time, dice, a file, a socket, a process or a compiler."""
    same(run(sys.executable, Cell("tripwire", options=("--tripwire",)), rows, HERE), expected)


@pytest.mark.parametrize(
    "act",
    [
        "import time; time.time_ns()",
        "import time; time.monotonic()",
        "import random; random.random()",
        "import uuid; uuid.uuid4()",
        "import os; os.urandom(8)",
        "open('/dev/null')",
        "import socket; socket.socket()",
        "import subprocess; subprocess.run(['true'])",
        "eval('1 + 1')",
    ],
)
def test_the_tripwire_trips(act):
    """Each of the things that the tripwire is for does trip it."""
    imports, _, does = act.rpartition("; ")
    code = f"from tests.determinism.tripwire import Tripwire\n{imports}\ndef act(): {does}\nwith Tripwire(): act()"
    done = subprocess.run([sys.executable, "-c", code], cwd=HERE, capture_output=True, text=True, check=False)
    assert "TrippedError" in done.stderr.splitlines()[-1], done.stderr


def test_a_difference_is_named(rows, expected):
    """One nanosecond in one row shows in the report, in the thousand rows it is in and in all that follow."""
    data = bytearray(rows.read_bytes())
    stamps = times(data)
    wide = (n for n in range(2_500, len(stamps) - 1) if stamps[n + 1] - stamps[n] > 1)
    changed = 128 * next(n for n in wide if data[128 * n] == CommandKind.ENTER_ORDER)
    data[changed + TIME : changed + TIME + 8] = (stamps[changed // 128] + 1).to_bytes(8, "little")
    found = report(bytes(data))
    thousand = changed // 128_000
    assert found["running"][:thousand] == expected["running"][:thousand]
    assert all(a[0] != b[0] for a, b in zip(found["running"][thousand:], expected["running"][thousand:], strict=True))
    with pytest.raises(AssertionError, match=f"rows {thousand * 1_000 + 1} to"):
        same(found, expected)
