"""`lockstep bench --nodes`: commands through real sockets, held against the same commands without them."""

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

import lmdb
from rich.console import Console
from rich.table import Table

from core.kinds import ROW_SIZE, Role
from core.limits import COST_MIN, PRICE_MAX, QUANTITY_MAX
from core.messages import (
    Command,
    DefineCurrency,
    DefineInstrument,
    Deposit,
    GrantSession,
    OpenAccount,
    SetCredential,
)
from core.rows import pack_halves, to_row
from core.wire import MESSAGE_PACKET, MESSAGE_SIZE
from journal.environment import FORMAT
from replicas.opening import create
from replicas.passwords import make, pack
from tools.benches.load import PASSWORD, load
from tools.build import build
from tools.failures import Failure, Misuse

SESSIONS: Final = 32
BATCH: Final = 1_024
WINDOW: Final = 1_024
_PATIENCE: Final = 60.0


class Shape(NamedTuple):
    """Connections, commands of each, and how many of them may be without an answer."""

    connections: int
    commands: int
    window: int


SHAPES: Final = (
    Shape(1, 2_000, 1),
    Shape(4, 1_000, 1),
    Shape(32, 200, 1),
    Shape(1, 400_000, WINDOW),
    Shape(4, 100_000, WINDOW),
    Shape(32, 12_500, WINDOW // 4),  # all windows together stay below what may wait for a batch
)
QUICK: Final = (Shape(1, 50, 1), Shape(4, 2_000, 64))


def venue() -> list[Command]:
    """One instrument; accounts that can pay for anything, each with its session."""
    credential = pack(*make(PASSWORD, COST_MIN))
    commands: list[Command] = [
        DefineCurrency(currency=1, symbol="USD", decimals=2),
        DefineCurrency(currency=2, symbol="AAA"),
        DefineInstrument(
            instrument=1, symbol="AAA", currencies=pack_halves(2, 1), price_max=PRICE_MAX, quantity_max=QUANTITY_MAX
        ),
    ]
    for number in range(1, SESSIONS + 1):
        commands.append(OpenAccount(account=number, firm=number, name=f"account {number}"))
        commands += [Deposit(account=number, currency=currency, amount=2**54) for currency in (1, 2)]
        commands.append(GrantSession(account=number, grantee=number, role=Role.TRADER))
        commands.append(SetCredential(grantee=number, **credential))
    return commands


def without_sockets(path: Path, commands: int) -> float:
    """Commands a second that a sequencer makes durable and applies, in full batches, of the same load."""
    directory, sequencer = create(path)
    sequencer.submit(b"".join(map(to_row, venue())), 1)
    packets = load(1, commands)
    rows = b"".join(
        packets[at + 3 : at + 11] + bytes(16) + packets[at + 11 : at + 3 + MESSAGE_SIZE]
        for at in range(0, len(packets), MESSAGE_PACKET)
    )
    started = time.perf_counter()
    for at in range(0, len(rows), BATCH * ROW_SIZE):
        sequencer.submit(rows[at : at + BATCH * ROW_SIZE], 1)
    seconds = time.perf_counter() - started
    if sequencer.events is not None:
        sequencer.events.close()
    directory.close()
    return commands / seconds


def bare_commits(path: Path, count: int = 1_000) -> float:
    """Microseconds of the median LMDB commit of one small value."""
    path.mkdir()
    waits = []
    environment = lmdb.open(str(path), map_size=2**30, lib_version=FORMAT)
    for number in range(count):
        started = time.perf_counter_ns()
        with environment.begin(write=True) as txn:
            txn.put(number.to_bytes(8, "big"), bytes(280), append=True)
        waits.append(time.perf_counter_ns() - started)
    environment.close()
    return sorted(waits)[count // 2] / 1_000


@contextmanager
def node(path: Path) -> Iterator[str]:
    """A primary in a process of its own; its address. Failure if it does not come up."""
    directory, sequencer = create(path)
    sequencer.submit(b"".join(map(to_row, venue())), 1)
    sequencer.close_batch()
    if sequencer.events is not None:
        sequencer.events.close()
    directory.close()
    config = path.with_suffix(".toml")
    config.write_text("[limits]\nmessages_per_second = 0\n[node]\nlow_space_orders = 0\nlow_space_cancels = 0\n")
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{found.getsockname()[1]}"
    command = [sys.executable, "-m", "tools.main", "serve", "--data", str(path), "--listen", address]
    process = subprocess.Popen([*command, "--config", str(config)], stdout=subprocess.PIPE, text=True)
    try:
        line = process.stdout.readline() if process.stdout is not None else ""
        if not line.startswith("primary at "):
            raise Failure(f"the node did not come up: {line.strip()}")
        yield address
    finally:
        process.terminate()
        process.wait(_PATIENCE)


def through_sockets(path: Path, shape: Shape) -> dict[str, Any]:
    """One run of a fresh node under a load; what the generator tells."""
    with node(path) as address:
        command = [sys.executable, "-m", "tools.benches.load", address, *map(str, shape)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Failure(f"the load broke off: {done.stderr.strip()[-300:]}")
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def measure(scratch: Path, commands: int | None = None, *, quick: bool = False) -> dict[str, Any]:
    """All figures. Failure if a node does not come up, or a load breaks off; Misuse for a number of commands."""
    if commands is not None:
        raise Misuse("--nodes and --commands exclude each other")
    commit = bare_commits(scratch / "bare", 100 if quick else 1_000)
    durable = without_sockets(scratch / "sequencer", 10_000 if quick else 400_000)
    lines = []
    for number, shape in enumerate(QUICK if quick else SHAPES):
        told = through_sockets(scratch / f"node-{number}", shape)
        rate = told["commands"] / told["seconds"]
        ratio = rate / durable if shape.window > 1 else told["wait_us"]["p50"] / commit
        lines.append(
            {**shape._asdict(), "per_second": round(rate), "wait_us": told["wait_us"], "ratio": round(ratio, 3)}
        )
    return {"build": build(), "bare_commit_us": round(commit, 1), "without_sockets": round(durable), "nodes": lines}


def show(figures: dict[str, Any]) -> None:
    """Print the table."""
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"[bold]Lockstep bench --nodes[/bold]: {figures['build']} build")
    console.print(
        f"bare LMDB commit: {figures['bare_commit_us']:,.0f} µs; without sockets: {figures['without_sockets']:,} commands/s"
    )
    table = Table(
        box=None, pad_edge=False, caption="ratio: pipelined, to the rate without sockets; else p50 to a bare commit"
    )
    for heading in ("connections", "window", "commands/s", "p50 µs", "p99 µs", "ratio"):
        table.add_column(heading, justify="right")
    for line in figures["nodes"]:
        waits = (f"{line['wait_us'][part]:,.0f}" if line["wait_us"] else "" for part in ("p50", "p99"))
        table.add_row(
            str(line["connections"]), str(line["window"]), f"{line['per_second']:,}", *waits, f"{line['ratio']:.2f}"
        )
    console.print(table)
