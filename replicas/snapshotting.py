"""A snapshot of a journal that another process writes: `python -m replicas.snapshotting DIR`, at the lowest priority."""

import argparse
import os
import sys
from pathlib import Path

from core.limits import SUM_MAX
from journal import snapshots
from journal.directory import JournalDirectory
from journal.errors import JournalError
from replicas.passwords import die_with
from replicas.replay import replay, start


def write_snapshot(path: Path) -> int:
    """Write the state at the present end of the journal; the row up to which it goes. JournalError, OSError."""
    directory = JournalDirectory(path)
    try:
        machine = start(directory, directory.snapshots, upto=SUM_MAX)
        for _ in replay(directory, machine):
            pass
        header = directory.header_at(machine.engine.sequence)
        if header is None:
            raise AssertionError("a replay ends where a batch ends")
        snapshots.write(directory.snapshots, machine.rows(), header)
        snapshots.prune(directory.snapshots)
        return int(machine.engine.sequence)
    finally:
        directory.close()


def main() -> int:
    """The process; 1 with a line on stderr if there is no snapshot in the end."""
    parser = argparse.ArgumentParser(
        prog="python -m replicas.snapshotting", description="Write a snapshot of a journal."
    )
    parser.add_argument("directory", type=Path, help="data directory of the node")
    parser.add_argument("--parent", type=int, default=os.getppid(), help="process id to die with")
    options = parser.parse_args()
    die_with(options.parent)
    os.nice(19)
    try:
        write_snapshot(options.directory)
    except (JournalError, OSError) as error:
        print(f"snapshot: {error}", file=sys.stderr)  # noqa: T201 - the last line of this process
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
