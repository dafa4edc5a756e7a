"""What kustomize makes of a folder, as far as the lab emulates it; what it does not emulate is refused by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from bennu.lab.controllers.kustomize_build import built
from bennu.lab.controllers.kustomize_patches import patched
from bennu.lab.controllers.kustomize_variables import substituted
from bennu.lab.controllers.kustomize_yaml import BuildError

CONFIG = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: shop}\ndata: {k: v}\n"
KUSTOMIZATION = "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n"


def tree(root: Path, **files: str) -> Path:
    for name, text in files.items():
        path = root / name.replace("__", "/").replace("_yaml", ".yaml")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return root


def names(objects: list[dict[str, Any]]) -> list[str]:
    return [f"{one['kind']}/{one['metadata']['name']}" for one in objects]


def config(name: str = "a", **data: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def deployment(*containers: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": {"template": {"spec": {"containers": list(containers)}}}}


def test_without_a_kustomization_every_yaml_file_below_counts(tmp_path: Path) -> None:
    made = tree(tmp_path, a_yaml=CONFIG, sub__b_yaml=CONFIG.replace("name: a", "name: b"), README="no: {", links___gitkeep="")
    assert names(built(made)) == ["ConfigMap/a", "ConfigMap/b"]


def test_a_folder_below_that_has_a_kustomization_counts_by_it(tmp_path: Path) -> None:
    made = tree(
        tmp_path, a_yaml=CONFIG, sub__kustomization_yaml=KUSTOMIZATION + "resources: [b.yaml]\nnamespace: other\n", sub__b_yaml=CONFIG, sub__unused_yaml="{"
    )
    assert [(one["metadata"]["name"], one["metadata"]["namespace"]) for one in built(made)] == [("a", "shop"), ("a", "other")]


def test_only_what_a_kustomization_names_is_built_and_decorated(tmp_path: Path) -> None:
    kustomization = KUSTOMIZATION + "resources: [base, n.yaml]\nnamespace: prod\nlabels: [{pairs: {team: pay}}]\n"
    made = tree(
        tmp_path,
        kustomization_yaml=kustomization,
        base__kustomization_yaml=KUSTOMIZATION + "resources: [a.yaml]\n",
        base__a_yaml=CONFIG,
        n_yaml="apiVersion: v1\nkind: Namespace\nmetadata: {name: prod}\n",
        ignored_yaml=CONFIG,
    )
    objects = built(made)
    assert names(objects) == ["ConfigMap/a", "Namespace/prod"]
    assert objects[0]["metadata"] == {"name": "a", "namespace": "prod", "labels": {"team": "pay"}}
    assert "namespace" not in objects[1]["metadata"]


def test_a_list_is_unfolded_and_empty_documents_are_nothing(tmp_path: Path) -> None:
    made = tree(tmp_path, a_yaml=f"---\n---\n{yaml.safe_dump({'apiVersion': 'v1', 'kind': 'List', 'items': [config('x'), config('y')]})}---\n# end\n")
    assert names(built(made)) == ["ConfigMap/x", "ConfigMap/y"]


def test_a_date_stays_the_text_that_it_is(tmp_path: Path) -> None:
    (found,) = built(tree(tmp_path, a_yaml=CONFIG.replace("k: v", "k: 2026-01-02, n: 3, b: true")))
    assert found["data"] == {"k": "2026-01-02", "n": 3, "b": True}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: [1", "a.yaml: line"),
        ("a: b: c", r"a.yaml: line 1: mapping values"),
        (CONFIG + "data: {k: w}\n", 'mapping key "data" already defined'),
        ("- 1\n", "not a Kubernetes object"),
        ("kind: ConfigMap\nmetadata: {name: a}\n", "not a Kubernetes object"),
        ("apiVersion: v1\nkind: ConfigMap\n", "no metadata.name"),
        ("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: 7}\n", "no metadata.name"),
        ("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, labels: [x]}\n", "labels is not a map"),
        ("a: !!python/object:os.system {}\n", "could not determine a constructor"),
        (CONFIG + "---\n" + CONFIG, "already registered id: ConfigMap/shop/a"),
    ],
)
def test_a_broken_file_is_said_with_its_name(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(BuildError, match=words):
        built(tree(tmp_path, a_yaml=text))


def test_a_file_that_is_no_text_is_said(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BuildError, match=r"a\.yaml"):
        built(tmp_path)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("configMapGenerator: [{name: x}]\n", "configMapGenerator is not emulated"),
        ("commonLabels: {a: b}\n", "commonLabels is not emulated"),
        ("resources: [a.yaml]\nlabels: [{pairs: {a: b}, includeSelectors: true}]\n", "includeSelectors is not emulated"),
        ("resources: [gone.yaml]\n", r"gone\.yaml: no such file"),
        ("resources: ['https://example.com/x.yaml']\n", "no such file"),
        ("patches: [{path: gone.yaml}]\nresources: [a.yaml]\n", r"gone\.yaml: no such file"),
        ("resources: [", "kustomization.yaml: line"),
    ],
)
def test_what_is_not_emulated_or_not_there_is_refused_by_name(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(BuildError, match=words):
        built(tree(tmp_path, kustomization_yaml=KUSTOMIZATION + text, a_yaml=CONFIG))


def test_a_kustomization_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="not a kustomization"):
        built(tree(tmp_path, kustomization_yaml="[]\n"))


def test_a_merge_patch_finds_its_object_by_kind_and_name() -> None:
    patch = {"patch": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, labels: {x: y}}\ndata: {k: w, gone: null}\n"}
    assert patched([config("a", k="v", gone="1"), config("ab", k="v")], [patch]) == [
        {**config("a", k="w"), "metadata": {"name": "a", "labels": {"x": "y"}}},
        config("ab", k="v"),
    ]


def test_containers_ports_and_variables_are_merged_by_their_keys() -> None:
    before = deployment(
        {"name": "web", "image": "web:1", "env": [{"name": "A", "value": "1"}], "ports": [{"containerPort": 80}]}, {"name": "side", "image": "s"}
    )
    text = yaml.safe_dump(
        deployment({"name": "web", "env": [{"name": "B", "value": "2"}], "ports": [{"containerPort": 81}]}, {"name": "side", "$patch": "delete"})
    )
    (found,) = patched([before], [{"patch": text}])
    assert found["spec"]["template"]["spec"]["containers"] == [
        {
            "name": "web",
            "image": "web:1",
            "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}],
            "ports": [{"containerPort": 80}, {"containerPort": 81}],
        }
    ]


def test_lists_of_custom_resources_are_replaced() -> None:
    route = {"apiVersion": "gateway.example.com/v1", "kind": "Route", "metadata": {"name": "r"}, "spec": {"ports": [{"port": 1}, {"port": 2}]}}
    (found,) = patched([route], [{"patch": yaml.safe_dump({**route, "spec": {"ports": [{"port": 3}]}})}])
    assert found["spec"]["ports"] == [{"port": 3}]


def test_a_target_picks_by_pattern_and_its_patch_needs_no_fitting_name() -> None:
    patch = {"target": {"kind": "ConfigMap", "name": "a.*"}, "patch": "kind: any\nmetadata: {name: any}\ndata: {k: w}\n"}
    assert patched([config("a", k="v"), config("ab", k="v"), config("ba", k="v")], [patch]) == [config("a", k="w"), config("ab", k="w"), config("ba", k="v")]


def test_operations_add_replace_and_remove() -> None:
    operations = [
        {"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "web:2"},
        {"op": "add", "path": "/spec/template/spec/containers/-", "value": {"name": "side"}},
        {"op": "add", "path": "/metadata/annotations", "value": {"a/b": "c"}},
        {"op": "remove", "path": "/metadata/annotations/a~1b"},
    ]
    (found,) = patched([deployment({"name": "web", "image": "web:1"})], [{"target": {"kind": "Deployment"}, "patch": yaml.safe_dump(operations)}])
    assert found["spec"]["template"]["spec"]["containers"] == [{"name": "web", "image": "web:2"}, {"name": "side"}]
    assert found["metadata"]["annotations"] == {}


def test_an_object_can_be_patched_away() -> None:
    assert patched([config("a"), config("b")], [{"patch": "$patch: delete\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n"}]) == [config("b")]


@pytest.mark.parametrize(
    ("patch", "words"),
    [
        ({"patch": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: gone}\n"}, "no matches for Id ConfigMap.gone"),
        ({"patch": "- {op: add, path: /x, value: 1}"}, "needs a target"),
        ({"patch": "a: ["}, "patch: line"),
        ({"patch": "[{op: copy, path: /data, from: /x}]", "target": {"kind": "ConfigMap"}}, "copy is not emulated"),
        ({"patch": "[{op: replace, path: /data/none, value: 1}]", "target": {"kind": "ConfigMap"}}, "no such place"),
        ({"patch": "[{op: remove, path: /data/none}]", "target": {"kind": "ConfigMap"}}, "no such place"),
        ({"patch": "[{op: add, path: /spec/deep/er, value: 1}]", "target": {"kind": "ConfigMap"}}, "no such place"),
        ({"patch": "data: {}", "target": {"labelSelector": "a=b"}}, "labelSelector is not emulated"),
    ],
)
def test_a_patch_that_fits_nothing_is_refused(patch: dict[str, Any], words: str) -> None:
    with pytest.raises(BuildError, match=words):
        patched([config("a", k="v")], [patch])


def test_a_patch_whose_target_fits_nothing_changes_nothing() -> None:
    assert patched([config("a", k="v")], [{"target": {"kind": "Secret"}, "patch": "data: {k: w}"}]) == [config("a", k="v")]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("${NAME}", "blue"),
        ("x-${NAME}-${NAME}", "x-blue-blue"),
        ("${NUMBER}", 3),
        ("${FLAG}", True),
        ("${UNKNOWN}", None),
        ("${UNKNOWN:=otherwise}", "otherwise"),
        ("${UNKNOWN:-otherwise}", "otherwise"),
        ("${EMPTY:=otherwise}", "otherwise"),
        ("${NAME:=otherwise}", "blue"),
        ("$${NAME}", "${NAME}"),
        ("$NAME costs $5", "$NAME costs $5"),
    ],
)
def test_variables_are_put_into_the_text_and_read_again(text: str, expected: Any) -> None:
    (found,) = substituted([config("a", k=text)], {"NAME": "blue", "NUMBER": "3", "FLAG": "true", "EMPTY": ""})
    assert found["data"]["k"] == expected


def test_an_object_can_opt_out() -> None:
    for field in ("annotations", "labels"):
        one = config("a", k="${NAME}")
        one["metadata"][field] = {"kustomize.toolkit.fluxcd.io/substitute": "disabled"}
        assert substituted([one], {"NAME": "blue"}) == [one]


@pytest.mark.parametrize("text", ["${NAME^^}", "${1}", "${NAME:0:2}", "${unclosed"])
def test_another_function_of_the_shell_is_refused(text: str) -> None:
    with pytest.raises(BuildError, match="ConfigMap/a: variable substitution failed"):
        substituted([config("a", k=text)], {"NAME": "blue"})


def test_a_value_that_breaks_the_text_is_said() -> None:
    with pytest.raises(BuildError, match="ConfigMap/a"):
        substituted([config("a", k="${NAME}")], {"NAME": "a: b: ["})
