"""The gate without a ceiling: a journal replayed again gives the same bytes, from wherever the replay begins."""

import hashlib
import shutil

from core.machine import Machine
from journal import snapshots
from replicas.replay import replay
from tools.fills import fills_of
from tools.reading import begin, opened


def run(path, after=0, *, from_zero=True):
    """Digests and fills of a replay, and the hash of the event bytes of the rows behind `after`."""
    hashed, fills = hashlib.sha256(), []
    with opened(path) as journal:
        machine = begin(journal, journal.head().sequence, from_zero=from_zero).machine
        for batch in replay(journal, machine):
            if batch.header.last > after:
                hashed.update(batch.events)
                fills += fills_of(batch)
        return machine.digest.value(), machine.state_digest(), hashed.hexdigest(), fills


def snapshot_in_the_middle(path):
    """Write a snapshot where the batch of the middle row ends; returns its sequence number."""
    with opened(path) as journal:
        machine = Machine.restore(journal.state())
        half = journal.head().sequence // 2
        for batch in replay(journal, machine):
            if batch.header.last >= half:
                snapshots.write(journal.snapshots, machine.rows(), batch.header)
                return batch.header.last
    raise AssertionError(f"{path} holds no rows")


def assert_replays_agree(path):
    """From zero, from zero again, and from a snapshot in the middle; returns the fills."""
    once, twice = run(path), run(path)
    assert once == twice
    after = snapshot_in_the_middle(path)
    try:
        assert run(path, after) == run(path, after, from_zero=False)
    finally:
        shutil.rmtree(path / "snapshots")
        (path / "snapshots").mkdir()
    return once[3]
