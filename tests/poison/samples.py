"""A small venue, and engines that raise: at a row, at a line of `core`, in a timer or in a mass operation.

Compiled classes cannot be patched nor traced, so the engine raises on the interpreted build alone. What a journal with
quarantines then means is the same on both, and is told by tests/golden.
"""

import sys
from contextlib import contextmanager
from pathlib import Path

import core.engine
from core import messages as m
from core.check import check
from core.kinds import OrderType as Type
from core.kinds import Role, Side
from core.kinds import TimeInForce as Tif
from core.machine import Machine
from core.rows import pack_halves, rows, to_row
from core.state import SEMANTICS
from journal.batch import HEADER_SIZE
from journal.chain import Chain
from journal.memory import MemoryJournal
from replicas.replay import recover, replay, start
from replicas.sequencer import Sequencer

NOW = 1_700_000_000_000_000_000
CORE = str(Path(core.engine.__file__).parent)

SETUP = (
    m.DefineCurrency(currency=1, symbol="USD"),
    m.DefineCurrency(currency=2, symbol="BTC"),
    m.DefineCurrency(currency=3, symbol="ETH"),
    *(
        m.DefineInstrument(
            instrument=i, symbol=symbol, currencies=pack_halves(i + 1, 1), price_max=1_000, quantity_max=1_000,
            fee_rates=pack_halves(10_000, 20_000),
        )
        for i, symbol in ((1, "BTC/USD"), (2, "ETH/USD"))
    ),
    *(m.OpenAccount(account=a, firm=a, name=f"account {a}") for a in (1, 2, 3)),
    *(m.Deposit(account=a, currency=c, amount=1_000_000) for a in (1, 2, 3) for c in (1, 2, 3)),
    *(m.GrantSession(account=a, grantee=a, role=Role.TRADER) for a in (1, 2, 3)),
)  # fmt: skip


class PoisonError(Exception):
    """What the engine raises here and nowhere else."""


def order(side, price, quantity, tif=Tif.GTC, **columns):
    """A limit order's Struct."""
    terms = {"flags": side | Type.LIMIT << 1 | tif << 5, "price": price, "quantity": quantity}
    terms |= {"instrument": 1, "account": 1, "client_order_id": 1}
    return m.EnterOrder(**terms | columns)


class Venue:
    """A journal in memory, its sequencer, and what it has answered; new with SETUP, or as a state has it."""

    def __init__(self, state=None):
        self.journal = MemoryJournal.create(state or Machine().rows(), semantics=SEMANTICS)
        self.sequencer = Sequencer(self.journal, start(self.journal))
        self.inbound = {}
        self.now = max(NOW, self.engine.now)
        self.answered = b""
        if state is None:
            self.submit(*SETUP)

    @property
    def engine(self):
        return self.sequencer.machine.engine

    def wire(self, *commands):
        """Wire rows, each with its session's next inbound number unless it has one."""
        made = []
        for command in commands:
            names = {name: getattr(command, name) for name in command.__struct_fields__}
            if command.session and not command.inbound:
                self.inbound[command.session] = names["inbound"] = self.inbound.get(command.session, 0) + 1
            made.append(to_row(type(command)(**names)))
        return b"".join(made)

    def submit(self, *commands, later=1_000):
        """Sequence the commands as one batch; the events as Structs."""
        return self.submit_wire(self.wire(*commands), later=later)

    def submit_wire(self, wire, later=1_000):
        """Sequence wire rows as one batch, those too that only a sequencer makes."""
        self.now += later
        of_sequencer = wire[:1] in (bytes([m.Quarantine.KIND]), bytes([m.Promote.KIND]))
        submit = self.sequencer._submit if of_sequencer else self.sequencer.submit
        events = submit(wire, self.now)
        self.answered += events
        return list(rows(events))

    def next(self):
        """The sequence number of the next row."""
        return self.journal.head().sequence + 1


@contextmanager
def raising_at(monkeypatch, *sequences, error=PoisonError):
    """While it lasts, running any of these rows raises before it has changed anything."""
    run = core.engine.Engine._run

    def raising(self, kind, row, at):
        if self.sequence in sequences:
            raise error(f"row {self.sequence}")
        run(self, kind, row, at)

    with monkeypatch.context() as patch:
        patch.setattr(core.engine.Engine, "_run", raising)
        yield


def named_by(engine):
    """What a Quarantine row says of the timer that is running: an order, an account negated, or 0."""
    if engine.timer_account is not None:
        return -engine.timer_account.number
    return engine.timer.number if engine.timer is not None else 0


class Lines:
    """Counts the lines of `core` that run while rows are applied, and raises once in each.

    `plan` says where, by sequence number: at the so many-th line (0: nowhere), or where a line (module, number) runs first.
    """

    def __init__(self, plan, error=PoisonError):
        self.plan, self.error = plan, error
        self.count = 0
        self.raised = []
        self.where = ""
        self.timers = {}
        self._at = None
        self._seen = 0

    def __enter__(self):
        self._kept = name = Sequencer._name_the_row

        def traced_again(sequencer):
            # What a trace function raises ends the tracing.
            sys.settrace(self._call)
            return name(sequencer)

        Sequencer._name_the_row = traced_again
        sys.settrace(self._call)
        return self

    def __exit__(self, *_):
        sys.settrace(None)
        Sequencer._name_the_row = self._kept

    def _call(self, frame, event, _):
        code = frame.f_code
        if not code.co_filename.startswith(CORE):
            return None
        if code.co_name in {"_take", "event_rows"}:
            self._at = None
        elif code.co_name == "_dispatch":
            # Only the first run of the row: what happens after a quarantine is another engine's.
            self._engine, self._seen = frame.f_locals["self"], 0
            self._at = self.plan.get(self._engine.sequence) if self._engine.sequence not in self.raised else None
        return None if self._at is None else self._line

    def _line(self, frame, event, _):
        if event == "line" and self._at is not None:
            self.count += 1
            self._seen += 1
            if self._at in (self._seen, (Path(frame.f_code.co_filename).stem, frame.f_lineno)):
                self._raise(frame)
        return self._line

    def _raise(self, frame):
        engine, self._at = self._engine, None
        self.raised.append(engine.sequence)
        self.where = f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}"
        self.timers[engine.sequence] = engine.timer_time, named_by(engine)
        raise self.error(self.where)


def bodies(values):
    """The rows of batches."""
    return [value[HEADER_SIZE:] for value in values]


def of_kind(events, kind):
    return [event for event in events if isinstance(event, kind)]


def agrees(venue, *, at_every_row=True):
    """The state is sound, and a fixed engine that replays the journal has the same state, events and digests."""
    check(venue.engine)
    chain = Chain()
    for value in venue.journal.batches():
        chain.feed(value)
    machine = start(venue.journal)
    events = b"".join(applied.events for applied in replay(venue.journal, machine))
    assert events == venue.answered
    assert machine.rows() == venue.sequencer.machine.rows()
    assert machine.digest.value() == venue.sequencer.machine.digest.value()
    for upto in range(venue.journal.head().sequence + 1 if at_every_row else 0):
        check(recover(venue.journal, upto=upto).engine)
    return machine


def trades(venue, instrument):
    """Whether two orders still meet on an instrument."""
    number = venue.next() + 1_000
    events = venue.submit(
        order(SELL, 500, 1, session=2, account=2, instrument=instrument, client_order_id=number),
        order(BUY, 500, 1, session=3, account=3, instrument=instrument, client_order_id=number),
    )
    return len(of_kind(events, m.Executed)) == 2


BUY, SELL = Side.BUY, Side.SELL
