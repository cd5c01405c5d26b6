"""The whole state of a venue as rows, and back. The order of rows is canonical: the same state gives the same bytes."""

from __future__ import annotations

from hashlib import sha256
from typing import Final, TypeVar

from librt.strings import BytesWriter, read_i64_le
from mypy_extensions import i64

from core.codes import AccountStanding, Prevention, Side, StateKind
from core.book import Ladder, Order
from core.engine import Engine
from core.holder import KILLED, STANDING
from core.instrument import Instrument
from core.kinds import ROW_SIZE, SIDE_MASK
from core.ledger import Account, Firm
from core.limits import DAY_BASE, RING_SIZE
from core.matching import reserve
from core.session import Session
from core.snapshot_parts import dump_links, dump_staged, load_links, load_staged
from core.snapshot_rules import (
    dump_fee_tiers,
    dump_following,
    dump_holders,
    dump_rules,
    dump_steps,
    dump_terms,
    dump_volumes,
    load_fee_tier,
    load_following,
    load_holder,
    load_rules,
    load_steps,
    load_tops,
    load_terms,
    load_volume,
    write_row,
)
from core.state import Todo, put
from core.terms import IN_BOOK

_ANSWERS_PER_ROW: Final = 4
_TODO_ORDER: Final = 80
"""Where the ENGINE row names the order at which the oldest mass operation goes on."""

Entry = TypeVar("Entry")


def known(entry: Entry | None) -> Entry:
    """What a row names. ValueError if no row before it defined it."""
    if entry is None:
        raise ValueError("a row names what no row before it defines")
    return entry


def state_digest(rows: bytes) -> bytes:
    """SHA-256 of the rows of `dump`: equal for equal states, on every build."""
    return sha256(rows).digest()


def dump(engine: Engine) -> bytes:
    """The state as rows of the kinds ENGINE to TODO, 128 bytes each."""
    out = BytesWriter()
    _dump_engine(out, engine)
    for currency in engine.currencies:
        if currency is not None:
            write_row(out, StateKind.CURRENCY, [
                currency.number, currency.symbol_0, currency.symbol_1, currency.decimals, currency.deposited,
                currency.withdrawn, currency.fees,
            ])  # fmt: skip
    dump_fee_tiers(out, engine)
    for instrument in engine.instruments:
        if instrument is not None:
            write_row(out, StateKind.INSTRUMENT, [
                instrument.number, instrument.flags, instrument.symbol_0, instrument.symbol_1, instrument.currencies,
                instrument.multiplier, instrument.divisor, instrument.lot_units, instrument.price_max,
                instrument.quantity_max, instrument.fee_rates, instrument.state, instrument.market_data,
                instrument.last_price,
            ])  # fmt: skip
            dump_rules(out, instrument)
            dump_steps(out, instrument)
    for firm in engine.firms:
        if firm is not None:
            write_row(out, StateKind.FIRM, [firm.number, firm.drop_copy, 1 if firm.killed() else 0])
    _dump_accounts(out, engine)
    _dump_sessions(out, engine)
    for instrument in engine.instruments:
        if instrument is not None:
            _dump_ladder(out, instrument.bids)
            _dump_ladder(out, instrument.asks)
            _dump_ladder(out, instrument.hidden_bids)
            _dump_ladder(out, instrument.hidden_asks)
    _dump_waiting(out, engine)
    for todo in engine.todos:
        write_row(out, StateKind.TODO, [
            todo.command, todo.sequence, todo.session.number, todo.inbound, todo.instrument, todo.account, todo.side,
            todo.last_order, todo.count, todo.named, todo.firm,
        ])  # fmt: skip
    for named in engine.quarantined:
        write_row(out, StateKind.QUARANTINED, [named])
    dump_following(out, engine)
    dump_links(out, engine)
    dump_staged(out, engine)
    dump_holders(out, engine)
    dump_volumes(out, engine)
    return out.getvalue()


def _dump_engine(out: BytesWriter, engine: Engine) -> None:
    cursor = engine.todo_order
    write_row(out, StateKind.ENGINE, [
        engine.sequence, engine.now, engine.semantics, engine.state, engine.day, engine.days, engine.order_numbers,
        engine.match_numbers, engine.control_inbound, cursor.number if cursor is not None else 0, engine.todo_account,
        engine.next_semantics, engine.dropped, engine.epoch, 1 if engine.killed else 0,
    ])  # fmt: skip


def _dump_accounts(out: BytesWriter, engine: Engine) -> None:
    for account in engine.accounts:
        if account is not None:
            name = account.name
            write_row(out, StateKind.ACCOUNT, [
                account.number, account.firm.number, account.state, read_i64_le(name, 0), read_i64_le(name, 8),
                read_i64_le(name, 16), read_i64_le(name, 24), account.standing, account.group, account.prevention,
                1 if account.killed() else 0,
            ])  # fmt: skip
    for account in engine.accounts:
        if account is not None:
            for currency in engine.currencies:
                balance = account.held(currency) if currency is not None else None
                if balance is not None and currency is not None and balance.total != 0:
                    write_row(
                        out, StateKind.BALANCE, [account.number, currency.number, balance.total, balance.reserved]
                    )


def _dump_sessions(out: BytesWriter, engine: Engine) -> None:
    for session in engine.sessions:
        if session is not None and session.number != 0:
            write_row(out, StateKind.SESSION, [
                session.number, session.role, session.inbound, session.outbound, session.firm, session.hash_0,
                session.hash_1, session.hash_2, session.hash_3, session.salt_0, session.salt_1, session.cost,
                1 if session.killed() else 0,
            ])  # fmt: skip
    for session in engine.sessions:
        if session is not None:
            for number in sorted(session.accounts):
                first = session.account is not None and session.account.number == number
                write_row(out, StateKind.GRANT, [session.number, number, 1 if first else 0])
    for session in engine.sessions:
        if session is not None:
            _dump_answers(out, session)


def _dump_answers(out: BytesWriter, session: Session) -> None:
    inbound = session.inbound - RING_SIZE + 1
    if inbound < 1:
        inbound = 1
    while inbound <= session.inbound:
        columns = [session.number, inbound]
        last = inbound + _ANSWERS_PER_ROW
        while inbound < last and inbound <= session.inbound:
            columns.append(session.content(inbound))
            columns.append(session.first(inbound))
            columns.append(session.count(inbound))
            inbound += 1
        write_row(out, StateKind.ANSWERS, columns)


def _dump_ladder(out: BytesWriter, ladder: Ladder) -> None:
    for level in reversed(ladder.levels):
        order = level.first
        while order is not None:
            _dump_order(out, order)
            order = order.behind


def _dump_waiting(out: BytesWriter, engine: Engine) -> None:
    """The live orders that stand in no book, by account and order number."""
    for account in engine.accounts:
        order = account.oldest if account is not None else None
        while order is not None:
            if order.level is None:
                _dump_order(out, order)
            order = order.newer


def _dump_order(out: BytesWriter, order: Order) -> None:
    write_row(out, StateKind.ORDER, [
        order.number, order.instrument.number, order.account.number, order.session.number,
        order.client_order_id, order.flags, order.price, order.leaves, order.executed, order.expires,
        order.maker_rate, order.taker_rate, 1 if order.timed else 0,
    ])  # fmt: skip
    dump_terms(out, order)


def load(rows: bytes, begin: i64, end: i64) -> Engine:
    """The engine whose state these rows hold. ValueError if they are not what `dump` writes."""
    engine = Engine()
    found: list[Order] = []
    at = begin
    while at < end:
        kind = read_i64_le(rows, at)
        if kind == StateKind.ORDER:
            found.append(_load_order(engine, rows, at, end))
        elif kind == StateKind.LIMIT or kind == StateKind.EXPOSURE:
            load_holder(engine, kind, rows, at)
        elif kind == StateKind.VOLUME:
            load_volume(engine, rows, at)
        elif kind == StateKind.STAGED:
            load_staged(engine, rows, at)
        elif kind != StateKind.TERMS and kind != StateKind.FOLLOWING and kind != StateKind.LINK:
            _load(engine, kind, rows, at)
        at += ROW_SIZE
    for order in sorted(found, key=_number):
        order.account.add(order)
        if order.terms is not None:
            engine.count_in(order, order.terms)
        if order.number == read_i64_le(rows, begin + _TODO_ORDER):
            engine.todo_order = order
    load_links(engine, found, rows, begin, end)
    load_following(engine, rows, begin, end)
    load_tops(engine, rows, begin, end)
    return engine


def _number(order: Order) -> i64:
    return order.number


def _load(engine: Engine, kind: i64, rows: bytes, at: i64) -> None:
    first = read_i64_le(rows, at + 8)
    if kind == StateKind.ENGINE:
        _load_engine(engine, rows, at)
    elif kind == StateKind.CURRENCY:
        currency = engine.add_currency(
            first, read_i64_le(rows, at + 16), read_i64_le(rows, at + 24), read_i64_le(rows, at + 32)
        )
        currency.deposited = read_i64_le(rows, at + 40)
        currency.withdrawn = read_i64_le(rows, at + 48)
        currency.fees = read_i64_le(rows, at + 56)
    elif kind == StateKind.INSTRUMENT:
        put(engine.instruments, first, _load_instrument(engine, rows, at))
    elif kind == StateKind.RULES:
        load_rules(known(engine.instrument(first)), engine.fee_schedule(read_i64_le(rows, at + 64)), rows, at)
    elif kind == StateKind.ALLOCATION:
        load_steps(known(engine.instrument(first)), rows, at)
    elif kind == StateKind.FEE_TIER:
        load_fee_tier(engine, rows, at)
    elif kind == StateKind.FIRM:
        firm = Firm(first)
        firm.drop_copy = read_i64_le(rows, at + 16)
        firm.guard(KILLED, read_i64_le(rows, at + 24) != 0)
        put(engine.firms, first, firm)
    elif kind == StateKind.ACCOUNT:
        owner = engine.firm(read_i64_le(rows, at + 16))
        account = Account(first, known(owner), rows[at + 32 : at + 64])
        account.state = read_i64_le(rows, at + 24)
        _load_standing(account, rows, at)
        put(engine.accounts, first, account)
    elif kind == StateKind.BALANCE:
        of = known(engine.currency(read_i64_le(rows, at + 16)))
        balance = known(engine.account(first)).balance(of)
        balance.total = read_i64_le(rows, at + 24)
        balance.reserved = read_i64_le(rows, at + 32)
    else:
        _load_session(engine, kind, rows, at)


def _load_session(engine: Engine, kind: i64, rows: bytes, at: i64) -> None:
    first = read_i64_le(rows, at + 8)
    if kind == StateKind.SESSION:
        put(engine.sessions, first, _load_numbers(engine, rows, at))
    elif kind == StateKind.GRANT:
        account = known(engine.account(read_i64_le(rows, at + 16)))
        grantee = known(engine.session(first))
        grantee.accounts[account.number] = account
        if read_i64_le(rows, at + 24):
            grantee.account = account
    elif kind == StateKind.ANSWERS:
        _load_answers(known(engine.session(first)), rows, at)
    elif kind == StateKind.TODO:
        engine.todos.append(_load_todo(engine, rows, at))
    elif kind == StateKind.QUARANTINED:
        engine.quarantined.append(first)
    else:
        raise ValueError(f"a row of kind {kind} is no state")


def _load_numbers(engine: Engine, rows: bytes, at: i64) -> Session:
    session = Session(read_i64_le(rows, at + 8))
    session.role = read_i64_le(rows, at + 16)
    session.inbound = read_i64_le(rows, at + 24)
    session.outbound = read_i64_le(rows, at + 32)
    session.firm = read_i64_le(rows, at + 40)
    if session.firm != 0:
        known(engine.firm(session.firm))
    session.hash_0 = read_i64_le(rows, at + 48)
    session.hash_1 = read_i64_le(rows, at + 56)
    session.hash_2 = read_i64_le(rows, at + 64)
    session.hash_3 = read_i64_le(rows, at + 72)
    session.salt_0 = read_i64_le(rows, at + 80)
    session.salt_1 = read_i64_le(rows, at + 88)
    session.cost = read_i64_le(rows, at + 96)
    session.guard(KILLED, read_i64_le(rows, at + 104) != 0)
    return session


def _load_engine(engine: Engine, rows: bytes, at: i64) -> None:
    engine.sequence = read_i64_le(rows, at + 8)
    engine.now = read_i64_le(rows, at + 16)
    engine.semantics = read_i64_le(rows, at + 24)
    engine.state = read_i64_le(rows, at + 32)
    engine.day = read_i64_le(rows, at + 40)
    engine.days = read_i64_le(rows, at + 48)
    engine.day_mark = DAY_BASE + engine.days
    engine.order_numbers = read_i64_le(rows, at + 56)
    engine.match_numbers = read_i64_le(rows, at + 64)
    engine.control_inbound = read_i64_le(rows, at + 72)
    engine.todo_account = read_i64_le(rows, at + 88)
    engine.next_semantics = read_i64_le(rows, at + 96)
    engine.dropped = read_i64_le(rows, at + 104)
    engine.epoch = read_i64_le(rows, at + 112)
    engine.killed = read_i64_le(rows, at + 120) != 0


def _load_instrument(engine: Engine, rows: bytes, at: i64) -> Instrument:
    currencies = read_i64_le(rows, at + 40)
    base = known(engine.currency(currencies & 0xFFFFFFFF))
    instrument = Instrument(read_i64_le(rows, at + 8), base, known(engine.currency(currencies >> 32)))
    instrument.list_as(
        read_i64_le(rows, at + 16), read_i64_le(rows, at + 24), read_i64_le(rows, at + 32),
        read_i64_le(rows, at + 48), read_i64_le(rows, at + 56), read_i64_le(rows, at + 64),
    )  # fmt: skip
    instrument.set_limits(read_i64_le(rows, at + 72), read_i64_le(rows, at + 80), read_i64_le(rows, at + 88))
    instrument.state = read_i64_le(rows, at + 96)
    instrument.market_data = read_i64_le(rows, at + 104)
    instrument.last_price = read_i64_le(rows, at + 112)
    return instrument


def _load_answers(session: Session, rows: bytes, at: i64) -> None:
    inbound = read_i64_le(rows, at + 16)
    column = at + 24
    while inbound <= session.inbound and column < at + ROW_SIZE - 16:
        session.restore_answer(
            inbound, read_i64_le(rows, column), read_i64_le(rows, column + 8), read_i64_le(rows, column + 16)
        )
        inbound += 1
        column += 24


def _load_todo(engine: Engine, rows: bytes, at: i64) -> Todo:
    session = known(engine.session(read_i64_le(rows, at + 24)))
    todo = Todo(read_i64_le(rows, at + 8), read_i64_le(rows, at + 16), session, read_i64_le(rows, at + 64))
    todo.inbound = read_i64_le(rows, at + 32)
    todo.instrument = read_i64_le(rows, at + 40)
    todo.account = read_i64_le(rows, at + 48)
    todo.side = read_i64_le(rows, at + 56)
    todo.count = read_i64_le(rows, at + 72)
    todo.named = read_i64_le(rows, at + 80)
    todo.firm = read_i64_le(rows, at + 88)
    return todo


def _load_standing(account: Account, rows: bytes, at: i64) -> None:
    account.standing = read_i64_le(rows, at + 64)
    account.group = read_i64_le(rows, at + 72)
    account.prevention = read_i64_le(rows, at + 80)
    prevents = Prevention.NONE < account.prevention < Prevention.ALLOW
    account.guard(STANDING, prevents or account.standing != AccountStanding.ACTIVE)
    account.guard(KILLED, read_i64_le(rows, at + 88) != 0)


def _load_order(engine: Engine, rows: bytes, at: i64, end: i64) -> Order:
    instrument = known(engine.instrument(read_i64_le(rows, at + 16)))
    account = known(engine.account(read_i64_le(rows, at + 24)))
    session = known(engine.session(read_i64_le(rows, at + 32)))
    flags = read_i64_le(rows, at + 48)
    hold = account.balance(instrument.quote if flags & SIDE_MASK == Side.BUY else instrument.base)
    order = Order(account, session, instrument, read_i64_le(rows, at + 8), hold)
    order.client_order_id = read_i64_le(rows, at + 40)
    order.flags = flags
    order.side = flags & SIDE_MASK
    order.price = read_i64_le(rows, at + 56)
    order.leaves = read_i64_le(rows, at + 64)
    order.executed = read_i64_le(rows, at + 72)
    order.expires = read_i64_le(rows, at + 80)
    order.maker_rate = read_i64_le(rows, at + 88)
    order.taker_rate = read_i64_le(rows, at + 96)
    load_terms(order, rows, at + ROW_SIZE, end)
    order.reserved = reserve(order)
    if order.terms is None or order.terms.waits == IN_BOOK:
        engine.same(order).add(order)
    if read_i64_le(rows, at + 104):
        engine.start_timer(order)
    return order
