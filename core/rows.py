"""Rows between bytes and Structs, for everything but the hot path. Excluded from compilation."""

import struct
from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

import msgspec

from core.kinds import COLUMNS, ROW_SIZE
from core.limits import SUM_MAX
from core.messages import ROWS, Row

_ROW = struct.Struct("<16q")


class Field(NamedTuple):
    """Where a field of a row stands: its first column, and how many columns a text takes (0: an integer)."""

    name: str
    column: int
    text: int


class RowError(ValueError):
    """Bytes that are not a row, or values that do not fit into one; the message says which and why."""


@cache
def layout(struct_type: type[Row]) -> tuple[Field, ...]:
    """The fields of a row in order; `kind` is column 0 and not among them."""
    fields, column = [], 1
    for info in msgspec.inspect.type_info(struct_type).fields:  # type: ignore[attr-defined]
        extra = info.type.extra if isinstance(info.type, msgspec.inspect.Metadata) else None
        text = extra["columns"] if extra else 0
        fields.append(Field(info.name, column, text))
        column += text or 1
    if column > COLUMNS:
        raise RowError(f"{struct_type.__name__} has {column} columns, {COLUMNS} fit")
    return tuple(fields)


def _text_columns(text: str, columns: int) -> Iterator[int]:
    if not text.isascii() or "\0" in text or len(text) > 8 * columns:
        raise RowError(f"{text!r} is not ASCII of at most {8 * columns} characters")
    data = text.encode("ascii").ljust(8 * columns, b"\0")
    return (int.from_bytes(data[i : i + 8], "little", signed=True) for i in range(0, len(data), 8))


def to_row(message: Row) -> bytes:
    """The 128 bytes of a message. RowError if a text or number does not fit."""
    columns = [0] * COLUMNS
    columns[0] = message.KIND
    for name, column, text in layout(type(message)):
        value = getattr(message, name)
        if text:
            columns[column : column + text] = _text_columns(value, text)
        else:
            columns[column] = value
    try:
        return _ROW.pack(*columns)
    except struct.error as error:
        raise RowError(f"{message}: {error}") from None


def from_row(data: bytes, offset: int = 0) -> Row:
    """The message whose row begins at the offset. RowError for an unknown kind, a used spare column or bad text."""
    columns = _ROW.unpack_from(data, offset)
    struct_type = ROWS.get(columns[0])
    if struct_type is None:
        raise RowError(f"unknown kind {columns[0]}")
    values: dict[str, int | str] = {}
    end = 1
    for name, column, text in layout(struct_type):
        end = column + (text or 1)
        if text:
            values[name] = _read_text(data[offset + 8 * column : offset + 8 * end])
        else:
            values[name] = columns[column]
    if any(columns[end:]):
        raise RowError(f"{struct_type.__name__} uses a column that must be zero")
    return struct_type(**values)


def _read_text(data: bytes) -> str:
    text = data.rstrip(b"\0")
    if b"\0" in text or not text.isascii():
        raise RowError(f"{data!r} is not NUL-padded ASCII")
    return text.decode("ascii")


def rows(data: bytes, begin: int = 0, end: int | None = None) -> Iterator[Row]:
    """The messages of consecutive rows."""
    for offset in range(begin, len(data) if end is None else end, ROW_SIZE):
        yield from_row(data, offset)


def pack_halves(low: int, high: int) -> int:
    """Two signed 32-bit numbers in one column: `low` in its first four bytes, `high` in the others."""
    return int.from_bytes(struct.pack("<2i", low, high), "little", signed=True)


def unpack_halves(column: int) -> tuple[int, int]:
    """The two numbers of `pack_halves`."""
    low, high = struct.unpack("<2i", column.to_bytes(8, "little", signed=True))
    return low, high


def in_bounds(value: int) -> bool:
    """Whether an identifier may stand in a row: its magnitude is at most 2^62 - 1."""
    return -SUM_MAX <= value <= SUM_MAX
