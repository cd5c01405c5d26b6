"""What became of an order that a command still named: a cancel that came too late, for one."""

from typing import Any, Final

from core.kinds import EventKind
from journal.directory import JournalDirectory
from tools.causes.find import watched
from tools.event_rows import EventRow, event_rows
from tools.past.places import Places
from tools.reading import begin

_ENDS: Final = {
    EventKind.EXECUTED: "filled",
    EventKind.CANCELED: "canceled",
    EventKind.EXPIRED: "expired",
    EventKind.REPLACED: "replaced under another client order id",
}


def gone(journal: JournalDirectory, account: int, client_order_id: int, upto: int) -> dict[str, Any] | None:
    """The last order of the account that had this client order id up to a row, and how it lost it; None if there was none.

    Goes back from one state at hand (a snapshot, a segment) to the one before, as most orders ended not long ago; to the
    first row that this release can apply where there was none. JournalError.
    """
    oldest, end = Places(journal).first_replayable(upto), upto
    while True:
        machine = begin(journal, upto).machine
        begun = int(machine.engine.sequence)
        last = None
        for batch in watched(journal, machine, end):
            for event in event_rows(batch.events):
                if event.account == account and event.kind in _ENDS and _lost(event) == client_order_id:
                    last = event
        if last is not None:
            return {"order_number": last.order_number, "sequence": last.sequence, "how": _ENDS[EventKind(last.kind)]}
        if begun <= oldest:
            return None
        upto, end = begun - 1, begun


def _lost(event: EventRow) -> int | None:
    """The client order id that is free after the event, if one is."""
    if event.kind == EventKind.EXECUTED:
        return event.client_order_id if event.leaves == 0 else None
    if event.kind == EventKind.REPLACED:
        return event.detail if event.detail != event.client_order_id else None
    return event.client_order_id
