"""The trade tape: one row for each match."""

from collections.abc import Iterator

from tools.projections.tables import SIDES, Batch, Fold, Select, Table, Type, Values, matches, table

TRADES = table(
    "trades", 1, appended=True,
    match_number=Type.INTEGER, sequence=Type.INTEGER, time=Type.INTEGER, instrument=Type.INTEGER, price=Type.INTEGER,
    quantity=Type.INTEGER, aggressor=Type.TEXT, resting_order=Type.INTEGER, incoming_order=Type.INTEGER,
    buyer=Type.INTEGER, seller=Type.INTEGER, base_amount=Type.INTEGER, quote_amount=Type.INTEGER,
    buyer_fee=Type.INTEGER, seller_fee=Type.INTEGER,
)  # fmt: skip


class Tape(Fold):
    """Needs nothing of what was before."""

    name = "trades"
    tables = (TRADES,)

    def __init__(self) -> None:
        self._rows: list[Values] = []

    def load(self, select: Select) -> None:
        """Nothing to read."""

    def take(self, batch: Batch) -> None:
        """Add the matches of the batch."""
        self._rows += ((*match[:6], SIDES[match.side], *match[7:]) for match in matches(batch.events))

    def changes(self) -> Iterator[tuple[Table, list[Values]]]:
        """The new trades."""
        rows, self._rows = self._rows, []
        yield TRADES, rows
