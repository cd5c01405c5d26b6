"""`lockstep admin`: the acts that set limits, rules, fees and steps, and the kill switch; each a command in the journal."""

from typing import Annotated, Literal

import typer

from core.kinds import (
    EXPOSURES,
    MARKET_RESTS,
    AccountStanding,
    KillAct,
    Limit,
    Prevention,
)
from core.limits import FEE_SCALE
from core.rows import pack_halves
from tools.admin import (
    Number,
    OfAccount,
    OneAccount,
    OneInstrument,
    Operator,
    Reason,
    act,
    admin,
)
from tools.failures import Misuse
from tools.steps import columns_of

OneSession = Annotated[int, typer.Option("--session", metavar="N", help="This session alone.")]
OneFirm = Annotated[int, typer.Option("--firm", metavar="N", help="This firm alone.")]
Switched = Annotated[int, typer.Argument(metavar="[ACCOUNT]", min=0, show_default=False)]
Everyone = Annotated[bool, typer.Option("--venue", help="Everyone.")]
Millionths = Annotated[int, typer.Option(help="In millionths; negative for a rebate.", min=-FEE_SCALE, max=FEE_SCALE)]


@admin.command()
def kill(
    context: typer.Context,
    operator: Operator,
    reason: Reason,
    account: Switched = 0,
    session: OneSession = 0,
    firm: OneFirm = 0,
    venue: Everyone = False,
) -> None:
    """Throw the kill switch of an account, a session, a firm or the venue: nothing new enters, live orders are canceled."""
    _switch(context, KillAct.KILL, operator, reason, (account, session, firm), venue=venue)


@admin.command()
def revive(
    context: typer.Context,
    operator: Operator,
    reason: Reason,
    account: Switched = 0,
    session: OneSession = 0,
    firm: OneFirm = 0,
    venue: Everyone = False,
) -> None:
    """Put a kill switch back."""
    _switch(context, KillAct.REVIVE, operator, reason, (account, session, firm), venue=venue)


def _switch(
    context: typer.Context, what: KillAct, operator: int, reason: str, named: tuple[int, int, int], *, venue: bool
) -> None:
    if sum(map(bool, named)) + venue != 1:
        raise Misuse("name one: an ACCOUNT, --session N, --firm N or --venue")
    account, session, firm = named
    act(context, "Kill", operator, reason, account=account, named=session, firm=firm, act=what)


@admin.command()
def standing(
    context: typer.Context,
    account: OfAccount,
    state: Annotated[Literal["active", "reduce-only", "suspended"], typer.Argument(show_default=False)],
    operator: Operator,
    reason: Reason,
    group: Annotated[int, typer.Option(metavar="N", min=0, help="Self-trade group; 0: the account alone.")] = 0,
    prevention: Annotated[
        Literal["none", "cancel-newest", "cancel-oldest", "cancel-both", "decrement", "allow"],
        typer.Option(help="Self-trade prevention of orders that name none."),
    ] = "none",
) -> None:
    """Say what an account may enter, its self-trade group and prevention; all three are set."""
    act(
        context, "SetAccount", operator, reason, account=account, state=AccountStanding[_name(state)], group=group,
        prevention=Prevention[_name(prevention)],
    )  # fmt: skip


@admin.command()
def limit(
    context: typer.Context,
    name: Annotated[
        Literal[
            "order-quantity",
            "order-notional",
            "open-orders",
            "open-notional",
            "position",
            "message-rate",
            "cancel-rate",
            "order-to-trade",
        ],
        typer.Argument(show_default=False),
    ],
    value: Annotated[int, typer.Argument(metavar="VALUE", show_default=False)],
    operator: Operator,
    reason: Reason,
    second: Annotated[int, typer.Option(help="Burst of a rate; orders that are free each day.")] = 0,
    instrument: OneInstrument = 0,
    account: OneAccount = 0,
    session: OneSession = 0,
    firm: OneFirm = 0,
    until: Annotated[int, typer.Option(metavar="NS", help="Hold before this time, in ns since 1970; 0: for good.")] = 0,
) -> None:
    """Set a limit of an account, a session or a firm; docs/commands.md (SetLimit) gives units and bounds."""
    act(
        context, "SetLimit", operator, reason, instrument=instrument, account=account, named=session, firm=firm,
        limit=Limit[_name(name)], value=value, second=second, until=until,
    )  # fmt: skip


@admin.command("rules")
def set_rules(
    context: typer.Context,
    instrument: Number,
    operator: Operator,
    reason: Reason,
    protection: Annotated[int, typer.Option(help="Ticks within which a market order trades; 0: none.")] = 0,
    collar: Annotated[int, typer.Option(help="Millionths of the last price; 0: none.")] = 0,
    quantity_min: Annotated[int, typer.Option(help="In lots; 0: none.")] = 0,
    notional_min: Annotated[int, typer.Option(help="In units of the quote currency; 0: none.")] = 0,
    notional_max: Annotated[int, typer.Option(help="In units of the quote currency; 0: none.")] = 0,
    fee_schedule: Annotated[int, typer.Option(metavar="N", help="0: the instrument's own rates.")] = 0,
    exposures: Annotated[bool, typer.Option("--exposures", help="Count positions and open orders.")] = False,
    market_rests: Annotated[bool, typer.Option("--market-rests", help="What market orders leave may stand.")] = False,
) -> None:
    """Set the rules of an instrument, all of them; docs/commands.md (SetRules) says which may not be taken back."""
    flags = (EXPOSURES if exposures else 0) | (MARKET_RESTS if market_rests else 0)
    act(
        context, "SetRules", operator, reason, flags=flags, instrument=instrument, protection=protection, collar=collar,
        quantity_min=quantity_min, notional_min=notional_min, notional_max=notional_max, fee_schedule=fee_schedule,
    )  # fmt: skip


@admin.command("fee-tier")
def fee_tier(
    context: typer.Context,
    schedule: Number,
    tier: Annotated[int, typer.Argument(metavar="TIER", min=0, show_default=False)],
    operator: Operator,
    reason: Reason,
    volume: Annotated[int, typer.Option(help="Units of the quote currency from which it holds.")] = 0,
    maker_fee: Millionths = 0,
    taker_fee: Millionths = 0,
) -> None:
    """Set a tier of a fee schedule."""
    act(
        context, "SetFeeSchedule", operator, reason, schedule=schedule, tier=tier, volume=volume,
        fee_rates=pack_halves(maker_fee, taker_fee),
    )  # fmt: skip


@admin.command()
def allocation(
    context: typer.Context,
    instrument: Number,
    operator: Operator,
    reason: Reason,
    step: Annotated[
        list[str] | None,
        typer.Option(metavar="STEP", help="top[:LOTS], lead:SHARE:ACCOUNT, pro-rata:SHARE[:LOTS], largest; in turn."),
    ] = None,
) -> None:
    """Set how the orders of a price share an incoming order, SHARE in millionths; without --step, by time."""
    try:
        steps = columns_of(step or [])
    except ValueError as error:
        raise Misuse(f"--step {error}") from None
    act(context, "SetAllocation", operator, reason, instrument=instrument, **steps)


def _name(word: str) -> str:
    return word.replace("-", "_").upper()
