"""Commands that look after orders whose owners are gone, and after quotes; fields as in core/commands.py."""

from core.commands import Command
from core.kinds import CommandKind
from core.layout import Text2


class SessionLost(Command, frozen=True):
    """The connection of a session (`named`) is gone: what it asked for in that case is canceled."""

    KIND = CommandKind.SESSION_LOST
    column_6: int = 0
    column_7: int = 0
    named: int = 0
    connection: int = 0
    column_10: int = 0
    column_11: int = 0
    column_12: int = 0
    column_13: int = 0
    reason: Text2 = ""


class SetCancelOnDisconnect(Command, frozen=True):
    """Say what is canceled when a session is lost: the asking one, or the one that an operator names."""

    KIND = CommandKind.SET_CANCEL_ON_DISCONNECT
    column_6: int = 0
    column_7: int = 0
    named: int = 0
    mode: int = 0


class ArmDeadMan(Command, frozen=True):
    """Cancel the orders of an account after so many ns, unless this is said again before; 0 disarms."""

    KIND = CommandKind.ARM_DEAD_MAN
    column_6: int = 0
    account: int = 0
    interval: int = 0


class SetProtection(Command, frozen=True):
    """Set the protection of an account's quotes: window in ns, quantity and delta in lots, count of matches."""

    KIND = CommandKind.SET_PROTECTION
    instrument: int = 0
    account: int = 0
    window: int = 0
    quantity: int = 0
    count: int = 0
    delta: int = 0


class ResetProtection(Command, frozen=True):
    """Let an account quote again after its protection froze it."""

    KIND = CommandKind.RESET_PROTECTION
    instrument: int = 0
    account: int = 0
