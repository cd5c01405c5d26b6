"""`lockstep serve` and `lockstep standby`: the two roles of a node."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from tools.failures import Failure, Misuse

Data = Annotated[
    Path, typer.Option(metavar="DIR", help="Data directory of the node.", show_default=False, file_okay=False)
]
Tcp = Annotated[str, typer.Option(metavar="HOST:PORT", help="Serve order entry there, by SoupBinTCP.")]
Unix = Annotated[str, typer.Option(metavar="PATH", help="Serve order entry on a Unix socket, for this machine alone.")]
MarketData = Annotated[
    str, typer.Option(metavar="HOST:PORT", help="Serve market data there, from a process of its own.")
]
Config = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Limits, listeners and the node's behaviour (TOML); docs/operations.md."),
]
Hang = Annotated[
    float | None,
    typer.Option(min=0.05, help="Seconds without progress after which a primary counts as hung; 1 if not given."),
]
Insecure = Annotated[bool, typer.Option("--insecure", help="Listen without TLS although others can reach the address.")]


def serve(
    data: Data,
    listen: Tcp = "",
    unix: Unix = "",
    market_data: MarketData = "",
    config: Config = None,
    hang: Hang = None,
    insecure: Insecure = False,
) -> None:
    """Lead a venue: serve clients, make every command durable, apply it, answer it. SIGTERM stops it cleanly.

    Example: lockstep serve --data venue --listen 127.0.0.1:7001
    """
    from replicas import node

    place = _place(data, listen, unix, market_data, config, hang, insecure=insecure)
    with _recovering() as watch:
        _run(lambda: node.serve(place, _say, watch))


def standby(
    data: Data,
    follow: Annotated[
        Path, typer.Option(metavar="DIR", help="Data directory of the node that leads.", show_default=False)
    ],
    listen: Tcp = "",
    unix: Unix = "",
    market_data: MarketData = "",
    config: Config = None,
    hang: Hang = None,
    insecure: Insecure = False,
) -> None:
    """Follow a venue with a journal and an engine of its own, and lead once its primary is dead or hangs.

    Nothing is served before that. A primary that hangs is killed, and seen dead, before the lead is taken.

    Example: lockstep standby --data other --follow venue --listen 127.0.0.1:7002
    """
    from replicas import node

    if data.resolve() == follow.resolve():
        raise Misuse("--follow: a node does not follow itself")
    place = _place(data, listen, unix, market_data, config, hang, insecure=insecure)
    _run(lambda: node.follow(place, follow, _say))


def _place(
    data: Path, tcp: str, unix: str, market_data: str, file: Path | None, hang: float | None, *, insecure: bool
) -> Any:
    from replicas.limits import BadConfig, NodeConfig, host_and_port
    from replicas.listening import Exposed, refuse_exposed
    from replicas.node import Place

    try:
        config = NodeConfig.read(file) if file else NodeConfig()
        given = {name: value for name, value in (("tcp", tcp), ("unix", unix)) if value}
        config = msgspec.structs.replace(config, listen=msgspec.structs.replace(config.listen, **given))
        if hang is not None:
            config = msgspec.structs.replace(config, node=msgspec.structs.replace(config.node, hang_seconds=hang))
        for address in filter(None, (config.listen.tcp, market_data)):
            host_and_port(address)
            refuse_exposed(address, tls=bool(config.listen.tls_key), insecure=insecure)
    except (BadConfig, Exposed, OSError, ValueError) as error:
        raise Misuse(str(error)) from None
    if not (config.listen.tcp or config.listen.unix):
        raise Misuse("--listen or --unix: say where clients connect")
    return Place(data, config, market_data, insecure)


def _run(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    from journal.errors import JournalError
    from replicas.log import configure

    configure()
    try:
        with asyncio.Runner(loop_factory=_loop()) as runner:
            runner.run(work())
    except (JournalError, OSError) as error:
        raise Failure(" ".join(str(error).split())) from None


@contextmanager
def _recovering() -> Iterator[Callable[[int, int], None]]:
    """A bar for a long start, on a terminal; it goes when the start is over."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn("recovering"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    progress = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
    tasks: list[TaskID] = []

    def watch(row: int, last: int) -> None:
        if not tasks:
            progress.start()
            tasks.append(progress.add_task("recovering", total=last))
        progress.update(tasks[0], completed=row, total=last)
        if row >= last:
            progress.stop()

    try:
        yield watch
    finally:
        progress.stop()


def _loop() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


def _say(line: str) -> None:
    print(line, flush=True)
