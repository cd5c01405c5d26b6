"""The client library: a session that survives the loss of its connection and the change of the primary.

    client = Client(["127.0.0.1:7001", "127.0.0.1:7002"], session=1, password="...")
    await client.connect()
    inbound = client.send(EnterOrder(...))
    for row in await client.answer(inbound):
        print(from_row(row))

Commands are numbered here and kept until they are answered. After a lost connection the client goes on with the next
address: it asks for the events that it lacks by outbound number, and then repeats what has no answer, with the same numbers
and bytes. The server recognises what it has taken already, so nothing is done twice.
"""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Final

from core.kinds import ROW_SIZE
from core.messages import Command
from core.parts import parts_of
from core.rows import to_row
from journal.journal import Head
from replicas import soup
from replicas.client_ledger import Broken, Entry, Ledger
from replicas.client_link import Ended, Link, Timing, open_link, parse_address
from replicas.client_send import PAUSE_MAX, PAUSE_MIN, Sender, refuse_unsendable
from replicas.errors import FormError
from replicas.soup import NoticeKind, PacketType, Refusal

LOGIN_SECONDS: Final = 5.0
WINDOW: Final = 1_024
"""Commands on their way at most; a server remembers the answers to the last 4,096."""
REFUSED_SECONDS: Final = 1.0
"""Between two attempts to log in where the first was not authorised; a server counts them."""
_REFUSALS_MAX: Final = 20
"""Times that a login which was good before is not authorised, in a row, before the client gives up."""


class Client:
    """One session. Not to be shared between event loops; everything but `connect`, `answer` and `close` returns at once."""

    def __init__(
        self,
        addresses: Sequence[str],
        session: int,
        password: str,
        *,
        on_event: Callable[[bytes], None] | None = None,
        start: int = 0,
        window: int = WINDOW,
        timing: Timing | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """Addresses are `HOST:PORT` or `unix:PATH`. `on_event` gets every event row told to the session, in order, once.

        `start`: the first outbound number wanted, 0 for what comes from now on. `window`: commands that are on their way
        at most; others wait here. ValueError for an address that is none, FormError for a login that does not fit.
        """
        for address in addresses:
            parse_address(address)
        if not addresses or not 1 <= window <= 4_096 - WINDOW:
            raise ValueError("a client needs an address, and a window of 1 to 3,072 commands")
        self._addresses = list(addresses)
        self._password = password.encode()
        soup.login(session, self._password)
        self._start = start
        self._timing, self._tls = timing or Timing(), tls
        self._on_event = on_event
        self.ledger = Ledger(session)
        self.broken: Broken | None = None
        """What the server said that no server may say; the client has ended then."""
        self.address = ""
        """Where the session is logged in, or tried to last."""
        self.troubles: dict[str, str] = {}
        """By address: why the last attempt to log in there failed."""
        self._end: Exception | None = None
        self._sender = Sender(self.ledger, window)
        self._link: Link | None = None
        self._ready: asyncio.Future[bool] | None = None
        self._task: asyncio.Task[None] | None = None
        self._waiting: dict[int, asyncio.Future[list[bytes]]] = {}
        self._queues: list[asyncio.Queue[bytes | None]] = []

    def __repr__(self) -> str:
        """Without the password."""
        unanswered = self.ledger.next - self.ledger.oldest
        where = f"at {self.address}" if self.connected else f"not logged in, {self.troubles or 'not yet'}"
        return f"<Client session {self.ledger.session} {where}, {unanswered} unanswered>"

    @property
    def connected(self) -> bool:
        """Whether the session is logged in."""
        return self._ready is not None and self._ready.done() and self._ready.result() and self._link is not None

    async def connect(self, seconds: float = 10.0) -> None:
        """Log in for the first time. Ended if that cannot be done in time, Broken for a server that says what none may."""
        loop = asyncio.get_running_loop()
        first: asyncio.Future[None] = loop.create_future()
        self._task = loop.create_task(self._run(first))
        self._task.add_done_callback(self._stopped)
        done, _ = await asyncio.wait({first, self._task}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if first not in done:
            error = self._end or Ended(f"no server at {', '.join(self._addresses)}")
            await self.close()
            raise error

    def send(self, command: Command) -> int:
        """Send a command when its turn comes; its sequence number, time, session and inbound number are written here.

        Returns the inbound number. ValueError for a kind that no session may send, or that need not be answered
        (AdvanceTime); the error that ended the client.
        """
        return self.send_rows(to_row(command), 1)

    def send_parts(self, head: Command, parts: Sequence[Command]) -> int:
        """The same for a command of several parts; returns the inbound number of the last part, which gets the answer.

        ValueError too where the parts are not those that the head announces.
        """
        return self.send_rows(b"".join(map(to_row, (head, *parts))), 1 + len(parts)) + len(parts)

    def send_rows(self, rows: bytes, count: int) -> int:
        """The same for `count` rows that are built already; returns the inbound number of the first.

        A command of several parts stands whole among them. Its answer is that of each of its rows.
        """
        if self._end is not None:
            raise self._end
        if self.ledger.first == 0:
            raise Ended("connect before you send")
        refuse_unsendable(rows, count)
        first = self.ledger.next
        at = 0
        while at < len(rows):
            end = at + (parts_of(rows, at) + 1) * ROW_SIZE
            self.ledger.enter_parts([rows[begin : begin + ROW_SIZE] for begin in range(at, end, ROW_SIZE)])
            at = end
        self._sender.send_soon()
        return first

    async def answer(self, inbound: int) -> list[bytes]:
        """All event rows that answer a command, however long it takes. ValueError for a number that is not kept.

        The error that ended the client, if that comes first: then nobody knows here whether the command took effect.
        """
        entry = self.ledger.entries.get(inbound)
        if entry is not None:
            entry = self.ledger.entries.get(entry.last)
        if entry is None:
            raise ValueError(f"no command of inbound number {inbound} is kept")
        if not entry.answered_ns:
            if self._end is not None:
                raise self._end
            future = self._waiting.get(entry.inbound)
            if future is None:
                future = self._waiting[entry.inbound] = asyncio.get_running_loop().create_future()
            await asyncio.shield(future)
        return list(entry.answer)

    async def events(self) -> AsyncIterator[bytes]:
        """Every event row told to the session from now on, until the client ends; Broken if that is why it ended."""
        queue: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._queues.append(queue)
        try:
            while self._end is None or not queue.empty():
                row = await queue.get()
                if row is None:
                    break
                yield row
        finally:
            self._queues.remove(queue)
        if self.broken is not None:
            raise self.broken

    async def close(self) -> None:
        """Log out and end; harmless when done twice."""
        link = self._link if self.connected else None
        self._finish(Ended("the client was closed"))
        if link is not None:
            link.write(soup.LOGOUT)
            link.close()
            await asyncio.wait({link.ended}, timeout=1.0)
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    # ---- the connection

    async def _run(self, first: asyncio.Future[None]) -> None:
        """Keep the session logged in, going round the addresses."""
        at, pause, refusals = 0, PAUSE_MIN, 0
        while self._end is None:
            answer = await self._log_in(self._addresses[at])
            if answer is True and self._link is not None:
                pause, refusals = PAUSE_MIN, 0
                if not first.done():
                    first.set_result(None)
                self._sender.attach(self._link)
                await asyncio.wait({self._link.ended})
                self._sender.detach()
            elif answer is False:
                refusals += 1
                pause = REFUSED_SECONDS
                if refusals >= (_REFUSALS_MAX if first.done() else len(self._addresses)):
                    self._finish(Ended(f"{self._addresses[at]}: session {self.ledger.session} is not authorised"))
                    return
            self._link = None
            at = (at + 1) % len(self._addresses)
            await asyncio.sleep(pause)
            pause = min(2 * pause, PAUSE_MAX)

    async def _log_in(self, address: str) -> bool | None:
        """Connect and log in: True when the server is ready, False where it does not authorise, None for all else."""
        wanted = self.ledger.outbound if self.ledger.first_outbound else self._start
        login = soup.login(self.ledger.session, self._password, soup.VENUE, wanted)
        self._link = link = Link(self, login, self._timing)
        self._ready = ready = asyncio.get_running_loop().create_future()
        self.troubles[address] = "no connection"
        if not await open_link(address, link, self._tls):
            return None
        self.address, self.troubles[address] = address, "the login was not answered"
        await asyncio.wait({ready, link.ended}, timeout=LOGIN_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        answer = ready.result() if ready.done() else None
        if answer is True:
            del self.troubles[address]
        else:
            link.abort()
        return answer

    def take(self, kind: int, payload: bytes) -> None:
        """A packet came. FormError, Broken."""
        if kind == PacketType.SEQUENCED:
            self._tell(payload)
        elif kind == PacketType.UNSEQUENCED:
            self._notice(payload)
        elif kind == PacketType.SERVER_HEARTBEAT:
            self._done(self.ledger.settle(time.monotonic_ns()))
        elif kind == PacketType.ACCEPTED:
            self.ledger.begin(soup.parse_accepted(payload).sequence)
        elif kind == PacketType.REJECTED:
            refusal = soup.parse_rejected(payload)
            self.troubles[self.address] = refusal.name.lower().replace("_", " ")
            if refusal == Refusal.NOT_AUTHORISED:
                self._is_ready(ready=False)
        elif kind == PacketType.END_OF_SESSION and self._link is not None:
            self._link.abort()

    def fail(self, error: FormError) -> None:
        """The server said what no server may say: the client ends."""
        self.broken = error if isinstance(error, Broken) else Broken(str(error))
        self._finish(self.broken)

    def _stopped(self, task: asyncio.Task[None]) -> None:
        """Whatever ended the task reaches those who wait."""
        if not task.cancelled() and isinstance(error := task.exception(), Exception):
            self._finish(error)

    def _finish(self, error: Exception) -> None:
        if self._end is not None:
            return
        self._end = error
        self._sender.detach()
        for future in self._waiting.values():
            future.set_exception(error)
            future.exception()
        self._waiting.clear()
        for queue in self._queues:
            queue.put_nowait(None)

    # ---- what the server says

    def _tell(self, row: bytes) -> None:
        if len(row) != ROW_SIZE:
            raise Broken(f"a sequenced packet of {len(row)} bytes")
        now = time.monotonic_ns()
        self._done(self.ledger.tell(row, now))
        self._done(self.ledger.caught_up(now))
        self._sender.send_soon()
        if self._on_event is not None:
            self._on_event(row)
        for queue in self._queues:
            queue.put_nowait(row)

    def _done(self, entry: Entry | None) -> None:
        """The answer to a command is complete."""
        if entry is None:
            return
        future = self._waiting.pop(entry.inbound, None)
        if future is not None:
            future.set_result(entry.answer)
        self._sender.answered()

    def _notice(self, payload: bytes) -> None:
        if len(payload) == ROW_SIZE:
            self.ledger.again(payload)
            return
        notice, now = soup.parse_notice(payload), time.monotonic_ns()
        if notice.kind == NoticeKind.HEAD:
            self._done(self.ledger.see(Head(notice.a, notice.b, notice.c), now))
        elif notice.kind == NoticeKind.NEXT:
            self._done(self.ledger.resume(notice.a, notice.b, now))
            self._is_ready(ready=True)
        elif notice.kind == NoticeKind.BUSY:
            self._sender.busy(notice.a)
        elif notice.kind == NoticeKind.GAP:
            self._sender.gap(notice.a)
        elif notice.kind == NoticeKind.REFUSED:
            self._sender.refused(notice.a, notice.b)

    def _is_ready(self, *, ready: bool) -> None:
        if self._ready is not None and not self._ready.done():
            self._ready.set_result(ready)
