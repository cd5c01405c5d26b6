"""Applies a file of stamped command rows, or a journal directory, and prints digests of all that came of it as JSON.

    python -m tests.determinism.replayer ROWS_OR_DIRECTORY [--batch N] …

Two runs agree when their output is the same text. The output names no interpreter, build or option.
"""

import argparse
import gc
import json
import sys
from hashlib import sha256
from pathlib import Path

from core.kinds import ROW_SIZE
from core.machine import Machine
from tests.determinism.tripwire import Tripwire

EVERY = 1_000
"""Rows between two of the running digests."""


def report(data, batch=EVERY, restore=0, around=None):
    """What the rows come to, applied `batch` at a time and through a dump and a restore every `restore` rows."""
    machine, events, running = Machine(), sha256(), []
    begin, kinds = 0, {}
    while begin < len(data):
        end = min(len(data), begin + batch * ROW_SIZE, begin + EVERY * ROW_SIZE - begin % (EVERY * ROW_SIZE))
        if restore:
            end = min(end, begin + restore * ROW_SIZE - begin % (restore * ROW_SIZE))
        if around is None:
            rows = machine.apply(data, begin, end)
        else:
            with around:
                rows = machine.apply(data, begin, end)
        events.update(rows)
        for at in range(0, len(rows), ROW_SIZE):
            kind = int.from_bytes(rows[at : at + 8], "little")
            kinds[kind] = kinds.get(kind, 0) + 1
        begin = end
        if begin % (EVERY * ROW_SIZE) == 0:
            running.append([machine.digest.value().hex(), machine.state_digest().hex()])
        if restore and begin % (restore * ROW_SIZE) == 0:
            machine = Machine.restore(machine.rows())
    return {
        "rows": len(data) // ROW_SIZE,
        "event_digest": machine.digest.value().hex(),
        "state_digest": machine.state_digest().hex(),
        "snapshot": sha256(machine.rows()).hexdigest(),
        "events": events.hexdigest(),
        "running": running,
        "kinds": sorted(kinds.items()),
    }


def of_journal(path):
    """What a journal directory comes to, verified batch by batch and from its current segment's state on."""
    from journal.directory import JournalDirectory
    from replicas.replay import replay, start

    journal = JournalDirectory(path)
    machine, events, running = start(journal), sha256(), []
    for applied in replay(journal, machine):
        events.update(applied.events)
        running.append([machine.digest.value().hex(), machine.state_digest().hex()])
    journal.close()
    return {
        "rows": machine.engine.sequence,
        "event_digest": machine.digest.value().hex(),
        "state_digest": machine.state_digest().hex(),
        "snapshot": sha256(machine.rows()).hexdigest(),
        "events": events.hexdigest(),
        "running": running,
    }


def depth():
    """How many frames stand on the stack."""
    frame, count = sys._getframe(), 0
    while frame is not None:
        frame, count = frame.f_back, count + 1
    return count


def main():
    """Set up what was asked for, replay, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("path", type=Path)
    parser.add_argument("--gc", choices=("off", "1"))
    parser.add_argument("--recursion", type=int, default=0)
    parser.add_argument("--batch", type=int, default=EVERY)
    parser.add_argument("--restore", type=int, default=0)
    parser.add_argument("--tripwire", action="store_true")
    options = parser.parse_args()
    if options.gc == "off":
        gc.disable()
    elif options.gc == "1":
        gc.set_threshold(1, 1, 1)
    if options.path.is_dir():
        print(json.dumps(of_journal(options.path)))
        return
    data = options.path.read_bytes()
    around = Tripwire() if options.tripwire else None
    if options.recursion:
        sys.setrecursionlimit(depth() + options.recursion)
    found = report(data, options.batch, options.restore, around)
    sys.setrecursionlimit(1_000)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
