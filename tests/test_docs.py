"""What README.md and docs/ show can be done: every `console` and `python` block runs, in order, document by document.

A console block shows `$ command` lines and, where it matters, what they print: those lines must come in that order, and
`...` stands for anything. `lockstep` runs; `make` must be a verb of the Makefile. A block that cannot run says why:

    <!-- not run: it needs two terminals -->

A block whose commands end with another exit code than 0 says so:

    <!-- ends with code 1 -->
"""

import re
import shlex
import shutil
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from tests.paths import HERE

README = HERE / "README.md"
DOCUMENTS = [README, *sorted((HERE / "docs").rglob("*.md"))]
FENCE = re.compile(r"^(?P<indent> *)```(?P<language>\w*)")
NOT_RUN = re.compile(r"<!-- not run: *(?P<reason>.*?) *-->")
ENDS_WITH = re.compile(r"<!-- ends with code (?P<code>[0-9]+) -->")
SET_UP = {"cd", "git"}
"""Commands that lead to where ours can be typed; they are read and not run."""

SHELL = {"|", ">", ">>", "<", "&", "&&", "||", ";"}


@dataclass(frozen=True)
class Block:
    """One fenced block of a document."""

    document: Path
    line: int
    language: str
    text: str
    not_run: str | None
    code: int = 0
    """The exit code of each command in it."""

    def __str__(self) -> str:
        """Where it stands."""
        return f"{self.document.name}:{self.line}"


def blocks(document: Path) -> list[Block]:
    """All fenced blocks of a document."""
    found, before = [], ""
    lines = enumerate(document.read_text().splitlines(), start=1)
    for number, line in lines:
        if opening := FENCE.match(line):
            indent = len(opening["indent"])
            body = []
            for _, inner in lines:
                if inner.strip() == "```":
                    break
                body.append(inner[indent:])
            note, ends = NOT_RUN.search(before), ENDS_WITH.search(before)
            reason, code = note["reason"] if note else None, int(ends["code"]) if ends else 0
            found.append(Block(document, number, opening["language"], "\n".join(body), reason, code))
            before = ""
        elif line.strip():
            before = line
    return found


def commands(block: Block) -> list[tuple[str, list[str]]]:
    """Each command of a console block with the lines shown below it; a backslash at the end continues it."""
    found: list[tuple[str, list[str]]] = []
    for line in block.text.replace("\\\n", " ").splitlines():
        if line.startswith("$ "):
            found.append((line[2:], []))
        elif line.strip():
            assert found, f"{block}: a console block begins with `$ `"
            found[-1][1].append(line.strip())
    return found


def verbs() -> set[str]:
    """The targets of the Makefile."""
    return set(re.findall(r"^([a-z-]+):", (HERE / "Makefile").read_text(), re.MULTILINE))


def missing(shown: list[str], printed: str) -> str | None:
    """The first shown line that the output lacks, reading both downwards; `...` stands for anything."""
    rest = iter([" ".join(line.split()) for line in printed.splitlines()])
    for line in shown:
        pattern = " ".join(line.split()).replace("[", "[[]").replace("...", "*")
        if pattern != "*" and not any(fnmatchcase(got, pattern) for got in rest):
            return line
    return None


def run_lockstep(block: Block, arguments: list[str], shown: list[str]) -> None:
    """Run one command in this process and compare what it prints."""
    from typer.testing import CliRunner

    from tools.main import app

    result = CliRunner(env={"COLUMNS": "120", "NO_COLOR": "1"}).invoke(app, arguments)
    said = f"{block}: lockstep {shlex.join(arguments)}\n{result.output}"
    assert result.exit_code == block.code, f"{said}\n{result.exception!r}"
    line = missing(shown, result.output)
    assert line is None, f"{said}\nlacks the line that is shown: {line}"


def run_console(block: Block) -> None:
    """Run or check every command of a block."""
    for command, shown in commands(block):
        words = shlex.split(command, comments=True)
        assert not SHELL & {*words}, f"{block}: {command!r} needs a shell: show it without"
        while words and re.fullmatch(r"[A-Z_]+=\S*", words[0]):
            words.pop(0)
        if words[0] == "make":
            unknown = [word for word in words[1:] if "=" not in word and word not in verbs()]
            assert unknown == [], f"{block}: no verb of the Makefile"
        elif words[0] == "lockstep":
            run_lockstep(block, words[1:], shown)
        else:
            assert words[0] in SET_UP, f"{block}: cannot run {command!r}; say `<!-- not run: reason -->` above it"


@pytest.mark.both
def test_there_is_a_readme():
    assert README.is_file(), f"README.md is missing: {README}"


@pytest.mark.both
@pytest.mark.parametrize("document", [d for d in DOCUMENTS if d.is_file()], ids=lambda d: str(d.relative_to(HERE)))
def test_what_a_document_shows_can_be_done(document, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(HERE / "examples", tmp_path / "examples")
    names: dict[str, object] = {"__name__": "__doc__"}
    for block in blocks(document):
        assert block.not_run != "", f"{block}: `not run` needs a reason"
        if block.not_run:
            continue
        if block.language == "console":
            run_console(block)
        elif block.language == "python":
            exec(compile("\n" * block.line + block.text, str(document), "exec"), names)


def test_blocks_that_say_why_are_not_run(tmp_path):
    document = tmp_path / "page.md"
    document.write_text("<!-- not run: needs two terminals -->\n\n```console\n$ rm x\n```\n\n```python\n1\n```\n")
    assert [(b.language, b.not_run) for b in blocks(document)] == [
        ("console", "needs two terminals"),
        ("python", None),
    ]


@pytest.mark.parametrize("text", ["$ make nonsense", "$ rm -r x", "no command", "$ lockstep help | head"])
def test_a_console_block_that_cannot_be_done_is_found(text, tmp_path):
    with pytest.raises(AssertionError):
        run_console(Block(tmp_path, 1, "console", text, None))


def test_shown_lines_come_in_order():
    assert missing(["a ... c", "...", "e"], "a  b c\nd\ne\n") is None
    assert missing(["e", "a"], "a\ne\n") == "a"
