"""Small file systems for the nodes of a drill, so that a disk can be filled for one node alone. Linux, and root."""

import errno
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final

from tools.failures import Failure

MEGABYTE: Final = 2**20
_BALLAST: Final = "ballast"


class Disk:
    """An ext4 file system in a file, mounted at a folder."""

    def __init__(self, folder: Path, megabytes: int) -> None:
        """Make and mount it. Failure if that may not be done here."""
        self.folder = folder
        self._image = folder.with_name(f"{folder.name}.img")
        folder.mkdir()
        with self._image.open("wb") as file:
            file.truncate(megabytes * MEGABYTE)
        # No blocks are kept back for root, who would not find the disk full.
        _run("mkfs.ext4", "-q", "-F", "-m", "0", str(self._image))
        _run("mount", "-o", "loop", str(self._image), str(folder))

    def fill(self) -> None:
        """Leave no block free."""
        descriptor = os.open(self.folder / _BALLAST, os.O_WRONLY | os.O_CREAT)
        try:
            size, step = 0, 64 * MEGABYTE
            while step >= os.statvfs(self.folder).f_frsize:
                try:
                    os.posix_fallocate(descriptor, size, step)
                    size += step
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise
                    step //= 2
        finally:
            os.close(descriptor)

    def free(self) -> None:
        """Take away what filled it."""
        (self.folder / _BALLAST).unlink(missing_ok=True)

    def close(self) -> None:
        """Unmount it, and delete it with all that is in it."""
        _run("umount", str(self.folder))
        self._image.unlink()
        with suppress(OSError):
            self.folder.rmdir()


@contextmanager
def disks(folder: Path, names: tuple[str, ...], megabytes: int) -> Iterator[dict[str, Disk]]:
    """A disk for each name, gone in the end. Failure."""
    with ExitStack() as stack:
        made = {}
        for name in names:
            made[name] = Disk(folder / f"disk-{name}", megabytes)
            stack.callback(made[name].close)
        yield made


def _run(*command: str) -> None:
    if shutil.which(command[0]) is None:
        raise Failure(f"--disks needs {command[0]}, which is not installed")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Failure(f"--disks needs root and loop devices: {done.stderr.strip() or command[0]}")
