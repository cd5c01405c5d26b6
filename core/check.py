"""Every invariant of a venue's state, asserted. Called by tests, fuzzers and `lockstep replay --check`.

It walks the whole state: for every few thousand rows, not for every one.
"""

from __future__ import annotations

from mypy_extensions import i64

from core.codes import Role, Side, TradingState
from core.book import Ladder, Level, Order
from core.check_parts import check_parts
from core.check_rules import RuleSums, check_rules, check_terms, hold
from core.engine import Engine
from core.instrument import Instrument
from core.kinds import SIDE_MASK
from core.ledger import Account
from core.limits import COST_MAX, COST_MIN, DAY_BASE, LEVELS_MAX, SUM_MAX, TODOS_MAX
from core.matching import reserve
from core.session import Session
from core.terms import HELD, IN_BOOK


class Sums:
    """Totals over the orders of all books, to be compared with what accounts and currencies say."""

    def __init__(self) -> None:
        self.orders: i64 = 0
        self.timed: i64 = 0
        self.reserved: dict[tuple[int, int], int] = {}
        self.held: dict[int, int] = {}
        self.rules = RuleSums()


def check(engine: Engine) -> None:
    """AssertionError if the state contradicts itself anywhere."""
    sums = Sums()
    for instrument in engine.instruments:
        if instrument is not None:
            _check_book(engine, instrument, sums)
    for account in engine.accounts:
        if account is not None:
            _check_account(engine, account, sums)
    check_rules(engine, sums.rules)
    check_parts(engine, sums.rules)
    _check_money(engine, sums)
    _check_clock(engine, sums)
    _check_sessions(engine)


def _check_book(engine: Engine, instrument: Instrument, sums: Sums) -> None:
    # No trade was left undone: the book is not crossed, unless by orders whose time is over.
    for bid in (instrument.bids.best, instrument.hidden_bids.best):
        for ask in (instrument.asks.best, instrument.hidden_asks.best):
            hold(bid is None or ask is None or bid.price < ask.price or engine.any_over(), "crossed")
    _check_ladder(engine, instrument, instrument.bids, Side.BUY, sums)
    _check_ladder(engine, instrument, instrument.asks, Side.SELL, sums)
    _check_ladder(engine, instrument, instrument.hidden_bids, Side.BUY, sums)
    _check_ladder(engine, instrument, instrument.hidden_asks, Side.SELL, sums)
    hold(instrument.bids.total <= SUM_MAX - instrument.hidden_bids.total, "open buys")
    hold(instrument.asks.total <= SUM_MAX - instrument.hidden_asks.total, "open sells")


def _check_ladder(engine: Engine, instrument: Instrument, ladder: Ladder, side: i64, sums: Sums) -> None:
    # Levels fall from worst to best, none is empty, and `best` is the last.
    levels = ladder.levels
    hold(len(levels) <= LEVELS_MAX, "too many levels")
    hold((ladder.best is None) == (len(levels) == 0), "best level")
    total: i64 = 0
    worse: Level | None = None
    for level in levels:
        hold(worse is None or level.price * ladder.sign < worse.price * ladder.sign, "levels out of order")
        worse = level
        total += level.total
        _check_level(engine, instrument, ladder, level, side, sums)
    hold(ladder.best is worse, "best level is not the last")
    hold(total == ladder.total <= SUM_MAX, "ladder total")


def _check_level(engine: Engine, instrument: Instrument, ladder: Ladder, level: Level, side: i64, sums: Sums) -> None:
    total: i64 = 0
    count: i64 = 0
    ahead: Order | None = None
    order = level.first
    while order is not None:
        # Links, owner and index agree; nothing rests with nothing open.
        hold(order.ahead is ahead and order.level is level and order.price == level.price, "queue links")
        hold(order.side == side == order.flags & SIDE_MASK and order.instrument is instrument, "order's place")
        hold(order.account.orders.get(order.client_order_id) is order, "client order id index")
        hold(1 <= order.leaves and 0 <= order.executed and order.number <= engine.order_numbers, "order's numbers")
        hold(engine.same(order) is ladder, "ladder of the order")
        _count_order(order, sums)
        total += order.leaves
        count += 1
        ahead = order
        order = order.behind
    hold(level.last is ahead and count > 0, "queue end")
    hold(total == level.total and count == level.count, "level total")


def _count_order(order: Order, sums: Sums) -> None:
    currency = order.instrument.quote if order.side == Side.BUY else order.instrument.base
    key = (order.account.number, currency.number)
    sums.reserved[key] = sums.reserved.get(key, 0) + order.reserved
    sums.orders += 1
    sums.timed += 1 if order.timed else 0
    hold(order.reserved == reserve(order), "reservation of the order")
    check_terms(order, sums.rules)


def _check_account(engine: Engine, account: Account, sums: Sums) -> None:
    # The account's list holds its live orders, by rising order number.
    count: i64 = 0
    older: Order | None = None
    order = account.oldest
    while order is not None:
        hold(order.account is account and order.older is older and order.live, "account's list")
        if order.level is None:
            hold(order.terms is not None and IN_BOOK < order.terms.waits <= HELD, "an order that is nowhere")
            hold(account.orders.get(order.client_order_id) is order and 1 <= order.leaves, "an order that waits")
            _count_order(order, sums)
        hold(older is None or older.number < order.number, "account's list out of order")
        older = order
        order = order.newer
        count += 1
    hold(account.newest is older and count == len(account.orders), "account's orders")
    # What is reserved is what its orders need, and is there.
    for currency in engine.currencies:
        balance = account.held(currency) if currency is not None else None
        if balance is not None and currency is not None:
            number = currency.number
            hold(balance.reserved == sums.reserved.get((account.number, number), 0), "reserved")
            hold(0 <= balance.reserved <= balance.total <= SUM_MAX, "balance")
            sums.held[number] = sums.held.get(number, 0) + balance.total


def _check_money(engine: Engine, sums: Sums) -> None:
    # Nothing is made or lost: balances and fees are what came in less what went out.
    for currency in engine.currencies:
        if currency is not None:
            held = sums.held.get(currency.number, 0)
            hold(held + currency.fees == currency.deposited - currency.withdrawn, "money is not conserved")
            hold(0 <= currency.fees and 0 <= currency.withdrawn <= currency.deposited <= SUM_MAX, "currency sums")


def _check_clock(engine: Engine, sums: Sums) -> None:
    # Timers and orders name each other; pending operations are bounded.
    hold(sums.timed == len(engine.timers), "timers")
    hold(engine.timer is None and engine.timer_time == 0, "no timer is running")
    for key, order in sorted(engine.timers.items()):
        hold(order.timed and key[0] == order.expires and key[1] == order.number, "timer")
    hold(len(engine.todos) <= TODOS_MAX, "pending operations")
    hold(engine.day_mark == DAY_BASE + engine.days, "day mark")
    hold(TradingState.OPEN <= engine.state <= TradingState.HALTED, "state of the venue")
    hold(1 <= engine.epoch <= SUM_MAX, "epoch")
    hold(len(engine.todos) > 0 or engine.todo_order is None, "cursor without an operation")


def _check_sessions(engine: Engine) -> None:
    # Answers lie within what was told.
    for session in engine.sessions:
        if session is not None:
            _check_grants(engine, session)
            if session.inbound > 0:
                last = session.first(session.inbound) + session.count(session.inbound) - 1
                hold(session.remembers(session.inbound) and 0 <= last <= session.outbound, "answers")


def _check_grants(engine: Engine, session: Session) -> None:
    # Who only reads acts for nobody; a credential is whole or absent.
    hold(Role.TRADER <= session.role <= Role.MARKET_DATA, "role")
    hold(len(session.accounts) == 0 or not session.only_reads(), "accounts of a session that only reads")
    hold((session.role == Role.DROP_COPY) == (engine.firm(session.firm) is not None), "firm of a session")
    secret = session.hash_0 | session.hash_1 | session.hash_2 | session.hash_3 | session.salt_0 | session.salt_1
    hold(COST_MIN <= session.cost <= COST_MAX or session.cost | secret == 0, "credential")
