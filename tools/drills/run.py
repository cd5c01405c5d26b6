"""The rounds of a drill: load, a fault, recovery, comparison."""

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import msgspec

from journal import snapshots
from journal.directory import JournalDirectory
from journal.errors import JournalError
from replicas.client_ledger import Broken
from replicas.client_link import Ended
from tools.drills import load as drill_load
from tools.drills.checks import (
    Auditor,
    Findings,
    compare_digest,
    compare_head,
    compare_journals,
    compare_ledger,
    compare_snapshots,
)
from tools.drills.disks import Disk
from tools.drills.load import Trader
from tools.drills.nodes import DECK, DISK_FAULTS, FAULTS, WAIT_SECONDS, Nodes
from tools.failures import Failure

HANG_SECONDS: Final = 0.5
NO_DISKS: Final[Mapping[str, Disk]] = {}
_NS: Final = 10**9
_TOLD_SECONDS: Final = 10.0
_LOAD: Final = 1_000


class Result(msgspec.Struct):
    """What a drill comes to; `lockstep drill --json` prints it."""

    seed: int
    rounds: int = 0
    faults: dict[str, int] = {}
    takeovers: int = 0
    under_load: int = 0
    """Rounds that ended in a takeover with more than 1,000 commands acknowledged in them."""
    sent: int = 0
    acknowledged: int = 0
    told: int = 0
    rows: int = 0
    snapshots: int = 0
    lost: int = 0
    doubled: int = 0
    different: int = 0
    takeover_ms: dict[str, float] = {}
    notes: list[str] = []

    def good(self) -> bool:
        """Whether nothing was lost, doubled or different."""
        return not (self.lost or self.doubled or self.different)


class Drill:
    """One venue on two nodes, under load, for any number of rounds."""

    def __init__(
        self,
        folder: Path,
        seed: int,
        clients: int,
        say: Callable[[str], None],
        deck: Sequence[str] = DECK,
        disks: Mapping[str, Disk] = NO_DISKS,
    ) -> None:
        """Two nodes and their clients on the venue of node `a`, which is there already; `say` gets a line for each round.

        The faults come in the order of the deck, shuffled anew each time that it has been gone through.
        """
        self._rng = random.Random(seed)
        self._deck = deck
        self._faults: list[str] = []
        self._say = say
        self._nodes = Nodes(folder, HANG_SECONDS, disks)
        self._traders = [Trader(self._nodes.addresses, number, seed) for number in range(1, clients + 1)]
        self._auditor: Auditor | None = None
        self._findings = Findings()
        self.result = Result(seed)

    async def run(self, rounds: int) -> Result:
        """Go through the rounds; stops at the first that finds something. Failure, Ended, Broken, JournalError."""
        try:
            await self._nodes.begin()
            await drill_load.connect(self._traders, WAIT_SECONDS)
            for _ in range(rounds):
                await self._round()
                if not self._findings.good():
                    break
        finally:
            self._sum_up()
            for trader in self._traders:
                await trader.client.close()
            self._nodes.close()
        return self.result

    async def _round(self) -> None:
        if not self._faults:
            self._faults = self._rng.sample(self._deck, len(self._deck))
        name, before = self._faults.pop(), self._findings.acknowledged
        wait, later, after = self._rng.uniform(0.2, 0.8), self._rng.uniform(0, 0.3), self._rng.uniform(0.1, 0.4)
        for trader in self._traders:
            trader.begin()
        await asyncio.sleep(wait)
        await (FAULTS | DISK_FAULTS)[name](self._nodes, later)
        recovering = asyncio.create_task(self._nodes.recover())
        await asyncio.sleep(after)
        await recovering
        await drill_load.pause(self._traders, WAIT_SECONDS)
        statuses = await self._nodes.caught_up()
        await asyncio.to_thread(self._audit)
        await self._all_told()
        self._compare(statuses)
        self._tell(name, self._findings.acknowledged - before)

    def _tell(self, fault: str, acknowledged: int) -> None:
        result, times = self.result, self._takeover_times()
        result.rounds += 1
        result.faults[fault] = result.faults.get(fault, 0) + 1
        took = f", taken over in {' and '.join(f'{time:.0f}' for time in times[result.takeovers :])} ms"
        took = took if len(times) > result.takeovers else ""
        result.under_load += len(times) > result.takeovers and acknowledged > _LOAD
        result.takeovers = len(times)
        self._say(f"round {result.rounds}: {fault}{took}; {self._findings.acknowledged:,} acknowledged so far")

    # ---- comparison: nothing is sent while it goes on

    def _audit(self) -> None:
        """Replay what the primary's journal has more, and compare both journals and all snapshots with it."""
        with ExitStack() as stack:
            journals = []
            for node in (self._nodes.primary, self._nodes.standby):
                journals.append(JournalDirectory(node.data))
                stack.callback(journals[-1].close)
            if self._auditor is None:
                self._auditor = Auditor(journals[0])
            first = self._auditor.sequence + 1
            wanted = {sequence for journal in journals for sequence in snapshots.stored(journal.snapshots)}
            states = self._auditor.advance(journals[0], {sequence for sequence in wanted if sequence >= first})
            compare_journals(journals[0], journals[1], first, self._findings)
            for journal in journals:
                self.result.snapshots += compare_snapshots(
                    journal.path.name, journal.snapshots, journal, states, self._findings
                )
            for trader in self._traders:
                compare_head(trader.client.ledger, journals[0], self._findings)

    async def _all_told(self) -> None:
        """Wait for the last events on their way to the clients, as long as they may take."""
        assert self._auditor is not None
        truth = self._auditor.truth
        try:
            async with asyncio.timeout(_TOLD_SECONDS):
                for trader in self._traders:
                    ledger = trader.client.ledger
                    while ledger.outbound <= truth.told(ledger.session):  # noqa: ASYNC110 - they come in by the socket
                        await asyncio.sleep(0.005)
        except TimeoutError:
            pass  # The comparison counts them.

    def _compare(self, statuses: tuple[dict[str, Any], dict[str, Any]]) -> None:
        assert self._auditor is not None
        for node, status in zip((self._nodes.primary, self._nodes.standby), statuses, strict=True):
            compare_digest(node.name, status["applied"], status["digest"], self._auditor, self._findings)
        for trader in self._traders:
            ledger = trader.client.ledger
            compare_ledger(ledger, self._auditor.truth, self._findings)
            ledger.forget(ledger.oldest - 1)
            ledger.forget_rows()
        self._auditor.forget()

    # ---- the result

    def _sum_up(self) -> None:
        findings, result = self._findings, self.result
        for trader in self._traders:
            if trader.client.broken is not None:
                findings.note("different", f"{trader.client!r}: {trader.client.broken}")
        result.sent = sum(trader.client.ledger.next - trader.client.ledger.first for trader in self._traders)
        result.acknowledged, result.told = findings.acknowledged, findings.told
        result.lost, result.doubled, result.different = findings.lost, findings.doubled, findings.different
        result.notes = findings.notes
        result.rows = self._auditor.sequence if self._auditor else 0
        times = sorted(self._takeover_times())
        result.takeovers = len(times)
        if times:
            result.takeover_ms = {
                "p50": times[(len(times) - 1) // 2],
                "p99": times[(len(times) * 99 + 99) // 100 - 1],
                "max": times[-1],
            }

    def _takeover_times(self) -> list[float]:
        """For each epoch that began: milliseconds from the last answer before it, to any client, to the first under it."""
        last: dict[int, int] = {}
        first: dict[int, int] = {}
        for trader in self._traders:
            for takeover in trader.client.ledger.takeovers:
                epoch = takeover.epoch
                last[epoch] = max(takeover.last_ns, last.get(epoch, 0))
                first[epoch] = min(takeover.first_ns, first.get(epoch, takeover.first_ns))
        return [round((first[epoch] - last[epoch]) * 1_000 / _NS, 1) for epoch in sorted(first)]


def run(
    folder: Path,
    rounds: int,
    seed: int,
    clients: int,
    say: Callable[[str], None],
    deck: Sequence[str] = DECK,
    disks: Mapping[str, Disk] = NO_DISKS,
) -> Result:
    """A whole drill in a folder; node `a` holds the venue. What ends it early is counted and told in the result's notes."""
    drill = Drill(folder, seed, clients, say, deck, disks)
    try:
        return asyncio.run(drill.run(rounds))
    except (Broken, Ended, Failure, JournalError) as error:
        result = drill.result
        result.different += 1
        result.notes = [*result.notes, f"round {result.rounds + 1}: {type(error).__name__}: {error}"]
        return result
