"""Three real Sentinels watch the source: the pre-check refuses them by name; without that, they take the target over half a minute after a perfect hand-over, and acknowledged writes go."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from bennu.core.precheck import precheck
from tests.contract.redis.servers import RealHands, free_port, parking, program, until
from tests.unit.core.test_precheck import SOUND
from tests.unit.core.test_switchover import OPEN, REPLICA

pytestmark = pytest.mark.faults
NAME = "bennu-prod-us-east-1-7-1"
QUORUM, SENTINELS = 2, 3
LONGEST_S = 90.0
_PACE = threading.Event()  # never set: the distance between two writes


@dataclass(frozen=True)
class Watched:
    """A source with a replica of its own, as whoever runs Sentinel has, and the target of a rotation as another one."""

    source: RealHands
    sibling: RealHands
    target: RealHands


@pytest.fixture(params=["valkey", "redis"])
def watched(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Watched]:
    found = program(str(request.param))
    if found is None:
        pytest.skip(f"no {request.param} server is installed")
    with ExitStack() as stack:
        source, target = RealHands(found, tmp_path / "source"), RealHands(found, tmp_path / "target")
        # Sentinel prefers its own cluster's replica, as it does where the rotation's target is far away.
        sibling = RealHands(found, tmp_path / "sibling", more=("replica-priority 1",))
        for hands in (source, target, sibling):
            stack.callback(hands.stop)
        assert source.write("first", "1")
        for replica in (target, sibling):
            replica.server.replicate(source.address)
        until(lambda: target.read("first") == sibling.read("first") == "1", "both replicas follow the source")
        for number in range(SENTINELS):
            stack.callback(_sentinel(found, tmp_path / f"sentinel-{number}", source).kill)
        until(lambda: source.server.observe().sentinels == SENTINELS, "every Sentinel watches the source")
        yield Watched(source, sibling, target)


def _sentinel(found: str, folder: Path, source: RealHands) -> subprocess.Popen[bytes]:
    folder.mkdir()
    lines = [f"port {free_port()}", f"dir {folder}", f"sentinel monitor shop 127.0.0.1 {source.address.port} {QUORUM}"]
    lines += ["sentinel down-after-milliseconds shop 1000", "sentinel failover-timeout shop 3000"]
    (folder / "sentinel.conf").write_text("\n".join(lines) + "\n")
    return subprocess.Popen([found, str(folder / "sentinel.conf"), "--sentinel"], stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT)


def test_the_pre_check_refuses_them_by_name(watched: Watched) -> None:
    seen = (watched.source.server.observe().sentinels, watched.target.server.observe().sentinels)
    assert seen[0] == SENTINELS
    verdict = precheck(OPEN, REPLICA, replace(SOUND, sentinels=seen), one_way=False)
    assert verdict.failed
    assert "Sentinel watches the source" in verdict.reason
    assert "SENTINEL REMOVE" in verdict.reason


def test_without_the_refusal_they_undo_a_perfect_hand_over_and_acknowledged_writes_are_lost(watched: Watched) -> None:
    source, target = watched.source, watched.target
    with source.server.critical(NAME) as old, target.server.critical(NAME) as new:
        old.pause(2000)
        proved = old.fence(parking()).offset
        until(lambda: new.position().offset >= proved, "the target holds all")
        new.make_master()
        old.attach(target.address)
    acknowledged = _written_until_refused(target)
    assert acknowledged, "the hand-over itself was sound: the target accepted writes"
    until(lambda: watched.sibling.server.observe().is_master, "Sentinel's own choice is master")
    until(lambda: target.server.observe().link_up, "the target follows it, and has thrown its own data away")
    kept = sum(1 for key in acknowledged if watched.sibling.read(key) is not None)
    assert kept < len(acknowledged)


def _written_until_refused(target: RealHands) -> list[str]:
    """Keys that a client wrote and got acknowledged, until the server is no master any more."""
    acknowledged: list[str] = []
    begun = time.monotonic()
    while time.monotonic() < begun + LONGEST_S:
        key = f"key-{len(acknowledged)}"
        if target.write(key, "1"):
            acknowledged.append(key)
        elif not target.server.observe().is_master:
            return acknowledged
        _PACE.wait(0.01)
    raise AssertionError(f"Sentinel left the target alone for {LONGEST_S:.0f} s")
