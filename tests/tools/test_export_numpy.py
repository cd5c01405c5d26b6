"""The journal as docs/journal-format.md says that NumPy reads it, in a process that cannot import any of our packages."""

import json
import re
import subprocess
import sys
import sysconfig

import pytest

from tests.pair import seeds
from tests.paths import HERE, PACKAGES
from tests.tools.exports import empty_journal, golden_journal, random_journal, told

pytest.importorskip("numpy")

PAGE = HERE / "docs" / "journal-format.md"
ISOLATED = """
import json, sys
sys.path[:] = [place for place in sys.path if "site-packages" not in place] + [{site!r}]
sys.modules.update(dict.fromkeys({packages!r}))
{snippet}
headers = [[int(h[n]) for n in ("kind", "semantics", "epoch", "first", "rows", "base_time")] for h, _ in commands({journal!r})]
print(json.dumps({{"rows": [list(map(int, row)) for row in rows], "headers": headers}}))
"""


def snippet(journal):
    """The program of the page, for this journal."""
    section = PAGE.read_text().partition("## Reading it without our code")[2]
    code = re.search(r"```python\n(.*?)```", section, re.DOTALL)[1]
    assert code.count('"DIR"') == 1
    return code.replace('"DIR"', repr(str(journal)))


def read_alone(journal):
    program = ISOLATED.format(
        site=sysconfig.get_paths()["purelib"], packages=PACKAGES, snippet=snippet(journal), journal=str(journal)
    )
    command = [sys.executable, "-I", "-c", program]
    result = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/")
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout.splitlines()[-1]), result.stdout


@pytest.mark.parametrize(
    "make", [golden_journal, lambda path: random_journal(path, *seeds(1))], ids=["golden", "random"]
)
def test_the_arrays_are_the_rows_of_the_journal(make, tmp_path):
    journal = make(tmp_path / "venue")
    found, printed = read_alone(journal)
    wanted = [memoryview(one.row).cast("q").tolist() for one in told(journal)]
    assert found["rows"] == wanted
    entered = sum(row[0] == 32 for row in wanted)
    assert printed.startswith(f"{len(wanted)} commands, {entered} of them EnterOrder\n")
    commands = [header for header in found["headers"] if header[0] == 1]
    assert [header[3] for header in commands] == [1 + sum(h[4] for h in commands[:n]) for n in range(len(commands))]
    assert {header[5] for header in commands} <= {row[2] for row in wanted}


def test_a_flipped_bit_is_found(tmp_path):
    journal = golden_journal(tmp_path / "venue")
    (row, *_) = (one.row for one in told(journal) if one.sequence == 5)
    for data in journal.glob("segments/*/data.mdb"):
        data.write_bytes(data.read_bytes().replace(row, row[:-1] + bytes([row[-1] ^ 1])))
    with pytest.raises(AssertionError, match="AssertionError"):
        read_alone(journal)


def test_an_empty_journal_has_no_rows(tmp_path):
    assert read_alone(empty_journal(tmp_path / "venue"))[0] == {"rows": [], "headers": []}


@pytest.mark.parametrize("package", PACKAGES)
def test_our_packages_cannot_be_imported_there(package):
    """The proof that the program needs nothing of ours."""
    site = sysconfig.get_paths()["purelib"]
    broken = ISOLATED.format(site=site, packages=PACKAGES, snippet=f"import {package}", journal="")
    result = subprocess.run([sys.executable, "-I", "-c", broken], capture_output=True, text=True, check=False, cwd="/")
    assert result.returncode == 1
    assert "ModuleNotFoundError" in result.stderr
