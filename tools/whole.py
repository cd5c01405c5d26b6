"""A new journal directory appears whole or not at all: made under another name beside it, then renamed."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from journal.files import make_directory, move_durably
from tools.failures import Misuse


def refuse_full(directory: Path) -> None:
    """Misuse unless nothing stands there, or an empty directory."""
    if directory.is_dir():
        if any(directory.iterdir()):
            raise Misuse(f"{directory}: not empty; what is made here needs a directory of its own")
    elif directory.exists() or directory.is_symlink():
        raise Misuse(f"{directory}: not a directory")


@contextmanager
def whole(directory: Path) -> Iterator[Path]:
    """A place to make a journal in, which becomes `directory` at the end; whatever goes wrong, nothing is left.

    Every journal in it is closed by then. What an earlier attempt left behind when it was killed is removed.
    """
    refuse_full(directory)
    make_directory(directory.absolute().parent)
    place = directory.absolute().with_name(f".{directory.absolute().name}.unfinished")
    try:
        shutil.rmtree(place, ignore_errors=True)
        yield place
        move_durably(place, directory.absolute())
    except BaseException:
        shutil.rmtree(place, ignore_errors=True)
        raise
