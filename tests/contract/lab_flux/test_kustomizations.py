"""Kustomizations: a commit becomes objects, with the status fields and the care of the real kustomize-controller."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from tests.contract.lab_flux.stand import KUSTOMIZATION, NAMESPACE, conditions, configmap, message, ready, stand
from tests.contract.lab_node.clusters import run

CONFIGMAP = ("v1", "ConfigMap")


def manifest(kind: str, name: str, api_version: str = "v1", **fields: Any) -> str:
    return yaml.safe_dump({"apiVersion": api_version, "kind": kind, "metadata": {"name": name, "namespace": "shop"}, **fields})


def test_what_is_applied_is_labelled_and_kept_in_the_inventory(tmp_path: Path) -> None:
    async def story() -> None:
        async with stand(tmp_path) as here:
            await here.source()
            await here.kustomization()
            namespace = "apiVersion: v1\nkind: Namespace\nmetadata: {name: fresh}\n---\n"
            revision = await here.commit({"apps/b.yaml": namespace + configmap("b", "fresh", k="v"), "apps/c.yaml": manifest("ServiceAccount", "c")})
            found = await here.synchronised(revision)
            status = found["status"]
            assert conditions(found) == {"Ready": ("True", "ReconciliationSucceeded")}
            assert message(found) == f"Applied revision: {revision}"
            assert (status["lastAppliedRevision"], status["lastAttemptedRevision"]) == (revision, revision)
            assert status["observedGeneration"] == found["metadata"]["generation"]
            ids = ["_fresh__Namespace", "fresh_b__ConfigMap", "shop_a__ConfigMap", "shop_c__ServiceAccount"]
            assert status["inventory"] == {"entries": [{"id": one, "v": "v1"} for one in ids]}
            live = await here.client.find(*CONFIGMAP, "b", "fresh")
            assert live is not None
            assert live["metadata"]["labels"] == {"kustomize.toolkit.fluxcd.io/name": "apps", "kustomize.toolkit.fluxcd.io/namespace": NAMESPACE}

    run(story)


def test_what_leaves_git_is_pruned_and_only_that(tmp_path: Path) -> None:
    async def story() -> None:
        async with stand(tmp_path) as here:
            await here.source()
            await here.kustomization()
            await here.kustomization("careful", path="./careful", prune=False)
            keep = configmap("kept", k="v").replace("metadata:", "metadata:\n  annotations: {kustomize.toolkit.fluxcd.io/prune: disabled}")
            first = await here.commit(
                {"apps/b.yaml": configmap("b", k="v"), "apps/kept.yaml": keep, "careful/d.yaml": configmap("d", k="v"), "careful/e.yaml": ""}
            )
            await here.synchronised(first)
            await here.synchronised(first, "careful")
            second = await here.commit({"apps/b.yaml": None, "apps/kept.yaml": None, "careful/d.yaml": None})
            found = await here.synchronised(second)
            await here.synchronised(second, "careful")
            assert [await here.config(name) is not None for name in ("a", "b", "kept", "d")] == [True, False, True, True]
            assert [one["id"] for one in found["status"]["inventory"]["entries"]] == ["shop_a__ConfigMap"]

    run(story)


def test_a_folder_that_is_gone_is_not_found_and_prunes_nothing(tmp_path: Path) -> None:
    async def story() -> None:
        async with stand(tmp_path) as here:
            first = await here.commit({})
            await here.source()
            await here.kustomization()
            await here.synchronised(first)
            await here.commit({"apps/a.yaml": None, "other/b.yaml": configmap("b", k="v")})
            await here.handled(("source.toolkit.fluxcd.io/v1", "GitRepository"), "fleet")
            found = await here.until(KUSTOMIZATION, "apps", lambda status: ready(status) == "False")
            assert conditions(found) == {"Ready": ("False", "ArtifactFailed"), "Reconciling": ("True", "ProgressingWithRetry")}
            assert message(found).startswith("kustomization path not found: stat ./apps: no such file")
            assert found["status"]["lastAppliedRevision"] == first
            assert found["status"]["inventory"]["entries"] == [{"id": "shop_a__ConfigMap", "v": "v1"}]
            assert await here.config("a") == {"k": "v1"}
            # Nor does a path lead out of the artifact.
            await here.changed(KUSTOMIZATION, "apps", {"spec": {"path": "../../.."}})
            await here.until(KUSTOMIZATION, "apps", lambda status: "stat ../../.." in message({"status": status}))

    run(story)


def test_broken_yaml_is_said_with_its_line_and_what_was_applied_stays(tmp_path: Path) -> None:
    async def story() -> None:
        async with stand(tmp_path) as here:
            first = await here.commit({})
            await here.source()
            await here.kustomization()
            await here.synchronised(first)
            second = await here.commit({"apps/a.yaml": configmap("a", k="v2"), "apps/b.yaml": "kind: ConfigMap\nmetadata: {name: [\n"})
            found = await here.synchronised(second)
            assert conditions(found)["Ready"] == ("False", "BuildFailed")
            assert "b.yaml: line" in message(found)
            assert (found["status"]["lastAppliedRevision"], found["status"]["lastAttemptedRevision"]) == (first, second)
            assert await here.config("a") == {"k": "v1"}
            third = await here.commit({"apps/b.yaml": None})
            assert conditions(await here.synchronised(third)) == {"Ready": ("True", "ReconciliationSucceeded")}
            assert await here.config("a") == {"k": "v2"}

    run(story)


def test_one_object_that_the_server_refuses_keeps_the_others_as_they_were(tmp_path: Path) -> None:
    async def story() -> None:
        async with stand(tmp_path) as here:
            first = await here.commit({})
            await here.source()
            await here.kustomization()
            await here.synchronised(first)
            bad = manifest("Deployment", "web", "apps/v1", spec={"replicas": "many", "selector": {}, "template": {}})
            found = await here.synchronised(await here.commit({"apps/a.yaml": configmap("a", k="v2"), "apps/web.yaml": bad}))
            assert conditions(found)["Ready"] == ("False", "ReconciliationFailed")
            assert "Deployment/shop/web dry-run failed" in message(found)
            assert await here.config("a") == {"k": "v1"}
            unknown = await here.synchronised(await here.commit({"apps/web.yaml": manifest("Nonsense", "web", "example.com/v1")}))
            assert "Nonsense/shop/web" in message(unknown)

    run(story)


def test_a_new_generation_that_fails_is_not_observed(tmp_path: Path) -> None:
    async def story() -> None:
        async with stand(tmp_path) as here:
            await here.source()
            await here.kustomization()
            good = await here.until(KUSTOMIZATION, "apps", lambda status: ready(status) == "True")
            await here.changed(KUSTOMIZATION, "apps", {"spec": {"path": "./nowhere"}})
            bad = await here.until(KUSTOMIZATION, "apps", lambda status: ready(status) == "False")
            assert bad["status"]["observedGeneration"] == good["metadata"]["generation"] < bad["metadata"]["generation"]
            assert all(one["observedGeneration"] == bad["metadata"]["generation"] for one in bad["status"]["conditions"])

    run(story)


def test_a_live_object_that_asks_flux_to_keep_off_is_neither_changed_nor_pruned(tmp_path: Path) -> None:
    async def story() -> None:
        async with stand(tmp_path) as here:
            await here.source()
            await here.kustomization()
            await here.synchronised(await here.commit({}))
            held = here.ref(CONFIGMAP, "a", "shop")
            await here.client.patch(held, {"metadata": {"annotations": {"kustomize.toolkit.fluxcd.io/reconcile": "disabled"}}, "data": {"k": "by hand"}})
            found = await here.synchronised(await here.commit({"apps/a.yaml": configmap("a", k="v2"), "apps/b.yaml": configmap("b", k="v")}))
            assert ready(found["status"]) == "True"
            assert await here.config("a") == {"k": "by hand"}
            await here.client.patch(held, {"metadata": {"annotations": {"kustomize.toolkit.fluxcd.io/reconcile": None}}})
            await here.handled(KUSTOMIZATION, "apps")
            assert await here.config("a") == {"k": "v2"}
            await here.client.patch(held, {"metadata": {"annotations": {"kustomize.toolkit.fluxcd.io/reconcile": "disabled"}}})
            await here.synchronised(await here.commit({"apps/a.yaml": None}))
            assert await here.config("a") == {"k": "v2"}

    run(story)


def test_what_drifted_is_put_back_unless_it_is_only_wanted_if_absent(tmp_path: Path) -> None:
    async def story() -> None:
        async with stand(tmp_path) as here:
            await here.source()
            await here.kustomization()
            seed = configmap("seed", k="v1").replace("metadata:", "metadata:\n  annotations: {kustomize.toolkit.fluxcd.io/ssa: IfNotPresent}")
            await here.synchronised(await here.commit({"apps/seed.yaml": seed}))
            for name in ("a", "seed"):
                await here.client.patch(here.ref(CONFIGMAP, name, "shop"), {"data": {"k": "by hand"}})
            await here.handled(KUSTOMIZATION, "apps")
            assert (await here.config("a"), await here.config("seed")) == ({"k": "v1"}, {"k": "by hand"})

    run(story)


def test_a_suspended_kustomization_does_nothing_whoever_asks(tmp_path: Path) -> None:
    async def story() -> None:
        async with stand(tmp_path) as here:
            await here.source()
            await here.kustomization()
            await here.kustomization("other", path="./other")
            first = await here.commit({"other/b.yaml": configmap("b", k="v1")})
            await here.synchronised(first)
            await here.changed(KUSTOMIZATION, "apps", {"spec": {"suspend": True}})
            token = await here.asked(KUSTOMIZATION, "apps")
            second = await here.commit({"apps/a.yaml": configmap("a", k="v2"), "other/b.yaml": configmap("b", k="v2")})
            await here.synchronised(second, "other")
            held = await here.client.find(*KUSTOMIZATION, "apps", NAMESPACE)
            assert held is not None
            assert (held["status"]["lastAppliedRevision"], held["status"].get("lastHandledReconcileAt")) == (first, None)
            assert await here.config("a") == {"k": "v1"}
            await here.changed(KUSTOMIZATION, "apps", {"spec": {"suspend": False}})
            await here.until(KUSTOMIZATION, "apps", lambda status: status.get("lastHandledReconcileAt") == token and status["lastAppliedRevision"] == second)

    run(story)


def test_variables_come_from_the_spec_from_configmaps_and_from_secrets(tmp_path: Path) -> None:
    async def story() -> None:
        async with stand(tmp_path) as here:
            await here.source()
            secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "more", "namespace": NAMESPACE}, "stringData": {"HIDDEN": "h"}}
            await here.client.create(secret)
            sources = [
                {"kind": "ConfigMap", "name": "cluster-config"},
                {"kind": "Secret", "name": "more"},
                {"kind": "ConfigMap", "name": "no", "optional": True},
            ]
            await here.kustomization(postBuild={"substitute": {"OVER": "spec"}, "substituteFrom": sources})
            text = configmap("a", k="${COLOUR}-${HIDDEN}-${OVER}-${NOTHING:=default}", raw="$${COLOUR}")
            revision = await here.commit({"apps/a.yaml": text})
            missing = await here.synchronised(revision)
            assert conditions(missing)["Ready"] == ("False", "BuildFailed")
            assert "ConfigMap/cluster-config" in message(missing)
            data = {"COLOUR": "blue", "OVER": "configmap"}
            await here.client.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "cluster-config", "namespace": NAMESPACE}, "data": data})
            await here.until(KUSTOMIZATION, "apps", lambda status: ready(status) == "True")
            assert await here.config("a") == {"k": "blue-h-spec-default", "raw": "${COLOUR}"}

    run(story)


def test_patches_and_a_target_namespace_change_what_is_applied(tmp_path: Path) -> None:
    async def story() -> None:
        async with stand(tmp_path) as here:
            await here.source()
            await here.cluster.namespace("elsewhere")
            patches = [{"target": {"kind": "ConfigMap"}, "patch": "- {op: add, path: /data/more, value: x}"}, {"patch": configmap("a", k="patched")}]
            await here.kustomization(patches=patches, targetNamespace="elsewhere")
            await here.until(KUSTOMIZATION, "apps", lambda status: ready(status) == "True")
            assert await here.config("a", "elsewhere") == {"k": "patched", "more": "x"}
            assert await here.config("a") is None

    run(story)


def test_a_dependent_waits_until_what_it_depends_on_is_ready(tmp_path: Path) -> None:
    async def story() -> None:
        async with stand(tmp_path) as here:
            await here.source()
            await here.kustomization("second", path="./apps", dependsOn=[{"name": "first"}])
            waiting = await here.until(KUSTOMIZATION, "second", lambda status: conditions(status).get("Ready") == ("False", "DependencyNotReady"))
            assert "flux-system/first" in message(waiting)
            assert await here.config("a") is None
            await here.kustomization("first", path="./first")
            await here.commit({"first/b.yaml": configmap("b", k="v")})
            await here.handled(("source.toolkit.fluxcd.io/v1", "GitRepository"), "fleet")
            await here.until(KUSTOMIZATION, "second", lambda status: ready(status) == "True")
            assert await here.config("b") == {"k": "v"}

    run(story)


def test_a_deleted_kustomization_takes_its_objects_along_unless_it_is_suspended(tmp_path: Path) -> None:
    async def story() -> None:
        async with stand(tmp_path) as here:
            await here.source()
            await here.kustomization()
            await here.kustomization("other", path="./other")
            revision = await here.commit({"other/b.yaml": configmap("b", k="v")})
            await here.synchronised(revision)
            await here.synchronised(revision, "other")
            await here.changed(KUSTOMIZATION, "other", {"spec": {"suspend": True}})
            for name in ("apps", "other"):
                await here.client.delete(here.ref(KUSTOMIZATION, name))
            await here.cluster.until(*KUSTOMIZATION, lambda objects: not objects)
            assert (await here.config("a"), await here.config("b")) == (None, {"k": "v"})

    run(story)


def test_an_object_that_moves_to_another_kustomization_is_not_pruned_by_the_first(tmp_path: Path) -> None:
    async def story() -> None:
        async with stand(tmp_path) as here:
            await here.source()
            await here.kustomization()
            await here.synchronised(await here.commit({"apps/b.yaml": configmap("b", k="v")}))
            await here.changed(KUSTOMIZATION, "apps", {"spec": {"suspend": True}})
            await here.kustomization("other", path="./other")
            second = await here.commit({"apps/a.yaml": None, "other/a.yaml": configmap("a", k="v1")})
            await here.synchronised(second, "other")
            await here.changed(KUSTOMIZATION, "apps", {"spec": {"suspend": False}})
            await here.until(KUSTOMIZATION, "apps", lambda status: status.get("lastAppliedRevision") == second)
            assert await here.config("a") == {"k": "v1"}

    run(story)


def test_foreign_finalizers_are_kept(tmp_path: Path) -> None:
    async def story() -> None:
        async with stand(tmp_path) as here:
            await here.source()
            held = {**here.ref(KUSTOMIZATION, "apps"), "spec": {"interval": "1h", "prune": True, "sourceRef": {"kind": "GitRepository", "name": "fleet"}}}
            held["metadata"]["finalizers"] = ["example.com/theirs"]
            await here.client.create(held)
            found = await here.until(KUSTOMIZATION, "apps", lambda status: ready(status) == "True")
            assert found["metadata"]["finalizers"] == ["example.com/theirs", "finalizers.fluxcd.io"]
            await here.client.delete(here.ref(KUSTOMIZATION, "apps"))
            gone = await here.cluster.until(
                *KUSTOMIZATION, lambda objects: [o for o in objects.values() if o["metadata"]["finalizers"] == ["example.com/theirs"]]
            )
            assert gone

    run(story)


def test_what_is_not_emulated_or_not_there_is_said_in_the_status(tmp_path: Path) -> None:
    async def story() -> None:
        async with stand(tmp_path) as here:
            await here.kustomization()
            found = await here.until(KUSTOMIZATION, "apps", lambda status: ready(status) == "False")
            assert (conditions(found)["Ready"][1], message(found)) == ("ArtifactFailed", "GitRepository 'fleet' not found")
            await here.source()
            await here.kustomization("waits", wait=True)
            refused = await here.until(KUSTOMIZATION, "waits", lambda status: ready(status) == "False")
            assert message(refused) == "spec.wait is not emulated in the lab"

    run(story)


def test_while_it_is_worked_on_its_readiness_is_unknown(tmp_path: Path) -> None:
    async def story() -> None:
        async with stand(tmp_path) as here:
            seen = []
            watch = here.client.watch(*KUSTOMIZATION)
            await here.source()
            await here.kustomization()
            async for _, obj in watch:
                if obj.get("status"):
                    seen.append(conditions(obj).get("Ready"))
                if seen and seen[-1] == ("True", "ReconciliationSucceeded"):
                    break
            await watch.aclose()
            assert seen[-2] == ("Unknown", "Progressing")

    run(story)
