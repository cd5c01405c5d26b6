"""How the states at the end of two worlds differ: balances, orders and their places, and whatever else stands in them."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

import msgspec

from core.kinds import HIDDEN, ROW_SIZE, SIDE_MASK
from core.messages import (
    AnswersState,
    BalanceState,
    CurrencyState,
    DigestState,
    OrderState,
    QuarantinedState,
    StateEnd,
    TermsState,
    TodoState,
)
from core.rows import RowError, from_row
from tools.worlds.differences import BALANCE, ORDER, OTHER, PRIORITY, Parting
from tools.worlds.telling import Key

NUMBERS: Final = frozenset(
    {
        "sequence",
        "time",
        "order_numbers",
        "match_numbers",
        "control_inbound",
        "todo_order",
        "market_data",
        "inbound",
        "outbound",
        "drop_copy",
        "arrival",
    }
)
"""Fields that count what was told, or name an order by its number: they follow from the events, which are compared themselves."""
_APART: Final = (OrderState, TermsState, BalanceState, CurrencyState, AnswersState, DigestState, StateEnd)
_SECRET: Final = ("hash_0", "hash_1", "hash_2", "hash_3", "salt_0", "salt_1")
_IDENTITY: Final = ("instrument", "account", "session", "grantee", "command", "named", "firm", "limit")

Name = Callable[[int], Key]


class EndParting(NamedTuple):
    """A difference at the end, and what each world has there: a text, or nothing."""

    parting: Parting
    left: str
    right: str


class World(NamedTuple):
    """The state rows of one world at its end, and what it calls its orders."""

    rows: list[Any]
    name: Name

    @staticmethod
    def of(state: bytes, name: Name) -> "World":
        """Read state rows; the events of the digest's unfinished block among them are left out."""
        rows = []
        for at in range(0, len(state), ROW_SIZE):
            try:
                row = from_row(state, at)
            except RowError:
                continue
            if isinstance(row, DigestState):
                break
            rows.append(row)
        return World(rows, name)

    def of_type(self, kind: type[Any]) -> Iterator[Any]:
        """The rows of one kind, in their order."""
        return (row for row in self.rows if isinstance(row, kind))


def end_partings(left: World, right: World) -> Iterator[EndParting]:
    """Every difference at the end, balances first."""
    yield from _compare(BALANCE, _balances(left), _balances(right))
    yield from _compare(ORDER, _orders(left), _orders(right))
    yield from _queues(left, right)
    yield from _compare(OTHER, _others(left), _others(right))


class _Item(NamedTuple):
    instruments: tuple[int, ...]
    accounts: tuple[int, ...]
    text: str
    secret: tuple[int, ...] = ()
    """Compared and never shown."""


_Items = dict[Any, _Item]


def _compare(kind: str, ours: _Items, theirs: _Items) -> Iterator[EndParting]:
    for key in [*ours, *(key for key in theirs if key not in ours)]:
        left, right = ours.get(key), theirs.get(key)
        if left != right:
            item = left or right
            assert item is not None
            parting = Parting(kind, item.instruments, item.accounts)
            yield EndParting(parting, left.text if left else "", right.text if right else "")


def _balances(world: World) -> _Items:
    found: _Items = {}
    for row in world.of_type(CurrencyState):
        text = f"{row.symbol}: deposited {row.deposited}, withdrawn {row.withdrawn}, fees {row.fees}"
        found["currency", row.currency] = _Item((), (), text)
    for row in world.of_type(BalanceState):
        text = f"account {row.account}, currency {row.currency}: holds {row.total}, reserved {row.reserved}"
        # An account that held nothing of a currency and one that holds nothing any more are the same.
        if row.total or row.reserved:
            found[row.account, row.currency] = _Item((), (row.account,), text)
    return found


def _orders(world: World) -> _Items:
    found: _Items = {}
    beyond = {row.order_number: row for row in world.of_type(TermsState)}
    for row in world.of_type(OrderState):
        terms = msgspec.to_builtins(row)
        del terms["order_number"], terms["timer"]
        if row.order_number in beyond:
            # The row from which it waits has another number in another world.
            terms |= msgspec.to_builtins(beyond[row.order_number])
            del terms["order_number"], terms["armed"]
        text = " ".join(f"{name}={value}" for name, value in terms.items() if value)
        name = world.name(row.order_number)
        found[name] = _Item((row.instrument,), (row.account,), f"{_called(name)}: {text}")
    return found


def _called(name: Key) -> str:
    return f"order of row {name}" if isinstance(name, int) else name


def _queues(left: World, right: World) -> Iterator[EndParting]:
    """Levels at which orders that stand in both worlds stand in another order."""
    ours, theirs = _levels(left), _levels(right)
    for level, queue in ours.items():
        other = theirs.get(level, {})
        mine, other_order = [n for n in queue if n in other], [n for n in other if n in queue]
        if mine != other_order:
            moved = [name for name, there in zip(mine, other_order, strict=True) if name != there]
            accounts = tuple(sorted({queue[name] for name in moved}))
            texts = (f"price {level[2]}: {', '.join(map(_called, names))}" for names in (mine, other_order))
            yield EndParting(Parting(PRIORITY, (level[0],), accounts), *texts)


def _levels(world: World) -> dict[tuple[int, int, int], dict[Key, int]]:
    """Per instrument, side and price: the orders in queue order, with their accounts."""
    found: defaultdict[tuple[int, int, int], dict[Key, int]] = defaultdict(dict)
    waiting = {row.order_number for row in world.of_type(TermsState) if row.waits}
    for row in world.of_type(OrderState):
        if row.order_number not in waiting:
            level = row.instrument, row.flags & (SIDE_MASK | HIDDEN), row.price
            found[level][world.name(row.order_number)] = row.account
    return dict(found)


def _others(world: World) -> _Items:
    found: _Items = {}
    for row in world.rows:
        if isinstance(row, _APART):
            continue
        told = {name: value for name, value in msgspec.to_builtins(row).items() if name not in NUMBERS}
        if isinstance(row, TodoState | QuarantinedState):
            # They are named by sequence numbers, which differ: how many there are of each says enough.
            told = {"command": told.get("command", 0)}
        secret = tuple(told.pop(name) for name in _SECRET if name in told)
        text = " ".join(f"{name}={value}" for name, value in told.items() if value not in {0, ""})
        key = (type(row).__name__, *(told.get(name) for name in _IDENTITY))
        while key in found:
            key = (*key, "next")
        instruments = (told["instrument"],) if told.get("instrument") else ()
        accounts = (told["account"],) if told.get("account") else ()
        found[key] = _Item(instruments, accounts, f"{type(row).__name__.removesuffix('State')} {text}", secret)
    return found
