"""What a stream that asks no model guesses of the venue: from the commands that it has sent, not from any answer."""

from dataclasses import dataclass, replace

from core.kinds import TIME_IN_FORCE_MASK, TIME_IN_FORCE_SHIFT, TYPE_MASK, TYPE_SHIFT, KillAct, Limit
from core.kinds import OrderType as Type
from core.kinds import TimeInForce as Tif


@dataclass
class Guess:
    """An order that may live, as far as its command tells."""

    instrument: int
    account: int
    client_order_id: int
    tif: int
    asked: int
    leaves: int
    display: int
    trigger: int
    has_price: bool
    executed: int = 0

    is_quote = False

    @property
    def waits(self):
        return self.trigger != 0


class Guesses:
    """In the place of a model: what the stream itself has sent."""

    def __init__(self, instruments):
        self.orders = []
        self.killed, self.standings, self.bounds = set(), {}, {}
        self.positions = {}
        self.modes, self.dead_men, self.frozen = {}, {}, set()
        self.last = dict.fromkeys(instruments, 100)

    def add(self, guess):
        self.orders = [*self.orders[-20:], guess]

    def cancel(self, c):
        self.orders = [order for order in self.orders if order.client_order_id != c.client_order_id]

    def enter(self, c):
        tif = c.flags >> TIME_IN_FORCE_SHIFT & TIME_IN_FORCE_MASK
        is_sane = max(c.price, c.quantity, c.display_quantity, c.trigger_price) < 2**41
        if tif not in (Tif.IOC, Tif.FOK) and is_sane:
            has_price = c.price != 0 or c.flags >> TYPE_SHIFT & TYPE_MASK == Type.PEGGED
            names = c.instrument, c.account, c.client_order_id
            self.add(Guess(*names, tif, c.price, c.quantity, c.display_quantity, c.trigger_price, has_price))
        # A buy makes the position that reduce-only orders go by; who knows whether it traded.
        self.positions[("account", c.account), c.instrument] = 1 if c.flags & 1 == 0 else -1

    def replace(self, c):
        known = [order for order in self.orders if order.client_order_id == c.original_client_order_id]
        if known and c.client_order_id != c.original_client_order_id:
            self.add(replace(known[-1], client_order_id=c.client_order_id, asked=c.price, leaves=c.quantity))

    def kill(self, c):
        named = next((key for key in (("account", c.account), ("session", c.named), ("firm", c.firm)) if key[1]), None)
        key = named or ("venue", 0)
        self.killed = self.killed | {key} if c.act == KillAct.KILL else self.killed - {key}

    def limit(self, c):
        holder = next((key for key in (("account", c.account), ("session", c.named), ("firm", c.firm)) if key[1]), None)
        if holder and not c.until and c.limit in set(Limit):
            self.bounds[holder, c.limit, c.instrument] = c.value
