"""Kills a projector at random moments beside a writer, or at statements, and checks what is left. Prints one JSON object.

    python -m tests.crash.projector moments FOLDER --seed N --kills N
    python -m tests.crash.projector statements FOLDER --seed N --points N

Projector and writer are forks of this process, which has one thread and holds no journal open.
"""

import argparse
import json
import os
import random
import signal
import time
import traceback
from contextlib import closing
from pathlib import Path

from core.messages import DefineCurrency
from core.rows import to_row
from tests.determinism.stream import START
from tests.market_logs import Venue
from tests.tools.projected import NAMES, Told, differs, fold
from tools.market_application import JOURNAL, Market
from tools.projections.database import Target
from tools.projections.projector import MarketProjection, Projector
from tools.projections.sqlite import Sqlite

GATHERED = 30
"""Event rows of one transaction: a run has many."""


def fork(act):
    """Run `act` in a child; its process id."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        act()
        code = 0
    except BaseException:  # noqa: BLE001 - a child must not go on as its parent
        traceback.print_exc()
    finally:
        os._exit(code)


def end(child):
    """How a child ended: its exit code, or less the number of the signal that killed it."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def project(path, target, name, *, follow=False):
    """What runs in the child: follow the journal into the database, in small transactions."""
    with closing(Market({JOURNAL: str(path)})) as market, closing(target.open()) as database:
        made = fold(name)
        projector = Projector(market, path, database, made)
        projector.projection = MarketProjection(projector.view, made, projector.log, gathered_rows=GATHERED)
        projector.run(None if follow else projector.log.max_notification_id())


def reached(target, name):
    """The row that the view knows of."""
    with closing(target.open()) as database:
        if not database.has("lockstep_tracking"):
            return 0
        found = database.query("SELECT notification_id FROM lockstep_tracking WHERE projection = ?", fold(name).name)
    return found[0][0] if found else 0


def difference(target, name, told):
    """What is wrong with the tables for the position that stands beside them, in words."""
    sequence = reached(target, name)
    if not sequence:
        return None
    with closing(target.open()) as database:
        found = differs(database, name, told.upto(sequence))
    return f"{name} at row {sequence}: {found}" if found else None


def lives(path, number, acts):
    """Write a venue that goes on for a while; the last command is one that nothing follows."""
    venue = Venue(path, number)
    for _ in range(acts):
        venue.act()
        time.sleep(0.004)
    venue.sequencer.submit(to_row(DefineCurrency(currency=99, symbol="LAST")), START)
    venue.close()


def moments(folder, number, kills):
    """Followers of a writer at work, killed time and again, one projection after the other into one database."""
    path, target, rng = folder / "venue", Target(f"sqlite:///{folder}/view.sqlite"), random.Random(number)
    writer = fork(lambda: lives(path, number, 12 * kills))
    while not (path / "events" / "data.mdb").exists():
        time.sleep(0.01)
    positions = set()
    for nth in range(kills):
        name = NAMES[nth % len(NAMES)]
        follower = fork(lambda name=name: project(path, target, name, follow=True))
        time.sleep(rng.uniform(0.01, 0.15))
        os.kill(follower, signal.SIGKILL)
        assert end(follower) == -signal.SIGKILL
        positions.add(reached(target, name))
    assert end(writer) == 0
    told, wrong = Told.of(path), []
    for name in NAMES:
        wrong.append(difference(target, name, told))
        assert end(fork(lambda name=name: project(path, target, name))) == 0
        wrong.append(difference(target, name, told))
    last = {reached(target, name) for name in NAMES}
    return {
        "kills": kills,
        "positions": len(positions),
        "wrong": [w for w in wrong if w],
        "behind": last != {told.last},
    }


class Statements(Sqlite):
    """A database that kills the process at its n-th statement; every row that is inserted is one."""

    def __init__(self, path, at, seen):
        super().__init__(path)
        self.seen, self.at = seen, at
        self._connection.set_trace_callback(self._trace)

    def _trace(self, statement):
        self.seen.append(statement)
        if len(self.seen) == self.at:
            os.kill(os.getpid(), signal.SIGKILL)


class StatementsTarget:
    """Opens that database; `seen` are the statements so far."""

    def __init__(self, path, at=0):
        self.path, self.at, self.seen = path, at, []

    def open(self):
        return Statements(self.path, self.at, self.seen)

    def points(self, rng, count):
        """Statements to be killed at: as many as that where a transaction begins or ends, one among the rows; all for 0."""
        every = range(1, len(self.seen) + 1)
        if count == 0:
            return every
        marks = ("BEGIN", "COMMIT", "lockstep_tracking")
        ends = [at for at in every if any(mark in self.seen[at - 1] for mark in marks)]
        return sorted({*rng.sample(ends, count), rng.choice(every)})


def statements(folder, number, points):
    """Runs that are killed at chosen statements; what is left is checked, and taken to the end by another run."""
    path, rng, wrong, places = folder / "venue", random.Random(number), [], 0
    venue = Venue(path, number)
    for _ in range(10):
        venue.act()
    venue.quarantine(3, 1)
    venue.close()
    told = Told.of(path)
    for name in NAMES:
        # Counted in this process, which has given the journal back when it forks.
        whole = StatementsTarget(folder / f"{name}.whole")
        project(path, whole, name)
        places += len(whole.seen)
        for at in whole.points(rng, points):
            file = folder / f"{name}-{at}.sqlite"
            child = fork(lambda name=name, at=at, file=file: project(path, StatementsTarget(file, at), name))
            assert end(child) == -signal.SIGKILL
            target = Target(f"sqlite:///{file}")
            wrong.append(difference(target, name, told))
            assert end(fork(lambda name=name, target=target: project(path, target, name))) == 0
            wrong.append(difference(target, name, told))
            if reached(target, name) != told.last:
                wrong.append(f"{name}: ends at row {reached(target, name)}")
            file.unlink()
    return {"statements": places, "wrong": [w for w in wrong if w]}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("act", choices=("moments", "statements"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--points", type=int, default=0)
    options = parser.parse_args()
    if options.act == "moments":
        print(json.dumps(moments(options.folder, options.seed, options.kills)))
    else:
        print(json.dumps(statements(options.folder, options.seed, options.points)))


if __name__ == "__main__":
    main()
