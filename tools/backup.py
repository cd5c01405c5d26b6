"""`lockstep backup` and `lockstep restore`: a journal copied batch by batch, each verified against the chain."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from journal.chain import Chain
from journal.directory import SEGMENTS, JournalDirectory, segment_firsts, segment_name
from journal.errors import Damaged, Gap, NotAJournal
from journal.journal import Head
from journal.segment import Segment
from tools.failures import Failure, Misuse
from tools.options import Journal
from tools.whole import refuse_within, whole


def backup(
    journal: Journal,
    to: Annotated[Path, typer.Argument(metavar="TO", help="The copy; empty, or not there.", show_default=False)],
) -> None:
    """Copy a journal beside whoever writes it, up to its present end, and verify every batch on the way.

    The copy is a journal as well: `lockstep verify` and `lockstep restore` take it. Snapshots and events are left out,
    for they are made again. Damage is named, and then no copy is left.

    Example: lockstep backup venue copies/monday
    """
    head = copy(journal, to, None)
    print(f"{to}: everything up to row {head.sequence}")
    print(f"head {head.sequence}:{head.hash.hex()}")


def restore(
    source: Annotated[Path, typer.Argument(metavar="FROM", help="A backup, or any journal.", show_default=False)],
    directory: Annotated[
        Path, typer.Argument(metavar="DIR", help="The new journal; empty, or not there.", show_default=False)
    ],
    to: Annotated[
        int | None,
        typer.Option("--to", metavar="SEQ", min=0, help="Whole batches up to this row; everything if absent."),
    ] = None,
) -> None:
    """Copy the verified batches of a journal into a new one, which goes on from there.

    What stands before a damaged batch can be restored with --to.

    Example: lockstep restore copies/monday venue --to 5000
    """
    head = copy(source, directory, to)
    within = f": row {to} stands within a batch" if to is not None and to > head.sequence else ""
    print(f"{directory}: rows up to {head.sequence} are kept{within}")
    print(f"head {head.sequence}:{head.hash.hex()}")


def copy(source: Path, directory: Path, to: int | None) -> Head:
    """A journal with the whole batches up to row `to`, or up to the end that the source has now; where it ends.

    Misuse for a row that the source does not reach, before its first state or behind its end. Damaged names the batch.
    Whatever goes wrong, nothing is left.
    """
    firsts = segment_firsts(source)
    if not firsts:
        raise NotAJournal(f"{source}: no journal here")
    if to is not None and to < firsts[0] - 1:
        raise Misuse(f"--to {to}: {source} begins with the state after row {firsts[0] - 1}")
    refuse_within(directory, source)
    with whole(directory) as place:
        chain = Chain()
        with _segment(source, firsts[0]) as segment:
            values = segment.state_batches()
        for value in values:
            chain.feed(value)
        target = JournalDirectory.adopt(place, values)
        try:
            for value in _verified(source, chain, firsts, to):
                target.append(value)
            return target.head()
        finally:
            target.close()


@contextmanager
def _segment(source: Path, first: int) -> Iterator[Segment]:
    name = segment_name(first)
    try:
        # The last batch is checked in its turn: what stands before it may be all that is wanted.
        segment = Segment(source / SEGMENTS / name, check_last=False)
    except NotAJournal as error:
        raise Failure(f"{source}: damaged: segment {name}: {error}; `lockstep verify` says what else is") from None
    try:
        yield segment
    finally:
        segment.close()


def _verified(source: Path, chain: Chain, firsts: list[int], to: int | None) -> Iterator[bytes]:
    """The batches behind the first segment's state, up to row `to`; without it, up to the head that is there now."""
    end = None
    if to is None:
        with _segment(source, firsts[-1]) as segment:
            end = segment.head()
    for value in _batches(source, firsts):
        if end is not None and chain.head is not None and chain.head[1:] == end[1:]:
            return
        if not _feed(chain, value, to):
            return
        yield value
    reached = 0 if chain.head is None else chain.head.sequence
    if to is not None and to > reached:
        raise Misuse(f"--to {to}: {source} ends at row {reached}")
    if end is not None and reached < end.sequence:
        raise Gap(f"head at {end.sequence}", f"{source} does not lead there")


def _feed(chain: Chain, value: bytes, to: int | None) -> bool:
    """Whether a batch is wanted, verified; damage behind the last row that is wanted is none of ours."""
    try:
        header = chain.feed(value)
    except Damaged:
        if to is not None and chain.complete and chain.head is not None and chain.head.sequence == to:
            return False
        raise
    return to is None or header.last <= to


def _batches(source: Path, firsts: list[int]) -> Iterator[bytes]:
    for first in firsts:
        with _segment(source, first) as segment:
            if first != firsts[0]:
                yield from segment.state_batches()
            for _, value in segment.entries():
                yield value
