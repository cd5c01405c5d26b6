"""The values that mattered when a command was refused: what was asked, and the bound or the state that it met.

They are read from the engine as it stands after the refusal, which is how it stood before: a refused command changes
nothing but its session's numbers.
"""

from collections.abc import Callable
from typing import Final

from core.engine import names_account, names_instrument, names_order
from core.kinds import CommandKind, Role
from core.kinds import TradingState as Trading
from core.limits import LEVELS_MAX, QUANTITY_MAX, RING_SIZE, SUM_MAX, TODOS_MAX
from core.reasons import RejectReason as R
from core.rows import unpack_halves
from tools.causes.case import Case, Why, balance, needed_for
from tools.causes.definitions import conflict, definition
from tools.causes.names import is_market, kind_text, known_text, side_text, terms_text


def why(case: Case, reason: int) -> Why:
    """What the refusal of a command met."""
    return _FACTS[R(reason)](case)


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
    return Why(terms_text(case.row.flags), {"flags": case.row.flags})


def _price(case: Case) -> Why:
    row, names = case.row, case.names
    has_none = not case.is_replace and is_market(row.flags)
    low, high = (0, 0) if has_none else (1, case.instrument.price_max)
    bounds = f"{names.price(row.instrument, low)} to {names.price(row.instrument, high)}"
    text = f"price {names.price(row.instrument, row.price)}; " + ("a market order has none" if has_none else bounds)
    return Why(text, {"price": row.price, "price_min": low, "price_max": high})


def _quantity(case: Case) -> Why:
    row, names = case.row, case.names
    most = QUANTITY_MAX if row.kind == CommandKind.REDUCE_ORDER else case.instrument.quantity_max
    asked = names.lots(row.instrument, row.quantity)
    text = f"quantity {asked}; {names.lots(row.instrument, 1)} to {names.lots(row.instrument, most)}"
    return Why(text, {"quantity": row.quantity, "quantity_min": 1, "quantity_max": most})


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
    return Why(f"{len(case.engine.todos):,} of {TODOS_MAX:,}", {"pending": len(case.engine.todos)})


def _levels(case: Case) -> Why:
    levels = len(case.ladders()[0].levels)
    return Why(f"{levels:,} of {LEVELS_MAX:,} levels", {"levels": levels, "levels_max": LEVELS_MAX})


def _bound(case: Case) -> Why:
    row = case.row
    if row.kind in {CommandKind.DEPOSIT, CommandKind.WITHDRAW}:
        currency = case.engine.currency(row.client_order_id)
        assert currency is not None
        total = currency.deposited if row.kind == CommandKind.DEPOSIT else currency.withdrawn
        added = row.price
    else:
        own = case.ladders()[0].total
        total, added = (own - case.replaced().leaves if case.is_replace else own), case.leaves()
        if case.is_replace and total + added <= SUM_MAX:
            # Then what was executed and what would be open pass the bound together.
            total = case.replaced().executed
    return Why(f"{total} and {added} more; bound {SUM_MAX}", {"total": total, "added": added, "bound": SUM_MAX})


def _would_trade(case: Case) -> Why:
    best, names, number = case.ladders()[1].best, case.names, case.row.instrument
    assert best is not None
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
    R.NOT_PERMITTED: _not_permitted,
    R.UNKNOWN_CURRENCY: _unknown_currency,
    R.UNKNOWN_INSTRUMENT: _unknown_instrument,
    R.UNKNOWN_ACCOUNT: _unknown_account,
    R.HALTED: _states,
    R.CANCEL_ONLY: _states,
    R.ACCOUNT_HALTED: _states,
    R.UNKNOWN_ORDER: _unknown_order,
    R.DUPLICATE_CLIENT_ORDER_ID: _duplicate,
    R.INVALID_TIME_IN_FORCE: _terms,
    R.INVALID_INSTRUCTION: _terms,
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
    R.TOO_MANY_PENDING: _pending,
    R.LEVELS_FULL: _levels,
    R.SUM_AT_BOUND: _bound,
    R.WOULD_TRADE: _would_trade,
    R.INSUFFICIENT_FUNDS: _funds,
}
