"""The clients of a drill: each has a session and an account of its own, and sends as fast as it is answered."""

import asyncio
import random
import struct
from collections.abc import Sequence
from typing import Final

from core.kinds import CommandKind, OrderType, TimeInForce
from replicas.client import Client
from replicas.client_link import Ended

INSTRUMENTS: Final = 2
PASSWORD: Final = "drill"  # noqa: S105 - of sessions that live as long as the drill
_ROW = struct.Struct("<16q")
_LIMIT: Final = OrderType.LIMIT << 1
_AT_ONCE: Final = 32
"""Commands that go out together."""
_UNDER_WAY: Final = 256
"""Commands of one client without an answer at most."""
_LIVE: Final = 512

_VENUE: Final = """\
password_cost = 10

[[currency]]
number = 1
symbol = "USD"
decimals = 2

[[currency]]
number = 2
symbol = "AAA"
decimals = 0
"""
_INSTRUMENT: Final = """
[[instrument]]
number = {number}
symbol = "I{number}"
base = "AAA"
quote = "USD"
price_max = 1_000_000
quantity_max = 1_000_000
"""
_CLIENT: Final = """
[[account]]
number = {number}
firm = {number}
name = "client {number}"
deposits = {{ USD = 1_000_000_000_000_000, AAA = 1_000_000_000_000 }}

[[session]]
number = {number}
role = "trader"
accounts = [{number}]
password = "{password}"
"""


def venue(clients: int) -> str:
    """The venue's file, with a session for each client, from number 1 on."""
    instruments = [_INSTRUMENT.format(number=number) for number in range(1, INSTRUMENTS + 1)]
    sessions = [_CLIENT.format(number=number, password=PASSWORD) for number in range(1, clients + 1)]
    return "".join((_VENUE, *instruments, *sessions))


class Trader:
    """A client, and the orders that it makes up: entered, replaced, reduced and canceled, in two instruments."""

    def __init__(self, addresses: Sequence[str], session: int, seed: int) -> None:
        self.client = Client(addresses, session, PASSWORD, start=1)
        self._session = session
        self._rng = random.Random(f"{seed} {session}")
        self._live: list[tuple[int, int]] = []
        self._ids = 0
        self._sending: asyncio.Task[None] | None = None

    @property
    def unanswered(self) -> int:
        """Commands without an answer."""
        return self.client.ledger.next - self.client.ledger.oldest

    def begin(self) -> None:
        """Send from now on."""
        self._sending = asyncio.get_running_loop().create_task(self._send())

    async def pause(self, seconds: float) -> bool:
        """Send nothing more; whether everything that was sent is answered in time. Broken, Ended."""
        if self._sending is not None:
            self._sending.cancel()
            await asyncio.wait({self._sending})
            if not self._sending.cancelled():
                self._sending.result()
            self._sending = None
        last = self.client.ledger.next - 1
        if last not in self.client.ledger.entries:
            return True
        try:
            async with asyncio.timeout(seconds):
                await self.client.answer(last)
        except TimeoutError:
            return False
        return True

    async def _send(self) -> None:
        while True:
            rows = b"".join(self._command() for _ in range(_AT_ONCE))
            last = self.client.send_rows(rows, _AT_ONCE) + _AT_ONCE - 1
            behind = last - _UNDER_WAY
            if behind in self.client.ledger.entries:
                await self.client.answer(behind)
            await asyncio.sleep(0)

    def _command(self) -> bytes:
        rng, chance = self._rng, self._rng.random()
        if len(self._live) < 8 or (chance < 0.5 and len(self._live) < _LIVE):
            return self._enter()
        at = rng.randrange(len(self._live))
        instrument, order = self._live[at]
        price, quantity = rng.randint(9_950, 10_050), rng.randint(1, 100)
        if chance < 0.6:
            return self._row(CommandKind.REDUCE_ORDER, 0, instrument, order, 0, quantity)
        if chance < 0.75:
            return self._row(CommandKind.REPLACE_ORDER, 0, instrument, order, price, quantity, order)
        self._live[at] = self._live[-1]
        self._live.pop()
        return self._row(CommandKind.CANCEL_ORDER, 0, instrument, order, 0, 0)

    def _enter(self) -> bytes:
        rng = self._rng
        self._ids += 1
        instrument = rng.randint(1, INSTRUMENTS)
        time_in_force = TimeInForce.IOC if rng.random() < 0.1 else TimeInForce.GTC
        if time_in_force == TimeInForce.GTC:
            self._live.append((instrument, self._ids))
        flags = rng.randrange(2) | _LIMIT | time_in_force << 5
        price, quantity = rng.randint(9_950, 10_050), rng.randint(1, 100)
        return self._row(CommandKind.ENTER_ORDER, flags, instrument, self._ids, price, quantity)

    def _row(
        self, kind: int, flags: int, instrument: int, order: int, price: int, quantity: int, original: int = 0
    ) -> bytes:
        columns = (kind, 0, 0, 0, 0, flags, instrument, self._session, order, price, quantity)
        return _ROW.pack(*columns, 0, 0, 0, 0, original)


async def connect(traders: Sequence[Trader], seconds: float) -> None:
    """Log all of them in. Ended, Broken."""
    await asyncio.gather(*(trader.client.connect(seconds) for trader in traders))


async def pause(traders: Sequence[Trader], seconds: float) -> None:
    """Let all of them stop and be answered. Ended if one is not in time, Broken."""
    done = await asyncio.gather(*(trader.pause(seconds) for trader in traders))
    for trader, answered in zip(traders, done, strict=True):
        if not answered:
            raise Ended(
                f"{trader.client!r} after {seconds:.0f} s; it was told up to {trader.client.ledger.outbound - 1}"
            )
