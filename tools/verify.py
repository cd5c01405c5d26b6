"""`lockstep verify`: check every byte of a journal, its snapshots and its event store."""

from typing import Annotated

import typer

from core.limits import SUM_MAX
from journal import verify as verification
from journal.journal import Head
from journal.report import Report
from tools.failures import FAILED, Misuse
from tools.options import Journal, Json
from tools.output import print_json


def verify(
    journal: Journal,
    head: Annotated[
        str | None,
        typer.Option(
            metavar="SEQ:HASH", help="A head kept elsewhere: finds a journal cut off or written anew as well."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Check the chain, the snapshots and the event store; name what is damaged. Exit code 1 if anything is.

    Example: lockstep verify venue
    """
    report = verification.verify(journal, head=None if head is None else _head(head))
    if as_json:
        print_json(_json(report))
    else:
        print(report)
        print("sound" if report.good else f"damaged: {report.first_damage}")
        if report.counterfactual:
            print("counterfactual: this did not happen")
        if report.head is not None:
            print(f"head {report.head.sequence}:{report.head.hash.hex()}")
    if not report.good:
        raise typer.Exit(FAILED)


def _head(text: str) -> Head:
    sequence, _, digest = text.partition(":")
    try:
        head = Head(0, int(sequence), bytes.fromhex(digest))
    except ValueError:
        raise Misuse(f"--head {text}: not SEQ:HASH") from None
    if not 0 <= head.sequence <= SUM_MAX or len(head.hash) != 32:
        raise Misuse(f"--head {text}: not a sequence number and 64 hexadecimal digits")
    return head


def _json(report: Report) -> dict[str, object]:
    head = report.head
    return {
        "sound": report.good,
        "first_damage": report.first_damage,
        "counterfactual": report.counterfactual,
        "head": None if head is None else {"epoch": head.epoch, "sequence": head.sequence, "hash": head.hash.hex()},
        "parts": [part._asdict() for part in report.parts],
    }
