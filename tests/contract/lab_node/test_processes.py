"""Child processes end with whoever started them, in order or not."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bennu.lab.controllers.network_ports import PortBook
from bennu.lab.controllers.processes import Child, Launch
from bennu.lab.controllers.processes_book import PidBook, end_survivors, started_at, survivors
from bennu.lab.controllers.processes_logs import turn_over
from tests.contract.lab_node.clusters import eventually

STUBBORN = "import signal, sys; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); signal.pause()"
PARENT = """
import asyncio, os, sys
from pathlib import Path
from bennu.lab.controllers.processes import Child, Launch
from bennu.lab.controllers.processes_book import PidBook
async def main(root):
    child = await Child.start(Launch("a", (sys.executable, "-c", "import signal; signal.pause()"), dict(os.environ), root, root / "a.log"), PidBook(root / "pids.json"))
    print(child.pid, flush=True)
    await child.wait()
asyncio.run(main(Path(sys.argv[1])))
"""


def launch(root: Path, code: str) -> Launch:
    return Launch("shop/web/web", (sys.executable, "-c", code), dict(os.environ), root, root / "logs" / "web.log")


async def has_line(log: Path) -> bool:
    return log.exists() and "up" in log.read_text()


def test_a_process_that_ignores_sigterm_is_killed_after_its_grace(tmp_path: Path) -> None:
    async def story() -> None:
        child = await Child.start(launch(tmp_path, STUBBORN), PidBook(tmp_path / "pids.json"))
        await eventually(lambda: has_line(tmp_path / "logs" / "web.log"))
        assert await child.end(0.1) == 137
        assert json.loads((tmp_path / "pids.json").read_text()) == {}

    asyncio.run(story())


def test_a_process_reports_its_own_exit_code(tmp_path: Path) -> None:
    async def story() -> None:
        child = await Child.start(launch(tmp_path, "raise SystemExit(7)"), PidBook(tmp_path / "pids.json"))
        assert await child.wait() == 7

    asyncio.run(story())


def test_children_die_when_their_parent_is_killed(tmp_path: Path) -> None:
    if not sys.platform.startswith("linux"):
        pytest.skip("only Linux has a parent-death signal; elsewhere pids.json is for lab down")
    parent = subprocess.Popen([sys.executable, "-c", PARENT, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    try:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert started_at(pid) is not None
    finally:
        parent.kill()
        parent.communicate()

    async def gone() -> bool:
        return started_at(pid) is None

    asyncio.run(eventually(gone))


def test_survivors_are_known_by_pid_and_start_time_and_ended(tmp_path: Path) -> None:
    book = tmp_path / "pids.json"
    process = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"], process_group=0)
    try:
        PidBook(book).add(process.pid, "shop/web/web")
        assert survivors(book) == {process.pid: "shop/web/web"}
        assert end_survivors(book) == ["shop/web/web"]
        assert process.wait(10) == -9
    finally:
        process.kill()
        process.wait()


def test_a_reused_pid_is_not_taken_for_the_one_written_down(tmp_path: Path) -> None:
    book = tmp_path / "pids.json"
    book.write_text(json.dumps({str(os.getpid()): {"name": "somebody else", "started": "long ago"}}))
    assert survivors(book) == {}


def test_a_log_beyond_its_bound_is_turned_over_while_it_is_written(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    with log.open("a") as writer:
        writer.write("x" * 2000)
        writer.flush()
        assert turn_over(tmp_path, bound=1000) == [log]
        writer.write("after")
    assert log.read_text() == "after"
    assert (tmp_path / "a.log.1").stat().st_size == 2000


def test_a_port_stays_with_its_key_and_differs_from_all_others(tmp_path: Path) -> None:
    book = PortBook(tmp_path / "ports.json")
    first = book.port("pod/shop/redis-0/6379")
    others = {book.port(f"pod/shop/web-{i}/8080") for i in range(20)}
    assert first not in others
    assert len(others) == 20
    again = PortBook(tmp_path / "ports.json")
    assert again.port("pod/shop/redis-0/6379") == first
    again.release("pod/shop/redis-0/")
    assert "redis-0" not in (tmp_path / "ports.json").read_text()
