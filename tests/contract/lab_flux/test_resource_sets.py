"""ResourceSets: whole objects from inputs, applied and pruned as one set."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.contract.lab_flux.stand import NAMESPACE, RESOURCESET, conditions, message, ready, stand
from tests.contract.lab_node.clusters import run

Json = dict[str, Any]


def template(name: str = "<< inputs.name >>", **data: str) -> Json:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "shop"}, "data": data}


def test_each_input_makes_its_objects_and_one_that_goes_takes_them_along(tmp_path: Path) -> None:
    async def story() -> None:
        async with stand(tmp_path) as here:
            inputs = [{"name": "one", "weight": 10}, {"name": "two", "weight": 90}]
            await here.put(RESOURCESET, "apps", {"inputs": inputs, "resources": [template(w="<< inputs.weight | quote >>"), template("same", k="v")]})
            found = await here.until(RESOURCESET, "apps", lambda status: ready(status) == "True")
            assert conditions(found) == {"Ready": ("True", "ReconciliationSucceeded")}
            assert [one["id"] for one in found["status"]["inventory"]["entries"]] == ["shop_one__ConfigMap", "shop_same__ConfigMap", "shop_two__ConfigMap"]
            assert found["status"]["observedGeneration"] == found["metadata"]["generation"]
            assert found["status"]["lastAppliedRevision"].startswith("sha256:")
            assert (await here.config("one"), await here.config("two")) == ({"w": "10"}, {"w": "90"})
            await here.changed(RESOURCESET, "apps", {"spec": {"inputs": [{"name": "one", "weight": 50}]}})
            await here.until(RESOURCESET, "apps", lambda status: len((status.get("inventory") or {}).get("entries") or []) == 2)
            assert (await here.config("one"), await here.config("two")) == ({"w": "50"}, None)

    run(story)


def test_without_inputs_the_resources_are_taken_as_they_are_into_its_own_namespace(tmp_path: Path) -> None:
    async def story() -> None:
        async with stand(tmp_path) as here:
            plain = template("plain", k="v")
            del plain["metadata"]["namespace"]
            await here.put(RESOURCESET, "apps", {"resources": [plain]})
            await here.until(RESOURCESET, "apps", lambda status: ready(status) == "True")
            assert await here.config("plain", NAMESPACE) == {"k": "v"}

    run(story)


def test_a_template_that_cannot_be_filled_is_stalled_and_the_set_stays(tmp_path: Path) -> None:
    async def story() -> None:
        async with stand(tmp_path) as here:
            await here.put(RESOURCESET, "apps", {"inputs": [{"name": "one"}], "resources": [template(k="v")]})
            await here.until(RESOURCESET, "apps", lambda status: ready(status) == "True")
            await here.changed(RESOURCESET, "apps", {"spec": {"resources": [template(k="<< inputs.nothing >>")]}})
            found = await here.until(RESOURCESET, "apps", lambda status: ready(status) == "False")
            assert conditions(found) == {"Ready": ("False", "BuildFailed"), "Stalled": ("True", "BuildFailed")}
            assert 'map has no entry for key "nothing"' in message(found)
            assert await here.config("one") == {"k": "v"}
            await here.changed(RESOURCESET, "apps", {"spec": {"resources": [template(k="w")]}})
            healed = await here.until(RESOURCESET, "apps", lambda status: ready(status) == "True")
            assert "Stalled" not in conditions(healed)
            assert await here.config("one") == {"k": "w"}

    run(story)


def test_a_number_for_a_string_field_is_refused_by_the_server(tmp_path: Path) -> None:
    async def story() -> None:
        async with stand(tmp_path) as here:
            await here.put(RESOURCESET, "apps", {"inputs": [{"name": "one", "weight": 10}], "resources": [template(w="<< inputs.weight >>")]})
            found = await here.until(RESOURCESET, "apps", lambda status: ready(status) == "False")
            assert conditions(found)["Ready"] == ("False", "ReconciliationFailed")
            assert "ConfigMap/shop/one" in message(found)

    run(story)


def test_a_disabled_set_is_left_alone_and_a_request_is_honoured(tmp_path: Path) -> None:
    async def story() -> None:
        async with stand(tmp_path) as here:
            await here.put(RESOURCESET, "apps", {"resources": [template("one", k="v")]})
            await here.until(RESOURCESET, "apps", lambda status: ready(status) == "True")
            await here.changed(RESOURCESET, "apps", {"metadata": {"annotations": {"fluxcd.controlplane.io/reconcile": "disabled"}}})
            await here.changed(RESOURCESET, "apps", {"spec": {"resources": [template("one", k="w")]}})
            # Another set, changed later, is done; this one was passed over.
            await here.put(RESOURCESET, "other", {"resources": [template("two", k="v")]})
            await here.until(RESOURCESET, "other", lambda status: ready(status) == "True")
            assert await here.config("one") == {"k": "v"}
            await here.changed(RESOURCESET, "apps", {"metadata": {"annotations": {"fluxcd.controlplane.io/reconcile": "enabled"}}})
            found = await here.handled(RESOURCESET, "apps")
            assert ready(found["status"]) == "True"
            assert await here.config("one") == {"k": "w"}
            await here.client.patch(here.ref(("v1", "ConfigMap"), "one", "shop"), {"data": {"k": "by hand"}})
            await here.handled(RESOURCESET, "apps")
            assert await here.config("one") == {"k": "w"}

    run(story)


def test_a_deleted_set_takes_its_objects_along(tmp_path: Path) -> None:
    async def story() -> None:
        async with stand(tmp_path) as here:
            await here.put(RESOURCESET, "apps", {"resources": [template("one", k="v")]})
            await here.until(RESOURCESET, "apps", lambda status: ready(status) == "True")
            await here.client.delete(here.ref(RESOURCESET, "apps"))
            await here.cluster.until(*RESOURCESET, lambda objects: not objects)
            assert await here.config("one") is None

    run(story)


def test_what_is_not_emulated_is_refused_by_name(tmp_path: Path) -> None:
    async def story() -> None:
        async with stand(tmp_path) as here:
            await here.put(RESOURCESET, "apps", {"wait": True, "resources": [template("one", k="v")]})
            found = await here.until(RESOURCESET, "apps", lambda status: ready(status) == "False")
            assert "spec.wait is not emulated" in message(found)
            assert await here.config("one") is None

    run(story)
