"""The naive market's sharing of a price level by steps: docs/matching.md, Allocation, with lists and exact integers."""

from core import messages as m
from core.kinds import Prevention, Step
from core.limits import MATCHES_MAX
from core.reasons import CancelReason
from core.reasons import RejectReason as R
from tests.model_orders import Books

NAMES = tuple(f"step_{n}" for n in range(1, 7))


class Steps(Books):
    """`allocation` has the steps of an instrument, `tops` number and place of the order that set the best price of a side."""

    def __init__(self):
        super().__init__()
        self.allocation, self.tops, self.met = {}, {}, 0

    def set_allocation(self, c):
        steps = [getattr(c, name) for name in NAMES]
        if c.instrument not in self.instruments:
            return R.UNKNOWN_INSTRUMENT
        used = [step for step in steps if step]
        if steps != used + [0] * (6 - len(used)) or not all(self.is_step(step) for step in used):
            return R.INVALID_DEFINITION
        self.allocation[c.instrument] = used
        if not used:
            self.tops = {key: top for key, top in self.tops.items() if key[0] != c.instrument}
        columns = dict(zip(NAMES, steps, strict=True))
        return self.tell(m.AllocationSet, c.session, flags=0, instrument=c.instrument, **columns)

    def is_step(self, step):
        kind, share, account, lots = parts(step)
        if step < 0 or share > 1_000_000:
            return False
        return {
            Step.TOP: not share and not account,
            Step.LEAD: share and account in self.accounts and not lots,
            Step.PRO_RATA: share and not account,
            Step.LARGEST: not share and not account and not lots,
        }.get(kind, False)

    def note_best(self, order):
        """An order is put in the book: it may set the best price of its side."""
        others = [o for o in self.side_of(order.instrument, order.side) if not o.hidden and o is not order]
        best = others[0].price if others else 0
        if (
            self.allocation.get(order.instrument)
            and not order.hidden
            and (not best or (order.price - best) * order.sign > 0)
        ):
            self.tops[order.instrument, order.side] = (order.number, order.place)

    def is_shared(self, order, resting):
        """Whether the level of a resting order is shared with this incoming one."""
        return self.allocation.get(order.instrument) and not resting.hidden and not order.spends and not order.pays

    def share(self, order, price):
        """Share the best level: why the rest is canceled, if so; or "whole" where the order takes all of it in order of time."""
        for resting in self.level(order, price):
            over = self.is_over(resting)
            if not order.leaves or not (over or self.prevents(order, resting)):
                continue
            if self.met == MATCHES_MAX:
                return CancelReason.MATCH_LIMIT
            self.met, self.steps = self.met + 1, self.steps + 1
            if over:
                self.expire(resting)
                continue
            self.prevent(order, resting)
            if order.prevention in (Prevention.CANCEL_NEWEST, Prevention.CANCEL_BOTH):
                return CancelReason.SELF_TRADE
        level = self.level(order, price)
        if not level or not order.leaves:
            return None
        if sum(o.offered for o in level) <= order.leaves:
            return "whole"
        for number, lots in self.given(order, level).items():
            found = [o for o in self.level(order, price) if o.number == number]
            there = min(lots, *(o.offered for o in found)) if found else 0
            if there and order.leaves:
                if self.met == MATCHES_MAX:
                    return CancelReason.MATCH_LIMIT
                self.met, self.steps = self.met + 1, self.steps + 1
                self.trade(order, found[0], there)
        return None

    def level(self, order, price):
        """The shown orders of the other side at a price, the oldest first."""
        return [o for o in self.side_of(order.instrument, 1 - order.side) if o.price == price and not o.hidden]

    def given(self, order, level):
        """What each order of the level is given, in order of time."""
        room = {o.number: o.offered for o in level}
        given, left = dict.fromkeys(room, 0), order.leaves
        for step in [*self.allocation[order.instrument], None]:
            for number, lots in self.offers_of(step, level, room, left):
                taken = min(lots, room[number])
                room[number], given[number], left = room[number] - taken, given[number] + taken, left - taken
        return given

    def offers_of(self, step, level, room, left):
        """What a step offers to each order; each takes what it has room for, and the step no more than its part."""
        kind, share, account, least = parts(step) if step else (None, 0, 0, 0)
        part = left * share // 1_000_000
        if kind == Step.PRO_RATA:
            total = sum(room.values())
            offers = [(number, part * open_lots // total) for number, open_lots in room.items()] if total else []
            return [(number, lots) for number, lots in offers if lots >= least]
        if kind == Step.TOP:
            top = self.tops.get((level[0].instrument, level[0].side))
            return [(o.number, min(left, least or left)) for o in level if (o.number, o.place) == top]
        if kind == Step.LEAD:
            return in_turn([o.number for o in level if o.account == account], room, part)
        numbers = sorted(room, key=lambda number: -room[number]) if kind == Step.LARGEST else list(room)
        return in_turn(numbers, room, left)


def parts(step):
    """What a step does, its share, account and lots."""
    return step & 255, step >> 8 & 0xFFFFF, step >> 28 & 0xFFFFF, step >> 48 & 0x7FFF


def in_turn(numbers, room, lots):
    """One after the other, each what it has room for."""
    offers = []
    for number in numbers:
        offers.append((number, min(room[number], lots)))
        lots -= offers[-1][1]
    return offers
