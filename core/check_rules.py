"""Invariants of what is more than plain: terms, followers, exposures, limits. Called by core/check.py."""

from __future__ import annotations

from mypy_extensions import i64

from core.book import Order
from core.codes import AccountStanding, OrderType, Prevention, Side
from core.codes import Limit as Kind
from core.counting import closing, worth
from core.definitions import are_rates
from core.engine import Engine
from core.holder import KILLED, LIMITED, STANDING, Holder
from core.instrument import Instrument
from core.kinds import HIDDEN, QUOTE
from core.ledger import Account
from core.limits import (
    FOLLOWERS_MAX,
    GROUP_MAX,
    NANOSECONDS,
    RATE_MAX,
    RATIO_TRADES_MAX,
    REDUCING_MAX,
    SUM_MAX,
    TIERS_MAX,
)
from core.terms import (
    CROSSED,
    FOR_PRICE,
    HELD,
    IN_BOOK,
    PARKED,
    Terms,
    is_counted,
    is_special,
    type_of,
    waits_for_price,
)


class RuleSums:
    """Totals over all live orders, to be compared with what instruments and holders say of them."""

    def __init__(self) -> None:
        # Live orders with terms, and those that wait or are pegged, of each instrument.
        self.special: dict[int, int] = {}
        self.watch: dict[int, int] = {}
        # Lots on each side and notional of each exposure: by a letter for the holder, its number, and the instrument.
        self.exposures: dict[tuple[str, int, int], list[int]] = {}
        self.open: dict[tuple[str, int], int] = {}
        # Live quotes by account and instrument, held orders that follow by instrument and type; and orders that are linked.
        self.quotes: dict[tuple[int, int], int] = {}
        self.held: dict[tuple[int, int], int] = {}
        self.linked: i64 = 0


def hold(condition: bool, what: str) -> None:
    """AssertionError unless the condition holds; not an assert statement, which `-O` leaves out."""
    if not condition:
        raise AssertionError(what)


def check_terms(order: Order, sums: RuleSums) -> None:
    """What an order has beyond a plain one agrees with itself and with what knows it."""
    for key in (("a", order.account.number), ("f", order.account.firm.number), ("s", order.session.number)):
        sums.open[key] = sums.open.get(key, 0) + 1
    instrument = order.instrument
    terms = order.terms
    rules = instrument.rules
    counts = rules is not None and rules.exposures
    if terms is None:
        hold(not counts and not is_special(order, 0), "an order without its terms")
        return
    linked = terms.link is not None
    hold(counts or linked or is_special(order, terms.display), "terms of a plain order")
    sums.linked += 1 if linked else 0
    sums.special[instrument.number] = sums.special.get(instrument.number, 0) + 1
    _check_display(order, terms)
    _check_place(order, terms, sums)
    if order.flags & QUOTE:
        key_2 = (order.account.number, instrument.number)
        sums.quotes[key_2] = sums.quotes.get(key_2, 0) + 1
        hold(order.account.quotes_in(instrument.number).live.get(order.number) is order, "index of quotes")
    if is_counted(order, terms):
        exposure = order.account.exposure(instrument.number)
        hold(exposure.reducing.get(order.number) is order, "index of reduce-only orders")
        hold(order.leaves <= closing(exposure, order.side), "a reduce-only order beyond its position")
    if counts:
        hold(terms.counted == order.leaves and terms.worth == worth(order, terms), "what is counted of an order")
        _count_exposures(order, terms, sums)


def _check_display(order: Order, terms: Terms) -> None:
    # An iceberg in the book shows its display, what is left of it, or all that is open.
    if terms.display == 0 or order.level is None:
        hold(terms.shown == 0 or terms.display != 0, "a display without an iceberg")
        return
    most = terms.display if terms.display < order.leaves else order.leaves
    hold(1 <= terms.shown <= most and order.flags & HIDDEN == 0, "what an iceberg shows")


def _check_place(order: Order, terms: Terms, sums: RuleSums) -> None:
    # An order is in the book, or in exactly one of the places where orders wait.
    followers = order.instrument.followers
    hold((order.level is not None) == (terms.waits == IN_BOOK), "place of an order")
    waits = terms.waits == FOR_PRICE or terms.waits == CROSSED
    pegged = type_of(order) == OrderType.PEGGED
    hold(not waits or waits_for_price(type_of(order)), "an order that waits for no price")
    hold(terms.waits != PARKED or (pegged and order.price == 0), "a parked order")
    held = terms.waits == HELD
    hold(not held or (terms.link is not None and order.reserved == 0), "a held order")
    if held:
        key = (order.instrument.number, type_of(order))
        sums.held[key] = sums.held.get(key, 0) + 1
    hold((pegged and not held) == (followers.pegged.get(order.number) is order), "pegged orders")
    rising = followers.rising.get((terms.trigger_price, terms.armed, order.number))
    falling = followers.falling.get((-terms.trigger_price, terms.armed, order.number))
    places = (rising is order) + (falling is order) + (followers.trailing.get(order.number) is order)
    hold(places == (1 if waits else 0), "waiting orders")
    if waits or (pegged and not held):
        sums.watch[order.instrument.number] = sums.watch.get(order.instrument.number, 0) + 1


def _count_exposures(order: Order, terms: Terms, sums: RuleSums) -> None:
    number = order.instrument.number
    for letter, holder in (("a", order.account.number), ("f", order.account.firm.number), ("s", order.session.number)):
        found = sums.exposures.setdefault((letter, holder, number), [0, 0, 0])
        found[0] += terms.counted if order.side == Side.BUY else 0
        found[1] += terms.counted if order.side == Side.SELL else 0
        found[2] += terms.worth


def check_rules(engine: Engine, sums: RuleSums) -> None:
    """Instruments, accounts, sessions and firms agree with the orders that live, and positions with the matches."""
    for instrument in engine.instruments:
        if instrument is not None:
            _check_instrument(engine, instrument, sums)
    positions: dict[int, int] = {}
    by_firm: dict[tuple[int, int], int] = {}
    for account in engine.accounts:
        if account is not None:
            _check_account(account)
            _check_holder("a", account.number, account, engine.now, sums)
            for number in sorted(account.exposures):
                exposure = account.exposures[number]
                hold(len(exposure.reducing) <= REDUCING_MAX, "reduce-only orders")
                positions[number] = positions.get(number, 0) + exposure.position
                key = (account.firm.number, number)
                by_firm[key] = by_firm.get(key, 0) + exposure.position
    for number in sorted(positions):
        hold(positions[number] == 0, "positions do not add up to zero")
    for firm in engine.firms:
        if firm is not None:
            _check_holder("f", firm.number, firm, engine.now, sums)
            for number in sorted(firm.exposures):
                total = by_firm.get((firm.number, number), 0)
                hold(firm.exposures[number].position == total, "position of a firm")
    for session in engine.sessions:
        if session is not None and session.number != 0:
            _check_holder("s", session.number, session, engine.now, sums)
    _check_ratios(engine)
    _check_fees(engine)


def _check_instrument(engine: Engine, instrument: Instrument, sums: RuleSums) -> None:
    followers = instrument.followers
    number = instrument.number
    ruled = (1 if instrument.rules is not None else 0) + (1 if instrument.steps else 0)
    for ladder in (instrument.bids, instrument.asks):
        top = ladder.top
        hold(top is None or (len(instrument.steps) > 0 and top.level is ladder.best), "order that set the best price")
    hold(instrument.special == sums.special.get(number, 0) + ruled, "special orders of an instrument")
    watch = len(followers.rising) + len(followers.falling) + len(followers.trailing) + len(followers.pegged)
    hold(watch == sums.watch.get(number, 0), "orders that follow")
    hold(instrument.watch == watch + len(followers.activations), "what is watched")
    hold(followers.held_trailing == sums.held.get((number, OrderType.TRAILING_STOP), 0), "held trailing stops")
    hold(followers.held_pegged == sums.held.get((number, OrderType.PEGGED), 0), "held pegged orders")
    hold(len(followers.pegged) <= FOLLOWERS_MAX, "too many pegged orders")
    hold(instrument.stirred == (instrument in engine.following), "turn of an instrument")
    if followers.rising or followers.falling or followers.trailing:
        hold(instrument.low <= instrument.last_price <= instrument.high, "prices since triggers were worked off")


def _check_account(account: Account) -> None:
    prevents = Prevention.NONE < account.prevention < Prevention.ALLOW
    hold(AccountStanding.ACTIVE <= account.standing <= AccountStanding.SUSPENDED, "standing of an account")
    hold(0 <= account.group <= GROUP_MAX, "group of an account")
    stands = account.standing != AccountStanding.ACTIVE or prevents
    hold((account.guards & STANDING != 0) == stands, "guard of an account")


def _check_holder(letter: str, number: i64, holder: Holder, now: i64, sums: RuleSums) -> None:
    hold(0 <= holder.guards <= KILLED + LIMITED + STANDING, "guards")
    hold((holder.guards & LIMITED != 0) == (len(holder.limits) > 0), "guard of limits")
    hold(holder.open == sums.open.get((letter, number), 0), "open orders of a holder")
    for key in sorted(holder.limits):
        limit = holder.limits[key]
        hold(key == (limit.kind, limit.instrument) and 1 <= limit.value <= SUM_MAX, "limit")
        hold(0 <= limit.arrival and limit.arrival - now <= RATE_MAX * NANOSECONDS, "arrival time of a rate")
        hold(0 <= limit.orders and 0 <= limit.trades <= RATIO_TRADES_MAX, "what a limit counts")
    for instrument in sorted(holder.exposures):
        exposure = holder.exposures[instrument]
        found = sums.exposures.get((letter, number, instrument), [0, 0, 0])
        hold([exposure.buys, exposure.sells, exposure.notional] == found, "exposure")
        hold(exposure.notional <= SUM_MAX, "notional of an exposure")
        long = exposure.position + exposure.buys
        short = exposure.sells - exposure.position
        hold(long <= SUM_MAX and short <= SUM_MAX, "position")


def _check_ratios(engine: Engine) -> None:
    count: i64 = 0
    for account in engine.accounts:
        count += 1 if account is not None and account.limit(Kind.ORDER_TO_TRADE, 0) is not None else 0
    for session in engine.sessions:
        count += 1 if session is not None and session.limit(Kind.ORDER_TO_TRADE, 0) is not None else 0
    for firm in engine.firms:
        count += 1 if firm is not None and firm.limit(Kind.ORDER_TO_TRADE, 0) is not None else 0
    hold(engine.ratios == count, "ratios")


def _check_fees(engine: Engine) -> None:
    # Tiers rise from volume 0; an instrument names a schedule that is known.
    for schedule in engine.fee_schedules:
        if schedule is not None:
            hold(1 <= len(schedule.tiers) <= TIERS_MAX + 1, "tiers of a schedule")
            before: i64 = -1
            for tier in schedule.tiers:
                hold((before < 0) == (tier.volume == 0) and before < tier.volume <= SUM_MAX, "volume of a tier")
                hold(are_rates(tier.fee_rates), "rates of a tier")
                before = tier.volume
    for instrument in engine.instruments:
        rules = instrument.rules if instrument is not None else None
        if rules is not None and rules.schedule is not None:
            hold(engine.fee_schedule(rules.schedule.number) is rules.schedule, "schedule of an instrument")
