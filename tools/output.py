"""How queries print: numbers in display decimals, JSON, and tables that fit where they go."""

import json
import shutil
import sys
from collections.abc import Iterable
from typing import Final

from rich.console import Console
from rich.table import Table

WIDTH_IN_A_PIPE: Final = 160


def decimal_text(value: int, decimals: int) -> str:
    """A number of ticks, lots or units with its decimal point."""
    if decimals == 0:
        return str(value)
    whole, fraction = divmod(abs(value), 10**decimals)
    return f"{'-' if value < 0 else ''}{whole}.{fraction:0{decimals}}"


def print_json(value: object) -> None:
    """One JSON value on one line."""
    print(json.dumps(value))


def print_all(values: Iterable[object], *, lines: bool) -> None:
    """Values as JSON lines, or as one array; each is written as it comes."""
    if lines:
        for value in values:
            print_json(value)
        return
    before = "["
    for value in values:
        print(f"{before}{json.dumps(value)}", end="")
        before = ",\n "
    print("]" if before != "[" else "[]")


def print_table(table: Table) -> None:
    """A table on stdout."""
    width = shutil.get_terminal_size((WIDTH_IN_A_PIPE, 0)).columns if not sys.stdout.isatty() else None
    Console(file=sys.stdout, width=width, highlight=False).print(table)
