"""The checks of one batch by itself; journal/chain.py adds those between batches."""

import sys
from array import array
from hashlib import sha256
from operator import le, lt

from core.kinds import COLUMNS, ROW_SIZE, CommandKind
from core.limits import SUM_MAX
from journal.batch import HEADER_SIZE, BatchKind, Check, Header, key_of, name_of, read_header
from journal.errors import CorruptBatch


def check(value: bytes, *, key: bytes | None = None, previous: bytes | None = None) -> Header:
    """The header of a batch that passes all checks of `Check`, in that order.

    `key` is the key it was found under (None: it came without, or it is a state batch) and `previous` the hash of
    the batch before (None: not known). CorruptBatch names the first check that fails; UnknownVersion.
    """
    header = read_header(value, _found_at(key))
    failed = _check_bytes(value, header, previous) or _check_rows(value, header, key)
    if failed:
        raise CorruptBatch(name_of(header) if failed not in _UNTRUSTED else _found_at(key, header), failed.value)
    return header


_UNTRUSTED = frozenset((Check.LENGTH, Check.BODY, Check.HASH))
# Until the hash holds, the header's own numbers may be what is broken: the key names the batch then.


def _found_at(key: bytes | None, header: Header | None = None) -> str:
    if key is not None:
        return f"batch ending at {int.from_bytes(key[:8], 'big')}"
    return name_of(header) if header else "batch"


def _check_bytes(value: bytes, header: Header, previous: bytes | None) -> Check | None:
    if len(value) != HEADER_SIZE + header.body:
        return Check.LENGTH
    if header.body != header.rows * ROW_SIZE or (header.rows == 0) != (header.kind == BatchKind.CLOSING):
        return Check.BODY
    if hash_of(value) != header.hash:
        return Check.HASH
    if previous is not None and previous != header.previous:
        return Check.PREVIOUS
    return None


def hash_of(value: bytes) -> bytes:
    """The hash that the header should carry: SHA-256 over the header before the hash, and the body."""
    hashed = sha256(value[: HEADER_SIZE - 32])
    hashed.update(memoryview(value)[HEADER_SIZE:])
    return hashed.digest()


def _check_rows(value: bytes, header: Header, key: bytes | None) -> Check | None:
    if not 1 <= header.first <= header.last + 1 <= SUM_MAX:
        return Check.FIRST
    if key is not None and header.kind != BatchKind.STATE and key != key_of(header):
        return Check.KEY
    if header.kind == BatchKind.COMMANDS:
        return _check_commands(columns(value, HEADER_SIZE), header)
    return None if header.applied == header.last else Check.APPLIED


def _check_commands(data: "array[int]", header: Header) -> Check | None:
    times = data[2::COLUMNS]
    if data[1::COLUMNS] != array("q", range(header.first, header.first + header.rows)):
        return Check.SEQUENCE
    # Strided slices keep the loop in C: a batch of 1,024 rows takes some tens of microseconds.
    if not all(map(lt, times, times[1:])):
        return Check.TIME
    if times[0] != header.base_time:
        return Check.BASE_TIME
    if CommandKind.QUARANTINE in data[COLUMNS::COLUMNS]:
        return Check.QUARANTINE
    return None if header.applied < header.first else Check.APPLIED


def columns(data: bytes, begin: int = 0) -> "array[int]":
    """All columns from an offset on as signed 64-bit integers; `[c::16]` is column c of every row."""
    values = array("q")
    values.frombytes(memoryview(data)[begin:])
    if sys.byteorder == "big":
        values.byteswap()
    return values


def column(data: bytes, number: int) -> list[int]:
    """One column of every row. The others are not copied: the rows may be a whole state, of many megabytes."""
    values = memoryview(data).cast("q")[number::COLUMNS].tolist()
    return values if sys.byteorder == "little" else columns(data)[number::COLUMNS].tolist()


def rising(values: "array[int]") -> bool:
    """Whether no value is below the one before it."""
    return all(map(le, values, values[1:]))
