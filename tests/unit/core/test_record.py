"""Journal records: one line each, read back as they were written, and anything else refused."""

from __future__ import annotations

import json
from datetime import UTC

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bennu.core.record import SCHEMA, Kind, Record, parse, parse_all, rendered
from bennu.core.states import Direction, State, Status
from bennu.errors import DurableStateError

RECORD = Record(
    kind=Kind.DONE,
    rotation="prod-us-east-1-7",
    epoch=2,
    at="2026-11-23T02:00:00.000+00:00",
    nonce="9f8e7d6c5b4a3210",
    holder="ada@laptop",
    state=State.TRAFFIC_CANARY,
    status=Status.RUNNING,
    direction=Direction.FORWARD,
    step="traffic-canary.weight-10",
    data={"b": "2", "a": "1"},
)
RAW = json.loads(RECORD.line())

RECORDS = st.builds(
    Record,
    kind=st.sampled_from(Kind),
    rotation=st.just("") | st.integers(0, 10**9 - 1).map(lambda number: f"prod-us-east-1-{number}"),
    epoch=st.integers(0, 2**31),
    at=st.datetimes(timezones=st.just(UTC)).map(lambda at: at.isoformat(timespec="milliseconds")),
    nonce=st.text(),
    holder=st.text(),
    state=st.sampled_from(State),
    status=st.sampled_from(Status),
    direction=st.sampled_from(Direction),
    step=st.text(),
    data=st.dictionaries(st.text(), st.text(), max_size=4),
)


@given(RECORDS)
def test_a_record_is_read_back_as_it_was_written(record: Record) -> None:
    assert parse(record.line()) == record


@given(st.lists(RECORDS, max_size=5))
def test_so_are_many_whatever_their_texts_hold(records: list[Record]) -> None:
    assert parse_all(rendered(records)) == tuple(records)


@given(RECORDS)
def test_a_record_is_one_line_of_plain_ascii(record: Record) -> None:
    assert record.line().isascii()
    assert len(record.line().splitlines()) == 1


def test_the_line_reads_in_order_and_leaves_empty_parts_out() -> None:
    assert list(RAW) == ["v", "at", "kind", "rotation", "state", "step", "status", "direction", "epoch", "holder", "nonce", "data"]
    assert list(RAW["data"]) == ["a", "b"]
    bare = Record(Kind.LOCK, "r-1", 1, "t", "n", "h")
    assert "step" not in json.loads(bare.line())
    assert "data" not in json.loads(bare.line())
    assert " " not in bare.line()


def test_more_data_is_added_to_a_copy() -> None:
    more = RECORD.with_data(c="3", a="9")
    assert more.data == {"a": "9", "b": "2", "c": "3"}
    assert RECORD.data == {"a": "1", "b": "2"}


def test_blank_lines_are_skipped() -> None:
    assert parse_all(f"\n{RECORD.line()}\n\n  \n{RECORD.line()}") == (RECORD, RECORD)
    assert parse_all("") == ()


def test_a_key_that_this_version_does_not_know_is_left_aside() -> None:
    assert parse(json.dumps(RAW | {"later": 1})) == RECORD


@pytest.mark.parametrize("version", [SCHEMA + 1, 99])
def test_a_newer_schema_is_refused_whatever_else_the_line_holds(version: int) -> None:
    for line in (json.dumps(RAW | {"v": version}), json.dumps({"v": version, "quite": "other"})):
        with pytest.raises(DurableStateError) as refused:
            parse(line)
        assert f"schema {version}" in refused.value.message
        assert "a newer one" in refused.value.next_step
        assert refused.value.exit_code == 9


BROKEN = {
    "cut off": RECORD.line()[:-20],
    "not JSON": "hello",
    "not an object": "[]",
    "a number": "7",
    "null": "null",
    "nothing": "{}",
    "nested without end": "[" * 100_000,
    "a binary": "\x00\x01",
    **{f"without {key}": json.dumps({k: v for k, v in RAW.items() if k != key}) for key in RAW if key not in ("step", "data")},
    **{
        f"{key} = {value!r}": json.dumps(RAW | {key: value})
        for key, value in [
            ("v", "1"),
            ("v", 0),
            ("v", -1),
            ("v", True),
            ("v", 1.0),
            ("v", None),
            ("kind", "guess"),
            ("kind", None),
            ("kind", ["done"]),
            ("state", "S9"),
            ("status", "fine"),
            ("direction", "sideways"),
            ("epoch", "2"),
            ("epoch", -1),
            ("epoch", True),
            ("epoch", 1.5),
            ("rotation", 7),
            ("rotation", "prod"),
            ("rotation", "prod-us-east-1-" + "9" * 5000),
            ("rotation", "prod-us-east-1-٣"),
            ("at", None),
            ("at", "2026-0101T00:00:29.000+00:00"),
            ("at", "2026-01-01T00:00:00"),
            ("nonce", 5),
            ("holder", {}),
            ("step", 1),
            ("data", []),
            ("data", {"a": 1}),
            ("data", {"a": None}),
            ("data", "text"),
        ]
    },
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_line_that_is_no_record_is_refused_as_unreadable_state(name: str) -> None:
    with pytest.raises(DurableStateError) as refused:
        parse(BROKEN[name])
    assert refused.value.exit_code == 9
    assert "cannot be read" in refused.value.message
    assert refused.value.next_step


def test_one_broken_line_refuses_the_whole_note() -> None:
    with pytest.raises(DurableStateError):
        parse_all(f"{RECORD.line()}\n{RECORD.line()[:-1]}\n")


def test_a_refusal_shows_no_more_than_the_begin_of_a_long_line() -> None:
    with pytest.raises(DurableStateError) as refused:
        parse("x" * 10_000)
    assert len(refused.value.message) < 200


@given(position=st.integers(0, len(RECORD.line()) - 1), junk=st.characters(max_codepoint=127))
def test_a_flipped_byte_gives_a_record_or_a_refusal_and_never_a_crash(position: int, junk: str) -> None:
    line = RECORD.line()
    try:
        parse(line[:position] + junk + line[position + 1 :])
    except DurableStateError:
        return
