"""Inbound numbers in another world: dense for each session, whatever was removed from or added to what it sent."""

from bisect import bisect_right
from typing import Final, NamedTuple

from core.limits import RING_SIZE
from core.messages import SessionState
from tools.books import state_rows

_KEPT: Final = 2 * RING_SIZE
"""Changed commands of a session that are remembered for their repeats, which are recognised in the last RING_SIZE."""


class Changed(NamedTuple):
    """A command that was changed: its row, and whether it is gone."""

    sequence: int
    removed: bool


class _Session:
    """One session: what it has sent in the first world, and what of it there is in the second."""

    def __init__(self, inbound: int, *, known: bool = True) -> None:
        self.known = known
        self.ours = self.theirs = inbound
        # From which number of the first world on the second one is how far ahead of it, in rising order.
        self._from = [0]
        self._ahead = [0]
        self.changed: dict[int, Changed] = {}

    def shift(self, inbound: int, ahead: int) -> None:
        if ahead != self._ahead[-1]:
            self._from.append(inbound)
            self._ahead.append(ahead)

    def there(self, inbound: int) -> int:
        """The number of a command of the first world in the second."""
        return inbound + self._ahead[max(bisect_right(self._from, inbound) - 1, 0)]


class Inbounds:
    """Gives every command of the first world its inbound number in the second."""

    def __init__(self, state: bytes) -> None:
        """Begin with the state rows of both worlds."""
        found = (row for row in state_rows(state, SessionState.KIND) if isinstance(row, SessionState))
        self._sessions = {row.session: _Session(row.inbound) for row in found if row.session}

    def granted(self, session: int) -> None:
        """The session exists from now on in the first world."""
        if session:
            self._sessions.setdefault(session, _Session(0)).known = True

    def consumes(self, session: int, inbound: int) -> bool:
        """Whether this is the next command of the session in the first world; it counts as sent then."""
        known = self._sessions.get(session)
        if known is None or not known.known or inbound != known.ours + 1:
            return False
        known.ours = inbound
        return True

    def number(self, session: int, inbound: int, *, consumed: bool, exists: bool) -> int:
        """The number that a command has in the second world, in which its session `exists` or not.

        `consumed`: it was the next one in the first world, and is to be the next one in the second.
        """
        known = self._sessions.get(session)
        if known is None:
            return inbound
        if not known.known:
            # It exists there alone, where this may be its next number.
            known.theirs += inbound == known.theirs + 1
            return inbound
        if not consumed:
            return known.there(inbound) if inbound <= known.ours else inbound + known.theirs - known.ours
        if not exists:
            return inbound
        known.theirs += 1
        known.shift(inbound, known.theirs - inbound)
        return known.theirs

    def next(self, session: int) -> int:
        """The number of a command that the second world alone has; its session exists there."""
        known = self._sessions.setdefault(session, _Session(0, known=False))
        known.theirs += 1
        return known.theirs

    def change(self, session: int, inbound: int, changed_row: Changed) -> None:
        """This command was removed or altered, and so will be its repeats."""
        changed = self._sessions[session].changed
        changed[inbound] = changed_row
        if len(changed) > _KEPT:
            del changed[next(iter(changed))]

    def changed(self, session: int, inbound: int) -> Changed | None:
        """The changed command whose number this one has again; None if there is none."""
        known = self._sessions.get(session)
        return known.changed.get(inbound) if known else None
