"""Texts and halves in the columns of a row."""

from mypy_extensions import i64


def is_text(row: bytes, begin: i64, end: i64) -> bool:
    """Whether bytes are printable ASCII, padded with NUL at the end only."""
    ended = False
    at = begin
    while at < end:
        code: i64 = row[at]
        if code == 0:
            ended = True
        elif ended or not 0x20 <= code <= 0x7E:
            return False
        at += 1
    return True


def is_symbol(row: bytes, begin: i64) -> bool:
    """Whether two columns hold a symbol: 1 to 16 printable ASCII characters without a space."""
    end = begin + 16
    if row[begin] == 0 or not is_text(row, begin, end):
        return False
    at = begin
    while at < end:
        if row[at] == 0x20:
            return False
        at += 1
    return True


def low_half(column: i64) -> i64:
    """The signed 32-bit number in the first four bytes of a column."""
    half = column & 0xFFFFFFFF
    return half - (half >> 31 << 32)


def high_half(column: i64) -> i64:
    """The signed 32-bit number in the last four bytes of a column."""
    return column >> 32
