"""Redis started by arguments and ``--include`` alone, as the most common chart does it: the manifest carries the fence over the end of the source's pod.

One story in one lab, in the tests' order. A straggler ignores every pointer and tries to write to blue's Redis all the time.
"""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from bennu.lab import spawn, world
from bennu.lab.client import ApiClient
from bennu.lab.controllers.network_endpoints import real_port
from bennu.lab.controllers.processes_book import survivors
from bennu.lab.fleet_files import git
from tests.scenario.rehearsal import Rehearsal, Said, rehearsal

pytestmark = [pytest.mark.scenario, pytest.mark.timeout(600)]

PARKED = ("127.0.0.1", 1)
ARMED = "✓ a restart of the source comes back parked"
Json = dict[str, Any]


async def _asked(here: Rehearsal, colour: str, kind: str, name: str, *, delete: bool) -> Json | None:
    async with ApiClient.of(here.lab.cluster(colour)) as client:
        found = await client.find("v1", kind, name, "database")
        if delete and found is not None:
            await client.delete(found)
        return found


def pod(here: Rehearsal, colour: str) -> Json | None:
    return asyncio.run(_asked(here, colour, "Pod", "redis-0", delete=False))


def identity(here: Rehearsal, colour: str) -> tuple[str, int, tuple[int, ...]]:
    """The pod's UID, its container's restarts, and the processes that are it: equal where nothing was rolled."""
    found = pod(here, colour)
    assert found is not None
    pids = survivors(here.lab.cluster(colour).root / "pids.json")
    mine = tuple(pid for pid, name in pids.items() if name.startswith("database/redis-0/"))
    assert len(mine) == 1
    return str(found["metadata"]["uid"]), int(found["status"]["containerStatuses"][0]["restartCount"]), mine


def server(here: Rehearsal, colour: str) -> redis.Redis:
    found = pod(here, colour)
    port = real_port(found, 6379) if found is not None else None
    assert port is not None
    password = (here.lab.root / "redis-password").read_text().strip()
    return redis.Redis(port=port, password=password, decode_responses=True, socket_timeout=2, retry=Retry(NoBackoff(), 0))


def role(here: Rehearsal, colour: str) -> tuple[str, tuple[str, int]]:
    """("master" or "slave", its master's address)."""
    with server(here, colour) as asked:
        found: Any = asked.info("replication")
    return str(found["role"]), (str(found.get("master_host", "")), int(found.get("master_port", 0)))


def linked(here: Rehearsal, colour: str) -> bool:
    """Whether it follows a master."""
    with server(here, colour) as asked:
        found: Any = asked.info("replication")
    return str(found.get("master_link_status", "")) == "up"


def new_process(here: Rehearsal, colour: str, *, pod_too: bool) -> None:
    """End its Redis and see another process answer: a new pod with a fresh emptyDir, or a container that restarts within its pod."""
    before = identity(here, colour)
    if pod_too:
        asyncio.run(_asked(here, colour, "Pod", "redis-0", delete=True))
    else:
        (pid,) = before[2]
        spawn._signal({"pid": pid}, signal.SIGKILL)

    def answers() -> bool:
        try:
            now = identity(here, colour)
            with server(here, colour) as asked:
                return now[2] != before[2] and (now[0] != before[0]) is pod_too and bool(asked.ping())
        except (AssertionError, redis.RedisError, KeyError, IndexError):
            return False

    assert spawn.until(answers, 30)


def variant(here: Rehearsal, colour: str) -> str:
    here.tree()
    text = git(here.fleet, "show", f"FETCH_HEAD:clusters/prod/us-east-1/cluster-{colour}/profile-sync.yaml")
    return "warm-reader" if "redisVariant: warm-reader" in text else "hot-writer"


def mounted(here: Rehearsal, colour: str) -> str:
    """What a restart would read now."""
    return (here.lab.cluster(colour).root / "pods" / "database-redis-0" / "role" / "role.conf").read_text()


def finding(here: Rehearsal, check: str) -> Any:
    """What ``doctor`` says of one check."""
    said = here.bennu("doctor", "-o", "json")
    return next(one for one in said.data if one["id"] == check)


class Straggler:
    """A client that knows one Redis alone. ``tried`` counts all that it asked for."""

    def __init__(self, here: Rehearsal, colour: str) -> None:
        self.acknowledged: list[str] = []
        self.tried = 0
        self._over = threading.Event()
        self._client = server(here, colour)
        self._thread = threading.Thread(target=self._write, daemon=True)
        self._thread.start()

    def _write(self) -> None:
        while not self._over.wait(0.01):
            self.tried += 1
            try:
                if self._client.set(f"straggler:{self.tried}", "1"):
                    self.acknowledged.append(f"straggler:{self.tried}")
            except (redis.RedisError, OSError):
                continue

    @contextmanager
    def refused(self) -> Iterator[None]:
        """While the context is open it tries, and not one write is taken."""
        taken, tried = len(self.acknowledged), self.tried
        yield
        assert spawn.until(lambda: self.tried > tried + 20, 10)
        assert self.acknowledged[taken:] == []

    def end(self) -> None:
        self._over.set()
        self._thread.join()
        self._client.close()

    def lost(self, here: Rehearsal, master: str) -> list[str]:
        """What was acknowledged and the master does not hold."""
        with server(here, master) as asked:
            keys = tuple(self.acknowledged)
            many = asked.pipeline(transaction=False)
            for key in keys:
                many.exists(key)
            return [key for key, there in zip(keys, many.execute(), strict=True) if not there]


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rehearsal]:
    with rehearsal(tmp_path_factory.mktemp("manifest"), world.Wanted(fence="manifest")) as found:
        settings = found.fleet / "bennu.yaml"
        text = settings.read_text()
        assert "weights: [10, 20, 50, 90]" in text
        # The canary is others' to test.
        settings.write_text(text.replace("weights: [10, 20, 50, 90]", "weights: [90]"))
        yield found


@pytest.fixture(scope="module")
def straggler(here: Rehearsal) -> Iterator[Straggler]:
    found = Straggler(here, "blue")
    yield found
    found.end()


def struck(here: Rehearsal, verb: str, call: str) -> None:
    """Run it to where it kills itself."""
    words = [sys.executable, "-m", "tests.scenario.struck", verb, call]
    environ = {**here.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    ran = subprocess.run(words, cwd=here.fleet, env=environ, capture_output=True, text=True, timeout=150, check=False)
    assert ran.returncode == -signal.SIGKILL, ran.stderr


def gone_on(here: Rehearsal, *words: str) -> Said:
    return here.bennu("rotate", "resume", "--no-input", "--auto-promote", *words)


def test_an_arm_that_was_left_over_is_found_and_undone_where_the_switchover_is_given_up(here: Rehearsal, straggler: Straggler) -> None:
    assert finding(here, "redis.armed")["verdict"]["answer"] == "open"
    with here.second_terminal("rotate", "start", "--yes", "--no-input", "--auto-promote") as run:
        run.until_says("S6 SWITCHOVER_LOCKED")
        before = identity(here, "blue")
        run.until_says(ARMED)
        run.kill()
        run.end()
    assert variant(here, "blue") == "warm-reader"
    assert "replicaof" in mounted(here, "blue"), "the kubelet has brought it: a container that restarts now would read it"
    found = finding(here, "redis.armed")["verdict"]
    assert (found["answer"], found["failed"]) == ("shut", True)
    assert "would come back parked" in found["reason"]
    # What the hand-over then refuses, and the abort that follows.
    with server(here, "green") as target:
        target.config_set("replica-read-only", "no")
        said = gone_on(here)
        target.config_set("replica-read-only", "yes")
    assert said.code == 5, said.err
    assert here.standing()["state"] == "TRAFFIC_CANARY"
    assert variant(here, "blue") == "hot-writer"
    assert spawn.until(lambda: mounted(here, "blue") == "", 5)
    assert finding(here, "redis.armed")["verdict"]["answer"] == "open"
    assert identity(here, "blue") == before, "neither the arm nor its undoing rolled the pod"
    assert here.traffic_flows()


def test_the_authority_is_handed_over_and_no_pod_is_rolled(here: Rehearsal, straggler: Straggler) -> None:
    before = [identity(here, colour) for colour in ("blue", "green")]
    said = gone_on(here, "--stop-after", "PROMOTED")
    assert said.code == 10, said.err
    assert said.err.count("writes were paused for") == 1
    assert [identity(here, colour) for colour in ("blue", "green")] == before
    assert (variant(here, "blue"), variant(here, "green")) == ("warm-reader", "hot-writer")
    assert role(here, "blue")[0] == "slave"
    assert role(here, "green")[0] == "master"
    with straggler.refused():
        assert here.traffic_flows()
    assert straggler.acknowledged
    assert straggler.lost(here, "green") == []


@pytest.mark.parametrize("pod_too", [True, False], ids=["a new pod", "a restart within the pod"])
def test_the_old_master_comes_back_parked_after_the_switch_and_takes_no_write(here: Rehearsal, straggler: Straggler, pod_too: bool) -> None:
    with straggler.refused():
        new_process(here, "blue", pod_too=pod_too)
        assert role(here, "blue") == ("slave", PARKED)
        assert here.traffic_flows()
    assert role(here, "green")[0] == "master"


def test_a_fenced_source_comes_back_parked_before_any_promotion_and_the_rollback_ends_without_loss(here: Rehearsal, straggler: Straggler) -> None:
    # Green is the source of the reverse switchover. The tool dies once it is fenced, then its pod ends.
    struck(here, "rollback", "green.fence")
    other = Straggler(here, "green")
    try:
        with straggler.refused(), other.refused():
            assert role(here, "green") == ("slave", PARKED)
            new_process(here, "green", pod_too=True)
            assert role(here, "green") == ("slave", PARKED)
        said = gone_on(here)
        assert said.code == 7, said.err
        # What the human does, having looked.
        with server(here, "green") as source:
            source.replicaof("NO", "ONE")
        assert spawn.until(lambda: linked(here, "blue"), 20)
        assert spawn.until(lambda: bool(other.acknowledged), 5)
        said = gone_on(here)
        assert said.code == 6, said.err
    finally:
        other.end()
    assert straggler.lost(here, "blue") == []
    assert other.lost(here, "blue") == []
    here.assert_at_rest("blue")
    assert finding(here, "redis.armed")["verdict"]["answer"] == "open"
    with server(here, "blue") as master:
        # With everysec and a slow disk what was acknowledged in the last two seconds may die with the process; that is Redis' promise, and not what is judged here.
        master.config_set("appendfsync", "always")
    new_process(here, "blue", pod_too=False)
    assert role(here, "blue")[0] == "master"
    assert here.traffic_flows()


def test_a_whole_rotation_loses_nothing_runs_nothing_twice_and_rolls_no_pod(here: Rehearsal, straggler: Straggler) -> None:
    with here.second_terminal("rotate", "start", "--yes", "--no-input", "--auto-promote") as run:
        run.until_says("S6 SWITCHOVER_LOCKED")
        before = [identity(here, colour) for colour in ("blue", "green")]
        run.until_says("✓ Flux follows the pointer again")
        assert [identity(here, colour) for colour in ("blue", "green")] == before
        said = run.end()
    assert said.code == 0, said.err
    assert ARMED in said.err
    here.assert_at_rest("green")
    assert straggler.lost(here, "green") == []
    assert finding(here, "redis.armed")["verdict"]["answer"] == "open"
