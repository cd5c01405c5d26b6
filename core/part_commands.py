"""Commands of several parts: their heads, and the parts; fields as in core/commands.py."""

from core.commands import Command
from core.kinds import CommandKind


class EnterBatch(Command, frozen=True):
    """Head of a batch of orders, of which all enter or none; `parts` rows of Detail follow."""

    KIND = CommandKind.ENTER_BATCH
    column_6: int = 0
    account: int = 0
    batch_id: int = 0
    parts: int = 0


class LinkOrders(Command, frozen=True):
    """Head of two or three linked orders; the link is in the flags; `parts` rows of Detail follow."""

    KIND = CommandKind.LINK_ORDERS
    column_6: int = 0
    account: int = 0
    link_id: int = 0
    parts: int = 0


class MassQuote(Command, frozen=True):
    """Head of new quotes of a maker; `parts` rows of QuoteDetail follow."""

    KIND = CommandKind.MASS_QUOTE
    column_6: int = 0
    account: int = 0
    quote_id: int = 0
    parts: int = 0


class Detail(Command, frozen=True):
    """One order of EnterBatch or LinkOrders, with the columns of EnterOrder."""

    KIND = CommandKind.DETAIL
    instrument: int = 0
    account: int = 0
    client_order_id: int = 0
    price: int = 0
    quantity: int = 0
    expires: int = 0
    display_quantity: int = 0
    minimum_quantity: int = 0
    trigger_price: int = 0
    offset: int = 0


class QuoteDetail(Command, frozen=True):
    """The bid and the ask of MassQuote in one instrument; quantity 0 leaves a side without a quote."""

    KIND = CommandKind.QUOTE_DETAIL
    instrument: int = 0
    account: int = 0
    bid_client_order_id: int = 0
    bid_price: int = 0
    bid_quantity: int = 0
    ask_price: int = 0
    ask_quantity: int = 0
    ask_client_order_id: int = 0
