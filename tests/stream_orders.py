"""Random order commands: plain ones for the most part, and all that docs/commands.md lets an order ask for."""

from core import messages as m
from core.kinds import (
    ALL_OR_NONE,
    BASIS_POINTS,
    HIDDEN,
    PEG_SHIFT,
    POST_ONLY,
    PREVENTION_SHIFT,
    QUOTE,
    REDUCE_ONLY,
    REENTER,
    SLIDE,
)
from core.kinds import OrderType as Type
from core.kinds import TimeInForce as Tif

EXTREMES = [
    -(2**63), -(2**62), -1, 0, 1, 2, 3, 255, 65_536, 2**20, 2**31, 2**32, 2**40 - 1, 2**40, 2**62 - 1, 2**62, 2**63 - 1,
]  # fmt: skip

FAR = 2_500
"""An account number so high that a mass operation over all accounts needs three rows."""

SPECIAL = {1: 0.6, 2: 0.08, 3: 0.4, 4: 0}
"""How often an order is no plain one, by instrument: the second has no rules of its own, and few of them."""

TYPES = {
    Type.LIMIT: 50, Type.MARKET: 8, Type.STOP: 8, Type.STOP_LIMIT: 8, Type.MARKET_TO_LIMIT: 7, Type.SPEND_AT_MOST: 7,
    Type.MARKET_IF_TOUCHED: 6, Type.LIMIT_IF_TOUCHED: 6, Type.TRAILING_STOP: 9, Type.PEGGED: 16,
}  # fmt: skip
BITS = [QUOTE, *(1 << at for at in range(9, 20))]


def flags(side, order_type=Type.LIMIT, tif=Tif.GTC, post_only=False):
    """Column 5 of EnterOrder."""
    return side | order_type << 1 | tif << 5 | POST_ONLY * post_only


class Orders:
    """The part of a Stream that enters, replaces, reduces and cancels."""

    def price(self, instrument):
        if self.rng.random() < 0.02:
            return self.rng.choice((*EXTREMES, 2**40 - 1, 2**40 - 1))
        if instrument == 3:
            return self.rng.randint(1, 9) * 2 ** self.rng.choice((0, 0, 20))
        return self.rng.randint(95, 105)

    def quantity(self):
        if self.rng.random() < 0.03:
            return self.rng.choice((*EXTREMES, 2**40 - 1, 2**40 - 1))
        return self.rng.choice((1, 2, 3, 5, 7, 10, 20, 20, 50, 120))

    def client_order_id(self):
        self.ids += 1
        live = [order.client_order_id for order in self.model.orders[-5:]]
        return self.ids if self.rng.random() < 0.97 else self.rng.choice((-self.ids, 1, *live))

    def expires(self, tif):
        ahead = self.rng.choice((0, 100, 300, 300, 1_000, 1_000, 1_000, 5_000, 5_000, 5_000))
        return self.time + ahead if (tif == Tif.GTD) != (self.rng.random() < 0.02) else 0

    def EnterOrder(self):  # noqa: N802
        account = self.account()
        return m.EnterOrder(session=self.sender(account), account=account, **self.order(account))

    def order(self, account):
        """The columns of some order."""
        instrument = self.rng.choices((1, 2, 3, 4), (50, 30, 20, 1))[0]
        special = self.rng.random() < SPECIAL[instrument]
        place = {"instrument": instrument, "client_order_id": self.client_order_id()}
        return place | (self.special(instrument, account) if special else self.plain(instrument))

    def plain(self, instrument):
        """A market or a limit order without any instruction but post-only."""
        rng = self.rng
        order_type = rng.choices((Type.LIMIT, Type.MARKET), (84, 16))[0]
        tif = rng.choices(list(Tif), (20, 30, 10, 10, 30))[0]
        if order_type == Type.MARKET and rng.random() < 0.95:
            tif = rng.choice((Tif.IOC, Tif.FOK))
        quotes = order_type == Type.LIMIT and tif not in (Tif.IOC, Tif.FOK)
        quote = QUOTE if rng.random() < (0.06 if quotes else 0.01) else 0
        if order_type == Type.LIMIT and rng.random() < 0.01:
            price = quantity = 2**39
        else:
            price = self.price(instrument) if (order_type == Type.LIMIT) != (rng.random() < 0.01) else 0
            quantity = self.quantity()
        return {
            "flags": flags(rng.randrange(2), order_type, tif, rng.random() < 0.08) | quote,
            "price": price,
            "quantity": quantity,
            "expires": self.expires(tif),
        }

    # ---- orders that are not plain

    def special(self, instrument, account):
        """The columns of an order of any type, with what goes with it; sometimes with what does not."""
        rng = self.rng
        side, order_type = rng.randrange(2), rng.choices(list(TYPES), list(TYPES.values()))[0]
        tif = rng.choices(list(Tif), (25, 40, 0, 0, 35))[0]
        if order_type in (Type.SPEND_AT_MOST, Type.MARKET_TO_LIMIT) and rng.random() < 0.9:
            side, tif = (
                (0, Tif.IOC) if order_type == Type.SPEND_AT_MOST else (side, rng.choice((Tif.IOC, Tif.GTC, tif)))
            )
        priced = order_type in (Type.LIMIT, Type.STOP_LIMIT, Type.LIMIT_IF_TOUCHED)
        columns = {"price": self.price(instrument) if priced else 0, "quantity": self.quantity()}
        bits = rng.choices((0, 1, 2, 3, 4, 5), (60, 6, 12, 6, 12, 4))[0] << PREVENTION_SHIFT
        position = self.model.positions.get((("account", account), instrument), 0)
        may_reduce = order_type not in (Type.MARKET_TO_LIMIT, Type.SPEND_AT_MOST, Type.PEGGED)
        if may_reduce and instrument != 2 and rng.random() < 0.35:
            bits |= REDUCE_ONLY
            side = int(position > 0) if rng.random() < 0.9 else side
        if order_type == Type.LIMIT:
            bits |= self.instruct(columns)
        elif order_type == Type.PEGGED:
            bits |= self.peg(side, instrument, columns)
        elif order_type == Type.SPEND_AT_MOST:
            columns["quantity"] = rng.choice((1, 60, 250, 1_000, 5_000, 10**7, 10**9))
        elif order_type not in (Type.MARKET, Type.MARKET_TO_LIMIT):
            bits |= self.wait(side, order_type, instrument, columns)
        elif order_type == Type.MARKET_TO_LIMIT and rng.random() < 0.3:
            bits |= self.demand(columns)
        if rng.random() < 0.04:
            bits ^= rng.choice(BITS)
        if rng.random() < 0.03:
            name = rng.choice(("price", "display_quantity", "minimum_quantity", "trigger_price", "offset"))
            columns[name] = rng.choice((1, 1, 5, 100, *EXTREMES))
        if bits & POST_ONLY == 0 and not columns.get("display_quantity") and not bits & (HIDDEN | SLIDE):
            at_once = rng.random() < 0.25 and order_type in (Type.LIMIT, Type.MARKET)
            tif = rng.choice((Tif.IOC, Tif.FOK)) if at_once else tif
        return columns | {"flags": flags(side, order_type, tif) | bits, "expires": self.expires(tif)}

    def instruct(self, columns):
        """The instructions of a limit order, one of them or two that go together."""
        rng = self.rng
        chosen = rng.choices(("iceberg", "hidden", "slide", "demand", "reject", ""), (34, 18, 14, 18, 4, 12))[0]
        if chosen == "iceberg":
            columns["quantity"] = rng.choice((5, 7, 20, 50, 120))
            columns["display_quantity"] = rng.choice((1, 2, 3, 5, 5, 7))
            return rng.choice((0, 0, 0, SLIDE))
        if chosen == "hidden":
            return HIDDEN | rng.choice((0, 0, 0, SLIDE, POST_ONLY))
        if chosen == "demand":
            return self.demand(columns)
        return {"slide": SLIDE, "reject": POST_ONLY}.get(chosen, 0)

    def demand(self, columns):
        """All-or-none, or a minimum quantity."""
        if self.rng.random() < 0.5:
            return ALL_OR_NONE
        columns["minimum_quantity"] = max(1, self.rng.choice((1, 2, 5, columns["quantity"])))
        return 0

    def wait(self, side, order_type, instrument, columns):
        """A trigger price near the last one, mostly where it has to wait; an offset for a trailing stop."""
        rng, last = self.rng, self.model.last.get(instrument)
        near = last if last and rng.random() < 0.7 else self.price(instrument)
        away = -1 if (side == 0) == (order_type in (Type.MARKET_IF_TOUCHED, Type.LIMIT_IF_TOUCHED)) else 1
        columns["trigger_price"] = max(1, near % 2**41 + away * rng.choice((-3, -1, 0, 1, 1, 1, 2, 2, 3, 4, 6)))
        if order_type != Type.TRAILING_STOP:
            return 0
        if rng.random() < 0.4:
            columns["offset"] = rng.choice((1, 50, 200, 400, 9_999, 10_000))
            return BASIS_POINTS
        columns["offset"] = rng.choice((1, 1, 2, 3, 5, 2**40 - 1))
        return 0

    def peg(self, side, instrument, columns):
        rng = self.rng
        columns["offset"] = rng.choice((-3, -2, -1, -1, 0, 0, 0, 1, 1, 2, 200 * rng.choice((-1, 1))))
        if side == 0 or rng.random() < 0.5:
            columns["price"] = self.price(instrument) % 2**41 + rng.choice((-3, 0, 4))
        return rng.randrange(3) << PEG_SHIFT | rng.choice((0, 0, 0, HIDDEN))

    # ---- what happens to orders

    def live(self):
        """Some live order, or something like one."""
        orders = self.model.orders
        order = self.rng.choice(orders) if orders else None
        if order is None or self.rng.random() < 0.04:
            return self.rng.randint(1, 3), self.account(), self.client_order_id(), order
        return order.instrument, order.account, order.client_order_id, order

    def ReplaceOrder(self):  # noqa: N802
        rng = self.rng
        instrument, account, original, order = self.live()
        quantity = self.quantity()
        price = self.price(instrument)
        if order and rng.random() < 0.6:
            quantity = max(0, order.executed + order.leaves + rng.randint(-3, 3))
        if order and rng.random() < 0.5:
            price = order.asked
        if order and not order.has_price and rng.random() < 0.95:
            price = 0
        gtd = order is not None and order.tif == Tif.GTD
        columns = {"display_quantity": 0, "trigger_price": 0}
        if rng.random() < 0.3 if order and order.display else rng.random() < 0.01:
            columns["display_quantity"] = rng.choice((1, 2, 4, 6, 200))
        if rng.random() < 0.4 if order and order.waits else rng.random() < 0.01:
            columns["trigger_price"] = rng.choice((self.price(instrument), order.trigger + 1 if order else 1))
        return m.ReplaceOrder(
            session=self.sender(account),
            flags=REENTER if rng.random() < 0.15 else 0,
            instrument=instrument,
            account=account,
            client_order_id=original if rng.random() < 0.6 else self.client_order_id(),
            price=price,
            quantity=quantity,
            expires=rng.choice((0, 0, 0, self.time + 500, self.time + 500, self.time))
            if gtd != (rng.random() < 0.02)
            else 0,
            original_client_order_id=original,
            **columns,
        )

    def ReduceOrder(self):  # noqa: N802
        instrument, account, client_order_id, _ = self.live()
        names = {"instrument": instrument, "account": account, "client_order_id": client_order_id}
        return m.ReduceOrder(session=self.sender(account), quantity=self.quantity(), **names)

    def CancelOrder(self):  # noqa: N802
        instrument, account, client_order_id, _ = self.live()
        names = {"instrument": instrument, "account": account, "client_order_id": client_order_id}
        return m.CancelOrder(session=self.sender(account), **names)

    def MassCancel(self):  # noqa: N802
        account = self.rng.choice((0, 1, 2, 3, FAR))
        instrument = self.rng.choice((0, 0, 1, 2, 3, 4))
        return m.MassCancel(
            session=self.sender(account),
            flags=self.rng.choice((0, 0, 1, 2)),
            instrument=instrument,
            account=account,
            named=self.rng.choices((0, 1, 2, 3, 77), (70, 10, 10, 9, 1))[0],
            firm=self.rng.choices((0, 7, 8, 9, 55), (75, 10, 8, 6, 1))[0],
            reason=self.reason(),
        )
