"""Why a command did what it did: what it asked, what it met, and what it caused, or why it was refused."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from core.book import Ladder, Order
from core.engine import Engine
from core.kinds import BASIS_POINTS, REENTER, ROW_SIZE, CommandKind, EventKind, OrderType
from core.machine import Machine
from core.parts import is_head, is_part
from core.reasons import CancelReason, RejectReason
from core.rows import from_row
from journal.directory import JournalDirectory
from replicas.replay import Applied
from tools.causes.case import Case, balance, needed_for
from tools.causes.facts import of_part, why
from tools.causes.names import Names, count_text, hold_currency, kind_text, side_text, terms_text, type_of_flags
from tools.dump import readable, row_json, row_text
from tools.event_rows import CommandRow, EventRow, command_rows, event_rows
from tools.moments import clock_text
from tools.reading import applied, machine_at
from tools.sentences import CANCELED, REJECTED

_ORDERS = frozenset({CommandKind.ENTER_ORDER, CommandKind.REPLACE_ORDER})


class Told(NamedTuple):
    """A command explained; the numbers are those of the rows (ticks, lots, units, ns)."""

    sequence: int
    time: int
    session: int
    inbound: int
    kind: str
    asked: str
    command: dict[str, Any]
    met: dict[str, Any] | None
    refused: dict[str, Any] | None
    events: list[dict[str, Any]]

    def json(self) -> dict[str, Any]:
        """What `--json` prints."""
        return self._asdict()

    def lines(self) -> list[str]:
        """What is printed for people."""
        found = [f"{clock_text(self.time)} row {self.sequence}: {self.asked}"]
        if self.met is not None:
            found += [f"  {line}" for line in self.met["text"]]
        if self.refused is not None:
            found += [f"  refused: {self.refused['reason']} ({self.refused['number']}): {self.refused['sentence']}"]
            found += [f"  {self.refused['text']}"]
            if was := self.refused["facts"].get("gone"):
                found += [
                    f"  order {was['order_number']} had that client order id: {was['how']} at row {was['sequence']}"
                ]
        for event in self.events:
            if event["event"]["kind"] != "Rejected":
                found += [event["text"]]
                found += [f"      because {event['because']}"] if "because" in event else []
        if not self.events:
            found += ["  it caused no event"]
        return found


def tell(machine: Machine, journal: JournalDirectory, row: bytes) -> tuple[Told, Applied]:
    """Explain the command of a row, and apply it: the machine stands right before it, and right behind it afterwards."""
    case = Case(machine.engine, row)
    met = _met(case)
    (batch,) = applied(journal, machine, case.row.sequence)
    events = list(event_rows(batch.events))
    (shown,) = readable(row, 0, ROW_SIZE)
    refusal = next((event for event in events if event.kind == EventKind.REJECTED and is_own(event)), None)
    if refusal is not None and len(events) > 1:
        case = _again(journal, row)
    told = Told(
        case.row.sequence,
        case.row.time,
        case.row.session,
        case.row.inbound,
        kind_text(case.row.kind),
        asked_text(case.names, case.row, row),
        row_json(shown),
        met if refusal is None else None,
        _refused(case, refusal) if refusal is not None else None,
        [_event(machine.engine, batch.events, at, event, met) for at, event in enumerate(events)],
    )
    return told, batch


def _again(journal: JournalDirectory, row: bytes) -> Case:
    """The command as its refusal met it, where its row has changed the venue since: a timer, or an order that was triggered."""
    (named,) = command_rows(row, 0, ROW_SIZE)
    machine = machine_at(journal, named.sequence - 1)
    machine.engine.now = named.time
    return Case(machine.engine, row)


def asked_text(names: Names, row: CommandRow, data: bytes) -> str:
    """A command in words: who asks for what."""
    who = f"session {row.session}, inbound {row.inbound}" if row.inbound else f"session {row.session}"
    return f"{kind_text(row.kind)} by {who}: {_terms(names, row, data)}"


def _terms(names: Names, row: CommandRow, data: bytes) -> str:
    one = f"{names.instrument(row.instrument)}, account {row.account}, client order id {row.client_order_id}"
    at = names.at(row.instrument, row.quantity, row.price)
    match row.kind:
        case CommandKind.ENTER_ORDER:
            return (
                f"{side_text(row.flags)} {_wanted(names, row, at)}, {terms_text(row.flags)}{_beyond(names, row)}, {one}"
            )
        case CommandKind.REPLACE_ORDER:
            again = "enter again with" if row.flags & REENTER else "total"
            display = f", show {names.lots(row.instrument, row.column_12)}" if row.column_12 else ""
            trigger = f", trigger price {names.price(row.instrument, row.column_14)}" if row.column_14 else ""
            return f"{again} {at}{display}{trigger}, {one}, until now {row.original_client_order_id}"
        case CommandKind.REDUCE_ORDER:
            return f"{names.lots(row.instrument, row.quantity)} less, {one}"
        case CommandKind.CANCEL_ORDER:
            return one
    (shown,) = readable(data, 0, ROW_SIZE)
    columns = row_json(shown).items()
    common = {"kind", "sequence", "time", "session", "inbound"}
    return ", ".join(f"{name} {value}" for name, value in columns if name not in common and value) or "no columns"


def _wanted(names: Names, row: CommandRow, at: str) -> str:
    """Quantity and price of an order that is asked for; of SPEND_AT_MOST what it may cost."""
    if type_of_flags(row.flags) == OrderType.SPEND_AT_MOST:
        return f"for {names.quote_amount(row.instrument, row.quantity)} at most"
    return at if row.price else f"{names.lots(row.instrument, row.quantity)} at any price"


def _beyond(names: Names, row: CommandRow) -> str:
    """What columns 12 to 15 of an EnterOrder ask for."""
    number, offset = row.instrument, row.original_client_order_id
    parts = (
        (row.column_12, f"show {names.lots(number, row.column_12)}"),
        (row.column_13, f"at least {names.lots(number, row.column_13)}"),
        (row.column_14, f"trigger price {names.price(number, row.column_14)}"),
        (offset, f"offset {offset if row.flags & BASIS_POINTS else names.price(number, offset)}"),
    )
    return "".join(f", {text}" for value, text in parts if value)


def _refused(case: Case, event: EventRow) -> dict[str, Any]:
    reason = RejectReason(event.detail)
    # Of Rejected, column 9 is the kind of the command, and 11 its part: the row that is refused is the last one of it.
    of_parts = is_head(event.price) and is_part(case.row.kind)
    text, facts = of_part(event.order_number) if of_parts else why(case, reason)
    sentence = REJECTED[reason]
    return {"reason": reason.name, "number": int(reason), "sentence": sentence, "text": text, "facts": dict(facts)}


def is_own(event: EventRow) -> bool:
    """Whether a refusal is that of the row itself, not of a command that the row gave up."""
    return event.detail != RejectReason.INCOMPLETE


# ---- what an order meets when it enters


def _met(case: Case) -> dict[str, Any] | None:
    """What an order command that may stand meets: funds, and the other side; None for any other command."""
    row, engine = case.row, case.engine
    if row.kind not in _ORDERS or engine.instrument(row.instrument) is None or engine.account(row.account) is None:
        return None
    if case.is_replace and not case.knows_replaced:
        return None
    if case.is_replace and case.replaced().instrument is not case.instrument:
        return None
    other = _other_side(engine, case.opposite(), row)
    facts = {"side": case.side(), "instrument": row.instrument, "price": row.price} | other
    return _funds(case, facts)


def _funds(case: Case, facts: dict[str, Any]) -> dict[str, Any]:
    currency = hold_currency(case.instrument, case.side())
    facts |= {"leaves": case.leaves()} | balance(case, currency)
    lines = [_other_text(case.names, facts)]
    if 0 < case.leaves() <= case.instrument.lots_max and _within(case):
        _, facts["needed"], facts["held"] = needed_for(case)
        show = case.names.amount
        needs = f"needs {show(currency, facts['needed'])}" if facts["needed"] else "pays as it goes"
        lines.insert(0, f"{needs}; {show(currency, facts['available'])} available")
    return facts | {"text": lines}


def _within(case: Case) -> bool:
    """Whether price times quantity stays in bounds, so that what it needs can be reckoned."""
    row = case.row
    return row.price == 0 or (row.price > 0 and case.leaves() <= case.instrument.notional_max // row.price)


def _other_side(engine: Engine, ladders: tuple[Ladder, Ladder], row: CommandRow) -> dict[str, Any]:
    """The best opposite price, and what stands in reach of the command's price, hidden orders too; price 0 reaches all."""
    quantity = orders = 0
    for ladder in ladders:
        for order in _in_reach(ladder, row.price):
            # The engine's clock still stands at the row before.
            if not engine.is_over(order) and order.expires > row.time:
                quantity, orders = quantity + order.leaves, orders + 1
    bests = [ladder.best for ladder in ladders if ladder.best is not None]
    sign = ladders[0].sign
    price = min((level.price * sign for level in bests), default=None)
    at_best = [level for level in bests if level.price * sign == price]
    return {
        "opposite_price": at_best[0].price if at_best else None,
        "opposite_quantity": sum(level.total for level in at_best),
        "reach_quantity": quantity,
        "reach_orders": orders,
    }


def _in_reach(ladder: Ladder, price: int) -> Iterator[Order]:
    for level in reversed(ladder.levels):
        if price and level.price * ladder.sign > price * ladder.sign:
            break
        order = level.first
        while order is not None:
            yield order
            order = order.behind


def _other_text(names: Names, facts: Mapping[str, Any]) -> str:
    number, side = facts["instrument"], "bid" if facts["side"] else "ask"
    if facts["opposite_price"] is None:
        return f"there is no {side}"
    best = f"{names.price(number, facts['opposite_price'])} x {names.lots(number, facts['opposite_quantity'])}"
    reach = f"{names.lots(number, facts['reach_quantity'])} of {count_text(facts['reach_orders'], 'order')}"
    return f"best {side} {best}; in reach of its price: {reach}"


# ---- what it caused


def _event(engine: Engine, events: bytes, at: int, event: EventRow, met: Mapping[str, Any] | None) -> dict[str, Any]:
    row = from_row(events, at * ROW_SIZE)
    told: dict[str, Any] = {"text": row_text(row), "event": row_json(row)}
    if event.kind == EventKind.CANCELED:
        told["because"] = because(Names(engine), event.detail, met)
    return told


def because(names: Names, reason: int, met: Mapping[str, Any] | None = None) -> str:
    """Why an order was canceled, and at its entry what it met (`Told.met`)."""
    text = CANCELED[reason]
    if met is None:
        return text
    number = met["instrument"]
    if reason == CancelReason.FILL_OR_KILL:
        reach, asked = names.lots(number, met["reach_quantity"]), names.lots(number, met["leaves"])
        return f"{text}: {reach} in reach, {asked} needed"
    if reason == CancelReason.IMMEDIATE_OR_CANCEL and met["price"]:
        other, way = ("buy", "higher") if met["side"] else ("sell", "lower")
        return f"{text}: needed a {other} at {names.price(number, met['price'])} or {way}"
    if reason == CancelReason.INSUFFICIENT_FUNDS:
        return f"{text}: {names.amount(met['currency'], met['available'])} available at entry"
    return text
