"""The naive venue without its market: sessions, definitions, money and states, with dicts and plain integers.

tests/model.py adds the market. Both are written from docs/ alone and know nothing of the engine.
"""

import struct
from collections import Counter
from dataclasses import dataclass, field
from types import SimpleNamespace

from core import limits
from core import messages as m
from core.kinds import (
    ENTER_FLAGS,
    PEG_MASK,
    PEG_SHIFT,
    POST_ONLY,
    PREVENTION_MASK,
    PREVENTION_SHIFT,
    REENTER,
    SLIDE,
    Peg,
    Prevention,
    Role,
    TradingState,
)
from core.kinds import OrderType as Type
from core.kinds import TimeInForce as Tif
from core.limits import PRICE_MAX, QUANTITY_MAX, SUM_MAX
from core.reasons import RejectReason as R
from core.rows import layout, to_row, unpack_halves
from core.state import SEMANTICS

TRADER_COMMANDS = (m.EnterOrder, m.ReplaceOrder, m.ReduceOrder, m.CancelOrder, m.MassCancel)
TRADER_COMMANDS += (m.SetCancelOnDisconnect, m.ArmDeadMan, m.SetProtection, m.ResetProtection)
TRADER_COMMANDS += (m.EnterBatch, m.LinkOrders, m.MassQuote, m.Detail, m.QuoteDetail)
WITH_FLAGS = (m.DefineInstrument, m.EndOfDay, m.SetRules, m.EnterOrder, m.ReplaceOrder, m.MassCancel)
WITH_FLAGS += (m.LinkOrders, m.MassQuote, m.Detail)


@dataclass
class Session:
    """What a session may do or read, its numbers, and its answers: inbound number to (content, first, count)."""

    operator: bool = False
    reads: tuple = ()
    accounts: set = field(default_factory=set)
    inbound: int = 0
    outbound: int = 0
    answers: dict = field(default_factory=dict)
    credential: tuple = (0,) * 7


def read(row):
    """The columns of a command by name, texts as they stand; `spare`: a column that must be zero is not."""
    columns = struct.unpack("<16q", row)
    of, end = m.COMMANDS.get(columns[0]), 6
    c = SimpleNamespace(of=of, command=columns[0], content=columns[:1] + columns[3:], instrument=0, account=0)
    c.__dict__.update(zip(["sequence", "time", "session", "inbound", "flags"], columns[1:6], strict=True))
    for name, column, text in layout(of)[5:] if of else ():
        end = column + (text or 1)
        setattr(c, name, row[8 * column : 8 * end].rstrip(b"\0").decode("latin-1") if text else columns[column])
    if of is m.QuoteDetail:
        c.client_order_id = c.bid_client_order_id
    unnamed = any(value for name, value in vars(c).items() if name.startswith("column_"))
    c.spare = unnamed or any(columns[end:]) or (of not in WITH_FLAGS and c.flags != 0)
    return c


def is_name(text, size, first="!"):
    return len(text) <= size and all(first <= letter <= "~" for letter in text)


class Venue:
    """Everything but orders, as plain as it can be."""

    def __init__(self):
        self.currencies, self.instruments, self.accounts, self.sessions = {}, {}, {}, {}
        self.balances, self.deposited, self.withdrawn, self.fees = Counter(), Counter(), Counter(), Counter()
        self.drop_copies, self.market_data = Counter(), Counter()
        self.venue_state, self.instrument_states, self.account_states = TradingState.OPEN, {}, {}
        self.venue_inbound = 0
        self.quarantined = []
        self.version, self.epoch = SEMANTICS, 1

    # ---- telling

    def tell(self, event, to=0, copy=0, feed=0, firm_copy=0, **columns):
        """Write an event for a session, the firm of an account, a firm, and the market of an instrument (0: none)."""
        if to:
            self.sessions[to].outbound += 1
            columns["outbound"] = self.sessions[to].outbound
        if copy:
            columns["drop_copy"] = self.drop_copy(copy)
        if firm_copy:
            self.drop_copies[firm_copy] += 1
            columns["drop_copy"] = self.drop_copies[firm_copy]
        if feed:
            self.market_data[feed] += 1
            columns["market_data"] = self.market_data[feed]
        self.events.append(event(sequence=self.sequence, time=self.now, session=to, **columns))

    def drop_copy(self, account):
        self.drop_copies[self.accounts[account].firm] += 1
        return self.drop_copies[self.accounts[account].firm]

    def reject(self, c, reason, numbered=True):
        names = ("instrument", "account", "client_order_id")
        columns = {name: getattr(c, name, 0) * (reason != R.NOT_AN_OPERATOR) for name in names}
        copy = columns["account"] if columns["account"] in self.accounts and self.acts_for(c) else 0
        columns |= {"command": c.command, "inbound": c.inbound, "part": getattr(c, "part", 0)}
        columns |= {"reason": reason, "flags": 0}
        if numbered:
            self.tell(m.Rejected, to=c.session, copy=copy, **columns)
        else:
            self.events.append(m.Rejected(self.sequence, self.now, c.session, **columns))

    def acts_for(self, c):
        """Whether the sender may act for the account it names."""
        sender = self.sessions.get(c.session)
        return c.session == 0 or (sender is not None and (sender.operator or c.account in sender.accounts))

    # ---- one row

    def apply(self, row):
        """One command, as a Struct or as bytes: the events that follow."""
        c = self.begin(row)
        if not self.answered(c):
            self.consume(c, self.execute)
            self.end_row(c)
        return self.events

    def apply_quarantined(self, row, quarantine):
        """The same for a row that a Quarantine row names: no effect but the halt, and an answer if its number is next."""
        c, q = self.begin(row), read(quarantine)
        whole = self.whole(c)
        session = self.sessions.get(c.session)
        if session and c.inbound == session.inbound + 1:
            self.consume(c, lambda _: self.reject(whole, R.QUARANTINED))
        elif c.session == 0 and self.venue_inbound < c.inbound <= SUM_MAX:
            self.venue_inbound = c.inbound
        self.halt_instead(whole, q)
        return self.events

    def begin(self, row):
        c = read(row if isinstance(row, bytes) else to_row(row))
        self.events, self.sequence, self.now = [], c.sequence, c.time
        return c

    def answered(self, c):
        """Whether the row is no new command of its session: refused, or a repeat."""
        session = self.sessions.get(c.session)
        if c.session == 0:
            known = c.inbound != 0 and not self.venue_inbound < c.inbound <= SUM_MAX
            reason = R.INBOUND_TOO_OLD if known else None
        elif session is None:
            reason = R.UNKNOWN_SESSION
        elif c.inbound <= 0 or c.inbound <= session.inbound - limits.RING_SIZE:
            reason = R.INBOUND_TOO_OLD
        elif c.inbound <= session.inbound:
            content, first, count = session.answers[c.inbound]
            reason = R.INBOUND_CONFLICT if content != c.content else None
            if reason is None:
                answer = {"flags": 0, "inbound": c.inbound, "first": first, "count": count}
                self.events.append(m.Repeated(self.sequence, self.now, c.session, **answer))
                return True
        else:
            reason = R.INBOUND_GAP if c.inbound > session.inbound + 1 else None
        if reason:
            self.reject(c, reason, numbered=False)
        return reason is not None

    def consume(self, c, act):
        """Use the inbound number up, and remember the answer."""
        session = self.sessions.get(c.session)
        if session is None:
            self.venue_inbound = c.inbound or self.venue_inbound
            act(c)
            return
        before = session.outbound
        session.inbound = c.inbound
        act(c)
        session.answers[c.inbound] = (c.content, before + 1, session.outbound - before)

    def execute(self, c):
        self.trusted = c.session == 0 or self.sessions[c.session].operator
        reason = self.refuse(c)
        if reason is None:
            name = "".join("_" + letter.lower() if letter.isupper() else letter for letter in c.of.__name__)
            reason = getattr(self, name[1:])(c)
        if reason is not None:
            self.reject(c, reason)

    def refuse(self, c):
        """What is refused alike for every command, up to NOT_PERMITTED."""
        if not self.trusted and c.of not in (*TRADER_COMMANDS, None):
            return R.NOT_AN_OPERATOR
        if c.of is None or c.spare or self.has_bad_flags(c):
            return R.MALFORMED
        if not is_name(getattr(c, "reason", ""), 16, " "):
            return R.MALFORMED
        if c.of in (m.EnterOrder, m.ReplaceOrder) and not 1 <= abs(c.client_order_id) <= SUM_MAX:
            return R.MALFORMED
        if not self.trusted and c.account not in self.sessions[c.session].accounts:
            return R.NOT_PERMITTED
        return None

    @staticmethod
    def has_bad_flags(c):
        if c.of in (m.EnterOrder, m.Detail):
            if c.flags & ~ENTER_FLAGS or c.flags >> 1 & 15 not in list(Type) or c.flags >> 5 & 15 not in list(Tif):
                return True
            if c.flags & POST_ONLY and c.flags & SLIDE:
                return True
            prevention = c.flags >> PREVENTION_SHIFT & PREVENTION_MASK
            return prevention not in list(Prevention) or c.flags >> PEG_SHIFT & PEG_MASK not in list(Peg)
        allowed = {
            m.ReplaceOrder: REENTER,
            m.MassCancel: 2,
            m.LinkOrders: 3,
            m.MassQuote: 3,
            m.SetRules: 3,
            m.EndOfDay: 1,
        }
        return not 0 <= c.flags <= (allowed | {m.DefineInstrument: 2**24 - 1}).get(c.of, 0)

    def refuse_by_state(self, c, cancels):
        """HALTED, CANCEL_ONLY and ACCOUNT_HALTED."""
        market = max(self.venue_state, self.instrument_states.get(c.instrument, 1))
        account = self.account_states.get(c.account, 1)
        if cancels and self.trusted:
            return None
        if market == TradingState.HALTED:
            return R.HALTED
        if market == TradingState.CANCEL_ONLY and not cancels:
            return R.CANCEL_ONLY
        if account == TradingState.HALTED or (account == TradingState.CANCEL_ONLY and not cancels):
            return R.ACCOUNT_HALTED
        return None

    # ---- commands, in the order of docs/commands.md

    def define_currency(self, c):
        if not 1 <= c.currency <= limits.CURRENCY_NUMBER_MAX or not (c.symbol and is_name(c.symbol, 16)):
            return R.INVALID_DEFINITION
        if not 0 <= c.decimals <= limits.SCALE_MAX:
            return R.INVALID_DEFINITION
        known = self.currencies.get(c.currency)
        if known and (known.symbol, known.decimals) != (c.symbol, c.decimals):
            return R.CONFLICTING_DEFINITION
        if any(other.symbol == c.symbol and other.currency != c.currency for other in self.currencies.values()):
            return R.CONFLICTING_DEFINITION
        self.currencies[c.currency] = c
        return self.tell(m.CurrencyDefined, c.session, currency=c.currency, symbol=c.symbol, decimals=c.decimals)

    def define_instrument(self, c):
        base, quote = unpack_halves(c.currencies)
        maker, taker = unpack_halves(c.fee_rates)
        scales = (c.flags & 255, c.flags >> 8 & 255)
        if base not in self.currencies or quote not in self.currencies:
            return R.UNKNOWN_CURRENCY
        if not 1 <= c.instrument <= limits.INSTRUMENT_NUMBER_MAX or not (c.symbol and is_name(c.symbol, 16)):
            return R.INVALID_DEFINITION
        if max(scales) > limits.SCALE_MAX or c.flags >> 16 > 1 or base == quote:
            return R.INVALID_DEFINITION
        if not all(1 <= value <= SUM_MAX for value in (c.multiplier, c.divisor, c.lot_units)):
            return R.INVALID_DEFINITION
        if not 1 <= c.price_max <= PRICE_MAX or not 1 <= c.quantity_max <= QUANTITY_MAX:
            return R.INVALID_DEFINITION
        if max(abs(maker), abs(taker)) > limits.FEE_SCALE or maker + taker < 0:
            return R.INVALID_DEFINITION
        known = self.instruments.get(c.instrument)
        for name in ("symbol", "flags", "currencies", "multiplier", "divisor", "lot_units"):
            if known and getattr(known, name) != getattr(c, name):
                return R.CONFLICTING_DEFINITION
        if any(o.symbol == c.symbol and o.instrument != c.instrument for o in self.instruments.values()):
            return R.CONFLICTING_DEFINITION
        c.base, c.quote, c.maker, c.taker, c.rounds_up = base, quote, maker, taker, c.flags >> 16 == 1
        self.instruments[c.instrument] = c
        names = ("flags", "instrument", "symbol", "currencies", "price_max", "quantity_max", "fee_rates")
        columns = {name: getattr(c, name) for name in names}
        return self.tell(m.InstrumentDefined, c.session, feed=c.instrument, **columns)

    def open_account(self, c):
        if not 1 <= c.account <= limits.ACCOUNT_NUMBER_MAX or not 1 <= c.firm <= limits.FIRM_NUMBER_MAX:
            return R.INVALID_DEFINITION
        if not is_name(c.name, 32, " "):
            return R.INVALID_DEFINITION
        known = self.accounts.get(c.account)
        if known and (known.firm, known.name) != (c.firm, c.name):
            return R.CONFLICTING_DEFINITION
        self.accounts[c.account] = c
        return self.tell(m.AccountOpened, c.session, copy=c.account, account=c.account, firm=c.firm, name=c.name)

    def deposit(self, c):
        if reason := self.refuse_transfer(c):
            return reason
        if self.deposited[c.currency] + c.amount > SUM_MAX:
            return R.SUM_AT_BOUND
        self.deposited[c.currency] += c.amount
        return self.book(c, c.amount)

    def withdraw(self, c):
        if reason := self.refuse_transfer(c):
            return reason
        if self.withdrawn[c.currency] + c.amount > SUM_MAX:
            return R.SUM_AT_BOUND
        if c.amount > self.free(c.account, c.currency):
            return R.INSUFFICIENT_FUNDS
        self.withdrawn[c.currency] += c.amount
        return self.book(c, -c.amount)

    def refuse_transfer(self, c):
        if c.currency not in self.currencies:
            return R.UNKNOWN_CURRENCY
        if c.account not in self.accounts:
            return R.UNKNOWN_ACCOUNT
        return None if 1 <= c.amount <= SUM_MAX else R.INVALID_AMOUNT

    def book(self, c, amount):
        key = (c.account, c.currency)
        self.balances[key] += amount
        columns = {"balance": self.balances[key], "reserved": self.reserved(*key), "amount": amount}
        columns |= {"account": c.account, "currency": c.currency}
        self.tell(m.BalanceChanged, c.session, copy=c.account, **columns)

    def free(self, account, currency):
        """What an account holds and no order reserves."""
        return self.balances[account, currency] - self.reserved(account, currency)

    def grant_session(self, c):
        if c.role == Role.TRADER and c.account not in self.accounts:
            return R.UNKNOWN_ACCOUNT
        if not 1 <= c.grantee <= limits.SESSION_NUMBER_MAX or c.role not in list(Role):
            return R.INVALID_DEFINITION
        if c.role != Role.TRADER and c.account != 0:
            return R.INVALID_DEFINITION
        firms = {account.firm for account in self.accounts.values()} if c.role == Role.DROP_COPY else {0}
        if c.firm not in firms:
            return R.INVALID_DEFINITION
        reads = (c.role, c.firm) if c.role in (Role.DROP_COPY, Role.MARKET_DATA) else ()
        if c.grantee in self.sessions and self.sessions[c.grantee].reads != reads:
            return R.CONFLICTING_DEFINITION
        session = self.sessions.setdefault(c.grantee, Session(reads=reads))
        session.operator |= c.role == Role.OPERATOR
        session.accounts |= {c.account} - {0}
        columns = {"account": c.account, "grantee": c.grantee, "role": c.role, "firm": c.firm}
        return self.tell(m.SessionGranted, c.session, **columns)

    def set_trading_state(self, c):
        if c.instrument != 0 and c.instrument not in self.instruments:
            return R.UNKNOWN_INSTRUMENT
        if c.account != 0 and c.account not in self.accounts:
            return R.UNKNOWN_ACCOUNT
        if c.state not in list(TradingState) or (c.instrument and c.account):
            return R.INVALID_DEFINITION
        return self.set_state(c.session, c.instrument, c.account, c.state)

    def set_state(self, to, instrument, account, state):
        if instrument:
            self.instrument_states[instrument] = state
        elif account:
            self.account_states[account] = state
        else:
            self.venue_state = state
        columns = {"flags": 0, "instrument": instrument, "account": account, "state": state}
        self.tell(m.TradingStateChanged, to, copy=account, feed=instrument, **columns)

    def upgrade(self, c):
        if not self.version <= c.version <= 65_535:
            return R.INVALID_VERSION
        self.version = c.version
        return self.tell(m.Upgraded, c.session, version=c.version)

    def quarantine(self, c):
        if c.named not in self.quarantined:
            return R.INVALID_QUARANTINE
        self.quarantined.remove(c.named)
        return None

    def set_credential(self, c):
        credential = (c.hash_0, c.hash_1, c.hash_2, c.hash_3, c.salt_0, c.salt_1, c.cost)
        if c.grantee not in self.sessions:
            return R.INVALID_DEFINITION
        if not limits.COST_MIN <= c.cost <= limits.COST_MAX and any(credential):
            return R.INVALID_DEFINITION
        self.sessions[c.grantee].credential = credential
        return self.tell(m.CredentialSet, c.session, grantee=c.grantee, cost=c.cost)

    def promote(self, c):
        if c.session != 0:
            return R.NOT_PERMITTED
        if not self.epoch < c.epoch <= SUM_MAX:
            return R.INVALID_EPOCH
        self.epoch = c.epoch
        return self.tell(m.Promoted, epoch=c.epoch)

    def accept_clock(self, c):
        if not 1 <= c.clock <= SUM_MAX:
            return R.INVALID_CLOCK
        return self.tell(m.ClockAccepted, c.session, clock=c.clock)
