"""Rules, terms, limits and exposures as rows of state, and back; the rest of a snapshot is in core/snapshot.py."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from librt.strings import BytesWriter, read_i64_le, write_i64_le
from mypy_extensions import i64

from core.codes import Limit as Kind
from core.codes import StateKind
from core.fees import FeeSchedule
from core.holder import LIMITED, Holder, Limit
from core.instrument import Instrument, Rules
from core.kinds import COLUMNS, EXPOSURES, ROW_SIZE
from core.state import put
from core.terms import HELD, Terms, is_special, pays_as_it_goes

_STEPS: Final = 6

if TYPE_CHECKING:
    from core.book import Ladder, Order
    from core.engine import Engine


def write_row(out: BytesWriter, kind: i64, columns: list[i64]) -> None:
    """A row of state: its kind, its columns, and zeros."""
    write_i64_le(out, kind)
    for column in columns:
        write_i64_le(out, column)
    spare: i64 = COLUMNS - 1 - len(columns)
    while spare > 0:
        write_i64_le(out, 0)
        spare -= 1


def dump_rules(out: BytesWriter, instrument: Instrument) -> None:
    """The rules of an instrument, if it has any."""
    rules = instrument.rules
    if rules is not None:
        write_row(out, StateKind.RULES, [
            instrument.number, rules.flags, rules.protection, rules.collar, rules.quantity_min, rules.notional_min,
            rules.notional_max, rules.schedule.number if rules.schedule is not None else 0,
        ])  # fmt: skip


def dump_steps(out: BytesWriter, instrument: Instrument) -> None:
    """The steps of allocation of an instrument, if it has any, and the orders that set the best prices."""
    if instrument.steps:
        bid = instrument.bids.top
        ask = instrument.asks.top
        spare = [0] * (_STEPS - len(instrument.steps))
        tops = [bid.number if bid is not None else 0, ask.number if ask is not None else 0]
        write_row(out, StateKind.ALLOCATION, [instrument.number, *instrument.steps, *spare, *tops])


def load_steps(instrument: Instrument, rows: bytes, at: i64) -> None:
    """The steps that an ALLOCATION row gives an instrument."""
    instrument.steps = [step for step in [read_i64_le(rows, at + 16 + 8 * n) for n in range(_STEPS)] if step != 0]
    instrument.special += 1 if instrument.steps else 0


def load_tops(engine: Engine, rows: bytes, begin: i64, end: i64) -> None:
    """After all orders are known: those that set the best prices, which stand at them."""
    at = begin
    while at < end:
        if read_i64_le(rows, at) == StateKind.ALLOCATION:
            instrument = engine.instrument(read_i64_le(rows, at + 8))
            if instrument is None:
                raise ValueError("a row names an instrument that does not exist")
            _load_top(instrument.bids, read_i64_le(rows, at + 64))
            _load_top(instrument.asks, read_i64_le(rows, at + 72))
        at += ROW_SIZE


def _load_top(ladder: Ladder, number: i64) -> None:
    order = ladder.best.first if ladder.best is not None else None
    while order is not None:
        if order.number == number:
            ladder.top = order
        order = order.behind


def load_rules(instrument: Instrument, schedule: FeeSchedule | None, rows: bytes, at: i64) -> None:
    """The rules that a RULES row gives an instrument."""
    rules = Rules()
    rules.flags = read_i64_le(rows, at + 16)
    rules.exposures = rules.flags & EXPOSURES != 0
    rules.protection = read_i64_le(rows, at + 24)
    rules.collar = read_i64_le(rows, at + 32)
    rules.quantity_min = read_i64_le(rows, at + 40)
    rules.notional_min = read_i64_le(rows, at + 48)
    rules.notional_max = read_i64_le(rows, at + 56)
    rules.schedule = schedule
    instrument.rules = rules
    instrument.special += 1


def dump_terms(out: BytesWriter, order: Order) -> None:
    """What an order has that is more than plain, if it has."""
    terms = order.terms
    if terms is not None and (is_special(order, terms.display) or terms.waits == HELD or terms.link is not None):
        write_row(out, StateKind.TERMS, [
            order.number, terms.display, terms.shown, terms.trigger_price, terms.offset, terms.limit, terms.waits,
            terms.armed, terms.minimum,
        ])  # fmt: skip


def load_terms(order: Order, rows: bytes, at: i64, end: i64) -> None:
    """The terms of an order: those of the TERMS row that follows its own, or none but what exposures count."""
    rules = order.instrument.rules
    terms = Terms()
    if at < end and read_i64_le(rows, at) == StateKind.TERMS:
        terms.display = read_i64_le(rows, at + 16)
        terms.shown = read_i64_le(rows, at + 24)
        terms.trigger_price = read_i64_le(rows, at + 32)
        terms.offset = read_i64_le(rows, at + 40)
        terms.limit = read_i64_le(rows, at + 48)
        terms.waits = read_i64_le(rows, at + 56)
        terms.armed = read_i64_le(rows, at + 64)
        terms.minimum = read_i64_le(rows, at + 72)
        order.terms = terms
    elif rules is not None and rules.exposures:
        order.terms = terms
    terms.pays = pays_as_it_goes(order)


def dump_following(out: BytesWriter, engine: Engine) -> None:
    """Instruments whose orders may have to follow, in their turn, then those that wait for an opening with prices crossed."""
    for instrument in engine.following:
        write_row(out, StateKind.FOLLOWING, [instrument.number, 1, *_range(instrument)])
    for other in engine.instruments:
        if other is not None and not other.stirred and has_range(other):
            write_row(out, StateKind.FOLLOWING, [other.number, 0, *_range(other)])


def has_range(instrument: Instrument) -> bool:
    """Whether prices other than the last one have still to be held against orders that wait."""
    followers = instrument.followers
    if not followers.rising and not followers.falling and not followers.trailing:
        return False
    return instrument.low != instrument.last_price or instrument.high != instrument.last_price


def _range(instrument: Instrument) -> list[i64]:
    return [instrument.low, instrument.high] if has_range(instrument) else [0, 0]


def load_following(engine: Engine, rows: bytes, begin: i64, end: i64) -> None:
    """After all orders are known: what has to follow, and all prices since it last did."""
    at = begin
    while at < end:
        if read_i64_le(rows, at) == StateKind.FOLLOWING:
            instrument = engine.instrument(read_i64_le(rows, at + 8))
            if instrument is None:
                raise ValueError("a row names an instrument that does not exist")
            if read_i64_le(rows, at + 16) != 0:
                engine.stir(instrument)
            if read_i64_le(rows, at + 32) != 0:
                instrument.low = read_i64_le(rows, at + 24)
                instrument.high = read_i64_le(rows, at + 32)
        at += ROW_SIZE


def dump_fee_tiers(out: BytesWriter, engine: Engine) -> None:
    """The tiers of all fee schedules."""
    for schedule in engine.fee_schedules:
        if schedule is not None:
            number: i64 = 0
            for tier in schedule.tiers:
                write_row(
                    out, StateKind.FEE_TIER, [schedule.number, number, tier.volume, tier.fee_rates, schedule.period]
                )
                number += 1


def load_fee_tier(engine: Engine, rows: bytes, at: i64) -> None:
    """A tier of a fee schedule."""
    number = read_i64_le(rows, at + 8)
    schedule = engine.fee_schedule(number)
    if schedule is None:
        schedule = FeeSchedule(number)
        put(engine.fee_schedules, number, schedule)
    schedule.put(read_i64_le(rows, at + 16), read_i64_le(rows, at + 24), read_i64_le(rows, at + 32))
    schedule.period = read_i64_le(rows, at + 40)


def dump_volumes(out: BytesWriter, engine: Engine) -> None:
    """What accounts have traded in fee schedules in the period that is not over."""
    for account in engine.accounts:
        if account is not None:
            for number in sorted(account.volumes):
                volume = account.volumes[number]
                schedule = engine.fee_schedule(number)
                if schedule is not None and volume.in_period(schedule.period) != 0:
                    write_row(out, StateKind.VOLUME, [account.number, number, volume.total, volume.period])


def load_volume(engine: Engine, rows: bytes, at: i64) -> None:
    """The volume of an account in a fee schedule."""
    account = engine.account(read_i64_le(rows, at + 8))
    schedule = engine.fee_schedule(read_i64_le(rows, at + 16))
    if account is None or schedule is None:
        raise ValueError("a volume is nobody's, or of no schedule")
    account.volume(schedule).add(read_i64_le(rows, at + 24), read_i64_le(rows, at + 32))


def dump_holders(out: BytesWriter, engine: Engine) -> None:
    """Limits, then positions: of accounts, then sessions, then firms, each by number."""
    for account in engine.accounts:
        if account is not None:
            _dump_limits(out, account, account.number, 0, 0)
    for session in engine.sessions:
        if session is not None:
            _dump_limits(out, session, 0, session.number, 0)
    for firm in engine.firms:
        if firm is not None:
            _dump_limits(out, firm, 0, 0, firm.number)
    for account in engine.accounts:
        if account is not None:
            _dump_exposures(out, account, account.number, 0, 0)
    for session in engine.sessions:
        if session is not None:
            _dump_exposures(out, session, 0, session.number, 0)
    for firm in engine.firms:
        if firm is not None:
            _dump_exposures(out, firm, 0, 0, firm.number)


def _dump_limits(out: BytesWriter, holder: Holder, account: i64, named: i64, firm: i64) -> None:
    for key in sorted(holder.limits):
        limit = holder.limits[key]
        write_row(out, StateKind.LIMIT, [
            account, named, firm, limit.instrument, limit.kind, limit.value, limit.second, limit.until,
            limit.value_until, limit.second_until, limit.arrival, limit.orders, limit.trades, limit.days,
        ])  # fmt: skip


def _dump_exposures(out: BytesWriter, holder: Holder, account: i64, named: i64, firm: i64) -> None:
    for number in sorted(holder.exposures):
        exposure = holder.exposures[number]
        if exposure.position != 0:
            write_row(out, StateKind.EXPOSURE, [account, named, firm, exposure.instrument, exposure.position])


def load_holder(engine: Engine, kind: i64, rows: bytes, at: i64) -> None:
    """A limit or a position of an account, a session or a firm."""
    holder = _holder(engine, read_i64_le(rows, at + 8), read_i64_le(rows, at + 16), read_i64_le(rows, at + 24))
    instrument = read_i64_le(rows, at + 32)
    if kind == StateKind.EXPOSURE:
        holder.exposure(instrument).position = read_i64_le(rows, at + 40)
        return
    limit = Limit(read_i64_le(rows, at + 40), instrument)
    limit.value = read_i64_le(rows, at + 48)
    limit.second = read_i64_le(rows, at + 56)
    limit.until = read_i64_le(rows, at + 64)
    limit.value_until = read_i64_le(rows, at + 72)
    limit.second_until = read_i64_le(rows, at + 80)
    limit.arrival = read_i64_le(rows, at + 88)
    limit.orders = read_i64_le(rows, at + 96)
    limit.trades = read_i64_le(rows, at + 104)
    limit.days = read_i64_le(rows, at + 112)
    holder.limits[limit.kind, instrument] = limit
    holder.guard(LIMITED, True)
    if limit.kind == Kind.ORDER_TO_TRADE:
        engine.ratios += 1


def _holder(engine: Engine, account: i64, named: i64, firm: i64) -> Holder:
    found: Holder | None = engine.account(account)
    if account == 0:
        found = engine.session(named) if named != 0 else engine.firm(firm)
    if found is None:
        raise ValueError("a limit or a position is nobody's")
    return found
