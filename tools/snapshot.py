"""`lockstep snapshot`: write the venue's state beside the journal, so that the next start is quick."""

from journal import snapshots
from tools.failures import Failure
from tools.options import Journal, Json
from tools.output import print_json
from tools.reading import machine_at, opened


def snapshot(journal: Journal, as_json: Json = False) -> None:
    """Write a snapshot of the venue after the journal's last row; the newest three are kept.

    Example: lockstep snapshot venue
    """
    with opened(journal) as source:
        machine = machine_at(source, source.head().sequence)
        batch = source.header_at(machine.engine.sequence)
        if batch is None:
            raise Failure(f"{journal}: no batch ends at row {machine.engine.sequence}")
        path = snapshots.write(source.snapshots, machine.rows(), batch)
        removed = snapshots.prune(source.snapshots)
    digest = machine.state_digest().hex()
    if as_json:
        print_json({"sequence": batch.last, "file": str(path), "state_digest": digest, "removed": removed})
    else:
        print(f"snapshot after row {batch.last}: {path.name}, state digest {digest}")
