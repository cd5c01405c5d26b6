"""A random stream of commands that is a pure function of its seed: no engine and no model is asked what stands.

It guesses which orders live, so it is refused often; it keeps exact inbound numbers, so that every session goes on.
"""

import random

from core import messages as m
from core.kinds import ONLY_BUYS, ONLY_SELLS, POST_ONLY, REENTER, ROW_SIZE, Role, Rounding, TradingState
from core.kinds import OrderType as Type
from core.kinds import TimeInForce as Tif
from core.rows import pack_halves, to_row
from core.stamp import stamp
from core.state import SEMANTICS

START = 1_700_000_000_000_000_000
STEP = 1_000
"""Nanoseconds between two rows, on average."""

INSTRUMENTS = (1, 2, 3, 4)
ACCOUNTS = {1: 1, 2: 1, 3: 2, 4: 3, 5: 3}
"""Accounts that trade, and the session of each."""

FAR_ACCOUNT = 1_500
"""Its number alone makes every mass operation on all accounts take more than one row."""

OPERATOR = 9
DROP_COPY, MARKET_DATA = 10, 11
"""Sessions that only read."""

FUNDS = 200_000

SETUP = (
    m.DefineCurrency(currency=1, symbol="USD", decimals=2),
    m.DefineCurrency(currency=2, symbol="BTC", decimals=8),
    m.DefineCurrency(currency=3, symbol="EUR", decimals=2),
    m.DefineInstrument(
        instrument=1, symbol="BTC/USD", currencies=pack_halves(2, 1), price_max=1_000, quantity_max=1_000,
        fee_rates=pack_halves(1_000, 2_500),
    ),
    m.DefineInstrument(
        flags=Rounding.UP << 16, instrument=2, symbol="EUR/USD", currencies=pack_halves(3, 1), multiplier=3, divisor=7,
        lot_units=10, price_max=2**40 - 1, quantity_max=2**40 - 1, fee_rates=pack_halves(-300, 400_000),
    ),
    m.DefineInstrument(
        instrument=3, symbol="BTC/EUR", currencies=pack_halves(2, 3), multiplier=1, divisor=3, lot_units=1,
        price_max=500, quantity_max=500, fee_rates=pack_halves(0, 0),
    ),
    m.DefineInstrument(
        instrument=4, symbol="USD/EUR", currencies=pack_halves(1, 3), price_max=10_000, quantity_max=10_000,
        fee_rates=pack_halves(-100, 100),
    ),
    *(m.OpenAccount(account=a, firm=a % 3 + 1, name=f"account {a}") for a in (*ACCOUNTS, FAR_ACCOUNT)),
    *(m.Deposit(account=a, currency=c, amount=FUNDS) for a in ACCOUNTS for c in (1, 2, 3)),
    *(m.GrantSession(account=a, grantee=s, role=Role.TRADER) for a, s in ACCOUNTS.items()),
    m.GrantSession(grantee=OPERATOR, role=Role.OPERATOR),
    m.GrantSession(grantee=DROP_COPY, role=Role.DROP_COPY, firm=2),
    m.GrantSession(grantee=MARKET_DATA, role=Role.MARKET_DATA),
    m.Upgrade(version=SEMANTICS),
)  # fmt: skip

WEIGHTS = {
    "enter": 56, "replace": 12, "reduce": 5, "cancel": 7, "mass_cancel": 1, "advance": 6, "money": 3, "state": 3,
    "end_of_day": 1, "define": 2, "strange": 4, "repeat": 2,
}  # fmt: skip


class Stream:
    """Wire rows one after the other, each with a time of its own; only those that anybody may submit, unless `every`."""

    def __init__(self, seed, *, every=False):
        self.rng = random.Random(seed)
        self.every = every
        self.time = START
        self.inbound = dict.fromkeys({*ACCOUNTS.values(), OPERATOR}, 0)
        self.ids = self.day = 0
        self.epoch = 1
        self.live = []
        self.sent = []
        self.closed = []

    def row(self, command):
        """The row of a command at the next time."""
        self.time += self.rng.choice((1, STEP // 10, STEP, 2 * STEP))
        return to_row(
            type(command)(**{n: getattr(command, n) for n in command.__struct_fields__} | {"time": self.time})
        )

    def numbered(self, command, session):
        """The row of a command of a session, with that session's next inbound number."""
        names = {n: getattr(command, n) for n in command.__struct_fields__}
        if session:
            self.inbound[session] += 1
            names |= {"session": session, "inbound": self.inbound[session]}
        row = self.row(type(command)(**names))
        if session:
            self.sent.append(row)
        return row

    def setup(self):
        """The rows that list the instruments and fund the accounts."""
        return [self.row(command) for command in SETUP]

    def next(self):
        """One more row; what is closed does not stay so for long, or it would refuse all the others."""
        if self.closed and self.rng.random() < 0.04 * len(self.closed):
            return self.state()
        kind = self.rng.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
        return getattr(self, kind)()

    def venue(self):
        return self.rng.choice((0, 0, OPERATOR))

    def account(self):
        return self.rng.choice(list(ACCOUNTS))

    def enter(self):
        rng, account = self.rng, self.account()
        self.ids += 1
        client = self.ids if rng.random() < 0.97 else rng.randint(1, self.ids)
        instrument = rng.choice(INSTRUMENTS)
        order_type = rng.choices((Type.LIMIT, Type.MARKET), (9, 1))[0]
        tif = rng.choices(list(Tif), (25, 25, 12, 12, 26))[0]
        if order_type == Type.MARKET:
            tif = rng.choice((Tif.IOC, Tif.FOK))
        flags = rng.randrange(2) | order_type << 1 | tif << 5 | (POST_ONLY if rng.random() < 0.07 else 0)
        command = m.EnterOrder(
            flags=flags,
            instrument=instrument,
            account=account,
            client_order_id=client,
            price=rng.randint(90, 110) if order_type == Type.LIMIT else 0,
            quantity=rng.choice((1, 2, 3, 5, 8, 13, 21, 150)),
            expires=self.time + rng.choice((3, 8, 30, 90)) * STEP if tif == Tif.GTD else 0,
        )
        if tif not in (Tif.IOC, Tif.FOK):
            self.live = [*self.live[-60:], (instrument, account, client, tif)]
        return self.numbered(command, ACCOUNTS[account])

    def some_order(self):
        if not self.live:
            return 1, 1, 1, Tif.GTC
        return self.rng.choice(self.live[-25:])

    def asker(self, account):
        """Mostly the account's own session; at times an operator, or a session that may not."""
        return self.rng.choices((ACCOUNTS[account], OPERATOR, 1), (90, 7, 3))[0]

    def replace(self):
        rng = self.rng
        instrument, account, original, tif = self.some_order()
        client = original
        if rng.random() < 0.3:
            self.ids += 1
            client = self.ids
            self.live.append((instrument, account, client, tif))
        command = m.ReplaceOrder(
            flags=REENTER if rng.random() < 0.2 else 0,
            instrument=instrument,
            account=account,
            client_order_id=client,
            price=rng.randint(90, 110),
            quantity=rng.choice((1, 2, 4, 9, 30)),
            expires=self.time + 40 * STEP if tif == Tif.GTD and rng.random() < 0.5 else 0,
            original_client_order_id=original,
        )
        return self.numbered(command, self.asker(account))

    def reduce(self):
        instrument, account, client, _ = self.some_order()
        command = m.ReduceOrder(
            instrument=instrument, account=account, client_order_id=client, quantity=self.rng.choice((1, 2, 3, 50))
        )
        return self.numbered(command, self.asker(account))

    def cancel(self):
        instrument, account, client, _ = self.some_order()
        command = m.CancelOrder(instrument=instrument, account=account, client_order_id=client)
        return self.numbered(command, self.asker(account))

    def mass_cancel(self):
        account = self.rng.choice((0, *ACCOUNTS))
        flags = self.rng.choice((0, ONLY_BUYS, ONLY_SELLS))
        command = m.MassCancel(flags=flags, instrument=self.rng.choice((0, *INSTRUMENTS)), account=account)
        return self.numbered(command, self.asker(account) if account else OPERATOR)

    def advance(self):
        return self.numbered(m.AdvanceTime(), self.venue())

    def money(self):
        kind = self.rng.choice((m.Deposit, m.Withdraw))
        command = kind(
            account=self.account(),
            currency=self.rng.randint(1, 3),
            amount=self.rng.choice((0, 10, 999, 2**61)),
            reason=self.rng.choice(("", "ticket 7", "\x7f")),
        )
        return self.numbered(command, self.venue())

    def state(self):
        """Halt or restrict something, or open again what was closed so: never more than two things stay closed."""
        rng = self.rng
        if self.closed and (len(self.closed) > 1 or rng.random() < 0.8):
            place, state = self.closed.pop(0), TradingState.OPEN
        else:
            place = rng.choice(({}, {"instrument": rng.choice(INSTRUMENTS)}, {"account": self.account()}))
            state = rng.choice((TradingState.CANCEL_ONLY, TradingState.HALTED))
            self.closed.append(place)
        return self.numbered(m.SetTradingState(state=state, **place), self.venue())

    def end_of_day(self):
        self.day += 1
        return self.numbered(m.EndOfDay(day=20_240_000 + self.day), self.venue())

    def define(self):
        rng = self.rng
        if rng.random() < 0.4:
            return self.numbered(self.safety(), self.venue())
        command = rng.choice((
            m.DefineCurrency(currency=rng.randint(0, 5), symbol=rng.choice(("USD", "GBP", "")), decimals=2),
            m.OpenAccount(account=rng.randint(1, 7), firm=2, name="account 7"),
            m.GrantSession(account=rng.randint(1, 6), grantee=rng.choice((1, 4)), role=Role.TRADER),
            SETUP[3],
            m.Upgrade(version=rng.choice((0, SEMANTICS))),
            m.Quarantine(named=rng.randint(0, 50)) if self.every else m.Upgrade(version=65_536),
        ))  # fmt: skip
        return self.numbered(command, self.venue())

    def safety(self):
        """Credentials, roles that read, the clock and the epoch."""
        rng = self.rng
        self.epoch += 1
        hashes = {f"hash_{n}": rng.randint(-(2**63), 2**63 - 1) for n in range(4)}
        salt = {"salt_0": rng.randint(-(2**63), 2**63 - 1), "salt_1": rng.randint(-(2**63), 2**63 - 1)}
        # In turn, so that none of them is left out.
        commands = (
            m.SetCredential(grantee=rng.randint(1, 11), cost=rng.choice((10, 14, 20, 21)), **hashes, **salt),
            m.SetCredential(grantee=rng.randint(1, 11)),
            m.GrantSession(grantee=rng.randint(9, 12), role=Role.DROP_COPY, firm=rng.randint(1, 4)),
            m.GrantSession(grantee=rng.randint(9, 12), role=Role.MARKET_DATA),
            m.AcceptClock(clock=rng.choice((0, self.time)), reason="ntp"),
            m.Promote(epoch=self.epoch) if self.every else m.AcceptClock(clock=self.time),
        )  # fmt: skip
        return commands[self.epoch % len(commands)]

    def strange(self):
        """A row with one wrong column, from a session that may or may not exist."""
        row = self.enter()
        column = self.rng.randrange(3, 16)
        value = self.rng.choice((-1, 0, 7, 2**40, 2**62 - 1, -(2**63), 2**63 - 1))
        spoiled = row[: 8 * column] + value.to_bytes(8, "little", signed=True) + row[8 * column + 8 :]
        session = int.from_bytes(row[24:32], "little")
        if column in (3, 4) and spoiled != row:
            self.inbound[session] -= 1
        if column == 3 or (column == 4 and spoiled != row):
            self.sent.pop()
        else:
            self.sent[-1] = spoiled
        return spoiled

    def repeat(self):
        """What was sent before, once more; sometimes with other content."""
        if not self.sent:
            return self.advance()
        row = self.rng.choice(self.sent[-200:])
        return row if self.rng.random() < 0.7 else row[:120] + bytes([row[120] ^ 1]) + row[121:]


def wire_rows(seed, count, *, every=False):
    """So many wire rows, the setup included."""
    stream = Stream(seed, every=every)
    rows = stream.setup()
    rows += [stream.next() for _ in range(count - len(rows))]
    return rows


def stamped_rows(seed, count, *, every=False):
    """The rows as a journal holds them from its first row on."""
    return stamp(b"".join(wire_rows(seed, count, every=every)), 0, 0, START)


def times(rows):
    """The time of each stamped row."""
    return [int.from_bytes(rows[at + 16 : at + 24], "little") for at in range(0, len(rows), ROW_SIZE)]
