"""Arguments and options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

from tools.failures import Misuse
from tools.moments import TIME_HELP

Journal = Annotated[Path, typer.Argument(metavar="DIR", help="The journal's directory.", show_default=False)]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
JsonLines = Annotated[bool, typer.Option("--jsonl", help="Print one JSON object a line.")]
At = Annotated[int | None, typer.Option("--at", metavar="SEQ", help="After this row; the last one if absent.")]
Time = Annotated[
    str | None, typer.Option("--time", metavar="T", help=f"After the rows stamped up to here: {TIME_HELP}")
]


def refuse_both(first: str, second: str, *, both: bool) -> None:
    """Misuse if two options that exclude each other are given."""
    if both:
        raise Misuse(f"{first} and {second} exclude each other")


def refuse_no_file(option: str, path: Path | None) -> None:
    """Misuse if no file can be written at the path of an option, which is told before the work begins."""
    if path is None:
        return
    if path.is_dir():
        raise Misuse(f"{option} {path}: a directory")
    if not path.parent.is_dir():
        raise Misuse(f"{option} {path}: there is no directory {path.parent}")
