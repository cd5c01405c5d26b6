"""The sequencer's clock: the wall clock, as long as it moves as the boot clock does, and never back."""

import time
from collections.abc import Callable
from functools import partial
from typing import Final

TOLERANCE: Final = 5 * 10**9
"""Nanoseconds that the wall clock may move against the boot clock, all its steps together, without being accepted."""

_boot = partial(time.clock_gettime_ns, time.CLOCK_BOOTTIME)


class Clock:
    """Nanoseconds since 1970 for the rows that a sequencer stamps.

    The boot clock cannot be set: it gives the pace. The wall clock is followed while it stands within five seconds of where the
    boot clock says it should be. A clock that was set farther is not followed: time goes on by the boot clock and `alarm`
    says so, even if the clock is set back again, until an operator accepts it.
    """

    def __init__(
        self,
        wall: Callable[[], int] = time.time_ns,
        boot: Callable[[], int] = _boot,
        *,
        since: int = 0,
    ) -> None:
        """`since` is the time of the journal's last row: a machine that wakes up in the past raises the alarm at once."""
        self._wall = wall
        self._boot = boot
        self._last = since
        self._trusted = self._offset()
        self._followed = self._trusted
        self.alarm: str | None = None
        """One line for an operator while the wall clock is not followed; None while it is."""
        behind = since - self._boot() - self._trusted
        if behind > TOLERANCE:
            self._trusted = self._followed = self._trusted + behind
            self._raise(f"stands {_seconds(behind)} s before the last row of the journal")

    def now(self) -> int:
        """The time; not before any time that was given."""
        if self.alarm is None:
            offset = self._offset()
            moved = offset - self._trusted
            if abs(moved) > TOLERANCE:
                self._raise(f"moved by {_seconds(moved)} s against the boot clock")
            else:
                self._followed = offset
        self._last = max(self._last, self._boot() + self._followed)
        return self._last

    def accept(self) -> int:
        """Follow the wall clock again, from where it stands; returns the time.

        If it stands before the time already given, that time is given until the clock has come up to it.
        """
        self._trusted = self._offset()
        self.alarm = None
        return self.now()

    def _offset(self) -> int:
        """What the wall clock is ahead of the boot clock: changed by setting it, hardly by its pace."""
        return self._wall() - self._boot()

    def _raise(self, what: str) -> None:
        self.alarm = f"the wall clock {what}; time goes on by the boot clock until an operator accepts the clock"


def _seconds(nanoseconds: int) -> str:
    return f"{nanoseconds / 10**9:.1f}"
