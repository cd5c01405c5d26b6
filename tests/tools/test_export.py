"""Exported tables against the naive market and `lockstep dump`, row by row; and that a file is whole or is not there."""

import json
import shutil
import subprocess
import sys
from io import StringIO

import pytest

from core import messages as m
from core.kinds import REMOVED, SIDE_MASK, OrderType, Side, TimeInForce
from core.messages import EVENTS, SetCredential, Upgrade
from core.reasons import CancelReason, RejectReason
from core.rows import to_row
from core.state import SEMANTICS
from journal.verify import verify
from replicas.opening import create
from tests.pair import seeds
from tests.tools.conftest import NINE, ROWS, ask, ask_json, flip, run
from tests.tools.exports import MAKERS, empty_journal, golden_journal, levels, random_journal, reading, told
from tests.tools.test_errors import refused
from tools.books import Book
from tools.export import What
from tools.exports import file as export_file
from tools.exports.file import BLOCK_ROWS, Sink
from tools.exports.range import Asked, Source, progress
from tools.exports.rows import Events, pieces
from tools.output import decimal_text
from tools.reading import machine_at

arrow = pytest.importorskip("pyarrow")
pq, csv = pytest.importorskip("pyarrow.parquet"), pytest.importorskip("pyarrow.csv")
pytest.importorskip("numpy")

TABLES = [str(what) for what in What]
NAMES = ("hash_0", "hash_1", "hash_2", "hash_3", "salt_0", "salt_1")


def as_table(table):
    """A table as lists: time stamps as the integers that they are."""
    of = {field.name: arrow.int64() if arrow.types.is_timestamp(field.type) else field.type for field in table.schema}
    return table.cast(arrow.schema(list(of.items()))).to_pylist()


def parquet(path):
    return as_table(pq.read_table(path))


def export(journal, what, *options, to=None):
    """The rows of an exported table."""
    to = to or journal.parent / f"{what}.parquet"
    ask("export", journal, what, "--to", to, *options)
    return parquet(to)


@pytest.fixture(params=[("small", 0), ("golden", 0), *(("random", seed) for seed in seeds(2))], ids=str, scope="module")
def journal(request, tmp_path_factory):
    name, seed = request.param
    return MAKERS[name](tmp_path_factory.mktemp(name) / "venue", seed)


# ---- what the tables hold


def dumped(journal, *options):
    return [json.loads(line) for line in ask("dump", journal, "--jsonl", *options).splitlines()]


def named(row):
    """What an exported row says: the columns that its kind has."""
    assert row["time_utc"] == row["time"]
    return {name: value for name, value in row.items() if value is not None and name != "time_utc"}


def test_events_are_those_of_the_dump_and_of_the_model(journal):
    rows = [named(row) for row in export(journal, "events")]
    kinds = {struct.__name__ for struct in EVENTS.values()}
    assert rows == [row for row in dumped(journal, "--events") if row["kind"] in kinds]
    model = [event for one in told(journal) for event in one.events]
    assert [(row["kind"], row["sequence"], row["outbound"]) for row in rows] == [
        (type(event).__name__, event.sequence, event.outbound) for event in model
    ]


def test_commands_are_those_of_the_dump(journal):
    """Hash and salt are missing; a row that no Struct fits is there column by column."""
    rows = [named(row) for row in export(journal, "commands")]
    shown = dumped(journal)
    assert len(rows) == len(shown)
    for row, line in zip(rows, shown, strict=True):
        wanted = line
        if wanted["kind"] == "Malformed":
            columns = " ".join(map(str, wanted["columns"]))
            wanted = {"kind": "Malformed", "sequence": wanted["sequence"], "time": wanted["time"],
                      "malformed": f"{columns} ({wanted['why']})"}  # fmt: skip
        wanted.pop("hash", None)
        assert row == wanted


def test_executions_are_the_matches_of_the_model(journal):
    wanted = []
    for one in told(journal):
        pairs = [event for event in one.events if isinstance(event, m.Executed)]
        settled = [event for event in one.events if isinstance(event, m.Settled)]
        for rest, come, moved in zip(pairs[::2], pairs[1::2], settled, strict=True):
            assert come.flags & REMOVED
            assert not rest.flags & REMOVED
            side = Side(come.flags & SIDE_MASK)
            buyer, seller = (come, rest) if side == Side.BUY else (rest, come)
            row = {"match_number": rest.match_number, "sequence": one.sequence, "time": one.time, "time_utc": one.time}
            row |= {"instrument": rest.instrument, "price": rest.price, "quantity": rest.quantity}
            row |= {"aggressor": side.name, "base_amount": moved.base_amount, "quote_amount": moved.quote_amount}
            row |= {"buyer_fee": moved.buyer_fee, "seller_fee": moved.seller_fee}
            assert (moved.buyer, moved.seller) == (buyer.account, seller.account)
            for name, event in (("buyer", buyer), ("seller", seller)):
                row |= {f"{name}_order": event.order_number}
                row |= {
                    f"{name}_{what}": getattr(event, what)
                    for what in ("account", "session", "client_order_id", "leaves")
                }
            wanted.append(row)
    rows = export(journal, "executions")
    assert [{name: row[name] for name in one} for row, one in zip(rows, wanted, strict=True)] == wanted
    assert [row["match_number"] for row in rows] == list(range(1, len(wanted) + 1))
    check_names(journal, rows)


def check_names(journal, rows):
    """Symbols, currencies and display decimals are those of the instruments' definitions."""
    instruments, currencies = {}, {}
    for one in told(journal):
        for event in one.events:
            if isinstance(event, m.InstrumentDefined):
                instruments[event.instrument] = event
            if isinstance(event, m.CurrencyDefined):
                currencies[event.currency] = event
    for row in rows:
        terms = instruments[row["instrument"]]
        base, quote = (currencies[terms.currencies >> shift & 0xFFFFFFFF] for shift in (0, 32))
        assert row["symbol"] == terms.symbol
        assert (row["base_currency"], row["quote_currency"]) == (base.symbol, quote.symbol)
        assert row["quote_decimals"] == quote.decimals
        assert row["price_display"] == decimal_text(row["price"], terms.flags & 0xFF)
        assert row["quantity_display"] == decimal_text(row["quantity"], terms.flags >> 8 & 0xFF)


def lives(journal):
    """What became of every order, found by looking at the events of each alone."""
    histories, refusals = {}, []
    for one in told(journal):
        for event in one.events:
            if isinstance(event, m.Rejected) and event.command == m.EnterOrder.KIND:
                refusals.append((one, event))
            elif getattr(event, "order_number", 0) and not isinstance(event, m.Acknowledged | m.Rested):
                histories.setdefault(event.order_number, []).append(event)
    return histories, refusals


def test_orders_are_the_lives_that_the_model_tells(journal):
    rows = export(journal, "orders")
    histories, refusals = lives(journal)
    expiries = {one.sequence: memoryview(one.row).cast("q")[11] for one in told(journal)}
    by_number = {row["order_number"]: row for row in rows if row["order_number"] is not None}
    assert by_number.keys() == histories.keys()
    for number, events in histories.items():
        row, first, last = by_number[number], events[0], events[-1]
        matches = [event for event in events if isinstance(event, m.Executed)]
        moved = [event for event in events if isinstance(event, m.Replaced)]
        taken = [event for event in events if isinstance(event, m.Reduced | m.Canceled | m.Expired)]
        assert isinstance(first, m.Accepted)
        assert (row["entered_sequence"], row["entered_time"], row["entered_time_utc"]) == (
            first.sequence,
            first.time,
            first.time,
        )
        for name in ("instrument", "account", "session", "price", "quantity"):
            assert row[name] == getattr(first, name), name
        named_later = [expiries[event.sequence] for event in moved if expiries[event.sequence]]
        assert row["expires"] == [first.expires, *named_later][-1]
        assert row["client_order_id"] == last.client_order_id
        assert row["side"] == Side(first.flags & 1).name
        assert row["order_type"] == OrderType(first.flags >> 1 & 15).name
        assert row["time_in_force"] == TimeInForce(first.flags >> 5 & 15).name
        assert row["post_only"] == bool(first.flags & 0x200)
        assert (row["executed"], row["matches"]) == (sum(event.quantity for event in matches), len(matches))
        assert [row["first_match_time"], row["last_match_time"]] == (
            [matches[0].time, matches[-1].time] if matches else [None, None]
        )
        assert row["replaced"] == len(moved)
        assert row["last_price"] == (moved[-1].price if moved else first.price)
        assert row["reduced"] == sum(isinstance(event, m.Reduced) for event in events)
        assert row["canceled"] == sum(event.quantity for event in taken)
        assert (row["end"], row["reason"], row["leaves"]) == end_of(last)
        ended = row["end"] != "OPEN"
        assert (row["ended_sequence"], row["ended_time"]) == ((last.sequence, last.time) if ended else (None, None))
    check_refusals([row for row in rows if row["order_number"] is None], refusals)
    ends = [row["ended_sequence"] for row in rows]
    assert ends == sorted(ends, key=lambda sequence: sequence or 2**62), "in the order in which they ended"


def end_of(event):
    if isinstance(event, m.Canceled):
        return "CANCELED", CancelReason(event.reason).name, 0
    if isinstance(event, m.Expired):
        return "EXPIRED", None, 0
    return ("FILLED", None, 0) if event.leaves == 0 else ("OPEN", None, event.leaves)


def check_refusals(rows, refusals):
    assert len(rows) == len(refusals)
    for row, (one, event) in zip(rows, refusals, strict=True):
        assert (row["end"], row["reason"]) == ("REJECTED", RejectReason(event.reason).name)
        assert row["entered_sequence"] == row["ended_sequence"] == one.sequence
        columns = memoryview(one.row).cast("q")
        sent = {
            "session": 3,
            "instrument": 6,
            "account": 7,
            "client_order_id": 8,
            "price": 9,
            "quantity": 10,
            "expires": 11,
        }
        assert {name: row[name] for name in sent} == {name: columns[at] for name, at in sent.items()}


DEPTH = 3


def shown(row):
    """The levels of an exported book: price, quantity, orders of bids and asks."""
    sides = []
    for side in ("bid", "ask"):
        names = [[f"{side}_{what}_{n}" for what in ("price", "quantity", "orders")] for n in range(1, DEPTH + 1)]
        found = [tuple(row[name] for name in level) for level in names]
        kept = [level for level in found if level[0] is not None]
        assert found == kept + [(None, None, None)] * (DEPTH - len(kept))
        sides.append(kept)
    return sides


@pytest.mark.parametrize("every", ["1row", "7rows", "3us", "1s"])
def test_books_are_those_of_the_model_at_every_moment(journal, every):
    """After each row before which a moment lies: every instrument that is listed by then, with its state."""
    step = {"1row": 1, "7rows": 7, "3us": 3_000, "1s": 10**9}[every]
    wanted, last = [], None
    for one in told(journal):
        moment = -(-(one.sequence if "row" in every else one.time) // step) * step
        if last is not None and last[0]["moment"] != moment:
            wanted += last
        states = one.model.instrument_states
        last = [
            {
                "moment": moment, "sequence": one.sequence, "time": one.time, "instrument": number,
                "levels": [levels(one.model, number, side)[:DEPTH] for side in Side],
                "trading_state": max(one.model.venue_state, states.get(number, 1)),
            }
            for number in sorted(one.model.instruments)
        ] or [{"moment": moment, "nothing": True}]  # fmt: skip
    wanted = [row for row in [*wanted, *last] if "nothing" not in row]
    rows = export(journal, "books", "--every", every, "--depth", DEPTH)
    assert len(rows) == len(wanted)
    states = {"OPEN": 1, "CANCEL_ONLY": 2, "HALTED": 3}
    for row, one in zip(rows, wanted, strict=True):
        assert {name: row[name] for name in ("moment", "sequence", "time", "instrument")} == {
            name: one[name] for name in ("moment", "sequence", "time", "instrument")
        }
        assert shown(row) == one["levels"], one["sequence"]
        assert states[row["trading_state"]] == one["trading_state"]


@pytest.mark.parametrize("every", [f"{2**61 - 1}rows", f"{2**61 - 1}ns"])
def test_books_as_far_apart_as_may_be(venue, every):
    """One moment behind all rows, which fits into 64 bits."""
    rows = export(venue, "books", "--every", every)
    assert [(row["moment"], row["sequence"]) for row in rows] == [(2**61 - 1, ROWS)]


@pytest.mark.both
def test_books_are_those_of_the_engine_at_those_moments(tmp_path):
    (seed,) = seeds(1)
    journal = random_journal(tmp_path / "venue", seed, 200)
    rows = export(journal, "books", "--every", "40rows", "--depth", DEPTH)
    with reading(journal) as directory:
        for row in rows:
            book = Book.of_state(machine_at(directory, row["sequence"]).rows(), row["instrument"])
            assert shown(row) == [
                [(level.price, level.quantity, len(level.orders)) for level in book.levels(side, DEPTH)]
                for side in Side
            ], f"seed {seed}, row {row['sequence']}"


# ---- ranges, symbols and kinds


@pytest.fixture(scope="module")
def day(tmp_path_factory):
    (seed,) = seeds(1)
    return random_journal(tmp_path_factory.mktemp("day") / "venue", seed, 300)


@pytest.mark.parametrize("what", ["commands", "events", "executions"])
def test_parts_put_together_are_the_whole(day, what):
    with reading(day) as directory:
        head = directory.head().sequence
    cuts = [1, 2, head // 3, head // 2, head]
    rows = []
    for first, after in zip(cuts, [*cuts[1:], head + 1], strict=True):
        rows += export(day, what, "--from", first, "--upto", after - 1)
    assert rows == export(day, what)


def test_times_name_the_rows_that_are_stamped_within_them(day):
    whole = export(day, "commands")
    for since, until in ((whole[40], whole[90]), (whole[0], whole[-1]), (whole[5], whole[5])):
        rows = export(day, "commands", "--since", since["time"], "--until", until["time"])
        assert rows == [row for row in whole if since["time"] <= row["time"] <= until["time"]]
    assert export(day, "commands", "--since", whole[-1]["time"] + 1) == []
    assert export(day, "commands", "--until", whole[0]["time"] - 1) == []
    assert export(day, "events", "--until", whole[0]["time"] - 1) == []


def test_books_of_a_range_begin_with_what_stood_before(day):
    whole = export(day, "books", "--every", "1row", "--depth", DEPTH)
    part = export(day, "books", "--every", "1row", "--depth", DEPTH, "--from", 150, "--upto", 160)
    assert part == [row for row in whole if 150 <= row["sequence"] <= 160]


def test_orders_that_stood_before_a_range_are_told_without_their_entry(day):
    whole = {row["order_number"]: row for row in export(day, "orders") if row["order_number"]}
    part = {row["order_number"]: row for row in export(day, "orders", "--from", 200) if row["order_number"]}
    assert part.keys() == {
        number for number, row in whole.items() if row["ended_sequence"] is None or row["ended_sequence"] >= 200
    }
    same = ("symbol", "account", "session", "side", "order_type", "time_in_force", "post_only", "expires", "end",
            "executed", "leaves", "last_price", "client_order_id", "ended_sequence", "reason")  # fmt: skip
    stood = 0
    for number, row in part.items():
        if whole[number]["entered_sequence"] >= 200:
            assert row == whole[number]
            continue
        stood += 1
        assert {name: row[name] for name in same} == {name: whole[number][name] for name in same}
        assert {row[name] for name in ("entered_sequence", "entered_time", "price", "quantity", "price_display")} == {
            None
        }
    assert stood > 0


@pytest.mark.parametrize("what", ["executions", "orders", "books"])
def test_a_symbol_narrows_a_table_to_one_instrument(day, what):
    whole = export(day, what)
    rows = export(day, what, "--symbol", "EUR/USD")
    assert rows == [row for row in whole if row["symbol"] == "EUR/USD"]
    assert 0 < len(rows) < len(whole)


def test_kinds_narrow_rows_and_columns(day):
    whole = export(day, "events")
    rows = export(day, "events", "--kind", "Executed", "--kind", "Settled")
    assert [named(row) for row in rows] == [named(row) for row in whole if row["kind"] in {"Executed", "Settled"}]
    assert [*rows[0]] == [
        "kind", "sequence", "time", "time_utc", "session", "outbound", "flags", "instrument", "account",
        "client_order_id", "price", "quantity", "order_number", "leaves", "match_number", "drop_copy", "market_data",
        "buyer", "seller", "base_amount", "quote_amount", "buyer_fee", "seller_fee", "buyer_drop_copy",
        "seller_drop_copy",
    ]  # fmt: skip
    rows = export(day, "commands", "--kind", "MassCancel")
    assert [named(row) for row in rows] == [
        named(row) for row in export(day, "commands") if row["kind"] == "MassCancel"
    ]


# ---- files


@pytest.mark.parametrize("what", TABLES)
def test_csv_read_with_the_types_of_parquet_is_the_same_table(day, what, tmp_path):
    for name in ("t.parquet", "t.csv"):
        ask("export", day, what, "--to", tmp_path / name)
    table = pq.read_table(tmp_path / "t.parquet")
    types = {field.name: field.type for field in table.schema}
    convert = csv.ConvertOptions(column_types=types, strings_can_be_null=True, quoted_strings_can_be_null=False)
    read = csv.read_csv(tmp_path / "t.csv", convert_options=convert)
    assert read.schema.equals(table.schema.remove_metadata())
    assert as_table(read) == as_table(table)
    assert table.num_rows > 0


def test_integers_are_64_bits_and_times_are_utc_in_nanoseconds(day, tmp_path):
    for what in TABLES:
        ask("export", day, what, "--to", tmp_path / "t.parquet")
        types = {field.name: str(field.type) for field in pq.read_schema(tmp_path / "t.parquet")}
        assert {types[name] for name in types if name.endswith("time_utc")} == {"timestamp[ns, tz=UTC]"}
        assert {*types.values()} <= {"int64", "string", "bool", "timestamp[ns, tz=UTC]"}
        assert types["sequence" if what != "orders" else "ended_sequence"] == "int64"


def test_metadata_names_the_journal_the_rows_and_the_digests(day, tmp_path):
    told_ = ask_json("export", day, "executions", "--to", tmp_path / "t.parquet", "--upto", 250)
    metadata = {key.decode(): value.decode() for key, value in pq.read_schema(tmp_path / "t.parquet").metadata.items()}
    replayed = ask_json("replay", day, "--to", 250)
    assert metadata["lockstep.table"] == "executions"
    assert metadata["lockstep.journal"] == "venue"
    assert (metadata["lockstep.first"], metadata["lockstep.last"]) == ("1", "250")
    assert metadata["lockstep.semantics"] == str(SEMANTICS)
    assert metadata["lockstep.event_digest"] == replayed["event_digest"]
    assert metadata["lockstep.state_digest"] == replayed["state_digest"]
    with reading(day) as directory:
        last = next(header for n in range(250, 400) if (header := directory.header_at(n)) is not None)
    assert metadata["lockstep.batch"] == f"{last.last}:{last.hash.hex()}"
    assert {f"lockstep.{name}": value for name, value in told_.items()} | metadata == {
        f"lockstep.{name}": value for name, value in told_.items()
    }
    assert told_["rows"] == pq.read_metadata(tmp_path / "t.parquet").num_rows


def test_memory_is_bounded_by_blocks(day):
    """However the rows are cut into blocks, they are the same rows; and no block is larger than was asked for."""
    with reading(day) as directory:
        events = b"".join(batch.events for batch in Source(directory, Asked()).applied())
    table = Events(())
    whole = [column.to_pylist() for column in table.block(events)]
    for size in (1, 7, 64):
        cut = [*pieces((events[at : at + 640] for at in range(0, len(events), 640)), size * 128)]
        assert {len(piece) for piece in cut[:-1]} == {size * 128}
        assert b"".join(cut) == events
        blocks = [table.block(piece) for piece in cut[:20]]
        for number, column in enumerate(whole):
            assert [value for block in blocks for value in block[number].to_pylist()] == column[: 20 * size]
    assert BLOCK_ROWS * 128 <= 2**24


def test_rows_made_one_by_one_are_gathered_no_further_than_a_block(monkeypatch):
    monkeypatch.setattr(export_file, "CELLS", 20)
    made = []
    rows = ((made.append(n), n, str(n))[1:] for n in range(14))
    found = export_file.blocks(rows, 3)
    assert next(found) == [(0, 1, 2, 3, 4, 5), ("0", "1", "2", "3", "4", "5")]
    assert len(made) == 6
    assert [len(block[0]) for block in found] == [6, 2]
    assert [*export_file.blocks(iter([]), 3)] == []


def test_hash_and_salt_are_in_no_table(tmp_path):
    """Not those of a credential that was set, and not those of a row that the engine refused."""
    secret = {name: (-1) ** n * (0x0123456789ABCDEF * (n + 3) % 2**62) for n, name in enumerate(NAMES)}
    directory, sequencer = create(tmp_path / "venue")
    spoiled = to_row(SetCredential(grantee=1, cost=9, **secret))
    sequencer.submit(to_row(SetCredential(cost=14, **secret)) + spoiled[:40] + b"\1" + spoiled[41:], 1)
    sequencer.events.close()
    directory.close()
    for what in ("commands", "events"):
        rows = export(tmp_path / "venue", what)
        ask("export", tmp_path / "venue", what, "--to", tmp_path / "t.csv")
        text = (tmp_path / "t.csv").read_text()
        assert rows
        assert [name for name, value in secret.items() if name in rows[0] or name in text or str(value) in text] == []


def test_a_text_with_commas_and_quotes_survives_csv(tmp_path):
    directory, sequencer = create(tmp_path / "venue")
    sequencer.submit(to_row(m.OpenAccount(account=1, firm=1, name='a "b", c')), 1)
    sequencer.events.close()
    directory.close()
    ask("export", tmp_path / "venue", "commands", "--to", tmp_path / "t.csv")
    assert csv.read_csv(tmp_path / "t.csv")["name"].to_pylist() == ['a "b", c']


def test_format_is_that_of_the_suffix_unless_it_is_named(venue, tmp_path):
    ask("export", venue, "orders", "--to", tmp_path / "one.CSV")
    ask("export", venue, "orders", "--to", tmp_path / "two", "--format", "csv")
    assert (tmp_path / "one.CSV").read_bytes() == (tmp_path / "two").read_bytes()
    printed = ask("export", venue, "orders", "--to", tmp_path / "one.csv", "--format", "parquet")
    assert printed == f"{tmp_path / 'one.csv'}: 5 orders, rows 1 to {ROWS} of {venue}\n"
    assert parquet(tmp_path / "one.csv")


def test_an_export_reads_beside_the_writer(venue, in_another_process):
    with in_another_process(venue):
        assert len(export(venue, "commands")) == ROWS
        assert export(venue, "executions")


@pytest.mark.parametrize("way", ["applied", "stored"])
def test_no_read_transaction_stays_open_between_two_batches(day, way):
    """One that did would keep the writer of a live journal from using freed pages again."""
    with reading(day) as directory:
        batches = 0
        for _ in getattr(Source(directory, Asked()), way)():
            batches += 1
            for first in directory.segments():
                readers = directory.segment(first)._environment.check().readers().splitlines()
                assert {line.split()[-1] for line in readers[1:]} <= {"-"}, readers
        assert batches > 10


def test_a_terminal_shows_how_far_an_export_is(day, tmp_path, monkeypatch):
    class Terminal(StringIO):
        def isatty(self):
            return True

    monkeypatch.setattr(sys, "stderr", Terminal())
    with progress(7) as advance:
        advance(3)
    assert "3/7" in sys.stderr.getvalue()


def test_exporting_changes_nothing_in_the_journal(venue):
    before = {path: path.read_bytes() for path in venue.rglob("*") if path.is_file() and path.name != "lock.mdb"}
    for what in TABLES:
        export(venue, what)
    assert {
        path: path.read_bytes() for path in venue.rglob("*") if path.is_file() and path.name != "lock.mdb"
    } == before
    assert verify(venue).good


# ---- journals of other shapes


def test_an_empty_journal_gives_empty_tables(tmp_path):
    journal = empty_journal(tmp_path / "venue")
    for what in TABLES:
        assert export(journal, what) == []
    assert pq.read_schema(tmp_path / "executions.parquet").names[0] == "match_number"


def test_a_journal_that_ends_with_an_upgrade_is_exported_up_to_it(tmp_path):
    """The next segment is another release's; what stands before it can be replayed, and commands need no replay."""
    directory, sequencer = create(tmp_path / "venue")
    sequencer.submit(to_row(m.DefineCurrency(currency=1, symbol="USD")) + to_row(Upgrade(version=SEMANTICS + 1)), 1)
    sequencer.events.close()
    directory.close()
    assert [row["kind"] for row in export(tmp_path / "venue", "events")] == ["CurrencyDefined", "Upgraded"]
    assert [row["kind"] for row in export(tmp_path / "venue", "commands")] == ["DefineCurrency", "Upgrade"]


def test_quarantines_are_in_the_tables(tmp_path):
    """A row that was replaced by a halt is told as such, and the books after it say what is halted."""
    journal = golden_journal(tmp_path / "venue")
    rows = export(journal, "events", "--kind", "Quarantined")
    assert len(rows) == 2
    states = export(journal, "books", "--every", "1row")
    assert "HALTED" in {row["trading_state"] for row in states if row["sequence"] == rows[0]["sequence"]}


# ---- errors: one line, the right code, and nothing left

MISUSES = [
    (["executions", "--to", "t.xlsx"], "end it in .parquet or .csv, or give --format"),
    (["executions", "--to", "t"], "end it in .parquet or .csv, or give --format"),
    (["executions", "--to", "t.csv", "--format", "xlsx"], "--format"),
    (["nonsense", "--to", "t.csv"], "nonsense"),
    (["executions"], "--to"),
    (["executions", "--to", "no/where.csv"], "there is no directory no"),
    (["executions", "--to", "DIR"], "a directory"),
    (["executions", "--to", "DIR/segments/t.csv"], "within the journal"),
    (["executions", "--to", "/dev/null", "--format", "csv"], "not a file"),
    (["executions", "--to", "t.csv", "--symbol", "ZZZ"], "no instrument ZZZ; known: AAA/USD"),
    (["events", "--to", "t.csv", "--symbol", "AAA/USD"], "--symbol goes with executions and orders and books"),
    (["executions", "--to", "t.csv", "--kind", "Executed"], "--kind goes with commands and events"),
    (["executions", "--to", "t.csv", "--depth", 3], "--depth goes with books"),
    (["events", "--to", "t.csv", "--kind", "EnterOrder"], "--kind EnterOrder: no such kind; known: "),
    (["commands", "--to", "t.csv", "--kind", "Executed"], "--kind Executed: no such kind; known: "),
    (["books", "--to", "t.csv", "--every", "0rows"], "--every 0rows: give a number with rows"),
    (["books", "--to", "t.csv", "--every", "often"], "--every often"),
    (["books", "--to", "t.csv", "--every", f"{'9' * 19}h"], f"--every {'9' * 19}h: at most {2**61 - 1} rows or ns"),
    (["books", "--to", "t.csv", "--every", f"{2**61}ns"], f"--every {2**61}ns: at most"),
    (["books", "--to", "t.csv", "--depth", 0], "--depth"),
    (["books", "--to", "t.csv", "--depth", 1_001], "--depth"),
    (["events", "--to", "t.csv", "--from", 0], f"--from 0: this journal holds the rows 1 to {ROWS}"),
    (["events", "--to", "t.csv", "--from", ROWS + 1], f"this journal holds the rows 1 to {ROWS}"),
    (["events", "--to", "t.csv", "--upto", ROWS + 1], f"--upto {ROWS + 1}: this journal holds the rows 0 to {ROWS}"),
    (["events", "--to", "t.csv", "--from", 5, "--upto", 4], "begins at row 5, behind its end, row 4"),
    (["events", "--to", "t.csv", "--from", 1, "--since", "1"], "--from and --since exclude each other"),
    (["events", "--to", "t.csv", "--upto", 1, "--until", "1"], "--upto and --until exclude each other"),
    (["events", "--to", "t.csv", "--since", "noon"], "noon: not a time"),
    (["events", "--to", "t.csv", "--since", "9" * 5_000], "no time of a row has more than 19 digits"),
    (["events", "--to", "t.csv", "--since", NINE + 5 * 10**9, "--until", NINE], "behind its end"),
]


@pytest.mark.parametrize(("arguments", "said"), MISUSES, ids=lambda value: " ".join(map(str, value))[:60])
def test_misuse_is_one_line_and_leaves_nothing(arguments, said, venue, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    assert said in refused(64, "export", venue, *(str(a).replace("DIR", str(venue)) for a in arguments))
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("what", TABLES)
@pytest.mark.parametrize("kind", ["missing", "empty", "foreign"])
def test_no_journal(what, kind, tmp_path):
    if kind != "missing":
        (tmp_path / "there").mkdir()
    if kind == "foreign":
        (tmp_path / "there" / "notes.txt").write_text("x")
    before = sorted(tmp_path.rglob("*"))
    assert "no journal here" in refused(2, "export", tmp_path / "there", what, "--to", tmp_path / "t.csv")
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("what", TABLES)
def test_damage_leaves_the_file_as_it_was(what, venue, tmp_path):
    shutil.rmtree(venue / "snapshots")
    flip(venue / "segments" / f"{1:020}" / "data.mdb", (9_990).to_bytes(8, "little"))
    (tmp_path / "t.csv").write_text("older")
    line = refused(1, "export", venue, what, "--to", tmp_path / "t.csv")
    assert "its hash is not that of its bytes" in line
    assert {path.name for path in tmp_path.iterdir()} == {"venue", "t.csv"}
    assert (tmp_path / "t.csv").read_text() == "older"


@pytest.mark.parametrize(
    "error", [KeyboardInterrupt(), OSError(28, "No space left on device")], ids=["interrupt", "full"]
)
@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_an_export_that_is_stopped_leaves_nothing(venue, tmp_path, monkeypatch, error, form):
    written = Sink.write

    def stop(self, block):
        written(self, block)
        raise error

    monkeypatch.setattr(Sink, "write", stop)
    result = run("export", venue, "events", "--to", tmp_path / f"t.{form}")
    assert result.exit_code == (130 if isinstance(error, KeyboardInterrupt) else 1)
    assert {path.name for path in tmp_path.iterdir()} == {"venue"}
    monkeypatch.undo()
    assert export(venue, "events")


@pytest.mark.parametrize("name", ["pyarrow", "numpy"])
def test_a_missing_library_is_one_line(name, venue, tmp_path):
    code = f"import sys; sys.modules[{name!r}] = None; from tools.main import main; main()"
    command = [sys.executable, "-c", code, "export", str(venue), "events", "--to", str(tmp_path / "t.parquet")]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == f"lockstep: needs {name}: pip install 'lockstep[export]'\n"
    assert not (tmp_path / "t.parquet").exists()
