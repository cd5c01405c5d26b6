"""core/wire.py against a reference that is written with struct and slices; whatever is true of one build is of the other."""

import struct
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from librt.strings import BytesWriter

from core import messages as m
from core.kinds import ROW_SIZE, CommandKind
from core.rows import to_row
from core.wire import (
    EVENT_PACKET,
    MESSAGE_PACKET,
    SEQUENCED,
    UNSEQUENCED,
    Router,
    frames_between,
    messages,
    sendable,
    take,
)

pytestmark = pytest.mark.both

I64 = st.integers(-(2**63), 2**63 - 1)
OURS, OTHER = 7, 1_000
ROW = struct.Struct("<16q")
ALLOWED = [kind for kind in CommandKind if kind not in {CommandKind.QUARANTINE, CommandKind.PROMOTE}]
EDGES = [-1, 0, CommandKind.QUARANTINE, CommandKind.PROMOTE, 12, 22, 28, 30, 31, 63, 66, 255, 288, 2**62, 32 + 2**32]
"""Kinds that nobody may send, among them those beside the ranges that are allowed."""


# ---- messages to wire rows


def took(data, begin, session, expected, room):
    """How many packets take() took, and the rows."""
    out = BytesWriter()
    return take(data, begin, session, expected, room, out), out.getvalue()


def reference(data, begin, session, expected, room):
    """What take() does, by the words of the specification."""
    rows = []
    while len(rows) < room:
        packet = data[begin + 115 * len(rows) :][:115]
        if len(packet) < 115 or packet[:3] != b"\x00\x71U":
            break
        kind, told, inbound = struct.unpack_from("<3q", packet, 3)
        if kind not in ALLOWED or told != session or inbound != expected + len(rows):
            break
        parts = parts_in(struct.unpack_from("<14q", packet, 3))
        behind = data[begin + 115 * len(rows) + 115 :]
        if len(rows) + parts >= room or not all(follows(behind[115 * n :], packet, n + 1) for n in range(parts)):
            break
        rows.append(packet[3:11] + bytes(16) + packet[11:])
    return len(rows), b"".join(rows)


def parts_in(columns):
    """How many parts a message announces that is in form."""
    kind, _, _, flags, c6, _, number, parts, *spare = columns
    flags_of = {38: {0: 64}, 39: {1: 2, 2: 2, 3: 3}, 37: dict.fromkeys(range(4), 64)}.get(kind, {})
    least = flags_of.get(flags, 0) if kind == 39 else 1
    good = least <= parts <= flags_of.get(flags, 0) and not any([c6, *spare]) and 0 <= number < 2**62
    return parts if good else 0


def follows(data, head, n):
    """Whether the packet at the start of the data is the n-th part of a head."""
    (kind, session, inbound) = struct.unpack_from("<3q", head, 3)
    wanted = b"\x00\x71U" + struct.pack("<3q", 65 if kind == 37 else 64, session, inbound + n)
    return len(data) >= 115 and data[:27] == wanted


def message(number, kind=CommandKind.ENTER_ORDER, session=OURS, rest=(0,) * 11):
    return b"\x00\x71U" + struct.pack("<14q", kind, session, number, *rest)


@st.composite
def streams(draw):
    """Mostly a run of messages in order, from number 2 on; here and there one that is not next, another packet, or any bytes."""
    number, parts = 1, []
    faults = ["", "", "", "", "parts", "parts", "session", "number", "kind", "packet", "bytes"]
    for fault in draw(st.lists(st.sampled_from(faults))):
        number += 1
        rest = draw(st.tuples(*[I64] * 11))
        match fault:
            case "session":
                parts.append(message(number, session=draw(st.sampled_from([OTHER, 0, -OURS]) | I64)))
            case "number":
                parts.append(message(number + draw(st.sampled_from([-1, 1, 2**32]))))
            case "kind":
                parts.append(message(number, kind=draw(st.sampled_from(EDGES) | I64)))
            case "packet":
                parts.append(
                    draw(st.sampled_from([b"\x00\x01R", b"\x00\x71S" + bytes(112), b"\x01\x71U" + bytes(368)]))
                )
            case "parts":
                head, flags, count = draw(st.sampled_from([(38, 0, 1), (38, 0, 2), (39, 2, 2), (39, 3, 3), (37, 1, 1)]))
                parts.append(message(number, head, rest=(flags, 0, 1, 5, count, *[0] * 6)))
                for _ in range(draw(st.sampled_from([count, count, count - 1]))):
                    number += 1
                    kind = draw(st.sampled_from([65, 64] if head == 37 else [64, 64, 64, 65]))
                    parts.append(message(number, kind, rest=rest))
            case "bytes":
                parts.append(draw(st.binary(max_size=130)))
            case _:
                parts.append(message(number, draw(st.sampled_from(ALLOWED)), rest=rest))
    return b"".join(parts)


@given(streams(), st.sampled_from([0, 0, 115, 230, 1, 114]), st.integers(-1, 20))
def test_take_is_its_specification(data, begin, room):
    expected = 2 + begin // 115
    assert took(data, begin, OURS, expected, room) == reference(data, begin, OURS, expected, room)


@given(st.binary(max_size=400), st.integers(0, 500), I64, st.integers(0, 2**62), st.integers(0, 9))
def test_any_bytes_are_taken_or_left(data, begin, session, expected, room):
    assert took(data, begin, session, expected, room) == reference(data, begin, session, expected, room)


@given(streams(), st.lists(st.integers(0, 2_000)))
def test_how_a_stream_was_cut_is_not_seen(data, cuts):
    """A gateway keeps what was not taken and tries again behind the next read, as long as all was taken before."""
    whole = took(data, 0, OURS, 2, 1_000)
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    kept, out, number = b"", BytesWriter(), 2
    for begin, end in pairwise(edges):
        kept += data[begin:end]
        count = take(kept, 0, OURS, number, 1_000, out)
        kept, number = kept[count * MESSAGE_PACKET :], number + count
    assert (number - 2, out.getvalue()) == whole


def test_every_cut_inside_a_packet_takes_what_is_whole():
    data = message(1) + message(2)
    counts = [took(data[:size], 0, OURS, 1, 9)[0] for size in range(len(data) + 1)]
    assert counts == [0] * 115 + [1] * 115 + [2]


def test_it_begins_and_ends_where_it_is_told():
    data = b"\x00\x01R" + message(5) + message(6) + message(7)
    assert took(data, 3, OURS, 5, 2) == (2, took(data, 3, OURS, 5, 9)[1][:256])
    assert took(data, 3, OURS, 5, 0) == (0, b"")
    assert took(data, len(data) + 9, OURS, 5, 9) == (0, b"")


def test_rows_are_appended_to_what_is_there():
    out = BytesWriter()
    assert take(message(1), 0, OURS, 1, 9, out) == take(message(2), 0, OURS, 2, 9, out) == 1
    assert out.getvalue() == took(message(1) + message(2), 0, OURS, 1, 9)[1]


@pytest.mark.parametrize("kind", EDGES)
def test_a_kind_that_nobody_may_send_is_left(kind):
    """The sequencer refuses the whole batch for a Quarantine or Promote in it: they must not come that far."""
    assert not sendable(kind)
    assert took(message(1, kind), 0, OURS, 1, 9) == (0, b"")


def test_every_command_but_the_sequencers_own_may_be_sent():
    assert [kind for kind in range(-300, 600) if sendable(kind)] == sorted(ALLOWED)


@given(
    st.lists(
        st.tuples(
            st.sampled_from([kind for kind in ALLOWED if kind not in {37, 38, 39}]),
            st.lists(I64, min_size=11, max_size=11),
        )
    )
)
def test_messages_and_take_are_inverse(commands):
    rows = b"".join(ROW.pack(kind, 0, 0, OURS, n, *rest) for n, (kind, rest) in enumerate(commands, start=1))
    data = messages(rows)
    assert len(data) == MESSAGE_PACKET * len(commands)
    assert took(data, 0, OURS, 1, len(commands)) == (len(commands), rows)


def test_a_command_arrives_as_it_was_sent():
    row = to_row(m.CancelOrder(session=OURS, inbound=3, instrument=1, account=2, client_order_id=-5))
    assert took(messages(row), 0, OURS, 3, 1) == (1, row)


# ---- event rows to packets


def event(session, outbound, *rest):
    return ROW.pack(288, 1, 2, session, outbound, *(rest or range(11)))


SESSIONS = st.sampled_from([0, 1, 2, OURS, OTHER, 0xFFFFF, 0x100000]) | I64
EVENTS = st.lists(
    st.builds(lambda told, number, rest: event(told, number, *rest), SESSIONS, I64, st.tuples(*[I64] * 11))
    | st.builds(event, st.integers(0, 3), st.integers(0, 4)),
    max_size=40,
)


def packet(row, letter):
    return b"\x00\x81" + letter + row


def told(rows):
    """What Router.route() returns, by the words of the specification."""
    lanes = {}
    for row in rows:
        session, outbound = struct.unpack_from("<2q", row, 24)
        if 0 < session <= 0xFFFFF:
            lanes.setdefault(session, []).append(packet(row, b"S" if outbound > 0 else b"U"))
    return [(session, b"".join(packets), len(packets)) for session, packets in lanes.items()]


@given(st.lists(EVENTS, max_size=4))
def test_each_session_is_told_its_rows_in_order(batches):
    """One router for all batches: nothing of one is left in the next."""
    router = Router()
    for rows in batches:
        assert router.route(b"".join(rows)) == told(rows)


def test_unsequenced_rows_keep_their_place():
    rows = [event(1, 8), event(1, 0), event(1, 9)]
    assert Router().route(b"".join(rows)) == [
        (1, packet(rows[0], b"S") + packet(rows[1], b"U") + packet(rows[2], b"S"), 3)
    ]


def test_a_large_batch_is_told_whole_and_forgotten():
    """Beyond the size at which a buffer is not kept."""
    router, rows = Router(), [event(1, n) for n in range(1, 9_001)]
    assert router.route(b"".join(rows)) == told(rows)
    assert router.route(rows[0]) == told(rows[:1])


@given(EVENTS, SESSIONS, st.integers(1, 5) | I64, st.integers(0, 5) | I64, st.sampled_from([SEQUENCED, UNSEQUENCED]))
def test_a_range_of_outbound_numbers_is_told_again(rows, session, first, last, packet_type):
    asked = [row for row in rows if struct.unpack_from("<q", row, 24)[0] == session]
    chosen = [row for row in asked if first <= struct.unpack_from("<q", row, 32)[0] <= last]
    expected = b"".join(packet(row, {SEQUENCED: b"S", UNSEQUENCED: b"U"}[packet_type]) for row in chosen)
    assert frames_between(b"".join(rows), session, first, last, packet_type) == expected


def test_a_resend_is_sequenced_and_the_same_bytes():
    rows = b"".join(event(OURS, n) for n in range(1, 5)) + event(OTHER, 2) + event(OURS, 0)
    ((_, all_of_ours, count), _) = Router().route(rows)
    assert frames_between(rows, OURS, 1, 4) == all_of_ours[: 4 * EVENT_PACKET]
    assert frames_between(rows, OURS, 2, 3) == all_of_ours[EVENT_PACKET : 3 * EVENT_PACKET]
    assert count == 5


@pytest.mark.parametrize("size", [1, ROW_SIZE - 1, ROW_SIZE + 8])
def test_rows_that_are_not_whole_are_refused_and_leave_nothing(size):
    rows, router = (event(1, 1) * 2)[:size], Router()
    for refused in (router.route, messages, lambda data: frames_between(data, 1, 1, 9)):
        with pytest.raises(ValueError, match="whole rows"):
            refused(rows)
    assert router.route(b"") == []
