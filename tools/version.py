"""`lockstep --version`."""

import typer


def version(wanted: bool) -> None:
    """Print which build runs, and the versions that decide what it can read."""
    if not wanted:
        return
    from importlib.metadata import PackageNotFoundError
    from importlib.metadata import version as version_of

    from core.state import SEMANTICS
    from journal.batch import VERSION
    from tools.build import build

    try:
        package = version_of("lockstep")
    except PackageNotFoundError:
        package = "not installed"
    print(f"lockstep {package}, {build()} build, semantics {SEMANTICS}, journal format {VERSION}")
    raise typer.Exit
