"""`lockstep bench`: what each part of a node costs, measured in one run."""

from pathlib import Path
from typing import Annotated, Any

import typer

from tools.failures import Misuse
from tools.options import refuse_both, refuse_no_file


def bench(
    json: Annotated[Path | None, typer.Option(help="Write every figure to this file too.")] = None,
    commands: Annotated[
        int | None,
        typer.Option(min=1_000, help="Commands of the flow; 1,000,000 compiled and 100,000 interpreted if not given."),
    ] = None,
    flow: Annotated[
        str | None, typer.Option(help="own, or flash1:FILE; both where the market data lies beside the checkout.")
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Option(help="An existing directory on the disk to measure; the system's temporary one if not."),
    ] = None,
    nodes: Annotated[bool, typer.Option("--nodes", help="Measure a node through real sockets instead.")] = False,
    history: Annotated[bool, typer.Option("--history", help="Ask a long journal for random moments instead.")] = False,
    projections: Annotated[
        bool, typer.Option("--projections", help="Bring views in SQLite up to a journal's end instead.")
    ] = False,
    beside: Annotated[
        bool, typer.Option("--beside", help="Measure what a reader costs the writer of a journal instead.")
    ] = False,
    against: Annotated[
        Path | None,
        typer.Option(
            exists=True, metavar="CHECKOUT|WHEEL", help="Measure the plain path beside that of another build instead."
        ),
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="A few seconds, to see that it works.")] = False,
) -> None:
    """Measure the engine, then with each further part of a node, then the disk; best of several runs.

    Exit code 1 if a replay of what was journaled differs from the run.

    Example: lockstep bench --quick --json figures.json
    """
    from tempfile import TemporaryDirectory

    refuse_no_file("--json", json)
    others = [("--nodes", nodes), ("--history", history), ("--projections", projections), ("--beside", beside)]
    chosen = [name for name, wanted in [*others, ("--against", against is not None)] if wanted]
    if chosen:
        refuse_both(chosen[0], [*chosen, "--flow"][1], both=len(chosen) > 1 or flow is not None)
        more = {"against": against} if against is not None else {}
        _bench_other(chosen[0], json, folder, commands, quick=quick, **more)
        return
    from tools.benches.report import Bench, Plan, choose

    try:
        flows = choose(flow, commands, quick=quick)
    except (OSError, ValueError) as error:
        raise Misuse(f"--flow {error}") from None
    with TemporaryDirectory(prefix="lockstep-bench-", dir=folder) as scratch:
        report = Bench(Plan.quick() if quick else Plan(), Path(scratch)).run(flows)
    report.show()
    if json is not None:
        json.write_text(report.json())


def _bench_other(what: str, json: Path | None, folder: Path | None, commands: int | None, **options: Any) -> None:
    from importlib import import_module
    from json import dumps
    from tempfile import TemporaryDirectory

    stage = import_module(f"tools.benches.{what.removeprefix('--')}")
    with TemporaryDirectory(prefix="lockstep-bench-", dir=folder) as scratch:
        figures = stage.measure(Path(scratch), commands, **options)
    stage.show(figures)
    if json is not None:
        json.write_text(dumps(figures, indent=2) + "\n")
