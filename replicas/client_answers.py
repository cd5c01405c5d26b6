"""Which events answer which command, told by their columns.

The *answer* to a command is every event with its sequence number that is told to the session which sent it. A session's
commands are applied in the order of their inbound numbers and each gets an answer, so an answer belongs to the oldest
command without one. What is left to tell is whether the events of one sequence number are an answer at all, or what
another session's command did to this session's orders (docs/events.md): the table below says so.
"""

import struct
from typing import Final, NamedTuple

from core.kinds import COLUMNS, ROW_SIZE, SLIDE, TYPE_MASK, TYPE_SHIFT, CommandKind, EventKind, OrderType
from core.reasons import CancelReason

ROW: Final = struct.Struct(f"<{COLUMNS}q")
Columns = tuple[int, ...]
"""The sixteen columns of a row."""

_KIND, _SESSION, _INBOUND, _FLAGS, _REASON = 0, 3, 4, 5, 13
assert ROW.size == ROW_SIZE


class Pattern(NamedTuple):
    """An event that answers a command: these columns (of the event, of the command) agree.

    `reason` is column 13 of the event, 0 for any. `sure`: nobody else's command tells this session such an event.
    `repriced`: of orders alone whose price is not that of their command.
    """

    event: EventKind
    agree: tuple[tuple[int, int], ...]
    sure: bool = True
    reason: int = 0
    repriced: bool = False


REJECTED: Final = Pattern(EventKind.REJECTED, ((9, _KIND), (10, _INBOUND)))
"""Answers any command, and names it."""

_ACKNOWLEDGED: Final = Pattern(EventKind.ACKNOWLEDGED, ((9, _KIND), (10, _INBOUND)))
_ORDER: Final = ((6, 6), (7, 7), (8, 8))
_CANCELED: Final = Pattern(EventKind.CANCELED, _ORDER, sure=False, reason=CancelReason.REQUESTED)

ANSWERS: Final[dict[int, tuple[Pattern, ...]]] = {
    CommandKind.DEFINE_CURRENCY: (Pattern(EventKind.CURRENCY_DEFINED, ((7, 7), (8, 8), (9, 9), (10, 10))),),
    CommandKind.DEFINE_INSTRUMENT: (Pattern(EventKind.INSTRUMENT_DEFINED, ((6, 6), (7, 7), (8, 8), (9, 9))),),
    CommandKind.OPEN_ACCOUNT: (Pattern(EventKind.ACCOUNT_OPENED, ((7, 7), (8, 8))),),
    CommandKind.DEPOSIT: (Pattern(EventKind.BALANCE_CHANGED, ((7, 7), (8, 8))),),
    CommandKind.WITHDRAW: (Pattern(EventKind.BALANCE_CHANGED, ((7, 7), (8, 8))),),
    CommandKind.GRANT_SESSION: (Pattern(EventKind.SESSION_GRANTED, ((7, 7), (8, 8), (9, 9))),),
    CommandKind.SET_TRADING_STATE: (Pattern(EventKind.TRADING_STATE_CHANGED, ((6, 6), (7, 7), (8, 8))),),
    CommandKind.END_OF_DAY: (Pattern(EventKind.DAY_ENDED, ((8, 8),)),),
    CommandKind.UPGRADE: (Pattern(EventKind.UPGRADED, ((8, 8),)),),
    CommandKind.SET_CREDENTIAL: (Pattern(EventKind.CREDENTIAL_SET, ((8, 8),)),),
    CommandKind.ACCEPT_CLOCK: (Pattern(EventKind.CLOCK_ACCEPTED, ((8, 8),)),),
    CommandKind.SET_ALLOCATION: (Pattern(EventKind.ALLOCATION_SET, ((6, 6), *((c, c) for c in range(8, 14)))),),
    CommandKind.SET_FEE_SCHEDULE: (Pattern(EventKind.FEE_SCHEDULE_SET, ((8, 8), (9, 9), (10, 10), (11, 11))),),
    CommandKind.KILL: (Pattern(EventKind.KILLED, ((7, 7), (8, 8), (9, 9), (10, 10))),),
    CommandKind.SET_ACCOUNT: (Pattern(EventKind.ACCOUNT_SET, ((7, 7), (8, 8), (9, 9), (10, 10))),),
    CommandKind.SET_LIMIT: (Pattern(EventKind.LIMIT_SET, tuple((c, c) for c in range(6, 14))),),
    CommandKind.SET_RULES: (Pattern(EventKind.RULES_SET, ((5, 5), (6, 6), *((c, c) for c in range(8, 14)))),),
    CommandKind.ENTER_ORDER: (Pattern(EventKind.ACCEPTED, _ORDER),),
    CommandKind.REPLACE_ORDER: (
        _ACKNOWLEDGED,
        Pattern(EventKind.REPLACED, (*_ORDER, (9, 9), (13, 15)), sure=False),
        Pattern(EventKind.REPLACED, (*_ORDER, (13, 15)), sure=False, repriced=True),
        Pattern(EventKind.CANCELED, ((6, 6), (7, 7), (8, 15)), sure=False, reason=CancelReason.REPLACED_BELOW_EXECUTED),
    ),
    CommandKind.REDUCE_ORDER: (
        _ACKNOWLEDGED,
        Pattern(EventKind.REDUCED, (*_ORDER, (10, 10)), sure=False),
        _CANCELED,
    ),
    CommandKind.CANCEL_ORDER: (_ACKNOWLEDGED, _CANCELED),
    CommandKind.ENTER_BATCH: (Pattern(EventKind.BATCH_ENTERED, ((7, 7), (8, 8))),),
    CommandKind.LINK_ORDERS: (Pattern(EventKind.ORDERS_LINKED, ((5, 5), (7, 7), (8, 8))),),
    CommandKind.MASS_QUOTE: (Pattern(EventKind.QUOTED, ((7, 7), (8, 8))),),
    CommandKind.MASS_CANCEL: (Pattern(EventKind.MASS_CANCELED, ((8, _KIND), (9, _INBOUND))),),
}
"""By kind of command; any of the patterns will do. AdvanceTime, Quarantine and Promote are missing, for they may take
effect without a word to whoever sent them: a client sends none of them. So are the parts of commands of several parts: the
head says what answers the last one."""

NAMES_INBOUND: Final = {
    EventKind.REJECTED: (9, 10),
    EventKind.ACKNOWLEDGED: (9, 10),
    EventKind.MASS_CANCELED: (8, 9),
}
"""Events that name the command they answer: the columns of its kind and of its inbound number."""


def agrees(pattern: Pattern, event: Columns, command: Columns) -> bool:
    """Whether an event fits a pattern for this command."""
    if event[_KIND] != pattern.event or pattern.reason not in {0, event[_REASON]}:
        return False
    if pattern.repriced and not _is_repriced(event[_FLAGS]):
        return False
    return all(event[of_event] == command[of_command] for of_event, of_command in pattern.agree)


def _is_repriced(flags: int) -> bool:
    """Whether an order follows another price than that of its command, or slides away from it."""
    return flags & SLIDE != 0 or flags >> TYPE_SHIFT & TYPE_MASK == OrderType.PEGGED


def answering(event: Columns, command: Columns) -> Pattern | None:
    """The pattern by which an event answers a command, or None.

    A ReplaceOrder or ReduceOrder is taken for answered where another session does the same with the same order at the
    same time: these events name no inbound number, and say the same of the order whoever asked.
    """
    for pattern in ANSWERS.get(command[_KIND], ()):
        if agrees(pattern, event, command):
            return pattern
    return REJECTED if agrees(REJECTED, event, command) else None


def named(event: Columns) -> int:
    """The inbound number that an event names, or 0."""
    columns = NAMES_INBOUND.get(event[_KIND])  # type: ignore[call-overload]
    return event[columns[1]] if columns is not None else 0
