"""Random journals on disk, and what the naive market says of each of their moments.

The rows are those of tests/streams.py, in batches of random sizes, with quarantines as a sequencer would seal them, over
several segments, with snapshots here and there.
"""

import hashlib
import random
from dataclasses import asdict, dataclass

from core import messages as m
from core.kinds import HIDDEN, KEPT_PLACE, Role, Side, TimeInForce
from core.kinds import OrderType as Type
from core.reasons import CancelReason
from core.rows import from_row, unpack_halves
from core.state import SEMANTICS
from journal import snapshots
from journal.batch import seal
from journal.directory import JournalDirectory
from tests.pair import Pair
from tests.streams import ROW, Stream
from tools.past.answers import Where

LEFT_OUT = (m.Upgrade, m.Quarantine)
"""What a sequencer alone may bring, or what ends a segment under other rules."""

ENDS = {m.Canceled: "canceled", m.Expired: "expired", m.Executed: "executed"}


@dataclass
class Life:
    """What events have told of one order."""

    number: int
    client_order_id: int
    price: int
    expires: int
    account: int
    session: int
    instrument: int
    flags: int
    accepted: int
    trigger: int = 0
    triggered: bool = False
    executed: int = 0
    fate: str = "live"
    ended: tuple = ()


@dataclass
class Truth:
    """The naive market at one moment, and what had been told by then."""

    sequence: int
    time: int
    model: dict
    orders: list
    lives: dict
    last: dict
    digests: tuple


class Written:
    """A random journal; `truths` are the moments that were noted, by sequence number."""

    def __init__(self, path, seed, steps=500, quarantines=0.012, rolls=2, noted=14):
        self.path, self.seed = path, seed
        self.rng = random.Random(f"journal {seed}")
        self.pair, self.lives, self.last, self.truths = Pair(), {}, {}, {}
        self.asked = {}
        self.source = Stream(seed, self.pair.model)
        self.source.weights = [
            0 if of in LEFT_OUT else weight for of, weight in zip(self.source.kinds, self.source.weights, strict=True)
        ]
        self.quarantines, self.batch, self.pending = quarantines, [], []
        self.directory = JournalDirectory.create(path, self.pair.machine.rows(), semantics=SEMANTICS)
        self.noted = {0, *self.rng.sample(range(1, steps), noted)}
        self.rolls = set(self.rng.sample(range(steps // 4, steps), rolls))
        self.begin = self.marks()
        self.note(0)
        self.write(steps)

    def marks(self):
        return self.pair.machine.engine.sequence, self.pair.machine.digest.value()

    def write(self, steps):
        for row in self.source.setup():
            self.take(row, None)
        for step in range(steps):
            row = self.source.next()
            named = self.source.quarantine_of(row) if self.rng.random() < self.quarantines else None
            self.take(row, named)
            # No node cuts a command of several parts.
            cuts = self.pair.model.open_head is not None
            if (len(self.batch) >= self.size or named) and not cuts:
                self.seal_all()
            if step in self.rolls and cuts:
                self.rolls.add(step + 1)
            elif step in self.rolls:
                self.seal_all()
                self.directory.roll(self.pair.machine.rows(), semantics=SEMANTICS, epoch=1)
            elif self.rng.random() < 0.008 and not cuts:
                self.seal_all()
                sequence = self.pair.machine.engine.sequence
                snapshots.write(self.directory.snapshots, self.pair.machine.rows(), self.directory.header_at(sequence))
        self.seal_all()
        self.noted.add(len(self.pair.log))
        self.note(len(self.pair.log))
        self.directory.close()

    @property
    def size(self):
        return self.rng.choice((1, 3, 10, 40))

    def take(self, row, quarantine):
        """One row for engine and model; its Quarantine row is told after its batch."""
        self.note_asked(row)
        for event in self.pair.apply(row, quarantine):
            self.follow(event, row)
        self.batch.append(row)
        if quarantine:
            self.pending.append(quarantine)
        self.note(len(self.pair.log))

    def note_asked(self, row):
        """The trigger price that a row, be it a part of a command, asks for by client order id: no event repeats it."""
        columns = ROW.unpack(row)
        if columns[0] in (m.EnterOrder.KIND, m.Detail.KIND):
            self.asked[columns[8]] = columns[14]
        elif columns[0] == m.QuoteDetail.KIND:
            self.asked |= {columns[8]: 0, columns[13]: 0}

    def seal_all(self):
        """The batch, then each Quarantine row in a batch of its own."""
        self.seal()
        while self.pending:
            self.take(self.source.stamp(self.pending.pop(0)), None)
            self.seal()

    def seal(self):
        if not self.batch:
            return
        body, head = b"".join(self.batch), self.directory.head()
        applied, digest = self.begin
        time = int.from_bytes(body[16:24], "little")
        fields = {"semantics": SEMANTICS, "epoch": 1, "first": head.sequence + 1, "base_time": time}
        self.directory.append(seal(body, applied=applied, digest=digest, previous=head.hash, **fields))
        self.batch, self.begin = [], self.marks()

    def follow(self, event, row):
        """Take an event into the lives of orders and the last matches."""
        if isinstance(event, m.Accepted):
            names = ("client_order_id", "price", "expires", "account", "session", "instrument")
            terms = {name: getattr(event, name) for name in names}
            self.lives[event.order_number] = Life(
                event.order_number, flags=event.flags & 0x3FF, accepted=event.sequence, **terms
            )
            self.lives[event.order_number].trigger = self.asked[event.client_order_id]
        if isinstance(event, m.Triggered):
            self.lives[event.order_number].trigger, self.lives[event.order_number].triggered = event.trigger_price, True
        if isinstance(event, m.Restated | m.Activated):
            self.lives[event.order_number].price = event.price
        if not isinstance(event, m.Executed | m.Replaced | m.Canceled | m.Expired):
            return
        life = self.lives[event.order_number]
        if isinstance(event, m.Replaced):
            life.client_order_id, life.price = event.client_order_id, event.price
            life.expires = from_row(row).expires or life.expires
            kept = not life.triggered or event.flags & KEPT_PLACE
            life.trigger = from_row(row).trigger_price or (life.trigger if kept else 0)
        elif isinstance(event, m.Executed):
            life.executed += event.quantity
            self.last[event.instrument] = (event.price, event.quantity, event.sequence, event.time, event.match_number)
        if not isinstance(event, m.Replaced) and event.leaves == 0:
            life.fate = ENDS[type(event)]
            still_open = 0 if life.fate == "executed" else event.quantity
            reason = CancelReason(event.reason).name if life.fate == "canceled" else None
            life.ended = (event.sequence, event.time, still_open, reason)

    def note(self, step):
        """Keep what holds now, if this is one of the moments; the first and the last row always are."""
        if step not in self.noted:
            return
        model, machine = self.pair.model, self.pair.machine
        names = ("currencies", "instruments", "accounts", "balances", "deposited", "withdrawn", "fees", "market_data")
        names += (
            "instrument_states",
            "account_states",
            "venue_state",
            "order_numbers",
            "match_numbers",
            "epoch",
            "day",
            "days",
            "last",
        )
        kept = {name: getattr(model, name) for name in names}
        kept = {name: dict(value) if isinstance(value, dict) else value for name, value in kept.items()}
        kept["reserved"] = {key: model.reserved(*key) for key in model.balances}
        kept["operations"] = len(model.operations)
        kept["sessions"] = {number: session_of(session) for number, session in model.sessions.items()}
        orders = [asdict(order) | {"over": model.is_over(order)} for order in model.orders]
        sequence, time = machine.engine.sequence, machine.engine.now
        digests = (machine.digest.value().hex(), machine.state_digest().hex())
        lives = {number: Life(**asdict(life)) for number, life in self.lives.items()}
        self.truths[sequence] = Truth(sequence, time, kept, orders, lives, dict(self.last), digests)


def session_of(session):
    role = Role.OPERATOR if session.operator else [*session.reads, Role.TRADER][0]
    firm = [*session.reads, 0, 0][1]
    return role, firm, sorted(session.accounts), session.inbound, session.outbound, session.credential[-1] != 0


def queue(truth, instrument, side):
    """The orders of one side, the one that trades next first: at a price those that hide come last."""
    sign = -1 if side == Side.BUY else 1
    sides = [order for order in truth.orders if (order["instrument"], order["flags"] & 1) == (instrument, side)]
    standing = [order for order in sides if where(order) in {Where.BOOK, Where.HIDDEN}]
    return sorted(standing, key=lambda order: (sign * order["price"], order["flags"] & HIDDEN, order["place"]))


def where(order):
    """Where a live order is: only in the book it has a place."""
    if order["held"]:
        return Where.HELD
    if order["waits"]:
        return Where.CROSSED if order["crossed"] else Where.WAITS
    if order["price"] == 0:
        return Where.PARKED
    return Where.HIDDEN if order["flags"] & HIDDEN else Where.BOOK


def shown(order):
    """What market data shows of a live order."""
    return (order["shown"] if order["display"] else order["leaves"]) if where(order) == Where.BOOK else 0


def levels(truth, instrument, side):
    """Prices with their orders in queue order."""
    found = {}
    for order in queue(truth, instrument, side):
        found.setdefault(order["price"], []).append(order)
    return found


def check_books(moment, truth):
    """Every book, order by order."""
    for number, instrument in truth.model["instruments"].items():
        book = moment.book(instrument.symbol)
        for side, found in ((Side.BUY, book.bids), (Side.SELL, book.asks)):
            want = [
                (
                    price,
                    sum(o["leaves"] for o in orders),
                    [(o["number"], o["client_order_id"], o["account"], o["leaves"], shown(o)) for o in orders],
                )
                for price, orders in levels(truth, number, side).items()
            ]
            got = [
                (
                    level.price,
                    level.quantity,
                    [(o.order_number, o.client_order_id, o.account, o.leaves, o.shown) for o in level.orders],
                )
                for level in found
            ]
            assert got == want, f"{instrument.symbol} {side}"


def check_order(moment, truth, number):
    """One order: where it stands, or how it ended."""
    found = moment.order(number)
    life = truth.lives.get(number)
    if life is None:
        assert (found.fate.value, found.order) == ("not accepted", None)
        return
    assert (found.order_number, found.fate.value) == (number, life.fate), number
    order, terms = found.order, truth.model["instruments"][life.instrument]
    assert order.instrument == terms.symbol
    assert (order.price_decimals, order.quantity_decimals) == (terms.flags & 255, terms.flags >> 8 & 255)
    assert (order.side, order.order_type) == (Side(life.flags & 1), Type(life.flags >> 1 & 15))
    assert (order.time_in_force, order.post_only) == (TimeInForce(life.flags >> 5 & 15), bool(life.flags & 0x200))
    got = (order.client_order_id, order.price, order.executed, order.expires, order.account, order.session)
    assert got == (life.client_order_id, life.price, life.executed, life.expires, life.account, life.session), number
    if life.fate != "live":
        ended = found.ended
        reason = ended.reason.name if ended.reason is not None else None
        assert (ended.sequence, ended.time, ended.open_quantity, reason) == life.ended
        assert (order.leaves, order.over, found.place) == (0, False, None)
        assert (order.where, order.shown, order.trigger_price) == (None, 0, life.trigger), number
        return
    (kept,) = [o for o in truth.orders if o["number"] == number]
    assert (order.leaves, order.over) == (kept["leaves"], kept["over"])
    assert (order.where, order.shown) == (where(kept), shown(kept)), number
    terms = (order.display, order.trigger_price, order.offset, order.limit)
    limit = kept["limit"] if order.order_type == Type.PEGGED else 0
    trigger = kept["trigger"] if kept["waits"] else life.trigger
    assert terms == (kept["display"], trigger, kept["offset"], limit), number
    assert found.ended is None
    if where(kept) not in {Where.BOOK, Where.HIDDEN}:
        assert found.place is None
        return
    before = levels(truth, life.instrument, life.flags & 1)[kept["price"]]
    before = before[: [o["number"] for o in before].index(number)]
    assert (found.place.orders_ahead, found.place.quantity_ahead) == (len(before), sum(o["leaves"] for o in before))


def check_accounts(moment, truth):
    """Balances, reservations, states, open orders, and who acts for whom."""
    model = truth.model
    for number, account in model["accounts"].items():
        got = moment.account(number)
        state = model["account_states"].get(number, 1)
        assert (got.account, got.firm, got.name, got.state) == (number, account.firm, account.name, state)
        held = {key[1]: total for key, total in model["balances"].items() if key[0] == number and total}
        assert {b.currency: b.total for b in got.balances} == held
        for balance in got.balances:
            reserved = model["reserved"][number, balance.currency]
            assert (balance.reserved, balance.free) == (reserved, balance.total - reserved)
            currency = model["currencies"][balance.currency]
            assert (balance.symbol, balance.decimals) == (currency.symbol, currency.decimals)
        numbers = sorted(o["number"] for o in truth.orders if o["account"] == number)
        assert [order.order_number for order in got.orders] == numbers
        assert got.orders == tuple(moment.order(order).order for order in numbers)
        assert list(got.sessions) == sorted(n for n, session in model["sessions"].items() if number in session[2])


def check_instruments(moment, truth):
    """Terms, limits, fees, states, touches and last matches."""
    model = truth.model
    for number, terms in model["instruments"].items():
        got = moment.instrument(terms.symbol)
        assert (got.instrument, got.state) == (number, model["instrument_states"].get(number, 1))
        base, quote = (model["currencies"][currency].symbol for currency in unpack_halves(terms.currencies))
        assert (got.base, got.quote) == (base, quote)
        for name in ("symbol", "multiplier", "divisor", "lot_units", "price_max", "quantity_max"):
            assert getattr(got, name) == getattr(terms, name)
        assert (got.maker_rate, got.taker_rate) == unpack_halves(terms.fee_rates)
        assert (got.price_decimals, got.quantity_decimals, got.rounding) == (
            terms.flags & 255, terms.flags >> 8 & 255, terms.flags >> 16,
        )  # fmt: skip
        assert got.market_data == model["market_data"].get(number, 0)
        for best, side in ((got.bid, Side.BUY), (got.ask, Side.SELL)):
            first = [*levels(truth, number, side).items(), None][0]
            want = first and (first[0], sum(o["leaves"] for o in first[1]), len(first[1]))
            assert (best and (best.price, best.quantity, best.orders)) == want
        live = [order for order in truth.orders if order["instrument"] == number]
        assert got.waiting == sum(where(order) not in {Where.BOOK, Where.HIDDEN} for order in live)
        assert got.last_price == model["last"].get(number, 0)
        last = got.last and (got.last.price, got.last.quantity, got.last.sequence, got.last.time, got.last.match_number)
        assert (last, got.searched_from) == (truth.last.get(number), 0)


def check_venue(moment, truth):
    """Sessions, currencies, counters and digests."""
    model = truth.model
    for number, (role, firm, accounts, inbound, outbound, credential) in model["sessions"].items():
        got = moment.session(number)
        assert (got.session, got.role, got.firm, list(got.accounts)) == (number, role, firm, accounts)
        assert (got.inbound, got.outbound, got.has_credential) == (inbound, outbound, credential)
    for got in moment.currencies():
        number = got.currency
        assert (got.deposited, got.withdrawn) == (model["deposited"].get(number, 0), model["withdrawn"].get(number, 0))
        assert got.fees == model["fees"].get(number, 0)
        assert got.held == sum(total for key, total in model["balances"].items() if key[1] == number)
    assert [got.currency for got in moment.currencies()] == sorted(model["currencies"])
    got = moment.venue()
    for name in ("order_numbers", "match_numbers", "epoch", "day", "days", "operations"):
        assert getattr(got, name) == model[name], name
    assert (got.state, got.open_orders) == (model["venue_state"], len(truth.orders))
    assert (got.accounts, got.sessions) == (len(model["accounts"]), len(model["sessions"]))
    assert (got.event_digest, got.state_digest) == truth.digests


def check_moment(moment, truth, orders):
    """Everything that a moment answers; of the orders those that are named."""
    assert (moment.sequence, moment.time) == (truth.sequence, truth.time)
    for number in orders:
        check_order(moment, truth, number)
    check_books(moment, truth)
    check_instruments(moment, truth)
    check_accounts(moment, truth)
    check_venue(moment, truth)


# ---- how it gets there


class Steps:
    """The rows that a history applies."""

    def __init__(self):
        self.rows = []

    def __call__(self, row, upto):
        self.rows.append(row)
        assert row <= upto


def files(path):
    """Every file of a directory with its digest, but for the one that readers of LMDB write."""
    return {
        file: file.is_file() and file.name != "lock.mdb" and hashlib.sha256(file.read_bytes()).digest()
        for file in path.rglob("*")
    }
