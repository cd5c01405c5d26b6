"""Usage: what each session sent about each instrument, and what it traded there.

Every command of the journal counts once, refused ones included; of session 0, those of the venue itself. The instrument is the
one that a command about orders names; 0 for the others, and for a mass cancel of all. Executions count for the session
that entered the order. What a gateway refuses, and a repeat that it answers, never was a command.
"""

from collections.abc import Iterator
from typing import Final

from core.kinds import CommandKind, EventKind
from tools.projections.tables import ROW, Batch, Fold, Select, Table, Type, Values, table

USAGE = table(
    "usage", 2,
    session=Type.INTEGER, instrument=Type.INTEGER, messages=Type.INTEGER, enters=Type.INTEGER, replaces=Type.INTEGER,
    reduces=Type.INTEGER, cancels=Type.INTEGER, mass_cancels=Type.INTEGER, others=Type.INTEGER,
    rejections=Type.INTEGER, executions=Type.INTEGER, executed_lots=Type.SUM,
)  # fmt: skip
_MESSAGES, _REJECTIONS, _EXECUTIONS, _LOTS = 0, 7, 8, 9
_COUNTED: Final = {
    int(CommandKind.ENTER_ORDER): 1,
    int(CommandKind.REPLACE_ORDER): 2,
    int(CommandKind.REDUCE_ORDER): 3,
    int(CommandKind.CANCEL_ORDER): 4,
    int(CommandKind.MASS_CANCEL): 5,
}
_OTHERS: Final = 6
_REJECTED: Final = int(EventKind.REJECTED)
_EXECUTED: Final = int(EventKind.EXECUTED)

_RATIO: Final = """
SELECT session, instrument, messages - others AS orders, executions,
    CASE WHEN executions = 0 THEN NULL ELSE (messages - others) * 1000 / executions END AS thousandths
FROM usage
"""


class Usage(Fold):
    """Counts in memory; there are as many rows as sessions times instruments."""

    name = "usage"
    tables = (USAGE,)
    views = (("order_to_trade", _RATIO),)

    def __init__(self) -> None:
        self._counts: dict[tuple[int, int], list[int]] = {}
        self._changed: set[tuple[int, int]] = set()

    def load(self, select: Select) -> None:
        """All of it."""
        self._counts = {(row[0], row[1]): [*row[2:]] for row in select(USAGE, "")}

    def take(self, batch: Batch) -> None:
        """Count the commands of the batch, and what the events say of them."""
        keys = []
        for kind, _, _, session, _, _, instrument, *_ in ROW.iter_unpack(batch.commands()):
            counted = _COUNTED.get(kind, _OTHERS)
            key = (session, instrument if counted != _OTHERS else 0)
            keys.append(key)
            counts = self._of(key)
            counts[_MESSAGES] += 1
            counts[counted] += 1
        for row in ROW.iter_unpack(batch.events):
            if row[0] == _EXECUTED:
                counts = self._of((row[3], row[6]))
                counts[_EXECUTIONS] += 1
                counts[_LOTS] += row[10]
            elif row[0] == _REJECTED:
                self._of(keys[row[1] - batch.first])[_REJECTIONS] += 1

    def _of(self, key: tuple[int, int]) -> list[int]:
        self._changed.add(key)
        return self._counts.setdefault(key, [0] * 10)

    def changes(self) -> Iterator[tuple[Table, list[Values]]]:
        """The sessions and instruments that something was counted for."""
        rows = [(*key, *self._counts[key]) for key in sorted(self._changed)]
        self._changed = set()
        yield USAGE, rows
