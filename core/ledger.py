"""Accounts and what they hold: double entry in integers.

For each currency, at every moment: the sum of all balances plus the venue's fees = deposited - withdrawn <= SUM_MAX.
Fees never become negative (a rebate is paid out of the other side's fee of the same match), so no balance can pass
SUM_MAX once a deposit has been checked against it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mypy_extensions import i64

from core.codes import AccountStanding, TradingState
from core.fees import FeeSchedule, Volume
from core.holder import Holder
from core.quotes import Quotes

if TYPE_CHECKING:
    from core.book import Order


class Currency:
    """A currency or other asset, and its venue-wide sums in units of 10^-decimals."""

    __slots__ = ("decimals", "deposited", "fees", "index", "number", "symbol_0", "symbol_1", "withdrawn")

    def __init__(self, number: i64, index: i64, symbol_0: i64, symbol_1: i64, decimals: i64) -> None:
        self.number = number
        # Where accounts keep their balance of it: 0, 1, 2, ... as currencies came, and nothing depends on it.
        self.index = index
        self.symbol_0 = symbol_0
        self.symbol_1 = symbol_1
        self.decimals = decimals
        self.deposited: i64 = 0
        self.withdrawn: i64 = 0
        self.fees: i64 = 0


class Balance:
    """What one account holds of one currency, and how much of it its live orders reserve (0 <= reserved <= total)."""

    __slots__ = ("reserved", "total")

    def __init__(self) -> None:
        self.total: i64 = 0
        self.reserved: i64 = 0

    def free(self) -> i64:
        """What can be reserved, paid or withdrawn."""
        return self.total - self.reserved


class Firm(Holder):
    """A member firm, and the last number of its drop copy."""

    __slots__ = ("drop_copy", "number")

    def __init__(self, number: i64) -> None:
        super().__init__()
        self.number = number
        self.drop_copy: i64 = 0

    def next_drop_copy(self) -> i64:
        """Number the next event of the firm's drop copy."""
        self.drop_copy += 1
        return self.drop_copy


class Account(Holder):
    """An account: its balances by currency, its live orders by client order id and in order of order number."""

    __slots__ = (
        "balances", "firm", "group", "name", "newest", "number", "oldest", "orders", "prevention", "quotes", "standing",
        "state", "volumes",
    )  # fmt: skip

    def __init__(self, number: i64, firm: Firm, name: bytes) -> None:
        super().__init__()
        self.number = number
        self.firm = firm
        self.name = name
        self.state: i64 = TradingState.OPEN
        self.standing: i64 = AccountStanding.ACTIVE
        # Self-trade group (0: none), and the prevention of orders that name none.
        self.group: i64 = 0
        self.prevention: i64 = 0
        self.balances: list[Balance | None] = []
        # By number of the fee schedule.
        self.volumes: dict[int, Volume] = {}
        self.orders: dict[i64, Order] = {}
        # Live quotes by number of the instrument.
        self.quotes: dict[int, Quotes] = {}
        self.oldest: Order | None = None
        self.newest: Order | None = None

    def balance(self, currency: Currency) -> Balance:
        """The balance in this currency, made if there is none."""
        balances = self.balances
        index = currency.index
        if index < len(balances):
            found = balances[index]
            if found is not None:
                return found
        while len(balances) <= index:
            balances.append(None)
        made = Balance()
        balances[index] = made
        return made

    def quotes_in(self, instrument: i64) -> Quotes:
        """Its quotes in an instrument."""
        found = self.quotes.get(instrument)
        if found is None:
            found = Quotes(instrument)
            self.quotes[instrument] = found
        return found

    def volume(self, schedule: FeeSchedule) -> Volume:
        """What it has traded in a fee schedule."""
        found = self.volumes.get(schedule.number)
        if found is None:
            found = Volume(schedule.period)
            self.volumes[schedule.number] = found
        return found

    def held(self, currency: Currency) -> Balance | None:
        """The balance in this currency, if there is one."""
        balances = self.balances
        index = currency.index
        return balances[index] if index < len(balances) else None

    def add(self, order: Order) -> None:
        """A new order is live: it is the newest of the account."""
        order.live = True
        self.open += 1
        self.firm.open += 1
        order.session.open += 1
        newest = self.newest
        if newest is None:
            self.oldest = order
        else:
            newest.newer = order
            order.older = newest
        self.newest = order
        self.orders[order.client_order_id] = order

    def remove(self, order: Order) -> None:
        """An order is live no more."""
        order.live = False
        self.open -= 1
        self.firm.open -= 1
        order.session.open -= 1
        older = order.older
        newer = order.newer
        if older is None:
            self.oldest = newer
        else:
            older.newer = newer
        if newer is None:
            self.newest = older
        else:
            newer.older = older
        order.older = None
        order.newer = None
        del self.orders[order.client_order_id]
