"""Writing event rows: one method per kind of event about orders, and the numbers that go with each.

Every event goes to at most one session (outbound number), one firm (drop copy number) and one instrument's market data
(market data number); 0 means that it does not.
"""

from __future__ import annotations

from librt.vecs import append, vec
from mypy_extensions import i64

from core.codes import EventKind
from core.book import Order
from core.kinds import COLUMNS, HIDDEN, RESTING
from core.ledger import Account
from core.limits import SUM_MAX
from core.session import Session
from core.state import State


class Reports(State):
    """The state, and the events of the rows that are being applied."""

    __slots__ = ("columns", "command", "inbound", "part", "requester", "upset", "used")

    def __init__(self) -> None:
        super().__init__()
        # The columns of the events of the rows that are being applied, and how many are used. Indexed stores into a
        # vector do not wait for each other, as appending to a BytesWriter does: a tenth of the engine's time.
        self.columns: vec[i64] = vec[i64]()
        if bytes(memoryview(vec[i64]([1])))[0] != 1:
            raise AssertionError("rows are little-endian, and so must the machine be")
        self.used: i64 = 0
        # What the current row says of itself.
        self.requester: Session = self.venue
        self.command: i64 = 0
        self.inbound: i64 = 0
        # Of a command of several parts: the number of the part that is being judged, or 0.
        self.part: i64 = 0
        # Whether matching has noted something for `see_to_aftermath`.
        self.upset = False

    def _lengthen(self) -> vec[i64]:
        """Room for half as many events again, and 64 more."""
        columns = self.columns
        length = len(columns) + (len(columns) // 2 // COLUMNS + 64) * COLUMNS
        while len(columns) < length:
            columns = append(columns, 0)
        self.columns = columns
        return columns

    def event_rows(self) -> bytes:
        """The events of the rows that are being applied, as bytes."""
        return bytes(memoryview(self.columns)[: self.used])

    def row(
        self, kind: i64, session: Session | None, flags: i64,
        c6: i64, c7: i64, c8: i64, c9: i64, c10: i64, c11: i64, c12: i64, c13: i64, drop_copy: i64, market_data: i64,
    ) -> None:  # fmt: skip
        """Write an event row; it takes the next outbound number of the session it is told, unless that is the venue."""
        number: i64 = 0
        outbound: i64 = 0
        if session is not None and session.number != 0:
            number = session.number
            outbound = session.outbound + 1
            session.outbound = outbound
        columns = self.columns
        at = self.used
        if at + COLUMNS > len(columns):
            columns = self._lengthen()
        columns[at] = kind
        columns[at + 1] = self.sequence
        columns[at + 2] = self.now
        columns[at + 3] = number
        columns[at + 4] = outbound
        columns[at + 5] = flags
        columns[at + 6] = c6
        columns[at + 7] = c7
        columns[at + 8] = c8
        columns[at + 9] = c9
        columns[at + 10] = c10
        columns[at + 11] = c11
        columns[at + 12] = c12
        columns[at + 13] = c13
        columns[at + 14] = drop_copy
        columns[at + 15] = market_data
        self.used = at + COLUMNS

    def unsequenced(self, kind: i64, session: i64, c6: i64, c7: i64, c8: i64, c9: i64, c10: i64, c13: i64) -> None:
        """Write an event that names a session without being part of its sequence (outbound number 0)."""
        columns = self.columns
        at = self.used
        if at + COLUMNS > len(columns):
            columns = self._lengthen()
        columns[at] = kind
        columns[at + 1] = self.sequence
        columns[at + 2] = self.now
        columns[at + 3] = session
        columns[at + 4] = 0
        columns[at + 5] = 0
        columns[at + 6] = c6
        columns[at + 7] = c7
        columns[at + 8] = c8
        columns[at + 9] = c9
        columns[at + 10] = c10
        columns[at + 11] = 0
        columns[at + 12] = 0
        columns[at + 13] = c13
        columns[at + 14] = 0
        columns[at + 15] = 0
        self.used = at + COLUMNS

    def reject(self, reason: i64, instrument: i64, account: i64, client: i64) -> None:
        """Refuse the current command. Of another's account neither the sender nor that account's firm learns anything."""
        drop_copy: i64 = 0
        known = self.account(account)
        if known is not None and self.requester.acts_for(known):
            drop_copy = known.firm.next_drop_copy()
        self.row(
            EventKind.REJECTED, self.requester, 0, instrument, account, client, self.command, self.inbound, self.part, 0, reason,
            drop_copy, 0,
        )  # fmt: skip

    def about(self, kind: i64, order: Order, flags: i64, quantity: i64, leaves: i64, extra: i64, told: bool) -> None:
        """Write an event about an order to its session and firm, and to market data if the book shows it (`told`)."""
        instrument = order.instrument
        account = order.account
        firm = account.firm
        firm.drop_copy += 1
        market_data: i64 = 0
        if told:
            instrument.market_data += 1
            market_data = instrument.market_data
        self.row(
            kind, order.session, flags, instrument.number, account.number, order.client_order_id, order.price,
            quantity, order.number, leaves, extra,
            firm.drop_copy, market_data,
        )  # fmt: skip

    def accepted(self, order: Order, resting: bool) -> None:
        """The order has entered."""
        flags = order.flags | RESTING if resting else order.flags
        told = resting and self.shows(order)
        self.about(EventKind.ACCEPTED, order, flags, order.leaves, order.leaves, told_expiry(order), told)

    def rested(self, order: Order) -> None:
        """What is left of an order stands in the book, or the display of an iceberg: told to market data alone."""
        instrument = order.instrument
        shown = order.leaves
        if order.terms is not None and not self.shows(order):
            shown = order.terms.shown
            if shown == 0:
                return
        self.row(
            EventKind.RESTED, None, order.flags | RESTING, instrument.number, order.account.number,
            order.client_order_id, order.price, shown, order.number, shown, 0,
            0, instrument.next_market_data(),
        )  # fmt: skip

    def shows(self, order: Order) -> bool:
        """Whether an order stands in the book and market data is told all of it."""
        if order.level is None:
            return False
        return order.terms is None or (order.terms.display == 0 and order.flags & HIDDEN == 0)

    def shows_part(self, order: Order) -> bool:
        """Whether an order stands in the book and market data is told a part of it."""
        return order.level is not None and order.terms is not None and order.terms.display != 0

    def traded(self, order: Order, price: i64, quantity: i64) -> None:
        """A match of an order that shows less than all, for market data."""
        terms = order.terms
        assert terms is not None
        instrument = order.instrument
        number: i64 = order.number if terms.display != 0 else 0
        self.row(
            EventKind.TRADED, None, order.side, instrument.number, 0, 0, price, quantity, number, terms.shown,
            self.match_numbers, 0, instrument.next_market_data(),
        )  # fmt: skip

    def display_changed(self, order: Order, shown: i64) -> None:
        """An iceberg shows something else, or has left the book (0), for market data."""
        instrument = order.instrument
        self.row(
            EventKind.DISPLAY_CHANGED, None, order.side, instrument.number, 0, 0, order.price, 0, order.number, shown, 0,
            0, instrument.next_market_data(),
        )  # fmt: skip

    def replaced(self, order: Order, flags: i64, original: i64, told: bool) -> None:
        """The order has new terms; `flags` may hold RESTING or KEPT_PLACE with it; market data is `told` if it showed all."""
        total = order.executed + order.leaves
        self.about(EventKind.REPLACED, order, order.flags | flags, total, order.leaves, original, told)

    def executed(self, order: Order, flags: i64, price: i64, quantity: i64, told: bool) -> None:
        """One side of a match at this price; market data is `told` with the resting side, if all of that is shown."""
        instrument = order.instrument
        account = order.account
        firm = account.firm
        firm.drop_copy += 1
        market_data: i64 = 0
        if told:
            instrument.market_data += 1
            market_data = instrument.market_data
        self.row(
            EventKind.EXECUTED, order.session, flags, instrument.number, account.number, order.client_order_id, price,
            quantity, order.number, order.leaves, self.match_numbers,
            firm.drop_copy, market_data,
        )  # fmt: skip

    def settled(self, buyer: Order, seller: Order, base: i64, quote: i64, buyer_fee: i64, seller_fee: i64) -> None:
        """What a match moved: told to both firms, to each its own side."""
        bought_by = buyer.account
        sold_by = seller.account
        self.row(
            EventKind.SETTLED, None, 0, buyer.instrument.number, bought_by.number, sold_by.number, base, quote,
            buyer_fee, seller_fee, self.match_numbers,
            bought_by.firm.next_drop_copy(), sold_by.firm.next_drop_copy(),
        )  # fmt: skip

    def triggered(self, order: Order, trigger_price: i64) -> None:
        """An order that waited for a price arrives."""
        self.about(EventKind.TRIGGERED, order, order.flags, order.leaves, order.leaves, trigger_price, False)

    def activated(self, order: Order, parent: i64) -> None:
        """A held order arrives, because the order of this number has traded."""
        self.about(EventKind.ACTIVATED, order, order.flags, order.leaves, order.leaves, parent, False)

    def acknowledged(self, order: Order) -> None:
        """Tell the asking session what it did to an order whose reports go to another one."""
        if order.session is not self.requester:
            self.row(
                EventKind.ACKNOWLEDGED, self.requester, 0, order.instrument.number, order.account.number,
                order.client_order_id, self.command, self.inbound, order.number, 0, 0, 0, 0,
            )  # fmt: skip

    def control(self, kind: i64, c6: i64, c7: i64, c8: i64, c9: i64, c10: i64, c11: i64, firm: Account | None) -> None:
        """Answer a control command of few columns."""
        drop_copy = firm.firm.next_drop_copy() if firm is not None else 0
        self.row(kind, self.requester, 0, c6, c7, c8, c9, c10, c11, 0, 0, drop_copy, 0)


def told_expiry(order: Order) -> i64:
    """The expiry as events tell it: ns since 1970 for GTD, 0 for any other time in force."""
    return order.expires if order.expires <= SUM_MAX else 0
