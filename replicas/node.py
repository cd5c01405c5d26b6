"""A node: leads from the start, or follows another one until the lead is free and then leads."""

import asyncio
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple

import structlog
from prometheus_client import CollectorRegistry, Gauge

from core.messages import Command
from journal.directory import JournalDirectory
from replicas.admin import SOCKET, AdminServer, NotTaken
from replicas.children import Children
from replicas.clock import Clock
from replicas.counterfactual import refuse_counterfactual, refuse_counterfactual_in
from replicas.feed import DOORBELL, DirectoryFeed, DoorbellClient
from replicas.joining import rejoin
from replicas.lead import LeadHeld
from replicas.lease import LEASE, LeaseFile, boot_time, hung, join, read, refuse_stale, released
from replicas.limits import NodeConfig
from replicas.listening import check, listen
from replicas.opening import resume
from replicas.passwords import Checker, CheckerGone
from replicas.primary import TICK_SECONDS, Primary, newest_snapshot
from replicas.replay import Watch
from replicas.sequencer import Sequencer
from replicas.standby import Standby

IDLE_SECONDS: Final = 0.01
"""How long a standby that lacks nothing waits for the doorbell before it looks at the lead."""

log = structlog.get_logger("node")


class Place(NamedTuple):
    """Where a node keeps its journal and where it serves."""

    data: Path
    config: NodeConfig
    market_data: str = ""
    insecure: bool = False

    def address(self) -> str:
        """Where clients find it."""
        where = self.config.listen
        return where.tcp or f"unix:{where.unix}"

    def names(self) -> dict[str, Any]:
        """What the lease says of it."""
        return {"directory": self.data, "address": self.address(), "admin": str(self.data.resolve() / SOCKET)}


async def serve(place: Place, ready: Callable[[str], None] = log.info, watch: Watch | None = None) -> None:
    """Lead the venue of a directory until a signal ends that cleanly. JournalError: why it cannot lead, or lead on.

    `watch` is told how far the recovery has come, from a thread that ends with it.
    """
    check(place.config.listen)
    stopping = _signals()
    reader = JournalDirectory(place.data)
    try:
        refuse_counterfactual(reader.flags, place.data)
        hang = place.config.node.hang_seconds
        lead = LeaseFile.claim(place.data / LEASE, **place.names(), epoch=reader.head().epoch, hang=hang)
        try:
            refuse_stale(lead.before, reader)
        except BaseException:
            lead.release()
            raise
        head = reader.head()
    finally:
        reader.close()
    opening = asyncio.create_task(asyncio.to_thread(resume, place.data, watch))
    while not opening.done():
        # A long start is not a hang, and the standby must not take it for one.
        lead.tell(head)
        await asyncio.wait([opening], timeout=TICK_SECONDS)
    try:
        directory, sequencer = opening.result()
    except BaseException:
        lead.release()
        raise
    primary = _primary(place, directory, sequencer, lead, Checker())
    await _lead(place, primary, AdminServer(primary, place.data / SOCKET), stopping, ready)


async def follow(place: Place, followed: Path, ready: Callable[[str], None] = log.info) -> None:
    """Follow the venue's leader until a signal; lead when the lead is free. JournalError: why it stops."""
    check(place.config.listen)
    for directory in (place.data, followed):
        refuse_counterfactual_in(directory)
    stopping = _signals()
    place.data.mkdir(parents=True, exist_ok=True)
    following, checker, led = _Following(place, followed), Checker(), None
    admin = AdminServer(following, place.data / SOCKET)
    try:
        await admin.start()
        # Its start takes longer than the rest of a promotion, and clients that come over log in before all else.
        try:
            await checker.start()
        except CheckerGone as error:
            log.warning("no password checker yet: the first login starts it", error=str(error))
        ready(f"standby of {followed}, after row {following.standby.journal.head().sequence}")
        lead = await following.until_led(stopping)
        led = following.promote(lead, checker) if lead is not None else None
    finally:
        if led is None:
            await admin.stop()
            following.close()
            await checker.close()
    if led is not None:
        await _lead(place, led, admin, stopping, ready)


class _Following:
    """A standby, the node it follows, and what it shows to operators."""

    def __init__(self, place: Place, followed: Path) -> None:
        """Begin to follow; what `Standby` and `rejoin` raise."""
        self.place = place
        # A former leader's directory has the lease itself, and the one that it follows now a link to it.
        ours = place.data / LEASE
        same = ours.exists() and ours.samefile(followed / LEASE)
        self._lease = ours if same else join(place.data, followed)
        self._own = str(place.data.resolve())
        self._refused = ""
        self._follow(followed)
        self.clock = Clock(since=int(self.standby.machine.engine.now))
        self.registry = CollectorRegistry()
        lag = Gauge("lockstep_standby_lag_rows", "Rows of the leader that are not durable here", registry=self.registry)
        lag.set_function(lambda: self.standby.lag().appended)

    def _follow(self, followed: Path) -> None:
        self.followed = followed
        feed = DirectoryFeed(followed)
        try:
            aside = rejoin(self.place.data, feed)
            if aside is not None:
                log.warning("the journal here differed from the venue's; it was kept", aside=str(aside))
            self.standby = Standby(self.place.data, feed)
        except BaseException:
            feed.close()
            raise
        self._bell = DoorbellClient(followed / DOORBELL)

    async def until_led(self, stopping: asyncio.Event) -> LeaseFile | None:
        """Follow until the lead is ours, or None once a signal came."""
        lead = None
        while lead is None and not stopping.is_set():
            await self._step()
            lead = self._take_lead()
        return lead

    async def _step(self) -> None:
        """Take what the leader has, or wait for its doorbell."""
        if self.standby.step():
            self.standby.snapshot_if_due(self.place.config.node.snapshot_rows)
            await asyncio.sleep(0)
        else:
            await asyncio.get_running_loop().run_in_executor(None, self._bell.wait, IDLE_SECONDS)

    def _take_lead(self) -> LeaseFile | None:
        """The lead, if its holder is gone or hangs; where it cannot be had, that is told once and changes nothing."""
        hang = self.place.config.node.hang_seconds
        state = read(self._lease)
        if state is not None and state.alive():
            if state.hash and state.directory not in (self._own, str(self.followed.resolve())):
                # Another standby was promoted: the venue goes on there, also if that one gives the lead back next.
                self.close()
                self._follow(Path(state.directory))
                return None
            if not (released(self._lease) or hung(state, boot_time(), hang)):
                return None
        epoch = self.standby.journal.head().epoch
        try:
            return LeaseFile.take(self._lease, hang=hang, epoch=epoch, **self.place.names())
        except LeadHeld as error:
            if str(error) != self._refused:
                self._refused = str(error)
                log.error("no promotion", error=self._refused)  # noqa: TRY400 - one line says it
            return None

    def status(self) -> dict[str, Any]:
        """What `lockstep status` shows."""
        head, lag = self.standby.journal.head(), self.standby.lag()
        return {
            "role": "standby",
            "follows": str(self.followed),
            "epoch": head.epoch,
            "sequence": head.sequence,
            "head": head.hash.hex(),
            "applied": self.standby.machine.engine.sequence,
            "digest": self.standby.machine.digest.value().hex(),
            "lag": lag.appended,
            "journal_bytes": self.standby.journal.used_bytes(),
            "snapshot": newest_snapshot(self.standby.journal.snapshots),
        }

    async def submit(self, _command: Command) -> list[dict[str, Any]]:
        """Nothing: a standby takes no commands."""
        raise NotTaken(f"this is a standby of {self.followed}")

    def promote(self, lead: LeaseFile, checker: Checker) -> Primary:
        """Become the one that leads; a lead that cannot be used is given back. What `Standby.promote` raises."""
        try:
            directory, sequencer = self.standby.promote(lead.epoch, self.clock.now(), lead, lead.before)
            self._bell.close()
            log.info("promoted", epoch=lead.epoch, sequence=directory.head().sequence)
            return _primary(self.place, directory, sequencer, lead, checker)
        except BaseException:
            # The former leader's journal too, before the lead: whoever takes that opens it for writing.
            self.close()
            lead.release()
            raise

    def close(self) -> None:
        """Give everything back."""
        self._bell.close()
        self.standby.close()


def _primary(
    place: Place, directory: JournalDirectory, sequencer: Sequencer, lead: LeaseFile, checker: Checker
) -> Primary:
    """What leads; under an epoch of its own, which the journal gets first."""
    clock = Clock(since=int(sequencer.machine.engine.now))
    if lead.epoch > directory.head().epoch:
        sequencer.promote(lead.epoch, clock.now())
    lead.tell(directory.head())
    primary = Primary(directory, sequencer, lead, place.config, clock=clock, checker=checker)
    where = place.config.listen
    tls = (where.tls_certificate, where.tls_key) if where.tls_key else None
    primary.children = Children(place.data, place.market_data, place.config.node.snapshot_rows, tls)
    return primary


async def _lead(
    place: Place, primary: Primary, admin: AdminServer, stopping: asyncio.Event, ready: Callable[[str], None]
) -> None:
    """Serve with the lead, until the signal or until something ends it."""
    admin.show(primary)
    running = asyncio.create_task(primary.run())
    waiting = asyncio.create_task(stopping.wait())
    servers = []
    try:
        await admin.start()
        servers = await listen(
            primary.gateway.connection,
            place.config.listen,
            insecure=place.insecure,
            handshake=place.config.limits.unauthenticated_seconds,
        )
        ready(f"primary at {place.address()}, epoch {primary.lead.epoch}, after row {primary.head().sequence}")
        await asyncio.wait([running, waiting], return_when=asyncio.FIRST_COMPLETED)
    finally:
        for server in servers:
            server.close()
        primary.stop()
        waiting.cancel()
        try:
            await running
        finally:
            await admin.stop()


def _signals() -> asyncio.Event:
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    return stopping
