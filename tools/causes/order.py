"""The life of an order with every cause: its entry, who left the queue before it, its fills, its end, and what it lacked."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from core.kinds import (
    HIDDEN,
    KEPT_PLACE,
    REMOVED,
    RESTING,
    ROW_SIZE,
    TIME_IN_FORCE_MASK,
    TIME_IN_FORCE_SHIFT,
    CommandKind,
    EventKind,
    Side,
    TimeInForce,
    TradingState,
)
from core.machine import Machine
from core.reasons import CancelReason, RejectReason
from journal.batch import HEADER_SIZE
from journal.directory import JournalDirectory
from replicas.replay import Applied
from tools.causes.command import Told, asked_text, because, is_own, tell
from tools.causes.find import ORDERS, by_command, made, row_bytes, watched
from tools.causes.names import Names, count_text
from tools.causes.own import Item, Own
from tools.causes.rest import Moved, SidedBook, Standing
from tools.event_rows import ORDER_EVENTS, CommandRow, EventRow, other_side
from tools.moments import clock_text
from tools.reading import machine_at
from tools.sentences import REJECTED

_LEFT: Final = {
    EventKind.EXECUTED: "executed",
    EventKind.REDUCED: "reduced",
    EventKind.CANCELED: "canceled",
    EventKind.EXPIRED: "expired",
    EventKind.REPLACED: "replaced",
    EventKind.RESTED: "shows its next display behind",
    EventKind.RESTATED: "followed its price away",
}
"""How an order ahead leaves, or becomes smaller."""

_NAMING: Final = frozenset({CommandKind.REPLACE_ORDER, CommandKind.REDUCE_ORDER, CommandKind.CANCEL_ORDER})


class Stay:
    """One stay in the book, from the row in which it begins; `until` is the row that ended it."""

    def __init__(self, sequence: int, time: int, standing: Standing) -> None:
        self.since = {"sequence": sequence, "time": time}
        self.until: dict[str, int] | None = None
        self.standing = standing

    def json(self) -> Item:
        """What `--json` prints of it."""
        standing = self.standing
        nearest = standing.summary.nearest()
        return {
            "from": self.since,
            "to": self.until,
            "side": standing.side,
            "price": standing.price,
            "changes": standing.summary.changes,
            "nearest": nearest._asdict() | {"distance": standing.distance(nearest)} if nearest is not None else None,
            "traded_ahead": standing.traded_ahead,
            "steps": list(standing.steps_json()),
        }


class OrderLife(Own):
    """Follows one order from its entry on; the numbers are those of rows."""

    def __init__(self, machine: Machine, number: int, instrument: int, *, full: bool) -> None:
        """`machine` stands right before the entry; `full` keeps every step of a stay in the book."""
        super().__init__(Names(machine.engine), number, instrument)
        self.life: list[Item] = []
        self.stays: list[Stay] = []
        self.executed = self.leaves = 0
        self.end: Item | None = None
        self._limit = 0
        self._fresh = False
        self._time_in_force: int | None = None
        self._expires = 0
        self._over = False
        self._full = full
        self._met: Mapping[str, Any] | None = None
        self._book = SidedBook(instrument)
        self._book.fill(machine.rows())
        self._standing: Standing | None = None

    def follow(self, batch: Applied, met: Mapping[str, Any] | None = None) -> bool:
        """Take in the commands of a batch; whether the order is gone. `met` is what its entry met (`Told.met`)."""
        self._met = met
        for command, events in by_command(batch):
            self._command(command, events, batch)
            if self.end is not None:
                return True
        return False

    def _command(self, command: CommandRow, events: list[EventRow], batch: Applied) -> None:
        ended = any(event.kind == EventKind.DAY_ENDED for event in events)
        self._asking = command
        what = [item for at in range(len(events)) for item in self._told(events, at)]
        what += self._stands_unseen(command)
        if command.kind == CommandKind.REPLACE_ORDER and command.expires and any(i["kind"] == "replaced" for i in what):
            self._expires = command.expires
        if self.end is None and not self._over and self._time_is_over(command.time, day_ended=ended):
            self._over = True
            what.insert(0, {"kind": "over", "text": f"{_over(self._expires)}: it stands, but trades no more"})
        what += self._refused(command, events)
        if what:
            at = HEADER_SIZE + (command.sequence - batch.header.first) * ROW_SIZE
            asked = asked_text(self.names, command, batch.value[at : at + ROW_SIZE])
            self.life.append({"sequence": command.sequence, "time": command.time, "command": asked, "what": what})
        if self._standing is not None and not self._over:
            self._standing.after(command.sequence, command.time)

    def _time_is_over(self, time: int, *, day_ended: bool) -> bool:
        """Whether the order trades no more from this row on; `Expired` may be told much later."""
        if self._time_in_force == TimeInForce.DAY:
            return day_ended
        return self._time_in_force == TimeInForce.GTD and self._expires <= time

    def _told(self, events: list[EventRow], at: int) -> Iterator[Item]:
        """What one of a command's events says about the order."""
        event = events[at]
        if event.kind == EventKind.TRADING_STATE_CHANGED and self._concerns(event):
            yield self._state(event)
        self._book.apply(event)
        if event.instrument != self.instrument or event.kind not in ORDER_EVENTS:
            return
        if event.order_number == self.number:
            yield from self._own(events, at)
        elif self._standing is not None:
            moved = self._standing.apply(event)
            if moved is not None and not self._over:
                self._standing.traded_ahead += moved.quantity if moved.kind == EventKind.EXECUTED else 0
                yield self._moved(moved)

    def _refused(self, command: CommandRow, events: list[EventRow]) -> list[Item]:
        """A refused command that named the order: it changed nothing, and whoever sent it wanted something else."""
        refusal = next((event for event in events if event.kind == EventKind.REJECTED and is_own(event)), None)
        if refusal is None or command.kind not in _NAMING or self.end is not None:
            return []
        is_replace = command.kind == CommandKind.REPLACE_ORDER
        named = command.original_client_order_id if is_replace else command.client_order_id
        if (command.instrument, command.account, named) != (self.instrument, self.account, self._client):
            return []
        reason, sentence = RejectReason(refusal.detail).name, REJECTED[refusal.detail]
        text = f"refused: {reason}: {sentence}"
        return [{"kind": "refused", "reason": reason, "sentence": sentence, "text": text}]

    def _concerns(self, event: EventRow) -> bool:
        """Whether a trading state is that of the venue, of the order's instrument or of its account."""
        named = event.instrument or event.account
        return self.account != 0 and (
            named == 0 or event.instrument == self.instrument or event.account == self.account
        )

    def _state(self, event: EventRow) -> Item:
        state = TradingState(event.client_order_id).name
        named = "venue"
        if event.instrument or event.account:
            named = self.names.instrument(event.instrument) if event.instrument else f"account {event.account}"
        return {"kind": "state", "of": named, "state": state, "text": f"{named} is {state}"}

    # ---- events about the order itself

    def _own(self, events: list[EventRow], at: int) -> Iterator[Item]:
        event = events[at]
        if event.kind != EventKind.RESTED:
            # Of an iceberg that tells what it shows.
            self.leaves, self._client = event.leaves, event.client_order_id
        match event.kind:
            case EventKind.ACCEPTED:
                self._limit, self.account, self._expires = event.price, event.account, event.detail
                self._flags = event.flags
                self._time_in_force = event.flags >> TIME_IN_FORCE_SHIFT & TIME_IN_FORCE_MASK
                yield self.accepted(event)
            case EventKind.EXECUTED:
                yield self._executed(events, at)
            case EventKind.REDUCED:
                yield self.reduced(events, at, stands=self._standing is not None)
            case EventKind.REPLACED:
                yield self._replaced(event)
            case EventKind.TRIGGERED:
                self._limit = event.price
                yield self.triggered(event)
            case EventKind.ACTIVATED:
                self._limit = event.price
                yield self.activated(event)
            case EventKind.RESTATED:
                self._limit = event.price
                self._leave(event)
                yield self.restated(event)
            case EventKind.CANCELED | EventKind.EXPIRED:
                yield self._gone(event)
        if event.flags & RESTING:
            yield from self._shows(event)

    def _shows(self, event: EventRow) -> Iterator[Item]:
        """It comes to stand, or its next display does; the first display of an order that stands already says no more."""
        shown = self.lots(event.leaves)
        if event.kind == EventKind.RESTED and self._fresh:
            self._fresh = False
            yield {"kind": "shows", "quantity": event.leaves, "text": f"shows {shown} of {self.lots(self.leaves)}"}
            return
        if event.kind == EventKind.RESTED and self._standing is not None:
            self._leave(event)
            yield {"kind": "shows", "quantity": event.leaves, "text": f"shows its next {shown}"}
        self._fresh = event.kind != EventKind.RESTED
        yield self._rests(event)

    def _stands_unseen(self, command: CommandRow) -> list[Item]:
        """A hidden order that traded first and stands now: no event tells so."""
        self._fresh = False
        if self._standing is not None or self.end is not None or self._book.find(self.number) is None:
            return []
        return [self._rests(command)]

    def _executed(self, events: list[EventRow], at: int) -> Item:
        event = events[at]
        self.executed += event.quantity
        incoming = bool(event.flags & REMOVED)
        place = other_side(events, at)
        assert place is not None
        other, settled = events[place], events[max(at, place) + 1]
        fee = settled.order_number if event.flags & 1 == Side.BUY else settled.leaves
        better = abs(self._limit - event.price) if incoming and self._limit else None
        if event.leaves == 0:
            self._end(event, {"kind": "filled", "text": f"filled by match {event.detail}"})
        text = (
            f"executed {self.names.at(self.instrument, event.quantity, event.price)} as the"
            f" {'incoming' if incoming else 'resting'} side, match {event.detail} with order {other.order_number}"
            f" of account {other.account}"
        )
        if better:
            text += f", {self.names.price(self.instrument, better)} better than its price"
        return {
            "kind": "executed",
            "match_number": event.detail,
            "price": event.price,
            "quantity": event.quantity,
            "leaves": event.leaves,
            "incoming": incoming,
            "improvement": better,
            "against": {"order_number": other.order_number, "account": other.account, "session": other.session},
            "fee": fee,
            "text": f"{text}; {self.open_text(event.leaves)} open",
        }

    def _replaced(self, event: EventRow) -> Item:
        kept = bool(event.flags & KEPT_PLACE)
        self._limit = event.price
        if not kept:
            self._leave(event)
        place = "it keeps its place" if kept else "it leaves its place"
        terms = self.names.at(self.instrument, event.leaves, event.price)
        text = f"replaced: {terms} open, client order id {event.client_order_id}; {place}"
        return {"kind": "replaced", "price": event.price, "leaves": event.leaves, "kept_place": kept, "text": text}

    def _gone(self, event: EventRow) -> Item:
        canceled = event.kind == EventKind.CANCELED
        name = f"canceled, {CancelReason(event.detail).name}" if canceled else "expired"
        why = because(self.names, event.detail, self._met) if canceled else _over(event.detail)
        text = f"{name}, {self.open_text(event.quantity)} open: {why}"
        told: Item = {"kind": "canceled" if canceled else "expired", "quantity": event.quantity, "text": text}
        told |= {"reason": CancelReason(event.detail).name if canceled else None, "sentence": why}
        self.leaves = event.quantity
        self._end(event, told)
        return told

    def _end(self, event: EventRow, told: Item) -> None:
        self._leave(event)
        self.end = {"sequence": event.sequence, "time": event.time} | told

    def _leave(self, event: EventRow) -> None:
        if self._standing is not None:
            self.stays[-1].until = {"sequence": event.sequence, "time": event.time}
            self._standing = None

    def _rests(self, event: EventRow | CommandRow) -> Item:
        self._standing = standing = Standing(self._book, self.number, full=self._full)
        self.stays.append(Stay(event.sequence, event.time, standing))
        ahead, quantity, better, better_quantity = standing.queue.counts()
        unseen = ", hidden," if self._flags & HIDDEN else ""
        text = f"rests{unseen} at {self.price(standing.price)} {self._behind(ahead, quantity)}"
        if better:
            text += f"; {count_text(better, 'order')} with {self.lots(better_quantity)} at better prices"
        return {
            "kind": "rests",
            "price": standing.price,
            "ahead": {"count": ahead, "quantity": quantity},
            "better": {"count": better, "quantity": better_quantity},
            "text": text,
        }

    # ---- events about others

    def _moved(self, moved: Moved) -> Item:
        how = _LEFT[EventKind(moved.kind)]
        text = (
            f"moved forward: order {moved.order_number} of account {moved.account} {how},"
            f" {self.lots(moved.quantity)} less ahead; {self._behind(moved.ahead_orders, moved.ahead_quantity)}"
        )
        return {
            "kind": "moved",
            "how": how,
            "order_number": moved.order_number,
            "account": moved.account,
            "quantity": moved.quantity,
            "match_number": moved.detail if how == "executed" else None,
            "ahead": {"count": moved.ahead_orders, "quantity": moved.ahead_quantity},
            "text": text,
        }

    def _behind(self, orders: int, quantity: int) -> str:
        return f"behind {count_text(orders, 'order')} with {self.lots(quantity)}" if orders else "first in the queue"

    def json(self) -> Item:
        """What `--json` prints, beside the entry."""
        return {
            "instrument": self.names.instrument(self.instrument),
            "executed": self.executed,
            "leaves": self.leaves,
            "life": self.life,
            "rests": [stay.json() for stay in self.stays],
            "end": self.end,
        }


def _over(expires: int) -> str:
    """Since when an order that expired could not trade: an event about it may come much later."""
    return f"its time was over at {clock_text(expires)}" if expires else "its day was over"


def explain_order(journal: JournalDirectory, number: int, upto: int, *, full: bool) -> tuple[Told, OrderLife]:
    """The entry of an order and its life up to a row. Misuse for a number that was not given by then; JournalError."""
    found = made(journal, ORDERS, number, upto)
    command, accepted = found.command, ORDERS.first(found.events, number)
    assert accepted is not None
    machine = machine_at(journal, command.sequence - 1)
    life = OrderLife(machine, number, accepted.instrument, full=full)
    told, batch = tell(machine, journal, row_bytes(journal, command.sequence))
    if not life.follow(batch, told.met):
        for later in watched(journal, machine, upto):
            if life.follow(later):
                break
    return told, life
