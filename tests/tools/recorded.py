"""Journals of random streams, with what the naive model knew after every row: the oracle of explanations.

A journal has several segments, snapshots, batches of any size, and quarantines.
"""

import random

from core import messages as m
from core.kinds import REENTER, TYPE_MASK, TYPE_SHIFT, Side
from core.kinds import OrderType as Type
from core.limits import QUANTITY_MAX, SUM_MAX
from core.machine import Machine
from core.reasons import RejectReason as R
from core.rows import from_row, to_row
from core.state import SEMANTICS
from journal import snapshots
from journal.batch import seal
from journal.directory import JournalDirectory
from tests.model_market import Order
from tests.model_venue import read
from tests.pair import Pair
from tests.streams import Stream


class Recorded:
    """A journal at `path`; lists and dicts by sequence number, from 0 before the first row."""

    def __init__(self, path, seed, steps=350):
        self.path, self.rng, self.half = path, random.Random(seed), steps // 2
        self.pair = Pair()
        self.model = self.pair.model
        self.stream = Stream(seed, self.model)
        # A random row of this kind would begin a batch, and stand for the one before.
        self.stream.weights[self.stream.kinds.index(m.Quarantine)] = 0
        self.directory = JournalDirectory.create(path, Machine().rows(), semantics=SEMANTICS)
        self.known = [{}]
        self.rows, self.events, self.views, self.queues = [b""], [[]], [], {}
        self.needed, self.reach, self.over, self.ids, self.ahead = {}, {}, [], [], []
        self.watch_trades()
        self.batch = self.digest = None
        self.begin_batch()
        self.look()
        for row in self.stream.setup():
            self.add(row)
        self.seal()
        while len(self.rows) <= steps:
            self.step()
        self.seal()
        self.directory.close()
        self.head = len(self.rows) - 1

    def watch_trades(self):
        """Before each trade of the model, the queue in which the resting order stands."""
        trade = self.model.trade

        def watched(order, resting, quantity):
            side = self.model.side_of(order.instrument, 1 - order.side)
            queue = [(o.number, o.leaves) for o in side if o.price == resting.price]
            seen = (side[0].price, queue, resting.maker, order.taker, bool(self.model.is_shared(order, resting)))
            self.queues[self.model.match_numbers + 1] = seen
            trade(order, resting, quantity)

        self.model.trade = watched

    # ---- rows, batches, segments

    def step(self):
        if self.rng.random() < 0.01:
            self.quarantine()
        else:
            self.add(self.stream.next())
        # No node cuts a command of several parts.
        if self.rng.random() < 0.15 and not self.model.open_head:
            self.seal()
            if self.rng.random() < 0.08 or (len(self.rows) > self.half and len(self.directory.segments()) == 1):
                self.directory.roll(self.pair.machine.rows(), semantics=SEMANTICS, epoch=1)

    def quarantine(self):
        """A row that is replaced by its halt, some rows behind it, and the batch that says so."""
        row = self.stream.next()
        named = self.stream.quarantine_of(row)
        self.add(row, named)
        if named is None:
            return
        for _ in range(self.rng.randrange(3)):
            self.add(self.stream.next())
        self.seal()
        columns = from_row(named)
        says = m.Quarantine(named=columns.named, timer_time=columns.timer_time, timer_order=columns.timer_order)
        self.add(self.stream.stamp(to_row(says)))

    def add(self, row, quarantine=None):
        self.note_needs(row)
        self.events.append(self.pair.apply(row, quarantine))
        self.known.append(known(self.model, read(row), self.events[-1]))
        self.rows.append(row)
        self.batch.append(row)
        self.look()

    def begin_batch(self):
        self.batch, self.digest = [], self.pair.machine.digest.value()

    def seal(self):
        """Put the rows so far into the journal as one batch; now and then with a snapshot behind it."""
        if not self.batch:
            return
        first = len(self.rows) - len(self.batch)
        value = seal(
            b"".join(self.batch), semantics=SEMANTICS, epoch=1, first=first, applied=first - 1, digest=self.digest,
            base_time=int.from_bytes(self.batch[0][16:24], "little"), previous=self.directory.head().hash,
        )  # fmt: skip
        self.directory.append(value)
        if self.rng.random() < 0.1:
            header = self.directory.header_at(len(self.rows) - 1)
            snapshots.write(self.directory.snapshots, self.pair.machine.rows(), header)
        self.begin_batch()

    # ---- what the model knows

    def note_needs(self, row):
        """What an EnterOrder has to be covered by, and what is free, before it is applied."""
        c, model = read(row), self.model
        if c.of is m.EnterOrder and c.instrument in model.instruments and c.account in model.accounts:
            rates = model.rates_for(c.account, c.instrument)
            order = Order(0, 0, c.account, c.instrument, 0, c.flags, c.price, c.quantity, 0, 0, *rates)
            model.now = c.time
            reach = [other for other in model.in_reach(order) if not model.is_over(other)]
            self.reach[c.sequence] = (sum(other.leaves for other in reach), len(reach))
            if order.type == Type.PEGGED:
                order.limit, order.price = c.price, 0
            elif order.type in (Type.MARKET, Type.MARKET_TO_LIMIT) and not order.pays:
                order.price = c.price or model.market_price(order) or 0
            if order.reduces:
                order.leaves = min(order.leaves, model.allowed(order))
            if order.leaves > 0:
                currency, amount = model.cover(order)
                self.needed[c.sequence] = (currency, amount, model.free(c.account, currency))

    def look(self):
        """What stands after a row: places of orders whose time is not over, and what accounts hold."""
        model = self.model
        books = [[model.side_of(number, side) for side in Side] for number in model.instruments]
        places, ahead = {}, {}
        for sides in books:
            for side, orders in enumerate(sides):
                live = [order for order in orders if not model.is_over(order)]
                places |= {order.number: place(order, orders, sides[1 - side]) for order in live}
                ahead |= {order.number: {o.number: o.leaves for o in queue_before(order, orders)} for order in live}
        self.ahead.append(ahead)
        held = {(a, c): (model.balances[a, c], model.reserved(a, c)) for a in model.accounts for c in model.currencies}
        self.views.append((places, held))
        self.ids.append({(o.instrument, o.account, o.client_order_id): o.number for o in model.orders})
        self.over.append({order.number for order in model.orders if model.is_over(order)})

    def told(self, kind, **columns):
        """Every event of a kind whose columns are these, in order."""
        every = (event for events in self.events for event in events if isinstance(event, kind))
        return [e for e in every if all(getattr(e, name) == value for name, value in columns.items())]

    def refusals(self):
        """Sequence number and reason of every refused command; a command that another row gave up is not refused by its own."""
        told = [event for event in self.told(m.Rejected) if event.reason != R.INCOMPLETE]
        # Of several quotes that a MassQuote refuses, the first counts.
        return dict(sorted({event.sequence: R(event.reason) for event in reversed(told)}.items()))


def queue_before(order, own):
    """The orders ahead of an order at its price."""
    return [o for o in own[: own.index(order)] if o.price == order.price]


def place(order, own, other):
    """How an order stands: its price, the best opposite one and its quantity, who is ahead, who is better."""
    ahead = queue_before(order, own)
    better = [o for o in own if (o.price > order.price if order.side == Side.BUY else o.price < order.price)]
    best = other[0].price if other else None
    return (
        order.price, best, sum(o.leaves for o in other if o.price == best),
        len(ahead), sum(o.leaves for o in ahead), len(better), sum(o.leaves for o in better),
    )  # fmt: skip


HEADS = (m.EnterBatch.KIND, m.LinkOrders.KIND, m.MassQuote.KIND)


def known(model, c, events):
    """What the model knows of the facts of a refusal; {} where nothing was refused, or nothing is to be known.

    The model is asked behind the row. Where the row caused more than the refusal, it no longer knows what the refusal met.
    """
    if len(events) > 1:
        return {}
    refused = next((e for e in events if isinstance(e, m.Rejected) and e.reason != R.INCOMPLETE), None)
    if refused and refused.command in HEADS and c.of in (m.Detail, m.QuoteDetail):
        return {"part": refused.part}
    reason = refused and refused.reason
    session = model.sessions.get(c.session)
    inbound = {"inbound": c.inbound, "last_inbound": session.inbound if session else model.venue_inbound}
    match reason:
        case R.INBOUND_GAP | R.INBOUND_CONFLICT | R.INBOUND_TOO_OLD:
            return inbound
        case R.NOT_PERMITTED if c.of in (m.EnterOrder, m.CancelOrder, m.ReduceOrder, m.ReplaceOrder, m.MassCancel):
            return {"account": c.account, "granted": sorted(session.accounts)}
        case R.UNKNOWN_INSTRUMENT:
            return {"instrument": c.instrument, "known": sorted(model.instruments)}
        case R.UNKNOWN_ACCOUNT:
            return {"account": c.account, "known": sorted(model.accounts)}
        case R.INVALID_DAY | R.INVALID_VERSION | R.INVALID_EPOCH:
            last = {R.INVALID_DAY: "day", R.INVALID_VERSION: "version", R.INVALID_EPOCH: "epoch"}[reason]
            return {last: getattr(c, last), "so_far": getattr(model, last)}
        case R.SUM_AT_BOUND if c.of is m.Deposit:
            return {"total": model.deposited[c.currency], "added": c.amount}
        case R.INSUFFICIENT_FUNDS if c.of is m.Withdraw:
            return {"currency": c.currency, "needed": c.amount, "available": model.free(c.account, c.currency)}
    return known_of_order(model, c, reason)


def known_of_order(model, c, reason):
    """The same for what an order command met."""
    old = model.find(c.account, c.original_client_order_id) if c.of is m.ReplaceOrder else None
    match reason:
        case R.DUPLICATE_CLIENT_ORDER_ID:
            return {"order_number": model.find(c.account, c.client_order_id).number}
        case R.UNKNOWN_ORDER:
            return {"live": sum((o.account, o.instrument) == (c.account, c.instrument) for o in model.orders)}
        case R.INVALID_PRICE:
            order = old or Order(0, 0, c.account, c.instrument, 0, c.flags, c.price, c.quantity, 0, 0, 0, 0)
            least = 0 if order.type == Type.PEGGED and order.side == Side.SELL else 1
            most = model.instruments[c.instrument].price_max
            bounds = (least, most) if order.has_price or order.type == Type.PEGGED else (0, 0)
            return {"price": c.price, "price_min": bounds[0], "price_max": bounds[1]}
        case R.INVALID_QUANTITY:
            most = QUANTITY_MAX if c.of is m.ReduceOrder else model.instruments[c.instrument].quantity_max
            if (
                c.of is not m.ReduceOrder
                and ((old.flags if old else c.flags) >> TYPE_SHIFT & TYPE_MASK) == Type.SPEND_AT_MOST
            ):
                most = SUM_MAX
            return {"quantity": c.quantity, "quantity_max": most}
        case R.WOULD_TRADE:
            side = old.side if old else c.flags & 1
            return {"price": c.price, "opposite_price": model.side_of(c.instrument, 1 - side)[0].price}
        case R.INSUFFICIENT_FUNDS if old:
            leaves = c.quantity if c.flags & REENTER else c.quantity - old.executed
            leaves = min(leaves, model.allowed(old)) if old.reduces else leaves
            _, held = model.cover(old)
            price = "limit" if old.type == Type.PEGGED else "price"
            currency, needed = model.cover(Order(**vars(old) | {price: c.price, "leaves": leaves}))
            available = model.free(c.account, currency)
            return {"currency": currency, "needed": needed, "held": held, "available": available}
    return {}
