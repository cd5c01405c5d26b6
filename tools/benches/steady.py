"""A flow of any length in which about so many orders rest, for journals that are long and books that are full."""

import random
from typing import Final

from core.kinds import CommandKind, OrderType, TimeInForce
from tools.flow import MAKERS, OPENING, SYMBOLS, Wire

_MID: Final = 10_000
_REACH: Final = 3
_DEEPEST: Final = 800
_STEP: Final = 2_000
_GTC: Final = OrderType.LIMIT << 1 | TimeInForce.GTC << 5
_IOC: Final = OrderType.LIMIT << 1 | TimeInForce.IOC << 5


class Steady:
    """An endless flow around one price in which about so many orders rest: entered, canceled, replaced and traded at random."""

    def __init__(self, resting: int, seed: int) -> None:
        self._draw = random.Random(seed).random
        self._resting = resting
        self._live: list[tuple[int, int, int, int]] = []
        self._clients = dict.fromkeys(MAKERS, 0)
        self._time = OPENING
        self._full = False

    def fill(self, wire: Wire, count: int) -> bytes:
        """The next rows, written behind what the buffer holds."""
        for _ in range(count):
            self._time += _STEP
            self._next(wire, self._draw())
        return wire.rows()

    def _next(self, wire: Wire, x: float) -> None:
        self._full |= len(self._live) >= self._resting
        if x < 0.06:
            side, instrument, account = self._choose()
            price = _MID + (-_REACH if side else _REACH)
            self._enter(wire, side | _IOC, instrument, account, price, 1 + int(self._draw() * 20))
        elif x < 0.08 and self._live:
            self._replace(wire)
        elif len(self._live) >= self._resting or (self._full and x < 0.5):
            self._cancel(wire)
        else:
            side, instrument, account = self._choose()
            client = self._enter(wire, side | _GTC, instrument, account, self._away(side), self._lots())
            self._live.append((account, instrument, client, side))

    def _choose(self) -> tuple[int, int, int]:
        draw = self._draw
        return int(draw() * 2), 1 + int(draw() * len(SYMBOLS)), 1 + int(draw() * len(MAKERS))

    def _away(self, side: int) -> int:
        """A price of its side, more often near the touch."""
        away = 1 + int(self._draw() ** 3 * _DEEPEST)
        return _MID + away if side else _MID - away

    def _lots(self) -> int:
        return 10 + int(self._draw() * 90)

    def _enter(self, wire: Wire, flags: int, instrument: int, account: int, price: int, quantity: int) -> int:
        self._clients[account] += 1
        client = self._clients[account]
        wire.add(CommandKind.ENTER_ORDER, account, flags, instrument, account, client, price, quantity, time=self._time)
        return client

    def _replace(self, wire: Wire) -> None:
        at = int(self._draw() * len(self._live))
        account, instrument, original, side = self._live[at]
        self._clients[account] += 1
        client, price = self._clients[account], self._away(side)
        wire.add(
            CommandKind.REPLACE_ORDER, account, 0, instrument, account, client, price, self._lots(), original=original,
            time=self._time,
        )  # fmt: skip
        self._live[at] = (account, instrument, client, side)

    def _cancel(self, wire: Wire) -> None:
        at = int(self._draw() * len(self._live))
        account, instrument, client, _ = self._live[at]
        self._live[at] = self._live[-1]
        self._live.pop()
        wire.add(CommandKind.CANCEL_ORDER, account, 0, instrument, account, client, time=self._time)
