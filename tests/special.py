"""A random stream in which most orders are more than plain: icebergs, hidden, pegged, triggered, reduce-only, prevented.

It looks at an engine of its own to name live orders, and at no model, so that it goes on for as long as is asked.
"""

import random

from core import messages as m
from core.kinds import (
    ALL_OR_NONE,
    BASIS_POINTS,
    EXPOSURES,
    HIDDEN,
    MARKET_RESTS,
    PEG_SHIFT,
    POST_ONLY,
    PREVENTION_SHIFT,
    REDUCE_ONLY,
    SLIDE,
    AccountStanding,
    KillAct,
    Limit,
    Role,
    TradingState,
)
from core.kinds import OrderType as Type
from core.kinds import TimeInForce as Tif
from core.machine import Machine
from core.rows import pack_halves, to_row

START = 1_700_000_000_000_000_000
ACCOUNTS = (1, 2, 3)
INSTRUMENTS = (1, 2)
LOW, HIGH = 90, 110

SETUP = (
    m.DefineCurrency(currency=1, symbol="USD", decimals=2),
    m.DefineCurrency(currency=2, symbol="BTC", decimals=0),
    *(
        m.DefineInstrument(
            flags=2, instrument=n, symbol=f"I{n}", currencies=pack_halves(2, 1), price_max=1_000, quantity_max=1_000,
            fee_rates=pack_halves(100, 200),
        )
        for n in INSTRUMENTS
    ),
    *(m.OpenAccount(account=a, firm=a % 2 + 1, name=f"account {a}") for a in ACCOUNTS),
    *(m.Deposit(account=a, currency=c, amount=10**9) for a in ACCOUNTS for c in (1, 2)),
    *(m.GrantSession(account=a, grantee=a, role=Role.TRADER) for a in ACCOUNTS),
    m.SetAccount(account=2, state=AccountStanding.ACTIVE, group=7, prevention=2),
    m.SetRules(flags=EXPOSURES | MARKET_RESTS, instrument=1, protection=6, collar=200_000, quantity_min=1),
    m.SetLimit(account=3, limit=Limit.OPEN_ORDERS, value=12),
    m.SetLimit(account=1, instrument=1, limit=Limit.POSITION, value=80),
    m.SetLimit(firm=1, limit=Limit.ORDER_QUANTITY, value=60),
    m.SetLimit(named=3, limit=Limit.MESSAGE_RATE, value=1_000_000, second=50),
)  # fmt: skip

STANDING = (Tif.DAY, Tif.GTC, Tif.GTD)
WEIGHTS = {"enter": 60, "replace": 14, "reduce": 6, "cancel": 6, "venue": 3, "advance": 8}


class Special:
    """Rows one after the other, each applied to `machine` at once."""

    def __init__(self, seed):
        self.rng, self.machine = random.Random(seed), Machine()
        self.sequence, self.time, self.ids, self.day = 0, START, 0, 20_240_000
        self.inbound = dict.fromkeys(ACCOUNTS, 0)

    def row(self, command, session=0):
        """The stamped row of a command, after it was applied."""
        self.sequence += 1
        self.time += self.rng.choice((1, 50, 1_000))
        stamp = {"sequence": self.sequence, "time": self.time}
        if session:
            self.inbound[session] += 1
            stamp |= {"session": session, "inbound": self.inbound[session]}
        row = to_row(type(command)(**{n: getattr(command, n) for n in command.__struct_fields__} | stamp))
        self.machine.apply(row, 0, len(row))
        return row

    def setup(self):
        """The rows that list, fund, grant and limit."""
        return [self.row(command) for command in SETUP]

    def next(self):
        """One more row."""
        if 0 < self.machine.engine.due() <= self.time and self.rng.random() < 0.5:
            return self.row(m.AdvanceTime())
        closed = self.closed()
        if closed and self.rng.random() < 0.3:
            return self.row(closed)
        return getattr(self, self.rng.choices(list(WEIGHTS), list(WEIGHTS.values()))[0])()

    def closed(self):
        """The command that opens again what is closed; None if nothing is."""
        for account in map(self.machine.engine.account, ACCOUNTS):
            if account.killed():
                return m.Kill(account=account.number, act=KillAct.REVIVE)
            if account.standing != AccountStanding.ACTIVE:
                return m.SetAccount(account=account.number, state=AccountStanding.ACTIVE, prevention=account.prevention)
        shut = [n for n in INSTRUMENTS if self.machine.engine.instrument(n).state != TradingState.OPEN]
        return m.SetTradingState(instrument=shut[0], state=TradingState.OPEN) if shut else None

    def enter(self):
        rng = self.rng
        self.ids += 1
        account = rng.choice(ACCOUNTS)
        terms = rng.choice((
            self.limit, self.limit, self.iceberg, self.iceberg, self.hidden, self.market, self.stop, self.stop,
            self.trailing, self.pegged, self.pegged, self.to_limit, self.budget,
        ))()  # fmt: skip
        flags = rng.randrange(2) if "side" not in terms else terms.pop("side")
        flags |= terms.pop("type") << 1 | terms.pop("tif", rng.choice(STANDING)) << 5 | terms.pop("flags", 0)
        if rng.random() < 0.3:
            flags |= rng.randint(1, 3) << PREVENTION_SHIFT
        expires = self.time + rng.choice((2_000, 40_000)) if flags >> 5 & 15 == Tif.GTD else 0
        command = {"quantity": rng.randint(1, 40), "expires": expires} | terms
        names = {"instrument": rng.choice(INSTRUMENTS), "account": account, "client_order_id": self.ids}
        return self.row(m.EnterOrder(flags=flags, **names, **command), account)

    def price(self):
        return self.rng.randint(LOW, HIGH)

    def limit(self):
        extra = self.rng.choice((0, 0, 0, POST_ONLY, SLIDE, REDUCE_ONLY, ALL_OR_NONE))
        tif = self.rng.choice((*STANDING, Tif.GTC, Tif.IOC, Tif.FOK)) if extra == 0 else Tif.GTC
        return {"type": Type.LIMIT, "tif": tif, "flags": extra, "price": self.price()}

    def iceberg(self):
        quantity = self.rng.randint(5, 50)
        show = self.rng.randint(1, quantity)
        return {"type": Type.LIMIT, "price": self.price(), "quantity": quantity, "display_quantity": show}

    def hidden(self):
        return {"type": Type.LIMIT, "flags": HIDDEN, "price": self.price()}

    def market(self):
        return {"type": Type.MARKET, "tif": self.rng.choice((Tif.IOC, Tif.FOK, Tif.GTC))}

    def stop(self):
        of = self.rng.choice((Type.STOP, Type.STOP_LIMIT, Type.MARKET_IF_TOUCHED, Type.LIMIT_IF_TOUCHED))
        price = self.price() if of in (Type.STOP_LIMIT, Type.LIMIT_IF_TOUCHED) else 0
        extra = REDUCE_ONLY if self.rng.random() < 0.2 else 0
        return {"type": of, "price": price, "trigger_price": self.price(), "flags": extra}

    def trailing(self):
        points = self.rng.random() < 0.5
        offset = self.rng.randint(50, 900) if points else self.rng.randint(1, 8)
        flags = BASIS_POINTS if points else 0
        return {"type": Type.TRAILING_STOP, "trigger_price": self.price(), "offset": offset, "flags": flags}

    def pegged(self):
        flags = self.rng.randrange(3) << PEG_SHIFT | (HIDDEN if self.rng.random() < 0.3 else 0)
        return {"type": Type.PEGGED, "price": self.price(), "offset": self.rng.randint(-3, 3), "flags": flags}

    def to_limit(self):
        return {"type": Type.MARKET_TO_LIMIT, "minimum_quantity": self.rng.randint(0, 1)}

    def budget(self):
        return {"type": Type.SPEND_AT_MOST, "side": 0, "tif": Tif.IOC, "quantity": self.rng.randint(50, 5_000)}

    def some_order(self):
        account = self.rng.choice(ACCOUNTS)
        orders = list(self.machine.engine.account(account).orders.values())
        return account, self.rng.choice(orders) if orders else None

    def named(self, order):
        return {"instrument": order.instrument.number, "account": order.account.number}

    def replace(self):
        rng = self.rng
        account, order = self.some_order()
        if order is None:
            return self.enter()
        terms = order.terms
        waits = terms is not None and terms.waits in (1, 3)
        has_display = terms is not None and terms.display != 0
        price = order.price if rng.random() < 0.4 or (waits and not order.price) else self.price()
        if order.flags >> 1 & 15 == Type.PEGGED:
            price = terms.limit if rng.random() < 0.5 else self.price()
        self.ids += 1
        command = m.ReplaceOrder(
            **self.named(order), client_order_id=rng.choice((order.client_order_id, self.ids)), price=price,
            quantity=order.executed + rng.randint(1, 40), display_quantity=rng.randint(0, 1) if has_display else 0,
            trigger_price=self.price() if waits and rng.random() < 0.5 else 0,
            original_client_order_id=order.client_order_id,
        )  # fmt: skip
        return self.row(command, account)

    def reduce(self):
        account, order = self.some_order()
        if order is None:
            return self.enter()
        quantity = self.rng.randint(1, 20)
        return self.row(
            m.ReduceOrder(**self.named(order), client_order_id=order.client_order_id, quantity=quantity), account
        )

    def cancel(self):
        account, order = self.some_order()
        if order is None:
            return self.enter()
        return self.row(m.CancelOrder(**self.named(order), client_order_id=order.client_order_id), account)

    def advance(self):
        return self.row(m.AdvanceTime())

    def venue(self):
        rng, account = self.rng, self.rng.choice(ACCOUNTS)
        self.day += 1
        state = rng.choice((TradingState.CANCEL_ONLY, TradingState.HALTED))
        standing = rng.choice((AccountStanding.ACTIVE, AccountStanding.ACTIVE, AccountStanding.REDUCE_ONLY))
        return self.row(rng.choice((
            m.SetTradingState(instrument=rng.choice(INSTRUMENTS), state=state),
            m.SetAccount(account=account, state=standing, group=rng.randint(0, 1), prevention=rng.randint(0, 5)),
            m.MassCancel(account=account),
            m.EndOfDay(day=self.day),
            m.Kill(account=account, act=KillAct.KILL),
        )))  # fmt: skip


def special_rows(seed, count):
    """So many stamped rows, the setup included."""
    source = Special(seed)
    rows = source.setup()
    rows += [source.next() for _ in range(count - len(rows))]
    return rows
