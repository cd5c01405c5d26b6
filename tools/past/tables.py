"""How `lockstep at` shows its answers to people: tables in display decimals, times as clocks show them."""

from collections.abc import Iterable

from rich.table import Table

from core.kinds import AccountStanding, OrderType
from tools.moments import clock_text
from tools.output import decimal_text
from tools.past import answers
from tools.past.answers import Fate, OpenOrder, OrderAt, Where
from tools.words import BASIS_POINTS_WORD


def _pairs(pairs: Iterable[tuple[str, object]]) -> Table:
    """Names and values, one line each; what is None is left out."""
    table = Table(show_header=False)
    table.add_column("name")
    table.add_column("value")
    for name, value in pairs:
        if value is not None:
            table.add_row(name, str(value))
    return table


_PLAIN_TYPES = frozenset({OrderType.MARKET, OrderType.LIMIT})
"""Their prices say which they are."""


def _price(order: OpenOrder) -> str:
    if order.price == 0:
        return "none" if order.order_type == OrderType.PEGGED else "market"
    return decimal_text(order.price, order.price_decimals)


def _lots(order: OpenOrder, lots: int) -> str:
    return decimal_text(lots, order.quantity_decimals)


def _terms(order: OpenOrder) -> str:
    words = [order.order_type.name] if order.order_type not in _PLAIN_TYPES else []
    words.append(order.time_in_force.name)
    if order.expires:
        words.append(f"until {clock_text(order.expires)}")
    words += order.instructions
    if order.over:
        words.append("its time is over")
    return ", ".join(words)


def order_table(found: OrderAt) -> Table:
    """An order with its place, or its end."""
    order, place, ended = found.order, found.place, found.ended
    assert order is not None
    state = found.fate.value
    if ended is not None:
        reason = f", {ended.reason.name}" if ended.reason is not None else ""
        state = f"{state} by row {ended.sequence}, {clock_text(ended.time)}{reason}"
    ahead = f"{place.orders_ahead} orders with {_lots(order, place.quantity_ahead)}" if place is not None else None
    return _pairs(
        (
            ("order", found.order_number),
            ("state", state),
            ("instrument", order.instrument),
            ("side", order.side.name),
            ("price", _price(order)),
            *_beyond_price(order),
            ("open", _lots(order, order.leaves)),
            ("where", order.where.value if order.where is not None else None),
            ("shown", _shown(order)),
            ("executed", _lots(order, order.executed)),
            ("open at its end", _lots(order, ended.open_quantity) if ended and found.fate != Fate.EXECUTED else None),
            ("ahead of it", ahead),
            ("terms", _terms(order)),
            ("account, session", f"{order.account}, {order.session}"),
            ("client order id", order.client_order_id),
        )
    )


def _beyond_price(order: OpenOrder) -> list[tuple[str, str]]:
    """Trigger price, offset and limit, where the order has them."""
    points = BASIS_POINTS_WORD in order.instructions
    offset = f"{order.offset} basis points" if points else decimal_text(order.offset, order.price_decimals)
    pairs = (
        ("trigger price", order.trigger_price, decimal_text(order.trigger_price, order.price_decimals)),
        ("offset", order.offset, offset),
        ("limit", order.limit, decimal_text(order.limit, order.price_decimals)),
    )
    return [(name, text) for name, value, text in pairs if value]


def _shown(order: OpenOrder) -> str | None:
    """What market data shows of an order, where that is not all of it."""
    if order.display:
        return f"{_lots(order, order.shown)}, at most {_lots(order, order.display)} at a time"
    return "nothing" if order.where == Where.HIDDEN else None


def account_tables(account: answers.AccountAt) -> list[Table]:
    """An account, its balances, its open orders."""
    sessions = ", ".join(map(str, account.sessions)) or "none"
    head = _pairs(
        (
            ("account", account.account),
            ("name", account.name),
            ("firm", account.firm),
            ("state", account.state.name),
            ("may enter", None if account.standing == AccountStanding.ACTIVE else account.standing.name),
            ("self-trade group", account.group or None),
            ("self-trade prevention", account.prevention.name if account.prevention else None),
            ("kill switch", _killed(account)),
            ("sessions", sessions),
            *((f"volume in fee schedule {of.fee_schedule}", f"{of.volume} units") for of in account.volumes),
        )
    )
    tables = [head, _balances(account)]
    tables += [_positions(account.positions)] if account.positions else []
    tables += [_limits(account.limits)] if account.limits else []
    tables += [_limits(account.firm_limits, f"limits of firm {account.firm}")] if account.firm_limits else []
    return tables + ([_orders(account)] if account.orders else [])


def _killed(account: answers.AccountAt) -> str | None:
    """Whose kill switches bar the account."""
    switches = (("account", account.killed), ("firm", account.firm_killed), ("venue", account.venue_killed))
    return ", ".join(f"thrown: {name}" for name, thrown in switches if thrown) or None


def _positions(positions: Iterable[answers.PositionAt]) -> Table:
    table = Table()
    table.add_column("instrument")
    table.add_column("position", justify="right")
    for position in positions:
        table.add_row(position.instrument, decimal_text(position.position, position.quantity_decimals))
    return table


def _limits(limits: Iterable[answers.LimitAt], title: str | None = None) -> Table:
    """Limits in lots, units and counts as SetLimit has them."""
    table = Table(title=title)
    for name in ("limit", "instrument", "value", "second", "for a time"):
        table.add_column(name, justify="right" if name in {"value", "second"} else "left")
    for limit in limits:
        until = ""
        if limit.until:
            second = f", {limit.second_until}" if limit.second_until else ""
            until = f"{limit.value_until}{second} until {clock_text(limit.until)}"
        table.add_row(limit.limit.name, limit.instrument or "any", str(limit.value), str(limit.second), until)
    return table


def _balances(account: answers.AccountAt) -> Table:
    table = Table()
    table.add_column("currency")
    for name in ("balance", "reserved", "free"):
        table.add_column(name, justify="right")
    for balance in account.balances:
        amounts = (balance.total, balance.reserved, balance.free)
        table.add_row(balance.symbol, *(decimal_text(amount, balance.decimals) for amount in amounts))
    return table


def _orders(account: answers.AccountAt) -> Table:
    table = Table()
    for name in ("order", "client id", "instrument", "side", "price", "open", "executed", "terms"):
        table.add_column(
            name, justify="right" if name in {"order", "client id", "price", "open", "executed"} else "left"
        )
    for order in account.orders:
        table.add_row(
            str(order.order_number), str(order.client_order_id), order.instrument, order.side.name, _price(order),
            _lots(order, order.leaves), _lots(order, order.executed), _terms(order),
        )  # fmt: skip
    return table


def instrument_table(found: answers.InstrumentAt) -> Table:
    """An instrument, what holds for orders that enter now, its touch and its last match."""

    def price(ticks: int) -> str:
        return decimal_text(ticks, found.price_decimals)

    def lots(quantity: int) -> str:
        return decimal_text(quantity, found.quantity_decimals)

    def top(best: answers.Top | None) -> str:
        return f"{lots(best.quantity)} at {price(best.price)}, {best.orders} orders" if best else "none"

    last = f"none after row {found.searched_from}" if found.searched_from else "none"
    if found.last is not None:
        trade = found.last
        last = f"{lots(trade.quantity)} at {price(trade.price)}, row {trade.sequence}, {clock_text(trade.time)}"
    return _pairs(
        (
            ("instrument", f"{found.instrument}, {found.symbol}"),
            ("base, quote", f"{found.base}, {found.quote}"),
            ("state", found.state.name),
            ("bid", top(found.bid)),
            ("ask", top(found.ask)),
            ("last match", last),
            ("last price", price(found.last_price) if found.last_price else None),
            ("orders that wait", found.waiting or None),
            *_rules(found),
            ("price at most", price(found.price_max)),
            ("quantity at most", lots(found.quantity_max)),
            ("fee rates, maker and taker", _rates(found) if not found.tiers else None),
            ("allocation", ", then ".join(map(_step, found.steps)) or None),
            ("multiplier, divisor", f"{found.multiplier}, {found.divisor}"),
            ("lot units", found.lot_units),
            ("rounding", found.rounding.name),
            ("market data number", found.market_data),
        )
    )


def _rules(found: answers.InstrumentAt) -> list[tuple[str, str | None]]:
    """The rules of an instrument, those that were set."""
    rules = found.rules
    if rules is None:
        return []
    return [
        ("protection", decimal_text(rules.protection, found.price_decimals) if rules.protection else None),
        ("collar", f"{rules.collar} millionths" if rules.collar else None),
        (
            "quantity at least",
            decimal_text(rules.quantity_min, found.quantity_decimals) if rules.quantity_min else None,
        ),
        ("notional at least", f"{rules.notional_min} units" if rules.notional_min else None),
        ("notional at most", f"{rules.notional_max} units" if rules.notional_max else None),
        ("counts exposures", "yes" if rules.exposures else None),
        ("rest of a market order", "may stand" if rules.market_rests else None),
        ("fee schedule", str(rules.fee_schedule) if rules.fee_schedule else None),
        *((f"from a volume of {tier.volume} units", _rates(tier)) for tier in found.tiers),
    ]


def _rates(of: answers.TierAt | answers.InstrumentAt) -> str:
    return f"{of.maker_rate}, {of.taker_rate} millionths"


def _step(step: answers.StepAt) -> str:
    numbers = (("share", step.share), ("account", step.account), ("lots", step.lots))
    return " ".join((step.step.name, *(f"{name} {number}" for name, number in numbers if number)))


def session_tables(found: answers.SessionAt) -> list[Table]:
    """A session, without its credential; its positions and limits."""
    tables = [_session(found)]
    tables += [_positions(found.positions)] if found.positions else []
    return tables + ([_limits(found.limits)] if found.limits else [])


def _session(found: answers.SessionAt) -> Table:
    return _pairs(
        (
            ("session", found.session),
            ("role", found.role.name),
            ("firm", found.firm or None),
            ("accounts", ", ".join(map(str, found.accounts)) or None),
            ("inbound number", found.inbound),
            ("outbound number", found.outbound),
            ("credential", "yes, hidden" if found.has_credential else "none"),
            ("kill switch", "thrown" if found.killed else None),
        )
    )


def currencies_table(found: tuple[answers.CurrencyAt, ...]) -> Table:
    """All currencies, and their sums."""
    table = Table()
    table.add_column("currency")
    for name in ("deposited", "withdrawn", "fees", "held"):
        table.add_column(name, justify="right")
    for currency in found:
        amounts = (currency.deposited, currency.withdrawn, currency.fees, currency.held)
        table.add_row(currency.symbol, *(decimal_text(amount, currency.decimals) for amount in amounts))
    return table


def venue_table(found: answers.VenueAt) -> Table:
    """The venue, its counters, limits and digests."""
    limits = found.limits
    return _pairs(
        (
            ("state", found.state.name),
            ("kill switch", "thrown" if found.killed else None),
            ("day", f"{found.day or 'none yet'}, {found.days} ended"),
            ("epoch", found.epoch),
            ("semantics", found.semantics),
            ("instruments", ", ".join(found.instruments) or "none"),
            ("accounts, sessions", f"{found.accounts}, {found.sessions}"),
            ("open orders", found.open_orders),
            ("orders, matches so far", f"{found.order_numbers}, {found.match_numbers}"),
            ("mass operations pending", found.operations),
            ("levels of a side at most", limits.levels),
            ("matches of a row at most", limits.matches),
            ("steps of a row at most", limits.steps),
            ("mass operations at most", limits.operations),
            ("answers remembered", limits.answers),
            ("event digest", found.event_digest),
            ("state digest", found.state_digest),
        )
    )
