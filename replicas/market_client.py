"""The market data client: the book of one instrument, kept through lost connections, lost rows and the change of the primary.

    client = MarketClient(["127.0.0.1:7101", "127.0.0.1:7102"], session=21, password="...", instrument=1)
    await client.connect()
    print(client.book.best(), client.book.number)

It begins with a snapshot and the rows behind it. From then on it knows which number comes next: after a lost connection or a
gap it goes on with the next address and asks for that number. Numbers are the same at every node, and here they never go back.
"""

import asyncio
import ssl
from collections.abc import Callable, Sequence
from typing import Final

from core.kinds import ROW_SIZE, Side
from journal.errors import Gap
from replicas import soup
from replicas.book_builder import BookBuilder, Impossible, Resting
from replicas.client_ledger import Broken
from replicas.client_link import Ended, Link, Timing, open_link, parse_address
from replicas.errors import FormError
from replicas.market_rows import SNAPSHOT_REQUEST, SnapshotEnd, parse_snapshot
from replicas.soup import PacketType, Refusal

ANSWER_SECONDS: Final = 5.0
"""How long a server may say nothing of the login or the snapshot that it is asked for."""
PAUSE_MIN: Final = 0.02
PAUSE_MAX: Final = 1.0
"""Seconds between two logins; doubled from one to the next while the book does not grow: a server counts logins."""
_REFUSALS_MAX: Final = 20
"""Times that a login which was good before is not authorised, in a row, before the client gives up."""


class MarketClient:
    """Reads one instrument. Not to be shared between event loops; `connect` and `close` alone wait."""

    def __init__(
        self,
        addresses: Sequence[str],
        session: int,
        password: str,
        instrument: int,
        *,
        on_change: Callable[[], None] | None = None,
        timing: Timing | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """Addresses are `HOST:PORT` or `unix:PATH` of market data listeners, the session is of the role MARKET_DATA.

        `on_change` is called behind the rows that came together, and once at the end. ValueError for an address that is none,
        FormError for a login that does not fit.
        """
        for address in addresses:
            parse_address(address)
        if not addresses:
            raise ValueError("a client needs an address")
        self._addresses = list(addresses)
        self._session, self._password = session, password.encode()
        soup.login(session, self._password, str(instrument))
        self._on_change, self._timing, self._tls = on_change, timing or Timing(), tls
        self.book = BookBuilder(instrument)
        """The book after every row that came; between two reads of the network, rows of one command may be missing."""
        self.gaps = 0
        """Times that a row or a part of a snapshot was missing, and was asked for again."""
        self.broken: Broken | None = None
        """What a server said that no server may say; the client has ended then."""
        self.end: Exception | None = None
        """What ended the client: Broken, or Ended; None while it goes on."""
        self.address = ""
        """Where the session is logged in, or tried to last."""
        self.troubles: dict[str, str] = {}
        """By address: why the last attempt there failed, or the last connection ended."""
        self._has_book = False
        self._unheld = 0
        self._task: asyncio.Task[None] | None = None
        self._telling = False
        self._link: Link | None = None
        self._begin_visit()

    def _begin_visit(self) -> None:
        """What is known of one connection."""
        self._afresh = not self._has_book or self._unheld >= len(self._addresses)
        self._refusal: Refusal | None = None
        self._synced = False
        self._ready: asyncio.Future[None] | None = None
        self._next = 0
        self._kept: list[bytes] = []
        self._orders: list[Resting] = []

    def __repr__(self) -> str:
        """Without the password."""
        where = f"at {self.address}" if self.connected else f"not connected, {self.troubles or 'not yet'}"
        return f"<MarketClient instrument {self.book.instrument} after {self.book.number} {where}>"

    @property
    def connected(self) -> bool:
        """Whether rows come: logged in, with a book that they follow."""
        return self._synced and self._link is not None and not self._link.ended.done()

    async def connect(self, seconds: float = 10.0) -> None:
        """Get the book for the first time. Ended if that cannot be done in time or every address refuses, Broken."""
        loop = asyncio.get_running_loop()
        first: asyncio.Future[None] = loop.create_future()
        self._task = loop.create_task(self._run(first))
        self._task.add_done_callback(self._stopped)
        done, _ = await asyncio.wait({first, self._task}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if first not in done:
            error = self.end or Ended(self._why())
            await self.close()
            raise error

    async def close(self) -> None:
        """Log out and end; the book stays as it is. Harmless when done twice."""
        link = self._link
        self._finish(Ended("the client was closed"))
        if link is not None and self.connected:
            link.write(soup.LOGOUT)
            link.close()
            await asyncio.wait({link.ended}, timeout=1.0)
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    # ---- the connection

    async def _run(self, first: asyncio.Future[None]) -> None:
        """Keep reading, going round the addresses."""
        at, pause, refusals = 0, PAUSE_MIN, 0
        while self.end is None:
            before = self.book.number
            await self._visit(self._addresses[at], first)
            if self._next:
                refusals = 0
            elif self._refusal == Refusal.NOT_AUTHORISED or (self._refusal and not first.done()):
                refusals += 1
                if refusals >= (_REFUSALS_MAX if first.done() else len(self._addresses)):
                    self._finish(Ended(self._why()))
            if self.book.number > before:
                pause = PAUSE_MIN
            at = (at + 1) % len(self._addresses)
            await asyncio.sleep(pause)
            pause = min(2 * pause, PAUSE_MAX)

    async def _visit(self, address: str, first: asyncio.Future[None]) -> None:
        """Connect, log in and read until the connection ends."""
        self._begin_visit()
        self._ready = ready = asyncio.get_running_loop().create_future()
        wanted = 0 if self._afresh else self.book.number + 1
        login = soup.login(self._session, self._password, str(self.book.instrument), wanted)
        self._link = link = Link(self, login, self._timing)
        self.address, self.troubles[address] = address, "no answer"
        try:
            if not await open_link(address, link, self._tls):
                self.troubles[address] = "no connection"
                return
            await self._wait_for_book(link, ready)
            if ready.done():
                if not first.done():
                    first.set_result(None)
                await asyncio.wait({link.ended})
        finally:
            link.abort()

    async def _wait_for_book(self, link: Link, ready: "asyncio.Future[None]") -> None:
        """As long as the answers to login and request go on."""
        come = None
        while not ready.done() and not link.ended.done() and come != (come := (self._next > 0, len(self._orders))):
            await asyncio.wait({ready, link.ended}, timeout=ANSWER_SECONDS, return_when=asyncio.FIRST_COMPLETED)

    def _why(self) -> str:
        reasons = ", ".join(f"{address}: {trouble}" for address, trouble in self.troubles.items())
        return f"no market data of instrument {self.book.instrument}: {reasons}"

    def _again(self, trouble: str) -> None:
        """Give this connection up, and try elsewhere."""
        self.troubles[self.address] = trouble
        if self._link is not None:
            self._link.abort()

    def _stopped(self, task: asyncio.Task[None]) -> None:
        """Whatever ended the task is told."""
        if not task.cancelled() and isinstance(error := task.exception(), Exception):
            self._finish(error)

    def _finish(self, error: Exception) -> None:
        if self.end is None:
            self.end = error
            self._changed()

    def fail(self, error: FormError) -> None:
        """The server said what no server may say: the client ends."""
        self.broken = error if isinstance(error, Broken) else Broken(str(error))
        self._finish(self.broken)

    # ---- what the server says

    def take(self, kind: int, payload: bytes) -> None:
        """A packet came. FormError, Broken."""
        if kind == PacketType.SEQUENCED:
            self._row(payload)
        elif kind == PacketType.UNSEQUENCED:
            self._snapshot_row(parse_snapshot(payload))
        elif kind == PacketType.ACCEPTED:
            self._accepted(soup.parse_accepted(payload))
        elif kind == PacketType.REJECTED:
            self._refusal = soup.parse_rejected(payload)
            self._unheld += self._refusal == Refusal.SESSION_NOT_AVAILABLE
            self._again(self._refusal.name.lower().replace("_", " "))
        elif kind == PacketType.END_OF_SESSION:
            self._again("the server ended the session")

    def _accepted(self, accepted: soup.Accepted) -> None:
        book = self.book
        wanted = 0 if self._afresh else book.number + 1
        named = accepted.session == str(book.instrument)
        if self._next or not named or accepted.sequence != (wanted or max(accepted.sequence, 1)):
            raise Broken(f"instrument {book.instrument} from {wanted} was asked for, and {accepted} is the answer")
        self._next = accepted.sequence
        if wanted:
            self._is_ready()
        elif self._link is not None:
            self._link.write(SNAPSHOT_REQUEST)

    def _row(self, row: bytes) -> None:
        if len(row) != ROW_SIZE or not self._next:
            raise Broken(f"a sequenced packet of {len(row)} bytes; {self._next} is the next number")
        number = int.from_bytes(row[-8:], "little", signed=True)
        if number > self._next:
            self._lost(f"row {number} came, {self._next} is the next")
            return
        if number < self._next:
            raise Broken(f"market data {number} of instrument {self.book.instrument} comes after {self._next - 1}")
        self._next += 1
        if self._synced:
            self._apply(row, number)
        else:
            self._kept.append(row)

    def _apply(self, row: bytes, number: int) -> None:
        if number <= self.book.number:
            return  # The snapshot was ahead of the rows, and holds it.
        try:
            self.book.apply(row)
        except (Gap, Impossible) as error:
            raise Broken(str(error)) from None
        self._changed()

    def _snapshot_row(self, row: Resting | SnapshotEnd | None) -> None:
        if row is None or self._synced or not self._next:
            return
        if isinstance(row, SnapshotEnd):
            self._begin(row)
        elif row.side not in tuple(Side) or row.leaves < 1:
            raise Broken(f"a snapshot with {row}")
        else:
            self._orders.append(row)

    def _begin(self, end: SnapshotEnd) -> None:
        """The snapshot is whole: begin with it, and go on with the rows that came meanwhile."""
        first = self._next - len(self._kept)
        if end.instrument != self.book.instrument or len({o.order_number for o in self._orders}) < len(self._orders):
            raise Broken(f"a snapshot of instrument {end.instrument}, or with an order twice")
        if end.number < self.book.number:
            self._again(f"it has not told {self.book.number} yet")
            return
        if end.orders != len(self._orders) or first > end.number + 1:
            self._lost(f"{len(self._orders)} of {end.orders} orders after {end.number}, rows from {first} on")
            return
        self.book.restore(self._orders, end.number, end.state)
        self._has_book = True
        self._is_ready()
        for number, row in enumerate(self._kept, first):
            self._apply(row, number)
        self._kept, self._orders = [], []

    def _lost(self, what: str) -> None:
        self.gaps += 1
        self._again(f"a gap: {what}")

    def _is_ready(self) -> None:
        self._synced, self._unheld = True, 0
        self.troubles[self.address] = "the connection was lost"
        if self._ready is not None and not self._ready.done():
            self._ready.set_result(None)
        self._changed()

    def _changed(self) -> None:
        """Tell it once for all that comes with one read."""
        if self._on_change is not None and not self._telling:
            self._telling = True
            asyncio.get_running_loop().call_soon(self._tell)

    def _tell(self) -> None:
        self._telling = False
        if self._on_change is not None:
            self._on_change()
