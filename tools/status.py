"""`lockstep status`: what a node is and does, from its directory, or from itself while it runs."""

from pathlib import Path
from typing import Annotated, Any

import typer

from tools.options import Json
from tools.output import print_json


def status(
    where: Annotated[
        str,
        typer.Argument(
            metavar="DIR|unix:PATH", help="A data directory, or the admin socket of a running node.", show_default=False
        ),
    ],
    as_json: Json = False,
) -> None:
    """Print role, epoch, head, size, newest snapshot and semantics of a node; its digest where one covers all rows.

    Example: lockstep status venue
    """
    from tools.unix_http import ask, is_socket

    told = ask(where, "GET", "/status") if is_socket(where) else of_directory(Path(where))
    if as_json:
        print_json(told)
        return
    width = max(map(len, told))
    for name, value in told.items():
        print(f"{name.replace('_', ' '):{width}}  {'-' if value is None else value}")


def of_directory(path: Path) -> dict[str, Any]:
    """What a data directory says; nothing in it is changed, and nobody is kept from it. JournalError."""
    from journal import snapshots
    from tools.reading import opened

    with opened(path) as journal:
        last = journal.current().last_header()
        sizes = [file.stat().st_size for file in (path / "segments").glob("*/data.mdb")]
        return {
            **_lease(path),
            "epoch": last.epoch,
            "sequence": last.last,
            "head": last.hash.hex(),
            "closed": journal.closed(),
            # A batch carries the digest up to the rows that were applied when it was sealed: seldom all.
            "digest": last.digest.hex() if last.applied == last.last else None,
            "semantics": last.semantics,
            "segments": len(sizes),
            "journal_bytes": sum(sizes),
            "snapshot": max(snapshots.stored(journal.snapshots), default=None),
        }


def _lease(path: Path) -> dict[str, Any]:
    """The role, by the lease: `primary` and `standby` beside a primary that lives, otherwise `stopped`."""
    from replicas.lease import LEASE
    from replicas.lease_state import boot_time, read

    lease = read(path / LEASE)
    if lease is None:
        return {"role": "stopped", "primary": None}
    if not lease.alive():
        return {"role": "stopped", "primary": lease.directory}
    ours = Path(lease.directory).resolve() == path.resolve()
    return {
        "role": "primary" if ours else "standby",
        "primary": lease.directory,
        "process": lease.pid,
        "address": lease.address,
        "admin": lease.admin,
        "silent_seconds": round(max(0, boot_time() - lease.tick) / 10**9, 1),
    }
