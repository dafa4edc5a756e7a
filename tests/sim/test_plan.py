"""What ``plan`` shows is what runs: the same steps, and, applied one after the other, diffs that give the same files."""

from __future__ import annotations

import re

from bennu.core.clusters import Colour
from bennu.core.plan import Plan
from bennu.core.states import State
from bennu.engine.progress import Mark
from bennu.engine.turns import Wishes
from tests.sim import fleet
from tests.sim.pilot import Pilot, entered, universe
from tests.sim.universe import Kit, Universe

FAST = Kit(weights=(10, 50))
# Known only while it runs: who the new cluster is, its addresses, and what depends on a running link.
_RUNTIME = re.compile(r"CLUSTER_UID|GATEWAY_ADDRESS|gatewayAddress|apisix-gateway-(blue|green)\.test")


def patched(files: dict[str, str], diff: str) -> dict[str, str]:
    """*files* with a unified diff applied, hunk by hunk, the context checked."""
    found = dict(files)
    for part in re.split(r"(?m)^(?=--- )", diff):
        if not part:
            continue
        old, new, *lines = part.splitlines()
        source, target = old[4:].removeprefix("a/"), new[4:].removeprefix("b/")
        text = _hunks(found.get(source, "").splitlines(), lines)
        if target == "/dev/null":
            del found[source]
        else:
            found[target] = text
    return found


def _hunks(before: list[str], lines: list[str]) -> str:
    out: list[str] = []
    at = 0
    for line in lines:
        hunk = re.match(r"@@ -(\d+)(?:,(\d+))? ", line)
        if hunk:
            begin = max(int(hunk[1]) - (0 if hunk[2] == "0" else 1), 0)
            out += before[at:begin]
            at = begin
        elif line.startswith("+"):
            out.append(line[1:])
        elif line[:1] in ("-", " "):
            assert before[at] == line[1:], (before[at], line)
            at += 1
            out += [line[1:]] if line.startswith(" ") else []
    return "".join(f"{line}\n" for line in [*out, *before[at:]])


def stable(files: dict[str, str]) -> dict[str, list[str]]:
    """Without what is known only at run time."""
    return {path: [line for line in text.splitlines() if not _RUNTIME.search(line)] for path, text in files.items()}


def commits(world: Universe) -> list[tuple[str, dict[str, str]]]:
    """(step, whole tree) of each commit of Bennu's."""
    return [(one.commit.trailers["Bennu-Step"], dict(one.files)) for one in world.remote.history if "Bennu-Step" in one.commit.trailers]


def planned(world: Universe) -> Plan:
    return Pilot(world).session.plan("")


def test_the_diffs_in_their_order_give_the_trees_of_the_commits() -> None:
    world = universe(FAST)
    plan = planned(world)
    tree = dict(world.tree)
    assert Pilot(world).start().error is None
    made = dict(commits(world))
    compared = 0
    later = {step.step for step in plan.steps if step.later}
    for step in plan.steps:
        tree = patched(tree, step.diff)
        if step.step in later or step.step not in made:
            continue
        ours, theirs = stable(tree), stable(made[step.step])
        # The redis-init-sync Job comes and goes; its address is known once the link is up.
        for files in (ours, theirs):
            files.pop(f"{fleet.HOME}/cluster-green/redis-init-sync.yaml", None)
        assert ours == theirs, step.step
        compared += 1
    assert compared >= 10
    assert stable(tree) == stable(dict(world.tree))


def test_every_commit_was_announced() -> None:
    world = universe(FAST)
    plan = planned(world)
    assert Pilot(world).start().error is None
    announced = {step.step for step in plan.steps if step.diff or step.later or step.step in ("provisioning.identity", "data-syncing.remove-job")}
    assert {step for step, _ in commits(world)} <= announced


def test_the_planned_steps_are_the_ones_that_run_in_their_order() -> None:
    world = universe(FAST)
    steps = [step.step for step in planned(world).steps]
    outcome = Pilot(world).start()
    ran = [progress.step for progress in outcome.progress if progress.mark in (Mark.DONE, Mark.SKIP)]
    assert ran == steps


def test_a_plan_changes_nothing() -> None:
    world = universe(FAST)
    pilot = Pilot(world)
    before = len(world.remote.history), world.clusters.keys()
    pilot.session.plan("green")
    assert (len(world.remote.history), world.clusters.keys()) == before
    assert pilot.taps.calls == []
    assert world.remote.journals == {}


def test_a_plan_of_an_open_rotation_begins_where_it_stands() -> None:
    world = entered(State.TRAFFIC_CANARY, FAST)
    outcome = Pilot(world).resume(Wishes(stop_after=State.TRAFFIC_CANARY, auto_promote=True))
    assert outcome.standing.state is State.TRAFFIC_CANARY
    steps = [step.step for step in planned(world).steps]
    # The canary was passed before: the last weight alone is measured again.
    assert steps[:4] == ["traffic-canary.capacity-50", "traffic-canary.weight-50", "traffic-canary.watch-50", "switchover-locked.precheck"]
    assert not any(step.startswith(("provisioning", "data-syncing")) for step in steps)


def test_a_plan_names_lines_of_the_new_directory_that_still_name_the_source() -> None:
    world = universe(FAST)
    path = f"{fleet.HOME}/cluster-blue/cluster-config.yaml"
    world.remote.commit("Say more", {path: world.tree[path] + "  NOTE: kept in blue's vault\n"})
    named = planned(world).names_source
    assert all(Colour.BLUE.value in text for _, _, text in named)
