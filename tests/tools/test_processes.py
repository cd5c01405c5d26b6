"""The command line as real processes: its versions, broken pipes, interrupts, and `python -m tools.main`."""

import signal
import subprocess
import sys
import time

import pytest

from core.state import SEMANTICS
from journal.batch import VERSION
from tests.tools.conftest import ask
from tools.build import build

COMMAND = [sys.executable, "-m", "tools.main"]


@pytest.mark.both
def test_version_names_everything_that_decides_what_can_be_read():
    result = subprocess.run([*COMMAND, "--version"], capture_output=True, text=True, check=True)
    assert result.stdout.startswith("lockstep ")
    assert result.stdout.rstrip().endswith(f"{build()} build, semantics {SEMANTICS}, journal format {VERSION}")
    assert result.stdout == ask("--version")


@pytest.mark.parametrize(
    ("arguments", "code"), [(["replay", "nowhere"], 2), (["replay"], 64), (["nonsense"], 64), ([], 64), (["--help"], 0)]
)
def test_exit_codes(arguments, code, tmp_path):
    result = subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, check=False)
    assert result.returncode == code
    assert "Traceback" not in result.stderr
    assert len(result.stderr.splitlines()) == (1 if code else 0)


@pytest.mark.parametrize("form", [[], ["--json"], ["--jsonl", "--events"]])
def test_a_closed_pipe_is_quiet(venue, form):
    """As behind `| head`: whoever read the output has gone before it is written."""
    with subprocess.Popen(
        [*COMMAND, "dump", str(venue), *form], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        process.stdout.close()
        assert process.stderr.read() == b""


@pytest.fixture
def interruptible():
    """A process that was started in the background ignores interrupts, and so would those that it starts."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_interrupt_ends_with_130(venue, tmp_path):
    """Ctrl-C while an import waits for its source: no traceback, and nothing half made."""
    fifo = tmp_path / "messages.csv"
    subprocess.run(["mkfifo", str(fifo)], check=True)
    command = [*COMMAND, "import", "lobster", str(fifo), "--journal", str(tmp_path / "new")]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process, fifo.open("w"):
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        said = process.stderr.read()
    assert (process.returncode, said) == (130, "")
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("arguments", [["replay"], ["dump"], ["book", "AAA/USD"]])
def test_a_stdout_that_was_closed_before_is_quiet(venue, arguments):
    """As with `>&-`: there is nowhere to print to."""
    name, *rest = arguments
    typed = ["sh", "-c", 'exec "$@" >&-', "sh", *COMMAND, name, str(venue), *rest]
    result = subprocess.run(typed, stderr=subprocess.PIPE, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "Traceback" not in result.stderr
