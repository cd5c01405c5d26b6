"""The naive market: docs/commands.md said again with lists and loops; slow, exact, and ignorant of the engine.

`Model().apply(row)` takes one command and returns the event Structs that docs/events.md promises for it.
"""

from dataclasses import dataclass
from types import SimpleNamespace

from core import messages as m
from core.kinds import KEPT_PLACE, PENDING, POST_ONLY, REENTER, Side, TradingState
from core.kinds import TimeInForce as Tif
from core.limits import LEVELS_MAX, QUANTITY_MAX, STEPS_MAX, SUM_MAX, TODOS_MAX
from core.reasons import CancelReason
from core.reasons import RejectReason as R
from tests.model_market import RESTS, Market, Order


@dataclass
class Operation:
    """A mass operation with its cursor: the account it is at, and the order it looked at last."""

    c: SimpleNamespace
    last_order: int
    count: int = 0
    account: int = 0
    order: int = 0


class Model(Market):
    """The whole venue: commands in the order of docs/commands.md."""

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
        self.begin_operation(c)
        return None

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
        if order.executed + leaves > SUM_MAX:
            return R.SUM_AT_BOUND
        if leaves and not keeps:
            self.orders.remove(old)
            reason = self.refuse_entry(order)
            self.orders.append(old)
            if reason:
                return reason
        old_id = {"original_client_order_id": c.original_client_order_id}
        if leaves == 0:
            self.cancel(old, CancelReason.REPLACED_BELOW_EXECUTED)
            return self.acknowledge(c, old)
        self.orders.remove(old)
        if keeps:
            self.orders.append(order)
            self.report(m.Replaced, order, flags=KEPT_PLACE, quantity=order.executed + leaves, **old_id)
        else:
            self.stand_or_match(m.Replaced, order, quantity=order.executed + leaves, **old_id)
        return self.acknowledge(c, order)

    def reduce_order(self, c):
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

    def acknowledge(self, c, order):
        if c.session != order.session:
            terms = {"instrument": c.instrument, "account": c.account, "client_order_id": order.client_order_id}
            terms |= {"command": c.command, "inbound": c.inbound, "order_number": order.number, "flags": 0}
            self.tell(m.Acknowledged, c.session, **terms)

    # ---- mass operations

    def begin_operation(self, c):
        operation = Operation(c, self.order_numbers, account=c.account)
        self.operations.append(operation)
        if len(self.operations) == 1:
            self.run_operations(STEPS_MAX)
        return operation

    def run_operations(self, steps):
        while self.operations and steps:
            operation = self.operations[0]
            while self.has_next(operation):
                if steps == 0:
                    return
                self.step(operation)
                steps -= 1
            self.operations.pop(0)
            self.tell_count(operation, 0)

    def waiting(self, operation):
        """The orders of the account at the cursor that it has not looked at."""
        numbers = range(operation.order + 1, operation.last_order + 1)
        return [o for o in self.orders if o.account == operation.account and o.number in numbers]

    def has_next(self, operation):
        last = operation.c.account or max(self.accounts, default=0)
        return operation.account < last or bool(self.waiting(operation))

    def step(self, operation):
        """Look at the next order of this account, or go to the next account number."""
        c, orders = operation.c, self.waiting(operation)
        if not orders:
            operation.account, operation.order = operation.account + 1, 0
            return
        order = min(orders, key=lambda o: o.number)
        operation.order = order.number
        if c.of is m.EndOfDay and order.tif == Tif.DAY:
            self.expire(order)
        elif c.of is m.MassCancel and c.instrument in (0, order.instrument) and c.flags in (0, order.side + 1):
            operation.count += 1
            self.cancel(order, CancelReason.MASS_CANCEL)

    def tell_count(self, operation, flags):
        c = operation.c
        if c.of is m.MassCancel:
            terms = {"instrument": c.instrument, "account": c.account, "command": c.command, "inbound": c.inbound}
            self.tell(m.MassCanceled, c.session, flags=flags, count=operation.count, **terms)

    # ---- quarantine

    def halt_instead(self, c, q):
        """What a Quarantine row puts in the place of the row that it names."""
        self.quarantined.append(c.sequence)
        due = [o for o in self.orders if o.timed and (o.expires, o.number) == (q.timer_time, q.timer_order)]
        instrument = c.instrument if c.instrument in self.instruments else 0
        account = c.account if c.account in self.accounts and not instrument else 0
        if c.of is m.AdvanceTime and due:
            due[0].timed, instrument = False, due[0].instrument
        elif c.of is m.AdvanceTime:
            self.operations = self.operations[1:]
        columns = {"instrument": instrument, "account": account, "command": c.command, "timer_order": q.timer_order}
        self.tell(m.Quarantined, flags=0, **columns)
        if instrument or account:
            self.set_state(0, instrument, account, TradingState.HALTED)
        elif self.venue_state == TradingState.OPEN:
            self.set_state(0, 0, 0, TradingState.CANCEL_ONLY)
