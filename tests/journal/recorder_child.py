"""Child processes of these tests: `python -m tests.journal.recorder_child WHAT PATH ...` uses a recorder."""

import os
import resource
import sys
import threading
import time
from pathlib import Path

from eventsourcing.persistence import StoredEvent

from journal.errors import JournalError
from journal.recorder import LmdbApplicationRecorder
from journal.recorder_store import Share


def events(name: str, first: int, count: int = 1, state: bytes = b"state") -> list[StoredEvent]:
    """Events of one originator, dense from a version."""
    return [StoredEvent(name, version, "topic", state) for version in range(first, first + count)]


def recorder_at(path: str) -> LmdbApplicationRecorder:
    """The recorder that all of these processes use."""
    return LmdbApplicationRecorder(Share(Path(path)), "app")


def write(path: str, name: str, events_max: str) -> None:
    """Write three events at a time, telling after each insert the id and version that are acknowledged."""
    recorder = recorder_at(path)
    version = 0
    while version < int(events_max):
        ids = recorder.insert_events(events(name, version, 3))
        version += len(ids)
        os.write(1, f"{ids[-1]} {version - 1}\n".encode())


def follow(path: str, wanted: str) -> None:
    """Subscribe from the beginning, and tell what comes."""
    with recorder_at(path).subscribe() as subscription:
        print("following", flush=True)
        for _, event in zip(range(int(wanted)), subscription, strict=False):
            print(event.id, event.originator_id, event.originator_version, flush=True)


def die_writing(path: str) -> None:
    """Stand in the middle of a write until killed."""
    recorder = recorder_at(path)
    with recorder.writing() as txn:
        txn.put(b"\xff" * 8, b"half of it", db=recorder._log)
        print("holding", flush=True)
        time.sleep(60)


def hold(path: str) -> None:
    """Hold a read transaction open, deliberately, until killed."""
    with recorder_at(path).reading():
        print("holding", flush=True)
        time.sleep(60)


def forget(path: str) -> None:
    """Leave without stopping a subscription that another thread waits in."""
    recorder = recorder_at(path)
    waiting = recorder.subscribe()
    threading.Thread(target=next, args=(waiting,), daemon=True).start()
    recorder.subscribe().__enter__()
    print("leaving", flush=True)


def write_to_the_limit(path: str) -> None:
    """Write until the file may grow no more, then show that the error is final."""
    recorder = recorder_at(path)
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, hard))
    version = 0
    try:
        while True:
            print(recorder.insert_events(events("a", version, 1, bytes(5_000)))[-1], flush=True)
            version += 1
    except JournalError as error:
        print(type(error).__name__, flush=True)
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    try:
        recorder.insert_events(events("b", 0))
    except JournalError as error:
        print("again", type(error).__name__, flush=True)


if __name__ == "__main__":
    what = {
        "write": write,
        "follow": follow,
        "die": die_writing,
        "hold": hold,
        "forget": forget,
        "limit": write_to_the_limit,
    }
    what[sys.argv[1]](*sys.argv[2:])
