"""Random commands of several parts: batches, linked orders and mass quotes, now and then broken."""

from core import messages as m
from core.kinds import REDUCE_ONLY, Link
from core.kinds import OrderType as Type
from core.kinds import TimeInForce as Tif
from tests.stream_orders import EXTREMES, flags

FIELDS = [name for name in m.Detail.__struct_fields__ if name in m.EnterOrder.__struct_fields__]


class Parts:
    """The part of a Stream whose commands are several rows: `coming` are those that follow."""

    def begin(self, head, session, parts):
        """The head; the parts follow it, in the right number and of the right kind for the most part."""
        rng = self.rng
        parts = [of(session=session, **columns) for of, columns in parts]
        count = len(parts) if rng.random() < 0.97 else rng.choice((0, 1, 2, 3, 65, -1))
        if rng.random() < 0.02:
            of = rng.choice((m.Detail, m.QuoteDetail))
            parts[-1] = of(session=session, instrument=1)
        self.coming = parts if rng.random() < 0.98 else [*parts, parts[0]]
        return head(session=session, parts=count)

    def detail(self, columns):
        return m.Detail, {name: value for name, value in columns.items() if name in FIELDS and name != "account"}

    def ident(self):
        return self.rng.choice((0, 1, 7, 2**62 - 1)) if self.rng.random() < 0.99 else self.rng.choice(EXTREMES)

    def EnterBatch(self):  # noqa: N802
        account = self.account()
        size = self.rng.choices((1, 2, 3, 4, 6, 64), (10, 30, 30, 20, 9, 1))[0]
        parts = [self.detail(self.order(account)) for _ in range(size)]
        return self.begin(
            lambda **columns: m.EnterBatch(account=account, batch_id=self.ident(), **columns),
            self.sender(account),
            parts,
        )

    # ---- links

    def LinkOrders(self):  # noqa: N802
        rng, account = self.rng, self.account()
        link = rng.choice(list(Link))
        instrument = rng.choices((1, 2, 3), (50, 25, 25))[0]
        side = rng.randrange(2)
        if link == Link.ONE_CANCELS_OTHER:
            parts = self.pair(side, instrument, account)
        elif link == Link.ONE_TRIGGERS_OTHER:
            parts = [self.parent(side, instrument, account), self.held(instrument, account)]
        else:
            parts = [self.parent(side, instrument, account), *self.pair(1 - side, instrument, account)]
        if rng.random() < 0.02:
            rng.choice(parts)["instrument"] = rng.choice((1, 2, 3, 4))
        code = link if rng.random() < 0.98 else rng.choice((0, 4, -1, *Link))
        return self.begin(
            lambda **columns: m.LinkOrders(flags=code, account=account, link_id=self.ident(), **columns),
            self.sender(account),
            [self.detail(part) for part in parts],
        )

    def parent(self, side, instrument, account):
        """Mostly an order that trades at once, or soon, in part or in full."""
        rng = self.rng
        if rng.random() < 0.3:
            return self.held(instrument, account)
        tif = rng.choice((Tif.GTC, Tif.DAY, Tif.IOC, Tif.GTD))
        columns = {"flags": flags(side, Type.LIMIT, tif), "price": self.price(instrument), "quantity": self.quantity()}
        return self.placed(instrument, columns | {"expires": self.expires(tif)})

    def held(self, instrument, account):
        """Any order."""
        columns = self.order(account)
        return columns | {"instrument": instrument}

    def placed(self, instrument, columns):
        return {"instrument": instrument, "client_order_id": self.client_order_id()} | columns

    def pair(self, side, instrument, account):
        """Two orders of one side of which one cancels the other: the second waits for a price."""
        rng, waiting = self.rng, (Type.STOP, Type.STOP_LIMIT, Type.TRAILING_STOP, Type.MARKET_IF_TOUCHED)
        reduces = REDUCE_ONLY if instrument != 2 and rng.random() < 0.25 else 0
        quantity, parts = self.quantity(), []
        for at in range(2):
            order_type = rng.choice(waiting) if at or rng.random() < 0.2 else Type.LIMIT
            order_type = order_type if rng.random() < 0.97 else rng.choice(list(Type))
            tif = rng.choices((Tif.GTC, Tif.DAY, Tif.GTD, Tif.IOC), (50, 20, 28, 2))[0]
            columns = {"price": 0, "quantity": quantity, "expires": self.expires(tif)}
            bits = 0
            if order_type in (Type.LIMIT, Type.STOP_LIMIT):
                columns["price"] = self.price(instrument)
            if order_type in waiting:
                bits = self.wait(side, order_type, instrument, columns)
            parts.append(self.placed(instrument, columns | {"flags": flags(side, order_type, tif) | bits | reduces}))
        return parts

    # ---- quotes

    def MassQuote(self):  # noqa: N802
        rng, account = self.rng, self.account()
        code = rng.choice((0, 0, 1, 2, 2, 3)) if rng.random() < 0.99 else rng.choice((4, -1))
        mine = [o for o in self.model.orders if o.account == account and o.is_quote]
        places = rng.choices((1, 2, 3, 4), (50, 25, 20, 2), k=rng.choice((1, 1, 2, 3, 5)))
        parts = []
        for instrument in places:
            columns = {"instrument": instrument} | self.quotes("bid", 0, instrument, mine)
            parts.append((m.QuoteDetail, columns | self.quotes("ask", 1, instrument, mine)))
        return self.begin(
            lambda **columns: m.MassQuote(flags=code, account=account, quote_id=self.ident(), **columns),
            self.sender(account),
            parts,
        )

    def quotes(self, name, side, instrument, mine):
        """One side of a part: a new quote, one in the place of another, or none."""
        rng = self.rng
        fit = [o for o in mine if (o.instrument, o.side) == (instrument, side)]
        number, price, quantity = self.client_order_id(), self.price(instrument), self.quantity()
        if fit and rng.random() < 0.75:
            old = fit.pop(rng.randrange(len(fit)))
            mine.remove(old)
            number = old.client_order_id
            if rng.random() < 0.5:
                price, quantity = old.price, max(1, old.leaves + rng.choice((-2, -1, 0, 0, 1)))
        elif instrument != 3 and rng.random() < 0.7:
            price = 100 + rng.choice((1, 2, 3)) * (1 if side else -1)
        if rng.random() < 0.15:
            price = quantity = 0
            number = number if rng.random() < 0.6 else 0
        if rng.random() < 0.01:
            price, quantity, number = (rng.choice((value, value, *EXTREMES)) for value in (price, quantity, number))
        return {f"{name}_client_order_id": number, f"{name}_price": price, f"{name}_quantity": quantity}
