"""How two worlds differ in what one command did: executions, rejections, priorities, settlement, balances, orders, the rest."""

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable
from typing import Final, NamedTuple, TypeVar

from core.kinds import KEPT_PLACE, REMOVED, EventKind
from tools.event_rows import ORDER_EVENTS, SHOWING
from tools.worlds.telling import Said

EXECUTION: Final = "execution"
REJECTION: Final = "rejection"
PRIORITY: Final = "priority"
SETTLEMENT: Final = "settlement"
BALANCE: Final = "balance"
ORDER: Final = "order"
OTHER: Final = "other"

KINDS: Final = {
    EXECUTION: "commands that traded otherwise: other prices or quantities",
    REJECTION: "commands refused in one world alone, or for another reason",
    PRIORITY: "the same was traded at the same prices, with others or in another order; or a place in a queue",
    SETTLEMENT: "the same matches, other amounts or fees",
    BALANCE: "what an account holds or has reserved, and the venue's fees",
    ORDER: "orders that stand, changed or ended otherwise",
    OTHER: "whatever else was told, or stands in the state",
}
"""Kinds of differences and what each says, in the order in which they are reported."""

_STANDS_FOR_ALL: Final = frozenset({EXECUTION, REJECTION, PRIORITY})
"""Kinds which stand for the rest of their command: whatever else it told otherwise may follow from them."""

Item = TypeVar("Item")


class Parting(NamedTuple):
    """One kind of difference, and whom it touches; empty where it names no instrument or no account."""

    kind: str
    instruments: tuple[int, ...]
    accounts: tuple[int, ...]


def partings(left: list[Said], right: list[Said], *, alone: bool = False) -> list[Parting]:
    """How the events of one command differ, each kind once; nothing if they say the same.

    `alone`: the command stands in one world only. That it is missing in the other is no difference, but its matches are.
    """
    if left == right:
        return []
    found = [difference for difference in (_fills(left, right), _rejections(left, right)) if difference]
    if alone:
        return [difference for difference in found if difference.kind != REJECTION]
    if not any(difference.kind in {EXECUTION, PRIORITY} for difference in found):
        found += [difference for difference in (_settlement(left, right), _places(left, right)) if difference]
    found += _of_kind(BALANCE, left, right, EventKind.BALANCE_CHANGED)
    if any(difference.kind in _STANDS_FOR_ALL for difference in found):
        return found
    ours, theirs = _unexplained(left), _unexplained(right)
    if ours != theirs:
        found.append(_rest(ours, theirs))
    return found or [_rest(left, right)]


def _unexplained(said: list[Said]) -> list[Said]:
    """What a settlement or a balance does not explain: all but amounts, fees and what accounts hold."""
    return [
        one._replace(price=0, quantity=0, order=0, leaves=0) if one.kind == EventKind.SETTLED else one
        for one in said
        if one.kind != EventKind.BALANCE_CHANGED
    ]


def _fills(left: list[Said], right: list[Said]) -> Parting | None:
    """Who traded what with whom, and in which order."""
    ours, theirs = _executed(left), _executed(right)
    if [_fill(said) for said in ours] == [_fill(said) for said in theirs]:
        return None
    kind = PRIORITY if _volumes(ours) == _volumes(theirs) else EXECUTION
    touched = _touched(ours, theirs, lambda said: said.account, _fill)
    everybody = _sorted(said.account for said in (*ours, *theirs))
    return Parting(kind, _sorted(said.instrument for said in (*ours, *theirs)), touched or everybody)


def _fill(said: Said) -> tuple[Hashable, ...]:
    """One side of a match, without what is open afterwards."""
    return said.order, said.account, said.instrument, said.price, said.quantity, said.flags & REMOVED


def _executed(all_said: list[Said]) -> list[Said]:
    return [said for said in all_said if said.kind == EventKind.EXECUTED]


def _volumes(executed: list[Said]) -> Counter[tuple[int, int]]:
    traded: Counter[tuple[int, int]] = Counter()
    for said in executed:
        traded[said.instrument, said.price] += said.quantity
    return traded


def _rejections(left: list[Said], right: list[Said]) -> Parting | None:
    found = _of_kind(REJECTION, left, right, EventKind.REJECTED, lambda said: (said.detail, said.price))
    return found[0] if found else None


def _settlement(left: list[Said], right: list[Said]) -> Parting | None:
    ours, theirs = _parties(left), _parties(right)
    accounts = _touched(ours, theirs, lambda party: party[0], lambda party: party)
    return Parting(SETTLEMENT, _sorted(party[1] for party in (*ours, *theirs)), accounts) if accounts else None


def _parties(all_said: list[Said]) -> list[tuple[int, ...]]:
    """Account, instrument, role, amounts and fee of both sides of each match, which `Settled` has in these columns."""
    found: list[tuple[int, ...]] = []
    for said in all_said:
        if said.kind == EventKind.SETTLED:
            amounts = said.price, said.quantity
            found.append((said.account, said.instrument, 0, *amounts, said.order))
            found.append((said.client_order_id, said.instrument, 1, *amounts, said.leaves))
    return found


def _places(left: list[Said], right: list[Said]) -> Parting | None:
    """An order that kept its place in one world and lost it in the other."""
    ours, theirs = ({s.order: s for s in world if s.kind == EventKind.REPLACED} for world in (left, right))
    moved = [
        said for order, said in ours.items() if order in theirs and (said.flags ^ theirs[order].flags) & KEPT_PLACE
    ]
    if not moved:
        return None
    return Parting(PRIORITY, _sorted(said.instrument for said in moved), _sorted(said.account for said in moved))


def _of_kind(
    kind: str,
    left: list[Said],
    right: list[Said],
    event: int,
    what: Callable[[Said], Hashable] = lambda said: said,
) -> list[Parting]:
    ours, theirs = ([said for said in world if said.kind == event] for world in (left, right))
    if [what(said) for said in ours] == [what(said) for said in theirs]:
        return []
    both = (*ours, *theirs)
    return [Parting(kind, _sorted(said.instrument for said in both), _sorted(said.account for said in both))]


def _rest(left: list[Said], right: list[Said]) -> Parting:
    """Other events about orders, or about anything."""
    ours, theirs = Counter(left), Counter(right)
    differing = [*(ours - theirs), *(theirs - ours)] or [*left, *right]
    about_orders = [said for said in differing if said.kind in ORDER_EVENTS or said.kind in SHOWING]
    kind = ORDER if len(about_orders) == len(differing) else OTHER
    accounts = _sorted(said.account for said in about_orders)
    return Parting(kind, _sorted(said.instrument for said in about_orders), accounts)


def _touched(
    left: list[Item], right: list[Item], account: Callable[[Item], int], what: Callable[[Item], Hashable]
) -> tuple[int, ...]:
    """The accounts to which one world does not say what the other says."""
    said: defaultdict[int, tuple[list[Hashable], list[Hashable]]] = defaultdict(lambda: ([], []))
    for side, items in enumerate((left, right)):
        for item in items:
            said[account(item)][side].append(what(item))
    return _sorted(number for number, (ours, theirs) in said.items() if ours != theirs)


def _sorted(numbers: Iterable[int]) -> tuple[int, ...]:
    """Numbers that name something, each once."""
    return tuple(sorted({number for number in numbers if number}))
