"""Bennu's own bare clone, and the git commands that are run in it.

No prompt, and no secret among the arguments: credentials travel in the environment, limited to the one remote. What goes over the network has a time limit. The user's checkout
is never touched.
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import hashlib
import os
import re
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bennu.adapters import git_disk
from bennu.adapters.git_process import Ran, finished, last_words
from bennu.adapters.git_reader import ObjectReader
from bennu.adapters.git_refs import USUAL, Refs
from bennu.errors import DependencyDown, DurableStateError, StoppedSafe

_NETWORK_S = 60.0
_FIRST = 10
_STALE_LOCK = re.compile(r"Unable to create '([^']+\.lock)': File exists")
_CREDENTIALS = re.compile(r"Authentication failed|could not read (Username|Password)|returned error: 40[13]|Permission denied \(")


@dataclass(frozen=True)
class Remote:
    """The repository as it is reached. ``password`` is asked at each use. ``clusters`` and ``catalogs`` are the folders that may and must not be written. ``refs``: where the journals lie. ``sign_notes``: auto, always or never."""

    url: str
    branch: str = "main"
    username: str = ""
    password: Callable[[], str] = str
    clusters: str = "clusters"
    catalogs: str = "catalogs"
    no_input: bool = False
    timeout_s: float = _NETWORK_S
    refs: Refs = USUAL
    sign_notes: str = "auto"


class Clone:
    """A bare repository below the state directory, named by the remote's hash. Every command raises StoppedSafe where this machine's disk ends it."""

    def __init__(self, state: Path, remote: Remote) -> None:
        self.remote = remote
        # Journals of another place are none of this one's: a clone each.
        name = remote.url if remote.refs == USUAL else f"{remote.url}\n{remote.refs.prefix}"
        self.path = state / "repos" / hashlib.sha256(name.encode()).hexdigest()[:16]
        self.reader = ObjectReader(self._opened)
        self._tidied = False

    def run(self, *arguments: str, given: bytes = b"", limit_s: float | None = None) -> Ran:
        """A local git command in the clone, *given* on its standard input; never raises for its exit status."""
        return self._execute(self._opened(), arguments, given=given, limit_s=limit_s)

    def checked(self, *arguments: str, given: bytes = b"") -> str:
        """The same, where a failure would be a defect of the clone: its output. Raises DurableStateError with git's own last words."""
        ran = self.run(*arguments, given=given)
        if not ran.ok:
            raise self.failed(ran)
        return ran.out

    def changed(self, *arguments: str, given: bytes = b"") -> str:
        """As ``checked``, for a command that writes refs: one process of this machine at a time."""
        ran = self._alone(arguments, given=given)
        if not ran.ok:
            raise self.failed(ran)
        return ran.out

    def network(self, *arguments: str, limit_s: float | None = None) -> Ran:
        """A git command that talks to the remote, with credentials in its environment and a time limit (the remote's, or a shorter one)."""
        return self._execute(self._opened(), arguments, env=self._credentials(), limit_s=self._limit(limit_s))

    def fetched(self, *specs: str, limit_s: float | None = None) -> Ran:
        """``git fetch`` of *specs*. What the user's configuration would add (tags, pruning, submodules, a collection in the background) stays out.

        A clone that has nothing yet gets ten times the limit, as long as something arrives: a large history must not begin anew for ever.
        """
        arguments = ("fetch", "--no-tags", "--no-prune", "--no-recurse-submodules", "--no-write-fetch-head", "--no-auto-maintenance", "--", self.remote.url)
        env, limit = self._credentials(), self._limit(limit_s)
        if not any((self._opened() / "objects").glob("??")) and not any((self.path / "objects" / "pack").glob("*.pack")):
            env |= {"GIT_HTTP_LOW_SPEED_LIMIT": "1", "GIT_HTTP_LOW_SPEED_TIME": str(max(1, round(limit)))}
            limit *= _FIRST
        ran = self._alone(("-c", "fetch.output=full", *arguments, *specs), env=env, limit_s=limit)
        if ran.ok and not self._tidied:
            self._tidied = True
            # Loose objects of a hundred rotations would slow every look; git decides whether there is anything to do.
            self._alone(("-c", "gc.autoDetach=false", "maintenance", "run", "--auto", "--quiet"))
        return ran

    def failed(self, ran: Ran) -> DurableStateError:
        """The error for a local command that should not fail: the clone is one that git cannot work with."""
        return DurableStateError(
            f"Bennu's clone {self.path} cannot be used: {last_words(ran)}", next_step=f"mv {self.path} {self.path}.damaged; it is made anew from the remote"
        )

    def unreachable(self, ran: Ran) -> DependencyDown:
        """The error for a remote that gave no answer, or none that Bennu may see."""
        words = last_words(ran)
        if _CREDENTIALS.search(ran.err):
            return DependencyDown(f"the Git remote refuses the credentials: {words}", next_step="check repository.credentials, or what git itself is given")
        return DependencyDown(f"the Git remote does not answer: {words}", next_step="check repository.remote and the network, then 'bennu rotate resume'")

    def _limit(self, wanted: float | None) -> float:
        return self.remote.timeout_s if wanted is None else min(wanted, self.remote.timeout_s)

    def _alone(self, arguments: Sequence[str], *, given: bytes = b"", env: dict[str, str] | None = None, limit_s: float | None = None) -> Ran:
        """Run under the clone's file lock, which the git process inherits: whoever has it knows that a ref's own lock file was left by a git that was killed."""
        path = self._opened()
        with self._locked(path) as descriptor:
            for _ in range(8):
                ran = self._execute(path, arguments, given=given, env=env, limit_s=limit_s, keep=descriptor)
                left = _STALE_LOCK.search(ran.err)
                if ran.ok or left is None or not Path(left[1]).is_relative_to(path):
                    break
                Path(left[1]).unlink(missing_ok=True)
            return ran

    @contextlib.contextmanager
    def _locked(self, path: Path) -> Iterator[int]:
        try:
            descriptor = os.open(path / "bennu-writing", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise git_disk.stopped(error.errno, path) from None
        try:
            # No clock decides anything here: it only bounds how long another process' fetch is waited for.
            end = time.monotonic() + self.remote.timeout_s
            while True:
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > end:
                        raise StoppedSafe(f"another bennu on this machine has used {path} for {self.remote.timeout_s:g} s", next_step="try again") from None
                    # flock knows no time limit, and nothing tells when the other one is done: an inherent period.
                    threading.Event().wait(0.02)
                except OSError as error:
                    raise git_disk.stopped(error.errno, path) from None
            yield descriptor
        finally:
            os.close(descriptor)

    def _execute(
        self,
        path: Path,
        arguments: Sequence[str],
        *,
        given: bytes = b"",
        env: dict[str, str] | None = None,
        limit_s: float | None = None,
        keep: int | None = None,
    ) -> Ran:
        try:
            ran = finished(path, arguments, {**self._quiet(), **(env or {})}, given=given, limit_s=limit_s, keep=keep)
        except OSError as error:
            raise git_disk.stopped(error.errno, Path(tempfile.gettempdir()), len(given)) from None
        refused = git_disk.refusal(ran, self.path, len(given))
        if refused is not None:
            raise refused
        return ran

    def _quiet(self) -> dict[str, str]:
        asking = {"GIT_ASKPASS": "true", "SSH_ASKPASS": "true", "GCM_INTERACTIVE": "never"} if self.remote.no_input else {}
        return {"GIT_TERMINAL_PROMPT": "0", "GIT_OPTIONAL_LOCKS": "0", "GIT_DEFAULT_HASH": "sha1", **asking}

    def _opened(self) -> Path:
        if not (self.path / "HEAD").exists():
            try:
                self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
            except OSError as error:
                raise git_disk.stopped(error.errno, self.path) from None
            ran = self._execute(self.path, ("init", "--quiet", "--bare", "--template="))
            if not ran.ok:
                raise self.failed(ran)
        return self.path

    def _credentials(self) -> dict[str, str]:
        if not self.remote.username:
            return {}
        pair = base64.b64encode(f"{self.remote.username}:{self.remote.password()}".encode()).decode()
        # The user's credential helpers are for the user's own credentials: asked about a refused one of ours, git would have them forget theirs.
        settings = {f"http.{self.remote.url}.extraHeader": f"Authorization: Basic {pair}", "credential.helper": ""}
        given = os.environ.get("GIT_CONFIG_COUNT", "")
        count = int(given) if given.isdigit() else 0
        env = {"GIT_CONFIG_COUNT": str(count + len(settings))}
        for number, (key, value) in enumerate(settings.items(), count):
            env |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
        return env
