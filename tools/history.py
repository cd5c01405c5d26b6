"""Any moment of a journal, asked as if the venue still stood there: `History(dir).at(moment)`.

    with History(Path("venue")) as history:
        moment = history.at(2500)  # or "12:30:00", "2026-03-02T12:30:00Z", "@1772454600000000000", "head"
        moment.book("AAA").bids[0].price
        moment.order(17).fate

An answer comes from the nearest state before the moment, with the rows between applied and verified on the way. Nothing
is written into the journal's directory, and no transaction is held from one batch to the next, so that whoever writes
the journal notices nothing.
"""

from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from journal.directory import JournalDirectory
from replicas.replay import Watch
from tools.failures import Misuse
from tools.moments import moment as row_at
from tools.past.moment import Moment
from tools.past.seek import Seeker
from tools.reading import opened

EVERY: Final = 100_000
"""Rows between two snapshots of a cache."""

HEAD: Final = "head"
MOMENT_HELP: Final = (
    "A row by its sequence number; or a time: ISO 8601 (UTC unless it says otherwise), HH:MM:SS[.fraction] after "
    "midnight, or @NS with ns since 1970; or `head`."
)
_DIGITS: Final = 19
_NAMES: Final = ("row", "time")


class History:
    """A journal, open for questions about its past; close it, or use it in a `with` statement.

    Questions in the order of time are cheap: what was applied for one serves the next.
    """

    def __init__(
        self, path: Path, *, cache: Path | None = None, every: int = EVERY, watch: Watch | None = None
    ) -> None:
        """Open a journal for reading. NotAJournal, JournalError, Failure; Misuse for a cache within the journal.

        `cache` is a directory for snapshots of our own, about one every so many rows, written while rows are applied;
        each journal needs its own. `watch` is told the row that a replay is at, and the row it goes up to.
        """
        self._stack = ExitStack()
        self._journal = self._stack.enter_context(opened(path))
        try:
            self._seeker = Seeker(self._journal, cache, every, watch)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def close(self) -> None:
        """Give the journal back; harmless when done twice. What a moment has read already it still answers."""
        self._stack.close()

    @property
    def first(self) -> int:
        """The first moment: the state that the oldest segment begins with."""
        return self._journal.segments()[0] - 1

    @property
    def last(self) -> int:
        """The last row, as of now."""
        return self._journal.head().sequence

    def at(self, moment: int | str) -> Moment:
        """The venue after a row, or after all rows stamped up to a time; see `row_of`. Misuse for one there is not.

        Rows are applied when the moment is first asked; WrongSemantics, Damaged and the like come then.
        """
        return Moment(self._seeker, row_of(self._journal, moment))

    def fill(self) -> int:
        """Write all snapshots that the cache lacks, so that every moment is near one; how many rows were applied.

        May be interrupted, and goes on where it was. JournalError, Failure, OSError.
        """
        return self._seeker.fill()


def row_of(journal: JournalDirectory, moment: int | str) -> int:
    """The row that a moment names. Misuse if it has no such form, or the journal does not hold it.

    An integer, also as a text, is a sequence number; from the one before the first row, which is the state that the
    journal begins with, to the last. Texts may also be `head`, @ and ns since 1970, or a time (`tools.moments`): then
    the last row stamped up to it counts; the first state before all rows, and the last row after them.
    """
    if isinstance(moment, int):
        return row_at(journal, moment, None, _NAMES)
    if moment == HEAD:
        return journal.head().sequence
    if is_number(moment):
        return row_at(journal, int(moment), None, _NAMES)
    if moment.startswith("@") and is_number(moment[1:]):
        return row_at(journal, None, moment[1:], _NAMES)
    if moment.startswith("@") or moment.isdecimal():
        raise Misuse(f"{moment[:_DIGITS]}: not a moment; give {MOMENT_HELP[0].lower()}{MOMENT_HELP[1:]}")
    return row_at(journal, None, moment, _NAMES)


def is_number(text: str) -> bool:
    """Whether a text is an integer that a row may hold."""
    return text.isascii() and text.isdecimal() and len(text) <= _DIGITS
