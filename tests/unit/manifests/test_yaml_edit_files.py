"""What a file is, beside its values: line ends, marks, several documents, templates, anchors, tags and merge keys."""

from __future__ import annotations

import pytest

from bennu.errors import ConfigError
from bennu.manifests import yaml_edit
from tests.unit.manifests.texts import MAP, add, changed, drop, put, refused

PLAIN = """\
# a head
kind: ConfigMap
data:
  FIRST:   one     # behind it
  FOURTH: |
    several
      lines

  # between
  FIFTH: 5
list:
- a
-   b   # b
# and a tail
"""


# Line ends, marks, documents


@pytest.mark.parametrize("path", [("data", "FIRST"), ("data", "NEW"), ("data", "FOURTH")])
def test_line_ends_stay_what_they_are(path: tuple[str | int, ...]) -> None:
    windows = PLAIN.replace("\n", "\r\n")
    assert put(windows, path, "x\ny\n") == put(PLAIN, path, "x\ny\n").replace("\n", "\r\n")
    assert drop(windows, path) == drop(PLAIN, path).replace("\n", "\r\n")
    assert add(windows, ("list",), {"a": 1, "b": 2}) == add(PLAIN, ("list",), {"a": 1, "b": 2}).replace("\n", "\r\n")


def test_a_file_without_a_final_newline_stays_without_one() -> None:
    text = "kind: ConfigMap\ndata:\n  a: b"
    assert put(text, ("data", "a"), "c") == "kind: ConfigMap\ndata:\n  a: c"
    assert put(text, ("data", "c"), "d") == "kind: ConfigMap\ndata:\n  a: b\n  c: d"
    assert drop(put(text, ("data", "c"), "d"), ("data", "c")) == text
    assert add("kind: ConfigMap\nl:\n- a", ("l",), "b") == "kind: ConfigMap\nl:\n- a\n- b"
    assert put(text, ("data",), {"z": "x"}) == "kind: ConfigMap\ndata:\n  z: x"


def test_a_byte_order_mark_stays_first() -> None:
    text = "\ufeffkind: ConfigMap\na: 1\n"
    assert put(text, ("a",), 2) == "\ufeffkind: ConfigMap\na: 2\n"
    assert put(text, ("b",), 2) == "\ufeffkind: ConfigMap\na: 1\nb: 2\n"
    assert drop("\ufeffa: 1\nkind: ConfigMap\n", ("a",)).removeprefix("\ufeff") == "kind: ConfigMap\n"


def test_only_the_document_that_is_meant_changes() -> None:
    text = "# one\nkind: Secret\nmetadata: {name: a}\ndata: {k: v}\n---\n# two\nkind: ConfigMap\nmetadata: {name: a}\ndata: {k: v}\n...\n---\n---\nkind: ConfigMap\nmetadata: {name: b}\ndata: {k: v}\n"
    edited = yaml_edit.set_value(text, yaml_edit.Target("ConfigMap", "b"), ("data", "k"), "w", "f")
    assert edited == text[: text.rindex("{k: v}")] + "{k: w}\n"
    edited = yaml_edit.set_value(text, yaml_edit.Target("ConfigMap", "a"), ("data", "l"), "w", "f")
    assert changed(text, edited) == (["data: {k: v}\n"], ["data: {k: v, l: w}\n"])
    assert edited.index("l: w") > edited.index("# two")


def test_a_key_stays_within_its_document() -> None:
    for end in ("---\nkind: X\n", "...\n", "# tail\n---\nkind: X\n", "\n\n---\nkind: X\n"):
        text = "kind: ConfigMap\ndata:\n  a: b\n" + end
        assert put(text, ("data", "c"), "d") == "kind: ConfigMap\ndata:\n  a: b\n  c: d\n" + end


@pytest.mark.parametrize(
    "target", [yaml_edit.Target("ConfigMap"), yaml_edit.Target("ConfigMap", "c"), yaml_edit.Target("ConfigMap", "a", "other"), yaml_edit.Target("Secret")]
)
def test_a_document_that_is_not_there_or_not_alone_is_refused(target: yaml_edit.Target) -> None:
    text = "kind: ConfigMap\nmetadata: {name: a, namespace: x}\n---\nkind: ConfigMap\nmetadata: {name: b}\n"
    with pytest.raises(ConfigError, match="one is needed"):
        yaml_edit.set_value(text, target, ("data", "k"), "v", "f")


@pytest.mark.parametrize("meta", ["[]", "[x]", "text", "5", ""])
def test_metadata_of_another_shape_names_no_document(meta: str) -> None:
    text = f"kind: ConfigMap\nmetadata: {meta}\n"
    with pytest.raises(ConfigError, match="one is needed"):
        yaml_edit.set_value(text, yaml_edit.Target("ConfigMap", "a"), ("b",), 1, "f")
    assert yaml_edit.set_value(text, MAP, ("b",), 1, "f") == text + "b: 1\n"


# Templating


@pytest.mark.parametrize("value", ["${VAR}", '"${VAR:-x y}"', "'${VAR:=z}'", "${VAR}-suffix", "<< inputs.name >>", '"{{ .Values.x }}"', "prefix/${A}/${B}"])
def test_placeholders_stay_as_they_are_written(value: str) -> None:
    text = f"kind: ConfigMap\nmetadata:\n  name: {value}\ndata:\n  a: {value}\n  b: 1\n"
    assert put(text, ("data", "b"), 2) == text.replace("b: 1", "b: 2")
    assert drop(text, ("data", "a")) == text.replace(f"  a: {value}\n", "")


def test_a_placeholder_can_be_written() -> None:
    assert put("kind: ConfigMap\na: x\n", ("a",), "${VAR}") == "kind: ConfigMap\na: ${VAR}\n"
    assert put("kind: ConfigMap\na: {b: x}\n", ("a", "b"), "${VAR}") == 'kind: ConfigMap\na: {b: "${VAR}"}\n'


@pytest.mark.parametrize("line", ["a: {{ .Values.x }}", "{{- if .x }}", "a: ${X:=d: e}: f"])
def test_what_is_a_template_and_not_yaml_is_refused_with_its_line(line: str) -> None:
    error = refused(f"kind: ConfigMap\n{line}\nb: 1\n", ("b",), 2)
    assert error.line is not None
    assert "not valid YAML" in error.message


# Anchors, tags, merge keys


def test_an_anchor_stays_with_the_value_that_it_names() -> None:
    assert put("kind: ConfigMap\na: &x 1\n", ("a",), 2) == "kind: ConfigMap\na: &x 2\n"
    assert put("kind: ConfigMap\na: &x\n  b: 1\n", ("a", "b"), 2) == "kind: ConfigMap\na: &x\n  b: 2\n"


def test_an_alias_is_replaced_where_it_stands_and_not_where_it_points() -> None:
    text = "kind: ConfigMap\na: &x one\nb: *x # c\nl: [*x, two]\n"
    assert put(text, ("b",), "two") == text.replace("b: *x", "b: two")
    assert put(text, ("l", 0), "two") == text.replace("[*x", "[two")
    assert drop(text, ("b",)) == text.replace("b: *x # c\n", "")


def test_a_value_that_aliases_share_is_not_changed_for_one_of_them() -> None:
    assert "would change more than it should" in refused("kind: ConfigMap\na: &x one\nb: *x\n", ("a",), "two").message
    assert "would change more than it should" in refused("kind: ConfigMap\na: &x {k: 1}\nb: *x\n", ("a", "k"), 2).message


def test_an_anchor_that_is_used_is_not_deleted() -> None:
    with pytest.raises(ConfigError, match="would break the file"):
        drop("kind: ConfigMap\na: &x one\nb: *x\n", ("a",))


def test_a_key_of_a_merge_is_overridden_beside_it() -> None:
    text = "kind: ConfigMap\nbase: &b {k: 1}\ndata:\n  <<: *b\n  l: 2\n"
    assert put(text, ("data", "k"), 3) == text + "  k: 3\n"
    with pytest.raises(ConfigError, match="comes from an anchor"):
        drop(text, ("data", "k"))


def test_inside_an_alias_nothing_is_edited() -> None:
    text = "kind: ConfigMap\nbase: &b {k: [1], m: 2}\ndata: *b\n"
    assert "would change more" in refused(text, ("base", "m"), 3).message
    assert "holds no" not in refused(text, ("data", "m"), 3).message
    with pytest.raises(ConfigError):
        drop(text, ("data", "k"))
    with pytest.raises(ConfigError):
        add(text, ("data", "k"), 2)


def test_a_tag_stays_where_it_is_still_true() -> None:
    assert put("kind: ConfigMap\na: !!str 1\n", ("a",), "2") == 'kind: ConfigMap\na: !!str "2"\n'
    assert put("kind: ConfigMap\na: !!str 1\n", ("a",), 2) == "kind: ConfigMap\na: 2\n"
    assert put("kind: ConfigMap\na: &x !!int '1'\n", ("a",), "b") == "kind: ConfigMap\na: &x 'b'\n"
