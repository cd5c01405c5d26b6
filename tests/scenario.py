"""Market rules as prose and a table: reads tests/scenarios/*.txt and makes rows of the commands.

A file is prose, a blank line, and lines `command    event`, three spaces or more between them; further events of a
command stand below it, and every event is there. Orders read as they are spoken, in any order of the options:

    A enter 1 sell 5 @ 100 gtd 60 post in 2 by op    account A, client order id 1; session A unless `by` names another
    A enter 2 buy 5 market fok                       limit and gtc are what is not said
    A enter 3 sell 50 @ 100 show 10 stp oldest       also hidden, slide, reduceonly, quote, aon, min 5; stp newest|both|...
    A enter 4 sell 5 stop 95 @ 94                    without a price a STOP; touch 105 likewise
    A enter 5 sell 5 trail 95 by 3                   or by 50bp
    A enter 6 buy 5 peg primary -1 @ 100             or mid, market; the price is the limit
    A enter 7 buy 5 tolimit | A enter 8 buy spend 5000 ioc
    A replace 1>3 4 @ 101 reenter show 5 trigger 97 | A reduce 3 1 | A cancel 3
    A masscancel buys in 1 | op masscancel session B firm 2

Commands of several parts are a head, a colon, and parts with semicolons between; `parts 3` where the head says another number than
come, and a part alone; options stand at the row that they are for, `by` at the head:

    A batch 7: 1 sell 5 @ 100; 2 buy 3 @ 99 post     batch id 7; client order ids 1 and 2
    A oco 7: 1 sell 5 @ 110; 2 sell 5 stop 95        also oto, bracket
    A batch 7 parts 2 by op: 1 sell 5 @ 100 | A part 2 buy 3 @ 99
    A quote 7 all slide: 1 5 @ 99 / 2 5 @ 101; 3 0 / - in 2    bid / ask: client order id, quantity and price of each
    A quotepart 1 5 @ 99 / 2 5 @ 101

Other commands are `name key=value ...`, sent by session 0 unless `by` says otherwise; a value is a number or the name
that core/kinds.py gives it, `until` is ns after the start. Options of every command: `t=50` (ns after the start; rows
come 1 ns apart), `inbound=7`, `c13=1` (a column as it is), `quarantined`, `quarantined timer=3@50` or `quarantined
following=1` (the engine raised on this row, at a timer, or as an instrument's orders followed). `given` leaves the events out, and so does `times 9 command` with `{i}` counting from 1. `venue default`
lists what VENUE has. Events (tests/scenario_words.py) end with who is told: the session, d for drop copy, m for market
data; after `numbers on` with the numbers.
"""

import re
import struct
from collections import Counter
from dataclasses import dataclass

from core import messages as m
from core.kinds import (
    ALL_OR_NONE,
    BASIS_POINTS,
    COLUMNS,
    EXPOSURES,
    HIDDEN,
    MARKET_RESTS,
    PEG_SHIFT,
    POST_ONLY,
    PREVENTION_SHIFT,
    QUOTE,
    QUOTES_SLIDE,
    REDUCE_ONLY,
    REENTER,
    REPLACE_ALL,
    SLIDE,
    TIME_IN_FORCE_MASK,
    TIME_IN_FORCE_SHIFT,
    TYPE_SHIFT,
    AccountStanding,
    KillAct,
    Limit,
    Link,
    OnDisconnect,
    OrderType,
    Peg,
    Prevention,
    TimeInForce,
    TradingState,
)
from core.rows import pack_halves, to_row

START = 1_700_000_000_000_000_000
NAMES = {"A": 1, "B": 2, "C": 3, "D": 4, "op": 9, "USD": 1, "BTC": 2, "EUR": 3, "TRADER": 1, "OPERATOR": 2}
NAMES |= {"DROP_COPY": 3, "MARKET_DATA": 4}
NAMES |= {item.name: item.value for of in (TradingState, AccountStanding, KillAct, Limit, Prevention) for item in of}
NAMES |= {item.name: item.value for item in OnDisconnect}
NAMES |= {"EXPOSURES": EXPOSURES, "MARKET_RESTS": MARKET_RESTS}
NAMES |= {"REPLACE_ALL": REPLACE_ALL, "QUOTES_SLIDE": QUOTES_SLIDE} | {item.name: item.value for item in Link}
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
HEADS = {"batch": m.EnterBatch, "quote": m.MassQuote} | dict.fromkeys(("oco", "oto", "bracket"), m.LinkOrders)
LINKS = {"oco": Link.ONE_CANCELS_OTHER, "oto": Link.ONE_TRIGGERS_OTHER, "bracket": Link.BRACKET}
PARTS = {"part": m.Detail, "detail": m.Detail, "quotepart": m.QuoteDetail}
PART_OF = {"quote": "quotepart"}

SIDES = {"buy": 0, "sell": 1, "buys": 1, "sells": 2}
INSTRUCTIONS = {"reenter": REENTER, "post": POST_ONLY, "slide": SLIDE, "reduceonly": REDUCE_ONLY, "hidden": HIDDEN}
INSTRUCTIONS |= {"aon": ALL_OR_NONE, "quote": QUOTE}
QUOTING = {"all": REPLACE_ALL, "slide": QUOTES_SLIDE}
TYPES = {"market": OrderType.MARKET, "tolimit": OrderType.MARKET_TO_LIMIT, "spend": OrderType.SPEND_AT_MOST}
TYPES |= {"stop": OrderType.STOP, "touch": OrderType.MARKET_IF_TOUCHED, "trail": OrderType.TRAILING_STOP}
TYPES |= {"peg": OrderType.PEGGED}
WITH_PRICE = {OrderType.STOP: OrderType.STOP_LIMIT, OrderType.MARKET_IF_TOUCHED: OrderType.LIMIT_IF_TOUCHED}
COLUMN_OF = {"@": "price", "in": "instrument", "show": "display_quantity", "min": "minimum_quantity"}
COLUMN_OF |= {"trigger": "trigger_price", "stop": "trigger_price", "touch": "trigger_price", "trail": "trigger_price"}
COLUMN_OF |= {"spend": "quantity", "session": "named", "firm": "firm"}
PREVENTIONS = {"newest": 1, "oldest": 2, "both": 3, "decrement": 4, "allow": 5}
PEGS = {"primary": Peg.PRIMARY, "mid": Peg.MIDPOINT, "market": Peg.MARKET}


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
                self.steps.append(Step(left, self.rows(VENUE.splitlines()), None))
            else:
                self.steps.append(self.step(left))
            if right:
                self.steps[-1].expected.append(right)

    def step(self, line):
        if line.startswith("times "):
            _, count, command = line.split(" ", 2)
            return Step(line, self.rows(command.replace("{i}", str(i + 1)) for i in range(int(count))), None)
        if line.startswith("given "):
            return Step(line, self.rows([line.removeprefix("given ")]), None)
        return Step(line, self.rows([line]), [])

    def rows(self, lines):
        """The rows of some commands; one of several parts is several rows."""
        return [self.build(row) for line in lines for row in whole(line)]

    def build(self, line):
        """The row of a command, and the Quarantine row that replaces it or None."""
        words = re.sub(r"\b(trail \S+) by ", r"\1 off ", line).split()
        options = dict(word.split("=") for word in words if re.match(r"(t|inbound|timer|following|c\d+)=", word))
        words = [word for word in words if not re.match(r"(t|inbound|timer|following|c\d+)=", word)]
        quarantined = "quarantined" in words and words.remove("quarantined") is None
        sender = number(words[at + 1]) if (at := words.index("by") if "by" in words else 0) else None
        words = words[:at] + words[at + 2 :] if at else words
        if len(words) > 1 and words[1] in (verbs := ORDERS | HEADS | PARTS):
            values, of = spoken(words) if words[1] not in SPEAKERS else SPEAKERS[words[1]](words), verbs[words[1]]
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
        if values.get("until"):
            values["until"] += START
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
        if "following" in options:
            timer = {"timer_time": -int(options["following"])}
        self.quarantined = self.sequence
        return row, to_row(m.Quarantine(named=self.sequence, **timer))


def whole(line):
    """The lines of the rows of a command: of several parts, the head with their number, then each with the words of the head."""
    head, colon, rest = line.partition(": ")
    if not colon:
        return [line]
    parts, words = rest.split("; "), head.split()
    sender = words[words.index("by") :][:2] if "by" in words else []
    said = [] if "parts" in words else ["parts", str(len(parts))]
    verb = PART_OF.get(words[1], "part")
    return [" ".join([*words, *said]), *(" ".join([words[0], verb, part, *sender]) for part in parts)]


def spoken_head(words):
    """The columns of the head of a command of several parts."""
    account, verb, ident, *rest = words
    values = {"account": number(account), "flags": LINKS.get(verb, 0), "parts": number(rest[rest.index("parts") + 1])}
    values[{"batch": "batch_id", "quote": "quote_id"}.get(verb, "link_id")] = int(ident)
    for word in rest:
        values["flags"] |= QUOTING.get(word, 0)
    return values


def spoken_quotes(words):
    """The columns of a part of a mass quote."""
    values = {"instrument": int(words.pop(words.index("in") + 1)) if "in" in words else 1}
    sides = " ".join(word for word in words[2:] if word != "in").split(" / ")
    for side, said in zip(("bid", "ask"), sides, strict=True):
        terms = [int(word) for word in said.replace("@", "").split() if word != "-"]
        names = (f"{side}_client_order_id", f"{side}_quantity", f"{side}_price")
        values |= dict(zip(names, terms, strict=False))
    return values


SPEAKERS = {"quotepart": spoken_quotes} | dict.fromkeys(HEADS, spoken_head)


def spoken(words):
    """The columns of an order command as it is spoken."""
    account, verb, *rest = words
    values = {"account": 0 if account == "op" else number(account), "flags": 0, "instrument": int(verb != "masscancel")}
    values["account"] *= verb not in {"part", "detail"}
    order_type, tif = OrderType.LIMIT, TimeInForce.GTC
    if verb != "masscancel":
        old, _, new = rest.pop(0).partition(">")
        values["client_order_id"] = int(new or old)
        if verb == "replace":
            values["original_client_order_id"] = int(old)
    while rest:
        word = rest.pop(0)
        if word in COLUMN_OF:
            values[COLUMN_OF[word]] = number(rest.pop(0))
        if word in TYPES:
            order_type = TYPES[word]
        elif word.upper() in TimeInForce.__members__:
            tif = TimeInForce[word.upper()]
        if word in SIDES or word in INSTRUCTIONS:
            values["flags"] |= (SIDES | INSTRUCTIONS)[word]
        elif word in {"gtd", "expires"}:
            values["expires"] = START + int(rest.pop(0))
        elif word in {"stp", "peg", "off"}:
            values["flags"] |= worded(word, rest, values)
        elif re.fullmatch(r"-?\d+", word):
            values["quantity"] = int(word)
        elif word not in COLUMN_OF and word not in TYPES and word.upper() not in TimeInForce.__members__:
            raise ValueError(word)
    if verb in {"enter", "part", "detail"}:
        order_type = WITH_PRICE.get(order_type, order_type) if values.get("price") else order_type
        values["flags"] |= order_type << TYPE_SHIFT | (tif & TIME_IN_FORCE_MASK) << TIME_IN_FORCE_SHIFT
    return values


def worded(word, rest, values):
    """The flags of an option that has words of its own, taken from the rest; an offset goes to the values."""
    if word == "stp":
        return PREVENTIONS[rest.pop(0)] << PREVENTION_SHIFT
    if word == "off":
        offset = rest.pop(0)
        values["offset"] = int(offset.removesuffix("bp"))
        return BASIS_POINTS if offset.endswith("bp") else 0
    peg = PEGS[rest.pop(0)] << PEG_SHIFT
    if rest and re.fullmatch(r"[+-]\d+", rest[0]):
        values["offset"] = int(rest.pop(0))
    return peg
