"""`lockstep admin`: an operator's acts on a running node, each a command in the journal."""

import time
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import typer

from core.kinds import (
    ONLY_BUYS,
    ONLY_SELLS,
    PRICE_DECIMALS_SHIFT,
    QUANTITY_DECIMALS_SHIFT,
    ROUNDING_SHIFT,
    Role,
    Rounding,
    TradingState,
)
from core.limits import PRICE_MAX, QUANTITY_MAX
from core.rows import pack_halves
from tools.failures import FAILED, Misuse
from tools.output import print_json

REASON_MAX: Final = 16

admin = typer.Typer(help="Act on a running node, as an operator.", no_args_is_help=False)


@admin.callback()
def address(
    context: typer.Context,
    where: Annotated[
        str, typer.Argument(metavar="ADDRESS", help="The node: DIR, or unix:PATH of its socket.", show_default=False)
    ],
) -> None:
    """Act on a running node, as an operator: each act is a command of the operator's session, with a reason.

    Exit code 1 if the node refuses it. Example: lockstep admin venue halt --operator 9 --reason "bad feed"
    """
    context.obj = where


def _reason(given: str) -> str:
    if not 1 <= len(given) <= REASON_MAX or any(not " " <= character <= "~" for character in given):
        raise Misuse(f"--reason {given!a}: not 1 to {REASON_MAX} printable ASCII characters")
    return given


Operator = Annotated[int, typer.Option(metavar="N", min=1, help="Number of the operator's session.")]
Reason = Annotated[str, typer.Option(metavar="TEXT", callback=_reason, help="Why, in at most 16 ASCII characters.")]
OneInstrument = Annotated[int, typer.Option("--instrument", metavar="N", help="This instrument alone.")]
OneAccount = Annotated[int, typer.Option("--account", metavar="N", help="This account alone.")]
Number = Annotated[int, typer.Argument(metavar="NUMBER", min=1, show_default=False)]
Amount = Annotated[int, typer.Argument(metavar="UNITS", min=1, help="In units of the currency.", show_default=False)]
OfAccount = Annotated[int, typer.Argument(metavar="ACCOUNT", min=1, show_default=False)]
OfCurrency = Annotated[int, typer.Argument(metavar="CURRENCY", min=1, help="Its number.", show_default=False)]


def act(context: typer.Context, kind: str, operator: int, reason: str, **fields: int | str) -> None:
    """Send one command, print its events; exit code 1 if it was refused."""
    from tools.unix_http import ask

    body: dict[str, Any] = {"kind": kind, "operator": operator, "reason": reason, "fields": fields}
    events = ask(context.obj, "POST", "/command", body)["events"]
    for event in events:
        print_json(event)
    if any(event["kind"] == "Rejected" for event in events):
        raise typer.Exit(FAILED)


@admin.command()
def halt(
    context: typer.Context,
    operator: Operator,
    reason: Reason,
    instrument: OneInstrument = 0,
    account: OneAccount = 0,
    cancel_only: Annotated[bool, typer.Option("--cancel-only", help="Let orders be canceled meanwhile.")] = False,
) -> None:
    """Halt the venue, an instrument or an account."""
    state = TradingState.CANCEL_ONLY if cancel_only else TradingState.HALTED
    act(context, "SetTradingState", operator, reason, instrument=instrument, account=account, state=state)


@admin.command()
def resume(
    context: typer.Context, operator: Operator, reason: Reason, instrument: OneInstrument = 0, account: OneAccount = 0
) -> None:
    """Open what was halted."""
    state = TradingState.OPEN
    act(context, "SetTradingState", operator, reason, instrument=instrument, account=account, state=state)


@admin.command("cancel-all")
def cancel_all(
    context: typer.Context,
    operator: Operator,
    reason: Reason,
    instrument: OneInstrument = 0,
    account: OneAccount = 0,
    side: Annotated[Literal["buy", "sell"] | None, typer.Option(help="This side alone.")] = None,
) -> None:
    """Cancel all orders, or those of an instrument, an account, a side."""
    flags = {None: 0, "buy": ONLY_BUYS, "sell": ONLY_SELLS}[side]
    act(context, "MassCancel", operator, reason, instrument=instrument, account=account, flags=flags)


@admin.command()
def currency(
    context: typer.Context,
    number: Number,
    symbol: Annotated[str, typer.Argument(show_default=False)],
    operator: Operator,
    reason: Reason,
    decimals: Annotated[int, typer.Option(help="Displayed decimals of an amount.")] = 0,
) -> None:
    """Make a currency known."""
    act(context, "DefineCurrency", operator, reason, currency=number, symbol=symbol, decimals=decimals)


@admin.command()
def instrument(
    context: typer.Context,
    number: Number,
    symbol: Annotated[str, typer.Argument(show_default=False)],
    base: Annotated[int, typer.Option(metavar="N", help="Number of the base currency.")],
    quote: Annotated[int, typer.Option(metavar="N", help="Number of the quote currency.")],
    operator: Operator,
    reason: Reason,
    price_decimals: Annotated[int, typer.Option(min=0, max=255)] = 0,
    quantity_decimals: Annotated[int, typer.Option(min=0, max=255)] = 0,
    rounding: Annotated[Literal["down", "up"], typer.Option()] = "down",
    multiplier: Annotated[int, typer.Option()] = 1,
    divisor: Annotated[int, typer.Option()] = 1,
    lot_units: Annotated[int, typer.Option()] = 1,
    price_max: Annotated[int, typer.Option(help="In ticks.")] = PRICE_MAX,
    quantity_max: Annotated[int, typer.Option(help="In lots.")] = QUANTITY_MAX,
    maker_fee: Annotated[int, typer.Option(help="In millionths; negative for a rebate.", min=-(10**6), max=10**6)] = 0,
    taker_fee: Annotated[int, typer.Option(help="In millionths.", min=-(10**6), max=10**6)] = 0,
) -> None:
    """List an instrument, or change its limits and fees; docs/commands.md says what the numbers mean."""
    flags = (
        price_decimals << PRICE_DECIMALS_SHIFT
        | quantity_decimals << QUANTITY_DECIMALS_SHIFT
        | (Rounding.UP if rounding == "up" else Rounding.DOWN) << ROUNDING_SHIFT
    )
    act(
        context, "DefineInstrument", operator, reason, flags=flags, instrument=number, symbol=symbol,
        currencies=pack_halves(base, quote), multiplier=multiplier, divisor=divisor, lot_units=lot_units,
        price_max=price_max, quantity_max=quantity_max, fee_rates=pack_halves(maker_fee, taker_fee),
    )  # fmt: skip


@admin.command()
def account(
    context: typer.Context,
    number: Number,
    firm: Annotated[int, typer.Option(metavar="N", help="Number of its firm.")],
    operator: Operator,
    reason: Reason,
    name: Annotated[str, typer.Option(help="At most 32 ASCII characters.")] = "",
) -> None:
    """Open an account."""
    act(context, "OpenAccount", operator, reason, account=number, firm=firm, name=name)


@admin.command()
def deposit(
    context: typer.Context, account: OfAccount, currency: OfCurrency, units: Amount, operator: Operator, reason: Reason
) -> None:
    """Credit an account."""
    act(context, "Deposit", operator, reason, account=account, currency=currency, amount=units)


@admin.command()
def withdraw(
    context: typer.Context, account: OfAccount, currency: OfCurrency, units: Amount, operator: Operator, reason: Reason
) -> None:
    """Debit an account."""
    act(context, "Withdraw", operator, reason, account=account, currency=currency, amount=units)


@admin.command()
def session(
    context: typer.Context,
    number: Number,
    operator: Operator,
    reason: Reason,
    role: Annotated[
        Literal["trader", "operator", "drop-copy", "market-data"] | None, typer.Option(help="Grant this.")
    ] = None,
    account: Annotated[int, typer.Option(metavar="N", help="A trader's account.")] = 0,
    firm: Annotated[int, typer.Option(metavar="N", help="A drop copy's firm.")] = 0,
    password: Annotated[
        Path | None, typer.Option("--password-file", metavar="FILE", help="Its first line becomes the password.")
    ] = None,
    no_password: Annotated[bool, typer.Option("--no-password", help="Take the password away.")] = False,
) -> None:
    """Grant a session a role, give it a password, or take that away. The node gets the hash, never the password."""
    if password is not None and no_password:
        raise Misuse("--password-file and --no-password exclude each other")
    if role is None and password is None and not no_password:
        raise Misuse("nothing to do: give --role, --password-file or --no-password")
    credential = _credential(password) if password is not None else None
    if role is not None:
        fields = {"grantee": number, "role": Role[role.replace("-", "_").upper()], "account": account, "firm": firm}
        act(context, "GrantSession", operator, reason, **fields)
    if credential is not None or no_password:
        act(context, "SetCredential", operator, reason, grantee=number, **(credential or {}))


def _credential(path: Path) -> dict[str, int]:
    from replicas.passwords import make, pack, refuse_password

    password = path.read_text().partition("\n")[0].rstrip("\r")
    refused = refuse_password(password)
    if refused:
        raise Misuse(f"--password-file {path}: {refused}")
    return pack(*make(password))


@admin.command("end-of-day")
def end_of_day(
    context: typer.Context,
    day: Annotated[int, typer.Argument(metavar="YYYYMMDD", show_default=False)],
    operator: Operator,
    reason: Reason,
) -> None:
    """End the trading day."""
    act(context, "EndOfDay", operator, reason, day=day)


@admin.command()
def clock(context: typer.Context, operator: Operator, reason: Reason) -> None:
    """Follow the machine's clock again, after it was set."""
    act(context, "AcceptClock", operator, reason, clock=time.time_ns())
