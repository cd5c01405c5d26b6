"""The naive market's orders, and what can be asked of its books; tests/model_market.py lets them meet."""

from dataclasses import dataclass

from core import messages as m
from core.kinds import (
    ALL_OR_NONE,
    HIDDEN,
    PEG_MASK,
    PEG_SHIFT,
    PREVENTION_MASK,
    PREVENTION_SHIFT,
    QUOTE,
    REDUCE_ONLY,
    Peg,
    Prevention,
    Side,
)
from core.kinds import OrderType as Type
from core.kinds import TimeInForce as Tif
from core.limits import SUM_MAX
from tests.model_limits import Limits

RESTS = (Tif.DAY, Tif.GTC, Tif.GTD)
STOPS = (Type.STOP, Type.STOP_LIMIT, Type.TRAILING_STOP)
TOUCHED = (Type.MARKET_IF_TOUCHED, Type.LIMIT_IF_TOUCHED)
ARRIVE_AS_MARKET = (Type.STOP, Type.MARKET_IF_TOUCHED, Type.TRAILING_STOP)
PRICED = (Type.LIMIT, Type.STOP_LIMIT, Type.LIMIT_IF_TOUCHED, Type.PEGGED)


@dataclass
class Order:
    """A live order; of two at one price, the one with the smaller `place` has stood longer; `armed`: the row since which it waits.

    `price` is 0 while a pegged order is parked, and where an order takes any price. `limit` is that of a pegged order, and
    the trigger price in the latest command of a trailing stop. `arrives`: accepted with others, its turn has not come. `held` by
    the order of number `parent`; linked with that of number `other` so that one cancels the other; `doomed`: that link is over,
    and the order is about to be canceled.
    """

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
    armed: int = 0
    timed: bool = False
    display: int = 0
    shown: int = 0
    needed: int = 0
    trigger: int = 0
    offset: int = 0
    limit: int = 0
    waits: bool = False
    crossed: bool = False
    entered: bool = False
    arrives: bool = False
    held: bool = False
    parent: int = 0
    other: int = 0
    doomed: bool = False

    @property
    def side(self):
        return self.flags & 1

    @property
    def sign(self):
        """What a higher price is to the order: 1 if it reaches further, -1 if less far."""
        return 1 if self.side == Side.BUY else -1

    @property
    def type(self):
        return self.flags >> 1 & 15

    @property
    def tif(self):
        return self.flags >> 5 & 15

    @property
    def prevention(self):
        return self.flags >> PREVENTION_SHIFT & PREVENTION_MASK

    @property
    def peg(self):
        return self.flags >> PEG_SHIFT & PEG_MASK

    @property
    def reduces(self):
        return bool(self.flags & REDUCE_ONLY)

    @property
    def hidden(self):
        return bool(self.flags & HIDDEN)

    @property
    def veiled(self):
        """Whether the market is not told everything."""
        return self.hidden or self.display > 0

    @property
    def watches(self):
        """Whether it waits for a price, and is not held."""
        return self.waits and not self.held and not self.arrives

    @property
    def away(self):
        """Whether it is live and no part of the book, its price aside."""
        return self.waits or self.held or self.arrives

    @property
    def is_quote(self):
        return bool(self.flags & QUOTE)

    @property
    def offered(self):
        """What a match may take at most."""
        return self.shown if self.display else self.leaves

    @property
    def rests(self):
        """Whether what matching leaves of it may stand."""
        return self.tif in RESTS and self.type not in ARRIVE_AS_MARKET

    @property
    def pays(self):
        """Whether it is a buy that pays as it goes."""
        at_once = self.type == Type.MARKET and self.tif not in RESTS
        return self.side == Side.BUY and (at_once or self.type in ARRIVE_AS_MARKET)

    @property
    def spends(self):
        return self.type == Type.SPEND_AT_MOST

    @property
    def asked(self):
        """The price that its owner gave: of a pegged order, its limit."""
        return self.limit if self.type == Type.PEGGED else self.price

    @property
    def has_price(self):
        """Whether its owner has to give a price; of a market order that stands, on replacing it."""
        return self.type in PRICED or (self.entered and not self.waits and self.type not in ARRIVE_AS_MARKET)

    @property
    def rises(self):
        """Whether it waits for a rising price."""
        return (self.side == Side.BUY) == (self.type in STOPS)

    @property
    def all_or_none(self):
        return self.tif == Tif.FOK or bool(self.flags & ALL_OR_NONE)


def fee_of(amount, rate):
    """Truncated toward zero."""
    return amount * rate // 10**6 if rate >= 0 else -(amount * -rate // 10**6)


class Books(Limits):
    """Orders: `orders` are all that live, in no order that matters; `last` is the last price of an instrument."""

    def __init__(self):
        super().__init__()
        self.orders, self.operations = [], []
        self.order_numbers = self.match_numbers = self.places = self.days = self.day = 0
        self.last, self.span, self.touched, self.positions = {}, {}, [], {}
        self.steps = 0

    def report(self, event, order, private=True, public=True, flags=0, **columns):
        """Tell of an order: its session and firm, and the market."""
        terms = {"instrument": order.instrument, "account": order.account, "client_order_id": order.client_order_id}
        terms |= {"price": order.price, "leaves": order.leaves, "order_number": order.number}
        to, copy, feed = order.session * private, order.account * private, order.instrument * public
        self.tell(event, to, copy, feed, flags=order.flags | flags, **terms | columns)

    def show(self, order, shown, price=None):
        """Tell the market what an iceberg shows now."""
        columns = {"instrument": order.instrument, "order_number": order.number, "leaves": shown, "flags": order.side}
        self.tell(m.DisplayChanged, feed=order.instrument, price=price or order.price, **columns)

    def touch(self, order):
        """Remember that an order of the instrument came, went, moved or traded, if others wait or follow there."""
        self.touch_all(order.instrument)

    def touch_all(self, instrument):
        here = [o for o in self.live(instrument) if not o.held and not o.arrives]
        follows = any(o.waits or o.type == Type.PEGGED for o in here)
        follows = follows or self.has_to_activate(instrument)
        if follows and instrument not in self.touched:
            self.touched.append(instrument)

    # ---- orders

    def is_over(self, order):
        return order.expires <= self.now if order.tif == Tif.GTD else order.tif == Tif.DAY and order.days < self.days

    def end_of(self, order):
        """When its time is over, as events tell it."""
        return order.expires if order.tif == Tif.GTD else 0

    def find(self, account, client_order_id):
        found = [o for o in self.orders if (o.account, o.client_order_id) == (account, client_order_id)]
        return found[0] if found else None

    def live(self, instrument):
        return [o for o in self.orders if o.instrument == instrument]

    def stands(self, order):
        """Whether it is in the book: it neither waits, nor is parked, nor comes in or is gone."""
        return not order.away and order.price != 0 and any(o is order for o in self.orders)

    def belongs(self, order, owner):
        kind, number = owner
        firm = self.accounts[order.account].firm
        return number == {"account": order.account, "session": order.session, "firm": firm}[kind]

    def prevents(self, order, resting):
        """Whether self-trade prevention keeps them from trading."""
        if order.prevention in (Prevention.NONE, Prevention.ALLOW):
            return False
        groups = [self.standing(o.account).group for o in (order, resting)]
        return order.account == resting.account or (groups[0] == groups[1] != 0)

    def allowed(self, order):
        """How much of its account's position a reduce-only order may bring closer to zero."""
        position = self.positions.get((("account", order.account), order.instrument), 0)
        return max(-position * order.sign, 0)

    # ---- books

    def side_of(self, instrument, side):
        """The orders of one side of a book, the one that trades next first."""
        sign = -1 if side == Side.BUY else 1
        standing = [o for o in self.orders if (o.instrument, o.side) == (instrument, side) and not o.away and o.price]
        return sorted(standing, key=lambda o: (sign * o.price, o.hidden, o.place))

    def in_reach(self, order):
        """The orders of the other side that its price reaches; any, for an order that takes any price."""
        other = self.side_of(order.instrument, 1 - order.side)
        if order.price == 0:
            return other
        return [o for o in other if (o.price <= order.price if order.side == Side.BUY else o.price >= order.price)]

    def best(self, instrument, side, hidden=False, pegged=True):
        """The best price of a side, 0 if there is none: of shown orders, or of all; also without pegged ones."""
        standing = self.side_of(instrument, side)
        fit = [o for o in standing if (hidden or not o.hidden) and (pegged or o.type != Type.PEGGED)]
        return fit[0].price if fit else 0

    def ladder(self, order):
        """The orders among which an order stands, or would stand."""
        return [o for o in self.side_of(order.instrument, order.side) if o.hidden == order.hidden and o is not order]

    def is_price(self, instrument, price):
        return 1 <= price <= self.instruments[instrument].price_max

    def within(self, instrument, price):
        return min(max(price, 1), self.instruments[instrument].price_max)

    # ---- prices that orders get

    def market_price(self, order):
        """How far a market order may go: 0 is as far as it likes, None is nowhere."""
        best = self.best(order.instrument, 1 - order.side)
        if order.type == Type.MARKET_TO_LIMIT:
            return best or None
        protection = self.rules_of(order.instrument).protection
        if order.spends or not protection:
            return 0
        return self.within(order.instrument, best + protection * order.sign) if best else None

    def slide(self, order):
        """The price of a post-only order that slides."""
        best = self.best(order.instrument, 1 - order.side, hidden=True)
        fits = self.is_price(order.instrument, best - order.sign) and not self.passes(order, best - order.sign)
        return best - order.sign if self.in_reach(order) and fits else order.price

    def pegged_price(self, order):
        """Reference and offset, within the limit; 0 without a reference."""
        own, other = (self.best(order.instrument, s, pegged=False) for s in (order.side, 1 - order.side))
        middle = (own + other + (order.side == Side.SELL)) // 2 if own and other else 0
        reference = {Peg.PRIMARY: own, Peg.MARKET: other, Peg.MIDPOINT: middle}[order.peg]
        if not reference:
            return 0
        price = self.within(order.instrument, reference + order.offset)
        price = min(price, order.limit) if order.side == Side.BUY else max(price, order.limit)
        return price if self.is_price(order.instrument, price) and not self.passes(order, price) else 0

    def followed_price(self, order):
        """The same one tick short of the other side; 0 where that is no price."""
        price, best = self.pegged_price(order), self.best(order.instrument, 1 - order.side, hidden=True)
        if price and best and price * order.sign >= best * order.sign:
            price = best - order.sign
        return price if self.is_price(order.instrument, price) and not self.passes(order, price) else 0

    # ---- money

    def amount(self, instrument, price, quantity):
        """What a match moves of the quote currency."""
        i = self.instruments[instrument]
        product = price * quantity * i.multiplier
        return -(-product // i.divisor) if i.rounds_up else product // i.divisor

    def notional(self, order):
        """What an order is worth to the limits."""
        if order.spends:
            return order.leaves
        price = order.asked or (order.limit or order.trigger) * order.waits
        if order.pays and not order.waits:
            return 0
        return SUM_MAX + 1 if self.passes(order, price) else self.amount(order.instrument, price, order.leaves)

    def cover(self, order, price=None):
        """The currency that an order reserves, and how much of it."""
        i, price = self.instruments[order.instrument], price or order.asked
        if order.side == Side.SELL:
            return i.base, order.leaves * i.lot_units
        if order.spends:
            return i.quote, order.leaves
        if i.rounds_up:
            amount = order.leaves * -(-price * i.multiplier // i.divisor)
        else:
            amount = price * order.leaves * i.multiplier // i.divisor
        return i.quote, amount + fee_of(amount, max(order.maker, order.taker, 0))

    def reserved(self, account, currency):
        covers = [self.cover(o) for o in self.orders if o.account == account and self.reserves(o)]
        return sum(amount for c, amount in covers if c == currency)

    def free(self, account, currency):
        """What an account holds and no order reserves."""
        return self.balances[account, currency] - self.reserved(account, currency)

    def passes(self, order, price):
        """Whether price, quantity and multiplier pass the bound of a notional."""
        return price * order.leaves * self.instruments[order.instrument].multiplier > SUM_MAX
