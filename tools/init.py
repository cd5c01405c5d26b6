"""`lockstep init`: a new venue from a TOML file, as commands in a new journal."""

from pathlib import Path
from typing import Annotated

import typer

from tools.options import refuse_no_file


def init(
    directory: Annotated[
        Path, typer.Argument(metavar="DIR", help="The new venue; empty, or not there.", show_default=False)
    ],
    venue: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="What the venue consists of (TOML); without it, one operator, session 1."),
    ] = None,
    passwords: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Where the passwords are written that the file does not give; a new file."),
    ] = None,
) -> None:
    """Make a venue: its currencies, instruments, accounts, deposits, sessions and passwords, each by a command.

    Nothing is written unless every command is accepted.

    Example: lockstep init venue --venue examples/venue.toml --passwords passwords
    """
    from tools.make_venue import make_venue

    refuse_no_file("--passwords", passwords)
    made, head = make_venue(directory, venue, passwords)
    print(
        f"{directory}: {len(made.instrument)} instruments, {len(made.account)} accounts, {len(made.session)} sessions"
    )
    print(f"head {head.sequence}:{head.hash.hex()}")
