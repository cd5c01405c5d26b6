"""What of a process's writing is not yet on the disk, call by call, as the kernel promises it: for a trace of its calls.

A write is durable once its file is synced, or at once where the descriptor was opened for it (O_DSYNC, O_SYNC); a name
(made, renamed, removed) is durable once its directory is synced.
"""

import os
import re
from pathlib import Path

WRITES = frozenset({"write", "writev", "pwrite64", "pwritev", "pwritev2", "truncate", "ftruncate", "fallocate"})
SYNCS = frozenset({"fsync", "fdatasync"})
NAMES = frozenset({"rename", "renameat", "renameat2", "mkdir", "mkdirat", "unlink", "unlinkat", "rmdir"})
OPENS = frozenset({"open", "openat", "creat"})
_DESCRIPTOR = re.compile(r"\w+\((\d+)<([^>]*)>")
_QUOTED = re.compile(r'"([^"]*)"')
_OPENED = re.compile(r"= (\d+)<([^>]*)>")


class Disk:
    """Follows the calls of a process: `durable` descriptors (by number) and `known` files (by path) are those it began with."""

    def __init__(self, durable, known):
        self.durable, self.known, self.files, self.directories = set(durable), set(known), set(), set()

    def unsynced(self):
        """Files and directories whose last change a power cut may undo, but for the locks of LMDB, which mean nothing then."""
        return sorted(path for path in self.files | self.directories if not path.endswith("/lock.mdb"))

    def call(self, name, text):
        """Take in one call; one that failed changed nothing."""
        if re.search(r"\) += -1 ", text):
            return
        if name in OPENS:
            self._open(text)
        elif name in NAMES:
            self._name(name, [str(Path(path)) for path in _QUOTED.findall(text)])
        elif match := _DESCRIPTOR.match(text):
            number, path = int(match[1]), match[2]
            if name in SYNCS:
                self.files.discard(path)
                self.directories.discard(path)
            elif name in WRITES and path.startswith("/") and number not in self.durable:
                self.files.add(path)

    def _open(self, text):
        number, path = _OPENED.search(text).groups()
        self.durable.discard(int(number))
        if "O_DSYNC" in text or "O_SYNC" in text:
            self.durable.add(int(number))
        if "O_CREAT" in text and path not in self.known and not path.endswith("/lock.mdb"):
            self.directories.add(str(Path(path).parent))
        self.known.add(path)

    def _name(self, name, paths):
        self.directories.update(str(Path(path).parent) for path in paths)
        if name.startswith("rename"):
            old, new = paths
            for kept in (self.files, self.directories, self.known):
                moved = {path for path in kept if path == old or path.startswith(old + os.sep)}
                kept.difference_update(moved)
                kept.update(new + path.removeprefix(old) for path in moved)
        elif "unlink" in name or name == "rmdir":
            self.files.difference_update(paths)
            self.known.difference_update(paths)


def files_below(folder):
    """The paths of all files in a folder."""
    return {str(path) for path in Path(folder).rglob("*") if path.is_file()}


def durable_descriptors(pid):
    """The open descriptors of a process that write through to the disk."""
    found = set()
    for entry in Path(f"/proc/{pid}/fdinfo").iterdir():
        flags = int(re.search(r"flags:\s*(\d+)", entry.read_text())[1], 8)
        if flags & os.O_DSYNC:
            found.add(int(entry.name))
    return found
