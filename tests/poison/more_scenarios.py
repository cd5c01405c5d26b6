"""Scenarios that only poison needs: lines of the engine that no rule of tests/scenarios takes a row to, without the events.

Bounds that would take thousands of rows are made small for them: what the engine reads as a constant is set in its module.
"""

from contextlib import contextmanager
from importlib import import_module

LEVELS = {"core.placing.LEVELS_MAX": 2}
MATCHES = {f"core.{module}.MATCHES_MAX": 2 for module in ("crossing", "matching", "allocating")}
STEPS = {"core.timers.STEPS_MAX": 2, "core.control.STEPS_MAX": 2}
TODOS = {"core.control.TODOS_MAX": 1, "core.venue_rules.TODOS_MAX": 1, "core.cancels.TODOS_MAX": 1}
FAR = "open_account account=2000 firm=9 name=Far\nop masscancel\n"
LISTED = "define_instrument instrument=2 symbol=EUR/USD currencies=BTC/USD price_max=10000 quantity_max=1000 "


def at_most_50(total, more):
    """In the place of `fits`: no stored sum beyond 50."""
    return more <= 50 - total


MORE = {
    "no room for the rest of a peg": (LEVELS, """\
A enter 1 buy 5 @ 100
A enter 2 buy 5 @ 99
B enter 1 buy 5 peg primary -5 @ 110
"""),
    "no room for a peg that follows": (LEVELS, """\
A enter 1 buy 5 @ 100
A enter 2 buy 5 @ 99
B enter 1 buy 5 peg primary -1 @ 110
A replace 1 5 @ 101
"""),
    "no room for what is triggered": (LEVELS, """\
A enter 1 sell 5 @ 100
B enter 1 buy 5 @ 97
B enter 2 buy 5 @ 96
B enter 3 buy 5 stop 100 @ 98
C enter 1 buy 2 @ 100 ioc
"""),
    "no room for a batch": (LEVELS, """\
enter_batch account=A parts=3 by A
A detail 1 buy 5 @ 100
A detail 2 buy 5 @ 99
A detail 3 buy 5 @ 98
"""),
    "followers in batches": ({}, """\
C enter 3 buy 1 stop 150
C enter 1 buy 50 @ 90
C enter 2 sell 50 @ 110
advance_time
enter_batch account=A parts=4 by A
A detail 1 buy 1 peg primary @ 100
A detail 2 buy 1 trail 120 by 5
A detail 3 buy 1 peg mid @ 100
A detail 4 buy 1 @ 20000
enter_batch account=A parts=3 by A
A detail 1 buy 1 peg primary @ 100
A detail 2 buy 1 trail 120 by 5
A detail 3 buy 1 peg mid @ 100
enter_batch account=A parts=1 by A
A detail 4 buy 1 @ 100 c5=-1
enter_batch account=77 parts=1 by op
A detail 4 buy 1 @ 100 by op
mass_quote account=A parts=1 by A
quote_detail instrument=1 c14=1 by A
mass_quote account=A parts=1 by A
quote_detail instrument=1 bid_client_order_id=4611686018427387904 by A
mass_quote account=A parts=1 by A
quote_detail instrument=1 bid_quantity=1 by A
set_trading_state instrument=1 state=HALTED
enter_batch account=A parts=1 by A
A detail 4 buy 1 @ 100
"""),
    "what is activated": ({}, """\
set_rules instrument=1 flags=3 protection=5
A enter 1 sell 3 @ 100
C enter 1 buy 3 @ 100
C enter 2 buy 50 @ 90
C enter 3 sell 50 @ 110
link_orders flags=BRACKET account=A parts=3 by A
A detail 2 buy 5 @ 100
A detail 3 sell 5 @ 120 reduceonly
A detail 4 sell 5 stop 95 reduceonly
B enter 1 sell 5 @ 100
link_orders flags=ONE_TRIGGERS_OTHER account=B parts=2 by B
B detail 2 buy 1 @ 100
B detail 3 buy 1 peg primary @ 105
link_orders flags=ONE_TRIGGERS_OTHER account=B parts=2 by B
B detail 4 buy 1 @ 100
B detail 5 buy 1 market gtc
link_orders flags=ONE_TRIGGERS_OTHER account=B parts=2 by B
B detail 6 buy 1 @ 100
B detail 7 buy 1 @ 95 gtd 100
link_orders flags=ONE_TRIGGERS_OTHER account=B parts=2 by B
B detail 8 buy 1 @ 100
B detail 9 buy 1 trail 150 by 5
C enter 4 sell 4 @ 100 t=200
C enter 5 buy 60 @ 111
op masscancel session C
given deposit account=D currency=BTC amount=9
link_orders flags=ONE_CANCELS_OTHER account=D parts=2 by D
D detail 1 sell 1 @ 115
D detail 2 sell 1 stop 50
B enter 30 buy 1 stop 112 @ 116
C enter 6 sell 1 @ 113
C enter 7 buy 1 @ 113
"""),
    "a held order whose notional passes the bound": ({"core.limiting.SUM_MAX": 250}, """\
set_rules instrument=1 flags=3 protection=5
C enter 1 sell 1 @ 95
link_orders flags=ONE_TRIGGERS_OTHER account=A parts=2 by A
A detail 1 buy 3 @ 50
A detail 2 buy 3 market gtc
C enter 2 sell 3 @ 50
"""),
    "activated where triggers are pending": ({}, """\
C enter 1 sell 1 @ 105
link_orders flags=ONE_TRIGGERS_OTHER account=B parts=2 by B
B detail 1 sell 1 @ 110
B detail 2 buy 1 stop 200
A enter 9 buy 1 stop 107
C enter 5 buy 2 @ 111
"""),
    "a price whose notional passes the bound": ({}, """\
define_instrument instrument=2 symbol=EUR/USD currencies=BTC/USD price_max=10000 quantity_max=1000 multiplier=500000000000000
given set_rules instrument=2 flags=MARKET_RESTS protection=9000
given deposit account=A currency=USD amount=4000000000000000000
link_orders flags=ONE_TRIGGERS_OTHER account=A parts=2 by A
A detail 1 buy 3 @ 1 in 2
A detail 2 buy 3 market gtc in 2
C enter 1 sell 1 @ 5 in 2
B enter 1 sell 3 @ 1 in 2
A cancel 1 in 2
"""),
    "one reduce-only order too many": ({"core.activating.REDUCING_MAX": 0}, """\
set_rules instrument=1 flags=EXPOSURES
link_orders flags=ONE_TRIGGERS_OTHER account=A parts=2 by A
A detail 1 buy 3 @ 50
A detail 2 sell 3 @ 90 reduceonly
B enter 1 sell 3 @ 50
"""),
    "no room for orders": (LEVELS, """\
A enter 1 buy 5 @ 100
A enter 2 buy 5 @ 99
A enter 3 buy 5 @ 98
A enter 4 buy 5 @ 98 stp both
A enter 5 buy 5 @ 99
A replace 5 5 @ 97
"""),
    "no room for sums": ({"core.replace.fits": at_most_50, "core.special.fits": at_most_50}, """\
A enter 1 sell 60 @ 100
B enter 1 buy 40 @ 100
A replace 1 20 @ 101 reenter
A enter 2 sell 60 @ 99 show 30
B enter 2 buy 40 @ 99
A replace 2 20 @ 98 reenter
A replace 2 20 @ 99 reenter trigger 5
"""),
    "exposures at their bound": ({"core.limiting.SUM_MAX": 40}, """\
set_rules instrument=1 flags=EXPOSURES
A enter 1 sell 50 @ 100
A enter 2 sell 5 @ 1
B enter 1 buy 5 market ioc
"""),
    "orders met": (MATCHES, """\
A enter 1 sell 1 @ 100
A enter 2 sell 1 @ 100
A enter 3 sell 1 @ 101
B enter 1 buy 3 @ 101 aon
B enter 2 buy 3 @ 101 stp both
A enter 4 sell 1 @ 100
A enter 5 sell 1 @ 100
B enter 3 buy 3 @ 101
"""),
    "shares of many": (
        MATCHES,
        """\
set_allocation instrument=1 step_1=256000003
A enter 1 sell 1 @ 100
A enter 2 buy 5 @ 100 stp oldest ioc
A enter 3 sell 1 @ 100
A enter 4 buy 5 @ 100 stp newest
A enter 5 sell 1 @ 100
A enter 6 sell 1 @ 100
A enter 7 buy 9 @ 100 stp oldest ioc
A masscancel
A enter 8 sell 1 @ 99
A enter 9 sell 5 @ 100
A enter 10 sell 5 @ 100
B enter 1 buy 5 @ 100
set_allocation instrument=1 c7=1
set_fee_schedule schedule=1 c6=1
""",
    ),
    "worth beyond the bound": (
        {},
        LISTED
        + """multiplier=1000000000000000000 divisor=1000000000000000000
set_rules instrument=2 flags=EXPOSURES protection=1
B enter 1 sell 4 trail 1 by 1 in 2
A enter 1 sell 1 @ 4 in 2
C enter 1 buy 1 @ 4 in 2
C enter 2 buy 1 @ 3 in 2
C enter 3 buy 1 @ 3 in 2
A enter 2 sell 1 @ 3 in 2
""",
    ),
    "out of reach": ({}, """\
A enter 1 sell 1 @ 100
A enter 2 sell 1 @ 105
B enter 1 buy 2 @ 101 aon
"""),
    "followers": ({"core.judging.FOLLOWERS_MAX": 1}, """\
A enter 1 buy 5 peg primary @ 100
A enter 2 buy 5 peg mid @ 100
A enter 3 sell 5 trail 90 by 3
A enter 4 sell 5 trail 90 by 3
B enter 1 buy 5 @ 99
"""),
    "mass operations": (TODOS, FAR + """\
end_of_day day=1
kill account=A act=KILL
op masscancel
advance_time
"""),
    "a cursor that leaves": (STEPS, """\
A enter 1 buy 5 @ 100
A enter 2 buy 5 @ 99
A enter 3 buy 5 @ 98
A masscancel
A cancel 3
advance_time
"""),
    "due for following": ({}, LISTED + """
A enter 1 buy 5 @ 100
B enter 1 buy 5 peg primary @ 110
op masscancel session A
A enter 2 sell 5 @ 90 in 2
B enter 2 buy 5 @ 90 fok in 2
advance_time
"""),
    "lots beyond the bound": ({}, LISTED + """lot_units=1000000000000000000
C enter 1 sell 9 @ 100 show 2 in 2
"""),
    "reserved beyond the bound": ({}, LISTED + """multiplier=1000000000000000000 divisor=1000000000000000000
A enter 1 sell 3 @ 1 in 2
A enter 2 sell 3 @ 1 in 2
B enter 1 buy 5 market fok in 2
"""),
    "reserved for fill or kill": ({}, """\
A enter 1 sell 5 @ 100
B enter 1 buy 3 market fok stp oldest
"""),
    "the first of all rows": ({}, """\
deposit account=A currency=USD amount=5 by 7
"""),
    "malformed and out of range": ({}, """\
A enter 1 buy 5 @ 100
A reduce 1 0
define_currency currency=7 symbol=JPY c6=1
kill account=A act=KILL by op inbound=9
define_instrument instrument=2 symbol=EUR/USD currencies=BTC/USD price_max=0 by op
deposit account=A currency=USD amount=5 inbound=5
deposit account=A currency=USD amount=5 inbound=9 quarantined
"""),
    "replaces of special orders": ({}, """\
A enter 1 buy 5 @ 100 gtd 1
A enter 1 buy 5 @ 100 show 2 gtd 1
A enter 2 buy 5 @ 100 show 2 gtd 900
A enter 3 buy 5 @ 99
A replace 2>3 5 @ 100
A replace 2 5 @ 100 expires 1
A replace 2 4 @ 100 expires 950
A replace 2 5 @ 98 expires 960
A replace 2 5 @ 98 show 3
B enter 1 sell 3 @ 120
B enter 2 sell 5 trail 90 by 3
B replace 2 5 trigger 91
B replace 2 4 trigger 92
"""),
    "references that are not there": ({}, """\
B enter 1 buy 5 peg mid @ 110
B enter 2 buy 5 peg market @ 110
A enter 1 buy 5 @ 100
A enter 2 sell 5 @ 105
A cancel 2
"""),
}  # fmt: skip


@contextmanager
def bounded(bounds):
    """While it lasts, the bounds are those of a scenario."""
    places = [(import_module(name.rpartition(".")[0]), name.rpartition(".")[2]) for name in bounds]
    kept = [getattr(module, name) for module, name in places]
    try:
        for (module, name), bound in zip(places, bounds.values(), strict=True):
            setattr(module, name, bound)
        yield
    finally:
        for (module, name), bound in zip(places, kept, strict=True):
            setattr(module, name, bound)
