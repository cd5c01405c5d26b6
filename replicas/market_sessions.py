"""Who may read: the sessions with the roles MARKET_DATA and DROP_COPY, as state and events of the journal tell of them."""

from collections.abc import Callable
from typing import Final, NamedTuple, cast

from core.kinds import C8, C9, C10, COLUMNS, EventKind, Role
from core.messages import SessionState, SetCredential
from journal.check import columns
from replicas.passwords import Credential, HasCredential, unpack

_READ: Final = frozenset((int(Role.DROP_COPY), int(Role.MARKET_DATA)))
_ABOUT_SESSIONS: Final = frozenset((int(EventKind.SESSION_GRANTED), int(EventKind.CREDENTIAL_SET)))


class Granted(NamedTuple):
    """What a session may read: a firm's events (DROP_COPY), or market data (firm 0)."""

    role: int
    firm: int
    credential: Credential | None = None
    """What its password is checked against; None as long as it has no password."""


class Sessions(dict[int, Granted]):
    """The sessions that may read, by number. Role and firm of such a session never change; its password may."""

    def load(self, row: SessionState) -> None:
        """Take a session from the state."""
        if row.role in _READ:
            self[row.session] = Granted(row.role, row.firm, _credential(row))

    def follow(self, events: bytes, command: Callable[[int], SetCredential]) -> None:
        """Take what event rows tell. Hash and salt stand in none: `command` reads the SetCredential of a number."""
        data = columns(events)
        for at, kind in enumerate(data[::COLUMNS]):
            if kind not in _ABOUT_SESSIONS:
                continue
            sequence, number, role, firm = (data[at * COLUMNS + place // 8] for place in (8, C8, C9, C10))
            if kind == EventKind.SESSION_GRANTED:
                if role in _READ:
                    self.setdefault(number, Granted(role, firm))
            elif number in self:
                # The event says that it took effect.
                self[number] = self[number]._replace(credential=_credential(command(sequence)))


def _credential(row: SessionState | SetCredential) -> Credential | None:
    # Both have the columns; the protocol says nothing of who may write them.
    return unpack(cast("HasCredential", row))
