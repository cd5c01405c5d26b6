"""The root of the command line: every error leaves as one line on stderr and one of the documented exit codes."""

import os
import sys
from typing import Any, NoReturn

import typer
from typer.core import TyperGroup

from core.rows import RowError
from journal.errors import JournalError, NotAJournal
from replicas.errors import BadRows
from tools.failures import FAILED, INTERRUPTED, MISUSED, NO_JOURNAL, SOUND, Failure

_UsageError: type[Exception] = typer.BadParameter.__mro__[1]
"""Base of all that is wrong with a command line, wherever the installed Typer keeps it."""


class Group(TyperGroup):
    """A group of commands whose `main` always ends in SystemExit, with a code of tools/failures.py."""

    def main(self, *args: Any, **extra: Any) -> NoReturn:
        """Run the command line."""
        _replace_closed_streams()
        extra["standalone_mode"] = False
        code = FAILED
        try:
            code = super().main(*args, **extra) or SOUND
            sys.stdout.flush()
        except _UsageError as error:
            code = say(_usage_line(error), MISUSED)
        except Failure as error:
            code = say(str(error), error.code)
        except NotAJournal as error:
            code = say(str(error), NO_JOURNAL)
        except (JournalError, RowError, BadRows) as error:
            code = say(str(error), FAILED)
        except BrokenPipeError:
            code = _forget_stdout()
        except OSError as error:
            code = say(str(error), FAILED)
        except (KeyboardInterrupt, typer.Abort):
            code = INTERRUPTED
        sys.exit(code)


def say(message: str, code: int) -> int:
    """Print one line on stderr; returns the code."""
    print(f"lockstep: {' '.join(message.split())}", file=sys.stderr)
    return code


def _replace_closed_streams() -> None:
    """A stream that was closed before we began (`>&-`) is None in Python: what goes there is dropped."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_WRONLY), "w"))


def _usage_line(error: Exception) -> str:
    told: str = error.format_message() if hasattr(error, "format_message") else str(error)
    context = getattr(error, "ctx", None)
    return f"{told} See `{context.command_path} --help`." if context is not None else told


def _forget_stdout() -> int:
    """Whoever read our output has gone, which needs no words: let nothing be flushed to it any more."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError:
        return FAILED
    return FAILED
