"""A Git remote of the test's own: a real bare repository, reached by its path or over the lab's HTTP server, and the hands that spoil it."""

from __future__ import annotations

import asyncio
import os
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web

from bennu.adapters.git import GitRepository, Remote
from bennu.adapters.git_process import Ran
from bennu.adapters.git_refs import USUAL, Refs
from bennu.lab.places import LabDir, write_private
from bennu.lab.shared import git_http

PASSWORD = "the-password-of-a-test"
FOLDER = "clusters/prod/us-east-1/cluster-blue"
STATE = f"{FOLDER}/traffic-state.yaml"
SCRIPT = f"{FOLDER}/drain.sh"
CRLF = f"{FOLDER}/windows.yaml"
BINARY = f"{FOLDER}/logo.png"

SEED: Mapping[str, bytes] = {
    STATE: b'data:\n  IS_WRITE_MASTER: "true"\n',
    SCRIPT: b"#!/bin/sh\nexit 0\n",
    CRLF: b"a: 1\r\nb: 2\r\n",
    BINARY: bytes(range(256)),
    "catalogs/redis/base.yaml": b"kind: StatefulSet\n",
    "README.md": "Schön\n".encode(),
}


def git(where: Path, *arguments: str, given: bytes = b"", env: Mapping[str, str] | None = None) -> str:
    """Run git in *where*, without the user's configuration; its output. Raises CalledProcessError."""
    own = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null", **(env or {})}
    ran = subprocess.run(["git", *arguments], cwd=where, input=given, capture_output=True, check=True, env=own)
    return ran.stdout.decode("utf-8", "surrogateescape")


@dataclass
class Bare:
    """The remote's bare repository, on this machine's disk."""

    path: Path

    @classmethod
    def made(cls, path: Path, files: Mapping[str, bytes] = SEED) -> Bare:
        """With one commit on ``main``; ``*.sh`` is executable."""
        path.mkdir(parents=True)
        git(path, "init", "--quiet", "--bare", "--initial-branch=main")
        bare = cls(path)
        bare.commit("Begin", files)
        return bare

    def tip(self, ref: str = "refs/heads/main") -> str:
        """What *ref* names; empty for no such ref."""
        return git(self.path, "for-each-ref", "--format=%(objectname)", ref).strip()

    def commit(self, subject: str, files: Mapping[str, bytes | None], *, ref: str = "refs/heads/main", onto: str | None = None) -> str:
        """Somebody else's commit of *files* (None removes one) on *onto* (default: the tip; empty: no parent); moves *ref*, by force if need be."""
        parent = self.tip(ref) if onto is None else onto
        stream = [f"commit {ref}\ncommitter Ada Colleague <ada@example.org> 1700000000 +0000\ndata {len(subject.encode())}\n{subject}\n".encode()]
        if parent:
            stream.append(f"from {parent}\n".encode())
        for path, content in files.items():
            if content is None:
                stream.append(f"D {path}\n".encode())
                continue
            mode = "100755" if path.endswith(".sh") else "100644"
            stream.append(f"M {mode} inline {path}\ndata {len(content)}\n".encode() + content + b"\n")
        if not parent and self.tip(ref):
            git(self.path, "update-ref", "-d", ref)
        git(self.path, "fast-import", "--quiet", "--force", given=b"".join(stream))
        return self.tip(ref)

    def count(self, ref: str) -> int:
        """How many commits *ref* has; 0 for no such ref."""
        return int(git(self.path, "rev-list", "--count", ref)) if self.tip(ref) else 0

    def delete(self, ref: str) -> None:
        """Remove a ref."""
        git(self.path, "update-ref", "-d", ref)

    def content(self, path: str, at: str = "main") -> bytes:
        """A file's bytes."""
        return git(self.path, "cat-file", "blob", f"{at}:{path}").encode("utf-8", "surrogateescape")

    def tree(self, at: str = "main") -> dict[str, tuple[str, str]]:
        """Path → (mode, blob id)."""
        lines = git(self.path, "ls-tree", "-r", "-z", at).split("\x00")
        return {line.partition("\t")[2]: (line.split()[0], line.split()[2]) for line in lines if line}

    def hook(self, name: str, script: str) -> None:
        """Install a server-side hook (sh)."""
        file = self.path / "hooks" / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(f"#!/bin/sh\n{script}\n")
        file.chmod(0o755)

    def unhook(self, name: str) -> None:
        """Remove it."""
        (self.path / "hooks" / name).unlink()


@dataclass
class Served:
    """The lab's Git server in a thread of this process."""

    lab: LabDir
    port: int = 0
    _ready: threading.Event = field(default_factory=threading.Event)
    _loop: asyncio.AbstractEventLoop | None = None
    _stop: asyncio.Event | None = None

    def url(self, name: str = "fleet.git") -> str:
        return f"http://127.0.0.1:{self.port}/{name}"

    async def serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        runner = web.AppRunner(git_http.app(self.lab), access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.port = runner.addresses[0][1]
        self._ready.set()
        await self._stop.wait()
        await runner.cleanup()

    def wait_ready(self) -> None:
        assert self._ready.wait(10)

    def stop(self) -> None:
        assert self._loop is not None and self._stop is not None
        self._loop.call_soon_threadsafe(self._stop.set)


@contextmanager
def served(root: Path) -> Iterator[Served]:
    """A lab directory with a password and no repository yet, and its server."""
    lab = LabDir(root)
    write_private(root / "git-password", PASSWORD + "\n")
    (root / "git").mkdir()
    server = Served(lab)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve()), daemon=True)
    thread.start()
    server.wait_ready()
    try:
        yield server
    finally:
        server.stop()
        thread.join(10)


class Watched(GitRepository):
    """``before_push``: what happens, once each, after the objects of a push were built and before the push starts."""

    def __init__(self, state: Path, remote: Remote) -> None:
        super().__init__(state, remote)
        self.before_push: list[Callable[[], object]] = []

    def _push(self, *arguments: str, limit_s: float | None = None) -> Ran:
        if self.before_push:
            self.before_push.pop(0)()
        return super()._push(*arguments, limit_s=limit_s)


def repository(state: Path, url: str, *, password: str = PASSWORD, timeout_s: float = 30.0, refs: Refs = USUAL) -> Watched:
    """A clone of its own for *url*; over HTTP with the lab's user."""
    http = url.startswith("http")
    return Watched(state, Remote(url, username=git_http.USER if http else "", password=lambda: password, no_input=True, timeout_s=timeout_s, refs=refs))
