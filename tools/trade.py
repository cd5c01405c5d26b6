"""`lockstep trade`: a small terminal for one session."""

import asyncio
import getpass
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from tools.failures import Failure, Misuse

if TYPE_CHECKING:
    from replicas.client import Client
    from replicas.market_client import MarketClient
    from tools.trade_orders import Scale
    from tools.trade_words import Words
    from tools.venue_file import Venue

ANSWER_SECONDS: Final = 5.0
"""After which the next line is read although the last command has no answer yet, and within which a market that is watched must be there."""
WATCH_SECONDS: Final = 0.3
"""Between two ladders at least."""


def trade(
    addresses: Annotated[
        list[str],
        typer.Argument(metavar="ADDRESS...", help="HOST:PORT or unix:PATH of each node.", show_default=False),
    ],
    session: Annotated[int, typer.Option(metavar="N", min=1, max=999_999, help="Session to log in as.")],
    account: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Account to trade for; with --venue the session's first.")
    ] = None,
    password_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Lines `SESSION PASSWORD`, or one line with the password of --session alone."
        ),
    ] = None,
    venue: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The venue's file (TOML), for symbols, decimals and the account."),
    ] = None,
    market_data: Annotated[
        list[str] | None,
        typer.Option(metavar="ADDRESS", help="Where a node serves market data; again for each. For `watch`."),
    ] = None,
    market_session: Annotated[
        int | None, typer.Option(metavar="N", min=1, max=999_999, help="Session that reads market data.")
    ] = None,
) -> None:
    """Enter and cancel orders by lines like `buy 10 AAA @ 100.25` and `cancel 3`, and print what is reported.

    Other orders are said with more words: `sell 1 AAA stop 99.50 limit 99`, `buy 5 AAA @ 100 show 1`, `sell 1 AAA trail 0.50`.
    Without --venue, instruments are numbers, prices ticks, quantities lots: `buy 10 #1 @ 10025`. `help` lists the words.
    Lines may be piped in. `watch AAA` shows a book and its trades; the password for it comes from the same places.

    Example: lockstep trade 127.0.0.1:7001 127.0.0.1:7002 --session 101 --venue examples/venue.toml
    """
    from replicas.client import Client
    from replicas.client_ledger import Broken
    from replicas.client_link import Ended
    from replicas.errors import FormError
    from tools.trade_words import Words

    described = _venue(venue) if venue is not None else None
    number = account or _account(described, session)
    words = Words(number, _scales(described))
    password = _password(session, password_file, described)
    try:
        client = Client(addresses, session, password, on_event=lambda row: _print(words, row))
        market = _market(market_data or [], market_session, password_file, described)
    except (ValueError, FormError) as error:
        raise Misuse(str(error)) from None
    try:
        asyncio.run(_trade(client, words, Watch(words, market)))
    except (Ended, Broken) as error:
        raise Failure(str(error)) from None


def _scales(venue: "Venue | None") -> "list[Scale]":
    """The instruments of the venue's file, as people write them."""
    from tools.trade_orders import Scale

    decimals = {one.symbol: one.decimals for one in (venue.currency if venue else [])}
    return [
        Scale(
            one.number, one.symbol, one.price_decimals, one.quantity_decimals, decimals.get(one.quote, 0), one.price_max
        )
        for one in (venue.instrument if venue else [])
    ]


def _venue(path: Path) -> "Venue":
    from replicas.limits import BadConfig
    from tools.venue_file import read_venue

    try:
        return read_venue(path)
    except (BadConfig, OSError) as error:
        raise Misuse(f"--venue: {error}") from None


def _account(venue: "Venue | None", session: int) -> int:
    """The first account of the session in the venue's file. Misuse where there is none."""
    for login in venue.session if venue else []:
        if login.number == session and login.accounts:
            return login.accounts[0]
    raise Misuse("--account N: say for which account, or give a --venue FILE that names one for the session")


def _password(session: int, path: Path | None, venue: "Venue | None", *, lone: bool = True) -> str:
    """From the password file, the venue's file, or the terminal; it is never printed. `lone`: one without a session counts."""
    if path is not None:
        try:
            lines = [line.split() for line in path.read_text().splitlines() if line.strip()]
        except (OSError, UnicodeDecodeError) as error:
            raise Misuse(f"--password-file: {error}") from None
        alone = len(lines) == 1 and len(lines[0]) == 1
        if alone and lone:
            return lines[0][0]
        for line in lines:
            if line[0] == str(session) and len(line) == 2:
                return line[1]
        if not alone:
            raise Misuse(f"--password-file {path}: no password of session {session}")
    for login in venue.session if venue else []:
        if login.number == session and login.password:
            return login.password
    if not sys.stdin.isatty():
        raise Misuse("--password-file FILE: nobody is there to be asked for the password")
    return getpass.getpass(f"password of session {session}: ")


def _market(
    addresses: list[str], session: int | None, path: Path | None, venue: "Venue | None"
) -> "Callable[..., MarketClient] | str":
    """What makes the client of an instrument, or what is missing for one. ValueError, FormError, Misuse."""
    from functools import partial

    from replicas.market_client import MarketClient

    options = {"--market-data ADDRESS": addresses, "--market-session N": session}
    missing = [name for name, given in options.items() if not given]
    if missing or session is None:
        return f"watch needs {' and '.join(missing)}"
    market = partial(MarketClient, addresses, session, _password(session, path, venue, lone=False))
    market(1)
    return market


class Watch:
    """The market that is watched, if one is: prints the best levels and the trades when they change, a few times a second."""

    def __init__(self, words: "Words", market: "Callable[..., MarketClient] | str") -> None:
        """`market` makes the client of an instrument's number; or it is text that says why there is none."""
        self._words, self._market = words, market
        self._client: MarketClient | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._next = 0.0

    async def turn(self, scale: "Scale | None") -> None:
        """Watch this instrument from now on, or none, instead of the one before."""
        from replicas.client_ledger import Broken
        from replicas.client_link import Ended

        await self.end()
        if isinstance(self._market, str):
            print(f"? {self._market}", flush=True)
            return
        if scale is None:
            return
        client = self._market(scale.number, on_change=self._changed)
        try:
            await client.connect(ANSWER_SECONDS)
        except (Ended, Broken) as error:
            print(f"? {error}", flush=True)
            return
        self._client, self._scale = client, scale
        self._shown: list[str] = []
        self._told = client.book.number
        self._show()

    async def end(self) -> None:
        """Watch nothing; what has changed since it was shown last is shown. Harmless when done twice."""
        client = self._client
        if client is not None:
            if self._timer is not None:
                self._show()
            self._client = None
            await client.close()

    def _changed(self) -> None:
        if self._client is not None and self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_at(max(self._next, loop.time()), self._show)

    def _show(self) -> None:
        from tools.trade_words import ladder, trades

        client = self._client
        if client is None:
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._next = asyncio.get_running_loop().time() + WATCH_SECONDS
        lines = list(trades(client.book.trades, self._told, self._scale))
        self._told = client.book.number
        levels = ladder(client.book, self._scale)
        if levels != self._shown:
            lines += levels
            self._shown = levels
        if client.end is not None:
            lines.append(f"? {self._scale.symbol} is not watched any more: {client.end}")
        if lines:
            print("\n".join(lines), flush=True)


def _print(words: "Words", row: bytes) -> None:
    from core.rows import from_row

    print(words.tell(from_row(row)), flush=True)


async def _trade(client: "Client", words: "Words", watch: Watch) -> None:
    """Read lines until the end; each waits for its answer, as long as that does not take too long. Ended, Broken."""
    await client.connect()
    print(f"session {client.ledger.session} at {client.address}", file=sys.stderr)
    try:
        lines = _lines()
        while (line := await lines.get()) is not None and line.strip().lower() not in {"quit", "exit"}:
            await _do(client, words, watch, line.strip())
            _prompt()
        await _last_answer(client)
    finally:
        await watch.end()
        await client.close()


async def _do(client: "Client", words: "Words", watch: Watch, line: str) -> None:
    from tools.trade_orders import Unclear
    from tools.trade_words import USAGE

    if not line:
        return
    if line.lower() == "help":
        print(USAGE)
        return
    try:
        watched = words.watched(line)
        if watched is not None:
            await watch.turn(watched.scale)
            return
        # Inbound numbers never come twice in a session, so they serve as client order ids.
        inbound = client.send(words.read(line, client.ledger.next))
    except Unclear as error:
        print(f"? {error}", flush=True)
        return
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            await client.answer(inbound)
    except TimeoutError:
        print("no answer yet; it will be told when it comes", file=sys.stderr)


async def _last_answer(client: "Client") -> None:
    """At the end nothing stays without its answer, unless the venue is away for long."""
    ledger = client.ledger
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            for inbound in range(ledger.oldest, ledger.next):
                await client.answer(inbound)
    except TimeoutError:
        raise Failure(
            f"{ledger.next - ledger.oldest} commands have no answer: nobody knows if they took effect"
        ) from None


def _lines() -> "asyncio.Queue[str | None]":
    """The lines of stdin, then None. They are read in a thread, which ends with the process: a terminal may never answer."""
    loop, lines = asyncio.get_running_loop(), asyncio.Queue[str | None]()

    def read() -> None:
        for line in sys.stdin:
            loop.call_soon_threadsafe(lines.put_nowait, line)
        loop.call_soon_threadsafe(lines.put_nowait, None)

    _prompt()
    threading.Thread(target=read, daemon=True).start()
    return lines


def _prompt() -> None:
    if sys.stdin.isatty() and sys.stdout.isatty():
        print("> ", end="", flush=True)
