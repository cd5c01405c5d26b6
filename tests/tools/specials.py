"""Journals on disk of streams in which most orders hide, wait, follow or are limited."""

import random

from core.machine import Machine
from core.rows import rows as structs
from core.state import SEMANTICS
from journal.batch import seal
from journal.directory import JournalDirectory
from tests.special import special_rows


class Specials:
    """A journal at `path` of so many rows, in two segments; `events` and `rows` are all of it as Structs and bytes."""

    def __init__(self, path, seed, count=300):
        self.path, self.rows, self.events = path, special_rows(seed, count), []
        rng, machine = random.Random(seed), Machine()
        directory = JournalDirectory.create(path, machine.rows(), semantics=SEMANTICS)
        at = 0
        while at < count:
            batch = self.rows[at : at + rng.choice((1, 4, 20))]
            first, digest = at + 1, machine.digest.value()
            for row in batch:
                self.events += structs(machine.apply(row, 0, len(row)))
            directory.append(seal(
                b"".join(batch), semantics=SEMANTICS, epoch=1, first=first, applied=first - 1, digest=digest,
                base_time=int.from_bytes(batch[0][16:24], "little"), previous=directory.head().hash,
            ))  # fmt: skip
            if at < count // 2 <= at + len(batch):
                directory.roll(machine.rows(), semantics=SEMANTICS, epoch=1)
            at += len(batch)
        directory.close()
        self.machine = machine

    def told(self, kind, **columns):
        """Every event of a kind whose columns are these, in order."""
        every = (event for event in self.events if isinstance(event, kind))
        return [e for e in every if all(getattr(e, name) == value for name, value in columns.items())]
