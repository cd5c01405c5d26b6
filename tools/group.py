"""The root of the command line: every error leaves as one line on stderr and one of the documented exit codes."""

import os
import sys
from functools import cache
from importlib import import_module
from typing import Any, Final, NoReturn

import typer
from typer.core import TyperGroup
from typer.main import get_command, get_group

from core.rows import RowError
from journal.errors import JournalError, NotAJournal
from replicas.errors import BadRows
from tools.failures import FAILED, INTERRUPTED, MISUSED, NO_JOURNAL, SOUND, Failure

_UsageError: type[Exception] = typer.BadParameter.__mro__[1]
"""Base of all that is wrong with a command line, wherever the installed Typer keeps it."""

COMMANDS: Final = {
    name: f"tools.{module or name}"
    for name, module in (
        ("demo", ""), ("bench", ""), ("drill", ""), ("init", ""), ("serve", ""), ("standby", "serve"), ("status", ""),
        ("trade", ""), ("backup", ""), ("restore", "backup"), ("replay", ""), ("whatif", ""), ("at", ""), ("index", "at"),
        ("book", ""), ("order", "life"), ("explain", ""), ("fills", ""), ("verify", ""), ("dump", ""), ("snapshot", ""),
        ("export", ""), ("project", ""), ("chart", ""), ("diff", ""), ("bisect", "bisecting"), ("rules", ""),
        ("import", "imports"), ("admin", "admin_rules"),
    )
}  # fmt: skip
"""The commands in the order of the help, and the module that has a function, or a Typer, of the command's name."""
_NAMES: Final = {"import": "imports"}
"""Commands whose names no Python name can be."""


@cache
def load(name: str) -> Any:
    """A command for Typer to run. Its module is imported now: all of them together take longer than most commands do."""
    found = getattr(import_module(COMMANDS[name]), _NAMES.get(name, name))
    if isinstance(found, typer.Typer):
        loaded: Any = get_group(found)
    else:
        alone = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
        alone.command()(found)
        loaded = get_command(alone)
    loaded.name = name
    return loaded


class Group(TyperGroup):
    """A group of commands whose `main` always ends in SystemExit, with a code of tools/failures.py."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 - the library passes it
        """The names of the commands; not one is loaded."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002 - the library passes it
        """A command, or None for a name that none has."""
        return load(cmd_name) if cmd_name in COMMANDS else None

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
