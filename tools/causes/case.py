"""A command that was refused, or may be, beside the venue that it met: what its facts and its order are read from."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from core.book import Ladder, Order
from core.engine import Engine
from core.instrument import Instrument
from core.kinds import REENTER, ROW_SIZE, SIDE_MASK, CommandKind, Side
from core.ledger import Account
from core.matching import buy_cover
from core.messages import Row
from core.rows import RowError, from_row
from core.session import Session
from tools.causes.names import Names, hold_currency
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
        return self.account.orders[self.row.original_client_order_id]

    def side(self) -> int:
        """The side of the order to be entered or replaced."""
        return self.replaced().side if self.is_replace else self.row.flags & SIDE_MASK

    def leaves(self) -> int:
        """What would be open: for a replace, without what was executed, unless it enters again."""
        if self.is_replace and not self.row.flags & REENTER:
            return self.row.quantity - self.replaced().executed
        return self.row.quantity

    def ladders(self) -> tuple[Ladder, Ladder]:
        """The ladder of the order's own side, and the opposite one."""
        bids, asks = self.instrument.bids, self.instrument.asks
        return (bids, asks) if self.side() == Side.BUY else (asks, bids)


def needed_for(case: Case) -> tuple[int, int, int]:
    """The currency that covers an order to be entered or replaced, the units needed, and those that the order holds yet.

    A market buy needs none.
    """
    row, one = case.row, case.instrument
    maker, taker = one.maker_rate, one.taker_rate
    held = 0
    if case.is_replace:
        order = case.replaced()
        maker, taker, held = order.maker_rate, order.taker_rate, order.reserved
    currency = hold_currency(one, case.side())
    if case.side() == Side.SELL:
        return currency, case.leaves() * one.lot_units, held
    return currency, buy_cover(one, row.price, case.leaves(), maker, taker), held


def balance(case: Case, currency: int) -> dict[str, Any]:
    """What the account named holds of a currency, in units."""
    known = case.engine.currency(currency)
    assert known is not None
    held = case.account.held(known)
    total, reserved = (held.total, held.reserved) if held is not None else (0, 0)
    return {"currency": currency, "total": total, "reserved": reserved, "available": total - reserved}
