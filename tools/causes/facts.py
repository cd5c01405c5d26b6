"""The values that mattered when a command was refused: what was asked, and the bound or the state that it met.

They are read from the engine as it stands after the refusal, which is how it stood before: a refused command changes
nothing but its session's numbers.
"""

from collections.abc import Callable
from typing import Final

from core.engine import names_account, names_instrument, names_order
from core.kinds import CommandKind, Limit, OrderType, Role, Side
from core.kinds import TradingState as Trading
from core.limits import LEVELS_MAX, QUANTITY_MAX, RING_SIZE, SUM_MAX, TODOS_MAX
from core.reasons import RejectReason as R
from core.rows import unpack_halves
from tools.causes import rule_facts
from tools.causes.case import Case, Why, balance, needed_for
from tools.causes.definitions import conflict, definition
from tools.causes.names import kind_text, known_text, side_text, terms_text, type_of_flags


def why(case: Case, reason: int) -> Why:
    """What the refusal of a command met."""
    return _FACTS[R(reason)](case)


def of_part(part: int) -> Why:
    """Of a command of several parts: which one is refused, 0 for its head. No row alone says what it was judged by."""
    if part == 0:
        return Why("the head of the command is refused", {"part": 0})
    return Why(f"part {part} of the command is refused, judged with the parts before it", {"part": part})


def _of_parts(_: Case) -> Why:
    return of_part(0)


def _unknown_session(case: Case) -> Why:
    return Why(f"session {case.row.session} does not exist", {"session": case.row.session})


def _inbound(case: Case) -> Why:
    row, last = case.row, case.engine.control_inbound if case.row.session == 0 else case.session.inbound
    oldest = max(1, last - RING_SIZE + 1)
    kept = "" if row.session == 0 else f"; answers are kept from {oldest:,} on"
    text = f"inbound number {row.inbound:,}; the last one of session {row.session} was {last:,}{kept}"
    return Why(text, {"inbound": row.inbound, "last_inbound": last})


def _quarantined(case: Case) -> Why:
    return Why(f"a later Quarantine row names row {case.row.sequence}", {"named": case.row.sequence})


def _role(case: Case) -> Why:
    role = Role(case.session.role).name
    text = f"session {case.row.session} has the role {role} and sent {kind_text(case.row.kind)}"
    return Why(text, {"role": role, "command": case.row.kind})


def _malformed(case: Case) -> Why:
    row = case.row
    facts = {"columns": list(row) if row.kind != CommandKind.SET_CREDENTIAL else None}
    if row.kind not in set(CommandKind):
        return Why(f"{row.kind} is no kind of command", facts)
    if case.command is None:
        return Why(case.malformed, facts)
    spare = [
        name for name in case.command.__struct_fields__ if name.startswith("column_") and getattr(case.command, name)
    ]
    parts = [f"{name} is not zero" for name in spare] or [f"flags {row.flags}"]
    parts += [f"client order id {row.client_order_id}"] if names_order(row.kind) else []
    parts += [f"reason {case.command.reason!r}"] if hasattr(case.command, "reason") else []
    return Why(", ".join(parts), facts)


def _not_permitted(case: Case) -> Why:
    if not names_account(case.row.kind):
        return Why(f"{kind_text(case.row.kind)} comes from session 0 alone", {"command": case.row.kind})
    granted = sorted(case.session.accounts)
    text = (
        f"session {case.row.session} may act for accounts: {known_text(granted)}; it named account {case.row.account}"
    )
    return Why(text, {"account": case.row.account, "granted": granted})


def _unknown_currency(case: Case) -> Why:
    known = [currency.number for currency in case.engine.currencies if currency is not None]
    asked = _asked_currencies(case)
    missing = ", ".join(str(number) for number in asked if number not in known)
    return Why(f"currency {missing}; known: {known_text(known)}", {"currencies": asked, "known": known})


def _asked_currencies(case: Case) -> list[int]:
    if case.row.kind == CommandKind.DEFINE_INSTRUMENT:
        # Column 9 of a DefineInstrument holds base and quote.
        return list(unpack_halves(case.row.price))
    return [case.row.client_order_id]


def _unknown_instrument(case: Case) -> Why:
    known = [one.number for one in case.engine.instruments if one is not None]
    text = f"instrument {case.row.instrument}; known: {known_text(known)}"
    return Why(text, {"instrument": case.row.instrument, "known": known})


def _unknown_account(case: Case) -> Why:
    known = [one.number for one in case.engine.accounts if one is not None]
    return Why(f"account {case.row.account}; known: {known_text(known)}", {"account": case.row.account, "known": known})


def _states(case: Case) -> Why:
    states = {"venue": Trading(case.engine.state).name}
    if names_instrument(case.row.kind) and (instrument := case.engine.instrument(case.row.instrument)):
        states[f"instrument {case.names.instrument(instrument.number)}"] = Trading(instrument.state).name
    if account := case.engine.account(case.row.account):
        states[f"account {account.number}"] = Trading(account.state).name
    return Why(", ".join(f"{name} {state}" for name, state in states.items()), {"states": states})


def _unknown_order(case: Case) -> Why:
    row = case.row
    asked = row.original_client_order_id if case.is_replace else row.client_order_id
    live = [order for order in case.account.orders.values() if order.instrument.number == row.instrument]
    text = f"client order id {asked}; account {row.account} has {len(live):,} live in {case.names.instrument(row.instrument)}"
    if order := case.account.orders.get(asked):
        # It lives, but elsewhere; or its time is over, which only a replace looks at.
        elsewhere = order.instrument.number != row.instrument
        where = f"stands in {case.names.instrument(order.instrument.number)}" if elsewhere else "is past its time"
        text += f"; order {order.number} of this client order id {where}"
    return Why(text, {"client_order_id": asked, "live": len(live)})


def _duplicate(case: Case) -> Why:
    order = case.account.orders[case.row.client_order_id]
    text = f"client order id {case.row.client_order_id} is that of order {order.number}"
    return Why(text, {"client_order_id": case.row.client_order_id, "order_number": order.number})


def _terms(case: Case) -> Why:
    row = case.row
    if case.is_replace:
        text = f"shown {row.column_12}, trigger price {row.column_14} for {terms_text(case.flags())}"
        return Why(text, {"flags": int(case.flags())})
    names = ("display_quantity", "minimum_quantity", "trigger_price", "offset")
    columns = dict(zip(names, (*row[12:15], row.original_client_order_id), strict=True))
    said = [f"{name} {value}" for name, value in columns.items() if value]
    return Why(", ".join([terms_text(row.flags), *said]), {"flags": row.flags})


def _price(case: Case) -> Why:
    row, names = case.row, case.names
    order_type = type_of_flags(case.flags())
    has_none = order_type in _PRICELESS and not (case.is_replace and order_type in _GET_ONE)
    low, high = (0, 0) if has_none else (1, case.instrument.price_max)
    low = 0 if order_type == OrderType.PEGGED and case.side() == Side.SELL else low
    bounds = f"{names.price(row.instrument, low)} to {names.price(row.instrument, high)}"
    none = "a market order has none" if order_type == OrderType.MARKET else f"{OrderType(order_type).name} has none"
    text = f"price {names.price(row.instrument, row.price)}; {none if has_none else bounds}"
    facts = {"price": row.price, "price_min": low, "price_max": high}
    if low <= row.price <= high:
        # Then it is one of the other prices.
        offset = 0 if case.is_replace else row.original_client_order_id
        text = f"trigger price {names.price(row.instrument, row.column_14)}, offset {offset}; {bounds}"
        facts |= {"trigger_price": row.column_14, "offset": offset}
    return Why(text, facts)


_PRICELESS: Final = frozenset(OrderType) - {
    OrderType.LIMIT,
    OrderType.STOP_LIMIT,
    OrderType.LIMIT_IF_TOUCHED,
    OrderType.PEGGED,
}
_GET_ONE: Final = frozenset({OrderType.MARKET, OrderType.MARKET_TO_LIMIT})
"""Once they stand they are replaced like limit orders."""


def _quantity(case: Case) -> Why:
    row, names = case.row, case.names
    least, most = 1, QUANTITY_MAX
    if row.kind != CommandKind.REDUCE_ORDER:
        rules, most = case.instrument.rules, case.instrument.quantity_max
        least = max(1, int(rules.quantity_min)) if rules is not None else 1
        if type_of_flags(case.flags()) == OrderType.SPEND_AT_MOST:
            return Why(
                f"budget {row.quantity} units; 1 to {SUM_MAX}", {"quantity": row.quantity, "quantity_max": SUM_MAX}
            )
    asked = names.lots(row.instrument, row.quantity)
    text = f"quantity {asked}; {names.lots(row.instrument, least)} to {names.lots(row.instrument, most)}"
    facts = {"quantity": row.quantity, "quantity_min": least, "quantity_max": most}
    if least <= row.quantity <= most:
        # Then it is one of its parts.
        text = f"{text}; shown {row.column_12}, at least {row.column_13}: each up to the quantity"
        facts |= {"display_quantity": row.column_12, "minimum_quantity": row.column_13}
    return Why(text, facts)


def _notional(case: Case) -> Why:
    row, one = case.row, case.instrument
    facts = {"price": row.price, "quantity": row.quantity, "multiplier": one.multiplier, "lot_units": one.lot_units}
    text = f"{row.price} ticks × {row.quantity} lots × {one.multiplier}, {row.quantity} lots × {one.lot_units} units"
    return Why(f"{text}; bound {SUM_MAX}", facts | {"bound": SUM_MAX})


def _expiry(case: Case) -> Why:
    row = case.row
    flags = case.replaced().flags if case.is_replace else row.flags
    text = f"expiry {row.expires} ns for {terms_text(flags)}; the row's time is {row.time} ns"
    return Why(text, {"expires": row.expires, "time": row.time})


def _amount(case: Case) -> Why:
    return Why(f"{case.row.price} units; 1 to {SUM_MAX}", {"amount": case.row.price, "amount_max": SUM_MAX})


def _definition(case: Case) -> Why:
    return Why(*definition(case.command, case.malformed))


def _conflict(case: Case) -> Why:
    return Why(*conflict(case.engine, case.command, case.malformed))


def _last(name: str, attribute: str) -> Callable[[Case], Why]:
    """A command whose one value has to come behind an earlier one."""

    def facts(case: Case) -> Why:
        asked, last = case.row.client_order_id, int(getattr(case.engine, attribute))
        return Why(f"{name} {asked}; so far {last}", {name: asked, "so_far": last})

    return facts


def _clock(case: Case) -> Why:
    return Why(f"clock {case.row.client_order_id} ns; 1 to {SUM_MAX}", {"clock": case.row.client_order_id})


def _quarantine(case: Case) -> Why:
    waiting = [int(number) for number in case.engine.quarantined]
    text = f"row {case.row.client_order_id}; rows that wait to be named: {known_text(waiting)}"
    return Why(text, {"named": case.row.client_order_id, "waiting": waiting})


def _pending(case: Case) -> Why:
    if case.row.kind in {CommandKind.ENTER_ORDER, CommandKind.REPLACE_ORDER}:
        low, high = int(case.instrument.low), int(case.instrument.high)
        prices = f"{case.names.price(case.row.instrument, low)} to {case.names.price(case.row.instrument, high)}"
        text = f"orders that wait for a price from {prices} have their turn first"
        return Why(text, {"price_low": low, "price_high": high})
    return Why(f"{len(case.engine.todos):,} of {TODOS_MAX:,}", {"pending": len(case.engine.todos)})


def _levels(case: Case) -> Why:
    levels = len(case.own()[0].levels)
    return Why(f"{levels:,} of {LEVELS_MAX:,} levels", {"levels": levels, "levels_max": LEVELS_MAX})


def _bound(case: Case) -> Why:
    row = case.row
    if row.kind in {CommandKind.DEPOSIT, CommandKind.WITHDRAW}:
        currency = case.engine.currency(row.client_order_id)
        assert currency is not None
        total = currency.deposited if row.kind == CommandKind.DEPOSIT else currency.withdrawn
        added = row.price
    else:
        own = sum(ladder.total for ladder in case.own())
        total, added = (own - case.replaced().leaves if case.is_replace else own), case.leaves()
        if case.is_replace and total + added <= SUM_MAX:
            # Then what was executed and what would be open pass the bound together.
            total = case.replaced().executed
    return Why(f"{total} and {added} more; bound {SUM_MAX}", {"total": total, "added": added, "bound": SUM_MAX})


def _would_trade(case: Case) -> Why:
    names, number = case.names, case.row.instrument
    shown, hidden = case.opposite()
    bests = [ladder.best for ladder in (shown, hidden) if ladder.best is not None]
    best = min(bests, key=lambda level: level.price * shown.sign)
    side = side_text(case.side())
    text = f"{side} at {names.price(number, case.row.price)}; best opposite price {names.price(number, best.price)}"
    return Why(text, {"price": case.row.price, "opposite_price": best.price, "opposite_quantity": best.total})


def _funds(case: Case) -> Why:
    if case.row.kind == CommandKind.WITHDRAW:
        currency, needed, held = case.row.client_order_id, case.row.price, 0
    else:
        currency, needed, held = needed_for(case)
    facts = balance(case, currency) | {"needed": needed, "held": held}
    show = case.names.amount
    text = f"needed {show(currency, needed)}; available {show(currency, facts['available'] + held)}"
    text += f" of {show(currency, facts['total'])}, {show(currency, facts['reserved'])} reserved"
    return Why(text + (f", of which {show(currency, held)} by the order itself" if held else ""), facts)


_FACTS: Final[dict[R, Callable[[Case], Why]]] = {
    R.UNKNOWN_SESSION: _unknown_session,
    R.INBOUND_TOO_OLD: _inbound,
    R.INBOUND_CONFLICT: _inbound,
    R.INBOUND_GAP: _inbound,
    R.QUARANTINED: _quarantined,
    R.NOT_AN_OPERATOR: _role,
    R.MALFORMED: _malformed,
    R.INCOMPLETE: _of_parts,
    R.NOT_PERMITTED: _not_permitted,
    R.UNKNOWN_CURRENCY: _unknown_currency,
    R.UNKNOWN_INSTRUMENT: _unknown_instrument,
    R.UNKNOWN_ACCOUNT: _unknown_account,
    R.HALTED: _states,
    R.CANCEL_ONLY: _states,
    R.ACCOUNT_HALTED: _states,
    R.KILLED: rule_facts.killed,
    R.ACCOUNT_SUSPENDED: rule_facts.standing,
    R.ACCOUNT_REDUCE_ONLY: rule_facts.standing,
    R.MESSAGE_RATE_LIMIT: rule_facts.limit(Limit.MESSAGE_RATE),
    R.CANCEL_RATE_LIMIT: rule_facts.limit(Limit.CANCEL_RATE),
    R.UNKNOWN_ORDER: _unknown_order,
    R.DUPLICATE_CLIENT_ORDER_ID: _duplicate,
    R.INVALID_TIME_IN_FORCE: _terms,
    R.INVALID_INSTRUCTION: _terms,
    R.INVALID_LINK: _of_parts,
    R.INVALID_PRICE: _price,
    R.INVALID_QUANTITY: _quantity,
    R.INVALID_NOTIONAL: _notional,
    R.INVALID_EXPIRY: _expiry,
    R.INVALID_AMOUNT: _amount,
    R.INVALID_DEFINITION: _definition,
    R.CONFLICTING_DEFINITION: _conflict,
    R.INVALID_DAY: _last("day", "day"),
    R.INVALID_VERSION: _last("version", "next_semantics"),
    R.INVALID_EPOCH: _last("epoch", "epoch"),
    R.INVALID_CLOCK: _clock,
    R.INVALID_QUARANTINE: _quarantine,
    R.WOULD_INCREASE: rule_facts.position,
    R.FOLLOWERS_FULL: rule_facts.followers,
    R.TOO_MANY_PENDING: _pending,
    R.OUTSIDE_COLLAR: rule_facts.collar,
    R.NOTIONAL_BELOW_MINIMUM: rule_facts.notional,
    R.NOTIONAL_ABOVE_MAXIMUM: rule_facts.notional,
    R.QUANTITY_LIMIT: rule_facts.limit(Limit.ORDER_QUANTITY),
    R.NOTIONAL_LIMIT: rule_facts.limit(Limit.ORDER_NOTIONAL),
    R.OPEN_ORDERS_LIMIT: rule_facts.limit(Limit.OPEN_ORDERS),
    R.OPEN_NOTIONAL_LIMIT: rule_facts.limit(Limit.OPEN_NOTIONAL),
    R.POSITION_LIMIT: rule_facts.limit(Limit.POSITION),
    R.ORDER_TO_TRADE_LIMIT: rule_facts.limit(Limit.ORDER_TO_TRADE),
    R.LEVELS_FULL: _levels,
    R.SUM_AT_BOUND: _bound,
    R.WOULD_TRADE: _would_trade,
    R.INSUFFICIENT_FUNDS: _funds,
}
