"""Steps of allocation as operators write them: top[:LOTS], lead:SHARE:ACCOUNT, pro-rata:SHARE[:LOTS], largest."""

from typing import Final

from core.kinds import LEAD_MASK, LEAD_SHIFT, LOTS_MASK, LOTS_SHIFT, SHARE_MASK, SHARE_SHIFT, Step

STEPS_MAX: Final = 6
"""Steps that an instrument may have."""

_DIGITS: Final = 7
_SHARE: Final = (SHARE_SHIFT, SHARE_MASK)
_LEAD: Final = (LEAD_SHIFT, LEAD_MASK)
_LOTS: Final = (LOTS_SHIFT, LOTS_MASK)
_PARTS: Final = {
    "top": (Step.TOP, (_LOTS,)),
    "lead": (Step.LEAD, (_SHARE, _LEAD)),
    "pro-rata": (Step.PRO_RATA, (_SHARE, _LOTS)),
    "largest": (Step.LARGEST, ()),
}
"""What each step is, and where its numbers stand in the column, in the order in which they are given."""


def columns_of(steps: list[str]) -> dict[str, int]:
    """The fields of SetAllocation for these steps. ValueError, which names the wrong one; the engine judges the values."""
    if len(steps) > STEPS_MAX:
        raise ValueError(f"at most {STEPS_MAX}")
    return {f"step_{number}": _column(text) for number, text in enumerate(steps, 1)}


def _column(text: str) -> int:
    name, *numbers = text.split(":")
    step, parts = _PARTS.get(name, (None, ()))
    if step is None or len(numbers) > len(parts):
        raise ValueError(f"{text!a}: not top[:LOTS], lead:SHARE:ACCOUNT, pro-rata:SHARE[:LOTS] or largest")
    column: int = step
    for number, (shift, mask) in zip(numbers, parts, strict=False):
        if not number.isascii() or not number.isdecimal() or len(number) > _DIGITS or int(number) > mask:
            raise ValueError(f"{text!a}: {number!a} is not 0 to {mask}")
        column |= int(number) << shift
    return column
