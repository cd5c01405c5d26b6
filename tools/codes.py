"""Writes core/codes.py from the enums of core/kinds.py and core/reasons.py: `python -m tools.codes > core/codes.py`."""

from enum import IntEnum

from core import kinds, reasons

ENUMS: tuple[type[IntEnum], ...] = (
    kinds.CommandKind,
    kinds.EventKind,
    kinds.StateKind,
    kinds.Side,
    kinds.OrderType,
    kinds.TimeInForce,
    kinds.Prevention,
    kinds.Peg,
    kinds.AccountStanding,
    kinds.KillAct,
    kinds.OnDisconnect,
    kinds.Link,
    kinds.ProtectionLimit,
    kinds.Step,
    kinds.Limit,
    kinds.TradingState,
    kinds.Role,
    kinds.Rounding,
    reasons.RejectReason,
    reasons.CancelReason,
)

HEAD = '''"""The enums of `kinds.py` and `reasons.py` as constants, for the engine. Written by `python -m tools.codes`.

Compiled, a Final attribute of a class is a constant, while a member of an IntEnum is looked up by name and unboxed each
time: on the hot path that was a third of all instructions. tests/core/test_codes.py holds this file to the enums.
"""

from typing import Final
'''


def source() -> str:
    """The text of core/codes.py."""
    parts = [HEAD]
    for enum in ENUMS:
        members = "\n".join(f"    {member.name}: Final = {member.value}" for member in enum)
        parts.append(f'\n\nclass {enum.__name__}:\n    """{enum.__module__}.{enum.__name__}."""\n\n{members}\n')
    return "".join(parts)


if __name__ == "__main__":
    print(source(), end="")
