"""The admission policy of the pointer objects: what it refuses, and that it refuses nothing of what Bennu and Flux do in a rotation, whatever becomes of it."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import yaml

from bennu.core.clusters import Colour
from bennu.core.states import State
from bennu.lab.kubeapi import apply_ownership
from bennu.lab.kubeapi.apply_ownership import Manager
from bennu.lab.kubeapi.kinds import BUILT_IN
from bennu.lab.kubeapi.schemas import shape_of
from bennu.manifests import traffic_state
from bennu.manifests.traffic_state import TERM
from bennu.phases.kinds import CONFIGMAP, EPOCH, annotations_of
from bennu.ports.kubernetes import Json, Ref
from tests.sim import admission
from tests.sim.admission import BENNU, FLUX, OBJECTS, Guard, Write, refusals
from tests.sim.pilot import BOB, Pilot, at_rest, entered, universe
from tests.sim.seams import Killed, Taps
from tests.sim.test_requests import FAST
from tests.sim.universe import Kit, Universe

POINTER, SERVED, ROUTED = OBJECTS
HERE, THERE = "redis.database.svc.cluster.local", "redis-cluster-green.database.svc.cluster.local"
LOWER_EPOCH, LOWER_TERM, MOVED, DELETED = "lost the lock", "older revision", "without a higher bennu.io/term", "is not deleted"


def pointer(epoch: str = "", term: str = "", *, master: bool = True, **data: str) -> dict[str, Any]:
    notes = {name: value for name, value in ((EPOCH, epoch), (TERM, term)) if value}
    meta: dict[str, Any] = {"name": POINTER.name, "namespace": POINTER.namespace} | ({"annotations": notes} if notes else {})
    state = {"IS_WRITE_MASTER": str(master).lower(), "REDIS_WRITE_HOST": HERE if master else THERE, **data}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": state}


LIVE = pointer("5", "2", master=False)  # of a cluster whose authority has moved: by the holder of epoch 5, in the second term


@pytest.mark.parametrize(
    ("before", "after", "manager", "why"),
    [
        pytest.param(LIVE, pointer("4", "2", master=True), BENNU, [LOWER_EPOCH], id="a stale holder flips it back"),
        pytest.param(LIVE, pointer("4", "2", master=False), BENNU, [LOWER_EPOCH], id="a stale holder claims it"),
        pytest.param(LIVE, pointer("", "2", master=False), BENNU, [LOWER_EPOCH], id="the epoch is taken away"),
        pytest.param(LIVE, pointer("5x", "2", master=False), BENNU, [LOWER_EPOCH], id="an epoch that is no number"),
        pytest.param(LIVE, pointer("5", "1", master=True), FLUX, [LOWER_TERM, MOVED], id="a stale revision"),
        pytest.param(LIVE, pointer("5", "", master=True), FLUX, [LOWER_TERM, MOVED], id="a stale revision from before the first flip"),
        pytest.param(LIVE, pointer("5", "", master=False), FLUX, [LOWER_TERM], id="the term is taken away"),
        pytest.param(LIVE, pointer("5", "2", master=True), FLUX, [MOVED], id="a stale revision whose annotations another manager keeps"),
        pytest.param(LIVE, pointer("5", "2", master=True), "kubectl-edit", [MOVED], id="a hand"),
        pytest.param(LIVE, pointer("5", "2", master=True), "", [MOVED], id="a writer without a name"),
        pytest.param(LIVE, pointer("5", "2", master=False, MAINTENANCE_MODE="true"), FLUX, [], id="same epoch and term, other fields"),
        pytest.param(LIVE, pointer("6", "2", master=True), BENNU, [], id="a higher epoch flips it"),
        pytest.param(LIVE, pointer("5", "2", master=True), BENNU, [], id="the same holder puts it back"),
        pytest.param(LIVE, pointer("5", "3", master=True), FLUX, [], id="a newer revision"),
        pytest.param(LIVE, pointer("5", "10", master=True), FLUX, [], id="terms are numbers, not text"),
        pytest.param(pointer("", "", master=True), pointer("", "", master=False), FLUX, [], id="an object from before Bennu"),
        pytest.param(pointer("", "", master=True), pointer("1", "", master=True), BENNU, [], id="its first claim"),
        pytest.param(pointer("1", "", master=False), pointer("1", "", master=True), FLUX, [MOVED], id="a stale revision after the first flip, before Git's term has arrived"),
        pytest.param(pointer("1", "", master=True), pointer("1", "1", master=False), FLUX, [], id="a cluster that comes back to a newer revision"),
        pytest.param(LIVE, None, FLUX, [DELETED], id="pruned"),
        pytest.param(pointer("", "", master=True), None, "kubectl", [], id="deleted before Bennu"),
    ],
)  # fmt: skip
def test_what_is_refused_and_what_is_not(before: Json, after: Json | None, manager: str, why: list[str]) -> None:
    said = refusals(Write(POINTER, before, after, manager))
    assert len(said) == len(why), said
    for words, expected in zip(said, why, strict=True):
        assert expected in words


@pytest.mark.parametrize(
    ("ref", "spec", "moved"),
    [
        (SERVED, {"type": "ExternalName", "externalName": HERE}, {"type": "ExternalName", "externalName": THERE}),
        (
            ROUTED,
            {"rules": [{"backendRefs": [{"name": "redis", "port": 6379}]}]},
            {"rules": [{"backendRefs": [{"name": "redis-cluster-green", "port": 6379}]}]},
        ),
    ],
)
def test_the_write_service_is_judged_by_where_it_leads(ref: Ref, spec: Json, moved: Json) -> None:
    def obj(term: str, where: Json, **labels: str) -> dict[str, Any]:
        notes = {EPOCH: "5", TERM: term}
        return {"metadata": {"name": ref.name, "namespace": ref.namespace, "annotations": notes, "labels": labels}, "spec": where}

    assert MOVED in refusals(Write(ref, obj("2", spec), obj("2", moved)))[0]
    assert refusals(Write(ref, obj("2", spec), obj("3", moved))) == ()
    assert refusals(Write(ref, obj("2", spec), obj("2", spec, team="payments"))) == ()
    assert refusals(Write(ref, obj("2", spec), obj("2", moved), BENNU)) == ()


def test_other_objects_are_none_of_its_business() -> None:
    other = Ref(CONFIGMAP, "global-traffic-state", "elsewhere")
    assert refusals(Write(other, LIVE, pointer())) == ()


def test_the_file_is_what_an_api_server_takes() -> None:
    policy, binding = admission.documents()
    assert {one["apiVersion"] for one in (policy, binding)} == {"admissionregistration.k8s.io/v1"}
    assert (policy["kind"], binding["kind"], binding["spec"]["policyName"]) == (
        "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding", policy["metadata"]["name"],
    )  # fmt: skip
    assert policy["spec"]["failurePolicy"] == "Fail"
    for one in policy["spec"]["validations"]:
        # Flux takes Invalid, and these words, for an immutable field.
        assert one["reason"] == "Forbidden"
        assert "immutable" not in one.get("message", "") + one.get("messageExpression", "")


# What Flux' server-side apply makes of a revision, with the owners that Bennu's writes leave.


CONFIGMAPS = shape_of(next(one for one in BUILT_IN if one.kind == "ConfigMap"))


class Owned:
    """The live ConfigMap, applied to by managers of their own."""

    def __init__(self, config: Json) -> None:
        self.live: Any = apply_ownership.apply(None, dict(config), Manager(FLUX, "Apply", "v1"), CONFIGMAPS, force=True)

    def applied(self, config: Json, manager: str) -> tuple[str, ...]:
        """Apply it unless the policy refuses; what it says."""
        result = apply_ownership.apply(copy.deepcopy(self.live), copy.deepcopy(dict(config)), Manager(manager, "Apply", "v1"), CONFIGMAPS, force=True)
        said = refusals(Write(POINTER, self.live, result, manager))
        if not said:
            self.live = result
        return said


@pytest.mark.parametrize("term", ["", "1"])
def test_after_a_hand_over_flux_admits_the_new_revision_alone(term: str) -> None:
    old, new = pointer("", term, master=True), pointer("", str(int(term or 0) + 1), master=False)
    owned = Owned(old)
    assert owned.applied(pointer("7", master=True), BENNU) == ()  # claim
    assert owned.applied(pointer("7", master=False), BENNU) == ()  # flip
    assert owned.applied(old, FLUX), "a reconciliation that had begun before"
    assert owned.applied(pointer("7", master=False), BENNU) == ()  # Flux back
    assert owned.applied(old, FLUX), "before the new revision has arrived"
    assert owned.applied(new, FLUX) == ()
    assert annotations_of(owned.live) == {EPOCH: "7", TERM: new["metadata"]["annotations"][TERM]}
    assert owned.applied(old, FLUX), "a source that fell back"
    assert owned.applied(pointer("6", master=True), BENNU), "a holder that was taken over"
    assert owned.live["data"]["IS_WRITE_MASTER"] == "false"
    assert owned.applied(new, FLUX) == ()


def test_an_abort_leaves_a_pointer_that_flux_may_apply() -> None:
    git = pointer("", "4", master=True)
    owned = Owned(git)
    assert owned.applied(pointer("9", master=True, MAINTENANCE_MODE="true"), BENNU) == ()
    assert owned.applied(pointer("9", master=True), BENNU) == ()
    assert owned.applied(git, FLUX) == ()
    assert annotations_of(owned.live) == {EPOCH: "9", TERM: "4"}


# In whole rotations


def terms(world: Universe) -> dict[str, str]:
    """Cluster → the terms of its pointer objects, live and in Git."""
    found = {}
    for colour, cluster in world.clusters.items():
        text = world.tree.get(f"clusters/prod/us-east-1/cluster-{colour}/traffic-state.yaml", "")
        git = (
            [annotations_of(one).get(TERM, "-") for one in yaml.safe_load_all(text) if one["kind"] != "Service" or world.kit.via == "externalname"]
            if text
            else []
        )
        live = [
            annotations_of(obj).get(TERM, "-") for ref in (POINTER, ROUTED if world.kit.via == "tcproute" else SERVED) if (obj := cluster.at(ref)) is not None
        ]
        if cluster.up:
            found[colour.value] = f"{','.join(git)} {','.join(live)}"
    return found


@pytest.mark.parametrize(
    "kit", [FAST, Kit(via="externalname", weights=(10, 90)), Kit(via="tcproute", weights=(10, 90)), Kit(redis=False, weights=(10, 90))], ids=str
)
def test_a_rotation_and_the_next_one_pass_and_each_raises_the_term(kit: Kit) -> None:
    world = universe(kit)
    guard = Guard(world)
    both = "1,1 1,1" if kit.via else "1 1"
    assert Pilot(world, taps=guard.taps).start().error is None
    assert (guard.refused, terms(world)["green"]) == ([], both)
    assert Pilot(world, taps=guard.taps).start().error is None
    assert (guard.refused, terms(world)["red"]) == ([], both.replace("1", "2"))
    assert guard.judged > 8


def test_a_way_back_after_the_promotion_is_a_term_of_its_own() -> None:
    world = entered(State.PROMOTED, FAST)
    assert terms(world) == {"blue": "1 1", "green": "1 1"}
    guard = Guard(world)
    assert Pilot(world, taps=guard.taps).rollback().code == 6
    assert (guard.refused, terms(world)) == ([], {"blue": "2 2"})


def test_what_moves_no_authority_moves_no_term() -> None:
    world = entered(State.SWITCHOVER_LOCKED, FAST)
    guard = Guard(world)
    world.servers[Colour.GREEN].knobs.up = False
    aborted = Pilot(world, taps=guard.taps).resume()
    assert aborted.code == 5, aborted
    assert (guard.refused, terms(world)["blue"]) == ([], "- -")


@pytest.mark.parametrize("call", ["kubernetes.blue.apply", "redis.green.make_master", "kubernetes.green.apply", "redis.blue.attach", "repository.advance"])
@pytest.mark.parametrize("nth", [1, 2, 3])
def test_whoever_takes_over_in_the_middle_passes_and_raises_it_once(call: str, nth: int) -> None:
    world = entered(State.SWITCHOVER_LOCKED, FAST)
    guard, seen = Guard(world), []

    def after(name: str) -> None:
        guard.taps.after(name)
        seen.append(name)
        if seen.count(call) == nth:
            raise Killed(call)

    Pilot(world, taps=Taps(before=guard.taps.before, after=after)).resume()
    lock = Pilot(world).session.standing().lock
    heir = Pilot(world, BOB, taps=guard.taps)
    if Pilot(world).session.standing().open:
        outcome = heir.resume(take_over=lock.id if lock else "")
        assert outcome.error is None, outcome
    at_rest(world, Colour.GREEN)
    assert (guard.refused, terms(world)["green"]) == ([], "1 1")


def test_an_older_revision_is_refused_after_a_rotation() -> None:
    world = entered(State.PROMOTED, FAST)
    live = world.clusters[Colour.BLUE].at(POINTER)
    assert live is not None
    path = "clusters/prod/us-east-1/cluster-blue/traffic-state.yaml"
    for snapshot in world.remote.history:
        text = snapshot.files[path]
        git = next(iter(yaml.safe_load_all(text)))
        after = {**live, "metadata": {**live["metadata"], "annotations": {**annotations_of(live), **annotations_of(git)}}, "data": git["data"]}
        stale = traffic_state.parse(text, path).is_write_master
        assert bool(refusals(Write(POINTER, live, after))) is stale
