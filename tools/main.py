"""The `lockstep` command line: registers the commands, one file each."""

from typing import Annotated

import typer

from tools.admin import admin
from tools.at import at, index
from tools.backup import backup, restore
from tools.bench import bench
from tools.bisecting import bisect
from tools.book import book
from tools.chart import chart
from tools.demo import demo
from tools.diff import diff
from tools.drill import drill
from tools.dump import dump
from tools.explain import explain
from tools.export import export
from tools.fills import fills
from tools.group import Group
from tools.imports import imports
from tools.init import init
from tools.life import order
from tools.project import project
from tools.replay import replay
from tools.rules import rules
from tools.serve import serve, standby
from tools.snapshot import snapshot
from tools.status import status
from tools.trade import trade
from tools.verify import verify
from tools.version import version
from tools.whatif import whatif

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


app.add_typer(imports, name="import")
app.add_typer(admin, name="admin")
for command in (
    demo, bench, drill, init, serve, standby, status, trade, backup, restore, replay, whatif, at, index, book, order, explain, fills, verify, dump, snapshot, export, project, chart, diff, bisect, rules,
):  # fmt: skip
    app.command()(command)


def main() -> None:
    """Entry point of the console script."""
    app(prog_name="lockstep")


if __name__ == "__main__":
    main()
