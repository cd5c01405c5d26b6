"""The naive market: docs/commands.md said again with lists and loops; slow, exact, and ignorant of the engine.

`Model().apply(row)` takes one command and returns the event Structs that docs/events.md promises for it.
"""

from dataclasses import dataclass
from types import SimpleNamespace

from core import messages as m
from core.kinds import (
    FEE_PERIOD,
    KEPT_PLACE,
    PENDING,
    PREVENTION_SHIFT,
    REDUCE_ONLY,
    REENTER,
    SLIDE,
    KillAct,
    Limit,
    Prevention,
    TradingState,
)
from core.kinds import OrderType as Type
from core.kinds import TimeInForce as Tif
from core.limits import QUANTITY_MAX, STEPS_MAX, TODOS_MAX
from core.reasons import CancelReason
from core.reasons import RejectReason as R
from tests.model_orders import STOPS, TOUCHED, Order
from tests.model_refusals import Refusals


@dataclass
class Operation:
    """A mass operation with its cursor: the account it is at, and the order it looked at last."""

    c: SimpleNamespace
    last_order: int
    count: int = 0
    account: int = 0
    order: int = 0


class Model(Refusals):
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
        self.count_anew()
        if c.flags & FEE_PERIOD:
            self.volumes.clear()
        self.tell(m.DayEnded, c.session, flags=c.flags, day=c.day)
        self.begin_operation(c)
        return None

    def enter_order(self, c):
        if (reason := self.enter_new(c)) is None:
            self.count_entered(c)
        return reason

    def enter_new(self, c):
        reason = self.refuse_place(c) or self.refuse_by_state(c, cancels=False)
        reason = reason or self.refuse_by_standing(c, c.flags & REDUCE_ONLY)
        if reason := reason or self.refuse_by_rate(c, Limit.MESSAGE_RATE, R.MESSAGE_RATE_LIMIT):
            return reason
        if self.find(c.account, c.client_order_id):
            return R.DUPLICATE_CLIENT_ORDER_ID
        order = self.new_order(c)
        reason = self.refuse_time_in_force(order) or self.refuse_instruction(c, order) or self.refuse_price(c, order)
        reason = reason or self.refuse_quantity(c, order, c.minimum_quantity) or self.refuse_size(c, order)
        reason = reason or self.refuse_expiry(order, c.expires) or self.refuse_to_follow(order)
        if reason:
            return reason
        if order.reduces:
            order.leaves = min(order.leaves, self.allowed(order))
        order.needed = order.leaves if order.all_or_none else c.minimum_quantity
        if reason := self.refuse_worth(order, order.leaves):
            return reason
        order.price = self.price_on_entry(order)
        if reason := self.refuse_by_limits(c, order, order.leaves) or self.refuse_entry(order):
            return reason
        self.order_numbers += 1
        self.enter(m.Accepted, order, quantity=order.leaves, expires=self.end_of(order))
        return None

    def new_order(self, c):
        maker, taker = self.rates_for(c.account, c.instrument)
        order = Order(
            self.order_numbers + 1, c.session, c.account, c.instrument, c.client_order_id, c.flags, c.price,
            c.quantity, c.expires, self.days, maker, taker, display=c.display_quantity, trigger=c.trigger_price,
            offset=c.offset,
        )  # fmt: skip
        order.waits = order.type in (*STOPS, *TOUCHED)
        if order.type == Type.PEGGED:
            order.limit, order.price = c.price, 0
        if order.type == Type.TRAILING_STOP:
            order.limit = c.trigger_price
        if order.prevention == Prevention.NONE:
            mode = self.standing(c.account).prevention % Prevention.ALLOW
            mode = Prevention.CANCEL_NEWEST if order.spends and mode == Prevention.DECREMENT else mode
            order.flags |= mode << PREVENTION_SHIFT
        return order

    def price_on_entry(self, order):
        """The price that the order gets; 0: any, or none."""
        if order.type in (Type.MARKET, Type.MARKET_TO_LIMIT):
            return self.market_price(order) or 0
        if order.type == Type.PEGGED:
            return self.pegged_price(order)
        return self.slide(order) if order.flags & SLIDE else order.price

    def replace_order(self, c):
        if (reason := self.replace_old(c)) is None:
            self.count_entered(self.replaced)
        return reason

    def replace_old(self, c):
        if reason := self.refuse_place(c) or self.refuse_by_state(c, cancels=False):
            return reason
        old = self.find(c.account, c.original_client_order_id)
        old = None if old is None or old.instrument != c.instrument or self.is_over(old) else old
        reason = self.refuse_by_standing(c, old is None or old.reduces)
        if reason := reason or self.refuse_by_rate(c, Limit.MESSAGE_RATE, R.MESSAGE_RATE_LIMIT):
            return reason
        self.replaced = old
        if old is None:
            return R.UNKNOWN_ORDER
        if c.client_order_id != c.original_client_order_id and self.find(c.account, c.client_order_id):
            return R.DUPLICATE_CLIENT_ORDER_ID
        order = self.renewed(c, old)
        if (c.display_quantity and not old.display) or (c.trigger_price and not old.waits):
            return R.INVALID_INSTRUCTION
        reason = self.refuse_price(c, order, kept=not c.trigger_price) or self.refuse_quantity(c, order, 0)
        reason = reason or self.refuse_size(c, order)
        if reason := reason or (self.refuse_expiry(order, c.expires) if c.expires else None):
            return reason
        if reason := self.refuse_to_follow(order, replaces=True):
            return reason
        return self.put_in_place(c, old, order)

    def renewed(self, c, old):
        """What a replace makes of an order."""
        leaves = c.quantity if c.flags & REENTER else max(c.quantity - old.executed, 0)
        order = Order(**vars(old) | {"client_order_id": c.client_order_id, "leaves": leaves, "needed": 0})
        order.limit, order.price = (c.price, old.price) if old.type == Type.PEGGED else (old.limit, c.price)
        if old.type == Type.TRAILING_STOP and c.trigger_price:
            order.limit = c.trigger_price
        order.expires = c.expires or old.expires
        order.display, order.trigger = c.display_quantity or old.display, c.trigger_price or old.trigger
        return order

    def put_in_place(self, c, old, order):
        """The rest of a replace: the order is canceled, keeps its place, or enters again."""
        excess = max(order.leaves - self.allowed(order), 0) if order.reduces else 0
        order.leaves -= excess
        if order.leaves == 0:
            self.cancel(old, CancelReason.REPLACED_BELOW_EXECUTED)
            return self.acknowledge(c, old)
        terms = [(o.asked, o.limit, o.trigger, o.display) for o in (old, order)]
        keeps = terms[0] == terms[1] and order.leaves <= old.leaves and not c.flags & REENTER
        if not keeps and (reason := self.refuse_again(c, old, order, c.quantity - excess)):
            return reason
        stood = old.price * self.stands(old)
        self.orders = [o for o in self.orders if o is not old]
        columns = {"quantity": order.executed + order.leaves, "original_client_order_id": c.original_client_order_id}
        if keeps:
            self.orders.append(order)
            order.shown = min(old.shown, order.leaves)
            self.report(m.Replaced, order, public=stood and not order.veiled, flags=KEPT_PLACE, **columns)
            if stood and order.shown != old.shown:
                self.show(order, order.shown)
        else:
            self.enter(m.Replaced, order, stood, **columns)
        return self.acknowledge(c, order)

    def refuse_again(self, c, old, order, quantity):
        """The refusals of a replace that leaves its place, as if the order had left first; gives it its price."""
        every = self.orders
        self.orders = [o for o in every if o is not old]
        reason = self.refuse_worth(order, quantity)
        if order.type == Type.PEGGED:
            order.price = self.followed_price(order)
        elif order.flags & SLIDE:
            order.price = self.slide(order)
        reason = reason or self.refuse_by_limits(c, order, quantity) or self.refuse_entry(order)
        self.orders = every
        return reason

    def reduce_order(self, c):
        if reason := self.refuse_place(c) or self.refuse_cancel(c):
            return reason
        if (order := self.find(c.account, c.client_order_id)) is None or order.instrument != c.instrument:
            return R.UNKNOWN_ORDER
        if not 1 <= c.quantity <= QUANTITY_MAX:
            return R.INVALID_QUANTITY
        self.cut(order, c.quantity, CancelReason.REQUESTED)
        return self.acknowledge(c, order)

    def cancel_order(self, c):
        if reason := self.refuse_place(c) or self.refuse_cancel(c):
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
        if reason := self.refuse_cancel(c):
            return reason
        if not self.are_known(self.named(c)):
            return R.INVALID_DEFINITION
        if len(self.operations) >= TODOS_MAX:
            return R.TOO_MANY_PENDING
        operation = self.begin_operation(c)
        if operation in self.operations:
            self.tell_count(operation, PENDING)
        return None

    def kill(self, c):
        if c.account != 0 and c.account not in self.accounts:
            return R.UNKNOWN_ACCOUNT
        owners = self.named(c)
        if len(owners) > 1 or not self.are_known(owners) or c.act not in list(KillAct):
            return R.INVALID_DEFINITION
        if c.act == KillAct.KILL and len(self.operations) >= TODOS_MAX:
            return R.TOO_MANY_PENDING
        columns = {"account": c.account, "named": c.named, "firm": c.firm, "act": c.act}
        self.tell(m.Killed, c.session, copy=c.account, firm_copy=c.firm, **columns)
        if c.act == KillAct.REVIVE:
            self.killed -= {*owners} or {("venue", 0)}
        else:
            self.killed |= {*owners} or {("venue", 0)}
            self.begin_operation(c)
        return None

    def refuse_cancel(self, c):
        state = self.refuse_by_state(c, cancels=True)
        return state or self.refuse_by_rate(c, Limit.CANCEL_RATE, R.CANCEL_RATE_LIMIT)

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
        return self.account_after(operation) is not None or bool(self.waiting(operation))

    def account_after(self, operation):
        """Where it goes on: with the next number, or of a session that is no operator with the next account granted."""
        session = self.sessions.get(getattr(operation.c, "named", 0) or None)
        numbers = range(1, max(self.accounts, default=0) + 1)
        if session and not session.operator:
            numbers = sorted(session.accounts)
        later = [number for number in numbers if number > operation.account and not operation.c.account]
        return min(later, default=None)

    def step(self, operation):
        """Look at the next order of this account, or go to the next account number."""
        c, orders = operation.c, self.waiting(operation)
        if not orders:
            operation.account, operation.order = self.account_after(operation), 0
            return
        order = min(orders, key=lambda o: o.number)
        operation.order = order.number
        if c.of is m.EndOfDay and order.tif == Tif.DAY:
            self.expire(order)
        elif c.of is not m.EndOfDay and self.fits(c, order):
            operation.count += 1
            self.cancel(order, CancelReason.KILLED if c.of is m.Kill else CancelReason.MASS_CANCEL)

    def fits(self, c, order):
        """Whether a mass cancel or a kill means the order; the account is that at the cursor."""
        owned = all(self.belongs(order, owner) for owner in self.named(c))
        sides = c.flags in (0, order.side + 1)
        return owned and (c.of is m.Kill or (sides and c.instrument in (0, order.instrument)))

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
        if c.of is m.AdvanceTime and -q.timer_time in self.instruments:
            instrument = -q.timer_time
            self.stop_following(instrument)
        elif c.of is m.AdvanceTime and due:
            due[0].timed, instrument = False, due[0].instrument
        elif c.of is m.AdvanceTime:
            self.operations = self.operations[1:]
        columns = {"instrument": instrument, "account": account, "command": c.command, "timer_order": q.timer_order}
        self.tell(m.Quarantined, flags=0, **columns)
        if instrument or account:
            self.set_state(0, instrument, account, TradingState.HALTED)
        elif self.venue_state == TradingState.OPEN:
            self.set_state(0, 0, 0, TradingState.CANCEL_ONLY)
