"""Random commands about lost sessions, dead-man timers and the protection of quotes."""

from core import messages as m
from tests.stream_orders import EXTREMES


class Safety:
    """The part of a Stream that looks after orders whose owners are gone, and after quotes."""

    def SessionLost(self):  # noqa: N802
        rng = self.rng
        wanting = [session for session, mode in self.model.modes.items() if mode]
        named = rng.choice(wanting) if wanting and rng.random() < 0.8 else rng.choice((0, 1, 2, 3, 4, 5, 77))
        connection = rng.choice((0, 1, 2**62 - 1)) if rng.random() < 0.97 else rng.choice(EXTREMES)
        return m.SessionLost(session=self.venue(), named=named, connection=connection, reason=self.reason())

    def SetCancelOnDisconnect(self):  # noqa: N802
        rng = self.rng
        session, mode = rng.choice((1, 2, 4)), rng.choices((0, 1, 2, 3, -1), (20, 40, 37, 2, 1))[0]
        if rng.random() < 0.75:
            return m.SetCancelOnDisconnect(session=session, named=rng.choice((0, 0, session, 3)), mode=mode)
        named = rng.choice((0, 1, 2, 3, 4, 5, 6, 77))
        return m.SetCancelOnDisconnect(session=rng.choice((0, 3, 5, self.venue())), named=named, mode=mode)

    def ArmDeadMan(self):  # noqa: N802
        """Mostly as short as may be: rows are close to each other, and some of these timers have to fire."""
        rng, account = self.rng, self.account()
        if self.model.dead_men and rng.random() < 0.3:
            account = rng.choice(sorted(self.model.dead_men))
        interval = rng.choices((10**6, 0, 10**6 + 500, 86_400 * 10**9), (80, 10, 9, 1))[0]
        interval = rng.choice((*EXTREMES, 10**6 - 1, 86_400 * 10**9 + 1)) if rng.random() < 0.03 else interval
        return m.ArmDeadMan(session=self.sender(account), account=account, interval=interval)

    def SetProtection(self):  # noqa: N802
        rng, account = self.rng, self.account()
        limits = [rng.choice((0, 0, 5, 20, 60)), rng.choice((0, 1, 2, 4)), rng.choice((0, 0, 5, 30))]
        window = rng.choice((50, 500, 5_000, 10**9)) if any(limits) else 0
        columns = dict(zip(("quantity", "count", "delta"), limits, strict=True)) | {"window": window}
        if rng.random() < 0.06:
            columns[rng.choice(("window", "quantity", "count", "delta"))] = rng.choice((*EXTREMES, 10**6, 10**6 + 1))
        instrument = rng.choices((1, 2, 3, 4), (50, 30, 20, 1))[0]
        return m.SetProtection(session=self.sender(account), instrument=instrument, account=account, **columns)

    def ResetProtection(self):  # noqa: N802
        rng = self.rng
        account, instrument = self.account(), rng.choices((1, 2, 3, 4), (50, 30, 20, 1))[0]
        if self.model.frozen and rng.random() < 0.8:
            account, instrument = rng.choice(sorted(self.model.frozen))
        return m.ResetProtection(session=self.sender(account), instrument=instrument, account=account)
