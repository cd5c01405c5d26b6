"""A journal in memory with its sequencer, and commands of a venue that only defines currencies."""

from core import messages as m
from core.machine import Machine
from core.rows import to_row
from core.state import SEMANTICS
from journal.errors import DiskError
from journal.memory import MemoryJournal
from replicas.replay import start
from replicas.sequencer import Sequencer

NOW = 1_700_000_000_000_000_000


def define(number=1, **columns):
    """A wire row that makes a currency known."""
    return to_row(m.DefineCurrency(currency=number, symbol=f"C{number}", **columns))


def opened(journal=None, **options):
    """A journal and its sequencer."""
    journal = journal or MemoryJournal.create(Machine().rows(), semantics=SEMANTICS)
    return journal, Sequencer(journal, start(journal), **options)


class FailingJournal(MemoryJournal):
    """Its n-th append from now on raises, as a disk does: before the batch is stored, or after."""

    fails_in = 0
    stores = False

    def append(self, value):
        self.fails_in -= 1
        if self.fails_in == 0:
            if self.stores:
                super().append(value)
            self._open = False
            raise DiskError("the disk is gone")
        super().append(value)
