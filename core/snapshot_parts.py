"""Links and the staged rows of a command of several parts as rows of state, and back; see core/snapshot.py."""

from __future__ import annotations

from typing import TYPE_CHECKING

from librt.strings import BytesWriter, read_i64_le, write_i64_le
from mypy_extensions import i64

from core.codes import StateKind
from core.kinds import KIND, ROW_SIZE, SESSION
from core.matching import reserve
from core.snapshot_rules import write_row
from core.terms import OrderLink

if TYPE_CHECKING:
    from core.book import Order
    from core.engine import Engine


def dump_links(out: BytesWriter, engine: Engine) -> None:
    """Links that hold, by their first order that is no parent."""
    turns = _turns(engine)
    for number in sorted(engine.links):
        link = engine.links[number]
        second = link.second
        write_row(out, StateKind.LINK, [
            link.kind, link.number, link.first.number, second.number if second is not None else 0, link.traded,
            turns.get(number, 0),
        ])  # fmt: skip


def _turns(engine: Engine) -> dict[int, int]:
    """The turns of links to be activated, counted from 1 over all instruments."""
    turns: dict[int, int] = {}
    for instrument in engine.instruments:
        if instrument is not None:
            activations = instrument.followers.activations
            for turn in sorted(activations):
                turns[activations[turn].first.number] = len(turns) + 1
    return turns


def load_links(engine: Engine, found: list[Order], rows: bytes, begin: i64, end: i64) -> None:
    """After all orders are known: links, what they spare orders, and the turns to be activated."""
    orders: dict[int, Order] = {}
    waiting: list[tuple[int, OrderLink]] = []
    at = begin
    while at < end:
        if read_i64_le(rows, at) == StateKind.LINK:
            if not orders:
                for order in found:
                    orders[order.number] = order
            link = _link(orders, rows, at)
            engine.begin_link(link)
            turn = read_i64_le(rows, at + 48)
            if turn != 0:
                waiting.append((turn, link))
        at += ROW_SIZE
    for _, link in sorted(waiting, key=_turn_of):
        engine.await_activation(link)
    for order in found:
        order.reserved = reserve(order)


def _turn_of(entry: tuple[int, OrderLink]) -> int:
    return entry[0]


def _link(orders: dict[int, Order], rows: bytes, at: i64) -> OrderLink:
    parent = orders.get(read_i64_le(rows, at + 16))
    first = orders.get(read_i64_le(rows, at + 24))
    if first is None:
        raise ValueError("a link names an order that does not live")
    link = OrderLink(read_i64_le(rows, at + 8), parent, first, orders.get(read_i64_le(rows, at + 32)))
    link.number = read_i64_le(rows, at + 16)
    link.traded = read_i64_le(rows, at + 40)
    return link


def dump_staged(out: BytesWriter, engine: Engine) -> None:
    """The rows of a command that is not whole yet, without sequence number and time."""
    for row in engine.staged:
        write_i64_le(out, StateKind.STAGED)
        out.write(row[KIND : KIND + 8])
        out.write(row[SESSION:])
        write_i64_le(out, 0)


def load_staged(engine: Engine, rows: bytes, at: i64) -> None:
    """A row of a command that is not whole yet."""
    out = BytesWriter()
    out.write(rows[at + 8 : at + 16])
    out.write(bytes(SESSION - KIND - 8))
    out.write(rows[at + 16 : at + ROW_SIZE - 8])
    engine.staged.append(out.getvalue())
