"""A command that was refused, or may be, beside the venue that it met: what its facts and its order are read from."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from core.book import Ladder, Order
from core.counting import closing
from core.engine import Engine
from core.instrument import Instrument
from core.kinds import HIDDEN, REDUCE_ONLY, REENTER, ROW_SIZE, SIDE_MASK, CommandKind, OrderType, Side
from core.ledger import Account
from core.matching import buy_cover
from core.messages import Row
from core.rows import RowError, from_row
from core.session import Session
from tools.causes.names import Names, hold_currency, pays_as_it_goes, type_of_flags
from tools.causes.rates import Rates
from tools.event_rows import CommandRow, command_rows


class Why(NamedTuple):
    """What a refusal met, in words, and the same numbers by name (ticks, lots, units, ns)."""

    text: str
    facts: Mapping[str, Any]


class Case:
    """A command, and the venue that it met."""

    def __init__(self, engine: Engine, row: bytes) -> None:
        self.engine = engine
        self.names = Names(engine)
        self.row: CommandRow = next(command_rows(row, 0, ROW_SIZE))
        self.malformed = ""
        self.command: Row | None = None
        try:
            self.command = from_row(row)
        except RowError as error:
            self.malformed = str(error)
        # Looked up now: what the row causes behind its refusal, as a timer that is due, may take the order away.
        self._replaced = self._find_replaced()

    def _find_replaced(self) -> Order | None:
        account = self.engine.account(self.row.account) if self.is_replace else None
        return account.orders.get(self.row.original_client_order_id) if account is not None else None

    @property
    def instrument(self) -> Instrument:
        """The instrument named, where the refusal says that it is known."""
        found = self.engine.instrument(self.row.instrument)
        assert found is not None
        return found

    @property
    def account(self) -> Account:
        """The account named, where the refusal says that it is known."""
        found = self.engine.account(self.row.account)
        assert found is not None
        return found

    @property
    def session(self) -> Session:
        """The asking session, where the refusal says that it exists."""
        found = self.engine.session(self.row.session)
        assert found is not None
        return found

    @property
    def is_replace(self) -> bool:
        """Whether the terms stand in a ReplaceOrder."""
        return self.row.kind == CommandKind.REPLACE_ORDER

    def replaced(self) -> Order:
        """The order that a ReplaceOrder names, where the refusal says that it lives."""
        assert self._replaced is not None
        return self._replaced

    @property
    def knows_replaced(self) -> bool:
        """Whether the order that a ReplaceOrder names lives."""
        return self._replaced is not None

    def side(self) -> int:
        """The side of the order to be entered or replaced."""
        return self.replaced().side if self.is_replace else self.row.flags & SIDE_MASK

    def leaves(self) -> int:
        """What would be open: for a replace, without what was executed, unless it enters again."""
        if self.is_replace and not self.row.flags & REENTER:
            return self.row.quantity - self.replaced().executed
        return self.row.quantity

    def allowed(self) -> int:
        """What would be open, cut to what the position allows where the order is reduce-only."""
        if not self.flags() & REDUCE_ONLY:
            return self.leaves()
        return min(self.leaves(), int(closing(self.account.exposure(self.row.instrument), self.side())))

    def flags(self) -> int:
        """The flags of the order to be entered or replaced."""
        return self.replaced().flags if self.is_replace else self.row.flags

    def own(self) -> tuple[Ladder, Ladder]:
        """The ladders of the order's own side: the one that it would stand on, and the other one."""
        one = self.instrument
        shown, hidden = (one.bids, one.hidden_bids) if self.side() == Side.BUY else (one.asks, one.hidden_asks)
        return (hidden, shown) if self.flags() & HIDDEN else (shown, hidden)

    def opposite(self) -> tuple[Ladder, Ladder]:
        """The ladders that the order would trade against, the shown one first."""
        one = self.instrument
        return (one.asks, one.hidden_asks) if self.side() == Side.BUY else (one.bids, one.hidden_bids)

    def draft(self) -> Order:
        """An order that nothing knows, with the flags, price and quantity of the command."""
        account, one = self.account, self.instrument
        hold = account.balance(one.quote if self.side() == Side.BUY else one.base)
        # Whose it is has no part in what it would cost; a session that was never granted anything has none.
        sender = self.engine.session(self.row.session) or self.engine.venue
        order = Order(account, sender, one, 0, hold)
        order.flags, order.side = self.flags(), self.side()
        order.price, order.leaves = self.row.price, self.leaves()
        return order

    def limit_price(self) -> int:
        """The price that limits the order, if it arrived now: its own, or the one that protection gives it; 0 for none."""
        order_type = type_of_flags(self.flags())
        gets_one = order_type in {OrderType.MARKET, OrderType.MARKET_TO_LIMIT} and not self.is_replace
        return self.row.price or (int(self.engine.limit_on_arrival(self.draft())) if gets_one else 0)


def needed_for(case: Case) -> tuple[int, int, int]:
    """The currency that covers an order to be entered or replaced, the units needed, and those that the order holds yet.

    A buy that pays as it goes needs none.
    """
    row, one = case.row, case.instrument
    maker, taker = Rates(case.engine).of(case.account.number, one.number)
    held = 0
    if case.is_replace:
        order = case.replaced()
        maker, taker, held = order.maker_rate, order.taker_rate, order.reserved
    currency = hold_currency(one, case.side())
    if case.side() == Side.SELL:
        return currency, case.allowed() * one.lot_units, held
    if type_of_flags(case.flags()) == OrderType.SPEND_AT_MOST:
        return currency, row.quantity, held
    price = 0 if pays_as_it_goes(case.flags()) else case.limit_price()
    return currency, buy_cover(one, price, case.allowed(), maker, taker), held


def balance(case: Case, currency: int) -> dict[str, Any]:
    """What the account named holds of a currency, in units."""
    known = case.engine.currency(currency)
    assert known is not None
    held = case.account.held(known)
    total, reserved = (held.total, held.reserved) if held is not None else (0, 0)
    return {"currency": currency, "total": total, "reserved": reserved, "available": total - reserved}
