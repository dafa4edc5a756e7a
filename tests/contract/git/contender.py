"""One of many who want the same group at once: a process with a clone of its own, driven line by line over its pipes (``test_contenders``).

Each round it reads the free lock, builds its record, says ``ready`` in front of its first push, and pushes when it is told ``go``. Then it says how that ended, as JSON, and lets go
of the group where it won.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from bennu.adapters.git import GitRepository, Remote
from bennu.adapters.git_process import Ran
from bennu.core.clusters import Colour
from bennu.engine.journal import Holder, Journal
from bennu.engine.lock import Opening, begin, release
from bennu.errors import BennuError
from bennu.lab.shared import git_http
from tests.contract.git.grounds import GROUP
from tests.contract.git.remotes import PASSWORD
from tests.sim.memory_checkpoint import MemoryCheckpoint, MemoryDisk
from tests.sim.virtual_clock import VirtualClock


class Starting(GitRepository):
    """Waits in front of the first push of a round."""

    waits = True
    pushes = 0

    def _push(self, *arguments: str, limit_s: float | None = None) -> Ran:
        if self.waits:
            self.waits = False
            print("ready", flush=True)
            assert sys.stdin.readline() == "go\n"
        self.pushes += 1
        return super()._push(*arguments, limit_s=limit_s)


def contend(name: str, state: Path, url: str) -> None:
    repository = Starting(state, Remote(url, username=git_http.USER, password=lambda: PASSWORD, no_input=True, timeout_s=120.0))
    while sys.stdin.readline() == "round\n":
        repository.waits, repository.pushes = True, 0
        journal = Journal(repository, MemoryCheckpoint(MemoryDisk()), VirtualClock(), GROUP, Holder(name, 1))
        won, words, code = False, "", 0
        try:
            begin(journal, Opening(Colour.BLUE, Colour.GREEN))
            won = True
        except BennuError as error:
            words, code = f"{type(error).__name__}: {error.message}", error.code
        print(json.dumps({"name": name, "won": won, "code": code, "words": words, "pushes": repository.pushes, "tip": journal.tip}), flush=True)
        assert sys.stdin.readline() == "after\n"
        if won:
            release(journal)
        print("over", flush=True)


if __name__ == "__main__":
    contend(sys.argv[1], Path(sys.argv[2]), sys.argv[3])
