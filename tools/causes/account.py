"""Every cause of change of what accounts hold and reserve, in order, from events alone; checked against the engine."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

from core.book import Order
from core.engine import Engine
from core.instrument import Instrument
from core.kinds import SIDE_MASK, CommandKind, EventKind, OrderType, Side
from core.machine import Machine
from core.matching import buy_cover
from journal.directory import JournalDirectory
from tools.causes.find import by_command, watched
from tools.causes.names import Names, kind_text, known_text, pays_as_it_goes, symbol_text, type_of_flags
from tools.causes.rates import Rates
from tools.causes.spared import Spared
from tools.event_rows import CommandRow, EventRow
from tools.failures import Failure, Misuse
from tools.moments import clock_text

_CHANGES: Final = frozenset({EventKind.ACCEPTED, EventKind.REPLACED, EventKind.REDUCED})
_ARRIVES: Final = frozenset({EventKind.ACTIVATED, EventKind.TRIGGERED, EventKind.RESTED})
"""When a linked order may begin to reserve; what it reserves is by the price that it has then."""
_ENDS: Final = frozenset({EventKind.CANCELED, EventKind.EXPIRED})


class Entry(NamedTuple):
    """One change of what an account holds of a currency; all amounts in units.

    `amount` changes the balance and `held` what live orders reserve of it; `balance` and `reserved` are what then stands.
    Of a number that the cause does not have, 0.
    """

    sequence: int
    time: int
    account: int
    cause: str
    currency: int
    amount: int
    held: int
    balance: int
    reserved: int
    order_number: int = 0
    match_number: int = 0
    session: int = 0
    command: int = 0
    reason: str = ""


@dataclass(slots=True)
class _Live:
    """What the reservation of a live order depends on."""

    instrument: Instrument
    flags: int
    price: int
    leaves: int
    maker_rate: int
    taker_rate: int
    reserved: int = 0

    @property
    def is_sell(self) -> bool:
        """Whether it reserves the base currency."""
        return self.flags & SIDE_MASK == Side.SELL

    def needed(self) -> int:
        """Units that cover what is open; a buy that pays as it goes reserves nothing."""
        if self.is_sell:
            return self.leaves * self.instrument.lot_units
        if type_of_flags(self.flags) == OrderType.SPEND_AT_MOST:
            return self.leaves
        price = 0 if pays_as_it_goes(self.flags) else self.price
        return buy_cover(self.instrument, price, self.leaves, self.maker_rate, self.taker_rate)


class Ledger:
    """The books of some accounts, kept up event by event from a state on."""

    def __init__(self, engine: Engine, accounts: Collection[int]) -> None:
        """`engine` stands where the first event comes in, and may go forward from there."""
        self._engine = engine
        self._accounts = frozenset(accounts)
        self._orders: dict[int, _Live] = {}
        self._rates = Rates(engine)
        self._spared = Spared()
        # Of the command of several parts that comes in: its parts, by client order id.
        self._parts: dict[int, CommandRow] = {}
        self.balances: dict[tuple[int, int], tuple[int, int]] = {}
        for number in sorted(self._accounts):
            self._open(number)
        # What the two Executed of a match set free, and of which order, until its Settled comes: by side.
        self._freed: dict[int, tuple[int, int]] = {}

    def _open(self, number: int) -> None:
        self.balances |= holdings(self._engine, number)
        account = self._engine.account(number)
        for order in account.orders.values() if account is not None else ():
            self._spared.add(order)
            self._orders[order.number] = _live(order)

    def begin(self, command: CommandRow) -> None:
        """A command comes in, before its events; a head, and a part, wait for the last part."""
        if command.kind == CommandKind.DETAIL:
            self._parts[command.client_order_id] = command
        else:
            self._parts.clear()

    def entries(self, command: CommandRow, event: EventRow) -> Iterator[Entry]:
        """What an event of a command changed."""
        kind = event.kind
        self._rates.apply(event)
        self._spared.apply(event)
        if kind == EventKind.SETTLED:
            yield from self._settled(command, event)
        elif event.account not in self._accounts:
            return
        elif kind == EventKind.BALANCE_CHANGED:
            yield self._moved(command, event)
        elif kind in _CHANGES or kind in _ENDS or kind in _ARRIVES:
            yield from self._reserved(command, event)
        elif kind == EventKind.EXECUTED:
            self._executed(event)

    def _book(
        self, command: CommandRow, account: int, cause: str, currency: int, amount: int, held: int, *,
        order_number: int = 0, match_number: int = 0, reason: str = "",
    ) -> Entry:  # fmt: skip
        balance, reserved = self.balances.get((account, currency), (0, 0))
        balance, reserved = balance + amount, reserved + held
        self.balances[account, currency] = balance, reserved
        return Entry(
            command.sequence, command.time, account, cause, currency, amount, held, balance, reserved, order_number,
            match_number, command.session, command.kind, reason,
        )  # fmt: skip

    def _moved(self, command: CommandRow, event: EventRow) -> Entry:
        # BalanceChanged: 8 currency, 9 amount, 10 balance, 11 reserved.
        currency, amount = event.client_order_id, event.price
        cause = "deposit" if amount > 0 else "withdrawal"
        # Deposit and Withdraw: the operator's reason stands in columns 14 and 15.
        reason = symbol_text(command.column_14, command.original_client_order_id)
        entry = self._book(command, event.account, cause, currency, amount, 0, reason=reason)
        if (entry.balance, entry.reserved) != (event.quantity, event.order_number):
            raise Failure(f"row {event.sequence}: what account {event.account} holds is not the sum of what changed it")
        return entry

    def _reserved(self, command: CommandRow, event: EventRow) -> Iterator[Entry]:
        order = self._order(command, event)
        if event.kind in _ENDS:
            del self._orders[event.order_number]
        # Of an iceberg, Rested tells what it shows.
        leaves = order.leaves if event.kind == EventKind.RESTED else event.leaves
        held = self._adjust(order, leaves, spared=event in self._spared)
        if held:
            cause = "reservation" if held > 0 else "release"
            number = event.order_number
            yield self._book(command, event.account, cause, _hold(order), 0, held, order_number=number)

    def _order(self, command: CommandRow, event: EventRow) -> _Live:
        """The order of an event with the terms that it has now."""
        number = event.order_number
        # What a pegged order follows is not what it may cost: that is its limit, which the command names.
        is_pegged = type_of_flags(event.flags) == OrderType.PEGGED
        asked = self._parts.get(event.client_order_id, command)
        price = asked.price if is_pegged else event.price
        if event.kind == EventKind.ACCEPTED:
            one = self._engine.instrument(event.instrument)
            assert one is not None
            rates = self._rates.of(event.account, event.instrument)
            self._orders[number] = _Live(one, event.flags, price, event.leaves, *rates)
        elif event.kind == EventKind.REPLACED or (event.kind in _ARRIVES and not is_pegged):
            self._orders[number].price = price
        return self._orders[number]

    def _adjust(self, order: _Live, leaves: int, *, spared: bool = False) -> int:
        """Reserve for what is open now, unless a link spares it that; returns the change in units."""
        order.leaves = leaves
        before, order.reserved = order.reserved, order.needed() if leaves and not spared else 0
        return order.reserved - before

    def _executed(self, event: EventRow) -> None:
        order = self._orders[event.order_number]
        self._freed[event.flags & SIDE_MASK] = self._adjust(order, event.leaves), event.order_number
        if event.leaves == 0:
            del self._orders[event.order_number]

    def _settled(self, command: CommandRow, event: EventRow) -> Iterator[Entry]:
        # Settled: 7 buyer, 8 seller, 9 base amount, 10 quote amount, 11 buyer's fee, 12 seller's fee.
        one = self._engine.instrument(event.instrument)
        assert one is not None
        base, quote = one.base.number, one.quote.number
        sides = (
            (Side.BUY, event.account, event.price, -event.quantity, event.order_number),
            (Side.SELL, event.client_order_id, -event.price, event.quantity, event.leaves),
        )
        for side, account, base_amount, quote_amount, fee in sides:
            if account not in self._accounts:
                continue
            freed, number = self._freed.pop(side)
            for currency, amount in ((base, base_amount), (quote, quote_amount)):
                held = freed if (currency == quote) == (side == Side.BUY) else 0
                yield self._book(
                    command, account, "settlement", currency, amount, held,
                    order_number=number, match_number=event.detail,
                )  # fmt: skip
            if fee:
                cause = "fee" if fee > 0 else "rebate"
                yield self._book(
                    command, account, cause, quote, -fee, 0, order_number=number, match_number=event.detail
                )


def _live(order: Order) -> _Live:
    is_pegged = type_of_flags(order.flags) == OrderType.PEGGED and order.terms is not None
    price = order.terms.limit if is_pegged and order.terms is not None else order.price
    live = _Live(order.instrument, order.flags, price, order.leaves, order.maker_rate, order.taker_rate)
    live.reserved = int(order.reserved)
    return live


def _hold(order: _Live) -> int:
    return order.instrument.base.number if order.is_sell else order.instrument.quote.number


def holdings(engine: Engine, number: int) -> dict[tuple[int, int], tuple[int, int]]:
    """What an account holds and reserves, by account and currency; empty for an account that is not known."""
    account, found = engine.account(number), {}
    for currency in engine.currencies:
        held = account.held(currency) if account is not None and currency is not None else None
        if currency is not None and held is not None:
            found[number, int(currency.number)] = int(held.total), int(held.reserved)
    return found


def account_entries(journal: JournalDirectory, machine: Machine, number: int, last: int) -> Iterator[Entry]:
    """What changes an account from where `machine` stands to row `last`, between an opening and a closing by currency.

    Misuse for an account that is not known at `last`; Failure if the entries do not sum up to what the engine holds
    there; JournalError.
    """
    ledger = Ledger(machine.engine, {number})
    yield from _totals(machine, ledger, "opening")
    for batch in watched(journal, machine, last):
        for command, events in by_command(batch):
            ledger.begin(command)
            for event in events:
                yield from ledger.entries(command, event)
    _check(machine.engine, ledger, number)
    yield from _totals(machine, ledger, "closing")


def _totals(machine: Machine, ledger: Ledger, cause: str) -> Iterator[Entry]:
    sequence, time = int(machine.engine.sequence), int(machine.engine.now)
    for (account, currency), (balance, reserved) in sorted(ledger.balances.items()):
        yield Entry(sequence, time, account, cause, currency, 0, 0, balance, reserved)


def _check(engine: Engine, ledger: Ledger, number: int) -> None:
    if engine.account(number) is None:
        known = known_text([account.number for account in engine.accounts if account is not None])
        raise Misuse(f"no account {number} at row {engine.sequence}; known: {known}")
    for key, held in holdings(engine, number).items():
        told = ledger.balances.get(key, (0, 0))
        if told != held:
            raise Failure(
                f"account {number}, currency {key[1]}: the entries sum up to {told[0]} with {told[1]} reserved,"
                f" the engine holds {held[0]} with {held[1]} reserved"
            )


def entry_line(entry: Entry, names: Names) -> str:
    """An entry with its moment and its command, on one line."""
    command = f" {kind_text(entry.command)} by session {entry.session}:" if entry.command else ""
    return f"{clock_text(entry.time)} row {entry.sequence}{command} {entry_text(entry, names)}"


def entry_text(entry: Entry, names: Names) -> str:
    """An entry of an account's books on one line."""
    parts = [entry.cause]
    parts += [f"match {entry.match_number}"] if entry.match_number else []
    parts += [f"order {entry.order_number}"] if entry.order_number else []
    parts += [f"({entry.reason})"] if entry.reason else []
    changes = []
    if entry.amount:
        changes.append(f"{'+' if entry.amount > 0 else ''}{names.amount(entry.currency, entry.amount)}")
    if entry.held:
        changes.append(f"reserved {'+' if entry.held > 0 else ''}{names.amount(entry.currency, entry.held)}")
    balance, reserved = names.amount(entry.currency, entry.balance), names.amount(entry.currency, entry.reserved)
    return f"{' '.join(parts)}: {', '.join([*changes, ''])}balance {balance}, reserved {reserved}"
