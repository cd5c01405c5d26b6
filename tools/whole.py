"""A new journal directory appears whole or not at all: made under another name beside it, then renamed."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from journal.files import make_directory, move_durably
from tools.failures import Misuse


def refuse_full(directory: Path) -> None:
    """Misuse unless nothing stands there, or an empty directory; and for a place that cannot be renamed to."""
    if directory.name in {"", ".", ".."}:
        raise Misuse(f"{directory}: give the directory by its name")
    if directory.is_symlink():
        raise Misuse(f"{directory}: a symbolic link; name the directory itself")
    if directory.is_dir():
        if any(directory.iterdir()):
            raise Misuse(f"{directory}: not empty; what is made here needs a directory of its own")
    elif directory.exists():
        raise Misuse(f"{directory}: not a directory")


def refuse_within(directory: Path, journal: Path) -> None:
    """Misuse for a place in the directory of the journal that is read."""
    if directory.absolute().parent.resolve().is_relative_to(journal.resolve()):
        raise Misuse(f"{directory}: within the journal; choose another place")


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
