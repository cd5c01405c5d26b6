"""Arguments and options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

from tools.moments import TIME_HELP

Journal = Annotated[Path, typer.Argument(metavar="DIR", help="The journal's directory.", show_default=False)]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
JsonLines = Annotated[bool, typer.Option("--jsonl", help="Print one JSON object a line.")]
At = Annotated[int | None, typer.Option("--at", metavar="SEQ", help="After this row; the last one if absent.")]
Time = Annotated[
    str | None, typer.Option("--time", metavar="T", help=f"After the rows stamped up to here: {TIME_HELP}")
]
