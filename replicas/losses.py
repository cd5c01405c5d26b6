"""Sessions that have lost their last connection, or do not come back to a node that leads: told as SessionLost rows.

A session is told where it has asked for something in that case. What is refused because too many mass operations are
pending is told again, also where the session is back by then: what it asked for is still to be done.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from typing import Final, Protocol

from librt.strings import BytesWriter

from core.engine import Engine
from core.kinds import C8, C9, C10, KIND, ROW_SIZE, SESSION, CommandKind, EventKind, Role
from core.limits import TODOS_MAX
from core.messages import SessionLost
from core.rows import to_row

_KINDS: Final = (EventKind.SESSION_LOST, EventKind.REJECTED, EventKind.QUARANTINED)


class Leader(Protocol):
    """What this asks of the node that it belongs to."""

    pending: BytesWriter
    """Wire rows that wait for a batch."""
    pending_rows: int

    @property
    def engine(self) -> Engine:
        """The engine; another one after a quarantine."""

    def arrived(self) -> None:
        """Rows were added to `pending`."""


class Losses:
    """Sessions by number, each with the node's number of the connection that ended (0: there was none)."""

    def __init__(self, node: Leader) -> None:
        self._node = node
        # Sessions whose mode may be in a row that has not been applied; to be told; told, in the order of their rows.
        self._unsure: list[tuple[int, int, int]] = []
        self._waiting: deque[tuple[int, int]] = deque()
        self._told: deque[tuple[int, int]] = deque()
        self._away: list[int] = []

    # ---- who is lost

    def lost(self, number: int, connection: int, expected: int) -> None:
        """The last connection of a session has ended; `expected` is the inbound number that it would have sent next."""
        session = self._node.engine.session(number)
        if session is None:
            return
        if session.on_disconnect:
            self._waiting.append((number, connection))
            self._tell()
        elif session.inbound + 1 < expected:
            self._unsure.append((number, connection, expected))

    def begin(self) -> None:
        """The node leads from now on: sessions that have asked for something had a connection to another node, or to none."""
        self._away = [
            session.number
            for session in self._node.engine.sessions
            if session is not None and session.on_disconnect and session.role in (Role.TRADER, Role.OPERATOR)
        ]

    def grace_over(self, here: Iterable[int]) -> None:
        """Sessions that were away and have not logged in since (`here` have) are lost."""
        back = frozenset(here)
        self._waiting.extend((number, 0) for number in self._away if number not in back)
        self._away = []
        self._tell()

    # ---- what is told

    def answered(self, events: bytes) -> None:
        """The events of a batch: what was refused is told again as soon as there is room for it."""
        if self._told:
            for row in _about_losses(events):
                self._answer(row)
        if self._unsure:
            unsure, self._unsure = self._unsure, []
            for number, connection, expected in unsure:
                self.lost(number, connection, expected)
        if self._waiting:
            self._tell()

    def _answer(self, row: bytes) -> None:
        kind = _column(row, KIND)
        if kind == EventKind.SESSION_LOST:
            named = _column(row, C8)
            while self._told and self._told.popleft()[0] != named:
                pass
        elif self._told:
            entry = self._told.popleft()
            if kind == EventKind.REJECTED:
                self._waiting.append(entry)

    def _tell(self) -> None:
        """Write rows for as many as could be pending at one time; they are behind all that the sessions sent."""
        node = self._node
        room = TODOS_MAX - len(node.engine.todos) - len(self._told)
        count = min(max(room, 0), len(self._waiting))
        for _ in range(count):
            entry = self._waiting.popleft()
            node.pending.write(to_row(SessionLost(named=entry[0], connection=entry[1])))
            self._told.append(entry)
        if count:
            node.pending_rows += count
            node.arrived()


def _about_losses(events: bytes) -> Iterator[bytes]:
    """The answers to rows of this node among the events of a batch: one for each, in their order."""
    for at in range(0, len(events), ROW_SIZE):
        row = events[at : at + ROW_SIZE]
        kind = _column(row, KIND)
        if kind not in _KINDS or _column(row, SESSION) != 0:
            continue
        command = _column(row, C9 if kind == EventKind.REJECTED else C8)
        # Rows of this node have no inbound number.
        ours = kind != EventKind.REJECTED or _column(row, C10) == 0
        if kind == EventKind.SESSION_LOST or (ours and command == CommandKind.SESSION_LOST):
            yield row


def _column(row: bytes, at: int) -> int:
    return int.from_bytes(row[at : at + 8], "little", signed=True)
