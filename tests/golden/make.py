"""Writes the next version of the golden journal: `python -m tests.golden.make`, on the interpreted build.

It never writes into a folder that exists. See README.md in this folder.
"""

import json
import re
import struct
from contextlib import contextmanager
from hashlib import sha256
from itertools import islice
from pathlib import Path

from core.engine import Engine
from core.kinds import ROW_SIZE, CommandKind, EventKind, StateKind
from core.limits import DAY_BASE
from core.machine import Machine
from core.messages import Canceled, Rejected
from core.reasons import CancelReason, RejectReason
from core.rows import rows
from core.state import SEMANTICS
from journal.batch import HEADER_SIZE, BatchKind, read_header
from journal.memory import MemoryJournal
from replicas.replay import replay, start
from replicas.sequencer import Sequencer
from tests.determinism.stream import START
from tests.golden.rules_session import PARTNER
from tests.golden.session import Session, closing, opening, trading
from tests.poison.samples import PoisonError

FOLDER = Path(__file__).parent
OUT_OF_REACH = {
    RejectReason.TOO_MANY_PENDING,
    RejectReason.LEVELS_FULL,
    CancelReason.MATCH_LIMIT,
    CancelReason.NO_ROOM,
    RejectReason.INVALID_QUARANTINE,
    RejectReason.INVALID_EPOCH,
    StateKind.QUARANTINED,
}
"""What takes thousands of rows, what no row of a sequencer's own is refused for, and what stands between two batches alone."""

_LENGTH = struct.Struct("<I")


def versions():
    """The numbers of the versions that exist."""
    found = (re.fullmatch(r"v(\d+)", path.name) for path in FOLDER.iterdir())
    return sorted(int(match[1]) for match in found if match)


def present():
    """The folder of the newest version that was written under the rules of this release."""
    folders = [FOLDER / f"v{version}" for version in versions()]
    told = {folder: json.loads((folder / "expected.json").read_text())["semantics"] for folder in folders}
    return [folder for folder in folders if told[folder] == SEMANTICS][-1]


def write_values(path, values):
    """Store byte strings, each behind its length."""
    path.write_bytes(b"".join(_LENGTH.pack(len(value)) + value for value in values))


def read_values(path):
    """The byte strings that `write_values` stored."""
    data, at, values = path.read_bytes(), 0, []
    while at < len(data):
        (size,) = _LENGTH.unpack_from(data, at)
        values.append(data[at + 4 : at + 4 + size])
        at += 4 + size
    assert at == len(data)
    return values


def first_state(values):
    """The state batches that a journal begins with."""
    count = next(n for n, value in enumerate(values) if read_header(value).kind != BatchKind.STATE)
    return list(islice(values, count))


def state_of(values):
    """The state rows in state batches."""
    return b"".join(value[HEADER_SIZE:] for value in values)


@contextmanager
def raising(method, poisoned):
    """While it lasts, a method of the engine raises where `poisoned(engine, argument)` says so."""
    kept = getattr(Engine, method)

    def raises(self, *arguments):
        if poisoned(self, *arguments):
            raise PoisonError(method)
        kept(self, *arguments)

    setattr(Engine, method, raises)
    try:
        yield
    finally:
        setattr(Engine, method, kept)


class Recorder:
    """A journal in memory, written by a sequencer in batches of many sizes."""

    def __init__(self):
        self.machine = Machine()
        self.journal = MemoryJournal.create(self.machine.rows(), semantics=SEMANTICS)
        self.values = list(self.journal._values)
        self.sequencer = Sequencer(self.journal, start(self.journal))
        self.events = b""

    def write(self, wire, size):
        """Sequence rows, so many in a batch."""
        for at in range(0, len(wire), size):
            self.events += self.sequencer.submit(b"".join(wire[at : at + size]), START)


def record():
    """The session in a journal: (all sealed batches, all events, the state at the snapshot)."""
    session, recorder = Session(), Recorder()
    recorder.write(session.rows(opening()), 7)
    recorder.write(session.rows(trading(session.stream.time)), 11)
    recorder.write(session.out_of_turn(), 1)
    recorder.write(session.ruled(), 13)
    recorder.write(session.random(), 32)
    recorder.write(session.unfinished(), 2)
    recorder.events += recorder.sequencer.promote(2, START)
    recorder.write(session.staged(), 2)
    snapshot = recorder.sequencer.machine.rows()
    poison = recorder.journal.head().sequence + 2
    with raising("_run", lambda engine, *_: engine.sequence == poison):
        recorder.write(session.poison(), 3)
    recorder.sequencer.roll()
    bad = session.stream.time
    with raising("expire", lambda _, order: bad < order.expires < DAY_BASE and order.client_order_id == 9_110):
        recorder.write(session.timer(), 4)
    with raising(
        "_move_peg",
        lambda engine, order, *_: engine.command == CommandKind.ADVANCE_TIME and order.account.number == PARTNER,
    ):
        recorder.write(session.pegged(), 5)
    recorder.write(session.rows(closing()), 3)
    recorder.sequencer.close_batch()
    return list(recorder.journal._values), recorder.events, snapshot


def expected(values, events, snapshot):
    """What a replay of the journal must give, at the end of every batch of commands."""
    journal = MemoryJournal(first_state(values))
    for value in values[len(first_state(values)) :]:
        journal.append(value)
    machine = Machine.restore(state_of(first_state(values)))
    found, batches = b"", []
    for applied in replay(journal, machine):
        found += applied.events
        batches.append({
            "last": applied.header.last,
            "events": len(applied.events) // ROW_SIZE,
            "event_digest": machine.digest.value().hex(),
            "state_digest": machine.state_digest().hex(),
        })  # fmt: skip
    assert found == events, "the replay gives other events than the sequencer answered"
    return {
        "semantics": SEMANTICS,
        "head": journal.head().hash.hex(),
        "events": sha256(events).hexdigest(),
        "snapshot": int.from_bytes(snapshot[8:16], "little"),
        "batches": batches,
    }


def kinds_in(data):
    """The kinds of rows."""
    return {int.from_bytes(data[at : at + 8], "little") for at in range(0, len(data), ROW_SIZE)}


def missing(values, events, snapshot):
    """The kinds and reasons that the journal does not hold."""
    commands = b"".join(v[HEADER_SIZE:] for v in values if read_header(v).kind == BatchKind.COMMANDS)
    told = list(rows(events))
    kinds = kinds_in(commands)
    rejected = {event.reason for event in told if isinstance(event, Rejected)}
    canceled = {event.reason for event in told if isinstance(event, Canceled)}
    wanted = {kind for kind in CommandKind if kind not in kinds}
    wanted |= {kind for kind in EventKind if kind not in {event.KIND for event in told}}
    wanted |= {kind for kind in StateKind if kind not in kinds_in(snapshot)}
    wanted |= {reason for reason in RejectReason if reason not in rejected}
    return [
        lack.name
        for lack in wanted | {reason for reason in CancelReason if reason not in canceled}
        if lack not in OUT_OF_REACH
    ]


def write(version):
    """Make a version's folder."""
    values, events, snapshot = record()
    lacking = missing(values, events, snapshot)
    assert lacking == [], lacking
    told = expected(values, events, snapshot)
    folder = FOLDER / f"v{version}"
    folder.mkdir()
    write_values(folder / "journal.batches", values)
    (folder / "events.rows").write_bytes(events)
    (folder / "snapshot.rows").write_bytes(snapshot)
    (folder / "expected.json").write_text(json.dumps(told, indent=1) + "\n")
    return folder


if __name__ == "__main__":
    print(write(max(versions(), default=0) + 1).name)
