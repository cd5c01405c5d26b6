"""While it is laid, whatever asks the machine (clock, dice, file, socket, process, compiler) raises.

An audit hook cannot be taken off again, so a process that lays it is used for nothing else.
"""

import os
import random
import secrets
import sys
import time
import uuid

CLOCKS = [name for name in vars(time) if callable(getattr(time, name)) and not isinstance(getattr(time, name), type)]
DICE = [
    name for name in vars(random) if callable(getattr(random, name)) and not isinstance(getattr(random, name), type)
]
NAMES = {
    time: CLOCKS,
    random: DICE,
    secrets: ["token_bytes", "token_hex", "randbelow", "choice"],
    uuid: ["uuid1", "uuid3", "uuid4", "uuid5", "getnode"],
    os: ["urandom", "getrandom", "getpid", "getenv", "stat", "listdir", "times", "cpu_count"],
}
REFUSED = (
    "open", "socket.", "subprocess.", "os.", "exec", "compile", "import", "ctypes.", "mmap.", "shutil.", "tempfile.",
    "urllib.", "gc.", "sys._getframe", "sys.settrace", "sys.setprofile", "time.sleep", "object.__getattr__", "builtins.id",
)  # fmt: skip


class TrippedError(BaseException):
    """Not an Exception: nothing that is careful about exceptions takes it for its own."""


def _raising(name):
    def raising(*_arguments, **_named):
        raise TrippedError(name)

    return raising


class Tripwire:
    """A context that may be entered many times."""

    def __init__(self):
        self.laid = False
        self.kept = {}
        sys.addaudithook(self._audit)

    def _audit(self, event, arguments):
        if self.laid and event.startswith(REFUSED):
            raise TrippedError(f"{event} {arguments!r}")

    def __enter__(self):
        for module, names in NAMES.items():
            for name in names:
                if hasattr(module, name):
                    self.kept[module, name] = getattr(module, name)
                    setattr(module, name, _raising(f"{module.__name__}.{name}"))
        self.laid = True

    def __exit__(self, *_error):
        self.laid = False
        for (module, name), function in self.kept.items():
            setattr(module, name, function)
