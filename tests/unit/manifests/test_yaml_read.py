"""YAML in: plain trees with their lines, and refusals in our words for what is malformed, oversized or built to hurt."""

from __future__ import annotations

import warnings

import pytest

from bennu.errors import ConfigError
from bennu.manifests import yaml_read
from bennu.manifests.yaml_read import MAX_BYTES, MAX_DEPTH


def _refused(text: str) -> ConfigError:
    with pytest.raises(ConfigError) as error:
        yaml_read.documents(text, "x.yaml")
    assert error.value.message.startswith("x.yaml")
    assert error.value.exit_code == 2
    return error.value


def test_documents_are_plain_values_and_empty_ones_are_left_out() -> None:
    assert yaml_read.documents("a: 1\n---\n---\n# only a comment\n---\n- b\n", "x") == [{"a": 1}, ["b"]]
    assert yaml_read.documents("", "x") == []


def test_words_are_read_as_yaml_1_2_has_them() -> None:
    assert yaml_read.documents("a: no\nb: on\nc: 12:30\nd: 010\ne: true\n", "x") == [{"a": "no", "b": "on", "c": "12:30", "d": 10, "e": True}]


def test_a_file_that_says_it_is_of_an_older_version_is_read_so() -> None:
    assert yaml_read.documents("%YAML 1.1\n---\na: no\n", "x") == [{"a": False}]


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("a: 1\na: 2\n", 2, "duplicate key 'a'"),
        ("x:\n  b: {c: 1, c: 2}\n", 2, "duplicate key 'c'"),
        ("a: 1\n  b: 2\n", 2, "not valid YAML"),
        ("a: [1\n", 2, "not valid YAML"),
        ("\ta: 1\n", 1, "not valid YAML"),
        ("a: 'b\n", 2, "not valid YAML"),
        ("a: *b\n", 1, "undefined alias 'b'"),
        ("a: !x b\n", 1, "not valid YAML"),
        ("a: !!python/name:os.system x\n", 1, "not valid YAML"),
        ("a: &b [*b]\n", 1, "*b contains itself"),
        ("a: 1\nb: \x00\n", 2, "NUL byte"),
        ("? [a]\n: {{ .x }}\n", 2, "not valid YAML"),
    ],
)
def test_what_is_malformed_is_refused_with_its_line(text: str, line: int, words: str) -> None:
    error = _refused(text)
    assert error.line == line
    assert words in error.message


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("b: 1\na: \x07\n", "special characters"),
        ("b: 1\na: 2026-13-45\n", "month"),
        ("b: 1\na: " + "9" * 5000 + "\n", "not valid YAML"),
        ("b: 1\na: {[[c]]: 1}\n", "unhashable"),
    ],
)
def test_what_no_value_can_be_made_of_is_refused_with_its_line(text: str, words: str) -> None:
    error = _refused(text)
    assert words in error.message
    # A key that cannot be one is stumbled over once its document is there.
    assert error.line == (1 if words == "unhashable" else 2)


def test_a_part_of_another_shape_is_refused_with_its_line() -> None:
    text = "kind: A\n---\n---\nkind: B\nspec:\n  rules:\n    - refs: []\n    - refs: [1]\n    - x\n"
    found = yaml_read.single(text, "B", "x.yaml")
    with pytest.raises(ConfigError, match=r"x\.yaml:9: spec\.rules\.2 must be a mapping, not text"):
        yaml_read.mappings(found, ("spec", "rules"), "x.yaml")
    rules = yaml_read.mappings(yaml_read.single(text.removesuffix("    - x\n"), "B", "x.yaml"), ("spec", "rules"), "x.yaml")
    with pytest.raises(ConfigError, match=r"x\.yaml:8: refs\.0 must be a mapping, not a number"):
        yaml_read.mappings(rules[1], ("refs",), "x.yaml")
    with pytest.raises(ConfigError, match=r"x\.yaml:4: a Kubernetes object was expected"):
        yaml_read.objects("kind: A\n---\n---\n- b\n", "x.yaml")
    with pytest.raises(ConfigError, match=r"x\.yaml:3: one A was expected, 2 found"):
        yaml_read.single("kind: A\n---\nkind: A\n", "A", "x.yaml")


def test_values_beside_a_duplicate_key_are_not_repeated() -> None:
    assert "hunter2" not in _refused("password: hunter2\npassword: hunter2\n").message


def test_size_is_capped_in_bytes() -> None:
    assert "larger than" in _refused("# " + "ü" * (MAX_BYTES // 2)).message
    assert yaml_read.documents("# " + "x" * (MAX_BYTES - 2), "x") == []


@pytest.mark.parametrize("text", ["[" * 5000, "- " * 5000 + "a", "{a: " * 5000, "".join(" " * n + "a:\n" for n in range(500)), "a: " + "[" * 300 + "]" * 300])
def test_depth_is_capped_before_anything_is_built(text: str) -> None:
    assert f"nested more than {MAX_DEPTH} deep" in _refused(text).message


def test_a_depth_that_people_write_is_not() -> None:
    assert yaml_read.documents("[" * 60 + "]" * 60, "x")


def test_a_bomb_of_aliases_is_counted_before_it_is_built() -> None:
    bomb = "a0: &a0 [x, x]\n" + "".join(f"a{n + 1}: &a{n + 1} [{', '.join([f'*a{n}'] * 9)}]\n" for n in range(20))
    assert "with its aliases written out" in _refused(bomb).message


def test_many_aliases_of_something_small_are_read() -> None:
    text = "a: &a {k: v}\nl:\n" + "- *a\n" * 1000
    assert len(yaml_read.documents(text, "x")[0]["l"]) == 1000


def test_an_anchor_that_is_set_twice_is_legal_and_nobody_is_warned() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert yaml_read.documents("a: &x 1\nb: &x 2\nc: *x\n", "x") == [{"a": 1, "b": 2, "c": 2}]


def test_objects_are_mappings() -> None:
    assert yaml_read.objects("kind: A\n---\nkind: B\n", "x") == [{"kind": "A"}, {"kind": "B"}]
    with pytest.raises(ConfigError, match="a Kubernetes object was expected, not a list"):
        yaml_read.objects("kind: A\n---\n- b\n", "x")


@pytest.mark.parametrize(("text", "count"), [("kind: B\n", 0), ("kind: A\n---\nkind: A\n", 2)])
def test_one_of_a_kind_is_one(text: str, count: int) -> None:
    assert yaml_read.single("kind: A\nn: 1\n---\nkind: B\n", "A", "x") == {"kind": "A", "n": 1}
    with pytest.raises(ConfigError, match=f"one A was expected, {count} found"):
        yaml_read.single(text, "A", "x")


def test_every_key_and_item_has_its_line() -> None:
    assert yaml_read.lines("a: 1\nb:\n  - c\n  - {d: 2,\n     e: 3}\n", "x") == {
        ("a",): 1,
        ("b",): 2,
        ("b", 0): 3,
        ("b", 1): 4,
        ("b", 1, "d"): 4,
        ("b", 1, "e"): 5,
    }
    assert yaml_read.lines("a: [\n", "x") == {}
    assert yaml_read.lines("", "x") == {}


TREE = {"spec": {"list": [{"a": 1}, "b"], "text": "t", "null": None, "number": 5}}


def test_parts_of_an_object_are_empty_where_they_are_absent() -> None:
    assert yaml_read.mapping(TREE, ("spec",), "x") == TREE["spec"]
    assert yaml_read.mapping(TREE, ("none", "deeper"), "x") == {}
    assert yaml_read.mapping(TREE, ("spec", "null"), "x") == {}
    assert yaml_read.sequence(TREE, ("spec", "null"), "x") == []
    assert yaml_read.sequence(TREE, ("spec", "list"), "x") == [{"a": 1}, "b"]


@pytest.mark.parametrize(
    ("path", "words"),
    [
        (("spec", "list"), "spec.list must be a mapping, not a list"),
        (("spec", "text"), "spec.text must be a mapping, not text"),
        (("spec", "number", "deeper"), "spec.number must be a mapping, not a number"),
    ],
)
def test_a_part_of_another_shape_is_refused_by_its_path(path: tuple[str, ...], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        yaml_read.mapping(TREE, path, "x")


def test_items_of_another_shape_are_refused_by_their_index() -> None:
    with pytest.raises(ConfigError, match=r"spec\.list\.1 must be a mapping, not text"):
        yaml_read.mappings(TREE, ("spec", "list"), "x")
    with pytest.raises(ConfigError, match=r"spec\.text must be a list, not text"):
        yaml_read.sequence(TREE, ("spec", "text"), "x")


@pytest.mark.parametrize(("value", "text"), [(True, "true"), (False, "false"), (None, ""), (5, "5"), ("Yes", "Yes")])
def test_a_configmap_holds_text(value: object, text: str) -> None:
    assert yaml_read.text_of(value) == text
