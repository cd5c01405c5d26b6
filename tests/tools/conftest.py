"""A small venue with a bit of everything, and how its commands are typed."""

import json
import shutil
import subprocess
import sys
from contextlib import contextmanager

import pytest
from typer.testing import CliRunner

from core.kinds import OrderType, Role, TimeInForce
from core.limits import QUANTITY_MAX
from core.messages import (
    CancelOrder,
    DefineCurrency,
    DefineInstrument,
    Deposit,
    EnterOrder,
    GrantSession,
    OpenAccount,
    ReduceOrder,
    ReplaceOrder,
)
from core.rows import pack_halves, to_row
from replicas.opening import create
from tools.main import app

NINE = 9 * 3600 * 10**9
LIMIT_GTC = OrderType.LIMIT << 1 | TimeInForce.GTC << 5
SELL = 1

SET_UP = (
    DefineCurrency(currency=1, symbol="AAA"),
    DefineCurrency(currency=2, symbol="USD", decimals=2),
    DefineInstrument(
        instrument=1,
        symbol="AAA/USD",
        flags=2 | 1 << 8,
        currencies=pack_halves(1, 2),
        price_max=1_000_000,
        quantity_max=QUANTITY_MAX,
    ),
    OpenAccount(account=1, firm=1, name="maker"),
    OpenAccount(account=2, firm=2, name="taker"),
    *(Deposit(account=account, currency=currency, amount=10**12) for account in (1, 2) for currency in (1, 2)),
    GrantSession(account=1, grantee=1, role=Role.TRADER),
    GrantSession(account=2, grantee=2, role=Role.TRADER),
)


def order(session, inbound, client, side, price, quantity):
    return EnterOrder(
        session=session, inbound=inbound, flags=LIMIT_GTC | side, instrument=1, account=session,
        client_order_id=client, price=price, quantity=quantity,
    )  # fmt: skip


def of(session, inbound, client):
    return {"session": session, "inbound": inbound, "instrument": 1, "account": session, "client_order_id": client}


TRADING = (
    order(1, 1, 11, SELL, 10_050, 30),  # order 1
    order(1, 2, 12, SELL, 10_050, 20),  # order 2
    order(1, 3, 13, 0, 9_990, 40),  # order 3
    order(2, 1, -1, 0, 10_050, 35),  # order 4: takes 30 of order 1 and 5 of order 2
    ReduceOrder(**of(1, 4, 13), quantity=10),
    ReplaceOrder(**of(1, 5, 14), price=10_060, quantity=20, original_client_order_id=12),
    CancelOrder(**of(1, 6, 99)),  # refused
    order(2, 2, 21, 0, 9_990, 7),  # order 5
    CancelOrder(**of(1, 7, 13)),
)
ROWS = len(SET_UP) + len(TRADING)
FIRST = len(SET_UP) + 1
"""Sequence number of the first order."""


def make(path):
    """The journal, with a snapshot at row `FIRST + 3`, closed cleanly."""
    directory, sequencer = create(path)
    sequencer.submit(b"".join(map(to_row, SET_UP)), 1)
    for number, message in enumerate(TRADING):
        sequencer.submit(to_row(message), NINE + number * 10**9)
        if number == 3:
            sequencer.snapshot(directory)
    sequencer.close_batch()
    sequencer.events.close()
    directory.close()
    return path


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    return make(tmp_path_factory.mktemp("made") / "venue")


@pytest.fixture
def venue(made, tmp_path):
    """A copy of the journal, in the working directory of the test."""
    shutil.copytree(made, tmp_path / "venue")
    return tmp_path / "venue"


def flip(path, part):
    """Flip one bit of these bytes wherever they stand: LMDB leaves old copies of pages in its file."""
    data, middle = path.read_bytes(), len(part) // 2
    assert part in data
    path.write_bytes(data.replace(part, part[:middle] + bytes([part[middle] ^ 4]) + part[middle + 1 :]))


def run(*arguments):
    return CliRunner(env={"COLUMNS": "120", "NO_COLOR": "1"}).invoke(app, [str(argument) for argument in arguments])


def ask(*arguments):
    """What a command prints that ends well."""
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    return result.stdout


def ask_json(*arguments):
    return json.loads(ask(*arguments, "--json"))


WRITER = """
import sys
from pathlib import Path
from replicas.opening import resume
directory, sequencer = resume(Path(sys.argv[1]))
print("ready", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def in_another_process():
    """Holds a journal open for writing in another process."""

    @contextmanager
    def hold(path):
        command = [sys.executable, "-c", WRITER, str(path)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            assert process.stdout.readline() == b"ready\n"
            yield
            process.stdin.close()

    return hold
