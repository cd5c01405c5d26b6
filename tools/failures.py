"""How a command of `lockstep` ends: its exit codes, and the errors that become one line on stderr.

Failure         what was asked for cannot be done: exit code 1
  Misuse        the command line asks for what there is not (a symbol, a row, two options at odds): exit code 64
"""

from typing import ClassVar, Final

SOUND: Final = 0
FAILED: Final = 1
NO_JOURNAL: Final = 2
MISUSED: Final = 64
INTERRUPTED: Final = 130


class Failure(Exception):
    """The text is one line for whoever typed the command."""

    code: ClassVar[int] = FAILED


class Misuse(Failure):
    """The command line is wrong."""

    code: ClassVar[int] = MISUSED
