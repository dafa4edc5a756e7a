"""Each example app writes through a real hand-over: nothing that was acknowledged is lost, and it goes on at the new master by itself. ``pytest -s`` shows each pause; docs/applications.md has them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from itertools import pairwise
from pathlib import Path

import pytest

from bennu.phases import kinds
from bennu.ports.kubernetes import Ref
from tests.contract.apps.grounds import WRITE, App, Stage, every, mounted, resolved, staged
from tests.contract.redis.servers import until

# The kubelet's minute and CoreDNS' half a minute, scaled to what a test can wait for. The document gives the real ones.
SYNC_S, TTL_S = 2.0, 1.0
SERVICE = Ref(kinds.SERVICE, WRITE.name, WRITE.namespace)
Around = Callable[[Stage, App], AbstractContextManager[None]]


@contextmanager
def reloader(stage: Stage, app: App) -> Iterator[None]:
    """Watches the pointer and restarts the app where its data changed."""
    known = [stage.pointer()]

    def look() -> None:
        if stage.pointer() != known[0]:
            known[0] = stage.pointer()
            app.restart()

    with every(0.1, look):
        yield


WAYS: dict[str, Around] = {
    "watch": lambda stage, app: nullcontext(),
    "file": lambda stage, app: every(SYNC_S, lambda: mounted(stage)),
    "env": reloader,
    "service": lambda stage, app: every(TTL_S, lambda: resolved(stage)),
}


@pytest.mark.parametrize("way", WAYS)
def test_an_example_goes_on_at_the_new_master_and_loses_nothing(way: str, tmp_path: Path) -> None:
    with staged(tmp_path) as stage:
        mounted(stage)
        app = App(stage, way)
        try:
            with WAYS[way](stage, app):
                until(lambda: len(app.acknowledged()) > 50, "the app writes", 20)
                done = stage.handed_over()
                before = len(app.acknowledged())
                until(lambda: len(app.acknowledged()) > before + 50, "the app goes on", 30)
        finally:
            app.stop()
        entries = app.acknowledged()
        lost = [identity for _, identity in entries if stage.target.read(f"entry:{identity}") != identity]
        assert lost == []
        assert stage.target.server.observe().is_master
        assert not stage.source.server.observe().is_master
        pause = max(later - earlier for (earlier, _), (later, _) in pairwise(entries)) / 1e6
        sys.stderr.write(
            f"\n{way}: {len(entries)} acknowledged, none lost; writes stood still for {pause:.0f} ms, by Bennu's clock {done.facts['pause.ms']} ms\n"
        )


def test_the_write_service_is_flipped_over_the_real_protocol_in_both_clusters(tmp_path: Path) -> None:
    with staged(tmp_path) as stage:
        stage.handed_over()
        led = [(cluster.api.get(SERVICE) or {})["spec"]["externalName"].split(".")[0] for cluster in (stage.blue, stage.green)]
        assert led == ["redis-cluster-green", "redis"]
        assert stage.pointer()["REDIS_WRITE_HOST"].startswith("redis-cluster-green.")
