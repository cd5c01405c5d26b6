"""Why the naive market refuses an order, on entry and when it is replaced; in the order of docs/reasons.md."""

from core.kinds import (
    ALL_OR_NONE,
    BASIS_POINTS,
    EXPOSURES,
    HIDDEN,
    MARKET_RESTS,
    POST_ONLY,
    QUOTE,
    REDUCE_ONLY,
    SLIDE,
    Limit,
    Prevention,
    Side,
)
from core.kinds import OrderType as Type
from core.kinds import TimeInForce as Tif
from core.limits import LEVELS_MAX, PRICE_MAX, SUM_MAX
from core.reasons import RejectReason as R
from tests.model_links import Links
from tests.model_orders import RESTS

FOLLOWERS_MAX = 1_024
"""Live orders of type TRAILING_STOP, and of type PEGGED, in an instrument."""

SPENDING_LOTS = 2**56
"""What the lots of a SPEND_AT_MOST order count as, which nobody knows before it trades."""

REDUCE_ONLY_MAX = QUOTES_MAX = 64
"""Live reduce-only orders, and live quotes, of an account in an instrument."""

POST_ONLY_BITS = POST_ONLY | SLIDE
DISPLAY, MINIMUM = "display_quantity", "minimum_quantity"
MAY_HAVE = {
    Type.MARKET: {REDUCE_ONLY},
    Type.LIMIT: {POST_ONLY_BITS, REDUCE_ONLY, HIDDEN, ALL_OR_NONE, DISPLAY, MINIMUM, QUOTE},
    Type.STOP: {REDUCE_ONLY, "trigger_price"},
    Type.STOP_LIMIT: {REDUCE_ONLY, "trigger_price"},
    Type.MARKET_TO_LIMIT: {ALL_OR_NONE, MINIMUM},
    Type.SPEND_AT_MOST: set(),
    Type.MARKET_IF_TOUCHED: {REDUCE_ONLY, "trigger_price"},
    Type.LIMIT_IF_TOUCHED: {REDUCE_ONLY, "trigger_price"},
    Type.TRAILING_STOP: {REDUCE_ONLY, "trigger_price", "offset", BASIS_POINTS},
    Type.PEGGED: {HIDDEN, "offset", 3 << 17},
}
"""Which bits and columns the table of types gives to each."""

TIMES = {
    Type.LIMIT: tuple(Tif),
    Type.MARKET_TO_LIMIT: (*RESTS, Tif.IOC),
    Type.SPEND_AT_MOST: (Tif.IOC,),
}


class Refusals(Links):
    """`c` is the command, `order` what it would make of the order."""

    def refuse_place(self, c):
        if c.instrument not in self.instruments:
            return R.UNKNOWN_INSTRUMENT
        return None if c.account in self.accounts else R.UNKNOWN_ACCOUNT

    # ---- what the command says

    def refuse_time_in_force(self, order):
        times = TIMES.get(order.type, RESTS)
        if order.type == Type.MARKET:
            rest = RESTS if self.rules_of(order.instrument).flags & MARKET_RESTS else ()
            times = (Tif.IOC, Tif.FOK, *rest)
        return None if order.tif in times else R.INVALID_TIME_IN_FORCE

    def refuse_instruction(self, c, order):
        every = {name for names in MAY_HAVE.values() for name in names}
        columns = {name for name in every if isinstance(name, str) and getattr(c, name) != 0}
        bits = {bit for bit in every if isinstance(bit, int) and c.flags & bit}
        at_once, post = order.tif in (Tif.IOC, Tif.FOK), c.flags & POST_ONLY_BITS
        at_entry = [bool(c.flags & ALL_OR_NONE), c.minimum_quantity != 0]
        bad = (columns | bits) - MAY_HAVE[order.type]
        bad = bad or (at_once and (post or c.flags & HIDDEN or c.display_quantity))
        bad = bad or (any(at_entry) and (order.tif == Tif.FOK or post or all(at_entry)))
        bad = bad or (c.flags & HIDDEN and c.display_quantity)
        veils = c.flags & (REDUCE_ONLY | HIDDEN) or c.display_quantity
        bad = bad or (c.flags & QUOTE and (at_once or veils or any(at_entry)))
        bad = bad or (order.spends and (order.side == Side.SELL or c.flags >> 14 & 7 == Prevention.DECREMENT))
        bad = bad or (order.reduces and not self.rules_of(order.instrument).flags & EXPOSURES)
        return R.INVALID_INSTRUCTION if bad else None

    def refuse_price(self, c, order, kept=False):
        """Price, trigger price and offset; `kept`: the trigger price is that of the order until now."""
        low, high = (1, self.instruments[order.instrument].price_max) if order.has_price else (0, 0)
        if order.type == Type.PEGGED and order.side == Side.SELL:
            low = 0
        good = low <= c.price <= high
        if order.waits and not kept:
            good = good and self.is_price(order.instrument, order.trigger)
        if order.type == Type.TRAILING_STOP:
            good = good and 1 <= order.offset <= (9_999 if order.flags & BASIS_POINTS else PRICE_MAX)
        if order.type == Type.PEGGED:
            good = good and -PRICE_MAX <= order.offset <= PRICE_MAX
        return None if good else R.INVALID_PRICE

    def refuse_quantity(self, c, order, minimum):
        i, least = self.instruments[order.instrument], self.rules_of(order.instrument).quantity_min
        good = 1 <= c.quantity <= SUM_MAX if order.spends else max(least, 1) <= c.quantity <= i.quantity_max
        parts = [part for part in (c.display_quantity, minimum) if part != 0]
        return None if good and all(1 <= part <= c.quantity for part in parts) else R.INVALID_QUANTITY

    def refuse_size(self, c, order):
        """INVALID_NOTIONAL."""
        i = self.instruments[order.instrument]
        price = c.price or order.trigger * order.waits
        if not price and (order.type == Type.MARKET_TO_LIMIT or (order.type == Type.MARKET and order.rests)):
            price = self.market_price(order) or 0
        if price * c.quantity * i.multiplier * (not order.spends) > SUM_MAX:
            return R.INVALID_NOTIONAL
        if order.side == Side.SELL and c.quantity * i.lot_units > SUM_MAX:
            return R.INVALID_NOTIONAL
        return None

    def refuse_expiry(self, order, expires):
        good = self.now < expires <= SUM_MAX if order.tif == Tif.GTD else expires == 0
        return None if good else R.INVALID_EXPIRY

    # ---- what stands already

    def refuse_to_follow(self, order, replaces=False):
        """WOULD_INCREASE, FOLLOWERS_FULL and TOO_MANY_PENDING."""
        if order.reduces and not order.held and not self.allowed(order):
            return R.WOULD_INCREASE
        live = self.live(order.instrument)
        alike = sum(o.type == order.type for o in live)
        if not replaces and order.type in (Type.TRAILING_STOP, Type.PEGGED) and alike >= FOLLOWERS_MAX:
            return R.FOLLOWERS_FULL
        mine = [o for o in live if o.account == order.account]
        if not replaces and order.reduces and not order.held and self.count_reducing(order) >= REDUCE_ONLY_MAX:
            return R.FOLLOWERS_FULL
        if not replaces and order.is_quote and sum(o.is_quote for o in mine) >= QUOTES_MAX:
            return R.FOLLOWERS_FULL
        waits = order.waits and not order.held
        return R.TOO_MANY_PENDING if waits and self.next_triggered(order.instrument) else None

    def refuse_worth(self, order, quantity):
        """The collar and the bounds of the notional, by the price in the command."""
        rules, last = self.rules_of(order.instrument), self.last.get(order.instrument)
        if rules.collar and last and order.asked and order.type != Type.PEGGED:
            base = order.trigger if order.waits else last
            if (order.asked - base) * order.sign > base * rules.collar // 10**6:
                return R.OUTSIDE_COLLAR
        if price := order.asked or order.trigger * order.waits:
            worth = self.amount(order.instrument, price, quantity)
            if worth < rules.notional_min:
                return R.NOTIONAL_BELOW_MINIMUM
            if rules.notional_max and worth > rules.notional_max:
                return R.NOTIONAL_ABOVE_MAXIMUM
        return None

    def refuse_by_limits(self, c, order, quantity):
        """The limits but for the rates, each for account, session and firm."""
        mine, live = (lambda owner: [o for o in self.orders if self.belongs(o, owner)]), order.leaves
        lots = 0 if order.spends else live

        def here(owner):
            return [o for o in mine(owner) if o.instrument == order.instrument]

        def position(owner):
            now = self.positions.get((owner, order.instrument), 0) * order.sign
            return now + sum(o.leaves for o in here(owner) if o.side == order.side) + lots

        measures = (
            (Limit.ORDER_QUANTITY, R.QUANTITY_LIMIT, lambda _: 0 if order.spends else quantity),
            (Limit.ORDER_NOTIONAL, R.NOTIONAL_LIMIT, lambda _: self.notional(order)),
            (Limit.OPEN_ORDERS, R.OPEN_ORDERS_LIMIT, lambda owner: len(mine(owner)) + 1),
            (
                Limit.OPEN_NOTIONAL,
                R.OPEN_NOTIONAL_LIMIT,
                lambda owner: sum(self.notional(o) for o in [*here(owner), order]),
            ),
            (Limit.POSITION, R.POSITION_LIMIT, position),
        )
        for limit, reason, measure in measures:
            for owner, bound in self.bounds_on(order, limit):
                if measure(owner) > bound.at(self.now)[0]:
                    return reason
        return self.refuse_by_trades(order)

    def refuse_entry(self, order):
        """What depends on the book and on the account, by the price that the order gets."""
        stands = order.rests and order.price and not order.waits and not order.held and order.type != Type.PEGGED
        others = self.ladder(order)
        prices = {o.price for o in others}
        if stands and order.price not in prices and len(prices) >= LEVELS_MAX:
            return R.LEVELS_FULL
        if stands and sum(o.leaves for o in others) + order.leaves > SUM_MAX:
            return R.SUM_AT_BOUND
        if order.executed + order.leaves > SUM_MAX or self.counts_too_much(order):
            return R.SUM_AT_BOUND
        if order.held:
            return None
        if order.flags & POST_ONLY and self.in_reach(order):
            return R.WOULD_TRADE
        if order.flags & SLIDE and self.in_reach(order):
            return R.WOULD_TRADE
        return R.INSUFFICIENT_FUNDS if self.is_uncovered(order) else None

    def counts_too_much(self, order):
        """Whether lots or notionals that EXPOSURES count would pass their bound; what is open counts as filled."""
        if not self.rules_of(order.instrument).flags & EXPOSURES:
            return False
        lots = SPENDING_LOTS if order.spends else order.leaves
        for owner in self.owners(order.account, order.session):
            mine = [o for o in self.orders if self.belongs(o, owner) and o.instrument == order.instrument]
            position = self.positions.get((owner, order.instrument), 0) * order.sign
            open_lots = sum(o.leaves for o in mine if o.side == order.side) + lots
            worth = sum(self.notional(o) for o in [*mine, order])
            if owner != ("session", 0) and max(open_lots + max(position, 0), worth) > SUM_MAX:
                return True
        return False
