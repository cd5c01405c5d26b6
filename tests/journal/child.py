"""Child processes of these tests: `python -m tests.journal.child WHAT PATH` writes or reads a segment."""

import os
import resource
import sys
import time
from pathlib import Path

from journal.errors import JournalError
from journal.segment import Segment
from tests.journal.samples import Writer


def write(path: Path) -> None:
    """Append for ever, telling after each commit what was acknowledged."""
    writer = Writer(Segment(path, write=True))
    while True:
        writer.write(3)
        head = writer.journal.head()
        os.write(1, f"{head.sequence} {head.hash.hex()}\n".encode())


def write_to_the_limit(path: Path) -> None:
    """Append until the file may grow no more, then show that the error is final."""
    writer = Writer(Segment(path, write=True))
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, hard))
    try:
        while True:
            writer.write(20)
            print(writer.journal.head().sequence, flush=True)
    except JournalError as error:
        print(type(error).__name__, flush=True)
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    try:
        writer.journal.append(b"")
    except JournalError as error:
        print("again", type(error).__name__, flush=True)


def hold(path: Path) -> None:
    """Hold a read transaction open, deliberately, until killed."""
    segment = Segment(path)
    with segment._environment._cursor(b"batches"):
        print("holding", flush=True)
        time.sleep(60)


def lock(path: Path) -> None:
    """Try to be a second writer."""
    try:
        Segment(path, write=True)
        print("opened", flush=True)
    except JournalError as error:
        print(type(error).__name__, flush=True)


if __name__ == "__main__":
    {"write": write, "limit": write_to_the_limit, "hold": hold, "lock": lock}[sys.argv[1]](Path(sys.argv[2]))
