"""`lockstep init`: what is in the file is in the journal, and what cannot be is refused before anything is written."""

import stat
import tomllib

import msgspec
import pytest
import typer
from typer.testing import CliRunner

from core.kinds import AccountStanding, Limit, Prevention, Role, Step
from core.messages import GrantSession, OpenAccount, SetCredential
from core.rows import rows, unpack_halves
from journal.batch import HEADER_SIZE
from journal.directory import JournalDirectory
from journal.verify import verify
from replicas.opening import resume
from replicas.passwords import matches, unpack
from tests.paths import CHECKOUT
from tools.group import Group
from tools.init import init

app = typer.Typer(cls=Group)
app.command()(init)
app.callback()(lambda: None)

SMALL = """
password_cost = 10
currency = [{ number = 1, symbol = "USD", decimals = 2 }, { number = 2, symbol = "BTC" }]
instrument = [{ number = 1, symbol = "BTC/USD", base = "BTC", quote = "USD", price_decimals = 2, rounding = "up" }]
account = [
    { number = 1, firm = 7, name = "one", deposits = { USD = 500, BTC = 3 } },
    { number = 2, firm = 7 },
]
session = [
    { number = 5, role = "trader", accounts = [1, 2], password = "five" },
    { number = 6, role = "operator" },
    { number = 7, role = "drop_copy", firm = 7 },
    { number = 8, role = "market_data", password = "eight" },
]
"""


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Types `lockstep init venue --venue venue.toml`, with this text in the file."""
    monkeypatch.chdir(tmp_path)

    def typed(text, *more, directory="venue"):
        (tmp_path / "venue.toml").write_text(text)
        command = ["init", directory, "--venue", "venue.toml", *more]
        return CliRunner().invoke(app, command)

    return typed


@pytest.fixture
def opened():
    """The engine of a venue, as a primary would find it."""
    held = []

    def of(path):
        held.append(resume(path))
        return held[-1][1].machine.engine

    yield of
    for directory, sequencer in held:
        sequencer.events.close()
        directory.close()


def commands(path):
    journal = JournalDirectory(path)
    try:
        return [row for value in journal.batches() for row in rows(value, HEADER_SIZE)]
    finally:
        journal.close()


def passwords(path):
    return {int(number): password for number, password in map(str.split, path.read_text().splitlines())}


def test_the_file_is_in_the_journal(run, tmp_path, opened):
    result = run(SMALL, "--passwords", "secret")
    assert result.exit_code == 0, result.output
    engine = opened(tmp_path / "venue")
    assert [(one.number, one.firm.number) for one in engine.accounts if one] == [(1, 7), (2, 7)]
    account, usd, btc = engine.account(1), engine.currency(1), engine.currency(2)
    assert (account.balance(usd).total, account.balance(btc).total) == (500, 3)
    instrument = engine.instrument(1)
    assert (instrument.base.number, instrument.quote.number, instrument.flags) == (2, 1, 2 | 1 << 16)
    sessions = {number: engine.session(number) for number in (5, 6, 7, 8)}
    roles = {number: session.role for number, session in sessions.items()}
    assert roles == {5: Role.TRADER, 6: Role.OPERATOR, 7: Role.DROP_COPY, 8: Role.MARKET_DATA}
    assert sorted(sessions[5].accounts) == [1, 2]
    assert sessions[7].firm == 7


def test_the_journal_is_sound_and_closed(run, tmp_path):
    said = run(SMALL, "--passwords", "secret").output
    report = verify(tmp_path / "venue")
    assert report.good
    assert said.splitlines() == [
        "venue: 1 instruments, 2 accounts, 4 sessions",
        f"head {report.head.sequence}:{report.head.hash.hex()}",
    ]
    journal = JournalDirectory(tmp_path / "venue")
    assert journal.closed()
    journal.close()


def test_passwords_are_hashed_and_the_generated_ones_are_told_to_the_owner_alone(run, tmp_path, opened):
    assert run(SMALL, "--passwords", "secret").exit_code == 0
    given = {5: "five", 8: "eight"}
    generated = passwords(tmp_path / "secret")
    assert stat.S_IMODE((tmp_path / "secret").stat().st_mode) == 0o600
    assert generated.keys() == {6, 7}
    engine = opened(tmp_path / "venue")
    for number, password in (given | generated).items():
        credential = unpack(engine.session(number))
        assert credential.cost == 10
        assert matches(password.encode(), credential)
    data = b"".join(path.read_bytes() for path in (tmp_path / "venue").rglob("data.mdb"))
    assert not any(password.encode() in data for password in generated.values())


def test_two_venues_share_no_salt(run, tmp_path):
    for name in ("a", "b"):
        assert run(SMALL, "--passwords", f"{name}.txt", directory=name).exit_code == 0
    salts = [
        [command.salt_0 for command in commands(tmp_path / name) if isinstance(command, SetCredential)] for name in "ab"
    ]
    assert len({*salts[0], *salts[1]}) == 8


def test_money_and_grants_say_why(run, tmp_path):
    run(SMALL, "--passwords", "secret")
    given = [command for command in commands(tmp_path / "venue") if isinstance(command, GrantSession)]
    assert {command.reason for command in given} == {"opening"}


def test_without_a_file_there_is_one_operator(tmp_path, opened):
    result = CliRunner().invoke(app, ["init", str(tmp_path / "v"), "--passwords", str(tmp_path / "p")])
    assert result.exit_code == 0, result.output
    engine = opened(tmp_path / "v")
    assert [session.number for session in engine.sessions if session and session.number] == [1]
    assert engine.session(1).role == Role.OPERATOR
    assert matches(passwords(tmp_path / "p")[1].encode(), unpack(engine.session(1)))


def test_the_example_is_the_venue_of_the_readme(tmp_path, opened):
    text = (CHECKOUT / "examples" / "venue.toml").read_text()
    cheap = tmp_path / "venue.toml"
    cheap.write_text(text.replace("password_cost = 14", "password_cost = 10"))
    assert cheap.read_text() != text
    result = CliRunner().invoke(app, ["init", str(tmp_path / "v"), "--venue", str(cheap)])
    assert result.exit_code == 0, result.output
    engine = opened(tmp_path / "v")
    roles = [session.role for session in engine.sessions if session and session.number]
    assert {role: roles.count(role) for role in roles} == {
        Role.TRADER: 4, Role.OPERATOR: 1, Role.DROP_COPY: 2, Role.MARKET_DATA: 1,
    }  # fmt: skip
    assert sum(instrument is not None for instrument in engine.instruments) == 3
    assert sum(firm is not None for firm in engine.firms) == 2
    for login in tomllib.loads(text)["session"]:
        assert matches(login["password"].encode(), unpack(engine.session(login["number"])))


RULED = """
password_cost = 10
currency = [{ number = 1, symbol = "USD", decimals = 2 }, { number = 2, symbol = "BTC" }]
session = [{ number = 5, role = "trader", accounts = [1], password = "five" }]
[[instrument]]
number = 3
symbol = "BTC/USD"
base = "BTC"
quote = "USD"
exposures = true
market_rests = true
protection = 5
collar = 7
quantity_min = 2
notional_min = 3
notional_max = 4_000
fee_schedule = 6
steps = ["lead:400000:2", "top:9", "largest"]
[[fee_tier]]
schedule = 6
tier = 0
taker_fee = 30
[[fee_tier]]
schedule = 6
tier = 1
volume = 500
maker_fee = -5
taker_fee = 20
[[account]]
number = 1
firm = 7
standing = "reduce_only"
group = 9
prevention = "decrement"
[[account]]
number = 2
firm = 7
[[limit]]
limit = "position"
instrument = "BTC/USD"
account = 1
value = 11
[[limit]]
limit = "message_rate"
session = 5
value = 12
second = 13
[[limit]]
limit = "order_quantity"
firm = 7
value = 14
"""


def test_rules_standing_and_limits_are_in_the_journal(run, tmp_path, opened):
    result = run(RULED)
    assert result.exit_code == 0, result.output
    made = list(commands(tmp_path / "venue"))
    kinds = [type(command).__name__ for command in made]
    assert (kinds.count("SetRules"), kinds.count("SetAccount"), kinds.count("SetLimit")) == (1, 1, 3)
    engine = opened(tmp_path / "venue")
    rules = engine.instrument(3).rules
    told = (rules.exposures, rules.flags, rules.protection, rules.collar, rules.quantity_min, rules.notional_min)
    assert (*told, rules.notional_max) == (True, 3, 5, 7, 2, 3, 4_000)
    first, second = engine.account(1), engine.account(2)
    assert (first.standing, first.group, first.prevention) == (AccountStanding.REDUCE_ONLY, 9, Prevention.DECREMENT)
    assert (second.standing, second.group, second.prevention) == (AccountStanding.ACTIVE, 0, 0)
    assert first.limit(Limit.POSITION, 3).value == 11
    rate = engine.session(5).limit(Limit.MESSAGE_RATE, 0)
    assert (rate.value, rate.second) == (12, 13)
    assert engine.firm(7).limit(Limit.ORDER_QUANTITY, 0).value == 14
    assert rules.schedule is engine.fee_schedule(6)
    assert [unpack_halves(engine.fee_schedule(6).rates(volume)) for volume in (499, 500)] == [(0, 30), (-5, 20)]
    (steps,) = [command for command in made if type(command).__name__ == "SetAllocation"]
    given = (steps.step_1, steps.step_2, steps.step_3, steps.step_4)
    assert given == (Step.LEAD | 400_000 << 8 | 2 << 28, Step.TOP | 9 << 48, Step.LARGEST, 0)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("protection = 5", "", "instrument[0]: instrument 3: market_rests needs a protection"),
        ("collar = 7", "collar = 1_000_001", "instrument[0].collar: Expected `int` <= 1000000"),
        ('"largest"', '"smallest"', "instrument[0]: 'smallest': not top[:LOTS], lead:SHARE:ACCOUNT, pro-rata:SHARE[:LOTS] or largest"),
        ("lead:400000:2", "lead:400000:8", "instrument 3: SetAllocation is refused: INVALID_DEFINITION"),
        ("fee_schedule = 6", "fee_schedule = 5", "instrument 3: SetRules is refused: INVALID_DEFINITION"),
        ("volume = 500", "", "fee_tier[1]: SetFeeSchedule is refused: INVALID_DEFINITION"),
        ('"reduce_only"', '"asleep"', "account[0].standing: Invalid enum value 'asleep'"),
        ('"decrement"', '"maybe"', "account[0].prevention: Invalid enum value 'maybe'"),
        ("account = 1\nvalue", "value", "limit[0]: limit position: give one of account, session and firm"),
        ("session = 5\n", "session = 5\nfirm = 7\n", "limit[1]: limit message_rate: give one of account, session and firm"),
        ('"message_rate"', '"speed"', "limit[1].limit: Invalid enum value 'speed'"),
        ('instrument = "BTC/USD"', 'instrument = "XRP"', "limit[0]: there is no instrument XRP"),
        ("firm = 7\nvalue = 14", "firm = 8\nvalue = 14", "limit[2]: SetLimit is refused: INVALID_DEFINITION"),
        ("second = 13", "", "limit[1]: SetLimit is refused: INVALID_DEFINITION"),
        ("exposures = true", "", "limit[0]: SetLimit is refused: INVALID_DEFINITION"),
    ],
)  # fmt: skip
def test_wrong_rules_are_one_line(run, tmp_path, old, new, said):
    assert RULED.count(old) == 1
    result = run(RULED.replace(old, new))
    assert (result.exit_code, result.stdout) == (64, "")
    assert result.stderr == f"lockstep: venue.toml: {said}\n"


def test_more_commands_than_a_batch_holds(run, tmp_path):
    accounts = ",".join(f"{{ number = {number}, firm = 1 }}" for number in range(1, 1_501))
    assert run(f"account = [{accounts}]").exit_code == 0
    assert [command.account for command in commands(tmp_path / "venue") if isinstance(command, OpenAccount)] == [
        *range(1, 1_501)
    ]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("decimals = 2 }", "decimal = 2 }", "currency[0].decimal: there is no such key"),
        ("decimals = 2 }", "decimals = 19 }", "currency[0].decimals: Expected `int` <= 18"),
        ('symbol = "USD"', 'symbol = "U D"', "currency[0].symbol: Expected `str` matching regex"),
        ('base = "BTC"', 'base = "XRP"', "instrument 1: there is no currency XRP"),
        ("BTC = 3", "XRP = 3", "account 1: there is no currency XRP"),
        ('base = "BTC"', 'base = "USD"', "instrument 1: DefineInstrument is refused: INVALID_DEFINITION"),
        ("number = 2, firm", "number = 1, firm", "account: number 1 is given twice"),
        ("accounts = [1, 2]", "accounts = [3]", "session 5: GrantSession is refused: UNKNOWN_ACCOUNT"),
        ("firm = 7 },\n    { number = 8", "firm = 8 },\n    { number = 8", "session 7: GrantSession is refused: INVALID"),
        ("accounts = [1, 2], ", "", "session[0]: session 5: a trader has accounts"),
        ('"operator"', '"operator", accounts = [1]', "session[1]: session 6: a trader has accounts"),
        ('"operator"', '"operator", firm = 7', "session[1]: session 6: a drop copy has a firm"),
        ('"operator"', '"boss"', "session[1].role: Invalid enum value 'boss'"),
        ('"five"', '"elevenchars"', "session[0]: session 5: a password has 1 to 10 characters"),
        ('"five"', '"fünf"', "session[0]: session 5: a password is printable ASCII"),
        ("number = 5", "number = 1_000_000", "session[0].number: Expected `int` <= 999999"),
        ("password_cost = 10", "password_cost = 9", "password_cost: Expected `int` >= 10"),
        ("password_cost = 10", "password_cost = ", "not TOML"),
    ],
)  # fmt: skip
def test_a_wrong_file_is_one_line_and_writes_nothing(run, tmp_path, old, new, said):
    assert SMALL.count(old) == 1
    result = run(SMALL.replace(old, new), "--passwords", "secret")
    assert (result.exit_code, result.stdout) == (64, "")
    assert result.stderr.startswith(f"lockstep: venue.toml: {said}")
    assert len(result.stderr.splitlines()) == 1
    assert [entry.name for entry in tmp_path.iterdir()] == ["venue.toml"]


def test_a_password_that_nobody_would_learn_is_refused(run, tmp_path):
    result = run(SMALL)
    assert result.exit_code == 64
    assert "session 6 has no password" in result.stderr
    assert not (tmp_path / "venue").exists()


def test_nothing_is_overwritten(run, tmp_path):
    (tmp_path / "secret").write_text("mine")
    assert run(SMALL, "--passwords", "secret").exit_code == 64
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_text("mine")
    assert run(SMALL, "--passwords", "other", directory="full").exit_code == 64
    assert run(SMALL, "--passwords", "other", directory="venue.toml").exit_code == 64
    assert (tmp_path / "secret").read_text() == "mine"
    assert not (tmp_path / "venue").exists()
    assert not (tmp_path / "other").exists()


def test_an_empty_directory_serves(run, tmp_path):
    (tmp_path / "venue").mkdir()
    assert run(SMALL, "--passwords", "secret").exit_code == 0
    assert verify(tmp_path / "venue").good


def test_a_disk_that_fails_leaves_nothing(run, tmp_path, monkeypatch):
    def fails(*_):
        raise OSError("no space left")

    monkeypatch.setattr("tools.whole.move_durably", fails)
    result = run(SMALL, "--passwords", "secret")
    assert (result.exit_code, result.stderr) == (1, "lockstep: no space left\n")
    assert [entry.name for entry in tmp_path.iterdir()] == ["venue.toml"]


def test_a_missing_file_is_named(tmp_path):
    result = CliRunner().invoke(app, ["init", str(tmp_path / "v"), "--venue", "nowhere.toml"])
    assert (result.exit_code, result.stderr) == (64, "lockstep: --venue nowhere.toml: no such file\n")


def test_no_event_of_a_new_venue_shows_a_hash(run, tmp_path, opened):
    run(SMALL, "--passwords", "secret")
    hashes = {
        getattr(command, field)
        for command in commands(tmp_path / "venue")
        if isinstance(command, SetCredential)
        for field in ("hash_0", "hash_1", "hash_2", "hash_3", "salt_0", "salt_1")
    }
    opened(tmp_path / "venue")
    events = (tmp_path / "venue" / "events" / "data.mdb").read_bytes()
    assert len(hashes) == 24
    assert not any(number.to_bytes(8, "little", signed=True) in events for number in hashes)


def test_the_file_that_is_read_is_the_one_that_is_documented():
    """Every key of the example is one of the Structs: msgspec refuses others, and this says that it does."""
    from tools.venue_file import Venue

    text = (CHECKOUT / "examples" / "venue.toml").read_text()
    with pytest.raises(msgspec.ValidationError, match="unknown field"):
        msgspec.toml.decode(f"other = 1\n{text}", type=Venue)
