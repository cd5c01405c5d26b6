"""What the tables of a projection must hold, counted again from the events of a stream without looking at the folds."""

import math
from collections import Counter, defaultdict
from fractions import Fraction

from core import messages as m
from core.kinds import POST_ONLY, REMOVED, ROW_SIZE, OrderType, TimeInForce
from core.reasons import CancelReason
from core.rows import rows, unpack_halves
from tests.model_venue import read
from tools.projections.registry import fold_named
from tools.reading import applied, begin, opened

ORDER_EVENTS = (
    m.Accepted, m.Executed, m.Replaced, m.Reduced, m.Canceled, m.Expired, m.Rested, m.Triggered, m.Activated, m.Restated,
)  # fmt: skip
TRADER = ("EnterOrder", "ReplaceOrder", "ReduceOrder", "CancelOrder", "MassCancel")


NAMES = ("trades", "positions", "candles", "orders", "usage")


def fold(name):
    """A new fold; candles are short, for the streams are."""
    return fold_named(name, "1us" if name == "candles" else None)


class Told:
    """The commands and events of (rows, events), as Structs, and the matches: resting side, incoming side, settlement."""

    def __init__(self, log):
        commands = [read(data[at : at + ROW_SIZE]) for data, _ in log for at in range(0, len(data), ROW_SIZE)]
        self._tell(commands, [event for _, told in log for event in rows(told)])

    def _tell(self, commands, events):
        self.commands, self.events = commands, events
        self.last = commands[-1].sequence if commands else 0
        found = defaultdict(list)
        for event in self.events:
            if isinstance(event, m.Executed | m.Settled):
                found[event.match_number].append(event)
        self.matches = [found[number] for number in sorted(found)]
        good = {event.sequence for event in self.events if isinstance(event, m.InstrumentDefined)}
        self.terms = {c.instrument: c for c in self.commands if c.sequence in good}

    def upto(self, sequence):
        """The same up to a row."""
        told = Told([])
        told._tell(*([one for one in each if one.sequence <= sequence] for each in (self.commands, self.events)))
        return told

    @classmethod
    def of(cls, path):
        """What a journal tells, by a replay from its first row."""
        with opened(path) as journal:
            machine = begin(journal, journal.head().sequence, from_zero=True).machine
            return cls(
                [(a.value[a.begin : a.end], a.events) for a in applied(journal, machine, journal.head().sequence)]
            )

    def amount(self, instrument, price, lots):
        """What a match moves of the quote currency."""
        terms = self.terms[instrument]
        exact = Fraction(price * lots * terms.multiplier, terms.divisor)
        return math.ceil(exact) if terms.flags >> 16 else math.floor(exact)


def trades(told):
    """The rows of `trades`."""
    return [
        (
            s.match_number, s.sequence, s.time, s.instrument, resting.price, resting.quantity,
            "sell" if incoming.flags & 1 else "buy", resting.order_number, incoming.order_number,
            s.buyer, s.seller, s.base_amount, s.quote_amount, s.buyer_fee, s.seller_fee,
        )
        for resting, incoming, s in told.matches
    ]  # fmt: skip


def candles(told, length):
    """The rows of `candles_...`."""
    groups = defaultdict(list)
    for resting, _, s in told.matches:
        groups[s.instrument, s.time // length * length].append((resting.price, resting.quantity, s))
    found = []
    for key, group in sorted(groups.items()):
        prices = [price for price, _, _ in group]
        sums = sum(lots for _, lots, _ in group), sum(s.quote_amount for _, _, s in group), len(group)
        ends = group[0][2].match_number, group[-1][2].match_number
        found.append((*key, prices[0], max(prices), min(prices), prices[-1], *sums, *ends))
    return found


def at_average_cost(fills):
    """Lots, cost and realised profit of (lots, amount), by the definition: shares as fractions, rounded toward zero."""
    lots, cost, realised = 0, 0, 0
    for count, amount in fills:
        closed = min(abs(count), abs(lots)) if count * lots < 0 else 0
        brought = math.trunc(Fraction(amount * closed, abs(count)))
        share = math.trunc(Fraction(cost * closed, abs(lots))) if closed else 0
        realised += (brought if count < 0 else -brought) - share
        cost += (amount - brought if count > 0 else brought - amount) - share
        lots += count
    return lots, cost, realised


def positions(told):
    """The rows of `positions`."""
    fills, fees, last = defaultdict(list), Counter(), {}
    prices = {}
    for resting, _, s in told.matches:
        for account, lots, fee in (
            (s.buyer, resting.quantity, s.buyer_fee),
            (s.seller, -resting.quantity, s.seller_fee),
        ):
            fills[account, s.instrument].append((lots, s.quote_amount))
            fees[account, s.instrument] += fee
            last[account, s.instrument] = s.match_number
        prices[s.instrument] = resting.price
    found = []
    for key, traded in sorted(fills.items()):
        lots, cost, realised = at_average_cost(traded)
        worth = told.amount(key[1], prices[key[1]], abs(lots)) * (1 if lots > 0 else -1) if lots else 0
        found.append((*key, lots, cost, realised, fees[key], worth, worth - cost, len(traded), last[key]))
    return found


def marks(told):
    """The rows of `position_marks`."""
    last = {s.instrument: (resting.price, s.match_number, s.time) for resting, _, s in told.matches}
    return [
        (
            number, c.symbol, *unpack_halves(c.currencies), c.multiplier, c.divisor, c.lot_units, c.flags >> 16,
            c.flags & 255, c.flags >> 8 & 255, *last.get(number, (0, 0, 0)),
        )
        for number, c in sorted(told.terms.items())
    ]  # fmt: skip


def usage(told):
    """The rows of `usage`."""
    counts = defaultdict(Counter)
    keys = {}
    for command in told.commands:
        name = command.of.__name__ if command.of else "?"
        key = command.session, command.instrument if name in TRADER else 0
        keys[command.sequence] = key
        counts[key].update(["messages", name if name in TRADER else "others"])
    for event in told.events:
        if isinstance(event, m.Rejected):
            counts[keys[event.sequence]]["rejections"] += 1
        if isinstance(event, m.Executed):
            counts[event.session, event.instrument].update(executions=1, lots=event.quantity)
    names = ("messages", *TRADER, "others", "rejections", "executions", "lots")
    return [(*key, *(count[name] for name in names)) for key, count in sorted(counts.items())]


def order_events(told):
    """The rows of `order_events`."""
    found, nth = [], Counter()
    sides = {(e.match_number, e.flags & REMOVED): e.order_number for e in told.events if isinstance(e, m.Executed)}
    for e in told.events:
        if isinstance(e, ORDER_EVENTS):
            detail = from_detail(e)
            against = sides[e.match_number, REMOVED - (e.flags & REMOVED)] if isinstance(e, m.Executed) else None
            columns = (e.client_order_id, e.price, e.quantity, e.leaves, detail, against)
            found.append((e.order_number, nth[e.order_number], e.sequence, e.time, type(e).__name__, e.flags, *columns))
            nth[e.order_number] += 1
    return sorted(found, key=lambda row: row[:2])


def from_detail(event):
    """Column 13 of an event about an order."""
    names = ("expires", "match_number", "original_client_order_id", "reason", "trigger_price", "parent")
    return next((getattr(event, name) for name in names if name in event.__struct_fields__), 0)


def orders(told):
    """The rows of `orders`, each from all events about it."""
    lives = defaultdict(list)
    for event in told.events:
        if isinstance(event, ORDER_EVENTS):
            lives[event.order_number].append(event)
    return [_order(life) for _, life in sorted(lives.items())]


def _order(life):
    begun, last = life[0], life[-1]
    # Of an iceberg, Rested tells what it shows.
    end = [event for event in life if not isinstance(event, m.Rested)][-1]
    executed = sum(event.quantity for event in life if isinstance(event, m.Executed))
    terms = [event for event in life if isinstance(event, m.Accepted | m.Replaced)][-1]
    state = {m.Canceled: "canceled", m.Expired: "expired"}.get(type(end), "live" if end.leaves else "filled")
    opened = end.quantity if state in ("canceled", "expired") else end.leaves
    price = [event for event in life if isinstance(event, m.Accepted | m.Replaced | m.Restated)][-1].price
    spends = begun.flags >> 1 & 15 == OrderType.SPEND_AT_MOST
    return (
        begun.order_number, state, begun.session, begun.account, begun.instrument, terms.client_order_id,
        "sell" if begun.flags & 1 else "buy", OrderType(begun.flags >> 1 & 15).name,
        TimeInForce(begun.flags >> 5 & 15).name, int(bool(begun.flags & POST_ONLY)), begun.expires, price,
        begun.quantity if spends else executed + opened, executed, end.leaves, CancelReason(end.reason).name if state == "canceled" else "", len(life),
        begun.sequence, begun.time, last.sequence, last.time,
    )  # fmt: skip


EXPECTED = {
    "trades": {"trades": trades},
    "candles": {"candles_1us": lambda told: candles(told, 1_000)},
    "positions": {"positions": positions, "position_marks": marks},
    "orders": {"orders": orders, "order_events": order_events},
    "usage": {"usage": usage},
}


def differs(database, name, told):
    """The first row that a projection's tables have otherwise than they should; None if there is none."""
    for table in fold(name).tables:
        have = sorted(database.select(table, ""), key=lambda row: row[: table.keys])
        want = EXPECTED[name][table.name](told)
        for at in range(max(len(have), len(want))):
            pair = have[at : at + 1], want[at : at + 1]
            if pair[0] != pair[1]:
                return f"{table.name}: has {pair[0]}, should be {pair[1]}"
    return None
