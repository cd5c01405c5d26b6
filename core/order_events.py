"""Every event about orders: the fields after `kind` are its columns, in order. docs/events.md says when each is told."""

from core.events import Event
from core.kinds import EventKind


class Acknowledged(Event, frozen=True):
    """Your command took effect on an order whose reports go to another session."""

    KIND = EventKind.ACKNOWLEDGED
    flags: int = 0
    instrument: int = 0
    account: int = 0
    client_order_id: int = 0
    command: int = 0
    inbound: int = 0
    order_number: int = 0


class Accepted(Event, frozen=True):
    """The order has entered; with RESTING it stands in the book at once, otherwise matches follow."""

    KIND = EventKind.ACCEPTED
    flags: int = 0
    instrument: int = 0
    account: int = 0
    client_order_id: int = 0
    price: int = 0
    quantity: int = 0
    order_number: int = 0
    leaves: int = 0
    expires: int = 0
    drop_copy: int = 0
    market_data: int = 0


class Rejected(Event, frozen=True):
    """The command was refused and changed nothing but the session's numbers."""

    KIND = EventKind.REJECTED
    flags: int = 0
    instrument: int = 0
    account: int = 0
    client_order_id: int = 0
    command: int = 0
    inbound: int = 0
    part: int = 0
    column_12: int = 0
    reason: int = 0
    drop_copy: int = 0


class Executed(Event, frozen=True):
    """One side of a match, at the resting order's price; REMOVED in the flags marks the incoming side."""

    KIND = EventKind.EXECUTED
    flags: int = 0
    instrument: int = 0
    account: int = 0
    client_order_id: int = 0
    price: int = 0
    quantity: int = 0
    order_number: int = 0
    leaves: int = 0
    match_number: int = 0
    drop_copy: int = 0
    market_data: int = 0


class Settled(Event, frozen=True):
    """What a match moved, both sides in one entry: base units from seller to buyer, quote units from buyer to seller.

    The buyer pays `quote_amount + buyer_fee`, the seller gets `quote_amount - seller_fee`; a negative fee is a rebate.
    It is part of two drop copies, in each of which the other side's columns are zero.
    """

    KIND = EventKind.SETTLED
    flags: int = 0
    instrument: int = 0
    buyer: int = 0
    seller: int = 0
    base_amount: int = 0
    quote_amount: int = 0
    buyer_fee: int = 0
    seller_fee: int = 0
    match_number: int = 0
    buyer_drop_copy: int = 0
    seller_drop_copy: int = 0


class Replaced(Event, frozen=True):
    """The order has new terms; it left its place unless KEPT_PLACE, and stands again if RESTING."""

    KIND = EventKind.REPLACED
    flags: int = 0
    instrument: int = 0
    account: int = 0
    client_order_id: int = 0
    price: int = 0
    quantity: int = 0
    order_number: int = 0
    leaves: int = 0
    original_client_order_id: int = 0
    drop_copy: int = 0
    market_data: int = 0


class Reduced(Event, frozen=True):
    """`quantity` was taken off a resting order, which kept its place with `leaves`."""

    KIND = EventKind.REDUCED
    flags: int = 0
    instrument: int = 0
    account: int = 0
    client_order_id: int = 0
    price: int = 0
    quantity: int = 0
    order_number: int = 0
    leaves: int = 0
    column_13: int = 0
    drop_copy: int = 0
    market_data: int = 0


class Canceled(Event, frozen=True):
    """The order is gone; `quantity` of it was still open."""

    KIND = EventKind.CANCELED
    flags: int = 0
    instrument: int = 0
    account: int = 0
    client_order_id: int = 0
    price: int = 0
    quantity: int = 0
    order_number: int = 0
    leaves: int = 0
    reason: int = 0
    drop_copy: int = 0
    market_data: int = 0


class Expired(Event, frozen=True):
    """The order's time is over; `quantity` of it was still open."""

    KIND = EventKind.EXPIRED
    flags: int = 0
    instrument: int = 0
    account: int = 0
    client_order_id: int = 0
    price: int = 0
    quantity: int = 0
    order_number: int = 0
    leaves: int = 0
    expires: int = 0
    drop_copy: int = 0
    market_data: int = 0


class Rested(Event, frozen=True):
    """What matching left of an order now stands in the book; market data alone."""

    KIND = EventKind.RESTED
    flags: int = 0
    instrument: int = 0
    account: int = 0
    client_order_id: int = 0
    price: int = 0
    quantity: int = 0
    order_number: int = 0
    leaves: int = 0
    column_13: int = 0
    drop_copy: int = 0
    market_data: int = 0


class MassCanceled(Event, frozen=True):
    """So many orders were canceled by a mass cancel; PENDING in the flags says that more will follow."""

    KIND = EventKind.MASS_CANCELED
    flags: int = 0
    instrument: int = 0
    account: int = 0
    command: int = 0
    inbound: int = 0
    count: int = 0


class Triggered(Event, frozen=True):
    """An order that waited for a price arrives: `leaves` is what it has open, `price` its limit or 0."""

    KIND = EventKind.TRIGGERED
    flags: int = 0
    instrument: int = 0
    account: int = 0
    client_order_id: int = 0
    price: int = 0
    quantity: int = 0
    order_number: int = 0
    leaves: int = 0
    trigger_price: int = 0
    drop_copy: int = 0


class Restated(Event, frozen=True):
    """A pegged order has followed: it left its place, and stands behind all others at `price` if RESTING."""

    KIND = EventKind.RESTATED
    flags: int = 0
    instrument: int = 0
    account: int = 0
    client_order_id: int = 0
    price: int = 0
    quantity: int = 0
    order_number: int = 0
    leaves: int = 0
    column_13: int = 0
    drop_copy: int = 0
    market_data: int = 0


class Traded(Event, frozen=True):
    """A match of an order that shows less than all: market data alone. `order_number` 0: it shows nothing."""

    KIND = EventKind.TRADED
    flags: int = 0
    instrument: int = 0
    column_7: int = 0
    column_8: int = 0
    price: int = 0
    quantity: int = 0
    order_number: int = 0
    leaves: int = 0
    match_number: int = 0
    column_14: int = 0
    market_data: int = 0


class DisplayChanged(Event, frozen=True):
    """An order shows `leaves` now and keeps its place, or is gone at 0: market data alone."""

    KIND = EventKind.DISPLAY_CHANGED
    flags: int = 0
    instrument: int = 0
    column_7: int = 0
    column_8: int = 0
    price: int = 0
    column_10: int = 0
    order_number: int = 0
    leaves: int = 0
    column_13: int = 0
    column_14: int = 0
    market_data: int = 0


class BatchEntered(Event, frozen=True):
    """All orders of a batch enter: the Accepted of each follows."""

    KIND = EventKind.BATCH_ENTERED
    flags: int = 0
    column_6: int = 0
    account: int = 0
    batch_id: int = 0
    parts: int = 0


class OrdersLinked(Event, frozen=True):
    """Orders are linked from now on; the Accepted of each follows. The link is in the flags."""

    KIND = EventKind.ORDERS_LINKED
    flags: int = 0
    instrument: int = 0
    account: int = 0
    link_id: int = 0
    order_1: int = 0
    order_2: int = 0
    order_3: int = 0


class Quoted(Event, frozen=True):
    """The end of a MassQuote: how many quotes were entered, kept, canceled and refused."""

    KIND = EventKind.QUOTED
    flags: int = 0
    column_6: int = 0
    account: int = 0
    quote_id: int = 0
    entered: int = 0
    kept: int = 0
    canceled: int = 0
    refused: int = 0


class Activated(Event, frozen=True):
    """An order that waited for the order that triggers it (`parent`, its order number) arrives, or waits for its price."""

    KIND = EventKind.ACTIVATED
    flags: int = 0
    instrument: int = 0
    account: int = 0
    client_order_id: int = 0
    price: int = 0
    quantity: int = 0
    order_number: int = 0
    leaves: int = 0
    parent: int = 0
    drop_copy: int = 0
