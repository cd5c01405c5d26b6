"""A random stream of commands that is a pure function of its seed: no engine and no model is asked what stands.

It guesses which orders live and what is shut, so it is refused often; it keeps exact inbound numbers, so that every
session goes on. What it sends is chosen as for the model (tests/stream_orders.py, tests/stream_rules.py).
"""

import random

from msgspec import structs

from core import messages as m
from core.kinds import (
    EXPOSURES,
    FEE_PERIOD,
    MARKET_RESTS,
    ONLY_BUYS,
    ONLY_SELLS,
    ROW_SIZE,
    AccountStanding,
    Prevention,
    Role,
    Rounding,
    TradingState,
)  # fmt: skip
from core.kinds import TimeInForce as Tif
from core.rows import pack_halves, to_row
from core.stamp import stamp
from core.state import SEMANTICS
from tests.determinism.guesses import Guesses
from tests.model_limits import BOUNDS
from tests.stream_orders import Orders
from tests.stream_parts import Parts
from tests.stream_rules import Rules
from tests.stream_safety import Safety

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
NO_TEXT = "\x7f"

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
    m.SetRules(
        flags=EXPOSURES | MARKET_RESTS, instrument=1, protection=4, collar=90_000, notional_min=96, notional_max=30_000,
    ),
    m.SetRules(flags=EXPOSURES, instrument=3),
    m.Upgrade(version=SEMANTICS),
)  # fmt: skip

WEIGHTS = {
    "enter": 62, "replace": 8, "reduce": 4, "cancel": 3, "mass_cancel": 1, "advance": 6, "money": 3, "state": 3,
    "end_of_day": 1, "define": 3, "strange": 4, "repeat": 2, "kill": 0.4, "standing": 1.2, "limit": 4, "rules": 1, "allocation": 1,
    "schedule": 1, "parts": 2, "looks_after": 3,
}  # fmt: skip


class Stream(Orders, Rules, Parts, Safety):
    """Wire rows one after the other, each with a time of its own; only those that anybody may submit, unless `every`."""

    SESSIONS = (1, 2, 3)
    FIRMS = (1, 2, 3)
    LEADS = (1, 2, 3, FAR_ACCOUNT)

    def __init__(self, seed, *, every=False):
        self.rng = random.Random(seed)
        self.model = Guesses(INSTRUMENTS)
        self.every = every
        self.time = START
        self.inbound = dict.fromkeys({*ACCOUNTS.values(), OPERATOR}, 0)
        self.ids = self.day = 0
        self.epoch = 1
        self.sent = []
        self.closed = []
        self.to_widen = []
        self.coming = []

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
        if self.coming and self.rng.random() < 0.99:
            part = self.coming.pop(0)
            return self.numbered(part, self.known(part))
        if self.closed and self.rng.random() < 0.06 * len(self.closed):
            return self.state()
        if self.model.killed and self.rng.random() < 0.35:
            return self.kill()
        if self.to_widen and self.rng.random() < 0.15:
            return self.numbered(self.to_widen.pop(0), self.venue())
        if self.barred() and self.rng.random() < 0.1:
            return self.standing()
        kind = self.rng.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
        return getattr(self, kind)()

    def venue(self):
        return self.rng.choice((0, 0, OPERATOR))

    def account(self):
        return self.rng.choice(list(ACCOUNTS))

    # ---- orders

    def price(self, instrument):
        return self.rng.randint(90, 110)

    def quantity(self):
        return self.rng.choice((1, 2, 3, 5, 8, 13, 21, 150))

    def sender(self, account):
        """Mostly the account's own session; at times an operator, or a session that may not."""
        return self.rng.choices((ACCOUNTS[account], OPERATOR, 1), (90, 7, 3))[0]

    def expires(self, tif):
        return self.time + self.rng.choice((3, 8, 30, 90)) * STEP if tif == Tif.GTD else 0

    def reason(self):
        return self.rng.choice(("", "", "", "ticket 7", NO_TEXT))

    def enter(self):
        command = self.EnterOrder()
        self.model.enter(command)
        return self.numbered(command, command.session)

    def replace(self):
        command = self.ReplaceOrder()
        self.model.replace(command)
        return self.numbered(command, command.session)

    def reduce(self):
        command = self.ReduceOrder()
        return self.numbered(command, command.session)

    def cancel(self):
        command = self.CancelOrder()
        self.model.cancel(command)
        return self.numbered(command, command.session)

    def mass_cancel(self):
        rng = self.rng
        account = rng.choice((0, *ACCOUNTS))
        command = m.MassCancel(
            flags=rng.choice((0, ONLY_BUYS, ONLY_SELLS)), instrument=rng.choice((0, *INSTRUMENTS)), account=account,
            named=rng.choice((0, 0, 0, 1, 2)), firm=rng.choice((0, 0, 0, 1, 2)), reason=self.reason(),
        )  # fmt: skip
        return self.numbered(command, self.sender(account) if account else OPERATOR)

    # ---- commands of several parts, and what looks after orders

    def known(self, command):
        """The session of a command, if it has numbers here; else that of an operator."""
        return command.session if command.session in self.inbound else OPERATOR

    def parts(self):
        head = self.rng.choice((self.EnterBatch, self.LinkOrders, self.MassQuote))()
        return self.numbered(head, self.known(head))

    def looks_after(self):
        kinds = (
            self.SessionLost,
            self.SetCancelOnDisconnect,
            self.ArmDeadMan,
            self.SetProtection,
            self.ResetProtection,
        )
        command = self.rng.choice(kinds)()
        return self.numbered(command, self.known(command))

    # ---- who may enter what

    def kill(self):
        command = self.Kill()
        if command.reason != NO_TEXT:
            self.model.kill(command)
        return self.numbered(command, command.session)

    def standing(self):
        command = self.SetAccount()
        is_valid = (
            command.state in set(AccountStanding) and command.group < 2**20 and command.prevention <= Prevention.ALLOW
        )
        if is_valid and command.reason != NO_TEXT:
            self.model.standings[command.account] = command
        return self.numbered(command, command.session)

    def limit(self):
        command = self.SetLimit()
        self.model.limit(command)
        most, _, high = BOUNDS.get(command.limit, (0, 0, 0))
        if not command.until and command.value < most:
            self.to_widen.append(structs.replace(command, session=0, value=most, second=high, reason=""))
        return self.numbered(command, command.session)

    def allocation(self):
        command = self.SetAllocation()
        return self.numbered(command, command.session)

    def schedule(self):
        command = self.SetFeeSchedule()
        return self.numbered(command, command.session)

    def rules(self):
        command = self.SetRules()
        return self.numbered(command, command.session)

    # ---- the venue

    def advance(self):
        return self.numbered(m.AdvanceTime(), self.venue())

    def money(self):
        kind = self.rng.choice((m.Deposit, m.Withdraw))
        command = kind(
            account=self.account(),
            currency=self.rng.randint(1, 3),
            amount=self.rng.choice((0, 10, 999, 2**61)),
            reason=self.reason(),
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
        return self.numbered(
            m.EndOfDay(flags=self.rng.choice((0, 0, FEE_PERIOD)), day=20_240_000 + self.day), self.venue()
        )

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
