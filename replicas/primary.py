"""The primary: takes everything that arrived while the last commit ran, commits it, applies it, answers it.

One thread for sequencer, journal and engine. Whatever is slow runs in a process of its own. Whoever lost the lead does
nothing more: append, answer and publish all ask it.
"""

import asyncio
import shutil
import time
from pathlib import Path
from typing import Any, Final

import structlog
from librt.strings import BytesWriter
from prometheus_client import CollectorRegistry

from core.engine import Engine
from core.kinds import ROW_SIZE, EventKind, Role
from core.messages import AdvanceTime, Command
from core.parts import command_end
from core.rows import to_row
from core.stamp import first_of_kind
from core.state import SEMANTICS
from journal.directory import JournalDirectory
from journal.event_store import EventStore
from journal.journal import Head
from replicas.admin import NotTaken, told
from replicas.children import Children
from replicas.clock import Clock
from replicas.counts import Counts
from replicas.errors import Stopped
from replicas.feed import DOORBELL, Doorbell
from replicas.gateway import Gateway
from replicas.lead import Lead
from replicas.limits import NodeConfig
from replicas.passwords import Checker
from replicas.sequencer import Sequencer

TICK_SECONDS: Final = 0.1
"""How often an idle primary shows that it lives, and looks at the disk."""
_ADVANCE: Final = to_row(AdvanceTime())
log = structlog.get_logger("primary")

_ROLL_LOOK: Final = 256
"""Batches from one look at the segment's size to the next."""


class Primary:
    """A node that leads. `run` returns after `stop`, or raises what ended the lead."""

    def __init__(
        self,
        directory: JournalDirectory,
        sequencer: Sequencer,
        lead: Lead,
        config: NodeConfig,
        *,
        clock: Clock | None = None,
        checker: Checker | None = None,
    ) -> None:
        """Lead with a journal and its writer, both of which `run` closes in the end, as it does the password checker."""
        if sequencer.events is None:
            raise AssertionError("a primary keeps its events")
        self.directory = directory
        self.sequencer = sequencer
        self.events: EventStore = sequencer.events
        self.lead = lead
        self.config = config
        self.limits = config.limits
        self.counts = Counts()
        self.clock = clock or Clock(since=sequencer.machine.engine.now)
        self.pending = BytesWriter()
        self.pending_rows = 0
        # What was taken out of `pending` at one time, and how much of it has been committed.
        self._waiting = b""
        self._at = 0
        self.children: Children | None = None
        """The processes beside this one, if there are any."""
        self._checker = checker or Checker()
        self.gateway = Gateway(self, self._checker)
        self._doorbell = Doorbell(directory.path / DOORBELL)
        self._answered = asyncio.Event()
        self._stopped = False
        self._scheduled = False
        self._advanced = False
        self._batches = 0
        self._days = sequencer.machine.engine.days
        self._free = 2**62
        self._timer: asyncio.TimerHandle | None = None
        self._ended: asyncio.Future[None] | None = None
        sequencer.lead = lead

    # ---- what the gateway asks

    @property
    def engine(self) -> Engine:
        """The engine; another one after a quarantine."""
        return self.sequencer.machine.engine

    def head(self) -> Head:
        """The head of the journal."""
        return self.directory.head()

    def refuses_orders(self) -> bool:
        """Whether new orders are answered BUSY: too many rows wait, or too little room is left on the disk."""
        return self.pending_rows >= self.limits.pending_rows or self._free < self.config.node.low_space_orders

    def refuses_all(self) -> bool:
        """Whether cancels are answered BUSY as well: they have as many places again, and the last of the disk."""
        return self.pending_rows >= 2 * self.limits.pending_rows or self._free < self.config.node.low_space_cancels

    def arrived(self) -> None:
        """Rows wait: commit them once all sockets that are readable now have been read."""
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._cycle)

    async def next_batch(self) -> None:
        """Return once the next batch has been answered."""
        await self._answered.wait()

    # ---- the loop

    async def run(self) -> None:
        """Lead until `stop`; the journal is closed with a closing batch then. JournalError: what ended the lead."""
        self._ended = asyncio.get_running_loop().create_future()
        if self._stopped:
            self._ended.set_result(None)
        self.gateway.start()
        ticking = asyncio.create_task(self._tick())
        self._set_timer()
        try:
            await self._ended
            while self.pending_rows:
                self._commit()
            self.sequencer.close_batch()
            await self.gateway.end()
        finally:
            ticking.cancel()
            if self._timer is not None:
                self._timer.cancel()
            self.gateway.close()
            try:
                self._doorbell.close()
                self.events.close()
                self.directory.close()
            finally:
                # From here on the standby may lead: what is left to end takes its time, and serves nobody.
                self.lead.release()
            if self.children is not None:
                self.children.close()
            await self._checker.close()

    def stop(self) -> None:
        """End the lead cleanly, also before `run`: what was taken is answered, nothing more is taken."""
        self._stopped = True
        if self._ended is not None and not self._ended.done():
            self._ended.set_result(None)

    def _fail(self, error: BaseException) -> None:
        if self._ended is not None and not self._ended.done():
            self._ended.set_exception(error)

    def _cycle(self) -> None:
        self._scheduled = False
        if self._ended is None or self._ended.done():
            return
        try:
            self._commit()
        except Exception as error:  # noqa: BLE001 - whatever it is, it ends the lead and reaches whoever runs us
            self._fail(error)
            return
        self._go_on()

    def _go_on(self) -> None:
        """Come back at once if there is more to do, otherwise when the engine is due."""
        if self.pending_rows or self.engine.due() == 0:
            self.arrived()
        else:
            self._set_timer()

    def _commit(self) -> None:
        """One batch: append, apply, answer."""
        started = time.perf_counter()
        rows = self._next_rows()
        if rows:
            self._publish(self.sequencer.submit(rows, self.clock.now()))
            self.counts.batch(len(rows) // ROW_SIZE, time.perf_counter() - started)
            self._roll_if_due()

    def _publish(self, events: bytes) -> None:
        self.lead.check()
        head = self.directory.head()
        self.lead.tell(head)
        self._doorbell.ring()
        if self.clock.alarm is not None and first_of_kind(events, 0, EventKind.CLOCK_ACCEPTED) < len(events):
            self.clock.accept()
        self.gateway.publish(events, head)
        self._answered.set()
        self._answered = asyncio.Event()
        if self.directory.semantics != SEMANTICS:
            raise Stopped(f"an Upgrade took effect: the release of semantics {self.directory.semantics} goes on")

    def _next_rows(self) -> bytes:
        """What waits, up to a batch; before it the timers' row, at least in every other batch while one is due."""
        if self._at == len(self._waiting):
            self._waiting, self._at = self.pending.getvalue(), 0
            self.pending.truncate(0)
        end = min(self._at + self.limits.batch_rows * ROW_SIZE, len(self._waiting))
        rows = self._waiting[self._at : command_end(self._waiting, self._at, end)]
        self._at += len(rows)
        self.pending_rows -= len(rows) // ROW_SIZE
        self._advanced = not self._advanced and self.engine.due() <= self.clock.now()
        return _ADVANCE + rows if self._advanced else rows

    def act(self, rows: bytes) -> bytes:
        """Make rows of an operator durable in a batch of their own, behind all that waits; returns their events."""
        try:
            while self.pending_rows:
                self._commit()
            events = self.sequencer.submit(rows, self.clock.now())
            self._publish(events)
            self._roll_if_due()
        except Exception as error:
            self._fail(error)
            raise
        self._go_on()
        return events

    @property
    def registry(self) -> CollectorRegistry:
        """What it has counted."""
        return self.counts.registry

    async def submit(self, command: Command) -> list[dict[str, Any]]:
        """An operator's command, numbered and made durable; its events. NotTaken, JournalError."""
        session = self.engine.session(command.session)
        if session is None or session.role != Role.OPERATOR:
            raise NotTaken(f"session {command.session} is no operator")
        if self._ended is None or self._ended.done():
            raise NotTaken("the node stops")
        desk = self.gateway.desk(command.session)
        columns = {name: getattr(command, name) for name in command.__struct_fields__}
        row = to_row(type(command)(**columns | {"inbound": desk.expected}))
        desk.expected += 1
        return told(self.act(row))

    # ---- time and room

    def _set_timer(self) -> None:
        """Wake up when the engine is due next."""
        if self._timer is not None:
            self._timer.cancel()
        due = self.engine.due()
        wait = max(0.0, int(due - self.clock.now()) / 1e9)
        self._timer = asyncio.get_running_loop().call_later(min(wait, 3600.0), self.arrived)

    async def _tick(self) -> None:
        """Show that the node lives, and look after disk and children. Whatever ends this ends the lead."""
        try:
            while True:
                self.lead.check()
                self.lead.tell(self.directory.head())
                try:
                    self._free = shutil.disk_usage(self.directory.path).free
                    if self.children is not None:
                        alone = self._doorbell.followers <= self.children.followers
                        self.children.look(self.engine.sequence, time.monotonic(), alone=alone)
                except OSError as error:
                    log.warning("neither disk nor children could be looked after", error=str(error))
                await asyncio.sleep(TICK_SECONDS)
        except Exception as error:  # noqa: BLE001 - it reaches whoever runs us
            self._fail(error)

    def _roll_if_due(self) -> None:
        """End the segment with the trading day, once its end has reached every account, or when it has become large."""
        self._batches += 1
        large = self._batches % _ROLL_LOOK == 0 and self.directory.used_bytes() > self.config.node.segment_bytes
        over = self.engine.days != self._days and not self.engine.todos
        if large or over:
            self._days = self.engine.days
            self.sequencer.roll()
            self.lead.tell(self.directory.head())
            self._doorbell.ring()

    def status(self) -> dict[str, Any]:
        """What `lockstep status` shows of a node that leads."""
        head, engine = self.directory.head(), self.engine
        sessions = sum(session is not None for session in engine.sessions) - 1
        return {
            "role": "primary",
            "epoch": head.epoch,
            "sequence": head.sequence,
            "head": head.hash.hex(),
            "applied": engine.sequence,
            "digest": self.sequencer.machine.digest.value().hex(),
            "lag": 0,
            "sessions": sessions,
            "connections": len(self.gateway.connections),
            "journal_bytes": self.directory.used_bytes(),
            "snapshot": newest_snapshot(self.directory.snapshots),
            "clock_alarm": self.clock.alarm,
            "free_bytes": self._free,
        }


def newest_snapshot(folder: Path) -> str | None:
    """The name of the newest snapshot, if there is one."""
    names = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    return names[-1] if names else None
