"""Passwords: hashes, columns, the checker process and its bounds, and the logins of an address."""

import asyncio
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from replicas import passwords
from replicas.limits import SECOND
from replicas.passwords import (
    COST,
    COST_MIN,
    AddressLimiter,
    Busy,
    Checker,
    CheckerGone,
    Credential,
    digest,
    generate,
    make,
    matches,
    pack,
    refuse_password,
    to_check,
    unpack,
)
from tests.paths import HERE

MINUTE = 60 * SECOND


@pytest.fixture(scope="module")
def credential():
    return make("s3cret", COST_MIN)


def session(**columns):
    return SimpleNamespace(**dict.fromkeys(pack(bytes(32), bytes(16), 0), 0) | columns)


def test_the_hash_is_scrypt():
    """The test vector of RFC 7914 that has N = 16384, r = 8, p = 1, as far as we keep it."""
    vector = "7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2"
    assert digest(b"pleaseletmein", b"SodiumChloride", 14).hex() == vector


def test_only_the_password_matches(credential):
    assert matches(b"s3cret", credential)
    for wrong in (b"", b"s3cre", b"S3cret", b"s3cret ", b"s3cret\0"):
        assert not matches(wrong, credential)


def test_every_credential_has_its_own_salt(credential):
    assert make("s3cret", COST_MIN).salt != credential.salt
    assert (len(credential.hash), len(credential.salt)) == (32, 16)


@pytest.mark.parametrize("cost", [9, 21, 0])
def test_a_cost_out_of_its_range_is_refused(cost):
    with pytest.raises(ValueError, match="not 10 to 20"):
        digest(b"x", bytes(16), cost)


@given(st.binary(min_size=32, max_size=32), st.binary(min_size=16, max_size=16), st.integers(10, 20))
def test_columns_hold_a_credential(hashed, salt, cost):
    columns = pack(hashed, salt, cost)
    assert all(-(2**63) <= value < 2**63 for value in columns.values())
    assert unpack(session(**columns)) == (hashed, salt, cost)


def test_columns_are_little_endian_halves():
    columns = pack(bytes(range(32)), b"\xff" * 16, 14)
    assert columns["hash_1"] == int.from_bytes(bytes(range(8, 16)), "little", signed=True)
    assert columns["salt_1"] == -1


def test_a_session_without_a_password_has_none():
    assert unpack(session()) is None


@pytest.mark.parametrize("unknown", [None, session()])
def test_an_unknown_session_costs_the_same_and_never_matches(unknown, monkeypatch):
    costs = []
    monkeypatch.setattr(passwords, "scrypt", lambda *_, n, **__: costs.append(n) or bytes(32))
    assert not matches(b"", to_check(unknown))
    matches(b"", to_check(session(**pack(bytes(32), bytes(16), COST))))
    assert costs == [2**COST, 2**COST]


def test_a_known_session_is_checked_against_its_own(credential):
    assert to_check(session(**pack(*credential))) == credential


@pytest.mark.parametrize(("password", "refused"), [("a", False), ("~" * 10, False), ("", True), ("a" * 11, True),
                                                   ("a b", True), ("é", True), ("a\t", True)])  # fmt: skip
def test_what_fits_the_login_is_a_password(password, refused):
    assert bool(refuse_password(password)) == refused


def test_generated_passwords_differ_and_fit():
    made = {generate() for _ in range(50)}
    assert len(made) == 50
    assert not any(refuse_password(password) for password in made)


def with_checker(act, **options):
    async def run():
        checker = Checker(**options)
        try:
            return await act(checker)
        finally:
            await checker.close()

    return asyncio.run(run())


async def queued(checker, number):
    while checker.waiting < number:  # noqa: ASYNC110 - the checker has no event for what a test alone waits for
        await asyncio.sleep(0)


def test_the_checker_tells_right_from_wrong(credential):
    async def act(checker):
        given_ = (b"s3cret", b"wrong", b"s3cret", b"s3cret7890A", b"")
        return await asyncio.gather(*(checker.check(password, *credential) for password in given_))

    assert with_checker(act) == [True, False, True, False, False]


def test_an_overlong_password_never_stands_for_its_beginning():
    async def act(checker):
        return await checker.check(b"a" * 11, *make("a" * 10, COST_MIN))

    assert with_checker(act) is False


def test_a_full_queue_is_busy_and_the_others_are_answered(credential):
    async def act(checker):
        first = [asyncio.create_task(checker.check(b"s3cret", *credential)) for _ in range(3)]
        await queued(checker, 3)
        with pytest.raises(Busy):
            await checker.check(b"s3cret", *credential)
        answers = await asyncio.gather(*first)
        return [*answers, await checker.check(b"s3cret", *credential)]

    assert with_checker(act, queue=3) == [True] * 4


def test_a_caller_that_goes_away_takes_no_answer_from_another(credential):
    async def act(checker):
        tasks = [asyncio.create_task(checker.check(password, *credential)) for password in (b"wrong", b"s3cret")]
        await queued(checker, 2)
        tasks[0].cancel()
        return await tasks[1]

    assert with_checker(act) is True


def test_a_dead_checker_refuses_and_is_replaced(credential):
    async def act(checker):
        assert await checker.check(b"s3cret", *credential)
        first = checker.pid
        os.kill(first, signal.SIGSTOP)
        waiting = asyncio.create_task(checker.check(b"s3cret", *credential))
        await queued(checker, 1)
        os.kill(first, signal.SIGKILL)
        with pytest.raises(CheckerGone):
            await waiting
        assert await checker.check(b"s3cret", *credential)
        return checker.pid != first

    assert with_checker(act) is True


def test_a_checker_that_cannot_be_started_refuses(credential, monkeypatch):
    monkeypatch.setattr("replicas.passwords.sys.executable", "/nowhere/python")
    with pytest.raises(CheckerGone, match="cannot be started"):
        with_checker(lambda checker: checker.check(b"s3cret", *credential))


def test_no_password_is_in_the_arguments_or_the_environment_of_the_checker(credential):
    async def act(checker):
        await checker.check(b"s3cret", *credential)
        process = Path(f"/proc/{checker.pid}")
        return process.joinpath("cmdline").read_bytes() + process.joinpath("environ").read_bytes()

    assert b"s3cret" not in with_checker(act)


def descriptors(pid):
    """What the open descriptors of a process name."""
    named = set()
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):
            named.add(str(entry.readlink()))
    return named


def test_the_checker_inherits_no_descriptor(tmp_path, credential):
    async def act(checker):
        await checker.check(b"s3cret", *credential)
        return descriptors(checker.pid)

    with (tmp_path / "held").open("w") as held:
        os.set_inheritable(held.fileno(), True)
        assert str(tmp_path / "held") in descriptors(os.getpid())
        assert str(tmp_path / "held") not in with_checker(act)


PARENT = """
import asyncio, os, signal
from replicas.passwords import Checker, make
async def main():
    checker = Checker()
    await checker.check(b"x", *make("x", 10))
    print(checker.pid, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
asyncio.run(main())
"""


def test_the_checker_dies_with_its_parent():
    """The kernel kills it: it holds its end of the pipe open for nobody, even if it is hashing."""
    parent = subprocess.run([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, cwd=HERE, check=False)
    assert parent.returncode == -signal.SIGKILL
    try:
        descriptor = os.pidfd_open(int(parent.stdout))
    except ProcessLookupError:
        return
    with os.fdopen(descriptor) as died:
        import select

        assert select.select([died], [], [], 30)[0]


def test_an_address_has_its_logins_of_a_minute():
    limiter = AddressLimiter(3)
    assert [limiter.allow("a", 0) for _ in range(4)] == [True, True, True, False]
    assert limiter.allow("b", 0)
    assert not limiter.allow("a", MINUTE // 3 - 1)
    assert limiter.allow("a", MINUTE // 3)
    assert not limiter.allow("a", MINUTE // 3)


@settings(max_examples=30)
@given(st.lists(st.integers(0, 40), max_size=200))
def test_the_number_of_addresses_is_bounded(addresses):
    limiter = AddressLimiter(1, addresses=5)
    for number, address in enumerate(addresses):
        limiter.allow(str(address), number)
        assert len(limiter) <= 5


def test_who_tries_on_is_not_forgotten():
    """An address that is refused all the time cannot be pushed out by fewer others than there is room for."""
    limiter = AddressLimiter(1, addresses=3)
    assert limiter.allow("guesser", 0)
    for number in range(20):
        limiter.allow(f"other {number}", 0)
        assert not limiter.allow("guesser", 0)


def test_a_credential_is_a_tuple_of_what_is_stored():
    assert Credential(b"h", b"s", 10) == (b"h", b"s", 10)
