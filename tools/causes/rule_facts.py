"""What a refusal by rules, standing, limits or kill switches met: whose it was, its value, and how far it was used."""

from collections.abc import Callable, Iterator
from typing import Any

from core.holder import Holder
from core.holder import Limit as Held
from core.kinds import AccountStanding as Standing
from core.kinds import Limit as Kind
from core.kinds import OrderType, Side
from core.limits import FEE_SCALE, FOLLOWERS_MAX, QUOTES_MAX, REDUCING_MAX
from core.session import Session
from tools.causes.case import Case, Why
from tools.causes.names import side_text, type_of_flags


def _holders(case: Case, session: Session) -> Iterator[tuple[str, Holder]]:
    """Those by whose limits and kill switches an order is judged, by name; `session` is one of them."""
    account = case.account
    yield f"account {account.number}", account
    yield f"session {session.number}", session
    yield f"firm {account.firm.number}", account.firm


def killed(case: Case) -> Why:
    """Whose kill switches are thrown."""
    thrown = [name for name, holder in _holders(case, case.session) if holder.killed()]
    thrown += ["the venue"] if case.engine.killed else []
    return Why(f"thrown: {', '.join(thrown)}", {"killed": thrown})


def standing(case: Case) -> Why:
    """What the account may enter."""
    name = Standing(case.account.standing).name
    return Why(f"account {case.account.number} is {name}", {"account": case.account.number, "standing": name})


def frozen(case: Case) -> Why:
    """What the protection is that froze the account."""
    one = case.account.quoting(case.row.instrument)
    held = {"window": int(one.window), "quantity": int(one.quantity), "count": int(one.count), "delta": int(one.delta)}
    text = ", ".join(f"{name} {value:,}" for name, value in held.items())
    return Why(f"account {case.account.number} until ResetProtection; {text}", {"account": case.account.number} | held)


def position(case: Case) -> Why:
    """The position that a reduce-only order would have to reduce."""
    lots = int(case.account.exposure(case.row.instrument).position)
    text = f"{side_text(case.side())}; position {case.names.lots(case.row.instrument, lots)}"
    return Why(text, {"position": lots})


def followers(case: Case) -> Why:
    """How many orders of the kind live."""
    one = case.instrument
    reducing = len(case.account.exposure(one.number).reducing)
    quotes = len(case.account.quoting(one.number).quotes)
    trailing, pegged = len(one.followers.trailing), len(one.followers.pegged)
    text = (
        f"trailing {trailing:,} and pegged {pegged:,} of {FOLLOWERS_MAX:,} in {case.names.instrument(one.number)};"
        f" reduce-only {reducing} of {REDUCING_MAX} and quotes {quotes} of {QUOTES_MAX} of account {case.account.number}"
    )
    return Why(text, {"trailing": trailing, "pegged": pegged, "reducing": reducing, "quotes": quotes})


def collar(case: Case) -> Why:
    """The last price, and how far from it a price may be."""
    row, one, names = case.row, case.instrument, case.names
    waits = type_of_flags(case.flags()) in {OrderType.STOP_LIMIT, OrderType.LIMIT_IF_TOUCHED}
    trigger = row.column_14 or (_trigger_of(case) if case.is_replace else 0)
    reference = trigger if waits and trigger else int(one.last_price)
    rules = one.rules
    assert rules is not None
    width = reference * int(rules.collar) // FEE_SCALE
    bound = reference + width if case.side() == Side.BUY else reference - width
    way = "most" if case.side() == Side.BUY else "least"
    name = "trigger price" if waits and trigger else "last price"
    text = (
        f"price {names.price(row.instrument, row.price)}; at {way} {names.price(row.instrument, bound)},"
        f" by the {name} {names.price(row.instrument, reference)}"
    )
    return Why(text, {"price": row.price, "bound": bound, "reference": reference, "collar": int(rules.collar)})


def _trigger_of(case: Case) -> int:
    terms = case.replaced().terms
    return int(terms.trigger_price) if terms is not None and terms.waits else 0


def notional(case: Case) -> Why:
    """The notional of the order, and the bounds of the instrument."""
    row, one = case.row, case.instrument
    rules = one.rules
    assert rules is not None
    price = row.price or row.column_14 or (_trigger_of(case) if case.is_replace else 0)
    amount = int(one.amount(price, row.quantity))
    low, high = int(rules.notional_min), int(rules.notional_max)
    show = case.names.quote_amount
    text = f"notional {show(row.instrument, amount)}; at least {show(row.instrument, low)}"
    text += f", at most {show(row.instrument, high)}" if high else ""
    return Why(text, {"notional": amount, "notional_min": low, "notional_max": high})


def limit(kind: Kind) -> Callable[[Case], Why]:
    """The limits of a kind that hold for the command, and how far each was used."""

    def facts(case: Case) -> Why:
        # For what stands open, a replace is judged by the session that entered the order; for its rate, by its own.
        is_of_orders = kind not in _RATES and case.knows_replaced
        holders = _holders(case, case.replaced().session if is_of_orders else case.session)
        found = [_one(case, name, holder, held) for name, holder in holders for held in _held(case, kind, holder)]
        texts = [
            f"{one['of']}: {kind.name} {one['value']:,}" + "".join(f", {n} {one[n]:,}" for n in _USED[kind] if n in one)
            for one in found
        ]
        return Why("; ".join(texts), {"limits": found})

    return facts


_RATES = frozenset({Kind.MESSAGE_RATE, Kind.CANCEL_RATE})
_USED: dict[Kind, tuple[str, ...]] = {
    Kind.ORDER_QUANTITY: ("quantity",),
    Kind.ORDER_NOTIONAL: (),
    Kind.OPEN_ORDERS: ("open",),
    Kind.OPEN_NOTIONAL: ("notional",),
    Kind.POSITION: ("position", "buys", "sells"),
    Kind.MESSAGE_RATE: ("second", "ahead_ns"),
    Kind.CANCEL_RATE: ("second", "ahead_ns"),
    Kind.ORDER_TO_TRADE: ("second", "orders", "trades"),
}
"""What is told of the use of each limit, by the names in the facts."""


def _held(case: Case, kind: Kind, holder: Holder) -> Iterator[Held]:
    for number in dict.fromkeys((case.row.instrument, 0)):
        found = holder.limit(kind, number)
        if found is not None:
            yield found


def _one(case: Case, name: str, holder: Holder, held: Held) -> dict[str, Any]:
    now = case.row.time
    told: dict[str, Any] = {"of": name, "value": int(held.value_at(now)), "second": int(held.second_at(now))}
    told |= {"quantity": case.row.quantity, "open": int(holder.open)}
    if case.row.instrument in holder.exposures:
        exposure = holder.exposure(case.row.instrument)
        told |= {"position": int(exposure.position), "buys": int(exposure.buys), "sells": int(exposure.sells)}
        told["notional"] = int(exposure.notional)
    told |= {"orders": int(held.orders), "trades": int(held.trades)}
    told["ahead_ns"] = max(0, int(held.arrival) - now)
    return told
