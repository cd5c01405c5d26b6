"""Books of any size, and how many lines of core a row runs on them: a measure that is the same on every machine.

A book is made as rows of state, which takes seconds for a million orders, and loaded as a snapshot is. What the
interpreter does behind one line is not counted: a list that is moved in one piece, a dict that grows.
"""

import random
import struct
import sys
from pathlib import Path

from sortedcontainers import sortedlist

import core
from core import messages as m
from core import snapshot
from core.kinds import COLUMNS, EXPOSURES, HIDDEN, ROW_SIZE, StateKind
from core.kinds import OrderType as Type
from core.kinds import TimeInForce as Tif
from core.limits import NEVER, SUM_MAX
from core.rows import rows
from tests.streams import flags
from tests.venue import BUY, SELL, Engine, Venue

ROW = struct.Struct(f"<{COLUMNS}q")
COUNTED = (str(Path(core.__file__).parent), sortedlist.__file__)
MIDDLE = 2**20
"""Buys stand below this price, sells above it, and nothing at it."""
LEVELS = 30_000
"""Most price levels of a side here: the others of 65,536 are left for what is entered."""
PLAIN, RULED = 1, 2
"""An instrument without rules, and one with exposures, icebergs, hidden orders and orders that wait."""
ACCOUNTS = 40
"""Accounts that have orders; two more have none."""
EXPIRY = 2**50
"""From here on orders expire, one each nanosecond."""


class Lines:
    """Counts the lines of core, and of the sorted lists that it uses, that run inside a `with`."""

    def __enter__(self):
        self.count, self.before = 0, sys.gettrace()
        sys.settrace(self.enter)
        return self

    def __exit__(self, *error):
        sys.settrace(self.before)

    def enter(self, frame, event, argument):
        return self.line if frame.f_code.co_filename.startswith(COUNTED) else None

    def line(self, frame, event, argument):
        if event == "line":
            self.count += 1
        return self.line


class Book(Venue):
    """A venue with `size` orders, half of them in each instrument, on many levels (wide) or on one of each side."""

    def __init__(self, size, wide):
        super().__init__(Engine())
        for number in range(3, ACCOUNTS + 3):
            self.send(m.OpenAccount, account=number, firm=number % 7 + 1, name="")
        self.instrument(number=PLAIN)
        self.instrument(number=RULED)
        self.send(m.SetRules, instrument=RULED, flags=EXPOSURES)
        for account in range(1, ACCOUNTS + 3):
            for currency in (1, 2):
                self.send(m.Deposit, account=account, currency=currency, amount=SUM_MAX // 64)
        self.send(m.GrantSession, account=1, grantee=1, role=1)
        self.ids = 2**40
        self.wide, self.per_side = wide, size // 4
        self.levels = min(max(self.per_side // 4, 1), LEVELS) if wide else 1
        self.fill(size)

    def fill(self, size):
        """Load the venue again with orders in its books."""
        orders = [order for number in (PLAIN, RULED) for order in self.orders(number)]
        random.Random(size).shuffle(orders)
        for at, order in enumerate(orders, 1):
            order["number"] = order["client"] = at
            order["account"] = at % ACCOUNTS + 1
        reserved = {}
        for order in orders:
            key = order["account"], 1 if order["side"] == BUY else 2
            reserved[key] = reserved.get(key, 0) + order["leaves"] * (order["price"] if order["side"] == BUY else 1)
        head = [list(ROW.unpack_from(state, 0)) for state in self.split()]
        begin = next(i for i, row in enumerate(head) if row[0] in {StateKind.DIGEST, StateKind.FOLLOWING})
        for row in head[:begin]:
            if row[0] == StateKind.ENGINE:
                row[7] = len(orders)
            elif row[0] == StateKind.BALANCE:
                row[4] = reserved.get((row[1], row[2]), 0)
        state = b"".join(ROW.pack(*row) for row in head[:begin]) + b"".join(map(packed, sorted(orders, key=place)))
        self.to.machine.engine = snapshot.load(state, 0, len(state))
        self.to.state = state
        # The buffer of events doubles when it is full: it is large enough from here on.
        batch = b"".join(self.row(m.SetAccount, account=1, state=1) for _ in range(8_192))
        self.to.machine.engine.apply(batch, 0, len(batch))

    def split(self):
        state = self.to.machine.rows()
        return [state[at : at + ROW_SIZE] for at in range(0, len(state), ROW_SIZE)]

    def orders(self, instrument):
        """What stands and waits in one instrument; in the one with rules, two in ten wait, one is hidden, one an iceberg."""
        for side in (BUY, SELL):
            sign = 1 if side == SELL else -1
            for at in range(self.per_side):
                price = MIDDLE + sign * (1 + at % self.levels)
                order = {"instrument": instrument, "side": side, "price": price, "leaves": 10, "type": Type.LIMIT}
                kind = at % 10 if instrument == RULED else 0
                if kind == 3:
                    order |= {"hidden": True}
                elif kind == 4:
                    order |= {"display": 5}
                elif kind in {7, 8}:
                    # A stop waits on its own side of the market: a buy for a rising price.
                    order |= {"type": Type.STOP, "price": 0, "trigger": MIDDLE - sign * (2**19 + at)}
                if at % 4 == 1:
                    order |= {"expires": EXPIRY + 2 * at + side}
                yield order

    def measure(self, of, **columns):
        """Lines that a row runs, and its events."""
        row = self.row(of, **columns)
        with Lines() as lines:
            events = self.to.machine.engine.apply(row, 0, len(row))
        return lines.count, list(rows(events))


def place(order):
    """Where a snapshot has an order: by book, side and ladder, best price first, in order of number; then those that wait."""
    if "trigger" in order:
        return 1, order["account"], order["number"]
    price = order["price"] if order["side"] == SELL else -order["price"]
    return 0, order["instrument"], order.get("hidden", False), order["side"], price, order["number"]


def packed(order):
    """The ORDER row of an order, and its TERMS row if it has one."""
    expires = order.get("expires", 0)
    bits = flags(order["side"], order["type"], Tif.GTD if expires else Tif.GTC) | HIDDEN * order.get("hidden", False)
    columns = [
        StateKind.ORDER, order["number"], order["instrument"], order["account"], 0, order["client"], bits,
        order["price"], order["leaves"], 0, expires or NEVER, 0, 0, 1 if expires else 0,
    ]  # fmt: skip
    row = ROW.pack(*columns, 0, 0)
    if not order.keys() & {"hidden", "display", "trigger"}:
        return row
    display, trigger = order.get("display", 0), order.get("trigger", 0)
    return row + ROW.pack(
        StateKind.TERMS, order["number"], display, display, trigger, 0, 0, 1 if trigger else 0, 1 if trigger else 0,
        *[0] * 7,
    )  # fmt: skip
