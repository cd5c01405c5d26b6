"""Market rules as prose and a table: reads tests/scenarios/*.txt, makes rows of the commands and words of the events.

A file is prose, a blank line, and lines `command    event`, three spaces or more between them; further events of a
command stand below it, and every event is there. Orders read as they are spoken, in any order of the options:

    A enter 1 sell 5 @ 100 gtd 60 post in 2 by op    account A, client order id 1; session A unless `by` names another
    A enter 2 buy 5 market fok                       limit and gtc are what is not said
    A replace 1>3 4 @ 101 reenter | A reduce 3 1 | A cancel 3 | A masscancel buys in 1 | op masscancel

Other commands are `name key=value ...`, sent by session 0 unless `by` says otherwise. Options of every command: `t=50`
(ns after the start; rows come 1 ns apart), `inbound=7`, `c13=1` (a column as it is), `quarantined` or
`quarantined timer=3@50` (the engine raised on this row). `given` leaves the events out, and so does
`times 9 command` with `{i}` counting from 1. `venue default` lists what VENUE has. Events end with who is told:
the session, d for drop copy, m for market data; after `numbers on` with the numbers.
"""

import re
import struct
from collections import Counter
from dataclasses import dataclass

from core import messages as m
from core.kinds import (
    COLUMNS,
    KEPT_PLACE,
    PENDING,
    POST_ONLY,
    REENTER,
    REMOVED,
    RESTING,
    CommandKind,
    OrderType,
    Role,
    TimeInForce,
    TradingState,
)
from core.reasons import CancelReason, RejectReason
from core.rows import pack_halves, to_row, unpack_halves

START = 1_700_000_000_000_000_000
NAMES = {"A": 1, "B": 2, "C": 3, "D": 4, "op": 9, "USD": 1, "BTC": 2, "EUR": 3, "TRADER": 1, "OPERATOR": 2}
NAMES |= {"DROP_COPY": 3, "MARKET_DATA": 4}
NAMES |= {state.name: state.value for state in TradingState}
ACCOUNTS = {1: "A", 2: "B", 3: "C", 4: "D"}
SESSIONS = ACCOUNTS | {9: "op"}
CURRENCIES = {1: "USD", 2: "BTC", 3: "EUR"}
VENUE = """\
define_currency currency=USD symbol=USD decimals=2
define_currency currency=BTC symbol=BTC decimals=8
define_instrument instrument=1 symbol=BTC/USD currencies=BTC/USD price_max=10000 quantity_max=1000
open_account account=A firm=1 name=Ann
open_account account=B firm=1 name=Bob
open_account account=C firm=2 name=Cat
open_account account=D firm=3 name=Dan
grant_session account=A grantee=A role=TRADER
grant_session account=B grantee=B role=TRADER
grant_session account=C grantee=C role=TRADER
grant_session account=D grantee=D role=TRADER
grant_session grantee=op role=OPERATOR
deposit account=A currency=USD amount=100000
deposit account=B currency=USD amount=100000
deposit account=C currency=USD amount=100000
deposit account=A currency=BTC amount=1000
deposit account=B currency=BTC amount=1000
deposit account=C currency=BTC amount=1000"""
"""D has neither dollars nor bitcoins."""

COMMANDS = {"_".join(re.findall("[A-Z][a-z]+", s.__name__)).lower(): s for s in m.COMMANDS.values()}
ORDERS = {"enter": m.EnterOrder, "replace": m.ReplaceOrder, "reduce": m.ReduceOrder, "cancel": m.CancelOrder}
ORDERS |= {"masscancel": m.MassCancel}


@dataclass
class Step:
    """One line of a scenario: its rows, each with its Quarantine row or None, and the events it shows (None: any)."""

    line: str
    rows: list
    expected: list | None


def number(text):
    """A number, a name, or two of either as halves of a column."""
    if "/" in text:
        return pack_halves(*(number(half) for half in text.split("/")))
    return NAMES[text] if text in NAMES else int(text)


class Scenario:
    """The steps of a file."""

    def __init__(self, text):
        self.prose, _, table = text.partition("\n\n")
        self.sequence, self.time, self.inbound = 0, START, Counter()
        self.quarantined, self.numbers, self.steps = 0, False, []
        for line in table.splitlines():
            left, right = re.fullmatch(r"(.*?)(?:\s{3,}(\S.*))?", line.rstrip()).groups()
            if left.strip() in {"numbers on", ""}:
                self.numbers = self.numbers or bool(left.strip())
            elif left == "venue default":
                self.steps.append(Step(left, [self.build(given) for given in VENUE.splitlines()], None))
            else:
                self.steps.append(self.step(left))
            if right:
                self.steps[-1].expected.append(right)

    def step(self, line):
        if line.startswith("times "):
            _, count, command = line.split(" ", 2)
            return Step(line, [self.build(command.replace("{i}", str(i + 1))) for i in range(int(count))], None)
        if line.startswith("given "):
            return Step(line, [self.build(line.removeprefix("given "))], None)
        return Step(line, [self.build(line)], [])

    def build(self, line):
        """The row of a command, and the Quarantine row that replaces it or None."""
        words = line.split()
        options = dict(word.split("=") for word in words if re.match(r"(t|inbound|timer|c\d+)=", word))
        words = [word for word in words if not re.match(r"(t|inbound|timer|c\d+)=", word)]
        quarantined = "quarantined" in words and words.remove("quarantined") is None
        sender = number(words[at + 1]) if (at := words.index("by") if "by" in words else 0) else None
        words = words[:at] + words[at + 2 :] if at else words
        if len(words) > 1 and words[1] in ORDERS:
            values, of = spoken(words), ORDERS[words[1]]
            sender = number(words[0]) if sender is None else sender
        else:
            of = COMMANDS[words[0]]
            values = self.keyed(of, words[1:])
        return self.stamp(of(**values), sender or 0, options, quarantined)

    def keyed(self, of, words):
        values = {}
        for word in words:
            name, _, value = word.partition("=")
            if name in {"symbol", "name", "reason"}:
                values[name] = value.replace("_", " ")
            else:
                values[name] = self.quarantined if value == "last" else number(value)
        if of is m.DefineInstrument:
            values = {"multiplier": 1, "divisor": 1, "lot_units": 1} | values
        return values

    def stamp(self, command, sender, options, quarantined):
        self.sequence += 1
        self.time = START + int(options["t"]) if "t" in options else self.time + 1
        if "inbound" in options:
            inbound = int(options["inbound"])
        else:
            self.inbound[sender] += sender != 0
            inbound = self.inbound[sender]
        columns = list(struct.unpack(f"<{COLUMNS}q", to_row(command)))
        columns[1:5] = self.sequence, self.time, sender, inbound
        for name, value in options.items():
            if name.startswith("c"):
                columns[int(name[1:])] = int(value)
        row = struct.pack(f"<{COLUMNS}q", *columns)
        if not quarantined:
            return row, None
        order, _, expires = options.get("timer", "0@0").partition("@")
        timer = {"timer_order": int(order), "timer_time": START + int(expires) if int(order) else 0}
        self.quarantined = self.sequence
        return row, to_row(m.Quarantine(named=self.sequence, **timer))


def spoken(words):
    """The columns of an order command as it is spoken."""
    account, verb, *rest = words
    values = {"account": 0 if account == "op" else number(account), "flags": 0, "instrument": int(verb != "masscancel")}
    if verb == "enter":
        values["flags"] = OrderType.LIMIT << 1 | TimeInForce.GTC << 5
    if verb != "masscancel":
        old, _, new = rest.pop(0).partition(">")
        values["client_order_id"] = int(new or old)
        if verb == "replace":
            values["original_client_order_id"] = int(old)
    while rest:
        word = rest.pop(0)
        if word in {"buy", "sell", "buys", "sells", "reenter", "post"}:
            values["flags"] |= {"buy": 0, "sell": 1, "buys": 1, "sells": 2, "reenter": REENTER, "post": POST_ONLY}[word]
        elif word == "market":
            values["flags"] ^= OrderType.LIMIT << 1 ^ OrderType.MARKET << 1
        elif word.upper() in TimeInForce.__members__:
            values["flags"] = values["flags"] & ~(15 << 5) | TimeInForce[word.upper()] << 5
            if word == "gtd":
                values["expires"] = START + int(rest.pop(0))
        elif word == "expires":
            values["expires"] = START + int(rest.pop(0))
        elif word in {"@", "in"}:
            values["price" if word == "@" else "instrument"] = int(rest.pop(0))
        else:
            values["quantity"] = int(word)
    return values


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
    kind = "" if e.flags >> 1 & 15 == OrderType.LIMIT else " market"
    tif = TimeInForce(e.flags >> 5 & 15).name.lower()
    post = " post" if e.flags & POST_ONLY else ""
    marks = {RESTING: " resting", REMOVED: " removed", KEPT_PLACE: " kept place"}
    place = "" if e.instrument == 1 else f" in {e.instrument}"
    return (
        f"#{e.order_number} {name_of(ACCOUNTS, e.account)}:{e.client_order_id} {side}{kind} {tif}{post}{place}",
        "".join(word for bit, word in marks.items() if e.flags & bit),
    )


def name_of(table, number):
    return table.get(number, str(number))


def words_of(event):
    """An event in words."""
    e = event
    if isinstance(e, m.Accepted | m.Executed | m.Replaced | m.Reduced | m.Canceled | m.Expired | m.Rested):
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
            return f"rejected {command} {RejectReason(e.reason).name} {place} {e.client_order_id} inbound {e.inbound}"
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
            return f"day {e.day}"
        case m.Upgraded():
            return f"upgraded {e.version}"
        case m.Quarantined():
            return f"quarantined {command} {place} timer {e.timer_order}"
    raise AssertionError(e)


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
