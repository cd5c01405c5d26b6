"""What is still to come, as rows of state and back: mass operations, dead-man timers, protections of quotes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from librt.strings import BytesWriter, read_i64_le
from mypy_extensions import i64

from core.codes import StateKind
from core.ledger import Account
from core.session import Session
from core.snapshot_rules import write_row
from core.state import Todo

if TYPE_CHECKING:
    from core.engine import Engine


def dump_todos(out: BytesWriter, engine: Engine) -> None:
    """The mass operations that are pending, oldest first."""
    for todo in engine.todos:
        write_row(out, StateKind.TODO, [
            todo.command, todo.sequence, todo.session.number, todo.inbound, todo.instrument, todo.account, todo.side,
            todo.last_order, todo.count, todo.named, todo.firm, todo.mode, todo.fires_at,
        ])  # fmt: skip


def dump_safety(out: BytesWriter, engine: Engine) -> None:
    """Dead-man timers that are armed, then protections; each by account, and by instrument."""
    for account in engine.accounts:
        session = account.armed_by if account is not None else None
        if account is not None and session is not None:
            write_row(out, StateKind.DEAD_MAN, [account.number, account.fires_at, session.number])
    for other in engine.accounts:
        if other is not None:
            _dump_protections(out, other)


def _dump_protections(out: BytesWriter, account: Account) -> None:
    for number in sorted(account.quotings):
        quoting = account.quotings[number]
        if quoting.window != 0 or quoting.frozen:
            write_row(out, StateKind.PROTECTION, [
                account.number, number, quoting.window, quoting.quantity, quoting.count, quoting.delta,
                1 if quoting.frozen else 0, quoting.began, quoting.lots, quoting.matches, quoting.net,
            ])  # fmt: skip


def load_pending(engine: Engine, kind: i64, rows: bytes, at: i64) -> None:
    """A row of one of these kinds."""
    if kind == StateKind.TODO:
        engine.todos.append(_load_todo(engine, rows, at))
        return
    account = engine.account(read_i64_le(rows, at + 8))
    if account is None:
        raise ValueError("a dead-man timer or a protection is nobody's")
    if kind == StateKind.DEAD_MAN:
        engine.set_dead_man(account, read_i64_le(rows, at + 16), _session(engine, read_i64_le(rows, at + 24)))
        return
    quoting = account.quoting(read_i64_le(rows, at + 16))
    quoting.window = read_i64_le(rows, at + 24)
    quoting.quantity = read_i64_le(rows, at + 32)
    quoting.count = read_i64_le(rows, at + 40)
    quoting.delta = read_i64_le(rows, at + 48)
    quoting.frozen = read_i64_le(rows, at + 56) != 0
    quoting.began = read_i64_le(rows, at + 64)
    quoting.lots = read_i64_le(rows, at + 72)
    quoting.matches = read_i64_le(rows, at + 80)
    quoting.net = read_i64_le(rows, at + 88)


def _load_todo(engine: Engine, rows: bytes, at: i64) -> Todo:
    session = _session(engine, read_i64_le(rows, at + 24))
    todo = Todo(read_i64_le(rows, at + 8), read_i64_le(rows, at + 16), session, read_i64_le(rows, at + 64))
    todo.inbound = read_i64_le(rows, at + 32)
    todo.instrument = read_i64_le(rows, at + 40)
    todo.account = read_i64_le(rows, at + 48)
    todo.side = read_i64_le(rows, at + 56)
    todo.count = read_i64_le(rows, at + 72)
    todo.named = read_i64_le(rows, at + 80)
    todo.firm = read_i64_le(rows, at + 88)
    todo.mode = read_i64_le(rows, at + 96)
    todo.fires_at = read_i64_le(rows, at + 104)
    return todo


def _session(engine: Engine, number: i64) -> Session:
    session = engine.session(number)
    if session is None:
        raise ValueError("a row names a session that no row before it defines")
    return session
