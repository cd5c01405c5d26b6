"""Packets and notices: built and read back, split however they were cut, and refused by FormError alone."""

import struct
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import messages as m
from core.limits import SUM_MAX
from core.rows import to_row
from core.wire import messages
from replicas import soup
from replicas.errors import FormError
from replicas.soup import FormReason, Login, Notice, NoticeKind, Packets, PacketType, Refusal

I64 = st.integers(-(2**63), 2**63 - 1)
LIMIT = 60
TEXTS = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E))


def packet(kind, payload=b""):
    """A packet by the words of the specification."""
    return (len(payload) + 1).to_bytes(2, "big") + kind + payload


# ---- the splitter


def split(pieces, limit=LIMIT, types=soup.FROM_CLIENT + soup.FROM_SERVER):
    """Every packet of a stream that arrives in pieces, and the error it ends with; what is kept stays within bounds."""
    packets, found = Packets(limit, types), []
    try:
        for piece in pieces:
            found.extend(packets.feed(piece))
            assert len(packets) < limit + 2
    except FormError as error:
        assert len(packets) == 0
        return found, str(error)
    return found, None


def reference(data):
    """The same for a whole stream, by the words of the specification."""
    found, at = [], 0
    while len(data) - at >= 2:
        length = int.from_bytes(data[at : at + 2], "big")
        kind = data[at + 2 : at + 3]
        if not 1 <= length <= LIMIT or kind not in b"LURO+AJSHZ" or (kind and kind in b"ROHZ" and length > 1):
            return found, True
        if len(data) - at < length + 2:
            break
        found.append((kind[0], data[at + 3 : at + 2 + length]))
        at += length + 2
    return found, False


PACKETS = st.builds(packet, st.sampled_from([b"L", b"U", b"S", b"+"]), st.binary(max_size=LIMIT - 1)) | st.builds(
    packet, st.sampled_from([b"R", b"O", b"H", b"Z"])
)
STREAMS = st.lists(PACKETS | PACKETS | PACKETS | st.binary(max_size=80)).map(b"".join)


@given(STREAMS, st.lists(st.integers(0, 1_000)))
def test_packets_are_the_same_however_the_stream_was_cut(data, cuts):
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    whole = split([data])
    assert split(data[begin:end] for begin, end in pairwise(edges)) == whole
    assert (whole[0], whole[1] is not None) == reference(data)


@given(STREAMS | st.binary())
def test_byte_by_byte_is_no_other_stream(data):
    assert split(bytes([byte]) for byte in data) == split([data])


BAD = {
    "no type": b"\x00\x00",
    "longer than the limit": (LIMIT + 1).to_bytes(2, "big"),
    "the longest there can be": b"\xff\xff",
    "no such type": b"\x00\x01X",
    "a heartbeat with a payload": b"\x00\x02R",
    "an end of session with a payload": b"\x00\x09Z",
}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD.keys())
def test_what_is_wrong_is_found_as_soon_as_it_can_be_seen(bad):
    """With its last byte here: nothing of what it announces is waited for."""
    packets, good = Packets(LIMIT), packet(b"U", b"good")
    assert list(packets.feed(good + bad[:-1])) == [(ord("U"), b"good")]
    with pytest.raises(FormError):
        list(packets.feed(bad[-1:]))


def test_packets_before_the_wrong_one_are_given_out_and_none_behind_it():
    packets = Packets(LIMIT)
    found = packets.feed(packet(b"U", b"1") + packet(b"U", b"2") + b"\x00\x00" + packet(b"U", b"3"))
    assert [next(found), next(found)] == [(ord("U"), b"1"), (ord("U"), b"2")]
    with pytest.raises(FormError) as first:
        next(found)
    for later in (b"", packet(b"U", b"4")):
        with pytest.raises(FormError) as again:
            list(packets.feed(later))
        assert str(again.value) == str(first.value)
    assert len(packets) < LIMIT + 2


def test_a_packet_of_the_limit_passes():
    assert split([packet(b"U", bytes(LIMIT - 1))]) == ([(ord("U"), bytes(LIMIT - 1))], None)


def test_who_leaves_in_the_middle_gets_the_rest_with_the_next_read():
    packets = Packets()
    next(packets.feed(packet(b"U", b"1") + packet(b"U", b"2")))
    assert list(packets.feed(packet(b"U", b"3"))) == [(ord("U"), b"2"), (ord("U"), b"3")]


@pytest.mark.parametrize(("types", "refused"), [(soup.FROM_CLIENT, b"AJSHZ"), (soup.FROM_SERVER, b"LRO")])
def test_a_side_sends_its_own_types_only(types, refused):
    for kind in PacketType:
        found, error = split([packet(bytes([kind]))], types=types)
        assert (found == []) == (error is not None) == (kind in refused)


# ---- logins


@given(st.integers(1, 999_999), st.binary(max_size=10), TEXTS.map(lambda text: text[:10]), st.integers(0, SUM_MAX))
def test_a_login_is_read_as_it_was_built(number, password, session, sequence):
    data = soup.login(number, password, session, sequence)
    ((kind, payload),) = Packets(types=soup.FROM_CLIENT).feed(data)
    assert (kind, len(data)) == (PacketType.LOGIN, 49)
    if all(0x20 <= byte <= 0x7E for byte in password):
        login = soup.parse_login(payload)
        assert login == Login(str(number), password.rstrip(), session, sequence)
        assert login.number() == number
    else:
        with pytest.raises(FormError):
            soup.parse_login(payload)


def fields(user=b"7     ", password=b"secret    ", session=b"LOCKSTEP  ", sequence=b"                   5"):
    return user + password + session + sequence


@pytest.mark.parametrize(
    "payload",
    [
        fields(),
        fields(user=b"     7", session=b"  LOCKSTEP", sequence=b"5                   "),
        fields(user=b"000007", sequence=b"00000000000000000005"),
    ],
)
def test_padding_is_accepted_on_both_sides(payload):
    """Client libraries differ in it; Nasdaq's own pads the sequence number on the right."""
    login = soup.parse_login(payload)
    assert (login.number(), login.password, login.session, login.sequence) == (7, b"secret", "LOCKSTEP", 5)


def test_a_password_may_begin_with_a_space():
    assert soup.parse_login(fields(password=b" se cret  ")).password == b" se cret"


def test_a_password_is_not_shown():
    assert "secret" not in repr(soup.parse_login(fields()))


@pytest.mark.parametrize("username", ["", "0", "x", "-1", "+1", "1 1", "1.0", "0x1"])
def test_a_username_that_is_no_number_is_no_session(username):
    assert soup.parse_login(fields(user=username.encode().ljust(6))).number() == 0


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        fields()[:-1],
        fields() + b" ",
        fields(sequence=b" " * 20),
        fields(sequence=b"                  -1"),
        fields(sequence=b"                 1 1"),
        fields(sequence=str(SUM_MAX + 1).encode().rjust(20)),
        fields(sequence=b"9" * 20),
        fields(user=b"7\x00\x00\x00\x00\x00"),
        fields(password=b"s\xe9cret    "),
        fields(session="٧".encode().ljust(10)),
    ],
)
def test_a_login_that_is_none(payload):
    with pytest.raises(FormError):
        soup.parse_login(payload)


@given(st.binary(max_size=60) | st.text("0123456789 L", min_size=46, max_size=46).map(str.encode))
def test_any_payload_is_read_or_refused(payload):
    for parse in (soup.parse_login, soup.parse_accepted, soup.parse_rejected, soup.parse_notice, soup.wire_row):
        try:
            parse(payload)
        except FormError:
            continue


@given(TEXTS.map(lambda text: text[:10]), st.integers(0, SUM_MAX))
def test_accepted_is_read_as_it_was_built(session, sequence):
    ((kind, payload),) = Packets(types=soup.FROM_SERVER).feed(soup.accepted(session, sequence))
    assert (kind, soup.parse_accepted(payload)) == (PacketType.ACCEPTED, (session, sequence))


@pytest.mark.parametrize("reason", Refusal)
def test_rejected_is_read_as_it_was_built(reason):
    ((kind, payload),) = Packets().feed(soup.rejected(reason))
    assert (kind, soup.parse_rejected(payload)) == (PacketType.REJECTED, reason)


TOO_MUCH = {
    "username": lambda: soup.login(1_000_000, b""),
    "password": lambda: soup.login(1, b"x" * 11),
    "session": lambda: soup.login(1, b"", "x" * 11),
    "session in other letters": lambda: soup.login(1, b"", "é"),
    "sequence": lambda: soup.login(1, b"", "", SUM_MAX + 1),
    "a number below zero": lambda: soup.accepted("", -1),
    "payload": lambda: soup.sequenced(bytes(65_535)),
    "debug text": lambda: soup.debug("line\n"),
}


@pytest.mark.parametrize("build", TOO_MUCH.values(), ids=TOO_MUCH.keys())
def test_what_does_not_fit_is_refused_where_it_is_built(build):
    with pytest.raises(FormError):
        build()


# ---- what a packet carries


def test_small_packets_to_the_byte():
    small = (soup.CLIENT_HEARTBEAT, soup.SERVER_HEARTBEAT, soup.LOGOUT, soup.END_OF_SESSION, soup.debug("hi"))
    assert small == (b"\x00\x01R", b"\x00\x01H", b"\x00\x01O", b"\x00\x01Z", b"\x00\x03+hi")
    assert soup.sequenced(b"ab") + soup.unsequenced(b"") == b"\x00\x03Sab\x00\x01U"


def test_a_message_is_the_row_without_sequence_number_and_time():
    row = to_row(m.CancelOrder(session=1, inbound=2, instrument=3, account=4, client_order_id=5))
    payload = soup.message(row)
    assert soup.unsequenced(payload) == messages(row)
    assert soup.wire_row(payload) == row


@given(st.sampled_from(NoticeKind), I64, I64, st.binary(min_size=32, max_size=32))
def test_a_notice_is_read_as_it_was_built(kind, a, b, c):
    data = Notice(kind, a, b, c).packet()
    assert data == packet(b"U", struct.pack("<3q", kind, a, b) + c + bytes(8))
    assert soup.parse_notice(data[3:]) == (kind, a, b, c)


def test_a_notice_with_something_in_its_spare_column_is_none():
    with pytest.raises(FormError, match="spare"):
        soup.parse_notice(Notice(NoticeKind.GAP, 1).packet()[3:-1] + b"\x01")


def test_numbers_that_stand_in_notices_never_move():
    assert [(kind.value, kind.name) for kind in NoticeKind] == list(
        enumerate(("HEAD", "NEXT", "BUSY", "GAP", "REFUSED"), 1)
    )
    names = ("MALFORMED_LENGTH", "WRONG_SESSION", "INBOUND_CONFLICT", "INBOUND_TOO_OLD", "UNKNOWN_KIND", "INCOMPLETE")
    assert [(reason.value, reason.name) for reason in FormReason] == list(enumerate(names, 1))
