"""What a change of the Redis variant would do to a pod that runs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bennu.manifests import redis_variants
from bennu.manifests.redis_variants import Running, Variant

ROOT = Path(__file__).parents[3]
CONFIG = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: role, namespace: database}\ndata: {role.conf: '%s'}\n"
WORKLOAD = "apiVersion: apps/v1\nkind: StatefulSet\nmetadata: {name: redis, namespace: database}\nspec: {template: {spec: {containers: [{name: redis}]}}}\n"
PARKED = "replicaof 127.0.0.1 1"
# As a StatefulSet is where nothing is said, and under OnDelete.
RUNNING, WAITS = Running("StatefulSet", "redis"), Running("StatefulSet", "redis", waits=True)
RELEASE = "apiVersion: helm.toolkit.fluxcd.io/v2\nkind: HelmRelease\nmetadata: {name: redis, namespace: database}\nspec: {%s}\n"
PATCH = "patches: [{path: patch.yaml}]\n"


def catalog(**files: str) -> dict[str, str]:
    """Both variants over one base, with *files* (hot, warm: a kustomization's further lines) in place of what they usually say."""
    hot, warm = files.pop("hot", ""), files.pop("warm", "")
    head = "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n"
    return {
        "c/base/kustomization.yaml": f"{head}resources: [redis.yaml]\n",
        "c/base/redis.yaml": files.pop("base", WORKLOAD),
        "c/hot-writer/kustomization.yaml": f"{head}resources: [../base, role.yaml]\n{hot}",
        "c/hot-writer/role.yaml": files.pop("role", CONFIG % ""),
        "c/warm-reader/kustomization.yaml": f"{head}resources: [../base, role.yaml]\n{warm}",
        "c/warm-reader/role.yaml": files.pop("warm_role", CONFIG % PARKED),
    }


def both(files: dict[str, str], top: str = "c") -> tuple[Variant, Variant]:
    def below(folder: str) -> tuple[str, ...]:
        return tuple(sorted(name for name in files if name.startswith(f"{folder}/")))

    hot, warm = (redis_variants.read(f"{top}/{variant}", files.get, below) for variant in ("hot-writer", "warm-reader"))
    return hot, warm


def change(files: dict[str, str], top: str = "c") -> redis_variants.Change:
    return redis_variants.change(*both(files, top))


def rolls(files: dict[str, str], running: Running = RUNNING, top: str = "c") -> str:
    return redis_variants.rolls(*both(files, top), running)


def test_variants_that_differ_in_a_configmaps_data_alone_roll_nothing() -> None:
    assert change(catalog()) == redis_variants.Change(configmap=("database", "role"))


@pytest.mark.parametrize(
    "folder",
    ["examples/redis/variants", "bennu/lab/fleet/catalogs/apps/redis/variants", "bennu/lab/fleet/catalogs/apps/redis-by-arguments/variants"],
)
def test_the_examples_and_the_labs_catalog_use_the_pattern(folder: str) -> None:
    files = {str(path.relative_to(ROOT)): path.read_text(encoding="utf-8") for path in (ROOT / folder).parent.rglob("*.yaml")}
    found = change(files, folder)
    assert found.refused == ""
    assert found.configmap[0] == "database"
    assert rolls(files, Running(), folder) == ""


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"warm": "configMapGenerator: [{name: role, literals: [a=b]}]\n"}, "a hash of its content"),
        ({"warm": "patches: [{path: x.yaml}]\n"}, "what kustomize does (patches)"),
        ({"hot": "images: [{name: redis, newTag: '7'}]\n"}, "what kustomize does (images)"),
        (
            {"warm_role": f"{CONFIG % PARKED}---\napiVersion: v1\nkind: Service\nmetadata: {{name: more, namespace: database}}\n"},
            "Service database/more differs",
        ),
        ({"warm_role": (CONFIG % PARKED).replace("name: role", "name: role-7f9")}, "in one variant only"),
        ({"warm_role": CONFIG % ""}, "a restart would come back as a master"),
        ({"role": CONFIG % PARKED}, "a restart would come back as a master"),
        ({"base": "apiVersion: helm.toolkit.fluxcd.io/v2\nkind: HelmRelease\nmetadata: {name: redis, namespace: database}\n"}, "HelmRelease"),
    ],
)
def test_what_a_restart_would_not_read_is_refused_with_the_pattern_that_it_would(files: dict[str, str], words: str) -> None:
    found = change(catalog(**files))
    assert words in found.refused
    assert redis_variants.HINT in found.refused


def test_generators_without_a_hash_that_say_the_same_are_no_change() -> None:
    plain = "configMapGenerator: [{name: more, literals: [a=b]}]\ngeneratorOptions: {disableNameSuffixHash: true}\n"
    assert change(catalog(hot=plain, warm=plain)).refused == ""


def test_a_resource_that_cannot_be_read_is_said() -> None:
    files = catalog()
    del files["c/base/redis.yaml"]
    assert "c/base/redis.yaml cannot be read" in change(files).refused
    files["c/base/kustomization.yaml"] = "resources: [https://github.com/acme/redis]\n"
    assert "https://github.com/acme/redis cannot be read" in change(files).refused


def test_the_variants_folder_is_where_profile_sync_says() -> None:
    text = (ROOT / "bennu/lab/fleet/cluster/profile-sync.yaml").read_text(encoding="utf-8")
    text = "\n".join(line for line in text.splitlines() if not line.startswith("#@")).replace("@@REDIS@@", "redis")
    assert redis_variants.folder_of(text, "warm-reader", "f.yaml") == "catalogs/apps/redis/variants/warm-reader"


def other(text: str) -> dict[str, str]:
    """A catalog whose variants hold *text* each, with ``@`` told apart."""
    return catalog(base="", role=f"{CONFIG % ''}---\n{text.replace('@', 'hot')}", warm_role=f"{CONFIG % PARKED}---\n{text.replace('@', 'warm')}")


BY_TEMPLATE = {
    "another template": (other(WORKLOAD.replace("name: redis}]", "name: redis, args: [@]}]")), "StatefulSet redis differs between the variants"),
    "another patch": (catalog(hot=PATCH, warm=PATCH) | {"c/hot-writer/patch.yaml": "a: 1\n", "c/warm-reader/patch.yaml": "a: 2\n"}, "kustomize does (patches)"),
    "another image": (catalog(hot="images: [{name: redis, newTag: '7'}]\n"), "kustomize does (images)"),
    "a name with a hash": (catalog(warm="configMapGenerator: [{name: role, literals: [a=b]}]\n"), "a name with a hash of its content"),
    "a hash of a file": (
        catalog(hot="configMapGenerator: [{name: more, files: [r=role.conf]}]\n", warm="configMapGenerator: [{name: more, files: [r=role.conf]}]\n")
        | {"c/hot-writer/role.conf": "", "c/warm-reader/role.conf": PARKED},
        "a name with a hash of its content",
    ),
    "another value of a chart": (other(RELEASE % "values: {role: @}"), "HelmRelease redis other values"),
    "another value of a chart by a ConfigMap": (catalog(base=RELEASE % "valuesFrom: [{kind: ConfigMap, name: role}]"), "HelmRelease redis other values"),
}


@pytest.mark.parametrize(("files", "words"), BY_TEMPLATE.values(), ids=BY_TEMPLATE)
def test_what_changes_the_pod_template_waits_for_the_next_start_under_ondelete_alone(files: dict[str, str], words: str) -> None:
    found = rolls(files)
    assert words in found
    assert "StatefulSet redis is not under updateStrategy OnDelete" in found
    assert redis_variants.HINT in found
    assert words in rolls(files, Running())
    assert rolls(files, WAITS) == ""


ALWAYS = {
    "in one variant only": (catalog(warm_role=f"{CONFIG % PARKED}---\n{WORKLOAD}", base=""), RUNNING, "in one variant only"),
    "scaled": (other(WORKLOAD.replace("spec: {template", "spec: {replicas: @, template")), RUNNING, "in more than its pod template"),
    "another strategy": (other(WORKLOAD.replace("spec: {template", "spec: {updateStrategy: {type: @}, template")), RUNNING, "in more than its pod template"),
    "a patch of the strategy": (catalog(warm="patches: [{patch: 'spec: {updateStrategy: {type: RollingUpdate}}'}]\n"), RUNNING, "beyond the pod template"),
    "a patch to no pods": (catalog(warm="patches: [{patch: '[{op: replace, path: /spec/replicas, value: 0}]'}]\n"), RUNNING, "beyond the pod template"),
    "a prefix": (catalog(warm="namePrefix: warm-\n"), RUNNING, "kustomize does (namePrefix)"),
    "Reloader in the catalog": (
        catalog(base=WORKLOAD.replace("namespace: database}", "namespace: database, annotations: {reloader.stakater.com/auto: 'true'}}")),
        RUNNING,
        "annotated reloader.stakater.com/auto",
    ),
    "Reloader in the pod template": (
        catalog(base=WORKLOAD.replace("{template: {", "{template: {metadata: {annotations: {configmap.reloader.stakater.com/reload: role}}, ")),
        RUNNING,
        "annotated configmap.reloader.stakater.com/reload",
    ),
    "Reloader at the workload that runs": (catalog(), Running("StatefulSet", "redis", annotations={"reloader.stakater.com/auto": "true"}), "annotated"),
}


@pytest.mark.parametrize(("files", "running", "words"), ALWAYS.values(), ids=ALWAYS)
def test_what_no_strategy_holds_back_is_refused_under_ondelete_too(files: dict[str, str], running: Running, words: str) -> None:
    for one in (running, replace(running, waits=True)):
        found = rolls(files, one)
        assert words in found
        assert redis_variants.HINT in found


UNTOUCHED = {
    "a ConfigMap's data": catalog(),
    "a Service beside it": other("apiVersion: v1\nkind: Service\nmetadata: {name: redis-@, namespace: database}\n"),
    "a generator without a hash": catalog(warm="configMapGenerator: [{name: role, literals: [a=b]}]\ngeneratorOptions: {disableNameSuffixHash: true}\n"),
    "one patch for both": catalog(hot="patches: [{path: ../patch.yaml}]\n", warm="patches: [{path: ../patch.yaml}]\n") | {"c/patch.yaml": "a: 1\n"},
    "one chart for both": catalog(base=RELEASE % "values: {a: b}"),
    "one base elsewhere for both": catalog() | {"c/base/kustomization.yaml": "resources: [https://github.com/acme/redis]\n"},
    "another workload's template": other(WORKLOAD.replace("metadata: {name: redis", "metadata: {name: exporter").replace("name: redis}]", "name: @}]"))
    | {"c/base/redis.yaml": WORKLOAD},
}


@pytest.mark.parametrize("files", UNTOUCHED.values(), ids=UNTOUCHED)
def test_what_leaves_the_pod_template_alone_rolls_nothing_under_any_strategy(files: dict[str, str]) -> None:
    assert rolls(files) == ""


def test_a_workload_that_cannot_be_told_from_another_is_judged_with_it() -> None:
    files = other(WORKLOAD.replace("name: redis}]", "name: redis, args: [@]}]"))
    assert "rolls the pod now" in rolls(files, Running("StatefulSet", "prod-redis"))


def test_a_patch_that_only_shares_its_name_with_the_other_variants_is_no_carrier_of_a_fence() -> None:
    files = catalog(hot=PATCH, warm=PATCH) | {"c/hot-writer/patch.yaml": "a: 1\n", "c/warm-reader/patch.yaml": "a: 2\n"}
    assert "what kustomize does (patches)" in change(files).refused
