"""The end of the source's pod, after the fence and after the switch: a new process with a fresh ephemeral volume never accepts a write.

Three ways in which Redis is started: with a configuration file on its claim (CONFIG REWRITE outlives the pod), with one that is seeded onto an emptyDir, and by arguments
and ``--include`` alone. For the latter two the manifest is armed beforehand: the included file, a ConfigMap's, says ``replicaof`` at the next start.
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from bennu.core.fence_survival import parks
from tests.contract.redis.servers import REAL, RealHands, parking, program, until

NAME = "bennu-prod-us-east-1-7-1"
SECRET = "open-sesame"
STARTED = ("file on the claim", "file on an emptyDir", "arguments and an include")


class Pod(RealHands):
    """A server as a pod starts it: ``config`` is the ConfigMap's mount, ``claim`` the data volume, ``ephemeral`` is new with each pod."""

    def __init__(self, binary: str, folder: Path, started: str) -> None:
        self.started = started
        self.config, self.claim, self.ephemeral = folder / "config", folder / "claim", folder / "ephemeral"
        for one in (folder, self.config, self.claim):
            one.mkdir()
        (self.config / "role.conf").write_text("")
        super().__init__(binary, folder / "unused", SECRET)

    def command(self) -> list[str]:
        shutil.rmtree(self.ephemeral, ignore_errors=True)
        self.ephemeral.mkdir()
        settings = {"port": str(self.address.port), "bind": "127.0.0.1", "dir": str(self.claim), "appendonly": "yes", "appendfsync": "always"}
        settings |= {"repl-diskless-sync-delay": "0", "repl-ping-replica-period": "1", "requirepass": SECRET, "masterauth": SECRET}
        settings["include"] = str(self.config / "role.conf")
        if self.started == "arguments and an include":
            return [self._program, *(word for name, value in settings.items() for word in (f"--{name}", value))]
        file = (self.claim if self.started == "file on the claim" else self.ephemeral) / "redis.conf"
        if not file.exists():
            role = settings.pop("include")
            # Seeded once: what was written there later is what the next start reads.
            file.write_text("\n".join(f"{name} {value}" for name, value in settings.items()) + "\n" + Path(role).read_text())
        return [self._program, str(file)]

    @property
    def needs_arming(self) -> bool:
        return self.started != "file on the claim"

    def arm(self) -> None:
        """What Flux applies and the kubelet mounts: read at the next start only."""
        if self.needs_arming:
            (self.config / "role.conf").write_text(f"replicaof {parking().host} {parking().port}\n")
            assert parks((self.config / "role.conf").read_text())

    def disarm(self) -> None:
        (self.config / "role.conf").write_text("")

    def lose_claim(self) -> None:
        self.stop()
        shutil.rmtree(self.claim)
        self.claim.mkdir()


@dataclass(frozen=True)
class Ground:
    source: Pod
    target: Pod


@pytest.fixture(params=REAL)
def binary(request: pytest.FixtureRequest) -> str:
    found = program(str(request.param))
    if found is None:
        pytest.skip(f"no {request.param} server is installed")
    return found


@pytest.fixture(params=STARTED)
def ground(request: pytest.FixtureRequest, binary: str, tmp_path: Path) -> Iterator[Ground]:
    """A master that holds a key, and its connected replica."""
    with ExitStack() as stack:
        pods = []
        for name in ("source", "target"):
            pods.append(Pod(binary, tmp_path / name, str(request.param)))
            stack.callback(pods[-1].stop)
        source, target = pods
        assert source.write("first", "1")
        target.server.replicate(source.address)

        def in_step() -> bool:
            there, here = source.server.observe(), target.server.observe()
            return here.link_up and not here.saving_or_loading and here.replid == there.replid and here.offset >= there.offset

        until(in_step, "the target follows the source")
        yield Ground(source, target)


@contextmanager
def hammered(pod: Pod) -> Iterator[list[str]]:
    """Stale clients, who write all the time; the keys that were acknowledged."""
    acknowledged: list[str] = []
    over = threading.Event()

    def write() -> None:
        number = 0
        while not over.is_set():
            number += 1
            try:
                if pod.write(f"late-{number}", "1"):
                    acknowledged.append(f"late-{number}")
            except Exception:  # nobody listens, or it is loading
                continue

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield acknowledged
    finally:
        over.set()
        thread.join()


def fence(pod: Pod) -> None:
    pod.arm()
    with pod.server.critical(NAME) as critical:
        critical.pause(2000)
        fenced = critical.fence(parking())
        # By arguments alone there is nothing that could be written; the manifest carries it.
        assert fenced.persisted is (pod.started != "arguments and an include")
        critical.unpause()


def switch(ground: Ground) -> None:
    fence(ground.source)
    with ground.source.server.critical(NAME) as old, ground.target.server.critical(NAME) as new:
        proved = old.position().offset
        until(lambda: new.position().offset >= proved, "the target holds all")
        new.make_master()
        old.attach(ground.target.address)
        until(lambda: old.observe().link_up, "the old master follows the new one")


def is_parked(pod: Pod) -> None:
    seen = pod.server.observe()
    assert (seen.is_master, seen.master) == (False, parking())


def test_a_source_that_is_only_armed_goes_on_as_before(ground: Ground) -> None:
    ground.source.arm()
    assert ground.source.write("second", "2")
    assert ground.source.server.observe().is_master


def test_after_the_fence_a_new_pod_never_accepts_a_write(ground: Ground) -> None:
    fence(ground.source)
    with hammered(ground.source) as acknowledged:
        ground.source.stop()
        ground.source.start()
        is_parked(ground.source)
        ground.source.crash()
        is_parked(ground.source)
    assert acknowledged == []
    assert ground.source.read("first") == "1"


def test_after_the_switch_a_new_pod_never_accepts_a_write_and_the_new_master_keeps_its_own(ground: Ground) -> None:
    switch(ground)
    assert ground.target.write("second", "2")
    until(lambda: ground.source.read("second") == "2", "the old master follows")
    with hammered(ground.source) as acknowledged:
        ground.source.crash()
        assert not ground.source.server.observe().is_master
    assert acknowledged == []
    assert ground.target.server.observe().is_master
    assert ground.target.read("second") == "2"


def test_a_pod_that_lost_its_claim_too_is_no_master_where_the_manifest_is_armed(ground: Ground) -> None:
    if not ground.source.needs_arming:
        pytest.skip("the file that parks it lies on the claim that is lost; the variant in Git decides then")
    switch(ground)
    with hammered(ground.source) as acknowledged:
        ground.source.lose_claim()
        ground.source.start()
        is_parked(ground.source)
        assert ground.source.server.observe().keys == 0
    assert acknowledged == []
    assert ground.target.read("first") == "1"


def test_a_fence_that_was_taken_back_and_disarmed_comes_back_as_master(ground: Ground) -> None:
    fence(ground.source)
    with ground.source.server.critical(NAME) as critical:
        critical.make_master()
    ground.source.disarm()
    ground.source.crash()
    assert ground.source.server.observe().is_master
    assert ground.source.write("second", "2")


def test_without_the_arm_a_server_started_by_arguments_comes_back_writable(binary: str, tmp_path: Path) -> None:
    """Why it is asked for: the fence alone is forgotten."""
    pod = Pod(binary, tmp_path / "one", "arguments and an include")
    try:
        with pod.server.critical(NAME) as critical:
            assert not critical.fence(parking()).persisted
        pod.crash()
        assert pod.server.observe().is_master
    finally:
        pod.stop()
