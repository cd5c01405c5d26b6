"""The projections by name."""

from collections.abc import Callable
from typing import Final

from tools.failures import Misuse
from tools.projections.candles import Candles, interval
from tools.projections.orders import Orders
from tools.projections.positions import Positions
from tools.projections.tables import Fold
from tools.projections.tape import Tape
from tools.projections.usage import Usage

INTERVAL: Final = "1m"
_CANDLES: Final = "candles"
_PLAIN: Final[dict[str, Callable[[], Fold]]] = {
    "trades": Tape,
    "positions": Positions,
    "orders": Orders,
    "usage": Usage,
}
NAMES: Final = ("trades", "positions", _CANDLES, "orders", "usage")


def fold_named(name: str, length: str | None) -> Fold:
    """The fold of a projection; `length` is the interval of candles. Misuse."""
    if name == _CANDLES:
        return Candles(interval(length or INTERVAL))
    if name not in _PLAIN:
        raise Misuse(f"no projection {name}; known: {', '.join(NAMES)}")
    if length is not None:
        raise Misuse("--interval belongs to candles")
    return _PLAIN[name]()
