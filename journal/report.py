"""What a verification found, part by part."""

from typing import NamedTuple

from journal.journal import Head


class Part(NamedTuple):
    """A segment, a snapshot, the event store, or the outside head."""

    name: str
    batches: int
    rows: int
    bytes: int
    damage: str | None
    """The first bad batch and the check it fails; None if the part is good."""

    def __str__(self) -> str:
        return f"{self.name}: {self.batches} batches, {self.rows} rows, {self.bytes} bytes: {self.damage or 'good'}"


class Report(NamedTuple):
    """All parts in the order in which they were checked, and where the chain ends."""

    parts: tuple[Part, ...]
    head: Head | None
    """The last batch up to which the chain holds; None if not even the first batch does."""
    segments: int
    snapshots: int
    counterfactual: bool = False
    """Whether the batches bear the mark of a journal that tells what did not happen."""

    @property
    def good(self) -> bool:
        """Whether nothing is damaged."""
        return all(part.damage is None for part in self.parts)

    @property
    def first_damage(self) -> str | None:
        """Name of the first damaged part, and what is wrong there."""
        return next((f"{part.name}: {part.damage}" for part in self.parts if part.damage is not None), None)

    @property
    def batches(self) -> int:
        """Batches that passed, those of the event store not counted."""
        return sum(part.batches for part in self.parts if part.name.startswith("segment"))

    @property
    def rows(self) -> int:
        """Rows in these batches, state rows included."""
        return sum(part.rows for part in self.parts if part.name.startswith("segment"))

    @property
    def bytes(self) -> int:
        """Bytes of everything that passed."""
        return sum(part.bytes for part in self.parts)

    def __str__(self) -> str:
        return "\n".join(map(str, self.parts))


class Count:
    """Counts what passes, while a part is being checked."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.batches = 0
        self.rows = 0
        self.bytes = 0

    def add(self, rows: int, size: int) -> None:
        """One more batch that passed."""
        self.batches += 1
        self.rows += rows
        self.bytes += size

    def part(self, damage: str | None) -> Part:
        """What was counted, with the verdict."""
        return Part(self.name, self.batches, self.rows, self.bytes, damage)
