"""GitRepositories: fetched when asked or due, told as Flux tells it, and honest about a remote that fails."""

from __future__ import annotations

import base64
from pathlib import Path

from tests.contract.lab_flux.stand import KUSTOMIZATION, NAMESPACE, SOURCE, conditions, configmap, message, ready, stand
from tests.contract.lab_node.clusters import run


def test_a_fetched_commit_is_an_artifact_with_its_revision(tmp_path: Path) -> None:
    async def story() -> None:
        async with stand(tmp_path) as here:
            revision = await here.commit({})
            await here.source()
            found = await here.until(SOURCE, "fleet", lambda status: ready(status) == "True")
            assert conditions(found) == {"Ready": ("True", "Succeeded"), "ArtifactInStorage": ("True", "Succeeded")}
            assert found["status"]["artifact"]["revision"] == revision
            assert found["status"]["artifact"]["digest"].startswith("sha256:")
            assert found["status"]["observedGeneration"] == found["metadata"]["generation"]
            assert revision in message(found)

    run(story)


def test_a_push_is_seen_once_it_is_asked_for_and_not_before_the_interval(tmp_path: Path) -> None:
    async def story() -> None:
        async with stand(tmp_path) as here:
            first = await here.commit({})
            await here.source()
            await here.kustomization()
            await here.until(KUSTOMIZATION, "apps", lambda status: status.get("lastAppliedRevision") == first)
            second = await here.commit({"apps/a.yaml": configmap("a", k="v2")})
            # The Kustomization alone reconciles what its source has; asking the source brings the commit, and the Kustomization follows by itself.
            found = await here.handled(KUSTOMIZATION, "apps")
            assert found["status"]["lastAppliedRevision"] == first
            source = await here.handled(SOURCE, "fleet")
            assert source["status"]["artifact"]["revision"] == second
            await here.until(KUSTOMIZATION, "apps", lambda status: status.get("lastAppliedRevision") == second)
            assert await here.config("a") == {"k": "v2"}

    run(story)


def test_a_short_interval_brings_a_push_by_itself(tmp_path: Path) -> None:
    async def story() -> None:
        async with stand(tmp_path) as here:
            await here.source(interval="200ms")
            revision = await here.commit({})
            await here.until(SOURCE, "fleet", lambda status: (status.get("artifact") or {}).get("revision") == revision)

    run(story)


def test_a_suspended_source_is_not_fetched_whoever_asks(tmp_path: Path) -> None:
    async def story() -> None:
        async with stand(tmp_path) as here:
            first = await here.commit({})
            await here.source()
            await here.source("other")
            await here.until(SOURCE, "fleet", lambda status: ready(status) == "True")
            await here.changed(SOURCE, "fleet", {"spec": {"suspend": True}})
            token = await here.asked(SOURCE, "fleet")
            second = await here.commit({})
            # The same look has passed over the suspended one.
            assert (await here.handled(SOURCE, "other"))["status"]["artifact"]["revision"] == second
            held = await here.client.find(*SOURCE, "fleet", NAMESPACE)
            assert held is not None
            assert held["status"]["artifact"]["revision"] == first
            assert held["status"].get("lastHandledReconcileAt") != token
            await here.changed(SOURCE, "fleet", {"spec": {"suspend": False}})
            found = await here.until(SOURCE, "fleet", lambda status: status.get("lastHandledReconcileAt") == token)
            assert found["status"]["artifact"]["revision"] == second

    run(story)


def test_a_remote_that_is_down_fails_and_the_last_artifact_stays(tmp_path: Path) -> None:
    async def story() -> None:
        async with stand(tmp_path) as here:
            revision = await here.commit({})
            await here.source()
            await here.until(SOURCE, "fleet", lambda status: ready(status) == "True")
            here.lab.set_fault("git", "down")
            found = await here.handled(SOURCE, "fleet")
            assert conditions(found)["Ready"] == ("False", "GitOperationFailed")
            assert conditions(found)["FetchFailed"] == ("True", "GitOperationFailed")
            assert conditions(found)["Reconciling"] == ("True", "ProgressingWithRetry")
            assert "503" in message(found)
            assert found["status"]["artifact"]["revision"] == revision
            here.lab.clear_fault("git")
            healed = await here.until(SOURCE, "fleet", lambda status: ready(status) == "True")
            assert set(conditions(healed)) == {"Ready", "ArtifactInStorage"}

    run(story)


def test_a_wrong_password_and_a_missing_secret_are_told_apart_without_the_password(tmp_path: Path) -> None:
    async def story() -> None:
        async with stand(tmp_path) as here:
            data = {"username": base64.b64encode(b"lab").decode(), "password": base64.b64encode(b"s3cret-but-wrong").decode()}
            await here.client.create({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "wrong", "namespace": NAMESPACE}, "data": data})
            await here.source(secretRef={"name": "wrong"})
            refused = await here.until(SOURCE, "fleet", lambda status: ready(status) == "False")
            assert "s3cret" not in message(refused)
            await here.source("other", secretRef={"name": "nowhere"})
            missing = await here.until(SOURCE, "other", lambda status: ready(status) == "False")
            assert "failed to get secret 'flux-system/nowhere': not found" in message(missing)

    run(story)


def test_a_reference_that_is_not_emulated_is_refused_by_name(tmp_path: Path) -> None:
    async def story() -> None:
        async with stand(tmp_path) as here:
            await here.source(ref={"tag": "v1"})
            found = await here.until(SOURCE, "fleet", lambda status: ready(status) == "False")
            assert "spec.ref.tag is not emulated" in message(found)
            await here.source("other", ref={"branch": "gone"})
            assert "gone" in message(await here.until(SOURCE, "other", lambda status: ready(status) == "False"))

    run(story)


def test_flux_that_is_down_does_nothing_until_it_is_healed(tmp_path: Path) -> None:
    async def story() -> None:
        async with stand(tmp_path) as here:
            here.lab.set_fault("flux:blue", "down")
            await here.source()
            await here.kustomization()
            token = await here.asked(SOURCE, "fleet")
            held = await here.client.find(*SOURCE, "fleet", NAMESPACE)
            assert held is not None
            assert "status" not in held or not held["status"].get("artifact")
            here.lab.clear_fault("flux:blue")
            await here.until(SOURCE, "fleet", lambda status: status.get("lastHandledReconcileAt") == token)
            await here.until(KUSTOMIZATION, "apps", lambda status: ready(status) == "True")

    run(story)
