"""The rules of the house about the sources themselves: sizes only shrink, names say what they are, nothing stays behind."""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.paths import CHECKOUT, PACKAGES, name_of, sources

FILE_LINES_MAX = 400
FUNCTION_LINES_MAX = 60
FUNCTION_LINES_USUAL = 30
LARGER_FILES: dict[str, int] = {}
"""Files that may be larger, each with its own ceiling, which only ever comes down."""

WORDS = {
    r"\bFIXME\b|\bXXX\b|\bHACK\b|\bWIP\b": "finish it, or file an issue",
    r"\b(?:master|slave)s?\b": "primary, standby",
    r"\b(?:black|white)lists?\b": "denied, allowed",
    r"\b(?:remaining|filled)[ _]quantity\b": "leaves quantity, cumulative quantity",
    r"\bCo-authored-by\b|@author\b": "who wrote it is in the history",
    r"(?<![\w.~])/(?:home|root|Users|work|workspace|tmp)/\w": "a path of one machine: take it as an argument",
}
TEXTS = {".py", ".md", ".toml", ".txt", ".cfg", ".yml", ".json", ""}

FOLDERS = (*PACKAGES, "tests", "docs", "examples", ".ci")
NEVER = {
    "last_txnid": "it may name a transaction that is not on disk: keep the sequence number",
    "pickle": "rows are written by layout, and bytes of a journal name no Python module",
}


def texts() -> list[Path]:
    """Every text that we ship or read."""
    files = [path for folder in FOLDERS for path in (CHECKOUT / folder).rglob("*") if "__pycache__" not in path.parts]
    files += [path for path in CHECKOUT.iterdir() if not path.name.startswith(".git")]
    return sorted(path for path in files if path.is_file() and path.suffix in TEXTS)


def functions(path: Path) -> Iterator[tuple[str, int]]:
    """Each function of a module with its lines, docstring left out."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0]
            documented = ast.get_docstring(node, clean=False) is not None
            docstring = first.end_lineno - first.lineno + 1 if documented else 0
            yield f"{name_of(path)}:{node.name}", node.end_lineno - node.lineno + 1 - docstring


def public(tree: ast.Module) -> Iterator[ast.AST]:
    """Functions and classes that a reader of a module meets first: public, at the top or in a public class."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    for node in tree.body:
        if isinstance(node, kinds) and not node.name.startswith("_"):
            yield node
            members = node.body if isinstance(node, ast.ClassDef) else []
            yield from (item for item in members if isinstance(item, kinds) and not item.name.startswith("_"))


@pytest.mark.parametrize("path", sources(), ids=name_of)
def test_a_file_is_short(path):
    lines = len(path.read_text().splitlines())
    assert lines <= LARGER_FILES.get(name_of(path), FILE_LINES_MAX)


def test_exceptions_are_still_needed():
    sizes = {name: len((CHECKOUT / name).read_text().splitlines()) for name in LARGER_FILES}
    assert {name for name, lines in sizes.items() if lines <= FILE_LINES_MAX} == set()


def test_no_function_is_long():
    long = [(name, lines) for path in sources() for name, lines in functions(path) if lines > FUNCTION_LINES_MAX]
    assert long == []


def test_nine_in_ten_functions_are_under_thirty_lines():
    sizes = sorted(lines for path in sources() for _, lines in functions(path))
    assert sizes[int(len(sizes) * 0.9)] < FUNCTION_LINES_USUAL


@pytest.mark.parametrize("package", [p for p in sources() if p.name == "__init__.py"], ids=name_of)
def test_a_package_holds_a_docstring_and_imports_nothing(package):
    tree = ast.parse(package.read_text())
    assert ast.get_docstring(tree)
    assert len(tree.body) == 1


@pytest.mark.parametrize("path", sources(), ids=name_of)
def test_what_is_public_is_documented(path):
    tree = ast.parse(path.read_text())
    assert ast.get_docstring(tree), "the module"
    assert [node.name for node in public(tree) if not ast.get_docstring(node)] == []


def test_no_module_is_named_like_one_of_the_standard_library():
    """A script started in its folder would import ours instead."""
    assert [name_of(path) for path in sources() if path.stem in sys.stdlib_module_names] == []


@pytest.mark.parametrize("pattern", WORDS, ids=WORDS.values())
def test_words_that_have_no_place_here(pattern):
    found = [
        f"{name_of(path)}:{number}: {line.strip()}"
        for path in texts()
        if path != CHECKOUT / "tests" / "test_house.py"
        for number, line in enumerate(path.read_text().splitlines(), start=1)
        if re.search(pattern, line)
    ]
    assert found == [], WORDS[pattern]


def uses(tree: ast.AST) -> Iterator[str]:
    """Names, attributes, imports, short strings and keyword arguments of a module."""
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.Constant(value=str(name)) | ast.alias(name=name):
                yield name
            case ast.ImportFrom(module=str(name)):
                yield name
            case ast.keyword(arg="writemap", value=ast.Constant(value=value)) if value is not False:
                yield "writemap"


@pytest.mark.parametrize("path", sources(), ids=name_of)
def test_what_is_never_used(path):
    """LMDB's writemap and last_txnid lie after a crash; pickle ties bytes to code."""
    assert {*uses(ast.parse(path.read_text()))} & {*NEVER, "writemap"} == set()


@pytest.mark.parametrize("code", ["import pickle", "env.info()['last_txnid']", "lmdb.open(path, writemap=True)"])
def test_what_is_never_used_would_be_found(code):
    assert {*uses(ast.parse(code))} & {*NEVER, "writemap"}
