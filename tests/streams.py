"""Random command streams, valid and invalid, weighted so that orders meet, are replaced, expire and are refused often."""

import random
import struct

from core import messages as m
from core.kinds import COLUMNS, EXPOSURES, FEE_PERIOD, MARKET_RESTS, Role, Rounding, TradingState
from core.rows import pack_halves, to_row
from tests.model_venue import read
from tests.stream_orders import EXTREMES, FAR, Orders, flags
from tests.stream_parts import Parts
from tests.stream_rules import Rules
from tests.stream_safety import Safety

__all__ = ["FAR", "SETUP", "START", "Stream", "flags"]

ROW = struct.Struct(f"<{COLUMNS}q")
START = 1_700_000_000_000_000_000
SETUP = [
    m.DefineCurrency(currency=1, symbol="USD", decimals=2),
    m.DefineCurrency(currency=2, symbol="BTC", decimals=8),
    m.DefineCurrency(currency=3, symbol="EUR", decimals=2),
    m.DefineInstrument(
        instrument=1, symbol="BTC/USD", currencies=pack_halves(2, 1), price_max=1_000, quantity_max=1_000,
        fee_rates=pack_halves(1_000, 25_000),
    ),
    m.DefineInstrument(
        flags=Rounding.UP << 16, instrument=2, symbol="EUR/USD", currencies=pack_halves(3, 1), multiplier=3, divisor=7,
        lot_units=10, price_max=2**40 - 1, quantity_max=2**40 - 1, fee_rates=pack_halves(-300_000, 400_000),
    ),
    m.DefineInstrument(
        instrument=3, symbol="BTC/EUR", currencies=pack_halves(2, 3), multiplier=2**20, divisor=3, lot_units=2**30,
        price_max=2**40 - 1, quantity_max=2**30, fee_rates=pack_halves(1_000_000, -1_000_000),
    ),
    *(m.OpenAccount(account=a, firm=firm, name=f"account {a}") for a, firm in ((1, 7), (2, 7), (3, 8), (FAR, 9))),
    *(m.Deposit(account=a, currency=c, amount=20_000) for a in (1, 2, 3, FAR) for c in (1, 2, 3)),
    m.Deposit(account=3, currency=3, amount=2**61),
    m.Deposit(account=FAR, currency=2, amount=2**61),
    *(m.GrantSession(account=a, grantee=s, role=Role.TRADER) for s, a in ((1, 1), (1, 2), (2, 3), (4, FAR))),
    m.GrantSession(grantee=3, role=Role.OPERATOR),
    m.GrantSession(grantee=5, role=Role.DROP_COPY, firm=7),
    m.GrantSession(grantee=6, role=Role.MARKET_DATA),
    m.SetRules(
        flags=EXPOSURES | MARKET_RESTS, instrument=1, protection=4, collar=90_000, notional_min=96, notional_max=30_000,
    ),
    m.SetRules(flags=EXPOSURES, instrument=3),
]  # fmt: skip

WEIGHTS = {
    m.EnterOrder: 500, m.ReplaceOrder: 120, m.ReduceOrder: 40, m.CancelOrder: 60, m.MassCancel: 10, m.AdvanceTime: 40,
    m.Deposit: 40, m.Withdraw: 12, m.SetTradingState: 10, m.EndOfDay: 6, m.DefineCurrency: 5, m.DefineInstrument: 8,
    m.OpenAccount: 5, m.GrantSession: 10, m.Upgrade: 4, m.Quarantine: 4, m.SetCredential: 6, m.Promote: 5,
    m.AcceptClock: 4, m.SetAccount: 16, m.SetLimit: 36, m.SetRules: 8, m.Kill: 5,
    m.SetFeeSchedule: 8, m.SetAllocation: 10, m.EnterBatch: 24, m.LinkOrders: 60, m.MassQuote: 30,
    m.SessionLost: 8, m.SetCancelOnDisconnect: 10, m.ArmDeadMan: 8, m.SetProtection: 16, m.ResetProtection: 12,
}  # fmt: skip


PARTS = (m.EnterBatch, m.LinkOrders, m.MassQuote)
"""Heads of commands of several parts."""


class Stream(Orders, Rules, Parts, Safety):
    """Rows one after the other; looks at the model's state only to choose what is likely to be interesting."""

    def __init__(self, seed, model, without=()):
        self.rng, self.model = random.Random(seed), model
        self.sequence, self.time = 0, START
        self.kinds = [kind for kind in WEIGHTS if kind not in without]
        self.weights = [WEIGHTS[kind] for kind in self.kinds]
        self.sent = []
        self.ids = 0
        self.coming = []

    def stamp(self, row):
        """The row as the sequencer passes it on."""
        columns = list(ROW.unpack(row))
        self.sequence += 1
        self.time += self.rng.choice((1, 1, 10, 100))
        columns[1:3] = self.sequence, self.time
        return ROW.pack(*columns)

    def quarantine_of(self, row):
        """A Quarantine row that names this one, and what it was at, a timer or an instrument; None for what cannot raise."""
        if read(row).of is None or read(row).spare:
            return None
        due = [o for o in self.model.orders if o.timed and o.expires <= self.time]
        timer = self.rng.choice(due) if due and self.rng.random() < 0.7 else None
        key = {"timer_time": timer.expires, "timer_order": timer.number} if timer else {}
        if self.model.dead_men and self.rng.random() < 0.1:
            account, (fires_at, _) = self.rng.choice(sorted(self.model.dead_men.items()))
            key = {"timer_time": fires_at, "timer_order": -account} if fires_at <= self.time else key
        if (self.model.touched or read(row).of in (m.Detail, m.QuoteDetail)) and self.rng.random() < 0.5:
            key = {"timer_time": -self.rng.choice((1, 2, 3, *self.model.touched))}
        return to_row(m.Quarantine(named=self.sequence, **key))

    def setup(self):
        """The rows that list the instruments and fund the accounts."""
        return [self.stamp(to_row(command)) for command in SETUP]

    def next(self):
        """One more row: mostly a sensible command, sometimes one that is spoiled or was sent before."""
        chance = self.rng.random()
        if self.coming and chance < 0.06:
            chance += self.rng.random() * 0.9
        if chance < 0.02 and self.sent:
            return self.stamp(self.rng.choice(self.sent[-40:]))
        if chance > 0.99:
            self.time += 5_000
        if chance > 0.998 and self.model.dead_men:
            self.time += 10**6
        columns = list(ROW.unpack(to_row(self.command())))
        session = self.model.sessions.get(columns[3])
        columns[4] = session.inbound + 1 if session else self.rng.choice((0, self.model.venue_inbound + 1))
        if chance < 0.05:
            columns[self.rng.randrange(3, COLUMNS)] = self.rng.choice(EXTREMES)
        elif chance < 0.06:
            columns[4] += self.rng.choice((-5_000, -3, -2, -1, 1, 2, 5_000))
        elif chance < 0.065:
            columns[0] = self.rng.choice((0, -1, 12, 16, 21, 22, 30, 255, 256, 300, 520, 2**62))
        row = ROW.pack(*columns)
        if columns[3] and columns[4] > 0:
            self.sent.append(row)
        return self.stamp(row)

    def command(self):
        if self.coming and self.rng.random() < 0.985:
            return self.coming.pop(0)
        self.coming = self.coming if self.rng.random() < 0.3 else []
        closed = [self.Kill] * bool(self.model.killed) + [self.SetAccount] * bool(self.barred())
        closed += [self.SetTradingState] * bool(self.halted())
        if closed and self.rng.random() < 0.06:
            return self.rng.choice(closed)()
        of = self.rng.choices(self.kinds, self.weights)[0]
        return getattr(self, of.__name__)()

    def sender(self, account):
        """A session for the account: mostly one that may."""
        if self.rng.random() < 0.02:
            return self.rng.choice((0, 1, 2, 3, 4, 5, 6, 77))
        return {1: 1, 2: 1, 3: 2, FAR: 4}.get(account, 3) if self.rng.random() < 0.9 else self.rng.choice((0, 3))

    def venue(self):
        return self.rng.choices((0, 3, 1, 5, 6), (60, 36, 2, 1, 1))[0]

    def reason(self):
        return self.rng.choice(("", "", "", "fat finger", "sixteen letters!", "~ ", "\x7f", "a\tb"))

    def account(self):
        return self.rng.choices((1, 2, 3, FAR, 5), (30, 20, 30, 20, 1))[0]

    def AdvanceTime(self):  # noqa: N802
        return m.AdvanceTime(session=self.venue())

    def transfer(self):
        amount = self.rng.choice((1, 100, 2_000, 5_000, 20_000, self.rng.choice(EXTREMES)))
        return {
            "session": self.venue(),
            "account": self.account(),
            "currency": self.rng.choices((1, 2, 3, 4), (60, 20, 20, 1))[0],
            "amount": amount,
            "reason": self.reason(),
        }

    def Deposit(self):  # noqa: N802
        return m.Deposit(**self.transfer())

    def Withdraw(self):  # noqa: N802
        return m.Withdraw(**self.transfer())

    def halted(self):
        """What is not open."""
        halted = [("instrument", i) for i, s in self.model.instrument_states.items() if s > 1]
        halted += [("account", a) for a, s in self.model.account_states.items() if s > 1]
        return halted + [("instrument", 0)] * (self.model.venue_state > 1)

    def SetTradingState(self):  # noqa: N802
        rng, halted = self.rng, self.halted()
        if halted and rng.random() < 0.8:
            return m.SetTradingState(session=self.venue(), state=TradingState.OPEN, **dict([rng.choice(halted)]))
        place = rng.choice(
            ({"instrument": rng.randint(0, 4)}, {"account": self.account()}, {"instrument": 1, "account": 1})
        )
        return m.SetTradingState(session=self.venue(), state=rng.choice((1, 2, 3, 4)), reason=self.reason(), **place)

    def EndOfDay(self):  # noqa: N802
        day = self.model.day + self.rng.choice((0, 1, 1, 1))
        flags = self.rng.choices((0, FEE_PERIOD, 2), (60, 38, 2))[0]
        return m.EndOfDay(session=self.venue(), flags=flags, day=day, reason=self.reason())

    def DefineCurrency(self):  # noqa: N802
        rng = self.rng
        symbol = rng.choice(("USD", "GBP", "X Y", "", "sixteen_letters!", "\x7f"))
        return m.DefineCurrency(
            session=self.venue(), currency=rng.randint(0, 6), symbol=symbol, decimals=rng.choice((0, 2, 18, 19))
        )

    def DefineInstrument(self):  # noqa: N802
        rng = self.rng
        changed = {"price_max": rng.choice((200, 2**40 - 1)), "quantity_max": rng.choice((500, 2**40 - 1))}
        if rng.random() < 0.5:
            changed["fee_rates"] = pack_halves(rng.choice((-20, 0, 10**6, 10**6 + 1)), rng.choice((-5, 20, 10**6)))
        if rng.random() < 0.4:
            name = rng.choice(
                ("symbol", "flags", "currencies", "multiplier", "divisor", "lot_units", "instrument", "price_max")
            )
            changed[name] = (
                rng.choice(("EUR/USD", "NEW", ""))
                if name == "symbol"
                else rng.choice((*EXTREMES, 2 << 16, 19, 19 << 8))
            )
        original = rng.choice(SETUP[3:6])
        values = {name: getattr(original, name) for name in original.__struct_fields__} | changed
        return m.DefineInstrument(**values | {"session": self.venue()})

    def OpenAccount(self):  # noqa: N802
        account = self.rng.choice((0, 1, 2, 3, 6, 7))
        name = self.rng.choice((f"account {account}", "", " x", "x ", "a  b", "\x01"))
        return m.OpenAccount(session=self.venue(), account=account, firm=self.rng.choice((7, 8, 0)), name=name)

    def GrantSession(self):  # noqa: N802
        rng = self.rng
        return m.GrantSession(
            session=self.venue(),
            account=rng.choice((0, 0, 1, 3, 5)),
            grantee=rng.choice((0, 1, 2, 5, 6, 7, 8, 9, 10)),
            role=rng.choice((0, 1, 1, 2, 3, 3, 4, 4, 5)),
            firm=rng.choice((0, 0, 7, 8, 55)),
            reason=self.reason(),
        )

    def Upgrade(self):  # noqa: N802
        return m.Upgrade(
            session=self.venue(), version=self.rng.choice((0, self.model.version, self.model.version + 1, 65_536))
        )

    def Quarantine(self):  # noqa: N802
        return m.Quarantine(session=self.venue(), named=self.rng.choice((0, self.sequence, *self.model.quarantined)))

    def SetCredential(self):  # noqa: N802
        rng = self.rng
        names = ("hash_0", "hash_1", "hash_2", "hash_3", "salt_0", "salt_1")
        secret = {name: rng.randint(-(2**63), 2**63 - 1) for name in names} if rng.random() < 0.8 else {}
        cost = rng.choice((0, 9, 10, 14, 20, 21)) if secret else rng.choice((0, 0, 14))
        return m.SetCredential(session=self.venue(), grantee=rng.choice((0, 1, 3, 5, 6, 77)), cost=cost, **secret)

    def Promote(self):  # noqa: N802
        ahead = self.rng.choice((-1, 0, 1, 1, 1, 7))
        return m.Promote(session=self.rng.choice((0, 0, 0, 3, 1)), epoch=self.model.epoch + ahead)

    def AcceptClock(self):  # noqa: N802
        clock = self.rng.choice((self.time, self.time - 10**12, *EXTREMES))
        return m.AcceptClock(session=self.venue(), clock=clock, reason=self.reason())
