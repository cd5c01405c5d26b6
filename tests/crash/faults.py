"""Where a process is struck: at a line of journal/ or replicas/, or at a system call, which strace makes deadly or failing.

A fault is armed in the process that suffers it (`begin` and `end` around the act), and by the one that forked it
(`attach`, which must be called once the process exists). `points` of a counting run are the faults to be tried.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections import Counter
from functools import cache
from pathlib import Path

import journal.batch
import replicas.opening
from tests.crash.syncs import Disk, durable_descriptors, files_below

TRACED = tuple(str(Path(module.__file__).parent) + os.sep for module in (journal.batch, replicas.opening))

CHANGES = (
    "open", "openat", "creat", "write", "writev", "pwrite64", "pwritev", "pwritev2", "fsync", "fdatasync", "sync_file_range",
    "truncate", "ftruncate", "fallocate", "rename", "renameat", "renameat2", "link", "linkat", "symlink", "symlinkat", "unlink",
    "unlinkat", "mkdir", "mkdirat", "rmdir", "flock", "fcntl", "chmod", "fchmod", "fchmodat",
)  # fmt: skip
"""Calls that another process, or the next one, can see the effect of: dying before each of them is dying anywhere."""

READS = ("read", "pread64", "readv", "preadv", "newfstatat", "statx", "stat", "getdents64")
"""Calls that a broken disk fails too; what LMDB reads, it reads through its map, which no call shows."""

FULL = frozenset(
    {"write", "writev", "pwrite64", "pwritev", "pwritev2", "fallocate", "ftruncate", "mkdir", "mkdirat", "fsync"}
)
"""Calls that fail when the disk is full; so does one that opens a file to make it."""

NOT_DISK = re.compile(
    r"\w+\(\d+<(?:pipe|socket|anon_inode|/dev/(?!shm))|\w+\([^)]*\"/(?:proc|sys|dev/(?!shm))|fcntl\(.*F_(?:GET|SET)FD"
)
"""Calls that no error of a disk fails: pipes, sockets, devices, the table of descriptors."""
_LINE = re.compile(r"(\w+)\(")


class AtLine:
    """Kills this process at the n-th line of journal/ or replicas/; counts them for n = 0."""

    def __init__(self, at=0):
        self.at, self.count = at, 0

    def __str__(self):
        return f"line {self.at}"

    def __call__(self, frame, event, _):
        if not frame.f_code.co_filename.startswith(TRACED):
            return None
        if event == "line":
            self.count += 1
            if self.count == self.at:
                os.kill(os.getpid(), signal.SIGKILL)
        return self

    def begin(self):
        sys.settrace(self)

    def end(self, pipe):
        sys.settrace(None)
        os.write(pipe, f"end {self.count}\n".encode())

    def attach(self, pid):
        pass

    def points(self, counted):
        """The faults to be tried, after a counting run whose process told this much."""
        return [AtLine(at) for at in range(1, counted + 1)]


class AtCall:
    """Strikes at the n-th call of a name: `fault` is what strace injects; without a name it records the calls."""

    def __init__(self, trace, name="", nth=0, fault="", text=""):
        self.trace, self.name, self.nth, self.fault, self.text = trace, name, nth, fault, text

    def __str__(self):
        return f"{self.fault} at {self.name} {self.nth}: {self.text}"

    def begin(self):
        os.kill(os.getpid(), signal.SIGSTOP)

    def end(self, pipe):
        os.write(pipe, b"end 0\n")

    def attach(self, pid):
        """Let the process go on under strace, which ends with it."""
        os.waitpid(pid, os.WUNTRACED)
        self.disk = Disk(durable_descriptors(pid), files_below(self.trace.parent))
        names = ",".join(CHANGES + READS)
        inject = ["-e", f"inject={self.name}:{self.fault}:when={self.nth}"] if self.name else []
        command = ["strace", "-y", "-s", "64", "-o", str(self.trace), "-e", f"trace={names}", *inject, "-p", str(pid)]
        self._strace = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        while "attached" not in (line := self._strace.stderr.readline()):
            assert line, "strace ended before it was attached"
        os.kill(pid, signal.SIGCONT)

    def acknowledged(self):
        """What was not yet on the disk, each time that the process told something through its pipe."""
        found = []
        for name, _, text in self.calls():
            if name == "write" and "<pipe:" in text:
                found.append(self.disk.unsynced())
            self.disk.call(name, text)
        return found

    def calls(self):
        """What the act called, in order, up to where it told its end: name, how many before it of that name, text."""
        assert self._strace.wait(10) == 0, self._strace.stderr.read()
        self._strace.stderr.close()
        seen, found = Counter(), []
        for line in self.trace.read_text(errors="replace").splitlines():
            if match := _LINE.match(line):
                if '"end 0' in line:
                    break
                seen[match[1]] += 1
                found.append((match[1], seen[match[1]], line))
        return found


class Kills(AtCall):
    """Kills the process as it begins a call that changes something."""

    def points(self, _):
        """One for each such call."""
        calls = [call for call in self.calls() if call[0] in CHANGES]
        return [Kills(self.trace, name, nth, "signal=SIGKILL", text) for name, nth, text in calls]


class Errors(AtCall):
    """Makes one call on a file fail, as a broken or a full disk does."""

    def points(self, _):
        """One for each call and error."""
        calls = [call for call in self.calls() if not NOT_DISK.match(call[2])]
        full = [call for call in calls if call[0] in FULL or "O_CREAT" in call[2]]
        errors = [("EIO", call) for call in calls] + [("ENOSPC", call) for call in full]
        return [Errors(self.trace, name, nth, f"error={error}", text) for error, (name, nth, text) in errors]


@cache
def why_no_strace():
    """Why calls cannot be struck here; empty if they can."""
    if shutil.which("strace") is None:
        return "strace is not installed (make debian installs it)"
    tried = subprocess.run(["strace", "-o", "/dev/null", "true"], capture_output=True, text=True, check=False)
    return f"strace may not trace here: {tried.stderr.strip()}" if tried.returncode else ""


def chosen(points, wanted, seed):
    """All points, or about as many as are wanted, spread evenly from one that the seed chose."""
    every = max(1, len(points) // wanted) if wanted else 1
    return points[seed % every :: every]
