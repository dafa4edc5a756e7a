"""Edits of YAML text, one way of writing after another: what isn't meant stays, byte for byte."""

from __future__ import annotations

from typing import Any

import pytest

from bennu.errors import ConfigError
from tests.unit.manifests.texts import add, changed, drop, put, refused, trees

PLAIN = """\
# What Bennu never touches: a head,
---
apiVersion: v1   # spaces before a comment
kind: ConfigMap

metadata: {name: pointer,   namespace: payments}
data:
  # above a key
  FIRST:   one     # behind it
  "SECOND": 'two'
  THIRD: "three"
  FOURTH: |
    several
      lines

  # between

  FIFTH: 5
list:
- a
-   b   # b
-  - c
   - d
# and a tail
"""


def _with(old: str, new: str) -> str:
    assert PLAIN.count(old) == 1
    return PLAIN.replace(old, new)


# Scalars


@pytest.mark.parametrize(
    ("path", "value", "old", "new"),
    [
        (("data", "FIRST"), "uno", "FIRST:   one     # behind it", "FIRST:   uno     # behind it"),
        (("data", "SECOND"), "dos", "'two'", "'dos'"),
        (("data", "SECOND"), "it's", "'two'", "'it''s'"),
        (("data", "THIRD"), "tres", '"three"', '"tres"'),
        (("data", "THIRD"), 'a "b" \\c', '"three"', '"a \\"b\\" \\\\c"'),
        (("data", "THIRD"), "a\nb", '"three"', '"a\\nb"'),
        (("data", "SECOND"), "a\nb", "'two'", '"a\\nb"'),
        (("data", "FIFTH"), 6, "FIFTH: 5", "FIFTH: 6"),
        (("data", "FIFTH"), "5", "FIFTH: 5", 'FIFTH: "5"'),
        (("data", "FIRST"), True, "FIRST:   one ", "FIRST:   true "),
        (("data", "FIRST"), None, "FIRST:   one ", "FIRST:   null "),
        (("data", "FIRST"), "", "FIRST:   one ", 'FIRST:   "" '),
        (("metadata", "name"), "other", "{name: pointer, ", "{name: other, "),
        (("metadata", "name"), "a, b", "{name: pointer, ", '{name: "a, b", '),
        (("metadata", "name"), "a]", "{name: pointer, ", '{name: "a]", '),
        (("list", 1), "beta", "-   b   # b", "-   beta   # b"),
        (("list", 2, 0), "gamma", "-  - c", "-  - gamma"),
    ],
)
def test_a_scalar_changes_in_its_place_with_its_quotes_and_its_comment(path: tuple[str | int, ...], value: Any, old: str, new: str) -> None:
    assert put(PLAIN, path, value) == _with(old, new)


@pytest.mark.parametrize("value", ["no", "on", "Yes", "null", "~", "12:30:45", "1_000", "2026-01-01", "0x1f", "1e3", "+1", ".5", "5.", "true", "0o7", "=x", ""])
def test_what_an_older_reader_would_take_for_something_else_is_quoted(value: str) -> None:
    edited = put(PLAIN, ("data", "FIRST"), value)
    assert edited == _with("FIRST:   one ", f"FIRST:   {value if value == '=x' else chr(34) + value + chr(34)} ")


@pytest.mark.parametrize(
    "value", ["a: b", "a #b", "- a", "*a", "&a", "!a", "%a", "@a", "`a", "{a", "[a", "? a", "a:", " a", "a ", "'a", '"a', "|", ">", "---", "#"]
)
def test_what_would_not_be_read_back_plain_is_quoted(value: str) -> None:
    edited = put(PLAIN, ("data", "FIRST"), value)
    assert trees(edited)[-1]["data"]["FIRST"] == value
    assert changed(PLAIN, edited)[0] == ["  FIRST:   one     # behind it\n"]
    assert len(changed(PLAIN, edited)[1]) == 1


@pytest.mark.parametrize("value", ["a\x07b", "a\x85b", "a\u2028b", "a\ufeffb", "a\x7fb", "ünï", "日本", "\U0001f600", "tab\there"])
@pytest.mark.parametrize("key", ["FIRST", "SECOND", "THIRD"])
def test_any_character_survives(key: str, value: str) -> None:
    assert trees(put(PLAIN, ("data", key), value))[-1]["data"][key] == value


def test_saying_the_same_changes_nothing() -> None:
    for path, value in (
        (("data", "FIRST"), "one"),
        (("data", "FIFTH"), 5),
        (("data", "FOURTH"), "several\n  lines\n"),
        (("list", 2), ["c", "d"]),
        (("metadata",), {"namespace": "payments", "name": "pointer"}),
    ):
        assert put(PLAIN, path, value) is PLAIN


def test_one_is_not_true_and_text_is_no_number() -> None:
    assert put("kind: ConfigMap\na: [1]\n", ("a",), [True]) == "kind: ConfigMap\na: [true]\n"
    assert put("kind: ConfigMap\na: 1.0\n", ("a",), 1) == "kind: ConfigMap\na: 1\n"
    assert put("kind: ConfigMap\na: 'true'\n", ("a",), True) == "kind: ConfigMap\na: true\n"


@pytest.mark.parametrize(
    "text",
    ["kind: ConfigMap\na:\n", "kind: ConfigMap\na:", "kind: ConfigMap\na:   # why\n", "kind: ConfigMap\na:\n---\nkind: X\n", "kind: ConfigMap\na:\nz: 1\n"],
)
def test_a_null_that_is_not_written_out_takes_a_value_behind_its_colon(text: str) -> None:
    assert put(text, ("a",), "v") == text.replace("a:", "a: v", 1)


def test_so_does_an_item_that_is_not() -> None:
    assert put("kind: ConfigMap\na:\n  - x\n  -\n  - z\n", ("a", 1), "m") == "kind: ConfigMap\na:\n  - x\n  - m\n  - z\n"


# Block scalars


def test_a_block_scalar_keeps_its_shape_for_several_lines_and_loses_it_for_one() -> None:
    assert put(PLAIN, ("data", "FOURTH"), "other\nlines\n") == _with("    several\n      lines\n", "    other\n    lines\n")
    assert put(PLAIN, ("data", "FOURTH"), "short") == _with("FOURTH: |\n    several\n      lines\n", "FOURTH: short\n")


@pytest.mark.parametrize("header", ["|", "|-", "|+", ">", ">-", ">+", "|2", "|2-", "| # why"])
def test_what_stands_before_and_behind_a_block_scalar_stays(header: str) -> None:
    text = f"kind: ConfigMap\ndata:\n  a: 1\n  s: {header}\n    x\n    y\n\n  # c\n  z: 2\n"
    assert put(text, ("data", "a"), 2) == text.replace("a: 1", "a: 2")
    assert put(text, ("data", "z"), 3) == text.replace("z: 2", "z: 3")
    assert changed(text, drop(text, ("data", "s")))[1] == []
    assert drop(text, ("data", "s")).endswith("  # c\n  z: 2\n")


def test_a_key_is_put_behind_a_block_scalar_that_ends_the_mapping() -> None:
    for tail in ("", "\n", "# c\n", "z: 1\n", "---\nkind: X\n"):
        text = f"kind: ConfigMap\ndata:\n  s: |\n    x\n{tail}"
        assert put(text, ("data", "k"), "v") == f"kind: ConfigMap\ndata:\n  s: |\n    x\n  k: v\n{tail}"


# Keys that come and go


def test_a_key_is_added_behind_the_last_one_of_its_mapping() -> None:
    assert put(PLAIN, ("data", "SIXTH"), "six") == _with("  FIFTH: 5\n", "  FIFTH: 5\n  SIXTH: six\n")


def test_keys_that_are_missing_on_the_way_are_added_with_it() -> None:
    assert put(PLAIN, ("spec", "a", "b"), [1]) == _with("   - d\n", "   - d\nspec:\n  a:\n    b:\n      - 1\n")


@pytest.mark.parametrize(
    ("path", "gone"),
    [
        (("data", "FIRST"), "  FIRST:   one     # behind it\n"),
        (("data", "SECOND"), "  \"SECOND\": 'two'\n"),
        (("data", "FOURTH"), "  FOURTH: |\n    several\n      lines\n"),
        (("data", "FIFTH"), "  FIFTH: 5\n"),
        (("list", 0), "- a\n"),
        (("list", 1), "-   b   # b\n"),
        (("list", 2), "-  - c\n   - d\n"),
        (("list", 2, 1), "   - d\n"),
        (("list",), "list:\n- a\n-   b   # b\n-  - c\n   - d\n"),
    ],
)
def test_what_is_deleted_goes_with_its_lines_and_no_others(path: tuple[str | int, ...], gone: str) -> None:
    assert drop(PLAIN, path) == _with(gone, "")


def test_the_first_member_behind_a_dash_leaves_its_place_to_the_second() -> None:
    assert drop("kind: ConfigMap\nl:\n- a: 1 # one\n  b: 2\n", ("l", 0, "a")) == "kind: ConfigMap\nl:\n- b: 2\n"
    assert drop("kind: ConfigMap\nl:\n  - - a\n    - b\n", ("l", 0, 0)) == "kind: ConfigMap\nl:\n  - - b\n"


def test_an_emptied_collection_goes_with_its_last_member() -> None:
    assert drop("kind: ConfigMap\ndata:\n  a:\n    b: 1\nz: 1\n", ("data", "a", "b")) == "kind: ConfigMap\nz: 1\n"
    assert drop("kind: ConfigMap\nl: [x] # why\nz: 1\n", ("l", 0)) == "kind: ConfigMap\nz: 1\n"


@pytest.mark.parametrize("path", [("data", "NONE"), ("none", "a"), ("list", 9), ("list", -1), ("list", "a"), ("data", "FIRST", "deeper")])
def test_what_is_not_there_is_not_deleted(path: tuple[str | int, ...]) -> None:
    assert drop(PLAIN, path) is PLAIN


@pytest.mark.parametrize(
    ("text", "item", "after"),
    [
        ("l:\n  - a\n", "b", "l:\n  - a\n  - b\n"),
        ("l:\n- a\n", {"k": 1, "m": "no"}, 'l:\n- a\n- k: 1\n  m: "no"\n'),
        ("l:\n    - a # c\n    # tail\nz: 1\n", "b", "l:\n    - a # c\n    - b\n    # tail\nz: 1\n"),
        ("l: [a] # why\n", "b", "l: [a, b] # why\n"),
        ("l: [a,b,]\n", "c", "l: [a,b, c,]\n"),
        ("l: [\n  a,\n  b\n]\n", "c", "l: [\n  a,\n  b,\n  c\n]\n"),
        ("l: []  # why\n", "a", "l:  # why\n  - a\n"),
        ("l: []\n", {"k": "two\nlines\n"}, "l:\n  - k: |\n      two\n      lines\n"),
        ("l:\n", "a", "l:\n  - a\n"),
        ("z: 1\n", "a", "z: 1\nl:\n  - a\n"),
        ('{"l": ["a"]}', "b", '{"l": ["a", b]}'),
        ("l:\n  - - a\n    - b\n", ["c"], "l:\n  - - a\n    - b\n  -   - c\n"),
    ],
)
def test_an_item_is_added_behind_the_last_one_in_the_lists_own_style(text: str, item: Any, after: str) -> None:
    head = "kind: ConfigMap\n"
    if text.startswith("{"):
        head = ""
        text, after = (one.replace("{", '{"kind": "ConfigMap", ', 1) for one in (text, after))
    assert add(head + text, ("l",), item) == head + after


# Flow style


@pytest.mark.parametrize(
    ("text", "path", "value", "after"),
    [
        ("{a: b, c: d} # k", ("x", "a"), "e", "{a: e, c: d} # k"),
        ("{a: b, c: d} # k", ("x", "e"), "f", "{a: b, c: d, e: f} # k"),
        ("{ a: b }", ("x", "e"), {"f": ["g", 1]}, "{ a: b, e: {f: [g, 1]} }"),
        ("{a: , c: d}", ("x", "a"), 1, "{a: 1, c: d}"),
        ("{a, c: d}", ("x", "c"), "e", "{a, c: e}"),
        ('{"a": "b"}', ("x", "c"), "d", '{"a": "b", "c": "d"}'),
        ('{"a": "b"}', ("x", "c"), {"d": [True, None]}, '{"a": "b", "c": {"d": [true, null]}}'),
        ("[a, b]", ("x", 0), "c", "[c, b]"),
        ("[a, {b: c}]", ("x", 1, "b"), "d, e", '[a, {b: "d, e"}]'),
        ("{a: [1, 2]}", ("x", "a"), "b", "{a: b}"),
        ("{a: b,\n    c: d}", ("x", "c"), "e", "{a: b,\n    c: e}"),
    ],
)
def test_flow_style_stays_flow_style(text: str, path: tuple[str | int, ...], value: Any, after: str) -> None:
    assert put(f"kind: ConfigMap\nx: {text}\n", path, value) == f"kind: ConfigMap\nx: {after}\n"


@pytest.mark.parametrize(
    ("text", "path", "after"),
    [
        ("{a: b, c: d} # k", ("x", "a"), "{c: d} # k"),
        ("{a: b, c: d} # k", ("x", "c"), "{a: b} # k"),
        ("{a: b, c: d,}", ("x", "c"), "{a: b,}"),
        ("[a, b, c]", ("x", 1), "[a, c]"),
        ("[ a, b ]", ("x", 1), "[ a ]"),
        ("[\n  a,\n  b\n]", ("x", 1), "[\n  a\n]"),
        ("[{a: b}, {c: d}]", ("x", 0), "[{c: d}]"),
    ],
)
def test_members_between_brackets_go_with_their_comma(text: str, path: tuple[str | int, ...], after: str) -> None:
    assert drop(f"kind: ConfigMap\nx: {text}\n", path) == f"kind: ConfigMap\nx: {after}\n"


def test_a_json_file_stays_one() -> None:
    text = '{\n  "kind": "ConfigMap",\n  "data": {"a": "b"}\n}\n'
    assert put(text, ("data", "c"), "d") == text.replace('{"a": "b"}', '{"a": "b", "c": "d"}')


# Collections


def test_a_collection_that_becomes_another_keeps_the_lines_of_what_stays() -> None:
    text = "kind: ConfigMap\nl:\n  - a # first\n  - b # second\n  - c\nz: 1\n"
    assert put(text, ("l",), ["a", "x"]) == "kind: ConfigMap\nl:\n  - a # first\n  - x # second\nz: 1\n"
    assert put(text, ("l",), ["a", "b", "c", "d"]) == text.replace("  - c\n", "  - c\n  - d\n")
    text = "kind: ConfigMap\nm:\n  a: 1 # one\n  b: 2\n"
    assert put(text, ("m",), {"a": 1, "c": 3}) == "kind: ConfigMap\nm:\n  a: 1 # one\n  c: 3\n"


@pytest.mark.parametrize(
    ("text", "path", "value", "after"),
    [
        ("a: 1 # c\n", ("a",), {"b": 1}, "a: # c\n  b: 1\n"),
        ("a: # c\nz: 1\n", ("a", "b"), 1, "a: # c\n  b: 1\nz: 1\n"),
        ("a: {} # c\n", ("a", "b"), 1, "a: # c\n  b: 1\n"),
        ("a:\n  b: 1\nz: 1\n", ("a",), "x", "a: x\nz: 1\n"),
        ("a:\n  b: 1\n", ("a",), [1], "a:\n  - 1\n"),
        ("a:\n  b: 1\n", ("a",), {}, "a: {}\n"),
        ("l:\n  - a\n  - b # c\n", ("l", 1), {"x": 1}, "l:\n  - a\n  - x: 1 # c\n"),
    ],
)
def test_a_value_of_another_shape_takes_its_place(text: str, path: tuple[str | int, ...], value: Any, after: str) -> None:
    found = put(f"kind: ConfigMap\n{text}", path, value)
    assert trees(found) == trees(f"kind: ConfigMap\n{after}")
    assert "# c" in found or "# c" not in text


# Refusals


@pytest.mark.parametrize(
    ("path", "value", "line"),
    [
        (("data", "FIRST", "deeper"), 1, 9),
        (("list", 9), 1, 20),
        (("list", "key"), 1, 20),
        (("kind", 0), 1, 4),
        ((), [1], None),
    ],
)
def test_what_cannot_be_put_there_is_refused_with_its_line(path: tuple[str | int, ...], value: Any, line: int | None) -> None:
    error = refused(PLAIN, path, value)
    assert "edit it by hand" in error.message
    if line is not None:
        assert error.line == line


def test_a_document_is_not_deleted_whole() -> None:
    with pytest.raises(ConfigError, match="a whole document"):
        drop("kind: ConfigMap\n", ("kind",))


@pytest.mark.parametrize(
    "text", ["kind: ConfigMap\na: 1\na: 2\n", "kind: ConfigMap\n\ta: 1\n", "kind: [\n", "kind: ConfigMap\na: *x\n", "kind: ConfigMap\na: !custom x\n"]
)
def test_a_file_that_does_not_parse_is_refused(text: str) -> None:
    assert "file.yaml" in refused(text, ("b",), 1).message


def test_a_file_under_sops_is_not_touched() -> None:
    text = "kind: ConfigMap\ndata: {a: 'ENC[AES256_GCM,data:x]'}\nsops: {version: 3.9.0}\n"
    assert "under SOPS" in refused(text, ("data", "a"), "b").message


def test_a_list_is_asked_for_where_something_is_appended() -> None:
    with pytest.raises(ConfigError, match="data is no list"):
        add(PLAIN, ("data",), 1)
