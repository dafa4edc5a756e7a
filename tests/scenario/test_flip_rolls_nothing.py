"""The commit of S6 flips the Redis variant of both clusters, and both Redis pods go on running: compared by UID, process and run id. The variants' pod templates differ here, which is refused until OnDelete allows it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import redis

from bennu.lab import spawn
from bennu.lab.client import ApiClient
from bennu.lab.controllers.processes_book import survivors
from bennu.lab.fleet_files import git
from bennu.phases.kinds import REQUESTED_AT
from tests.scenario.redis_pods import live, server
from tests.scenario.rehearsal import Rehearsal, rehearsal

pytestmark = [pytest.mark.scenario, pytest.mark.timeout(600)]

BASE = "catalogs/apps/redis/base/redis.yaml"
VARIANT = "catalogs/apps/redis/variants/{}/kustomization.yaml"
ON_DELETE, ROLLING = "updateStrategy: {type: OnDelete}", "updateStrategy: {type: RollingUpdate}"
PATCH = """patches:
  - target: {{kind: StatefulSet, name: redis}}
    patch: |
      - op: add
        path: /spec/template/metadata/annotations
        value: {{acme.test/role: {}}}
"""


@dataclass(frozen=True)
class Identity:
    """What would be another one, had the pod been rolled or its container restarted."""

    uid: str
    restarts: int
    process: tuple[int, ...]
    run_id: str


async def _hurried(here: Rehearsal, colour: str) -> None:
    async with ApiClient.of(here.lab.cluster(colour)) as client:
        for source in await client.list("source.toolkit.fluxcd.io/v1", "GitRepository", "flux-system"):
            await client.patch(source, {"metadata": {"annotations": {REQUESTED_AT: str(time.time())}}})


def identity(here: Rehearsal, colour: str) -> Identity:
    """Of the one Redis pod of *colour*."""
    pod = live(here, colour, "v1", "Pod", "redis-0")
    pids = survivors(here.lab.cluster(colour).root / "pids.json")
    with server(here, colour) as asked:
        said: Any = asked.info("server")
    mine = tuple(pid for pid, name in pids.items() if name.startswith("database/redis-0/"))
    assert len(mine) == 1
    return Identity(pod["metadata"]["uid"], pod["status"]["containerStatuses"][0]["restartCount"], mine, str(said["run_id"]))


def role_in_template(here: Rehearsal, colour: str) -> str:
    """Of the StatefulSet as it stands in the cluster."""
    found = live(here, colour, "apps/v1", "StatefulSet", "redis")
    return str(found["spec"]["template"]["metadata"]["annotations"]["acme.test/role"])


def committed(here: Rehearsal, changes: dict[str, tuple[str, str]]) -> None:
    """Each file with one text in place of another, pushed as by somebody who keeps the catalog. The operator's own settings stay as they are."""
    settings = here.fleet / "bennu.yaml"
    own = settings.read_text(encoding="utf-8")
    here.tree()
    git(here.fleet, "reset", "--quiet", "--hard", "FETCH_HEAD")
    for path, (old, new) in changes.items():
        file = here.fleet / path
        text = file.read_text(encoding="utf-8")
        assert old in text
        file.write_text(text.replace(old, new), encoding="utf-8")
    git(here.fleet, "commit", "--quiet", "--no-gpg-sign", "-am", "Change the catalog")
    git(here.fleet, "push", "--quiet", str(here.lab.root / "git" / "fleet.git"), "HEAD:main")
    settings.write_text(own, encoding="utf-8")


def applied(here: Rehearsal, colour: str, *, role: str, strategy: str) -> None:
    """Flux has brought both to the StatefulSet."""

    def so() -> bool:
        spec = live(here, colour, "apps/v1", "StatefulSet", "redis")["spec"]
        annotations = spec["template"]["metadata"].get("annotations") or {}
        return bool((annotations.get("acme.test/role"), spec["updateStrategy"]["type"]) == (role, strategy))

    asyncio.run(_hurried(here, colour))
    assert spawn.until(so, 90)


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rehearsal]:
    """A lab whose catalog tells the variants apart by the pod template, too."""
    with rehearsal(tmp_path_factory.mktemp("flip")) as found:
        resources = "resources: [../../base, config.yaml]\n"
        committed(found, {VARIANT.format(name): (resources, resources + PATCH.format(name)) for name in ("hot-writer", "warm-reader")})
        applied(found, "blue", role="hot-writer", strategy="OnDelete")
        yield found


def test_both_redis_pods_live_through_the_switchover_as_they_are(here: Rehearsal) -> None:
    said = here.start("--auto-promote", "--stop-after", "TRAFFIC_CANARY")
    assert said.code == 10, said.err
    before = {colour: identity(here, colour) for colour in ("blue", "green")}
    assert (role_in_template(here, "blue"), role_in_template(here, "green")) == ("hot-writer", "warm-reader")
    said = here.bennu("rotate", "resume", "--no-input", "--auto-promote", "--stop-after", "SWITCHOVER_LOCKED")
    assert said.code == 10, said.err
    assert said.err.count("writes were paused for") == 1
    # Flipped in Git, and applied in both clusters: what a start from now on would be made of.
    assert (role_in_template(here, "blue"), role_in_template(here, "green")) == ("warm-reader", "hot-writer")
    assert {colour: identity(here, colour) for colour in ("blue", "green")} == before
    said = here.bennu("rotate", "resume", "--no-input", "--auto-promote")
    assert said.code == 0, said.err
    assert identity(here, "green") == before["green"]
    here.assert_at_rest("green")


def test_without_ondelete_the_same_variants_are_refused_and_the_pod_would_have_been_rolled(here: Rehearsal) -> None:
    before = identity(here, "green")
    committed(here, {BASE: (ON_DELETE, ROLLING)})
    applied(here, "green", role="hot-writer", strategy="RollingUpdate")

    def rolled() -> bool:
        try:
            return identity(here, "green").uid != before.uid
        except (AssertionError, TypeError, KeyError, redis.RedisError):
            return False  # between the two pods

    # What the comparison above would have seen: the template that the flip changed takes effect now.
    assert spawn.until(rolled, 60)
    said = here.bennu("doctor", "-o", "json")
    assert said.code == 3
    finding = next(one for one in said.data if one["id"] == "redis.variants")
    assert "kustomize does (patches)" in finding["verdict"]["reason"]
    assert "examples/redis" in finding["hint"]
    start = here.start("--auto-promote")
    assert start.code == 3
    assert "would be a second pause" in start.err
