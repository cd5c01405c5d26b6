"""The naive venue's say over who may enter what: standing of accounts, kill switches, and limits before the trade."""

from collections import Counter
from dataclasses import dataclass
from itertools import pairwise

from core import messages as m
from core.kinds import EXPOSURES, MARKET_RESTS, AccountStanding, Limit, Prevention
from core.limits import ACCOUNT_NUMBER_MAX, FEE_SCALE, PRICE_MAX, QUANTITY_MAX, SUM_MAX
from core.reasons import RejectReason as R
from core.rows import unpack_halves
from tests.model_venue import Venue

MILLION = 1_000_000
BOUNDS = {
    Limit.ORDER_QUANTITY: (QUANTITY_MAX, 0, 0),
    Limit.ORDER_NOTIONAL: (SUM_MAX, 0, 0),
    Limit.OPEN_ORDERS: (MILLION, 0, 0),
    Limit.OPEN_NOTIONAL: (SUM_MAX, 0, 0),
    Limit.POSITION: (QUANTITY_MAX, 0, 0),
    Limit.MESSAGE_RATE: (MILLION, 1, MILLION),
    Limit.CANCEL_RATE: (MILLION, 1, MILLION),
    Limit.ORDER_TO_TRADE: (MILLION, 0, MILLION),
}
"""The largest value, and the smallest and the largest second value."""

EXPOSED = (Limit.OPEN_NOTIONAL, Limit.POSITION)
RULES = ("protection", "collar", "quantity_min", "notional_min", "notional_max")


@dataclass
class Standing:
    """What SetAccount says of an account."""

    state: int = AccountStanding.ACTIVE
    group: int = 0
    prevention: int = 0


@dataclass
class Rules:
    """What SetRules says of an instrument."""

    flags: int = 0
    protection: int = 0
    collar: int = 0
    quantity_min: int = 0
    notional_min: int = 0
    notional_max: int = 0
    fee_schedule: int = 0


@dataclass
class Bound:
    """A limit of one owner: what holds for good, what holds for a time, and what it has counted."""

    value: int = 0
    second: int = 0
    until: int = 0
    other_value: int = 0
    other_second: int = 0
    arrival: int = 0
    entered: int = 0
    traded: int = 0

    def at(self, now):
        """Value and second value in force."""
        return (self.other_value, self.other_second) if now < self.until else (self.value, self.second)


class Limits(Venue):
    """Owners are ("account", number), ("session", number) and ("firm", number)."""

    def __init__(self):
        super().__init__()
        self.standings, self.rules, self.bounds, self.killed = {}, {}, {}, set()
        self.schedules, self.volumes = {}, Counter()

    # ---- what can be asked

    def standing(self, account):
        return self.standings.get(account, Standing())

    def rules_of(self, instrument):
        return self.rules.get(instrument, Rules())

    def firms(self):
        return {account.firm for account in self.accounts.values()}

    def named(self, c):
        """The owners that an operator's command names."""
        pairs = (("account", c.account), ("session", c.named), ("firm", c.firm))
        return [(kind, number) for kind, number in pairs if number != 0]

    def are_known(self, owners):
        """Sessions and firms; accounts have a reason of their own."""
        known = {"account": self.accounts, "session": self.sessions, "firm": self.firms()}
        return all(number in known[kind] for kind, number in owners)

    def owners(self, account, session):
        return [("account", account), ("session", session), ("firm", self.accounts[account].firm)]

    def bounds_on(self, c, limit):
        """The limits of one kind that judge a command, with their owners."""
        owners = self.owners(c.account, c.session)
        keys = [(owner, limit, instrument) for owner in owners for instrument in {0, c.instrument}]
        return [(key[0], self.bounds[key]) for key in keys if key in self.bounds]

    # ---- commands

    def set_account(self, c):
        if c.account not in self.accounts:
            return R.UNKNOWN_ACCOUNT
        if c.state not in list(AccountStanding) or not 0 <= c.group <= ACCOUNT_NUMBER_MAX:
            return R.INVALID_DEFINITION
        if c.prevention not in list(Prevention):
            return R.INVALID_DEFINITION
        self.standings[c.account] = Standing(c.state, c.group, c.prevention)
        columns = {"state": c.state, "group": c.group, "prevention": c.prevention}
        return self.tell(m.AccountSet, c.session, copy=c.account, account=c.account, **columns)

    def set_limit(self, c):
        if c.instrument != 0 and c.instrument not in self.instruments:
            return R.UNKNOWN_INSTRUMENT
        if c.account != 0 and c.account not in self.accounts:
            return R.UNKNOWN_ACCOUNT
        if c.until != 0 and not self.now < c.until <= SUM_MAX:
            return R.INVALID_EXPIRY
        owners = self.named(c)
        if len(owners) != 1 or not self.are_known(owners) or not self.is_bound(c):
            return R.INVALID_DEFINITION
        key = (owners[0], c.limit, c.instrument)
        if c.until and key not in self.bounds:
            return R.INVALID_DEFINITION
        bound = self.bounds.setdefault(key, Bound())
        bound.until = c.until
        if c.until:
            bound.other_value, bound.other_second = c.value, c.second
        else:
            bound.value, bound.second = c.value, c.second
        names = ("instrument", "account", "named", "firm", "limit", "value", "second", "until")
        columns = {name: getattr(c, name) for name in names}
        return self.tell(m.LimitSet, c.session, copy=c.account, firm_copy=c.firm, **columns)

    def is_bound(self, c):
        """Whether limit, instrument and values go together."""
        if c.limit not in BOUNDS:
            return False
        most, low, high = BOUNDS[c.limit]
        if c.limit in EXPOSED:
            placed = bool(self.rules_of(c.instrument).flags & EXPOSURES)
        elif c.limit == Limit.ORDER_NOTIONAL:
            placed = c.instrument != 0
        else:
            placed = c.instrument == 0 or c.limit == Limit.ORDER_QUANTITY
        return placed and 1 <= c.value <= most and low <= c.second <= high

    def set_rules(self, c):
        if c.instrument not in self.instruments:
            return R.UNKNOWN_INSTRUMENT
        most = dict(zip(RULES, (PRICE_MAX, FEE_SCALE, QUANTITY_MAX, SUM_MAX, SUM_MAX), strict=True))
        old = self.rules_of(c.instrument)
        if not all(0 <= getattr(c, name) <= most[name] for name in RULES):
            return R.INVALID_DEFINITION
        if any(getattr(old, name) and not getattr(c, name) for name in RULES):
            return R.INVALID_DEFINITION
        if c.flags & MARKET_RESTS and not c.protection:
            return R.INVALID_DEFINITION
        if c.fee_schedule and c.fee_schedule not in self.schedules:
            return R.INVALID_DEFINITION
        if (c.flags ^ old.flags) & EXPOSURES and (old.flags & EXPOSURES or self.live(c.instrument)):
            return R.INVALID_DEFINITION
        columns = {name: getattr(c, name) for name in (*RULES, "fee_schedule")} | {"flags": c.flags}
        self.rules[c.instrument] = Rules(**columns)
        return self.tell(m.RulesSet, c.session, instrument=c.instrument, **columns)

    # ---- fee schedules

    def set_fee_schedule(self, c):
        maker, taker = unpack_halves(c.fee_rates)
        if max(abs(maker), abs(taker)) > FEE_SCALE or maker + taker < 0:
            return R.INVALID_DEFINITION
        tiers = list(self.schedules.get(c.schedule, []))
        if not 1 <= c.schedule <= 65_535 or not 0 <= c.tier <= min(len(tiers), 15) or c.volume > SUM_MAX:
            return R.INVALID_DEFINITION
        tiers[c.tier : c.tier + 1] = [(c.volume, c.fee_rates)]
        volumes = [volume for volume, _ in tiers]
        if volumes[0] != 0 or any(one >= other for one, other in pairwise(volumes)):
            return R.INVALID_DEFINITION
        self.schedules[c.schedule] = tiers
        columns = {name: getattr(c, name) for name in ("schedule", "tier", "volume", "fee_rates")}
        return self.tell(m.FeeScheduleSet, c.session, flags=0, **columns)

    def rates_for(self, account, instrument):
        """Maker and taker rate of an order that enters now."""
        i, schedule = self.instruments[instrument], self.rules_of(instrument).fee_schedule
        if not schedule:
            return i.maker, i.taker
        reached = [rates for volume, rates in self.schedules[schedule] if volume <= self.volumes[account, schedule]]
        return unpack_halves(reached[-1])

    def count_volume(self, account, instrument, amount):
        if schedule := self.rules_of(instrument).fee_schedule:
            self.volumes[account, schedule] = min(self.volumes[account, schedule] + amount, SUM_MAX)

    # ---- refusals

    def refuse_by_standing(self, c, reduces):
        """KILLED, ACCOUNT_SUSPENDED and ACCOUNT_REDUCE_ONLY, whoever sends it."""
        if not self.killed.isdisjoint([*self.owners(c.account, c.session), ("venue", 0)]):
            return R.KILLED
        state = self.standing(c.account).state
        if state == AccountStanding.SUSPENDED:
            return R.ACCOUNT_SUSPENDED
        return R.ACCOUNT_REDUCE_ONLY if state == AccountStanding.REDUCE_ONLY and not reduces else None

    def refuse_by_rate(self, c, limit, reason):
        """A command that conforms to every rate moves them all."""
        if self.trusted:
            return None
        found = []
        for _, bound in self.bounds_on(c, limit):
            value, burst = bound.at(self.now)
            found.append((bound, 10**9 // value, burst))
        if any(bound.arrival - self.now > (burst - 1) * gap for bound, gap, burst in found):
            return reason
        for bound, gap, _ in found:
            bound.arrival = max(bound.arrival, self.now) + gap
        return None

    def refuse_by_trades(self, c):
        if self.trusted:
            return None
        for _, bound in self.bounds_on(c, Limit.ORDER_TO_TRADE):
            value, free = bound.at(self.now)
            if bound.entered >= value * bound.traded + free:
                return R.ORDER_TO_TRADE_LIMIT
        return None

    # ---- counting

    def count_entered(self, c):
        """An EnterOrder or ReplaceOrder that was not refused."""
        if not self.trusted:
            for _, bound in self.bounds_on(c, Limit.ORDER_TO_TRADE):
                bound.entered += 1

    def count_traded(self, order):
        """One side of a match."""
        for owner in self.owners(order.account, order.session):
            if bound := self.bounds.get((owner, Limit.ORDER_TO_TRADE, 0)):
                bound.traded += 1

    def count_anew(self):
        for (_, limit, _), bound in self.bounds.items():
            if limit == Limit.ORDER_TO_TRADE:
                bound.entered = bound.traded = 0
