"""The market data process of a node: follows its event store and serves those who only read (docs/market-data.md).

MARKET_DATA logins get an instrument's market data, DROP_COPY logins the drop copy of their firm.

    python -m replicas.market_data DIR --listen HOST:PORT

It prints `market data on HOST:PORT` once it has caught up and listens, and dies with the process that started it.
"""

import argparse
import asyncio
import os
import signal
import ssl
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Final

from journal.errors import JournalError
from replicas import passwords, soup
from replicas.feed import DOORBELL
from replicas.limits import MIB, Limits, host_and_port
from replicas.listening import context
from replicas.market_feed import MarketFeed
from replicas.market_reader import Reader
from replicas.market_rows import sequenced_rows
from replicas.market_series import Series
from replicas.passwords import AddressLimiter, Checker
from replicas.soup import Refusal

try:
    from uvloop import new_event_loop as _fast
except ImportError:
    _new_event_loop: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop
else:
    _new_event_loop = _fast

OUTBOUND_BYTES: Final = MIB
"""What may wait to be sent to one reader of live rows before it is cut."""
POLL_SECONDS: Final = 0.005
"""How often the event store is looked at when nothing rings."""
SWEEP_SECONDS: Final = 0.25
RECONNECT_SECONDS: Final = 1.0


class MarketDataServer:
    """Tells every logged in reader the rows of its series. One thread: a step and its telling are not interrupted."""

    def __init__(
        self,
        feed: MarketFeed,
        checker: Checker,
        limits: Limits | None = None,
        *,
        poll: float = POLL_SECONDS,
    ) -> None:
        """Serve what the feed has and gets; `poll` in seconds. `causes` counts why connections ended."""
        self.limits = limits or Limits(outbound_bytes=OUTBOUND_BYTES)
        self.causes: Counter[str] = Counter()
        self._feed = feed
        self._checker = checker
        self._poll = poll
        self._logins = AddressLimiter(self.limits.logins_per_minute)
        self._readers: set[Reader] = set()
        self._attached: dict[Series, dict[int, Reader]] = {}
        self._rung = asyncio.Event()
        self._listener: asyncio.Server | None = None
        self._broken: JournalError | None = None

    async def listen(self, host: str, port: int, tls: ssl.SSLContext | None = None) -> tuple[str, int]:
        """Accept connections, through TLS where a context is given; host and port as they are bound. OSError."""
        self._listener = await asyncio.get_running_loop().create_server(
            lambda: Reader(self), host or None, port, ssl=tls,
            ssl_handshake_timeout=self.limits.unauthenticated_seconds if tls else None,
        )  # fmt: skip
        bound = self._listener.sockets[0].getsockname()
        return str(bound[0]), int(bound[1])

    async def run(self, doorbell: Path | None = None) -> None:
        """Follow until it is canceled. An ExceptionGroup with the JournalError after which nothing may be served."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._follow())
            tasks.create_task(self._sweep())
            if doorbell is not None:
                tasks.create_task(self._listen_to(doorbell))

    async def _follow(self) -> None:
        while True:
            self._rung.clear()
            if self._broken is not None:
                raise self._broken
            told = self._feed.step()
            if told is None:
                await self._wait()
                continue
            for series, rows in told.items():
                readers = self._attached.get(series)
                if readers:
                    self._tell(list(readers.values()), series, rows)
            await asyncio.sleep(0)

    async def _wait(self) -> None:
        timer = asyncio.get_running_loop().call_later(self._poll, self._rung.set)
        try:
            await self._rung.wait()
        finally:
            timer.cancel()

    async def _listen_to(self, doorbell: Path) -> None:
        """Look at the event store whenever the writer rings; while there is no doorbell the poll has to do."""
        while True:
            try:
                reader, writer = await asyncio.open_unix_connection(str(doorbell))
            except OSError:
                await asyncio.sleep(RECONNECT_SECONDS)
                continue
            # What was rung before the connection stood, or after it ended, is not told: looking costs little.
            self._rung.set()
            with closing(writer), suppress(OSError):
                while await reader.read(4096):
                    self._rung.set()

    def _tell(self, readers: list[Reader], series: Series, rows: list[bytes]) -> None:
        packets = sequenced_rows(rows) + series.notices()
        for reader in readers:
            reader.tell(packets, len(rows))

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            now = asyncio.get_running_loop().time()
            for reader in list(self._readers):
                reader.sweep(now)

    # ---- what a reader asks

    def admit(self, reader: Reader) -> str | None:
        """Why one more connection is refused, or None."""
        if len(self._readers) >= self.limits.connections:
            return "connections"
        same = sum(other.address == reader.address for other in self._readers)
        if same >= self.limits.connections_per_address:
            return "connections_per_address"
        self._readers.add(reader)
        return None

    async def log_in(self, login: soup.Login, address: str) -> Series | Refusal:
        """What the login reads, or why it is rejected. passwords.PasswordError if the password could not be checked."""
        if not self._logins.allow(address, int(asyncio.get_running_loop().time() * 1e9)):
            return Refusal.NOT_AUTHORISED
        number = login.number()
        granted = self._feed.sessions.get(number)
        credential = granted.credential if granted is not None else None
        right = await self._checker.check(login.password, *(credential or passwords.to_check(None)))
        # The password may have been changed while it was checked.
        if not right or granted is None or credential is None or self._feed.sessions.get(number) != granted:
            return Refusal.NOT_AUTHORISED
        series = self._feed.wanted(granted, login.session)
        if series is None or not series.holds(login.sequence):
            return Refusal.SESSION_NOT_AVAILABLE
        return series

    def attach(self, reader: Reader, series: Series, session: int) -> None:
        """From now on the reader is told the live rows of the series; one of the same session there ends."""
        readers = self._attached.setdefault(series, {})
        older = readers.get(session)
        readers[session] = reader
        if older is not None:
            older.end("newer login")

    def detach(self, reader: Reader, cause: str) -> None:
        """The connection is gone."""
        self.causes[cause] += 1
        self._readers.discard(reader)
        readers = self._attached.get(reader.series, {}) if reader.series is not None else {}
        for session in [session for session, other in readers.items() if other is reader]:
            del readers[session]

    def broken(self, error: JournalError) -> None:
        """What the store holds is not what the engine wrote: `run` ends with this."""
        self._broken = error
        self._rung.set()

    async def close(self) -> None:
        """Stop listening and close every connection; harmless when done twice."""
        if self._listener is not None:
            self._listener.close()
        for reader in list(self._readers):
            reader.cut("stopped")
        await self._checker.close()


async def serve(directory: Path, address: tuple[str, int], poll: float, tls: ssl.SSLContext | None = None) -> None:
    """Serve a node's market data on host and port until the task is canceled. JournalError, alone or in a group; OSError."""
    feed = MarketFeed.open(directory)
    try:
        feed.catch_up()
        server = MarketDataServer(feed, Checker(), poll=poll)
        try:
            bound = await server.listen(*address, tls)
            where = f"[{bound[0]}]" if ":" in bound[0] else bound[0]
            print(f"market data on {where}:{bound[1]}", flush=True)  # noqa: T201 - who started us reads it
            await server.run(directory / DOORBELL)
        finally:
            await server.close()
    finally:
        feed.close()


def main() -> int:
    """The process; 1 with a line on stderr after what it cannot go on with."""
    parser = argparse.ArgumentParser(prog="python -m replicas.market_data", description="Serve a node's market data.")
    parser.add_argument("directory", type=Path, help="data directory of the node")
    parser.add_argument("--listen", required=True, metavar="HOST:PORT", type=host_and_port)
    parser.add_argument(
        "--poll-ms", type=float, default=POLL_SECONDS * 1e3, help="pause between looks at an idle store"
    )
    parser.add_argument("--tls", nargs=2, metavar=("CERTIFICATE", "KEY"), help="PEM files; clients speak TLS then")
    parser.add_argument("--parent", type=int, help="process id of the node, which alone ends this process")
    options = parser.parse_args()
    passwords.die_with(options.parent or os.getppid())
    if options.parent:
        # The terminal's interrupt is for the node.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        tls = context(*options.tls) if options.tls else None
        with asyncio.Runner(loop_factory=_new_event_loop) as runner:
            runner.run(serve(options.directory, options.listen, options.poll_ms / 1e3, tls))
    except* (JournalError, OSError) as errors:
        for error in errors.exceptions:
            print(f"market data: {error}", file=sys.stderr)  # noqa: T201 - the last line of this process
    return 1


if __name__ == "__main__":
    sys.exit(main())
