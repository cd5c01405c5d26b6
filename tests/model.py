"""The naive market: docs/commands.md said again with lists and loops; slow, exact, and ignorant of the engine.

`Model().apply(row)` takes one command and returns the event Structs that docs/events.md promises for it.
"""

from dataclasses import dataclass
from types import SimpleNamespace

from core import messages as m
from core.kinds import KEPT_PLACE, PENDING, POST_ONLY, REENTER, REMOVED, RESTING, Side, TradingState
from core.kinds import OrderType as Type
from core.kinds import TimeInForce as Tif
from core.limits import DAY_BASE, LEVELS_MAX, MATCHES_MAX, NEVER, QUANTITY_MAX, STEPS_MAX, SUM_MAX, TODOS_MAX
from core.reasons import CancelReason
from core.reasons import RejectReason as R
from tests.model_venue import Venue, read

RESTS = (Tif.DAY, Tif.GTC, Tif.GTD)


@dataclass
class Order:
    """A live order; of two at one price, the one with the smaller `place` has stood longer."""

    number: int
    session: int
    account: int
    instrument: int
    client_order_id: int
    flags: int
    price: int
    leaves: int
    expires: int
    days: int
    maker: int
    taker: int
    executed: int = 0
    place: int = 0
    timed: bool = False

    @property
    def side(self):
        return self.flags & 1

    @property
    def tif(self):
        return self.flags >> 5 & 15

    @property
    def is_market(self):
        return self.flags >> 1 & 15 == Type.MARKET


@dataclass
class Operation:
    """A mass operation with its cursor: the account it is at, and the order it looked at last."""

    c: SimpleNamespace
    last_order: int
    count: int = 0
    account: int = 0
    order: int = 0


def fee_of(amount, rate):
    """Truncated toward zero."""
    return amount * rate // 10**6 if rate >= 0 else -(amount * -rate // 10**6)


class Model(Venue):
    """The whole venue: `orders` are all that live, in no order that matters."""

    def __init__(self):
        super().__init__()
        self.orders, self.operations = [], []
        self.order_numbers = self.match_numbers = self.places = self.days = self.day = 0

    def report(self, event, order, private=True, public=True, flags=0, **columns):
        """Tell of an order: its session and firm, and the market."""
        terms = {"instrument": order.instrument, "account": order.account, "client_order_id": order.client_order_id}
        terms |= {"price": order.price, "leaves": order.leaves, "order_number": order.number}
        to, copy, feed = order.session * private, order.account * private, order.instrument * public
        self.tell(event, to, copy, feed, flags=order.flags | flags, **terms | columns)

    # ---- what can be asked

    def is_over(self, order):
        return order.expires <= self.now if order.tif == Tif.GTD else order.tif == Tif.DAY and order.days < self.days

    def end_of(self, order):
        """When its time is over, as events tell it."""
        return {Tif.GTD: order.expires, Tif.DAY: DAY_BASE + order.days}.get(order.tif, NEVER)

    def find(self, account, client_order_id):
        found = [o for o in self.orders if (o.account, o.client_order_id) == (account, client_order_id)]
        return found[0] if found else None

    def side_of(self, instrument, side):
        """The orders of one side of a book, the one that trades next first."""
        sign = -1 if side == Side.BUY else 1
        standing = [o for o in self.orders if (o.instrument, o.side) == (instrument, side)]
        return sorted(standing, key=lambda o: (sign * o.price, o.place))

    def in_reach(self, order):
        """The orders of the other side that its price reaches; any, for a market order."""
        other = self.side_of(order.instrument, 1 - order.side)
        if order.is_market:
            return other
        return [o for o in other if (o.price <= order.price if order.side == Side.BUY else o.price >= order.price)]

    def amount(self, instrument, price, quantity):
        """What a match moves of the quote currency."""
        i = self.instruments[instrument]
        product = price * quantity * i.multiplier
        return -(-product // i.divisor) if i.rounds_up else product // i.divisor

    def cover(self, order, price=None):
        """The currency that an order reserves, and how much of it."""
        i, price = self.instruments[order.instrument], price or order.price
        if order.side == Side.SELL:
            return i.base, order.leaves * i.lot_units
        if i.rounds_up:
            amount = order.leaves * -(-price * i.multiplier // i.divisor)
        else:
            amount = price * order.leaves * i.multiplier // i.divisor
        return i.quote, amount + fee_of(amount, max(order.maker, order.taker, 0))

    def reserved(self, account, currency):
        covers = [self.cover(o) for o in self.orders if o.account == account]
        return sum(amount for c, amount in covers if c == currency)

    # ---- commands, in the order of docs/commands.md

    def advance_time(self, c):
        due = sorted((o.expires, o.number) for o in self.orders if o.timed and o.expires <= self.now)
        for _, number in due[:STEPS_MAX]:
            self.expire(next(o for o in self.orders if o.number == number))
        self.run_operations(STEPS_MAX - len(due[:STEPS_MAX]))

    def end_of_day(self, c):
        if not max(1, self.day + 1) <= c.day <= 99_999_999:
            return R.INVALID_DAY
        if len(self.operations) >= TODOS_MAX:
            return R.TOO_MANY_PENDING
        self.day, self.days = c.day, self.days + 1
        self.tell(m.DayEnded, c.session, day=c.day)
        return self.begin_operation(c)

    def enter_order(self, c):
        if reason := self.refuse_place(c) or self.refuse_by_state(c, cancels=False):
            return reason
        if self.find(c.account, c.client_order_id):
            return R.DUPLICATE_CLIENT_ORDER_ID
        i = self.instruments[c.instrument]
        order = Order(
            self.order_numbers + 1, c.session, c.account, c.instrument, c.client_order_id, c.flags, c.price,
            c.quantity, c.expires, self.days, i.maker, i.taker,
        )  # fmt: skip
        if order.is_market and order.tif in RESTS:
            return R.INVALID_TIME_IN_FORCE
        if c.flags & POST_ONLY and order.tif not in RESTS:
            return R.INVALID_INSTRUCTION
        reason = self.refuse_terms(order, c.quantity) or self.refuse_expiry(order, c.expires)
        if reason := reason or self.refuse_entry(order):
            return reason
        self.order_numbers += 1
        self.stand_or_match(m.Accepted, order, quantity=c.quantity, expires=self.end_of(order))
        return None

    def replace_order(self, c):
        if reason := self.refuse_place(c) or self.refuse_by_state(c, cancels=False):
            return reason
        old = self.find(c.account, c.original_client_order_id)
        if old is None or old.instrument != c.instrument or self.is_over(old):
            return R.UNKNOWN_ORDER
        if c.client_order_id != c.original_client_order_id and self.find(c.account, c.client_order_id):
            return R.DUPLICATE_CLIENT_ORDER_ID
        leaves = c.quantity if c.flags & REENTER else max(c.quantity - old.executed, 0)
        order = Order(**vars(old) | {"client_order_id": c.client_order_id, "price": c.price, "leaves": leaves})
        if reason := self.refuse_terms(order, c.quantity):
            return reason
        if c.expires != 0 and (reason := self.refuse_expiry(order, c.expires)):
            return reason
        order.expires = c.expires or old.expires
        keeps = c.price == old.price and leaves <= old.leaves and not c.flags & REENTER
        if leaves and not keeps:
            self.orders.remove(old)
            reason = self.refuse_entry(order)
            self.orders.append(old)
            if reason:
                return reason
        old_id = {"original_client_order_id": c.original_client_order_id}
        if leaves == 0:
            self.cancel(old, CancelReason.REPLACED_BELOW_EXECUTED)
            return self.acknowledge(c, order)
        self.orders.remove(old)
        if keeps:
            self.orders.append(order)
            self.report(m.Replaced, order, flags=KEPT_PLACE, quantity=order.executed + leaves, **old_id)
        else:
            self.stand_or_match(m.Replaced, order, quantity=order.executed + leaves, **old_id)
        return self.acknowledge(c, order)

    def reduce_order(self, c):
        order = None
        if reason := self.refuse_place(c) or self.refuse_by_state(c, cancels=True):
            return reason
        if (order := self.find(c.account, c.client_order_id)) is None or order.instrument != c.instrument:
            return R.UNKNOWN_ORDER
        if not 1 <= c.quantity <= QUANTITY_MAX:
            return R.INVALID_QUANTITY
        if c.quantity >= order.leaves:
            self.cancel(order, CancelReason.REQUESTED)
        else:
            order.leaves -= c.quantity
            self.report(m.Reduced, order, quantity=c.quantity)
        return self.acknowledge(c, order)

    def cancel_order(self, c):
        if reason := self.refuse_place(c) or self.refuse_by_state(c, cancels=True):
            return reason
        if (order := self.find(c.account, c.client_order_id)) is None or order.instrument != c.instrument:
            return R.UNKNOWN_ORDER
        self.cancel(order, CancelReason.REQUESTED)
        return self.acknowledge(c, order)

    def mass_cancel(self, c):
        if c.instrument != 0 and c.instrument not in self.instruments:
            return R.UNKNOWN_INSTRUMENT
        if c.account != 0 and c.account not in self.accounts:
            return R.UNKNOWN_ACCOUNT
        if reason := self.refuse_by_state(c, cancels=True):
            return reason
        if len(self.operations) >= TODOS_MAX:
            return R.TOO_MANY_PENDING
        operation = self.begin_operation(c)
        if operation in self.operations:
            self.tell_count(operation, PENDING)
        return None

    # ---- refusals

    def refuse_place(self, c):
        if c.instrument not in self.instruments:
            return R.UNKNOWN_INSTRUMENT
        return None if c.account in self.accounts else R.UNKNOWN_ACCOUNT

    def refuse_terms(self, order, quantity):
        """Price, quantity and notional."""
        i = self.instruments[order.instrument]
        if not (order.price == 0 if order.is_market else 1 <= order.price <= i.price_max):
            return R.INVALID_PRICE
        if not 1 <= quantity <= i.quantity_max:
            return R.INVALID_QUANTITY
        if order.price * quantity * i.multiplier > SUM_MAX:
            return R.INVALID_NOTIONAL
        if order.side == Side.SELL and quantity * i.lot_units > SUM_MAX:
            return R.INVALID_NOTIONAL
        return None

    def refuse_expiry(self, order, expires):
        good = self.now < expires <= SUM_MAX if order.tif == Tif.GTD else expires == 0
        return None if good else R.INVALID_EXPIRY

    def refuse_entry(self, order):
        """What depends on the book and on the account."""
        side = self.side_of(order.instrument, order.side)
        prices = {o.price for o in side}
        if order.tif in RESTS and order.price not in prices and len(prices) >= LEVELS_MAX:
            return R.LEVELS_FULL
        if order.tif in RESTS and sum(o.leaves for o in side) + order.leaves > SUM_MAX:
            return R.SUM_AT_BOUND
        if order.flags & POST_ONLY and self.in_reach(order):
            return R.WOULD_TRADE
        if order.is_market and order.side == Side.BUY:
            return None
        currency, amount = self.cover(order)
        return R.INSUFFICIENT_FUNDS if amount > self.free(order.account, currency) else None

    # ---- matching

    def stand_or_match(self, event, order, **columns):
        """Enter an order that nothing refuses any more."""
        self.places += 1
        order.place = self.places
        order.timed = order.tif == Tif.GTD
        if order.tif in RESTS and not self.in_reach(order):
            self.orders.append(order)
            self.report(event, order, flags=RESTING, **columns)
            return
        self.report(event, order, public=event is m.Replaced, **columns)
        reason = self.refuse_to_fill(order) or self.match(order)
        if order.leaves and (reason or order.tif not in RESTS):
            self.cancel(order, reason or CancelReason.IMMEDIATE_OR_CANCEL)
        elif order.leaves:
            self.orders.append(order)
            self.report(m.Rested, order, private=False, flags=RESTING, quantity=order.leaves)

    def refuse_to_fill(self, order):
        """Why a FOK order does not trade at all."""
        if order.tif != Tif.FOK:
            return None
        reach, needed = self.in_reach(order), order.leaves
        for price in dict.fromkeys(o.price for o in reach):
            if needed > 0:
                worst = price
                needed -= sum(o.leaves for o in reach if o.price == price and not self.is_over(o))
        if needed > 0:
            return CancelReason.FILL_OR_KILL
        if sum(o.price == worst or o in reach[: [x.price for x in reach].index(worst)] for o in reach) > MATCHES_MAX:
            return CancelReason.FILL_OR_KILL
        if order.is_market and order.side == Side.BUY:
            currency, amount = self.cover(order, worst)
            passed = worst * order.leaves * self.instruments[order.instrument].multiplier > SUM_MAX
            if passed or amount > self.free(order.account, currency):
                return CancelReason.INSUFFICIENT_FUNDS
        return None

    def match(self, order):
        """Trade with what is in reach; why the rest is canceled at once, if so."""
        for met, resting in enumerate(self.in_reach(order)):
            if order.leaves == 0:
                break
            if met == MATCHES_MAX:
                return CancelReason.MATCH_LIMIT
            if self.is_over(resting):
                self.expire(resting)
                continue
            wanted = min(order.leaves, resting.leaves)
            quantity = wanted
            if order.is_market and order.side == Side.BUY:
                quantity = self.affordable(order, resting.price, wanted)
            if quantity:
                self.trade(order, resting, quantity)
            if quantity < wanted:
                return CancelReason.INSUFFICIENT_FUNDS
        return None

    def affordable(self, order, price, wanted):
        """The largest quantity that a market buy can pay, found by halving."""
        free, low, high = self.free(order.account, self.instruments[order.instrument].quote), 0, wanted
        while low < high:
            middle = (low + high + 1) // 2
            amount = self.amount(order.instrument, price, middle)
            if amount + max(fee_of(amount, order.taker), 0) <= free and amount <= SUM_MAX:
                low = middle
            else:
                high = middle - 1
        return low

    def trade(self, order, resting, quantity):
        self.match_numbers += 1
        for one, flags in ((resting, 0), (order, REMOVED)):
            one.leaves -= quantity
            one.executed += quantity
            terms = {"price": resting.price, "quantity": quantity, "match_number": self.match_numbers}
            self.report(m.Executed, one, public=one is resting, flags=flags, **terms)
        if resting.leaves == 0:
            self.orders.remove(resting)
        self.settle(order, resting, quantity)

    def settle(self, order, resting, quantity):
        i = self.instruments[order.instrument]
        amount = self.amount(order.instrument, resting.price, quantity)
        maker, taker = fee_of(amount, resting.maker), fee_of(amount, order.taker)
        maker, taker = max(maker, -max(taker, 0)), max(taker, -max(maker, 0))
        buyer, seller = (order, resting) if order.side == Side.BUY else (resting, order)
        buyer_fee, seller_fee = (taker, maker) if order is buyer else (maker, taker)
        self.balances[buyer.account, i.base] += quantity * i.lot_units
        self.balances[seller.account, i.base] -= quantity * i.lot_units
        self.balances[buyer.account, i.quote] -= amount + buyer_fee
        self.balances[seller.account, i.quote] += amount - seller_fee
        self.fees[i.quote] += maker + taker
        self.tell(
            m.Settled, flags=0, instrument=order.instrument, buyer=buyer.account, seller=seller.account,
            base_amount=quantity * i.lot_units, quote_amount=amount, buyer_fee=buyer_fee, seller_fee=seller_fee,
            match_number=self.match_numbers, buyer_drop_copy=self.drop_copy(buyer.account),
            seller_drop_copy=self.drop_copy(seller.account),
        )  # fmt: skip

    # ---- the end of orders

    def cancel(self, order, reason):
        self.end(m.Canceled, order, reason=reason)

    def expire(self, order):
        self.end(m.Expired, order, expires=self.end_of(order))

    def end(self, event, order, **columns):
        """Take it out, and tell the market if it stood there."""
        stood = any(o is order for o in self.orders)
        self.orders = [o for o in self.orders if o is not order]
        self.report(event, order, public=stood, quantity=order.leaves, leaves=0, **columns)

    def acknowledge(self, c, order):
        if c.session != order.session:
            terms = {"instrument": c.instrument, "account": c.account, "client_order_id": c.client_order_id}
            terms |= {"command": c.command, "inbound": c.inbound, "order_number": order.number, "flags": 0}
            self.tell(m.Acknowledged, c.session, **terms)

    # ---- mass operations

    def begin_operation(self, c):
        operation = Operation(c, self.order_numbers)
        self.operations.append(operation)
        if len(self.operations) == 1:
            self.run_operations(STEPS_MAX)
        return operation

    def run_operations(self, steps):
        while self.operations and steps:
            operation = self.operations[0]
            if self.step(operation):
                steps -= 1
            else:
                self.operations.pop(0)
                self.tell_count(operation, 0)

    def step(self, operation):
        """Look at the next order or account; whether there was one."""
        c = operation.c
        orders = [o for o in self.orders if o.account == operation.account]
        orders = [o for o in orders if operation.order < o.number <= operation.last_order]
        if orders:
            order = min(orders, key=lambda o: o.number)
            operation.order = order.number
            if c.of is m.EndOfDay and order.tif == Tif.DAY:
                self.expire(order)
            elif c.of is m.MassCancel and c.instrument in (0, order.instrument) and c.flags in (0, order.side + 1):
                operation.count += 1
                self.cancel(order, CancelReason.MASS_CANCEL)
            return True
        accounts = [a for a in self.accounts if a > operation.account and c.account in (0, a)]
        operation.account, operation.order = min(accounts, default=0), 0
        return bool(accounts)

    def tell_count(self, operation, flags):
        c = operation.c
        if c.of is m.MassCancel:
            terms = {"instrument": c.instrument, "account": c.account, "command": c.command, "inbound": c.inbound}
            self.tell(m.MassCanceled, c.session, flags=flags, count=operation.count, **terms)

    # ---- quarantine

    def halt_instead(self, c):
        """What a Quarantine row puts in the place of the row that it names."""
        self.quarantined, timer = c.sequence, self.timer
        instrument, account, state = 0, 0, TradingState.HALTED
        if timer:
            order = next((o for o in self.orders if o.number == timer), None)
            if order:
                order.timed = False
                instrument = order.instrument
        elif c.instrument in self.instruments:
            instrument = c.instrument
        elif c.account in self.accounts:
            account = c.account
        if not instrument and not account:
            state = TradingState.CANCEL_ONLY
            if c.of is m.AdvanceTime and self.operations:
                self.operations.pop(0)
        self.set_state(instrument, account, state)
        columns = {"instrument": instrument, "account": account, "command": c.command, "timer_order": timer}
        self.tell(m.Quarantined, 0, flags=0, **columns)
