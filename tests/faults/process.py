"""A ``tests.faults.tool`` as its parent sees it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from benchmarks.servers import awaited
from tests.faults.tool import Orders

ROOT = Path(__file__).resolve().parents[2]


class Tool:
    """One process, running, stopped or ended."""

    def __init__(self, orders: Orders, environment: dict[str, str]) -> None:
        self._log = Path(orders.log)
        argv = [sys.executable, "-m", "tests.faults.tool", orders.text()]
        self._process = subprocess.Popen(argv, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)

    def stopped(self) -> bool:
        """Wait until it has stopped itself; False where it ended instead."""
        found: list[os.waitid_result] = []

        def changed() -> bool:
            seen = os.waitid(os.P_PID, self._process.pid, os.WSTOPPED | os.WEXITED | os.WNOHANG | os.WNOWAIT)
            found.extend([seen] if seen else [])
            return bool(seen)

        awaited(changed, "the tool stops or ends", 60)
        return found[0].si_code == os.CLD_STOPPED

    def wake(self) -> None:
        """Let it go on."""
        self._process.send_signal(signal.SIGCONT)

    def ended(self) -> int:
        """Wait; Bennu's exit code, or less than 0 for a signal."""
        _, self._errors = self._process.communicate(timeout=90)
        return self._process.returncode

    def kill(self) -> None:
        """In whatever state."""
        with suppress(ProcessLookupError):
            self._process.kill()
        self._process.communicate()

    @property
    def calls(self) -> list[str]:
        """What it called, in order, as ``name#nth``."""
        return [what for kind, what in self._lines() if kind == "call"]

    @property
    def told(self) -> list[str]:
        """What it told the operator."""
        return [what for kind, what in self._lines() if kind == "told"]

    @property
    def end(self) -> dict[str, str]:
        """Its last words: code, message, changed, next. Empty where it was killed."""
        return next((what for kind, what in self._lines() if kind == "end"), {})

    def story(self) -> str:
        """For a test that failed."""
        return f"{self._process.returncode}: {self.end} after {self.calls[-8:]}; told {self.told}; {getattr(self, '_errors', '')[-2000:]}"

    def _lines(self) -> list[tuple[str, Any]]:
        text = self._log.read_text(encoding="utf-8") if self._log.exists() else ""
        return [tuple(json.loads(line)) for line in text.splitlines()]
