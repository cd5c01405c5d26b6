"""Reading the normalised form: a directory with `seed` and `commands` as JSON lines, plain, .gz or .xz, and `meta.json`.

    seed      {"id", "s": "B"|"S", "p", "q"}                            in queue order within a price
    commands  {"c": "new", "id", "s", "p", "q", "tif": "GTC"|"IOC", "t"}
              {"c": "cancel", "id", "t"}
              {"c": "reduce", "id", "q", "t"}                           q is what is taken off

Ids are integers; "T<n>" stands for the incoming order of command n and becomes -(n + 1). `t` is in ns.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Literal

import msgspec

from core.kinds import CommandKind, Side
from tools.failures import Failure
from tools.importing.source import Malformed, Source, Step, is_symbol, out_of_column, reading, symbol_of

_SUFFIXES: Final = (".jsonl", ".jsonl.gz", ".jsonl.xz")
_KINDS: Final = {
    "new": CommandKind.ENTER_ORDER,
    "cancel": CommandKind.CANCEL_ORDER,
    "reduce": CommandKind.REDUCE_ORDER,
}


class _Line(msgspec.Struct):
    """A line of either file; the defaults are what a line need not say."""

    id: int | str
    c: Literal["new", "cancel", "reduce"] = "new"
    s: Literal["B", "S", ""] = ""
    p: int = 0
    q: int = 0
    tif: Literal["GTC", "IOC"] = "GTC"
    t: int = 0


class _Meta(msgspec.Struct):
    """What `meta.json` may say; `price_unit` is a currency, a slash and a power of ten."""

    symbol: str = ""
    price_unit: str = "USD/1"


def read(folder: Path, symbol: str | None = None) -> Source:
    """The flow of a directory. Failure, or Malformed with the number of the line."""
    if not folder.is_dir():
        raise Failure(f"{folder}: no such directory")
    meta = _meta(folder / "meta.json")
    seed_path = _find(folder, "seed")
    seed = list(_steps(seed_path)) if seed_path else []
    commands = _find(folder, "commands")
    if commands is None:
        raise Failure(f"{folder}: holds no commands{_SUFFIXES[0]}, plain, .gz or .xz")
    return Source(
        symbol or meta.symbol or symbol_of(folder.name), _decimals(meta.price_unit), seed, list(_steps(commands)), {}
    )


def _find(folder: Path, stem: str) -> Path | None:
    return next((path for suffix in _SUFFIXES if (path := folder / f"{stem}{suffix}").is_file()), None)


def _meta(path: Path) -> _Meta:
    if not path.is_file():
        return _Meta()
    try:
        meta = msgspec.json.decode(path.read_bytes(), type=_Meta)
    except (msgspec.MsgspecError, ValueError) as error:
        raise Failure(f"{path}: {error}") from None
    if meta.symbol and not is_symbol(meta.symbol):
        raise Failure(f"{path}: symbol {meta.symbol!a}: not 1 to 16 printable ASCII characters without a space")
    return meta


def _decimals(unit: str) -> int:
    scale = re.search(r"/(10*)$", unit)
    return min(len(scale[1]) - 1, 18) if scale else 0


def _steps(path: Path) -> Iterator[Step]:
    decode = msgspec.json.Decoder(_Line).decode
    with reading(path) as lines:
        for number, text in enumerate(lines, start=1):
            try:
                step = _step(decode(text))
            except (msgspec.MsgspecError, ValueError) as error:
                raise Malformed(path, number, str(error)) from None
            wrong = out_of_column(step)
            if wrong:
                raise Malformed(path, number, wrong)
            yield step


def _step(line: _Line) -> Step:
    """ValueError if the line lacks what its command needs."""
    kind = _KINDS[line.c]
    if kind == CommandKind.ENTER_ORDER and not line.s:
        raise ValueError("a new order needs a side")
    side = Side.SELL if line.s == "S" else Side.BUY
    return Step(kind, order_id(line.id), side, line.p, line.q, line.t, line.tif == "IOC")


def order_id(name: int | str) -> int:
    """The client order id that stands for an id of the source; ValueError if it is neither a number nor "T<n>"."""
    if isinstance(name, int):
        return name
    if not re.fullmatch(r"T\d{1,18}", name, re.ASCII):
        raise ValueError(f'id {name!r} is neither an integer nor "T<n>"')
    return -(int(name[1:]) + 1)


def source_id(client_order_id: int) -> int | str:
    """The id of the source that a client order id stands for."""
    return client_order_id if client_order_id >= 0 else f"T{-client_order_id - 1}"
