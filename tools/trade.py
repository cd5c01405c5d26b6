"""`lockstep trade`: a small terminal for one session."""

import asyncio
import getpass
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from tools.failures import Failure, Misuse

if TYPE_CHECKING:
    from replicas.client import Client
    from tools.trade_words import Words
    from tools.venue_file import Venue

ANSWER_SECONDS: Final = 5.0
"""After which the next line is read although the last command has no answer yet."""


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
        typer.Option(metavar="FILE", help="Lines `SESSION PASSWORD`, or one line with the password alone."),
    ] = None,
    venue: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The venue's file (TOML), for symbols, decimals and the account."),
    ] = None,
) -> None:
    """Enter and cancel orders by lines like `buy 10 AAA @ 100.25` and `cancel 3`, and print what is reported.

    Without --venue, instruments are numbers, prices ticks, quantities lots: `buy 10 #1 @ 10025`. `help` lists the words.
    Lines may be piped in. It shows the reports of the session alone; market data is not read, and no book is shown.

    Example: lockstep trade 127.0.0.1:7001 127.0.0.1:7002 --session 101 --venue examples/venue.toml
    """
    from replicas.client import Client
    from replicas.client_ledger import Broken
    from replicas.client_link import Ended
    from replicas.errors import FormError
    from tools.trade_words import Scale, Words

    described = _venue(venue) if venue is not None else None
    number = account or _account(described, session)
    scales = [
        Scale(one.number, one.symbol, one.price_decimals, one.quantity_decimals)
        for one in (described.instrument if described else [])
    ]
    words = Words(number, scales)
    password = _password(session, password_file, described)
    try:
        client = Client(addresses, session, password, on_event=lambda row: _print(words, row))
    except (ValueError, FormError) as error:
        raise Misuse(str(error)) from None
    try:
        asyncio.run(_trade(client, words))
    except (Ended, Broken) as error:
        raise Failure(str(error)) from None


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


def _password(session: int, path: Path | None, venue: "Venue | None") -> str:
    """From the password file, the venue's file, or the terminal; it is never printed."""
    if path is not None:
        try:
            lines = [line.split() for line in path.read_text().splitlines() if line.strip()]
        except (OSError, UnicodeDecodeError) as error:
            raise Misuse(f"--password-file: {error}") from None
        if len(lines) == 1 and len(lines[0]) == 1:
            return lines[0][0]
        for line in lines:
            if line[0] == str(session) and len(line) == 2:
                return line[1]
        raise Misuse(f"--password-file {path}: no password of session {session}")
    for login in venue.session if venue else []:
        if login.number == session and login.password:
            return login.password
    if not sys.stdin.isatty():
        raise Misuse("--password-file FILE: nobody is there to be asked for the password")
    return getpass.getpass(f"password of session {session}: ")


def _print(words: "Words", row: bytes) -> None:
    from core.rows import from_row

    print(words.tell(from_row(row)), flush=True)


async def _trade(client: "Client", words: "Words") -> None:
    """Read lines until the end; each waits for its answer, as long as that does not take too long. Ended, Broken."""
    await client.connect()
    print(f"session {client.ledger.session} at {client.address}", file=sys.stderr)
    try:
        lines = _lines()
        while (line := await lines.get()) is not None and line.strip().lower() not in {"quit", "exit"}:
            await _do(client, words, line.strip())
            _prompt()
        await _last_answer(client)
    finally:
        await client.close()


async def _do(client: "Client", words: "Words", line: str) -> None:
    from tools.trade_words import USAGE, Unclear

    if not line:
        return
    if line.lower() == "help":
        print(USAGE)
        return
    try:
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
