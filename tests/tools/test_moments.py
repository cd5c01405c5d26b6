"""Times as they are typed, exact to the nanosecond."""

import pytest

from tools.failures import Misuse
from tools.moments import clock_text, nanoseconds

DAY = 86_400 * 10**9


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("0", 0),
        ("1772443800000000001", 1_772_443_800_000_000_001),
        ("09:30:00", 34_200 * 10**9),
        ("9:30:00.004241176", 34_200_004_241_176),
        ("10:00:00.5", 36_000_500_000_000),
        ("1970-01-02", DAY),
        ("1970-01-02T00:00:01Z", DAY + 10**9),
        ("1970-01-02 00:01", DAY + 60 * 10**9),
        ("1970-01-02T00:00:01.000000001", DAY + 10**9 + 1),
        ("1970-01-02T01:00:00+01:00", DAY),
        ("2026-03-02T09:30:00Z", 1_772_443_800_000_000_000),
    ],
)
def test_forms_of_a_time(text, time):
    assert nanoseconds(text) == time


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-1",
        "1.5",
        "noon",
        "24:60:00",
        "24:00:00",
        "25:00:00",
        "2026-02-30",
        "2026-01-01T25:00",
        "1e9",
        "0x1",
        "1" * 20,
        "9" * 5_000,
    ],
)
def test_what_is_no_time(text):
    with pytest.raises(Misuse):
        nanoseconds(text)


@pytest.mark.parametrize(
    ("time", "text"),
    [
        (34_200_004_241_176, "09:30:00.004241176"),
        (1, "00:00:00.000000001"),
        (1_772_443_800_000_000_001, "2026-03-02T09:30:00.000000001Z"),
    ],
)
def test_a_time_as_people_read_it(time, text):
    assert clock_text(time) == text
    assert nanoseconds(text) == time
