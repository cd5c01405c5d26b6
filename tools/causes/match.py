"""Why a match came about as it did: the command, the price, the queue of the resting order, and what both sides paid."""

from typing import Any, Final, NamedTuple

from core.engine import Engine
from core.instrument import Instrument, charge
from core.kinds import REMOVED, SIDE_MASK, EventKind, Side
from core.limits import FEE_SCALE
from journal.directory import JournalDirectory
from tools.books import BookOrder
from tools.causes.account import Entry, Ledger, entry_text
from tools.causes.command import asked_text
from tools.causes.find import MATCHES, Made, made, row_bytes
from tools.causes.names import Names, count_text, side_text, terms_text
from tools.causes.rates import Rates
from tools.causes.rest import SidedBook
from tools.event_rows import EventRow, other_side
from tools.moments import clock_text
from tools.output import decimal_text
from tools.reading import machine_at

_SHOWN: Final = 5
"""Orders of the queue that are printed; all of them stand in `--json`."""

_PERCENT: Final = 4
"""Decimals of a fee rate in percent: it is in millionths."""


class Party(NamedTuple):
    """An order in a match.

    `limit` is its price in ticks (0: any), `rate` its fee rate in millionths, `reckoned` the fee by that rate in units, and
    `fee` the one that was settled: a rebate never exceeds the other side's fee.
    """

    role: str
    order_number: int
    account: int
    session: int
    client_order_id: int
    side: int
    terms: str
    limit: int
    leaves: int
    rate: int
    reckoned: int
    fee: int

    def text(self, names: Names, instrument: int) -> str:
        """The order on one line."""
        limit = f"at {names.price(instrument, self.limit)}" if self.limit else "at any price"
        return (
            f"{self.role} order {self.order_number}, account {self.account}, session {self.session}, client order id"
            f" {self.client_order_id}: {side_text(self.side)} {limit}, {self.terms};"
            f" {names.lots(instrument, self.leaves)} open afterwards"
        )


class Match(NamedTuple):
    """A match explained; the numbers are those of rows (ticks, lots, units, ns).

    `best` is the best price of the resting side right before it, and `queue` the orders there in the order in which they
    trade, unless the steps of the instrument share the level among them.
    """

    match_number: int
    sequence: int
    time: int
    command: str
    instrument: str
    price: int
    quantity: int
    resting: Party
    incoming: Party
    best: int
    queue: list[BookOrder]
    amount: dict[str, Any]
    entries: list[Entry]

    def json(self) -> dict[str, Any]:
        """What `--json` prints."""
        names = ("order_number", "client_order_id", "account", "leaves")
        queue = [{name: getattr(order, name) for name in names} for order in self.queue]
        parties = {"resting": self.resting._asdict(), "incoming": self.incoming._asdict()}
        entries = [entry._asdict() for entry in self.entries]
        return self._asdict() | parties | {"queue": queue, "entries": entries}


def explain_match(journal: JournalDirectory, number: int, upto: int) -> tuple[Match, list[str]]:
    """A match, and what is printed of it for people. Misuse for a number not given by row `upto`; JournalError."""
    found = made(journal, MATCHES, number, upto)
    machine = machine_at(journal, found.command.sequence - 1)
    executed = MATCHES.first(found.events, number)
    assert executed is not None
    # The command may name another instrument, or none: a part of one, or an AdvanceTime.
    book = SidedBook(executed.instrument)
    book.fill(machine.rows())
    at = found.events.index(executed)
    later = _later(found.events, at)
    for event in found.events[:at]:
        if event.kind != EventKind.ACCEPTED or event.order_number not in later:
            book.apply(event)
    names = Names(machine.engine)
    asked = asked_text(names, found.command, row_bytes(journal, found.command.sequence))
    asked += _triggered(names, found, at)
    match = _match(machine.engine, found, at, book, asked)
    return match, list(_lines(match, names, executed.instrument))


def _triggered(names: Names, found: Made, at: int) -> str:
    """Where the command let another order arrive that had waited for a price, that it did."""
    other = other_side(found.events, at)
    number = found.events[other].order_number if other is not None else 0
    for event in found.events[:at]:
        if event.kind == EventKind.TRIGGERED and event.order_number == number:
            return f"; it triggered order {number}, which waited for {names.price(event.instrument, event.detail)}"
    return ""


def _later(events: list[EventRow], at: int) -> set[int]:
    """The orders of the command that arrive after the incoming one: they are accepted together, and arrive in turn."""
    other = other_side(events, at)
    number = events[other].order_number if other is not None else 0
    accepted = {event.order_number for event in events if event.kind == EventKind.ACCEPTED}
    return {later for later in accepted if later > number} if number in accepted else set()


def _match(engine: Engine, found: Made, at: int, book: SidedBook, asked: str) -> Match:
    other = other_side(found.events, at)
    assert other is not None, "a match of one side"
    resting, incoming, settled = found.events[at], found.events[other], found.events[other + 1]
    one = engine.instrument(resting.instrument)
    assert one is not None
    amount = _amount(one, resting.price, resting.quantity)
    best, queue = book.best(resting.flags & SIDE_MASK), book.queue(resting.flags & SIDE_MASK, resting.price)
    assert best is not None and best[0] == resting.price, "a match beside the best price"  # noqa: PT018
    is_first = queue[0].order_number == resting.order_number
    assert is_first or one.steps, "a match beside the first of the queue"
    return Match(
        resting.detail,
        resting.sequence,
        resting.time,
        asked,
        Names(engine).instrument(resting.instrument),
        resting.price,
        resting.quantity,
        _party(engine, found, resting, settled, amount["quote_amount"]),
        _party(engine, found, incoming, settled, amount["quote_amount"]),
        best[0],
        queue,
        amount,
        _entries(engine, found, at, {resting.account, incoming.account}),
    )


def _amount(one: Instrument, price: int, quantity: int) -> dict[str, Any]:
    """How the amount of a match is reckoned, in units."""
    product = int(price * quantity * one.multiplier)
    return {
        "base_amount": int(quantity * one.lot_units),
        "quote_amount": int(one.amount(price, quantity)),
        "multiplier": int(one.multiplier),
        "divisor": int(one.divisor),
        "rest": product % int(one.divisor),
        "rounding": "UP" if one.rounding_up else "DOWN",
        "base": int(one.base.number),
        "quote": int(one.quote.number),
    }


def _party(engine: Engine, found: Made, event: EventRow, settled: EventRow, amount: int) -> Party:
    incoming = bool(event.flags & REMOVED)
    side = event.flags & SIDE_MASK
    rate, limit = _rate_and_limit(engine, found, event)
    return Party(
        "incoming" if incoming else "resting",
        event.order_number,
        event.account,
        event.session,
        event.client_order_id,
        side,
        terms_text(event.flags),
        limit if incoming else event.price,
        event.leaves,
        rate,
        int(charge(amount, rate)),
        # Settled: 11 the buyer's fee, 12 the seller's.
        settled.order_number if side == Side.BUY else settled.leaves,
    )


def _rate_and_limit(engine: Engine, found: Made, event: EventRow) -> tuple[int, int]:
    """The fee rate that the order carries since it entered, and the limit with which it trades."""
    incoming = bool(event.flags & REMOVED)
    told = [one for one in found.events if one.order_number == event.order_number and one.sequence == event.sequence]
    terms = [one for one in told if one.kind in {EventKind.ACCEPTED, EventKind.REPLACED, EventKind.TRIGGERED}]
    if terms and terms[0].kind == EventKind.ACCEPTED:
        maker, taker = Rates(engine).of(event.account, event.instrument)
    else:
        account = engine.account(event.account)
        assert account is not None
        order = next(order for order in account.orders.values() if order.number == event.order_number)
        maker, taker = order.maker_rate, order.taker_rate
    limit = terms[-1].price if terms else event.price
    return int(taker if incoming else maker), limit


def _entries(engine: Engine, found: Made, at: int, accounts: set[int]) -> list[Entry]:
    """The entries of the match in the books of both accounts, with what stood there after each."""
    ledger = Ledger(engine, accounts)
    booked = (entry for event in found.events[: at + 4] for entry in ledger.entries(found.command, event))
    return [entry for entry in booked if entry.match_number == found.events[at].detail]


def _lines(match: Match, names: Names, number: int) -> list[str]:
    side = "ask" if match.resting.side else "bid"
    price, queue = names.price(number, match.price), match.queue
    total = names.lots(number, sum(order.leaves for order in queue))
    what = f"{names.at(number, match.quantity, match.price)} {match.instrument}"
    there = f"{count_text(len(queue), 'order')} with {total}"
    found = [
        f"match {match.match_number}: {what}, row {match.sequence}, {clock_text(match.time)}",
        f"  caused by {match.command}",
        f"  {match.resting.text(names, number)}",
        f"  {match.incoming.text(names, number)}",
        f"  why at {price}: that is the resting order's price; the incoming order took {_reach(match, names, number)}",
        f"  why order {match.resting.order_number}: {price} was the best {side}, and {_chosen(match)} {there}:",
    ]
    found += [
        f"      order {order.order_number} of account {order.account}, {names.lots(number, order.leaves)}"
        f"{_undisclosed(order, names, number)}"
        for order in queue[:_SHOWN]
    ]
    if len(queue) > _SHOWN:
        found.append(f"      and {count_text(len(queue) - _SHOWN, 'order')} more")
    found += [_amount_text(match, names)]
    found += [_fee_text(party, match, names) for party in (match.resting, match.incoming)]
    return found + [f"  account {entry.account}: {entry_text(entry, names)}" for entry in match.entries]


def _chosen(match: Match) -> str:
    """What the resting order was among those of its price; any of them trades where steps share the level."""
    is_first = match.queue[0].order_number == match.resting.order_number
    return "the order the first of" if is_first else "the steps of the instrument share it among"


def _undisclosed(order: BookOrder, names: Names, number: int) -> str:
    if order.hidden:
        return ", hidden: behind all that are shown"
    return (
        f", of which {names.lots(number, order.shown)} trade before its next display"
        if order.shown < order.leaves
        else ""
    )


def _reach(match: Match, names: Names, number: int) -> str:
    if not match.incoming.limit:
        return "any price"
    way = "or less" if match.incoming.side == Side.BUY else "or more"
    return f"{names.price(number, match.incoming.limit)} {way}"


def _amount_text(match: Match, names: Names) -> str:
    amount = match.amount
    product = f"{match.price} ticks × {match.quantity} lots × {amount['multiplier']} / {amount['divisor']}"
    exact = f"rounded {amount['rounding']}, {amount['rest']}/{amount['divisor']} over" if amount["rest"] else "exact"
    base = names.amount(amount["base"], amount["base_amount"])
    return f"  amount: {base} for {names.amount(amount['quote'], amount['quote_amount'])} ({product}, {exact})"


def _fee_text(party: Party, match: Match, names: Names) -> str:
    quote, amount = match.amount["quote"], match.amount["quote_amount"]
    name = "maker" if party.role == "resting" else "taker"
    text = f"  {name} fee {names.amount(quote, party.fee)} at {decimal_text(party.rate, _PERCENT)} %"
    if party.fee != party.reckoned:
        return f"{text}: a rebate of {names.amount(quote, -party.reckoned)}, but no more than the other side's fee"
    return f"{text}, truncated toward zero" if amount * party.rate % FEE_SCALE else text
