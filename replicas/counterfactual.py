"""A counterfactual journal tells what did not happen: it can be asked everything, and no node serves or follows it."""

from pathlib import Path

from journal.batch import COUNTERFACTUAL
from journal.directory import JournalDirectory, segment_firsts
from journal.errors import JournalError


class Counterfactual(JournalError):
    """The journal bears the mark of `lockstep whatif`; nothing was opened for serving."""


def refuse_counterfactual(flags: int, where: object) -> None:
    """Counterfactual if the flags of a journal, or of one of its batches, mark it; `where` names the journal."""
    if flags & COUNTERFACTUAL:
        raise Counterfactual(f"{where}: counterfactual: it tells what did not happen, and no node serves it")


def refuse_counterfactual_in(directory: Path) -> None:
    """The same for a directory, before anything is opened or written there; a directory without a journal passes."""
    if not segment_firsts(directory):
        return
    journal = JournalDirectory(directory)
    try:
        refuse_counterfactual(journal.flags, directory)
    finally:
        journal.close()
