"""Where a repository contract is played: a remote, clones of it, and the hands of colleagues and of fate, the same for real Git and for the one in memory."""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from bennu.adapters.git_refs import USUAL, Refs
from bennu.adapters.requests_box import GitRequestBox
from bennu.core.clusters import Group
from bennu.core.record import Kind, Record
from bennu.ports.repository import Claimed, Repository, RequestBox
from tests.contract.git.remotes import SEED, Bare, Served, Watched, repository, served
from tests.sim.memory_repository import MemoryRemote, MemoryRepository, rewound
from tests.sim.memory_requests import MemoryRequestBox

GROUP = Group("prod", "us-east-1")
OTHER = Group("staging", "us-east-1")
NO_NOTES = 'case "$1" in refs/notes/*) echo "this host keeps no $1" >&2; exit 1;; esac'


def record(step: str = "a-step", holder: str = "me@here", kind: Kind = Kind.DONE) -> Record:
    """A record like the engine's."""
    return Record(kind, "prod-us-east-1-1", 1, "2026-01-01T00:00:00.000+00:00", secrets.token_hex(8), holder, step=step)


class Ground(Protocol):
    """One remote."""

    def laptop(self) -> Repository:
        """A clone of its own."""

    def box(self, laptop: Repository) -> RequestBox:
        """The request box of a laptop."""

    def colleague(self, subject: str, files: Mapping[str, str | None]) -> str:
        """A commit by Ada Colleague straight on the branch; its id."""

    def content(self, path: str) -> str | None:
        """A file on the remote's branch."""

    def commits(self) -> int:
        """How many commits the branch has."""

    def journal_tip(self, group: Group) -> str:
        """The journal's tip at the remote."""

    def down(self) -> None:
        """Nobody answers."""

    def up(self) -> None:
        """It answers again."""

    def refuse(self, words: str) -> None:
        """Every push is refused with these words; empty: none any more."""

    def lose_answer(self, *, dies: bool = False) -> None:
        """The next push arrives, but the pusher doesn't hear of it; with *dies* the host is down from then on."""

    def before_next_push(self, laptop: Repository, action: Callable[[], object]) -> None:
        """Something happens after *laptop* built its commit and before the host looks at its push."""

    def rewrite_branch(self) -> None:
        """Somebody force-pushes the branch."""

    def rewrite_journal(self, group: Group) -> None:
        """Somebody force-pushes a journal."""

    def delete_journal(self, group: Group) -> None:
        """Somebody deletes it."""

    def scribble(self, cluster: str) -> None:
        """Somebody writes a cluster's ref by hand."""


class MemoryGround:
    def __init__(self) -> None:
        self.remote = MemoryRemote.of({path: content.decode("utf-8", "surrogateescape") for path, content in SEED.items()})

    def laptop(self) -> Repository:
        return MemoryRepository(self.remote)

    def box(self, laptop: Repository) -> RequestBox:
        return MemoryRequestBox(self.remote)

    def colleague(self, subject: str, files: Mapping[str, str | None]) -> str:
        return self.remote.commit(subject, files)

    def content(self, path: str) -> str | None:
        return self.remote.history[-1].files.get(path)

    def commits(self) -> int:
        return len(self.remote.history)

    def journal_tip(self, group: Group) -> str:
        return self.remote.tip(group)

    def down(self) -> None:
        self.remote.down = True

    def up(self) -> None:
        self.remote.down = False

    def refuse(self, words: str) -> None:
        self.remote.refusal = words

    def lose_answer(self, *, dies: bool = False) -> None:
        self.remote.lost_answers, self.remote.dies_then = 1, dies

    def before_next_push(self, laptop: Repository, action: Callable[[], object]) -> None:
        self.remote.before_push.append(lambda: (action(), None)[1])

    def rewrite_branch(self) -> None:
        self.remote.history = [self.remote.built(None, "Another beginning", {"README.md": "all new\n"}, "Ada Colleague")]

    def rewrite_journal(self, group: Group) -> None:
        rewound(self.remote, group)

    def delete_journal(self, group: Group) -> None:
        self.remote.journals[str(group)] = []

    def scribble(self, cluster: str) -> None:
        self.remote.claims[cluster] = Claimed("5c21bb1e", None)


class GitGround:
    """Real Git: by path, or over the lab's HTTP server; *refs* say where the journals lie."""

    def __init__(self, root: Path, bare: Bare, server: Served | None, refs: Refs = USUAL) -> None:
        self.root, self.bare, self.server, self.refs = root, bare, server, refs
        self._numbers = itertools.count()

    @property
    def url(self) -> str:
        return self.server.url() if self.server is not None else str(self.bare.path)

    def laptop(self) -> Repository:
        return repository(self.root / f"laptop-{next(self._numbers)}", self.url, refs=self.refs)

    def box(self, laptop: Repository) -> RequestBox:
        assert isinstance(laptop, Watched)
        return GitRequestBox(laptop)

    def colleague(self, subject: str, files: Mapping[str, str | None]) -> str:
        return self.bare.commit(subject, {path: None if text is None else text.encode("utf-8", "surrogateescape") for path, text in files.items()})

    def content(self, path: str) -> str | None:
        return self.bare.content(path).decode("utf-8", "surrogateescape") if path in self.bare.tree() else None

    def commits(self) -> int:
        return self.bare.count("refs/heads/main")

    def journal_tip(self, group: Group) -> str:
        return self.bare.tip(self.refs.journal(group))

    def down(self) -> None:
        if self.server is not None:
            self.server.lab.set_fault("git", "down")
        else:
            self.bare.path.rename(self.bare.path.with_suffix(".away"))

    def up(self) -> None:
        if self.server is not None:
            self.server.lab.clear_fault("git")
        else:
            self.bare.path.with_suffix(".away").rename(self.bare.path)

    def refuse(self, words: str) -> None:
        if words:
            self.bare.hook("pre-receive", f"echo '{words}' >&2; exit 1")
        else:
            self.bare.unhook("pre-receive")

    def lose_answer(self, *, dies: bool = False) -> None:
        away = self.bare.path.with_suffix(".away")
        after = f"mv {self.bare.path} {away};" if dies and self.server is None else ""
        if dies and self.server is not None:
            after = f"""printf '{{"git": "down"}}' > {self.server.lab.root}/faults.json;"""
        # The hook runs when the refs have moved; without its parent the pusher's connection ends before the report.
        self.bare.hook("post-receive", f"rm $GIT_DIR/hooks/post-receive; {after} kill -9 $PPID")

    def before_next_push(self, laptop: Repository, action: Callable[[], object]) -> None:
        assert isinstance(laptop, Watched)
        laptop.before_push.append(action)

    def rewrite_branch(self) -> None:
        self.bare.commit("Another beginning", {"README.md": b"all new\n"}, onto="")

    def rewrite_journal(self, group: Group) -> None:
        self.bare.commit("Another journal", {"a" * 40: b"{}\n"}, ref=self.refs.journal(group), onto="")

    def delete_journal(self, group: Group) -> None:
        self.bare.delete(self.refs.journal(group))

    def scribble(self, cluster: str) -> None:
        self.bare.commit("mine!", {"a": b"1"}, ref=self.refs.cluster(cluster), onto="")


@contextmanager
def ground(kind: str, root: Path) -> Iterator[Ground]:
    """*kind* is memory, path, http, or branches: a host that refuses refs/notes, and journals that lie among its branches."""
    if kind == "memory":
        yield MemoryGround()
    elif kind == "path":
        yield GitGround(root, Bare.made(root / "fleet.git"), None)
    elif kind == "branches":
        bare = Bare.made(root / "fleet.git")
        bare.hook("update", NO_NOTES)
        yield GitGround(root, bare, None, Refs("refs/heads/bennu"))
    else:
        with served(root / "lab") as server:
            yield GitGround(root, Bare.made(root / "lab" / "git" / "fleet.git"), server)
