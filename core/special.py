"""Entering and replacing orders that are more than plain, or that limits, rules or kill switches have to judge."""

from __future__ import annotations

from librt.strings import read_i64_le
from mypy_extensions import i64

from core.book import Order
from core.codes import CancelReason, OrderType, Prevention, RejectReason, Side, TimeInForce
from core.counting import closing
from core.following import Following
from core.instrument import Instrument
from core.kinds import (
    ALL_OR_NONE,
    C8,
    C9,
    C10,
    C11,
    C12,
    C13,
    C14,
    C15,
    FLAGS,
    KEPT_PLACE,
    PREVENTION_MASK,
    PREVENTION_SHIFT,
    REDUCE_ONLY,
    REENTER,
    RESTING,
    SIDE_MASK,
    TYPE_MASK,
    TYPE_SHIFT,
)
from core.ledger import Account
from core.limits import SUM_MAX
from core.linked import spared_by
from core.placing import time_in_force_of
from core.state import fits
from core.text import high_half, low_half
from core.terms import CROSSED, FOR_PRICE, HELD, IN_BOOK, Terms, pays_as_it_goes, type_of, waits_for_price


class Special(Following):
    """The long way of EnterOrder and ReplaceOrder. The plain way gives the same where it is taken."""

    __slots__ = ()

    def enter_special(self, instrument: Instrument, account: Account, row: bytes, at: i64) -> None:
        """Enter an order whose names have been judged already."""
        order = self.draft(instrument, account, row, at)
        terms = order.terms
        assert terms is not None
        reason = self.refuse_draft(order, terms, read_i64_le(row, at + C10), read_i64_le(row, at + C11))
        if reason != 0:
            self.refuse(reason, row, at)
            return

        # From here on the order stands.
        self.order_numbers += 1
        self.hold(order)
        self.count_order(order)
        self.place(order, terms)

    def draft(self, instrument: Instrument, account: Account, row: bytes, at: i64) -> Order:
        """An order as its command has it, which nothing knows yet."""
        flags = read_i64_le(row, at + FLAGS)
        side = flags & SIDE_MASK
        hold = account.balance(instrument.quote if side == Side.BUY else instrument.base)
        order = Order(account, self.requester, instrument, self.order_numbers + 1, hold)
        terms = Terms()
        order.terms = terms
        order.client_order_id = read_i64_le(row, at + C8)
        order.flags = prevented(flags, account.prevention)
        order.side = side
        order.price = read_i64_le(row, at + C9)
        order.leaves = read_i64_le(row, at + C10)
        terms.display = read_i64_le(row, at + C12)
        terms.minimum = read_i64_le(row, at + C13)
        terms.trigger_price = read_i64_le(row, at + C14)
        terms.offset = read_i64_le(row, at + C15)
        order_type = type_of(order)
        if order_type == OrderType.PEGGED:
            terms.limit = order.price
            order.price = 0
        elif waits_for_price(order_type):
            terms.waits = FOR_PRICE
            terms.armed = self.sequence
            terms.limit = terms.trigger_price if order_type == OrderType.TRAILING_STOP else 0
        terms.pays = pays_as_it_goes(order)
        rules = instrument.rules
        if rules is not None and rules.schedule is not None:
            schedule = rules.schedule
            rates = schedule.rates(account.volume(schedule).in_period(schedule.period))
            order.maker_rate = low_half(rates)
            order.taker_rate = high_half(rates)
        return order

    def refuse_draft(self, order: Order, terms: Terms, quantity: i64, expires: i64) -> i64:
        """Why a draft whose names have been judged is refused, or 0; gives it the price that it gets, and its expiry."""
        reason = self.refuse_guarded(order.account, order.flags)
        if reason == 0 and order.client_order_id in order.account.orders:
            reason = RejectReason.DUPLICATE_CLIENT_ORDER_ID
        return reason if reason != 0 else self._refuse_new(order, terms, quantity, expires)

    def _refuse_new(self, order: Order, terms: Terms, quantity: i64, expires: i64) -> i64:
        """Why a draft is refused, or 0; gives it the price that it gets, and its expiry."""
        reason = self.refuse_form(order, terms)
        if reason == 0:
            reason = self.refuse_numbers(order, terms, quantity, False)
        if reason != 0:
            return reason
        time_in_force = time_in_force_of(order)
        if not (self.now < expires <= SUM_MAX if time_in_force == TimeInForce.GTD else expires == 0):
            return RejectReason.INVALID_EXPIRY
        order.expires = self.expiry_of(time_in_force, expires)
        reason = self._refuse_arrival(order, terms, quantity, None)
        if order.flags & ALL_OR_NONE:
            terms.minimum = order.leaves
        return reason

    def _refuse_arrival(self, order: Order, terms: Terms, quantity: i64, leaving: Order | None) -> i64:
        """The refusals from WOULD_INCREASE on, as if `leaving` had left first."""
        before = order.leaves
        reason = self.refuse_circumstances(order, terms, leaving is None)
        quantity -= before - order.leaves
        if reason == 0:
            reason = self.refuse_by_rules(order, terms, quantity)
        if reason != 0:
            return reason
        would_trade = self.get_price(order, terms, leaving is None)
        reason = self.refuse_limited(order, terms, quantity, leaving)
        if reason == 0:
            reason = self.refuse_place(order, terms, leaving)
        if reason == 0:
            reason = would_trade
        if reason != 0:
            return reason
        return 0 if self.is_covered(order, leaving) else RejectReason.INSUFFICIENT_FUNDS

    # ---- replacing

    def replace_special(self, order: Order, row: bytes, at: i64) -> None:
        """Replace a live order that is more than plain; its names have been judged already."""
        flags = read_i64_le(row, at + FLAGS)
        quantity = read_i64_le(row, at + C10)
        leaves = quantity if flags & REENTER else quantity - order.executed
        draft = self._redraft(order, row, at, leaves)
        leaves = draft.leaves
        keeps = flags == 0 and leaves <= order.leaves and keeps_terms(order, draft)
        if order.terms is not None and order.reserved == 0:
            self.spared = spared_by(order, order.terms.link)
        reason = self._refuse_new_terms(order, draft, row, at, keeps)
        self.spared = 0
        if reason != 0:
            self.refuse(reason, row, at)
            return

        # From here on the replace stands.
        self.count_order(order)
        if leaves <= 0:
            self.cancel(order, CancelReason.REPLACED_BELOW_EXECUTED)
        else:
            self._take_terms(order, draft, row, at, keeps)
        self.acknowledged(order)

    def _redraft(self, order: Order, row: bytes, at: i64, leaves: i64) -> Order:
        """The order as it would be, which nothing knows yet."""
        draft = Order(order.account, order.session, order.instrument, order.number, order.hold)
        terms = Terms()
        draft.terms = terms
        draft.client_order_id = read_i64_le(row, at + C8)
        draft.flags = order.flags
        draft.side = order.side
        draft.price = read_i64_le(row, at + C9)
        draft.leaves = leaves
        draft.executed = order.executed
        draft.maker_rate = order.maker_rate
        draft.taker_rate = order.taker_rate
        draft.expires = order.expires
        old = order.terms
        if order.flags & REDUCE_ONLY:
            # Cut before it is judged whether it keeps its place; with nothing to reduce it is refused as it was asked.
            allowed = closing(order.account.exposure(order.instrument.number), order.side)
            if 0 < allowed < leaves:
                draft.leaves = allowed
        if old is None:
            return draft
        display = read_i64_le(row, at + C12)
        trigger_price = read_i64_le(row, at + C14)
        terms.display = display if display != 0 and old.display != 0 else old.display
        terms.offset = old.offset
        terms.pays = old.pays
        if old.waits == FOR_PRICE or old.waits == CROSSED:
            terms.waits = FOR_PRICE
            terms.armed = self.sequence
            terms.trigger_price = trigger_price if trigger_price != 0 else old.trigger_price
            if type_of(order) == OrderType.TRAILING_STOP:
                terms.limit = terms.trigger_price if trigger_price != 0 else old.limit
        if type_of(order) == OrderType.PEGGED:
            terms.limit = draft.price
            draft.price = 0
        return draft

    def _refuse_new_terms(self, order: Order, draft: Order, row: bytes, at: i64, keeps: bool) -> i64:
        terms = draft.terms
        assert terms is not None
        if draft.client_order_id != order.client_order_id and draft.client_order_id in order.account.orders:
            return RejectReason.DUPLICATE_CLIENT_ORDER_ID
        old = order.terms
        waits = terms.waits == FOR_PRICE
        if old is not None and old.waits == HELD:
            return RejectReason.INVALID_INSTRUCTION
        if read_i64_le(row, at + C12) != 0 and (old is None or old.display == 0):
            return RejectReason.INVALID_INSTRUCTION
        if read_i64_le(row, at + C14) != 0 and not waits:
            return RejectReason.INVALID_INSTRUCTION
        quantity = read_i64_le(row, at + C10)
        kept = read_i64_le(row, at + C14) == 0
        reason = self._refuse_new_numbers(order, draft, terms, quantity, read_i64_le(row, at + C12), kept)
        if reason != 0:
            return reason
        expires = read_i64_le(row, at + C11)
        if expires != 0 and not (order.timed and self.now < expires <= SUM_MAX):
            return RejectReason.INVALID_EXPIRY
        if draft.leaves <= 0:
            return 0
        if keeps:
            return self.refuse_circumstances(draft, terms, False)
        asked = quantity if read_i64_le(row, at + FLAGS) & REENTER else quantity - order.executed
        quantity -= asked - draft.leaves
        if not fits(order.executed, draft.leaves):
            reason = self._refuse_arrival(draft, terms, quantity, order)
            return reason if reason != 0 and reason < RejectReason.SUM_AT_BOUND else RejectReason.SUM_AT_BOUND
        return self._refuse_arrival(draft, terms, quantity, order)

    def _refuse_new_numbers(
        self, order: Order, draft: Order, terms: Terms, quantity: i64, given: i64, kept: bool
    ) -> i64:
        """Price, quantity and notional; an order that has arrived without a price of its own is judged as a limit order."""
        order_type = type_of(order)
        flags = draft.flags
        display = terms.display
        # A display that is kept may be more than the new quantity; one that is given may not.
        terms.display = given
        if terms.waits == IN_BOOK and order_type != OrderType.PEGGED:
            draft.flags = as_limit(flags)
        reason = self.refuse_numbers(draft, terms, quantity, kept)
        draft.flags = flags
        terms.display = display
        return reason

    def _take_terms(self, order: Order, draft: Order, row: bytes, at: i64, keeps: bool) -> None:
        """Give the order its new terms; it keeps its place, waits on, stands again or is matched."""
        original = read_i64_le(row, at + C15)
        expires = read_i64_le(row, at + C11)
        told = self.shows(order)
        part = self.shows_part(order)
        before = order.price
        shown: i64 = order.terms.shown if order.terms is not None else 0
        if draft.client_order_id != original:
            del order.account.orders[original]
            order.client_order_id = draft.client_order_id
            order.account.orders[order.client_order_id] = order
        if expires != 0:
            self.stop_timer(order)
            order.expires = expires
            self.start_timer(order)
        self._leave_place(order, draft, keeps)
        if not keeps:
            order.price = draft.price
        order.leaves = draft.leaves
        if order.terms is not None:
            self._bring_in(order, order.terms, draft, keeps)
        order.hold.reserved -= order.reserved
        self.hold(order)
        if keeps:
            self.replaced(order, KEPT_PLACE, original, told)
            if part and order.terms is not None and order.terms.shown != shown:
                self.display_changed(order, order.terms.shown)
            return
        self._stand_again(order, original, told, part, before)

    def _leave_place(self, order: Order, draft: Order, keeps: bool) -> None:
        """Out of its queue, unless it keeps its place there."""
        terms = order.terms
        if terms is not None and (terms.waits == FOR_PRICE or terms.waits == CROSSED):
            if not keeps:
                self.disarm(order, terms)
        elif order.level is not None:
            ladder = self.same(order)
            if keeps:
                ladder.reduce(order, order.leaves - draft.leaves)
            else:
                ladder.remove(order)

    def _bring_in(self, order: Order, terms: Terms, draft: Order, keeps: bool) -> None:
        """The new terms of an order that is more than plain; if it waits for a price it waits again."""
        new = draft.terms
        assert new is not None
        terms.limit = new.limit
        if keeps:
            if terms.shown > order.leaves:
                terms.shown = order.leaves
        else:
            terms.display = new.display
            terms.trigger_price = new.trigger_price
            terms.armed = new.armed
            terms.shown = 0
            terms.waits = new.waits
            if terms.waits == FOR_PRICE:
                self.arm(order, terms)
        self.recount(order, terms)

    def _stand_again(self, order: Order, original: i64, told: bool, part: bool, before: i64) -> None:
        terms = order.terms
        instrument = order.instrument
        if instrument.watch != 0:
            self.stir(instrument)
        at_once = order.price != 0 and not self.meets(order, order.price) and not self.lacks_room(order)
        flags: i64 = 0
        if terms is not None and terms.waits != IN_BOOK:
            at_once = False
        elif at_once:
            self.rest(order)
            flags = RESTING
        self.replaced(order, flags, original, told or (at_once and self.shows(order)))
        if part:
            price = order.price
            order.price = before
            self.display_changed(order, 0)
            order.price = price
        if at_once:
            if self.shows_part(order):
                self.rested(order)
        elif terms is None or terms.waits == IN_BOOK:
            self.see_to_rest(order, self.without_room(order, self.cross(order)), True)


def prevented(flags: i64, prevention: i64) -> i64:
    """Flags with the self-trade prevention that holds: the order's own, or else that of its account."""
    if flags >> PREVENTION_SHIFT & PREVENTION_MASK != Prevention.NONE or prevention == Prevention.ALLOW:
        return flags
    if prevention == Prevention.DECREMENT and flags >> TYPE_SHIFT & TYPE_MASK == OrderType.SPEND_AT_MOST:
        return flags | Prevention.CANCEL_NEWEST << PREVENTION_SHIFT
    return flags | prevention << PREVENTION_SHIFT


def as_limit(flags: i64) -> i64:
    """Flags of an order with the type LIMIT in the place of its own."""
    return flags & ~(TYPE_MASK << TYPE_SHIFT) | OrderType.LIMIT << TYPE_SHIFT


def keeps_terms(order: Order, draft: Order) -> bool:
    """Whether price, limit, trigger price and display of an order are what they were."""
    old = order.terms
    new = draft.terms
    if old is None or new is None:
        return draft.price == order.price
    if type_of(order) == OrderType.PEGGED:
        return new.limit == old.limit
    waits = new.waits == FOR_PRICE
    same = draft.price == order.price and new.display == old.display
    # The limit of a trailing stop is the trigger price of its latest command: exposures go by it.
    return same and (not waits or (new.trigger_price == old.trigger_price and new.limit == old.limit))
