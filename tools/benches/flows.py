"""The flows that `lockstep bench` measures: each as wire rows, and as the five columns that the yardstick reads.

Each begins with a venue of one instrument and some funded accounts, each with its session, which take turns: an order
belongs to the account that its number modulo their number names, and each account counts its own client order ids.
The yardstick knows no accounts, so one is what its flow means; eight show what spreading it costs.
"""

import lzma
import random
import struct
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from core.kinds import REENTER, CommandKind, OrderType, Role, TimeInForce
from core.limits import PRICE_MAX, QUANTITY_MAX
from core.messages import DefineCurrency, DefineInstrument, Deposit, GrantSession, OpenAccount
from core.rows import pack_halves, to_row
from tools.flow import Wire

NEW: Final = 0
CANCEL: Final = 1
MARKETABLE: Final = 2
REPLACE: Final = 3
MANY: Final = 8
"""Accounts, and sessions, of a flow that is spread over many."""
RESTING_LEVELS: Final = 1_000
_GTC: Final = OrderType.LIMIT << 1 | TimeInForce.GTC << 5
_IOC: Final = OrderType.LIMIT << 1 | TimeInForce.IOC << 5

Message = tuple[int, int, int, int, int]
"""Kind, order number, side (bit 0) with immediate-or-cancel (bit 1), price, quantity."""


class Flow(NamedTuple):
    """A flow in both forms; `plain` is what the yardstick reads, 40 bytes for each command."""

    name: str
    commands: int
    venue: bytes
    rows: bytes
    plain: bytes


def own(count: int, seed: int = 1, accounts: int = 1) -> Flow:
    """50 % new orders near the touch, 42 % cancels, 6 % marketable, 2 % replaces: the flow of the yardstick."""
    name = f"own, seed {seed}, accounts {accounts}: 50 % new near the touch, 42 % cancels, 6 % marketable, 2 % replaces"
    return _flow(name, list(_own(count, random.Random(seed))), accounts)


def _own(count: int, draw: random.Random) -> Iterator[Message]:
    live: list[int] = []
    mid, number = 10_000, 0
    for i in range(count):
        x = draw.random()
        if x < 0.50 or len(live) < 500:
            number += 1
            side, away = draw.randrange(2), int(min(200, draw.paretovariate(1.2)))
            yield NEW, number, side, mid - away if side == 0 else mid + away, draw.randrange(1, 20) * 10
            live.append(number)
        elif x < 0.92:
            k = draw.randrange(len(live))
            yield CANCEL, live[k], 0, 0, 0
            live[k] = live[-1]
            live.pop()
        elif x < 0.98:
            number += 1
            side = draw.randrange(2)
            yield MARKETABLE, number, side, mid + 3 if side == 0 else mid - 3, draw.randrange(1, 20) * 10
        else:
            k = draw.randrange(len(live))
            yield REPLACE, live[k], 0, mid - 50 + draw.randrange(40), draw.randrange(1, 20) * 10
        if i % 1000 == 0:
            mid += draw.randrange(-2, 3)


def flash1(path: Path, limit: int | None = None) -> Flow:
    """The messages of a flash1 workload file (.bin or .bin.xz), at most `limit` of them. OSError; ValueError."""
    data = lzma.decompress(path.read_bytes()) if path.suffix == ".xz" else path.read_bytes()
    try:
        fields = list(struct.iter_unpack("<BBBBIQQqq", data[16:]))
    except struct.error:
        raise ValueError(f"{path}: not a flash1 workload") from None
    kinds = (NEW, CANCEL, REPLACE)
    messages = [
        (kinds[kind], order, side | ioc << 1, price, quantity)
        for kind, side, ioc, _, quantity, _, order, price, _ in fields[:limit]
    ]
    return _flow(f"flash1 {path.name}, accounts {MANY}", messages, MANY)


def resting(count: int) -> Flow:
    """Orders that all rest, on as many levels of each side as a busy book has; without the yardstick's form."""
    wire = Wire(count)
    for number in range(1, count + 1):
        side, away = number & 1, number * 7 % RESTING_LEVELS
        account, price = 1 + number % MANY, 10_001 + away if side else 10_000 - away
        wire.add(CommandKind.ENTER_ORDER, account, side | _GTC, 1, account, number, price, 10)
    return Flow("resting orders", count, _venue(MANY), wire.rows(), b"")


def _flow(name: str, messages: list[Message], accounts: int) -> Flow:
    wire = Wire(len(messages))
    for kind, number, side, price, quantity in messages:
        account, client = 1 + number % accounts, 1 + number // accounts
        if kind == CANCEL:
            wire.add(CommandKind.CANCEL_ORDER, account, 0, 1, account, client)
        elif kind == REPLACE:
            # The yardstick's replace names what is open afterwards, and always leaves its place: REENTER.
            wire.add(CommandKind.REPLACE_ORDER, account, REENTER, 1, account, client, price, quantity, 0, client)
        else:
            flags = side & 1 | (_IOC if side & 2 else _GTC)
            wire.add(CommandKind.ENTER_ORDER, account, flags, 1, account, client, price, quantity)
    return Flow(name, len(messages), _venue(accounts), wire.rows(), _plain(messages))


def _plain(messages: list[Message]) -> bytes:
    columns = array("q")
    for message in messages:
        columns.extend(message)
    return struct.pack(f"<{len(columns)}q", *columns)


def _venue(accounts: int) -> bytes:
    """One instrument, accounts that can pay for anything, a session for each."""
    wide = pack_halves(-10, 100)
    commands = [
        DefineCurrency(currency=1, symbol="USD", decimals=2),
        DefineCurrency(currency=2, symbol="AAA"),
        DefineInstrument(
            instrument=1, symbol="AAA", currencies=pack_halves(2, 1), price_max=PRICE_MAX, quantity_max=QUANTITY_MAX,
            fee_rates=wide,
        ),
    ]  # fmt: skip
    rows = [to_row(command) for command in commands]
    for account in range(1, accounts + 1):
        rows.append(to_row(OpenAccount(account=account, firm=account, name=f"account {account}")))
        rows += [to_row(Deposit(account=account, currency=c, amount=2**57)) for c in (1, 2)]
        rows.append(to_row(GrantSession(account=account, grantee=account, role=Role.TRADER)))
    return b"".join(rows)
