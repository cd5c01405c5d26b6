"""What an import reads: foreign order flow as steps, each of which becomes one command. No price passes through a float."""

import gzip
import lzma
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple, cast

from core.kinds import CommandKind, Side
from core.limits import SUM_MAX
from tools.failures import Failure

_COLUMN_MAX: Final = 2**63 - 1


class Step(NamedTuple):
    """One command of the flow; `client_order_id` names the order, `time` is in ns, 0 where the source has none."""

    kind: CommandKind
    client_order_id: int
    side: int = Side.BUY
    price: int = 0
    quantity: int = 0
    time: int = 0
    at_once: bool = False
    """Immediate or cancel; otherwise good till canceled."""
    instrument: int = 1
    """Its place among the instruments of the source, from 1."""


class Listing(NamedTuple):
    """An instrument of a source that has several, or quantities with decimals."""

    symbol: str
    price_decimals: int
    quantity_decimals: int = 0


class Source(NamedTuple):
    """A whole flow, read and checked for form."""

    symbol: str
    price_decimals: int
    seed: list[Step]
    """Orders that stood before the first step, oldest first."""

    steps: list[Step]
    left_out: dict[str, int]
    """What the source holds and no command can say, by name."""

    listed: tuple[Listing, ...] = ()
    """The instruments, if they are not the one of the symbol."""

    def listings(self) -> tuple[Listing, ...]:
        """The instruments, whose numbers are their places from 1."""
        return self.listed or (Listing(self.symbol, self.price_decimals),)


class Malformed(Failure):
    """A source says what no command can; the text names file and line."""

    def __init__(self, path: Path, number: int, what: str, unit: str = "line") -> None:
        super().__init__(f"{path}: {unit} {number}: {what}")


@contextmanager
def reading(path: Path) -> Iterator[BinaryIO]:
    """The bytes of a plain, .gz or .xz file. Failure if it is missing or its compression is damaged."""
    try:
        with _open(path) as stream:
            yield stream
    except (EOFError, gzip.BadGzipFile, lzma.LZMAError) as error:
        raise Failure(f"{path}: not a sound {path.suffix} file: {error}") from None
    except OSError as error:
        raise Failure(f"{path}: {error.strerror or error}") from None


def _open(path: Path) -> BinaryIO:
    if path.suffix == ".gz":
        return cast("BinaryIO", gzip.open(path, "rb"))
    if path.suffix == ".xz":
        return cast("BinaryIO", lzma.open(path, "rb"))
    return path.open("rb")


def out_of_column(step: Step) -> str | None:
    """What of a step does not fit into 64 bits or is no time, or None."""
    for name in ("client_order_id", "price", "quantity", "time"):
        if not -_COLUMN_MAX <= getattr(step, name) <= _COLUMN_MAX:
            return f"{name} {getattr(step, name)} does not fit into 64 bits"
    return None if 0 <= step.time <= SUM_MAX else f"time {step.time} is out of range"


def checked(step: Step) -> Step:
    """The step. ValueError if out_of_column."""
    if wrong := out_of_column(step):
        raise ValueError(wrong)
    return step


def is_symbol(text: str) -> bool:
    """Whether a text may be the symbol of an instrument: 1 to 16 printable ASCII characters without a space."""
    return re.fullmatch(r"[!-~]{1,16}", text) is not None


def symbol_of(name: str) -> str:
    """A symbol made from the first word of a file's name; 1 to 16 characters that a symbol may have."""
    word = re.split(r"[_.\s]", name)[0] or "IMPORT"
    return "".join(c if 32 < ord(c) < 127 else "-" for c in word)[:16]
