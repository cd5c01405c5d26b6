"""Two nodes of the same commands: engines with planted faults, journals as those engines would have sealed them."""

import random
import shutil
from contextlib import closing

from core import messages as m
from core.kinds import ROW_SIZE, Role
from core.kinds import OrderType as Type
from core.kinds import TimeInForce as Tif
from core.rows import pack_halves, to_row
from journal import snapshots
from journal.batch import HEADER_SIZE, BatchKind, read_header, seal
from journal.directory import JournalDirectory
from journal.event_store import EventStore
from journal.order import seal_closing
from replicas.opening import create
from replicas.replay import ahead, quarantines
from tests.determinism.stream import START, wire_rows
from tests.paths import CHECKOUT
from tools.engines import feed
from tools.parting.columns import rows_of

FAULTS = {
    "fee at one price": (
        "core/matching.py",
        "        taker = charge(amount, incoming.taker_rate)\n",
        "        taker = charge(amount, incoming.taker_rate) + (1 if price == 100 else 0)\n",
    ),
    "replace goes to the back": (
        "core/replace.py",
        "            ladder.reduce(order, order.leaves - leaves)\n",
        "            ladder.remove(order)\n            order.leaves = leaves\n            ladder.add(order)\n",
    ),
    "newest first": (
        "core/matching.py",
        "            resting = best.first\n",
        "            resting = best.last\n",
    ),
    "cancels are refused at one price": (
        "core/cancels.py",
        "        if order is None or order.instrument is not instrument:\n",
        "        if order is None or order.instrument is not instrument or order.price == 101:\n",
    ),
    "a match of 7 raises": (
        "core/matching.py",
        "        self.match_numbers += 1\n",
        "        if quantity == 7:\n            raise KeyError(price)\n        self.match_numbers += 1\n",
    ),
}
"""Faults that someone could make: the file, what stands in it once, and what the fault makes of it."""

OTHERS = {
    "fees are forgotten": (
        "core/matching.py",
        "        instrument.quote.fees += maker + taker\n",
        "        instrument.quote.fees += maker\n",
    ),
    "other rules": ("core/state.py", "SEMANTICS: Final = 2\n", "SEMANTICS: Final = 3\n"),
    "never ends": (
        "core/engine.py",
        "        self.used = 0\n        at = begin\n",
        "        while True:\n            pass\n        at = begin\n",
    ),
    "dies": (
        "core/engine.py",
        "        self.used = 0\n        at = begin\n",
        "        import os\n        os._exit(7)\n        at = begin\n",
    ),
    "talks": (
        "core/engine.py",
        "        self.used = 0\n        at = begin\n",
        "        print('noise' * 1000)\n        self.used = 0\n        at = begin\n",
    ),
    "raises": (
        "core/engine.py",
        "        self.command = kind\n        self.inbound = inbound\n",
        "        self.command = kind\n        self.inbound = inbound\n        if self.sequence == 200: raise KeyError(7)\n",
    ),
    "does not begin": ("core/machine.py", "from core import snapshot\n", "from core import snapshots\n"),
    "cancels nothing": (
        "core/cancels.py",
        "        if order is None or order.instrument is not instrument:\n",
        "        if instrument is not None:\n",
    ),
    "takes no orders": (
        "core/snapshot.py",
        "            found.append(_load_order(engine, rows, at, end))\n",
        "            raise ValueError('not mine')\n",
    ),
    "takes no state": ("core/snapshot.py", "    engine = Engine()\n", "    raise ValueError('not mine')\n"),
}
"""What a build can do besides being wrong about the market."""


def checkout(folder, *faults):
    """A copy of the engine's sources, with faults in it."""
    shutil.copytree(CHECKOUT / "core", folder / "core", ignore=shutil.ignore_patterns("__pycache__"))
    for fault in faults:
        name, old, new = (FAULTS | OTHERS)[fault]
        source = (folder / name).read_text()
        assert source.count(old) == 1, fault
        (folder / name).write_text(source.replace(old, new))
    return folder


SETUP = (
    m.DefineCurrency(currency=1, symbol="USD"),
    m.DefineCurrency(currency=2, symbol="BTC"),
    m.DefineInstrument(
        instrument=1, symbol="BTC/USD", currencies=pack_halves(2, 1), price_max=1_000, quantity_max=1_000,
        fee_rates=pack_halves(10_000, 20_000),
    ),
    *(m.OpenAccount(account=a, firm=a, name=f"account {a}") for a in range(1, 6)),
    *(m.Deposit(account=a, currency=c, amount=10**6) for a in range(1, 6) for c in (1, 2)),
    *(m.GrantSession(account=a, grantee=a, role=Role.TRADER) for a in range(1, 6)),
)  # fmt: skip
WEIGHTS = {"enter": 60, "reduce": 6, "replace": 24, "cancel": 7, "deposit": 3}


def dense_rows(seed, count):
    """Wire rows of a market with few prices: queues are long, and whatever an engine does wrong is soon seen."""
    rng, inbound, live = random.Random(seed), dict.fromkeys(range(1, 6), 0), []
    rows = [to_row(command) for command in SETUP]
    while len(rows) < count:
        what = rng.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
        if what == "deposit":
            rows.append(to_row(m.Deposit(account=rng.randint(1, 5), currency=rng.randint(1, 2), amount=5)))
            continue
        if what == "enter" or not live:
            live = [*live[-30:], (rng.randint(1, 5), len(rows), rng.randint(98, 102))]
            account, client, price = live[-1]
            terms = {
                "flags": rng.randrange(2) | Type.LIMIT << 1 | Tif.GTC << 5,
                "price": price,
                "quantity": rng.randint(1, 9),
            }
            of = m.EnterOrder
        else:
            account, client, price = rng.choice(live)
            of, terms = {
                "reduce": (m.ReduceOrder, {"quantity": 1}),
                "replace": (m.ReplaceOrder, {"original_client_order_id": client, "price": price, "quantity": 3}),
                "cancel": (m.CancelOrder, {}),
            }[what]
        inbound[account] += 1
        names = {"session": account, "inbound": inbound[account], "instrument": 1, "account": account}
        rows.append(to_row(of(**names, client_order_id=client, **terms)))
    return rows


def made(path, seed, count=600, cut=7, rolls=(), snapshots=(), close=True):
    """The journal of a random stream in batches of so many rows, rolled or with a snapshot behind some of them.

    Every kind of command and every refusal for an even seed, a market with long queues for an odd one.
    """
    directory, sequencer = create(path)
    wire = (dense_rows if seed % 2 else wire_rows)(seed, count)
    for at in range(0, count, cut):
        sequencer.submit(b"".join(wire[at : at + cut]), START)
        if at in snapshots:
            sequencer.snapshot(directory)
        if at in rolls:
            sequencer.roll()
    if close:
        sequencer.close_batch()
    sequencer.events.close()
    directory.close()
    return path


def row_of(path, sequence):
    """A row as the journal holds it."""
    with closing(JournalDirectory(path)) as journal:
        value = next(journal.batches(sequence))
    at = HEADER_SIZE + (sequence - read_header(value).first) * ROW_SIZE
    return value[at : at + ROW_SIZE]


class Twin:
    """A journal of the commands of another one, as a node with this engine would have sealed it, with its event store."""

    def __init__(self, engine, source, target, *, cut=None, damage=None, semantics=None, snapshot=None, row=b""):
        """`cut`: rows in a batch, those of the source if None. `damage`: called with engine and number before each row.

        `snapshot`: a snapshot is taken after this row, which ends a batch. `row` takes the place of the one of its number.
        """
        self.row = row
        self.engine, self.cut, self.damage, self.semantics, self.snapshot = engine, cut, damage, semantics, snapshot
        source = JournalDirectory(source)
        state = source.segment(source.segments()[0]).state()
        engine.restore(state)
        self.copy = JournalDirectory.create(
            target, state, semantics=semantics or source.segment(source.segments()[0]).semantics
        )
        self.events = EventStore(self.copy.events, write=True)
        for value, following in ahead(source.batches()):
            self.add(value, quarantines(following))
        self.events.close()
        self.copy.close()
        source.close()

    def add(self, value, named):
        header, head = read_header(value), self.copy.head()
        header = header._replace(semantics=self.semantics or header.semantics)
        if header.kind == BatchKind.CLOSING and not self.copy.closed():
            terms = {"semantics": header.semantics, "epoch": header.epoch, "time": header.base_time}
            self.copy.append(seal_closing(head, **terms, digest=self.engine.digest()))
        elif header.kind == BatchKind.STATE and self.copy.segments()[-1] != header.first:
            self.copy.roll(self.engine.state(), semantics=header.semantics, epoch=header.epoch)
        elif header.kind == BatchKind.COMMANDS:
            size = (self.cut or header.rows) * ROW_SIZE
            for at in range(HEADER_SIZE, len(value), size):
                self.seal(header, value[at : at + size], named)

    def seal(self, header, rows, named):
        first, last = self.engine.sequence + 1, self.engine.sequence + len(rows) // ROW_SIZE
        rows = b"".join(self.row if self.row[8:16] == row[8:16] else row for row in rows_of(rows))
        value = seal(
            rows,
            semantics=header.semantics,
            epoch=header.epoch,
            first=first,
            base_time=int.from_bytes(rows[16:24], "little"),
            applied=first - 1,
            digest=self.engine.digest(),
            previous=self.copy.head().hash,
        )
        self.copy.append(value)
        if self.damage is None:
            told = feed(self.engine, value, HEADER_SIZE, len(value), named)
        else:
            told = b"".join(self.damaged(value, at, named) for at in range(HEADER_SIZE, len(value), ROW_SIZE))
        self.events.append(first, last, told)
        if last == self.snapshot:
            snapshots.write(self.copy.snapshots, self.engine.state(), self.copy.header_at(last))

    def damaged(self, value, at, named):
        self.damage(self.engine, self.engine.sequence + 1)
        return feed(self.engine, value, at, at + ROW_SIZE, named)


def told_one_by_one(journal, *engines, upto=None):
    """Brute force: each engine applies every row alone, up to one; yields its number, and the events of each engine."""
    with closing(JournalDirectory(journal)) as source:
        yield from _one_by_one(source, engines, upto)


def _one_by_one(source, engines, upto):
    state = source.segment(source.segments()[0]).state()
    for engine in engines:
        engine.restore(state)
    for value, following in ahead(source.batches()):
        if read_header(value).kind == BatchKind.COMMANDS:
            for at in range(HEADER_SIZE, len(value), ROW_SIZE):
                if engines[0].sequence == upto:
                    return
                named = quarantines(following)
                yield engines[0].sequence + 1, [feed(engine, value, at, at + ROW_SIZE, named) for engine in engines]
