"""Which lines of the engine there are, and which rows of which scenarios reach each of them.

The scenarios are those of tests/scenarios, which say every rule of the market, and those of more_scenarios.py.
"""

import ast
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import core.engine
from core import messages as m
from core.kinds import C8, KIND, Role
from core.machine import Machine
from core.rows import from_row, pack_halves, to_row
from core.stamp import stamp
from core.state import SEMANTICS
from tests.paths import HERE
from tests.poison.more_scenarios import MORE, bounded
from tests.scenario import START, VENUE, Scenario

CORE = Path(core.engine.__file__).parent
MODULES = (
    "access", "arrival", "book", "cancels", "control", "counting", "crossing", "definitions", "engine", "entry",
    "following", "holder", "instrument", "judging", "ledger", "limiting", "matching", "placing", "replace", "reports",
    "session", "special", "state", "terms", "timers", "venue_rules", "fees", "allocating",
    "activating", "aftermath", "batches", "linked", "mass_quotes", "parts", "quotes", "staging",
)  # fmt: skip
"""The modules of command methods and of what they call; the others read and write rows and snapshots."""

FILES = {str(CORE / f"{module}.py"): module for module in MODULES}

UNREACHABLE = {
    ("allocating", "Allocating.__init__"): "an engine is made before any row",
    ("allocating", "give_pro_rata"): "guards a division: a level that is shared has more than is taken",
    ("crossing", "__init__"): "an engine is made before any row",
    ("entry", "__init__"): "an engine is made before any row",
    ("arrival", "__init__"): "an engine is made before any row",
    ("linked", "__init__"): "an engine is made before any row",
    ("staging", "__init__"): "an engine is made before any row",
    ("parts", "parts_of"): "gateway and client ask",
    ("parts", "parts_after"): "gateway and client ask",
    ("parts", "command_end"): "the primary asks",
    ("reports", "__init__"): "an engine is made before any row",
    ("state", "State.__init__"): "an engine is made before any row",
    ("engine", "_take"): "an assertion: the row does not follow, which is a fault of the node",
    ("engine", "apply_quarantined"): "an assertion: the Quarantine row names another row",
    ("state", "put"): "an assertion: whoever puts an entry has judged its number before",
    ("ledger", "held"): "a snapshot asks",
    ("session", "restore_answer"): "a snapshot is loaded",
}
"""Functions of which lines are not reached by any row, and why."""

OUTSIDE = {
    "apply",
    "apply_quarantined",
    "_take",
    "_halt",
    "_drop_timer",
    "_drop_following",
    "event_rows",
    "see_to_staged",
}
"""Functions that go from row to row, or put a halt in the place of one: what they raise is a fault of the node."""

BYSTANDERS = (30, 31)
BYSTANDING = 900
SETUP = (
    m.DefineCurrency(currency=901, symbol="BYQ"),
    m.DefineCurrency(currency=902, symbol="BYB"),
    m.DefineInstrument(
        instrument=BYSTANDING, symbol="BYB/BYQ", currencies=pack_halves(902, 901), price_max=100, quantity_max=100
    ),
    *(m.OpenAccount(account=a, firm=901, name="bystander") for a in BYSTANDERS),
    *(m.Deposit(account=a, currency=c, amount=100_000) for a in BYSTANDERS for c in (901, 902)),
    *(m.GrantSession(account=a, grantee=900 + a, role=Role.TRADER) for a in BYSTANDERS),
)  # fmt: skip
"""Who trades on, in an instrument of their own."""


@cache
def bystanding():
    """The state of a venue that has bystanders and nothing else."""
    machine = Machine()
    rows = stamp(b"".join(map(to_row, SETUP)), 0, START - 1_000, START - 1_000)
    machine.apply(rows, 0, len(rows))
    return machine.rows()


@dataclass(frozen=True)
class Place:
    """A row of a scenario."""

    source: str
    index: int


@cache
def sources():
    """Bounds and rows of each scenario, by its name."""
    texts = {path.stem: ({}, path.read_text()) for path in sorted((HERE / "tests" / "scenarios").glob("*.txt"))}
    texts |= {name: (bounds, f"{name}\n\nvenue default\n{text}") for name, (bounds, text) in MORE.items()}
    texts["the first of all rows"] = ({}, f"-\n\n{MORE['the first of all rows'][1]}")
    return {
        name: (bounds, [row for step in Scenario(text).steps for row in step.rows])
        for name, (bounds, text) in texts.items()
    }


def apply(machine, row, quarantine):
    """Apply one row of a scenario; its number is another one behind the bystanders."""
    moved = stamp(row, machine.engine.sequence, machine.engine.now, 0)
    number = machine.engine.sequence + 1
    if quarantine is None:
        machine.apply(renamed(moved), 0, len(moved))
    else:
        names = from_row(quarantine)
        timers = {"timer_time": names.timer_time, "timer_order": names.timer_order}
        machine.apply_quarantined(moved, 0, to_row(m.Quarantine(named=number, **timers)), 0)


def renamed(row):
    """A Quarantine row of a scenario names a row by its number there."""
    named = int.from_bytes(row[C8 : C8 + 8], "little", signed=True)
    if row[KIND] != m.Quarantine.KIND or row[KIND + 1] or named <= 0:
        return row
    return row[:C8] + (named + len(SETUP)).to_bytes(8, "little") + row[C8 + 8 :]


def before(place):
    """The state before a row of a scenario."""
    machine = Machine.restore(bystanding())
    for row, quarantine in sources()[place.source][1][: place.index]:
        apply(machine, row, quarantine)
    return machine.rows()


USUAL = len(VENUE.splitlines())
MANY = 60
"""Longer scenarios have a thousand rows of one kind in their middle."""


class Reached:
    """Notes the lines of the engine that run while it is entered."""

    def __init__(self):
        self.lines = set()

    def __enter__(self):
        sys.settrace(self._call)
        return self

    def __exit__(self, *_):
        sys.settrace(None)

    def _call(self, frame, event, _):
        module = FILES.get(frame.f_code.co_filename)
        if module is None:
            return None
        lines = self.lines

        def note(frame, event, _):
            if event == "line":
                lines.add((module, frame.f_lineno))
            return note

        return note


@cache
def places():
    """For each line of the engine the rows that reach it; of quarantined rows None."""
    found, defaults = {}, {}
    for name, (bounds, rows) in sources().items():
        # What most scenarios begin with is looked at once.
        key = tuple(rows[:USUAL])
        with bounded(bounds):
            machine = Machine.restore(defaults.get(key) or bystanding())
            for index, (row, quarantine) in [*enumerate(rows)][USUAL if key in defaults else 0 :]:
                if index == USUAL:
                    defaults[key] = machine.rows()
                tells = quarantine is None and machine.engine.next_semantics == SEMANTICS
                for line in lines_that_run(machine, row, quarantine, MANY < index < len(rows) - MANY):
                    found.setdefault(line, []).append(Place(name, index) if tells else None)
    return found


def lines_that_run(machine, row, quarantine, is_one_of_many):
    """Apply a row; the lines that ran. Among a thousand like it a row is not looked at."""
    if is_one_of_many:
        apply(machine, row, quarantine)
        return set()
    with Reached() as reached:
        apply(machine, row, quarantine)
    return reached.lines


def statements(module):
    """The statements of functions: the lines of each (of one with a body those of its head), and its function."""
    tree = ast.parse((CORE / f"{module}.py").read_text())
    functions = [(node, "") for node in tree.body if isinstance(node, ast.FunctionDef)]
    for part in (node for node in tree.body if isinstance(node, ast.ClassDef)):
        functions += [(node, f"{part.name}.") for node in part.body if isinstance(node, ast.FunctionDef)]
    for function, of in functions:
        body = function.body[1:] if ast.get_docstring(function) is not None else function.body
        for node in (inner for part in body for inner in ast.walk(part) if isinstance(inner, ast.stmt)):
            if isinstance(node, ast.AnnAssign) and node.value is None:
                continue  # a declaration does nothing
            inner = getattr(node, "body", None)
            last = inner[0].lineno - 1 if inner and inner[0].lineno > node.lineno else node.end_lineno
            yield range(node.lineno, last + 1), function.name, of + function.name
