"""Reading a flash1 file, and the canonical report lines that its market would print.

A header of 16 bytes (magic, version, count), then records of 40 bytes: new, cancel or modify. A modify is a cancel and a
new entry behind all others under the same id, which is what ReplaceOrder with REENTER does.
"""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from core.kinds import REMOVED, SIDE_MASK, CommandKind, EventKind, Side
from tools.event_rows import CommandRow, EventRow, command_rows, event_rows
from tools.failures import Failure
from tools.importing.source import Malformed, Source, Step, out_of_column, reading, symbol_of

MAGIC: Final = 0x4D4542575F303031
VERSION: Final = 1
_HEADER = struct.Struct("<QII")
_RECORD = struct.Struct("<BBBxIQQq8x")
_KINDS: Final = (CommandKind.ENTER_ORDER, CommandKind.CANCEL_ORDER, CommandKind.REPLACE_ORDER)


def read(path: Path, symbol: str | None = None) -> Source:
    """The flow of a file. Failure, or Malformed with the number of the record, from 0."""
    with reading(path) as stream:
        data = stream.read()
    if len(data) < _HEADER.size:
        raise Failure(f"{path}: shorter than a header")
    magic, version, count = _HEADER.unpack_from(data)
    if (magic, version) != (MAGIC, VERSION):
        raise Failure(f"{path}: not a flash1 file of version {VERSION}")
    if len(data) != _HEADER.size + count * _RECORD.size:
        raise Failure(
            f"{path}: holds {len(data)} bytes, {_HEADER.size + count * _RECORD.size} belong to {count} records"
        )
    return Source(symbol or symbol_of(path.name), 0, [], list(_steps(path, data)), {})


def _steps(path: Path, data: bytes) -> Iterator[Step]:
    sides: dict[int, int] = {}
    for number, record in enumerate(_RECORD.iter_unpack(memoryview(data)[_HEADER.size :])):
        kind, side, at_once, quantity, sequence, order, price = record
        step = Step(_KINDS[kind], order, side, price, quantity) if kind < len(_KINDS) else None
        wrong = out_of_column(step) if step is not None and side in {Side.BUY, Side.SELL} else "no such message"
        if wrong is None and sequence != number:
            wrong = f"its sequence number is {sequence}"
        if kind == 0:
            sides[order] = side
        elif kind == 2 and sides.get(order, side) != side:
            wrong = wrong or f"it moves order {order} to the other side, which no command can"
        if wrong or step is None:
            raise Malformed(path, number, wrong or "no such message", "record")
        yield step._replace(at_once=bool(at_once) and kind == 0)


def reports(first: int, commands: bytes, events: bytes) -> Iterator[str]:
    """The report lines of command rows that stand from sequence number `first` on, and of all events they caused.

    A message's number is its command's inbound number less one.
    """
    told: dict[int, list[EventRow]] = {}
    for event in event_rows(events):
        told.setdefault(event.sequence, []).append(event)
    for sequence, command in enumerate(command_rows(commands, 0, len(commands)), start=first):
        lines = [line for line in _lines(command, told.get(sequence, [])) if line]
        # Stable: the executions of one message stay in the order in which they happened.
        yield from sorted(lines, key=lambda line: line[0])


def _lines(command: CommandRow, events: list[EventRow]) -> Iterator[str]:
    number = command.inbound - 1
    for event, following in zip(events, [*events[1:], None], strict=True):
        side = event.flags & SIDE_MASK
        if event.kind == EventKind.ACCEPTED:
            yield f"0,{number},{side},{event.client_order_id},{event.price},{command.quantity}"
        elif event.kind == EventKind.EXECUTED and not event.flags & REMOVED:
            # The two sides of a match stand one behind the other, the resting one first.
            taker = following.client_order_id if following is not None else 0
            yield f"1,{number},{event.price},{event.quantity},{event.client_order_id},{taker}"
        elif event.kind == EventKind.CANCELED:
            yield f"2,{number},{side},{event.client_order_id},{event.price}"
        elif event.kind == EventKind.REPLACED:
            yield f"3,{number},{side},{event.client_order_id},{event.price},{command.quantity}"
        elif event.kind == EventKind.REJECTED and command.kind != CommandKind.ENTER_ORDER:
            refused = 4 if command.kind == CommandKind.CANCEL_ORDER else 5
            yield f"{refused},{number},{event.client_order_id}"


class ReportFile:
    """Writes report lines, joined by newlines, with none after the last."""

    def __init__(self, path: Path) -> None:
        """Begin the file; OSError."""
        self._stream = path.open("w", encoding="ascii", newline="")
        self._between = ""

    def feed(self, first: int, commands: bytes, events: bytes) -> None:
        """Write the lines of a batch."""
        for line in reports(first, commands, events):
            self._stream.write(f"{self._between}{line}")
            self._between = "\n"

    def close(self) -> None:
        """Finish the file."""
        self._stream.close()
