"""What `lockstep demo` does and tells, one step after the other."""

import shutil
import time
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple

from rich.columns import Columns
from rich.console import Console
from rich.table import Table

from core.book import Ladder
from core.digest import EventDigest
from core.kinds import COLUMNS, ROW_SIZE, EventKind
from core.machine import Machine
from core.messages import AdvanceTime
from core.rows import to_row
from core.state import SEMANTICS
from journal.batch import HEADER_SIZE, BatchKind, read_header
from journal.check import columns
from journal.directory import SEGMENTS, JournalDirectory
from journal.event_store import EventStore
from journal.verify import verify
from replicas.replay import recover, start
from replicas.sequencer import Sequencer
from tools.build import build
from tools.flow import OPENING, SYMBOLS, Day, batches, venue

DEPTH: Final = 5
BAR: Final = 8
_ADVANCE: Final = to_row(AdvanceTime())


class Digests(NamedTuple):
    """What two replicas compare."""

    events: bytes
    state: bytes


class Traded(NamedTuple):
    """The day as the sequencer saw it; `moments` are sequence numbers, in the middle one of which is the snapshot."""

    commands: int
    batches: int
    events: int
    matches: int
    rejections: int
    moments: tuple[int, int, int]
    digests: Digests


class Flip(NamedTuple):
    """The batch in which a bit was flipped, and what the verification of that copy said."""

    bit: str
    last: int
    damage: str | None

    @property
    def found(self) -> bool:
        """Whether the verification names the very batch."""
        return self.damage is not None and f"batch ending at {self.last}:" in self.damage


class Clock:
    """Prints the steps, and how long each took."""

    def __init__(self) -> None:
        self.console = Console(highlight=False, soft_wrap=True)
        self._since = time.perf_counter()

    def say(self, text: str) -> None:
        """A step is done."""
        now = time.perf_counter()
        self.console.print(f"{text} [dim]({now - self._since:.1f} s)[/dim]")
        self._since = now


def tell(folder: Path, scratch: Path, commands: int, seed: int, *, kept: bool) -> bool:
    """Do everything; True if every replay was equal, the journal verified and the flipped bit was found."""
    clock = Clock()
    clock.console.print(f"[bold]Lockstep demo[/bold]: {build()} engine, seed {seed}")
    traded = trade(folder, commands, seed)
    clock.say(
        f"A day was traded: {traded.commands:,} commands. Each of {traded.batches:,} batches was on disk before it was "
        "applied, and applied before it was answered."
    )
    equal = replay_both(folder, traded)
    clock.say("Replayed twice, every batch verified: from the first row, and from the snapshot taken at noon.")
    show_books(clock, folder, traded.moments)
    report = verify(folder)
    clock.say(f"Verified: {report.batches:,} batches of the journal, {report.snapshots} snapshot, the event store.")
    flip = flip_one_bit(folder, scratch / "damaged")
    clock.say(f"In a copy, one bit was flipped ({flip.bit}). Verified: {flip.damage or 'nothing found'}.")
    clock.console.print(_summary(folder, traded, equal, verified=report.good, found=flip.found))
    if kept:
        clock.console.print(f"The journal is in {folder}. Go on with: lockstep book {folder} {SYMBOLS[0]}")
    return report.good and all(equal) and flip.found


def trade(folder: Path, commands: int, seed: int) -> Traded:
    """Make a venue and journal a day on it; a snapshot is written in the middle, a closing batch at the end."""
    machine = Machine()
    with ExitStack() as stack:
        journal = stack.enter_context(closing(JournalDirectory.create(folder, machine.rows(), semantics=SEMANTICS)))
        store = stack.enter_context(closing(EventStore(journal.events, write=True)))
        return _Trading(Sequencer(journal, machine, events=store)).run(commands, seed, journal)


class _Trading:
    """Feeds the sequencer and counts what comes out."""

    def __init__(self, sequencer: Sequencer) -> None:
        self._sequencer = sequencer
        self._counts = dict.fromkeys((EventKind.EXECUTED, EventKind.REJECTED), 0)
        self._batches = 0

    def run(self, commands: int, seed: int, journal: JournalDirectory) -> Traded:
        self._submit(venue(), OPENING - 1_000_000_000)
        rows = Day(commands, seed).rows()
        noon = self._trade(rows[: commands // 2 * ROW_SIZE], seed)
        self._sequencer.snapshot(journal)
        close = self._trade(rows[commands // 2 * ROW_SIZE :], seed + 1) - 1
        while self._engine_due() <= self._sequencer.machine.engine.now:
            self._submit(_ADVANCE, 0)
        self._sequencer.close_batch()
        return self._traded((noon // 5, noon, close))

    def _trade(self, rows: bytes, seed: int) -> int:
        """Submit rows in batches, `AdvanceTime` ahead of them while the engine is due; the last sequence number."""
        for batch in batches(rows, seed):
            due = self._engine_due() <= batch.time
            self._submit(_ADVANCE + batch.rows if due else batch.rows, batch.time)
        return self._sequencer.machine.engine.sequence

    def _engine_due(self) -> int:
        return self._sequencer.machine.engine.due()

    def _submit(self, rows: bytes, now: int) -> None:
        kinds = columns(self._sequencer.submit(rows, now))[::COLUMNS]
        self._batches += 1
        for kind in self._counts:
            self._counts[kind] += kinds.count(kind)

    def _traded(self, moments: tuple[int, int, int]) -> Traded:
        machine = self._sequencer.machine
        return Traded(
            machine.engine.sequence,
            self._batches,
            machine.digest.events,
            self._counts[EventKind.EXECUTED] // 2,
            self._counts[EventKind.REJECTED],
            moments,
            digests(machine),
        )


def digests(machine: Machine) -> Digests:
    """The two digests of a machine."""
    return Digests(machine.digest.value(), machine.state_digest())


def replay_both(folder: Path, traded: Traded) -> tuple[bool, bool]:
    """Whether a replay from the first row, and one from the snapshot, end with the very events and state."""
    with closing(JournalDirectory(folder)) as journal:
        zero = digests(recover(journal))
        begun = start(journal, journal.snapshots).engine.sequence
        later = digests(recover(journal, journal.snapshots))
    with closing(EventStore(folder / "events")) as store:
        told = EventDigest()
        for events in store.read():
            told.feed(events.rows)
    same_events = told.value() == traded.digests.events
    return zero == traded.digests and same_events, later == traded.digests and begun == traded.moments[1]


def show_books(clock: Clock, folder: Path, moments: tuple[int, int, int]) -> None:
    """Rebuild the first instrument's book at three sequence numbers from the journal, and draw it."""
    with closing(JournalDirectory(folder)) as journal:
        tables = [draw_book(recover(journal, journal.snapshots, upto=moment)) for moment in moments]
    clock.say(f"The book of {SYMBOLS[0]}, rebuilt as it stood after three rows:")
    clock.console.print(Columns(tables, padding=(0, 3)))


def draw_book(machine: Machine) -> Table:
    """The best levels of the first instrument, sells above buys; the bar is the open quantity."""
    engine = machine.engine
    instrument = engine.instrument(1)
    assert instrument is not None
    when = datetime.fromtimestamp(int(engine.now) // 1_000_000_000, UTC)
    table = Table(title=f"row {engine.sequence:,}, {when:%H:%M:%S}", box=None, pad_edge=False)
    for heading in ("lots", "price"):
        table.add_column(heading, justify="right")
    table.add_column("", width=BAR)
    sells, buys = _best(instrument.asks), _best(instrument.bids)
    scale = max((lots for _, lots in (*sells, *buys)), default=1)
    for levels, color in ((reversed(sells), "red"), (buys, "green")):
        for price, lots in levels:
            bar = "█" * max(1, lots * BAR // scale)
            table.add_row(f"{lots:,}", f"{price / 100:.2f}", f"[{color}]{bar}[/{color}]")
    return table


def _best(ladder: Ladder) -> list[tuple[int, int]]:
    """Price and open quantity of the best levels, best first."""
    return [(level.price, level.total) for level in reversed(ladder.levels[-DEPTH:])]


def flip_one_bit(folder: Path, copy: Path) -> Flip:
    """Flip one bit of a sealed batch inside `data.mdb` of a copy, and verify the copy."""
    value = _a_batch(folder)
    header = read_header(value)
    shutil.copytree(folder, copy)
    (data,) = (copy / SEGMENTS).glob("*/data.mdb")
    stored_bytes = bytearray(data.read_bytes())
    at = stored_bytes.index(value) + HEADER_SIZE + header.body // 2
    stored_bytes[at] ^= 0b1000
    data.write_bytes(stored_bytes)
    damage = verify(copy).first_damage
    shutil.rmtree(copy)
    return Flip(f"bit 3 of byte {at:,} of data.mdb", header.last, damage)


def _a_batch(folder: Path) -> bytes:
    """The largest batch of the first hundred: LMDB keeps it in pages of its own, so its bytes stand there once."""
    with closing(JournalDirectory(folder)) as journal:
        first = zip(range(100), journal.batches(), strict=False)
        return max((value for _, value in first if read_header(value).kind == BatchKind.COMMANDS), key=len)


def _summary(folder: Path, traded: Traded, equal: tuple[bool, bool], *, verified: bool, found: bool) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False, title_justify="left")
    say = {True: "[green]yes[/green]", False: "[bold red]NO[/bold red]"}
    lines = {
        "commands": f"{traded.commands:,}",
        "events": f"{traded.events:,}",
        "matches": f"{traded.matches:,}",
        "rejections": f"{traded.rejections:,}",
        "bytes on disk": _bytes(folder),
        "event digest": traded.digests.events.hex(),
        "state digest": traded.digests.state.hex(),
        "equal": f"{say[equal[0]]} (from the first row) / {say[equal[1]]} (from the snapshot)",
        "verified": say[verified],
        "flipped bit": f"found: {say[found]}",
    }
    for name, value in lines.items():
        table.add_row(name, value)
    return table


def _bytes(folder: Path) -> str:
    journal, events, snapshots = (
        sum(path.stat().st_size for path in folder.glob(pattern))
        for pattern in (f"{SEGMENTS}/*/data.mdb", "events/data.mdb", "snapshots/*.snapshot")
    )
    return f"{journal:,} journal, {events:,} events, {snapshots:,} snapshot"
