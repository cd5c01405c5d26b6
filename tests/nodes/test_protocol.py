"""docs/protocol.md says what the code does: types, offsets, sizes, numbers, and every example to the byte."""

import re
import struct

import pytest

from core import messages as m
from core.kinds import RESTING, OrderType, Side, TimeInForce
from core.rows import from_row, to_row
from core.wire import EVENT_PACKET, MESSAGE_PACKET, MESSAGE_SIZE, frames_between, messages
from replicas import soup
from replicas.limits import Limits
from replicas.soup import FormReason, Login, Notice, NoticeKind, PacketType, Refusal
from tests.paths import HERE

TEXT = (HERE / "docs" / "protocol.md").read_text()
FLAGS = Side.SELL | OrderType.LIMIT << 1 | TimeInForce.GTC << 5
ORDER = m.EnterOrder(
    session=1, inbound=3, flags=FLAGS, instrument=1, account=1, client_order_id=7, price=10_025, quantity=30
)
EVENT = m.Accepted(
    sequence=12, time=1_772_454_728_128_992_116, session=1, outbound=5, flags=FLAGS | RESTING, instrument=1, account=1,
    client_order_id=7, price=10_025, quantity=30, order_number=4, leaves=30, drop_copy=9, market_data=2,
)  # fmt: skip
EXAMPLES = {
    "login": soup.login(1, b"sesame", "LOCKSTEP", 1),
    "accepted": soup.accepted("LOCKSTEP", 1),
    "rejected": soup.rejected(Refusal.NOT_AUTHORISED),
    "EnterOrder": messages(to_row(ORDER)),
    "Accepted": frames_between(to_row(EVENT), 1, 5, 5),
    "HEAD": Notice(NoticeKind.HEAD, 1, 12, bytes(range(32))).packet(),
    "NEXT": Notice(NoticeKind.NEXT, 4, 6).packet(),
    "BUSY": Notice(NoticeKind.BUSY, 4).packet(),
    "GAP": Notice(NoticeKind.GAP, 4).packet(),
    "REFUSED": Notice(NoticeKind.REFUSED, 4, FormReason.UNKNOWN_KIND).packet(),
}
"""What the page shows, in its order."""


def shown():
    """The bytes of each example of the page."""
    blocks = re.findall(r"^```hex\n(.*?)```", TEXT, re.DOTALL | re.MULTILINE)
    return dict(zip(EXAMPLES, map(bytes.fromhex, blocks), strict=True))


def tables():
    """Each table of the page, by its heading line: its rows as lists of cells."""
    found = {}
    for table in re.findall(r"(?:^\|.*\n)+", TEXT, re.MULTILINE):
        lines = [line.strip("|").split("|") for line in table.splitlines()]
        head, _, *rows = [[cell.strip().strip("`") for cell in line] for line in lines]
        found.setdefault(" ".join(head), []).append(rows)
    return found


@pytest.mark.both
@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_is_what_the_code_sends(name):
    assert shown()[name].hex(" ") == EXAMPLES[name].hex(" ")


def test_examples_are_read_as_they_are_described():
    packets = dict(zip(EXAMPLES, soup.Packets().feed(b"".join(shown().values())), strict=True))
    assert soup.parse_login(packets["login"][1]) == Login("1", b"sesame", "LOCKSTEP", 1)
    assert soup.parse_accepted(packets["accepted"][1]) == ("LOCKSTEP", 1)
    assert soup.parse_rejected(packets["rejected"][1]) == Refusal.NOT_AUTHORISED
    assert from_row(soup.wire_row(packets["EnterOrder"][1])) == ORDER
    assert from_row(packets["Accepted"][1]) == EVENT
    for name, (kind, payload) in list(packets.items())[5:]:
        assert (kind, soup.parse_notice(payload).kind) == (PacketType.UNSEQUENCED, NoticeKind[name])


FIELDS = "offset size field meaning"
OFFSETS = {
    "login": (FIELDS, 0, {"username": "6s", "password": "10s", "session": "10s", "sequence": "20s"}),
    "accepted": (FIELDS, 1, {"session": "10s", "sequence": "20s"}),
    "EnterOrder": (
        "offset size field column of the row",
        0,
        {"kind": "q", "session": "q", "inbound": "q", "flags": "q", "c6 to c15": "10q"},
    ),
    "HEAD": (FIELDS, 2, {"kind": "q", "a": "q", "b": "q", "c": "32s", "spare": "q"}),
}


@pytest.mark.parametrize("name", OFFSETS)
def test_offsets(name):
    """Fields stand one behind the other, and fill the payload of the example."""
    heading, which, fields = OFFSETS[name]
    sizes = [struct.calcsize("<" + code) for code in fields.values()]
    expected = [[str(sum(sizes[:n])), str(sizes[n]), field] for n, field in enumerate(fields)]
    assert [row[:3] for row in tables()[heading][which]] == expected
    assert sum(sizes) == len(EXAMPLES[name]) - 3


def test_packet_types():
    """Letter, sender and size of each type are those of the code."""
    (rows,) = tables()["type from payload bytes of payload meaning"]
    letters = {sender: "".join(row[0] for row in rows if row[1] in {sender, "both"}) for sender in ("client", "server")}
    assert sorted(letters["client"].encode()) == sorted(soup.FROM_CLIENT)
    assert sorted(letters["server"].encode()) == sorted(soup.FROM_SERVER)
    assert {ord(row[0]) for row in rows} == {*PacketType}
    sizes = {(row[0], row[1]): row[3] for row in rows}
    assert [sizes["L", "client"], sizes["A", "server"], sizes["J", "server"]] == [
        str(len(EXAMPLES[name]) - 3) for name in ("login", "accepted", "rejected")
    ]
    assert sizes["U", "client"] == str(MESSAGE_SIZE)
    assert sizes["U", "server"] == f"{len(to_row(EVENT))} or {soup.NOTICE_SIZE}"


def numbered(heading):
    (rows,) = tables()[heading]
    return {row[1]: int(row[0]) for row in rows}


def test_notices_and_reasons_are_all_there():
    assert numbered("kind name a b c when") == {kind.name: kind.value for kind in NoticeKind}
    assert numbered("reason name why") == {reason.name: reason.value for reason in FormReason}
    for refusal in Refusal:
        assert f"`{chr(refusal)}`" in TEXT


def test_numbers_in_the_text():
    limits = Limits()
    assert f"at most {soup.PACKET_MAX:,}, or less" in TEXT
    assert f"the longest message takes {MESSAGE_SIZE + 1}" in TEXT
    assert f"the packet {MESSAGE_PACKET}" in TEXT
    assert f"The packet takes {EVENT_PACKET} bytes" in TEXT
    assert f"closed after {limits.unauthenticated_seconds:g} s without a login" in TEXT
    assert f"nothing came from the client for {limits.silent_seconds:g} s" in TEXT
    assert f"more than {limits.outbound_bytes // 2**20} MiB wait" in TEXT
    assert f"'R' (`{soup.CLIENT_HEARTBEAT.hex()}`)" in TEXT
    assert f"'H' (`{soup.SERVER_HEARTBEAT.hex()}`)" in TEXT
    (versions,) = tables()["version since change"]
    assert TEXT.startswith(f"# The native protocol\n\nProtocol version {versions[-1][0]}:")
