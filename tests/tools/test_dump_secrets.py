"""`lockstep dump` shows that a credential was set, and at what cost; hash and salt stay in the journal."""

import json

import pytest

from core.kinds import Role
from core.messages import DefineCurrency, GrantSession, SetCredential
from core.rows import to_row
from replicas.opening import create
from tests.tools.conftest import ask

NAMES = ("hash_0", "hash_1", "hash_2", "hash_3", "salt_0", "salt_1")
SECRET = {name: (-1) ** n * (0x0123456789ABCDEF * (n + 3) % 2**62) for n, name in enumerate(NAMES)}


@pytest.fixture
def journal(tmp_path):
    """A credential that is set, one whose cost is refused, and one that is taken away."""
    directory, sequencer = create(tmp_path / "venue")
    wire = [
        DefineCurrency(currency=1, symbol="USD"),
        GrantSession(grantee=1, role=Role.OPERATOR, reason="first operator"),
        SetCredential(grantee=1, cost=14, **SECRET),
        SetCredential(grantee=1, cost=9, **SECRET),
        SetCredential(grantee=1),
    ]
    sequencer.submit(b"".join(map(to_row, wire)), 1)
    sequencer.close_batch()
    sequencer.events.close()
    directory.close()
    return tmp_path / "venue"


@pytest.mark.both
@pytest.mark.parametrize("events", [[], ["--events"]], ids=["commands", "events"])
@pytest.mark.parametrize("form", [[], ["--json"], ["--jsonl"]], ids=["plain", "json", "jsonl"])
def test_hash_and_salt_are_never_printed(journal, events, form):
    shown = ask("dump", journal, *events, *form)
    assert [name for name, value in SECRET.items() if name in shown or str(abs(value)) in shown] == []
    assert shown.count("hidden") == 3


def test_cost_and_grantee_are_printed(journal):
    lines = ask("dump", journal, "--events").splitlines()
    assert [line.split(maxsplit=2)[2] for line in lines if " SetCredential " in line] == [
        "time=3 grantee=1 cost=14 hash=hidden",
        "time=4 grantee=1 cost=9 hash=hidden",
        "time=5 grantee=1 hash=hidden",
    ]
    assert "    CredentialSet grantee=1 cost=14" in lines
    assert "reason=first operator" in lines[2]


def test_what_json_holds_of_a_credential(journal):
    row = json.loads(ask("dump", journal, "--jsonl", "--from", 3, "--to", 3))
    assert row == {
        "kind": "SetCredential", "sequence": 3, "time": 3, "session": 0, "inbound": 0, "flags": 0, "column_6": 0,
        "column_7": 0, "grantee": 1, "cost": 14, "hash": "hidden",
    }  # fmt: skip


def test_rows_that_no_struct_fits_are_shown_column_by_column(tmp_path):
    """A client can make the engine refuse any row; a dump shows it, and still no hash."""
    directory, sequencer = create(tmp_path / "venue")
    credential = to_row(SetCredential(grantee=1, cost=14, **SECRET))
    spoiled = to_row(DefineCurrency(currency=1, symbol="USD"))[:64] + b"\xff" * 8 + bytes(56)
    unknown = (4_711).to_bytes(8, "little") + bytes(120)
    sequencer.submit(spoiled + unknown + credential[:40] + b"\1" + credential[41:], 1)
    sequencer.events.close()
    directory.close()
    shown = ask("dump", tmp_path / "venue", "--events")
    assert shown.count(" Malformed columns=") == 2
    assert shown.count("Rejected") == 3
    assert [name for name, value in SECRET.items() if str(abs(value)) in shown] == []
