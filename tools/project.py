"""`lockstep project`: a view of the market in a database, which follows the journal exactly once."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from tools.failures import Misuse
from tools.options import Journal, Json
from tools.output import print_json
from tools.reading import tell_counterfactual
from tools.watching import progress

if TYPE_CHECKING:
    from journal.market_log import MarketLog
    from tools.market_application import Market


def project(
    name: Annotated[str, typer.Argument(metavar="NAME", help="trades, positions, candles, orders or usage.")],
    journal: Journal,
    into: Annotated[
        str, typer.Option("--into", metavar="URL", help="sqlite:///FILE, or postgresql://USER@HOST/DATABASE.")
    ],
    interval: Annotated[
        str | None, typer.Option("--interval", metavar="T", help="Of candles: 250ms, 1s, 5m, 1h; 1m if absent.")
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", help="Go on with what comes, until interrupted.")] = False,
    as_json: Json = False,
) -> None:
    """Bring a view of the market in a database up to the journal's end, or let it follow.

    Rows and position are written together: however often it is killed, every event counts once, and it goes on at any
    replica of the journal. Another journal than that which it began with is refused.

    Example: lockstep project trades venue --into sqlite:///venue.sqlite
    """
    from tools.projections.database import Target
    from tools.projections.registry import fold_named

    fold, target = fold_named(name, interval), Target(into)
    if follow and as_json:
        raise Misuse("--follow and --json exclude each other")
    with _market(journal, follow=follow) as market:
        from tools.projections.projector import Projector

        with closing(target.open()) as database:
            projector = Projector(market, journal, database, fold)
            begun, head = projector.reached, projector.log.journal.head().sequence
            end = projector.log.max_notification_id() or 0
            with progress(fold.name, end - begun) as advance:
                projector.run(None if follow else end, lambda row: advance(row - begun))
    if as_json:
        told = {"projection": fold.name, "into": target.title, "sequence": projector.reached}
        told |= {
            "rows": projector.reached - begun,
            "events": projector.projection.events,
            "journal_end": max(head, end),
        }
        print_json(told)
        return
    print(f"{fold.name}: everything up to row {projector.reached} is in {target.title}")
    if end < head:
        print(f"the journal ends at row {head}: the events behind are not stored yet")


@contextmanager
def _market(path: Path, *, follow: bool) -> Iterator["Market"]:
    """The market log of a directory; where it holds no events, they are made beside it, unless they are to be followed."""
    from journal.log_source import EventsAbsent
    from tools.market_application import EVENTS, JOURNAL, Market
    from tools.market_events import events_made

    try:
        market = Market({JOURNAL: str(path)})
    except EventsAbsent:
        if follow:
            raise
    else:
        with closing(market):
            tell_counterfactual(cast("MarketLog", market.recorder).journal)
            yield market
        return
    with events_made(path) as events, closing(Market({JOURNAL: str(path), EVENTS: str(events)})) as market:
        yield market
