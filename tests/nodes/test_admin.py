"""The operators' door: who may open it, what it tells, and which commands come of what is typed."""

import asyncio
import io
import json
import signal
import socket
import stat

import pytest
import structlog
import typer
from typer.testing import CliRunner

from core import messages as m
from core.kinds import EXPOSURES, MARKET_RESTS, AccountStanding, KillAct, Limit, Prevention, Role, Step, TradingState
from core.limits import PRICE_MAX, QUANTITY_MAX
from core.rows import pack_halves
from journal.errors import DiskError
from replicas.admin import BODY_MAX, PERMITTED, Act, AdminServer, BadAct, NotTaken, command_of
from replicas.log import configure
from replicas.passwords import matches, unpack
from tests.nodes.operated import OPERATOR, FakeNode, serving
from tools.admin_rules import admin
from tools.group import Group
from tools.unix_http import _Connection, ask

app = typer.Typer(cls=Group)
app.add_typer(admin, name="admin")
app.callback()(lambda: None)


@pytest.fixture
def log():
    stream = io.StringIO()
    configure(stream)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    structlog.reset_defaults()


@pytest.fixture
def node():
    return FakeNode()


@pytest.fixture
def path(node, tmp_path, log):
    with serving(node, tmp_path / "admin.sock"):
        yield tmp_path / "admin.sock"


@pytest.fixture
def run(path):
    def typed(*arguments, operator=OPERATOR, reason="a test"):
        who = ["--operator", str(operator), "--reason", reason]
        return CliRunner().invoke(app, ["admin", f"unix:{path}", *map(str, arguments), *who])

    return typed


def request(path, method, target, body=None):
    """Status, headers and text of what is answered."""
    connection = _Connection(path)
    connection.request(method, target, body)
    response = connection.getresponse()
    text = response.read().decode()
    connection.close()
    return response.status, response.headers, text


def post(path, **changes):
    act = {"kind": "SetTradingState", "operator": OPERATOR, "reason": "a test", "fields": {"state": 3}} | changes
    status, _, text = request(path, "POST", "/command", json.dumps(act))
    return status, json.loads(text)


def test_nobody_else_may_open_the_socket(path):
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_socket_never_had_another_mode(tmp_path, monkeypatch):
    """Between bind and chmod anyone could connect: so the file is made with its mode."""
    modes = []
    bind = socket.socket.bind

    class Watched(socket.socket):
        def bind(self, path):
            bind(self, path)
            modes.append(stat.S_IMODE((tmp_path / "admin.sock").stat().st_mode))

    monkeypatch.setattr("replicas.admin.socket.socket", Watched)
    with serving(FakeNode(), tmp_path / "admin.sock"):
        assert modes == [0o600]


def test_status_and_metrics(path, node):
    assert ask(f"unix:{path}", "GET", "/status") == node.status()
    status, headers, text = request(path, "GET", "/metrics")
    assert status == 200
    assert headers["Content-Type"].startswith("text/plain; version=")
    assert "lockstep_rows_total 4.0\n" in text


def test_it_serves_in_the_loop_of_the_primary_too(node, tmp_path, log):
    uvloop = pytest.importorskip("uvloop")
    with serving(node, tmp_path / "admin.sock", uvloop.new_event_loop):
        assert ask(str(tmp_path), "GET", "/status") == node.status()
        assert post(tmp_path / "admin.sock")[0] == 200
    assert not (tmp_path / "admin.sock").exists()


def test_a_command_is_applied_and_its_events_are_told(path, node):
    status, answer = post(path)
    assert status == 200
    (event,) = answer["events"]
    assert event["kind"] == "TradingStateChanged"
    assert (event["state"], event["session"], event["outbound"]) == (TradingState.HALTED, OPERATOR, 1)
    assert node.engine.state == TradingState.HALTED
    assert node.submitted == [m.SetTradingState(session=OPERATOR, state=3, reason="a test")]


def test_a_refusal_is_an_answer_and_names_its_reason(path):
    status, answer = post(path, fields={"state": 3, "account": 99})
    assert status == 200
    assert [(event["kind"], event["refused"]) for event in answer["events"]] == [("Rejected", "UNKNOWN_ACCOUNT")]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"kind": "EnterOrder"}, "kind: 'EnterOrder' is none of"),
        ({"kind": "Quarantine"}, "kind: 'Quarantine' is none of"),
        ({"kind": "Promote"}, "kind: 'Promote' is none of"),
        ({"fields": {"state": "halt"}}, "fields: Expected `int`, got `str` - at `$.state`"),
        ({"fields": {"stat": 3}}, "fields: Object contains unknown field `stat`"),
        ({"fields": {"state": 2**63}}, "fields: SetTradingState"),
        ({"fields": {"session": 0}}, "fields.session: it is not for the operator to give"),
        ({"fields": {"inbound": 1}}, "fields.inbound: it is not for the operator to give"),
        ({"fields": {"time": 1}}, "fields.time: it is not for the operator to give"),
        ({"fields": {"reason": "x"}}, "fields.reason: it is not for the operator to give"),
        ({"fields": {"column_9": 1}}, "fields.column_9: it is not for the operator to give"),
        ({"fields": {"state": None}}, "Expected `int | str`, got `null`"),
        ({"operator": 0}, "Expected `int` >= 1 - at `$.operator`"),
        ({"reason": ""}, "Expected `str` matching regex"),
        ({"reason": "seventeen letters"}, "Expected `str` matching regex"),
        ({"reason": "fünf"}, "Expected `str` matching regex"),
        ({"reason": "two\nlines"}, "Expected `str` matching regex"),
        ({"more": 1}, "Object contains unknown field `more`"),
    ],
)
def test_what_is_no_command_is_refused_before_the_node_sees_it(path, node, changes, said):
    status, answer = post(path, **changes)
    assert status == 400
    assert answer["error"].startswith(said)
    assert node.submitted == []


def test_bodies_are_bounded(path, node):
    body = json.dumps({"kind": "x" * BODY_MAX})
    assert request(path, "POST", "/command", body)[0] == 413
    assert request(path, "POST", "/command", "{")[0] == 400
    assert request(path, "GET", "/command")[0] == 405
    assert request(path, "GET", "/other")[0] == 404
    assert node.submitted == []


@pytest.mark.parametrize(("error", "status"), [(NotTaken("a standby"), 503), (DiskError("the disk is gone"), 500)])
def test_a_node_that_takes_nothing_says_why(path, node, log, error, status):
    node.raises = error
    assert post(path) == (status, {"error": str(error)})
    assert log()[-1]["error"] == str(error)


def test_every_act_is_logged_with_who_and_why(path, log):
    post(path, fields={"state": 3, "account": 99})
    post(path, kind="SetCredential", fields={"grantee": OPERATOR, "hash_0": 4711, "salt_0": 4712, "cost": 14})
    lines = [{key: value for key, value in line.items() if key not in {"time", "level"}} for line in log()]
    told = {"event": "operator's command", "operator": OPERATOR, "reason": "a test"}
    assert lines == [
        {**told, "kind": "SetTradingState", "refused": "UNKNOWN_ACCOUNT"},
        {**told, "kind": "SetCredential", "refused": None},
    ]
    assert "471" not in str(log())


def test_every_permitted_command_can_be_built():
    for name, struct in PERMITTED.items():
        command = command_of(Act(kind=name, operator=OPERATOR, reason="why"))
        assert type(command) is struct
        assert getattr(command, "reason", "why") == "why"
    with pytest.raises(BadAct):
        command_of(Act(kind="Upgrade", operator=OPERATOR, reason="why"))


def test_the_signals_of_the_node_stay_its_own(tmp_path):
    async def run():
        before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
        server = AdminServer(FakeNode(), tmp_path / "admin.sock")
        await server.start()
        during = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
        await server.stop()
        await server.stop()
        return before == during

    assert asyncio.run(run())
    assert not (tmp_path / "admin.sock").exists()


@pytest.mark.parametrize(
    ("answered", "text"), [(True, b"HTTP/1.1 200 OK"), (False, b"HTTP/1.1 500 Internal Server Error")]
)
def test_what_has_begun_is_answered_before_the_door_closes(tmp_path, monkeypatch, answered, text):
    """Unless it takes too long."""
    monkeypatch.setattr("replicas.admin.STOP_SECONDS", 30.0 if answered else 0.0)
    begun, may_end = asyncio.Event(), asyncio.Event()

    class SlowNode(FakeNode):
        async def submit(self, command):
            begun.set()
            await may_end.wait()
            return await super().submit(command)

    async def run():
        server = AdminServer(SlowNode(), tmp_path / "admin.sock")
        await server.start()
        reader, writer = await asyncio.open_unix_connection(tmp_path / "admin.sock")
        body = json.dumps({"kind": "MassCancel", "operator": OPERATOR, "reason": "why"})
        writer.write(f"POST /command HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
        await begun.wait()
        stopping = asyncio.create_task(server.stop())
        await asyncio.sleep(0)
        if answered:
            may_end.set()
        await stopping
        line = await reader.readline()
        writer.close()
        return line.strip()

    assert asyncio.run(run()) == text


def test_the_socket_of_a_node_that_was_killed_is_replaced(node, tmp_path):
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(tmp_path / "admin.sock"))
    left.close()
    with serving(node, tmp_path / "admin.sock"):
        assert ask(str(tmp_path), "GET", "/status")["role"] == "primary"


def test_a_socket_that_cannot_be_made_is_an_error_that_names_it(tmp_path):
    async def run():
        await AdminServer(FakeNode(), tmp_path / "no" / "admin.sock").start()

    with pytest.raises(OSError, match=r"no/admin\.sock: No such file"):
        asyncio.run(run())


WHO = {"session": OPERATOR}
WHY = {"reason": "a test"}
TYPED = {
    "halt": [m.SetTradingState(**WHO, **WHY, state=3)],
    "halt --cancel-only --account 1": [m.SetTradingState(**WHO, **WHY, state=2, account=1)],
    "resume": [m.SetTradingState(**WHO, **WHY, state=1)],
    "cancel-all": [m.MassCancel(**WHO, **WHY)],
    "cancel-all --account 1 --side sell": [m.MassCancel(**WHO, **WHY, account=1, flags=2)],
    "cancel-all --side buy": [m.MassCancel(**WHO, **WHY, flags=1)],
    "kill 1": [m.Kill(**WHO, **WHY, account=1, act=KillAct.KILL)],
    f"kill --session {OPERATOR}": [m.Kill(**WHO, **WHY, named=OPERATOR, act=KillAct.KILL)],
    "kill --venue": [m.Kill(**WHO, **WHY, act=KillAct.KILL)],
    "revive --firm 1": [m.Kill(**WHO, **WHY, firm=1, act=KillAct.REVIVE)],
    "standing 1 suspended --group 4 --prevention cancel-oldest": [
        m.SetAccount(
            **WHO, **WHY, account=1, state=AccountStanding.SUSPENDED, group=4, prevention=Prevention.CANCEL_OLDEST
        )
    ],
    "limit message-rate 100 --second 20 --account 1": [
        m.SetLimit(**WHO, **WHY, account=1, limit=Limit.MESSAGE_RATE, value=100, second=20)
    ],
    f"limit order-quantity 5 --session {OPERATOR}": [
        m.SetLimit(**WHO, **WHY, named=OPERATOR, limit=Limit.ORDER_QUANTITY, value=5)
    ],
    "fee-tier 1 0 --maker-fee -10 --taker-fee 30": [
        m.SetFeeSchedule(**WHO, **WHY, schedule=1, fee_rates=pack_halves(-10, 30))
    ],
    "currency 3 ETH --decimals 8": [m.DefineCurrency(**WHO, currency=3, symbol="ETH", decimals=8)],
    "instrument 1 BTC/USD --base 2 --quote 1": [
        m.DefineInstrument(
            **WHO, instrument=1, symbol="BTC/USD", currencies=pack_halves(2, 1), price_max=PRICE_MAX,
            quantity_max=QUANTITY_MAX,
        )
    ],
    "instrument 1 A --base 2 --quote 1 --price-decimals 2 --quantity-decimals 4 --rounding up --multiplier 5 "
    "--divisor 6 --lot-units 7 --price-max 8 --quantity-max 9 --maker-fee -10 --taker-fee 11": [
        m.DefineInstrument(
            **WHO, flags=2 | 4 << 8 | 1 << 16, instrument=1, symbol="A", currencies=pack_halves(2, 1), multiplier=5,
            divisor=6, lot_units=7, price_max=8, quantity_max=9, fee_rates=pack_halves(-10, 11),
        )
    ],
    "account 2 --firm 1 --name two": [m.OpenAccount(**WHO, account=2, firm=1, name="two")],
    "deposit 1 2 500": [m.Deposit(**WHO, **WHY, account=1, currency=2, amount=500)],
    "session 5 --role trader --account 1": [m.GrantSession(**WHO, **WHY, grantee=5, role=Role.TRADER, account=1)],
    "session 6 --role drop-copy --firm 1": [m.GrantSession(**WHO, **WHY, grantee=6, role=Role.DROP_COPY, firm=1)],
    "session 7 --role market-data": [m.GrantSession(**WHO, **WHY, grantee=7, role=Role.MARKET_DATA)],
    f"session {OPERATOR} --no-password": [m.SetCredential(**WHO, grantee=OPERATOR)],
    "end-of-day 20260302": [m.EndOfDay(**WHO, **WHY, day=20260302)],
}  # fmt: skip


@pytest.mark.parametrize("typed", TYPED)
def test_what_is_typed_is_the_command_that_comes(run, node, typed):
    result = run(*typed.split())
    assert result.exit_code == 0, result.output
    assert node.submitted == TYPED[typed]
    assert all("kind" in json.loads(line) for line in result.stdout.splitlines())


def test_a_withdrawal_follows_its_deposit(run, node):
    assert run("deposit", 1, 2, 500).exit_code == 0
    assert run("withdraw", 1, 2, 200).exit_code == 0
    assert node.submitted[1] == m.Withdraw(**WHO, **WHY, account=1, currency=2, amount=200)
    assert node.engine.account(1).balance(node.engine.currency(2)).total == 300


def test_the_clock_is_accepted_as_it_stands(run, node, monkeypatch):
    monkeypatch.setattr("tools.admin.time.time_ns", lambda: 1_700_000_000_000_000_500)
    assert run("clock").exit_code == 0
    assert node.submitted == [m.AcceptClock(**WHO, **WHY, clock=1_700_000_000_000_000_500)]


def test_a_password_goes_as_its_hash(run, node, tmp_path):
    (tmp_path / "password").write_text("n3w-pass\nanother line\n")
    result = run("session", 5, "--role", "trader", "--account", 1, "--password-file", tmp_path / "password")
    assert result.exit_code == 0, result.output
    assert [type(command) for command in node.submitted] == [m.GrantSession, m.SetCredential]
    credential = unpack(node.engine.session(5))
    assert matches(b"n3w-pass", credential)
    assert "n3w-pass" not in str(node.submitted) + result.output
    assert str(node.submitted[1].hash_0) not in result.output


def test_a_refused_act_is_exit_code_1_and_ends_what_was_to_follow(run, node):
    result = run("session", 5, "--role", "trader", "--account", 99, "--no-password")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["refused"] == "UNKNOWN_ACCOUNT"
    assert [type(command) for command in node.submitted] == [m.GrantSession]


def test_rules_and_steps_of_an_instrument_are_set(run, node):
    """Every option is a field, every part of a step stands in its bits."""
    run("instrument", 1, "A", "--base", 2, "--quote", 1)
    run("fee-tier", 7, 0)
    options = "--protection 2 --collar 3 --quantity-min 4 --notional-min 5 --notional-max 60 --fee-schedule 7"
    assert run("rules", 1, *options.split(), "--exposures", "--market-rests").exit_code == 0
    steps = "--step top --step top:9 --step lead:400000:1 --step pro-rata:500000:2 --step largest"
    assert run("allocation", 1, *steps.split()).exit_code == 0
    assert node.submitted[-2:] == [
        m.SetRules(
            **WHO, **WHY, flags=EXPOSURES | MARKET_RESTS, instrument=1, protection=2, collar=3, quantity_min=4,
            notional_min=5, notional_max=60, fee_schedule=7,
        ),
        m.SetAllocation(
            **WHO, **WHY, instrument=1, step_1=Step.TOP, step_2=Step.TOP | 9 << 48, step_3=Step.LEAD | 400_000 << 8 | 1 << 28,
            step_4=Step.PRO_RATA | 500_000 << 8 | 2 << 48, step_5=Step.LARGEST,
        ),
    ]  # fmt: skip
    assert run("allocation", 1).exit_code == 0
    assert node.submitted[-1] == m.SetAllocation(**WHO, **WHY, instrument=1)


@pytest.mark.parametrize(
    ("typed", "reason"),
    [
        ("halt", "seventeen letters"), ("halt", ""), ("halt", "fünf"), ("deposit 1 2 0", "why"), ("session 5", "why"),
        ("session 5 --role boss", "why"), ("session 5 --password-file x --no-password", "why"), ("jump", "why"),
        ("instrument 1 A --base 2 --quote 1 --price-decimals 300", "why"), ("kill", "why"), ("kill 1 --venue", "why"),
        ("revive --session 1 --firm 1", "why"), ("standing 1 asleep", "why"), ("limit speed 1 --account 1", "why"),
        ("allocation 1 --step bottom", "why"), ("allocation 1 --step largest:1", "why"),
        ("allocation 1 --step top:32768", "why"), ("allocation 1 --step pro-rata:-1", "why"),
        ("allocation 1" + 7 * " --step top", "why"),
    ],
)  # fmt: skip
def test_a_wrong_line_is_exit_code_64_and_sends_nothing(run, node, typed, reason):
    result = run(*typed.split(), reason=reason)
    assert result.exit_code == 64
    assert len(result.stderr.splitlines()) == 1
    assert node.submitted == []


def test_a_password_that_cannot_log_in_is_refused(run, node, tmp_path):
    (tmp_path / "password").write_text("far too long\n")
    result = run("session", OPERATOR, "--password-file", tmp_path / "password")
    assert (result.exit_code, node.submitted) == (64, [])
    assert "a password has 1 to 10 characters" in result.stderr


def test_who_and_why_must_be_given(path, node):
    for given in (["--operator", "9"], ["--reason", "why"]):
        result = CliRunner().invoke(app, ["admin", f"unix:{path}", "halt", *given])
        assert result.exit_code == 64
    assert node.submitted == []


def test_no_node_there(tmp_path):
    result = CliRunner().invoke(app, ["admin", str(tmp_path), "halt", "--operator", "9", "--reason", "why"])
    assert (result.exit_code, result.stderr) == (1, f"lockstep: {tmp_path}/admin.sock: no node answers there\n")


def test_a_node_that_takes_nothing_is_exit_code_1(run, node, path):
    node.raises = NotTaken("this node is a standby")
    result = run("halt")
    assert (result.exit_code, result.stderr) == (1, f"lockstep: {path}: this node is a standby\n")
