"""The words for what the flags of an order ask for, as every tool says them."""

from collections.abc import Iterator

from core.kinds import (
    ALL_OR_NONE,
    BASIS_POINTS,
    HIDDEN,
    PEG_MASK,
    PEG_SHIFT,
    POST_ONLY,
    PREVENTION_MASK,
    PREVENTION_SHIFT,
    QUOTE,
    REDUCE_ONLY,
    SLIDE,
    TYPE_MASK,
    TYPE_SHIFT,
    OrderType,
    Peg,
    Prevention,
)

BASIS_POINTS_WORD = "offset in basis points"
_WORDS = (
    (POST_ONLY, "post-only"),
    (SLIDE, "post-only, slides"),
    (REDUCE_ONLY, "reduce-only"),
    (HIDDEN, "hidden"),
    (ALL_OR_NONE, "all-or-none"),
    (QUOTE, "quote"),
    (BASIS_POINTS, BASIS_POINTS_WORD),
)


def instructions(flags: int) -> Iterator[str]:
    """The instructions in the flags of an order, one after the other."""
    yield from (word for bit, word in _WORDS if flags & bit)
    if flags >> TYPE_SHIFT & TYPE_MASK == OrderType.PEGGED and flags >> PEG_SHIFT & PEG_MASK in set(Peg):
        yield f"pegged to {Peg(flags >> PEG_SHIFT & PEG_MASK).name.lower()}"
    mode = flags >> PREVENTION_SHIFT & PREVENTION_MASK
    if mode in set(Prevention) and mode != Prevention.NONE:
        yield f"self-trade {Prevention(mode).name}"
