"""What is on its way: the commands of a ledger, sent in order, again after a new login, and later where that is asked."""

import asyncio
import time
from typing import Final

from core.kinds import ROW_SIZE, CommandKind
from core.parts import is_part, part_of, parts_of
from core.wire import sendable
from replicas import soup
from replicas.client_ledger import Broken, Ledger
from replicas.client_link import Link
from replicas.soup import FormReason

PAUSE_MIN: Final = 0.02
PAUSE_MAX: Final = 0.2
"""Seconds between two attempts, to connect or to send what the server was too busy for; doubled from one to the next."""


class Sender:
    """Sends what a ledger holds, at most `window` commands ahead of the oldest one without an answer."""

    def __init__(self, ledger: Ledger, window: int) -> None:
        self._ledger = ledger
        self._window = window
        self._link: Link | None = None
        self._cursor = 0
        self._soon: asyncio.Handle | None = None
        self._later: asyncio.TimerHandle | None = None
        self._busy = False
        self._pause = PAUSE_MIN
        self._gap = 0

    def attach(self, link: Link) -> None:
        """A connection is logged in: whatever has no answer is sent, from the oldest on.

        It waits for the events that were missing: most commands that the server has taken are answered by them, and a
        repeat costs a server more than a message.
        """
        self.detach()
        self._link = link
        self._cursor = self._ledger.oldest
        self._gap = 0
        self.send()

    def detach(self) -> None:
        """The connection is lost."""
        self._link = None
        self._busy = False
        if self._later is not None:
            self._later.cancel()
            self._later = None

    def send_soon(self) -> None:
        """Send when the caller has returned, so that what it still adds goes out with it."""
        if self._soon is None and self._link is not None:
            self._soon = asyncio.get_running_loop().call_soon(self.send)

    def answered(self) -> None:
        """A command was answered: there is room for another."""
        self._pause = PAUSE_MIN
        self.send_soon()

    def send(self) -> None:
        """Send what the window allows."""
        self._soon = None
        ledger = self._ledger
        end = min(ledger.next, ledger.oldest + self._window)
        self._cursor = max(self._cursor, ledger.oldest)
        if self._link is None or self._busy or ledger.behind or self._cursor >= end:
            return
        now, packets = time.monotonic_ns(), []
        # A command of several parts goes out whole.
        end = ledger.entries[end - 1].last + 1
        for number in range(self._cursor, end):
            entry = ledger.entries[number]
            entry.sent_ns = entry.sent_ns or now
            packets.append(soup.unsequenced(soup.message(entry.row)))
        self._cursor = end
        self._link.write(b"".join(packets))

    def busy(self, inbound: int) -> None:
        """The server took neither this command nor any after it: nothing is sent until a pause is over."""
        self._check(inbound)
        self._busy = True
        self._again_later(self._pause)
        self._pause = min(2 * self._pause, PAUSE_MAX)

    def gap(self, inbound: int) -> None:
        """The server expects this command: it is sent again with all after it.

        Every message behind the missing one is answered so. The first of these answers is followed at once; the others
        only, after the longest pause, if the command has no answer by then.
        """
        self._check(inbound)
        if self._busy or inbound == self._gap:
            if self._later is None:
                self._again_later(PAUSE_MAX)
            return
        self._gap = inbound
        self._cursor = min(self._cursor, inbound)
        self.send()

    def refused(self, inbound: int, reason: int) -> None:
        """A message was no command. One that was consumed before this login is answered by its outbound numbers."""
        if reason != FormReason.INBOUND_TOO_OLD or inbound >= self._ledger.expected:
            name = FormReason(reason).name if reason in set(FormReason) else f"form reason {reason}"
            raise Broken(f"inbound number {inbound} was refused: {name}")

    def _check(self, inbound: int) -> None:
        if inbound > self._ledger.next:
            raise Broken(f"inbound number {inbound} is expected, although {self._ledger.next} was never sent from here")

    def _again_later(self, seconds: float) -> None:
        if self._later is not None:
            self._later.cancel()
        self._later = asyncio.get_running_loop().call_later(seconds, self._again, self._ledger.oldest)

    def _again(self, oldest: int) -> None:
        """Send again from the oldest command without an answer on, unless the server has gone on by itself."""
        self._later = None
        if self._busy or self._ledger.oldest == oldest:
            self._cursor = min(self._cursor, self._ledger.oldest)
        self._busy = False
        self.send()


def refuse_unsendable(rows: bytes, count: int) -> None:
    """ValueError unless these are `count` rows of commands that a session may send, and that are always answered."""
    if len(rows) != count * ROW_SIZE or count < 1:
        raise ValueError(f"{len(rows)} bytes are not {count} rows")
    head = parts = 0
    for at in range(0, len(rows), ROW_SIZE):
        kind = int.from_bytes(rows[at : at + 8], "little", signed=True)
        if kind == CommandKind.ADVANCE_TIME or not sendable(kind):
            raise ValueError(f"a client sends no command of kind {kind}")
        if kind != (part_of(head) if parts else kind) or (is_part(kind) and not parts):
            raise ValueError(f"a command of several parts, and a row of kind {kind} in it that does not belong there")
        head, parts = (head, parts - 1) if parts else (kind, parts_of(rows, at))
    if parts:
        raise ValueError(f"{parts} parts of a command are missing")
