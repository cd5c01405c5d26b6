"""The naive venue's commands of several parts: EnterBatch, LinkOrders and MassQuote, as docs/commands.md tells them."""

from types import SimpleNamespace

from core import messages as m
from core.kinds import POST_ONLY, QUOTE, QUOTES_SLIDE, REPLACE_ALL, SLIDE, Link, Side
from core.kinds import OrderType as Type
from core.kinds import TimeInForce as Tif
from core.limits import SUM_MAX
from core.reasons import CancelReason
from core.reasons import RejectReason as R
from tests.model_links import waits
from tests.model_orders import RESTS
from tests.model_refusals import Refusals

HEADS = {m.EnterBatch: m.Detail, m.LinkOrders: m.Detail, m.MassQuote: m.QuoteDetail}
"""The kind of the parts of each."""

PARTS_MAX = 64


class Parts(Refusals):
    """`open_head` is the head whose parts have not all come; those that have are its `rows`."""

    def __init__(self):
        super().__init__()
        self.open_head = None

    # ---- gathering

    def begin(self, row):
        """A row that is not the next part gives up the command that waits for it."""
        c = super().begin(row)
        if self.open_head and not self.is_next_part(c):
            head, self.open_head = self.open_head, None
            self.reject(head, R.INCOMPLETE)
        return c

    def is_next_part(self, c):
        head = self.open_head
        if head is None or c.session != head.session or c.of is not HEADS[head.of]:
            return False
        if c.session == 0:
            return c.inbound == 0 or self.venue_inbound < c.inbound <= SUM_MAX
        return c.inbound == self.sessions[c.session].inbound + 1

    def whole(self, c):
        """What a row that is quarantined stands for: its command, if it is a part of one."""
        head, self.open_head = self.open_head, None
        if head is None:
            return c
        head.inbound = c.inbound
        return head

    def execute(self, c):
        if self.open_head:
            head = self.open_head
            head.rows.append(c)
            if len(head.rows) < head.parts:
                return
            self.open_head, head.inbound, c = None, c.inbound, head
        elif c.of in HEADS and self.is_sound(c):
            self.open_head, c.rows = c, []
            return
        super().execute(c)

    @staticmethod
    def has_parts(c):
        """Whether a head announces as many parts as it may have."""
        if c.of is m.LinkOrders:
            return c.parts == (3 if c.flags == Link.BRACKET else 2)
        return 1 <= c.parts <= PARTS_MAX

    # ---- what is refused

    def refuse(self, c):
        if c.of in HEADS.values() or (c.of in HEADS and not self.is_sound(c)):
            return R.MALFORMED
        return super().refuse(c)

    def is_sound(self, c):
        number = {m.EnterBatch: "batch_id", m.LinkOrders: "link_id", m.MassQuote: "quote_id"}[c.of]
        kind = c.of is not m.LinkOrders or c.flags in list(Link)
        good = self.has_parts(c) and 0 <= getattr(c, number) <= SUM_MAX and kind
        return good and not c.spare and not self.has_bad_flags(c)

    def reject_part(self, c, at, reason, client_order_id):
        terms = {"account": c.account, "session": c.session, "command": c.command, "inbound": c.inbound}
        instrument = c.rows[at].instrument
        part = SimpleNamespace(part=at + 1, instrument=instrument, client_order_id=client_order_id, **terms)
        self.reject(part, reason)

    # ---- batches and links

    def enter_batch(self, c):
        return self.enter_all(c, [{} for _ in c.rows], m.BatchEntered, batch_id=c.batch_id, parts=c.parts)

    def link_orders(self, c):
        first = self.order_numbers + 1
        held = {"held": True, "parent": first}
        links = {
            Link.ONE_CANCELS_OTHER: [{"other": first + 1}, {"other": first}],
            Link.ONE_TRIGGERS_OTHER: [{}, held],
            Link.BRACKET: [{}, held | {"other": first + 2}, held | {"other": first + 1}],
        }[c.flags]
        numbers = {f"order_{n + 1}": first + n for n in range(len(links))}
        numbers |= {"instrument": c.rows[0].instrument, "link_id": c.link_id, "flags": c.flags}
        return self.enter_all(c, links, m.OrdersLinked, **numbers)

    def enter_all(self, c, links, event, **columns):
        """All orders enter, or none."""
        if c.account not in self.accounts:
            return R.UNKNOWN_ACCOUNT
        before = list(self.orders), self.order_numbers, {key: bound.entered for key, bound in self.bounds.items()}
        orders = []
        for at, (part, link) in enumerate(zip(c.rows, links, strict=True)):
            order, reason = self.judge_part(c, part, link)
            if reason:
                self.orders, self.order_numbers, entered = before
                for key, bound in self.bounds.items():
                    bound.entered = entered[key]
                return self.reject_part(c, at, reason, part.client_order_id)
            self.order_numbers += 1
            self.orders.append(order)
            self.count_entered(part)
            orders.append(order)
        self.tell(event, c.session, **{"flags": 0, "account": c.account} | columns)
        for order in orders:
            self.accept(order)
        self.met = 0
        for order in orders:
            if order.arrives and self.numbered(order.number):
                self.take_turn(order)
        return None

    def judge_part(self, c, part, link):
        """The order of a part as if it came alone, after those before it; or why it is refused."""
        if part.account or part.spare or self.has_bad_flags(part) or not 1 <= abs(part.client_order_id) <= SUM_MAX:
            return None, R.MALFORMED
        part.account = c.account
        if part.instrument not in self.instruments:
            return None, R.UNKNOWN_INSTRUMENT
        if c.of is m.LinkOrders and not self.goes_together(c, part):
            return None, R.INVALID_LINK
        return self.judge(part, arrives=True, **link)

    @staticmethod
    def goes_together(c, part):
        """Whether the orders of a link may hang together."""
        if part.instrument != c.rows[0].instrument:
            return False
        pair = c.rows if c.flags == Link.ONE_CANCELS_OTHER else c.rows[1:] if c.flags == Link.BRACKET else []
        if not any(part is one for one in pair) or waits(part.flags):
            return True
        stands = part.flags >> 1 & 15 == Type.LIMIT and part.flags >> 5 & 15 in RESTS
        return stands and (part is pair[0] or waits(pair[0].flags))

    def accept(self, order):
        """Tell of an order of a batch; one that waits for a price does so from here on."""
        order.timed, order.entered = order.tif == Tif.GTD, True
        order.arrives = not order.waits and not order.held
        self.place(order)
        if order.waits and not order.held and order.instrument in self.last:
            self.span[order.instrument] = (self.last[order.instrument],) * 2
        self.report(m.Accepted, order, public=False, quantity=order.leaves, expires=self.end_of(order))
        if order.waits and not order.held:
            self.touch(order)

    def take_turn(self, order):
        """An order of a batch arrives."""
        order.arrives = False
        self.touch(order)
        self.orders = [o for o in self.orders if o is not order]
        if reason := self.refuse_arrival(order):
            self.cancel(order, reason)
        else:
            self.arrive_in_turn(order)

    # ---- quotes

    def mass_quote(self, c):
        if c.account not in self.accounts:
            return R.UNKNOWN_ACCOUNT
        named = []
        for at, part in enumerate(c.rows):
            if not self.is_sound_quote(part, named):
                return self.reject_part(c, at, R.MALFORMED, part.client_order_id)
            named += [number for number in (part.bid_client_order_id, part.ask_client_order_id) if number]
        c.kept, c.canceled, c.refused, c.entered = [], 0, 0, 0
        gone = [at for at in range(len(c.rows)) if not self.make_way(c, at, named)]
        for at in range(len(c.rows)):
            for side in () if at in gone else (Side.BUY, Side.SELL):
                self.quote(c, at, side)
        counts = {"entered": c.entered, "kept": len(c.kept), "canceled": c.canceled, "refused": c.refused}
        return self.tell(m.Quoted, c.session, flags=0, account=c.account, quote_id=c.quote_id, **counts)

    @staticmethod
    def is_sound_quote(part, named):
        """Whether a part is none that is MALFORMED; `named`: the client order ids of the parts before it."""
        for number, price, quantity in (sides := [terms(part, side) for side in (Side.BUY, Side.SELL)]):
            if number == 0 and (price or quantity):
                return False
            if abs(number) > SUM_MAX or (price and not quantity) or number in named:
                return False
        return not part.spare and not part.account and (sides[0][0] != sides[1][0] or sides[0][0] == 0)

    def make_way(self, c, at, named):
        """What goes for a part; whether anything may come for it."""
        part = c.rows[at]
        place = SimpleNamespace(instrument=part.instrument, account=c.account)
        reason = None if part.instrument in self.instruments else R.UNKNOWN_INSTRUMENT
        if reason := reason or self.refuse_by_state(place, cancels=True):
            c.refused += 1
            self.reject_part(c, at, reason, part.client_order_id)
            return False
        for side in (Side.BUY, Side.SELL):
            self.keep_or_cancel(c, part, side)
        mine = [o for o in self.live(part.instrument) if o.is_quote and o.account == c.account]
        for order in sorted(mine, key=lambda o: o.number) if c.flags & REPLACE_ALL else ():
            if order.client_order_id not in named:
                c.canceled += 1
                self.cancel(order, CancelReason.QUOTED)
        return True

    def keep_or_cancel(self, c, part, side):
        number, price, quantity = terms(part, side)
        order = self.find(c.account, number)
        if order is None or not order.is_quote or (order.instrument, order.side) != (part.instrument, side):
            return
        if order.price == price and order.leaves >= quantity >= 1 and not self.is_over(order):
            c.kept.append(number)
            if order.leaves > quantity:
                self.cut(order, order.leaves - quantity, CancelReason.QUOTED)
        else:
            c.canceled += 1
            self.cancel(order, CancelReason.QUOTED)

    def quote(self, c, at, side):
        """One quote that comes."""
        number, price, quantity = terms(c.rows[at], side)
        if quantity == 0 or number in c.kept:
            return
        flags = side | Type.LIMIT << 1 | Tif.DAY << 5 | QUOTE | (SLIDE if c.flags & QUOTES_SLIDE else POST_ONLY)
        spare = dict.fromkeys(("expires", "display_quantity", "minimum_quantity", "trigger_price", "offset"), 0)
        place = {
            "session": c.session,
            "account": c.account,
            "instrument": c.rows[at].instrument,
            "client_order_id": number,
        }
        if reason := self.enter_order(SimpleNamespace(flags=flags, price=price, quantity=quantity, **place, **spare)):
            c.refused += 1
            self.reject_part(c, at, reason, number)
        else:
            c.entered += 1


def terms(part, side):
    """Client order id, price and quantity of one side of a part."""
    if side == Side.BUY:
        return part.bid_client_order_id, part.bid_price, part.bid_quantity
    return part.ask_client_order_id, part.ask_price, part.ask_quantity
