"""Edits of made-up files in every mixture of styles: there and back is the same text, and only the lines that are meant differ."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bennu.errors import ConfigError
from tests.unit.manifests.texts import add, changed, drop, put, trees

# The same examples everywhere: a run that fails on one machine fails on all.
QUIET = settings(derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])

# (text, value): scalars as people write them.
SCALARS: st.SearchStrategy[tuple[str, Any]] = st.sampled_from(
    [
        ("plain", "plain"),
        ("with words", "with words"),
        ("'single'", "single"),
        ("'it''s'", "it's"),
        ('"double"', "double"),
        ('"a\\tb"', "a\tb"),
        ("5", 5),
        ("1.5", 1.5),
        ("true", True),
        ('"true"', "true"),
        ("${VAR}", "${VAR}"),
        ('"${VAR:-x}"', "${VAR:-x}"),
        ("<< inputs.x >>", "<< inputs.x >>"),
        ("a#b", "a#b"),
        ("http://x:80/y", "http://x:80/y"),
        ("2026-01-01T00:00", "2026-01-01T00:00"),
        ("ünï", "ünï"),
    ]
)
COMMENTS = st.sampled_from(["", " # c", "   # it's: a 'comment'", " #"])
ABOVE = st.sampled_from(["", "", "  # above\n", "\n", "  # one\n\n  # two: 'x'\n"])
KEYS = st.lists(st.sampled_from(["A", "B", "C", "D_E", "f-g", "h.i", '"J"', "'K'"]), unique=True, min_size=1, max_size=5)
VALUES: st.SearchStrategy[Any] = st.one_of(
    st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cn")), max_size=12),
    st.integers(-(10**6), 10**6),
    st.booleans(),
    st.sampled_from(
        ["no", "12:30:45", "1_000", "", " ", "# x", "a: b", "- a", "~", "x\ny\n", "x\n", "\n", "[a]", "{a}", "'", '"', "\\", "*a", "&a", "!a", "|", "%", "@"]
    ),
)


@st.composite
def _members(draw: st.DrawFn) -> tuple[str, dict[str, Any]]:
    """The lines of a mapping two columns in, and what they say."""
    lines = ""
    tree: dict[str, Any] = {}
    for key in draw(KEYS):
        name = key.strip("\"'")
        lines += draw(ABOVE)
        form = draw(st.integers(0, 5))
        if form == 0:
            header, body = draw(st.sampled_from([("|", "x\n"), ("|-", "x"), (">-", "x")]))
            lines += f"  {key}: {header}\n    x\n"
            tree[name] = body
        elif form == 1:
            text, value = draw(SCALARS)
            lines += f"  {key}: [x, {text if not set(text) & set('{[,') else 'y'}]{draw(COMMENTS)}\n"
            tree[name] = ["x", value if not set(text) & set("{[,") else "y"]
        elif form == 2:
            dash = draw(st.sampled_from(["  - ", "    - ", "    -   "]))
            text, value = draw(SCALARS)
            lines += f"  {key}:\n{dash}{text}{draw(COMMENTS)}\n{dash}last\n"
            tree[name] = [value, "last"]
        else:
            text, value = draw(SCALARS)
            lines += f"  {key}:{draw(st.sampled_from([' ', '   ']))}{text}{draw(COMMENTS)}\n"
            tree[name] = value
    return lines, tree


@st.composite
def _files(draw: st.DrawFn) -> tuple[str, dict[str, Any]]:
    members, tree = draw(_members())
    head = draw(st.sampled_from(["", "# head\n", "---\n", "# head\n---\n", "kind: Other\n---\n"]))
    tail = draw(st.sampled_from(["", "z: 1\n", "# tail\n", "\n", "---\nkind: Other\n", "...\n"]))
    text = f"{head}kind: ConfigMap\ndata:\n{members}{tail}"
    if draw(st.booleans()):
        text = text.replace("\n", "\r\n")
    if draw(st.booleans()) and not tree_ends_in_block(text):
        text = text.rstrip("\r\n")
    if draw(st.booleans()):
        text = "\ufeff" + text
    return text, tree


def tree_ends_in_block(text: str) -> bool:
    """Whether the last line is a block scalar's, whose final newline is part of it."""
    return text.rstrip("\r\n").endswith("    x")


def _data(text: str) -> dict[str, Any]:
    found: dict[str, Any] = next(one for one in trees(text) if one and one["kind"] == "ConfigMap")["data"]
    return found


def _scalar_paths(tree: dict[str, Any]) -> list[tuple[str | int, ...]]:
    flat: list[tuple[str | int, ...]] = []
    for key, value in tree.items():
        flat += [("data", key, index) for index in range(len(value))] if isinstance(value, list) else [("data", key)]
    return flat


def _at(text: str, path: tuple[str | int, ...]) -> Any:
    found: Any = _data(text)
    for part in path[1:]:
        found = found[part]
    return found


@QUIET
@given(_files())
def test_a_made_up_file_says_what_it_was_made_to_say(file: tuple[str, dict[str, Any]]) -> None:
    text, tree = file
    assert _data(text) == tree


@QUIET
@given(_files())
def test_setting_what_is_there_changes_nothing(file: tuple[str, dict[str, Any]]) -> None:
    text, tree = file
    for path in _scalar_paths(tree):
        assert put(text, path, _at(text, path)) == text
    for key, value in tree.items():
        assert put(text, ("data", key), value) == text


@settings(QUIET, max_examples=200)
@given(file=_files(), data=st.data(), value=VALUES)
def test_only_the_line_that_is_meant_changes_and_the_new_value_is_there(file: tuple[str, dict[str, Any]], data: st.DataObject, value: Any) -> None:
    text, tree = file
    path = data.draw(st.sampled_from(_scalar_paths(tree)))
    old = _at(text, path)
    edited = put(text, path, value)
    assert _at(edited, path) == value
    assert type(_at(edited, path)) is type(value)
    went, came = changed(text, edited)
    assert len(went) <= (2 if isinstance(old, str) else 1)
    assert "\n" in str(value) or len(came) <= 1
    for one in _scalar_paths(tree):
        if one != path:
            assert _at(edited, one) == _at(text, one)


@settings(QUIET, max_examples=200)
@given(file=_files(), data=st.data(), value=st.sampled_from(["other", "no", 7, True, "it's", "a # b"]))
def test_an_edit_and_its_reverse_give_the_same_text(file: tuple[str, dict[str, Any]], data: st.DataObject, value: Any) -> None:
    text, tree = file
    path = data.draw(st.sampled_from(_scalar_paths(tree)))
    old = _at(text, path)
    there = put(text, path, value)
    back = put(there, path, old)
    # How a value was quoted is forgotten only where its quotes had to change on the way.
    assert _data(back) == tree
    went, came = changed(text, back)
    assert len(went) <= 2
    assert len(came) <= 1
    assert put(put(back, path, value), path, old) == back


@settings(QUIET, max_examples=150)
@given(file=_files(), value=VALUES)
def test_a_key_that_is_added_and_deleted_leaves_no_trace(file: tuple[str, dict[str, Any]], value: Any) -> None:
    text, tree = file
    edited = put(text, ("data", "added"), value)
    assert _data(edited) == {**tree, "added": value}
    went, came = changed(text, edited)
    # A last line without its newline is the one line that must get one.
    assert went == [] or came[0].rstrip("\r\n") == went[0]
    if "\n" not in str(value) or text.endswith("\n"):
        assert drop(edited, ("data", "added")) == text


@settings(QUIET, max_examples=150)
@given(file=_files(), data=st.data())
def test_a_member_that_is_deleted_takes_no_other_line_with_it(file: tuple[str, dict[str, Any]], data: st.DataObject) -> None:
    text, tree = file
    key = data.draw(st.sampled_from(list(tree)))
    if len(tree) == 1:
        return
    edited = drop(text, ("data", key))
    assert _data(edited) == {name: value for name, value in tree.items() if name != key}
    remaining = list(edited.splitlines())
    lines = iter(text.splitlines())
    assert all(any(line == other for other in lines) for line in remaining), "what is left is a part of what was, in order"


@settings(QUIET, max_examples=150)
@given(file=_files(), data=st.data(), item=st.one_of(VALUES, st.fixed_dictionaries({"name": st.just("x"), "weight": st.integers(0, 100)})))
def test_an_item_that_is_added_to_a_list_and_deleted_leaves_no_trace(file: tuple[str, dict[str, Any]], data: st.DataObject, item: Any) -> None:
    text, tree = file
    lists = [key for key, value in tree.items() if isinstance(value, list)]
    if not lists:
        return
    key = data.draw(st.sampled_from(lists))
    edited = add(text, ("data", key), item)
    assert _data(edited)[key] == [*tree[key], item]
    if text.endswith("\n") or "\n" not in str(item):
        assert drop(edited, ("data", key, len(tree[key]))) == text


@settings(QUIET, max_examples=300)
@given(text=st.text(st.sampled_from(list("kind: ConfigMap\n-?{}[]&*!|>'\"%@`#,ab\t\r"))), value=VALUES)
def test_any_text_at_all_is_edited_rightly_or_refused(text: str, value: Any) -> None:
    text = f"kind: ConfigMap\ndata:\n  a: 1\n{text}"
    try:
        edited = put(text, ("data", "a"), value)
    except ConfigError:
        return
    assert _at(edited, ("data", "a")) == value
    before, after = trees(text), trees(edited)
    before[0]["data"]["a"] = after[0]["data"]["a"] = None
    assert repr(before) == repr(after)
