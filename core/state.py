"""Everything the engine knows: tables by number, counters, the clock, timers and pending mass operations."""

from __future__ import annotations

from typing import Final, TypeVar

from mypy_extensions import i64
from sortedcontainers import SortedDict

from core.codes import Role, TradingState
from core.book import Order
from core.fees import FeeSchedule
from core.instrument import Instrument
from core.ledger import Account, Currency, Firm
from core.limits import ACCOUNT_NUMBER_MAX, DAY_BASE, NEVER, SUM_MAX
from core.session import Session

SEMANTICS: Final = 2
"""The version of the rules that this engine applies; every batch names the one it was written under."""


Entry = TypeVar("Entry")


class Todo:
    """A mass operation that goes on in AdvanceTime rows: a MassCancel, a Kill, an EndOfDay, a lost session or a dead-man timer (`command`)."""

    __slots__ = (
        "account", "command", "count", "fires_at", "firm", "inbound", "instrument", "last_order", "mode", "named", "sequence",
        "session", "side",
    )  # fmt: skip

    def __init__(self, command: i64, sequence: i64, session: Session, last_order: i64) -> None:
        self.command = command
        self.sequence = sequence
        self.session = session
        self.last_order = last_order
        self.inbound: i64 = 0
        self.instrument: i64 = 0
        self.account: i64 = 0
        self.side: i64 = 0
        self.named: i64 = 0
        self.firm: i64 = 0
        # Of a lost session: which of its orders (OnDisconnect). Of a dead-man timer: when it was due.
        self.mode: i64 = 0
        self.fires_at: i64 = 0
        self.count: i64 = 0


class State:
    """The state of a venue. Tables are lists indexed by number, with None where nothing stands."""

    __slots__ = (
        "accounts", "advanced", "control_inbound", "currencies", "currency_count", "day", "day_mark", "days", "dead_men",
        "dropped", "epoch", "fee_schedules", "firms", "following", "instruments", "killed", "match_numbers", "never", "next_semantics", "now",
        "order_numbers", "quarantined", "ratios", "semantics", "sequence", "sessions", "state", "timer", "timer_account",
        "timer_time", "timers", "todo_account", "todo_order", "todos", "venue",
    )  # fmt: skip

    def __init__(self) -> None:
        self.sequence: i64 = 0
        self.now: i64 = 0
        self.semantics: i64 = SEMANTICS
        self.next_semantics: i64 = SEMANTICS
        self.state: i64 = TradingState.OPEN
        self.day: i64 = 0
        self.days: i64 = 0
        self.day_mark: i64 = DAY_BASE
        # Read from here because a constant beyond SUM_MAX compiles to an object, converted at each use.
        self.never: i64 = NEVER
        self.order_numbers: i64 = 0
        self.match_numbers: i64 = 0
        self.control_inbound: i64 = 0
        # The latest row that was an AdvanceTime and was not refused.
        self.advanced: i64 = 0
        # Rows that were replaced by a halt and whose Quarantine row has not come yet.
        self.quarantined: list[i64] = []
        # Timers and mass operations that a quarantine dropped: while not 0, any book may hold orders that are over.
        self.dropped: i64 = 0
        # Raised by every promotion of another writer.
        self.epoch: i64 = 1
        self.currencies: list[Currency | None] = []
        self.currency_count: i64 = 0
        self.instruments: list[Instrument | None] = []
        self.firms: list[Firm | None] = []
        self.fee_schedules: list[FeeSchedule | None] = []
        self.accounts: list[Account | None] = []
        venue = Session(0)
        venue.role = Role.OPERATOR
        self.venue = venue
        self.sessions: list[Session | None] = [venue]
        # GTD orders by (expiry, order number).
        self.timers: SortedDict[tuple[int, int], Order] = SortedDict()
        # The order whose timer is running, or that is being triggered, names it if it raises; with its expiry, or with the
        # number of the instrument that is being followed, negated.
        self.timer: Order | None = None
        self.timer_time: i64 = 0
        # Accounts whose dead-man timer is armed, by (time, account number); and the one whose timer is running.
        self.dead_men: SortedDict[tuple[int, int], Account] = SortedDict()
        self.timer_account: Account | None = None
        # Instruments whose waiting and pegged orders may have to follow, in their turn.
        self.following: list[Instrument] = []
        # Whether the kill switch of the venue is thrown.
        self.killed = False
        # How many order-to-trade ratios are set: while not 0, every match is counted.
        self.ratios: i64 = 0
        # Pending mass operations, oldest first; the cursor is where the oldest one goes on.
        self.todos: list[Todo] = []
        self.todo_account: i64 = 0
        self.todo_order: Order | None = None

    def currency(self, number: i64) -> Currency | None:
        """The currency of this number."""
        table = self.currencies
        return table[number] if 0 < number < len(table) else None

    def add_currency(self, number: i64, symbol_0: i64, symbol_1: i64, decimals: i64) -> Currency:
        """A new currency."""
        currency = Currency(number, self.currency_count, symbol_0, symbol_1, decimals)
        self.currency_count += 1
        put(self.currencies, number, currency)
        return currency

    def instrument(self, number: i64) -> Instrument | None:
        """The instrument of this number."""
        table = self.instruments
        return table[number] if 0 < number < len(table) else None

    def fee_schedule(self, number: i64) -> FeeSchedule | None:
        """The fee schedule of this number."""
        table = self.fee_schedules
        return table[number] if 0 < number < len(table) else None

    def firm(self, number: i64) -> Firm | None:
        """The firm of this number."""
        table = self.firms
        return table[number] if 0 < number < len(table) else None

    def account(self, number: i64) -> Account | None:
        """The account of this number."""
        table = self.accounts
        return table[number] if 0 < number < len(table) else None

    def session(self, number: i64) -> Session | None:
        """The session of this number; 0 is the venue itself."""
        table = self.sessions
        return table[number] if 0 <= number < len(table) else None

    def due(self) -> i64:
        """When the engine next wants an AdvanceTime row, in ns since 1970: 0 for at once, NEVER for not at all."""
        if self.todos or self.following:
            return 0
        first = self.never
        if self.timers:
            first = self.timers.peekitem(0)[0][0]
        if self.dead_men:
            fires: i64 = self.dead_men.peekitem(0)[0][0]
            if fires < first:
                first = fires
        return first

    def is_over(self, order: Order) -> bool:
        """Whether an order's time is over, so that it never trades again, told or not."""
        expires = order.expires
        return expires <= self.now or SUM_MAX < expires < self.day_mark

    def any_over(self) -> bool:
        """Whether orders may stand in a book whose time is over."""
        return self.dropped != 0 or bool(self.todos) or self.due() <= self.now


def put(table: list[Entry | None], number: i64, entry: Entry) -> None:
    """Set an entry of a table, which grows as needed. ValueError for a number that no entry has."""
    if not 0 <= number <= ACCOUNT_NUMBER_MAX:
        raise ValueError("number out of range")
    while len(table) <= number:
        table.append(None)
    table[number] = entry


def fits(total: i64, more: i64) -> bool:
    """Whether `more` can be added to a stored sum; both are at most SUM_MAX."""
    return more <= SUM_MAX - total
