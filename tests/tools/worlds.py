"""Journals of random streams, and a second world of each worked out naively: with the model, lists and dicts."""

import random
import struct
from dataclasses import dataclass, field

import msgspec

from core import messages as m
from core.kinds import ROW_SIZE, CommandKind
from core.machine import Machine
from core.rows import rows, to_row
from core.state import SEMANTICS
from journal.batch import HEADER_SIZE, BatchKind, read_header
from journal.directory import JournalDirectory
from journal.event_store import EventStore
from tests.model import Model
from tests.streams import Stream
from tests.tools.conftest import ask_json
from tools.worlds.rewriting import Rewriter

ROW = struct.Struct("<16q")
OF_NODES = (CommandKind.QUARANTINE, CommandKind.PROMOTE, CommandKind.UPGRADE)
NUMBERS = {
    "sequence", "time", "inbound", "outbound", "match_number", "drop_copy", "market_data", "buyer_drop_copy",
    "seller_drop_copy", "first",
}  # fmt: skip
"""What is counted, and so shifts where a command is missing."""


@dataclass
class Line:
    """A row as it was journaled, the Quarantine row in force at it, and what the model says of it."""

    row: bytes
    quarantine: bytes | None
    events: list
    consumed: bool = False

    @property
    def columns(self):
        return ROW.unpack(self.row)


@dataclass
class Made:
    path: object
    lines: list = field(default_factory=list)
    ends: set = field(default_factory=set)

    def line(self, sequence):
        return self.lines[sequence - 1]


def consumes(model, row):
    columns = ROW.unpack(row)
    session = model.sessions.get(columns[3]) if columns[3] else None
    return session is not None and columns[4] == session.inbound + 1


def make(path, seed, steps=420, quarantines=0.01, rolls=2, snapshots=2):
    """A journal of a random stream: batches of several sizes, segments, snapshots, quarantines and a promotion."""
    rng, model = random.Random(seed), Model()
    source = Stream(seed, model)
    machine = Machine()
    directory = JournalDirectory.create(path, machine.rows(), semantics=SEMANTICS)
    store = EventStore(directory.events, write=True)
    writer, made = Rewriter(directory, machine, events=store), Made(path)
    marks = sorted(rng.sample(range(20, steps - 40), rolls + snapshots + 1))
    acts = [*["roll"] * rolls, *["snapshot"] * snapshots, "promote"]
    rng.shuffle(acts)

    def take(row, quarantine):
        consumed = consumes(model, row)
        told = model.apply(row) if quarantine is None else model.apply_quarantined(row, quarantine)
        made.lines.append(Line(row, quarantine, list(told), consumed))

    def write(batch):
        made.ends.add(len(made.lines))
        first = len(made.lines) - len(batch)
        named = [made.lines[first + n].quarantine for n in range(len(batch))]
        events = writer.write(b"".join(batch), [row for row in named if row])
        for row in filter(None, named):
            columns = list(ROW.unpack(row))
            columns[1], columns[2] = len(made.lines) + 1, ROW.unpack(made.lines[-1].row)[2] + 1
            take(ROW.pack(*columns), None)
        source.sequence, source.time = len(made.lines), ROW.unpack(made.lines[-1].row)[2]
        assert list(rows(events)) == [event for line in made.lines[first:] for event in line.events]

    for row in source.setup():
        take(row, None)
    write([line.row for line in made.lines])
    while len(made.lines) < steps:
        batch = []
        # No node cuts a command of several parts.
        while len(batch) < rng.choice((1, 3, 8)) or model.open_head:
            before = source.sequence
            row = source.next()
            if ROW.unpack(row)[0] in OF_NODES:
                source.sequence = before
                continue
            named = source.quarantine_of(row) if rng.random() < quarantines else None
            if (
                named
                and ROW.unpack(named)[10]
                and any(line.quarantine for line in made.lines[len(made.lines) - len(batch) :])
            ):
                # Two in a batch, of which the second names a timer: where the Quarantine rows then stand is not told.
                named = None
            take(row, named)
            batch.append(row)
        write(batch)
        if marks and len(made.lines) >= marks[0]:
            marks.pop(0)
            act = acts.pop()
            if act == "roll":
                writer.roll()
            elif act == "snapshot":
                writer.snapshot(directory)
            else:
                writer.epoch += 1
                row = to_row(m.Promote(sequence=len(made.lines) + 1, time=source.time + 1, epoch=writer.epoch + 10**6))
                take(row, None)
                write([row])
    writer.close_batch()
    store.close()
    directory.close()
    return made


def whole(made):
    """Of each row the numbers of all rows of its command, which stand in one batch; of parts the account of the head."""
    found, accounts, at = {}, {}, 0
    while at < len(made.lines):
        head, numbers = made.lines[at].columns, [at + 1]
        while len(numbers) <= parts_after(head) and numbers[-1] not in made.ends:
            part = made.lines[numbers[-1]].columns
            if (part[0], part[3]) != (65 if head[0] == 37 else 64, head[3]):
                break
            numbers.append(numbers[-1] + 1)
        found |= dict.fromkeys(numbers, numbers)
        accounts |= dict.fromkeys(numbers[1:], head[7])
        at = numbers[-1]
    return found, accounts


def parts_after(head):
    """How many parts a head announces; 0 for one that is malformed, and for any other row."""
    kind, flags, number, parts = head[0], head[5], head[8], head[9]
    if kind not in (37, 38, 39) or head[6] or any(head[10:]) or not 0 <= number < 2**62:
        return 0
    if kind == 39:
        return parts if parts == {1: 2, 2: 2, 3: 3}.get(flags) else 0
    return parts if 0 <= flags <= (3 if kind == 37 else 0) and 1 <= parts <= 64 else 0


class Naive:
    """The second world, which lacks whatever `keep(sequence, columns)` refuses, as `lines`: (sequence in the first, line).

    Inbound numbers are those of a client that never sent it, and a repeat goes with what it repeats.
    """

    def __init__(self, made, keep, alter=lambda _sequence, columns: columns):
        self.model, self.lines, self.now = Model(), [], 0
        self.numbers, self.last, self.gone = {}, {}, set()
        self.rows, self.entered, self.entered_there = {}, {}, {}
        commands, accounts = whole(made)

        def is_kept(number):
            columns = list(made.line(number).columns)
            columns[7] = accounts.get(number, columns[7])
            return keep(number, columns)

        for sequence, line in enumerate(made.lines, start=1):
            columns = list(line.columns)
            for event in line.events:
                if isinstance(event, m.Accepted):
                    self.entered[event.order_number] = sequence, event.client_order_id
            if columns[0] == CommandKind.QUARANTINE:
                self.quarantined(columns)
            elif (not line.consumed and tuple(columns[3:5]) in self.gone) or not all(map(is_kept, commands[sequence])):
                self.drop(line, columns)
            else:
                self.take(sequence, line, alter(sequence, columns))

    def drop(self, line, columns):
        if line.consumed:
            self.gone.add(tuple(columns[3:5]))
            self.last[columns[3]] = columns[4]

    def take(self, sequence, line, columns):
        session, inbound = columns[3:5]
        there = self.model.sessions.get(session) if session else None
        if line.consumed:
            columns[4] = there.inbound + 1 if there else inbound
            self.numbers[session, inbound] = columns[4]
            self.last[session] = inbound
        elif session and inbound <= self.last.get(session, 0):
            columns[4] = self.numbers.get((session, inbound), inbound)
        elif there:
            columns[4] = there.inbound + inbound - self.last.get(session, 0)
        quarantine = self.named(columns, line) if line.quarantine else None
        self.add(sequence, columns, quarantine)

    def named(self, columns, line):
        """The Quarantine row as the second world has it; None where the timer that raised is not there."""
        terms = list(ROW.unpack(line.quarantine))
        terms[8] = len(self.lines) + 1
        if terms[10]:
            entered = self.entered[terms[10]]
            timers = {order.number: order.expires for order in self.model.orders if order.timed}
            terms[10] = next((n for n, s in self.entered_there.items() if s == entered), 0)
            if timers.get(terms[10]) != terms[9]:
                return None
        return ROW.pack(*terms)

    def quarantined(self, columns):
        """The row that names a quarantined one, if that is there and still is poison."""
        found = next((line for sequence, line in self.lines if sequence == columns[8]), None)
        if found is None or found.quarantine is None:
            return
        terms = list(ROW.unpack(found.quarantine))
        self.add(0, [*terms[:2], columns[2], *terms[3:]], None)

    def add(self, sequence, columns, quarantine):
        columns[1:3] = len(self.lines) + 1, max(columns[2], self.now + 1)
        self.now = columns[2]
        row = ROW.pack(*columns)
        told = self.model.apply(row) if quarantine is None else self.model.apply_quarantined(row, quarantine)
        self.lines.append((sequence, Line(row, quarantine, list(told))))
        for event in told:
            if isinstance(event, m.Accepted):
                self.entered_there[event.order_number] = sequence, event.client_order_id


class Plain:
    """Events without the numbers that shift; orders by the command that entered them."""

    def __init__(self):
        self.orders = {}

    def of(self, key, events):
        told = []
        for event in events:
            columns = {"of": type(event).__name__, **msgspec.to_builtins(event)}
            if isinstance(event, m.Accepted):
                self.orders[event.order_number] = key, event.client_order_id
            for name in {"order_number", "timer_order"} & {*columns}:
                columns[name] = self.orders.get(columns[name], columns[name])
            # Of a number that shifts it counts whether there is one: a firm that is told in one world alone is a difference.
            told.append({name: bool(value) if name in NUMBERS else value for name, value in columns.items()})
        return told


def differing(first, second):
    """The commands whose events differ; both are lists of (key, events)."""
    ours, theirs = Plain(), Plain()
    left = {key: ours.of(key, events) for key, events in first}
    right = {key: theirs.of(key, events) for key, events in second}
    return {key for key in {*left, *right} if left.get(key, []) != right.get(key, [])}


def journaled(path):
    """The rows of all batches of commands of a journal."""
    directory = JournalDirectory(path)
    try:
        values = list(directory.batches())
    finally:
        directory.close()
    bodies = [value[HEADER_SIZE:] for value in values if read_header(value).kind == BatchKind.COMMANDS]
    return [body[at : at + ROW_SIZE] for body in bodies for at in range(0, len(body), ROW_SIZE)]


def stored(path):
    """All event rows of a journal's event store, as Structs."""
    store = EventStore(path / "events")
    try:
        return [event for batch in store.read() for event in rows(batch.rows)]
    finally:
        store.close()


def changes(folder, text):
    (folder / "change.toml").write_text(text)
    return folder / "change.toml"


def whatif(made, folder, text, *more):
    path = made if not hasattr(made, "path") else made.path
    file = changes(folder, text)
    return ask_json("whatif", path, "--change", file, "--to", folder / "other", "--listed", 10_000, *more)


def segments(path):
    return sorted(entry.name for entry in (path / "segments").iterdir())
