"""Logs: JSON lines, without secrets."""

import io
import json

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from replicas.log import configure, drop_secrets


@pytest.fixture
def lines():
    stream = io.StringIO()
    configure(stream)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    structlog.reset_defaults()


def test_a_line_is_one_json_object(lines):
    structlog.get_logger("node").info("a batch\nof rows", rows=3)
    (line,) = lines()
    assert line.pop("time").endswith("Z")
    assert line == {"event": "a batch\nof rows", "level": "info", "rows": 3}


@pytest.mark.parametrize("name", ["password", "Password", "hash", "hash_0", "hash_3", "salt", "salt_1"])
def test_no_secret_is_logged(lines, name):
    log = structlog.get_logger()
    log.warning("login", session=5, **{name: "s3cret"})
    log.bind(**{name: "s3cret"}).warning("login", session=5)
    log.warning("login", session=5, command={"kind": 17, name: "s3cret", "rows": [{name: b"s3cret"}]})
    assert "s3cret" not in str(lines())
    assert [line["session"] for line in lines()] == [5, 5, 5]
    assert lines()[2]["command"] == {"kind": 17, "rows": [{}]}


def test_a_traceback_shows_no_variables(lines):
    password = "s3cret"
    try:
        [].pop()
    except IndexError:
        structlog.get_logger().exception("login failed")
    assert password not in str(lines())
    assert "IndexError: pop from empty list" in lines()[0]["exception"]


def test_what_is_below_the_level_is_not_logged(lines):
    structlog.get_logger().debug("noise")
    assert lines() == []


KEYS = st.sampled_from(["password", "hash", "salt", "hash_2", "head", "session", "passwords", "hashes"])
VALUES = st.recursive(
    st.integers(), lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4)
)


def keys(value):
    if isinstance(value, dict):
        return {*value, *(key for inner in value.values() for key in keys(inner))}
    return {key for inner in value for key in keys(inner)} if isinstance(value, list) else set()


@given(st.dictionaries(KEYS, VALUES))
def test_secrets_are_dropped_however_deep_they_stand_and_nothing_else_is(event):
    kept = keys(drop_secrets(None, "info", event))
    assert kept & {"password", "hash", "salt", "hash_2"} == set()
    assert event.keys() - {"password", "hash", "salt", "hash_2"} <= kept
