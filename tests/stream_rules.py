"""Random commands about who may enter what: standing, kill switches, limits, rules of an instrument."""

from core import messages as m
from core.kinds import EXPOSURES, MARKET_RESTS, AccountStanding, KillAct, Limit
from core.rows import pack_halves
from tests.model_limits import BOUNDS
from tests.stream_orders import EXTREMES, FAR


class Rules:
    """The part of a Stream that says what accounts, sessions, firms and instruments may."""

    SESSIONS = (1, 2, 3, 4)
    FIRMS = (7, 8, 9)
    LEADS = (1, 2, 3, FAR)

    def barred(self):
        """The accounts that may not enter everything."""
        return [a for a, s in self.model.standings.items() if s.state != AccountStanding.ACTIVE]

    def SetAccount(self):  # noqa: N802
        rng, barred = self.rng, self.barred()
        account = rng.choice([self.account(), *(o.account for o in self.model.orders if o.waits)])
        back = barred and rng.random() < 0.75
        return m.SetAccount(
            session=self.venue(),
            account=rng.choice(barred) if back else account,
            state=AccountStanding.ACTIVE if back else rng.choices((0, 1, 2, 3, 4), (1, 50, 30, 30, 1))[0],
            group=rng.choices((0, 1, 2, 2**20 - 1, 2**20), (40, 30, 20, 4, 1))[0],
            prevention=rng.choices((0, 1, 2, 3, 4, 5, 6), (50, 8, 12, 8, 12, 9, 1))[0],
            reason=self.reason(),
        )

    def Kill(self):  # noqa: N802
        rng, killed = self.rng, sorted(self.model.killed)
        if killed and rng.random() < 0.8:
            (kind, number), act = rng.choice(killed), KillAct.REVIVE
            names = {} if kind == "venue" else {"named" if kind == "session" else kind: number}
        else:
            act = rng.choices((KillAct.KILL, KillAct.REVIVE, 3), (80, 18, 2))[0]
            name, number = rng.choice(
                (("account", self.account()), ("named", rng.choice(self.SESSIONS)), ("firm", rng.choice(self.FIRMS)))
            )
            names = {name: number} if rng.random() < 0.9 else rng.choice(({}, {"firm": 55}, {"named": 77}))
            if rng.random() < 0.03:
                names |= {"account": 1, "firm": self.FIRMS[0]}
        return m.Kill(session=self.venue(), act=act, reason=self.reason(), **names)

    def SetLimit(self):  # noqa: N802
        """Wide ones for good, and narrow ones for a short time or until a wide one follows."""
        rng, known = self.rng, sorted(self.model.bounds)
        if known and rng.random() < 0.65:
            (kind, number), limit, instrument = rng.choice(known)
        else:
            kind = rng.choice(("account", "session", "firm"))
            number = {"account": self.account(), "session": rng.choice(self.SESSIONS), "firm": rng.choice(self.FIRMS)}[
                kind
            ]
            limit = rng.choice((*Limit, Limit.OPEN_ORDERS, Limit.OPEN_NOTIONAL, Limit.POSITION, Limit.CANCEL_RATE))
            placed = limit in (Limit.ORDER_NOTIONAL, Limit.OPEN_NOTIONAL, Limit.POSITION)
            instrument = rng.choice((1, 1, 3)) if placed else rng.choice((0, 1)) * (limit == Limit.ORDER_QUANTITY)
        most, low, high = BOUNDS[limit]
        columns = {"session": self.venue(), "limit": limit, "instrument": instrument, "value": most, "second": high}
        columns["named" if kind == "session" else kind] = number
        if rng.random() < (0.7 if ((kind, number), limit, instrument) in known else 0.06):
            second = rng.choice((low, low + 1, low + 2, min(low + 20, high))) if high else 0
            columns |= {"value": rng.choice(self.narrow(limit)), "second": second}
            if rng.random() < 0.9:
                columns["until"] = self.time + rng.choice((300, 1_000, 3_000))
        if rng.random() < 0.04:
            name = rng.choice(("instrument", "value", "second", "until", "limit", "named", "firm"))
            columns[name] = rng.choice((*EXTREMES, self.time + 500))
        return m.SetLimit(reason=self.reason(), **columns)

    @staticmethod
    def narrow(limit):
        """Values that refuse some of what comes."""
        return {
            Limit.ORDER_QUANTITY: (5, 10, 20, 50),
            Limit.ORDER_NOTIONAL: (500, 2_000, 10**6),
            Limit.OPEN_ORDERS: (1, 2, 5),
            Limit.OPEN_NOTIONAL: (2_000, 8_000, 10**6),
            Limit.POSITION: (5, 20, 60, 200),
            Limit.ORDER_TO_TRADE: (1, 2, 5),
        }.get(limit, (1_000, 999_999, 1_000_000))

    def SetAllocation(self):  # noqa: N802
        rng = self.rng
        share, account = rng.choice((100_000, 333_333, 500_000, 1_000_000)), rng.choice(self.LEADS)
        steps = (
            1 | rng.choice((0, 0, 3, 20)) << 48, 2 | share << 8 | account << 28, 3 | share << 8 | rng.choice((0, 1, 2, 5)) << 48,
            4, 3 | 1_000_000 << 8,
        )  # fmt: skip
        chosen = rng.sample(steps, rng.choice((0, 1, 2, 3, 4)))
        if rng.random() < 0.1:
            chosen.append(rng.choice((0, 5, 1 | share << 8, 2, 3, 4 | 1 << 48, 2 | share << 8 | 99 << 28, *EXTREMES)))
        columns = {f"step_{n}": step for n, step in enumerate(chosen, start=1)}
        instrument = rng.choices((1, 2, 3, 4), (50, 10, 30, 2))[0]
        return m.SetAllocation(session=self.venue(), instrument=instrument, reason=self.reason(), **columns)

    def SetFeeSchedule(self):  # noqa: N802
        rng = self.rng
        tier = rng.choices((0, 1, 2, 3, 15, 16, -1), (40, 30, 20, 6, 2, 1, 1))[0]
        volume = rng.choice((1, 500, 5_000, 50_000, *EXTREMES)) if rng.random() < 0.2 else tier * 4_000
        rates = pack_halves(rng.choice((-5_000, 0, 1_000, 10**6 + 1)), rng.choice((-2_000, 6_000, 25_000, 400_000)))
        return m.SetFeeSchedule(
            session=self.venue(), schedule=rng.choices((0, 1, 2, 65_536), (1, 60, 38, 1))[0], tier=tier, volume=volume,
            fee_rates=rates, reason=self.reason(),
        )  # fmt: skip

    def SetRules(self):  # noqa: N802
        rng = self.rng
        instrument = rng.choices((1, 2, 3, 4), (60, 3, 12, 2))[0]
        names = {1: ("protection", "collar", "quantity_min", "notional_min", "notional_max"), 3: ("protection",)}
        values = {
            "protection": (1, 2, 4, 8, 2**40 - 1), "collar": (60_000, 90_000, 1_000_000), "quantity_min": (1, 1, 2),
            "notional_min": (1, 96, 150), "notional_max": (8_000, 30_000, 2**62 - 1),
        }  # fmt: skip
        columns = {name: rng.choice(values[name]) for name in names.get(instrument, ())}
        if rng.random() < 0.1:
            columns[rng.choice(names[1])] = rng.choice(EXTREMES)
        rests = MARKET_RESTS if rng.random() < 0.7 and columns.get("protection") else 0
        bits = EXPOSURES * (rng.random() < 0.97) | rests
        columns["fee_schedule"] = rng.choices((0, 1, 2, 7), (40, 40, 18, 2))[0]
        return m.SetRules(session=self.venue(), flags=bits, instrument=instrument, reason=self.reason(), **columns)
