"""Limits, the configuration file, and the bucket that counts a rate."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from replicas.limits import GIB, SECOND, BadConfig, Limits, Listen, NodeConfig, TokenBucket, host_and_port


@pytest.fixture
def read(tmp_path):
    def of(text):
        path = tmp_path / "node.toml"
        path.write_text(text)
        return NodeConfig.read(path)

    return of


def test_an_empty_file_is_the_defaults(read):
    assert read("") == NodeConfig()
    assert Limits() == Limits(
        messages_per_second=100_000, burst=100_000, unauthenticated_seconds=2, silent_seconds=15,
        outbound_bytes=4 * 2**20, connections=1_024, connections_per_address=64, logins_per_minute=60,
        batch_rows=1_024, pending_rows=16_384,
    )  # fmt: skip


def test_what_is_named_replaces_its_default(read):
    config = read(
        '[limits]\nconnections = 7\n[listen]\ntcp = "[::1]:9001"\ntls_certificate = "a.pem"\ntls_key = "b.pem"\n'
        "[node]\nhang_seconds = 2\n"
    )
    assert config.limits == Limits(connections=7)
    assert config.listen == Listen(tcp="[::1]:9001", tls_certificate="a.pem", tls_key="b.pem")
    assert config.node.hang_seconds == 2.0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[limits]\nconections = 7\n", "limits.conections: there is no such key"),
        ("[limit]\n", "limit: there is no such key"),
        ("[limits]\nbatch_rows = 0\n", "limits.batch_rows: Expected `int` >= 1"),
        ('[limits]\nconnections = "7"\n', "limits.connections: Expected `int`, got `str`"),
        ("[node]\nhang_seconds = 0\n", "node.hang_seconds: Expected `float` > 0"),
        (f"[node]\nlow_space_cancels = {2 * GIB}\n", "node: low_space_cancels: cancels are refused last, so it is at most"),
        ('[listen]\ntcp = "localhost"\n', "listen: tcp: 'localhost' is not HOST:PORT"),
        ('[listen]\ntcp = "::1:9001"\n', "listen: tcp: '::1:9001' is not HOST:PORT; an IPv6 address stands in brackets"),
        ('[listen]\ntls_key = "b.pem"\n', "listen: tls_certificate and tls_key go together"),
        ('[listen]\ntls_key = "b"\ntls_certificate = "a"\n', "listen: tls_key: there is no tcp"),
        ("[limits\n", "not TOML: "),
    ],
)  # fmt: skip
def test_an_error_is_one_line_that_names_file_and_key(read, tmp_path, text, said):
    with pytest.raises(BadConfig) as error:
        read(text)
    assert str(error.value).startswith(f"{tmp_path / 'node.toml'}: {said}")
    assert "\n" not in str(error.value)


def test_bytes_that_are_no_text_are_refused(tmp_path):
    (tmp_path / "node.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(BadConfig, match="not TOML"):
        NodeConfig.read(tmp_path / "node.toml")


def test_limits_cannot_be_changed_while_they_hold():
    with pytest.raises(AttributeError):
        Limits().connections = 2
    assert msgspec.json.decode(msgspec.json.encode(Limits()), type=Limits) == Limits()


@pytest.mark.parametrize(("text", "is_"), [(":80", ("", 80)), ("a:0", ("a", 0)), ("[::]:1", ("::", 1))])
def test_host_and_port(text, is_):
    assert host_and_port(text) == is_


@pytest.mark.parametrize("text", ["", "a", "a:", "a:65536", "a:-1", "a:b", "a:¹"])
def test_no_host_and_port(text):
    with pytest.raises(ValueError, match="HOST:PORT"):
        host_and_port(text)


def test_a_bucket_gives_its_burst_then_its_rate():
    bucket = TokenBucket(10, 3)
    assert [bucket.take(0) for _ in range(4)] == [True, True, True, False]
    assert not bucket.take(SECOND // 10 - 1)
    assert bucket.take(SECOND // 10)
    assert not bucket.take(SECOND // 10)


def test_a_bucket_keeps_no_more_than_its_burst():
    bucket = TokenBucket(10, 3)
    assert bucket.take(0, 3)
    assert not bucket.full(SECOND * 3 // 10 - 1)
    assert bucket.full(SECOND * 3 // 10)
    assert not bucket.take(100 * SECOND, 4)
    assert bucket.take(100 * SECOND, 3)


def test_a_time_before_the_last_one_brings_nothing_and_takes_nothing():
    bucket = TokenBucket(1, 2)
    assert bucket.take(10 * SECOND)
    assert bucket.take(0)
    assert not bucket.take(9 * SECOND)
    assert bucket.take(11 * SECOND)


def test_rate_zero_is_unlimited():
    assert TokenBucket(0, 1).take(0, 10**9)


@given(
    rate=st.integers(1, 1_000),
    burst=st.integers(1, 50),
    steps=st.lists(st.tuples(st.integers(-SECOND, SECOND), st.integers(1, 5)), max_size=60),
)
def test_no_bucket_gives_more_than_burst_and_rate_allow(rate, burst, steps):
    """Whatever the clock does: what was taken is at most the burst and the rate over the time that passed."""
    bucket, now, latest, taken = TokenBucket(rate, burst), 0, 0, 0
    for step, tokens in steps:
        now += step
        latest = max(latest, now)
        taken += tokens if bucket.take(now, tokens) else 0
        assert taken * SECOND <= burst * SECOND + latest * rate


@given(rate=st.integers(1, 1_000), steps=st.lists(st.integers(1, SECOND), min_size=1, max_size=60))
def test_no_fraction_of_a_token_is_lost(rate, steps):
    """However often it is asked meanwhile, after the time of one token there is one."""
    bucket, now = TokenBucket(rate, 1), 0
    assert bucket.take(0)
    enough = -(-SECOND // rate)
    for step in steps:
        now = min(now + step, enough)
        assert bucket.take(now) == (now == enough)
        if now == enough:
            return
