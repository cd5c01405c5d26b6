"""The session that a golden journal holds: every kind of command, and nearly every reason to refuse or cancel one."""

from core import messages as m
from core.kinds import POST_ONLY, REENTER, AccountStanding, KillAct, Role, TradingState
from core.kinds import OrderType as Type
from core.kinds import TimeInForce as Tif
from core.rows import pack_halves
from tests.determinism.stream import FAR_ACCOUNT, INSTRUMENTS, OPERATOR, SETUP, STEP, Stream
from tests.golden import parts_session
from tests.golden import rules_session as rules
from tests.poison.samples import BUY, SELL, order

SEED = 4
RANDOM_ROWS = 220
LOT = 2**62 - 1
RULES = [command for command in SETUP if isinstance(command, m.SetRules)]
"""They come after orders that know no rules."""


def traded(number, side, price, quantity, tif=Tif.GTC, **columns):
    """An order of account 1 (a buy) or 3 (a sell) on instrument 1."""
    account, session = (1, 1) if side == BUY else (3, 2)
    return order(
        side, price, quantity, tif, **{"account": account, "session": session, "client_order_id": number} | columns
    )


def opening():
    """Definitions, and what is refused of them."""
    return [
        *(command for command in SETUP if command not in RULES),
        m.DefineCurrency(currency=1, symbol="USD", decimals=2),
        m.DefineCurrency(currency=1, symbol="USD", decimals=3),
        m.DefineCurrency(currency=0, symbol="YEN"),
        m.DefineCurrency(column_6=1, currency=4, symbol="YEN"),
        m.DefineInstrument(instrument=9, symbol="BAD", currencies=pack_halves(1, 99), price_max=1, quantity_max=1),
        m.Deposit(account=1, currency=77, amount=1),
        m.Deposit(account=77, currency=1, amount=1),
        m.Deposit(account=1, currency=1, amount=0),
        m.Deposit(account=1, currency=1, amount=LOT),
        m.Withdraw(account=1, currency=1, amount=LOT // 2),
        m.Withdraw(account=1, currency=1, amount=7, inbound=5),
        m.Withdraw(account=1, currency=1, amount=7, inbound=5),
        m.EndOfDay(day=0),
        m.Upgrade(version=0),
        m.DefineInstrument(**{n: getattr(SETUP[3], n) for n in SETUP[3].__struct_fields__} | {"price_max": 900}),
        m.GrantSession(grantee=OPERATOR, role=Role.MARKET_DATA),
        m.GrantSession(grantee=15, role=Role.DROP_COPY, firm=99),
        m.SetCredential(
            grantee=1, hash_0=-1, hash_1=2, hash_2=-3, hash_3=2**63 - 1, salt_0=-(2**63), salt_1=6, cost=14
        ),
        m.SetCredential(grantee=2, hash_0=1, cost=14),
        m.SetCredential(grantee=2),
        m.SetCredential(grantee=2, hash_0=1, cost=9),
        m.AcceptClock(clock=0),
        m.AcceptClock(clock=1_700_000_000_000_000_000, reason="leap second"),
        m.Deposit(account=1, currency=1, amount=1, reason="\x7f"),
        m.EnterOrder(session=999, inbound=1),
        m.AdvanceTime(session=1),
    ]


def trading(now):
    """Orders of every type, and what is refused and canceled of them; the last ones wait for timers and mass operations."""
    market = Type.MARKET << 1
    return [
        traded(9_001, SELL, 100, 5),
        traded(9_002, BUY, 100, 3),
        traded(9_003, BUY, 99, 7),
        traded(9_004, SELL, 99, 2),
        traded(9_003, BUY, 98, 7),
        m.EnterOrder(session=1, account=1, instrument=1, client_order_id=9_005, quantity=1, flags=market | Tif.GTC << 5),
        traded(9_005, BUY, 95, 5, Tif.IOC, flags=BUY | Type.LIMIT << 1 | Tif.IOC << 5 | POST_ONLY),
        traded(9_005, BUY, 0, 5),
        traded(9_005, BUY, 95, 0),
        traded(9_005, BUY, 95, 5, expires=1),
        traded(9_005, SELL, 2**40 - 1, 2**40 - 1, instrument=2),
        traded(9_005, BUY, 900, 1_000),
        traded(9_005, BUY, 100, 5, flags=BUY | Type.LIMIT << 1 | Tif.GTC << 5 | POST_ONLY),
        traded(9_005, BUY, 95, 5, instrument=55),
        traded(9_005, BUY, 95, 5, account=2, session=2),
        traded(9_005, BUY, 95, 5, account=77, session=OPERATOR),
        traded(9_005, BUY, 95, 5, flags=1 << 20),
        traded(9_006, BUY, 100, 9, Tif.IOC),
        traded(9_007, BUY, 100, 900, Tif.FOK),
        m.EnterOrder(session=5, account=1, instrument=1, client_order_id=9_008, quantity=1),
        m.EnterOrder(session=2, account=3, instrument=1, client_order_id=9_009, quantity=900, flags=SELL | market | Tif.IOC << 5),
        traded(9_010, SELL, 800, 900),
        m.EnterOrder(session=1, account=1, instrument=1, client_order_id=9_011, quantity=900, flags=BUY | market | Tif.IOC << 5),
        m.Deposit(account=1, currency=1, amount=100_000),
        traded(9_012, BUY, 90, 30),
        traded(9_013, SELL, 90, 10),
        m.ReplaceOrder(session=1, account=1, instrument=1, client_order_id=9_014, price=90, quantity=25, original_client_order_id=9_012),
        m.ReplaceOrder(flags=REENTER, session=1, account=1, instrument=1, client_order_id=9_014, price=91, quantity=20, original_client_order_id=9_014),
        m.ReplaceOrder(session=OPERATOR, account=1, instrument=1, client_order_id=9_014, price=91, quantity=5, original_client_order_id=9_014),
        traded(9_015, BUY, 80, 9),
        m.ReduceOrder(session=1, account=1, instrument=1, client_order_id=9_015, quantity=2),
        m.ReduceOrder(session=OPERATOR, account=1, instrument=1, client_order_id=9_015, quantity=2),
        m.ReduceOrder(session=1, account=1, instrument=1, client_order_id=9_015, quantity=0),
        m.CancelOrder(session=OPERATOR, account=1, instrument=1, client_order_id=9_015),
        m.CancelOrder(session=1, account=1, instrument=1, client_order_id=9_015),
        traded(9_016, BUY, 81, 9, Tif.GTD, expires=now + 100 * STEP),
        traded(9_017, SELL, 850, 9, Tif.DAY),
        m.SetTradingState(instrument=1, state=TradingState.CANCEL_ONLY),
        traded(9_018, BUY, 81, 9),
        m.SetTradingState(instrument=1, state=TradingState.HALTED),
        m.CancelOrder(session=1, account=1, instrument=1, client_order_id=9_016),
        m.SetTradingState(instrument=1, state=TradingState.OPEN),
        m.SetTradingState(account=1, state=TradingState.HALTED),
        traded(9_019, BUY, 81, 9),
        m.SetTradingState(account=1, state=TradingState.OPEN),
        m.SetTradingState(state=TradingState.CANCEL_ONLY),
        m.SetTradingState(state=TradingState.OPEN),
        m.SetTradingState(instrument=1, account=1, state=TradingState.OPEN),
    ]  # fmt: skip


def closing():
    """The day ends: mass operations that go on for rows, timers, repeats."""
    return [
        traded(9_020, BUY, 82, 9, Tif.DAY),
        m.EndOfDay(day=20_990_101),
        m.EndOfDay(day=20_990_101),
        m.MassCancel(session=OPERATOR),
        m.MassCancel(session=1, account=1, instrument=INSTRUMENTS[0]),
        m.MassCancel(session=1, account=3),
        *[m.AdvanceTime()] * 4,
        m.CancelOrder(session=1, account=1, instrument=1, client_order_id=9_020),
        m.MassCancel(account=FAR_ACCOUNT),
    ]


class Session:
    """Wire rows of all that, with times and inbound numbers; every answer to a session stays dense."""

    def __init__(self):
        self.stream = Stream(SEED)
        self.stream.inbound |= dict.fromkeys(rules.SESSIONS.values(), 0)

    def rows(self, commands):
        """The wire rows of commands."""
        return [self._row(command) for command in commands]

    def _row(self, command):
        stream = self.stream
        known = command.session in stream.inbound
        return stream.numbered(command, command.session) if known else stream.row(command)

    def out_of_turn(self):
        """A repeat, a conflict and a gap of session 1, which consume no inbound number."""
        sent = next(row for row in self.stream.sent if row[24:32] == (1).to_bytes(8, "little"))
        conflict = sent[:80] + bytes([sent[80] ^ 1]) + sent[81:]
        gap = m.AdvanceTime(session=1, inbound=self.stream.inbound[1] + 5)
        return [sent, conflict, self.stream.row(gap)]

    def ruled(self):
        """An instrument with rules, and what its orders may ask for."""
        now = self.stream.time
        parts = (
            rules.market(),
            rules.instructed(),
            rules.waiting(),
            rules.own(),
            rules.positions(),
            rules.shared(),
            rules.limited(now),
            parts_session.entered(),
        )
        return self.rows([command for part in parts for command in part])

    def unfinished(self):
        """What stands unfinished where the snapshot is taken."""
        return self.rows(rules.unfinished(self.stream.time))

    def staged(self):
        """A held order, and a command whose last part never comes: the last rows before the snapshot is taken."""
        return self.rows(parts_session.unfinished())

    def random(self):
        """Rows of the random stream, in instruments that have rules now; at the end all is open again."""
        rules_set = self.rows([m.MassCancel(), *[m.AdvanceTime()] * 3, *RULES])
        rows = [self.stream.next() for _ in range(RANDOM_ROWS)]
        opened = [
            *(m.Kill(act=KillAct.REVIVE, **named) for named in ({}, {"account": 1}, {"named": 1}, {"firm": 2})),
            *(m.SetTradingState(state=TradingState.OPEN, **named) for named in ({}, {"account": 1}, {"instrument": 1})),
            m.SetAccount(account=1, state=AccountStanding.ACTIVE),
            *[m.AdvanceTime()] * 3,
        ]
        return [*rules_set, *rows, *self.rows(opened)]

    def poison(self):
        """Three orders; the second is the one that the engine of the day could not bear."""
        return self.rows(
            [traded(9_100, BUY, 70, 5), traded(9_101, BUY, 71, 5), traded(9_102, BUY, 72, 2, instrument=2)]
        )

    def timer(self):
        """An order that will expire, and the AdvanceTime row whose timer the engine of the day could not bear."""
        resting = self.rows([
            m.SetTradingState(instrument=1, state=TradingState.OPEN),
            traded(9_110, BUY, 60, 5, Tif.GTD, expires=self.stream.time + 10 * STEP),
        ])  # fmt: skip
        self.stream.time += 100 * STEP
        return [*resting, self.stream.row(m.AdvanceTime())]

    def pegged(self):
        """Orders with rules once more, and the AdvanceTime row in which the engine of the day could not bear a pegged one."""
        return self.rows(rules.pegged())
