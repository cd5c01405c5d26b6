"""What a replica finds wrong, beyond what the journal itself finds."""

from journal.errors import JournalError


class EventsDiffer(JournalError):
    """This engine's events up to a row are not those of the engine that sealed the journal."""

    def __init__(self, sequence: int, where: str) -> None:
        super().__init__(f"events up to row {sequence} differ from what {where} says of them")
        self.sequence = sequence


class BadRows(ValueError):
    """Rows that nobody may submit; nothing was sealed."""


class Stopped(JournalError):
    """The sequencer met an error before, and does nothing more."""


class FormError(ValueError):
    """Bytes from a peer that are no part of the protocol; whatever is found wrong with a peer's bytes is one of these.

    Nothing after them can be read: the connection ends.
    """
