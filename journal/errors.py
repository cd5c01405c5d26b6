"""What can go wrong with a journal, and nothing else.

JournalError
  NotAJournal       the directory is missing, empty or not one of ours; nothing was created
  Exists            a journal stands where a new one was to be created
  Locked            another process writes this journal
  AlreadyOpen       this process holds the same environment open; it has one handle per process
  Forked            the journal was opened before a fork; a child opens its own
  Closed            the journal object was closed
  NotInOrder        an append was refused, and nothing written: the writer is out of step
  JournalFull       the map is full; final, the object is dead afterwards
  DiskError         the disk failed; final, the object is dead afterwards
  Damaged           what stands on disk is wrong; each names where and why
    CorruptBatch    a batch fails one of its checks
    UnknownVersion  a batch, snapshot or event batch of a format that this release does not read
    WrongSemantics  a batch of another semantics version than its segment
    Gap             sequence numbers are missing, repeated or out of order
    Diverged        another batch stands where the caller's head says otherwise
    CorruptSnapshot a snapshot fails one of its checks
    CorruptEvents   the event store fails one of its checks; delete it, it is derived
    CorruptRecord   what a recorder stored fails one of its checks
"""


class JournalError(Exception):
    """Base of all errors of this package; the text is one line for an operator."""


class NotAJournal(JournalError):
    """The directory is missing, empty or foreign."""


class Exists(JournalError):
    """A journal is already there."""


class Locked(JournalError):
    """Another writer holds the lock."""


class AlreadyOpen(JournalError):
    """The environment is open in this process; LMDB allows one handle."""


class Forked(JournalError):
    """LMDB environments do not survive a fork."""


class Closed(JournalError):
    """The object was closed by its owner."""


class NotInOrder(JournalError):
    """The batch does not follow the head; nothing was written."""


class JournalFull(JournalError):
    """The batch was not written and the object accepts nothing more."""


class DiskError(JournalError):
    """Whether the batch was written is unknown, and the object accepts nothing more: a retried sync may lie."""


class Damaged(JournalError):
    """Base of what a reader finds wrong: `where` names the batch or file, `reason` the check that failed."""

    def __init__(self, where: str, reason: str) -> None:
        super().__init__(f"{where}: {reason}")
        self.where = where
        self.reason = reason


class CorruptBatch(Damaged):
    """A batch fails one of its checks."""


class UnknownVersion(Damaged):
    """Written in a format that this release does not read."""


class WrongSemantics(Damaged):
    """A batch of another semantics version than the segment it stands in."""


class Gap(Damaged):
    """Sequence numbers are not dense."""


class Diverged(Damaged):
    """Same place, other content: two histories."""


class CorruptSnapshot(Damaged):
    """A snapshot that must not be used; an older one or a replay from the segment's state takes its place."""


class CorruptEvents(Damaged):
    """The event store must be cleared and rebuilt from the journal."""


class CorruptRecord(Damaged):
    """A stored event of the control plane, or its environment, that must not be used."""
