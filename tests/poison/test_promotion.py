"""A Promote row that the engine cannot bear: the node is the writer, and the next promotion goes on from it."""

from core import messages as m
from core.kinds import TradingState
from core.rows import rows
from journal.batch import HEADER_SIZE, BatchKind, read_header
from tests.poison.samples import Venue, agrees, raising_at


def test_a_promotion_that_the_engine_cannot_bear(monkeypatch):
    """It is quarantined like any other row, under the new epoch; the next one may be applied."""
    venue = Venue()
    with raising_at(monkeypatch, venue.next()):
        venue.answered += venue.sequencer.promote(2, venue.now)
    assert (venue.engine.epoch, venue.engine.state) == (1, TradingState.CANCEL_ONLY)
    venue.answered += venue.sequencer.promote(3, venue.now)
    assert venue.engine.epoch == 3
    values = [value for value in venue.journal.batches() if read_header(value).kind == BatchKind.COMMANDS]
    assert [(read_header(v).epoch, [type(row) for row in rows(v[HEADER_SIZE:])]) for v in values[-3:]] == [
        (2, [m.Promote]),
        (2, [m.Quarantine]),
        (3, [m.Promote]),
    ]
    agrees(venue)
