"""The fee rates with which an order enters: those of its instrument, or of the tier that its account has reached."""

from core.engine import Engine
from core.fees import FeeSchedule
from core.kinds import FEE_PERIOD, EventKind
from core.limits import SUM_MAX
from core.rows import unpack_halves
from tools.event_rows import EventRow


class Rates:
    """Rates and volumes as they stood in a state, kept up event by event from there on."""

    def __init__(self, engine: Engine) -> None:
        """Taken from the state before the first event."""
        self._own: dict[int, tuple[int, int]] = {}
        self._scheduled: dict[int, int] = {}
        self._schedules: dict[int, FeeSchedule] = {}
        # By account and schedule, in the fee period that runs.
        self._volumes: dict[tuple[int, int], int] = {}
        for one in engine.instruments:
            if one is not None:
                self._own[one.number] = one.maker_rate, one.taker_rate
                schedule = one.rules.schedule if one.rules is not None else None
                self._scheduled[one.number] = schedule.number if schedule is not None else 0
        for known in filter(None, engine.fee_schedules):
            for at, tier in enumerate(known.tiers):
                self._put(known.number, at, tier.volume, tier.fee_rates)
        for account in filter(None, engine.accounts):
            for number, volume in account.volumes.items():
                schedule = engine.fee_schedule(number)
                assert schedule is not None
                self._volumes[account.number, number] = int(volume.in_period(schedule.period))

    def _put(self, number: int, tier: int, volume: int, fee_rates: int) -> None:
        self._schedules.setdefault(number, FeeSchedule(number)).put(tier, volume, fee_rates)

    def apply(self, event: EventRow) -> None:
        """Take in any event."""
        kind = event.kind
        if kind == EventKind.INSTRUMENT_DEFINED:
            # Its fee rates stand in column 12.
            self._own[event.instrument] = unpack_halves(event.leaves)
        elif kind == EventKind.RULES_SET:
            # 13 fee schedule.
            self._scheduled[event.instrument] = event.detail
        elif kind == EventKind.FEE_SCHEDULE_SET:
            # 8 schedule, 9 tier, 10 volume, 11 fee rates.
            self._put(event.client_order_id, event.price, event.quantity, event.order_number)
        elif kind == EventKind.DAY_ENDED and event.flags & FEE_PERIOD:
            self._volumes.clear()
        elif kind == EventKind.SETTLED:
            self._count(event)

    def _count(self, event: EventRow) -> None:
        # Settled: 7 buyer, 8 seller, 10 quote amount. Both sides count, also where they are one account.
        schedule = self._scheduled.get(event.instrument, 0)
        for account in (event.account, event.client_order_id) if schedule else ():
            volume = self._volumes.get((account, schedule), 0)
            self._volumes[account, schedule] = min(volume + event.quantity, SUM_MAX)

    def of(self, account: int, instrument: int) -> tuple[int, int]:
        """Maker and taker rate in millionths of an order that enters now."""
        schedule = self._scheduled.get(instrument, 0)
        if not schedule:
            return self._own[instrument]
        return unpack_halves(self._schedules[schedule].rates(self._volumes.get((account, schedule), 0)))
