"""Snapshots: the venue's state in a file, so that a start need not replay a whole segment. A cache, and no more.

Every file is verified before use, against itself and against the journal; one that fails is passed over for an
older one, and without any the segment's own state serves. A snapshot is taken where a batch ends.
"""

import struct
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Final, NamedTuple

from journal.batch import BatchKind, Header
from journal.errors import CorruptSnapshot, UnknownVersion
from journal.files import make_directory, write_durably
from journal.journal import Journal
from journal.state import check_state

MAGIC: Final = b"LOCKSNAP"
VERSION: Final = 1
KEEP_MIN: Final = 3
"""Snapshots that `prune` leaves at least."""

SNAPSHOT_CODES: Final = ("8s", "H", "H", "I", "Q", "Q", "Q", "32s")
"""The `struct` codes of `SnapshotHeader`, in order; little-endian, without padding."""

_HEADER: Final = struct.Struct("<" + "".join(SNAPSHOT_CODES))
SNAPSHOT_HEADER_SIZE: Final = _HEADER.size
_SUFFIX: Final = ".snapshot"
_DIGITS: Final = 20


class SnapshotHeader(NamedTuple):
    """What precedes the state rows; `hash` is that of the batch which ends at `sequence`."""

    magic: bytes
    version: int
    spare: int
    semantics: int
    epoch: int
    sequence: int
    body: int
    hash: bytes


class Snapshot(NamedTuple):
    """State rows, END row included, and where in which journal they were taken."""

    sequence: int
    semantics: int
    epoch: int
    hash: bytes
    rows: bytes


def snapshot_path(folder: Path, sequence: int) -> Path:
    """The file of the snapshot taken at a sequence number."""
    return folder / f"{sequence:0{_DIGITS}}{_SUFFIX}"


def stored(folder: Path) -> list[int]:
    """Sequence numbers of the snapshots in a folder, oldest first; whether they are good is not looked at."""
    if not folder.is_dir():
        return []
    names = (entry.name.removesuffix(_SUFFIX) for entry in folder.iterdir() if entry.name.endswith(_SUFFIX))
    return sorted(int(name) for name in names if len(name) == _DIGITS and name.isascii() and name.isdecimal())


def write(folder: Path, state_rows: bytes, batch: Header) -> Path:
    """Store the state as it is after a batch, whole or not at all. CorruptSnapshot if the rows do not say so; OSError.

    `batch` is the header of the batch of commands whose last row the state includes: `journal.header_at(sequence)`.
    """
    state = check_state(state_rows, f"snapshot {batch.last}", CorruptSnapshot)
    if batch.kind == BatchKind.CLOSING or state.sequence != batch.last:
        raise CorruptSnapshot(f"snapshot {batch.last}", f"the state is that at {state.sequence}")
    fields = (MAGIC, VERSION, 0, batch.semantics, batch.epoch, batch.last, len(state_rows), batch.hash)
    head = _HEADER.pack(*fields)
    hashed = sha256(head)
    hashed.update(state_rows)
    make_directory(folder)
    path = snapshot_path(folder, batch.last)
    write_durably(path, (head, state_rows, hashed.digest()))
    return path


def load(path: Path, batch: Header | None) -> Snapshot:
    """A snapshot that passes every check, and was taken after the given batch of the journal.

    CorruptSnapshot if a check fails, the file cannot be read, or the journal has no such batch (None); UnknownVersion.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise CorruptSnapshot(path.name, str(error)) from None
    header = _check_file(data, path)
    if batch is None or (header.sequence, header.hash) != (batch.last, batch.hash):
        raise CorruptSnapshot(path.name, "the journal has no such batch at its sequence number")
    if (header.semantics, header.epoch) != (batch.semantics, batch.epoch):
        raise CorruptSnapshot(path.name, "its semantics or epoch is not that of its batch")
    rows = data[SNAPSHOT_HEADER_SIZE:-32]
    if check_state(rows, path.name, CorruptSnapshot).sequence != header.sequence:
        raise CorruptSnapshot(path.name, "its rows are the state at another sequence number")
    return Snapshot(header.sequence, header.semantics, header.epoch, header.hash, rows)


def _check_file(data: bytes, path: Path) -> SnapshotHeader:
    if len(data) < SNAPSHOT_HEADER_SIZE + 32:
        raise CorruptSnapshot(path.name, "it is cut off")
    header = SnapshotHeader._make(_HEADER.unpack_from(data))
    if header.magic != MAGIC:
        raise CorruptSnapshot(path.name, "it does not begin with LOCKSNAP")
    if header.version != VERSION:
        raise UnknownVersion(path.name, f"snapshot version {header.version}, this release reads {VERSION}")
    if len(data) != SNAPSHOT_HEADER_SIZE + header.body + 32:
        raise CorruptSnapshot(path.name, "its length is not that of header, body and hash")
    if sha256(memoryview(data)[:-32]).digest() != data[-32:]:
        raise CorruptSnapshot(path.name, "its hash is not that of its bytes")
    if path.name != snapshot_path(path.parent, header.sequence).name:
        raise CorruptSnapshot(path.name, "it stands under another sequence number")
    return header


def newest(folder: Path, upto: int, journal: Journal) -> Snapshot | None:
    """The newest good snapshot at or before a sequence number; None if there is none."""
    for sequence in reversed(stored(folder)):
        if sequence <= upto:
            with suppress(CorruptSnapshot, UnknownVersion):
                return load(snapshot_path(folder, sequence), journal.header_at(sequence))
    return None


def prune(folder: Path, keep: int = KEEP_MIN) -> list[int]:
    """Delete all but the newest snapshots, of which at least three stay; the sequence numbers that were deleted."""
    deleted = stored(folder)[: -max(keep, KEEP_MIN)]
    for sequence in deleted:
        snapshot_path(folder, sequence).unlink(missing_ok=True)
    return deleted
