"""Nothing in core can make two replays of one journal differ; and the lint that says so finds each planted bug."""

import pytest

from tests.core_lint import ASSERTING_MODULES, DICT_ORDER_ALLOWED, findings
from tests.paths import name_of, sources

PLANTED = {
    "a clock": "import time",
    "a clock, renamed": "from datetime import datetime as row",
    "dice": "from random import randrange",
    "the journal": "from journal.batch import seal",
    "a relative import": "from . import rows",
    "msgspec on the hot path": "import msgspec",
    "an import in a function": "def f():\n    import os",
    "a hash that differs between processes": "key = hash('A')",
    "an address": "key = id(order)",
    "a float from a string": "price = float('1')",
    "a float literal": "fee = notional * 0.001",
    "a float written as a power of ten": "limit = 1e6",
    "an imaginary number": "x = 1j",
    "true division": "half = quantity / 2",
    "true division in place": "quantity /= 2",
    "a fraction from a power": "tick = 10 ** -2",
    "a fraction from a power, by a variable": "tick = 10 ** -decimals",
    "rounding": "fee = round(fee)",
    "a set": "seen = {1, 2}",
    "an empty set": "seen = set()",
    "a frozen set": "KINDS = frozenset((1, 2))",
    "a set comprehension": "seen = {o.account for o in orders}",
    "iteration over a set": "for account in {1, 2}:\n    cancel(account)",
    "a file": "open('trace')",
    "a console": "print(order)",
    "a question": "input()",
    "generated code": "exec('x = 1')",
    "evaluated code": "eval('1')",
    "an import by name": "__import__('time')",
    "a global": "def f():\n    global count\n    count = 1",
    "a coroutine": "async def f():\n    await g()",
    "a finalizer": "class A:\n    def __del__(self):\n        pass",
    "a bare except": "try:\n    f()\nexcept:\n    pass",
    "a broad except": "try:\n    f()\nexcept Exception:\n    pass",
    "a broad except among others": "try:\n    f()\nexcept (KeyError, BaseException):\n    pass",
    "an assert that changes something": "assert book.pop() == 1",
    "an assert that calls ours": "assert add(order)",
    "an assert that assigns": "assert (n := 1)",
    "orders in the order of a dict": "for order in orders.values():\n    cancel(order)",
    "orders in the order of a dict, copied": "for number, order in list(orders.items()):\n    cancel(order)",
    "orders in the order of a dict, counted": "for i, key in enumerate(orders.keys()):\n    cancel(key)",
    "orders in the order of a dict, in a list": "rows = [row(order) for order in orders.values()]",
}
HARMLESS = {
    "imports from the list": "from collections.abc import Iterator\nimport hashlib\nfrom librt.strings import read_i64_le",
    "imports of core": "from core.kinds import ROW_SIZE\nimport core.limits",
    "whole division": "half, rest = quantity // 2, quantity % 2",
    "a power of literals": "SUM_MAX = 2**62 - 1",
    "a dict in order": "for number, order in sorted(orders.items()):\n    cancel(order)",
    "a dict display": "TABLE = {1: 2}",
    "a sum": "total = sum(levels)",
    "an assert that only looks": "assert len(levels) > 0 and isinstance(order, Order)",
    "a narrow except": "try:\n    f()\nexcept KeyError:\n    pass",
}


@pytest.mark.parametrize("path", sources("core"), ids=name_of)
def test_core_is_deterministic_by_its_syntax(path):
    assert list(findings(name_of(path), path.read_text())) == []


@pytest.mark.parametrize("code", PLANTED.values(), ids=PLANTED.keys())
def test_a_planted_bug_is_found(code):
    assert list(findings("core/planted.py", code))


@pytest.mark.parametrize("code", HARMLESS.values(), ids=HARMLESS.keys())
def test_harmless_code_is_left_alone(code):
    assert list(findings("core/harmless.py", code)) == []


def test_msgspec_is_for_the_modules_that_are_not_compiled():
    assert list(findings("core/layout.py", "import msgspec")) == []


def test_exceptions_name_modules_that_exist():
    assert {name_of(path) for path in sources("core")} >= {*ASSERTING_MODULES, *DICT_ORDER_ALLOWED}
