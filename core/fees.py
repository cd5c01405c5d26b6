"""Fee schedules: tiers of maker and taker rates by the volume that an account has traded in the fee period."""

from __future__ import annotations

from mypy_extensions import i64

from core.limits import SUM_MAX


class Tier:
    """Rates in millionths, as two halves, from a volume on, in units of the quote currency."""

    __slots__ = ("fee_rates", "volume")

    def __init__(self, volume: i64, fee_rates: i64) -> None:
        self.volume = volume
        self.fee_rates = fee_rates


class FeeSchedule:
    """Tiers by rising volume; `period` counts the fee periods that have ended, so that no volume has to be reset."""

    __slots__ = ("number", "period", "tiers")

    def __init__(self, number: i64) -> None:
        self.number = number
        self.period: i64 = 0
        self.tiers: list[Tier] = []

    def fits(self, tier: i64, volume: i64) -> bool:
        """Whether a tier of this number may begin at this volume: between those of its neighbours."""
        tiers = self.tiers
        if not 0 <= tier <= len(tiers) or (tier == 0) != (volume == 0):
            return False
        if tier > 0 and volume <= tiers[tier - 1].volume:
            return False
        return tier + 1 >= len(tiers) or volume < tiers[tier + 1].volume

    def put(self, tier: i64, volume: i64, fee_rates: i64) -> None:
        """Set a tier, the next one or one that is known."""
        made = Tier(volume, fee_rates)
        if tier < len(self.tiers):
            self.tiers[tier] = made
        else:
            self.tiers.append(made)

    def rates(self, volume: i64) -> i64:
        """The rates of the highest tier that a volume has reached."""
        found: i64 = 0
        for tier in self.tiers:
            if tier.volume > volume:
                break
            found = tier.fee_rates
        return found


class Volume:
    """What an account has traded in a schedule, at most SUM_MAX, and in which of its periods."""

    __slots__ = ("period", "total")

    def __init__(self, period: i64) -> None:
        self.period = period
        self.total: i64 = 0

    def in_period(self, period: i64) -> i64:
        """The volume in a period: 0 if it is of an earlier one."""
        return self.total if self.period == period else 0

    def add(self, amount: i64, period: i64) -> None:
        """Count a match."""
        total = self.in_period(period)
        self.period = period
        self.total = total + amount if amount <= SUM_MAX - total else SUM_MAX
