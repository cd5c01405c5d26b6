"""`lockstep verify` finds one flipped bit wherever it is, names what is damaged, and ends with 1."""

import json

import pytest

from core.messages import Accepted
from core.rows import from_row, to_row
from tests.tools.conftest import FIRST, TRADING, flip, run


def damage(venue):
    """What verify says is damaged first, after checking its exit code and its JSON."""
    result = run("verify", venue)
    assert result.exit_code == 1, result.output
    told = json.loads(run("verify", venue, "--json").stdout)
    assert told["sound"] is False
    assert result.stdout.splitlines()[-2 if told["head"] else -1] == f"damaged: {told['first_damage']}"
    return told["first_damage"]


@pytest.mark.both
def test_a_flipped_bit_in_the_journal(venue):
    columns = to_row(TRADING[0])[24:]
    flip(venue / "segments" / f"{1:020}" / "data.mdb", columns)
    assert damage(venue).startswith(f"segment {1:020}: batch ending at {FIRST}: its hash is not that of its bytes")


@pytest.mark.both
def test_a_flipped_bit_in_a_snapshot(venue):
    (path,) = (venue / "snapshots").iterdir()
    content = path.read_bytes()
    flip(path, content[len(content) // 2 :])
    assert damage(venue).startswith(f"snapshot {FIRST + 3}: ")


@pytest.mark.both
def test_a_flipped_bit_in_the_event_store(venue):
    path = venue / "events" / "data.mdb"
    flip(path, first_accepted(path.read_bytes()))
    assert damage(venue).startswith("event store: ")


def first_accepted(data):
    """The bytes of the event row that accepted order 1."""
    at = data.index(int(Accepted.KIND).to_bytes(8, "little") + FIRST.to_bytes(8, "little"))
    assert isinstance(from_row(data, at), Accepted)
    return data[at : at + 128]


def test_a_head_kept_elsewhere_finds_a_journal_that_was_cut_off(venue):
    head = f"{FIRST + 1000}:{'00' * 32}"
    result = run("verify", venue, "--head", head)
    assert result.exit_code == 1
    assert f"the journal ends before it, at {FIRST + len(TRADING) - 1}" in result.stdout
