"""`lockstep import`: foreign order flow becomes a journal."""

from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from tools.failures import Misuse
from tools.importing.source import is_symbol
from tools.options import refuse_no_file

imports = typer.Typer(help="Make a journal of foreign order flow.", no_args_is_help=False)


def _symbol(given: str | None) -> str | None:
    if given is not None and not is_symbol(given):
        raise Misuse(f"--symbol {given!a}: not 1 to 16 printable ASCII characters without a space")
    return given


JournalOption = Annotated[
    Path, typer.Option("--journal", metavar="DIR", help="The new journal; nothing may stand there.")
]
SymbolOption = Annotated[
    str | None, typer.Option(callback=_symbol, help="Symbol of the instrument; made from the file's name if absent.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="The summary as one JSON object.")]


@imports.command("lobster")
def lobster(
    messages: Annotated[
        Path, typer.Argument(metavar="MESSAGES", help="A message file: .csv, .csv.gz or .csv.xz.", show_default=False)
    ],
    journal: JournalOption,
    symbol: SymbolOption = None,
    as_shown: Annotated[
        bool,
        typer.Option("--as-shown", help="Enter old orders when they come into the published window, not by their id."),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Import a LOBSTER message file. Incoming orders are not published there; docs/tools.md says how they are made.

    Example: lockstep import lobster AAPL_2012-06-21_message_50.csv.xz --journal aapl
    """
    from tools.importing import lobster as import_lobster
    from tools.importing.writing import refuse_existing, write_journal

    refuse_existing(journal)
    _say(write_journal(import_lobster.read(messages, symbol, as_shown=as_shown), journal), as_json=as_json)


@imports.command("orders")
def orders(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="DIR", help="Holds commands.jsonl, and may hold seed.jsonl and meta.json.", show_default=False
        ),
    ],
    journal: JournalOption,
    symbol: SymbolOption = None,
    as_json: JsonOption = False,
) -> None:
    """Import orders in the normalised form: a seed, and commands as JSON lines, plain, .gz or .xz.

    Example: lockstep import orders flow --journal venue --symbol AAPL
    """
    from tools.importing import orders as import_orders
    from tools.importing.writing import refuse_existing, write_journal

    refuse_existing(journal)
    _say(write_journal(import_orders.read(folder, symbol), journal), as_json=as_json)


@imports.command("flash1")
def flash1(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="A workload: .bin, .bin.gz or .bin.xz.", show_default=False)
    ],
    journal: JournalOption,
    reports: Annotated[Path | None, typer.Option(metavar="OUT", help="Write the canonical report lines here.")] = None,
    symbol: SymbolOption = None,
    as_json: JsonOption = False,
) -> None:
    """Import a flash1 workload.

    Example: lockstep import flash1 normal_seed7_count20000.bin.xz --journal normal --reports reports.txt
    """
    from tools.importing import flash1 as import_flash1
    from tools.importing.writing import refuse_existing, write_journal

    refuse_existing(journal)
    refuse_no_file("--reports", reports)
    source = import_flash1.read(file, symbol)
    if reports is None:
        _say(write_journal(source, journal), as_json=as_json)
        return
    unfinished = reports.with_name(f".{reports.name}.unfinished")
    lines = import_flash1.ReportFile(unfinished)
    try:
        summary = write_journal(source, journal, lines.feed)
        lines.close()
        unfinished.replace(reports)
    finally:
        with suppress(FileNotFoundError):
            unfinished.unlink()
    _say(summary, as_json=as_json)


@imports.command("bitstamp")
def bitstamp(
    log: Annotated[Path, typer.Argument(metavar="LOG", help="A log: plain, .gz or .xz.", show_default=False)],
    journal: JournalOption,
    symbol: SymbolOption = None,
    as_json: JsonOption = False,
) -> None:
    """Import a log of Bitstamp's order feed as a book that never trades, and compare it with the books in the log.

    Example: lockstep import bitstamp 2015-05-01.log.xz --journal bitstamp
    """
    from tools.importing.bitstamp import read
    from tools.importing.feed_check import BookCheck
    from tools.importing.writing import refuse_existing, write_journal

    refuse_existing(journal)
    source, published = read(log, symbol)
    check = BookCheck(published)
    _say(write_journal(source, journal, check.feed), as_json=as_json, checked=check.counts())


@imports.command("kraken")
def kraken(
    capture: Annotated[
        Path, typer.Argument(metavar="CAPTURE", help="A capture: plain, .gz or .xz.", show_default=False)
    ],
    journal: JournalOption,
    as_json: JsonOption = False,
) -> None:
    """Import a capture of Kraken's book feed as books that never trade, and compare each with the venue's checksums.

    Example: lockstep import kraken KRAKEN.ws.50.0.xz --journal kraken
    """
    from tools.importing.feed_check import ChecksumCheck
    from tools.importing.kraken import read
    from tools.importing.writing import refuse_existing, write_journal

    refuse_existing(journal)
    source, checksums = read(capture)
    check = ChecksumCheck(checksums)
    _say(write_journal(source, journal, check.feed), as_json=as_json, checked=check.counts())


def _say(summary: object, *, as_json: bool, checked: dict[str, int] | None = None) -> None:
    from tools.importing.writing import Summary
    from tools.output import print_json

    assert isinstance(summary, Summary)
    if as_json:
        print_json(summary._asdict() | ({"checked": checked} if checked is not None else {}))
        return
    print(summary)
    if checked is not None:
        print(", ".join(f"{count} {name}" for name, count in checked.items()))
