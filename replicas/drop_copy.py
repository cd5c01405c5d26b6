"""The drop copy of a firm: every event row of its accounts under dense numbers (docs/protocol.md).

Rows are as the engine wrote them, but for `Settled`, of which a firm sees its own side.
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

from core.kinds import C7, C8, C9, C11, C12, C14, C15, COLUMNS, ROW_SIZE, EventKind
from core.messages import EVENTS
from core.rows import layout
from core.wire import MESSAGE_SIZE
from journal.check import columns
from journal.errors import Gap
from replicas import soup
from replicas.market_series import Series, Source
from replicas.soup import FormReason, Notice, NoticeKind

COPIED: Final = frozenset(
    kind for kind, struct_type in EVENTS.items() if any(field.name == "drop_copy" for field in layout(struct_type))
)
"""Kinds of events that are part of one drop copy, where column 14 is not zero: that of the account in column 7."""

_OF_A_FIRM: Final = frozenset((int(EventKind.KILLED), int(EventKind.LIMIT_SET)))
"""Of these, that of the firm in column 9 where no account is named."""

_WHOLE: Final = (1 << 8 * ROW_SIZE) - 1
_BYTES: Final = (1 << 64) - 1
_INBOUND: Final = slice(16, 24)
"""Where a message has its inbound number."""


def _without(*places: int) -> int:
    """The bits of a row without these columns."""
    return _WHOLE & ~sum(_BYTES << 8 * place for place in places)


_BUYERS: Final = _without(C8, C12, C15)
_SELLERS: Final = _without(C7, C11, C14)


class CopiedRow(NamedTuple):
    """A row as its firm is told it, with the firm and its drop copy number."""

    firm: int
    number: int
    row: bytes


def copied_rows(events: bytes, firms: dict[int, int], firm: int = 0) -> Iterator[CopiedRow]:
    """The drop copy rows among event rows, of one firm or (0) of all, in the order of the rows.

    `firms` has the firm of every account, and gets those of the accounts that are opened on the way. Gap if it lacks one.
    """
    data = columns(events)
    of = (data[place // 8 :: COLUMNS] for place in (0, C7, C8, C9, C14, C15))
    for at, (kind, account, other, named, number, second) in enumerate(zip(*of, strict=True)):
        if kind == EventKind.SETTLED:
            for who, given, shown in ((account, number, _BUYERS), (other, second, _SELLERS)):
                found = _firm(firms, who)
                if firm in (0, found):
                    row = int.from_bytes(_row(events, at), "little") & shown
                    yield CopiedRow(found, given, row.to_bytes(ROW_SIZE, "little"))
        elif number and kind in COPIED:
            if kind == EventKind.ACCOUNT_OPENED:
                firms[account] = other
            found = named if kind in _OF_A_FIRM and not account else _firm(firms, account)
            if firm in (0, found):
                yield CopiedRow(found, number, _row(events, at))


def _firm(firms: dict[int, int], account: int) -> int:
    if account not in firms:
        raise Gap(f"drop copy of account {account}", "nothing told that it was opened")
    return firms[account]


def _row(events: bytes, at: int) -> bytes:
    return events[at * ROW_SIZE : (at + 1) * ROW_SIZE]


class FirmSeries(Series):
    """A firm's drop copy."""

    def __init__(self, source: Source, firm: int, firms: dict[int, int], *, last: int = 0, before: int = 0) -> None:
        """`firms` has the firm of every account, and is shared by all drop copies."""
        super().__init__(source, soup.VENUE, f"drop copy of firm {firm}", last=last, before=before)
        self._firm = firm
        self._firms = firms

    def rows_in(self, events: bytes) -> Iterator[tuple[int, bytes]]:
        """The firm's rows; a match between two of its accounts is told twice, the buyer's side first."""
        return ((number, row) for _, number, row in copied_rows(events, self._firms, self._firm))

    def notices(self) -> bytes:
        """HEAD: the end of the journal that the rows told are part of."""
        epoch, sequence, digest = self._source.head()
        return Notice(NoticeKind.HEAD, epoch, sequence, digest).packet()

    def answer(self, payload: bytes) -> bytes:
        """REFUSED: who reads a drop copy sends nothing."""
        if len(payload) != MESSAGE_SIZE:
            return Notice(NoticeKind.REFUSED, 0, FormReason.MALFORMED_LENGTH).packet()
        inbound = int.from_bytes(payload[_INBOUND], "little", signed=True)
        return Notice(NoticeKind.REFUSED, inbound, FormReason.WRONG_SESSION).packet()
