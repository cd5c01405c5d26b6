"""What the rule book adds to the session of a golden journal: an instrument with rules, and all that its orders may ask for.

Accounts 21 (which buys) and 22 (which sells) are of firms of their own; 23 is of the firm of 22, and in a group with it.
"""

from core import messages as m
from core.kinds import (
    ALL_OR_NONE,
    BASIS_POINTS,
    EXPOSURES,
    HIDDEN,
    LOTS_SHIFT,
    MARKET_RESTS,
    PEG_SHIFT,
    PREVENTION_SHIFT,
    QUOTE,
    REDUCE_ONLY,
    SHARE_SHIFT,
    SLIDE,
    AccountStanding,
    KillAct,
    Limit,
    OnDisconnect,
    Peg,
    Prevention,
    Role,
    Step,
    TradingState,
)
from core.kinds import OrderType as Type
from core.kinds import TimeInForce as Tif
from core.limits import DAY_NS, INTERVAL_MIN, REDUCING_MAX
from core.rows import pack_halves
from tests.determinism.stream import OPERATOR, STEP
from tests.poison.samples import BUY, SELL

RULED = 6
"""The instrument."""

BUYER, SELLER, PARTNER = 21, 22, 23
SESSIONS = {BUYER: 21, SELLER: 22, PARTNER: 22}
WIDE = 1_000_000


def at(client, side, price, quantity, order_type=Type.LIMIT, tif=Tif.GTC, bits=0, **columns):
    """An order of account 21 (a buy) or 22 (a sell), unless it names another."""
    account = columns.get("account", BUYER if side == BUY else SELLER)
    terms = {"instrument": RULED, "account": account, "client_order_id": client, "price": price, "quantity": quantity}
    terms |= {"session": SESSIONS[account], "flags": side | order_type << 1 | tif << 5 | bits}
    return m.EnterOrder(**terms | columns)


def about(of, client, side=BUY, **columns):
    """Another command about such an order."""
    account = columns.get("account", BUYER if side == BUY else SELLER)
    terms = {"instrument": RULED, "account": account, "client_order_id": client, "session": SESSIONS[account]}
    return of(**terms | columns)


def replaced(client, side=BUY, **columns):
    return about(m.ReplaceOrder, client, side, **{"original_client_order_id": client} | columns)


def preventing(mode):
    return mode << PREVENTION_SHIFT


def market():
    """The market of these orders, and what is refused of its definition."""
    return [
        m.DefineCurrency(currency=6, symbol="GBP", decimals=2),
        m.DefineInstrument(
            instrument=RULED, symbol="GBP/USD", currencies=pack_halves(6, 1), price_max=1_000, quantity_max=1_000,
            fee_rates=pack_halves(0, 1_000),
        ),
        *(m.OpenAccount(account=a, firm=f, name=f"account {a}") for a, f in ((BUYER, 4), (SELLER, 5), (PARTNER, 5))),
        *(m.Deposit(account=a, currency=c, amount=WIDE) for a in SESSIONS for c in (1, 6)),
        *(m.GrantSession(account=a, grantee=s, role=Role.TRADER) for a, s in SESSIONS.items()),
        m.SetFeeSchedule(schedule=1, fee_rates=pack_halves(0, 1_000), reason="listing"),
        m.SetFeeSchedule(schedule=1, tier=1, volume=2_000, fee_rates=pack_halves(-100, 900)),
        m.SetFeeSchedule(schedule=1, tier=5, volume=1),
        m.SetAllocation(instrument=RULED, step_1=1 | 2 << 48, step_2=3 | 1_000_000 << 8 | 1 << 48, step_3=4),
        m.SetAllocation(instrument=RULED, step_1=9),
        m.SetRules(
            flags=EXPOSURES | MARKET_RESTS, instrument=RULED, fee_schedule=1, protection=5, collar=200_000, quantity_min=1,
            notional_min=50, notional_max=60_000, reason="listing",
        ),
        m.SetRules(flags=EXPOSURES, instrument=RULED),
        m.SetRules(flags=4, instrument=RULED),
    ]  # fmt: skip


def instructed():
    """Icebergs, hidden orders, what must trade at once, budgets, markets with protection; collar and bounds."""
    return [
        at(1, SELL, 100, 20, display_quantity=5),
        at(2, BUY, 100, 7, tif=Tif.IOC),
        about(m.ReduceOrder, 1, SELL, quantity=12),
        at(3, BUY, 95, 5, bits=HIDDEN),
        at(4, SELL, 95, 2, tif=Tif.IOC),
        at(5, BUY, 120, 1),
        at(5, BUY, 40, 1),
        at(5, BUY, 100, 700),
        at(5, BUY, 101, 900, bits=ALL_OR_NONE),
        at(5, BUY, 100, 50, bits=ALL_OR_NONE),
        at(5, BUY, 100, 50, minimum_quantity=40),
        at(6, SELL, 102, 9, bits=SLIDE),
        at(7, BUY, 0, 700, Type.SPEND_AT_MOST, Tif.IOC),
        at(8, BUY, 0, 3, Type.MARKET_TO_LIMIT),
        at(9, BUY, 0, 3, Type.MARKET),
        at(10, BUY, 0, 1, Type.STOP, Tif.IOC, trigger_price=110),
        at(10, BUY, 99, 1, offset=1),
        at(10, BUY, 99, 1, display_quantity=2),
    ]


def waiting():
    """Orders that wait for a price, trailing ones among them, and pegged ones that follow."""
    return [
        at(20, SELL, 105, 10),
        at(21, BUY, 0, 3, Type.STOP, trigger_price=105),
        at(22, SELL, 89, 3, Type.STOP_LIMIT, trigger_price=90),
        at(23, BUY, 0, 2, Type.MARKET_IF_TOUCHED, Tif.DAY, trigger_price=80),
        at(24, SELL, 111, 2, Type.LIMIT_IF_TOUCHED, trigger_price=109),
        at(25, SELL, 0, 2, Type.TRAILING_STOP, trigger_price=80, offset=12),
        at(26, SELL, 0, 2, Type.TRAILING_STOP, bits=BASIS_POINTS, trigger_price=70, offset=2_000),
        at(27, BUY, 105, 3, tif=Tif.IOC),
        at(30, BUY, 99, 5),
        at(31, BUY, 110, 4, Type.PEGGED, offset=-1),
        at(32, BUY, 110, 4, Type.PEGGED, bits=Peg.MIDPOINT << PEG_SHIFT | HIDDEN),
        at(33, SELL, 0, 4, Type.PEGGED, bits=Peg.MARKET << PEG_SHIFT, offset=30),
        at(34, BUY, 101, 5),
        replaced(22, SELL, price=88, quantity=3, trigger_price=91),
        replaced(31, price=108, quantity=5),
        about(m.CancelOrder, 34),
        m.SetAccount(account=SELLER, state=AccountStanding.SUSPENDED),
        at(35, SELL, 98, 5),
        at(36, SELL, 91, 1, account=PARTNER),
        at(37, BUY, 91, 1),
        about(m.CancelOrder, 30),
        at(38, SELL, 91, 6, account=PARTNER),
        at(39, BUY, 91, 6),
        at(45, SELL, 91, 1, account=PARTNER),
        m.SetAccount(account=SELLER, state=AccountStanding.REDUCE_ONLY),
        at(40, SELL, 98, 5),
        m.SetAccount(account=SELLER, state=AccountStanding.ACTIVE, group=7, reason="back"),
        m.SetAccount(account=PARTNER, state=AccountStanding.ACTIVE, group=7, prevention=Prevention.CANCEL_NEWEST),
        m.SetAccount(account=PARTNER, state=4),
    ]


def own():
    """Self-trade prevention in every mode, between two accounts of a group."""
    found = []
    for number, mode in enumerate((Prevention.CANCEL_OLDEST, Prevention.CANCEL_BOTH, Prevention.DECREMENT), 50):
        found.append(at(number, BUY, 104, 5, account=PARTNER))
        found.append(at(number + 10, SELL, 104, 3, tif=Tif.IOC, bits=preventing(mode)))
    return [*found, at(70, SELL, 106, 1), at(71, BUY, 106, 1, account=PARTNER)]


def positions():
    """Reduce-only orders: refused, cut, canceled, and more than an account may have."""
    mass = m.MassCancel(session=SESSIONS[BUYER], account=BUYER, instrument=RULED)
    return [
        m.MassCancel(account=SELLER, firm=5, named=SESSIONS[SELLER], reason="clean slate"),
        m.MassCancel(account=PARTNER),
        mass,
        m.MassCancel(firm=99),
        at(80, SELL, 100, 9),
        at(81, BUY, 100, 9),
        at(82, BUY, 100, 1, bits=REDUCE_ONLY),
        at(83, SELL, 110, 900, account=BUYER, bits=REDUCE_ONLY),
        *(at(100 + n, SELL, 111, 1, account=BUYER, bits=REDUCE_ONLY) for n in range(REDUCING_MAX)),
        at(84, BUY, 100, 900, account=SELLER, bits=REDUCE_ONLY),
        at(85, SELL, 100, 36, account=BUYER),
        at(86, BUY, 100, 8, account=PARTNER),
        at(87, SELL, 100, 8, account=BUYER),
    ]


def shared():
    """A fee schedule, and a level that is shared by steps."""
    rates = {"schedule": 1, "fee_rates": pack_halves(-500, 1_000)}
    steps = {
        "step_1": Step.TOP | 2 << LOTS_SHIFT,
        "step_2": Step.PRO_RATA | 500_000 << SHARE_SHIFT,
        "step_3": Step.LARGEST,
    }
    return [
        m.SetFeeSchedule(schedule=1, fee_rates=pack_halves(0, 2_000), reason="new fees"),
        m.SetFeeSchedule(tier=1, volume=500, **rates),
        m.SetFeeSchedule(tier=3, volume=900, **rates),
        m.SetRules(
            flags=EXPOSURES | MARKET_RESTS, instrument=RULED, protection=5, collar=200_000, quantity_min=1,
            notional_min=50, notional_max=60_000, fee_schedule=1,
        ),
        m.SetAllocation(instrument=RULED, reason="by steps", **steps),
        m.SetAllocation(instrument=RULED, step_1=9),
        at(300, SELL, 100, 10),
        at(301, SELL, 100, 20, account=PARTNER),
        at(302, BUY, 100, 7),
        at(303, BUY, 100, 9),
        at(304, SELL, 99, 3),
    ]  # fmt: skip


def limited(now):
    """Every limit, set and passed, for an account, a session or a firm; kill switches."""
    kill = {"act": KillAct.KILL, "reason": "drill"}
    revive = {"act": KillAct.REVIVE}

    def limit(which, value, second=0, **columns):
        return m.SetLimit(**{"account": BUYER, "limit": which, "value": value, "second": second} | columns)

    return [
        limit(Limit.ORDER_QUANTITY, 10),
        at(200, BUY, 90, 11),
        limit(Limit.ORDER_QUANTITY, 1, until=now + 1_000_000 * STEP),
        limit(Limit.ORDER_QUANTITY, 1, until=1),
        limit(Limit.ORDER_QUANTITY, 1_000),
        limit(Limit.ORDER_NOTIONAL, 900, instrument=RULED, account=0, firm=4),
        at(200, BUY, 91, 10),
        limit(Limit.ORDER_NOTIONAL, WIDE, instrument=RULED, account=0, firm=4),
        limit(Limit.OPEN_ORDERS, 1, account=0, named=SESSIONS[BUYER]),
        at(201, BUY, 90, 1),
        at(202, BUY, 90, 1),
        limit(Limit.OPEN_ORDERS, WIDE, account=0, named=SESSIONS[BUYER]),
        limit(Limit.OPEN_NOTIONAL, 100, instrument=RULED),
        at(202, BUY, 90, 1),
        limit(Limit.OPEN_NOTIONAL, WIDE, instrument=RULED),
        limit(Limit.POSITION, 1, instrument=RULED),
        at(202, BUY, 90, 40),
        limit(Limit.POSITION, WIDE, instrument=RULED),
        limit(Limit.MESSAGE_RATE, 1, 1),
        at(203, BUY, 90, 1),
        at(204, BUY, 90, 1),
        limit(Limit.MESSAGE_RATE, WIDE, WIDE),
        limit(Limit.CANCEL_RATE, 1, 1),
        about(m.CancelOrder, 203),
        about(m.CancelOrder, 201),
        limit(Limit.CANCEL_RATE, WIDE, WIDE),
        limit(Limit.ORDER_TO_TRADE, 1, 1),
        at(205, BUY, 90, 1),
        at(206, BUY, 90, 1),
        limit(Limit.ORDER_TO_TRADE, WIDE, WIDE),
        limit(Limit.OPEN_ORDERS, 5, instrument=RULED),
        m.Kill(account=BUYER, **kill),
        at(207, BUY, 90, 1),
        m.Kill(account=BUYER, **revive),
        m.Kill(named=SESSIONS[SELLER], **kill),
        m.Kill(named=SESSIONS[SELLER], **revive),
        m.Kill(session=OPERATOR, firm=5, **kill),
        m.Kill(firm=5, **revive),
        m.Kill(firm=5, account=BUYER, **kill),
        at(208, SELL, 90, 3),
        at(209, BUY, 90, 3),
    ]


def safe():
    """Quotes and their protection, and a dead-man timer that is due when `lost` begins."""
    guard = {"instrument": RULED, "account": SELLER, "session": SESSIONS[SELLER]}
    arm = {"account": SELLER, "session": SESSIONS[SELLER]}
    return [
        m.SetProtection(window=1, **guard),
        m.SetProtection(window=1_000 * STEP, count=1, delta=9, **guard),
        at(230, SELL, 90, 3, bits=QUOTE),
        at(231, SELL, 91, 3, bits=QUOTE),
        at(232, BUY, 90, 1),
        at(233, SELL, 90, 3, bits=QUOTE),
        m.ResetProtection(**guard),
        m.SetProtection(window=1_000 * STEP, count=9, **guard),
        at(234, SELL, 90, 3, bits=QUOTE),
        at(235, BUY, 90, 1),
        m.ArmDeadMan(interval=1, **arm),
        m.ArmDeadMan(interval=INTERVAL_MIN, **arm),
    ]


def lost():
    """The timer fires, and a session is lost; a timer and a window still run in the end."""
    mode = {"named": SESSIONS[BUYER], "session": OPERATOR}
    return [
        m.AdvanceTime(),
        m.ArmDeadMan(interval=DAY_NS, account=SELLER, session=SESSIONS[SELLER]),
        m.SetCancelOnDisconnect(mode=3, **mode),
        m.SetCancelOnDisconnect(mode=OnDisconnect.DAY_ORDERS, **mode),
        at(236, BUY, 60, 1),
        at(237, BUY, 60, 1, tif=Tif.DAY),
        m.SessionLost(named=SESSIONS[BUYER], connection=7, reason="gone"),
        at(238, SELL, 90, 3, bits=QUOTE),
        at(239, BUY, 90, 1),
    ]


def unfinished(now):
    """What goes on in later rows: waiting orders of an instrument that has opened again, and a mass operation."""
    return [
        at(210, SELL, 150, 5, display_quantity=2),
        at(211, BUY, 0, 2, Type.STOP, trigger_price=140),
        at(212, BUY, 0, 2, Type.STOP, Tif.GTD, trigger_price=140, expires=now + 10_000_000 * STEP),
        at(213, BUY, 92, 5),
        at(215, SELL, 92, 1),
        at(214, BUY, 110, 5, Type.PEGGED),
        m.SetTradingState(instrument=RULED, state=TradingState.HALTED),
        m.SetTradingState(instrument=RULED, state=TradingState.OPEN),
        m.MassCancel(session=OPERATOR, instrument=3),
    ]


def pegged():
    """A mass cancel takes the reference of a pegged order, and leaves what follows from it to an AdvanceTime row."""
    return [
        *[m.AdvanceTime()] * 3,
        m.SetTradingState(instrument=RULED, state=TradingState.OPEN),
        at(220, BUY, 94, 5),
        at(221, BUY, 110, 5, Type.PEGGED, account=PARTNER),
        m.MassCancel(session=SESSIONS[BUYER], account=BUYER),
        m.AdvanceTime(),
    ]
