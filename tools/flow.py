"""A trading day for the demo, made from a seed: commands as wire rows, the same for the same seed everywhere.

Makers quote four instruments on both sides of a price that drifts, and take most of their quotes back; takers buy and
sell at once, or leave orders that expire. Some commands are wrong, an instrument is halted for a while, and a maker loses
its connection. Rows are packed into one buffer, without an object for each.
"""

import random
import struct
from collections import deque
from collections.abc import Iterator
from typing import Final, NamedTuple

from core.kinds import (
    COLUMNS,
    POST_ONLY,
    ROW_SIZE,
    TIME,
    CommandKind,
    OrderType,
    Role,
    Side,
    TimeInForce,
    TradingState,
)
from core.messages import Command, DefineCurrency, DefineInstrument, Deposit, GrantSession, OpenAccount
from core.rows import pack_halves, to_row

OPENING: Final = 1_772_443_800_000_000_000
"""Time of the first row: 2 March 2026, 09:30 UTC, in ns since 1970."""

DAY: Final = 20260302
DAY_NS: Final = 23_400_000_000_000
"""Length of the trading day: six and a half hours."""

CENTS: Final = 1
SYMBOLS: Final = ("AAA", "BBB", "CCC", "DDD")
MAKERS: Final = range(1, 7)
TAKERS: Final = range(7, 19)

_ROW: Final = struct.Struct(f"<{COLUMNS}q")
_LIMIT: Final = OrderType.LIMIT << 1
_MARKET: Final = OrderType.MARKET << 1
_IN_FORCE: Final = {time: time << 5 for time in TimeInForce}


class Batch(NamedTuple):
    """Wire rows that arrived together, and when the first of them did (ns since 1970)."""

    rows: bytes
    time: int


class _Act(NamedTuple):
    """A command that is not drawn but scheduled."""

    kind: CommandKind
    session: int = 0
    instrument: int = 0
    account: int = 0
    state: int = 0


class Wire:
    """Wire rows in one buffer, written column by column; counts the inbound numbers of the sessions."""

    def __init__(self, capacity: int) -> None:
        """Room for so many rows; more cannot be added."""
        self._data = bytearray(capacity * ROW_SIZE)
        self._inbound: dict[int, int] = {0: -1}
        self.size = 0

    def add(
        self, kind: int, session: int, flags: int = 0, instrument: int = 0, account: int = 0, client: int = 0,
        price: int = 0, quantity: int = 0, expires: int = 0, original: int = 0, time: int = 0,
    ) -> None:  # fmt: skip
        """Append a row under the session's next inbound number; session 0 has none."""
        inbound = self._inbound.get(session, 0) + 1
        if session:
            self._inbound[session] = inbound
        _ROW.pack_into(
            self._data, self.size, kind, 0, time, session, inbound, flags, instrument, account, client, price, quantity,
            expires, 0, 0, 0, original,
        )  # fmt: skip
        self.size += ROW_SIZE

    def add_row(self, row: bytes) -> None:
        """Append a row of the venue that is ready."""
        self._data[self.size : self.size + ROW_SIZE] = row
        self.size += ROW_SIZE

    def rows(self) -> bytes:
        """All rows so far."""
        return bytes(memoryview(self._data)[: self.size])


def venue() -> bytes:
    """Wire rows of the venue itself that make the market: a currency, instruments, accounts with money, sessions."""
    commands: list[Command] = [DefineCurrency(currency=CENTS, symbol="USD", decimals=2)]
    for number, symbol in enumerate(SYMBOLS, start=1):
        commands += (DefineCurrency(currency=number + 1, symbol=symbol), _instrument(number, symbol))
    for account in (*MAKERS, *TAKERS):
        role = "maker" if account in MAKERS else "taker"
        commands.append(OpenAccount(account=account, firm=1 + account // 4, name=f"{role} {account}"))
        commands += (Deposit(account=account, currency=c, amount=10**11) for c in range(1, len(SYMBOLS) + 2))
        commands.append(GrantSession(account=account, grantee=account, role=Role.TRADER))
    return b"".join(map(to_row, commands))


def _instrument(number: int, symbol: str) -> DefineInstrument:
    """Prices in cents; makers are paid a tenth of a basis point out of the basis point that takers pay."""
    return DefineInstrument(
        flags=2,
        instrument=number,
        symbol=symbol,
        currencies=pack_halves(number + 1, CENTS),
        price_max=1_000_000,
        quantity_max=1_000_000,
        fee_rates=pack_halves(-10, 100),
    )


class Day:
    """The rows of one trading day."""

    def __init__(self, commands: int, seed: int) -> None:
        self._draw = random.Random(seed)
        self._count = commands
        self._wire = Wire(commands)
        self._time = OPENING
        self._pause = DAY_NS // max(1, commands)
        self._mids = [0, 10_000, 4_250, 25_500, 1_800]
        self._live: dict[int, deque[tuple[int, int, int]]] = {account: deque() for account in MAKERS}
        self._clients = dict.fromkeys((*MAKERS, *TAKERS), 0)
        self._acts = self._schedule()

    def rows(self) -> bytes:
        """All rows of the day, in order, each with its time."""
        for number in range(self._count - 1):
            self._time += 1 + int(self._draw.expovariate(1 / self._pause))
            act = self._acts.get(number)
            if act:
                self._wire.add(act.kind, act.session, 0, act.instrument, act.account, act.state, time=self._time)
            else:
                self._command(self._draw.random())
        self._wire.add(CommandKind.END_OF_DAY, 0, client=DAY, time=self._time + 1)
        return self._wire.rows()

    def _schedule(self) -> dict[int, _Act]:
        """What the venue's operator and an unlucky maker do, by the number of the command."""
        part, set_state = self._count // 100, CommandKind.SET_TRADING_STATE
        return {
            35 * part: _Act(set_state, instrument=3, state=TradingState.HALTED),
            36 * part: _Act(set_state, instrument=3, state=TradingState.OPEN),
            55 * part: _Act(CommandKind.MASS_CANCEL, session=3, account=3),
        }

    def _command(self, x: float) -> None:
        instrument = self._draw.randrange(1, len(self._mids))
        if x < 0.01:
            self._mids[instrument] += self._draw.choice((-1, 1))
        if x < 0.43:
            self._quote(self._draw.choice(MAKERS), instrument)
        elif x < 0.92:
            self._take_back(self._draw.choice(MAKERS), instrument, replace=x > 0.87)
        elif x < 0.995:
            self._take(self._draw.choice(TAKERS), instrument, self._draw.random())
        else:
            self._mistake(self._draw.choice(TAKERS), instrument)

    def _quote(self, maker: int, instrument: int) -> None:
        """A new order of a maker, mostly near the touch; one in three lasts longer than the day."""
        draw = self._draw
        side = draw.randrange(2)
        in_force = TimeInForce.GTC if draw.randrange(3) == 0 else TimeInForce.DAY
        flags = side | _LIMIT | _IN_FORCE[in_force] | POST_ONLY
        client = self._enter(maker, instrument, flags, self._near(instrument, side), draw.randrange(1, 20) * 100)
        self._live[maker].append((client, instrument, side))

    def _near(self, instrument: int, side: int) -> int:
        away = min(60, 1 + int(self._draw.paretovariate(1.1)))
        return self._mids[instrument] + (away if side == Side.SELL else -away)

    def _take_back(self, maker: int, instrument: int, *, replace: bool) -> None:
        """Cancel or replace one of the maker's older quotes, which may be gone by now."""
        quotes = self._live[maker]
        if len(quotes) < 100:
            self._quote(maker, instrument)
            return
        quotes.rotate(-self._draw.randrange(len(quotes) // 2))
        client, instrument, side = quotes.popleft()
        if replace:
            self._replace(maker, instrument, side, client)
        else:
            self._add(CommandKind.CANCEL_ORDER, maker, 0, instrument, client)

    def _replace(self, maker: int, instrument: int, side: int, client: int) -> None:
        """Move a quote to another price, or make it smaller where it stands, under a new client order id."""
        price = self._near(instrument, side)
        new = self._next_client(maker)
        self._add(
            CommandKind.REPLACE_ORDER, maker, 0, instrument, new, price, self._draw.randrange(1, 20) * 100, 0, client
        )
        self._live[maker].append((new, instrument, side))

    def _take(self, taker: int, instrument: int, x: float) -> None:
        """An order that trades at once, all or nothing, at any price; or one that waits for its price or its end."""
        draw = self._draw
        side = draw.randrange(2)
        reach = self._mids[instrument] + (4 if side == Side.BUY else -4)
        quantity = draw.randrange(1, 40)
        if x < 0.55:
            self._enter(taker, instrument, side | _LIMIT | _IN_FORCE[TimeInForce.IOC], reach, quantity)
        elif x < 0.70:
            self._enter(taker, instrument, side | _LIMIT | _IN_FORCE[TimeInForce.FOK], reach, quantity * 30)
        elif x < 0.80:
            self._enter(taker, instrument, side | _MARKET | _IN_FORCE[TimeInForce.IOC], 0, quantity)
        elif x < 0.90:
            self._enter(taker, instrument, side | _LIMIT | _IN_FORCE[TimeInForce.DAY], reach, quantity)
        else:
            expires = self._time + draw.randrange(1, 600) * 1_000_000_000
            flags = side | _LIMIT | _IN_FORCE[TimeInForce.GTD]
            self._enter(taker, instrument, flags, self._near(instrument, side), quantity, expires)

    def _mistake(self, taker: int, instrument: int) -> None:
        """A command that the engine has to refuse: no such instrument, no price, too much of it, or nothing to pay with."""
        flags = Side.BUY | _LIMIT | _IN_FORCE[TimeInForce.DAY]
        wrong = (
            (99, 100, 10),
            (instrument, 0, 10),
            (instrument, 100, 0),
            (instrument, 1_000_000, 1_000_000),
            (0, 0, 0),
        )
        number, price, quantity = self._draw.choice(wrong)
        self._enter(taker, number, flags, price, quantity)

    def _enter(self, account: int, instrument: int, flags: int, price: int, quantity: int, expires: int = 0) -> int:
        client = self._next_client(account)
        self._add(CommandKind.ENTER_ORDER, account, flags, instrument, client, price, quantity, expires)
        return client

    def _next_client(self, account: int) -> int:
        self._clients[account] += 1
        return self._clients[account]

    def _add(
        self, kind: int, account: int, flags: int, instrument: int, client: int, price: int = 0, quantity: int = 0,
        expires: int = 0, original: int = 0,
    ) -> None:  # fmt: skip
        self._wire.add(
            kind, account, flags, instrument, account, client, price, quantity, expires, original, self._time
        )


def batches(rows: bytes, seed: int) -> Iterator[Batch]:
    """The rows as they might arrive: by ones and twos while it is quiet, by hundreds after a pause."""
    draw, at = random.Random(seed), 0
    while at < len(rows):
        size = min(400, int(draw.paretovariate(0.8) * 8)) * ROW_SIZE
        yield Batch(rows[at : at + size], int.from_bytes(rows[at + TIME : at + TIME + 8], "little"))
        at += size
