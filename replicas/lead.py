"""The lead: whether this node is the one writer of its venue, and under which epoch.

Whatever appends, answers or publishes asks it first. A node knows nothing else of where the lead comes from: a lease on
one machine (replicas/lease.py), or its twin in memory for tests and simulation.
"""

from typing import Protocol

from journal.errors import Damaged, JournalError
from journal.journal import Head


class Deposed(JournalError):
    """This node is not the writer any more, and never again with this lead; nothing may be appended or answered."""


class LeadHeld(JournalError):
    """The lead cannot be had: its holder lives, may not be killed, or there is no lease to take."""


class Superseded(JournalError):
    """The venue went on in another journal, and this one lacks what was acknowledged there: it must not serve."""

    def __init__(self, directory: str, reason: str) -> None:
        super().__init__(f"the venue went on in {directory}: {reason}")
        self.directory = directory


class CorruptLease(Damaged):
    """The lease cannot be read. Make sure that no node runs, and delete it; the journals are not touched by that."""


class Lead(Protocol):
    """The right to write. Every error is a `Deposed`, and final."""

    @property
    def epoch(self) -> int:
        """The epoch under which this node writes; no other node ever has the same one."""

    def check(self) -> None:
        """Deposed unless this node is still the one writer; asked before every append, answer and publication."""

    def tell(self, head: Head) -> None:
        """Tell progress: the head after a commit, and the same one again as an idle tick. Deposed."""

    def release(self) -> None:
        """Give the lead back, on a clean stop; harmless when done twice."""


class MemoryLead:
    """The lead of a node that is alone in its process. It is lost when a test says so."""

    def __init__(self, epoch: int = 1, *, revoke_at: int = 0) -> None:
        """Hold the lead, and lose it at the n-th ask, counted from 1 (0: never)."""
        self.epoch = epoch
        self.asked = 0
        """How often `check` and `tell` were called."""
        self.told: list[Head] = []
        """The heads that were told while the lead was held."""
        self.revoke_at = revoke_at
        self._lost = ""

    def check(self) -> None:
        """Deposed once it was revoked or released."""
        self.asked += 1
        if self.asked == self.revoke_at:
            self.revoke()
        if self._lost:
            raise Deposed(f"epoch {self.epoch}: the lead was {self._lost}")

    def tell(self, head: Head) -> None:
        """Keep the head. Deposed."""
        self.check()
        self.told.append(head)

    def revoke(self) -> None:
        """Take the lead away, as another node does."""
        self._lost = self._lost or "revoked"

    def release(self) -> None:
        """Give the lead back; harmless when done twice."""
        self._lost = self._lost or "released"
