"""The events of a scenario in words, and its table with them, aligned: see tests/scenario.py."""

from core import messages as m
from core.kinds import (
    KEPT_PLACE,
    PEG_MASK,
    PEG_SHIFT,
    PENDING,
    PREVENTION_MASK,
    PREVENTION_SHIFT,
    REMOVED,
    RESTING,
    TIME_IN_FORCE_MASK,
    TIME_IN_FORCE_SHIFT,
    TYPE_MASK,
    TYPE_SHIFT,
    AccountStanding,
    CommandKind,
    KillAct,
    Limit,
    Link,
    OnDisconnect,
    OrderType,
    Peg,
    Prevention,
    ProtectionLimit,
    Role,
    TimeInForce,
    TradingState,
)
from core.reasons import CancelReason, RejectReason
from core.rows import unpack_halves
from tests.scenario import INSTRUCTIONS, PREVENTIONS, START

ACCOUNTS = {1: "A", 2: "B", 3: "C", 4: "D"}
SESSIONS = ACCOUNTS | {9: "op"}
CURRENCIES = {1: "USD", 2: "BTC", 3: "EUR"}
MODES = {number: word for word, number in PREVENTIONS.items()}


def told(event, numbers):
    """Who is told."""
    shown = []
    if event.session:
        shown.append(SESSIONS.get(event.session, str(event.session)) + (f".{event.outbound}" if numbers else ""))
    for name, letter in FEEDS:
        if number := getattr(event, name, 0):
            shown.append(f"{letter}{number if numbers else ''}")
    return " ".join(["  ->", *shown]) if shown else ""


FEEDS = (("drop_copy", "d"), ("buyer_drop_copy", "d"), ("seller_drop_copy", "d"), ("market_data", "m"))


def order_words(e):
    """What is common to events about orders."""
    side = ("buy", "sell")[e.flags & 1]
    order_type = OrderType(e.flags >> TYPE_SHIFT & TYPE_MASK)
    kind = "" if order_type is OrderType.LIMIT else f" {order_type.name.lower()}"
    kind += f" {Peg(e.flags >> PEG_SHIFT & PEG_MASK).name.lower()}" if order_type is OrderType.PEGGED else ""
    tif = TimeInForce(e.flags >> TIME_IN_FORCE_SHIFT & TIME_IN_FORCE_MASK).name.lower()
    said = "".join(f" {word}" for word, bit in INSTRUCTIONS.items() if e.flags & bit and word != "reenter")
    mode = e.flags >> PREVENTION_SHIFT & PREVENTION_MASK
    said += f" stp {MODES[mode]}" if mode else ""
    marks = {RESTING: " resting", REMOVED: " removed", KEPT_PLACE: " kept place"}
    place = "" if e.instrument == 1 else f" in {e.instrument}"
    return (
        f"#{e.order_number} {name_of(ACCOUNTS, e.account)}:{e.client_order_id} {side}{kind} {tif}{said}{place}",
        "".join(word for bit, word in marks.items() if e.flags & bit),
    )


def name_of(table, number):
    return table.get(number, str(number))


OF_ORDERS = (
    m.Accepted
    | m.Executed
    | m.Replaced
    | m.Reduced
    | m.Canceled
    | m.Expired
    | m.Rested
    | m.Triggered
    | m.Activated
    | m.Restated
)


def words_of(event):
    """An event in words."""
    e = event
    if isinstance(e, OF_ORDERS):
        head, marks = order_words(e)
        start = f"{type(e).__name__.lower()} {head} {e.quantity} @ {e.price}"
        until = f" until {e.expires - START}" if hasattr(e, "expires") and e.flags >> 5 & 15 == TimeInForce.GTD else ""
        match e:
            case m.Executed():
                return f"{start} leaves {e.leaves} match {e.match_number}{marks}"
            case m.Replaced():
                return f"{start} leaves {e.leaves} was {e.original_client_order_id}{marks}"
            case m.Canceled():
                return f"{start} {CancelReason(e.reason).name}{marks}"
            case m.Reduced():
                return f"{start} leaves {e.leaves}{marks}"
            case m.Triggered():
                return f"{start} at {e.trigger_price}{marks}"
            case m.Activated():
                return f"{start} by #{e.parent}{marks}"
        return f"{start}{until}{marks}"
    return other_words(e)


def other_words(e):
    account = name_of(ACCOUNTS, getattr(e, "account", 0))
    currency = name_of(CURRENCIES, getattr(e, "currency", 0))
    kind = getattr(e, "command", 0)
    command = CommandKind(kind).name if kind in list(CommandKind) else str(kind)
    place = f"{e.instrument} {account}" if hasattr(e, "instrument") and hasattr(e, "account") else ""
    match e:
        case m.Settled():
            sides = f"{name_of(ACCOUNTS, e.buyer)} buys {e.base_amount} of {name_of(ACCOUNTS, e.seller)} for {e.quote_amount}"
            return f"settled {sides} fees {e.buyer_fee} {e.seller_fee} match {e.match_number}"
        case m.Rejected():
            part = f" part {e.part}" if e.part else ""
            return f"rejected {command} {RejectReason(e.reason).name} {place} {e.client_order_id}{part} inbound {e.inbound}"
        case m.Acknowledged():
            return f"acknowledged {command} #{e.order_number} {place} {e.client_order_id} inbound {e.inbound}"
        case m.Repeated():
            return f"repeated inbound {e.inbound} first {e.first} count {e.count}"
        case m.MassCanceled():
            return f"masscanceled {place} inbound {e.inbound} count {e.count}" + " pending" * bool(e.flags & PENDING)
        case m.CurrencyDefined():
            return f"currency {e.currency} {e.symbol} decimals {e.decimals}"
        case m.InstrumentDefined():
            limits = f"price {e.price_max} quantity {e.quantity_max} fees {'{} {}'.format(*unpack_halves(e.fee_rates))}"
            return f"instrument {e.instrument} {e.symbol} flags {e.flags} {limits}"
        case m.AccountOpened():
            return f"account {account} firm {e.firm} {e.name}"
        case m.BalanceChanged():
            return f"balance {account} {currency} {e.amount:+} = {e.balance} reserved {e.reserved}"
        case m.SessionGranted():
            firm = f" of firm {e.firm}" if e.firm else ""
            return f"granted {name_of(SESSIONS, e.grantee)} {account} {Role(e.role).name}{firm}"
        case m.CredentialSet():
            return f"credential {name_of(SESSIONS, e.grantee)} cost {e.cost}"
        case m.Promoted():
            return f"promoted {e.epoch}"
        case m.ClockAccepted():
            return f"clock {e.clock}"
        case m.TradingStateChanged():
            return f"state {place} {TradingState(e.state).name}"
        case m.DayEnded():
            return f"day {e.day}" + " fee period" * (e.flags == 1)
        case m.Upgraded():
            return f"upgraded {e.version}"
        case m.Quarantined():
            return f"quarantined {command} {place} timer {e.timer_order}"
    return words_of_rules(e)


def words_of_rules(e):
    """Events about the rules of instruments, the standing of accounts, and what an order shows."""
    side = ("buy", "sell")[e.flags & 1]
    place = "" if getattr(e, "instrument", 1) == 1 else f" in {e.instrument}"
    match e:
        case m.Traded():
            return f"traded {side}{place} {e.quantity} @ {e.price} #{e.order_number} shows {e.leaves} match {e.match_number}"
        case m.DisplayChanged():
            return f"display #{e.order_number} {side}{place} @ {e.price} shows {e.leaves}"
        case m.RulesSet():
            bounds = f"quantity {e.quantity_min} notional {e.notional_min} {e.notional_max}"
            fees = f" schedule {e.fee_schedule}" if e.fee_schedule else ""
            return f"rules {e.instrument} flags {e.flags} protection {e.protection} collar {e.collar} {bounds}{fees}"
        case m.AllocationSet():
            steps = [e.step_1, e.step_2, e.step_3, e.step_4, e.step_5, e.step_6]
            return f"allocation {e.instrument} steps {' '.join(str(step) for step in steps if step) or 'none'}"
        case m.FeeScheduleSet():
            rates = "{} {}".format(*unpack_halves(e.fee_rates))
            return f"feeschedule {e.schedule} tier {e.tier} from {e.volume} fees {rates}"
        case m.AccountSet():
            state, mode = AccountStanding(e.state).name, Prevention(e.prevention).name
            return f"accountset {name_of(ACCOUNTS, e.account)} {state} group {e.group} prevention {mode}"
        case m.LimitSet():
            until = f" until {e.until - START}" if e.until else ""
            return f"limit {Limit(e.limit).name} of {whom(e)} in {e.instrument} {e.value} {e.second}{until}"
        case m.Killed():
            return f"{'killed' if e.act == KillAct.KILL else 'revived'} {whom(e)}"
    return words_of_safety(e)


def words_of_safety(e):
    """Events about what is done when those who entered orders are gone, and about the protection of quotes."""
    account = name_of(ACCOUNTS, getattr(e, "account", 0))
    mode = OnDisconnect(e.mode).name if hasattr(e, "mode") else ""
    match e:
        case m.SessionWasLost():
            return f"lost {name_of(SESSIONS, e.named)} connection {e.connection} {mode}"
        case m.CancelOnDisconnectSet():
            return f"ondisconnect {name_of(SESSIONS, e.named)} {mode}"
        case m.DeadManArmed():
            return f"armed {account} {e.interval}" + f" fires {e.fires_at - START}" * bool(e.fires_at)
        case m.DeadManFired():
            return f"fired {account} due {e.fires_at - START}"
        case m.ProtectionSet():
            limits = f"window {e.window} quantity {e.quantity} count {e.count} delta {e.delta}"
            return f"protection {account} in {e.instrument} {limits}" + " frozen" * e.frozen
        case m.ProtectionFrozen():
            sums = f"quantity {e.quantity} count {e.count} delta {e.delta}"
            return f"frozen {account} in {e.instrument} {ProtectionLimit(e.limit).name} {sums}"
    return words_of_parts(e)


def words_of_parts(e):
    """Events about commands of several parts."""
    account = name_of(ACCOUNTS, e.account)
    match e:
        case m.BatchEntered():
            return f"batch {e.batch_id} {account} orders {e.parts}"
        case m.OrdersLinked():
            numbers = " ".join(f"#{number}" for number in (e.order_1, e.order_2, e.order_3) if number)
            return f"linked {e.link_id} {e.instrument} {account} {Link(e.flags).name} {numbers}"
        case m.Quoted():
            counts = f"entered {e.entered} kept {e.kept} canceled {e.canceled} refused {e.refused}"
            return f"quoted {e.quote_id} {account} {counts}"
    raise AssertionError(e)


def whom(e):
    """Whom a limit or a kill switch is for."""
    if e.account:
        return f"account {name_of(ACCOUNTS, e.account)}"
    if e.named:
        return f"session {name_of(SESSIONS, e.named)}"
    return f"firm {e.firm}" if e.firm else "venue"


def words(event, numbers):
    """An event in words, and who is told."""
    return words_of(event) + told(event, numbers)


def written(scenario, shown):
    """The table of a scenario with these events, aligned; `shown` has the words for each step."""
    lines = [step.line for step in scenario.steps]
    width = max(len(line) for line, step in zip(lines, scenario.steps, strict=True) if step.expected is not None) + 4
    out = []
    for line, step, events in zip(lines, scenario.steps, shown, strict=True):
        if step.expected is None:
            out.append(line)
            continue
        for at, event in enumerate(events or [""]):
            out.append(f"{line if at == 0 else '':<{width}}{event}".rstrip())
    start = ["numbers on"] if scenario.numbers else []
    return scenario.prose + "\n\n" + "\n".join([*start, *out]) + "\n"
