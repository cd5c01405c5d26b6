"""The `lockstep` command line. `tools.group` knows the commands, one file each, and loads the one that is typed."""

from typing import Annotated

import typer

from tools.group import Group
from tools.version import version

EXIT_CODES = """

Exit codes: 0 done, or all sound. 1 damaged, refused or failed. 2 no journal there. 64 the command line is wrong. 130 interrupted.
"""

app = typer.Typer(
    name="lockstep",
    cls=Group,
    help=f"An event-sourced exchange core: its journal, and what can be asked of it.{EXIT_CODES}",
    add_completion=False,
    pretty_exceptions_enable=False,
    no_args_is_help=False,
)


@app.callback()
def lockstep(
    _version: Annotated[
        bool, typer.Option("--version", callback=version, is_eager=True, help="Print build and versions.")
    ] = False,
) -> None:
    """What holds for all commands."""


def main() -> None:
    """Entry point of the console script."""
    app(prog_name="lockstep")


if __name__ == "__main__":
    main()
