"""Fourteen small cases: who trades how much with whom. Each trader is an account of a journal made for the case."""

import json

import pytest

from core.kinds import OrderType, Role, TimeInForce
from core.limits import PRICE_MAX, QUANTITY_MAX
from core.messages import (
    CancelOrder,
    DefineCurrency,
    DefineInstrument,
    Deposit,
    EnterOrder,
    GrantSession,
    OpenAccount,
)
from core.rows import pack_halves, to_row
from replicas.opening import create
from tests.outside.replays import assert_replays_agree

pytestmark = pytest.mark.data
LIMIT_DAY = OrderType.LIMIT << 1 | TimeInForce.DAY << 5
FUNDS = 10**9


def venue(traders):
    yield DefineCurrency(currency=1, symbol="LOT")
    yield DefineCurrency(currency=2, symbol="USD")
    listed = {"price_max": PRICE_MAX, "quantity_max": QUANTITY_MAX}
    yield DefineInstrument(instrument=1, symbol="LOT/USD", currencies=pack_halves(1, 2), **listed)
    for account, trader in enumerate(traders, start=1):
        yield OpenAccount(account=account, firm=1, name=trader)
        yield Deposit(account=account, currency=1, amount=FUNDS)
        yield Deposit(account=account, currency=2, amount=FUNDS)
        yield GrantSession(account=account, grantee=1, role=Role.TRADER)


def commands(traders, orders, cancels, after):
    """The case as commands of session 1; the client order id is the number of the order."""
    entries = dict(enumerate([*orders, *after], start=1))
    steps = [*range(1, len(orders) + 1), *(-number for number in cancels), *range(len(orders) + 1, len(entries) + 1)]
    for inbound, step in enumerate(steps, start=1):
        trader, side, price, quantity = entries[abs(step)]
        who = {"session": 1, "inbound": inbound, "instrument": 1, "account": traders.index(trader) + 1}
        who["client_order_id"] = abs(step)
        if step < 0:
            yield CancelOrder(**who)
        else:
            yield EnterOrder(**who, flags=LIMIT_DAY | (side == "S"), price=price, quantity=quantity)


def play(path, traders, case):
    directory, sequencer = create(path)
    for message in (*venue(traders), *commands(traders, *case)):
        sequencer.submit(to_row(message), 1)
    sequencer.close_batch()
    sequencer.events.close()
    directory.close()


@pytest.mark.both
@pytest.mark.parametrize("number", range(14))
def test_a_case_trades_as_expected(number, market_data, tmp_path):
    cases = json.loads((market_data / "quantcup" / "test_cases.json").read_text())["cases"]
    assert len(cases) == 14
    *case, expected = cases[number]
    entries = [*case[0], *case[2]]
    traders = sorted({order[0] for order in entries})
    play(tmp_path / "venue", traders, case)
    fills = assert_replays_agree(tmp_path / "venue")
    found = [[entries[fill["m"] - 1][0], fill["q"]] for fill in fills]
    assert len(found) == len(expected)
    for (maker, quantity), wanted in zip(found, expected, strict=True):
        assert wanted in (quantity, [maker, quantity])
