"""Reading a LOBSTER message file: `time,type,order id,size,price,direction`, prices in USD/10,000, time since midnight.

Incoming orders are not published, and orders from before or from outside the price window are met without an entry. So:

- An order first met when it is reduced, deleted or executed stood before; its quantity is the sum of what is taken off it.
- Ids rise with time. A type 1 row whose id is below one already seen tells of an old order that comes into the window.
  Such orders, and those never entered, take their place by id: before the first new order with a greater id, or, if they
  are older than all of these, in the seed. `as_shown` enters orders that come into the window when they come, behind all
  others at their price: then every ladder is the one that was published, and some queues are not.
- Consecutive executions with one time stamp and side are one immediate-or-cancel order at their worst price.
- Hidden executions, crosses and halts (types 5 to 7) change no visible order and are left out.
"""

from bisect import bisect
from collections import Counter
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Final, NamedTuple

from core.kinds import CommandKind, Side
from tools.importing.source import Malformed, Source, Step, out_of_column, reading, symbol_of

ENTERED, REDUCED, DELETED, EXECUTED, HIDDEN, CROSS, HALT = range(1, 8)
PRICE_DECIMALS: Final = 4
_LEFT_OUT: Final = {HIDDEN: "hidden executions", CROSS: "crosses", HALT: "trading halts"}
_SECOND: Final = 10**9
_SIDES: Final = {1: Side.BUY, -1: Side.SELL}


class Message(NamedTuple):
    """One line; `line` counts from 0, `time` is in ns after midnight, `side` is that of the resting order."""

    line: int
    time: int
    kind: int
    order: int
    quantity: int
    price: int
    side: int


class Placed(NamedTuple):
    """A step, and the indices of the lines that it stands for; none for an order that the file does not enter."""

    step: Step
    lines: tuple[int, ...]


def read(path: Path, symbol: str | None = None, *, as_shown: bool = False) -> Source:
    """The flow of a message file. Failure, or Malformed with the number of the line."""
    messages = read_messages(path)
    left_out = Counter(_LEFT_OUT[message.kind] for message in messages if message.kind in _LEFT_OUT)
    left_out += excesses(messages)
    seed, placed = place(messages, as_shown=as_shown)
    steps = [item.step for item in placed]
    return Source(symbol or symbol_of(path.name), PRICE_DECIMALS, seed, steps, dict(left_out))


def read_messages(path: Path) -> list[Message]:
    """All lines of a message file."""
    with reading(path) as lines:
        return [_message(path, index, line) for index, line in enumerate(lines)]


def _message(path: Path, index: int, line: bytes) -> Message:
    try:
        time, *rest = line.decode("ascii").strip().split(",")
        kind, order, quantity, price, direction = map(int, rest)
        seconds, _, fraction = time.partition(".")
        nanoseconds = int(seconds) * _SECOND + int(fraction[:9].ljust(9, "0"))
    except ValueError:
        raise Malformed(path, index + 1, "not `time,type,order id,size,price,direction`") from None
    if not ENTERED <= kind <= HALT or direction not in _SIDES:
        raise Malformed(path, index + 1, f"type {kind}, direction {direction}: no such message")
    message = Message(index, nanoseconds, kind, order, quantity, price, _SIDES[direction])
    wrong = out_of_column(_entry(message)) if kind <= EXECUTED else None
    if wrong is None and kind <= EXECUTED and not (quantity > 0 and price > 0 and order > 0):
        wrong = "order id, size and price must be positive"
    if wrong:
        raise Malformed(path, index + 1, wrong)
    return message


def place(messages: list[Message], *, as_shown: bool = False) -> tuple[list[Step], list[Placed]]:
    """The seed in queue order, and the steps with the lines that each stands for."""
    fresh, shown, unseen = _arrivals(messages)
    ids = [message.order for message in fresh]
    late: dict[int, list[Message]] = {}
    for message in sorted(unseen if as_shown else [*shown, *unseen], key=lambda message: message.order):
        late.setdefault(bisect(ids, message.order), []).append(message)
    seed = [_entry(message)._replace(time=0) for message in late.pop(0, [])]
    before = {fresh[at].line: entries for at, entries in late.items() if at < len(fresh)}
    entered = {message.line for message in (*fresh, *(shown if as_shown else ()))}
    return seed, list(_steps(messages, entered, before))


def excesses(messages: list[Message]) -> Counter[str]:
    """How many lines enter an id once more, or take more off an order than is open, by name."""
    found: Counter[str] = Counter()
    entered: dict[int, int] = {}
    met: set[int] = set()
    for message in messages:
        order, taken = message.order, message.quantity
        if message.kind == ENTERED and order in met:
            found["repeated submissions"] += 1
        elif message.kind == ENTERED:
            entered[order] = taken
        elif message.kind in {REDUCED, EXECUTED} and order in entered:
            if taken > entered[order]:
                found["reductions beyond the order" if message.kind == REDUCED else "executions beyond the order"] += 1
            entered[order] = max(0, entered[order] - taken)
        if message.kind <= EXECUTED:
            met.add(order)
    return found


def _arrivals(messages: list[Message]) -> tuple[list[Message], list[Message], list[Message]]:
    """The first entries of new orders and of old ones, and those never entered, with the quantity taken off them."""
    fresh: list[Message] = []
    shown: list[Message] = []
    unseen: dict[int, Message] = {}
    known: set[int] = set()
    newest = 0
    for message in messages:
        order = message.order
        if message.kind > EXECUTED:
            continue
        if message.kind == ENTERED and order not in known:
            (fresh if order > newest else shown).append(message)
        elif order in unseen:
            quantity = message.quantity if message.kind != ENTERED else 0
            unseen[order] = unseen[order]._replace(quantity=unseen[order].quantity + quantity)
        elif order not in known:
            unseen[order] = message
        known.add(order)
        newest = max(newest, order)
    return fresh, shown, list(unseen.values())


def _steps(messages: list[Message], entered: set[int], before: dict[int, list[Message]]) -> Iterator[Placed]:
    visible = (message for message in messages if message.kind <= EXECUTED)
    number = 0
    for group in _groups(visible):
        first = group[0]
        for message in before.get(first.line, ()):
            number += 1
            yield Placed(_entry(message)._replace(time=first.time), ())
        if first.kind == ENTERED and first.line not in entered:
            continue
        # The id of an incoming order is made from the number of its command.
        yield Placed(_step(group, -(number + 1)), tuple(message.line for message in group))
        number += 1


def _groups(messages: Iterator[Message]) -> Iterator[list[Message]]:
    """Executions with one time stamp and side together, everything else by itself."""
    key = lambda m: (m.time, m.side) if m.kind == EXECUTED else m.line  # noqa: E731 - read where it is used
    for _, group in groupby(messages, key):
        yield list(group)


def _step(group: list[Message], number: int) -> Step:
    first = group[0]
    if first.kind == ENTERED:
        return _entry(first)
    if first.kind == DELETED:
        return Step(CommandKind.CANCEL_ORDER, first.order, time=first.time)
    if first.kind == REDUCED:
        return Step(CommandKind.REDUCE_ORDER, first.order, quantity=first.quantity, time=first.time)
    prices = [message.price for message in group]
    incoming = Side.SELL if first.side == Side.BUY else Side.BUY
    worst = max(prices) if incoming == Side.BUY else min(prices)
    quantity = sum(message.quantity for message in group)
    return Step(CommandKind.ENTER_ORDER, number, incoming, worst, quantity, first.time, at_once=True)


def _entry(message: Message) -> Step:
    fields = (message.order, message.side, message.price, message.quantity, message.time)
    return Step(CommandKind.ENTER_ORDER, *fields)
