"""Draws docs/status.svg: the screen of ``bennu status --watch``, taken in the middle of a real rotation in a lab of its own.

Run it from the repository's root, with the ``lab`` extra installed: ``python docs/picture.py``. It takes about two minutes, and the lab is gone afterwards.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

from rich.console import Console

from bennu import wiring
from bennu.cli.screen import screen
from bennu.core.states import State
from bennu.core.status import GroupStatus
from bennu.errors import BennuError

PICTURE = Path(__file__).parent / "status.svg"
WIDTH = 110  # columns; what an operator's terminal has
WEIGHT = 50  # percent of the traffic at the target
WINDOW = "12s"


def main() -> None:
    """One lab, one rotation, one picture."""
    with tempfile.TemporaryDirectory(prefix="bennu-picture-") as folder:
        lab, environ = f"{folder}/lab", {**os.environ, "XDG_STATE_HOME": f"{folder}/state", "LOGNAME": "operator"}
        identity = {f"GIT_{role}_{part}": text for role in ("AUTHOR", "COMMITTER") for part, text in (("NAME", "An operator"), ("EMAIL", "operator@lab.test"))}
        bennu = [sys.executable, "-m", "bennu"]
        subprocess.run([*bennu, "lab", "up", "--dir", lab], check=True)
        try:
            _slowed(Path(lab) / "fleet" / "bennu.yaml")
            start = [*bennu, "rotate", "start", "--repo", f"{lab}/fleet", "--yes", "--auto-promote", "--ticket", "CHG1234567"]
            with subprocess.Popen(start, env=environ | identity) as rotation:
                # A clone of its own: the one that the rotation works in has a single owner.
                looked = _looked(Path(lab) / "fleet", {**environ, "XDG_STATE_HOME": f"{folder}/onlooker"}, rotation)
                _drawn(looked)
                if rotation.wait():
                    raise SystemExit(f"the rotation ended with exit code {rotation.returncode}")
        finally:
            subprocess.run([*bennu, "lab", "down", "--dir", lab], check=True)


def _slowed(settings: Path) -> None:
    """A window longer than the time between two heartbeats, so that the picture shows what is awaited."""
    text = settings.read_text(encoding="utf-8")
    settings.write_text(text.replace("canary:\n", f"canary:\n      window: {WINDOW}\n"), encoding="utf-8")


def _looked(repo: Path, environ: dict[str, str], rotation: subprocess.Popen[bytes]) -> GroupStatus:
    """Look as often as ``--watch`` does, until half of the traffic is measured at the target."""
    here, pause = wiring.session(wiring.Options(repo=repo, environ=environ)), threading.Event()
    while rotation.poll() is None:
        try:
            found = here.status()
        except BennuError as error:
            sys.stderr.write(f"{error.message}\n")
        else:
            half = any(app.live == WEIGHT and app.requests for app in found.survey.apps)
            # The heartbeat comes once in a few seconds: wait for the one that says what this weight awaits.
            if found.standing.state is State.TRAFFIC_CANARY and half and found.standing.awaiting.startswith("the success rate"):
                return found
        pause.wait(here.policy.status_s)
    raise SystemExit("the rotation ended before half of the traffic was seen at the target")


def _drawn(found: GroupStatus) -> None:
    console = Console(record=True, width=WIDTH, force_terminal=True, file=open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115, PTH123  # recorded, not shown
    console.print(screen(found))
    PICTURE.write_text(console.export_svg(title="bennu status --watch", unique_id="bennu-status"), encoding="utf-8")


if __name__ == "__main__":
    main()
