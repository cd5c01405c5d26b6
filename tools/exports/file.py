"""A table in a file: Parquet or CSV, written block by block through pyarrow, whole or not at all."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import StrEnum
from importlib import import_module
from pathlib import Path
from typing import Any, Final, NamedTuple, Self

from journal.files import move_durably
from tools.failures import Failure, Misuse
from tools.options import refuse_no_file

BLOCK_ROWS: Final = 65_536
"""Rows that are taken apart at once, and so of a row group of Parquet: what bounds the memory of an export."""

CELLS: Final = 524_288
"""Cells of a block whose rows are made one by one, each of them a Python object."""

Block = Sequence[Any]
"""The columns of some rows, in the order of the fields, all of one length."""


class Format(StrEnum):
    """The formats that can be written; each is the suffix of its files."""

    PARQUET = "parquet"
    CSV = "csv"


class Type(StrEnum):
    """What a column holds: signed 64-bit integers, ASCII, ns since 1970 as a time stamp, or a truth value."""

    INT = "int"
    TEXT = "text"
    TIME = "time"
    BOOL = "bool"


class Field(NamedTuple):
    """A column of a table."""

    name: str
    type: Type = Type.INT


def library(name: str) -> Any:
    """A module of the optional libraries. Failure, with what to install, if it is missing."""
    try:
        return import_module(name)
    except ImportError:
        raise Failure(f"needs {name.partition('.')[0]}: pip install 'lockstep[export]'") from None


def format_of(path: Path, named: Format | None) -> Format:
    """The format that is named, or that of the suffix. Misuse if neither says."""
    if named is not None:
        return named
    try:
        return Format(path.suffix.removeprefix(".").lower())
    except ValueError:
        raise Misuse(f"--to {path}: end it in .parquet or .csv, or give --format") from None


def refuse_target(path: Path, journal: Path) -> None:
    """Misuse if no file can be written there, or if it would stand within the journal."""
    refuse_no_file("--to", path)
    if path.absolute().parent.resolve().is_relative_to(journal.resolve()):
        raise Misuse(f"--to {path}: within the journal; choose another place")
    if path.exists() and not path.is_file():
        raise Misuse(f"--to {path}: not a file")


@contextmanager
def written_whole(target: Path) -> Iterator[Path]:
    """A place beside the target, whose file becomes the target at the end; after an error nothing has changed."""
    place = target.absolute().with_name(f".{target.name}.{os.getpid()}.unfinished")
    try:
        yield place
        with place.open("rb") as file:
            os.fsync(file.fileno())
        move_durably(place, target.absolute())
    except BaseException:
        place.unlink(missing_ok=True)
        raise


def schema_of(fields: Sequence[Field]) -> Any:
    """The Arrow schema of a table."""
    arrow = library("pyarrow")
    types = {
        Type.INT: arrow.int64(),
        Type.TEXT: arrow.string(),
        Type.TIME: arrow.timestamp("ns", "UTC"),
        Type.BOOL: arrow.bool_(),
    }
    return arrow.schema([(field.name, types[field.type]) for field in fields])


class Sink:
    """Writes the blocks of one table; a context manager, which ends the file."""

    def __init__(self, path: Path, fields: Sequence[Field], form: Format) -> None:
        """Begin the file. Failure if pyarrow is missing; OSError."""
        self._arrow = library("pyarrow")
        self._schema = schema_of(fields)
        self._form = form
        self._writer = self._open(path)
        self.rows = 0
        """Rows written so far."""

    def _open(self, path: Path) -> Any:
        if self._form == Format.CSV:
            return library("pyarrow.csv").CSVWriter(str(path), self._schema)
        # Without the stored Arrow schema a reader takes types and metadata from the footer, which is written last:
        # what is known only after the last row can stand there.
        return library("pyarrow.parquet").ParquetWriter(str(path), self._schema, compression="zstd", store_schema=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._writer.close()

    def write(self, block: Block) -> None:
        """Append the rows of a block."""
        arrays = [self._array(column, field.type) for column, field in zip(block, self._schema, strict=True)]
        batch = self._arrow.RecordBatch.from_arrays(arrays, schema=self._schema)
        if batch.num_rows:
            self._writer.write_batch(batch)
        self.rows += batch.num_rows

    def _array(self, column: Any, of: Any) -> Any:
        return column.cast(of) if isinstance(column, self._arrow.Array) else self._arrow.array(column, of)

    def describe(self, facts: Mapping[str, str]) -> None:
        """Say in the metadata what the table was made of; a CSV file has no place for it."""
        if self._form == Format.PARQUET:
            self._writer.add_key_value_metadata({f"lockstep.{name}": fact for name, fact in facts.items()})


def blocks(rows: Iterator[tuple[Any, ...]], columns: int) -> Iterator[Block]:
    """Rows of so many columns, gathered into blocks."""
    size = max(1, CELLS // columns)
    gathered: list[tuple[Any, ...]] = []
    for row in rows:
        gathered.append(row)
        if len(gathered) == size:
            yield list(zip(*gathered, strict=True))
            gathered = []
    if gathered:
        yield list(zip(*gathered, strict=True))
