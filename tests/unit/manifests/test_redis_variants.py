"""What a change of the Redis variant would do to a pod that runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from bennu.manifests import redis_variants

ROOT = Path(__file__).parents[3]
CONFIG = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: role, namespace: database}\ndata: {role.conf: '%s'}\n"
WORKLOAD = "apiVersion: apps/v1\nkind: StatefulSet\nmetadata: {name: redis, namespace: database}\nspec: {template: {spec: {containers: [{name: redis}]}}}\n"
PARKED = "replicaof 127.0.0.1 1"


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


def change(files: dict[str, str], top: str = "c") -> redis_variants.Change:
    def below(folder: str) -> tuple[str, ...]:
        return tuple(sorted(name for name in files if name.startswith(f"{folder}/")))

    hot, warm = (redis_variants.read(f"{top}/{variant}", files.get, below) for variant in ("hot-writer", "warm-reader"))
    return redis_variants.change(hot, warm)


def test_variants_that_differ_in_a_configmaps_data_alone_roll_nothing() -> None:
    assert change(catalog()) == redis_variants.Change(configmap=("database", "role"))


@pytest.mark.parametrize("folder", ["examples/redis/variants", "bennu/lab/fleet/catalogs/apps/redis/variants"])
def test_the_examples_and_the_labs_catalog_use_the_pattern(folder: str) -> None:
    files = {str(path.relative_to(ROOT)): path.read_text(encoding="utf-8") for path in (ROOT / folder).parent.rglob("*.yaml")}
    found = change(files, folder)
    assert found.refused == ""
    assert found.configmap[0] == "database"


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"warm": "configMapGenerator: [{name: role, literals: [a=b]}]\n"}, "a hash of its content"),
        ({"warm": "patches: [{path: x.yaml}]\n"}, "what kustomize does (patches)"),
        ({"hot": "images: [{name: redis, newTag: '7'}]\n"}, "what kustomize does (images)"),
        ({"warm_role": f"{CONFIG % PARKED}---\n{WORKLOAD.replace('name: redis}', 'name: valkey}')}"}, "rolls the pod now"),
        (
            {"warm_role": f"{CONFIG % PARKED}---\napiVersion: v1\nkind: Service\nmetadata: {{name: more, namespace: database}}\n"},
            "Service database/more differs",
        ),
        ({"warm_role": (CONFIG % PARKED).replace("name: role", "name: role-7f9")}, "in one variant only"),
        ({"warm_role": CONFIG % ""}, "a restart would come back as a master"),
        ({"role": CONFIG % PARKED}, "a restart would come back as a master"),
        ({"base": "apiVersion: helm.toolkit.fluxcd.io/v2\nkind: HelmRelease\nmetadata: {name: redis, namespace: database}\n"}, "HelmRelease"),
        (
            {"base": WORKLOAD.replace("namespace: database}", "namespace: database, annotations: {reloader.stakater.com/auto: 'true'}}")},
            "reloader.stakater.com/auto",
        ),
        (
            {"base": WORKLOAD.replace("{template: {", "{template: {metadata: {annotations: {configmap.reloader.stakater.com/reload: role}}, ")},
            "configmap.reloader.stakater.com/reload",
        ),
    ],
)
def test_whatever_else_would_change_is_refused_with_the_pattern_that_does_not(files: dict[str, str], words: str) -> None:
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
    text = "\n".join(line for line in text.splitlines() if not line.startswith("#@"))
    assert redis_variants.folder_of(text, "warm-reader", "f.yaml") == "catalogs/apps/redis/variants/warm-reader"
